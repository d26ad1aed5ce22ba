"""The linear ops in adjoint pairs: A and Aᵀ with <A x, y> = <x, Aᵀ y>, each the other's backward.

This list is what the property test of adjointness goes through: on integer-valued floats both sides are exact, so the test
needs no tolerance and no oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..core import Op
from .arrange import DiagEmbed, Diagonal
from .convert import Cast, ToDevice
from .indexing import Gather, ScatterAdd
from .linalg import MatMul
from .positions import RelativeShift, RelativeUnshift, Rotate
from .shape import BroadcastTo, Cat, Pad, Permute, Reshape, Slice, SumTo
from .windows import OverlapAdd, Windows

Params = dict[str, Any]


class AdjointPair(NamedTuple):
    """A, its transpose, and the keywords of the transpose given x's shape and dtype and A's keywords."""

    op: type[Op]
    transpose: type[Op]
    params: Callable[..., Params]


ADJOINT_PAIRS = [
    AdjointPair(Gather, ScatterAdd, lambda shape, dtype, index: {"index": index.reshape(-1), "rows": shape[0]}),
    AdjointPair(ScatterAdd, Gather, lambda shape, dtype, index, rows: {"index": index}),
    AdjointPair(BroadcastTo, SumTo, lambda shape, dtype, to: {"to": shape}),
    AdjointPair(SumTo, BroadcastTo, lambda shape, dtype, to: {"to": shape}),
    AdjointPair(Reshape, Reshape, lambda shape, dtype, to: {"to": shape}),
    AdjointPair(Permute, Permute, lambda shape, dtype, dims: {"dims": tuple(map(dims.index, range(len(dims))))}),
    AdjointPair(Slice, Pad, lambda shape, dtype, key: {"key": key, "to": shape}),
    AdjointPair(Pad, Slice, lambda shape, dtype, key, to: {"key": key}),
    AdjointPair(Diagonal, DiagEmbed, lambda shape, dtype, offset: {"offset": offset, "to": shape}),
    AdjointPair(DiagEmbed, Diagonal, lambda shape, dtype, offset, to: {"offset": offset}),
    AdjointPair(Windows, OverlapAdd, lambda shape, dtype, **how: {"to": shape, **how}),
    AdjointPair(OverlapAdd, Windows, lambda shape, dtype, to, **how: how),
    AdjointPair(RelativeShift, RelativeUnshift, lambda shape, dtype: {}),
    AdjointPair(RelativeUnshift, RelativeShift, lambda shape, dtype: {}),
    AdjointPair(Rotate, Rotate, lambda shape, dtype, cos, sin, layout: {"cos": cos, "sin": -sin, "layout": layout}),
    AdjointPair(Cast, Cast, lambda shape, dtype, to: {"to": dtype}),
    AdjointPair(ToDevice, ToDevice, lambda shape, dtype, to: {"to": to}),
]

# Two more ops are linear in each of several inputs: MatMul, where the transpose of matmul(·, W) is matmul(·, Wᵀ), and Cat,
# whose transpose is one Slice per input.
MULTILINEAR = [MatMul, Cat]
