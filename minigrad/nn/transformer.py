"""Attention with several heads, and the blocks of a Transformer around it (Vaswani et al., 2017)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, ClassVar

from ..ops.creation import empty, full, zeros
from ..ops.elementwise import add
from ..ops.linalg import matmul
from ..ops.reduction import mean
from ..ops.selection import masked_fill, triu
from ..ops.shape import chunk, permute, reshape, split, transpose, unsqueeze
from ..tensor import Tensor
from . import functional as F
from . import init
from .containers import ModuleList
from .layers import Dropout, LayerNorm, Linear
from .module import Module, Parameter


class NonDynamicallyQuantizableLinear(Linear):
    """Linear, under the name that torch prints for the last layer of attention."""


class MultiheadAttention(Module):
    """softmax(q kᵀ / √d) v for each of several heads, between linear layers (torch.nn.MultiheadAttention).

    Args:
        embed_dim: the width of the queries and of the result; a multiple of num_heads.
        dropout: in training, this share of the softmax is zeroed.
        bias: whether the linear layers have one.
        kdim, vdim: the widths of keys and values, if not embed_dim.
        batch_first: (N, L, E) instead of (L, N, E).

    Raises:
        AssertionError: embed_dim is no multiple of num_heads.
        NotImplementedError: add_bias_kv or add_zero_attn.
    """

    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(f"embed_dim and num_heads must be greater than 0, got {embed_dim} and {num_heads}")
        super().__init__()
        if add_bias_kv or add_zero_attn:
            raise NotImplementedError("MultiheadAttention: add_bias_kv and add_zero_attn are not supported")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError(f"embed_dim must be divisible by num_heads, got {embed_dim} and {num_heads}")
        options: Any = {"device": device, "dtype": dtype}
        widths = (embed_dim, self.kdim, self.vdim)
        together = set(widths) == {embed_dim}
        for name, width in zip("qkv", widths, strict=True):
            self.register_parameter(
                f"{name}_proj_weight", None if together else Parameter(empty(embed_dim, width, **options))
            )
        self.register_parameter(
            "in_proj_weight", Parameter(empty(3 * embed_dim, embed_dim, **options)) if together else None
        )
        self.register_parameter("in_proj_bias", Parameter(empty(3 * embed_dim, **options)) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, **options)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in self._in_weights():
            init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)

    def _in_weights(self) -> list[Any]:
        if self.in_proj_weight is not None:
            return [self.in_proj_weight]
        return [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]

    def _projected(self, xs: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
        biases = [None] * 3 if self.in_proj_bias is None else chunk(self.in_proj_bias, 3)
        if self.in_proj_weight is None:
            return [F.linear(x, w, b) for x, w, b in zip(xs, self._in_weights(), biases, strict=True)]
        if xs[0] is xs[1] is xs[2]:
            return list(split(F.linear(xs[0], self.in_proj_weight, self.in_proj_bias), self.embed_dim, -1))
        return [F.linear(x, w, b) for x, w, b in zip(xs, chunk(self.in_proj_weight, 3), biases, strict=True)]

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """What the queries collect, (L, N, E), and the softmax, (N, L, S).

        Args:
            query, key, value: (L, N, E), (S, N, kdim), (S, N, vdim), or without N; (N, L, E), ... if batch_first.
            key_padding_mask: (N, S), True for keys that nobody sees, or floats that are added to the scores.
            need_weights: if False, the second result is None.
            attn_mask: (L, S) or (N heads, L, S), True for keys that a query does not see (the opposite of
                scaled_dot_product_attention's), or floats that are added to the scores.
            average_attn_weights: the softmax as the mean over the heads, else (N, heads, L, S).
            is_causal: a hint that attn_mask is causal, which must be given all the same.
        """
        if is_causal and attn_mask is None:
            raise RuntimeError("MultiheadAttention: is_causal is a hint only, attn_mask must be given too")
        batched, xs = query.ndim == 3, (query, key, value)
        self_attention = query is key is value
        if not batched:
            xs = tuple(unsqueeze(x, 0) for x in xs)  # type: ignore[assignment]
            key_padding_mask = None if key_padding_mask is None else unsqueeze(key_padding_mask, 0)
        elif not self.batch_first:
            xs = tuple(transpose(x, 0, 1) for x in xs)  # type: ignore[assignment]
        q, k, v = (self._heads(x) for x in self._projected((xs[0],) * 3 if self_attention else xs))
        mask = self._mask(attn_mask, key_padding_mask, q)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = matmul(q * math.sqrt(1 / self.head_dim), transpose(k, -2, -1))
            weights = F.dropout(F.softmax(scores if mask is None else scores + mask, -1), dropout)
            y = matmul(weights, v)
            weights = mean(weights, 1) if average_attn_weights else weights
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask, dropout)
        # (L, N, E) in memory, as in torch: a dropout of the result draws in that order
        y = self.out_proj(reshape(permute(y, 2, 0, 1, 3), y.shape[2], y.shape[0], self.embed_dim))
        if not batched:
            return y[:, 0], weights if weights is None else weights[0]
        return (transpose(y, 0, 1) if self.batch_first else y), weights

    def _heads(self, x: Tensor) -> Tensor:
        """(N, L, E) as (N, heads, L, E / heads)."""
        return transpose(reshape(x, x.shape[0], x.shape[1], self.num_heads, self.head_dim), 1, 2)

    def _mask(self, attn_mask: Tensor | None, padding: Tensor | None, q: Tensor) -> Tensor | None:
        """Both masks as floats that are added to the scores (N, heads, L, S)."""
        if attn_mask is not None:
            attn_mask = _as_bias(attn_mask, q)
            if attn_mask.ndim == 3:
                attn_mask = reshape(attn_mask, -1, self.num_heads, *attn_mask.shape[1:])
        if padding is None:
            return attn_mask
        padding = _as_bias(padding, q)[:, None, None, :]
        return padding if attn_mask is None else add(attn_mask, padding)


def _as_bias(mask: Tensor, like: Tensor) -> Tensor:
    """A mask in which True hides, as floats: -∞ hides. Floats stay as they are."""
    if mask.array.dtype != bool:
        return mask
    return masked_fill(zeros(mask.shape, dtype=like.dtype, device=like.device), mask, float("-inf"))


Activation = str | Callable[[Tensor], Tensor]


class _Layer(Module):
    """What encoder and decoder layers have in common: attention, then two linear layers, each added to its input."""

    _attentions: ClassVar[tuple[str, ...]] = ("self_attn",)
    self_attn: MultiheadAttention
    multihead_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        options: Any = {"device": device, "dtype": dtype}
        for name in self._attentions:
            made = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **options)
            self.add_module(name, made)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **options)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **options)
        self.norm_first = norm_first
        parts = range(1, len(self._attentions) + 2)
        for i in parts:
            self.add_module(f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **options))
        for i in parts:
            self.add_module(f"dropout{i}", Dropout(dropout))
        by_name: dict[Any, Any] = {"relu": F.relu, "gelu": F.gelu}
        if isinstance(activation, str) and activation not in by_name:
            raise RuntimeError(f"activation should be relu/gelu, not {activation}")
        self.activation = by_name.get(activation, activation)

    def _added(self, x: Tensor, i: int, part: Callable[[Tensor], Tensor]) -> Tensor:
        """x + part(norm(x)), or norm(x + part(x))."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + dropout(part(norm(x)))
        return norm(x + dropout(part(x)))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention and two linear layers, each with dropout, added to its input and normalised (torch.nn.TransformerEncoderLayer).

    Args:
        d_model, nhead: width, and heads of attention.
        dim_feedforward: width between the two linear layers.
        activation: "relu", "gelu" or a function.
        norm_first: normalise the input of each part, as GPT-2 does, instead of the result.
    """

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x,
                x,
                x,
                attn_mask=src_mask,
                key_padding_mask=src_key_padding_mask,
                need_weights=False,
                is_causal=is_causal,
            )[0]

        return self._added(self._added(src, 1, attend), 2, self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to `memory`, and two linear layers (torch.nn.TransformerDecoderLayer); arguments as the encoder's."""

    _attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self.self_attn(
                x, x, x, attn_mask=tgt_mask, key_padding_mask=tgt_key_padding_mask, need_weights=False
            )[0]

        def look_up(x: Tensor) -> Tensor:
            return self.multihead_attn(
                x, memory, memory, attn_mask=memory_mask, key_padding_mask=memory_key_padding_mask, need_weights=False
            )[0]

        return self._added(self._added(self._added(tgt, 1, attend), 2, look_up), 3, self._feed_forward)


class _Stack(Module):
    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None):
        super().__init__()
        self.layers = ModuleList(copy.deepcopy(layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.norm = norm

    def _run(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        for layer in self.layers:
            x = layer(x, *args, **kwargs)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """Copies of an encoder layer, one after the other, and a norm (torch.nn.TransformerEncoder)."""

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ):
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        return self._run(src, mask, src_key_padding_mask)


class TransformerDecoder(_Stack):
    """Copies of a decoder layer, one after the other, and a norm (torch.nn.TransformerDecoder)."""

    def forward(self, tgt: Tensor, memory: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._run(tgt, memory, *args, **kwargs)


class Transformer(Module):
    """An encoder of src, and a decoder of tgt that looks at what it gives (torch.nn.Transformer).

    Args:
        d_model, nhead, dim_feedforward, dropout, activation, norm_first: as in the layers.
        num_encoder_layers, num_decoder_layers: how many copies of each layer; a norm follows the last.
        custom_encoder, custom_decoder: modules to use instead.

    Raises:
        RuntimeError: in forward: src and tgt of different batches, or not of width d_model.
    """

    encoder: Module
    decoder: Module

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        options: Any = {"bias": bias, "device": device, "dtype": dtype}
        sizes = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)
        if custom_encoder is None:
            layer: Module = TransformerEncoderLayer(*sizes, **options)
            custom_encoder = TransformerEncoder(
                layer, num_encoder_layers, LayerNorm(d_model, layer_norm_eps, **options)
            )
        self.encoder = custom_encoder
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*sizes, **options)
            custom_decoder = TransformerDecoder(
                layer, num_decoder_layers, LayerNorm(d_model, layer_norm_eps, **options)
            )
        self.decoder = custom_decoder
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """What the decoder makes of tgt (T, N, E) and src (S, N, E), (T, N, E); (N, T, E), ... if batch_first."""
        batch = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[batch] != tgt.shape[batch]:
            raise RuntimeError(f"Transformer: the batch number of src {src.shape} and tgt {tgt.shape} must be equal")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError(
                f"Transformer: the feature number of src {src.shape} and tgt {tgt.shape} must be d_model {self.d_model}"
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The mask (sz, sz) with which no position sees a later one: -∞ above the diagonal, 0 elsewhere."""
        return triu(full((sz, sz), float("-inf"), device=device, dtype=dtype), 1)
