"""What the tests share: the same numbers in minigrad and in torch, run through the same function, and compared."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg

DTYPES = {np.dtype("float32"): torch.float32, np.dtype("float64"): torch.float64}


def numpy_of(x: Any) -> np.ndarray:
    """Any tensor of either library as a NumPy array."""
    if isinstance(x, torch.Tensor):
        x = x.detach()
        return (x.to_dense() if x.is_sparse else x).cpu().numpy(force=True)
    if isinstance(x, mg.RowSparse):
        x = x.to_dense()
    return np.asarray(x.detach().array if isinstance(x, mg.Tensor) else x)


def both(array: np.ndarray, requires_grad: bool = False) -> tuple[mg.Tensor, torch.Tensor]:
    """The same numbers as a leaf of minigrad and of torch, in separate memory."""
    return (
        mg.tensor(array.copy(), requires_grad=requires_grad),
        torch.tensor(array.copy(), requires_grad=requires_grad),
    )


def same(
    ours: Any, theirs: Any, exact: bool = False, rtol: float | None = None, atol: float | None = None, what: str = ""
) -> None:
    """Same shape, same dtype, and same numbers: bit for bit if exact, else to the dtype's precision."""
    a, b = numpy_of(ours), numpy_of(theirs)
    assert a.shape == b.shape, f"{what}: shape {a.shape}, torch has {b.shape}"
    assert a.dtype == b.dtype, f"{what}: dtype {a.dtype}, torch has {b.dtype}"
    if exact:
        assert a.tobytes() == b.tobytes(), f"{what}: not bit for bit equal\n{a}\ntorch:\n{b}"
    else:
        eps = {np.dtype("float64"): 1e-12, np.dtype("float16"): 2e-3}.get(a.dtype, 2e-5)
        rtol, atol = (eps if rtol is None else rtol), (eps if atol is None else atol)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=what)


def as_leaf(library: Any, array: np.ndarray, requires_grad: bool = True) -> Any:
    """The array as a leaf: in minigrad the array's own memory, whatever its strides; in torch a copy, where strides are positive."""
    x = mg.from_numpy(array) if library is mg else torch.from_numpy(np.array(array, order="C"))
    return x.requires_grad_() if requires_grad and array.dtype.kind == "f" else x


def as_list(y: Any) -> list[Any]:
    """What a function returned, a tensor or several, as a list."""
    return list(y) if isinstance(y, list | tuple) else [y]


def gradients(
    library: Any,
    f: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    cotangents: Sequence[np.ndarray],
    directions: Sequence[np.ndarray] | None,
) -> tuple[list[Any], list[Any], list[Any]]:
    """f's values, its gradients under cotangents and, given directions u, the gradients of <u, gradients>.

    Values that require no gradient take part in the first list only.
    """
    xs = [as_leaf(library, x) for x in inputs]
    values = as_list(f(library, *xs))
    gs = [as_leaf(library, g, requires_grad=directions is not None) for g in cotangents]
    pairs = [(y, g) for y, g in zip(values, gs, strict=True) if y.requires_grad]
    if not pairs:
        return values, [], []
    ys, gs = map(list, zip(*pairs, strict=True))
    xs = [x for x in xs if x.requires_grad]
    first = library.autograd.grad(ys, xs, gs, create_graph=directions is not None, allow_unused=True)
    second: list[Any] = []
    if directions is not None:
        weights = [as_leaf(library, u, requires_grad=False) for u in directions]
        used = [(gx, u) for gx, u in zip(first, weights, strict=True) if gx is not None and gx.requires_grad]
        outputs, weights = map(list, zip(*used, strict=True)) if used else ([], [])
        wanted = [*xs, *gs]
        second = (
            list(library.autograd.grad(outputs, wanted, weights, allow_unused=True)) if used else [None] * len(wanted)
        )
    return values, list(first), second


def check_against_torch(
    f: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    seed: int = 0,
    second_order: bool = True,
    exact: bool = False,
    **tolerance: Any,
) -> None:
    """f(library, *tensors) agrees in minigrad and torch: values, gradients under random cotangents, second order.

    f returns a tensor or several. Also: nothing writes into the inputs or the cotangents, and no two gradients share memory
    with each other or with those.
    """
    rng = np.random.default_rng(seed)
    shown = [x.copy() for x in inputs]
    values = as_list(f(torch, *[as_leaf(torch, x, requires_grad=False) for x in inputs]))
    cotangents = [_random(rng, numpy_of(y), exact) for y in values]
    directions = [_random(rng, x) for x in inputs if x.dtype.kind == "f"] if second_order else None
    results = [gradients(library, f, inputs, cotangents, directions) for library in (mg, torch)]
    for what, ours, theirs in zip(("value", "gradient", "second-order gradient"), *results, strict=True):
        assert len(ours) == len(theirs), f"{what}: {len(ours)} of them, torch has {len(theirs)}"
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if a is not None or b is not None:  # None stands for zeros
                a, b = (np.zeros_like(numpy_of(other)) if x is None else x for x, other in ((a, b), (b, a)))
                same(a, b, exact, what=f"{what} {i}", **tolerance)
    for i, (a, b) in enumerate(zip(results[0][0], results[1][0], strict=True)):
        assert a.requires_grad == b.requires_grad, (
            f"value {i}: requires_grad {a.requires_grad}, torch {b.requires_grad}"
        )
    for i, (a, b) in enumerate(zip(check_hygiene(f, inputs, cotangents), results[1][1], strict=True)):
        if a is not None:  # the same when nothing is recorded, where other code may run
            same(a, np.zeros_like(numpy_of(a)) if b is None else b, exact, what=f"unrecorded gradient {i}", **tolerance)
    for i, (x, before) in enumerate(zip(inputs, shown, strict=True)):
        assert x.tobytes() == before.tobytes(), f"input {i} was written to"


def check_hygiene(f: Callable[..., Any], inputs: Sequence[np.ndarray], cotangents: Sequence[np.ndarray]) -> list[Any]:
    """In minigrad: the cotangents are not written to, and no two gradients share memory with anything. The gradients."""
    before = [g.copy() for g in cotangents]
    _, first, _ = gradients(mg, f, inputs, cotangents, None)
    xs = [as_leaf(mg, x) for x in inputs]
    pairs = [(y, mg.from_numpy(g)) for y, g in zip(as_list(f(mg, *xs)), cotangents, strict=True) if y.requires_grad]
    for y, g in pairs:
        y.backward(g, retain_graph=True)
    for i, (g, old) in enumerate(zip(cotangents, before, strict=True)):
        assert g.tobytes() == old.tobytes(), f"cotangent {i} was written to"
    others = [("input", x) for x in inputs] + [("cotangent", g) for g in cotangents]
    for gs in (first, [x.grad for x in xs]):
        assert_apart([("gradient", g) for g in gs if g is not None], others)
    return first


def assert_apart(gradients: Iterable[tuple[str, Any]], others: Iterable[tuple[str, Any]]) -> None:
    """No gradient shares memory with another one, or with the other arrays."""
    named = [(what, numpy_of(g)) for what, g in gradients]
    pairs = [*itertools.combinations(named, 2), *itertools.product(named, [(what, numpy_of(x)) for what, x in others])]
    for (one, a), (other, b) in pairs:
        assert not np.may_share_memory(a, b), f"a {one} shares memory with another {other}"


def _random(rng: np.random.Generator, like: np.ndarray, integers: bool = False) -> np.ndarray:
    """Random numbers in an array of that shape, float dtypes staying what they are."""
    dtype = like.dtype if like.dtype.kind == "f" else np.float64
    return np.asarray(rng.integers(-4, 5, like.shape) if integers else rng.standard_normal(like.shape)).astype(dtype)


def check_same_error(f: Callable[[Any], Any], fact: str) -> None:
    """f(library) raises in torch, and in minigrad the same class with a message that states the fact."""
    with pytest.raises(Exception) as theirs:
        f(torch)
    with pytest.raises(Exception) as ours:
        f(mg)
    assert type(ours.value) is type(theirs.value), f"{ours.value!r} for torch's {theirs.value!r}"
    assert fact in str(ours.value)
