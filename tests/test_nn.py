"""Embedding, Linear and Module: torch's numbers, names, order and words.

The gradient of a table is compared bit for bit, on arbitrary floats: both libraries add its summands in the order of the ids.
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import both, cases, check_against_torch, check_same_error, numpy_of, same, without_device
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing.devices import placed

few = settings(cases(60), derandomize=True)
ID_TYPES = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def floats(rng: np.random.Generator, *shape: int, dtype: Any = np.float32) -> np.ndarray:
    """Numbers of many sizes, with zeros of both signs among them: their sum depends on the order."""
    x = rng.standard_normal(shape) * 10.0 ** rng.integers(-4, 5, shape)
    return np.where(rng.random(shape) < 0.1, rng.choice([0.0, -0.0], shape), x).astype(dtype)


def zipf_ids(rng: np.random.Generator, rows: int, *shape: int) -> np.ndarray:
    """Ids of which a few make up most, as words in a text."""
    return (rng.zipf(1.3, shape) - 1) % rows


def ids_of(library: Any, ids: np.ndarray) -> Any:
    """As torch takes them (int64), or for minigrad in their own type."""
    return torch.tensor(ids.astype(np.int64)) if library is torch else mg.tensor(ids)


def lookup(library: Any, table: np.ndarray, ids: np.ndarray, cotangent: np.ndarray, **options: Any) -> tuple[Any, Any]:
    """The rows that ids name, and the table after backward."""
    weight = library.tensor(table.copy(), requires_grad=True)
    y = library.nn.functional.embedding(ids_of(library, ids), weight, **options)
    y.backward(library.tensor(cotangent.copy()))
    return y, weight


def same_lookup(table: np.ndarray, ids: np.ndarray, cotangent: np.ndarray, exact: bool = True, **options: Any) -> None:
    before = table.copy(), ids.copy(), cotangent.copy()
    (y, weight), (ty, tweight) = (lookup(library, table, ids, cotangent, **options) for library in (mg, torch))
    same(y, ty, exact, what="value")
    same(weight.grad, tweight.grad, exact, what="gradient")
    same(weight, tweight, exact, what="table")
    for now, then in zip((table, ids, cotangent), before, strict=True):
        assert now.tobytes() == then.tobytes()


# ------------------------------------------------------------------------------------------------ Embedding, bit for bit


@st.composite
def lookups(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, int | None]:
    """A table, ids that repeat, a cotangent and perhaps a padding_idx."""
    rows = draw(st.sampled_from([1, 2, 3, 17, 100]))
    dim = draw(st.sampled_from([1, 1, 2, 3, 8, 256]))
    shape = draw(
        st.sampled_from([(), (0,), (1,), (5,), (3, 3), (2, 0, 3), (63,), (64,), (65,), (8, 40), (1000,), (4, 1200)])
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ids = draw(st.sampled_from([zipf_ids(rng, rows, *shape), rng.integers(0, rows, shape), np.full(shape, rows - 1)]))
    ids = np.asarray(ids).astype(draw(st.sampled_from(ID_TYPES)))
    padding = draw(st.none() | st.integers(-rows, rows - 1))
    return floats(rng, rows, dim), ids, floats(rng, *shape, dim), padding


@settings(cases(120), derandomize=True)
@given(lookups())
def test_lookup_and_scatter_add_are_torchs_bit_for_bit(case: Any) -> None:
    table, ids, cotangent, padding = case
    same_lookup(table, ids, cotangent, padding_idx=padding)


@pytest.mark.parametrize("dim", [1, 2, 3, 8, 256])
@pytest.mark.parametrize("count, rows", [(600, 1), (3000, 50), (5000, 50257), (4096, 70000)])
def test_thousands_of_ids(count: int, rows: int, dim: int) -> None:
    rng = np.random.default_rng(count + dim)
    small = min(rows, 4000)  # a short table, so that the test stays small, but ids of a long one
    ids = zipf_ids(rng, small, count)
    same_lookup(floats(rng, small, dim), ids, floats(rng, count, dim))
    same_lookup(floats(rng, rows, 1), zipf_ids(rng, rows, count), floats(rng, count, 1))


@pytest.mark.parametrize("dtype", ID_TYPES)
def test_every_width_of_id(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    rows = min(np.iinfo(dtype).max, 40000) + 1
    ids = rng.integers(0, rows, (4, 50)).astype(dtype)
    ids[0, :2] = 0, rows - 1
    same_lookup(floats(rng, rows, 2), ids, floats(rng, 4, 50, 2))


def test_ids_and_tables_of_any_layout() -> None:
    rng = np.random.default_rng(1)
    ids, cotangent = rng.integers(0, 9, (6, 8)), floats(rng, 4, 3, 10)
    frozen = ids[::2, ::-2].T.view()
    frozen.flags.writeable = False
    results = []
    for library in (mg, torch):
        table = library.tensor(floats(np.random.default_rng(2), 5, 18), requires_grad=True)
        rows = table.t()[::2]
        back = (
            placed(frozen) if library is mg else torch.tensor(frozen.copy()),
            library.tensor(cotangent[:, :, ::2].copy()),
        )
        library.nn.functional.embedding(back[0], rows).backward(back[1])
        results.append(table.grad)
    same(*results, exact=True)


@settings(cases(30), derandomize=True)
@given(lookups(), st.integers(2, 4))
def test_gradients_of_several_lookups_add_up_bit_for_bit(case: Any, times: int) -> None:
    """Within one graph, and over two backward passes."""
    table, ids, _, padding = case
    rng = np.random.default_rng(times)
    weights = [library.tensor(table.copy(), requires_grad=True) for library in (mg, torch)]
    for _ in range(2):
        cotangents = [floats(rng, *ids.shape, table.shape[1]) for _ in range(times)]
        for library, weight in zip((mg, torch), weights, strict=True):
            total = library.zeros(())
            for c in cotangents:
                y = library.nn.functional.embedding(ids_of(library, ids), weight, padding_idx=padding)
                total = total + (y * library.tensor(c)).sum()
            total.backward()
    same(weights[0].grad, weights[1].grad, exact=True)


@settings(cases(20), derandomize=True)
@given(lookups())
def test_second_order(case: Any) -> None:
    table, ids, _, padding = case
    ids, table = ids.reshape(-1)[:70], table[:, :8].astype(np.float64) % 2
    if not ids.size:
        ids = np.array([0])  # torch itself fails on the second order of an empty lookup
    for dtype in (np.float64, np.float32):
        check_against_torch(
            lambda L, w: L.nn.functional.embedding(ids_of(L, ids), w, padding_idx=padding).tanh(), [table.astype(dtype)]
        )


def test_second_order_with_frequencies() -> None:
    """The gradient G is linear in the cotangent g: G(g)[v] = sum of g[i] / count(v). So the gradient of <u, G(g)> by g is
    u[ids] / count(ids), except at padding. (torch forgets the counts here.)"""
    ids, rng = np.array([[0, 3, 3], [3, 1, 0]]), np.random.default_rng(0)
    u = rng.standard_normal((4, 3))
    table, g = (
        mg.tensor(rng.standard_normal((4, 3)), requires_grad=True),
        mg.tensor(rng.standard_normal((2, 3, 3)), requires_grad=True),
    )
    y = mg.nn.functional.embedding(mg.tensor(ids), table, padding_idx=1, scale_grad_by_freq=True)
    (gx,) = mg.autograd.grad(y, table, g, create_graph=True)
    (gg,) = mg.autograd.grad(gx, g, mg.tensor(u))
    counts = np.array([2, np.inf, 1, 3])[ids][..., None]
    same(gg, u[ids] / counts)


# ------------------------------------------------------------------------------------------ Embedding, all of its options

OPTIONS: list[dict[str, Any]] = [
    {},
    {"padding_idx": 0},
    {"padding_idx": -1},
    {"padding_idx": -7},
    {"max_norm": 1.0},
    {"max_norm": 1.5, "norm_type": 1.0},
    {"max_norm": 0.7, "norm_type": math.inf},
    {"max_norm": 1.0, "norm_type": 3.0},
    {"max_norm": 100.0},
    {"max_norm": 1.0, "padding_idx": 2},
    {"scale_grad_by_freq": True},
    {"scale_grad_by_freq": True, "padding_idx": 3},
    {"sparse": True},
    {"sparse": True, "max_norm": 1.0},
    {"max_norm": 1.0, "norm_type": 1, "scale_grad_by_freq": True, "padding_idx": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (9,), (3, 40)])
def test_options_as_function_and_as_layer(options: dict[str, Any], dtype: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(shape))
    table, ids = rng.standard_normal((7, 5)).astype(dtype), np.asarray(rng.integers(0, 7, shape))
    cotangent = rng.standard_normal((*shape, 5)).astype(dtype)
    same_lookup(table, ids, cotangent, exact=False, **options)
    layers = [L.nn.Embedding.from_pretrained(L.tensor(table.copy()), freeze=False, **options) for L in (mg, torch)]
    for layer, library in zip(layers, (mg, torch), strict=True):
        layer(ids_of(library, ids)).backward(library.tensor(cotangent))
    ours, theirs = layers
    same(ours.weight, theirs.weight, what="table")
    same(ours.weight.grad, theirs.weight.grad, what="gradient")
    assert ours.weight.grad.is_sparse == theirs.weight.grad.is_sparse
    assert repr(ours) == repr(theirs)
    assert ours.padding_idx == theirs.padding_idx


@pytest.mark.parametrize("padding", [None, 0, -9, 3])
@pytest.mark.parametrize("shape", [(1,), (0,), (4, 5), (2, 0), (300,)])
def test_a_sparse_gradient_has_torchs_indices_and_values(shape: tuple[int, ...], padding: int | None) -> None:
    rng = np.random.default_rng(0)
    table, ids, cotangent = floats(rng, 9, 3), zipf_ids(rng, 9, *shape), floats(rng, *shape, 3)
    (_, ours), (_, theirs) = (lookup(L, table, ids, cotangent, sparse=True, padding_idx=padding) for L in (mg, torch))
    same(ours.grad.to_dense(), theirs.grad.to_dense(), exact=True)
    assert ours.grad._nnz() == theirs.grad._nnz()
    for a, b, exact in [(ours.grad, theirs.grad, True), (ours.grad.coalesce(), theirs.grad.coalesce(), False)]:
        same(a._indices(), b._indices(), exact=True)
        same(a._values(), b._values(), exact)
        assert tuple(a.shape) == tuple(b.shape) and a.is_coalesced() == b.is_coalesced()


def test_without_sparse_the_gradient_looks_dense() -> None:
    _, weight = lookup(mg, np.ones((4, 2), np.float32), np.array([1, 1]), np.ones((2, 2), np.float32))
    assert isinstance(weight.grad, mg.Tensor)
    assert weight.grad is weight.grad
    assert weight.grad.tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]
    weight.grad.mul_(0.5)
    assert weight.grad.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize("frozen", [True, False])
def test_from_pretrained(frozen: bool) -> None:
    table = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    for library in (mg, torch):
        given = library.tensor(table)
        layer = library.nn.Embedding.from_pretrained(given, freeze=frozen, padding_idx=1)
        assert layer.weight.requires_grad is not frozen
        assert layer(library.tensor([1])).requires_grad is not frozen
        assert layer.weight.data_ptr() == given.data_ptr()  # shared, and the padding row kept
        assert layer.weight.tolist() == given.tolist()
        assert (layer.num_embeddings, layer.embedding_dim, layer.padding_idx) == (4, 3, 1)
    assert mg.nn.Embedding.from_pretrained(mg.tensor(table)).weight.requires_grad is False


def test_the_padding_row_starts_as_zeros() -> None:
    for padding in (2, -1, 0):
        for library in (mg, torch):
            weight = library.nn.Embedding(4, 3, padding_idx=padding).weight
            assert weight[padding].tolist() == [0.0] * 3
            assert bool((weight.detach() != 0).any())


def test_max_norm_shortens_the_rows_in_use_and_no_others() -> None:
    layer = mg.nn.Embedding.from_pretrained(mg.full((4, 3), 2.0), freeze=False, max_norm=1.0)
    y = layer(mg.tensor([1, 1, 3]))
    assert layer.weight[0].tolist() == layer.weight[2].tolist() == [2.0] * 3
    np.testing.assert_allclose(np.linalg.norm(y.detach().cpu().numpy(), axis=1), 1.0, rtol=1e-5)
    before = numpy_of(layer.weight).copy()
    layer(mg.tensor([1, 3]))
    np.testing.assert_array_equal(numpy_of(layer.weight), before)


# ----------------------------------------------------------------------------------------------- tokens plus their positions


def position_layers(vocab: int, context: int, dim: int, dtype: Any = np.float32, seed: int = 0) -> tuple[Any, Any, Any]:
    """Ours, and torch's two tables of the same numbers."""
    rng = np.random.default_rng(seed)
    token, position = floats(rng, vocab, dim, dtype=dtype), floats(rng, context, dim, dtype=dtype)
    ours = mg.nn.TokenAndPositionEmbedding(vocab, context, dim, dtype=mg.float64 if dtype == np.float64 else mg.float32)
    ours.load_state_dict({"token.weight": mg.tensor(token), "position.weight": mg.tensor(position)})
    theirs = [torch.nn.Embedding.from_pretrained(torch.tensor(t), freeze=False) for t in (token, position)]
    return ours, *theirs


@few
@given(
    st.sampled_from([1, 2, 30]),
    st.sampled_from([1, 2, 3, 8, 64]),
    st.sampled_from([None, 0, 1, 2, 3, 4, 5]),
    st.sampled_from([0, 1, 2, 4, 5]),
    st.sampled_from([5, 9]),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(ID_TYPES),
)
def test_tokens_plus_positions(
    vocab: int, dim: int, batch: int | None, length: int, context: int, dtype: Any, width: Any
) -> None:
    """(B, T) and (T,) ids, B == T among them: the sum and the token gradient bit for bit."""
    ours, token, position = position_layers(vocab, context, dim, dtype)
    rng = np.random.default_rng(1)
    shape = (length,) if batch is None else (batch, length)
    ids, cotangent = zipf_ids(rng, vocab, *shape).astype(width), floats(rng, *shape, dim, dtype=dtype)
    y = ours(mg.tensor(ids))
    ty = token(ids_of(torch, ids)) + position(torch.arange(length))
    same(y, ty, exact=True, what="value")
    y.backward(mg.tensor(cotangent))
    ty.backward(torch.tensor(cotangent))
    same(ours.token.weight.grad, token.weight.grad, exact=True, what="token gradient")
    scale = float(np.abs(cotangent).max(initial=1.0))
    eps = 1e-15 if dtype == np.float64 else 1e-6
    same(ours.position.weight.grad, position.weight.grad, rtol=0, atol=20 * eps * scale, what="position gradient")
    assert np.all(numpy_of(ours.position.weight.grad)[length:] == 0)


def test_a_position_is_added_along_the_sequence_even_where_batch_equals_length() -> None:
    layer = mg.nn.TokenAndPositionEmbedding(2, 3, 1)
    layer.load_state_dict({"token.weight": mg.zeros(2, 1), "position.weight": mg.tensor([[10.0], [20.0], [30.0]])})
    assert layer(mg.zeros(3, 3, dtype=mg.int64))[:, :, 0].tolist() == [[10.0, 20.0, 30.0]] * 3


def test_the_token_table_is_drawn_first() -> None:
    mg.manual_seed(123)
    layer = mg.nn.TokenAndPositionEmbedding(50, 7, 6)
    torch.manual_seed(123)
    token, position = torch.nn.Embedding(50, 6), torch.nn.Embedding(7, 6)
    same(layer.token.weight, token.weight, exact=True)
    same(layer.position.weight, position.weight, exact=True)
    assert list(layer.state_dict()) == ["token.weight", "position.weight"]
    assert (
        repr(layer)
        == "TokenAndPositionEmbedding(\n  (token): Embedding(50, 6)\n  (position): LearnedPositions(7, 6)\n)"
    )


class Doubled(mg.nn.Embedding):
    """A table as somebody else writes it, with a forward of its own."""

    def forward(self, input):
        return 2 * super().forward(input)


class Around(mg.nn.Module):
    """A module around a table, as LoRA is."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, input):
        return 2 * self.table(input)


def _replaced_forward(table):
    table.forward = lambda input, plain=table.forward: 2 * plain(input)
    return table


def _hooked(table):
    table.register_forward_hook(lambda module, inputs, y: 2 * y)
    return table


@pytest.mark.parametrize(
    "other", [lambda t: Doubled.from_pretrained(t.weight, freeze=False), Around, _replaced_forward, _hooked]
)
def test_a_table_that_does_more_than_look_up_does_it_here_too(other: Any) -> None:
    layer, ids = mg.nn.TokenAndPositionEmbedding(5, 3, 2), mg.tensor([[1, 4], [0, 1]])
    plain = 2 * layer.token(ids) + layer.position(mg.arange(2))
    layer.token = other(layer.token)
    np.testing.assert_array_equal(numpy_of(layer(ids)), numpy_of(plain))


def test_two_tables_of_other_types_are_added_as_tensors_are() -> None:
    layer, ids = mg.nn.TokenAndPositionEmbedding(5, 3, 2), mg.tensor([[1, 4, 1], [0, 1, 2]])
    layer.token.double()
    y = layer(ids)
    assert y.dtype == mg.float64
    np.testing.assert_array_equal(numpy_of(y), numpy_of(layer.token(ids) + layer.position.weight))
    y.sum().backward()
    assert [layer.token.weight.grad.dtype, layer.position.weight.grad.dtype] == [mg.float64, mg.float32]
    layer.token = mg.nn.Embedding(5, 4)
    with pytest.raises(RuntimeError, match="do not broadcast"):
        layer(ids)


def test_positions_second_order() -> None:
    ids = np.array([[0, 2, 2], [1, 0, 2], [0, 0, 0]])

    def f(library: Any, token: Any, position: Any) -> Any:
        tokens = library.nn.functional.embedding(ids_of(library, ids), token)
        return (tokens + library.nn.functional.embedding(library.arange(3), position)).tanh()

    rng = np.random.default_rng(0)
    check_against_torch(f, [rng.standard_normal((3, 4)), rng.standard_normal((5, 4))])


# ------------------------------------------------------------------------------------------------------------------ Linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [(1, 1), (3, 5), (64, 7), (5, 0), (768, 256)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linear_starts_as_torchs(sizes: tuple[int, int], bias: bool, dtype: str) -> None:
    ours, theirs = grown(lambda L: L.nn.Linear(*sizes, bias=bias, dtype=getattr(L, dtype)), seed=sum(sizes))
    same_weights(ours, theirs)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (4, 3), (2, 5, 3), (1, 2, 0, 3)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_forward_and_backward(shape: tuple[int, ...], dtype: Any, bias: bool) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(dtype) for s in (shape, (2, 3), (2,))]
    check_against_torch(lambda L, *args: L.nn.functional.linear(*args), arrays[: 3 if bias else 2])
    layers = [L.nn.Linear(3, 2, bias, dtype=L.float64 if dtype is np.float64 else L.float32) for L in (mg, torch)]
    state = dict(zip(("weight", "bias"), arrays[1 : 3 if bias else 2], strict=False))
    results = []
    for library, layer in zip((mg, torch), layers, strict=True):
        layer.load_state_dict({name: library.tensor(x) for name, x in state.items()})
        results.append(layer(library.tensor(arrays[0])))
    same(*results)


# -------------------------------------------------------------------------------------------------------- whole modules


def grown(build: Callable[[Any], Any], seed: int = 0) -> tuple[Any, Any]:
    """The same module in both libraries, from the same seed."""
    mg.manual_seed(seed)
    torch.manual_seed(seed)
    return build(mg), build(torch)


def same_weights(ours: Any, theirs: Any) -> None:
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    for name in mine:
        same(mine[name], other[name], exact=True, what=name)


def buffered(library: Any) -> Any:
    class Masked(library.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = library.nn.Linear(2, 2)
            self.register_buffer("mask", library.ones(2, 2).tril())
            self.scale = library.nn.Parameter(library.ones(2))
            self.register_buffer("cache", library.zeros(3), persistent=False)
            self.register_buffer("nothing", None)
            self.register_parameter("absent", None)
            self.last = library.nn.Linear(2, 1, bias=False)
            self.plain = library.zeros(2)

        def extra_repr(self) -> str:
            return "size=2"

    return Masked()


def tied(library: Any) -> Any:
    class Tied(library.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = library.nn.Embedding(6, 4)
            self.blocks = library.nn.ModuleList([library.nn.Linear(4, 4) for _ in range(2)])
            self.again = self.blocks[0]
            self.head = library.nn.Linear(4, 6, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids: Any) -> Any:
            x = self.embed(ids)
            for block in self.blocks:
                x = block(x).tanh()
            return self.head(self.again(x))

    return Tied()


def many_lines(library: Any) -> Any:
    class Talker(library.nn.Module):
        def extra_repr(self) -> str:
            return "one=1\ntwo=2"

    class Empty(library.nn.Module):
        pass

    class Both(library.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.talker = Talker()
            self.empty = Empty()
            self.nested = library.nn.Sequential(library.nn.Sequential(Talker(), library.nn.Tanh()), Empty())

        def extra_repr(self) -> str:
            return "three=3"

    return Both()


TREES: dict[str, Callable[[Any], Any]] = {
    "embedding": lambda L: L.nn.Embedding(10, 3),
    "embedding with options": lambda L: L.nn.Embedding(10, 3, -1, 2.0, 1.0, True, True),
    "embedding with padding": lambda L: L.nn.Embedding(10, 3, padding_idx=4),
    "embedding, infinite norm": lambda L: L.nn.Embedding(10, 3, max_norm=0.5, norm_type=math.inf),
    "linear": lambda L: L.nn.Linear(3, 4, bias=False),
    "sequence": lambda L: L.nn.Sequential(L.nn.Linear(3, 4), L.nn.Tanh(), L.nn.Linear(4, 2), L.nn.ReLU(), L.nn.Sigmoid()),
    "named sequence": lambda L: L.nn.Sequential(OrderedDict(a=L.nn.Linear(1, 2), b=L.nn.Identity())),
    "empty sequence": lambda L: L.nn.Sequential(),
    "list": lambda L: L.nn.ModuleList([L.nn.Linear(2, 2) for _ in range(3)]),
    "list of different": lambda L: L.nn.ModuleList([L.nn.Linear(2, 2), L.nn.Linear(2, 2), L.nn.Tanh(), L.nn.Linear(2, 2)]),
    "empty list": lambda L: L.nn.ModuleList(),
    "dict": lambda L: L.nn.ModuleDict({"token": L.nn.Embedding(4, 2), "head": L.nn.Linear(2, 4), "act": L.nn.Softmax(dim=-1)}),
    "empty dict": lambda L: L.nn.ModuleDict(),
    "tree": lambda L: L.nn.Sequential(
        L.nn.Embedding(12, 4, padding_idx=0),
        L.nn.ModuleDict({"x": L.nn.ModuleList([L.nn.Linear(4, 8), L.nn.Linear(8, 4)]), "y": L.nn.Sequential(L.nn.Linear(4, 4))}),
        L.nn.LogSoftmax(dim=1),
        L.nn.CrossEntropyLoss(),
    ),
    "buffers": buffered,
    "tied": tied,
    "many lines": many_lines,
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_a_tree_of_modules_is_torchs(name: str) -> None:
    """Weights from the same seed, names, order, and what it prints."""
    ours, theirs = grown(TREES[name], seed=7)
    same_weights(ours, theirs)
    assert repr(ours) == repr(theirs)
    assert str(ours) == str(theirs)
    for method in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        mine, other = ([n for n, _ in getattr(x, method)()] for x in (ours, theirs))
        assert mine == other, method
    for method in ("parameters", "buffers", "modules", "children"):
        assert len(list(getattr(ours, method)())) == len(list(getattr(theirs, method)())), method
    for options in ({"recurse": False}, {"prefix": "p"}, {"remove_duplicate": False}):
        for method in ("named_parameters", "named_buffers"):
            mine, other = ([n for n, _ in getattr(x, method)(**options)] for x in (ours, theirs))
            assert mine == other, (method, options)
    assert [tuple(p.shape) for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    assert list(ours.state_dict(prefix="p.")) == list(theirs.state_dict(prefix="p."))


def test_one_stream_feeds_every_layer() -> None:
    """Two modules after one another, from one seed, and again after a reset."""
    ours, theirs = grown(lambda L: [TREES["tree"](L), L.nn.Embedding(3, 5), L.nn.Linear(17, 3)], seed=11)
    for a, b in zip(ours, theirs, strict=True):
        same_weights(a, b)
    for layer in (ours[1], theirs[1], ours[2], theirs[2]):
        layer.reset_parameters()
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        same_weights(a, b)


def test_tied_parameters_come_once_and_collect_both_gradients() -> None:
    ours, theirs = grown(tied)
    assert ours.head.weight is ours.embed.weight
    ids = np.array([[0, 5, 5], [1, 2, 0]])
    cotangent = np.random.default_rng(0).standard_normal((2, 3, 6)).astype(np.float32)
    for library, module in ((mg, ours), (torch, theirs)):
        module(library.tensor(ids)).backward(library.tensor(cotangent))
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        same(a.grad, b.grad, what=name)


def test_deepcopy_keeps_ties_and_shares_nothing() -> None:
    for library in (mg, torch):
        module = tied(library)
        module(library.tensor([0, 1])).backward(library.ones(2, 6))
        gradients = [p.grad.tolist() for p in module.parameters()]
        other = copy.deepcopy(module)
        assert other.head.weight is other.embed.weight and other.again is other.blocks[0]
        assert type(other.embed.weight) is library.nn.Parameter and other.embed.weight.requires_grad
        assert [n for n, _ in other.named_parameters()] == [n for n, _ in module.named_parameters()]
        for p, q in zip(module.parameters(), other.parameters(), strict=True):
            assert p is not q and p.tolist() == q.tolist()
            assert q.grad is None  # torch copies the gradient of a tensor, but not of a Parameter
        before = module.embed.weight.tolist()
        with library.no_grad():
            other.embed.weight.add_(1)
        other(library.tensor([2])).backward(library.ones(1, 6))
        assert module.embed.weight.tolist() == before
        assert [p.grad.tolist() for p in module.parameters()] == gradients


def test_state_dict_is_detached_and_shares_memory() -> None:
    for library in (mg, torch):
        layer = library.nn.Linear(2, 2)
        state = layer.state_dict()
        assert not state["weight"].requires_grad
        state["weight"].zero_()
        assert layer.weight.tolist() == [[0.0, 0.0]] * 2


def filled(library: Any, module: Any, value: float) -> dict[str, Any]:
    return {name: library.full(tuple(x.shape), value) for name, x in module.state_dict().items()}


@pytest.mark.parametrize("name", TREES)
def test_load_state_dict(name: str) -> None:
    ours, theirs = grown(TREES[name])
    for library, module in ((mg, ours), (torch, theirs)):
        assert repr(module.load_state_dict(filled(library, module, 3.0))) == "<All keys matched successfully>"
    same_weights(ours, theirs)
    assert all(bool((x == 3).all()) for x in ours.state_dict().values())


def test_load_state_dict_copies_and_casts() -> None:
    for library in (mg, torch):
        layer = library.nn.Linear(2, 1)
        weight = layer.weight
        given = {"weight": library.tensor([[1, 2]]), "bias": library.tensor([0.5], dtype=library.float64)}
        layer.load_state_dict(given)
        given["bias"].zero_()
        assert layer.weight is weight and weight.requires_grad and weight.dtype == library.float32
        assert layer.weight.tolist() == [[1.0, 2.0]] and layer.bias.tolist() == [0.5]


def test_loading_part_of_a_state() -> None:
    keys = []
    for library in (mg, torch):
        module = library.nn.Sequential(library.nn.Linear(2, 2), library.nn.Linear(2, 2))
        before = module[1].weight.tolist()
        state = {"0.weight": library.full((2, 2), 4.0), "0.extra": library.ones(1), "other": library.ones(1)}
        result = module.load_state_dict(state, strict=False)
        assert module[0].weight.tolist() == [[4.0, 4.0]] * 2 and module[1].weight.tolist() == before
        keys.append((result.missing_keys, sorted(result.unexpected_keys)))
        assert (
            repr(result)
            == f"_IncompatibleKeys(missing_keys={result.missing_keys}, unexpected_keys={result.unexpected_keys})"
        )
    assert keys[0] == keys[1]


@pytest.mark.parametrize("strict", [True, False])
def test_a_wrong_state_lists_everything_and_loads_nothing(strict: bool) -> None:
    def state(library: Any) -> dict[str, Any]:
        return {
            "0.weight": library.ones(2, 2),
            "0.bias": library.ones(3),
            "1.weight": library.ones(5, 2),
            "more": library.ones(1),
        }

    for library in (mg, torch):
        module = library.nn.Sequential(library.nn.Linear(2, 2), library.nn.Linear(2, 2))
        before = {name: x.tolist() for name, x in module.state_dict().items()}
        with pytest.raises(RuntimeError) as info:
            module.load_state_dict(state(library), strict=strict)
        message = str(info.value)
        assert "Error(s) in loading state_dict for Sequential" in message
        for name, came, here in (("0.bias", "[3]", "[2]"), ("1.weight", "[5, 2]", "[2, 2]")):
            assert f"size mismatch for {name}: copying a param with shape torch.Size({came}) from checkpoint" in message
            assert f"torch.Size({here})" in message
        assert ('Missing key(s) in state_dict: "1.bias"' in message) is strict
        assert ('Unexpected key(s) in state_dict: "more"' in message) is strict
        if library is mg:
            assert {name: x.tolist() for name, x in module.state_dict().items()} == before


def test_train_eval_apply_and_requires_grad() -> None:
    orders = []
    for library in (mg, torch):
        module = TREES["tree"](library)
        assert all(part.training for part in module.modules())
        assert module.eval() is module and not any(part.training for part in module.modules())
        assert module[1].train() is module[1] and module[1]["x"][0].training and not module[0].training
        assert module.train() is module and all(part.training for part in module.modules())
        visited: list[str] = []
        assert module.apply(lambda part, visited=visited: visited.append(type(part).__name__)) is module
        orders.append(visited)
        assert module.requires_grad_(False) is module and not any(p.requires_grad for p in module.parameters())
    assert orders[0] == orders[1]


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad(set_to_none: bool) -> None:
    for library in (mg, torch):
        layer = library.nn.Embedding(3, 2)
        layer(library.tensor([0, 0])).backward(library.ones(2, 2))
        layer.zero_grad(set_to_none=set_to_none)
        if set_to_none:
            assert layer.weight.grad is None
        else:
            assert layer.weight.grad.tolist() == [[0.0, 0.0]] * 3
        layer(library.tensor([1])).backward(library.ones(1, 2))
        assert layer.weight.grad.tolist() == [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize("change", ["double", "half", "to", "to keyword"])
def test_to_another_dtype(change: str) -> None:
    apply = {
        "double": lambda L, m: m.double(),
        "half": lambda L, m: m.half(),
        "to": lambda L, m: m.to(L.float64),
        "to keyword": lambda L, m: m.to(dtype=L.float64),
    }[change]
    dtypes = []
    for library in (mg, torch):
        module = buffered(library)
        module.register_buffer("ids", library.tensor([1, 2]))
        weight = module.first.weight
        module.first(library.ones(1, 2)).backward(library.ones(1, 2))
        assert apply(library, module) is module
        assert module.first.weight is weight and weight.requires_grad and weight.is_leaf
        dtypes.append([str(x.dtype) for x in [*module.parameters(), *module.buffers(), weight.grad]])
    assert dtypes[0] == dtypes[1]
    assert "torch.int64" in dtypes[0]


def test_changing_dtype_keeps_ties_and_trains_on() -> None:
    ours, theirs = grown(tied)
    for library, module in ((mg, ours), (torch, theirs)):
        module.double()
        assert module.head.weight is module.embed.weight
        module(library.tensor([0, 3])).backward(library.ones(2, 6, dtype=library.float64))
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        same(a.grad, b.grad, what=name)


def test_a_parameter() -> None:
    for array in ([1.5, 2.0], [[1.0, -2.25], [0.0, 3.0]], []):
        for grad in (True, False):
            ours, theirs = (L.nn.Parameter(L.tensor(array), requires_grad=grad) for L in (mg, torch))
            assert {without_device(text) for text in (repr(ours), str(ours), f"{ours}")} == {
                without_device(repr(theirs))
            }
            assert repr(theirs) == str(theirs) == f"{theirs}"
            assert ours.requires_grad is theirs.requires_grad and ours.is_leaf
    assert without_device(repr(mg.nn.Parameter(mg.ones(1, dtype=mg.float64)))) == without_device(
        repr(torch.nn.Parameter(torch.ones(1, dtype=torch.float64)))
    )
    for library in (mg, torch):
        data = library.ones(2)
        parameter = library.nn.Parameter(data)
        data.zero_()
        assert parameter.tolist() == [0.0, 0.0] and isinstance(parameter, library.Tensor)
        assert type(parameter * 2) is library.Tensor


# ------------------------------------------------------------------------------------------- attributes, and wrong attributes


def test_attributes_in_their_order() -> None:
    """Reassigned, deleted, set to None: names and order stay torch's."""
    seen = []
    for library in (mg, torch):
        nn, log = library.nn, []
        module = nn.Module()
        module.b, module.a, module.c = (nn.Parameter(library.full((1,), v)) for v in (1.0, 2.0, 3.0))
        module.child, module.other = nn.Linear(1, 1), nn.Tanh()
        log.append(list(module.state_dict()))
        module.a = None
        log.append((list(module.state_dict()), module.a))
        module.a = nn.Parameter(library.full((1,), 5.0))
        module.b = nn.Parameter(library.full((2,), 6.0))
        log.append([(n, p.tolist()) for n, p in module.named_parameters(recurse=False)])
        del module.c
        log.append((list(module.state_dict()), hasattr(module, "c")))
        module.child = nn.Identity()
        log.append(repr(module))
        del module.other
        log.append(repr(module))
        module.number, module.text, module.tensor = 3, "x", library.ones(1)
        log.append((module.number, module.text, list(module.state_dict()), repr(module)))
        module.add_module("added", nn.Tanh())
        log.append(repr(module))
        seen.append(log)
    for ours, theirs in zip(*seen, strict=True):
        assert ours == theirs


def test_buffers_are_assigned_and_removed_as_attributes() -> None:
    seen = []
    for library in (mg, torch):
        module, log = library.nn.Module(), []
        module.register_buffer("b", library.zeros(2))
        module.b = library.ones(3)
        log.append([(n, b.tolist()) for n, b in module.named_buffers()])
        module.b = None
        log.append((module.b, list(module.state_dict())))
        module.b = library.ones(1)
        log.append(list(module.state_dict()))
        del module.b
        log.append((hasattr(module, "b"), list(module.state_dict())))
        seen.append(log)
    assert seen[0] == seen[1]


def test_containers() -> None:
    seen = []
    for library in (mg, torch):
        nn = library.nn
        many = nn.ModuleList([nn.Linear(1, 1)])
        assert many.append(nn.Tanh()) is many and many.extend([nn.ReLU(), nn.Identity()]) is many
        log = [repr(many), len(many), [type(m).__name__ for m in many], type(many[-1]).__name__, repr(many[1:3])]
        many[0] = many[-2] = nn.Sigmoid()
        log.append(repr(many))
        order = nn.Sequential(nn.Linear(1, 1), nn.Tanh()).append(nn.ReLU())
        log += [repr(order), len(order), repr(order[:2]), type(order[1]).__name__, repr(order[-1])]
        named = nn.ModuleDict({"a": nn.Tanh()})
        named["b"] = nn.ReLU()
        log += [repr(named), list(named), list(named.keys()), len(named), "a" in named, "z" in named, repr(named["b"])]
        log.append([(n, type(m).__name__) for n, m in named.items()])
        seen.append(log)
    for ours, theirs in zip(*seen, strict=True):
        assert ours == theirs


def early(body: Callable[[Any, Any], None]) -> Callable[[Any], Any]:
    """body(self, library) runs in a module's __init__, which never calls super().__init__()."""

    def build(library: Any) -> Any:
        class Bad(library.nn.Module):
            def __init__(self) -> None:
                body(self, library)

        return Bad()

    return build


def assign(name: str, value: Callable[[Any], Any], to: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda L: setattr(to(L), name, value(L))


def linear(L: Any) -> Any:
    return L.nn.Linear(2, 2)


MISTAKES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "parameter before init": (early(lambda s, L: setattr(s, "w", L.nn.Parameter(L.ones(1)))), "before Module.__init__()"),
    "module before init": (early(lambda s, L: setattr(s, "m", L.nn.Tanh())), "before Module.__init__()"),
    "buffer before init": (early(lambda s, L: s.register_buffer("b", L.ones(1))), "before Module.__init__()"),
    "register_parameter before init": (early(lambda s, L: s.register_parameter("b", None)), "before Module.__init__()"),
    "tensor as parameter": (assign("weight", lambda L: L.ones(2, 2), linear), "'weight'"),
    "number as parameter": (assign("weight", lambda L: 1.0, linear), "'weight'"),
    "number as module": (assign("0", lambda L: 1.0, lambda L: L.nn.Sequential(L.nn.Tanh())), "'0'"),
    "tensor as module": (assign("0", lambda L: L.ones(1), lambda L: L.nn.Sequential(L.nn.Tanh())), "'0'"),
    "number as buffer": (assign("mask", lambda L: 1.0, buffered), "'mask'"),
    "register_parameter of a tensor": (lambda L: L.nn.Module().register_parameter("w", L.ones(1)), "'w'"),
    "register_parameter of a number": (lambda L: L.nn.Module().register_parameter("w", 1.0), "'w'"),
    "register_parameter with a dot": (lambda L: L.nn.Module().register_parameter("a.b", None), "."),
    "register_parameter without a name": (lambda L: L.nn.Module().register_parameter("", None), "empty"),
    "register_parameter of a taken name": (lambda L: L.nn.Module().register_parameter("forward", None), "'forward' already exists"),
    "register_parameter of a number's name": (lambda L: L.nn.Module().register_parameter(3, None), "int"),
    "register_buffer of a number": (lambda L: L.nn.Module().register_buffer("b", 1.0), "'b'"),
    "register_buffer with a dot": (lambda L: L.nn.Module().register_buffer("a.b", None), "."),
    "register_buffer without a name": (lambda L: L.nn.Module().register_buffer("", None), "empty"),
    "register_buffer of a taken name": (lambda L: linear(L).register_buffer("weight", None), "'weight' already exists"),
    "register_buffer of a number's name": (lambda L: L.nn.Module().register_buffer(3, None), "int"),
    "no such attribute": (lambda L: linear(L).wieght, "'Linear' object has no attribute 'wieght'"),
    "delete what is not there": (lambda L: delattr(linear(L), "wieght"), "wieght"),
    "no forward": (lambda L: L.nn.Module()(L.ones(1)), 'Module [Module] is missing the required "forward" function'),
    "call of a list": (lambda L: L.nn.ModuleList([L.nn.Tanh()])(L.ones(1)), "ModuleList"),
    "sequence of functions": (lambda L: L.nn.Sequential(L.tanh), "not a Module subclass"),
    "list of functions": (lambda L: L.nn.ModuleList([L.tanh]), "not a Module subclass"),
    "dict of functions": (lambda L: L.nn.ModuleDict({"a": L.tanh}), "not a Module subclass"),
    "dict with a dot": (lambda L: L.nn.ModuleDict({"a.b": L.nn.Tanh()}), "."),
    "dict without the name": (lambda L: L.nn.ModuleDict({"a": L.nn.Tanh()})["b"], "b"),
    "dict with a method's name": (lambda L: L.nn.ModuleDict({"keys": L.nn.Tanh()}), "keys"),
    "list too short": (lambda L: L.nn.ModuleList([L.nn.Tanh()])[1], "range"),
    "sequence too short": (lambda L: L.nn.Sequential(L.nn.Tanh())[-2], "range"),
    "setting past the end": (lambda L: L.nn.ModuleList([L.nn.Tanh()]).__setitem__(1, L.nn.Tanh()), "range"),
    "to integers": (lambda L: linear(L).to(L.int64), "floating point"),
    "to nowhere": (lambda L: linear(L).to("nowhere"), "nowhere"),
    "state of a list": (lambda L: linear(L).load_state_dict([1]), "list"),
    "state of numbers": (lambda L: linear(L).load_state_dict({"weight": 1.0, "bias": L.ones(2)}), "weight"),
    "state with nothing": (lambda L: linear(L).load_state_dict({}), 'Missing key(s) in state_dict: "weight", "bias"'),
    "get_parameter of no such name": (lambda L: linear(L).get_parameter("wieght"), "wieght"),
    "get_submodule of no such name": (lambda L: linear(L).get_submodule("a.b"), "a"),
    "train with a number": (lambda L: linear(L).train(1), "bool"),
    "parameter of a list": (lambda L: L.nn.Parameter([1.0]), "list"),
    "deepcopy of a result": (lambda L: copy.deepcopy(linear(L)(L.ones(1, 2))), "detach"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_torchs_error(name: str) -> None:
    check_same_error(*MISTAKES[name])


def test_module_numbers_agree_end_to_end() -> None:
    """A small model of every layer here: loss and all gradients."""

    def build(library: Any) -> Any:
        nn = library.nn
        return nn.Sequential(
            nn.Embedding(9, 4), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 9, bias=False)
        )

    ours, theirs = grown(build)
    ids = np.random.default_rng(0).integers(0, 9, (30,))
    losses = []
    for library, module in ((mg, ours), (torch, theirs)):
        loss = library.nn.CrossEntropyLoss()(module(library.tensor(ids)), library.tensor(ids[::-1].copy()))
        (loss * library.tensor(1.7)).backward()
        losses.append(loss)
    same(*losses)
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        same(a.grad, b.grad, what=name)


def test_both_is_independent_memory() -> None:
    """The helpers of these tests hand out separate memory, so nothing here compares an array with itself."""
    array = np.ones(3, np.float32)
    ours, theirs = both(array, requires_grad=True)
    assert ours.data_ptr() != theirs.data_ptr() != array.ctypes.data
