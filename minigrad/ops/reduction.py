"""Many numbers into one, along axes."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from math import prod as product
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, namespace, quiet
from ..core import Op
from ..dtypes import as_numpy, int64
from ..tensor import Tensor, axis_of, wrap
from .convert import cast, floating
from .elementwise import Sqrt, abs, add, exp, log, pow, square, sub
from .indexing import take_along_dim
from .selection import eq, isinf, isnan, logical_not, logical_or, masked_fill, maximum, minimum, ne, where
from .shape import Slice, broadcast_shapes, broadcasted, cat, named, narrow, reshape, reshaped, split

Dims = int | Sequence[int] | None


def axes_of(x: Tensor, dim: Dims, name: str) -> tuple[int, ...]:
    """The axes that `dim` names; None, or an empty sequence, is all of them."""
    if dim is None or (isinstance(dim, Sequence) and len(dim) == 0):
        return tuple(range(x.ndim))
    axes = [axis_of(x, d, name) for d in ([dim] if isinstance(dim, int) else dim)]
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"{name}: dim {axes[0]} appears multiple times in the list of dims")
    return tuple(axes) if x.ndim else ()


class Sum(Op):
    """y = Σ x / count over axes; every x gets its sum's g / count. With count = 1, the sum."""

    reads = ()
    arithmetic = True
    axes: tuple[int, ...]
    keepdim: bool
    count: float = 1

    def forward(self, x: Array) -> Array:
        self.back = x.shape
        wide = np.dtype(np.float32) if x.dtype == np.float16 else x.dtype  # as torch, half precision by way of float32
        y = x.sum(axis=self.axes, dtype=wide, keepdims=self.keepdim)
        y = y if self.count == 1 else y / wide.type(self.count)
        return y if wide == x.dtype else y.astype(x.dtype)

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        if not self.keepdim:
            g = reshaped(g, tuple([1 if i in self.axes else n for i, n in enumerate(self.back)]))
        if self.count != 1 and 0 not in self.back:  # the mean of nothing: g / 0 would be inf
            g = g / self.count
        return (broadcasted(g, self.back),)


def sum(x: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum along dim, or of everything (torch.sum). Integers and bools sum to int64."""
    axes = axes_of(x, dim, "sum")
    to = as_numpy(dtype) if dtype is not None else x.array.dtype if x.array.dtype.kind == "f" else int64.numpy
    return named("Sum", Sum.apply(cast(x, to), axes=axes, keepdim=keepdim), variant=0 if dim is None else 1)


def mean(x: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean along dim, or of everything (torch.mean); nan of no elements.

    Raises:
        RuntimeError: x is not floating point, and no dtype is given.
    """
    if dtype is not None:
        x = cast(x, as_numpy(dtype))
    if x.array.dtype.kind != "f":
        raise RuntimeError(
            f"mean(): could not infer output dtype. Input dtype must be floating point, got {x.dtype}: use x.float().mean()"
        )
    axes = axes_of(x, dim, "mean")
    count = product(x.array.shape[axis] for axis in axes)
    return named("Mean", Sum.apply(x, axes=axes, keepdim=keepdim, count=count), variant=0 if dim is None else 1)


def var(
    x: Tensor, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """The variance Σ (x - mean)² / (n - correction) along dim, or of everything (torch.var).

    Args:
        unbiased: correction = 1 (the default), or 0 for the mean of squares.
    """
    if isinstance(dim, bool):  # torch's older call var(unbiased)
        unbiased, dim = dim, None
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"var only supports floating point dtypes, got {x.dtype}")
    if x.array.dtype == np.float16:
        wide = cast(x, np.dtype(np.float32))
        return cast(var(wide, dim, unbiased, keepdim, correction=correction), x.array.dtype)
    axes = axes_of(x, dim, "var")
    squares = square(sub(x, mean(x, axes, keepdim=True))) if axes else square(sub(x, x))
    count = product(x.array.shape[axis] for axis in axes)
    free = builtins.max(count - (correction if correction is not None else 1 if unbiased else 0), 0)
    return named("Var", Sum.apply(squares, axes=axes, keepdim=keepdim, count=free))


def std(
    x: Tensor, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """The square root of the variance (torch.std)."""
    if x.array.dtype == np.float16:
        wide = cast(x, np.dtype(np.float32))
        return cast(std(wide, dim, unbiased, keepdim, correction=correction), x.array.dtype)
    return named("Std", Root.apply(var(x, dim, unbiased, keepdim, correction=correction)))


def var_mean(
    x: Tensor, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> tuple[Tensor, Tensor]:
    """The variance and the mean (torch.var_mean)."""
    variance = var(x, dim, unbiased, keepdim, correction=correction)
    average = mean(x, None if isinstance(dim, bool) else dim, keepdim)
    return named("VarMean", variance), named("VarMean", average)


def std_mean(
    x: Tensor, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> tuple[Tensor, Tensor]:
    """The standard deviation and the mean (torch.std_mean)."""
    deviation = std(x, dim, unbiased, keepdim, correction=correction)
    average = mean(x, None if isinstance(dim, bool) else dim, keepdim)
    return named("StdMean", deviation), named("StdMean", average)


def nansum(x: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of what is not nan (torch.nansum)."""
    return named("Nansum", sum(masked_fill(x, isnan(x), 0), dim, keepdim, dtype=dtype))


def nanmean(x: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of what is not nan (torch.nanmean)."""
    x = x if dtype is None else cast(x, as_numpy(dtype))
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"nanmean(): expected input to have floating point dtype but got {x.dtype}")
    return nansum(x, dim, keepdim) / sum(logical_not(isnan(x)), dim, keepdim)


class Root(Sqrt):
    """y = √x; gx = g / 2y, but 0 at 0: where all values are equal, none moves the standard deviation"""

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        y = self.output
        flat = eq(y, 0)
        return (masked_fill(g, flat, 0) / masked_fill(2 * y, flat, 1),)


# ----------------------------------------------------------------------------------------------------------- extreme values


class max_result(NamedTuple):
    """What max and min along a dimension return."""

    values: Tensor
    indices: Tensor

    def __repr__(self) -> str:
        return f"torch.return_types.{type(self).__name__.removesuffix('_result')}(\nvalues={self.values!r},\nindices={self.indices!r})"


class min_result(max_result):
    __slots__ = ()


def _arg(name: str, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    if x.numel() == 0 and (dim is None or x.array.shape[axis_of(x, dim, name)] == 0):
        raise IndexError(
            f"{name}(): Expected reduction dim {dim} to have non-zero size, the tensor's shape is {tuple(x.shape)}"
        )
    xp = namespace(x.array)
    if dim is None:
        index = xp.asarray(getattr(xp, name)(x.array.reshape(-1)))
        return wrap(index.reshape((1,) * x.ndim) if keepdim else index)
    axis = axis_of(x, dim, name)
    index = getattr(xp, name)(x.array.reshape(1) if x.ndim == 0 else x.array, axis=axis)
    return wrap(xp.expand_dims(index, axis) if keepdim and x.ndim else index)


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The int64 index of the largest element along dim, or in the flattened tensor; the first of equals (torch.argmax)."""
    if x.array.dtype == bool:
        raise RuntimeError("argmax is not implemented for bools")
    return _arg("argmax", x, dim, keepdim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The int64 index of the smallest element along dim, or in the flattened tensor; the first of equals (torch.argmin)."""
    if x.array.dtype == bool:
        raise RuntimeError("argmin is not implemented for bools")
    return _arg("argmin", x, dim, keepdim)


class Extreme(Op):
    """y = max x, or min, over axes, kept as axes of size 1; equal extremes share g"""

    keeps_output = True
    fresh = True
    f: str
    axes: tuple[int, ...]
    of_all: bool

    def forward(self, x: Array) -> Array:
        return getattr(x, self.f)(axis=self.axes, keepdims=True)

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        (x,) = self.inputs
        winners = eq(x, wrap(self.output.array))
        if self.of_all:  # as torch: max() of nan sends the gradient there, amax() makes it nan
            winners = logical_or(winners, isnan(x))
        ones = cast(winners, x.array.dtype)
        count = Sum.apply(ones, axes=self.axes, keepdim=True)
        return (where(winners, g / count, 0.0) if self.of_all else g * ones / count,)


def _extreme(name: str, x: Tensor, dim: Dims, keepdim: bool, of_all: bool = False) -> Tensor:
    axes = axes_of(x, dim, name)
    if builtins.any(x.array.shape[axis] == 0 for axis in axes):
        raise (RuntimeError if dim is None else IndexError)(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0, or of non-zero size; the shape is {tuple(x.shape)}"
        )
    y = Extreme.apply(x, f=name.removeprefix("a"), axes=axes, of_all=of_all)
    return y if keepdim else reshape(y, tuple([n for i, n in enumerate(x.array.shape) if i not in axes]))


def _max_or_min(name: str, x: Tensor, dim: Any, keepdim: bool) -> Any:
    if isinstance(dim, Tensor):
        return (maximum if name == "max" else minimum)(x, dim)
    if dim is None:
        return named(name.title(), _extreme(name, x, None, False, of_all=True), variant=1)
    index = _arg(f"arg{name}", x, dim, keepdim=True)
    axis = axis_of(x, dim, name)
    if x.ndim == 0:
        return (max_result if name == "max" else min_result)(x.clone(), index)
    values = take_along_dim(x, index, axis)
    if not keepdim:
        shape = tuple([n for i, n in enumerate(x.array.shape) if i != axis])
        values, index = reshape(values, shape), reshape(index, shape)
    return (max_result if name == "max" else min_result)(named(name.title(), values), index)


def max(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; along dim, the pair (values, indices); with a tensor, torch.maximum (torch.max).

    Equal largest elements share the gradient of max(); along dim it goes to the one at `indices`.
    """
    return _max_or_min("max", x, dim, keepdim)


def min(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; along dim, the pair (values, indices); with a tensor, torch.minimum (torch.min)."""
    return _max_or_min("min", x, dim, keepdim)


def amax(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The largest element along dims; equal ones share the gradient (torch.amax)."""
    return named("Amax", _extreme("amax", x, dim, keepdim))


def amin(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The smallest element along dims; equal ones share the gradient (torch.amin)."""
    return named("Amin", _extreme("amin", x, dim, keepdim))


def norm(x: Tensor, p: Any = "fro", dim: Dims = None, keepdim: bool = False) -> Tensor:
    """(Σ |x|ᵖ)^(1/p) along dim, or of everything; "fro" is p = 2, inf the largest |x| (torch.norm); the gradient at 0 is 0.

    Raises:
        RuntimeError: x is not floating point, or p is another name.
    """
    if x.array.dtype.kind != "f":
        raise RuntimeError(f"norm: expected a floating point tensor, got {x.dtype}")
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm: p must be a number or 'fro', got {p!r}")
    if x.array.dtype == np.float16:
        return cast(norm(cast(x, np.dtype(np.float32)), p, dim, keepdim), x.array.dtype)
    if p == 1:
        y = sum(abs(x), dim, keepdim)
    elif p in (2, "fro", None):
        y = Root.apply(sum(square(x), dim, keepdim))
    elif p in (float("inf"), -float("inf")):
        y = (amax if p > 0 else amin)(abs(x), dim, keepdim)
    elif p == 0:
        y = sum(cast(ne(x, 0), x.array.dtype), dim, keepdim)
    else:
        total = sum(pow(abs(x), p), dim, keepdim)
        nothing = eq(total, 0)
        y = masked_fill(pow(masked_fill(total, nothing, 1), 1 / p), nothing, 0)
    return named("LinalgVectorNorm", y)


def logsumexp(x: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """ln Σ eˣ along dim, without overflow (torch.logsumexp)."""
    x = floating(x)
    if not x.numel():
        return named("Logsumexp", add(sum(x, dim, keepdim), -float("inf")))
    top = amax(x.detach(), dim, keepdim=True)
    top = masked_fill(top, isinf(top), 0)
    y = log(sum(exp(sub(x, top)), dim, keepdim))
    return named("Logsumexp", add(y, top if keepdim else reshape(top, y.shape)))


# ----------------------------------------------------------------------------------------------------- running totals


class CumSum(Op):
    """y[i] = x[0] + ... + x[i] along an axis; gx[i] = g[i] + ... + g[-1]. In float64, rounded at the end, as in torch."""

    reads = ()
    fresh = True
    label = "CumsumBackward0"
    axis: int

    def forward(self, x: Array) -> Array:
        y = x.cumsum(self.axis, dtype=np.float64 if x.dtype.kind == "f" else x.dtype)
        return (y + 0).astype(x.dtype)  # 0 + (-0) is 0, as in a sum that starts from zero

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (_reversed(CumSum.apply(_reversed(g, self.axis), axis=self.axis), self.axis),)


class CumProd(Op):
    """y[i] = x[0] ... x[i] along an axis; gx[i] = x[0] ... x[i-1] s[i], where s[i] = g[i] + x[i+1] s[i+1]

    One step of the recurrence after another, without a division, so that x may be 0.
    """

    fresh = True
    label = "CumprodBackward0"
    axis: int

    def forward(self, x: Array) -> Array:
        return x.cumprod(self.axis, dtype=np.float64 if x.dtype.kind == "f" else x.dtype).astype(x.dtype)

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        (x,) = self.inputs
        n = x.array.shape[self.axis]
        if n == 0:
            return (g * x,)
        xs, gs = split(x, 1, self.axis), split(g, 1, self.axis)
        s = [gs[-1]]
        for i in reversed(range(n - 1)):
            s.append(gs[i] + xs[i + 1] * s[-1])
        return (_before(x, self.axis) * cat(s[::-1], self.axis),)


def _reversed(x: Tensor, axis: int) -> Tensor:
    return Slice.apply(x, key=(*(slice(None),) * axis, slice(None, None, -1)))


def _before(x: Tensor, axis: int) -> Tensor:
    """Along the axis, the product of all elements before each: 1, x[0], x[0] x[1], ..."""
    n = x.array.shape[axis]
    first = narrow(x, axis, 0, 1).detach() * 0 + 1
    return CumProd.apply(cat([first, narrow(x, axis, 0, n - 1)], axis), axis=axis)


def _running(op: type[Op], name: str, x: Tensor, dim: int, dtype: Any) -> Tensor:
    axis = axis_of(x, dim, name)
    x = cast(x, as_numpy(dtype) if dtype is not None else x.array.dtype if x.array.dtype.kind == "f" else int64.numpy)
    return op.apply(x, axis=axis) if x.ndim else named(name.title(), x.clone())


def cumsum(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The sums of the elements up to and including each, along dim (torch.cumsum). Integers and bools sum to int64."""
    return _running(CumSum, "cumsum", x, dim, dtype)


def cumprod(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The products of the elements up to and including each, along dim (torch.cumprod)."""
    return _running(CumProd, "cumprod", x, dim, dtype)


class Prod(Op):
    """y = Π x along an axis, which stays with size 1; gx = g Π of the others: those before times those after"""

    fresh = True
    axis: int

    def forward(self, x: Array) -> Array:
        return x.prod(axis=self.axis, dtype=x.dtype, keepdims=True)

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        (x,) = self.inputs
        if not x.numel():
            return (g * x,)
        after = _reversed(_before(_reversed(x, self.axis), self.axis), self.axis)
        return (g * (_before(x, self.axis) * after),)


def prod(x: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product along one dim, or of everything (torch.prod). Integers and bools multiply to int64."""
    x = cast(x, as_numpy(dtype) if dtype is not None else x.array.dtype if x.array.dtype.kind == "f" else int64.numpy)
    if dim is None:
        return named("Prod", reshape(Prod.apply(reshape(x, x.numel()), axis=0), ()))
    axis = axis_of(x, dim, "prod")
    if x.ndim == 0:
        return named("Prod", x.clone(), variant=1)
    y = Prod.apply(x, axis=axis)
    return named("Prod", y if keepdim else reshape(y, x.array.shape[:axis] + x.array.shape[axis + 1 :]), variant=1)


# ------------------------------------------------------------------------------------------------------ without gradient


def _test(name: str) -> Callable[..., Tensor]:
    @quiet
    def f(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
        axes = () if dim == () else axes_of(x, dim, name)
        found = getattr(x.array.astype(bool), name)(axis=axes, keepdims=keepdim)
        return wrap(namespace(x.array).asarray(found, dtype=x.array.dtype if x.array.dtype == np.uint8 else bool))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"True where {name} of the elements along dim, or of everything, is nonzero (torch.{name})."
    return f


any = _test("any")
all = _test("all")


def count_nonzero(x: Tensor, dim: Dims = None) -> Tensor:
    """How many elements along dim, or of all, are not zero (torch.count_nonzero)."""
    return wrap(namespace(x.array).asarray((x.array != 0).sum(axis=axes_of(x, dim, "count_nonzero"))))


def allclose(x: Tensor, y: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """|x - y| <= atol + rtol |y| everywhere (torch.allclose)."""
    if not isinstance(y, Tensor):
        raise TypeError(f"allclose: expected a Tensor, got {type(y).__name__}")
    if x.array.dtype != y.array.dtype:
        raise RuntimeError(f"allclose: {x.dtype} did not match {y.dtype}")
    broadcast_shapes("allclose", x.array.shape, y.array.shape)
    xp = namespace(x.array, y.array)
    return bool(quiet(xp.allclose)(x.array, y.array, rtol=rtol, atol=atol, equal_nan=equal_nan))


def equal(x: Tensor, y: Tensor) -> bool:
    """The same shape and the same elements (torch.equal)."""
    if not isinstance(y, Tensor):
        raise TypeError(f"equal: expected a Tensor, got {type(y).__name__}")
    return x.array.shape == y.array.shape and bool((x.array == y.array).all())
