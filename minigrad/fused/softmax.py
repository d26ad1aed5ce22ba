"""softmax and its logarithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backend import Array, namespace
from ..core import Op
from ..dtypes import as_numpy
from ..kernels import by_rows
from ..ops.convert import cast
from ..ops.elementwise import exp, log
from ..ops.reduction import sum
from ..ops.shape import Permute, Reshape, named
from ..tensor import Tensor, axis_of, wrap
from .base import Fused


def softmax_definition(x: Tensor) -> Tensor:
    """yᵢ = exp(xᵢ - m) / Σⱼ exp(xⱼ - m), m = max x, over the last axis"""
    e = exp(x - wrap(x.array.max(axis=-1, keepdims=True)))  # m cancels, and so does its gradient
    return e / sum(e, -1, keepdim=True)


def log_softmax_definition(x: Tensor) -> Tensor:
    """yᵢ = xᵢ - m - ln Σⱼ exp(xⱼ - m), m = max x, over the last axis"""
    shifted = x - wrap(x.array.max(axis=-1, keepdims=True))
    return shifted - log(sum(exp(shifted), -1, keepdim=True))


def centered(x: Array) -> Array:
    return x - x.max(axis=-1, keepdims=True)


@by_rows("""
    x[i,j] -> y[i,j]:
    const T m = MAX(x[j]), total = SUM(exp(x[j] - m));
    EACH y[j] = exp(x[j] - m) / total;
""")
def _softmax(x: Array) -> Array:
    y = centered(x)
    namespace(x).exp(y, out=y)
    y /= y.sum(axis=-1, keepdims=True)
    return y


@by_rows("""
    y[i,j], g[i,j] -> gx[i,j]:
    const T mean = SUM(g[j] * y[j]);
    EACH gx[j] = g[j] * y[j] - y[j] * mean;
""")
def softmax_gradient(y: Array, g: Array) -> Array:
    gx = g * y
    gx -= y * gx.sum(axis=-1, keepdims=True)
    return gx


@by_rows("""
    x[i,j] -> y[i,j]:
    const T m = MAX(x[j]), total = log(SUM(exp(x[j] - m)));
    EACH y[j] = x[j] - m - total;
""")
def _log_softmax(x: Array) -> Array:
    xp = namespace(x)
    y = centered(x)
    y -= xp.log(xp.exp(y).sum(axis=-1, keepdims=True))
    return y


@by_rows("""
    y[i,j], g[i,j] -> gx[i,j]:
    const T total = SUM(g[j]);
    EACH gx[j] = g[j] - exp(y[j]) * total;
""")
def _log_softmax_gradient(y: Array, g: Array) -> Array:
    return g - namespace(y).exp(y) * g.sum(axis=-1, keepdims=True)


class Softmax(Fused):
    """y = softmax(x) over the last axis; gx = y (g - Σ g y)"""

    definition = staticmethod(softmax_definition)
    reads = ()
    keeps_output = True

    def forward(self, x: Array) -> Array:
        return _softmax(x)

    def fast_backward(self, g: Array) -> Sequence[Array]:
        return (softmax_gradient(self.output.array, g),)

    def recorded_backward(self, g: Tensor) -> Sequence[Tensor]:  # through the output, which may itself be asked for
        y = self.output
        gy = g * y
        return (gy - y * sum(gy, -1, keepdim=True),)


class LogSoftmax(Fused):
    """y = ln softmax(x) over the last axis; gx = g - exp(y) Σ g"""

    definition = staticmethod(log_softmax_definition)
    reads = ()
    keeps_output = True

    def forward(self, x: Array) -> Array:
        return _log_softmax(x)

    def fast_backward(self, g: Array) -> Sequence[Array]:
        return (_log_softmax_gradient(self.output.array, g),)

    def recorded_backward(self, g: Tensor) -> Sequence[Tensor]:
        return (g - exp(self.output) * sum(g, -1, keepdim=True),)


def _over(op: type[Op], x: Tensor, dim: int, dtype: Any) -> Tensor:
    """A last-axis op applied along dim."""
    if dtype is not None:
        x = cast(x, as_numpy(dtype))
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f"softmax of {x.dtype}: it needs floating point; use x.float() or dtype=")
    axis = axis_of(x, dim, "softmax")
    if x.ndim == 0:
        return Reshape.apply(op.apply(Reshape.apply(x, to=(1,))), to=())
    if x.numel() == 0:
        return x * 1
    if axis == x.ndim - 1:
        return op.apply(x)
    dims = tuple(x.ndim - 1 if i == axis else axis if i == x.ndim - 1 else i for i in range(x.ndim))
    return Permute.apply(op.apply(Permute.apply(x, dims=dims)), dims=dims)


def softmax(x: Tensor, dim: int = -1, dtype: Any = None) -> Tensor:
    """exp(x) / Σ exp(x) along dim, without overflow (torch.softmax)."""
    return named("Softmax", _over(Softmax, x, dim, dtype))


def log_softmax(x: Tensor, dim: int = -1, dtype: Any = None) -> Tensor:
    """ln softmax(x) along dim, without overflow (torch.log_softmax)."""
    return named("LogSoftmax", _over(LogSoftmax, x, dim, dtype))
