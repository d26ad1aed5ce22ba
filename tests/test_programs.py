"""Programs written as other people write them, run under torch and under minigrad: what they print is compared.

Words, integers and shapes must be the same; a number with a decimal point may differ by `REL` of itself or by `ABS`, because
a hundred steps of training turn a last bit into a few more. A program says `# tolerance: 1e-3` where it needs other than 1e-4.
`python tests/test_programs.py [name ...]` shows the first differing lines and both times.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.cpu_only("programs of their own, in which nobody names a device")

HERE = Path(__file__).parent
PROGRAMS = sorted((HERE / "programs").glob("*.py"))
REL, ABS = 1e-4, 1e-5
NUMBER = re.compile(r"-?\d+\.\d*(?:e[+-]?\d+)?|-?\d+e[+-]?\d+")


def environment() -> dict[str, str]:
    """One thread, a fixed hash seed and this checkout of minigrad first on the path."""
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": path}


# torch takes seconds to import: one process does it, its optimizers' machinery too, and forks once for every program.
UNDER_TORCH = """
import os, runpy, sys, traceback
import torch
torch.optim.SGD([torch.ones(1)])
for program in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        where = os.path.join(sys.argv[1], os.path.basename(program))
        os.dup2(os.open(where + ".out", os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(os.open(where + ".err", os.O_WRONLY | os.O_CREAT), 2)
        sys.argv, sys.path[0], status = [program], os.path.dirname(program), 0
        try:
            runpy.run_path(program, run_name="__main__")
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)
    if os.waitpid(child, 0)[1]:
        open(os.path.join(sys.argv[1], os.path.basename(program) + ".failed"), "w").close()
"""


@pytest.fixture(scope="module")
def under_torch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the selected programs print under torch."""
    folder = tmp_path_factory.mktemp("torch")
    chosen = [
        i.callspec.params["program"]
        for i in request.session.items
        if i.path == Path(__file__) and hasattr(i, "callspec")
    ]
    command = [sys.executable, "-c", UNDER_TORCH, str(folder), *dict.fromkeys(map(str, chosen))]
    subprocess.run(command, env=environment(), timeout=300, check=True)
    return folder


def rounding(m: str, n: str) -> float:
    """One unit of the last decimal shown, for numbers that are shown with three or four of them: a rounding may go either way."""
    shown = max(len(m.partition(".")[2]), len(n.partition(".")[2]))
    return 1.01 * 10.0**-shown if 3 <= shown <= 4 and "e" not in m else 0.0


def difference(theirs: str, ours: str, rel: float = REL) -> str | None:
    """The first line of `ours` that does not say what `theirs` says, beside it; None when there is none."""
    a, b = theirs.splitlines(), ours.splitlines()
    for line, (x, y) in enumerate(zip(a, b, strict=False), 1):
        if x == y:
            continue
        pairs = list(zip(NUMBER.findall(x), NUMBER.findall(y), strict=False))
        same = NUMBER.sub("#", x).split() == NUMBER.sub("#", y).split()
        if not same or any(abs(float(m) - float(n)) > max(rel * abs(float(m)), ABS, rounding(m, n)) for m, n in pairs):
            return f"line {line}\n  torch:    {x}\n  minigrad: {y}"
    return None if len(a) == len(b) else f"torch prints {len(a)} lines, minigrad {len(b)}"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_prints_what_torch_prints(program: Path, under_torch: Path) -> None:
    where = under_torch / program.name
    errors = where.with_suffix(".py.err").read_text()
    assert not where.with_suffix(".py.failed").exists(), f"under torch {program.name} failed:\n{errors[-2000:]}"
    theirs = where.with_suffix(".py.out").read_text()
    assert theirs.strip(), "a program that prints nothing compares nothing"
    command = [sys.executable, "-m", "minigrad.as_torch", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120)
    assert done.returncode == 0, f"under minigrad {program.name} failed:\n{done.stderr[-2000:]}"
    tolerance = re.search(r"^# tolerance: (\S+)", program.read_text(), re.MULTILINE)
    assert difference(theirs, done.stdout, float(tolerance[1]) if tolerance else REL) is None


def test_a_difference_is_found() -> None:
    same = "loss 0.12345678 of 10\n[1.0, 2.0]"
    assert difference(same, same.replace("45678", "45679")) is None
    assert difference("acc 0.123", "acc 0.124") is None, "a rounding may go either way"
    for old, new in (("0.123", "0.124"), ("of 10", "of 11"), ("loss", "lost"), ("2.0]", "2.1]"), ("[1.0, 2.0]", "")):
        assert difference(same, same.replace(old, new))


def main() -> None:
    """Run the named programs (all without names) and say how each compares."""
    chosen = [Path(p) for p in sys.argv[1:] if p.endswith(".py")] or [
        p for p in PROGRAMS if not sys.argv[1:] or p.stem in sys.argv[1:]
    ]
    for program in chosen:
        streams, seconds = [], []
        for under in ([], ["-m", "minigrad.as_torch"]):
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, *under, str(program)], capture_output=True, text=True, env=environment()
            )
            seconds.append(time.perf_counter() - start)
            streams.append(done.stdout)
            if done.returncode:
                print(f"{program.stem}: {'minigrad' if under else 'torch'} FAILED\n{done.stderr[-1200:]}")
        print(
            f"{program.stem}: {difference(streams[0], streams[1]) or 'same'} "
            f"[{len(streams[0].splitlines())} lines; torch {seconds[0]:.1f} s, minigrad {seconds[1]:.1f} s]"
        )


if __name__ == "__main__":
    main()
