"""Moving elements without changing them: views, copies of parts, and joins. Each op's backward is the opposite movement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..backend import Array, namespace
from ..core import Op, Patch
from ..dtypes import Size, result_type
from ..grad_mode import mode
from ..sparse import SlicePatch
from ..tensor import Tensor, axis_of
from .convert import cast

Shape = tuple[int, ...]

# ------------------------------------------------------------------------------------------------------ copy and reshape


class Clone(Op):
    """y = x, in its own memory"""

    reads = ()
    moves = True

    def forward(self, x: Array) -> Array:
        return x.copy(order="K")  # in the same layout, as torch

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (g,)


class Reshape(Op):
    """The same elements in the same order, in another shape. The transpose of the reshape back."""

    reads = ()
    moves = True
    view = True
    label = "ViewBackward0"
    to: Shape

    def forward(self, x: Array) -> Array:
        self.back = x.shape
        return x.reshape(self.to)

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (Reshape.apply(g, to=self.back),)


def reshaped(x: Any, to: Shape) -> Any:
    """A tensor, or an array as `arithmetic` backwards get it, in another shape."""
    return Reshape.apply(x, to=to) if isinstance(x, Tensor) else x.reshape(to)


def clone(x: Tensor) -> Tensor:
    """A copy in its own memory; gradients flow through (torch.clone)."""
    return Clone.apply(x)


def contiguous(x: Tensor) -> Tensor:
    """x itself if its elements lie in memory in index order, else a copy that does."""
    if x.is_contiguous():
        return x
    y = Clone.apply(x)
    y.array = namespace(y.array).ascontiguousarray(y.array)  # Clone keeps the layout
    return y


def ints(args: tuple[Any, ...]) -> Shape:
    """What was written as f(2, 3), f((2, 3)) or f([2, 3]), as a tuple of ints."""
    if len(args) == 1 and isinstance(args[0], Sequence) and not isinstance(args[0], str):
        args = tuple(args[0])
    for a in args:
        if not hasattr(a, "__index__"):
            raise TypeError(f"sizes and dims must be ints, got {a!r:.40} ({type(a).__name__})")
    return tuple(int(a.__index__()) for a in args)


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """x in another shape; one size may be -1 (torch.reshape). A view where the memory allows it, else a copy.

    Raises:
        RuntimeError: the number of elements differs.
    """
    to = _inferred(x, ints(shape))
    y = Reshape.apply(x, to=to)
    return y if y._version is not None or not x.numel() else named("UnsafeView", y)


def _inferred(x: Tensor, to: Shape) -> Shape:
    """`to`, with a size in place of its -1."""
    if min(to, default=0) < -1 or to.count(-1) > 1:
        raise RuntimeError(f"invalid shape {list(to)}: only one size can be -1, to be inferred, and none below")
    count, whole = x.array.size, to
    if -1 in to:
        known = -math.prod(to)
        if known == 0 and count == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(to)} because the unspecified dimension size -1 can be any value"
            )
        whole = tuple([count // (known or 1) if size == -1 else size for size in to])
    if math.prod(whole) != count:
        raise RuntimeError(f"shape '{list(to)}' is invalid for input of size {count}")
    return whole


def view(x: Tensor, *shape: Any) -> Tensor:
    """x in another shape, sharing its memory.

    Raises:
        RuntimeError: the number of elements differs, or the memory is laid out in another order (after a transpose).
    """
    to = _inferred(x, ints(shape))
    y = Reshape.apply(x, to=to)
    if x.numel() and not backend.shares_memory(x.array, y.array):
        raise RuntimeError(
            f"view size {list(to)} is not compatible with input tensor's size {list(x.shape)} and stride {x.stride()}: "
            f"its memory is in another order. Use .reshape(...), or .contiguous().view(...), instead."
        )
    return y


def view_as(x: Tensor, other: Tensor) -> Tensor:
    """x in other's shape."""
    return view(x, other.shape)


def reshape_as(x: Tensor, other: Tensor) -> Tensor:
    """x in other's shape, copied where a view is not possible."""
    return reshape(x, other.shape)


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from start_dim to end_dim as one (torch.flatten)."""
    if x.ndim == 0:
        return reshape(x, 1)
    first, last = axis_of(x, start_dim, "flatten"), axis_of(x, end_dim, "flatten")
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if first == last:
        return x
    n = Size(x.array.shape[first : last + 1]).numel()
    return reshape(x, *x.array.shape[:first], n, *x.array.shape[last + 1 :])


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """x with an axis of size 1 before dim (torch.unsqueeze)."""
    n = x.ndim + 1
    if not -n <= dim < n:
        raise IndexError(
            f"unsqueeze: Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    dim %= n
    return named("Unsqueeze", Reshape.apply(x, to=(*x.array.shape[:dim], 1, *x.array.shape[dim:])))


def squeeze(x: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """x without its axes of size 1: all of them, or those named that are of size 1 (torch.squeeze)."""
    dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = {axis_of(x, d, "squeeze") for d in dims}
    to = tuple(size for axis, size in enumerate(x.array.shape) if not (axis in axes and size == 1))
    return named("Squeeze", Reshape.apply(x, to=to), variant=0 if dim is None else 1)


def named(function: str, y: Tensor, variant: int = 0) -> Tensor:
    """y, whose grad_fn shall print as that of a torch function rather than of the last op it is made of."""
    if y.op is not None:
        y.op.label = f"{function}Backward{variant}"
    return y


# ------------------------------------------------------------------------------------------------------------- permutation


class Permute(Op):
    """Axis i of the result is axis dims[i] of x. The transpose of the inverse permutation."""

    reads = ()
    moves = True
    view = True
    dims: Shape

    def forward(self, x: Array) -> Array:
        return x.transpose(self.dims)

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        inverse = tuple(self.dims.index(i) for i in range(len(self.dims)))
        return (Permute.apply(g, dims=inverse),)


def permute(x: Tensor, *dims: Any) -> Tensor:
    """The axes in the order of dims (torch.permute); a view.

    Raises:
        RuntimeError: dims is not a permutation of all axes.
    """
    order = tuple(axis_of(x, d, "permute") for d in ints(dims))
    if sorted(order) != list(range(x.ndim)):
        raise RuntimeError(f"permute: dims {list(ints(dims))} are not each of the {x.ndim} dimensions once")
    return Permute.apply(x, dims=order)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged (torch.transpose); a view."""
    a, b = axis_of(x, dim0, "transpose"), axis_of(x, dim1, "transpose")
    if x.ndim == 0:
        return named("Transpose", Reshape.apply(x, to=()))
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return named("Transpose", Permute.apply(x, dims=tuple(order)))


def t(x: Tensor) -> Tensor:
    """The transpose of a matrix (torch.t)."""
    if x.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {x.ndim}D")
    return named("T", Permute.apply(x, dims=tuple(range(x.ndim))[::-1]))


def reversed_axes(x: Tensor) -> Tensor:
    """x.T: all axes in reverse order."""
    return Permute.apply(x, dims=tuple(range(x.ndim))[::-1])


def matrix_transpose(x: Tensor) -> Tensor:
    """x.mT: the last two axes exchanged."""
    if x.ndim < 2:
        raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {x.ndim}-D tensor.")
    return transpose(x, -2, -1)


# --------------------------------------------------------------------------------------------------- broadcast and its sum


class BroadcastTo(Op):
    """Axes of size 1, and missing ones in front, repeated. The transpose of SumTo."""

    reads = ()
    fresh = True  # SumTo makes a new array
    view = True
    label = "ExpandBackward0"
    to: Shape

    def forward(self, x: Array) -> Array:
        self.back = x.shape
        return namespace(x).broadcast_to(x, self.to)

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (SumTo.apply(g, to=self.back),)


def broadcasted(x: Any, to: Shape) -> Any:
    """A tensor, or an array as `arithmetic` backwards get it, repeated to another shape."""
    return BroadcastTo.apply(x, to=to) if isinstance(x, Tensor) else namespace(x).broadcast_to(x, to)


class SumTo(Op):
    """The sum over the axes that broadcasting from shape `to` repeats. The transpose of BroadcastTo."""

    reads = ()
    to: Shape

    def forward(self, y: Array) -> Array:
        self.back = y.shape
        new = len(y.shape) - len(self.to)
        axes = tuple(range(new)) + tuple(new + i for i, n in enumerate(self.to) if n == 1 and y.shape[new + i] != 1)
        return y.sum(axis=axes, dtype=y.dtype).reshape(self.to)

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (BroadcastTo.apply(g, to=self.back),)


def broadcast_shapes(name: str, *shapes: Shape) -> Shape:
    """The shape that all broadcast to.

    Raises:
        RuntimeError: naming the function, the shapes, and the axis at which they differ.
    """
    result: list[int] = []
    for axis in range(-1, -max(map(len, shapes), default=0) - 1, -1):
        sizes = [shape[axis] for shape in shapes if len(shape) >= -axis]
        odd = [n for n in sizes if n != 1]
        if len(set(odd)) > 1:
            both = " and ".join(str(tuple(shape)) for shape in shapes)
            raise RuntimeError(f"{name}: {both} do not broadcast: axis {axis} is {' vs '.join(map(str, odd))}")
        result.append(odd[0] if odd else 1)
    return tuple(reversed(result))


def can_broadcast(shape: Shape, to: Shape) -> bool:
    """True if a tensor of the one shape broadcasts to the other."""
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(shape[::-1], to[::-1], strict=False))


def broadcast_to(x: Tensor, shape: Shape) -> Tensor:
    """x repeated to that shape, without a copy; x itself if it has it (torch.broadcast_to)."""
    shape = tuple(shape)
    if x.array.shape == shape:
        return x
    if broadcast_shapes("broadcast_to", x.array.shape, shape) != shape:
        raise RuntimeError(f"broadcast_to: {tuple(x.shape)} does not broadcast to {shape}")
    return BroadcastTo.apply(x, to=shape)


def expand(x: Tensor, *sizes: Any) -> Tensor:
    """Axes of size 1 repeated to the given sizes, without a copy; -1 keeps a size (torch.Tensor.expand).

    Raises:
        RuntimeError: an axis of another size than 1 would have to change.
    """
    to = list(ints(sizes))
    new = len(to) - x.ndim
    if new < 0:
        raise RuntimeError(
            f"expand: the number of sizes provided ({len(to)}) must be at least the number of dimensions in the tensor ({x.ndim})"
        )
    for i, size in enumerate(to):
        have = x.array.shape[i - new] if i >= new else None
        if size == -1:
            if have is None:
                raise RuntimeError(
                    f"expand: the expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}"
                )
            to[i] = have
        elif have not in (None, 1, size):
            raise RuntimeError(
                f"expand: The expanded size of the tensor ({size}) must match the existing size ({have}) at non-singleton "
                f"dimension {i}. Target sizes: {to}. Tensor sizes: {list(x.shape)}"
            )
    return BroadcastTo.apply(x, to=tuple(to))


def expand_as(x: Tensor, other: Tensor) -> Tensor:
    """x expanded to other's shape."""
    return expand(x, other.shape)


# ------------------------------------------------------------------------------------------------------- a part, and zeros


class Slice(Op):
    """y = x[key] for a basic index. The transpose of Pad."""

    reads = ()
    view = True
    key: tuple[Any, ...]

    def forward(self, x: Array) -> Array:
        self.back = x.shape
        return x[(*self.key, ...)]  # with the dots, NumPy gives a view even of a single element

    def backward(self, g: Tensor) -> Sequence[Tensor | Patch]:
        if mode.recording:
            return (Pad.apply(g, key=self.key, to=self.back),)
        return (SlicePatch(self.key, g, self.back),)


class Pad(Op):
    """y = zeros of shape `to`, with x at [key]. The transpose of Slice."""

    reads = ()
    key: tuple[Any, ...]
    to: Shape

    def forward(self, x: Array) -> Array:
        y = namespace(x).zeros(self.to, dtype=x.dtype)
        y[self.key] = x
        return y

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (Slice.apply(g, key=self.key),)


def narrow(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """x from start to start + length along dim (torch.narrow); a view."""
    axis = axis_of(x, dim, "narrow")
    n = x.array.shape[axis] if x.ndim else 0
    if x.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if start < 0:
        start += n
    if not (0 <= start <= n and length >= 0 and start + length <= n):
        raise RuntimeError(f"narrow: start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return Slice.apply(x, key=(slice(None),) * axis + (slice(start, start + length),))


def split(x: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """x cut along dim into pieces of a size (the last may be smaller), or of the given sizes (torch.split); views.

    Raises:
        RuntimeError: the sizes do not add up to the dimension, or are negative.
    """
    axis = axis_of(x, dim, "split")
    if x.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    n = x.array.shape[axis]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and n > 0):
            raise RuntimeError(f"split: split_size must be positive, but got split_size={size}")
        sizes = [min(size, n - start) for start in range(0, n, size)] if n else [0]
    else:
        sizes = list(split_size_or_sections)
        if sum(sizes) != n or min(sizes, default=0) < 0:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {dim}), "
                f"but got split_sizes={sizes}"
            )
    starts = np.cumsum([0, *sizes]).tolist()
    name = "Split" if isinstance(split_size_or_sections, int) else "SplitWithSizes"
    return tuple(named(name, narrow(x, axis, start, size)) for start, size in zip(starts, sizes, strict=False))


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """x cut along dim into at most that many pieces of equal size, the last perhaps smaller (torch.chunk); views."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    if x.ndim == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    n = x.size(dim)
    return split(x, max(-(-n // chunks), 1), dim) if n else (x,) * chunks


def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """x[0], x[1], ... along dim (torch.unbind); views."""
    axis = axis_of(x, dim, "unbind")
    if x.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return tuple(named("Unbind", Slice.apply(x, key=(slice(None),) * axis + (i,))) for i in range(x.array.shape[axis]))


# ------------------------------------------------------------------------------------------------------------------ joining


class Cat(Op):
    """The inputs one after another along an axis. The transpose of its slices."""

    reads = ()
    axis: int

    def forward(self, *xs: Array) -> Array:
        self.sizes = [x.shape[self.axis] for x in xs]
        xp = namespace(*xs)
        return xp.ascontiguousarray(xp.concatenate(xs, axis=self.axis))

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return split(g, self.sizes, self.axis)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along an existing dimension; their other sizes agree (torch.cat).

    Raises:
        ValueError: no tensors.
        RuntimeError: 0-d tensors, or sizes that differ elsewhere.
    """
    if isinstance(tensors, Tensor):
        raise TypeError("cat: expected a list or tuple of Tensors, got one Tensor")
    xs = list(tensors)
    if not xs:
        raise ValueError("cat: expected a non-empty list of Tensors")
    for i, x in enumerate(xs):
        if not isinstance(x, Tensor):
            raise TypeError(f"cat: expected Tensor as element {i} of the list, but got {type(x).__name__}")
        if x.ndim == 0:
            raise RuntimeError(f"cat: zero-dimensional tensor (at position {i}) cannot be concatenated; use stack")
    first = next((x for x in xs if x.array.shape != (0,)), xs[0])
    a, axis = first.array.shape, axis_of(first, dim, "cat")
    nothing = (*a[:axis], 0, *a[axis + 1 :])
    xs = [
        Reshape.apply(x, to=nothing) if x.array.shape == (0,) else x for x in xs
    ]  # torch lets an empty 1-d tensor pass
    for i, x in enumerate(xs):
        b = x.array.shape
        if len(a) != len(b) or a[:axis] + a[axis + 1 :] != b[:axis] + b[axis + 1 :]:
            raise RuntimeError(
                f"cat: Sizes of tensors must match except in dimension {axis}: tensor 0 is {a}, tensor {i} is {b}"
            )
    dtype = result_type(*xs)
    return Cat.apply(*(cast(x, dtype) for x in xs), axis=axis)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new dimension (torch.stack).

    Raises:
        RuntimeError: no tensors, or shapes that differ.
    """
    xs = list(tensors)
    if not xs:
        raise RuntimeError("stack expects a non-empty TensorList")
    for i, x in enumerate(xs):
        if not isinstance(x, Tensor):
            raise TypeError(f"stack: expected Tensor as element {i} of the list, but got {type(x).__name__}")
        if x.shape != xs[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(xs[0].shape)} at entry 0 and {list(x.shape)} at entry {i}"
            )
    return named("Stack", cat([unsqueeze(x, dim) for x in xs], dim))


def repeat(x: Tensor, *repeats: Any) -> Tensor:
    """x laid side by side that many times along every axis, new axes in front (torch.Tensor.repeat); a copy."""
    times = ints(repeats)
    if len(times) < x.ndim:
        raise RuntimeError(
            f"Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor ({len(times)} < {x.ndim})"
        )
    sizes = (1,) * (len(times) - x.ndim) + x.array.shape
    interleaved = tuple(n for pair in zip((1,) * len(times), sizes, strict=True) for n in pair)
    repeated = tuple(n for pair in zip(times, sizes, strict=True) for n in pair)
    y = clone(broadcast_to(reshape(x, interleaved), repeated))
    return named("Repeat", reshape(y, tuple(a * b for a, b in zip(times, sizes, strict=True))))


def sum_to_size(x: Tensor, *size: Any) -> Tensor:
    """x summed over the axes that broadcasting from that size would repeat (torch.Tensor.sum_to_size)."""
    to = ints(size)
    if not can_broadcast(to, x.array.shape):
        raise RuntimeError(f"sum_to_size: size {to} is not expandable to size {tuple(x.shape)}")
    if to and x.array.shape == to:
        return x
    return named("Sum", SumTo.apply(x if x.array.dtype.kind == "f" else x.long(), to=to), variant=1)
