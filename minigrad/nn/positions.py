"""How a transformer is told the order of its tokens. Without this, attention sees a bag of words.

A kind of positions is a module that comes in through one of these doors:

    embed(x)        adds to the token vectors       LearnedPositions, SinusoidalPositions
    rotate(x)       turns queries and keys          RoPE
    bias(q, k)      adds to the scores              ALiBi, T5Bias, ShawPositions, TransformerXLPositions
    attend(q, k, v) adds to what is collected, too  ShawPositions with values

An attention layer calls `rotate` for its queries and keys, and then `attend`, which is attention with that bias:

    q, k = positions.rotate(q, start), positions.rotate(k, start)
    y = positions.attend(q, k, v)  # with is_causal=False, each sees all

Whatever is relative is a row for every distance first, (L + S, ...), column c for keys c - S positions after the query, and
`relative_shift` brings the rows to their places.

Tables of angles are computed in float64 on the host and rounded once. Published implementations round the angle itself to
float32, and at position p are off by about p / 2²⁴ of a radian.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import lru_cache
from inspect import signature
from typing import Any, ClassVar

import numpy as np

from ..dtypes import int64, uint8
from ..ops.creation import arange, empty, ones, tensor
from ..ops.linalg import matmul
from ..ops.positions import LAYOUTS, gather_and_add, relative_shift, relative_unshift, rotate
from ..ops.selection import masked_fill, tril
from ..ops.shape import broadcast_to, matrix_transpose
from ..tensor import Tensor
from . import functional as F
from . import init
from .embedding import Embedding, only_looks_up
from .layers import Linear
from .module import Module, Parameter


def _constant(make: Callable[..., np.ndarray], like: Tensor, *how: Any, dtype: Any = None) -> Tensor:
    """What `make` computes on the host, on the device and with the dtype of another tensor. For reading only.

    The layers of a model ask for the same again and again: it is computed and brought to the device once. The last few are kept.
    """
    return _cached(make, dtype or like.dtype, like.device, *how)


@lru_cache(maxsize=16)
def _cached(make: Callable[..., np.ndarray], dtype: Any, device: Any, *how: Any) -> Tensor:
    return tensor(make(*how), dtype=dtype, device=device)


class Positions(Module):
    """No positions at all, which causal attention can live with (Kazemnejad et al., 2023), and the interface of all kinds.

    In what follows the L queries are at the last of S positions, and the S keys at all of them; L = S without a cache.
    """

    acts_on_embeddings = False
    """Added to the token vectors, once; attention layers need none of it."""
    per_layer = False
    """Has weights of its own in every layer, where it was published."""

    def embed(self, x: Tensor, start: int = 0) -> Tensor:
        """Token vectors x (..., T, D), the first of which is at position `start`, with their positions."""
        return x

    def rotate(self, x: Tensor, start: int = 0) -> Tensor:
        """Queries or keys x (B, heads, T, head_dim), the first of which are at position `start`, with their positions."""
        return x

    def bias(self, q: Tensor, k: Tensor) -> Tensor | None:
        """What is added to the scores of queries (B, heads, L, d) and keys (B, heads, S, d): broadcasts to (B, heads, L, S)."""
        return None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0, is_causal: bool = True) -> Tensor:
        """softmax(q kᵀ / √d + bias) v, (B, heads, L, d).

        Args:
            q: (B, heads, L, d), already rotated.
            k, v: (B, heads, S, d), the keys already rotated.
            dropout_p: zero this share of the softmax.
            is_causal: a query sees no key at a later position.

        Raises:
            ValueError: more queries than keys, if is_causal.
        """
        return F.scaled_dot_product_attention(q, k, v, self._mask(q, k, is_causal), dropout_p)

    def _mask(self, q: Tensor, k: Tensor, is_causal: bool) -> Tensor | None:
        """The bias, and what is hidden as -∞; or True for what is seen."""
        bias, (length, keys) = self.bias(q, k), (q.shape[-2], k.shape[-2])
        if not is_causal or length == 1 <= keys:  # the last position sees all
            return bias
        if length > keys:
            raise ValueError(
                f"attend: {length} queries at the last of {keys} positions: there are more queries than keys. If each may see "
                f"all keys, pass is_causal=False"
            )
        seen = tril(ones(length, keys, dtype=bool, device=q.device), keys - length)
        return seen if bias is None else masked_fill(bias, ~seen, -math.inf)


def check_place(where: str, positions: Positions, acts_on_embeddings: bool) -> None:
    """Raise unless these positions, or none, are told there: elsewhere they would be ignored without a word."""
    if not isinstance(positions, Positions):
        raise TypeError(f"{where}: positions must be a module of nn.positions, say RoPE(...), got {positions!r}")
    if type(positions) is not Positions and positions.acts_on_embeddings != acts_on_embeddings:
        there = "told in attention" if acts_on_embeddings else "added to the embeddings, by TokenAndPositionEmbedding"
        raise ValueError(f"{where}: {type(positions).__name__} is {there}, and would be ignored here")


def _spelled(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


class _Described(Positions):
    """Positions that a state dict tells of, so that weights trained with others are refused."""

    told: ClassVar[tuple[str, ...]]
    """The attributes that weights depend on and do not show by their shape."""

    def extra_repr(self) -> str:
        return _spelled(self._description())

    def _description(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.told}

    def get_extra_state(self) -> Tensor:
        """The kind, its layout and what else the weights depend on: JSON as bytes in a tensor."""
        note = {"positions": type(self).__name__, **self._description()}
        return tensor(np.frombuffer(json.dumps(note, default=np.generic.item).encode(), np.uint8), device="cpu")

    def set_extra_state(self, state: Any) -> None:
        """Compare with what the weights were trained with.

        Raises:
            RuntimeError: that was something else.
        """
        try:
            then = json.loads(state.cpu().to(uint8).numpy().tobytes())  # a dict's tensors may all have been cast
            kind = then.pop("positions")
        except (AttributeError, TypeError, KeyError, ValueError):
            raise RuntimeError(
                f"{type(self).__name__}: these weights do not say which positions they were trained with"
            ) from None
        if (kind, then) != (type(self).__name__, self._description()):
            raise RuntimeError(
                f"these weights were trained with {kind}({_spelled(then)}), and this model has "
                f"{type(self).__name__}({_spelled(self._description())}), where they would give nonsense: build it with the "
                f"positions of the weights"
            )


# ------------------------------------------------------------------------------------------------- added to the embeddings


def _length(x: Tensor) -> int:
    """T of token vectors (..., T, D)."""
    if not x.is_floating_point():
        raise TypeError(f"positions are added to token vectors, got {x.dtype}: look ids up in an Embedding first")
    if x.ndim < 2:
        raise ValueError(f"positions are added to token vectors (..., T, D), got shape {tuple(x.shape)}")
    return x.shape[-2]


def add_positions(x: Tensor, positions: Tensor) -> Tensor:
    """x (..., T, D) + positions (T, D), broadcast over the batch.

    Raises:
        ValueError: positions is not (T, D) with x's own T and D, say laid along the batch axis.
    """
    if x.ndim < 2 or tuple(positions.shape) != tuple(x.shape[-2:]):
        raise ValueError(
            f"positions are added along the sequence: x (..., T, D) and positions (T, D), got {tuple(x.shape)} and "
            f"{tuple(positions.shape)}; the batch takes no part"
        )
    return x + positions


class LearnedPositions(Embedding, Positions):
    """A vector for every position, learned like the tokens' (GPT): row t of a table (context_length, D) is added to token t.

    Its gradient is the sum over the batch.
    """

    acts_on_embeddings = True

    def __init__(self, context_length: int, dim: int, device: Any = None, dtype: Any = None) -> None:
        super().__init__(context_length, dim, device=device, dtype=dtype)

    def embed(self, x: Tensor, start: int = 0) -> Tensor:
        """x (..., T, D) plus rows start .. start + T - 1.

        Raises:
            ValueError: a sequence that ends beyond context_length, or x of another width.
            TypeError: x is not floating point, say ids.
        """
        length = start + _length(x)
        self.check_length(length)
        return add_positions(x, self(arange(start, length, device=x.device)))

    def check_length(self, length: int) -> None:
        """Raise ValueError for a sequence that ends beyond context_length."""
        if length > (context := self.num_embeddings):
            raise ValueError(
                f"sequence length {length} > context_length {context} (the position table has {context} rows); "
                f"crop the input or build a bigger table"
            )


SINUSOID_LAYOUTS = ("interleaved", "halves", "tensor2tensor")


def sinusoids(positions: Any, dim: int, layout: str, base: float = 10000.0) -> np.ndarray:
    """sin and cos of position × frequency, the frequencies falling from 1 to about 1 / base: (T, dim) float64.

    Args:
        positions: T numbers.
        dim: how many columns; an odd one is handled as the layout's origin does.
        layout: "interleaved": column 2i is the sine and 2i + 1 the cosine of p / base^(2i / dim) (Vaswani et al., 2017).
            "halves": the same columns, first all sines and then all cosines (Marian, XLNet).
            "tensor2tensor": halves, of p / base^(i / (dim/2 - 1)), and a column of zeros if dim is odd (tensor2tensor,
            M2M100). Up to 0.75 away from the paper's, in a model of 512 dimensions: weights do not go from one to the other.

    Raises:
        ValueError: another layout, a base that is not positive, or dim below 1 (below 4 for tensor2tensor, which would divide by zero).
    """
    if layout not in SINUSOID_LAYOUTS:
        raise ValueError(f"sinusoids: layout must be 'interleaved', 'halves' or 'tensor2tensor', got {layout!r}")
    if not 0 < base < math.inf:
        raise ValueError(f"sinusoids: base must be above 0 and finite, got {base}")
    if dim < (least := 4 if layout == "tensor2tensor" else 1):
        raise ValueError(f"sinusoids: layout {layout!r} needs at least {least} dimensions, got {dim}")
    half = dim // 2 if layout == "tensor2tensor" else (dim + 1) // 2
    steps = np.arange(half) / (half - 1 if layout == "tensor2tensor" else dim / 2)
    angles = np.asarray(positions, dtype=np.float64)[:, None] * base**-steps
    sines, cosines = slice(half), slice(half, 2 * half)
    if layout == "interleaved":
        sines, cosines = slice(0, None, 2), slice(1, None, 2)
    table = np.zeros((len(angles), dim))
    table[:, sines] = np.sin(angles)
    table[:, cosines] = np.cos(angles)[:, : dim // 2]
    return table


class SinusoidalPositions(_Described):
    """sin and cos of every position, added to the token vectors; nothing is learned (Vaswani et al., 2017, section 3.5).

    A step of k positions is a rotation of every pair (sin, cos), the same wherever it begins.

    Args:
        dim: the width of the token vectors.
        layout: "interleaved" (the paper), "halves" or "tensor2tensor": see `sinusoids`. There is no default.
        base: the slowest frequency is about 1 / base.
        scale: the table times this.
    """

    acts_on_embeddings = True
    told = "layout", "base", "scale"

    def __init__(self, dim: int, *, layout: str, base: float = 10000.0, scale: float = 1.0) -> None:
        super().__init__()
        sinusoids([], dim, layout, base)  # says what is wrong now
        self.dim, self.layout, self.base, self.scale = dim, layout, base, scale

    def embed(self, x: Tensor, start: int = 0) -> Tensor:
        """x (..., T, dim) plus the sinusoids of positions start .. start + T - 1.

        Raises:
            ValueError: x is not (..., T, dim).
            TypeError: x is not floating point, say ids.
        """
        span = range(start, start + _length(x))
        return add_positions(x, _constant(sinusoids, x, span, self.dim, self.layout, self.base) * self.scale)


class TokenAndPositionEmbedding(Module):
    """Token vectors plus position vectors, as GPT's input: ids (B, T) or (T,) give (B, T, dim) or (T, dim).

    Args:
        vocab_size: rows of the token table.
        context_length: rows of the position table: the longest sequence.
        dim: length of both tables' rows.
        position: what to add instead of learned vectors, say SinusoidalPositions; Positions() for nothing. Then context_length
            is of no effect.

    Raises:
        ValueError: positions that are told in attention, say RoPE.
    """

    position: Positions

    def __init__(
        self,
        vocab_size: int,
        context_length: int,
        dim: int,
        device: Any = None,
        dtype: Any = None,
        position: Positions | None = None,
    ) -> None:
        super().__init__()
        self.token = Embedding(vocab_size, dim, device=device, dtype=dtype)
        if position is None:
            position = LearnedPositions(context_length, dim, device=device, dtype=dtype)
        check_place("TokenAndPositionEmbedding", position, acts_on_embeddings=True)
        self.position = position

    def forward(self, ids: Tensor, start: int = 0) -> Tensor:
        """The vectors of ids, the first of which is at position `start`.

        Raises:
            ValueError: a sequence that ends beyond context_length.
        """
        if ids.ndim == 0:
            raise ValueError(
                "TokenAndPositionEmbedding: ids must be (T,) or (B, T), got a single id without a sequence axis"
            )
        token, position = self.token, self.position
        if type(position) is LearnedPositions and only_looks_up(position) and only_looks_up(token):
            position.check_length(end := start + ids.shape[-1])
            whole = start == 0 and end == position.num_embeddings
            return gather_and_add(token.weight, ids, position.weight if whole else position.weight[start:end])
        return position.embed(token(ids), start)


# --------------------------------------------------------------------------------------------- queries and keys, rotated


class RoPE(_Described):
    """Queries and keys, turned by an angle that grows with the position (Su et al., 2021): scores see distances only.

    Pair i of a head's numbers at position p is rotated by p / base^(2i / d).

    Args:
        head_dim: the width of a head.
        layout: which numbers are a pair: "halves" (i and i + d/2: Llama) or "interleaved" (2i and 2i + 1: GPT-J). There is
            no default: weights of one are nonsense in the other.
        base: of the frequencies.
        rotary_dim: rotate the first d = rotary_dim numbers only (GPT-J); default: all.
        scaling: to run on sequences `factor` times as long as in training: "linear" divides positions by factor (Chen et al.,
            2023), "ntk" multiplies base by factor^(d / (d - 2)), so that the slowest pair turns factor times
            as slowly and the fastest as before (bloc97, 2023). Chosen for a run: weights do not remember it.

    Raises:
        ValueError: another layout or scaling, an odd number of numbers, a base that is not positive, or a factor below 1.
    """

    told = "layout", "base", "rotary_dim"

    def __init__(
        self,
        head_dim: int,
        *,
        layout: str,
        base: float = 10000.0,
        rotary_dim: int | None = None,
        scaling: str | None = None,
        factor: float = 1.0,
    ) -> None:
        super().__init__()
        dim = head_dim if rotary_dim is None else rotary_dim
        if layout not in LAYOUTS:
            raise ValueError(f"RoPE: layout must be 'halves' (Llama) or 'interleaved' (GPT-J), got {layout!r}")
        if not 2 <= dim <= head_dim or dim % 2:
            raise ValueError(f"RoPE: pairs are rotated: {dim} of head_dim {head_dim} must be an even number, 2 or more")
        if not 0 < base < math.inf:
            raise ValueError(f"RoPE: base must be above 0 and finite, got {base}")
        if scaling not in (None, "linear", "ntk") or not 1 <= factor < math.inf or (scaling is None and factor != 1):
            raise ValueError(
                f"RoPE: scaling must be 'linear' or 'ntk' with a factor of at least 1, or None, got {scaling!r} and {factor}"
            )
        if scaling == "ntk" and dim == 2:
            raise ValueError("RoPE: scaling 'ntk' stretches all pairs but the first, and there is only one")
        self.head_dim, self.rotary_dim, self.layout, self.base = head_dim, dim, layout, base
        self.scaling, self.factor = scaling, factor

    def extra_repr(self) -> str:
        more = {} if self.scaling is None else {"scaling": self.scaling, "factor": self.factor}
        return _spelled({**self._description(), **more})

    def rotate(self, x: Tensor, start: int = 0) -> Tensor:
        """x (..., T, head_dim), rotated for positions start .. start + T - 1.

        Raises:
            ValueError: x is not of width head_dim.
        """
        if x.ndim < 2 or x.shape[-1] != self.head_dim:
            raise ValueError(f"RoPE: queries and keys must be (B, heads, T, {self.head_dim}), got {tuple(x.shape)}")
        angles = range(start, start + x.shape[-2]), self.rotary_dim, self.base, self.scaling, self.factor
        return rotate(x, _constant(_cosines, x, *angles), _constant(_sines, x, *angles), self.layout)


def _angles(positions: range, dim: int, base: float, scaling: str | None, factor: float) -> np.ndarray:
    p = np.array(positions)[:, None] / (factor if scaling == "linear" else 1.0)
    base = base * factor ** (dim / (dim - 2)) if scaling == "ntk" else base
    return p * base ** (-np.arange(0, dim, 2) / dim)


def _cosines(*how: Any) -> np.ndarray:
    return np.cos(_angles(*how))


def _sines(*how: Any) -> np.ndarray:
    return np.sin(_angles(*how))


# ------------------------------------------------------------------------------------------------ added to the scores


def _distances(q: Tensor, k: Tensor) -> range:
    """How far after the query each column's key stands: -S .. L - 1."""
    return range(-k.shape[-2], q.shape[-2])


def _by_distance(rows: Tensor, length: int) -> Tensor:
    """(heads, L + S) numbers by distance as a bias (heads, L, S) that depends on the distance alone."""
    heads, width = rows.shape
    return relative_shift(broadcast_to(rows[:, None], (heads, length, width)))


def _check_heads(kind: str, heads: int, q: Tensor, width: int | None = None) -> None:
    if q.ndim < 3 or q.shape[-3] != heads or q.shape[-1] != (width or q.shape[-1]):
        raise ValueError(
            f"{kind}: made for {heads} heads: queries must be (B, {heads}, L, {width or 'head_dim'}), got {tuple(q.shape)}"
        )


def alibi_slopes(n_heads: int) -> np.ndarray:
    """2^(-8 h / n) for head h = 1..n of a power of two n; else those of the power below, then every other of the one above."""
    if n_heads < 1:
        raise ValueError(f"ALiBi: n_heads must be at least 1, got {n_heads}")
    n = 2 ** (int(n_heads).bit_length() - 1)
    powers = [2.0 ** (-8 * h / n) for h in range(1, n + 1)]
    return np.array(powers + [2.0 ** (-4 * h / n) for h in range(1, 2 * n + 1, 2)][: n_heads - n])


class ALiBi(_Described):
    """Scores fall with the distance in a straight line, each head with its own slope; nothing is learned (Press et al., 2022).

    bias[h, i, j] = -slope[h] |i - j|, with slopes as in `alibi_slopes`.
    """

    told = ("n_heads",)

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        alibi_slopes(n_heads)  # says what is wrong now
        self.n_heads = n_heads

    def bias(self, q: Tensor, k: Tensor) -> Tensor:
        """(heads, L, S)"""
        _check_heads("ALiBi", self.n_heads, q)
        table = _constant(_alibi, q, _distances(q, k), self.n_heads)
        # Of one query's bias nothing repeats, so that it could be written into, and with it what is kept
        return _by_distance(table.clone(), q.shape[-2])


def _alibi(distances: range, n_heads: int) -> np.ndarray:
    return alibi_slopes(n_heads)[:, None] * -np.abs(distances)


def relative_position_bucket(
    relative_position: Any, bidirectional: bool = True, num_buckets: int = 32, max_distance: int = 128
) -> np.ndarray:
    """Buckets 0..num_buckets - 1 for distances (key minus query): small ones have their own, larger ones share (T5).

    In each direction half of the buckets are for single distances, the others widen as their logarithm up to max_distance,
    and all beyond are in the last. All steps are in float32, as in the original, whose roundings decide at the edges.

    Args:
        relative_position: integers of any shape.
        bidirectional: half of the buckets are for keys after the query; if False these all are in bucket 0.

    Raises:
        ValueError: fewer than 2 buckets to a direction, an odd number for two directions, or a max_distance within the
            single distances.
    """
    single = num_buckets // (4 if bidirectional else 2)
    if single < 1 or (bidirectional and num_buckets % 2) or max_distance <= single:
        raise ValueError(
            f"relative_position_bucket: needs 2 buckets to a direction and max_distance above the {single} single distances, "
            f"got num_buckets={num_buckets}, max_distance={max_distance}, bidirectional={bidirectional}"
        )
    relative = np.asarray(relative_position, np.int64)
    buckets, distance = np.zeros(relative.shape, np.int64), np.maximum(-relative, 0)
    if bidirectional:
        num_buckets //= 2
        buckets, distance = (relative > 0) * num_buckets, np.abs(relative)
    exact = num_buckets // 2
    ratio = np.maximum(distance, exact).astype(np.float32) / np.float32(exact)
    share = np.log(ratio, dtype=np.float64).astype(np.float32)  # np.log of float32 depends on the machine
    share = share / np.float32(math.log(max_distance / exact)) * np.float32(num_buckets - exact)
    large = np.minimum(exact + share.astype(np.int64), num_buckets - 1)
    return buckets + np.where(distance < exact, distance, large)


class T5Bias(_Described):
    """A learned number for every bucket of distances and every head, added to the scores (Raffel et al., 2020).

    T5 shares one such table among its layers: give all layers the same object.

    Args:
        n_heads: columns of the table.
        num_buckets, max_distance, bidirectional: as in `relative_position_bucket`; False suits causal attention.

    Raises:
        ValueError: what `relative_position_bucket` raises, or n_heads below 1.
    """

    told = "max_distance", "bidirectional"

    def __init__(
        self,
        n_heads: int,
        *,
        num_buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if n_heads < 1:
            raise ValueError(f"T5Bias: n_heads must be at least 1, got {n_heads}")
        relative_position_bucket([], bidirectional, num_buckets, max_distance)  # says what is wrong now
        self.n_heads, self.num_buckets = n_heads, num_buckets
        self.max_distance, self.bidirectional = max_distance, bidirectional
        self.table = Embedding(num_buckets, n_heads, device=device, dtype=dtype)

    def bias(self, q: Tensor, k: Tensor) -> Tensor:
        """(heads, L, S)"""
        _check_heads("T5Bias", self.n_heads, q)
        how = _distances(q, k), self.bidirectional, self.num_buckets, self.max_distance
        buckets = _constant(relative_position_bucket, q, *how, dtype=int64)
        return _by_distance(self.table(buckets).t(), q.shape[-2])


class ShawPositions(_Described):
    """A learned vector for every distance, seen by the query as if it were added to the key (Shaw et al., 2018).

    scores = q (k + a)ᵀ / √d and, with values, y = softmax(scores) (v + b), where a and b are the rows for the distance, cut
    off at `left` before the query and `right` after it.

    Args:
        head_dim: the width of a head; all heads share the rows.
        left, right: the largest distances that are told apart (the paper's k).
        values: have rows for the values too.
    """

    per_layer = True
    told = "left", "right"

    def __init__(
        self,
        head_dim: int,
        *,
        left: int = 16,
        right: int = 16,
        values: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if head_dim < 1 or left < 0 or right < 0:
            raise ValueError(
                f"ShawPositions: head_dim must be at least 1, left and right not negative, got {head_dim}, {left} and {right}"
            )
        self.head_dim, self.left, self.right = head_dim, left, right
        self.key = Embedding(left + 1 + right, head_dim, device=device, dtype=dtype)
        self.value = Embedding(left + 1 + right, head_dim, device=device, dtype=dtype) if values else None

    def _rows(self, q: Tensor, k: Tensor, table: Embedding) -> Tensor:
        """(L + S, head_dim)"""
        if q.shape[-1] != self.head_dim:
            raise ValueError(f"ShawPositions: made for heads of width {self.head_dim}, got queries {tuple(q.shape)}")
        return table(_constant(_cut_off, q, _distances(q, k), self.left, self.right, dtype=int64))

    def bias(self, q: Tensor, k: Tensor) -> Tensor:
        """(B, heads, L, S)"""
        return relative_shift(matmul(q, self._rows(q, k, self.key).t())) / math.sqrt(self.head_dim)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0, is_causal: bool = True) -> Tensor:
        if self.value is None:
            return super().attend(q, k, v, dropout_p, is_causal)
        scores = matmul(q, matrix_transpose(k)) / math.sqrt(self.head_dim)
        mask = self._mask(q, k, is_causal)
        scores = scores if mask is None else scores + mask
        weights = F.dropout(F.softmax(scores, dim=-1), dropout_p)  # (B, heads, L, S)
        return matmul(weights, v) + matmul(relative_unshift(weights), self._rows(q, k, self.value))


def _cut_off(distances: range, left: int, right: int) -> np.ndarray:
    return np.clip(np.array(distances, np.int64), -left, right) + left


class TransformerXLPositions(_Described):
    """Scores of content and of distance apart, the distance as a sinusoid through a linear layer (Dai et al., 2019).

    scores = ((q + u) kᵀ + (q + v) rᵀ) / √d, where u and v are learned, (heads, d), and r is the row for the distance.

    Args:
        dim: the width of the sinusoids, the model's.
        n_heads: dim is a multiple of it.
    """

    per_layer = True
    told = ("base",)

    def __init__(self, dim: int, n_heads: int, *, base: float = 10000.0, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        if n_heads < 1 or dim < 1 or dim % n_heads:
            raise ValueError(f"TransformerXLPositions: dim {dim} is not a multiple of n_heads {n_heads}")
        sinusoids([], dim, "halves", base)  # says what is wrong now
        self.dim, self.n_heads, self.base = dim, n_heads, base
        self.distance = Linear(dim, dim, bias=False, device=device, dtype=dtype)
        self.u = Parameter(empty(n_heads, dim // n_heads, device=device, dtype=dtype))
        self.v = Parameter(empty(n_heads, dim // n_heads, device=device, dtype=dtype))
        for parameter in (self.u, self.v):
            init.normal_(parameter, std=0.02)

    def bias(self, q: Tensor, k: Tensor) -> Tensor:
        """(B, heads, L, S)"""
        _check_heads("TransformerXLPositions", self.n_heads, q, self.dim // self.n_heads)
        before = range(k.shape[-2], -q.shape[-2], -1)  # how far before the query
        sines = _constant(sinusoids, q, before, self.dim, "halves", self.base)
        rows = self.distance(sines).view(-1, self.n_heads, self.dim // self.n_heads)
        content = matmul(self.u[:, None], matrix_transpose(k))  # (B, heads, 1, S)
        place = relative_shift(matmul(q + self.v[:, None], rows.permute(1, 2, 0)))  # by (heads, d, L + S)
        return (content + place) / math.sqrt(q.shape[-1])


# ---------------------------------------------------------------------------------------------------------- by name

KINDS: dict[str, tuple[type[Positions], tuple[str, ...], dict[str, Any]]] = {
    "none": (Positions, (), {}),
    "learned": (LearnedPositions, ("context_length", "dim"), {}),
    "sinusoidal-interleaved": (SinusoidalPositions, ("dim",), {"layout": "interleaved", "scale": 0.02}),
    "sinusoidal-halves": (SinusoidalPositions, ("dim",), {"layout": "halves", "scale": 0.02}),
    "sinusoidal-tensor2tensor": (SinusoidalPositions, ("dim",), {"layout": "tensor2tensor", "scale": 0.02}),
    "shaw": (ShawPositions, ("head_dim",), {"right": 0}),
    "shaw-values": (ShawPositions, ("head_dim",), {"right": 0, "values": True}),
    "transformer-xl": (TransformerXLPositions, ("dim", "n_heads"), {}),
    "t5": (T5Bias, ("n_heads",), {}),
    "alibi": (ALiBi, ("n_heads",), {}),
    "rope-halves": (RoPE, ("head_dim",), {"layout": "halves"}),
    "rope-interleaved": (RoPE, ("head_dim",), {"layout": "interleaved"}),
}
"""Every kind by name: its class, the sizes of a model that it takes, and options that suit a GPT.

Its token vectors start with a standard deviation of 0.02, where the paper's have 1: sinusoids are as much smaller, or tokens would
drown in them. And nothing is to the right in causal attention.
"""


def build(
    kind: str, options: dict[str, Any], n_layers: int, context_length: int, dim: int, n_heads: int
) -> tuple[Positions, list[Positions]]:
    """What a model adds to its embeddings, and what each attention layer uses: for each kind, one of the two is Positions().

    Layers share one object, as T5's share their table, but for kinds that were published with weights in every layer.

    Args:
        kind: a name of KINDS.
        options: what else the class takes by keyword, say {"scaling": "ntk", "factor": 4.0} for RoPE.

    Raises:
        ValueError: there is no such kind, or the sizes or options do not suit it.
        TypeError: an option that the class does not have.
    """
    if kind not in KINDS:
        raise ValueError(f"there are no positions {kind!r}; there are {', '.join(KINDS)}")
    of, names, usual = KINDS[kind]
    taken = {*list(signature(of).parameters)[: len(names)], "layout", "device", "dtype"}  # by the name and the model
    allowed = [name for name in signature(of).parameters if name not in taken]
    if unknown := [name for name in options if name not in allowed]:
        raise TypeError(
            f"positions {kind!r} take no option {', '.join(unknown)}; they take {', '.join(allowed) or 'none'}"
        )
    sizes = {"context_length": context_length, "dim": dim, "n_heads": n_heads, "head_dim": dim // n_heads}

    def made() -> Positions:
        return of(*(sizes[name] for name in names), **{**usual, **options})

    first = made()
    if first.acts_on_embeddings:
        return first, [Positions() for _ in range(n_layers)]
    return Positions(), [first, *(made() if first.per_layer else first for _ in range(1, n_layers))]
