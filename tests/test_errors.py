"""Wrong input of every kind: the class of the error is torch's, and its sentence has the facts that a reader needs.

Where torch raises, the test calls torch to know the class. A row gives `ours` only where minigrad differs on purpose: ids that
are not integers are a TypeError, and an id outside an empty table is still an IndexError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import data
from minigrad.gpt import GPT, GPTConfig, KVCache

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns before some of its errors


class Wrong(NamedTuple):
    """f(library) is a mistake; the message must hold all of `facts`."""

    f: Callable[[Any], Any]
    facts: tuple[str, ...] = ()
    ours: type[Exception] | None = None


def raised(f: Callable[[Any], Any], library: Any) -> Exception:
    with pytest.raises(Exception) as info:
        f(library)
        mg.cuda.synchronize()  # where a GPU's errors show at the latest
    return info.value


def check(wrong: Wrong) -> None:
    error = raised(wrong.f, mg)
    expected = wrong.ours or type(raised(wrong.f, torch))
    assert type(error) is expected, f"{type(error).__name__} for torch's {expected.__name__}: {error}"
    message = str(error)
    missing = [fact for fact in wrong.facts if fact.lower() not in message.lower()]
    assert not missing, f"the message lacks {missing}: {message}"


def over(table: dict[str, Wrong]) -> Any:
    return pytest.mark.parametrize("wrong", list(table.values()), ids=list(table))


def leaf(library: Any, *shape: int) -> Any:
    return library.ones(*shape, requires_grad=True)


# ------------------------------------------------------------------------------------------------- attention and its layers


def attend(*shapes: tuple[int, ...], **options: Any) -> Callable[[Any], Any]:
    """Attention of ones of these shapes; options are functions of the library."""

    def f(L: Any) -> Any:
        made = {name: value(L) for name, value in options.items()}
        return L.nn.functional.scaled_dot_product_attention(*(L.ones(*shape) for shape in shapes), **made)

    return f


def normed(shape: tuple[int, ...], last: Any, **options: tuple[int, ...]) -> Callable[[Any], Any]:
    return lambda L: L.nn.functional.layer_norm(L.ones(*shape), last, **{k: L.ones(*v) for k, v in options.items()})


ATTENTION = {
    "queries and keys of two widths": Wrong(
        attend((1, 2, 4, 8), (1, 2, 4, 6), (1, 2, 4, 8)), ("one width", "query (1, 2, 4, 8)", "key (1, 2, 4, 6)")
    ),
    "vectors": Wrong(attend((4,), (4,), (4,)), ("at least 2 dimensional", "query (4,)")),
    "heads that do not broadcast": Wrong(
        attend((1, 3, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8)), ("(1, 3)", "(1, 2)", "3 vs 2")
    ),
    "heads that do not divide": Wrong(
        attend((1, 3, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8), enable_gqa=lambda L: True), ("2 heads", "query's 3")
    ),
    "a mask of another shape": Wrong(
        attend((1, 4, 8), (1, 5, 8), (1, 5, 8), attn_mask=lambda L: L.ones(4, 4) > 0), ("attn_mask", "(4, 4)", "5 vs 4")
    ),
    "a mask of integers": Wrong(
        attend((4, 8), (4, 8), (4, 8), attn_mask=lambda L: L.ones(4, 4).long()),
        ("attn_mask", "bool", "float32", "int64"),
    ),
    "a share above 1": Wrong(attend((4, 8), (4, 8), (4, 8), dropout_p=lambda L: 1.5), ("between 0 and 1", "1.5")),
    "another last size": Wrong(normed((2, 5), (4,)), ("layer_norm", "normalized_shape=[4]", "(2, 5)")),
    "a weight of another shape": Wrong(normed((2, 5), (5,), weight=(4,)), ("weight", "(5,)", "(4,)")),
    "a size instead of sizes": Wrong(normed((2, 5), 5), ("layer_norm", "normalized_shape", "tuple of ints", "5")),
    "heads and width": Wrong(lambda L: L.nn.MultiheadAttention(10, 4), ("divisible", "10", "4")),
}


@over(ATTENTION)
def test_attention(wrong: Wrong) -> None:
    check(wrong)


# ------------------------------------------------------------------------------------------------------------- embedding

BIG = np.zeros((8, 10), dtype=np.int64)
BIG[1, 9], BIG[4, 0], BIG[7, 3] = 25459, 99999, 15003


def look_up(ids: Any, rows: int = 10, dim: int = 4, **options: Any) -> Callable[[Any], Any]:
    return lambda L: L.nn.Embedding(rows, dim, **options)(L.tensor(ids))


def table_of(*shape: int, **options: Any) -> Callable[[Any], Any]:
    return lambda L: L.nn.functional.embedding(L.tensor([1]), L.ones(*shape), **options)


EMBEDDING = {
    "one of many ids too large": Wrong(
        look_up(BIG, 15003, 64),
        (
            "embedding",
            "ids[1, 9] = 25459",
            "rows 0..15002",
            "(15003, 64)",
            "3 of 80 ids",
            "first: [1, 9]",
            "vocab_size",
            "n_vocab",
        ),
    ),
    "id equal to the number of rows": Wrong(look_up([3, 10]), ("ids[1] = 10", "rows 0..9", "(10, 4)", "1 of 2 ids")),
    "a single id, without an axis": Wrong(look_up(10), ("ids = 10", "rows 0..9", "1 of 1 ids")),
    "negative id": Wrong(
        look_up([[0, -1]]), ("ids[0, 1] = -1", "rows 0..9", "do not count from the end", "padding_idx", "ignore_index")
    ),
    "an uint64 id that wraps": Wrong(
        lambda L: L.nn.Embedding(10, 4)(L.tensor(np.array([2**64 - 1], dtype=np.uint64))),
        (str(2**64 - 1),),
        ours=IndexError,
    ),
    "a table without rows": Wrong(look_up([0], rows=0), ("ids[0] = 0", "no rows", "(0, 4)"), ours=IndexError),
    "floats as ids": Wrong(look_up([[1.5, 2.0]] * 2), ("embedding", "integers", "float32", "(2, 2)"), ours=TypeError),
    "whole floats as ids": Wrong(look_up([1.0]), ("embedding", "integers", "float32", "(1,)"), ours=TypeError),
    "float64 ids": Wrong(look_up(np.array([1.0])), ("integers", "float64"), ours=TypeError),
    "bools as ids": Wrong(look_up([True, False]), ("embedding", "integers", "bool", "(2,)"), ours=TypeError),
    "no ids, but of a float type": Wrong(
        look_up(np.zeros(0, np.float32)), ("integers", "float32", "(0,)"), ours=TypeError
    ),
    "a list as ids": Wrong(lambda L: L.nn.Embedding(10, 4)([1, 2]), ("embedding", "Tensor", "list", "tensor([1, 2])")),
    "a number as ids": Wrong(lambda L: L.nn.Embedding(10, 4)(3), ("embedding", "Tensor", "int")),
    "an array as ids": Wrong(lambda L: L.nn.Embedding(10, 4)(np.array([1])), ("embedding", "Tensor", "ndarray")),
    "text as ids": Wrong(lambda L: L.nn.Embedding(10, 4)("hello"), ("embedding", "Tensor", "str")),
    "None as ids": Wrong(lambda L: L.nn.Embedding(10, 4)(None), ("embedding", "Tensor", "NoneType")),
    "no ids": Wrong(lambda L: L.nn.Embedding(10, 4)(), ("input",)),
    "no embedding_dim": Wrong(lambda L: L.nn.Embedding(10), ("embedding_dim",)),
    "a float as num_embeddings": Wrong(lambda L: L.nn.Embedding(10.0, 4), ("float",)),
    "text as embedding_dim": Wrong(lambda L: L.nn.Embedding(10, "4"), ("str",)),
    "a negative number of rows": Wrong(lambda L: L.nn.Embedding(-1, 4), ("negative", "[-1, 4]")),
    "padding_idx too large": Wrong(lambda L: L.nn.Embedding(10, 4, padding_idx=10), ("padding_idx", "10")),
    "padding_idx too negative": Wrong(lambda L: L.nn.Embedding(10, 4, padding_idx=-11), ("padding_idx", "-11")),
    "functional padding_idx too large": Wrong(table_of(3, 4, padding_idx=3), ("embedding", "padding_idx", "3")),
    "functional padding_idx too negative": Wrong(table_of(3, 4, padding_idx=-4), ("embedding", "padding_idx", "-4")),
    "a weight of another shape": Wrong(
        lambda L: L.nn.Embedding(10, 4, _weight=L.ones(3, 4)), ("weight", "(3, 4)", "num_embeddings")
    ),
    "a 1-d pretrained table": Wrong(lambda L: L.nn.Embedding.from_pretrained(L.ones(3)), ("2-dimensional", "(3,)")),
    "a list as the table": Wrong(
        lambda L: L.nn.functional.embedding(L.tensor([0]), [[1.0]]), ("embedding", "weight", "Tensor", "list")
    ),
    "a 1-d table": Wrong(table_of(3), ("embedding", "weight", "2-D", "(3,)")),
    "ids and table swapped": Wrong(
        lambda L: L.nn.functional.embedding(L.ones(3, 4), L.tensor([1])), ("embedding", "2-D", "(1,)")
    ),
    "a trainable integer table": Wrong(
        lambda L: L.nn.Embedding.from_pretrained(L.ones(3, 4, dtype=L.int64), freeze=False),
        ("int64", "gradients", "token ids"),
    ),
    "one_hot class too large": Wrong(lambda L: L.nn.functional.one_hot(L.tensor([1, 5]), 3), ("num_classes", "5", "3")),
    "one_hot of a negative": Wrong(lambda L: L.nn.functional.one_hot(L.tensor([-1])), ("negative", "-1")),
    "one_hot of floats": Wrong(lambda L: L.nn.functional.one_hot(L.tensor([1.0])), ("one_hot", "float32")),
}


@over(EMBEDDING)
def test_embedding(wrong: Wrong) -> None:
    check(wrong)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_an_id_out_of_range_is_named_in_every_width(dtype: type) -> None:
    for bad, rows in [(100, 100), (127, 5)]:
        error = raised(look_up(np.array([[0, 1], [bad, 2]], dtype=dtype), rows), mg)
        assert type(error) is IndexError
        assert f"ids[1, 0] = {bad}" in str(error) and f"rows 0..{rows - 1}" in str(error)


def test_too_many_positions() -> None:
    layer = mg.nn.TokenAndPositionEmbedding(50, 1024, 2)
    error = raised(lambda L: layer(L.zeros(1, 9599, dtype=L.int64)), mg)
    assert type(error) is ValueError
    for fact in ("sequence length 9599", "context_length 1024", "1024 rows", "crop the input", "bigger table"):
        assert fact in str(error)


@pytest.mark.parametrize(
    "ids, kind", [([[0, 50]], IndexError), ([[0.5]], TypeError), ([-1], IndexError), (3, ValueError)]
)
def test_the_layer_of_both_tables_refuses_wrong_ids(ids: Any, kind: type[Exception]) -> None:
    layer = mg.nn.TokenAndPositionEmbedding(50, 8, 2)
    assert type(raised(lambda L: layer(L.tensor(ids)), mg)) is kind


def test_a_refused_lookup_leaves_the_table_alone() -> None:
    layer = mg.nn.Embedding.from_pretrained(mg.ones(3, 4) * 9, freeze=False, max_norm=1.0)
    raised(lambda L: layer(L.tensor([0, 3])), mg)
    assert layer.weight.tolist() == [[9.0] * 4] * 3


# ------------------------------------------------------------------------------------------------------------- positions


def of_heads(kind: str, *sizes: int, heads: int = 4, width: int = 8, **options: Any) -> Callable[[Any], Any]:
    """The bias of positions for queries and keys of other heads than they were made for."""

    def f(L: Any) -> Any:
        q = L.ones(2, heads, 3, width)
        return getattr(L.nn.positions, kind)(*sizes, **options).bias(q, q)

    return f


def rope(*x: int, head_dim: int = 8, **options: Any) -> Callable[[Any], Any]:
    return lambda L: L.nn.positions.RoPE(head_dim, **{"layout": "halves", **options}).rotate(L.ones(*x))


def embedded(kind: str, *shape: int, start: int = 0, dtype: str = "float32", **options: Any) -> Callable[[Any], Any]:
    sizes = (8, 4) if kind == "LearnedPositions" else (4,)
    return lambda L: getattr(L.nn.positions, kind)(*sizes, **options).embed(
        L.ones(*shape, dtype=getattr(L, dtype)), start
    )


def gpt(kind: str, width: int = 8, **options: Any) -> Callable[[Any], Any]:
    return lambda L: GPT(GPTConfig(9, 8, width, 4, 1, positions=kind, position_options=options))


def cached(*shapes: tuple[int, int], of: str = "rope-halves") -> Callable[[Any], Any]:
    """Tokens of these shapes one after the other through one cache."""

    def f(L: Any) -> None:
        model = gpt(of)(L).eval()
        cache = KVCache(model.config)
        with L.no_grad():
            for shape in shapes:
                model(L.zeros(*shape, dtype=L.int64), cache)

    return f


def rotated(
    *angles: tuple[int, ...], dtype: str = "float32", layout: str = "halves", **options: Any
) -> Callable[[Any], Any]:
    def f(L: Any) -> Any:
        cos, sin = (L.ones(*shape, dtype=getattr(L, dtype), **options) for shape in angles)
        return mg.ops.positions.rotate(L.ones(2, 3, 8), cos, sin, layout)

    return f


SINUSOIDAL = "SinusoidalPositions"
POSITIONS = {
    "a longer sequence than the table": (
        embedded("LearnedPositions", 2, 9, 4),
        ("sequence length 9", "context_length 8", "8 rows", "crop the input"),
    ),
    "a sequence that starts too late": (embedded("LearnedPositions", 2, 3, 4, start=6), ("length 9", "8 rows")),
    "another width": (embedded("LearnedPositions", 2, 3, 5), ("(..., T, D)", "(2, 3, 5)", "(3, 4)")),
    "another width, sinusoids": (embedded(SINUSOIDAL, 2, 3, 5, layout="halves"), ("(2, 3, 5)", "(3, 4)")),
    "a vector": (embedded("LearnedPositions", 4), ("token vectors (..., T, D)", "(4,)")),
    "a vector, sinusoids": (embedded(SINUSOIDAL, 4, layout="halves"), ("token vectors (..., T, D)", "(4,)")),
    "along the batch": (
        lambda L: L.nn.positions.add_positions(L.ones(3, 3, 4), L.ones(3, 1, 4)),
        ("along the sequence", "(3, 3, 4)", "(3, 1, 4)", "batch takes no part"),
    ),
    "an unknown layout of sinusoids": (
        embedded(SINUSOIDAL, 2, 4, layout="paper"), ("'interleaved', 'halves' or 'tensor2tensor'", "'paper'")
    ),
    "too narrow": (lambda L: L.nn.positions.SinusoidalPositions(3, layout="tensor2tensor"), ("at least 4", "got 3")),
    "a base of zero": (embedded(SINUSOIDAL, 2, 4, layout="halves", base=0.0), ("base", "above 0", "0.0")),
    "a base below zero": (rope(3, 8, base=-1.0), ("RoPE", "base", "above 0", "-1.0")),
    "a base of distances": (
        lambda L: L.nn.positions.TransformerXLPositions(8, 2, base=0.0), ("base", "above 0")
    ),
    "an unknown layout of RoPE": (rope(3, 8, layout="llama"), ("'halves' (Llama)", "'interleaved' (GPT-J)", "'llama'")),
    "an odd head": (rope(3, 7, head_dim=7), ("RoPE", "pairs", "7", "even")),
    "an odd part of a head": (rope(3, 8, rotary_dim=3), ("3 of head_dim 8", "even")),
    "more than a head": (rope(3, 8, rotary_dim=10), ("10 of head_dim 8",)),
    "nothing of a head": (rope(3, 8, rotary_dim=0), ("0 of head_dim 8", "2 or more")),
    "queries of another width": (rope(3, 6), ("RoPE", "(B, heads, T, 8)", "(3, 6)")),
    "queries that are a vector": (rope(8), ("RoPE", "(B, heads, T, 8)", "(8,)")),
    "an unknown scaling": (rope(3, 8, scaling="yarn", factor=2.0), ("'linear' or 'ntk'", "'yarn'")),
    "a factor without scaling": (rope(3, 8, factor=2.0), ("None", "2.0")),
    "a factor below one": (rope(3, 8, scaling="linear", factor=0.5), ("at least 1", "0.5")),
    "a factor that is no number": (rope(3, 8, scaling="ntk", factor=float("nan")), ("at least 1", "nan")),
    "one pair cannot be stretched": (rope(3, 2, head_dim=2, scaling="ntk", factor=2.0), ("'ntk'", "only one")),
    "other heads, ALiBi": (of_heads("ALiBi", 3), ("ALiBi", "3 heads", "(B, 3, L, head_dim)", "(2, 4, 3, 8)")),
    "other heads, T5": (of_heads("T5Bias", 3), ("T5Bias", "3 heads", "(2, 4, 3, 8)")),
    "other heads, Transformer-XL": (of_heads("TransformerXLPositions", 24, 3), ("3 heads", "(2, 4, 3, 8)")),
    "other widths, Transformer-XL": (of_heads("TransformerXLPositions", 36, 4), ("(B, 4, L, 9)", "(2, 4, 3, 8)")),
    "other widths, Shaw": (of_heads("ShawPositions", 7), ("ShawPositions", "width 7", "(2, 4, 3, 8)")),
    "no heads, ALiBi": (of_heads("ALiBi", 0), ("n_heads", "at least 1", "0")),
    "no heads, T5": (of_heads("T5Bias", 0), ("n_heads", "at least 1", "0")),
    "no heads, Transformer-XL": (of_heads("TransformerXLPositions", 8, 0), ("dim 8", "n_heads 0")),
    "no width": (of_heads("ShawPositions", 0), ("head_dim", "at least 1", "0")),
    "heads that do not divide": (of_heads("TransformerXLPositions", 8, 3), ("dim 8", "multiple", "n_heads 3")),
    "negative distances": (of_heads("ShawPositions", 8, left=-1), ("left", "not negative", "-1")),
    "one bucket": (of_heads("T5Bias", 4, num_buckets=1), ("2 buckets to a direction", "num_buckets=1")),
    "odd buckets for two directions": (
        of_heads("T5Bias", 4, num_buckets=7, bidirectional=True), ("num_buckets=7", "bidirectional=True")
    ),
    "too near a maximum": (of_heads("T5Bias", 4, max_distance=16), ("above the 16 single distances", "max_distance=16")),
    "an unknown kind": (gpt("rope"), ("'rope'", "there are none, learned", "rope-interleaved")),
    "an odd head in a GPT": (gpt("rope-halves", width=12), ("RoPE", "3 of head_dim 3", "even")),
    "too long for a GPT": (lambda L: gpt("learned")(L)(L.zeros(1, 9, dtype=L.int64)), ("length 9", "context_length 8")),
    "too long for a cache": (cached((1, 6), (1, 3)), ("KVCache", "9 tokens", "room for context_length 8")),
    "too long for both": (cached((1, 6), (1, 3), of="learned"), ("sequence length 9 > context_length 8",)),
    "a cache of another batch": (cached((2, 3), (1, 2)), ("KVCache", "(2, 4, 8, 2)", "(1, 4, 2, 2)", "one batch")),
    "angles along the batch": (rotated((2, 4), (2, 4)), ("rotate", "(T, pairs)", "(2, 3, 8)", "(2, 4)")),
    "more pairs than numbers": (rotated((3, 5), (3, 5)), ("two numbers of D to a pair", "(3, 5)")),
    "sines of another shape": (rotated((3, 4), (3, 3)), ("(3, 4) and (3, 3)",)),
    "angles of more axes": (rotated((1, 2, 3, 4), (1, 2, 3, 4)), ("(1, 2, 3, 4)",)),
    "angles that are learned": (rotated((3, 4), (3, 4), requires_grad=True), ("constants", "detached")),
    "another layout of pairs": (rotated((3, 4), (3, 4), layout="llama"), ("'halves'", "'interleaved'", "'llama'")),
    "a shift of a vector": (lambda L: mg.ops.positions.relative_shift(L.ones(3)), ("(..., L, L + S)", "(3,)")),
    "a shift of too few": (lambda L: mg.ops.positions.relative_shift(L.ones(3, 2)), ("(..., L, L + S)", "(3, 2)")),
    "a shift back of a vector": (lambda L: mg.ops.positions.relative_unshift(L.ones(3)), ("(..., L, S)", "(3,)")),
}  # fmt: skip
POSITION_TYPES = {
    "no layout": (lambda L: L.nn.positions.RoPE(8), ("layout",)),
    "no layout of sinusoids": (lambda L: L.nn.positions.SinusoidalPositions(8), ("layout",)),
    "ids instead of vectors": (embedded("LearnedPositions", 2, 3, dtype="int64"), ("token vectors", "int64")),
    "ids instead of vectors, sinusoids": (
        embedded(SINUSOIDAL, 2, 3, dtype="int64", layout="halves"), ("token vectors", "int64")
    ),
    "angles of another dtype": (rotated((3, 4), (3, 4), dtype="float64"), ("one floating-point dtype", "float64")),
    "an option of another kind": (gpt("alibi", base=3.0), ("'alibi' take no option base", "they take none")),
    "an option for none": (gpt("none", base=3.0), ("'none' take no option base",)),
    "an option that the name decides": (
        gpt("rope-halves", layout="halves"), ("no option layout", "base, rotary_dim, scaling, factor")
    ),
}  # fmt: skip


@over({name: Wrong(*row, ValueError) for name, row in POSITIONS.items()})
def test_positions(wrong: Wrong) -> None:
    check(wrong)


@over({name: Wrong(*row, TypeError) for name, row in POSITION_TYPES.items()})
def test_types_of_positions(wrong: Wrong) -> None:
    check(wrong)


# ----------------------------------------------------------------------------------------- arithmetic, matmul, broadcasting

SHAPES = {
    "add": Wrong(lambda L: L.ones(2, 4, 3) + L.ones(5, 3), ("add", "(2, 4, 3)", "(5, 3)", "axis -2", "4 vs 5")),
    "sub": Wrong(lambda L: L.ones(2, 3) - L.ones(3, 2), ("sub", "(2, 3)", "(3, 2)", "axis -1", "3 vs 2")),
    "mul": Wrong(lambda L: L.ones(2, 4, 3) * L.ones(2), ("mul", "(2, 4, 3)", "(2,)", "axis -1", "3 vs 2")),
    "div": Wrong(lambda L: L.ones(2, 3) / L.ones(4), ("div", "(2, 3)", "(4,)", "3 vs 4")),
    "pow": Wrong(lambda L: L.ones(2) ** L.ones(3), ("pow", "(2,)", "(3,)", "2 vs 3")),
    "comparison": Wrong(lambda L: L.ones(2) < L.ones(3), ("less", "(2,)", "(3,)", "2 vs 3")),
    "maximum": Wrong(lambda L: L.maximum(L.ones(2), L.ones(3)), ("maximum", "(2,)", "(3,)", "2 vs 3")),
    "where": Wrong(lambda L: L.where(L.tensor([True, False]), L.ones(3), L.ones(2)), ("where", "(2,)", "(3,)")),
    "masked_fill": Wrong(lambda L: L.ones(2, 3).masked_fill(L.tensor([True, False]), 0.0), ("masked_fill", "(2, 3)", "(2,)", "3 vs 2")),
    "positions by batch": Wrong(lambda L: L.ones(3, 4, 5) + L.ones(3, 5), ("add", "(3, 4, 5)", "(3, 5)", "4 vs 3")),
    "in place, growing": Wrong(lambda L: L.ones(2, 3).add_(L.ones(4, 2, 3)), ("add_", "(4, 2, 3)", "(2, 3)")),
    "copy_": Wrong(lambda L: L.ones(2).copy_(L.ones(3)), ("copy_", "(2,)", "(3,)")),
    "fill_": Wrong(lambda L: L.ones(2).fill_(L.ones(2)), ("fill_", "0-dimension")),
    "mse_loss": Wrong(lambda L: L.nn.functional.mse_loss(L.ones(2, 5), L.ones(3, 5)), ("(2, 5)", "(3, 5)", "2 vs 3")),
    "matrix times matrix": Wrong(lambda L: L.ones(2, 3) @ L.ones(2, 3), ("matmul", "(2, 3) @ (2, 3)", "inner", "3 and 2")),
    "matrix times vector": Wrong(lambda L: L.ones(2, 3) @ L.ones(2), ("matmul", "(2, 3)", "(2,)", "3 and 2")),
    "vector times matrix": Wrong(lambda L: L.ones(2) @ L.ones(3, 2), ("matmul", "(2,)", "(3, 2)", "2 and 3")),
    "batches that differ": Wrong(lambda L: L.ones(2, 2, 3) @ L.ones(3, 3, 4), ("matmul", "(2, 2, 3)", "(3, 3, 4)", "2 vs 3")),
    "a number as matrix": Wrong(lambda L: L.tensor(2.0) @ L.ones(2), ("matmul", "at least 1D")),
    "matmul by a number": Wrong(lambda L: L.ones(2, 3) @ 2, ("matmul", "int")),
    "matmul of two dtypes": Wrong(lambda L: L.ones(2, 3) @ L.ones(3, 2, dtype=L.float64), ("matmul", "float32", "float64", ".to(")),
    "matmul with integers": Wrong(lambda L: L.ones(2, 3) @ L.ones(3, 2, dtype=L.int64), ("matmul", "float32", "int64")),
    "mm of three dimensions": Wrong(lambda L: L.mm(L.ones(2, 3, 4), L.ones(4, 5)), ("mm", "3-d")),
    "bmm of matrices": Wrong(lambda L: L.bmm(L.ones(2, 3), L.ones(3, 2)), ("bmm", "(2, 3)", "(3, 2)")),
    "bmm, inner sizes": Wrong(lambda L: L.bmm(L.ones(2, 3, 4), L.ones(2, 5, 3)), ("(2, 3, 4)", "(2, 5, 3)", "4 and 5")),
    "dot of two lengths": Wrong(lambda L: L.dot(L.ones(2), L.ones(3)), ("2 and 3",)),
    "linear of another width": Wrong(lambda L: L.nn.Linear(3, 4)(L.ones(2, 4)), ("linear", "(2, 4)", "(4, 3)", "in_features")),
    "linear of token ids": Wrong(lambda L: L.nn.Linear(3, 4)(L.tensor([[1, 2, 3]])), ("int64", "float32")),
    "linear of another dtype": Wrong(lambda L: L.nn.Linear(3, 4)(L.ones(2, 3, dtype=L.float64)), ("float64", "float32")),
    "linear of a list": Wrong(lambda L: L.nn.Linear(3, 4)([1.0, 2.0, 3.0]), ("linear", "list")),
    "linear of a number": Wrong(lambda L: L.nn.Linear(3, 4)(L.tensor(1.0)), ("at least 1D",)),
    "linear of a negative size": Wrong(lambda L: L.nn.Linear(-3, 4), ("negative", "-3")),
    "linear of a float size": Wrong(lambda L: L.nn.Linear(3.0, 4), ("float",)),
    "reshape": Wrong(lambda L: L.ones(2, 3).reshape(4), ("[4]", "6")),
    "reshape with -1": Wrong(lambda L: L.ones(2, 3).reshape(-1, 4), ("[-1, 4]", "6")),
    "reshape with two -1": Wrong(lambda L: L.ones(2, 3).reshape(-1, -1), ("-1",)),
    "view across memory": Wrong(lambda L: L.ones(2, 3).t().view(6), ("view", "reshape", "[6]", "[3, 2]")),
    "t of three dimensions": Wrong(lambda L: L.ones(2, 3, 4).t(), ("t()", "3D")),
    "permute twice the same": Wrong(lambda L: L.ones(2, 3).permute(0, 0), ("permute", "[0, 0]")),
    "permute too few": Wrong(lambda L: L.ones(2, 3).permute(0), ("permute", "[0]")),
    "transpose": Wrong(lambda L: L.ones(2, 3).transpose(0, 2), ("transpose", "[-2, 1]", "2")),
    "squeeze": Wrong(lambda L: L.ones(2, 3).squeeze(2), ("squeeze", "[-2, 1]", "2")),
    "unsqueeze": Wrong(lambda L: L.ones(2, 3).unsqueeze(4), ("unsqueeze", "[-3, 2]", "4")),
    "expand": Wrong(lambda L: L.ones(2, 3).expand(2, 4), ("expand", "[2, 4]", "[2, 3]")),
    "expand to fewer": Wrong(lambda L: L.ones(2, 3).expand(3), ("expand", "1", "2")),
    "cat of two widths": Wrong(lambda L: L.cat([L.ones(2, 3), L.ones(2, 4)]), ("cat", "(2, 3)", "(2, 4)", "tensor 1")),
    "cat of nothing": Wrong(lambda L: L.cat([]), ("cat", "non-empty")),
    "cat of a tensor": Wrong(lambda L: L.cat(L.ones(2, 3)), ("cat", "Tensor")),
    "cat of numbers": Wrong(lambda L: L.cat([1, 2]), ("element 0", "int")),
    "stack of two sizes": Wrong(lambda L: L.stack([L.ones(2), L.ones(3)]), ("stack", "[2]", "[3]", "entry 1")),
    "stack of nothing": Wrong(lambda L: L.stack([]), ("stack", "non-empty")),
    "split sizes": Wrong(lambda L: L.split(L.ones(4), [1, 2]), ("split", "[1, 2]", "4")),
    "split by -1": Wrong(lambda L: L.split(L.ones(4), -1), ("split", "-1")),
    "no chunks": Wrong(lambda L: L.chunk(L.ones(4), 0), ("chunk", "0")),
    "sum over an axis that is not there": Wrong(lambda L: L.ones(2, 3).sum(dim=2), ("sum", "[-2, 1]", "2")),
    "sum over an axis twice": Wrong(lambda L: L.ones(2, 3).sum(dim=(0, 0)), ("sum", "dim 0")),
    "softmax over an axis that is not there": Wrong(lambda L: L.softmax(L.ones(2, 5), dim=-3), ("softmax", "[-2, 1]", "-3")),
    "max over an axis that is not there": Wrong(lambda L: L.ones(2, 3).max(dim=2), ("max", "[-2, 1]", "2")),
    "max of nothing": Wrong(lambda L: L.ones(0).max(), ("max", "(0,)")),
    "max of nothing along an axis": Wrong(lambda L: L.ones(2, 0).max(dim=1), ("max", "dim 1")),
    "argmax of nothing": Wrong(lambda L: L.ones(0).argmax(), ("argmax",)),
}  # fmt: skip


@over(SHAPES)
def test_shapes(wrong: Wrong) -> None:
    check(wrong)


TYPES = {
    "add text": Wrong(lambda L: L.ones(3) + "a", ("str",)),
    "add None": Wrong(lambda L: L.ones(3) + None, ("NoneType",)),
    "add a list": Wrong(lambda L: L.ones(3) + [1, 2, 3], ("list",)),
    "text plus tensor": Wrong(lambda L: "a" + L.ones(3), ("str",)),
    "None minus tensor": Wrong(lambda L: None - L.ones(3), ("NoneType",)),
    "mean of integers": Wrong(lambda L: L.tensor([1, 2]).mean(), ("mean", "int64", "float()")),
    "softmax of integers": Wrong(lambda L: L.softmax(L.tensor([1, 2]), dim=0), ("softmax", "int64")),
    "float into integers": Wrong(lambda L: L.ones(3, dtype=L.int64).add_(1.5), ("add_", "float32", "int64")),
    "div_ of integers": Wrong(lambda L: L.ones(3, dtype=L.int64).div_(2), ("div_", "float32", "int64")),
    "integers // 0": Wrong(lambda L: L.tensor([1, 2]) // 0, ("zero",)),
    "integers % 0": Wrong(lambda L: L.tensor([1, 2]) % 0, ("zero",)),
    "integers to a negative power": Wrong(lambda L: L.tensor([1, 2]) ** -1, ("negative",)),
    "minus a bool": Wrong(lambda L: -L.tensor([True]), ("bool", "~")),
    "bool minus bool": Wrong(lambda L: L.tensor([True]) - L.tensor([True]), ("bool", "^")),
    "~ of floats": Wrong(lambda L: ~L.ones(2), ("float",)),
    "& of floats": Wrong(lambda L: L.ones(2) & L.ones(2), ("and", "float")),
    "where without a bool": Wrong(lambda L: L.where(L.ones(2), L.ones(2), L.ones(2)), ("where", "bool", "float32")),
    "masked_fill without a bool": Wrong(
        lambda L: L.ones(2).masked_fill(L.ones(2), 0.0), ("masked_fill", "bool", "float32")
    ),
    "clamp without a bound": Wrong(lambda L: L.ones(2).clamp(), ("clamp", "min", "max")),
    "tril of a vector": Wrong(lambda L: L.tril(L.ones(3)), ("tril", "2 dimensions")),
    "ragged list": Wrong(lambda L: L.tensor([[1, 2], [3]]), ("1", "2")),
    "list of text": Wrong(lambda L: L.tensor(["a"]), ("str",)),
    "text": Wrong(lambda L: L.tensor("a"), ("str",)),
    "None": Wrong(lambda L: L.tensor(None), ("NoneType",)),
    "list of None": Wrong(lambda L: L.tensor([None]), ("NoneType",)),
    "a dict": Wrong(lambda L: L.tensor({}), ("dict",)),
    "an array of text": Wrong(lambda L: L.from_numpy(np.array(["a"])), ("float32",)),
    "from_numpy of a list": Wrong(lambda L: L.from_numpy([1]), ("ndarray", "list")),
    "a negative size": Wrong(lambda L: L.ones(-1), ("negative", "-1")),
    "a float size": Wrong(lambda L: L.ones(2.5), ("float",)),
    "text as size": Wrong(lambda L: L.ones("a"), ("str",)),
    "arange by 0": Wrong(lambda L: L.arange(0, 1, 0), ("step", "nonzero")),
    "arange the wrong way": Wrong(lambda L: L.arange(0, 5, -1), ("step",)),
    "randint without numbers": Wrong(lambda L: L.randint(5, 5, (2,)), ("5",)),
    "randint without a size": Wrong(lambda L: L.randint(10), ("randint", "size")),
    "randn of integers": Wrong(lambda L: L.randn(3, dtype=L.int64), ("normal", "int64")),
    "multinomial of negatives": Wrong(lambda L: L.multinomial(L.tensor([-1.0, 1.0]), 1), ()),
    "multinomial of too many": Wrong(lambda L: L.multinomial(L.ones(3), 4), ("multinomial", "4", "3")),
    "multinomial of zeros": Wrong(lambda L: L.multinomial(L.tensor([0.0, 0.0]), 1), ("multinomial",)),
    "bernoulli of 2": Wrong(lambda L: L.bernoulli(L.tensor([2.0])), ("bernoulli", "0", "1")),
    "text as seed": Wrong(lambda L: L.manual_seed("a"), ("a",)),
    "item of two": Wrong(lambda L: L.ones(2).item(), ("2 elements",)),
    "item of none": Wrong(lambda L: L.ones(0).item(), ("0 elements",)),
    "float of two": Wrong(lambda L: float(L.ones(2)), ()),
    "int of two": Wrong(lambda L: int(L.ones(2)), ()),
    "bool of two": Wrong(lambda L: bool(L.ones(2)), ("Boolean", "more than one")),
    "bool of none": Wrong(lambda L: bool(L.ones(0)), ("Boolean", "no value")),
    "len of a number": Wrong(lambda L: len(L.tensor(1.0)), ("0-d",)),
    "iteration over a number": Wrong(lambda L: list(L.tensor(1.0)), ("0-d",)),
    "range of a float": Wrong(lambda L: range(L.tensor(1.5)), ("integer",)),
    "an attribute that is not there": Wrong(lambda L: L.ones(2).foo, ("Tensor", "foo")),
    "a write into a repeated view": Wrong(lambda L: L.ones(2).expand(3, 2).add_(1), ("add_", "clone()")),
}


@over(TYPES)
def test_types_and_values(wrong: Wrong) -> None:
    check(wrong)


# --------------------------------------------------------------------------------------------------------------- indexing

INDEXING = {
    "past the end": Wrong(lambda L: L.ones(3)[3], ("3", "dimension 0", "size 3")),
    "before the start": Wrong(lambda L: L.ones(3)[-4], ("-4", "dimension 0", "size 3")),
    "past the end of the second axis": Wrong(lambda L: L.ones(2, 3)[:, 5], ("5", "dimension 1", "size 3")),
    "too many": Wrong(lambda L: L.ones(3)[0, 0], ("too many", "1")),
    "of a number": Wrong(lambda L: L.tensor(1.0)[0], ("too many", "dimension 0")),
    "a float": Wrong(lambda L: L.ones(3)[1.0], ("integers", "float")),
    "text": Wrong(lambda L: L.ones(3)["a"], ("integers", "str")),
    "ids past the end": Wrong(lambda L: L.ones(2, 3)[L.tensor([0, 2])], ("index[1] = 2", "0..1", "1 of 2")),
    "ids before the start": Wrong(lambda L: L.ones(2, 3)[L.tensor([-3])], ("-3", "0..1")),
    "a list past the end": Wrong(lambda L: L.ones(2, 3)[[0, 5]], ("5", "0..1")),
    "float ids": Wrong(lambda L: L.ones(2, 3)[L.tensor([0.5])], ("long", "float32")),
    "a mask of another shape": Wrong(lambda L: L.ones(2, 3)[L.tensor([True, False, True])], ("mask", "3", "2")),
    "two indices that do not broadcast": Wrong(
        lambda L: L.ones(2, 3)[L.tensor([0, 1]), L.tensor([0, 1, 2])], ("(2,)", "(3,)")
    ),
    "a negative step": Wrong(lambda L: L.ones(3)[::-1], ("step", "flip")),
    "a zero step": Wrong(lambda L: L.ones(3)[::0], ("step",)),
    "setting past the end": Wrong(lambda L: L.ones(3).__setitem__(5, 1.0), ("5", "size 3")),
    "setting another shape": Wrong(lambda L: L.ones(2, 3).__setitem__(0, L.ones(4)), ("(3,)", "(4,)")),
    "setting text": Wrong(lambda L: L.ones(3).__setitem__(0, "a"), ("str",)),
    "gather past the end": Wrong(
        lambda L: L.gather(L.ones(2, 3), 1, L.tensor([[5]])), ("gather", "5", "dimension 1", "size 3")
    ),
    "gather of a negative": Wrong(lambda L: L.gather(L.ones(2, 3), 1, L.tensor([[-1]])), ("-1", "size 3")),
    "gather by a vector": Wrong(lambda L: L.gather(L.ones(2, 3), 1, L.tensor([1])), ("gather", "dimensions")),
    "gather by floats": Wrong(lambda L: L.gather(L.ones(2, 3), 1, L.tensor([[1.0]])), ("gather", "float32")),
    "gather along a missing axis": Wrong(lambda L: L.gather(L.ones(2, 3), 2, L.tensor([[1]])), ("[-2, 1]", "2")),
    "index_select past the end": Wrong(lambda L: L.index_select(L.ones(2, 3), 0, L.tensor([2])), ("index_select", "2")),
    "index_select of a negative": Wrong(
        lambda L: L.index_select(L.ones(2, 3), 0, L.tensor([-1])), ("index_select", "-1")
    ),
    "index_select by a matrix": Wrong(
        lambda L: L.index_select(L.ones(2, 3), 0, L.tensor([[1]])), ("index_select", "2")
    ),
    "index_select by floats": Wrong(
        lambda L: L.index_select(L.ones(2, 3), 0, L.tensor([1.0])), ("index_select", "float32")
    ),
}


@over(INDEXING)
def test_indexing(wrong: Wrong) -> None:
    check(wrong)


# ------------------------------------------------------------------------------------------------------------------ losses


def loss_of(target: Any, *shape: int, **options: Any) -> Callable[[Any], Any]:
    return lambda L: L.nn.functional.cross_entropy(L.ones(*shape), L.tensor(target), **options)


LOSSES = {
    "target too large": Wrong(loss_of([1, 5], 2, 5), ("cross_entropy", "5", "[1]", "0..4")),
    "negative target": Wrong(loss_of([1, -1], 2, 5), ("cross_entropy", "-1", "[1]", "ignore_index")),
    "another number of targets": Wrong(loss_of([1, 2, 3], 2, 5), ("cross_entropy", "(2, 5)", "(3,)")),
    "targets with an axis too many": Wrong(loss_of([[1, 2]], 2, 5), ("cross_entropy", "(2, 5)", "(1, 2)")),
    "float targets": Wrong(loss_of([1.0, 2.0], 2, 5), ("cross_entropy", "float32")),
    "unflattened logits": Wrong(
        loss_of([[1, 2, 3, 4]] * 2, 2, 4, 5), ("cross_entropy", "(2, 4, 5)", "(2, 4)", "flatten")
    ),
    "a reduction that is not there": Wrong(loss_of([1, 2], 2, 5, reduction="avg"), ("avg", "reduction")),
    "label_smoothing of 2": Wrong(loss_of([1, 2], 2, 5, label_smoothing=2.0), ("label_smoothing", "2")),
    "another number of class weights": Wrong(
        lambda L: L.nn.functional.cross_entropy(L.ones(2, 5), L.tensor([1, 2]), weight=L.ones(3)), ("weight", "5", "3")
    ),
    "integer logits": Wrong(
        lambda L: L.nn.functional.cross_entropy(L.ones(2, 5, dtype=L.int64), L.tensor([1, 2])), ("int64",)
    ),
    "a list as target": Wrong(
        lambda L: L.nn.functional.cross_entropy(L.ones(2, 5), [1, 2]), ("cross_entropy", "target", "list")
    ),
    "nll_loss target too large": Wrong(lambda L: L.nn.functional.nll_loss(L.ones(2, 5), L.tensor([1, 7])), ("7",)),
    "mse_loss reduction": Wrong(
        lambda L: L.nn.functional.mse_loss(L.ones(2), L.ones(2), reduction="x"), ("x", "reduction")
    ),
}


@over(LOSSES)
def test_losses(wrong: Wrong) -> None:
    check(wrong)


# ---------------------------------------------------------------------------------------------------------------- backward


def square_twice(L: Any) -> None:
    x = leaf(L, 3)
    y = (x * x).sum()
    y.backward()
    y.backward()


def grad_twice(L: Any) -> None:
    x = leaf(L, 3)
    y = x.exp().sum()
    L.autograd.grad(y, x)
    L.autograd.grad(y, x)


def change_a_leaf(L: Any) -> None:
    leaf(L, 3).add_(1)


def set_a_leaf(L: Any) -> None:
    leaf(L, 3)[0] = 1.0


def change_a_saved_input(L: Any) -> None:
    y = leaf(L, 3) * 2
    z = (y * y).sum()
    y.add_(1)
    z.backward()


def change_a_saved_output(L: Any) -> None:
    y = leaf(L, 3).exp()
    z = y.sum()
    y.mul_(2)
    z.backward()


def change_a_saved_view(L: Any) -> None:
    x = leaf(L, 3)
    w = L.ones(3)
    z = (x * w).sum()
    w[:2].zero_()
    z.backward()


def step_between_forward_and_backward(L: Any) -> None:
    w = leaf(L, 3, 3)
    z = ((L.ones(2, 3) @ w) @ w).sum()
    with L.no_grad():
        w.add_(1)
    z.backward()


def max_norm_after_use(L: Any) -> None:
    layer = L.nn.Embedding.from_pretrained(L.ones(3, 4) * 9, freeze=False, max_norm=1.0)
    w = leaf(L, 5, 4)
    before = layer.weight @ w.t()
    after = layer(L.tensor([1, 2]))
    (before.sum() + after.sum()).backward()


def under_no_grad(L: Any) -> None:
    x = leaf(L, 3)
    with L.no_grad():
        y = (x * x).sum()
    y.backward()


def set_grad(value: Callable[[Any], Any]) -> Callable[[Any], None]:
    return lambda L: setattr(leaf(L, 3), "grad", value(L))


BACKWARD = {
    "of several numbers": Wrong(lambda L: (leaf(L, 2, 3) * 2).backward(), ("scalar", "(2, 3)", ".sum()", ".mean()", "gradient")),
    "of a leaf of several numbers": Wrong(lambda L: leaf(L, 2, 3).backward(), ("scalar", "(2, 3)")),
    "of nothing": Wrong(lambda L: (leaf(L, 0) * 2).backward(), ("scalar", "(0,)")),
    "a gradient of another shape": Wrong(lambda L: (leaf(L, 2, 3) * 2).backward(L.ones(3, 2)), ("(3, 2)", "(2, 3)")),
    "a gradient that would broadcast": Wrong(lambda L: (leaf(L, 2, 3) * 2).backward(L.ones(3)), ("(3,)", "(2, 3)")),
    "a 0-d gradient": Wrong(lambda L: (leaf(L, 2, 3) * 2).backward(L.tensor(1.0)), ("()", "(2, 3)")),
    "a number as gradient": Wrong(lambda L: (leaf(L, 2, 3) * 2).backward(1.0), ("float",)),
    "where nothing requires grad": Wrong(lambda L: (L.ones(3) * 2).sum().backward(), ("does not require grad", "requires_grad=True")),
    "where nothing was computed": Wrong(lambda L: L.tensor(1.0).backward(), ("does not require grad",)),
    "under no_grad": Wrong(under_no_grad, ("does not require grad", "no_grad")),
    "of detached": Wrong(lambda L: leaf(L, 3).detach().sum().backward(), ("does not require grad", "detach")),
    "of token ids": Wrong(lambda L: L.tensor([1, 2]).sum().backward(), ("does not require grad",)),
    "twice": Wrong(square_twice, ("second time", "freed", "retain_graph=True")),
    "grad twice": Wrong(grad_twice, ("second time", "freed", "retain_graph=True")),
    "a leaf changed in place": Wrong(change_a_leaf, ("leaf", "add_", "no_grad")),
    "a leaf set": Wrong(set_a_leaf, ("leaf", "no_grad")),
    "a saved input changed": Wrong(change_a_saved_input, ("modified by an inplace operation", "mul", "(3,)")),
    "a saved output changed": Wrong(change_a_saved_output, ("modified by an inplace operation", "exp", "(3,)")),
    "a saved tensor changed through a view": Wrong(change_a_saved_view, ("modified by an inplace operation", "mul")),
    "a step before backward": Wrong(step_between_forward_and_backward, ("modified by an inplace operation",)),
    "max_norm after the table was used": Wrong(max_norm_after_use, ("modified by an inplace operation",)),
    "grad of what does not require it": Wrong(lambda L: L.autograd.grad(leaf(L, 3).sum(), L.ones(3)), ("require grad", "(3,)")),
    "grad of what was unused": Wrong(lambda L: L.autograd.grad(leaf(L, 3).sum(), leaf(L, 2)), ("not have been used", "allow_unused")),
    "grad of several numbers": Wrong(lambda L: L.autograd.grad(leaf(L, 3) * 2, leaf(L, 3)), ("scalar", "(3,)")),
    "grad with another shape": Wrong(lambda L: L.autograd.grad(leaf(L, 3).sum(), leaf(L, 3), L.ones(2)), ("(2,)", "()")),
    "freezing a result": Wrong(lambda L: (leaf(L, 3) * 2).requires_grad_(False), ("leaf", "detach()")),
    "retain_grad without grad": Wrong(lambda L: L.ones(3).retain_grad(), ("retain_grad", "requires_grad=False")),
    "numpy of a leaf": Wrong(lambda L: leaf(L, 3).numpy(), ("detach().numpy()",)),
    "asarray of a leaf": Wrong(lambda L: np.asarray(leaf(L, 3)), ("detach().numpy()",)),
    "assigning a gradient of another shape": Wrong(set_grad(lambda L: L.ones(2)), ("2", "3")),
    "assigning a gradient of another dtype": Wrong(set_grad(lambda L: L.ones(3, dtype=L.float64)), ("grad",)),
    "assigning a number as gradient": Wrong(set_grad(lambda L: 1.0), ("Tensor", "float")),
    "assigning an array as gradient": Wrong(set_grad(lambda L: np.ones(3)), ("Tensor", "ndarray")),
}  # fmt: skip


@over(BACKWARD)
def test_backward(wrong: Wrong) -> None:
    check(wrong)


INTEGERS = {
    "tensor": lambda L: L.tensor([1, 2], requires_grad=True),
    "zeros": lambda L: L.zeros(3, dtype=L.int64, requires_grad=True),
    "arange": lambda L: L.arange(3, requires_grad=True),
    "requires_grad_": lambda L: L.tensor([1, 2]).requires_grad_(),
    "attribute": lambda L: setattr(L.tensor([1, 2]), "requires_grad", True),
    "Parameter": lambda L: L.nn.Parameter(L.tensor([1, 2])),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_have_no_gradient(name: str) -> None:
    check(Wrong(INTEGERS[name], ("floating point", "int64", "token ids")))


def test_a_failed_backward_changes_no_gradient() -> None:
    x, y = mg.ones(3, requires_grad=True), mg.ones(3, requires_grad=True)
    shifted = y * 2
    z = (x * 3 + shifted * shifted).sum()
    shifted.add_(1)
    raised(lambda L: z.backward(), mg)
    assert x.grad is None and y.grad is None


# ------------------------------------------------------------------------------------------------------------------ devices

DEVICES = {
    "a name": Wrong(lambda L: L.device("gpu"), ("gpu", "cpu", "cuda")),
    "a number that is none": Wrong(lambda L: L.device("cuda:x"), ("cuda:x",)),
    "a float": Wrong(lambda L: L.device(1.5), ("1.5",)),
    "of a new tensor": Wrong(lambda L: L.tensor([1], device="gpu"), ("gpu", "cpu", "cuda")),
    "to": Wrong(lambda L: L.ones(3).to("nowhere"), ("nowhere", "cpu", "cuda")),
    "of a layer": Wrong(lambda L: L.nn.Linear(2, 2, device="gpu"), ("gpu",)),
}


@over(DEVICES)
def test_devices(wrong: Wrong) -> None:
    check(wrong)


# --------------------------------------------------------------------------------------------------------- text and batches

SHORT = "3 tokens give no window of 4 inputs + 1 target (need >= 5); shorten max_length to <= 2 or add text"

BATCHES = {
    "text shorter than a window": (lambda: data.sliding_windows([1, 2, 3], 4, 1), ValueError, (SHORT,)),
    "no text": (lambda: data.sliding_windows([], 4, 1), ValueError, ("0 tokens", "need >= 5", "add text")),
    "a dataset of too little text": (lambda: data.WindowDataset([1, 2, 3], 4, 1), ValueError, (SHORT,)),
    "float tokens": (lambda: data.sliding_windows([1.0, 2.0], 1, 1), TypeError, ("integers", "float64")),
    "text as tokens": (lambda: data.sliding_windows("hello", 1, 1), TypeError, ("integers", "str", "encode")),
    "two rows of tokens": (lambda: data.sliding_windows([[1, 2], [3, 4]], 1, 1), ValueError, ("one-dimensional", "(2, 2)")),
    "max_length 0": (lambda: data.sliding_windows([1, 2, 3], 0, 1), ValueError, ("max_length", "1 or more", "0")),
    "stride 0": (lambda: data.sliding_windows([1, 2, 3], 1, 0), ValueError, ("stride", "1 or more", "0")),
    "a float stride": (lambda: data.sliding_windows([1, 2, 3], 1, 1.5), TypeError, ("stride", "integer", "1.5")),
    "ids as text": (lambda: data.create_dataloader([1, 2, 3]), TypeError, ("txt", "str", "list")),
    "a file that is not there": (lambda: data.read_text("no-such-file.txt"), FileNotFoundError, ("no-such-file.txt",)),
    "encoding ids": (lambda: data.GPTTokenizer().encode([1]), TypeError, ("encode", "str", "list")),
    "decoding floats": (lambda: data.GPTTokenizer().decode([1.5]), TypeError, ("decode", "integers", "float64")),
    "decoding an id that no token has": (lambda: data.GPTTokenizer().decode([1, 50257]), IndexError, ("ids[1] = 50257", "0..50256")),
    "decoding a batch": (lambda: data.GPTTokenizer().decode([[1, 2], [3, 4]]), ValueError, ("one row", "(2, 2)")),
}  # fmt: skip


@pytest.mark.parametrize("name", BATCHES)
def test_text_and_batches(name: str) -> None:
    f, kind, facts = BATCHES[name]
    error = raised(lambda L: f(), mg)
    assert type(error) is kind
    for fact in facts:
        assert fact in str(error)


LOADERS = {
    "batch_size 0": Wrong(lambda L: loader(L, batch_size=0), ("batch_size", "positive", "0")),
    "a float batch_size": Wrong(lambda L: loader(L, batch_size=1.5), ("batch_size", "1.5")),
    "drop_last as a number": Wrong(lambda L: loader(L, drop_last=2), ("drop_last", "bool", "2")),
    "negative num_workers": Wrong(lambda L: loader(L, num_workers=-1), ("num_workers", "-1")),
    "shuffle and sampler": Wrong(lambda L: loader(L, shuffle=True, sampler=[0]), ("sampler", "shuffle")),
    "shuffling nothing": Wrong(lambda L: loader(L, samples=0, shuffle=True), ("shuffle", "empty")),
    "samples of two sizes": Wrong(lambda L: collate(L)([L.ones(2), L.ones(3)]), ("stack", "[2]", "[3]")),
    "samples of another kind": Wrong(lambda L: collate(L)([object()]), ("object",)),
}


def loader(library: Any, samples: int = 3, **options: Any) -> Any:
    utils = data if library is mg else torch.utils.data
    return utils.DataLoader(utils.TensorDataset(library.zeros(samples, 2)), **options)


def collate(library: Any) -> Any:
    return data.default_collate if library is mg else torch.utils.data.default_collate


@over(LOADERS)
def test_loaders(wrong: Wrong) -> None:
    check(wrong)
