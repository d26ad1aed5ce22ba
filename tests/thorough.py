"""The properties of the test suite on a million generated cases: python tests/thorough.py [--cases N] [--jobs N]

Runs unattended, in rounds: in every round each op gets some hundred new cases, drawn by hypothesis from a seed of its own. What is
done is kept in .thorough/cases.jsonl, so a run that was stopped goes on where it was, and one that found a bug goes on to the end. At the
end the cases per op are printed, and everything that failed, as hypothesis shrank it; the exit status is 1 if something did.
Delete .thorough/ to begin anew.
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
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core per job
sys.path.insert(0, str(Path(__file__).parent))

import hypothesis
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
    """What is checked: cases are drawn from the strategy, `share` of them in a round."""

    kind: str
    strategy: st.SearchStrategy[Any]
    check: Callable[[Any], Any]
    share: int


def subjects() -> dict[str, Subject]:
    """By name, in a fixed order. A row of the table that stands there twice, with other numbers, is #2."""
    found: dict[str, Subject] = {}

    def add(name: str, subject: Subject) -> None:
        while name in found:
            head, _, number = name.partition(" #")
            name = f"{head} #{int(number or 1) + 1}"
        found[name] = subject

    def op(code: str) -> Callable[[Any], None]:
        return lambda case: test_ops.check_row(code, *case)

    def value(code: str) -> Callable[[Any], None]:
        return lambda names: test_ops.check_values(code, names)

    def pair(which: Any) -> Callable[[Any], None]:
        return lambda case: test_adjoint.check_case(which, *case)

    def streams(case: tuple[int, list[test_random.Call]]) -> None:
        seed, calls = case
        test_random.check(calls, *test_random.generators(seed))

    for code, strategy in [*test_ops.DIFFERENTIABLE, *test_ops.IN_PLACE]:
        add(code, Subject("ops: values, gradients, second order", st.tuples(strategy, st.booleans()), op(code), 150))
    for code, strategy in test_ops.WITHOUT_GRADIENT:
        add(code, Subject("ops: values", strategy, value(code), 150))
    more = (st.integers(0, 99), st.sampled_from(test_adjoint.FLOATS), st.sampled_from(list(test_adjoint.LAYOUTS)))
    for which in ADJOINT_PAIRS:
        cases = st.tuples(test_adjoint.CASES[test_adjoint.name(which)], *more)
        add(" and ".join(test_adjoint.name(which)), Subject("adjoint pairs", cases, pair(which), 2000))
    for name, shapes, check in (
        ("MatMul", test_adjoint.factors(), test_adjoint.check_matmul),
        ("Cat", test_adjoint.parts(), test_adjoint.check_cat),
    ):
        add(name, Subject("adjoint pairs", st.tuples(shapes, *more), lambda case, check=check: check(*case), 2000))
    everywhere = st.tuples(test_random.SEEDS, test_random.EVERYWHERE)
    add("samplers, any calls in any order", Subject("random stream", everywhere, streams, 2000))
    add("whole programs", Subject("random programs", programs(), check_program, 300))
    anywhere = Subject("random programs", programs(anywhere=True), lambda p: check_program(p, stricter=True), 300)
    add("whole programs that write anywhere", anywhere)
    return found


SUBJECTS = subjects()


def chunk(work: tuple[str, int]) -> dict[str, Any]:
    """One subject's share of one round: what was found, and how many cases were run."""
    name, number = work
    subject, count, begin = SUBJECTS[name], 0, time.perf_counter()

    @hypothesis.seed(number)
    @settings(
        max_examples=subject.share,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(subject.strategy)
    def run(case: Any) -> None:
        nonlocal count
        count += 1
        subject.check(case)

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
    """What earlier runs did; a last line that was cut off is done again."""
    lines = DONE.read_text(encoding="utf-8").splitlines() if DONE.exists() else []
    results = []
    for line in lines:
        try:
            results.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return results


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
    total = sum(result["cases"] for result in results)
    if total < options.cases and not options.report:
        DONE.parent.mkdir(exist_ok=True)
        work = pending({(result["name"], result["round"]) for result in results})
        with multiprocessing.Pool(options.jobs, prepare) as pool, DONE.open("a", encoding="utf-8") as file:
            while total < options.cases:
                batch = [next(work) for _ in range(4 * options.jobs)]
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
