"""More reading and writing by index: scatter, index_add and its like, masks. Built of what indexing.py has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..backend import Array
from ..core import Op
from ..dtypes import Number
from ..tensor import Tensor, axis_of, wrap
from .convert import Gradients, cast
from .elementwise import div, mul
from .indexing import (
    AddAt,
    Gather,
    SetItem,
    _check_along,
    _flat_index,
    checked,
    gather_rows,
    getitem,
    nonzero,
    scatter_add,
    setitem,
)
from .operands import Operand, fitting
from .selection import eq, masked_fill, maximum
from .shape import Reshape, Slice, broadcast_shapes, broadcast_to, flatten, named, reshape


def _written(x: Tensor, places: Any, value: Tensor) -> Tensor:
    """x, flattened, with value at those places, in x's shape again."""
    flat = Reshape.apply(x, to=(x.numel(),))
    y = SetItem.apply(flat, value, key=((slice(None),), {0: places.reshape(-1)}))
    return Reshape.apply(y, to=x.array.shape)


def scatter(
    x: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """x with src at x[i][index[i][j][k]][k] for dim = 1, and so on (torch.scatter). Of several at one place, one remains.

    Args:
        src: a tensor no smaller than index, of x's dtype, or a number (also as `value`).
        reduce: "add" to what is there, or "multiply" with it (a number).

    Raises:
        RuntimeError: index is not integer, larger than x elsewhere than along dim or than src, or out of bounds.
    """
    src = value if src is None else src
    if src is None:
        raise TypeError("scatter: what to write is missing: a tensor src, or a number value")
    axis = axis_of(x, dim, "scatter")
    if x.ndim == 0:
        return reshape(
            scatter(reshape(x, 1), 0, reshape(index, -1), reshape(src, -1) if isinstance(src, Tensor) else src), ()
        )
    if x.ndim == 1 and index.ndim == 0:  # one place
        index, src = reshape(index, 1), reshape(src, 1) if isinstance(src, Tensor) else src
    ids = _check_along("scatter", x, axis, index)
    if not isinstance(src, Tensor):
        part = wrap(backend.asarray(fitting(src, x.array.dtype), dtype=x.array.dtype, like=x.array))
        part = broadcast_to(part, ids.shape)
    elif src.array.dtype != x.array.dtype:
        raise RuntimeError(f"scatter(): Expected self.dtype to be equal to src.dtype, got {x.dtype} and {src.dtype}")
    elif src.ndim != index.ndim or any(n > m for n, m in zip(ids.shape, src.array.shape, strict=True)):
        raise RuntimeError(f"scatter(): Expected index {list(index.shape)} to be no larger than src {list(src.shape)}")
    else:
        part = Slice.apply(src, key=tuple(slice(0, n) for n in ids.shape))
    if reduce == "add":
        return scatter_add(x, dim, index, part)
    if reduce is not None:
        raise RuntimeError(f"scatter: reduce must be None or 'add', got {reduce!r}")
    y = _written(x, _flat_index(ids, axis, x.array.shape), Reshape.apply(part, to=(ids.size,)))
    return named("Scatter", y, variant=0 if isinstance(src, Tensor) else 1)


def _rows(name: str, x: Tensor, dim: int, index: Tensor, source: Tensor | None) -> tuple[int, Tensor]:
    """The axis, and a 1-d index repeated so that it names an element of x for every element of source."""
    axis = axis_of(x, dim, name)
    if index.ndim > 1 or index.array.dtype.kind not in "iu":
        raise IndexError(
            f"{name}(): Index should be a vector of integers, got {index.dtype} of shape {tuple(index.shape)}"
        )
    shape = x.array.shape[:axis] + (index.numel(),) + x.array.shape[axis + 1 :]
    if source is not None and source.array.shape != shape:
        wrong = IndexError if name == "index_copy" else RuntimeError
        raise wrong(f"{name}(): source must have shape {shape}, one slice for each index, got {tuple(source.shape)}")
    ids = Reshape.apply(index, to=(index.numel(),))
    if name != "index_add":  # where scatter_add looks
        inside = checked(ids, (x.array.shape[axis],), name, from_end=name == "index_fill")
        ids = inside if isinstance(inside, Tensor) else wrap(inside)
    one = tuple(index.numel() if i == axis else 1 for i in range(x.ndim))
    return axis, broadcast_to(Reshape.apply(ids, to=one), shape)


def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1) -> Tensor:
    """x, to whose slice index[i] along dim alpha times slice i of source was added, for every i (torch.index_add)."""
    axis, places = _rows("index_add", x, dim, index, source)
    return named("IndexAdd", scatter_add(x, axis, places, source if alpha == 1 else mul(source, alpha)))


def index_copy(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """x with its slice index[i] along dim replaced by slice i of source, for every i (torch.index_copy)."""
    axis, places = _rows("index_copy", x, dim, index, source)
    return named("IndexCopy", scatter(x, axis, places, source))


def index_fill(x: Tensor, dim: int, index: Tensor, value: Operand) -> Tensor:
    """x with a number in all slices along dim that index names (torch.index_fill)."""
    axis, places = _rows("index_fill", x, dim, index, None)
    return named("IndexFill", scatter(x, axis, places, value.item() if isinstance(value, Tensor) else value))


def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The elements where mask holds, in one dimension; both broadcast (torch.masked_select)."""
    if mask.array.dtype != bool:
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {mask.dtype}")
    shape = broadcast_shapes("masked_select", x.array.shape, mask.array.shape)
    return named("MaskedSelect", getitem(broadcast_to(x, shape), broadcast_to(mask, shape)))


def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """x with the elements of source, one after another, where mask holds (torch.masked_scatter)."""
    if mask.array.dtype != bool:
        raise RuntimeError(f"masked_scatter: only supports boolean masks, got {mask.dtype}")
    if source.array.dtype != x.array.dtype:
        raise RuntimeError(
            f"masked_scatter: expected x and source to have the same dtype, got {x.dtype} and {source.dtype}"
        )
    x = broadcast_to(x, broadcast_shapes("masked_scatter", x.array.shape, mask.array.shape))
    places = backend.namespace(x.array, mask.array).flatnonzero(broadcast_to(mask, x.array.shape).array)
    if source.numel() < places.size:
        raise RuntimeError(f"masked_scatter: {places.size} places, but source has only {source.numel()} elements")
    value = Slice.apply(flatten(source), key=(slice(0, places.size),))
    return named("MaskedScatter", _written(x, places, value))


def take(x: Tensor, index: Tensor) -> Tensor:
    """The elements of the flattened x at an integer index of any shape (torch.take)."""
    if index.array.dtype.kind not in "iu":
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index.dtype}")
    return named("Take", gather_rows(Reshape.apply(x, to=(x.numel(),)), index, "take"))


def argwhere(x: Tensor) -> Tensor:
    """The int64 positions of nonzero elements, (count, ndim) (torch.argwhere)."""
    return nonzero(x)


def fill_diagonal(x: Tensor, value: Number) -> Tensor:
    """x with a number on its main diagonal; what fill_diagonal_ does in place."""
    if x.ndim < 2 or (x.ndim > 2 and len(set(x.shape)) > 1):
        raise RuntimeError(
            f"fill_diagonal_: all dimensions of input must be of equal length, and two at least: {tuple(x.shape)}"
        )
    grid = backend.namespace(x.array).indices(x.array.shape)
    return masked_fill(x, wrap((grid == grid[0]).all(axis=0)), value)


class ScatterExtreme(Op):
    """z = x, or the largest y[i] with index[i] there, if that is larger (smallest, smaller), for x (V,), y (N,); equals share g"""

    keeps_output = True
    fresh = True
    largest: bool
    index: Array

    def forward(self, x: Array, y: Array) -> Array:
        index = self.__dict__.pop("index")
        self.save(index)
        return backend.extreme_at(x, y, index, self.largest)

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        (index,) = self.saved
        z = wrap(self.output.array)
        of_x, of_y = (cast(eq(a, b), g.array.dtype) for a, b in ((x, z), (y, Gather.apply(z, index=index))))
        share = g / AddAt.apply(of_x, of_y, index=index)
        return of_x * share, of_y * Gather.apply(share, index=index)


def _range(x: Tensor) -> tuple[int, int]:
    if x.array.dtype == bool:
        return 0, 1
    info = np.iinfo(x.array.dtype)
    return int(info.min), int(info.max)


def scatter_reduce(
    x: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """x, at x[i][index[i][j][k]][k] for dim = 1 and so on, and all src[i][j][k] of that place, made one (torch.scatter_reduce).

    Args:
        reduce: "sum", "mean", "amax" or "amin".
        include_self: x's own element counts, too.
    """
    if reduce not in ("sum", "mean", "amax", "amin"):
        wrong = NotImplementedError if reduce == "prod" else RuntimeError
        raise wrong(f"scatter_reduce: reduce must be 'sum', 'mean', 'amax' or 'amin', got {reduce!r}")
    axis = axis_of(x, dim, "scatter_reduce")
    ids = _check_along("scatter_reduce", x, axis, index)
    if src.array.dtype != x.array.dtype:
        raise RuntimeError(
            f"scatter_reduce: Expected self.dtype to be equal to src.dtype, got {x.dtype} and {src.dtype}"
        )
    ones = wrap(backend.namespace(x.array).ones(src.array.shape, dtype=x.array.dtype))
    count = scatter_add(wrap(backend.namespace(x.array).zeros(x.array.shape, dtype=x.array.dtype)), dim, index, ones)
    if not include_self:
        low, high = (-float("inf"), float("inf")) if x.array.dtype.kind == "f" else _range(x)
        x = masked_fill(x, count > 0, {"amax": low, "amin": high}.get(reduce, 0))
    if reduce in ("sum", "mean"):
        y = scatter_add(x, dim, index, src)
        if reduce == "mean":
            count = maximum(count + 1 if include_self else count, wrap(count.array * 0 + 1))
            y = div(y, count, rounding_mode=None if x.array.dtype.kind == "f" else "floor")
        return named("ScatterReduce", y)
    places = _flat_index(ids, axis, x.array.shape).reshape(-1)
    part = Slice.apply(src, key=tuple(slice(0, n) for n in ids.shape))
    flat = Reshape.apply(x, to=(x.numel(),)), Reshape.apply(part, to=(places.size,))
    y = ScatterExtreme.apply(*flat, largest=reduce == "amax", index=places)
    return named("ScatterReduce", Reshape.apply(y, to=x.array.shape))


def index_put(x: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """x with x[indices] = values, or with accumulate += values, once for every time that an element is named (torch.index_put)."""
    if isinstance(indices, Tensor):
        raise TypeError("index_put_(): argument 'indices' must be tuple of Tensors, not Tensor")
    if values.array.dtype != x.array.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {x.dtype} for the destination and "
            f"{values.dtype} for the source."
        )
    key = tuple(slice(None) if i is None else i for i in indices)
    if not accumulate:
        y = x.clone()
        setitem(y, key, values)
        return y
    places = getitem(wrap(backend.namespace(x.array).arange(x.numel()).reshape(x.array.shape)), key).array
    flat = Reshape.apply(x, to=(x.numel(),))
    added = Reshape.apply(broadcast_to(values, places.shape), to=(places.size,))
    return named("IndexPut", Reshape.apply(AddAt.apply(flat, added, index=places.reshape(-1)), to=x.array.shape))
