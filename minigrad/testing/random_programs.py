"""Random programs: whole training scripts, drawn line by line, run in minigrad and in torch, and compared.

A program is Python source in which `torch` is either library. Everything that its lines make is compared: every intermediate
value, every leaf's gradient after every backward, every weight after every step, whatever is alive at the end. What fails is
shrunk by hypothesis to a few lines, and prints as a script that runs under either import. How the lines are drawn is rules.py.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

import minigrad

from ..core import Op
from .compare import assert_same, numpy_of
from .rules import RULES, Writer
from .strategies import st

DEFINITIONS = '''\
F = torch.nn.functional


def numbers(shape, seed):
    return torch.tensor(np.random.default_rng(seed).uniform(-1, 1, shape))


def attempt(f):
    """Whether f runs, or is refused with a RuntimeError."""
    try:
        f()
    except RuntimeError:
        return False
    return True
'''


class Program(list[str]):
    """Lines of source. w1, w2, … are leaves, v1, v2, … what is computed from them, r1, r2, … whether something ran."""

    def __repr__(self) -> str:
        return (
            f"\nimport numpy as np\nimport minigrad as torch  # or: import torch\n\n{DEFINITIONS}\n\n"
            + "\n".join(self)
            + "\n"
        )


@st.composite
def programs(draw: st.DrawFn, min_ops: int = 5, max_ops: int = 60, anywhere: bool = False) -> Program:
    """Leaves (a table among them, and perhaps what is multiplied with it), an optimizer, drawn lines, a last backward and step.

    Among the lines: arithmetic with shared subexpressions, broadcasting, products, lookups with ids that repeat, weights used at both
    ends, views, in-place changes, no_grad, detach, losses, several backwards, gradients of gradients, optimizer steps.

    Args:
        min_ops, max_ops: how many times a rule is drawn; a rule writes no line, one or a few.
        anywhere: also write in place where torch or minigrad may refuse: into views, bases, and what backward needs.
    """
    if not 0 <= min_ops <= max_ops:
        raise ValueError(f"programs: min_ops must be at most max_ops, got {min_ops} and {max_ops}")
    w = Writer(draw, careful=not anywhere)
    width = w.number(1, 3)
    w.leaf((w.number(1, 4), width))
    w.leaf((width,))
    for _ in range(w.number(0, 2)):
        w.leaf(draw(st.sampled_from([(), (2, 3), (width, width), (2, 2, width), (width, 3)])))
    w.optimizer()
    for i in range(max_ops):
        if i >= min_ops and w.number(0, 30) == 0:  # asked before every rule, so that shrinking can take one out
            break
        draw(st.sampled_from(RULES))(w)
    if x := w.root():
        w.lines.append(f"{x.name}.backward(numbers({x.shape}, {w.fresh()}))")
        w.lines.append("opt.step()")
    return Program(w.lines)


# ---------------------------------------------------------------------------------------------------------------- running


def run(program: list[str], library: Any) -> Iterator[tuple[str, np.ndarray]]:
    """What every line made, by name and in order."""
    scope: dict[str, Any] = {"torch": library, "np": np}
    exec(DEFINITIONS, scope)

    def tensors(prefix: str) -> list[str]:
        return sorted(name for name in scope if name[0] in prefix and name[1:].isdigit())

    def seen(names: list[str], when: str) -> Iterator[tuple[str, np.ndarray]]:
        for name in names:
            x = scope[name]
            yield f"{name} after: {when}", np.array(numpy_of(x))
            if name[0] == "w":
                yield f"{name}.grad after: {when}", np.zeros(0) if x.grad is None else np.array(numpy_of(x.grad))

    try:
        for line in program:
            before = set(scope)
            exec(line, scope)
            touched = tensors("w") if "backward" in line or "step" in line else []
            yield from seen([name for name in tensors("vwr") if name not in before] + touched, line)
        yield from seen(tensors("vw"), "the end")
    finally:
        scope.clear()  # its functions refer to it: a cycle


REFUSED_RIGHTLY = ("modified by an inplace operation", "backward through the graph a second time", "leaf Variable")
"""Where torch refuses with one of these, numbers would be wrong; it refuses more, such as writing to memory that overlaps."""


class ProgramFails(AssertionError):
    """What differs. As text also the program, without the lines that it fails without: they are looked for when it is shown."""

    def __init__(self, what: str, program: list[str], stricter: bool) -> None:
        super().__init__(what)
        self.program, self.stricter = program, stricter

    def __str__(self) -> str:
        self.program = shortened(self.program, lambda p: _difference(p, self.stricter))
        return f"{_difference(self.program, self.stricter) or self.args[0]}\n{Program(self.program)!r}"


def check_program(program: list[str], stricter: bool = False) -> bool:
    """The program makes the same names, shapes, dtypes and numbers (to ten digits) in minigrad and in torch, and leaves no cycle.

    Where torch refuses a line because numbers would be wrong, minigrad must refuse that line or an earlier one.

    Args:
        stricter: minigrad may refuse, with a RuntimeError, what torch allows.

    Returns:
        True.

    Raises:
        AssertionError: naming the variable and the line after which it differs, or what only one of the two refuses; and a
            shorter program that fails, as a script.
    """
    if difference := _difference(program, stricter):
        raise ProgramFails(difference, program, stricter)
    return True


def shortened(program: list[str], fails: Callable[[list[str]], str]) -> list[str]:
    """The program without lines that it fails without. Blocks are taken out, half of it first, single lines in the end."""
    size = max(len(program) // 2, 1)
    while size:
        for start in range(len(program) - size, -1, -size):
            shorter = program[:start] + program[start + size :]
            try:
                if fails(shorter):
                    program = shorter
            except Exception:  # it needs a name from one of those lines
                continue
        size //= 2
    return program


def _difference(program: list[str], stricter: bool) -> str:
    """What is not the same in minigrad and in torch, or nothing."""
    from .oracle import torch

    try:
        with np.errstate(all="ignore"):
            theirs, refused = _outcome(program, torch)
            # where it is refused, a tensor that was changed after it was saved may refer to itself
            with nullcontext() if stricter else _NothingLeft():
                ours, refused_by_us = _outcome(program, minigrad)
        if not refused_by_us and any(reason in refused for reason in REFUSED_RIGHTLY):
            return f"torch refuses what minigrad runs: {refused}"
        if refused_by_us and not refused and not stricter:
            return f"minigrad refuses what torch runs: {refused_by_us}"
        for (name, a), (other, b) in zip(ours, theirs, strict=bool(not refused and not refused_by_us)):
            assert name == other, f"minigrad made {name}, torch {other}"
            scale = float(np.abs(b).max(initial=1.0)) if b.dtype.kind == "f" else 1.0
            assert_same(a, b, name, rtol=1e-10, atol=1e-12 * scale)
    except AssertionError as error:
        return str(error)
    return ""


def _outcome(program: list[str], library: Any) -> tuple[list[tuple[str, np.ndarray]], str]:
    """What was made, until a line was refused, and the error."""
    made: list[tuple[str, np.ndarray]] = []
    try:
        for name, x in run(program, library):
            made.append((name, x))
    except RuntimeError as error:
        return made, f"{type(error).__name__}: {error}"
    return made, ""


class _NothingLeft:
    """When the block ends, none of the ops that it made may be alive, without the garbage collector having run."""

    def __enter__(self) -> None:
        gc.collect(0)
        self.enabled = gc.isenabled()
        gc.disable()

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        left = [] if kind else [x for x in gc.get_objects(generation=0) if isinstance(x, Op)]
        if self.enabled:
            gc.enable()
        if left:
            raise AssertionError(f"a reference cycle keeps the graph alive: {left}")
