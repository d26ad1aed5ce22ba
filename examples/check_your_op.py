"""Write an op, forget something, and watch the forgetting being found: python examples/check_your_op.py

Needs hypothesis: pip install -e '.[test]'. Every check here needs no other framework; minigrad.testing.check_against_torch
compares with torch, where that is installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import check_adjoint, gradcheck, indices, integer_valued_floats, shapes, tensors

# ------------------------------------------------------------------------------------------------- 1. an op in ten lines


class CumSum(mg.Op):
    """y[i] = x[0] + x[1] + ... + x[i]."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return np.cumsum(x)

    def backward(self, g: mg.Tensor) -> tuple[mg.Tensor]:
        return (CumSum.apply(g),)


class RightCumSum(CumSum):
    """x[i] is part of y[i] and of all that follow, so its gradient is g[i] + g[i + 1] + ... to the end."""

    def backward(self, g: mg.Tensor) -> tuple[mg.Tensor]:
        return (g.sum() - RightCumSum.apply(g) + g,)


# -------------------------------------------------------------------------------- 2. the gradient of a table, W.grad[ids] += g


class Lookup(mg.Op):
    """y[i] = W[ids[i]]: the rows of a table. `ids` comes by keyword."""

    def forward(self, W: np.ndarray) -> np.ndarray:
        self.rows = W.shape
        return W[self.ids]

    def backward(self, g: mg.Tensor) -> tuple[mg.Tensor]:
        grad = np.zeros(self.rows)
        grad[self.ids] += g.cpu().numpy()
        return (mg.tensor(grad, device=g.device),)


class RightLookup(Lookup):
    def backward(self, g: mg.Tensor) -> tuple[mg.Tensor]:
        grad = np.zeros(self.rows)
        np.add.at(grad, self.ids, g.cpu().numpy())
        return (mg.tensor(grad, device=g.device),)


# ----------------------------------------------------------------------------------------------------------- the checks

OPTIONS = settings(derandomize=True, database=None, deadline=None, phases=[Phase.generate, Phase.shrink])


def check_cumsum(op: type[mg.Op]) -> Callable[[], None]:
    @OPTIONS
    @given(tensors(shape=shapes(min_dims=1, max_dims=1)))
    def check(x: mg.Tensor) -> None:
        gradcheck(op.apply, x)

    return check


def check_lookup(op: type[mg.Op]) -> Callable[[], None]:
    """<A W, g> == <W, At g>, where A looks rows up and At is what backward does with their gradients."""

    @OPTIONS
    @given(st.data())
    def check(data: Any) -> None:
        rows = data.draw(st.integers(1, 4), "rows")
        ids = data.draw(indices(rows, shape=shapes(1, 1)), "ids").cpu().numpy()
        W = data.draw(integer_valued_floats((rows, 1), mg.float64), "W").requires_grad_()
        g = data.draw(integer_valued_floats((len(ids), 1), mg.float64), "g")
        check_adjoint(
            lambda W: op.apply(W, ids=ids),
            lambda g: mg.autograd.grad(op.apply(W, ids=ids), W, g)[0],
            W,
            g,
        )

    return check


def show(title: str, check: Callable[[], None]) -> None:
    print(f"--- {title}")
    try:
        check()
    except AssertionError as error:
        print(error)
        for note in getattr(
            error, "__notes__", []
        ):  # what hypothesis adds: the counterexample, as small as it could make it
            if "Draw" in note or "x=" in note:
                print(note)
    else:
        print("passed: no counterexample in 100")
    print()


def lost_rows() -> None:
    """What `W.grad[ids] += g` loses, with numbers."""
    ids, g = np.array([2, 0, 2, 2]), np.array([[1.0], [10.0], [100.0], [1000.0]])
    lost, kept = np.zeros((4, 1)), np.zeros((4, 1))
    lost[ids] += g
    np.add.at(kept, ids, g)
    print("--- what happens in W.grad[ids] += g, with ids = [2, 0, 2, 2] and g = [1, 10, 100, 1000]")
    print(
        "NumPy reads W.grad[ids], adds g to that copy, and writes the copy back: row 2 is written three times, the last one stays."
    )
    print("row   += gives   should be   lost")
    for row in range(4):
        print(f"{row:3}   {lost[row, 0]:8.0f}   {kept[row, 0]:9.0f}   {kept[row, 0] - lost[row, 0]:4.0f}")
    print(
        "No error, and the loss still falls, more slowly. np.add.at(W.grad, ids, g) adds every row: that is scatter-add."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    try:
        mg.set_default_device(parser.parse_args().device)
    except mg.BackendUnavailable as error:
        parser.error(str(error))
    show("a cumulative sum, whose backward forgets that gradients run the other way", check_cumsum(CumSum))
    show("the same, put right", check_cumsum(RightCumSum))
    show("a table lookup, whose backward says W.grad[ids] += g", check_lookup(Lookup))
    show("the same with np.add.at", check_lookup(RightLookup))
    lost_rows()
