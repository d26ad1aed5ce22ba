"""gpu_report.py in miniature: what it reports is what happened."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import gpu_report
import pytest

import minigrad as mg
from minigrad import kernels
from minigrad.gpt import GPTConfig

TINY = gpu_report.Sizes((11, 4), (2, 5), (6, 11), (6, 4), GPTConfig(11, 6, 4, 2, 1), steps=2, repeats=1)


@pytest.mark.parametrize(
    ("lines", "status", "want", "well"),
    [
        (["...", "3 passed, 1 skipped in 0.12s"], 0, "3 passed, 0 failed, 1 skipped (x)", True),
        (["12 passed, 2 warnings in 61.00s (0:01:01)"], 0, "12 passed, 0 failed, 0 skipped (x)", True),
        (
            ["FAILED tests/a.py::b - no", "ERROR c", "1 failed, 2 passed, 1 error in 0.1s"],
            1,
            "2 passed, 1 failed, 0 skipped, 1 could not run (x)\n\n- FAILED tests/a.py::b - no\n- ERROR c",
            False,
        ),
        (["ERROR: usage: no GPU"], 4, "The tests did not run (x): ERROR: usage: no GPU", False),
        ([], 1, "The tests did not run (x): no output", False),
        (["3 passed in 0.12s"], 1, "3 passed, 0 failed, 0 skipped (x)", False),
    ],
)
def test_the_count_of_tests(lines, status, want, well):
    assert gpu_report.outcome(lines, status, "x") == (want, well)


def test_only_twenty_failures_are_listed():
    text, well = gpu_report.outcome([*(f"FAILED {i}" for i in range(30)), "30 failed in 1s"], 1, "x")
    assert text.endswith("- FAILED 19\n- ... and 10 more") and not well


def test_tests_are_run_in_another_process():
    text, well = gpu_report.run_tests("numpy", ["test_spelling.py"])
    assert re.fullmatch(
        r"\d+ passed, 0 failed, 0 skipped \(`pytest --backend=numpy test_spelling.py`, \d+ s\)", text
    ), text
    assert well


def test_equal_bits_are_reported(device):
    text, well = gpu_report.bits(TINY, device)
    assert well, text
    assert [line.split("|")[2].strip() for line in text.splitlines()[2:5]] == ["equal"] * 3


def test_bits_that_differ_are_reported(device, monkeypatch):
    real, calls = gpu_report.train, []

    def train(sizes, where):
        calls.append(where)
        hashes, losses = real(sizes, where)
        return ({what: h + "x" * (len(calls) == 3) for what, h in hashes.items()}, losses)

    monkeypatch.setattr(gpu_report, "train", train)
    text, well = gpu_report.bits(TINY, device)
    assert not well
    assert re.search(r"beside other work \| \*\*(\d+) of \1 differ\*\*", text)


def test_a_changed_embedding_gradient_is_reported(device, monkeypatch):
    gradients = iter([b"0", b"1"])
    monkeypatch.setattr(gpu_report, "embedding_gradient", lambda *_: next(gradients))
    text, well = gpu_report.bits(TINY, device)
    assert not well and "the CPU's | **differ** |" in text


def test_the_hashes_are_of_every_gradient_and_weight(device):
    first, losses = gpu_report.train(TINY, device)
    other, _ = gpu_report.train(dataclasses.replace(TINY, steps=1), device)
    names = [name for name, _ in gpu_report.GPT(TINY.gpt).named_parameters()]
    assert set(first) == {*names, *(f"gradient of {name}" for name in names)}
    assert all(first[what] != other[what] for what in first)
    assert len(losses) == 2


def test_every_case_is_measured_each_way_and_switches_go_back(device, monkeypatch):
    seen = []

    def milliseconds(step, repeats):
        step()
        seen.append((kernels.fused_kernels, mg.are_deterministic_algorithms_enabled()))
        return 12.345

    monkeypatch.setattr(gpu_report, "milliseconds", milliseconds)
    fused = kernels.fused_kernels
    lines = gpu_report.speed(TINY, device).splitlines()[2:]
    assert len(lines) == 7 and all(line.count("12.3 ") == 3 for line in lines)
    plain = [(fused, True)] * 2
    assert seen == [*plain, (fused, False)] * 2 + [*plain, (False, True)] * 5
    assert (kernels.fused_kernels, mg.are_deterministic_algorithms_enabled()) == (fused, True)


def test_too_little_memory_costs_one_cell(device, monkeypatch):
    def gelu(*_):
        raise MemoryError

    monkeypatch.setattr(gpu_report, "gelu", gelu)
    assert gpu_report.speed(TINY, device).count("too little memory") == 3


def test_the_median_leaves_the_first_runs_out(monkeypatch):
    clock = iter([0, 9, 10, 19, 20, 21, 30, 32, 40, 47])
    monkeypatch.setattr(gpu_report.time, "perf_counter", lambda: next(clock))
    assert gpu_report.milliseconds(lambda: None, 3) == 2000


def test_without_cupy_one_sentence_and_status_1(tmp_path):
    (tmp_path / "cupy.py").write_text("raise ModuleNotFoundError(\"No module named 'cupy'\", name='cupy')")
    path = os.pathsep.join([str(tmp_path), str(gpu_report.ROOT)])
    script = Path(gpu_report.__file__)
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("device 'cuda' needs CuPy, which is not installed") and done.stderr.count("\n") == 1
    assert not (tmp_path / "gpu_report.md").exists()


@pytest.mark.skipif("cupy" not in sys.modules, reason="the report needs CuPy, its emulator or its fake")
@pytest.mark.parametrize("well", [True, False])
def test_the_whole_report(well, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_report, "QUICK", TINY)
    monkeypatch.setattr(gpu_report, "run_tests", lambda *_: ("5 passed, 0 failed, 0 skipped", well))
    monkeypatch.setattr(gpu_report.emulator, "install", lambda: None)
    out = tmp_path / "report.md"
    assert gpu_report.main(["--quick", "--backend=cupysim", f"--out={out}"]) == (0 if well else 1)
    text = out.read_text()
    assert text.startswith("## On the emulator: no GPU, timings mean nothing\n\n| GPU | driver |")
    assert mg.cuda.get_device_name() in text and "Tests: 5 passed, 0 failed, 0 skipped\n" in text
    assert text.count("\n## ") == 0 and text.count("| equal |") >= 3
