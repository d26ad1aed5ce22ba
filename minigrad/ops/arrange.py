"""More movements, made of those in shape.py: turned around, laid side by side, repeated, diagonals and sliding windows."""

from __future__ import annotations

import builtins
import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array, asarray, namespace
from ..core import Op
from ..dtypes import Size, int64, result_type
from ..tensor import Tensor, axis_of, wrap
from . import creation
from .convert import cast
from .indexing import gather_rows, getitem, index_select
from .reduction import sum
from .selection import masked_fill
from .shape import (
    BroadcastTo,
    Pad,
    Permute,
    Shape,
    Slice,
    broadcast_to,
    cat,
    clone,
    flatten,
    ints,
    named,
    narrow,
    permute,
    repeat,
    reshape,
    stack,
    unsqueeze,
)
from .shape import broadcast_shapes as _common_shape

# ------------------------------------------------------------------------------------------------------- another order


def flip(x: Tensor, *dims: Any) -> Tensor:
    """x in reverse order along dims (torch.flip); a copy."""
    axes = [axis_of(x, d, "flip") for d in ints(dims)]
    if len(set(axes)) < len(axes):
        raise RuntimeError(f"flip: a dim appears multiple times in the list of dims {list(ints(dims))}")
    key = tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim))
    return named("Flip", clone(Slice.apply(x, key=key)))


def fliplr(x: Tensor) -> Tensor:
    """x with its columns in reverse order (torch.fliplr)."""
    if x.ndim < 2:
        raise RuntimeError(f"fliplr: input must be >= 2-d, got shape {tuple(x.shape)}")
    return flip(x, 1)


def flipud(x: Tensor) -> Tensor:
    """x with its rows in reverse order (torch.flipud)."""
    if x.ndim < 1:
        raise RuntimeError("flipud: input must be >= 1-d, got a 0-d tensor")
    return flip(x, 0)


def roll(x: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """x with its elements moved on by shifts along dims, those that leave at the end coming in at the start (torch.roll).

    Raises:
        RuntimeError: not as many shifts as dims.
    """
    by = ints((shifts,))
    if dims is None:
        if len(by) != 1:
            raise RuntimeError(f"roll: shifts and dimensions must align: {len(by)} shifts, and no dims")
        return named("Roll", reshape(roll(flatten(x), by, 0), x.shape))
    along = ints((dims,))
    if len(by) != len(along) or not by:
        raise RuntimeError(f"roll: shifts and dimensions must align: {len(by)} shifts, {len(along)} dims")
    y = x
    for shift, dim in zip(by, along, strict=True):
        axis = axis_of(y, dim, "roll")
        n = y.array.shape[axis] if y.ndim else 0
        cut = -shift % n if n else 0
        y = cat([narrow(y, axis, cut, n - cut), narrow(y, axis, 0, cut)], axis) if y.ndim else clone(y)
    return named("Roll", y)


def movedim(x: Tensor, source: Any, destination: Any) -> Tensor:
    """x with the axes `source` at the places `destination`, the others in their order (torch.movedim); a view."""
    start, end = ([axis_of(x, d, "movedim") for d in ints((dims,))] for dims in (source, destination))
    if isinstance(source, int) != isinstance(destination, int):
        raise TypeError(
            f"movedim: source and destination must be two ints or two tuples, got {source} and {destination}"
        )
    if len(start) != len(end) or len(set(start)) < len(start) or len(set(end)) < len(end):
        raise RuntimeError(f"movedim: {source} to {destination}: as many places as axes are needed, each once")
    order = [axis for axis in range(x.ndim) if axis not in start]
    for place, axis in sorted(zip(end, start, strict=True)):
        order.insert(place, axis)
    return permute(x, order)


def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension as several, of which one size may be -1 (torch.unflatten); a view where the memory allows it."""
    axis = axis_of(x, dim, "unflatten")
    shape, to = x.array.shape, ints((sizes,))
    known = Size(n for n in to if n != -1).numel()
    if to.count(-1) == 1 and known:
        to = tuple(shape[axis] // known if n == -1 else n for n in to)
    if min(to, default=-1) < 0 or Size(to).numel() != shape[axis]:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} ({shape[axis]})"
        )
    return reshape(x, *shape[:axis], *to, *shape[axis + 1 :])


def ravel(x: Tensor) -> Tensor:
    """x in one dimension (torch.ravel); a view where the memory allows it."""
    return flatten(x)


def select(x: Tensor, dim: int, index: int) -> Tensor:
    """x[..., index, ...] at dim (torch.select); a view."""
    axis = axis_of(x, dim, "select")
    if x.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    return getitem(x, (slice(None),) * axis + (index,))


# ------------------------------------------------------------------------------------------------------- side by side


def _at_least(n: int, x: Tensor) -> Tensor:
    while x.ndim < n:
        x = unsqueeze(x, 0)
    return x


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along dimension 1, vectors along their only one (torch.hstack)."""
    xs = [_at_least(1, x) for x in tensors]
    if not xs:
        raise RuntimeError("hstack expects a non-empty list of Tensors")
    return cat(xs, 0 if xs[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along dimension 0, vectors as rows (torch.vstack)."""
    xs = [_at_least(2, x) for x in tensors]
    if not xs:
        raise RuntimeError("vstack expects a non-empty list of Tensors")
    return cat(xs, 0)


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that all of these broadcast to (torch.broadcast_shapes)."""
    return Size(_common_shape("broadcast_shapes", *((s,) if isinstance(s, int) else tuple(s) for s in shapes)))


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors in the shape that they broadcast to (torch.broadcast_tensors); views."""
    shape = _common_shape("broadcast_tensors", *(x.array.shape for x in tensors))
    return tuple(broadcast_to(x, shape) for x in tensors)


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """The coordinates of a grid, for vectors along its axes (torch.meshgrid): indexing="ij" as a matrix, "xy" as in a picture."""
    xs = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], Sequence) else list(tensors)
    if indexing is None:
        warnings.warn("meshgrid: say which, indexing='ij' (taken here) or indexing='xy'", stacklevel=2)
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if any(x.ndim > 1 for x in xs):
        raise RuntimeError(f"meshgrid: expected vectors or numbers, got shapes {[tuple(x.shape) for x in xs]}")
    if indexing == "xy" and len(xs) > 1:
        y, x, *more = meshgrid(xs[1], xs[0], *xs[2:], indexing="ij")
        return (x, y, *more)
    shape = tuple(x.numel() for x in xs)
    ones = [(1,) * i + (n,) + (1,) * (len(xs) - i - 1) for i, n in enumerate(shape)]
    return tuple(broadcast_to(reshape(x, one), shape) for x, one in zip(xs, ones, strict=True))


# ---------------------------------------------------------------------------------------------------------- repeated


def tile(x: Tensor, *dims: Any) -> Tensor:
    """x laid side by side that many times along the last axes, or along new ones in front (torch.tile); a copy."""
    times = ints(dims)
    return repeat(x, (1,) * (x.ndim - len(times)) + times)


def repeat_interleave(
    x: Tensor, repeats: Tensor | int | None = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Every element along dim, or of the flattened x, that many times in a row (torch.repeat_interleave).

    Args:
        repeats: a number, or one for each place along dim. repeat_interleave(n) of a tensor alone: 0 n[0] times, 1 n[1] times...

    Raises:
        RuntimeError: repeats is negative, not of integers, or of another length.
    """
    if repeats is None:
        x, repeats = wrap(namespace(x.array).arange(x.numel())), x
    if dim is None:
        x, dim = flatten(x), 0
    axis = axis_of(x, dim, "repeat_interleave")
    n = x.array.shape[axis]
    many = repeats.array if isinstance(repeats, Tensor) else np.asarray(repeats)
    if many.dtype.kind not in "iu" or many.ndim > 1:
        raise RuntimeError(
            f"repeat_interleave: repeats must be integers in one dimension, got {many.dtype} {many.shape}"
        )
    if many.size and int(many.min()) < 0:
        raise RuntimeError("repeat_interleave: repeats can not be negative")
    if many.size == 1 and n != 1:
        times, shape = int(many.reshape(())), x.array.shape
        if times == 1:
            return clone(x)
        wide = BroadcastTo.apply(unsqueeze(x, axis + 1), to=(*shape[: axis + 1], times, *shape[axis + 1 :]))
        return named("View", reshape(wide, *shape[:axis], n * times, *shape[axis + 1 :]))
    if many.size not in (1, n):
        raise RuntimeError(f"repeat_interleave: repeats must have the size of dim {dim}, {n}, or 1; got {many.size}")
    places = np.repeat(np.arange(n), many.reshape(-1).tolist())
    return index_select(x, axis, wrap(namespace(x.array).asarray(places)))


def unfold(x: Tensor, dimension: int, size: int, step: int = 1) -> Tensor:
    """All windows of `size` elements, `step` apart, along a dimension; the elements of a window on a new last axis.

    torch.Tensor.unfold; a copy, where torch gives a view.
    """
    axis = axis_of(x, dimension, "unfold")
    n = x.array.shape[axis] if x.ndim else 1
    if not 0 <= size <= n or step <= 0:
        raise RuntimeError(
            f"unfold: size {size} must be within dimension {dimension} of size {n}, and step {step} positive"
        )
    xp = namespace(x.array)
    places = wrap((xp.arange(0, n - size + 1, step)[:, None] + xp.arange(size)).astype(int64.numpy))
    y = getitem(x if x.ndim else unsqueeze(x, 0), (slice(None),) * axis + (places,))
    y = movedim(y, axis + 1, -1)
    return named("Unfold", y if x.ndim else reshape(y, size))


# ------------------------------------------------------------------------------------------------------------ padding


def padded(x: Tensor, ends: Sequence[tuple[int, int]], value: float) -> Tensor:
    """x with `value` before and after its elements along each dimension; negative numbers cut off."""
    to = tuple([n + a + b for n, (a, b) in zip(x.array.shape, ends, strict=True)])
    if min(to, default=0) < 0:
        raise RuntimeError(f"pad: {list(ends)} of shape {tuple(x.shape)} would leave negative sizes: {to}")
    inside = tuple([slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.array.shape, ends, strict=True)])
    there = tuple([slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(to, ends, strict=True)])
    y = Pad.apply(getitem(x, inside), key=there, to=to)
    if value:
        outside = namespace(x.array).ones(to, dtype=bool)
        outside[there] = False
        y = masked_fill(y, wrap(outside), value)
    return named("ConstantPadNd", y)


# ---------------------------------------------------------------------------------------------------------- diagonals


class Diagonal(Op):
    """y = the diagonal of the last two axes, `offset` above the main one. The transpose of DiagEmbed."""

    reads = ()
    view = True
    offset: int

    def forward(self, x: Array) -> Array:
        self.back = x.shape
        y = x.diagonal(self.offset, -2, -1)
        if isinstance(y, np.ndarray):
            y.setflags(write=x.flags.writeable)  # NumPy's default is read-only
        return y

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (DiagEmbed.apply(g, offset=self.offset, to=self.back),)


class DiagEmbed(Op):
    """y = zeros of shape `to`, with x on the diagonal of the last two axes. The transpose of Diagonal."""

    reads = ()
    offset: int
    to: Shape

    def forward(self, x: Array) -> Array:
        xp = namespace(x)
        y = xp.zeros(self.to, dtype=x.dtype)
        i = xp.arange(x.shape[-1])
        y[..., i + max(-self.offset, 0), i + max(self.offset, 0)] = x
        return y

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (Diagonal.apply(g, offset=self.offset),)


def _last(x: Tensor, dim1: int, dim2: int, name: str) -> Tensor:
    """x with two of its axes moved to the end."""
    a, b = axis_of(x, dim1, name), axis_of(x, dim2, name)
    if a == b:
        raise RuntimeError(f"{name}: diagonal dimensions cannot be identical {dim1}, {dim2}")
    order = (*(i for i in range(x.ndim) if i not in (a, b)), a, b)
    return x if order == tuple(range(x.ndim)) else Permute.apply(x, dims=order)


def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two axes, as a new last axis (torch.diagonal); a view."""
    return Diagonal.apply(_last(x, dim1, dim2, "diagonal"), offset=offset)


def diag_embed(x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices of zeros with x's last axis on their diagonals (torch.diag_embed)."""
    n = x.array.shape[-1] + abs(offset)
    y = DiagEmbed.apply(x, offset=offset, to=(*x.array.shape[:-1], n, n))
    a, b = axis_of(y, dim1, "diag_embed"), axis_of(y, dim2, "diag_embed")
    return y if (a, b) == (y.ndim - 2, y.ndim - 1) else named("DiagEmbed", movedim(y, (-2, -1), (a, b)))


def diag(x: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix that has the vector x on its diagonal (torch.diag); a copy."""
    if x.ndim == 1:
        return diag_embed(x, diagonal)
    if x.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {x.ndim}D")
    y = clone(Diagonal.apply(x, offset=diagonal))
    if y.op is not None:
        y.op.label = "DiagonalBackward0_copy"
    return y


def trace(x: Tensor, params: Any = None, **options: Any) -> Any:
    """The sum of a matrix's diagonal (torch.trace). Of a scalar, say a loss, the graph behind it as text: see explain.trace.

    torch refuses a scalar. With params, names for the leaves, a tensor of any shape gives the text; so does draw(x).text.
    """
    if x.ndim == 0 or params is not None:
        from ..explain import trace as told  # a tool, which ops know only when they are asked for it

        return told(x, params, **options)
    if x.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {x.ndim}")
    return named("Trace", sum(diagonal(x)))


def _triangle_indices(name: str, row: int, col: int, offset: int, dtype: Any, device: Any) -> Tensor:
    if row < 0 or col < 0:
        raise RuntimeError(f"{name}_indices: row and col must be non-negative, got {row} and {col}")
    found = np.stack(getattr(np, f"{name}_indices")(row, offset, col))
    return creation.tensor(found, dtype=int64 if dtype is None else dtype, device=device)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """(2, N): the rows and the columns of the elements on and below a diagonal (torch.tril_indices)."""
    return _triangle_indices("tril", row, col, offset, dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """(2, N): the rows and the columns of the elements on and above a diagonal (torch.triu_indices)."""
    return _triangle_indices("triu", row, col, offset, dtype, device)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Vectors and matrices side by side (torch.column_stack)."""
    return hstack([reshape(x, x.numel(), 1) if x.ndim < 2 else x for x in tensors])


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of at least three dimensions, joined along the third (torch.dstack)."""
    return cat([unsqueeze(_at_least(2, x), -1) if x.ndim < 3 else x for x in tensors], 2)


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices, one after another down the diagonal of one that is 0 elsewhere (torch.block_diag)."""
    tensors = tensors or (creation.empty(0),)
    blocks = [_at_least(2, cast(x, result_type(*tensors))) for x in tensors]
    width, left, rows = builtins.sum(x.array.shape[1] for x in blocks), 0, []
    for x in blocks:
        if x.ndim > 2:
            raise RuntimeError(f"block_diag: Input tensors must have 2 or fewer dimensions, got shape {tuple(x.shape)}")
        n, m = x.array.shape
        zeros = namespace(x.array).zeros
        sides = [wrap(zeros((n, k), dtype=x.array.dtype)) for k in (left, width - left - m)]
        rows.append(cat([sides[0], x, sides[1]], 1))
        left += m
    return named("BlockDiag", cat(rows, 0))


def combinations(x: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All ways to take r elements of x (N,), in order: (count, r) (torch.combinations)."""
    if x.ndim != 1:
        raise RuntimeError(f"combinations: expect a 1D vector, but got shape {tuple(x.shape)}")
    if r < 0:
        raise RuntimeError(f"combinations: expect a non-negative number, but got {r}")
    if r == 0:
        return reshape(narrow(x, 0, 0, 0), 0)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    index = np.array(list(choose(range(x.numel()), r)), dtype=np.int64).reshape(-1, r)
    return named("Stack", gather_rows(x, wrap(asarray(index, like=x.array))))


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All ways to take one element of each vector: (count, number of vectors); a single one itself (torch.cartesian_prod)."""
    if not tensors or any(x.ndim != 1 or x.array.dtype != tensors[0].array.dtype for x in tensors):
        raise RuntimeError(
            f"cartesian_prod: expected vectors of one dtype, got {[(x.dtype, tuple(x.shape)) for x in tensors]}"
        )
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(x, -1) for x in meshgrid(*tensors, indexing="ij")], 1)


def diff(x: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
    """The differences of neighbours along dim, n times (torch.diff)."""
    if x.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    axis = axis_of(x, dim, "diff")
    if prepend is not None or append is not None:
        x = cat([part for part in (prepend, x, append) if part is not None], axis)
    if n < 0:
        raise RuntimeError(f"diff: order must be non-negative but got {n}")
    for _ in range(n):
        length = x.array.shape[axis]
        if not length:
            break
        after, before = narrow(x, axis, 1, length - 1), narrow(x, axis, 0, length - 1)
        x = after != before if x.array.dtype == bool else after - before
    return x


def cross(x: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product x × other of vectors along dim, by default the first of size 3 (torch.cross)."""
    shape = _common_shape("cross", x.array.shape, other.array.shape)
    if dim is None and 3 not in shape:
        raise RuntimeError(f"cross: no dimension of size 3 in {shape}")
    a, b = broadcast_to(x, shape), broadcast_to(other, shape)
    axis = shape.index(3) if dim is None else axis_of(a, dim, "cross")
    if shape[axis] != 3:
        raise RuntimeError(f"cross: inputs dimension {axis} must have length 3, got {shape[axis]}")
    return named("LinalgCross", roll(a, -1, axis) * roll(b, -2, axis) - roll(a, -2, axis) * roll(b, -1, axis))
