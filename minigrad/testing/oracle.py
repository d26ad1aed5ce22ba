"""The same function in minigrad and in torch: values, gradients, gradients of gradients, and what must not happen beside them."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import autograd, backend
from ..core import ops_behind
from ..sparse import RowSparse
from ..tensor import Tensor
from .compare import assert_same, numpy_of
from .devices import placed
from .numerical import Function, as_list, differentiated

try:
    import torch
except ModuleNotFoundError as missing:
    raise ImportError("check_against_torch compares with torch, which is not installed: pip install torch") from missing
if not hasattr(torch, "_C"):
    raise RuntimeError(
        "check_against_torch: torch is minigrad here (minigrad.as_torch), which would be compared with itself"
    )


def check_against_torch(
    f: Function,
    torch_f: Function,
    inputs: Any,
    *,
    seed: int = 0,
    second_order: bool = True,
    exact: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
) -> bool:
    """f on minigrad's tensors does what torch_f does on torch's.

    Compared are the values, with shapes, dtypes and requires_grad; all gradients under one random cotangent per value, when they
    are recorded and when not; and the gradients, by inputs and cotangents, of the gradients' product with random directions.
    Beside this all results must be on the inputs' device, nothing may write into an input or a cotangent, no gradient may
    share memory with anything, backward must free the graph, and dropping the values must drop it, without waiting for the
    garbage collector.

    Args:
        f, torch_f: take the inputs as tensors of their library, return a tensor or several (or, in both, something else).
        inputs: a tensor or array, or a sequence of those and of anything else, which is passed on as it is. In minigrad
            arrays are used with the memory they have, in torch as contiguous copies. Those that require grad are
            differentiated; if none does, all of floating dtype.
        seed: of cotangents and directions.
        second_order: whether gradients of gradients are compared too.
        exact: values and gradients, though not those of second order, must be equal bit for bit. Cotangents are small integers.
        rtol, atol: elsewhere |ours - theirs| <= atol + rtol |theirs|; default: compare.TOLERANCE of the dtype.

    Returns:
        True.

    Raises:
        AssertionError: naming what differs, the first entry that does, both numbers and their distance in ulp.
    """
    given = [numpy_of(x) if isinstance(x, torch.Tensor) else x for x in as_list(inputs)]
    chosen = differentiated(given)
    names = [i for i, is_chosen in enumerate(chosen) if is_chosen]
    arrays = [_array_of(x) for x in given]
    tolerance: dict[str, Any] = {"rtol": rtol, "atol": atol}

    leaves = list(zip(given, chosen, strict=True))
    copies = [_torch(*leaf) for leaf in leaves]  # before anybody writes into them
    inputs = [_ours(*leaf) for leaf in leaves]
    named = [(f"input {i}", x) for i, x in enumerate(inputs) if isinstance(x, Tensor)]
    with _unwritten(named):
        ours = _Run(autograd, f, inputs)
    theirs = _Run(torch.autograd, torch_f, copies)
    _same_values(ours.values, theirs.values, exact, tolerance)
    _same_device("a value", ours.values, inputs)

    draw = np.random.default_rng(seed)
    cotangents = [_random(draw, numpy_of(y), exact) for y in theirs.values if getattr(y, "requires_grad", False)]
    directions = [_random(draw, numpy_of(arrays[i])) for i in names]
    theirs.differentiate(
        [_torch(g, second_order) for g in cotangents], [_torch(u, False) for u in directions], second_order
    )
    gs = [_ours(g, second_order) for g in cotangents]
    named += [(f"cotangent {i}", g) for i, g in enumerate(gs)]
    with _unwritten(named):
        ours.differentiate(gs, [_ours(u, False) for u in directions], second_order)
    _same_device("a gradient", ours.first + ours.second, inputs)
    inputs_named = [f"input {i}" for i in names]
    _same_gradients("gradient of", inputs_named, ours.first, theirs.first, exact, tolerance)
    if second_order:
        wanted = inputs_named + [f"cotangent {i}" for i in range(len(cotangents))]
        _same_gradients("second-order gradient of", wanted, ours.second, theirs.second, False, tolerance)
    plain = _check_hygiene(f, leaves, cotangents)
    _same_gradients("gradient, not recorded, of", inputs_named, plain, theirs.first, exact, tolerance)
    return True


@contextmanager
def _unwritten(tensors: list[tuple[str, Tensor]]) -> Iterator[None]:
    """Within the block, nothing may write into these."""
    before = [numpy_of(x).tobytes() for _, x in tensors]
    yield
    for (name, x), old in zip(tensors, before, strict=True):
        if numpy_of(x).tobytes() != old:
            raise AssertionError(f"{name} was written into")


# --------------------------------------------------------------------------------------------- the inputs in either library


def _array_of(x: Any) -> np.ndarray | None:
    return numpy_of(x) if isinstance(x, Tensor | np.ndarray) else None


def _ours(x: Any, requires_grad: bool) -> Any:
    """A leaf with x's strides; on the CPU in x's own memory."""
    a = _array_of(x)
    return x if a is None else placed(a).requires_grad_(requires_grad)


def _torch(x: Any, requires_grad: bool) -> Any:
    """A leaf with a copy of x's numbers, torch having no negative strides."""
    a = _array_of(x)
    return x if a is None else torch.from_numpy(np.array(a, order="C")).requires_grad_(requires_grad)


def _random(draw: np.random.Generator, like: np.ndarray, integers: bool = False) -> np.ndarray:
    """Random numbers of that shape, and of that dtype if it is floating."""
    dtype = like.dtype if like.dtype.kind == "f" else np.float64
    return np.asarray(draw.integers(-4, 5, like.shape) if integers else draw.standard_normal(like.shape)).astype(dtype)


# ----------------------------------------------------------------------------------------------------- what one library did


class _Run:
    """f run once in one library: its values, the gradients under cotangents, and the gradients of those along directions."""

    def __init__(self, library: Any, f: Function, inputs: list[Any]) -> None:
        self.library = library
        self.leaves = [x for x in inputs if getattr(x, "requires_grad", False)]
        self.values = as_list(f(*inputs))
        self.first: list[Any] = []
        self.second: list[Any] = []

    def differentiate(self, gs: list[Any], directions: list[Any], second_order: bool) -> None:
        ys = [y for y in self.values if getattr(y, "requires_grad", False)]
        if not ys:
            return
        grad = self.library.grad
        self.first = list(grad(ys, self.leaves, gs, create_graph=second_order, allow_unused=True))
        if second_order:
            used = [
                (gx, u) for gx, u in zip(self.first, directions, strict=True) if gx is not None and gx.requires_grad
            ]
            wanted = [*self.leaves, *gs]
            self.second = [None] * len(wanted)
            if used:
                outputs, weights = map(list, zip(*used, strict=True))
                self.second = list(grad(outputs, wanted, weights, allow_unused=True))


def _same_values(ours: list[Any], theirs: list[Any], exact: bool, tolerance: dict[str, Any]) -> None:
    if len(ours) != len(theirs):
        raise AssertionError(f"minigrad gives {len(ours)} values, torch {len(theirs)}")
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        what = f"value {i}" if len(ours) > 1 else "value"
        if isinstance(b, torch.Tensor):
            if not isinstance(a, Tensor):
                raise AssertionError(f"{what}: minigrad gives a {type(a).__name__}, torch a Tensor")
            assert_same(a, b, what, exact=exact, **tolerance)
            if a.requires_grad != b.requires_grad:
                raise AssertionError(f"{what}: requires_grad is {a.requires_grad}, in torch {b.requires_grad}")
        elif isinstance(a, Tensor) or a != b:
            raise AssertionError(f"{what}: minigrad gives {a!r}, torch {b!r}")


def _same_device(what: str, results: list[Any], inputs: list[Any]) -> None:
    here = {x.device for x in inputs if isinstance(x, Tensor)}
    for y in results:
        if here and isinstance(y, Tensor) and y.device not in here:
            raise AssertionError(f"{what} is on {y.device}, the inputs are on {', '.join(map(str, here))}")


def _same_gradients(
    what: str, names: list[str], ours: list[Any], theirs: list[Any], exact: bool, tolerance: dict[str, Any]
) -> None:
    """None stands for zeros."""
    for name, a, b in zip(names if theirs else [], ours, theirs, strict=True):
        if a is not None or b is not None:
            a, b = (np.zeros_like(numpy_of(other)) if x is None else x for x, other in ((a, b), (b, a)))
            assert_same(a, b, f"{what} {name}", exact=exact, **tolerance)


# -------------------------------------------------------------------------------------------------------------- hygiene


def _check_hygiene(f: Function, given: list[tuple[Any, bool]], cotangents: list[np.ndarray]) -> list[Any]:
    """Nothing is written into; no gradient shares memory with another one, an input or a cotangent; the graph goes when it
    should. The gradients."""
    inputs, gs = [_ours(*leaf) for leaf in given], [placed(g) for g in cotangents]
    others = [(f"input {i}", x) for i, x in enumerate(inputs) if isinstance(x, Tensor)]
    others += [(f"cotangent {i}", g) for i, g in enumerate(gs)]
    with _unwritten(others):
        return _check_gradients(f, inputs, gs, others)


def _check_gradients(f: Function, inputs: list[Any], gs: list[Tensor], others: list[tuple[str, Tensor]]) -> list[Any]:
    names = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    leaves = [inputs[i] for i in names]
    ys = [y for y in as_list(f(*inputs)) if isinstance(y, Tensor) and y.requires_grad]
    if not ys:
        return []
    first = list(autograd.grad(ys, leaves, gs, retain_graph=True, allow_unused=True))
    autograd.backward(ys, gs)
    ops = ops_behind(ys, None)
    if not all(op.freed for op in ops):
        raise AssertionError(f"backward did not free the graph: {[op for op in ops if not op.freed]}")
    found = [("the gradient of input", g) for g in first] + [("the .grad of input", x.grad) for x in leaves]
    assert_apart([(f"{what} {names[i % len(names)]}", g) for i, (what, g) in enumerate(found) if g is not None], others)
    _check_cycles(ops, ys)
    return first


def _check_cycles(ops: list[Any], ys: list[Any]) -> None:
    """The ops must be gone as soon as nothing refers to them: the two lists are emptied, and the caller holds nothing else."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        alive = [weakref.ref(op) for op in ops]
        ops.clear()
        ys.clear()
        left = [op for op in (ref() for ref in alive) if op is not None]
    finally:
        if collecting:
            gc.enable()
    if left:
        raise AssertionError(f"a reference cycle, or f, keeps the graph alive: {left}")


def assert_apart(gradients: Iterable[tuple[str, Any]], others: Iterable[tuple[str, Any]]) -> None:
    """No gradient shares memory with another one, or with the other arrays; all of them by name."""
    named = [(what, _memory(g)) for what, g in gradients]
    pairs = [*itertools.combinations(named, 2), *itertools.product(named, [(what, _memory(x)) for what, x in others])]
    for (one, a), (other, b) in pairs:
        if backend.device_of(a) == backend.device_of(b) and backend.namespace(a, b).may_share_memory(a, b):
            raise AssertionError(f"{one} shares memory with {other}")


def _memory(x: Any) -> Any:
    """The array in which a tensor, or a gradient of rows, keeps its numbers."""
    return x.array if isinstance(x, Tensor) else x.rows if isinstance(x, RowSparse) else numpy_of(x)
