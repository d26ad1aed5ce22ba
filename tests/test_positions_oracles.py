"""Every kind of positions against the implementation that was published with it, or that most people run.

Each test takes the figure of its kind, the largest difference allowed in float32, and runs twice: as published, and with
what the published code calls float being float64, where what remains are its formulas without its roundings and nothing may
differ by more than EXACT. Minigrad's angles are rounded once; what of the published ones are not is `angle_error`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from helpers import CPU, both, numpy_of, same

import minigrad as mg
from minigrad import nn
from minigrad.gpt import CausalSelfAttention, GPTConfig
from minigrad.nn.positions import (
    ALiBi,
    LearnedPositions,
    Positions,
    RoPE,
    ShawPositions,
    SinusoidalPositions,
    T5Bias,
    TransformerXLPositions,
    relative_position_bucket,
    sinusoids,
)
from minigrad.ops.positions import relative_shift, rotate

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # x-transformers' import

EXACT = 2e-12
"""What float64 may differ by: twice the last bit of an angle, or of a bias, at position 4096."""
HEADS = [1, 2, 3, 6, 8, 12, 16, 20]
LENGTHS = [(7, 7), (3, 7), (1, 7), (1, 1)]
"""Queries L and keys S: with and without a cache."""


# ------------------------------------------------------------------------------------------------------- how to compare


MODELS = ["bloom", "gpt2", "gptj", "llama", "m2m_100", "mpt", "t5", "wav2vec2_bert", "xlnet"]


def module_name(name: str) -> str:
    return name if "." in name else f"transformers.models.{name}.modeling_{name}"


@pytest.fixture
def published(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """A module of a package that only these tests need, by name; "llama" is short for transformers' model of that name."""

    def module(name: str) -> Any:
        try:
            return import_module(module_name(name))
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in ("onnx", "transformers", "x_transformers") or request.config.getoption("--oracles"):
                raise
            pytest.skip(f"{package}, which positions are compared with, is missing: pip install -e '.[oracles]'")

    return module


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The type of all numbers; if float64, then so is all that published code asks for as float or float32."""
    if request.param is np.float64:
        with suppress(ModuleNotFoundError):  # none of them is imported with another torch.float
            for name in ["x_transformers.x_transformers", *MODELS]:
                import_module(module_name(name))
        for name in ("float", "float32"):
            monkeypatch.setattr(torch, name, torch.float64)
        monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
        torch.set_default_dtype(torch.float64)
    yield request.param
    monkeypatch.undo()
    torch.set_default_dtype(torch.float32)


def uniform(seed: int, dtype: Any, *shape: int) -> np.ndarray:
    """Numbers within ±1, so that a figure means as many roundings of each."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def near(ours: Any, theirs: Any, within: Any, what: str = "value") -> None:
    """The same shape and dtype, and numbers that differ by at most `within`, which broadcasts; by EXACT in float64."""
    a, b = numpy_of(ours), numpy_of(theirs)
    assert (a.shape, a.dtype) == (b.shape, b.dtype), what
    gap = np.abs(a - b)
    over = ~(gap <= (within if a.dtype == np.float32 else EXACT))
    if over.any():
        raise AssertionError(f"{what}: {over.sum()} of {a.size} differ by too much, the largest of all by {gap.max()}")


def near_gradients(ours: Any, theirs: Any, within: Any, pairs: dict[str, tuple[Any, Any]], seed: int = 0) -> None:
    """Under one random cotangent: the gradients of leaves, ours and theirs, relative to the largest entry of each."""
    g = uniform(seed, numpy_of(theirs).dtype, *theirs.shape)
    ours.backward(mg.tensor(g))
    theirs.backward(torch.tensor(g))
    for name, (x, tx) in pairs.items():
        near_scaled(x.grad, tx() if callable(tx) else tx.grad, within, f"gradient of {name}")


def near_scaled(ours: Any, theirs: Any, within: Any, what: str = "value") -> None:
    """Differences relative to the largest number, or to 0.5: some gradients are zero but for roundings."""
    near(ours, theirs, within * max(float(np.abs(numpy_of(theirs)).max()), 0.5), what)


Of = Callable[[Callable[[torch.Tensor], torch.Tensor]], torch.Tensor]
"""Given how to look at a published parameter (itself, or its gradient): the same in our layout."""


def weights_of(ours: nn.Module, theirs: dict[str, Of], dtype: Any) -> dict[str, tuple[Any, Any]]:
    """Our parameters with the published numbers, and for near_gradients with the published gradients."""
    ours.to(mg.float32 if dtype is np.float32 else mg.float64)
    pairs = {}
    with mg.no_grad():
        for name, of in theirs.items():
            p = ours.get_parameter(name)
            p.copy_(mg.tensor(numpy_of(of(lambda w: w.detach()))))
            pairs[name] = p, lambda of=of: of(lambda w: w.grad)
    return pairs


def randomized(module: torch.nn.Module, seed: int = 0) -> Any:
    """Published modules begin with zeros and small numbers, behind which mistakes could hide. In eval mode, and all of a type."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.uniform_(-0.5, 0.5, generator=rng)
    return module.eval().to(torch.get_default_dtype())


def frequencies(dim: int, base: float = 10000.0, fastest: float = 1.0) -> np.ndarray:
    return fastest / base ** (np.arange(0, dim, 2) / dim)


def angle_error(positions: Any, frequency: np.ndarray) -> np.ndarray:
    """(T, pairs): by how much an angle p × f is off where each step is rounded to float32, by up to 2^-24 of its result.

    That are the product, the power (good to two such) and its reciprocal, and the exponent, ln f, and what it is made of.
    """
    return np.asarray(positions)[:, None] * frequency * (4 + 2 * np.abs(np.log(frequency))) * 2.0**-24


# -------------------------------------------------------------------------------------------------------------- learned


@pytest.mark.parametrize(
    "batch, T, D, integers", [(1, 7, 12, False), (2, 7, 12, False), (8, 32, 17, False), (33, 7, 12, True)]
)
def test_learned_positions_are_two_tables_added_bit_for_bit(batch: int, T: int, D: int, integers: bool) -> None:
    """No package needed. In which order torch sums over the batch depends on the sizes, so that of some only exact sums agree."""
    V = 19
    rng = np.random.default_rng(batch)
    ids = rng.integers(0, V, (batch, T))
    drawn = rng.integers(-4, 5, (batch, T, D)) if integers or not CPU else rng.standard_normal((batch, T, D))
    g = drawn.astype(np.float32)
    token, position = (torch.nn.Embedding(n, D) for n in (V, T + 2))
    ours = nn.TokenAndPositionEmbedding(V, T + 2, D)
    weights_of(
        ours,
        {"token.weight": lambda of: of(token.weight), "position.weight": lambda of: of(position.weight)},
        np.float32,
    )
    for start in (0, 2):
        y = ours(mg.tensor(ids), start=start)
        ty = token(torch.tensor(ids)) + position(torch.arange(start, start + T))
        same(y, ty, exact=True)
        ours.zero_grad()
        token.zero_grad()
        position.zero_grad()
        y.backward(mg.tensor(g))
        ty.backward(torch.tensor(g))
        same(ours.token.weight.grad, token.weight.grad, exact=True, what="gradient of the tokens")
        same(ours.position.weight.grad, position.weight.grad, exact=True, what="gradient of the positions")


def test_learned_positions_are_gpt2s(published: Any, dtype: Any) -> None:
    """GPT-2 without a block is two tables and a LayerNorm."""
    B, T, D, V = 3, 10, 32, 50
    gpt2 = published("gpt2")
    theirs = randomized(gpt2.GPT2Model(gpt2.GPT2Config(vocab_size=V, n_positions=16, n_embd=D, n_layer=0, n_head=2)))
    ours = nn.Sequential(nn.TokenAndPositionEmbedding(V, 16, D, position=LearnedPositions(16, D)), nn.LayerNorm(D))
    pairs = weights_of(
        ours,
        {
            "0.token.weight": lambda of: of(theirs.wte.weight),
            "0.position.weight": lambda of: of(theirs.wpe.weight),
            "1.weight": lambda of: of(theirs.ln_f.weight),
            "1.bias": lambda of: of(theirs.ln_f.bias),
        },
        dtype,
    )
    ids = np.random.default_rng(0).integers(0, V, (B, T))
    y, ty = ours(mg.tensor(ids)), theirs(torch.tensor(ids)).last_hidden_state
    near(y, ty, 2.4e-7)
    near_gradients(y, ty, 2.4e-7, pairs)


# ----------------------------------------------------------------------------------------------------------- sinusoidal


def added(kind: Positions, T: int, dim: int, dtype: Any, start: int = 0) -> mg.Tensor:
    """What positions add to nothing."""
    return kind.embed(mg.tensor(np.zeros((T, dim), dtype)), start)


def distilbert(published: Any, T: int, dim: int) -> torch.Tensor:
    return published("distilbert").create_sinusoidal_embeddings(T, dim, torch.empty(T, dim))


def marian(published: Any, T: int, dim: int) -> torch.Tensor:
    return published("marian").MarianSinusoidalPositionalEmbedding(T, dim).create_weight()


def m2m100(published: Any, T: int, dim: int) -> torch.Tensor:
    return published("m2m_100").M2M100SinusoidalPositionalEmbedding.get_embedding(T, dim)


@pytest.mark.parametrize("T, dim", [(512, 64), (40, 768), (4096, 6), (50, 7), (50, 1), (9, 2)])
@pytest.mark.parametrize("layout, theirs, figure", [("interleaved", distilbert, 1.8e-7), ("halves", marian, 4.5e-8)])
def test_sinusoids(published: Any, layout: str, theirs: Any, figure: float, T: int, dim: int) -> None:
    """At any position, since these too compute angles in float64; also of an odd width, which has one more sine."""
    table = theirs(published, T, dim)
    near(added(SinusoidalPositions(dim, layout=layout), T, dim, np.float32), table, figure)
    near(sinusoids(range(T), dim, layout).astype(np.float32), table, figure)


@pytest.mark.parametrize("dim", [64, 512, 1024, 7, 4])
def test_sinusoids_of_tensor2tensor(published: Any, dtype: Any, dim: int) -> None:
    """The figure for 6 positions; M2M100 rounds angles. An odd width ends in a column of zeros."""
    T, half = 4096, dim // 2
    theirs = m2m100(published, T, dim)
    ours = added(SinusoidalPositions(dim, layout="tensor2tensor"), T, dim, dtype)
    near(ours[:6], theirs[:6], 3.0e-7)
    error = angle_error(range(T), 10000.0 ** (-np.arange(half) / (half - 1)))
    near(ours, theirs, 3.0e-7 + np.hstack([error, error, np.zeros((T, dim % 2))]))
    if dim % 2:
        assert not numpy_of(ours)[:, -1].any()


def test_tensor2tensor_is_not_the_paper(published: Any) -> None:
    """By 0.75 in a model of 512 dimensions: the sentence of the docstring is true, of theirs as of ours."""
    T, dim = 512, 512
    paper, other = (sinusoids(range(T), dim, layout) for layout in ("halves", "tensor2tensor"))
    assert 0.7 < np.abs(paper - other).max() < 0.76
    assert 0.7 < (marian(published, T, dim) - m2m100(published, T, dim)).abs().max() < 0.76


@pytest.mark.parametrize("dim", [2, 64, 512])
def test_scaled_sinusoids_of_x_transformers(published: Any, dtype: Any, dim: int) -> None:
    """The figure of halves, which is less than a rounding of the largest numbers, for 8 positions."""
    T, start = 4096, 5
    module = published("x_transformers.x_transformers").ScaledSinusoidalEmbedding(dim)
    kind = SinusoidalPositions(dim, layout="halves", scale=dim**-0.5)
    ours, theirs = added(kind, T, dim, dtype, start), module(torch.zeros(1, T, dim), offset=start).detach()
    error = angle_error(range(start, start + T), frequencies(dim)) * dim**-0.5
    near(ours, theirs, 4.5e-8 + np.hstack([error, error]))
    near(added(kind, 8, dim, dtype), module(torch.zeros(1, 8, dim)).detach(), 4.5e-8)


@pytest.mark.parametrize("layout, table", [("interleaved", distilbert), ("halves", marian), ("tensor2tensor", m2m100)])
def test_sinusoids_are_added_to_every_sequence(published: Any, layout: str, table: Any) -> None:
    T, dim = 6, 8
    x, tx = both(uniform(0, np.float32, 3, T, dim), requires_grad=True)
    y = SinusoidalPositions(dim, layout=layout).embed(x, start=2)
    ty = tx + table(published, T + 2, dim)[2:]
    near(y, ty, 3.0e-7)
    near_gradients(y, ty, 0.0, {"x": (x, tx)})


# ----------------------------------------------------------------------------------------------------------------- Shaw


@pytest.mark.parametrize("left, right, L", [(64, 8, 9), (2, 3, 9), (3, 0, 4), (0, 2, 1)])
def test_shaw_keys_are_those_of_wav2vec2_bert(published: Any, dtype: Any, left: int, right: int, L: int) -> None:
    """The bias alone; where the queries are the last L of S, theirs has rows for the others too."""
    w2v, B, heads, d, S = published("wav2vec2_bert"), 2, 3, 8, 9
    config = w2v.Wav2Vec2BertConfig(
        hidden_size=heads * d, num_attention_heads=heads, position_embeddings_type="relative_key",
        left_max_position_embeddings=left, right_max_position_embeddings=right,
    )  # fmt: skip
    theirs = randomized(w2v.Wav2Vec2BertSelfAttention(config))
    ours = ShawPositions(d, left=left, right=right)
    pairs = weights_of(ours, {"key.weight": lambda of: of(theirs.distance_embedding.weight)}, dtype)
    q, tq = both(uniform(1, dtype, B, heads, S, d), requires_grad=True)
    k, tk = both(uniform(2, dtype, B, heads, S, d))
    y = ours.bias(q[:, :, S - L :], k)
    ty = w2v._apply_relative_key_position_encoding(theirs, tq, tk)[1][:, :, S - L :]
    near_scaled(y, ty, 3.0e-7)
    near_gradients(y, ty, 3.0e-7, {**pairs, "q": (q, tq)})


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("L, S", LENGTHS)
def test_shaw_values_by_the_paper(dtype: Any, L: int, S: int, is_causal: bool) -> None:
    """No package has them: equations 3 and 4 of the paper, pair by pair, in torch. No package needed."""
    B, heads, d, left, right = 2, 3, 8, 2, 1
    ours = ShawPositions(d, left=left, right=right, values=True)
    tables = [torch.tensor(uniform(seed, dtype, left + right + 1, d), requires_grad=True) for seed in (3, 4)]
    pairs = weights_of(ours, {"key.weight": lambda of: of(tables[0]), "value.weight": lambda of: of(tables[1])}, dtype)
    shapes = [(B, heads, L, d), (B, heads, S, d), (B, heads, S, d)]
    leaves = [both(uniform(i, dtype, *shape), requires_grad=True) for i, shape in enumerate(shapes)]
    (q, k, v), (tq, tk, tv) = zip(*leaves, strict=True)
    out = []
    for i in range(L):
        at = S - L + i
        seen = range(at + 1 if is_causal else S)
        rows = [left + min(max(j - at, -left), right) for j in seen]
        score = [
            (tq[:, :, i] * (tk[:, :, j] + tables[0][r])).sum(-1) / math.sqrt(d) for j, r in zip(seen, rows, strict=True)
        ]
        share = torch.stack(score, -1).softmax(-1)
        out.append(sum(share[..., j, None] * (tv[:, :, j] + tables[1][r]) for j, r in zip(seen, rows, strict=True)))
    y, ty = ours.attend(q, k, v, is_causal=is_causal), torch.stack(out, 2)
    near_scaled(y, ty, 3.0e-7)
    near_gradients(y, ty, 6.0e-7, {**pairs, "q": leaves[0], "k": leaves[1], "v": leaves[2]})


# ------------------------------------------------------------------------------------------------------- Transformer-XL


@pytest.mark.parametrize("L, S", [*LENGTHS, (5, 5), (2, 64), (64, 64)])
def test_the_relative_shift_is_xlnets(published: Any, L: int, S: int) -> None:
    shift = published("xlnet").XLNetRelativeAttention.rel_shift_bnij
    x, tx = both(uniform(0, np.float32, 2, 3, L, L + S), requires_grad=True)
    y, ty = relative_shift(x), shift(tx, klen=S)
    same(y, ty, exact=True)
    near_gradients(y, ty, 0.0, {"x": (x, tx)})


@pytest.mark.parametrize("direction", ["bi", "uni"])
@pytest.mark.parametrize("L, S", LENGTHS)
def test_transformer_xl_attention_is_xlnets(published: Any, dtype: Any, L: int, S: int, direction: str) -> None:
    """Content, distance, scale, mask and all, with XLNet's encoding of distances: "uni" has none of the future, and a mask."""
    xlnet, B, heads, d = published("xlnet"), 2, 3, 8
    config = xlnet.XLNetConfig(
        vocab_size=2, d_model=heads * d, n_head=heads, n_layer=1, d_inner=4, attn_type=direction, dropout=0
    )
    theirs = randomized(xlnet.XLNetRelativeAttention(config))
    ours = TransformerXLPositions(heads * d, heads)
    pairs = weights_of(
        ours,
        {
            "u": lambda of: of(theirs.r_w_bias),
            "v": lambda of: of(theirs.r_r_bias),
            "distance.weight": lambda of: of(theirs.r).flatten(1).T,
        },
        dtype,
    )
    shapes = [(B, heads, L, d), (B, heads, S, d), (B, heads, S, d)]
    leaves = [both(uniform(i, dtype, *shape), requires_grad=True) for i, shape in enumerate(shapes)]
    (q, k, v), txs = zip(*leaves, strict=True)
    encoding = xlnet.XLNetModel(config).relative_positional_encoding(L, S, B)
    hidden = torch.ones(L, S).triu(S - L + 1)[:, :, None, None].expand(L, S, B, heads) if direction == "uni" else None
    ty = theirs.rel_attn_core(
        *(tx.permute(2, 0, 1, 3) for tx in txs), torch.einsum("ibh,hnd->ibnd", encoding, theirs.r), attn_mask=hidden
    ).permute(1, 2, 0, 3)
    y = ours.attend(q, k, v, is_causal=direction == "uni")
    near_scaled(y, ty, 3.0e-7)
    near_gradients(y, ty, 6.0e-7, {**pairs, "q": leaves[0], "k": leaves[1], "values": leaves[2]})


# ------------------------------------------------------------------------------------------------------------------- T5


def test_buckets_are_t5s_on_300_by_300(published: Any) -> None:
    relative = np.arange(300)[None, :] - np.arange(300)[:, None]
    for bidirectional in (True, False):
        theirs = published("t5").T5Attention._relative_position_bucket(torch.tensor(relative), bidirectional)
        np.testing.assert_array_equal(relative_position_bucket(relative, bidirectional), theirs.numpy())


@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_are_t5s_of_every_number_and_distance(
    published: Any, bidirectional: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the logarithm of float32 rounded correctly: torch's own depends on the processor, and so do buckets at an edge."""
    log = torch.log
    monkeypatch.setattr(torch, "log", lambda x: log(x.double()).to(x.dtype))
    relative = np.arange(-5000, 5001)
    t5, xt = published("t5").T5Attention, published("x_transformers.x_transformers").RelativePositionBias
    for n in range(4 if bidirectional else 2, 70, 2 if bidirectional else 1):
        for furthest in (n, n + 1, 50, 100, 128, 256, 1000, 4096):
            if furthest <= n // (4 if bidirectional else 2):
                continue
            ours = relative_position_bucket(relative, bidirectional, n, furthest)
            theirs = t5._relative_position_bucket(torch.tensor(relative), bidirectional, n, furthest)
            np.testing.assert_array_equal(ours, theirs.numpy(), err_msg=f"{n} buckets up to {furthest}")
            theirs = xt._relative_position_bucket(torch.tensor(relative), not bidirectional, n, furthest)
            np.testing.assert_array_equal(ours, theirs.numpy(), err_msg=f"{n} buckets up to {furthest}, x-transformers")


def test_a_bucket_at_an_edge_is_the_published_one() -> None:
    """The exact quotient of logarithms is 1/2, in float32 one less; no package needed."""
    assert relative_position_bucket([-30, -31], False, 36, 50).tolist() == [26, 27]
    assert relative_position_bucket([-60, -61], False, 72, 100).tolist() == [53, 54]


@pytest.mark.parametrize("package", ["transformers", "x-transformers"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("L, S", [*LENGTHS, (40, 40), (5, 300)])
def test_t5_bias(published: Any, package: str, bidirectional: bool, L: int, S: int) -> None:
    """Rows of a table: exact. So are their gradients, on cotangents that are small integers."""
    heads, n, furthest = 3, 8, 20
    if package == "transformers":
        t5 = published("t5")
        config = t5.T5Config(
            d_model=8, d_kv=4, num_heads=heads, relative_attention_num_buckets=n, relative_attention_max_distance=furthest,
            is_decoder=not bidirectional,
        )  # fmt: skip
        theirs = randomized(t5.T5Attention(config, has_relative_attention_bias=True, layer_idx=0))
        ty = theirs.compute_bias(L, S, past_seen_tokens=S - L)[0]
    else:
        module = published("x_transformers.x_transformers").RelativePositionBias
        theirs = randomized(module(1.0, not bidirectional, n, furthest, heads))
        ty = theirs(L, S)
    ours = T5Bias(heads, num_buckets=n, max_distance=furthest, bidirectional=bidirectional)
    weights_of(ours, {"table.weight": lambda of: of(theirs.relative_attention_bias.weight)}, np.float32)
    y = ours.bias(mg.zeros(1, heads, L, 4), mg.zeros(1, heads, S, 4))
    same(y, ty, exact=True)
    g = np.random.default_rng(0).integers(-4, 5, (heads, L, S)).astype(np.float32)
    y.backward(mg.tensor(g))
    ty.backward(torch.tensor(g))
    same(ours.table.weight.grad, theirs.relative_attention_bias.weight.grad, what="gradient", rtol=0, atol=0)


# ---------------------------------------------------------------------------------------------------------------- ALiBi


def alibi(heads: int, L: int, S: int, dtype: Any) -> mg.Tensor:
    return ALiBi(heads).bias(mg.tensor(np.zeros((1, heads, L, 2), dtype)), mg.tensor(np.zeros((1, heads, S, 2), dtype)))


@pytest.mark.parametrize("heads", HEADS)
def test_alibi_is_x_transformers(published: Any, dtype: Any, heads: int) -> None:
    """The figure for 12 positions, and at all where slopes are powers of two; else three roundings: slope, bias, and ours."""
    for L, S in [*LENGTHS, (12, 12), (3, 4096), (1024, 1024)]:
        theirs = published("x_transformers.x_transformers").AlibiPositionalBias(heads)(L, S)
        near(
            alibi(heads, L, S, dtype),
            theirs,
            5.8e-7 if S <= 12 or heads <= 8 else np.abs(numpy_of(theirs)) * 3 * 2.0**-24,
        )


@pytest.mark.parametrize("model", ["bloom", "mpt"])
@pytest.mark.parametrize("heads", HEADS)
def test_alibi_is_blooms_and_mpts_but_for_a_constant_a_row(published: Any, dtype: Any, model: str, heads: int) -> None:
    """They count from the first token or to the last, instead of to the query: causal attention cannot tell."""
    S = 8
    if model == "bloom":
        theirs = published("bloom").build_alibi_tensor(torch.ones(1, S), heads, torch.float32)
    else:
        theirs = published("mpt").build_mpt_alibi_tensor(heads, S)
    ours = alibi(heads, S, S, dtype)
    past = np.tril(np.ones((S, S), bool))
    shift = np.where(past, numpy_of(ours) - numpy_of(theirs), 0)
    constant = np.where(past, shift[:, :, :1], 0)
    near(shift, constant, 5.8e-7)
    scores = uniform(0, dtype, heads, S, S)
    future = torch.tensor(~past)
    ty = (torch.tensor(scores) + theirs).masked_fill(future, -math.inf).softmax(-1)
    y = (mg.tensor(scores) + ours).masked_fill(mg.tensor(~past), -math.inf).softmax(-1)
    near(y, ty, 5.8e-7)


# ----------------------------------------------------------------------------------------------------------------- RoPE


def onnx_rotary(published: Any, inputs: list[np.ndarray], **attributes: int) -> np.ndarray:
    """A model of one node, run by ONNX's reference."""
    published("onnx.reference")
    onnx = published("onnx.helper")
    names = ["x", "cos", "sin", "position_ids"][: len(inputs)]
    node = onnx.make_node("RotaryEmbedding", names, ["y"], **attributes)
    types = {np.dtype(np.float32): 1, np.dtype(np.float64): 11, np.dtype(np.int64): 7}
    graph = onnx.make_graph(
        [node],
        "rotary",
        [onnx.make_tensor_value_info(n, types[x.dtype], x.shape) for n, x in zip(names, inputs, strict=True)],
        [onnx.make_tensor_value_info("y", types[inputs[0].dtype], inputs[0].shape)],
    )
    model = onnx.make_model(graph, opset_imports=[onnx.make_opsetid("", 23)])
    return published("onnx.reference").ReferenceEvaluator(model).run(None, dict(zip(names, inputs, strict=True)))[0]


LAYOUTS = [("halves", 0), ("interleaved", 1)]


@pytest.mark.parametrize("layout, interleaved", LAYOUTS)
@pytest.mark.parametrize("rotary_dim", [2, 6, 8])
def test_rotation_is_onnxs(published: Any, dtype: Any, layout: str, interleaved: int, rotary_dim: int) -> None:
    """To the figure at any position, the angles being given: minigrad's cosines and sines are those of float64, rounded once."""
    B, heads, T, d = 2, 3, 5, 8
    attributes = {"interleaved": interleaved, "rotary_embedding_dim": rotary_dim if rotary_dim < d else 0}
    x = uniform(0, dtype, B, heads, T, d)
    for start in (0, 3, 4091):
        angles = np.arange(4096)[:, None] * frequencies(rotary_dim)
        ids = np.tile(np.arange(start, start + T), (B, 1))
        cos, sin = np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)
        ours = RoPE(d, layout=layout, rotary_dim=rotary_dim).rotate(mg.tensor(x), start)
        near(ours, onnx_rotary(published, [x, cos, sin, ids], **attributes), 2.7e-7)
    cos, sin = uniform(1, dtype, B, T, rotary_dim // 2), uniform(2, dtype, B, T, rotary_dim // 2)  # of no angle at all
    ours = rotate(mg.tensor(x), mg.tensor(cos[:, None]), mg.tensor(sin[:, None]), layout)
    near(ours, onnx_rotary(published, [x, cos, sin], **attributes), 2.7e-7)


def llama(published: Any, x: torch.Tensor, start: int, **rope: Any) -> torch.Tensor:
    """Keys, since the published function turns both."""
    module, d, end = published("llama"), x.shape[-1], start + x.shape[2]
    parameters = {"rope_type": "default", "rope_theta": 10000.0, **rope}
    train = parameters.pop("trained", 4096)
    config = module.LlamaConfig(
        hidden_size=d, num_attention_heads=1, max_position_embeddings=train, rope_parameters=parameters
    )
    cos, sin = module.LlamaRotaryEmbedding(config)(x, torch.arange(start, end)[None])
    q, k = module.apply_rotary_pos_emb(x, x.clone(), cos, sin)
    assert torch.equal(q, k)
    return k


def gptj(published: Any, x: torch.Tensor, start: int, rotary_dim: int | None = None) -> torch.Tensor:
    module, n = published("gptj"), rotary_dim or x.shape[-1]
    sin, cos = module.create_sinusoidal_positions(start + x.shape[2], n)[None, start:].to(x.dtype).chunk(2, -1)
    turned = module.apply_rotary_pos_emb(x.transpose(1, 2)[..., :n], sin, cos).transpose(1, 2)
    return torch.cat([turned, x[..., n:]], -1)


def x_transformers(
    published: Any, x: torch.Tensor, start: int, rotary_dim: int | None = None, **options: Any
) -> torch.Tensor:
    module = published("x_transformers.x_transformers")
    angles, scale = module.RotaryEmbedding(rotary_dim or x.shape[-1], **options)(
        torch.arange(start, start + x.shape[2])
    )
    return module.apply_rotary_pos_emb(x, angles, scale)


ROTATIONS = {
    "Llama": (llama, {}, {"layout": "halves"}),
    "Llama, another base": (llama, {"rope_theta": 5e5}, {"layout": "halves", "base": 5e5}),
    "Llama, linear": (llama, {"rope_type": "linear", "factor": 4.0}, {"layout": "halves", "scaling": "linear", "factor": 4.0}),
    "GPT-J": (gptj, {}, {"layout": "interleaved"}),
    "GPT-J, in part": (gptj, {"rotary_dim": 6}, {"layout": "interleaved", "rotary_dim": 6}),
    "x-transformers": (x_transformers, {}, {"layout": "interleaved"}),
    "x-transformers, in part": (x_transformers, {"rotary_dim": 10}, {"layout": "interleaved", "rotary_dim": 10}),
    "x-transformers, linear": (
        x_transformers,
        {"interpolation_factor": 2.5},
        {"layout": "interleaved", "scaling": "linear", "factor": 2.5},
    ),
    "x-transformers, NTK": (x_transformers, {"base_rescale_factor": 4.0}, {"layout": "interleaved", "scaling": "ntk", "factor": 4.0}),
    "x-transformers, NTK in part": (
        x_transformers,
        {"base_rescale_factor": 4.0, "rotary_dim": 8},
        {"layout": "interleaved", "scaling": "ntk", "factor": 4.0, "rotary_dim": 8},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROTATIONS)
@pytest.mark.parametrize("start, T", [(0, 4), (0, 64), (1000, 24), (4090, 6)])
def test_rope(published: Any, dtype: Any, name: str, start: int, T: int) -> None:
    """The figure for 4 positions; what a wrong angle does to a pair within ±1 is twice as much."""
    (theirs, options, ours), d = ROTATIONS[name], 64
    x, tx = both(uniform(0, dtype, 2, 3, T, d), requires_grad=True)
    y, ty = RoPE(d, **ours).rotate(x, start), theirs(published, tx, start, **options)
    n, factor, scaling = ours.get("rotary_dim", d), ours.get("factor", 1.0), ours.get("scaling")
    base = ours.get("base", 10000.0) * (factor ** (n / (n - 2)) if scaling == "ntk" else 1)
    error = 2 * angle_error(range(start, start + T), frequencies(n, base, 1 / factor if scaling == "linear" else 1))
    pairs = np.repeat(error, 2, 1) if ours["layout"] == "interleaved" else np.hstack([error, error])
    within = 2.7e-7 + (T > 4) * np.pad(pairs, [(0, 0), (0, d - n)])
    near(y, ty, within)
    near_gradients(y, ty, within, {"x": (x, tx)})


@pytest.mark.parametrize("trained, T, factor", [(16, 40, 2.0), (16, 32, 1.0), (16, 64, 3.0), (64, 1024, 1.0)])
def test_ntk_is_llamas_dynamic_scaling_at_one_length(
    published: Any, dtype: Any, trained: int, T: int, factor: float
) -> None:
    """Theirs grows with the sequence; ours is what it is at T tokens, whose last pair turns as slowly as in training."""
    d, longer = 64, factor * T / trained - (factor - 1)
    x, tx = both(uniform(0, dtype, 2, 3, T, d), requires_grad=True)
    y = RoPE(d, layout="halves", scaling="ntk", factor=longer).rotate(x)
    ty = llama(published, tx, 0, rope_type="dynamic", factor=factor, trained=trained)
    error = 2 * angle_error(range(T), frequencies(d, 10000 * longer ** (d / (d - 2))))
    within = 2.7e-7 + np.hstack([error, error])
    near(y, ty, within)
    near_gradients(y, ty, within, {"x": (x, tx)})


# ------------------------------------------------------------------------------------------------ whole attention layers

B, T, H, D = 2, 9, 4, 32
FUTURE = torch.ones(T, T, dtype=torch.bool).triu(1)


def hiding(x: torch.Tensor) -> torch.Tensor:
    return torch.zeros(1, 1, T, T, dtype=x.dtype).masked_fill(FUTURE, -math.inf)


def llama_layer(published: Any) -> Any:
    module = published("llama")
    config = module.LlamaConfig(hidden_size=D, num_attention_heads=H, attn_implementation="eager")
    layer = randomized(module.LlamaAttention(config, 0))
    angles = module.LlamaRotaryEmbedding(config)
    return (
        RoPE(D // H, layout="halves"),
        lambda x: layer(x, angles(x, torch.arange(T)[None]), hiding(x))[0],
        [layer.q_proj, layer.k_proj, layer.v_proj, layer.o_proj],
    )


def gptj_layer(published: Any) -> Any:
    module = published("gptj")
    config = module.GPTJConfig(n_embd=D, n_head=H, n_positions=16, rotary_dim=4, attn_implementation="eager")
    layer = randomized(module.GPTJAttention(config, 0))
    return (
        RoPE(D // H, layout="interleaved", rotary_dim=4),
        lambda x: layer(x, None, hiding(x), torch.arange(T).repeat(B, 1))[0],
        [layer.q_proj, layer.k_proj, layer.v_proj, layer.out_proj],
    )


def mpt_layer(published: Any) -> Any:
    module = published("mpt")
    layer = randomized(module.MptAttention(module.MptConfig(d_model=D, n_heads=H, max_seq_len=16)))
    bias = module.build_mpt_alibi_tensor(H, T)
    return ALiBi(H), lambda x: layer(x, bias.to(x.dtype), None, FUTURE)[0], [layer.Wqkv, layer.out_proj]


def t5_layer(published: Any) -> Any:
    """T5 does not divide by √d."""
    module = published("t5")
    config = module.T5Config(d_model=D, d_kv=D // H, num_heads=H, is_decoder=True, attn_implementation="eager")
    layer = randomized(module.T5Attention(config, has_relative_attention_bias=True, layer_idx=0))
    layer.scaling = (D // H) ** -0.5
    return (
        T5Bias(H),
        lambda x: layer(x, hiding(x))[0],
        [layer.q, layer.k, layer.v, layer.o],
        {"positions.table.weight": lambda of: of(layer.relative_attention_bias.weight)},
    )


def wav2vec2_bert_layer(published: Any) -> Any:
    module = published("wav2vec2_bert")
    config = module.Wav2Vec2BertConfig(
        hidden_size=D, num_attention_heads=H, position_embeddings_type="relative_key", attn_implementation="eager",
        left_max_position_embeddings=4, right_max_position_embeddings=2,
    )  # fmt: skip
    layer = randomized(module.Wav2Vec2BertSelfAttention(config))
    return (
        ShawPositions(D // H, left=4, right=2),
        lambda x: layer(x, hiding(x))[0],
        [layer.linear_q, layer.linear_k, layer.linear_v, layer.linear_out],
        {"positions.key.weight": lambda of: of(layer.distance_embedding.weight)},
    )


@pytest.mark.parametrize(
    "theirs, figure",
    [(llama_layer, 2.7e-7), (gptj_layer, 2.7e-7), (mpt_layer, 5.8e-7), (t5_layer, 3e-7), (wav2vec2_bert_layer, 3.0e-7)],
)
def test_a_whole_attention_layer(published: Any, dtype: Any, theirs: Any, figure: float) -> None:
    """minigrad's causal attention with their weights, relative to the largest number; gradients add some sixty roundings."""
    positions, layer, (*qkv, out), *more = theirs(published)
    has_bias = qkv[0].bias is not None
    ours = CausalSelfAttention(GPTConfig(emb_dim=D, n_heads=H, drop_rate=0.0, qkv_bias=has_bias), 0, positions)
    nn.init.zeros_(ours.projection.bias)
    weights: dict[str, Of] = {
        "qkv.weight": lambda of: torch.cat([of(linear.weight) for linear in qkv]),
        "projection.weight": lambda of: of(out.weight),
    }
    if has_bias:
        weights["qkv.bias"] = lambda of: torch.cat([of(linear.bias) for linear in qkv])
        weights["projection.bias"] = lambda of: of(out.bias)
    pairs = weights_of(ours, weights | (more[0] if more else {}), dtype)
    x, tx = both(uniform(0, dtype, B, T, D), requires_grad=True)
    y, ty = ours(x), layer(tx)
    near_scaled(y, ty, figure)
    near_gradients(y, ty, 4 * figure, {**pairs, "x": (x, tx)})
