"""By size: sorting, the largest few, the median, distinct values, counts.

The order is found without gradient; the values are then gathered, and gather's gradient is theirs. A nan counts as larger than
any number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend import Array, asarray, namespace, scatter_add, to_numpy
from ..dtypes import int32, int64
from ..tensor import Tensor, axis_of, wrap
from .arrange import movedim
from .functions import lerp
from .indexing import gather, index_select
from .reduction import Extreme, max_result
from .selection import isnan, masked_fill
from .shape import named, narrow, reshape, squeeze


class sort_result(max_result):
    __slots__ = ()


class topk_result(max_result):
    __slots__ = ()


class median_result(max_result):
    __slots__ = ()


def _order(x: Array, axis: int, descending: bool) -> Array:
    """The indices that sort x; equal elements keep their order, descending too."""
    xp = namespace(x)
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable")
    return x.shape[axis] - 1 - xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, kind="stable"), axis)


def _one_axis(x: Tensor, dim: int, name: str) -> tuple[Array, int]:
    """x's array with at least one axis, and the axis that dim names."""
    return (x.array if x.ndim else x.array.reshape(1)), axis_of(x, dim, name)


def argsort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """The int64 indices that sort x along dim (torch.argsort); equal elements keep their order, stable or not."""
    array, axis = _one_axis(x, dim, "argsort")
    return wrap(_order(array, axis, descending).reshape(x.array.shape))


def sort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> sort_result:
    """The pair (values, indices): x in order along dim (torch.sort); equal elements keep their order, stable or not."""
    index = argsort(x, dim, descending)
    return sort_result(named("Sort", gather(x, dim, index)), index)


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> topk_result:
    """The pair (values, indices) of the k largest elements along dim, or smallest, best first (torch.topk).

    Which of equal elements is taken is not defined, nor is it in torch.

    Raises:
        RuntimeError: there are fewer than k.
    """
    array, axis = _one_axis(x, dim, "topk")
    n = array.shape[axis]
    if not 0 <= k <= n:
        raise RuntimeError(f"topk: selected index k out of range: k = {k}, and dimension {dim} has {n} elements")
    if array.dtype == bool:
        raise RuntimeError("topk is not implemented for bools: use .byte()")
    xp = namespace(array)
    if 0 < k < n:
        partly = xp.argpartition(array, n - k if largest else k - 1, axis=axis)
        chosen = xp.sort(xp.take(partly, xp.arange(n - k, n) if largest else xp.arange(k), axis=axis), axis=axis)
        order = _order(xp.take_along_axis(array, chosen, axis), axis, largest)
        index = xp.take_along_axis(chosen, order, axis)
    else:
        index = xp.take(_order(array, axis, largest), xp.arange(k), axis=axis)
    at = wrap(index if x.ndim else index.reshape(()))
    return topk_result(named("Topk", gather(x, dim, at)), at)


class Median(Extreme):
    """y = the lower median of x, flattened, or nan if there is one; equal elements share g"""

    def forward(self, x: Array) -> Array:
        in_order = namespace(x).sort(x.reshape(-1))
        middle = in_order[(x.size - 1) // 2] if x.size else x.dtype.type(np.nan)
        return (
            namespace(x)
            .asarray(in_order[-1] if x.size and in_order[-1] != in_order[-1] else middle)
            .reshape((1,) * x.ndim)
        )


def median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of the two middle elements; along dim, the pair (values, indices) (torch.median); nan where there is one."""
    if dim is None:
        return named("Median", reshape(Median.apply(x, axes=tuple(range(x.ndim)), of_all=True), ()))
    array, axis = _one_axis(x, dim, "median")
    if array.shape[axis] == 0:
        raise IndexError(f"median(): Expected reduction dim {dim} to have non-zero size, the shape is {tuple(x.shape)}")
    xp = namespace(array)
    isnan = array != array
    middle = xp.take(_order(array, axis, False), xp.asarray([(array.shape[axis] - 1) // 2]), axis=axis)
    index = xp.where(isnan.any(axis=axis, keepdims=True), xp.expand_dims(isnan.argmax(axis=axis), axis), middle)
    at = wrap(index.reshape(x.array.shape if x.ndim == 0 else index.shape))
    values = gather(x, dim, at)
    if not keepdim and x.ndim:
        shape = tuple(n for i, n in enumerate(x.array.shape) if i != axis)
        values, at = reshape(values, shape), reshape(at, shape)
    return median_result(named("Median", values, variant=1), at)


class kthvalue_result(max_result):
    __slots__ = ()


class mode_result(max_result):
    __slots__ = ()


def _picked(kind: type[max_result], x: Tensor, dim: int, index: Array, keepdim: bool) -> Any:
    """(values, indices) of one element along dim, which index, kept as an axis of size 1, names."""
    name = kind.__name__.removesuffix("_result").title()
    at = wrap(index if x.ndim else index.reshape(()))
    values = gather(x, dim, at)
    if not keepdim and x.ndim:
        values, at = squeeze(values, dim), squeeze(at, dim)
    return kind(named(name, values), at)


def kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The pair (values, indices) of the k-th smallest elements along dim, k from 1 (torch.kthvalue)."""
    array, axis = _one_axis(x, dim, "kthvalue")
    if not 1 <= k <= array.shape[axis]:
        raise RuntimeError(
            f"kthvalue(): selected number k out of range for dimension {axis}: {k} of {array.shape[axis]}"
        )
    xp = namespace(array)
    return _picked(
        kthvalue_result, x, dim, xp.take(_order(array, axis, False), xp.asarray([k - 1]), axis=axis), keepdim
    )


def mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The pair (values, indices) of the most frequent elements along dim, the smallest of several (torch.mode).

    Where the element occurs more than once, the index is that of the last.
    """
    array, axis = _one_axis(x, dim, "mode")
    if array.shape[axis] == 0:
        raise IndexError(f"mode(): Expected reduction dim {dim} to have non-zero size, the shape is {tuple(x.shape)}")
    rows = np.moveaxis(to_numpy(array), axis, -1)
    index = np.zeros((*rows.shape[:-1], 1), dtype=np.int64)
    for i in np.ndindex(*rows.shape[:-1]):
        values, counts = np.unique(rows[i], return_counts=True)
        index[i] = np.flatnonzero(rows[i] == values[counts.argmax()])[-1]
    return _picked(mode_result, x, dim, asarray(np.moveaxis(index, -1, axis), like=array), keepdim)


def quantile(
    x: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The numbers below which the shares q of the elements lie, along dim or of all (torch.quantile); nan where there is one.

    Args:
        q: a number from 0 to 1, or several (N,) of x's dtype, for a result of (N, ...).
        interpolation: between the two neighbours: "linear", "lower", "higher", "midpoint" or "nearest".
    """
    if x.array.dtype not in (np.float32, np.float64):
        raise RuntimeError(f"quantile() input tensor must be either float or double dtype, got {x.dtype}")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    shares = np.asarray(to_numpy(q.array) if isinstance(q, Tensor) else q, dtype=x.array.dtype)
    if not ((shares >= 0) & (shares <= 1)).all():
        raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q}")
    axis = 0 if dim is None else axis_of(x, dim, "quantile")
    flat = reshape(x, -1) if dim is None or not x.ndim else x
    if not flat.array.shape[axis]:
        raise RuntimeError(f"quantile() input tensor must be non-empty, got shape {tuple(x.shape)}")
    rank = np.atleast_1d(shares) * x.array.dtype.type(flat.array.shape[axis] - 1)
    rank = {"lower": np.floor, "higher": np.ceil, "nearest": np.rint}.get(interpolation, lambda r: r)(rank)
    in_order, low = sort(flat, axis).values, np.floor(rank)
    below, above = (
        index_select(in_order, axis, wrap(asarray(r.astype(np.int64), like=x.array))) for r in (low, np.ceil(rank))
    )
    between = np.full_like(rank, 0.5) if interpolation == "midpoint" else rank - low
    weight = asarray(between.reshape([-1 if i == axis else 1 for i in range(flat.ndim)]), like=x.array)
    y = lerp(below, above, wrap(weight))
    y = masked_fill(y, isnan(narrow(in_order, axis, flat.array.shape[axis] - 1, 1)), float("nan"))
    y = movedim(y, axis, 0)
    if keepdim:
        sizes = [1 if dim is None or i == axis else n for i, n in enumerate(x.array.shape)]
        y = reshape(y, len(rank), *sizes)
    return y if shares.ndim else named("Squeeze", reshape(y, y.array.shape[1:]), variant=4)


# ------------------------------------------------------------------------------------------------------ without gradient


def histc(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of so many intervals of equal width from min to max, by default x's own (torch.histc)."""
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f"histc is for floating point tensors, got {x.dtype}")
    if bins < 1:
        raise RuntimeError(f"histc: bins must be > 0, but got {bins}")
    if max < min:
        raise RuntimeError(f"histc: max must be larger than min, got {min} and {max}")
    if min == max and x.numel():
        min, max = float(x.array.min()), float(x.array.max())
    if min == max:
        min, max = min - 1, max + 1
    xp, values = namespace(x.array), x.array.reshape(-1)
    low, high = x.array.dtype.type(min), x.array.dtype.type(max)
    values = values[(values >= low) & (values <= high)]
    places = ((values - low) * bins / (high - low)).astype(np.int64)
    return wrap(xp.bincount(xp.minimum(places, bins - 1), minlength=bins).astype(x.array.dtype))


def unique(
    x: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The distinct elements, ascending; or the distinct slices along dim (torch.unique).

    Returns:
        The values; and where asked for, a tuple of them, for each element of x the place of its value (in x's shape; along
        dim, for each slice), and how often each value occurs.
    """
    axis = None if dim is None else axis_of(x, dim, "unique")
    found = namespace(x.array).unique(x.array, return_inverse=return_inverse, return_counts=return_counts, axis=axis)
    if not (return_inverse or return_counts):
        return wrap(found)
    values, *rest = found
    if return_inverse:
        rest[0] = rest[0].reshape(x.array.shape if axis is None else -1)
    return tuple(wrap(array) for array in (values, *rest))


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """True where an element is one of test_elements, of which either may be a number (torch.isin)."""
    like = elements if isinstance(elements, Tensor) else test_elements
    arrays = [e.array if isinstance(e, Tensor) else asarray(e, like=like.array) for e in (elements, test_elements)]
    if any(isinstance(e, Tensor) and e.array.dtype == bool for e in (elements, test_elements)):
        raise RuntimeError("isin is not implemented for bools")
    return wrap(namespace(*arrays).isin(*arrays, invert=invert))


def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often 0, 1, 2, ... occur among the integers x (N,), or the sums of their weights (torch.bincount).

    Raises:
        NotImplementedError: x is not of integers.
        RuntimeError: x is not 1-d, or negative somewhere; weights of another shape.
    """
    if x.array.dtype.kind not in "iu":
        raise NotImplementedError(f"bincount is for integers, got {x.dtype}")
    if x.ndim != 1 or bool((x.array < 0).any()):
        what = "a negative one" if x.ndim == 1 else f"shape {tuple(x.shape)}"
        raise RuntimeError(f"bincount only supports 1-d non-negative integral inputs, got {what}")
    if minlength < 0:
        raise RuntimeError(f"bincount: minlength should be >= 0, got {minlength}")
    if weights is not None and weights.array.shape != x.array.shape:
        raise RuntimeError(
            f"bincount: weights should be 1-d and have the same length as input, got {tuple(weights.shape)} for {tuple(x.shape)}"
        )
    xp = namespace(x.array) if weights is None else namespace(x.array, weights.array)
    if not x.numel():
        return wrap(xp.zeros(minlength, dtype=int64.numpy))
    ids = x.array.astype(np.int64)
    if weights is None:
        return wrap(xp.bincount(ids, minlength=minlength))
    kind = np.float32 if weights.array.dtype == np.float32 else np.float64
    return wrap(scatter_add(weights.array.astype(kind), ids, max(int(ids.max()) + 1, minlength)))


def searchsorted(
    sorted_sequence: Tensor, values: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None
) -> Tensor:
    """Where each value would have to go into an ascending sequence: before its equals, or after them (torch.searchsorted).

    Shapes: (N,) and any shape; or (..., N) and (..., M), row by row.
    """
    places = sorted_sequence.array
    wanted = values.array if isinstance(values, Tensor) else asarray(values, like=places)
    if places.ndim == 0:
        raise RuntimeError("searchsorted: the sequence must have at least one dimension, got a 0-d tensor")
    xp = namespace(places, wanted)
    side = side or ("right" if right else "left")
    if places.ndim == 1:
        found = xp.searchsorted(places, wanted, side=side)
    else:
        if places.shape[:-1] != wanted.shape[:-1]:
            raise RuntimeError(
                f"searchsorted: the leading sizes must agree, got {tuple(sorted_sequence.shape)} and {tuple(wanted.shape)}"
            )
        found = xp.empty(wanted.shape, dtype=np.int64)
        for row in np.ndindex(*places.shape[:-1]):
            found[row] = xp.searchsorted(places[row], wanted[row], side=side)
    return wrap(xp.asarray(found, dtype=int32.numpy if out_int32 else int64.numpy))


def bucketize(x: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval between ascending boundaries in which each element lies (torch.bucketize)."""
    return searchsorted(boundaries, x, out_int32=out_int32, right=right)
