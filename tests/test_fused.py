"""A fused op is its definition, only faster: value, gradient and second order agree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import minigrad as mg
from minigrad import fused

TARGET, WEIGHT = np.array([2, 0, 4, 2]), np.array([1.0, 0.5, 0.0, 2.0])  # a weight of 0 is an ignored row

PAIRS = {
    "softmax": (fused.Softmax.apply, fused.Softmax.definition),
    "log_softmax": (fused.LogSoftmax.apply, fused.LogSoftmax.definition),
    "cross_entropy": (
        lambda x: fused.CrossEntropy.apply(x, target=TARGET, weight=WEIGHT),
        lambda x: fused.CrossEntropy.definition(x, target=TARGET, weight=WEIGHT),
    ),
}


def derivatives(f: Callable[[mg.Tensor], mg.Tensor]) -> list[np.ndarray]:
    """Value, gradient as it is computed when nothing is recorded and when it is, and one second-order product."""
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.standard_normal((4, 5)) * 3, requires_grad=True)
    y = f(x)
    g, u = mg.tensor(rng.standard_normal(tuple(y.shape))), mg.tensor(rng.standard_normal((4, 5)))
    (fast,) = mg.autograd.grad(y, x, g, retain_graph=True)
    (recorded,) = mg.autograd.grad(y, x, g, create_graph=True)
    (second,) = mg.autograd.grad(recorded, x, u)
    return [t.detach().numpy() for t in (y, fast, recorded, second)]


def test_every_fused_op_is_here() -> None:
    assert {op.__name__ for op in fused.Fused.__subclasses__()} == {"Softmax", "LogSoftmax", "CrossEntropy"}
    assert len(PAIRS) == 3


@pytest.mark.parametrize("name", PAIRS)
def test_a_fused_op_agrees_with_its_definition(name: str) -> None:
    fast, definition = PAIRS[name]
    for ours, defined in zip(derivatives(fast), derivatives(definition), strict=True):
        np.testing.assert_allclose(ours, defined, rtol=1e-10, atol=1e-12)
