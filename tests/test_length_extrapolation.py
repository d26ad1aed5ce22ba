"""examples/length_extrapolation.py on a small text: its table, its pictures, and that models are kept."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import minigrad as mg

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import length_extrapolation as example

ROOT = Path(__file__).parents[1]
TEXT = (
    "One fish, two fish, red fish, blue fish. Black fish, old fish: this one has a little star, that one a little car! "
    * 99
)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str) -> list[str]:
    """The options of a run that takes a second: windows of 8 letters, and up to 32."""
    (tmp_path / "text.txt").write_text(TEXT)
    monkeypatch.setattr(example, "TRAINED", 8)
    monkeypatch.setattr(example, "LENGTHS", [8, 32])
    monkeypatch.setattr(example, "MODEL", example.GPTConfig(0, 8, 16, 2, 2, drop_rate=0.0))
    return ["--text", str(tmp_path / "text.txt"), "--out", str(tmp_path / "out"), "--steps", "2", "--device", device]


def numbers(printed: str) -> dict[str, list[str]]:
    rows = [re.fullmatch(r"(\S.*?)((?: +(?:-|\d+\.\d{3})){2})", line) for line in printed.splitlines()]
    return {row[1]: row[2].split() for row in rows if row}


def test_the_table_and_the_pictures(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example.main(small)
    rows = numbers(capsys.readouterr().out)
    assert list(rows) == [
        name
        for kind in example.positions.KINDS
        for name in ([kind] + [f"{kind}, {scaling}" for scaling in example.SCALINGS] * (kind == "rope-halves"))
    ]
    assert rows["learned"][1] == "-" and "-" not in {x for name, row in rows.items() if name != "learned" for x in row}
    assert rows["rope-halves"][0] == rows["rope-halves, ntk"][0] == rows["rope-halves, linear"][0]
    for picture in ("losses.png", "patterns.png"):
        image = imread(tmp_path / "out" / picture)
        assert (image[..., :3].std(axis=2) > 0.2).mean() > 0.001, "nothing in colour is drawn"


def test_the_mean_loss_is_the_models(small: list[str], tmp_path: Path) -> None:
    """The numbers of the table are GPT.loss on all held-out windows at once."""
    example.main([*small, "--kinds", "alibi"])
    letters = example.Letters(TEXT)
    kept = mg.load(tmp_path / "out" / "alibi.safetensors")
    model = example.GPT(example.GPTConfig(**kept["about"]["config"]))
    model.load_state_dict(kept["model"])
    for length in example.LENGTHS:
        count = (len(letters.held_out) - 1) // length
        windows = letters.held_out[: count * length + 1].astype(np.int64)
        inputs, targets = (mg.tensor(ids.reshape(count, length)) for ids in (windows[:-1], windows[1:]))
        found = example.losses(model, letters, length)
        assert found is not None and found.shape == (length,)
        assert abs(found.mean() - model.loss(inputs, targets).item()) < 1e-5


def test_stretched_rotations_are_others(small: list[str]) -> None:
    letters = example.Letters(TEXT)
    model = example.GPT(example.replace(example.MODEL, vocab_size=letters.n_vocab, positions="rope-halves"))
    found = [
        example.losses(m, letters, 32) for m in (model, *(example.stretched(model, s, 4.0) for s in example.SCALINGS))
    ]
    assert len({x.tobytes() for x in found if x is not None}) == 3
    same = example.losses(example.stretched(model, "ntk", 1.0), letters, 32)
    assert same is not None and np.array_equal(same, found[0])


def test_models_are_kept(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example.main([*small, "--kinds", "none", "t5"])
    first = capsys.readouterr().out
    files = {name: tmp_path / "out" / f"{name}.safetensors" for name in ("none", "t5")}
    written = {name: file.stat().st_mtime_ns for name, file in files.items()}
    files["t5"].unlink()  # as if it had been stopped there
    example.main([*small, "--kinds", "none", "t5"])
    assert numbers(capsys.readouterr().out) == numbers(first)
    assert files["none"].stat().st_mtime_ns == written["none"] != files["t5"].stat().st_mtime_ns
    for other in (["--steps", "3"], ["--seed", "3"], ["--text", __file__]):
        with pytest.raises(SystemExit):
            example.main([*small, "--kinds", "none", *other])
        assert "of another run: name another --out" in capsys.readouterr().err
    assert files["none"].stat().st_mtime_ns == written["none"], "a kept model was written over"
    files["none"].write_bytes(b"something else")
    with pytest.raises(SystemExit):
        example.main([*small, "--kinds", "none"])
    assert "Delete it" in capsys.readouterr().err


def test_a_stopped_run_says_how_to_go_on(
    small: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(example, "evaluate", stop)
    with pytest.raises(SystemExit):
        example.main([*small, "--kinds", "none"])
    assert "the same command goes on" in capsys.readouterr().err


def test_patterns(small: list[str]) -> None:
    """Each picture is what the kind does: rows of its table, ones that it turns, numbers that it adds to scores."""
    letters = example.Letters(TEXT)
    ids = mg.tensor(letters.held_out[None, :8].astype(np.int64))
    for kind in example.positions.KINDS:
        if kind == "none":
            continue
        mg.manual_seed(1)
        model = example.GPT(example.replace(example.MODEL, vocab_size=letters.n_vocab, positions=kind))
        what, matrix = example.pattern(kind, model, ids)
        if "query" in what:
            assert matrix.shape == (8, 8) and np.array_equal(np.isfinite(matrix), np.tri(8, dtype=bool)), kind
            depends = any(np.ptp(np.diagonal(matrix, -d)) > 1e-7 for d in range(7))
            assert depends == ("one text" in what) == (kind in ("shaw", "shaw-values", "transformer-xl")), kind
        else:
            assert matrix.shape == ((8, 8) if "rope" in kind else (8, 16)) and np.ptp(matrix, axis=0).max() > 0, kind


@pytest.mark.cpu_only("a program of its own")
@pytest.mark.parametrize(
    ("arguments", "fact"),
    [(["--steps", "0"], "positive"), (["--kinds", "rope"], "rope-halves"), (["--text", "short.txt"], "too short")],
)
def test_wrong_options(tmp_path: Path, arguments: list[str], fact: str) -> None:
    (tmp_path / "short.txt").write_text("too short")
    code = [sys.executable, str(ROOT / "examples" / "length_extrapolation.py"), *arguments]
    done = subprocess.run(code, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 2 and fact in done.stderr and "Traceback" not in done.stderr
