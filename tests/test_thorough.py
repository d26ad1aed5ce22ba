"""The thorough run counts, goes on where it was stopped, and tries again what failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import thorough
from hypothesis import strategies as st

pytestmark = pytest.mark.cpu_only("tests a tool, not the engine")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command, over two small subjects: one whose numbers stay below `limit`, and one that never fails."""
    monkeypatch.setattr(thorough, "DONE", tmp_path / "runs" / "cases.jsonl")

    def command(cases: int, limit: int = 1000) -> tuple[int, str]:
        def check(n: int, i: int) -> None:
            assert n < limit

        subjects = {
            "small": thorough.Subject("numbers", st.integers(0, 999), check, 10, 2),
            "any": thorough.Subject("others", st.integers(0, 999), lambda n, i: None, 20, 1),
        }
        monkeypatch.setattr(thorough, "SUBJECTS", subjects)
        monkeypatch.setattr("sys.argv", ["thorough.py", f"--cases={cases}", "--jobs=1"])
        return thorough.main(), capsys.readouterr().out

    return command


def lines() -> list[dict]:
    return [json.loads(line) for line in thorough.DONE.read_text().splitlines() if line.endswith("}")]


def test_it_counts_what_it_runs(run):
    status, text = run(60)
    assert status == 0
    assert "0 failures" in text
    assert sum(line["cases"] for line in lines()) >= 60
    assert {line["name"] for line in lines()} == {"small", "any"}


def test_it_goes_on_where_it_was_stopped(run):
    run(40)
    first = lines()
    with thorough.DONE.open("a") as file:
        file.write('{"name": "small", "rou')  # killed in the middle of a line
    _, text = run(200)
    later = lines()
    assert later[: len(first)] == first
    assert len({(line["name"], line["round"]) for line in later}) == len(later), "a chunk was run twice"
    total = sum(line["cases"] for line in later)
    assert f"{total:,}  cases in all" in text, "a result was lost behind the line that was cut off"


def test_what_fails_is_shrunk_and_tried_again(run):
    status, text = run(60, limit=500)
    assert status == 1
    assert "FAILED: small" in text
    assert "case=500" in text
    status, text = run(60)  # mended
    assert status == 0
    assert "0 failures" in text


def test_the_subjects_are_the_whole_table():
    import test_adjoint
    import test_ops

    rows = [*test_ops.DIFFERENTIABLE, *test_ops.IN_PLACE, *test_ops.WITHOUT_GRADIENT]
    assert len(thorough.subjects()) == len(rows) + len(test_adjoint.CASES) + 2 + 3
