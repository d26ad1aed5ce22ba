"""Reading and writing by index.

Everything comes down to one adjoint pair over the rows of a table:

    Gather      y[i] = table[index[i]]
    ScatterAdd  out[index[i]] += y[i]

where an id that was read twice receives two contributions. Indexing along another axis, with several index tensors, or with a
mask is Gather on a table that other movements (permute, reshape) prepare.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import backend
from ..backend import Array, namespace, quiet
from ..core import Op, Patch
from ..grad_mode import mode
from ..sparse import RowSparse
from ..tensor import Tensor, axis_of, wrap
from .convert import cast
from .operands import Operand, fitting
from .shape import Permute, Reshape, Slice, broadcast_shapes, broadcast_to, named, unsqueeze

Index = Tensor | Array
"""Integers: an array, or a tensor, of which backward notices if it is changed meanwhile."""


def array_of(index: Index) -> Array:
    return index.array if isinstance(index, Tensor) else index


def flat(index: Index) -> Index:
    """In one dimension; a tensor stays a tensor on the same memory."""
    return Reshape.apply(index, to=(index.numel(),)) if isinstance(index, Tensor) else index.reshape(-1)


# ------------------------------------------------------------------------------------------------------- rows of a table


class Gather(Op):
    """y[i] = table[index[i]] for a table (V, ...) and an index of any shape. The transpose of ScatterAdd."""

    reads = ()
    label = "IndexBackward0"
    index: Index

    def forward(self, table: Array) -> Array:
        self.table_shape = table.shape
        index = self.__dict__.pop("index")
        self.save(index)
        return backend.gather(table, array_of(index))

    def backward(self, g: Tensor) -> Sequence[Tensor | Patch]:
        return (rows_at(g, self.saved[0], self.table_shape),)


def rows_at(g: Tensor, index: Index, shape: Sequence[int]) -> Tensor | Patch:
    """The gradient of a table (V, ...) of which rows were looked up: the scatter-add of g, or g's rows with their ids."""
    to = (array_of(index).size, *shape[1:])
    if mode.recording or not backend.keeps_rows(g.array):
        return scatter_add_rows(Reshape.apply(g, to=to), flat(index), shape[0])
    return RowSparse(array_of(index).reshape(-1), g.array.reshape(to), shape)


class ScatterAdd(Op):
    """out[index[i]] += y[i] over `rows` rows of zeros, for y (N, ...) and index (N,). The transpose of Gather."""

    reads = ()
    fresh = True
    label = "IndexPutBackward0"
    index: Index
    rows: int

    def forward(self, y: Array) -> Array:
        index = self.__dict__.pop("index")
        self.save(index)
        return backend.scatter_add(y, array_of(index), self.rows)

    def backward(self, g: Tensor) -> Sequence[Tensor]:
        return (Gather.apply(g, index=self.saved[0]),)


class AddAt(Op):
    """z = x, to which y[i] is added at index[i] in the order of i, for x (V,), y (N,), index (N,); gx = g, gy = g[index]"""

    reads = ((), ())
    index: Array

    def forward(self, x: Array, y: Array) -> Array:
        index = self.__dict__.pop("index")
        self.save(index)
        return backend.add_at(x, y, index)

    def backward(self, g: Tensor) -> Sequence[Tensor | None]:
        return g, Gather.apply(g, index=self.saved[0]) if self.needs(1) else None


def gather_rows(table: Tensor, index: Index, name: str = "index", from_end: bool = True) -> Tensor:
    """table[index], rows of a (V, ...) table for an integer array of any shape; from_end lets -1 mean the last row.

    Raises:
        IndexError: an id is out of range; the message says which, where, and how many are.
    """
    return Gather.apply(table, index=checked(index, table.array.shape, name, from_end))


def scatter_add_rows(y: Tensor, index: Index, rows: int) -> Tensor:
    """(rows, ...) zeros to which row i of y (N, ...) was added at index[i], in the order of i."""
    return ScatterAdd.apply(y, index=index, rows=rows)


def checked(index: Index, shape: Sequence[int], name: str, from_end: bool, kind: type[Exception] = IndexError) -> Index:
    """The ids, if all name one of the table's rows 0..V-1; negative ones counted from the front, in a new array.

    Raises:
        TypeError: they are not integers.
        IndexError, or another kind: some are out of range; if they are only known on a GPU, at the next copy to the host.
    """
    rows, ids = shape[0], array_of(index)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{name}: ids must be integers, got {ids.dtype} (shape {tuple(ids.shape)})")
    low = -rows if from_end else 0
    known = check_range(index, low, rows, lambda host: kind(_out_of_range(host, shape, name, from_end)))
    if not from_end or ids.dtype.kind == "u" or (known is not None and known[0] >= 0):
        return ids.astype(np.int64) if ids.dtype == np.uint64 else index  # NumPy mixes uint64 and int64 to float64
    ids = ids.astype(np.int64)  # -1 + 1000 does not fit into int8
    return namespace(ids).where(ids < 0, ids + rows, ids)


def check_range(index: Index, low: int, high: int, error: Callable[[np.ndarray], Exception]) -> tuple[int, int] | None:
    """Raise error(ids) unless all ids lie in [low, high): now, or later where they are only known on a GPU.

    Returns:
        the smallest and the largest id, or None where they are not known yet.
    """
    ids = array_of(index)
    if not ids.size:
        return 0, 0
    known = index.extent() if isinstance(index, Tensor) else backend.extent(ids)
    if known is not None and low <= known[0] and known[1] < high:
        return known
    if known is None and low < high:
        backend.check_later(ids, low, high, error)
        return None
    host = backend.to_numpy(ids)  # of a view only the whole's extent is known, within which its own lies
    smallest, largest = int(host.min()), int(host.max())
    if smallest < low or largest >= high:
        raise error(host)
    return smallest, largest


def _out_of_range(index: np.ndarray, shape: Sequence[int], name: str, from_end: bool) -> str:
    rows = shape[0]
    bad = np.argwhere((index >= rows) | (index < (-rows if from_end else 0)))
    first = tuple(bad[0].tolist())
    where = f"[{', '.join(map(str, first))}]" if first else ""
    count = f"{len(bad)} of {index.size} ids {'is' if len(bad) == 1 else 'are'} out of range" + (
        f"; first: {where}" if where else ""
    )
    if from_end:
        allowed = f"0..{rows - 1}, or -{rows}..-1 from the end" if rows else "nothing"
        return f"{name}{where} = {index[first]} is out of bounds for an axis of size {rows}, which takes {allowed}. {count}."
    table = f"rows 0..{rows - 1}" if rows else "no rows"
    hint = "Is vocab_size smaller than the tokenizer's n_vocab?"
    if index[first] < 0:
        hint = "Negative ids do not count from the end here; for padding use padding_idx (in an embedding) or ignore_index (in a loss)."
    return f"{name}: ids{where} = {index[first]}, but the table has {table} (shape {tuple(shape)}). {count}. {hint}"


def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of x along dim that a 1-d integer index names (torch.index_select)."""
    if index.ndim > 1:
        raise IndexError(f"index_select(): Index is supposed to be a vector, but got {index.ndim} dimensions")
    if index.array.dtype.kind not in "iu":
        raise RuntimeError(f"index_select(): Expected dtype int32 or int64 for index, got {index.dtype}")
    namespace(x.array, index.array)
    axis = axis_of(x, dim, "index_select")
    ids = Reshape.apply(index, to=(index.numel(),))
    return named("IndexSelect", _along(x, axis, lambda table: gather_rows(table, ids, "index_select", from_end=False)))


def _along(x: Tensor, axis: int, f: Any) -> Tensor:
    """f on x with `axis` in front, and the axis put back."""
    if axis == 0:
        return f(x)
    front = (axis, *(i for i in range(x.ndim) if i != axis))
    y = f(Permute.apply(x, dims=front))
    return Permute.apply(y, dims=tuple(front.index(i) for i in range(x.ndim)))


# -------------------------------------------------------------------------------------------------- one element per position


def _flat_index(index: Array, axis: int, shape: Sequence[int]) -> Array:
    """Where in the flattened x (of that shape) the elements x[..., index[...], ...] lie."""
    xp = namespace(index)
    strides = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * shape[i + 1]
    flat = index.astype(np.int64) * strides[axis]
    for i, n in enumerate(index.shape):
        if i != axis:
            flat = flat + (xp.arange(n) * strides[i]).reshape([-1 if k == i else 1 for k in range(len(shape))])
    return flat


def _check_along(name: str, x: Tensor, axis: int, index: Tensor) -> Array:
    namespace(x.array, index.array)
    if index.array.dtype.kind not in "iu":
        raise RuntimeError(f"{name}(): Expected dtype int64 for index, got {index.dtype}")
    if index.ndim != x.ndim:
        raise RuntimeError(
            f"{name}(): Index tensor must have the same number of dimensions as input tensor, got {index.ndim} and {x.ndim}"
        )
    for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)):
        if i != axis and n > m:
            raise RuntimeError(
                f"{name}(): Size does not match at dimension {i} expected index {list(index.shape)} to be no larger than "
                f"self {list(x.shape)} apart from dimension {axis}"
            )
    n = x.array.shape[axis]

    def out_of_bounds(ids: np.ndarray) -> RuntimeError:
        bad = ids[(ids < 0) | (ids >= n)].reshape(-1)[0]
        return RuntimeError(f"index {int(bad)} is out of bounds for dimension {axis} with size {n} ({name})")

    check_range(index, 0, n, out_of_bounds)
    return index.array


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """y[i][j][k] = x[i][index[i][j][k]][k] for dim = 1, and so on; y has index's shape (torch.gather).

    Raises:
        RuntimeError: index is not integer, has another number of dimensions, is larger elsewhere, or out of bounds.
    """
    if x.ndim == 0:
        return reshape_like(gather(unsqueeze(x, 0), 0, Reshape.apply(index, to=(index.numel(),))), index)
    axis = axis_of(x, dim, "gather")
    if x.ndim == 1 and index.ndim == 0:
        return Reshape.apply(gather(x, 0, Reshape.apply(index, to=(1,))), to=())
    ids = _check_along("gather", x, axis, index)
    return named("Gather", Gather.apply(Reshape.apply(x, to=(x.numel(),)), index=_flat_index(ids, axis, x.array.shape)))


def reshape_like(x: Tensor, other: Tensor) -> Tensor:
    return Reshape.apply(x, to=other.array.shape)


def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """gather, where indices broadcast to x except along dim; without dim, from the flattened x (torch.take_along_dim)."""
    if dim is None:
        return gather(Reshape.apply(x, to=(x.numel(),)), 0, Reshape.apply(indices, to=(indices.numel(),)))
    axis = axis_of(x, dim, "take_along_dim")
    if indices.ndim != x.ndim:
        raise RuntimeError(
            f"take_along_dim(): input and indices should have the same number of dimensions, got {x.ndim} and {indices.ndim}"
        )
    to = tuple(indices.array.shape[i] if i == axis else n for i, n in enumerate(x.array.shape))
    return gather(x, axis, broadcast_to(indices, to))


def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """x plus src, each element added at x[i][index[i][j][k]][k] for dim = 1, and so on (torch.scatter_add)."""
    axis = axis_of(x, dim, "scatter_add")
    ids = _check_along("scatter_add", x, axis, index)
    if src.ndim != index.ndim:
        raise IndexError(f"scatter_add(): index has {index.ndim} dimensions and src {src.ndim}: they must be the same")
    if src.array.dtype != x.array.dtype:
        raise RuntimeError(
            f"scatter_add(): Expected self.dtype to be equal to src.dtype, got {x.dtype} and {src.dtype}"
        )
    if any(n > m for n, m in zip(ids.shape, src.shape, strict=True)):
        raise RuntimeError(
            f"scatter_add(): Expected index {list(index.shape)} to be no larger than src {list(src.shape)}"
        )
    flat = _flat_index(ids, axis, x.array.shape).reshape(-1)
    part = Slice.apply(src, key=tuple(slice(0, n) for n in ids.shape))
    y = AddAt.apply(Reshape.apply(x, to=(x.numel(),)), Reshape.apply(part, to=(flat.size,)), index=flat)
    return named("ScatterAdd", Reshape.apply(y, to=x.array.shape))


# ------------------------------------------------------------------------------------------------------------- x[...]


def getitem(x: Tensor, key: Any) -> Tensor:
    """x[key]: integers, slices, None and ... give a view; integer and bool tensors give a copy (NumPy's rules).

    Raises:
        IndexError: out of range, too many indices, a mask of another shape.
        TypeError: an index of another type.
    """
    y = _read(x, *_parse(x, key))
    return named("Alias", y) if key is Ellipsis else y


def _read(x: Tensor, basic: tuple[Any, ...], advanced: dict[int, Index]) -> Tensor:
    y = x
    if any(k != slice(None) for k in basic):
        y = _label(Slice.apply(x, key=basic), basic)
    if not advanced:
        return y if y is not x else named("Slice", Slice.apply(x, key=(slice(None),) * x.ndim))
    return named("Index", _getitem_advanced(y, advanced))


def _label(y: Tensor, basic: tuple[Any, ...]) -> Tensor:
    """The name torch gives to the last step of such a lookup."""
    last = next(k for k in reversed(basic) if k != slice(None))
    return named("Select" if isinstance(last, int) else "Unsqueeze" if last is None else "Slice", y)


def _getitem_advanced(x: Tensor, advanced: dict[int, Index]) -> Tensor:
    """x indexed by integer arrays on some of its axes: those axes in front and flattened to one, it is a gather of rows."""
    axes = list(advanced)
    rest = [i for i in range(x.ndim) if i not in advanced]
    sizes = [x.array.shape[i] for i in axes]
    indices = [checked(a, (n,), "index", True) for a, n in zip(advanced.values(), sizes, strict=True)]
    if len(axes) > 1:  # combined where x is; a list came from the host
        indices = [backend.asarray(array_of(a), like=x.array) for a in indices]
    shape = _index_shape([tuple(a.shape) for a in indices])
    rows, count = indices[-1], sizes[-1]
    for a, n in zip(reversed(indices[:-1]), reversed(sizes[:-1]), strict=True):  # the row of the table so far flattened
        rows = array_of(a).astype(np.int64) * count + array_of(rows)
        count *= n
    table = x if axes == list(range(len(axes))) else Permute.apply(x, dims=(*axes, *rest))
    if len(axes) > 1:
        table = Reshape.apply(table, to=(count, *(x.array.shape[i] for i in rest)))
    y = Gather.apply(table, index=rows)
    if axes[-1] - axes[0] + 1 == len(axes) and axes[0] > 0:
        # adjacent indices: the result's new axes stand where the indexed ones stood, otherwise in front
        new, before = list(range(len(shape))), [len(shape) + i for i in range(axes[0])]
        y = Permute.apply(y, dims=(*before, *new, *range(len(shape) + axes[0], y.ndim)))
    return y


def _index_shape(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    try:
        return broadcast_shapes("index", *shapes)
    except RuntimeError:
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from None


def _parse(x: Tensor, key: Any) -> tuple[tuple[Any, ...], dict[int, Index]]:
    """The basic part of an index (ints, slices, None), and integer arrays by the axis of what the basic part leaves."""
    keys = list(key) if isinstance(key, tuple) else [key]
    sizes = x.array.shape
    if 0 < len(keys) <= len(sizes) and all(type(k) is int and -n <= k < n for k, n in zip(keys, sizes, strict=False)):
        return tuple(keys), {}  # the common case needs no more than this
    keys = [_plain(k) for k in keys]
    used = sum(k.ndim if _is_mask(k) else 0 if k is None or k is Ellipsis else 1 for k in keys)
    if used > x.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}: got {used}")
    if sum(k is Ellipsis for k in keys) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if not any(k is Ellipsis for k in keys):
        keys.append(Ellipsis)
    at = next(i for i, k in enumerate(keys) if k is Ellipsis)
    keys[at : at + 1] = [slice(None)] * (x.ndim - used)
    basic: list[Any] = []
    advanced: dict[int, Index] = {}
    axis = out = 0  # the axis of x, and of what the basic part leaves of it
    for k in keys:
        if k is None:
            basic.append(None)
            out += 1
        elif _is_mask(k) and k.ndim == 0:  # it picks from a new axis of one
            basic.append(None)
            advanced[out] = namespace(x.array).zeros(int(k), np.int64)
            out += 1
        elif _is_mask(k):
            k = array_of(k)
            if k.shape != x.array.shape[axis : axis + k.ndim]:
                raise IndexError(
                    f"The shape of the mask {list(k.shape)} at index {axis} does not match the shape of the indexed tensor {list(x.shape)}"
                )
            for positions in namespace(k).nonzero(k):
                basic.append(slice(None))
                advanced[out] = positions
                axis, out = axis + 1, out + 1
        elif isinstance(k, Tensor):
            basic.append(slice(None))
            advanced[out] = k
            axis, out = axis + 1, out + 1
        elif isinstance(k, slice):
            if (k.step or 1) < 0:
                raise ValueError("step must be greater than zero: use flip for a reversed order")
            basic.append(k)
            axis, out = axis + 1, out + 1
        else:
            n = x.array.shape[axis]
            if not -n <= k < n:
                raise IndexError(f"index {k} is out of bounds for dimension {axis} with size {n}")
            basic.append(k)
            axis += 1
    return tuple(basic), advanced


def _is_mask(k: Any) -> bool:
    return isinstance(k, Tensor) and k.array.dtype == bool


def _plain(k: Any) -> Any:
    """One index as an int, a slice of ints, None, ..., or a tensor; a bool is a mask of no dimensions."""
    if backend.is_array(k):
        k = wrap(k)
    elif isinstance(k, list | range):
        array = np.asarray([e.item() if isinstance(e, Tensor) else e for e in k])
        k = wrap(array if array.size else array.astype(np.int64))
    elif isinstance(k, bool):
        k = wrap(np.asarray(k))
    if isinstance(k, slice):
        return slice(*(None if e is None else int(e) for e in (k.start, k.stop, k.step)))
    if k is None or k is Ellipsis:
        return k
    if isinstance(k, Tensor):
        if k.array.dtype.kind not in "iub":
            raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, got {k.dtype}")
        return int(k.item()) if k.ndim == 0 and k.array.dtype != bool else k
    if hasattr(k, "__index__"):
        return int(k.__index__())
    raise (TypeError if isinstance(k, str) else IndexError)(
        f"only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {type(k).__name__})"
    )


@quiet
def _assign(x: Array, basic: tuple[Any, ...], advanced: dict[int, Index], value: Any) -> None:
    """x[key] = value, for a parsed key. Integers act before index arrays do, as in torch (NumPy would mix them)."""
    if not advanced:
        x[basic] = value
        return
    part = x[basic]
    arrays = {axis: array_of(checked(a, part.shape[axis : axis + 1], "index", True)) for axis, a in advanced.items()}
    part[tuple(arrays.get(axis, slice(None)) for axis in range(part.ndim))] = value


class SetItem(Op):
    """x with value at [key]; gx = g with zeros at [key], gvalue = g[key]"""

    reads = ((), ())
    label = "CopySlices"
    key: tuple[tuple[Any, ...], dict[int, Index]]

    def forward(self, x: Array, value: Array) -> Array:
        basic, advanced = key = self.__dict__.pop("key")
        self.save(key, *advanced.values())  # the index tensors apart, so that a change of one is noticed
        y = x.copy(order="K")
        _assign(y, basic, advanced, value)
        return y

    def backward(self, g: Tensor) -> Sequence[Tensor | None]:
        key = self.saved[0]
        zeros = wrap(namespace(g.array).zeros((), dtype=g.array.dtype))
        gx = SetItem.apply(g, zeros, key=key) if self.needs(0) else None
        return gx, _read(g, *key) if self.needs(1) else None


def _labelled(y: Tensor, what: str) -> Tensor:
    """With the grad_fn that torch shows after x[...] = value, copy_, fill_, normal_ and so on."""
    if y.op is None:
        return y
    if what.endswith("_"):
        y.op.label = {"copy_": "CopyBackwards", "fill_": "FillBackward2"}.get(what, f"{what[:-1].title()}Backward0")
    elif y.op.saved[0][1]:
        y.op.label = "IndexPutBackward0"
    return y


def _just_changed(x: Tensor, key: tuple[tuple[Any, ...], dict[int, Index]], value: Tensor) -> bool:
    """True for the second half of x[key] += 1, which Python runs as `part = x[key]; part += 1; x[key] = part`.

    The change of `part` has made x's history stale, but only where x[key] = part is about to replace it: allowed if it
    was the only change, and of that very memory.
    """
    basic, advanced = key
    version = x._version
    if version is None or advanced or value._version is not version:
        return False
    part = x.array[(*basic, ...)]
    there = part.shape == value.array.shape and part.strides == value.array.strides
    return there and value._epoch == version.rewrites == x._epoch + 1 and wrap(part).data_ptr() == value.data_ptr()


def setitem(x: Tensor, key: Any, value: Operand, what: str = "x[...] = value") -> None:
    """x[key] = value, in place: in x's memory, and on the tape where gradients are recorded.

    Raises:
        IndexError: as x[key].
        RuntimeError: value does not broadcast to x[key]; x is a leaf that requires grad; x is read-only.
    """
    parsed = _parse(x, key)
    if isinstance(value, Tensor) and _just_changed(x, parsed, value):
        x._epoch = value._epoch
    old = x.before_write(what)
    if not isinstance(value, Tensor | int | float | np.generic):
        raise TypeError(f"{what}: can't assign a {type(value).__name__} to a tensor of {x.dtype}")
    if isinstance(value, Tensor):
        target = _read(x.detach(), *parsed).array.shape
        while value.ndim > len(target) and value.array.shape[0] == 1:  # torch lets leading ones go
            value = Reshape.apply(value, to=value.array.shape[1:])
        if broadcast_shapes(what, value.array.shape, target) != target:
            raise RuntimeError(
                f"{what}: shape mismatch: value of shape {tuple(value.shape)} cannot be broadcast to {target}"
            )
        if mode.recording and (x.requires_grad or value.requires_grad):
            value = broadcast_to(cast(value, x.array.dtype), target)
            x.rewrite(_labelled(SetItem.apply(old, value, key=parsed), what), old, what)
            return
        value = value.array
    else:
        value = fitting(value, x.array.dtype)
    if mode.recording and x.requires_grad:
        constant = wrap(backend.asarray(value, dtype=x.array.dtype, like=x.array))
        x.rewrite(_labelled(SetItem.apply(old, constant, key=parsed), what), old, what)
        return
    _assign(x.writable(what), *parsed, value)
    x.written()


def nonzero(x: Tensor, as_tuple: bool = False) -> Any:
    """The int64 positions of nonzero elements: (count, ndim), or one tensor per dimension (torch.nonzero)."""
    if not isinstance(x, Tensor):
        raise TypeError(f"nonzero: expected a Tensor, got {type(x).__name__}")
    xp = namespace(x.array)
    positions = xp.nonzero(x.array.reshape(-1) if x.ndim == 0 else x.array)
    if as_tuple:
        return tuple(wrap(p) for p in positions)
    return wrap(xp.stack(positions, axis=1)[:, : x.ndim])
