"""The properties of the test suite on a million generated cases: python tests/thorough.py [--cases N] [--jobs N]

Runs unattended, in rounds: in every round each op gets some hundred new cases. hypothesis draws shapes, layouts, ids and
keywords, from a seed of each round's own; each of these is run with several sets of numbers and cotangents, and every such run
is a case. What is done is kept in .thorough/cases.jsonl, so a run that was stopped goes on where it was, and one that found a
bug goes on to the end. At the end the cases per op are printed, and everything that failed, as hypothesis shrank it; the exit
status is 1 if something did. The next run tries that again first. Delete .thorough/ to begin anew.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core per job
sys.path.insert(0, str(Path(__file__).parent))

import hypothesis
import numpy as np
import test_adjoint
import test_ops
import test_random
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from minigrad.ops.adjoint import ADJOINT_PAIRS
from minigrad.testing import check_program, programs

DONE = Path(__file__).parent.parent / ".thorough" / "cases.jsonl"


class Subject(NamedTuple):
    """What is checked: in a round `draws` are drawn from the strategy, each of them is checked with `sets` of numbers."""

    kind: str
    strategy: st.SearchStrategy[Any]
    check: Callable[[Any, int], Any]  # what was drawn, and which set of numbers
    draws: int
    sets: int


def row(code: str) -> Callable[[Any, int], None]:
    """A row of the table: in float64 with second order, in float32, and both again with other numbers and cotangents."""

    def check(names: dict[str, Any], i: int) -> None:
        test_ops.check_row(code, names if i < 2 else scaled(names), wide=i % 2 == 0, seed=i)

    return check


def scaled(names: dict[str, Any]) -> dict[str, Any]:
    """Other numbers with the same signs and ties."""

    def other(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
            return x
        y = np.empty_like(x)  # in the order of x's axes; reversed axes and gaps are the first set's
        np.multiply(x, 0.7, out=y)
        y.flags.writeable = x.flags.writeable
        return y

    return {name: other(x) for name, x in names.items()}


def subjects() -> dict[str, Subject]:
    """By name, in a fixed order. A row of the table that stands there twice, with other numbers, is #2."""
    found: dict[str, Subject] = {}

    def add(name: str, subject: Subject) -> None:
        while name in found:
            head, _, number = name.partition(" #")
            name = f"{head} #{int(number or 1) + 1}"
        found[name] = subject

    for code, strategy in [*test_ops.DIFFERENTIABLE, *test_ops.IN_PLACE]:
        add(code, Subject("ops: values, gradients, second order", strategy, row(code), 100, 4))
    for code, strategy in test_ops.WITHOUT_GRADIENT:
        values = partial(lambda code, names, i: test_ops.check_values(code, names if i < 1 else scaled(names)), code)
        add(code, Subject("ops: values", strategy, values, 100, 2))

    layouts = st.tuples(st.sampled_from(test_adjoint.FLOATS), st.sampled_from(list(test_adjoint.LAYOUTS)))
    adjoint = [
        (test_adjoint.name(p), test_adjoint.CASES[test_adjoint.name(p)], partial(test_adjoint.check_case, p))
        for p in ADJOINT_PAIRS
    ]
    adjoint += [(("MatMul", "MatMul"), test_adjoint.factors(), test_adjoint.check_matmul)]
    adjoint += [(("Cat", "slices"), test_adjoint.parts(), test_adjoint.check_cat)]
    for (op, transpose), cases, f in adjoint:
        exact = partial(lambda f, case, i: f(case[0], i, *case[1]), f)
        add(f"{op} and {transpose}", Subject("adjoint pairs, exact", st.tuples(cases, layouts), exact, 250, 8))

    everywhere = st.tuples(test_random.SEEDS, test_random.EVERYWHERE)
    streams = lambda case, i: test_random.check(case[1], *test_random.generators(case[0]))  # noqa: E731
    add("samplers, any calls in any order", Subject("random stream", everywhere, streams, 1000, 1))
    add("whole programs", Subject("random programs", programs(), lambda p, i: check_program(p), 300, 1))
    anywhere = Subject("random programs", programs(anywhere=True), lambda p, i: check_program(p, stricter=True), 300, 1)
    add("whole programs that write anywhere", anywhere)
    return found


SUBJECTS = subjects()


def chunk(work: tuple[str, int]) -> dict[str, Any]:
    """One subject's share of one round: what was found, and how many cases were run."""
    name, number = work
    subject, count, begin = SUBJECTS[name], 0, time.perf_counter()

    @hypothesis.seed(number)
    @settings(
        max_examples=subject.draws,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(subject.strategy)
    def run(case: Any) -> None:
        nonlocal count
        for i in range(subject.sets):
            count += 1
            subject.check(case, i)

    failure = ""
    try:
        run()
    except Exception as error:
        failure = f"{type(error).__name__}: {error}\n" + "\n".join(getattr(error, "__notes__", []))
    return {"name": name, "round": number, "cases": count, "seconds": time.perf_counter() - begin, "failure": failure}


def prepare() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def read() -> list[dict[str, Any]]:
    """What earlier runs did, the last word on each chunk; a last line that was cut off is done again."""
    lines = DONE.read_text(encoding="utf-8").splitlines() if DONE.exists() else []
    results = {}
    for line in lines:
        try:
            result = json.loads(line)
        except json.JSONDecodeError:
            continue
        results[result["name"], result["round"]] = result
    return list(results.values())


def pending(done: set[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Round after round, without an end."""
    number = 0
    while True:
        yield from ((name, number) for name in SUBJECTS if (name, number) not in done)
        number += 1


def report(results: list[dict[str, Any]]) -> None:
    cases: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for result in results:
        cases[result["name"]] += result["cases"]
        if result["name"] in SUBJECTS:
            kinds[SUBJECTS[result["name"]].kind] += result["cases"]
    for name, count in cases.items():
        print(f"{count:>9,}  {name}")
    print()
    for kind, count in kinds.items():
        print(f"{count:>9,}  {kind}")
    failures = [result for result in results if result["failure"]]
    seconds = sum(result["seconds"] for result in results)
    print(f"{cases.total():>9,}  cases in all, of {len(cases)} subjects, in {seconds / 3600:.1f} hours of one core")
    for result in failures:
        print(f"\nFAILED: {result['name']}, round {result['round']}\n{result['failure']}")
    print(f"{len(failures)} failures")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1_000_000, help="how many in all, those of earlier runs counted")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--report", action="store_true", help="only print what was done so far")
    options = parser.parse_args()
    results = read()
    if not options.report:
        again = [
            (result["name"], result["round"]) for result in results if result["failure"] and result["name"] in SUBJECTS
        ]
        results = [result for result in results if not result["failure"]]
        total = sum(result["cases"] for result in results)
        work = pending({*again, *((result["name"], result["round"]) for result in results)})
        DONE.parent.mkdir(exist_ok=True)
        with multiprocessing.Pool(options.jobs, prepare) as pool, DONE.open("a", encoding="utf-8") as file:
            file.write("\n")  # ends a line that was cut off
            while total < options.cases or again:
                batch = again or list(islice(work, 4 * options.jobs))
                again = []
                for result in pool.imap_unordered(chunk, batch):
                    results.append(result)
                    total += result["cases"]
                    file.write(json.dumps(result) + "\n")
                    file.flush()
                    if result["failure"]:
                        print(f"\nFAILED: {result['name']}\n{result['failure']}", flush=True)
                print(f"\r{total:,} of {options.cases:,} cases ", end="", flush=True)
        print("\n")
    report(results)
    return int(any(result["failure"] for result in results))


if __name__ == "__main__":
    sys.exit(main())
