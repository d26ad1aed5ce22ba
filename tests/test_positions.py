"""Positions: what algebra says of them, the same formulas in torch written naively, and a GPT with each kind.

Naive means: for every query and key their distance, and what belongs to it looked up or computed alone. No shift, no table by
distance, no cache.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import cases, check_against_torch, numpy_of, same
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.gpt import GPT, CausalSelfAttention, GPTConfig, KVCache
from minigrad.nn import positions as P
from minigrad.nn.positions import (
    KINDS,
    ALiBi,
    LearnedPositions,
    Positions,
    RoPE,
    ShawPositions,
    SinusoidalPositions,
    T5Bias,
    TransformerXLPositions,
    add_positions,
    relative_position_bucket,
    sinusoids,
)
from minigrad.ops.positions import relative_shift, relative_unshift, rotate
from minigrad.testing import gradcheck, gradgradcheck
from minigrad.testing.devices import placed
from minigrad.testing.strategies import layouts

PAIRS = P.LAYOUTS
SEEDS = st.integers(0, 2**16)
CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12}


def numbers(seed: int, *shape: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def tensors(seed: int, *shapes: tuple[int, ...]) -> list[mg.Tensor]:
    return [placed(numbers(seed + i, *shape)) for i, shape in enumerate(shapes)]


def close(a: Any, b: Any, **tolerance: Any) -> None:
    np.testing.assert_allclose(numpy_of(a), numpy_of(b), **(tolerance or CLOSE))


def filled(positions: Positions, seed: int = 0) -> Positions:
    """In float64, with large weights: what each of them does is seen."""
    for i, p in enumerate(positions.double().parameters()):
        p.detach().copy_(placed(numbers(seed + i, *p.shape)))
    return positions


# ------------------------------------------------------------------------------------------------------ algebra: rotation


@st.composite
def ropes(draw: st.DrawFn) -> dict[str, Any]:
    """What RoPE takes."""
    dim = 2 * draw(st.integers(1, 4))
    return {
        "head_dim": dim + draw(st.integers(0, 3)),
        "rotary_dim": dim,
        "layout": draw(st.sampled_from(PAIRS)),
        "base": draw(st.sampled_from([10000.0, 500000.0, 7.0])),
    }


@cases(40)
@given(ropes(), st.integers(0, 5), st.integers(0, 3000), SEEDS)
def test_a_rotation_keeps_norms_and_what_is_not_rotated(
    how: dict[str, Any], length: int, start: int, seed: int
) -> None:
    rope = RoPE(**how)
    (x,) = tensors(seed, (2, 3, length, rope.head_dim))
    y = rope.rotate(x, start)
    close((y * y).sum(-1), (x * x).sum(-1))
    same(y[..., rope.rotary_dim :], x[..., rope.rotary_dim :], exact=True)
    n = rope.rotary_dim // 2
    a, b = (slice(0, n), slice(n, 2 * n)) if rope.layout == "halves" else (slice(0, 2 * n, 2), slice(1, 2 * n, 2))
    close(y[..., a] ** 2 + y[..., b] ** 2, x[..., a] ** 2 + x[..., b] ** 2)  # pair by pair
    if start == 0:
        same(y[..., :1, :], x[..., :1, :], exact=True)
    whole = rope.rotate(mg.cat([tensors(seed + 1, (2, 3, 4, rope.head_dim))[0], x], 2), start)
    same(rope.rotate(x, start + 4), whole[:, :, 4:], exact=True)


@cases(40)
@given(ropes(), st.integers(0, 40), st.integers(0, 40), st.integers(0, 500), SEEDS)
def test_scores_of_rotated_queries_and_keys_depend_on_the_distance_only(
    how: dict[str, Any], i: int, j: int, k: int, seed: int
) -> None:
    rope = RoPE(**how)
    q, key = tensors(seed, (1, rope.head_dim), (1, rope.head_dim))
    here, there = ((rope.rotate(q, i + by) * rope.rotate(key, j + by)).sum() for by in (0, k))
    close(here, there)
    assert rope.rotary_dim < 4 or i == j or abs((here - (q * key).sum()).item()) > 1e-9  # and on that it does depend


@cases(40)
@given(ropes(), st.integers(0, 500), SEEDS)
def test_rotating_back_is_the_inverse_and_the_gradient(how: dict[str, Any], start: int, seed: int) -> None:
    rope = RoPE(**how)
    x, g = tensors(seed, (2, 5, rope.head_dim), (2, 5, rope.head_dim))
    angles = range(start, start + 5), rope.rotary_dim, rope.base, rope.scaling, rope.factor
    cos, sin = placed(P._cosines(*angles)), placed(P._sines(*angles))
    close(rotate(rotate(x, cos, sin, rope.layout), cos, -sin, rope.layout), x)
    x.requires_grad_()
    (gx,) = mg.autograd.grad(rope.rotate(x, start), [x], g)
    close(gx, rotate(g, cos, -sin, rope.layout))


@cases(20)
@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 500), SEEDS)
def test_the_layouts_are_a_permutation_of_each_other(n: int, rest: int, start: int, seed: int) -> None:
    halves, interleaved = (RoPE(2 * n + rest, layout=layout, rotary_dim=2 * n) for layout in PAIRS)
    order = [*(i + n * half for i in range(n) for half in (0, 1)), *range(2 * n, 2 * n + rest)]  # 0, n, 1, n + 1, ...
    (x,) = tensors(seed, (2, 3, 2 * n + rest))
    same(interleaved.rotate(x[..., order], start), halves.rotate(x, start)[..., order], exact=True)


@cases(20)
@given(st.data(), st.sampled_from([1.0, 2.0, 4.0, 8.0]), SEEDS)
def test_scaled_rotation(data: st.DataObject, factor: float, seed: int) -> None:
    """Linear: at position factor × p as at p before. NTK: so only the slowest pair; the fastest stays."""
    how = data.draw(ropes())
    plain, linear = RoPE(**how), RoPE(**how, scaling="linear", factor=factor)
    (x,) = tensors(seed, (2, 1, how["head_dim"]))
    for p in (0, 3, 100):
        close(linear.rotate(x, int(factor) * p), plain.rotate(x, p))
    if (n := plain.rotary_dim // 2) > 1:
        ntk = RoPE(**how, scaling="ntk", factor=factor)
        first, last = ((0, n), (n - 1, 2 * n - 1)) if plain.layout == "halves" else ((0, 1), (2 * n - 2, 2 * n - 1))
        for p in (3, 100):
            close(ntk.rotate(x, p)[..., list(first)], plain.rotate(x, p)[..., list(first)])
            close(ntk.rotate(x, int(factor) * p)[..., list(last)], plain.rotate(x, p)[..., list(last)])


# ----------------------------------------------------------------------------------------------------- algebra: sinusoids


def columns(layout: str, dim: int) -> tuple[list[int], list[int]]:
    """Where the sines and the cosines are."""
    if layout == "interleaved":
        return list(range(0, dim, 2)), list(range(1, dim, 2))
    half = dim // 2 if layout == "tensor2tensor" else (dim + 1) // 2
    return list(range(half)), list(range(half, half + dim // 2))


@cases(40)
@given(st.sampled_from(P.SINUSOID_LAYOUTS), st.integers(4, 9), st.integers(-50, 50), st.sampled_from([10000.0, 10.0]))
def test_a_step_along_a_sinusoid_is_a_rotation_that_is_the_same_everywhere(
    layout: str, dim: int, k: int, base: float
) -> None:
    sines, cosines = (c[: dim // 2] for c in columns(layout, dim))  # an odd dim leaves one sine alone
    (turn,) = sinusoids([k], dim, layout, base)
    s, c = turn[sines], turn[cosines]
    p = np.arange(-20, 200)
    before, after = sinusoids(p, dim, layout, base), sinusoids(p + k, dim, layout, base)
    np.testing.assert_allclose(after[:, sines], before[:, sines] * c + before[:, cosines] * s, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(after[:, cosines], before[:, cosines] * c - before[:, sines] * s, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(before[:, sines] ** 2 + before[:, cosines] ** 2, 1, rtol=1e-12)


@pytest.mark.parametrize("dim", [4, 5, 6, 7, 512])
@pytest.mark.parametrize("layout", P.SINUSOID_LAYOUTS)
def test_sinusoids_number_by_number(layout: str, dim: int) -> None:
    """As the papers write them: one frequency after the other."""
    table = sinusoids([0, 1, 7], dim, layout)
    expected = np.zeros((3, dim))
    sines, cosines = columns(layout, dim)
    for row, p in enumerate([0, 1, 7]):
        for where, wave in ((sines, math.sin), (cosines, math.cos)):
            for i, column in enumerate(where):
                power = i / (dim // 2 - 1) if layout == "tensor2tensor" else 2 * i / dim
                expected[row, column] = wave(p / 10000**power)
    np.testing.assert_allclose(table, expected, rtol=1e-12, atol=1e-14)
    assert layout != "tensor2tensor" or dim % 2 == 0 or (table[:, -1] == 0).all()


def test_the_papers_and_tensor2tensors_sinusoids_are_far_apart() -> None:
    paper, other = (sinusoids(range(512), 512, layout) for layout in ("halves", "tensor2tensor"))
    assert 0.7 < np.abs(paper - other).max() < 0.76


# ------------------------------------------------------------------------------------------------- algebra: what is added


def test_learned_positions_are_added_along_the_sequence_also_where_batch_equals_length() -> None:
    learned = LearnedPositions(5, 3)
    learned.weight.detach().copy_(mg.arange(5.0)[:, None].expand(5, 3) * 10)
    y = learned.embed(mg.zeros(3, 3, 3))
    same(y, mg.tensor([0.0, 10.0, 20.0])[None, :, None].expand(3, 3, 3), exact=True)
    y = learned.embed(mg.zeros(3, 3, 3), start=2)
    same(y, mg.tensor([20.0, 30.0, 40.0])[None, :, None].expand(3, 3, 3), exact=True)


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 3), (2, 3, 3, 3), (0, 3, 3), (3, 0, 3)])
@pytest.mark.parametrize("start", [0, 2, 5])
def test_what_is_added_is_the_same_in_every_row_of_the_batch(shape: tuple[int, ...], start: int) -> None:
    dim, length = shape[-1], shape[-2]
    for kind in (LearnedPositions(8, dim).double(), SinusoidalPositions(dim, layout="interleaved", scale=0.5)):
        (x,) = tensors(0, shape)
        rows = kind.embed(mg.zeros(8, dim, dtype=mg.float64))[start : start + length]
        same(kind.embed(x, start), x + rows, exact=True)


def test_the_scale_of_sinusoids() -> None:
    x = mg.zeros(4, 6, dtype=mg.float64)
    for scale in (1.0, 6**-0.5):
        table = sinusoids(range(2, 6), 6, "halves") * scale
        same(SinusoidalPositions(6, layout="halves", scale=scale).embed(x, 2), placed(table), rtol=1e-15, atol=0)


# ------------------------------------------------------------------------------------------------- algebra: bias by distance


def t5(heads: int, d: int, **options: Any) -> Positions:
    return T5Bias(heads, num_buckets=8, max_distance=12, **options)


BIASES: dict[str, Callable[[int, int], Positions]] = {
    "alibi": lambda heads, d: ALiBi(heads),
    "t5": t5,
    "t5, both directions": lambda heads, d: t5(heads, d, bidirectional=True),
    "shaw": lambda heads, d: ShawPositions(d, left=2, right=1),
    "shaw-values": lambda heads, d: ShawPositions(d, left=2, right=1, values=True),
    "transformer-xl": lambda heads, d: TransformerXLPositions(heads * d, heads, base=100.0),
}
"""Kinds with a bias, for heads of width d, with few rows: small sequences reach all of them."""
HEADS = {1: [8], 2: [4, 8], 3: [4, 8, 2], 4: [2, 4, 6, 8], 6: [2, 4, 6, 8, 1, 3]}
"""ALiBi's slopes are 2 to the power of minus these."""
ATTENDING: dict[str, Callable[[int, int], Positions]] = {"none": lambda heads, d: Positions(), **BIASES}
each_bias, each_attending = pytest.mark.parametrize("kind", BIASES), pytest.mark.parametrize("kind", ATTENDING)


@each_bias
def test_a_bias_depends_on_the_distance_only(kind: str) -> None:
    """Queries and keys that are all alike: what is left are the positions."""
    positions = filled(BIASES[kind](2, 4))
    q, k = (x.expand(2, 2, 9, 4) for x in tensors(3, (2, 2, 1, 4), (2, 2, 1, 4)))
    bias = positions.bias(q, k)
    close(bias[..., 1:, 1:], bias[..., :-1, :-1])
    assert numpy_of(bias).std() > 0.01
    column = numpy_of(bias)[..., -1, :]
    assert (np.abs(np.diff(column, axis=-1)).max(-1) > 1e-3).all(), "no head tells one distance from another"


@each_bias
@cases(10)
@given(st.integers(0, 6), st.integers(0, 6), SEEDS)
def test_the_last_queries_have_the_last_rows_of_the_bias(kind: str, length: int, before: int, seed: int) -> None:
    keys = length + before
    positions = filled(BIASES[kind](2, 4), seed)
    q, k, v = tensors(seed, *[(2, 2, keys, 4)] * 3)
    last = q[:, :, before:]
    close(positions.bias(last, k), positions.bias(q, k)[..., before:, :])
    for causal in (True, False):
        whole = positions.attend(q, k, v, is_causal=causal)
        close(positions.attend(last, k, v, is_causal=causal), whole[:, :, before:])


def test_a_write_into_a_bias_does_not_change_the_next_one() -> None:
    k, bias = mg.ones(1, 2, 3, 4), ALiBi(2).bias
    for q in (k, k[:, :, 2:]):  # also of one query, whose bias repeats nothing
        before = numpy_of(bias(q, k)).copy()
        with pytest.raises(RuntimeError, match="read-only") if q is k else suppress(RuntimeError):
            bias(q, k).mul_(2)
        np.testing.assert_array_equal(numpy_of(bias(q, k)), before)


@each_attending
def test_nothing_later_is_seen(kind: str) -> None:
    positions = filled(ATTENDING[kind](2, 4))
    q, k, v, other_k, other_v = tensors(5, *[(2, 2, 7, 4)] * 5)
    mixed = [mg.cat([a[:, :, :4], b[:, :, 4:]], 2) for a, b in ((k, other_k), (v, other_v))]
    for causal, apart in ((True, False), (False, True)):
        one, two = (numpy_of(positions.attend(q, *kv, is_causal=causal)) for kv in ((k, v), mixed))
        assert (np.abs(one - two)[:, :, :4].max() > 1e-3) == apart
        assert (np.abs(one - two)[:, :, 4:].max(-1) > 1e-3).all()
        if not apart:
            np.testing.assert_array_equal(one[:, :, :4], two[:, :, :4])


@pytest.mark.parametrize("kind", ["t5", "shaw", "shaw-values", "transformer-xl"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_weights_of_zero_are_no_positions(kind: str, dropout: float) -> None:
    positions = BIASES[kind](2, 4).double()
    for p in positions.parameters():
        p.detach().zero_()
    results = []
    for each in (positions, Positions()):
        mg.manual_seed(3)
        results.append(each.attend(*tensors(5, *[(2, 2, 7, 4)] * 3), dropout_p=dropout))
    close(*results)


def test_the_softmax_ignores_a_constant_per_row() -> None:
    """So ALiBi is, up to a constant, a slope along the keys alone (Bloom's form)."""
    q, k, v = tensors(5, (2, 3, 4, 5), (2, 3, 7, 5), (2, 3, 7, 5))
    by_key = placed(np.array([2.0**-e for e in HEADS[3]])[:, None, None] * np.arange(7.0))
    hidden = placed(np.arange(7) > np.arange(3, 7)[:, None])
    expected = mg.nn.functional.scaled_dot_product_attention(
        q, k, v, mg.masked_fill(by_key.expand(3, 4, 7), hidden, -math.inf)
    )
    close(ALiBi(3).attend(q, k, v), expected)


@pytest.mark.parametrize("heads", HEADS)
def test_slopes(heads: int) -> None:
    np.testing.assert_array_equal(P.alibi_slopes(heads), [2.0**-e for e in HEADS[heads]])


def bucket(distance: int, bidirectional: bool, num: int, most: int) -> int:
    """T5's bucket in whole numbers: the largest b with (d/e)^(n-e) >= (most/e)^b, both sides multiplied by e^n."""
    first = 0
    if bidirectional:
        num //= 2
        first = num * (distance > 0)
    d = abs(distance) if bidirectional else max(-distance, 0)
    exact = num // 2
    if d < exact:
        return first + d
    wide = num - exact
    more = max(b for b in range(wide + 1) if d**wide * exact**b >= most**b * exact**wide)
    return first + min(exact + more, num - 1)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num, most", [(32, 128), (8, 12), (8, 100), (12, 50), (64, 1000)])
def test_buckets(num: int, most: int, bidirectional: bool) -> None:
    far = np.arange(-3 * most, 3 * most + 1)
    found = relative_position_bucket(far, bidirectional, num, most)
    assert found.tolist() == [bucket(int(d), bidirectional, num, most) for d in far]
    assert found.min() == 0 and found.max() == num - 1
    before, after = found[: 3 * most + 1][::-1], found[3 * most :]
    assert (np.diff(before) >= 0).all() and (np.diff(before) <= 1).all()
    single = num // (4 if bidirectional else 2)
    assert before[:single].tolist() == list(range(single))
    if bidirectional:
        np.testing.assert_array_equal(after[1:], before[1:] + num // 2)
    else:
        assert (after == 0).all()
    assert relative_position_bucket(far.reshape(1, -1, 1), bidirectional, num, most).shape == (1, len(far), 1)


@cases(20)
@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 5), st.integers(0, 5), SEEDS)
def test_shaws_rows_are_cut_off_at_the_largest_distances(
    left: int, right: int, length: int, keys: int, seed: int
) -> None:
    few = filled(ShawPositions(4, left=left, right=right, values=True), seed)
    many = ShawPositions(4, left=9, right=9, values=True).double()
    rows = np.clip(np.arange(-9, 10), -left, right) + left
    many.key.weight.detach().copy_(few.key.weight.detach()[rows])
    many.value.weight.detach().copy_(few.value.weight.detach()[rows])
    q, k, v = tensors(seed, (2, 2, length, 4), (2, 2, keys, 4), (2, 2, keys, 4))
    close(few.bias(q, k), many.bias(q, k))
    close(few.attend(q, k, v, is_causal=False), many.attend(q, k, v, is_causal=False))


# ------------------------------------------------------------------------------------------- values and gradients: torch's


def distances(length: int, keys: int) -> torch.Tensor:
    """How far after each of the last queries each key is."""
    return torch.arange(keys) - (torch.arange(length) + keys - length)[:, None]


def sinusoid(p: torch.Tensor, dim: int, base: float) -> torch.Tensor:
    """Halves, (*p.shape, dim)"""
    angles = p[..., None] / base ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    return torch.cat([angles.sin(), angles.cos()[..., : dim // 2]], -1)


def naive_bias(kind: str, q: Any, k: Any, *w: Any) -> Any:
    (heads, length, d), keys = q.shape[-3:], k.shape[-2]
    far = distances(length, keys)
    if kind == "alibi":
        return -torch.tensor([2.0**-e for e in HEADS[heads]], dtype=q.dtype)[:, None, None] * far.abs()
    if kind.startswith("t5"):
        ids = [[bucket(d, "both" in kind, 8, 12) for d in row] for row in far.tolist()]
        return w[0][torch.tensor(ids, dtype=torch.int64).view(length, keys)].permute(2, 0, 1)
    if kind.startswith("shaw"):
        return torch.einsum("bhld,lsd->bhls", q, w[0][far.clamp(-2, 1) + 2]) / math.sqrt(d)
    u, v, weight = w
    rows = (sinusoid(-far, heads * d, 100.0).to(q.dtype) @ weight.T).view(length, keys, heads, d)
    place = torch.einsum("bhld,lshd->bhls", q + v[:, None], rows)
    return (torch.einsum("hd,bhsd->bhs", u, k)[:, :, None] + place) / math.sqrt(d)


def naive_attend(kind: str, causal: bool, q: Any, k: Any, v: Any, *w: Any, dropout: float = 0.0) -> Any:
    far = distances(q.shape[-2], k.shape[-2])
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if kind != "none":
        scores = scores + naive_bias(kind, q, k, *w)
    if causal:
        scores = scores.masked_fill(far > 0, -math.inf)
    weights = torch.nn.functional.dropout(scores.softmax(-1), dropout)
    y = weights @ v
    return y + torch.einsum("bhls,lsd->bhld", weights, w[1][far.clamp(-2, 1) + 2]) if "values" in kind else y


def with_weights(module: Any, weights: tuple[Any, ...]) -> Any:
    """The module with these tensors in the places of its parameters, that gradients may flow to them."""
    for (name, _), w in zip(list(module.named_parameters()), weights, strict=True):
        path, _, last = name.rpartition(".")
        vars(module.get_submodule(path))[last] = w
    return module


def either(ours: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    return lambda lib, *xs: (ours if lib is mg else theirs)(*xs)


DTYPES = st.sampled_from(["float64", "float64", "float32"])
SIZES = st.sampled_from([2, 1, 3, 5, 0, 7])


def check_inputs(draw: st.DrawFn, f: Any, dtype: str, seed: int, *shapes: tuple[int, ...], **options: Any) -> None:
    """Against torch, the inputs in any memory layout."""
    arrays = [draw(layouts(numbers(seed + i, *shape, dtype=dtype))) for i, shape in enumerate(shapes)]
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype == "float64" else {"rtol": 2e-4, "atol": 2e-4}
    check_against_torch(f, arrays, **{"second_order": dtype == "float64", **tolerance, **options})


def weights_of(positions: Any) -> list[tuple[int, ...]]:
    return [tuple(p.shape) for p in positions.parameters()]


@each_bias
@cases(15)
@given(st.data(), DTYPES, st.sampled_from([2, 1, 0]), st.sampled_from([3, 1, 2]), SIZES, SIZES, SEEDS)
def test_bias_is_the_naive_one(
    kind: str, data: st.DataObject, dtype: str, batch: int, heads: int, length: int, keys: int, seed: int
) -> None:
    positions = BIASES[kind](heads, 4)
    q, k = (batch, heads, length, 4), (batch, heads, keys, 4)
    key_weights = [tuple(p.shape) for name, p in positions.named_parameters() if "value" not in name]
    values = weights_of(positions)[len(key_weights) :]

    def ours(q: Any, k: Any, *w: Any) -> Any:
        return with_weights(BIASES[kind](heads, 4), (*w, *(mg.zeros(*shape) for shape in values))).bias(q, k)

    theirs = lambda q, k, *w: naive_bias(kind, q, k, *w)  # noqa: E731
    check_inputs(data.draw, either(ours, theirs), dtype, seed, q, k, *key_weights)


@each_attending
@cases(15)
@given(st.data(), DTYPES, st.sampled_from([2, 1, 0]), st.sampled_from([3, 1, 2]), SIZES, SIZES, st.booleans(), SEEDS)
def test_attention_is_the_naive_one(
    kind: str, data: st.DataObject, dtype: str, batch: int, heads: int, length: int, keys: int, causal: bool, seed: int
) -> None:
    keys += length if causal else 0  # the queries are the last of the positions
    shapes = [(batch, heads, length, 4), (batch, heads, keys, 4), (batch, heads, keys, 4)]
    f = either(
        lambda q, k, v, *w: with_weights(ATTENDING[kind](heads, 4), w).attend(q, k, v, is_causal=causal),
        lambda *xs: naive_attend(kind, causal, *xs),
    )
    check_inputs(data.draw, f, dtype, seed, *shapes, *weights_of(ATTENDING[kind](heads, 4)))


@each_attending
def test_attention_with_dropout_is_the_naive_one(kind: str) -> None:
    def ours(q: Any, k: Any, v: Any, *w: Any) -> Any:
        positions = with_weights(ATTENDING[kind](2, 4), w)  # which draws weights of its own first
        mg.manual_seed(7)
        return positions.attend(q, k, v, dropout_p=0.3)

    def theirs(*xs: Any) -> Any:
        torch.manual_seed(7)
        return naive_attend(kind, True, *xs, dropout=0.3)

    shapes = [(2, 2, 5, 4)] * 3 + weights_of(ATTENDING[kind](2, 4))
    arrays = [numbers(i, *shape, dtype="float32") for i, shape in enumerate(shapes)]
    check_against_torch(either(ours, theirs), arrays, second_order=False, rtol=2e-4, atol=2e-4)


def naive_rotate(x: Any, start: int, layout: str, dim: int, base: float, slower: float) -> Any:
    """As multiplication of complex numbers."""
    p = (torch.arange(x.shape[-2], dtype=torch.float64) + start) / slower
    angles = p[:, None] * base ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    turn = torch.polar(torch.ones_like(angles), angles).to(
        torch.complex128 if x.dtype == torch.float64 else torch.complex64
    )
    pairs = x[..., :dim].unflatten(-1, (2, -1) if layout == "halves" else (-1, 2))
    real, imaginary = pairs.unbind(-2 if layout == "halves" else -1)
    z = torch.complex(real, imaginary) * turn
    y = torch.stack([z.real, z.imag], -2 if layout == "halves" else -1).flatten(-2)
    return torch.cat([y, x[..., dim:]], -1)


@cases(40)
@given(st.data(), DTYPES, SIZES, st.sampled_from([(2, 3), (), (1,), (0,)]), st.integers(0, 300), SEEDS)
def test_rotation_is_the_naive_one(
    data: st.DataObject, dtype: str, length: int, lead: tuple[int, ...], start: int, seed: int
) -> None:
    how = data.draw(ropes())
    rope = RoPE(**how)
    scaling = data.draw(st.sampled_from([None, "linear", "ntk"] if rope.rotary_dim > 2 else [None, "linear"]))
    slower, base = 1.0, how["base"]
    if scaling:
        rope = RoPE(**how, scaling=scaling, factor=3.0)
        slower, base = (
            (3.0, base) if scaling == "linear" else (1.0, base * 3.0 ** (rope.rotary_dim / (rope.rotary_dim - 2)))
        )
    f = either(
        lambda x: rope.rotate(x, start), lambda x: naive_rotate(x, start, how["layout"], rope.rotary_dim, base, slower)
    )
    check_inputs(data.draw, f, dtype, seed, (*lead, length, how["head_dim"]))


@cases(25)
@given(st.data(), DTYPES, SIZES, SIZES, st.sampled_from([(2, 3), (), (0,)]), SEEDS)
def test_shifts_are_the_naive_ones(
    data: st.DataObject, dtype: str, length: int, keys: int, lead: tuple[int, ...], seed: int
) -> None:
    """y[i, j] = x[i, L - i + j] by gather, and its transpose by scatter."""
    index = length - torch.arange(length)[:, None] + torch.arange(keys)

    def unshift(y: Any) -> Any:
        into = index.expand(*y.shape)
        return torch.zeros(*y.shape[:-1], length + keys, dtype=y.dtype).scatter(-1, into, y)

    shift = either(relative_shift, lambda x: x.gather(-1, index.expand(*x.shape[:-1], keys)))
    exact: dict[str, Any] = {"exact": True, "second_order": True}
    check_inputs(data.draw, shift, dtype, seed, (*lead, length, length + keys), **exact)
    check_inputs(data.draw, either(relative_unshift, unshift), dtype, seed, (*lead, length, keys), **exact)


EMBEDS: dict[str, tuple[Callable[[], Positions], Callable[..., Any]]] = {
    "learned": (lambda: LearnedPositions(9, 5), lambda x, start, w: x + w[start : start + x.shape[-2]]),
    "sinusoidal": (
        lambda: SinusoidalPositions(5, layout="halves", base=100.0, scale=0.5),
        lambda x, start: x + (0.5 * sinusoid(torch.arange(x.shape[-2]) + start, 5, 100.0)).to(x.dtype),
    ),
}


@pytest.mark.parametrize("kind", EMBEDS)
@cases(15)
@given(st.data(), DTYPES, st.sampled_from([(2,), (4,), (), (0,), (2, 3)]), st.integers(0, 4), st.integers(0, 5), SEEDS)
def test_what_is_added_is_the_naive_one(
    kind: str, data: st.DataObject, dtype: str, lead: tuple[int, ...], length: int, start: int, seed: int
) -> None:
    made, naive = EMBEDS[kind]
    f = either(lambda x, *w: with_weights(made(), w).embed(x, start), lambda x, *w: naive(x, start, *w))
    check_inputs(data.draw, f, dtype, seed, (*lead, length, 5), *weights_of(made()))


@each_attending
def test_gradcheck_of_attention(kind: str) -> None:
    positions = filled(ATTENDING[kind](2, 2))
    xs = [x.requires_grad_() for x in tensors(1, *[(1, 2, 3, 2)] * 3)]
    f = lambda q, k, v, *w: with_weights(copy.deepcopy(positions), w).attend(q, k, v)  # noqa: E731
    leaves = [*xs, *(p.detach().clone().requires_grad_() for p in positions.parameters())]
    assert gradcheck(f, leaves) and gradgradcheck(f, leaves)


@pytest.mark.parametrize("layout", PAIRS)
def test_gradcheck_of_rotation(layout: str) -> None:
    rope = RoPE(5, layout=layout, rotary_dim=4)
    f = lambda x: rope.rotate(x * x, 2)  # noqa: E731
    assert gradcheck(f, placed(numbers(0, 2, 3, 5)).requires_grad_())
    assert gradgradcheck(f, placed(numbers(0, 2, 3, 5)).requires_grad_())


# ------------------------------------------------------------------------------------------------- an attention layer, a GPT

OPTIONS: dict[str, dict[str, Any]] = {
    "t5": {"num_buckets": 8, "max_distance": 12},
    "shaw": {"left": 2, "right": 1},
    "shaw-values": {"left": 2, "right": 1},
    "transformer-xl": {"base": 100.0},
    "rope-halves": {"base": 100.0},
    "rope-interleaved": {"base": 100.0},
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def config_of(kind: str, **sizes: Any) -> GPTConfig:
    sizes = {
        "vocab_size": 50,
        "context_length": 12,
        "emb_dim": 16,
        "n_heads": 2,
        "n_layers": 2,
        "drop_rate": 0.2,
        **sizes,
    }
    return GPTConfig(**sizes, positions=kind, position_options=OPTIONS.get(kind, {}))


def model_of(kind: str, seed: int = 0, **sizes: Any) -> GPT:
    """In float64 and eval mode, with weights large enough that all of them are seen."""
    mg.manual_seed(seed)
    model = GPT(config_of(kind, **sizes)).double().eval()
    with mg.no_grad():
        for p in model.parameters():
            p.add_(mg.randn(p.shape, dtype=mg.float64) * 0.3)
    return model


def ids_of(seed: int, length: int, batch: int = 2) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(seed).integers(0, 50, (batch, length)))


def in_layers(kind: str) -> bool:
    return not KINDS[kind][0].acts_on_embeddings


@pytest.mark.parametrize("kind", [kind for kind in KINDS if in_layers(kind)])
def test_an_attention_layer_is_the_naive_one(kind: str) -> None:
    config = config_of(kind)

    def layer() -> CausalSelfAttention:
        (positions, *_) = P.build(kind, OPTIONS.get(kind, {}), 1, 12, 16, 2)[1]
        return CausalSelfAttention(config, 0, positions).eval()

    def theirs(x: Any, *w: Any) -> Any:
        (weight, bias, *of_positions, out, out_bias) = w
        heads = torch.nn.functional.linear(x, weight, bias).view(2, 6, 3, 2, 8)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        if kind.startswith("rope"):
            q, k = (naive_rotate(x, 0, kind.removeprefix("rope-"), 8, 100.0, 1.0) for x in (q, k))
        y = naive_attend("none" if kind.startswith("rope") else kind, True, q, k, v, *of_positions)
        return torch.nn.functional.linear(y.transpose(1, 2).reshape(2, 6, 16), out, out_bias)

    arrays = [numbers(i, *shape) * 0.7 for i, shape in enumerate([(2, 6, 16), *weights_of(layer())])]
    f = either(lambda x, *w: with_weights(layer(), w)(x), theirs)
    check_against_torch(f, arrays, rtol=1e-9, atol=1e-9)


@each_kind
@pytest.mark.parametrize("cuts", [(1, 12), (2, 3, 8), (5, 12), (11,), (4, 5, 6, 12)])
def test_in_pieces_with_a_cache_or_all_at_once(kind: str, cuts: tuple[int, ...]) -> None:
    model, ids = model_of(kind), ids_of(0, 12)
    cache = KVCache(model.config)
    with mg.no_grad():
        pieces = [model(ids[:, a:b], cache) for a, b in zip((0, *cuts), (*cuts, 12), strict=True) if a < b]
        close(mg.cat(pieces, 1), model(ids))
    assert cache.length == 12


@each_kind
def test_the_cache_changes_no_token_also_beyond_the_context(kind: str) -> None:
    model, ids = model_of(kind, 1), ids_of(1, 3)
    for temperature in (0.0, 1.0):
        dice = [mg.Generator().manual_seed(5) for _ in range(2)]
        one, two = (
            model.generate(ids, 14, temperature, use_cache=c, generator=g)
            for c, g in zip((True, False), dice, strict=True)
        )
        assert mg.equal(one, two) and one.shape == (2, 17)


@each_kind
def test_a_loss_falls_as_its_gradient_says_and_every_parameter_has_one(kind: str) -> None:
    model, ids = model_of(kind), ids_of(2, 13)
    loss = lambda: model.loss(ids[:, :-1], ids[:, 1:])  # noqa: E731
    loss().backward()
    for i, (name, p) in enumerate(model.named_parameters()):
        g = numpy_of(p.grad)
        assert np.abs(g).max() > 1e-5, name
        along = placed(numbers(i, *p.shape))
        with mg.no_grad():
            p.add_(along * 1e-5)
            up = loss().item()
            p.add_(along * -2e-5)
            slope = (up - loss().item()) / 2e-5
            p.add_(along * 1e-5)
        assert slope == pytest.approx((g * numpy_of(along)).sum(), rel=1e-5, abs=1e-7), name


@each_kind
def test_the_order_of_earlier_tokens_matters_but_for_none(kind: str) -> None:
    """In one layer: the second would see the order in what the first has gathered up to each token."""
    model, ids = model_of(kind, n_layers=1), ids_of(3, 8)
    with mg.no_grad():
        there = model(ids)[:, -1]
        here = model(mg.cat([ids[:, :7].flip([1]), ids[:, 7:]], 1))[:, -1]
    changed = np.abs(numpy_of(there) - numpy_of(here)).max(-1)
    assert (changed < 1e-10).all() if kind == "none" else (changed > 1e-3).all()


@each_kind
def test_beyond_the_context_of_training(kind: str) -> None:
    """Only a learned table ends."""
    model, ids = model_of(kind), ids_of(3, 20)
    if kind == "learned":
        with pytest.raises(ValueError, match="sequence length 20 > context_length 12"):
            model(ids)
        return
    with mg.no_grad():
        close(model(ids)[:, :12], model(ids[:, :12]))


@each_kind
def test_dropout_is_drawn_anew_in_training_only(kind: str) -> None:
    model, ids = model_of(kind), ids_of(4, 6)
    assert mg.equal(model(ids), model(ids))
    model.train()
    once, again = model(ids), model(ids)
    assert not mg.equal(once, again)
    mg.manual_seed(1)
    first = model(ids)
    mg.manual_seed(1)
    assert mg.equal(model(ids), first)
    layer, x = model.blocks[0].attention, placed(numbers(0, 2, 6, 16))
    layer.dropout.p = 0.0  # what is left drops weights of the attention
    assert not mg.equal(layer(x), layer(x))


# ---------------------------------------------------------------------------------------------------- saved and loaded


@each_kind
def test_a_saved_model_gives_the_same_numbers(kind: str, tmp_path: Path) -> None:
    model, other, ids = model_of(kind), model_of(kind, seed=9), ids_of(5, 7)
    assert not mg.equal(model(ids), other(ids))
    mg.save(model.state_dict(), tmp_path / "weights.safetensors")
    state = mg.load(tmp_path / "weights.safetensors")
    assert list(state) == list(model.state_dict())
    other.load_state_dict({name: x.clone() for name, x in state.items()})
    assert mg.equal(model(ids), other(ids))
    other = model_of(kind, seed=8)
    other.load_state_dict(mg.load(tmp_path / "weights.safetensors", map_location=mg.get_default_device()), assign=True)
    assert mg.equal(model(ids), other(ids))
    again = copy.deepcopy(model)
    assert mg.equal(model(ids), again(ids))
    with mg.no_grad():
        for p in again.parameters():
            p.zero_()
    assert mg.equal(model(ids), other(ids))


@each_kind
def test_in_float32_and_float16(kind: str) -> None:
    model, ids = model_of(kind), ids_of(5, 7)
    with mg.no_grad():
        expected = model(ids)
        for dtype, apart in ((mg.float32, 1e-4), (mg.float16, 0.2)):
            found = model.to(dtype)(ids)
            assert found.dtype == dtype
            np.testing.assert_allclose(numpy_of(found), numpy_of(expected), rtol=0, atol=apart)


def test_layers_share_one_table_which_is_saved_once(tmp_path: Path) -> None:
    model = model_of("t5", n_layers=3)
    tables = {id(block.attention.positions.table.weight) for block in model.blocks}
    assert len(tables) == 1
    assert [name for name, _ in model.named_parameters() if "positions" in name] == [
        "blocks.0.attention.positions.table.weight"
    ]
    names = [f"blocks.{i}.attention.positions.table.weight" for i in range(3)]
    assert [name for name in model.state_dict() if name.endswith("table.weight")] == names
    again = copy.deepcopy(model)
    assert len({id(block.attention.positions.table.weight) for block in again.blocks}) == 1
    few, many = tmp_path / "shared.safetensors", tmp_path / "copies.safetensors"
    mg.save(model.state_dict(), few)
    mg.save({name: x.clone() for name, x in model.state_dict().items()}, many)
    assert many.stat().st_size - few.stat().st_size >= 2 * 8 * 2 * 8  # two more tables of 8 buckets, 2 heads, 8 bytes


@pytest.mark.parametrize("kind", ["shaw", "shaw-values", "transformer-xl"])
def test_layers_have_tables_of_their_own(kind: str) -> None:
    model = model_of(kind, n_layers=3)
    first = {id(next(block.attention.positions.parameters())) for block in model.blocks}
    assert len(first) == 3


def snapshot(model: GPT) -> list[bytes]:
    return [numpy_of(x).tobytes() for x in model.state_dict().values()]


@each_kind
def test_weights_of_another_kind_are_refused_and_nothing_is_loaded(kind: str) -> None:
    model = model_of(kind)
    before = snapshot(model)
    for other in KINDS:
        if other == kind:
            continue
        with pytest.raises(RuntimeError) as caught:
            model.load_state_dict(model_of(other, seed=4).state_dict())
        assert snapshot(model) == before
        of, _, fixed = KINDS[other]
        if of is KINDS[kind][0] and "layout" in fixed:  # the names and shapes are the same: a sentence says it
            said = str(caught.value)
            assert f"layout={fixed['layout']!r}" in said and f"layout={KINDS[kind][2]['layout']!r}" in said
            assert said.count("these weights were trained with") == 1 and of.__name__ in said
            with pytest.raises(RuntimeError, match="trained with"):
                model.load_state_dict(model_of(other, seed=4).state_dict(), strict=False)
            assert snapshot(model) == before


@pytest.mark.parametrize(
    "kind, options",
    [
        ("rope-halves", {"base": 200.0}),
        ("rope-halves", {"base": 100.0, "rotary_dim": 4}),
        ("sinusoidal-halves", {"base": 200.0}),
        ("sinusoidal-halves", {"scale": 0.5}),
        ("t5", {"num_buckets": 8, "max_distance": 20}),
        ("t5", {"num_buckets": 8, "max_distance": 12, "bidirectional": True}),
        ("shaw", {"left": 1, "right": 2}),  # as many rows
        ("transformer-xl", {"base": 200.0}),
    ],
)
def test_weights_of_other_options_are_refused(kind: str, options: dict[str, Any]) -> None:
    model = model_of(kind)
    before = snapshot(model)
    other = GPT(GPTConfig(50, 12, 16, 2, 2, positions=kind, position_options=options)).double()
    with pytest.raises(RuntimeError, match=f"trained with {KINDS[kind][0].__name__}.*build it with the positions"):
        model.load_state_dict(other.state_dict(), strict=False)
    assert snapshot(model) == before


def test_weights_of_other_heads_are_refused_by_alibi() -> None:
    with pytest.raises(RuntimeError, match=r"ALiBi\(n_heads=4\).*ALiBi\(n_heads=2\)"):
        model_of("alibi").load_state_dict(model_of("alibi", n_heads=4).state_dict())


@pytest.mark.parametrize("scaling", ["linear", "ntk"])
def test_scaling_is_for_weights_that_were_trained_without(scaling: str) -> None:
    trained = model_of("rope-halves")
    options = {"base": 100.0, "scaling": scaling, "factor": 2.0}
    longer = GPT(GPTConfig(50, 24, 16, 2, 2, positions="rope-halves", position_options=options)).double().eval()
    longer.load_state_dict(trained.state_dict())
    assert not mg.equal(longer(ids_of(0, 5)), trained(ids_of(0, 5)))
    assert mg.equal(longer.blocks[0].attention.qkv.weight, trained.blocks[0].attention.qkv.weight)


@pytest.mark.parametrize("kind", ["rope-halves", "t5", "sinusoidal-halves"])
def test_weights_that_do_not_say_their_positions(kind: str) -> None:
    """Published ones do not: they are taken where the reader says so."""
    model, other, ids = model_of(kind), model_of(kind, seed=4), ids_of(0, 5)
    state = {name: x for name, x in other.state_dict().items() if not name.endswith("_extra_state")}
    assert 0 < len(state) < len(other.state_dict())
    before = snapshot(model)
    with pytest.raises(
        RuntimeError, match=r"(?s)Missing key.*_extra_state.*do not say what they suppose.*strict=False"
    ) as caught:
        model.load_state_dict(state)
    assert snapshot(model) == before and "Unexpected" not in str(caught.value)
    missing = model.load_state_dict(state, strict=False)
    assert all(name.endswith("_extra_state") for name in missing.missing_keys) and not missing.unexpected_keys
    assert mg.equal(model(ids), other(ids))


def test_sizes_and_options_may_be_numpys() -> None:
    rope = RoPE(np.int64(8), layout="halves", base=np.float32(100.0))  # type: ignore[arg-type]
    rope.set_extra_state(RoPE(8, layout="halves", base=100.0).get_extra_state())
    RoPE(8, layout="halves", base=100.0).set_extra_state(rope.get_extra_state())


@pytest.mark.parametrize("state", [mg.tensor([1, 2], dtype=mg.uint8), mg.ones(3), mg.tensor([]), None, "halves", {}])
def test_an_extra_state_that_is_none(state: Any) -> None:
    rope = RoPE(8, layout="halves")
    with pytest.raises(RuntimeError, match="RoPE: these weights do not say which positions they were trained with"):
        rope.set_extra_state(state)
    rope.set_extra_state(rope.get_extra_state())
    assert rope.get_extra_state().device == mg.device("cpu")  # nobody waits for a GPU to read it


def noted(lib: Any) -> Any:
    """A user's own module with a note, inside another."""

    class Noted(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = lib.nn.Linear(1, 1)
            self.weight = lib.nn.Parameter(lib.ones(1))
            self.register_buffer("mean", lib.zeros(1))
            self.note = "new"

        def get_extra_state(self) -> Any:
            return lib.tensor([len(self.note)])

        def set_extra_state(self, state: Any) -> None:
            self.note = "x" * int(state.item())

    return lib.nn.Sequential(Noted(), lib.nn.Linear(1, 1))


def test_extra_state_is_torchs() -> None:
    ours, theirs = noted(mg), noted(torch)
    assert list(ours.state_dict()) == list(theirs.state_dict()) and "0._extra_state" in ours.state_dict()
    for lib, model in ((mg, ours), (torch, theirs)):
        state = model.state_dict()
        state["0._extra_state"] = lib.tensor([5])
        assert str(model.load_state_dict(state)) == "<All keys matched successfully>"
        assert model[0].note == "xxxxx"
        del state["0._extra_state"]
        with pytest.raises(RuntimeError, match=r'Missing key.*"0._extra_state"'):
            model.load_state_dict(state)
        found = model.load_state_dict(state, strict=False)
        assert (found.missing_keys, found.unexpected_keys) == (["0._extra_state"], [])
        plain = lib.nn.Linear(1, 1)
        with pytest.raises(RuntimeError, match=r'Unexpected key.*"_extra_state"'):
            plain.load_state_dict({**plain.state_dict(), "_extra_state": lib.tensor([5])})
        plain.load_state_dict({**plain.state_dict(), "_extra_state": lib.tensor([5])}, strict=False)
        for name, method in (
            ("get_extra_state", plain.get_extra_state),
            ("set_extra_state", lambda plain=plain: plain.set_extra_state(1)),
        ):
            with pytest.raises(RuntimeError, match=f"Linear has no {name}" if lib is mg else name):
                method()


def test_a_note_is_put_back_where_the_rest_is_refused() -> None:
    model = noted(mg)
    state = {**model.state_dict(), "0._extra_state": mg.tensor([5]), "1.weight": mg.zeros(2, 2)}
    with pytest.raises(RuntimeError, match="size mismatch"):
        model.load_state_dict(state)
    assert model[0].note == "xxx"  # of three letters, as before
    both = mg.nn.ModuleList([noted(mg), noted(mg)])
    with pytest.raises(AttributeError):  # whatever it is that a note's owner raises
        both.load_state_dict({**both.state_dict(), "0.0._extra_state": mg.tensor([5]), "1.0._extra_state": None})
    assert both[0][0].note == both[1][0].note == "xxx"


@pytest.mark.parametrize("kind", [kind for kind, (of, _, _) in KINDS.items() if issubclass(of, P._Described)])
def test_weights_that_were_cast_or_averaged_still_say_their_positions(kind: str) -> None:
    model, other = model_of(kind), model_of(kind, seed=9)
    for state in (
        {name: x.double() for name, x in model.state_dict().items()},
        {name: 0.5 * x + 0.5 * x for name, x in model.state_dict().items()},
    ):
        other.load_state_dict(state)
        assert mg.equal(model(ids_of(5, 7)), other(ids_of(5, 7)))


def test_what_is_changed_later_is_remembered_too() -> None:
    rope, other = RoPE(4, layout="halves"), RoPE(4, layout="halves")
    rope.layout = "interleaved"
    with pytest.raises(RuntimeError, match="layout='interleaved'"):
        other.load_state_dict(rope.state_dict())


# ------------------------------------------------------------------------------------------- told where they are heard


def test_positions_are_refused_where_they_would_be_ignored() -> None:
    config = GPTConfig(5, 8, 8, 2, 1)
    for kind in KINDS:
        of, names, usual = KINDS[kind]
        sizes = {"context_length": 8, "dim": 8, "n_heads": 2, "head_dim": 4}
        positions = of(*(sizes[name] for name in names), **usual)
        places = {
            "embeddings": lambda positions=positions: mg.nn.TokenAndPositionEmbedding(5, 8, 8, position=positions),
            "attention": lambda positions=positions: CausalSelfAttention(config, 0, positions),
        }
        heard = (
            ["embeddings", "attention"] if kind == "none" else ["embeddings" if of.acts_on_embeddings else "attention"]
        )
        for place, make in places.items():
            if place in heard:
                make()
            else:
                with pytest.raises(ValueError, match=f"{of.__name__} is .* would be ignored here"):
                    make()
    for name in (CausalSelfAttention, lambda *a: mg.nn.TokenAndPositionEmbedding(5, 8, 8, position=a[-1])):
        with pytest.raises(TypeError, match=r"nn.positions, say RoPE\(\.\.\.\), got 'alibi'"):
            name(config, 0, "alibi")


@each_kind
def test_a_layer_by_itself_takes_its_positions_from_the_config(kind: str) -> None:
    of, _, _ = KINDS[kind]
    layer = CausalSelfAttention(config_of(kind), 0)
    assert type(layer.positions) is (Positions if of.acts_on_embeddings else of)


def test_configs_are_values() -> None:
    a, b = (GPTConfig(positions="rope-halves", position_options={"base": base}) for base in (100.0, 200.0))
    assert a != b and hash(a) == hash(GPTConfig(positions="rope-halves", position_options={"base": 100.0}))
    assert len({a, b, GPTConfig()}) == 3
    with pytest.raises(ValueError, match="there are no positions 'rope'; there are none, learned"):
        GPTConfig(positions="rope")
    for kind, options in (
        ("learned", {"padding_idx": 3}),
        ("learned", {"_freeze": True}),
        ("t5", {"dtype": mg.float64}),
        ("alibi", {"n_layers": 3}),
        ("rope-halves", {"layout": "interleaved"}),
        ("shaw", {"head_dim": 3}),
    ):
        with pytest.raises(TypeError, match=f"positions '{kind}' take no option {next(iter(options))}; they take"):
            GPT(GPTConfig(5, 8, 8, 2, 1, positions=kind, position_options=options))


@pytest.mark.parametrize("bad", [(False, 32, 16), (True, 2, 128), (True, 5, 128), (False, 1, 128)])
def test_buckets_that_cannot_be(bad: tuple[bool, int, int]) -> None:
    with pytest.raises(ValueError, match="2 buckets to a direction"):
        relative_position_bucket([-200], *bad)


# ------------------------------------------------------------------------------------------------------- built by name


def test_every_class_has_a_name() -> None:
    def below(of: type) -> set[type]:
        return {of, *(c for each in of.__subclasses__() for c in below(each))}

    assert {of for of, _, _ in KINDS.values()} == {c for c in below(Positions) if not c.__name__.startswith("_")}


@each_kind
def test_each_kind_comes_in_through_one_door(kind: str) -> None:
    added, layers = P.build(kind, {}, 3, 12, 16, 2)
    assert len(layers) == 3
    x, (q, k) = placed(numbers(0, 2, 4, 16)), tensors(0, (2, 2, 4, 8), (2, 2, 4, 8))
    for each in (added, *layers):
        each.double()
    doors = [added.embed(x) is not x, layers[0].rotate(q) is not q, layers[0].bias(q, k) is not None]
    assert doors == [
        added.acts_on_embeddings,
        kind.startswith("rope"),
        kind in ("shaw", "shaw-values", "transformer-xl", "t5", "alibi"),
    ]
    assert sum(doors) == (kind != "none")
    assert added.rotate(q) is q and added.bias(q, k) is None and layers[0].embed(x) is x


def test_add_positions_takes_the_sequence_only() -> None:
    for wrong in [(3, 1, 4), (4,), (1, 4), (3, 3, 4), (4, 3)]:
        with pytest.raises(ValueError, match="the batch takes no part"):
            add_positions(mg.zeros(3, 3, 4), mg.zeros(*wrong))


# --------------------------------------------------------------------------------------------------- how they are made

MADE: dict[str, Callable[..., Positions]] = {
    "learned": lambda **how: LearnedPositions(5, 4, **how),
    "t5": lambda **how: T5Bias(2, **how),
    "shaw": lambda **how: ShawPositions(4, values=True, **how),
    "transformer-xl": lambda **how: TransformerXLPositions(8, 2, **how),
    "gpt": lambda **how: mg.nn.TokenAndPositionEmbedding(5, 4, 3, **how),
}


@pytest.mark.parametrize("kind", list(MADE))
def test_parameters_are_made_with_that_dtype_on_that_device(kind: str) -> None:
    made = MADE[kind](dtype=mg.float64, device="cpu")
    assert {(p.dtype, p.device.type) for p in made.parameters()} == {(mg.float64, "cpu")}
    assert {p.dtype for p in MADE[kind]().parameters()} == {mg.float32}


def test_options_are_the_papers_by_default() -> None:
    t5, shaw = T5Bias(2), ShawPositions(4)
    assert (t5.num_buckets, t5.max_distance, t5.bidirectional) == (32, 128, False)
    assert (shaw.left, shaw.right, shaw.value) == (16, 16, None)
    assert np.array_equal(
        relative_position_bucket(range(-300, 300)), relative_position_bucket(range(-300, 300), True, 32, 128)
    )
    mg.manual_seed(0)
    xl = TransformerXLPositions(64, 2)
    for p in (xl.u, xl.v):
        assert 0.01 < p.std().item() < 0.03 and abs(p.mean().item()) < 0.01


@each_kind
def test_without_a_batch_it_is_the_same(kind: str) -> None:
    """Queries and keys (heads, L, d), and token vectors (T, D)."""
    mg.manual_seed(0)
    added, (layer, *_) = P.build(kind, OPTIONS.get(kind, {}), 1, 12, 16, 2)
    x, (q, k, v) = placed(numbers(0, 4, 16)).float(), (t.float() for t in tensors(0, (2, 3, 8), (2, 5, 8), (2, 5, 8)))
    with mg.no_grad():
        same(added.embed(x), added.embed(x[None])[0], exact=True)
        same(added.embed(x), added.embed(x, start=0), exact=True)
        same(layer.rotate(q), layer.rotate(q[None], start=0)[0], exact=True)
        for is_causal in (True, False):
            same(
                layer.attend(q, k, v, is_causal=is_causal),
                layer.attend(q[None], k[None], v[None], is_causal=is_causal)[0],
            )
