"""Windows that slide over the last axes, and the sum of what overlaps: the adjoint pair that convolution and pooling need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backend import Array, namespace
from ..core import Op
from ..tensor import Tensor
from .shape import Shape


class Windows(Op):
    """y[..., k, o] = x[..., stride o + dilation k], with k and o over as many axes as size has. The transpose of OverlapAdd."""

    reads = ()
    fresh = True
    view = True
    label = "Im2ColBackward0"
    size: Shape
    stride: Shape
    dilation: Shape

    def forward(self, x: Array) -> Array:
        self.back = x.shape
        at = x.ndim - len(self.size)
        steps = x.strides[at:]
        counts = [count(*along) for along in zip(x.shape[at:], self.size, self.stride, self.dilation, strict=True)]
        inside, between = ([s * n for s, n in zip(steps, by, strict=True)] for by in (self.dilation, self.stride))
        shape, strides = (*x.shape[:at], *self.size, *counts), (*x.strides[:at], *inside, *between)
        return namespace(x).lib.stride_tricks.as_strided(x, shape, strides)

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (OverlapAdd.apply(g, to=self.back, size=self.size, stride=self.stride, dilation=self.dilation),)


class OverlapAdd(Op):
    """x[..., stride o + dilation k] += y[..., k, o] over zeros of shape `to`. The transpose of Windows."""

    reads = ()
    label = "Col2ImBackward0"
    to: Shape
    size: Shape
    stride: Shape
    dilation: Shape

    def forward(self, y: Array) -> Array:
        out = namespace(y).zeros(self.to, dtype=y.dtype)
        counts = y.shape[y.ndim - len(self.size) :]
        for k in np.ndindex(*self.size):
            starts = [i * d for i, d in zip(k, self.dilation, strict=True)]
            ends = [a + s * (n - 1) + 1 for a, s, n in zip(starts, self.stride, counts, strict=True)]
            key = tuple(map(slice, starts, ends, self.stride))
            out[(..., *key)] += y[(..., *k, *(slice(None),) * len(k))]
        return out

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (Windows.apply(g, size=self.size, stride=self.stride, dilation=self.dilation),)


def count(n: int, size: int, stride: int, dilation: int) -> int:
    """How many windows fit into n elements."""
    return (n - dilation * (size - 1) - 1) // stride + 1
