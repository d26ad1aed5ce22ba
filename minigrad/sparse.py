"""Gradients that are zero outside some part of their tensor.

The gradient of a lookup in a table is rows; the gradient of a slice is a patch. Neither is blown up to the size of the
tensor before somebody needs it: the engine adds patches into one buffer, and a leaf that only ever received rows keeps
rows, so that a step with a table of 50,257 rows costs what the rows in use cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import backend, printing
from .backend import Array
from .core import Patch
from .dtypes import Size, default_float, device, dtype, ours
from .tensor import Tensor, wrap


class SlicePatch(Patch):
    """The gradient g of x[key], as a gradient of x. `key` is a basic index: integers and slices."""

    def __init__(self, key: tuple[Any, ...], g: Tensor, shape: Sequence[int]):
        self.key, self.g, self.shape = key, g, tuple(shape)

    def add_into(self, buffer: Array) -> None:
        buffer[self.key] += self.g.array

    def owned(self) -> Patch:
        return SlicePatch(self.key, self.g.clone(), self.shape)

    def to_dense(self) -> Tensor:
        xp = backend.namespace(self.g.array)
        out = xp.zeros(self.shape, dtype=self.g.array.dtype)
        out[self.key] = self.g.array
        return wrap(out)


class RowSparse(Patch):
    """The gradient of a (V, ...) table of which only some rows were looked up: rows[i] belongs to row index[i].

    Ids may repeat; what they mean is the sum. Shows itself as torch's sparse_coo tensors do.

    Attributes:
        index: (N,) integers in [0, V).
        rows: (N, ...) the gradient's rows.
        shape: the table's.
        visible: `.grad` shows it as it is (Embedding(sparse=True)), not as a dense tensor.
    """

    stays = True
    is_sparse = True
    requires_grad = False

    def __init__(self, index: Array, rows: Array, shape: Sequence[int], visible: bool = False, unique: bool = False):
        self.index, self.rows, self.shape = index, rows, Size(shape)
        self.visible = visible
        self.unique = unique  # no id repeats

    @property
    def dtype(self) -> dtype:
        return ours(self.rows.dtype)

    @property
    def device(self) -> device:
        return backend.device_of(self.rows)

    def summed(self) -> RowSparse:
        """The same gradient with each id once, ids ascending."""
        if self.unique:
            return self
        index, rows = backend.coalesce(self.index, self.rows, self.shape[0])
        return RowSparse(index, rows, self.shape, self.visible, unique=True)

    def owned(self) -> RowSparse:
        if self.unique or self.visible:
            return RowSparse(self.index.copy(), self.rows.copy(), self.shape, self.visible, self.unique)
        return self.summed()

    def add_into(self, buffer: Array) -> None:
        g = self.summed()
        backend.add_to_rows(buffer, g.index, g.rows)

    def to_dense(self) -> Tensor:
        g = self.summed()
        out = backend.namespace(g.rows).zeros(self.shape, dtype=g.rows.dtype)
        out[g.index] = g.rows
        return wrap(out)

    def merge(self, other: Patch) -> Patch | None:
        """Rows and rows are rows. Each side is summed first, so that the result equals adding the two dense gradients."""
        if not isinstance(other, RowSparse):
            return None
        visible = self.visible and other.visible
        a, b = (self, other) if visible else (self.summed(), other.summed())
        xp = backend.namespace(a.rows, b.rows)
        return RowSparse(xp.concatenate([a.index, b.index]), xp.concatenate([a.rows, b.rows]), self.shape, visible)

    # ---- as torch's sparse tensors

    def coalesce(self) -> RowSparse:
        """The same gradient with each id once, ids ascending (torch.Tensor.coalesce)."""
        return self.summed()

    def is_coalesced(self) -> bool:
        return self.unique or len(self.index) < 2

    def indices(self) -> Tensor:
        """(1, N) int64: the rows' ids."""
        return wrap(self.index.astype(np.int64)[None, :])

    _indices = indices

    def values(self) -> Tensor:
        """(N, ...): the rows."""
        return wrap(self.rows)

    _values = values

    def _nnz(self) -> int:
        return len(self.index)

    def to(self, *, device: Any = None, dtype: Any = None) -> RowSparse:
        """The same rows elsewhere, or of another dtype."""
        rows = wrap(self.rows).to(device=device, dtype=dtype)
        return RowSparse(wrap(self.index).to(device=device).array, rows.array, self.shape, self.visible, self.unique)

    def zero_(self) -> RowSparse:
        """Forget all rows."""
        self.index, self.rows, self.unique = self.index[:0], self.rows[:0], True
        return self

    def detach_(self) -> RowSparse:
        return self

    def requires_grad_(self, requires_grad: bool = False) -> RowSparse:
        return self

    def __repr__(self) -> str:
        index, rows = backend.to_numpy(self.index).astype(np.int64), backend.to_numpy(self.rows)
        return printing.sparse_repr(
            index[None, :], rows, tuple(self.shape), device=str(self.device), default_dtype=default_float()
        )
