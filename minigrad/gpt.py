"""GPT: a transformer that predicts the next token (Radford et al., 2018 and 2019), and how text is generated with it.

ids (B, T) -> token + position vectors (B, T, D) -> blocks of attention and MLP -> logits (B, T, V)
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import nn
from .checkpoint import load
from .grad_mode import mode, no_grad
from .nn import functional as F
from .nn.positions import KINDS, Positions, build, check_place
from .ops.creation import empty, multinomial
from .ops.reduction import argmax, equal
from .ops.selection import masked_fill
from .ops.shape import cat
from .ops.sorting import topk
from .random import Generator
from .tensor import Tensor


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a GPT; the defaults are GPT-2's with 124 million parameters.

    Args:
        positions: how it is told the order of tokens: a name of `nn.positions.KINDS`.
        position_options: what else that kind takes, say {"scaling": "ntk", "factor": 4.0} for RoPE.

    Raises:
        ValueError: a size below 1, an emb_dim that is not a multiple of n_heads, or no such positions.
    """

    vocab_size: int = 50257
    context_length: int = 1024
    emb_dim: int = 768
    n_heads: int = 12
    n_layers: int = 12
    drop_rate: float = 0.1
    qkv_bias: bool = True
    positions: str = "learned"
    position_options: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.positions not in KINDS:
            raise ValueError(f"there are no positions {self.positions!r}; there are {', '.join(KINDS)}")
        for name in ("context_length", "emb_dim", "n_heads", "n_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.emb_dim % self.n_heads:
            raise ValueError(f"emb_dim {self.emb_dim} is not a multiple of n_heads {self.n_heads}")


def positions_of(config: GPTConfig, n_layers: int) -> tuple[Positions, list[Positions]]:
    """What such a model adds to its embeddings, and what each attention layer uses."""
    sizes = config.context_length, config.emb_dim, config.n_heads
    return build(config.positions, config.position_options, n_layers, *sizes)


class KVCache:
    """The keys and values of the tokens so far, layer by layer: what attention needs of them again for the next token.

    Each is a buffer (B, heads, context_length, head_dim), filled up to `length`.
    """

    def __init__(self, config: GPTConfig) -> None:
        self.config = config
        self.length = 0
        self._layers: list[tuple[Tensor, Tensor]] = []

    def extended(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's keys and values with those of T more tokens (B, heads, T, head_dim) behind them."""
        if layer == len(self._layers):
            batch, heads, _, dim = keys.shape
            shape = (batch, heads, self.config.context_length, dim)
            empty_cache = empty(2, *shape, dtype=keys.dtype, device=keys.device)
            self._layers.append((empty_cache[0], empty_cache[1]))
        held, (batch, heads, _, dim) = self._layers[layer][0], keys.shape
        if (batch, heads, dim, keys.dtype) != (*held.shape[:2], held.shape[3], held.dtype):
            raise ValueError(
                f"KVCache: holds {held.dtype} of shape {tuple(held.shape)}, which {keys.dtype} of shape {tuple(keys.shape)} do not "
                f"continue: one cache goes with one model and one batch of texts"
            )
        end = self.length + keys.shape[2]
        if end > self.config.context_length:
            raise ValueError(
                f"KVCache: {end} tokens, and there is room for context_length {self.config.context_length}"
            )
        for buffer, new in zip(self._layers[layer], (keys, values), strict=True):
            buffer[:, :, self.length : end] = new
        all_keys, all_values = self._layers[layer]
        return all_keys[:, :, :end], all_values[:, :, :end]


class CausalSelfAttention(nn.Module):
    """Every token looks at itself and those before it (Vaswani et al., 2017): (B, T, D) to (B, T, D).

    Args:
        positions: how it is told where tokens stand, say RoPE(...); by default as config says.
    """

    def __init__(self, config: GPTConfig, layer: int, positions: Positions | None = None) -> None:
        super().__init__()
        self.layer, self.n_heads, self.drop_rate = layer, config.n_heads, config.drop_rate
        self.qkv = nn.Linear(config.emb_dim, 3 * config.emb_dim, bias=config.qkv_bias)
        self.positions = positions_of(config, 1)[1][0] if positions is None else positions
        check_place("CausalSelfAttention", self.positions, acts_on_embeddings=False)
        self.projection = nn.Linear(config.emb_dim, config.emb_dim)
        self.dropout = nn.Dropout(config.drop_rate)

    def queries_keys_values(self, x: Tensor, start: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Of tokens x (B, T, D), the first at position `start`: (B, heads, T, head_dim) each, q and k already rotated."""
        batch, length, dim = x.shape
        heads = self.qkv(x).view(batch, length, 3, self.n_heads, dim // self.n_heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind()
        return self.positions.rotate(q, start), self.positions.rotate(k, start), v

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        q, k, v = self.queries_keys_values(x, 0 if cache is None else cache.length)
        if cache is not None:
            k, v = cache.extended(self.layer, k, v)
        y = self.positions.attend(q, k, v, dropout_p=self.drop_rate if self.training else 0.0)
        y = y.transpose(1, 2).reshape(x.shape)
        return self.dropout(self.projection(y))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): (B, T, D) to (B, T, D)."""

    def __init__(self, config: GPTConfig, layer: int, positions: Positions | None = None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.emb_dim)
        self.attention = CausalSelfAttention(config, layer, positions)
        self.norm2 = nn.LayerNorm(config.emb_dim)
        self.mlp = nn.Sequential(
            nn.Linear(config.emb_dim, 4 * config.emb_dim),
            nn.GELU(approximate="tanh"),
            nn.Linear(4 * config.emb_dim, config.emb_dim),
            nn.Dropout(config.drop_rate),
        )

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        x = x + self.attention(self.norm1(x), cache)
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """The model. The table that turns ids into vectors also turns vectors into logits (Press and Wolf, 2017).

    Weights are drawn as GPT-2's were: normal with standard deviation 0.02, smaller where a block adds to its input.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        added, in_layers = positions_of(config, config.n_layers)
        self.embedding = nn.TokenAndPositionEmbedding(
            config.vocab_size, config.context_length, config.emb_dim, position=added
        )
        self.dropout = nn.Dropout(config.drop_rate)
        self.blocks = nn.ModuleList(Block(config, layer, each) for layer, each in enumerate(in_layers))
        self.norm = nn.LayerNorm(config.emb_dim)
        self.apply(self._draw)
        for name, p in self.blocks.named_parameters():
            if name.endswith(("projection.weight", "mlp.2.weight")):  # the last of each branch
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * config.n_layers))

    @staticmethod
    def _draw(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, ids: Tensor, cache: KVCache | None = None) -> Tensor:
        """Logits (B, T, V) for the token after each of ids (B, T).

        Where positions have no table, a pass without a cache may be longer than context_length.

        Args:
            cache: holds the tokens before these, and afterwards these too. For use under no_grad.

        Raises:
            ValueError: ids is not (B, T), or more tokens than the context_length of learned positions or of the cache.
            RuntimeError: a cache where gradients are recorded.
            IndexError: an id outside the vocabulary.
        """
        if ids.ndim != 2:
            raise ValueError(f"GPT: ids must be (B, T), got shape {tuple(ids.shape)}; for one text: ids[None]")
        if cache is not None and mode.recording:
            raise RuntimeError(
                "GPT: a cache is for generation, without gradients: call the model under torch.no_grad()"
            )
        x = self.dropout(self.embedding(ids, start=0 if cache is None else cache.length))
        for block in self.blocks:
            x = block(x, cache)
        if cache is not None:
            cache.length += ids.shape[1]
        return F.linear(self.norm(x), self.embedding.token.weight)

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy, in nats a token, of targets (B, T) after ids (B, T)."""
        return F.cross_entropy(self(ids).flatten(0, 1), targets.flatten())

    def stream(
        self,
        ids: Tensor,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_k: int | None = None,
        use_cache: bool = True,
        generator: Generator | None = None,
    ) -> Iterator[Tensor]:
        """The tokens that follow ids (B, T), one by one, each (B, 1) int64. The model should be in eval mode.

        Beyond context_length the oldest tokens are forgotten, and every token takes a full pass: a cache has seen what is forgotten.

        Args:
            temperature: 0 takes the most likely token; 1 draws from the model's probabilities, less keeps closer to the likely.
            top_k: draw among the k most likely.
            use_cache: keep keys and values instead of computing them again. The tokens are the same.

        Raises:
            ValueError: ids is empty or not (B, T), a negative temperature, or a top_k below 1.
        """
        if ids.ndim != 2 or ids.shape[1] == 0:
            raise ValueError(
                f"generate: ids must be (B, T) with at least one token to go on from, got {tuple(ids.shape)}"
            )
        if not temperature >= 0:
            raise ValueError(f"generate: temperature must be 0 (the most likely token) or more, got {temperature}")
        if top_k is not None and top_k < 1:
            raise ValueError(f"generate: top_k must be at least 1, got {top_k}")
        return self._stream(
            ids, max_new_tokens, temperature, top_k, KVCache(self.config) if use_cache else None, generator
        )

    def _stream(
        self,
        ids: Tensor,
        max_new_tokens: int,
        temperature: float,
        top_k: int | None,
        cache: KVCache | None,
        generator: Generator | None,
    ) -> Iterator[Tensor]:
        context = self.config.context_length
        for _ in range(max_new_tokens):
            if ids.shape[1] > context:
                cache = None  # what it holds was computed with the forgotten tokens, and at other positions
            with no_grad():
                logits = self(ids[:, -context:]) if cache is None else self(ids[:, cache.length :], cache)
                following = _choose(logits[:, -1], temperature, top_k, generator)
            ids = cat([ids, following], dim=1)
            yield following

    def generate(
        self,
        ids: Tensor,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_k: int | None = None,
        use_cache: bool = True,
        generator: Generator | None = None,
    ) -> Tensor:
        """ids (B, T) and the max_new_tokens that follow: (B, T + max_new_tokens). Arguments as in `stream`."""
        return cat([ids, *self.stream(ids, max_new_tokens, temperature, top_k, use_cache, generator)], dim=1)


def _choose(logits: Tensor, temperature: float, top_k: int | None, generator: Generator | None) -> Tensor:
    """One token (B, 1) for every row of logits (B, V)."""
    if temperature == 0:
        return argmax(logits, -1, keepdim=True)
    if top_k is not None:
        least = topk(logits, min(top_k, logits.shape[-1])).values[:, -1:]
        logits = masked_fill(logits, logits < least, -math.inf)
    return multinomial(F.softmax(logits / temperature, dim=-1), 1, generator=generator)


# -------------------------------------------------------------------------------------------------------- GPT-2's weights

GPT2_NAMES = {
    r"wte": "embedding.token",
    r"wpe": "embedding.position",
    r"h\.(\d+)\.ln_1": r"blocks.\1.norm1",
    r"h\.(\d+)\.attn\.c_attn": r"blocks.\1.attention.qkv",
    r"h\.(\d+)\.attn\.c_proj": r"blocks.\1.attention.projection",
    r"h\.(\d+)\.ln_2": r"blocks.\1.norm2",
    r"h\.(\d+)\.mlp\.c_fc": r"blocks.\1.mlp.0",
    r"h\.(\d+)\.mlp\.c_proj": r"blocks.\1.mlp.2",
    r"ln_f": "norm",
}
"""The published names of GPT-2's layers, and ours."""


def load_gpt2(path: str | os.PathLike[str], n_heads: int | None = None, drop_rate: float = 0.1) -> GPT:
    """GPT-2 with its published weights, from a local safetensors file ("model.safetensors" of gpt2, gpt2-medium, ...).

    Args:
        path: the file, or the directory it is in. Nothing is downloaded.
        n_heads: the one size that weights do not show; by default emb_dim / 64, which holds for every published GPT-2.
        drop_rate: for training on; `model.eval()` switches dropout off.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the names or shapes are not GPT-2's; all of them are listed.
        RuntimeError: not a safetensors file, or a damaged one.
    """
    file = Path(path)
    file = file / "model.safetensors" if file.is_dir() else file
    published = load(file)
    if not isinstance(published, dict):
        raise ValueError(f"{file} holds a {type(published).__name__}, not GPT-2's weights by name")
    state, unknown = {}, []
    for name, tensor in published.items():
        name = name.removeprefix("transformer.")
        layer, _, kind = name.rpartition(".")
        ours = [re.sub(theirs, to, layer) for theirs, to in GPT2_NAMES.items() if re.fullmatch(theirs, layer)]
        if ours and kind in ("weight", "bias"):
            linear = kind == "weight" and tensor.ndim == 2 and layer.startswith("h.")
            state[f"{ours[0]}.{kind}"] = tensor.t() if linear else tensor  # published as (in, out)
        elif name != "lm_head.weight" and not re.fullmatch(r"h\.\d+\.attn\.(masked_)?bias", name):  # the masks
            unknown.append(name)
    token, position = state.get("embedding.token.weight"), state.get("embedding.position.weight")
    if unknown or token is None or position is None or token.ndim != 2:
        raise ValueError(
            f"{file} does not hold GPT-2's weights: unknown names {unknown or 'none'}, found {sorted(state)}"
        )
    if not equal(published.get("lm_head.weight", token), token):
        raise ValueError(f"{file}: lm_head.weight is not wte.weight: these weights are not tied, as GPT-2's are")
    vocab_size, emb_dim = token.shape
    n_layers = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    config = GPTConfig(vocab_size, len(position), emb_dim, n_heads or max(emb_dim // 64, 1), n_layers, drop_rate)
    model = GPT(config)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{file} does not hold GPT-2's weights: {error}") from None
    return model
