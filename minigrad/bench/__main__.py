"""Times minigrad against its peers on the same work, side by side, and prints medians and ratios.

    python -m minigrad.bench [--peers torch,jax,mygrad,tinygrad] [--only WORDS] [--quick] [--check] [--markdown] [--chart FILE]

Every contestant is a process of its own; they take turns, round by round, after it was checked that they compute the same
numbers. A ratio is the median over rounds of minigrad's time divided by the peer's, below 1 where minigrad is faster; behind it
stands the range over the middle half of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .. import cpu
from .rows import Contestant, Row, all_rows

PEERS = ("torch", "jax", "mygrad", "tinygrad")
LONG_ENOUGH = 0.05  # seconds; shorter steps are timed several at a time


class Failed(Exception):
    """A contestant that stopped; the reason is the last line it wrote."""


class Process:
    """One contestant at work on one row."""

    def __init__(self, row: Row, contestant: Contestant, warm_up: int):
        package = Path(__file__).parents[2]
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(package)]))
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by `end`
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("contestant.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, **contestant.env, "PYTHONPATH": path},
        )
        how = row.how if contestant.work else {**row.how, **contestant.how}
        how = contestant.how if contestant.work else how
        self.say({"library": contestant.library, "work": contestant.work or row.work, "how": how, "warm_up": warm_up})

    def say(self, line: Any) -> None:
        assert self.process.stdin
        with suppress(BrokenPipeError):  # `answer` tells the reason
            print(json.dumps(line), file=self.process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        while line := self.process.stdout.readline():
            if line.startswith("{"):  # libraries print, too
                return json.loads(line)
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        raise Failed(lines[-1] if lines else f"it ended with status {self.process.wait()}")

    def ask(self, line: Any) -> dict[str, Any]:
        self.say(line)
        return self.answer()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


class Import:
    """A contestant of the row `import`: every round a new process."""

    def __init__(self, name: str):
        self.command = [sys.executable, "-c", f"import {name}"]

    def ask(self, repeats: Any) -> dict[str, Any]:
        if repeats == "memory":
            return {"peak": float("nan"), "arrays": float("nan")}
        start = time.perf_counter()
        for _ in range(repeats):
            subprocess.run(self.command, check=True)
        return {"seconds": (time.perf_counter() - start) / repeats}

    def answer(self) -> dict[str, Any]:
        self.ask(1)
        return {"results": []}

    def end(self) -> None:
        pass


class Result:
    """What was measured in a row: for each contestant the seconds of every round, and its memory."""

    def __init__(self, row: Row):
        self.row = row
        self.seconds: dict[str, list[float]] = {}
        self.memory: dict[str, dict[str, float]] = {}
        self.missing: dict[str, str] = {}

    @property
    def ours(self) -> float:
        """Seconds a unit."""
        return statistics.median(self.seconds["minigrad"]) / self.row.unit[0]

    def ratios(self, peer: str) -> list[float]:
        """Round by round, sorted."""
        return sorted(a / b for a, b in zip(self.seconds["minigrad"], self.seconds[peer], strict=True))

    def ratio(self, peer: str) -> float:
        return statistics.median(self.ratios(peer))

    def claims(self) -> Iterator[tuple[str, str, bool | None]]:
        """(what, the value and its limit, met): None where nothing was to be met."""
        row = self.row
        if row.at_most is not None:
            yield "minigrad", f"{duration(self.ours)}, at most {duration(row.at_most)}", self.ours <= row.at_most
        for peer in self.seconds:
            if peer != "minigrad":
                ratios, limit = self.ratios(peer), row.limits.get(peer)
                low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
                value = f"{shown(self.ratio(peer))} ({shown(low)}-{shown(high)})"
                yield (
                    peer,
                    value if limit is None else f"{value}, at most {limit:.3g}",
                    None if limit is None else self.ratio(peer) <= limit,
                )
        if row.memory in self.memory:
            ours, theirs = self.memory["minigrad"]["peak"], self.memory[row.memory]["peak"]
            yield f"peak memory, {row.memory}", f"{ours:.0f} MB, at most {theirs:.0f}", ours <= theirs
        if row.arrays is not None:
            arrays = self.memory["minigrad"]["arrays"]
            yield "arrays of a step", f"{arrays:.1f} MB, less than {row.arrays:.1f}", arrays < row.arrays


def shown(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}" if ratio >= 1e-4 else f"{ratio:.0e}"


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def measure(row: Row, peers: set[str], rounds: int) -> Result:
    """Start the contestants, compare what they compute, and time them in turn."""
    result = Result(row)
    with ExitStack() as stack:
        running: dict[str, Any] = {}
        computed: dict[str, list[float]] = {}
        warm_up = 2
        for label, contestant in row.contestants.items():
            if contestant.library in (*peers, "minigrad", "numpy"):
                running[label] = (
                    Import(contestant.library) if row.work == "import" else Process(row, contestant, warm_up)
                )
                stack.callback(running[label].end)
                try:
                    computed[label] = running[label].answer()["results"]
                except Failed as failure:
                    if label == "minigrad":
                        raise SystemExit(f"{row.title}: minigrad failed: {failure}") from None
                    result.missing[label] = str(failure)
                    del running[label]
        for label, numbers in computed.items():
            compared = row.compared and row.contestants[label].library != "numpy"
            if compared and not np.allclose(numbers, computed["minigrad"], rtol=1e-3):
                raise SystemExit(f"{row.title}: minigrad computes {computed['minigrad']}, {label} {numbers}")
        repeats = {
            label: max(1, round(LONG_ENOUGH / max(process.ask(1)["seconds"], 1e-7)))
            for label, process in running.items()
        }
        result.seconds = {label: [] for label in running}
        order = list(running)
        for _ in range(rounds):
            for label in order:
                result.seconds[label].append(running[label].ask(repeats[label])["seconds"])
            order.append(order.pop(0))
        result.memory = {label: process.ask("memory") for label, process in running.items()}
    return result


# ---------------------------------------------------------------------------------------------------------------- in words


VERDICT = {True: "met", False: "missed", None: ""}


def lines(result: Result, check: bool, markdown: bool) -> Iterator[str]:
    """A row of the table for each thing that is said of a result."""
    ours = duration(result.ours) + (f" a {result.row.unit[1]}" if result.row.unit[1] else "")
    first = [result.row.title, ours]
    for what, value, met in result.claims():
        cells = [*first, what, value, *([VERDICT[met]] if check else [])]
        yield (
            f"| {' | '.join(cells)} |"
            if markdown
            else "  ".join(f"{cell:{width}s}" for cell, width in zip(cells, (46, 18, 28, 34, 6), strict=False)).rstrip()
        )
        first = ["", ""]
    for label, reason in result.missing.items():
        print(f"({result.row.title}: without {label}: {reason})", file=sys.stderr)


def machine() -> str:
    """What the numbers hold for."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in _read("/proc/cpuinfo").splitlines()
            if line.startswith("model name")
        ),
        platform.processor() or platform.machine(),
    )
    versions = []
    for name in ("numpy", *PEERS):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"{model}, {cpu.threads()} threads; Python {platform.python_version()}, {', '.join(versions)}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def draw(results: list[Result], path: str) -> None:
    """A bar for each ratio, its limit as a line across; and how the step grows with tokens and table."""
    from matplotlib.figure import Figure

    ratios = [(r, peer) for r in results if not r.row.growth for peer in r.seconds if peer != "minigrad"]
    grown: dict[str, list[tuple[int, float]]] = {}
    for r in results:
        if r.row.growth:
            grown.setdefault(r.row.growth[0], []).append((r.row.growth[1], 1000 * r.ours))
    height = 1.5 + max(0.19 * len(ratios), 3 * len(grown))
    figure = Figure(figsize=(12, height), layout="constrained")
    right = [*grown, *["."] * max(round(height / 3) - len(grown), 0)] or ["."]
    axes = figure.subplot_mosaic([["ratios", name] for name in right], width_ratios=[2.5, 1])
    left = axes["ratios"]
    names = [f"{r.row.title}: {peer}" for r, peer in ratios]
    values = [r.ratio(peer) for r, peer in ratios]
    limits = [r.row.limits.get(peer) for r, peer in ratios]
    colors = [
        "#8a8f98" if limit is None else "#2e7d32" if value <= limit else "#c62828"
        for value, limit in zip(values, limits, strict=True)
    ]
    left.barh(names, values, color=colors)
    for y, limit in enumerate(limits):
        if limit is not None:
            left.plot([limit, limit], [y - 0.4, y + 0.4], color="black", linewidth=1.5)
    left.axvline(1, color="black", linewidth=0.5, linestyle=":")
    left.set(xscale="log", xlabel="minigrad's time / the peer's; black lines: what was wanted")
    left.invert_yaxis()
    left.tick_params(axis="y", labelsize=6.5)
    left.margins(y=0.005)
    left.set_visible(bool(ratios))
    for name, points in grown.items():
        axes[name].plot(*zip(*points, strict=True), marker="o")
        axes[name].set(xlabel=name, ylabel="embedding step, ms")
        axes[name].set_xscale("log", base=2)
        axes[name].set_yscale("log", base=2)
        axes[name].set_xticks([x for x, _ in points], [f"{x:,}" for x, _ in points], fontsize=7)
        axes[name].set_ylim(min(y for _, y in points) / 2, max(y for _, y in points) * 2)
        axes[name].yaxis.set_major_formatter("{x:g}")
    figure.savefig(path, dpi=150)


@contextmanager
def ids_in_a_file(wanted: bool) -> Iterator[str]:
    """100 M uint16 ids in a temporary file, which is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ids.bin")
        if wanted:
            rng = np.random.default_rng(0)
            with path.open("wb") as out:
                for _ in range(100):
                    out.write(rng.integers(0, 50257, 1_000_000, dtype=np.uint16).tobytes())
        yield str(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", default="torch", help=f"of {', '.join(PEERS)}; those not installed are skipped")
    parser.add_argument("--only", default="", help="rows whose title has this in it")
    parser.add_argument("--rounds", type=int, default=None, help="default: 7, and 3 if --quick")
    parser.add_argument("--quick", action="store_true", help="a few small rows")
    parser.add_argument("--check", action="store_true", help="say which targets are met")
    parser.add_argument("--markdown", action="store_true", help="a table as in the README")
    parser.add_argument("--chart", help="draw the ratios into this file (needs matplotlib)")
    options = parser.parse_args(arguments)
    peers = {name for name in options.peers.split(",") if name}
    if unknown := peers - set(PEERS):
        parser.error(f"--peers: no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds must be 1 or more, got {options.rounds}")
    if options.chart and not Path(options.chart).absolute().parent.is_dir():
        parser.error(f"--chart: there is no folder {Path(options.chart).parent}")
    rounds = options.rounds or (3 if options.quick else 7)
    for name in sorted(peers):
        try:
            version(name)
        except PackageNotFoundError:
            print(f"without {name}, which is not installed: pip install {name}")
            peers.discard(name)
    with ids_in_a_file(not options.quick and options.only in "loader, 100 M uint16 ids in a file") as file:
        rows = [r for r in all_rows(file) if options.only in r.title and (r.quick or not options.quick)]
        if not rows:
            parser.error(f"--only {options.only!r}: no row has that in its title")
        print(f"{machine()}; medians of {rounds} rounds\n")
        if options.markdown:
            header = ["work", "minigrad", "against", "ratio", *([""] if options.check else [])]
            print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
        results = []
        for row in rows:
            results.append(measure(row, peers, rounds))
            for line in lines(results[-1], options.check, options.markdown):
                print(line, flush=True)
    if options.check:
        verdicts = [met for result in results for *_, met in result.claims() if met is not None]
        print(f"\n{sum(verdicts)} of {len(verdicts)} met")
    if options.chart:
        draw(results, options.chart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
