"""The bench: its contestants compute the same numbers, it says what it measured, and nothing of it is timed here."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.bench import __main__ as bench
from minigrad.bench import contestant, rows
from minigrad.bench.rows import Contestant, Row

pytestmark = pytest.mark.cpu_only("the bench compares on the CPU")

TINY_GPT = {"layers": 2, "heads": 2, "dim": 32}
WORK = {
    "SGD": ("embedding_step", {"batch": 2, "length": 5, "dim": 8, "optimizer": "SGD", "rows": 70_000}),
    "SGD, sparse": ("embedding_step", {"batch": 2, "length": 5, "dim": 8, "optimizer": "SGD", "sparse": True}),
    "AdamW": ("embedding_step", {"batch": 2, "length": 5, "dim": 8, "optimizer": "AdamW"}),
    "SparseAdam": ("embedding_step", {"batch": 2, "length": 5, "dim": 8, "optimizer": "SparseAdam", "sparse": True}),
    "forward": ("embedding_forward", {"batch": 2, "length": 5, "dim": 8}),
    "scatter-add": ("scatter_add", {"tokens": 50, "dim": 8}),
    "GPT": ("gpt_step", {"batch": 2, "length": 6, **TINY_GPT}),
    "the book's generation": ("generation", {"new": 5, "prompt": 4, "how": "simple", **TINY_GPT}),
    "generation": ("generation", {"new": 5, "prompt": 4, "how": "cached", **TINY_GPT}),
    "tiny ops": ("tiny_ops", {"ops": 10}),
    "windows": ("windows", {"tokens": 300, "length": 8, "batch": 4, "stride": 3}),
    "windows built": ("windows_built", {"tokens": 300, "length": 8}),
}


@pytest.mark.parametrize("name", WORK)
def test_contestants_compute_the_same(name: str) -> None:
    work, how = WORK[name]
    ours, theirs = (getattr(contestant, work)(library, **how) for library in (mg, torch))
    results = [[step() for _ in range(3)] for step in (ours, theirs)]
    torch.set_num_threads(max(torch.get_num_threads(), 1))
    assert math.isfinite(results[0][0])
    np.testing.assert_allclose(*results, rtol=1e-4)


def test_generation_is_that_of_a_cache_or_of_none() -> None:
    how = {"new": 5, "prompt": 4, **TINY_GPT}
    cached, simple = (contestant.generation(mg, how=kind, **how)() for kind in ("cached", "simple"))
    assert cached == simple


def test_every_row_names_work_and_what_it_needs() -> None:
    all_rows = rows.all_rows("ids.bin")
    assert len({row.title for row in all_rows}) == len(all_rows)
    for row in all_rows:
        assert row.work == "import" or callable(getattr(contestant, row.work))
        assert next(iter(row.contestants)) == "minigrad"
        assert set(row.limits) <= set(row.contestants) - {"minigrad"}
        assert row.limits or row.at_most or row.arrays
    assert any(row.quick for row in all_rows)


def result_of(ours: list[float], theirs: list[float], **options: object) -> bench.Result:
    contestants = {"minigrad": Contestant("minigrad"), "torch": Contestant("torch")}
    result = bench.Result(Row("a row", "work", {}, contestants, {"torch": 0.5}, **options))
    result.seconds = {"minigrad": ours, "torch": theirs}
    return result


def test_ratios_are_medians_of_rounds_with_their_middle_half() -> None:
    result = result_of([1, 2, 3, 4, 90], [10, 10, 10, 10, 10])
    assert list(result.claims()) == [("torch", "0.30 (0.20-0.40), at most 0.5", True)]
    assert list(result_of([6.0], [10.0]).claims()) == [("torch", "0.60 (0.60-0.60), at most 0.5", False)]
    assert [*bench.lines(result, check=True, markdown=True)] == [
        "| a row | 3 s | torch | 0.30 (0.20-0.40), at most 0.5 | met |"
    ]


def test_other_limits() -> None:
    result = result_of([2e-3], [8e-3], at_most=1e-6, unit=(1000, "op"), memory="torch", arrays=5.0)
    result.memory = {"minigrad": {"peak": 120.0, "arrays": 4.0}, "torch": {"peak": 100.0, "arrays": math.nan}}
    assert list(result.claims()) == [
        ("minigrad", "2 µs, at most 1 µs", False),
        ("torch", "0.25 (0.25-0.25), at most 0.5", True),
        ("peak memory, torch", "120 MB, at most 100", False),
        ("arrays of a step", "4.0 MB, less than 5.0", True),
    ]
    first = next(bench.lines(result, check=False, markdown=False))
    assert " ".join(first.split()) == "a row 2 µs a op minigrad 2 µs, at most 1 µs"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    package = str(Path(mg.__file__).parents[1])
    command = [sys.executable, "-m", "minigrad.bench", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": package}
    )


def test_the_program(tmp_path: Path) -> None:
    chart = tmp_path / "bench.png"
    missing = [name for name in bench.PEERS if find_spec(name) is None]
    peers = ",".join(["torch", *missing])
    done = run("--only", "tiny op", "--rounds", "1", "--check", "--peers", peers, "--chart", str(chart))
    assert done.returncode == 0, done.stderr
    ours = r"a tiny op, forward and backward +[\d.]+ µs a op +minigrad +[\d.]+ µs, at most 7 µs +(met|missed)\n"
    assert re.search(ours, done.stdout)
    assert re.search(r"\n +torch +[\d.]+ \([\d.]+-[\d.]+\)\n", done.stdout)
    for name in missing:
        assert f"without {name}, which is not installed: pip install {name}" in done.stdout
    assert re.search(r"[01] of 1 met", done.stdout)
    assert chart.read_bytes().startswith(b"\x89PNG")


def test_markdown_is_a_table() -> None:
    done = run("--only", "built at stride 1", "--rounds", "1", "--markdown")
    lines = done.stdout.splitlines()
    start = lines.index("| work | minigrad | against | ratio |")
    assert lines[start + 1] == "|---|---|---|---|"
    assert all(line.count("|") == 5 for line in lines[start:])
    assert lines[start + 2].startswith("| loader, built at stride 1 | ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--peers", "torch,tensorflow"], "--peers: no such peer: tensorflow; there are torch, jax, mygrad, tinygrad"),
        (["--only", "convolution"], "--only 'convolution': no row has that in its title"),
        (["--rounds", "0"], "--rounds must be 1 or more, got 0"),
        (["--chart", "no/such/folder/x.png"], "--chart: there is no folder no/such/folder"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_contestant_that_fails_is_named_with_its_reason() -> None:
    how = {"tokens": 9, "dim": -1}
    process = bench.Process(Row("a row", "scatter_add", how, {}, {}), Contestant("torch"), 1)
    with pytest.raises(bench.Failed, match="ValueError: negative dimensions"):
        process.answer()
    process.end()


def test_contestants_are_started_apart_from_minigrad() -> None:
    """Importing minigrad sets memory up for the whole process: not in that of a peer."""
    folder = str(Path(contestant.__file__).parent)
    code = f"import sys; sys.path.insert(0, {folder!r}); import contestant, torch; print('minigrad' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == "False"


def test_answers_are_read_among_what_libraries_print() -> None:
    process = bench.Process(Row("a row", "tiny_ops", {"ops": 4}, {}, {}), Contestant("minigrad"), 2)
    assert len(process.answer()["results"]) == 2
    assert process.ask(3)["seconds"] > 0
    memory = process.ask("memory")
    assert 0 < memory["arrays"] < memory["peak"]
    process.end()
    assert json.loads(json.dumps(memory)) == memory
