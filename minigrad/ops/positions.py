"""What positions do to arrays: adding to looked-up rows, the relative shift, and rotation by pairs. Each is linear, with its transpose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import backend, cpu
from ..backend import Array, namespace
from ..core import Op, Patch
from ..tensor import Tensor
from .elementwise import add
from .indexing import Index, array_of, checked, gather_rows, rows_at
from .shape import SumTo

LAYOUTS = ("halves", "interleaved")


class GatherAndAdd(Op):
    """y[..., t, :] = table[index[..., t]] + positions[t]; gtable is rows: g at index; gpositions = Σ g over the batch."""

    reads = ((), ())
    label = "AddBackward0"
    index: Index

    def forward(self, table: Array, positions: Array) -> Array:
        index = self.__dict__.pop("index")
        self.save(index)
        self.shapes, ids = (table.shape, positions.shape), array_of(index)
        if namespace(table, positions) is not np:
            return backend.gather(table, ids) + positions
        return cpu.gather_and_add(table, ids, positions)

    def backward(self, g: Tensor) -> Sequence[Tensor | Patch | None]:
        (index,), (table, positions) = self.saved, self.shapes
        return (
            rows_at(g, index, table) if self.needs(0) else None,
            SumTo.apply(g, to=positions) if self.needs(1) else None,
        )


def gather_and_add(table: Tensor, index: Tensor, positions: Tensor) -> Tensor:
    """Rows of a table (V, D) by ids (..., T), plus positions (T, D): (..., T, D). Raises as `embedding` for the ids."""
    if table.array.dtype != positions.array.dtype or table.array.shape[1:] != positions.array.shape[1:]:
        return add(gather_rows(table, index, "embedding", from_end=False), positions)
    return GatherAndAdd.apply(table, positions, index=checked(index, table.array.shape, "embedding", from_end=False))


class RelativeShift(Op):
    """y[..., i, j] = x[..., i, L - i + j] for x (..., L, L + S): row i moves i to the left. The transpose of RelativeUnshift.

    Column c of x stands for keys c - S positions after the query, when the queries are the last L of S positions.
    """

    reads = ()
    fresh = True
    view = True

    def forward(self, x: Array) -> Array:
        return _shifted(x)

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (RelativeUnshift.apply(g),)


class RelativeUnshift(Op):
    """x[..., i, L - i + j] = y[..., i, j] for y (..., L, S), and zeros elsewhere: (..., L, L + S). The transpose of RelativeShift."""

    reads = ()

    def forward(self, y: Array) -> Array:
        *lead, length, keys = y.shape
        x = namespace(y).zeros((*lead, length, length + keys), dtype=y.dtype)
        _shifted(x)[...] = y
        return x

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (RelativeShift.apply(g),)


def _shifted(x: Array) -> Array:
    """The shift as a view: a step down goes one back."""
    *lead, length, width = x.shape
    *outer, down, right = x.strides
    shape, strides = (*lead, length, width - length), (*outer, down - right, right)
    return namespace(x).lib.stride_tricks.as_strided(x[..., length:], shape, strides)


def relative_shift(x: Tensor) -> Tensor:
    """Scores by distance (..., L, L + S) as scores by key (..., L, S): y[..., i, j] = x[..., i, L - i + j]; a view.

    Column c is for keys c - S positions after the query; column 0 is of nobody. The shift of Transformer-XL (Dai et al.,
    2019), indexed as in XLNet.

    Raises:
        ValueError: x has fewer than two axes, or fewer columns than rows.
    """
    if x.ndim < 2 or x.shape[-1] < x.shape[-2]:
        raise ValueError(f"relative_shift: x must be (..., L, L + S), got shape {tuple(x.shape)}")
    return RelativeShift.apply(x)


def relative_unshift(y: Tensor) -> Tensor:
    """What belongs to keys (..., L, S) laid out by distance, (..., L, L + S): the transpose of relative_shift.

    Raises:
        ValueError: y has fewer than two axes.
    """
    if y.ndim < 2:
        raise ValueError(f"relative_unshift: y must be (..., L, S), got shape {tuple(y.shape)}")
    return RelativeUnshift.apply(y)


class Rotate(Op):
    """(a, b) -> (a cos - b sin, a sin + b cos) for every pair of the last axis. The transpose rotates back.

    cos and sin are (..., pairs). Pair i is x[..., i], x[..., i + pairs] in the layout "halves" and x[..., 2i], x[..., 2i + 1]
    in "interleaved". What follows the pairs stays as it is.
    """

    reads = ()
    fresh = True
    cos: Index
    sin: Index
    layout: str

    def forward(self, x: Array) -> Array:
        angles = self.__dict__.pop("cos"), self.__dict__.pop("sin")
        self.save(*angles)
        cos, sin = map(array_of, angles)
        y, n = namespace(x, cos, sin).empty(x.shape, dtype=x.dtype), cos.shape[-1]
        (a, b), (c, d) = _pairs(x, n, self.layout), _pairs(y, n, self.layout)
        c[...], d[...] = a * cos - b * sin, a * sin + b * cos
        y[..., 2 * n :] = x[..., 2 * n :]
        return y

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        cos, sin = self.saved
        return (Rotate.apply(g, cos=cos, sin=-sin, layout=self.layout),)


def _pairs(x: Array, n: int, layout: str) -> tuple[Array, Array]:
    if layout == "halves":
        return x[..., :n], x[..., n : 2 * n]
    return x[..., 0 : 2 * n : 2], x[..., 1 : 2 * n : 2]


def rotate(x: Tensor, cos: Tensor, sin: Tensor, layout: str) -> Tensor:
    """x (..., T, D) with its pairs of numbers rotated by the angles whose cos and sin are given (Su et al., 2021).

    Args:
        cos, sin: (T, pairs) constants, or with more axes that broadcast to x's; the numbers behind the pairs stay as they are.
        layout: which numbers are a pair: "halves" (i and i + pairs: Llama) or "interleaved" (2i and 2i + 1: GPT-J).

    Raises:
        ValueError: another layout, shapes that do not belong together, or cos and sin with requires_grad.
        TypeError: x is not floating point, or cos and sin are of another dtype.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"rotate: layout must be 'halves' (Llama) or 'interleaved' (GPT-J), got {layout!r}")
    if x.array.dtype.kind != "f" or not x.array.dtype == cos.array.dtype == sin.array.dtype:
        raise TypeError(
            f"rotate: x, cos and sin must be of one floating-point dtype, got {x.dtype}, {cos.dtype} and {sin.dtype}"
        )
    if cos.requires_grad or sin.requires_grad:
        raise ValueError("rotate: cos and sin are constants, no gradient flows into them: pass them detached")
    shapes = [tuple(t.shape) for t in (x, cos, sin)]
    wanted, given, _ = shapes
    if not (
        shapes[1] == shapes[2]
        and 0 < len(given) <= len(wanted)
        and 2 * given[-1] <= wanted[-1]
        and all(m in (1, n) for m, n in zip(given[-2::-1], wanted[-2::-1], strict=False))
    ):
        raise ValueError(
            "rotate: x (..., T, D) needs cos and sin (T, pairs), two numbers of D to a pair; got {}, {} and {}".format(
                *shapes
            )
        )
    return Rotate.apply(x, cos=cos, sin=sin, layout=layout)
