"""Layers of all kinds as torch's: names, first weights, what is printed, results, gradients, buffers, the random stream."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from helpers import same

import minigrad as mg

pytestmark = pytest.mark.filterwarnings("ignore:(dropout option adds dropout|non-zero dropout)")

NEAR = {"rtol": 1e-4, "atol": 1e-5}


def listed(table: str) -> list[str]:
    """The rows of a table in text: a layer, and the shapes or codes of its inputs."""
    return [line for line in map(str.strip, table.strip().splitlines()) if line]


def outcome(t: Any, row: str) -> tuple[Any, list[Any]]:
    """What is said of a layer, and its numbers: after two steps of training, and when it is used."""
    layer, _, codes = row.partition(" : ")
    t.manual_seed(5)
    scope = {"t": t, "nn": t.nn, "F": t.nn.functional}
    m = eval(layer, scope)
    numbers = [p.detach().clone() for p in m.state_dict().values()]
    inputs: list[Any] = []

    def of(*shape: int) -> Any:
        inputs.append(t.randn(*shape).requires_grad_())
        return inputs[-1]

    for training in (True, True, False):
        m.train(training)
        arguments = eval(f"({codes},)", {**scope, "of": of, "ids": lambda *shape: t.randint(0, 5, shape)})
        results = flattened(m(*arguments))
        sum(((y * t.randn(*y.shape)).sum() for y in results if y.requires_grad), t.zeros(())).backward()
        numbers += results
    numbers += [x.grad for x in inputs] + [p.grad for p in m.parameters()] + list(m.state_dict().values()) + [t.rand(1)]
    said = [repr(m), list(m.state_dict()), [n for n, _ in m.named_parameters()], [n for n, _ in m.named_buffers()]]
    return said, [x.to_dense() if x is not None and x.is_sparse else x for x in numbers]


def flattened(y: Any) -> list[Any]:
    return [x for part in y for x in flattened(part)] if isinstance(y, tuple) else [y]


def check(row: str) -> None:
    (ours_said, ours), (theirs_said, theirs) = outcome(mg, row), outcome(torch, row)
    assert ours_said == theirs_said
    assert [x is None for x in ours] == [x is None for x in theirs]
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if b is not None:
            same(a, b, what=str(i), **NEAR)


NORMS = listed("""
nn.BatchNorm1d(3) : of(4, 3)
nn.BatchNorm1d(3) : of(2, 3, 5)
nn.BatchNorm1d(3, momentum=None, eps=0.1) : of(4, 3)
nn.BatchNorm1d(3, momentum=0.7, bias=False) : of(1, 3, 2)
nn.BatchNorm1d(3, affine=False) : of(4, 3)
nn.BatchNorm1d(3, track_running_stats=False) : of(4, 3)
nn.BatchNorm1d(2, dtype=t.float64) : of(4, 2).double()
nn.BatchNorm2d(3) : of(2, 3, 4, 5)
nn.GroupNorm(2, 4) : of(2, 4)
nn.GroupNorm(2, 6, eps=0.1) : of(2, 6, 3)
nn.GroupNorm(1, 3, bias=False) : of(2, 3, 2, 2)
nn.GroupNorm(3, 3, affine=False) : of(2, 3, 4)
nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.3), nn.Linear(4, 2)) : of(5, 3)
""")


@pytest.mark.parametrize("row", NORMS)
def test_a_layer_is_torchs(row: str) -> None:
    check(row)


ERRORS = listed("""
nn.BatchNorm1d(3)(x[:1])
nn.BatchNorm1d(4)(x)
nn.BatchNorm1d(3)(x[0])
nn.BatchNorm1d(3)(x[None, None])
nn.BatchNorm1d(3)(x.double())
nn.BatchNorm1d(3)(x.long())
nn.BatchNorm2d(3)(x)
F.batch_norm(x, None, None)
F.batch_norm(x, None, None, t.ones(2), training=True)
F.batch_norm(x[0], None, None, training=True)
nn.GroupNorm(2, 3)
F.group_norm(x[0], 1)
F.group_norm(x, 2)
F.group_norm(x, 1, t.ones(2))
F.group_norm(x.long(), 1)
F.group_norm(x[:1], 3)
""")


@pytest.mark.parametrize("code", ERRORS)
def test_raises_what_torch_raises(code: str) -> None:
    raised = []
    for t in (mg, torch):
        x = t.arange(6.0).reshape(2, 3)
        with pytest.raises(Exception) as caught:
            eval(code, {"t": t, "nn": t.nn, "F": t.nn.functional, "x": x, "i": t.tensor([0, 1, 1])})
        raised.append(caught.value)
    ours, theirs = raised
    assert isinstance(ours, type(theirs)), f"{ours!r}, torch {theirs!r}"
    assert re.search(r"\w{3,} \w+", str(ours)), "an error without a sentence"
