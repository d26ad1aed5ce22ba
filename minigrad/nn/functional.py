"""Layers as functions: what a module computes, given its parameters (torch.nn.functional)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import backend
from ..backend import Array, namespace
from ..core import Patch
from ..fused import cross_entropy, log_softmax, nll_loss, softmax
from ..grad_mode import mode, no_grad
from ..ops.creation import empty_like, zeros_like
from ..ops.elementwise import relu, sigmoid, tanh
from ..ops.indexing import Gather, array_of, checked, flat, scatter_add_rows
from ..ops.linalg import matmul
from ..ops.reduction import mean, sum
from ..ops.selection import masked_fill
from ..ops.shape import Reshape, broadcast_to, matrix_transpose, named
from ..sparse import RowSparse
from ..tensor import Tensor, wrap

# ------------------------------------------------------------------------------------------------------------- embedding


class Embedding(Gather):
    """y[i] = table[ids[i]]; the table's gradient is rows: g[i], where ids[i] is not padding, over how often ids[i] occurs if asked."""

    label = "EmbeddingBackward0"
    padding: int | None
    by_frequency: bool
    sparse: bool

    def backward(self, g: Tensor) -> Sequence[Tensor | Patch]:
        (index,), width = self.saved, self.table_shape[1:]
        ids = array_of(index).reshape(-1)
        rows = Reshape.apply(g, to=(ids.size, *width))
        if self.by_frequency:
            counts = namespace(rows.array).bincount(ids)[ids].reshape(-1, *(1,) * len(width))
            rows = rows * broadcast_to(wrap((1 / counts).astype(rows.array.dtype)), rows.array.shape)
        if mode.recording:
            if self.padding is not None:
                padding = wrap((ids == self.padding).reshape(-1, *(1,) * len(width)))
                rows = masked_fill(rows, padding, 0)
            return (scatter_add_rows(rows, flat(index), self.table_shape[0]),)
        keep = slice(None) if self.padding is None else ids != self.padding
        return (RowSparse(ids[keep], rows.array[keep], self.table_shape, visible=self.sparse),)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of a table, by id (torch.nn.functional.embedding).

    Args:
        input: integer ids of any shape (...), of any integer width.
        weight: (V, D) table.
        padding_idx: the row that receives no gradient; -1 is the last.
        max_norm: rows longer than this are first scaled down to it, in the table itself.
        norm_type: p of the p-norm for max_norm.
        scale_grad_by_freq: divide each id's gradient by how often it occurs in input.
        sparse: show weight.grad as rows instead of a dense tensor.

    Returns:
        (..., D), weight's dtype.

    Raises:
        IndexError: an id outside 0..V-1: which, where, how many. Negative ids do not count from the end.
        TypeError: ids that are not integers.
        AssertionError: padding_idx outside the table.
    """
    if not isinstance(input, Tensor):
        raise TypeError(
            f"embedding: ids must be a Tensor of integers, got {type(input).__name__}; wrap them: tensor({input!r:.40})"
        )
    if not isinstance(weight, Tensor):
        raise TypeError(f"embedding: weight must be a Tensor (rows, dim), got {type(weight).__name__}")
    if weight.ndim != 2:
        raise RuntimeError(f"embedding: 'weight' must be 2-D (rows, dim), got shape {tuple(weight.shape)}")
    namespace(weight.array, input.array)
    rows = weight.array.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise AssertionError(
                f"embedding: padding_idx must be within num_embeddings: {padding_idx} is not in [{-rows}, {rows})"
            )
        padding_idx %= rows
    ids = checked(input, weight.array.shape, "embedding", from_end=False)
    if max_norm is not None:
        _renormalize(weight, array_of(ids), max_norm, norm_type)
    return Embedding.apply(weight, index=ids, padding=padding_idx, by_frequency=scale_grad_by_freq, sparse=sparse)


@no_grad()
def _renormalize(weight: Tensor, ids: Array, max_norm: float, p: float) -> None:
    """Scale the rows in use that are longer than max_norm down to it, in place (torch.embedding_renorm_)."""
    xp = namespace(weight.array)
    used = xp.asarray(np.unique(backend.to_numpy(ids)))
    table = weight.writable("embedding with max_norm")
    rows = table[used]
    norms = xp.linalg.norm(rows, ord=p, axis=1, keepdims=True)
    factor = xp.where(norms > max_norm, max_norm / (norms + 1e-7), 1).astype(rows.dtype)
    if bool((factor != 1).any()):
        table[used] = rows * factor
        weight.written()


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 rows with a 1 at the id and 0 elsewhere: (...) ids give (..., num_classes) (torch.nn.functional.one_hot).

    Args:
        num_classes: -1 for one more than the largest id.

    Raises:
        RuntimeError: negative ids, or ids not below num_classes, or empty ids with num_classes unknown.
    """
    ids = tensor.array
    if ids.dtype.kind not in "iu":
        raise RuntimeError(f"one_hot is only applicable to index tensors of type LongTensor, got {tensor.dtype}")
    if ids.size == 0 and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor: pass num_classes")
    if ids.size and int(ids.min()) < 0:
        raise RuntimeError(f"Class values must be non-negative: the smallest is {int(ids.min())}")
    if num_classes == -1:
        num_classes = int(ids.max()) + 1
    elif ids.size and num_classes <= int(ids.max()):
        raise RuntimeError(
            f"Class values must be smaller than num_classes: the largest is {int(ids.max())}, num_classes is {num_classes}"
        )
    return wrap((ids[..., None] == namespace(ids).arange(num_classes)).astype(np.int64))


# ----------------------------------------------------------------------------------------------------------------- linear


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b: input (..., in), weight (out, in), bias (out,) give (..., out) (torch.nn.functional.linear).

    Raises:
        RuntimeError: input's last size is not `in`, or the dtypes differ.
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"linear: input must be a Tensor, got {type(input).__name__}")
    if weight.ndim == 2 and input.ndim and input.array.shape[-1] != weight.array.shape[1]:
        raise RuntimeError(
            f"linear: input {tuple(input.shape)} and weight {tuple(weight.shape)}: mat1 and mat2 shapes cannot be multiplied, "
            f"the last size of the input is {input.array.shape[-1]} and in_features is {weight.array.shape[1]}"
        )
    y = matmul(input, matrix_transpose(weight) if weight.ndim == 2 else weight)
    if bias is None:
        return named("Squeeze", y, variant=4) if input.ndim == 1 else y
    y = y + bias
    if input.ndim == 2 or input.is_contiguous():
        named("Addmm" if input.ndim == 2 else "View", y)
    return y


# ---------------------------------------------------------------------------------------------------------------- dropout


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability p and divide the others by 1 - p (torch.nn.functional.dropout; Srivastava et al., 2014).

    Draws 53-bit uniforms from the default stream, one for each element in memory order; nothing where nothing can change.

    Args:
        training: False returns input as it is.
        inplace: change input itself.

    Raises:
        ValueError: p outside [0, 1].
        RuntimeError: input is not floating point.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if p == 0.0 or not training or input.numel() == 0:
        return input
    if not input.is_floating_point():
        raise RuntimeError(f"dropout: input must be floating point, got {input.dtype}: use .float()")
    with no_grad():
        keep = zeros_like(input) if p == 1.0 else empty_like(input).bernoulli_(1.0 - p).div_(1.0 - p)
    return input.mul_(keep) if inplace else input * keep


# ------------------------------------------------------------------------------------------------------------------- loss


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared difference, averaged, summed, or as it is (torch.nn.functional.mse_loss)."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    difference = input - target
    squares = difference * difference
    return named("MseLoss", squares if reduction == "none" else mean(squares) if reduction == "mean" else sum(squares))


__all__ = [
    "cross_entropy",
    "dropout",
    "embedding",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]
