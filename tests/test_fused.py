"""A fused op is its definition, only faster: value, gradient and second order agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import fused
from minigrad.testing.devices import placed

TARGET, WEIGHT = np.array([2, 0, 4, 2]), np.array([1.0, 0.5, 0.0, 2.0])  # a weight of 0 is an ignored row
HIDDEN = np.array([[0, 1, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0]], bool)  # the third query sees nothing
KEEP = np.array([[2.0, 0, 2], [2, 2, 0], [0, 2, 2], [0, 0, 0]])  # of the last nothing is kept
QUERIES, KEYS, VALUES, SCORES = (2, 4, 5), (2, 3, 5), (2, 3, 2), (2, 4, 3)
NOTHING = {"hidden": None, "keep": None}

# For each name: the op, the shapes of its inputs (None where it does without) and what it takes by keyword.
CASES = {
    "softmax": (fused.Softmax, [(4, 5)], {}),
    "log_softmax": (fused.LogSoftmax, [(4, 5)], {}),
    "cross_entropy": (fused.CrossEntropy, [(4, 5)], {"target": TARGET, "weight": WEIGHT}),
    "gelu": (fused.GELU, [(4, 5)], {}),
    "gelu, tanh": (fused.GELUTanh, [(4, 5)], {}),
    "silu": (fused.SiLU, [(4, 5)], {}),
    "layer_norm": (fused.LayerNorm, [(2, 3, 5), (5,), (5,)], {"eps": 0.1}),
    "layer_norm without bias": (fused.LayerNorm, [(4, 5), (5,), None], {"eps": 0.1}),
    "layer_norm without weight": (fused.LayerNorm, [(4, 5), None, None], {"eps": 0.1}),
    "rms_norm": (fused.RMSNorm, [(2, 3, 5), (5,), None], {"eps": 0.1}),
    "rms_norm without weight": (fused.RMSNorm, [(4, 5), None, None], {"eps": 0.1}),
    "attention": (fused.Attention, [QUERIES, KEYS, VALUES, None], {"scale": 0.7, **NOTHING}),
    "attention, bias": (fused.Attention, [QUERIES, KEYS, VALUES, SCORES], {"scale": 0.7, **NOTHING}),
    "attention, hidden": (fused.Attention, [QUERIES, KEYS, VALUES, None], {"scale": 0.7, "hidden": HIDDEN, "keep": None}),
    "attention, dropout": (fused.Attention, [QUERIES, KEYS, VALUES, SCORES], {"scale": 0.7, "hidden": HIDDEN, "keep": KEEP}),
}  # fmt: skip


def derivatives(f: Callable[..., mg.Tensor], shapes: list[tuple[int, ...] | None]) -> list[np.ndarray]:
    """Value, gradients as they are computed when nothing is recorded and when it is, and second-order products."""
    rng = np.random.default_rng(0)
    xs = [shape and mg.tensor(rng.standard_normal(shape) * 2, requires_grad=True) for shape in shapes]
    leaves = [x for x in xs if x is not None]
    y = f(*xs)
    g = mg.tensor(rng.standard_normal(tuple(y.shape)), requires_grad=True)
    fast = mg.autograd.grad(y, leaves, g, retain_graph=True)
    recorded = mg.autograd.grad(y, leaves, g, create_graph=True)
    u = [mg.tensor(rng.standard_normal(x.shape)) for x in leaves]
    again = mg.autograd.grad(recorded, [*leaves, g], u, allow_unused=True)
    return [np.zeros(()) if t is None else t.detach().cpu().numpy() for t in (y, *fast, *recorded, *again)]


def case(name: str) -> tuple[type[fused.Fused], list[Any], dict[str, Any]]:
    """One of CASES, its arrays where tensors are."""
    op, shapes, params = CASES[name]
    return op, shapes, {key: placed(p).array if isinstance(p, np.ndarray) else p for key, p in params.items()}


def every_fused_op(of: type[fused.Fused] = fused.Fused) -> Iterator[type[fused.Fused]]:
    for op in of.__subclasses__():
        if "definition" in vars(op):
            yield op
        yield from every_fused_op(op)


def test_every_fused_op_is_here() -> None:
    assert {op for op, _, _ in CASES.values()} == set(every_fused_op())
    assert len(CASES) == 15


@pytest.mark.parametrize("name", CASES)
def test_a_fused_op_agrees_with_its_definition(name: str) -> None:
    op, shapes, params = case(name)
    fast = derivatives(lambda *xs: op.apply(*xs, **params), shapes)
    defined = derivatives(lambda *xs: op.definition(*xs, **params), shapes)
    n = sum(shape is not None for shape in shapes)
    assert len(fast) == 1 + n + n + n + 1
    for i, (ours, theirs) in enumerate(zip(fast, defined, strict=True)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12, err_msg=str(i))
    for ours, recorded in zip(fast[1 : n + 1], fast[n + 1 : 2 * n + 1], strict=True):
        np.testing.assert_allclose(ours, recorded, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_gradient_that_nobody_wants_is_not_computed(name: str) -> None:
    """Each input alone gets the gradient that it gets beside the others."""
    op, shapes, params = case(name)
    rng = np.random.default_rng(0)
    numbers = [shape and rng.standard_normal(shape) for shape in shapes]

    def gradients(wanted: list[int]) -> list[np.ndarray]:
        xs = [x if x is None else mg.tensor(x, requires_grad=i in wanted) for i, x in enumerate(numbers)]
        y = op.apply(*xs, **params)
        g = mg.tensor(np.random.default_rng(1).standard_normal(y.shape))
        return [x.cpu().numpy() for x in mg.autograd.grad(y, [xs[i] for i in wanted], g)]

    there = [i for i, x in enumerate(numbers) if x is not None]
    for i, together in zip(there, gradients(there), strict=True):
        np.testing.assert_array_equal(gradients([i])[0], together)
