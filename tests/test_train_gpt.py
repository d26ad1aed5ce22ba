"""examples/train_gpt.py: stopped, killed and resumed, it trains on as if nothing had happened; bad checkpoints change nothing."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg

pytestmark = pytest.mark.cpu_only("programs of their own, on the CPU; test_cuda.py runs them on the device cuda")

ROOT = Path(__file__).parents[1]
TINY = """
import sys
sys.path.insert(0, {examples!r})
import train_gpt
from minigrad.gpt import GPTConfig
train_gpt.SIZES["nano"] = train_gpt.Size(GPTConfig(0, 8, 16, 2, 2, drop_rate=0.2), batch_size=4, steps=12, lr=1e-2)
train_gpt.main(sys.argv[1:])
"""
TEXT = (
    "One fish, two fish, red fish, blue fish. Black fish, old fish: this one has a little star, that one a little car! "
    * 9
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TINY.format(examples=str(ROOT / "examples")))
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def command(folder: Path, out: str, *more: str) -> list[str]:
    options = ["--text", "text.txt", "--out", out, "--eval-every", "5", "--save-every", "1", *more]
    return [sys.executable, str(folder / "train.py"), *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def train(folder: Path, out: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, out, *more), cwd=folder, env=environment(), capture_output=True, text=True)


def checkpoint(folder: Path, out: str) -> dict[str, Any]:
    return mg.load(folder / out / "checkpoint.safetensors")


def same(a: Any, b: Any) -> bool:
    """Equal in every bit, whatever is nested in what."""
    if isinstance(a, mg.Tensor):
        return (
            isinstance(b, mg.Tensor) and a.dtype == b.dtype and a.cpu().numpy().tobytes() == b.cpu().numpy().tobytes()
        )
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def test_resumed_is_uninterrupted(folder: Path) -> None:
    """Bit for bit: weights, moments, data order, dropout, samples. The text makes a pass of 8 batches, so two passes are cut."""
    whole = train(folder, "whole", "--steps", "12")
    assert whole.returncode == 0, whole.stderr
    for stops in ([5], [3, 8, 11]):  # 8: at the end of a pass
        out = f"parts{len(stops)}"
        resume: list[str] = []
        for stop in stops:
            stopped = train_until(folder, out, stop, *resume)
            assert "finishing this step and saving" in stopped and f"stopped after step {stop}" in stopped
            assert checkpoint(folder, out)["step"] == stop
            resume = ["--resume"]
        rest = train(folder, out, "--steps", "12", "--resume")
        assert rest.returncode == 0 and f"going on from step {stops[-1]}" in rest.stdout, rest.stderr
        assert same(checkpoint(folder, out), checkpoint(folder, "whole"))
        assert (
            rest.stdout.split("step    12")[1].splitlines()[:2] == whole.stdout.split("step    12")[1].splitlines()[:2]
        )


def train_until(folder: Path, out: str, step: int, *more: str) -> str:
    """Training in this process, interrupted as Ctrl-C does during the step."""
    code = (
        (folder / "train.py")
        .read_text()
        .replace(
            "train_gpt.main(",
            "import os, signal\n"
            "train_one = train_gpt.Run.train_one\n"
            "def interrupted(run, x, y):\n"
            f"    if run.step == {step - 1}: os.kill(os.getpid(), signal.SIGINT)\n"
            "    return train_one(run, x, y)\n"
            "train_gpt.Run.train_one = interrupted\n"
            "train_gpt.main(",
        )
    )
    (folder / "interrupted.py").write_text(code)
    arguments = command(folder, out, "--steps", "12", "--save-every", "100", *more)
    arguments[1] = str(folder / "interrupted.py")
    done = subprocess.run(arguments, cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_killed_at_any_moment_it_leaves_a_checkpoint_that_goes_on(folder: Path) -> None:
    assert train(folder, "whole", "--steps", "150").returncode == 0
    file = folder / "out" / "checkpoint.safetensors"
    rng, steps, resume, killed = np.random.default_rng(0), [0], [], 0
    for _ in range(8):
        process = subprocess.Popen(
            command(folder, "out", "--steps", "150", *resume),
            cwd=folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        before = file.stat().st_mtime_ns if file.exists() else 0
        while process.poll() is None and not (file.exists() and file.stat().st_mtime_ns != before):
            time.sleep(0.001)  # until it has started to write checkpoints
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode in (-signal.SIGKILL, 0), said
        killed += process.returncode != 0
        steps.append(checkpoint(folder, "out")["step"])
        resume = ["--resume"]
    assert steps == sorted(steps) and steps[-1] > 0 and killed >= 4
    done = train(folder, "out", "--steps", "150", "--resume")
    assert done.returncode == 0, done.stderr
    assert same(checkpoint(folder, "out"), checkpoint(folder, "whole"))
    left = sorted(p.name for p in (folder / "out").iterdir())
    assert left == sorted(p.name for p in (folder / "whole").iterdir()), "a killed run left something behind"


def test_a_checkpoint_is_not_overwritten_by_oversight(folder: Path) -> None:
    assert train(folder, "out", "--steps", "2").returncode == 0
    file = folder / "out" / "checkpoint.safetensors"
    before = file.read_bytes()
    refused = train(folder, "out", "--steps", "3")
    assert refused.returncode == 2 and "--resume" in refused.stderr and "--overwrite" in refused.stderr
    assert file.read_bytes() == before
    assert train(folder, "out", "--steps", "3", "--overwrite").returncode == 0
    assert checkpoint(folder, "out")["step"] == 3


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    (folder / "train.py").write_text(TINY.format(examples=str(ROOT / "examples")))
    (folder / "text.txt").write_text(TEXT)
    done = train(folder, "out", "--steps", "3")
    assert done.returncode == 0, done.stderr
    return folder


def test_bad_checkpoints(good: Path) -> None:
    file = good / "out" / "checkpoint.safetensors"
    content = file.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) - 100] ^= 4
    kept = mg.load(file)
    weights = {**kept["model"]}
    first = next(iter(weights))
    bad: dict[str, tuple[Any, list[str]]] = {
        "truncated": (content[: len(content) // 2], ["checkpoint.safetensors"]),
        "empty": (b"", ["empty"]),
        "flipped": (bytes(flipped), ["damaged"]),
        "pickle": (b"PK\x03\x04" + pickle.dumps({"model": 1}), ["pickle", "never opened"]),
        "noise": (b"no checkpoint at all", ["not a safetensors file"]),
        "weights alone": (kept["model"], ["not a checkpoint of this program"]),
        "wrong shape": ({**kept, "model": {**weights, first: mg.zeros(3, 3)}}, [first, "[3, 3]"]),
        "a name too few": ({**kept, "model": {k: v for k, v in weights.items() if k != first}}, ["Missing", first]),
        "a name too many": ({**kept, "model": {**weights, "else": mg.ones(1)}}, ["Unexpected", "else"]),
        "another text": ({**kept, "about": {**kept["about"], "text": 5}}, ["another run", "another text"]),
        "other options": ({**kept, "about": {**kept["about"], "lr": 0.5}}, ["another run", "lr 0.5 then"]),
        "another model": ({**kept, "config": {**kept["config"], "n_layers": 9}}, ["another run", "9"]),
    }
    try:
        for name, (what, facts) in bad.items():
            if isinstance(what, bytes):
                file.write_bytes(what)
            else:
                mg.save(what, file)
            before = file.read_bytes()
            done = train(good, "out", "--steps", "3", "--resume")
            assert done.returncode == 2 and "Traceback" not in done.stderr, (name, done.stderr)
            assert [fact for fact in facts if fact not in done.stderr] == [], (name, done.stderr)
            assert file.read_bytes() == before, name
            if isinstance(what, bytes) or name in ("a name too few", "wrong shape"):
                generated = generate(good, str(file))
                assert generated.returncode == 2 and "Traceback" not in generated.stderr, (name, generated.stderr)
    finally:
        file.write_bytes(content)
    assert train(good, "out", "--steps", "3", "--resume").returncode == 0


def generate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = [sys.executable, str(ROOT / "examples" / "generate.py"), *arguments]
    return subprocess.run(code, cwd=folder, env=environment(), capture_output=True, text=True)


def test_generate(good: Path) -> None:
    file = "out/checkpoint.safetensors"
    told = {}
    for name, more in (
        ("plain", []),
        ("again", []),
        ("no cache", ["--no-cache"]),
        ("other", ["--seed", "4"]),
        ("greedy", ["--temperature", "0"]),
    ):
        done = generate(good, file, "--tokens", "20", "--prompt", "Two fish Ωmega", *more)
        assert done.returncode == 0, done.stderr
        text, _, timing = done.stdout.rpartition("[")
        assert text.startswith("Two fish Ωmega") and timing.startswith("20 tokens in")
        told[name] = text
    assert told["plain"] == told["again"] == told["no cache"] != told["other"]
    assert generate(good, "nowhere.safetensors").returncode == 2
    assert generate(good, "out", "--tokens", "3", "--top-k", "0").returncode == 0  # the folder
    for wrong in (["--top-k", "-1"], ["--temperature", "-1"], ["--tokens", "-1"]):
        refused = generate(good, file, *wrong)
        assert (
            refused.returncode == 2
            and refused.stdout == ""
            and "-1" in refused.stderr + "-1" * (wrong[0] == "--tokens")
        )
    assert "train_gpt.py makes" in generate(good).stderr
    assert "prompt is empty" in generate(good, file, "--prompt", "").stderr


@pytest.mark.parametrize("kind", ["rope-interleaved", "t5", "sinusoidal-halves"])
def test_a_checkpoint_remembers_its_positions(folder: Path, kind: str) -> None:
    whole = train(folder, "whole", "--steps", "6", "--positions", kind)
    assert whole.returncode == 0, whole.stderr
    assert train(folder, "out", "--steps", "3", "--positions", kind).returncode == 0
    kept = checkpoint(folder, "out")
    assert kept["config"]["positions"] == kind
    other = "rope-halves" if kind == "rope-interleaved" else "learned"
    refused = train(folder, "out", "--steps", "6", "--resume", "--positions", other)
    assert refused.returncode == 2 and kind in refused.stderr and "another run" in refused.stderr
    assert same(checkpoint(folder, "out"), kept)
    done = generate(folder, "out", "--tokens", "20", "--prompt", "Two fish")
    assert done.returncode == 0 and done.stdout.startswith("Two fish"), done.stderr
    kept["config"]["positions"] = other  # as if somebody had written it by hand
    mg.save(kept, folder / "forged.safetensors")
    forged = generate(folder, "forged.safetensors", "--prompt", "Two fish")
    assert forged.returncode == 2 and "Traceback" not in forged.stderr and "_extra_state" not in forged.stdout
    assert ("layout='interleaved'" if "rope" in kind else "_extra_state") in forged.stderr


def test_runs_of_other_positions_have_folders_of_their_own(folder: Path) -> None:
    arguments = [a for a in command(folder, "out", "--steps", "1", "--positions", "alibi") if a not in ("--out", "out")]
    subprocess.run(arguments, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    assert [p.name for p in (folder / "runs").iterdir()] == ["nano-alibi"]


def test_a_curve_in_letters_and_as_a_picture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "matplotlib.py").write_text("raise ImportError('as if it were not installed')")
    hidden = {**environment(), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    done = subprocess.run(command(folder, "out"), cwd=folder, env=hidden, capture_output=True, text=True)
    curve = done.stdout.split("loss: t training, h held out\n")[1].splitlines()
    assert len(curve) >= 13 and "t" in done.stdout and curve[12].split() == ["steps", "0", "12"]
    assert not (folder / "out" / "loss.png").exists()
    (folder / "matplotlib.py").unlink()
    assert "drew" in train(folder, "out", "--resume").stdout
    assert (folder / "out" / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["--steps", "0"], ["--steps", "positive"]),
        (["--eval-every", "0"], ["--eval-every", "positive"]),
        (["--save-every", "-1"], ["--save-every", "positive"]),
        (["--positions", "rope"], ["rope-halves", "rope-interleaved"]),
        (["--prompt", ""], ["--prompt", "empty"]),
        (["--resume", "--overwrite"], ["choose one"]),
        (["--lr", "-1"], ["--lr", "positive"]),
        (["--text", "nowhere.txt"], ["nowhere.txt"]),
        (["--batch-size", "1000"], ["too short", "1000"]),
        (["--text", "short.txt", "--batch-size", "1"], ["too short", "0 are held out"]),
        (["--resume", "--out", "nothing_there"], ["nothing_there", "leave out --resume"]),
        (["--lr", "1e30", "--steps", "5"], ["the loss is", "--lr"]),
    ],
)
def test_wrong_options(folder: Path, arguments: list[str], facts: list[str]) -> None:
    (folder / "short.txt").write_text(TEXT[:200])
    done = train(folder, "out", *arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert [fact for fact in facts if fact not in done.stderr] == [], done.stderr
    assert not (folder / "nothing_there").exists()
