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

HERE = Path(__file__).parent
PROGRAMS = sorted((HERE / "programs").glob("*.py"))
REL, ABS = 1e-4, 1e-5
NUMBER = re.compile(r"-?\d+\.\d*(?:e[+-]?\d+)?|-?\d+e[+-]?\d+")


def environment() -> dict[str, str]:
    """One thread, a fixed hash seed and this checkout of minigrad first on the path."""
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": path}


def printed(program: Path, under: list[str]) -> tuple[str, str]:
    """What `program` writes to its two streams when run by `python *under program`; the exit status must be 0."""
    command = [sys.executable, *under, str(program)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120)
    assert done.returncode == 0, f"{' '.join(under)} {program.name} failed:\n{done.stderr[-2000:]}"
    return done.stdout, done.stderr


def rounding(m: str, n: str) -> float:
    """One unit of the last decimal shown, for numbers that are shown with two to four of them: a rounding may go either way."""
    shown = max(len(m.partition(".")[2]), len(n.partition(".")[2]))
    return 1.01 * 10.0**-shown if 2 <= shown <= 4 and "e" not in m else 0.0


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
def test_prints_what_torch_prints(program: Path) -> None:
    tolerance = re.search(r"^# tolerance: (\S+)", program.read_text(), re.MULTILINE)
    theirs, _ = printed(program, [])
    ours, _ = printed(program, ["-m", "minigrad.as_torch"])
    assert theirs.strip()
    assert difference(theirs, ours, float(tolerance[1]) if tolerance else REL) is None


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
            f"{program.stem}: {difference(*streams) or 'same'} "
            f"[{len(streams[0].splitlines())} lines; torch {seconds[0]:.1f} s, minigrad {seconds[1]:.1f} s]"
        )


if __name__ == "__main__":
    main()
