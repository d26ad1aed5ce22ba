"""Layers as functions: what a module computes, given its parameters (torch.nn.functional)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend, fused
from ..backend import Array, keeps_rows, namespace
from ..core import Patch
from ..fused import (
    attention,
    batch_norm,
    cross_entropy,
    gelu,
    group_norm,
    layer_norm,
    log_softmax,
    nll_loss,
    rms_norm,
    softmax,
)
from ..grad_mode import mode, no_grad
from ..ops import elementwise
from ..ops.activation import (
    celu,
    elu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    into,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu6,
    selu,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from ..ops.arrange import padded
from ..ops.creation import empty_like, ones_like, zeros_like
from ..ops.einsum import einsum
from ..ops.elementwise import sigmoid, tanh
from ..ops.indexing import Gather, array_of, checked, flat, getitem, index_select, scatter_add, scatter_add_rows
from ..ops.linalg import Linear, matmul
from ..ops.reduction import argmax, norm, sum
from ..ops.reduction import max as largest
from ..ops.selection import clamp, masked_fill
from ..ops.shape import Reshape, broadcast_shapes, broadcast_to, matrix_transpose, named
from ..sparse import RowSparse
from ..tensor import Tensor, wrap
from .convolution import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    conv1d,
    conv2d,
    fold,
    max_pool1d,
    max_pool2d,
    unfold,
)
from .losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from .margins import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_soft_margin_loss,
    pairwise_distance,
    soft_margin_loss,
    triplet_margin_loss,
)

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
        if mode.recording or not (self.sparse or keeps_rows(g.array)):
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


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows of each bag of ids: a gather, then a scatter-add (torch.nn.functional.embedding_bag).

    Args:
        input: ids, (B, L) for B bags of L, or (N,) for bags one after the other, where `offsets` (B,) says where each begins.
        weight: (V, D) table.
        mode: "sum", "mean" or "max"; 0 for an empty bag.
        per_sample_weights: a factor for each id, of input's shape, for "sum" only.
        include_last_offset: offsets (B + 1,) ends with N.
        padding_idx: an id that counts as absent.
        max_norm, norm_type, scale_grad_by_freq, sparse: as in `embedding` (torch 2.13 divides by another id's frequency).

    Returns:
        (B, D), weight's dtype.

    Raises:
        ValueError: input, offsets and per_sample_weights of shapes that do not fit; an unknown mode, or "max" with sparse
            or scale_grad_by_freq.
        RuntimeError: ids that are no integers or not in the table; offsets that do not rise from 0 to at most N (to N if
            they include the last).
        NotImplementedError: per_sample_weights with another mode than "sum".
    """
    if (
        input.ndim not in (1, 2)
        or (input.ndim == 2) != (offsets is None)
        or (offsets is not None and offsets.ndim != 1)
    ):
        raise ValueError(
            f"embedding_bag: input has to be 2D (B, L), without offsets, or 1D (N,), with 1D offsets, got {input.ndim}D "
            f"and offsets {'None' if offsets is None else f'{offsets.ndim}D'}"
        )
    if weight.ndim != 2:
        raise ValueError(f"embedding_bag: weight has to be a 2D Tensor (rows, dim), got shape {tuple(weight.shape)}")
    if mode not in ("sum", "mean", "max") or (mode == "max" and (sparse or scale_grad_by_freq)):
        raise ValueError(
            f"embedding_bag: mode has to be one of sum, mean or max (not sparse, not by freq), got {mode!r}"
        )
    if per_sample_weights is not None:
        if per_sample_weights.array.shape != input.array.shape:
            raise ValueError(
                f"embedding_bag: per_sample_weights {tuple(per_sample_weights.shape)} must have input's shape {tuple(input.shape)}"
            )
        if mode != "sum":
            raise NotImplementedError(
                f"embedding_bag: per_sample_weights is only supported for mode='sum', got {mode!r}"
            )
        if per_sample_weights.array.dtype != weight.array.dtype:
            raise RuntimeError(
                f"embedding_bag: per_sample_weights must be {weight.dtype}, as weight, got {per_sample_weights.dtype}"
            )
    rows, width = weight.array.shape
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise RuntimeError(
            f"embedding_bag: padding_idx must be within the number of embeddings, {-rows} through {rows - 1}, got {padding_idx}"
        )
    try:
        ids = array_of(checked(input, weight.array.shape, "embedding_bag", False, RuntimeError)).reshape(-1)
    except TypeError as error:
        raise RuntimeError(str(error)) from None
    xp = namespace(ids)
    starts = xp.arange(len(input)) * input.array.shape[1] if offsets is None else offsets.array
    bags = len(starts) - include_last_offset
    n = ids.size
    unfit = bags < 0 or (bags == 0 and n > 0)
    if bags > 0:
        last_fits = starts[-1] == n if include_last_offset else starts[-1] <= n
        unfit = starts[0] != 0 or not last_fits or bool((starts[1:] < starts[:-1]).any())
    if unfit:
        raise RuntimeError(
            f"embedding_bag: offsets have to start with 0 and rise to at most {n}, the number of ids, got {offsets}"
        )
    bag = xp.searchsorted(starts[:bags], xp.arange(n), side="right") - 1
    factors = None if per_sample_weights is None else Reshape.apply(per_sample_weights, to=(n, 1))
    if padding_idx is not None:
        kept = xp.flatnonzero(ids != padding_idx % rows)
        ids, bag = ids[kept], bag[kept]
        factors = None if factors is None else Gather.apply(factors, index=kept)
    y = embedding(wrap(ids), weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
    counts = xp.bincount(bag, minlength=bags)
    if mode == "max":  # a grid with a bag on every line, in which the last of y, -inf, is what is missing
        place = xp.arange(ids.size) - (xp.cumsum(counts) - counts)[bag]
        grid = xp.full((bags, 1 + (int(counts.max()) if bags else 0)), ids.size)
        grid[bag, place] = xp.arange(ids.size)
        table = padded(y, [(0, 1), (0, 0)], -math.inf)
        y = masked_fill(largest(Gather.apply(table, index=grid), 1).values, wrap(counts[:, None] == 0), 0)
        return named("EmbeddingBag", y)
    y = scatter_add_rows(y if factors is None else y * factors, bag, bags)
    if mode == "mean":
        y = y / broadcast_to(wrap(xp.maximum(counts, 1).astype(y.array.dtype)[:, None]), (bags, width))
    return named("EmbeddingBag", y)


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
    parameters = [weight] if bias is None else [weight, bias]
    plain = all(isinstance(p, Tensor) and p.array.dtype == input.array.dtype for p in parameters)
    if plain and input.ndim > 1 and weight.ndim == 2 and (bias is None or bias.array.shape == weight.array.shape[:1]):
        y = Linear.apply(input, weight, bias)
        if bias is None:
            return named("Mm" if input.ndim == 2 else "UnsafeView", y)
        return named("Addmm" if input.ndim == 2 else "View" if input.is_contiguous() else "Add", y)
    y = matmul(input, matrix_transpose(weight) if weight.ndim == 2 else weight)
    if bias is None:
        return named("Squeeze", y, variant=4) if input.ndim == 1 else y
    y = y + bias
    if input.ndim == 2 or input.is_contiguous():
        named("Addmm" if input.ndim == 2 else "View", y)
    return y


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """yₖ = x1ᵀ Wₖ x2 + bₖ: (..., I), (..., J), weight (K, I, J), bias (K,) give (..., K) (torch.nn.functional.bilinear).

    Raises:
        RuntimeError: sizes that do not fit.
    """
    sizes = (*input1.array.shape[:-1], weight.array.shape[1]), (*input1.array.shape[:-1], weight.array.shape[2])
    if (input1.array.shape, input2.array.shape) != sizes:
        raise RuntimeError(
            f"bilinear: weight {tuple(weight.shape)} (K, I, J) needs inputs (..., I) and (..., J), got {tuple(input1.shape)} "
            f"and {tuple(input2.shape)}"
        )
    y = einsum("...i,kij,...j->...k", input1, weight, input2)
    return y if bias is None else y + bias


# ------------------------------------------------------------------------------------------------------------ activations


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0) (torch.nn.functional.relu)."""
    return into(input, elementwise.relu, inplace, "relu")


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x σ(x) (torch.nn.functional.silu)."""
    return into(input, fused.silu, inplace, "silu")


def softmin(input: Tensor, dim: int = -1, dtype: Any = None) -> Tensor:
    """softmax of -x along dim (torch.nn.functional.softmin)."""
    return softmax(-input, dim, dtype)


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
    return _dropped(input, input, p, training, inplace)


def _dropped(input: Tensor, mask: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    """dropout with one draw for each element of something shaped like mask, which broadcasts to input."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if p == 0.0 or not training or input.numel() == 0:
        return input
    if not input.is_floating_point():
        raise RuntimeError(f"dropout: input must be floating point, got {input.dtype}: use .float()")
    with no_grad():
        keep = zeros_like(mask) if p == 1.0 else empty_like(mask).bernoulli_(1.0 - p).div_(1.0 - p)
    return input.mul_(keep) if inplace else input * keep


def _dropped_channels(x: Tensor, dims: int, p: float, training: bool, inplace: bool) -> Tensor:
    if x.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(f"dropout{dims}d: Expected {dims + 1}D or {dims + 2}D input, but received a {x.ndim}D input")
    lead = 2 if dims == 2 else x.ndim - dims  # torch takes a 3-D input of dropout2d for (N, C, L)
    mask = getitem(x.detach(), (slice(None),) * lead + (slice(0, 1),) * (x.ndim - lead))
    return _dropped(x, mask.contiguous(), p, training, inplace)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout of whole channels of (N, C, L) or (C, L) (torch.nn.functional.dropout1d; Tompson et al., 2015)."""
    return _dropped_channels(input, 1, p, training, inplace)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout of whole channels of (N, C, H, W), or (N, C, L) (torch.nn.functional.dropout2d)."""
    return _dropped_channels(input, 2, p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout of whole channels of (N, C, D, H, W) or (C, D, H, W) (torch.nn.functional.dropout3d)."""
    return _dropped_channels(input, 3, p, training, inplace)


# ------------------------------------------------------------------------------------------------------------- directions


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(‖x‖ₚ, eps) along dim (torch.nn.functional.normalize), for p = 1, 2 or inf."""
    return input / clamp(norm(input, p, dim, keepdim=True), min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps)) along dim, broadcast (torch.nn.functional.cosine_similarity).

    Raises:
        RuntimeError: integers, or shapes that do not broadcast.
    """
    shape = broadcast_shapes("cosine_similarity", x1.array.shape, x2.array.shape)
    x1, x2 = (broadcast_to(x, shape) for x in (x1, x2))
    return sum(normalize(x1, 2, dim, eps) * normalize(x2, 2, dim, eps), dim)


# ---------------------------------------------------------------------------------------------------------------- padding

_NUMPY_MODE: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """More elements at both ends, or fewer (torch.nn.functional.pad).

    Args:
        pad: (before, after) of the last dimension, then of the one before it, ...; negative numbers cut off.
        mode: "constant" puts `value` (0) there; "reflect", "replicate" and "circular" put elements of input.

    Raises:
        RuntimeError: an odd number of paddings, more than dimensions, or larger than the mode has elements for.
        NotImplementedError: another mode.
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise RuntimeError(
            f"pad: expected a pair for each of at most {input.ndim} dimensions, got {len(pad)} numbers: {tuple(pad)}"
        )
    if mode != "constant" and mode not in _NUMPY_MODE:
        raise NotImplementedError(f"pad: unrecognised padding mode {mode}: use 'constant' or {', '.join(_NUMPY_MODE)}")
    ends = [(pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)]
    if mode == "constant":
        return padded(input, [(0, 0)] * (input.ndim - len(ends)) + ends[::-1], 0 if value is None else value)
    for i, (before, after) in enumerate(ends):
        size = input.array.shape[-1 - i]
        room = {"reflect": size - 1, "circular": size}.get(mode, math.inf)
        if size == 0 or max(before, after) > room:
            raise RuntimeError(
                f"pad: padding ({before}, {after}) is too large for {mode} of dimension {-1 - i}, of size {size}"
            )
        index = np.pad(np.arange(size), (max(before, 0), max(after, 0)), mode=_NUMPY_MODE[mode])
        index = index[max(-before, 0) : len(index) - max(-after, 0)]
        input = index_select(input, -1 - i, wrap(backend.asarray(index, like=input.array)))
    return input


# -------------------------------------------------------------------------------------------------------------- attention


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale q kᵀ + mask) v (torch.nn.functional.scaled_dot_product_attention; Vaswani et al., 2017).

    Args:
        query, key, value: (..., L, E), (..., S, E), (..., S, F); the leading axes broadcast.
        attn_mask: broadcasts to (..., L, S): bools, True where a query sees a key, or floats to add before the softmax.
            A query that sees no key gives 0.
        dropout_p: zero this share of the softmax, always; there is no `training` here.
        is_causal: query i sees the keys 0..i.
        scale: 1/√E if not given.
        enable_gqa: each head of key and value, axis -3, serves several heads of query.

    Returns:
        (..., L, F)

    Raises:
        RuntimeError: dtypes or shapes that do not belong together; attn_mask together with is_causal; dropout_p
            outside [0, 1].
    """
    if not query.array.dtype == key.array.dtype == value.array.dtype:
        raise RuntimeError(
            f"scaled_dot_product_attention: query, key and value must have the same dtype, got {query.dtype}, {key.dtype}, {value.dtype}"
        )
    shapes = [tuple(x.shape) for x in (query, key, value)]
    names = "query {}, key {}, value {}".format(*shapes)
    if min(map(len, shapes)) < 2:
        raise RuntimeError(
            f"scaled_dot_product_attention: all must be at least 2 dimensional (length, width), got {names}"
        )
    if shapes[0][-1] != shapes[1][-1] or shapes[1][-2] != shapes[2][-2]:
        raise RuntimeError(
            f"scaled_dot_product_attention: query and key must be of one width, key and value of one length, got {names}"
        )
    if query.array.dtype.kind != "f":
        raise RuntimeError(f"scaled_dot_product_attention: expected floating point, got {query.dtype}")
    if not 0.0 <= dropout_p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p}")
    if attn_mask is not None and is_causal:
        raise RuntimeError("scaled_dot_product_attention: pass attn_mask or is_causal=True, not both")
    if enable_gqa:
        key, value = (_repeated_heads(x, query) for x in (key, value))
    lead = broadcast_shapes("scaled_dot_product_attention", *(x.array.shape[:-2] for x in (query, key, value)))
    query, key, value = (broadcast_to(x, (*lead, *x.array.shape[-2:])) for x in (query, key, value))
    weights = (*lead, query.array.shape[-2], key.array.shape[-2])
    xp = namespace(query.array)
    hidden, bias = None, None
    if is_causal:
        hidden = ~xp.tri(*weights[-2:], dtype=bool)
    elif attn_mask is not None and attn_mask.array.dtype == bool:
        broadcast_shapes("scaled_dot_product_attention with attn_mask", weights, attn_mask.array.shape)
        hidden = ~attn_mask.array
    elif attn_mask is not None:
        if attn_mask.array.dtype != query.array.dtype:
            raise RuntimeError(
                f"scaled_dot_product_attention: attn_mask must be of dtype bool or query's {query.dtype}, got {attn_mask.dtype}"
            )
        broadcast_shapes("scaled_dot_product_attention with attn_mask", weights, attn_mask.array.shape)
        bias = broadcast_to(attn_mask, weights)
    keep = dropout(wrap(xp.ones(weights, dtype=query.array.dtype)), dropout_p).array if dropout_p else None
    scale = 1 / math.sqrt(max(query.array.shape[-1], 1)) if scale is None else scale
    return attention(query, key, value, bias, scale=scale, hidden=hidden, keep=keep)


def _repeated_heads(x: Tensor, query: Tensor) -> Tensor:
    heads, of_query = x.array.shape[-3], query.array.shape[-3]
    if of_query % heads:
        raise RuntimeError(
            f"scaled_dot_product_attention: the {heads} heads of key and value must divide the query's {of_query}"
        )
    lead, (n, d) = x.array.shape[:-2], x.array.shape[-2:]
    repeated = broadcast_to(Reshape.apply(x, to=(*lead, 1, n, d)), (*lead, of_query // heads, n, d))
    return Reshape.apply(repeated, to=(*lead[:-1], of_query, n, d))


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A random class as a softmax that can be differentiated (torch.nn.functional.gumbel_softmax; Jang et al., 2017).

    softmax((logits - ln E) / tau), with E exponential numbers, torch's for the same seed.

    Args:
        hard: give a one-hot vector, with the gradient of the soft one.
        eps: of no effect, as in torch.
    """
    noise = empty_like(logits.detach()).exponential_()
    y = softmax((logits - noise.log()) / tau, dim)
    if not hard:
        return y
    best = argmax(y.detach(), dim, keepdim=True)
    chosen = scatter_add(y.detach() * 0, dim, best, ones_like(best).to(y.dtype))
    return chosen - y.detach() + y


__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "embedding",
    "embedding_bag",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "unfold",
]
