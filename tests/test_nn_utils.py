"""nn.utils and nn.init: torch's numbers, and rows that stay rows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import CPU, both, check_against_torch, check_same_error, numpy_of, same
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg

# --------------------------------------------------------------------------------------------------------------- clipping


def parameters(
    shapes: list[tuple[int, ...]], dtype: str = "float32", scale: float = 1.0
) -> tuple[list[Any], list[Any]]:
    """The same parameters with the same gradients in both libraries; the last has none."""
    rng, pairs = np.random.default_rng(0), []
    for shape in shapes:
        pair = both(rng.standard_normal(shape).astype(dtype), requires_grad=True)
        for p, g in zip(pair, both((scale * rng.standard_normal(shape)).astype(dtype)), strict=True):
            p.grad = g
        pairs.append(pair)
    pairs.append(both(np.ones(2, dtype), requires_grad=True))
    return [a for a, _ in pairs], [b for _, b in pairs]


def table(L: Any, rows: int, width: int, sparse: bool = False) -> Any:
    weight = np.random.default_rng(1).standard_normal((rows, width)).astype(np.float32)
    layer = L.nn.Embedding.from_pretrained(L.tensor(weight), freeze=False, sparse=sparse)
    ids = np.random.default_rng(2).integers(0, rows, 40)
    c = np.random.default_rng(3).standard_normal((40, width)).astype(np.float32)
    layer(L.tensor(ids)).backward(L.tensor(c))
    return layer.weight


@given(
    st.lists(
        st.sampled_from([(), (1,), (7,), (8,), (3, 5), (40, 50), (2, 3, 4), (70_001,), (0,)]), min_size=1, max_size=4
    ),
    st.sampled_from([2.0, 2, 1.0, 3.0, 0.5, 0.0, math.inf, "inf"]),
    st.sampled_from([1e-3, 1.0, 1e9]),
    st.sampled_from(["float32", "float64"]),
)
def test_clip_grad_norm(shapes: list[tuple[int, ...]], p: Any, max_norm: float, dtype: str) -> None:
    if float(p) == math.inf:
        shapes = [s for s in shapes if 0 not in s] or [(3,)]  # of nothing, torch knows no largest
    ours, theirs = parameters(shapes, dtype)
    norms = [L.nn.utils.clip_grad_norm_(ps, max_norm, p) for L, ps in ((mg, ours), (torch, theirs))]
    exact = CPU and p == 2 and dtype == "float32"
    same(*norms, exact=exact, rtol=1e-5)
    for a, b in zip(ours[:-1], theirs[:-1], strict=True):
        same(a.grad, b.grad, exact=exact, rtol=1e-5)
    assert ours[-1].grad is None


@pytest.mark.cpu_only("in the order in which torch adds on the CPU")
def test_the_length_of_many_numbers_is_torchs_to_the_last_bit() -> None:
    """Summed in float32, torch's is 0.1 % short here; a better sum would clip otherwise."""
    x, y = both(np.random.default_rng(0).standard_normal(10_000_003).astype(np.float32))
    ours, theirs = mg.nn.utils.get_total_norm([x]), torch.nn.utils.get_total_norm([y])
    same(ours, theirs, exact=True)
    assert abs(ours.item() / np.linalg.norm(numpy_of(x).astype(float)) - 1) > 1e-4
    same(mg.nn.utils.get_total_norm(x), theirs, exact=True)


@pytest.mark.cpu_only("in the order in which torch adds on the CPU")
def test_the_length_of_few_numbers_too() -> None:
    rng = np.random.default_rng(0)
    for n in list(range(1, 34)) * 40:
        x, y = both((rng.standard_normal(n) * 10.0 ** rng.integers(-2, 3, n)).astype(np.float32))
        same(mg.nn.utils.get_total_norm([x]), torch.nn.utils.get_total_norm([y]), exact=True, what=str(n))


@pytest.mark.parametrize("width", [16, 5])
@pytest.mark.parametrize("p", [2.0, 1.0, math.inf])
def test_a_tables_gradient_is_clipped_as_rows(width: int, p: float) -> None:
    weights = [table(L, 500, width) for L in (mg, torch)]
    norms = [L.nn.utils.clip_grad_norm_([w], 0.5, p) for L, w in zip((mg, torch), weights, strict=True)]
    assert isinstance(weights[0]._grad, mg.RowSparse if CPU else mg.Tensor)
    same(*norms, exact=CPU and p == 2 and width == 16, rtol=1e-6)
    same(weights[0].grad, weights[1].grad, rtol=1e-6)
    weights = [table(L, 500, width) for L in (mg, torch)]
    for L, w in zip((mg, torch), weights, strict=True):
        L.nn.utils.clip_grad_value_([w], 0.3)
    assert isinstance(weights[0]._grad, mg.RowSparse if CPU else mg.Tensor)
    same(weights[0].grad, weights[1].grad, exact=True)


def test_a_sparse_gradient_is_clipped_too() -> None:
    weight, dense = table(mg, 50, 4, sparse=True), table(torch, 50, 4)
    same(mg.nn.utils.clip_grad_norm_(weight, 0.5), torch.nn.utils.clip_grad_norm_(dense, 0.5), rtol=1e-6)
    assert weight.grad.is_sparse
    same(weight.grad.to_dense(), dense.grad, rtol=1e-6)


def test_clip_grad_value_and_a_norm_from_elsewhere() -> None:
    ours, theirs = parameters([(3, 4), (), (5,)])
    for L, ps in ((mg, ours), (torch, theirs)):
        kept = ps[0].grad
        L.nn.utils.clip_grad_value_(ps, 0.4)
        assert ps[0].grad is kept
        L.nn.utils.clip_grads_with_norm_(ps, 1.0, L.tensor(3.0))
    for a, b in zip(ours[:-1], theirs[:-1], strict=True):
        same(a.grad, b.grad, exact=True)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_norm_that_is_no_number(bad: float) -> None:
    for L in (mg, torch):
        w = L.ones(3, requires_grad=True)
        w.grad = L.tensor([1.0, bad, 2.0])
        with pytest.raises(RuntimeError, match="non-finite"):
            L.nn.utils.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
        assert str(w.grad.tolist()) == str([1.0, bad, 2.0])
    ours, theirs = parameters([(3,)])
    for L, ps in ((mg, ours), (torch, theirs)):
        ps[0].grad[1] = bad
        assert not math.isfinite(L.nn.utils.clip_grad_norm_(ps, 1.0).item())
    same(ours[0].grad, theirs[0].grad, exact=True, equal_nan=True)


def test_nothing_to_clip() -> None:
    for L in (mg, torch):
        assert L.nn.utils.clip_grad_norm_([], 1.0).item() == 0.0
        assert L.nn.utils.clip_grad_norm_(L.ones(2, requires_grad=True), 1.0).item() == 0.0
        with pytest.warns(UserWarning, match="empty generator"):
            L.nn.utils.clip_grad_norm_((p for p in ()), 1.0)


def test_clipping_within_training_is_torchs_to_the_last_bit() -> None:
    results = []
    for L in (mg, torch):
        L.manual_seed(0)
        layer = L.nn.Linear(8, 8, bias=False)
        optimizer = L.optim.SGD(layer.parameters(), lr=0.25)
        norms = []
        for i in range(10):
            optimizer.zero_grad()
            c = L.tensor(np.random.default_rng(i).integers(-4, 5, (1, 8)).astype(np.float32))
            (layer(c) * c).sum().backward()
            norms.append(L.nn.utils.clip_grad_norm_(layer.parameters(), max_norm=1.0).item())
            optimizer.step()
        results.append((norms, layer.weight.tolist()))
    assert results[0] == results[1]


# ------------------------------------------------------------------------------------------------------ vectors, sequences


def test_parameters_to_vector_and_back() -> None:
    for L in (mg, torch):
        L.manual_seed(0)
        layers = L.nn.Sequential(L.nn.Linear(3, 2), L.nn.Linear(2, 2))
        vector = L.nn.utils.parameters_to_vector(layers.parameters())
        assert (
            vector.tolist() == [x for p in layers.parameters() for x in p.flatten().tolist()] and vector.requires_grad
        )
        other = L.arange(14.0)
        L.nn.utils.vector_to_parameters(other, layers.parameters())
        assert layers[1].bias.tolist() == [12.0, 13.0] and layers[0].weight.is_leaf
        other[12] = 5.0
        assert layers[1].bias.tolist() == [5.0, 13.0]
        with pytest.raises(TypeError, match="Tensor"):
            L.nn.utils.vector_to_parameters([1.0], layers.parameters())


@pytest.mark.parametrize(
    "options", [{}, {"batch_first": True}, {"padding_value": -1.5}, {"padding_side": "left", "batch_first": True}]
)
@pytest.mark.parametrize("shapes", [[(3,), (1,), (5,)], [(2, 3), (4, 3)], [(0, 2), (1, 2)], [(2,)]])
def test_pad_sequence(shapes: list[tuple[int, ...]], options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in shapes]
    check_against_torch(lambda L, *xs: L.nn.utils.rnn.pad_sequence(list(xs), **options), arrays)
    ours, theirs = zip(*(both(np.arange(n)) for n in (3, 1)), strict=True)
    same(
        mg.nn.utils.rnn.pad_sequence(ours, True, -100), torch.nn.utils.rnn.pad_sequence(theirs, True, -100), exact=True
    )


# ------------------------------------------------------------------------------------------------------------------- init

SHAPES = [(3, 5), (5, 3), (20, 20), (2, 3, 4), (1, 1)]
FILLS: dict[str, Callable[[Any, Any], Any]] = {
    "uniform": lambda i, w: i.uniform_(w, -1.0, 2.0),
    "normal": lambda i, w: i.normal_(w, 1.0, 0.02),
    "xavier_uniform": lambda i, w: i.xavier_uniform_(w, gain=i.calculate_gain("tanh")),
    "xavier_normal": lambda i, w: i.xavier_normal_(w, 0.7),
    "kaiming_uniform": lambda i, w: i.kaiming_uniform_(w, a=math.sqrt(5)),
    "kaiming_uniform fan_out": lambda i, w: i.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"),
    "kaiming_normal": lambda i, w: i.kaiming_normal_(w),
    "kaiming_normal relu": lambda i, w: i.kaiming_normal_(w, 0.1, "fan_out", "relu"),
    "kaiming_normal selu": lambda i, w: i.kaiming_normal_(w, nonlinearity="selu"),
    "kaiming_normal leaky": lambda i, w: i.kaiming_normal_(w, 0.3, "FAN_IN", "leaky_relu"),
    "trunc_normal": lambda i, w: i.trunc_normal_(w),
    "trunc_normal std": lambda i, w: i.trunc_normal_(w, std=0.02),
    "trunc_normal bounds": lambda i, w: i.trunc_normal_(w, mean=0.5, std=2.0, a=-1.0, b=0.75),
    "trunc_normal tail": lambda i, w: i.trunc_normal_(w, a=1.5, b=4.0),
    "trunc_normal far": lambda i, w: i.trunc_normal_(w, mean=9.0, a=1.5, b=4.0),
    "ones": lambda i, w: i.ones_(w),
    "constant": lambda i, w: i.constant_(w, 0.3),
}


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fill", FILLS)
def test_a_fill_is_torchs_to_the_last_bit_and_draws_as_much(fill: str, dtype: str, own: bool) -> None:
    for shape in SHAPES:
        filled = []
        for L in (mg, torch):
            L.manual_seed(5)
            init: Any = L.nn.init
            if own:
                generator = L.Generator().manual_seed(9)

                class With:
                    def __getattr__(self, name: str, init: Any = init, generator: Any = generator) -> Any:
                        f = getattr(init, name)
                        plain = name in ("calculate_gain", "ones_", "constant_")
                        return f if plain else lambda *args, **kwargs: f(*args, generator=generator, **kwargs)

                init = With()
            w = L.nn.Parameter(L.empty(*shape, dtype=getattr(L, dtype)))
            assert FILLS[fill](init, w) is w and w.is_leaf
            filled.append([w.detach(), L.rand(1), L.rand(1, generator=generator) if own else L.rand(1)])
        for ours, theirs in zip(*filled, strict=True):
            same(ours, theirs, exact=True, what=str(shape))


@pytest.mark.parametrize("shape", [*SHAPES, (64, 16), (16, 64)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    filled = []
    for L in (mg, torch):
        L.manual_seed(5)
        filled.append([L.nn.init.orthogonal_(L.empty(*shape), gain=1.5), L.rand(1)])
    same(*(f[0] for f in filled), rtol=1e-4, atol=3e-6)
    same(*(f[1] for f in filled), exact=True)
    q = numpy_of(filled[0][0]).reshape(shape[0], -1) / 1.5
    small = q @ q.T if shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(small, np.eye(len(small)), atol=2e-6)


def test_what_draws_nothing() -> None:
    for L in (mg, torch):
        assert L.nn.init.eye_(L.nn.Parameter(L.ones(2, 3))).tolist() == [[1, 0, 0], [0, 1, 0]]
        assert L.nn.init.orthogonal_(L.empty(0, 3)).shape == (0, 3)
        for fill in (L.nn.init.kaiming_normal_, L.nn.init.kaiming_uniform_):
            with pytest.warns(UserWarning, match="no-op"):
                fill(L.empty(0, 3))


def test_gains_and_fans() -> None:
    names = [
        "linear",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose2d",
        "sigmoid",
        "tanh",
        "relu",
        "selu",
        "leaky_relu",
    ]
    for name in names:
        assert mg.nn.init.calculate_gain(name) == torch.nn.init.calculate_gain(name)  # type: ignore[arg-type]
    assert mg.nn.init.calculate_gain("leaky_relu", 0.2) == torch.nn.init.calculate_gain("leaky_relu", 0.2)
    for shape in SHAPES:
        ours, theirs = (L.nn.init._calculate_fan_in_and_fan_out(L.empty(*shape)) for L in (mg, torch))
        assert ours == theirs


MISTAKES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "gain": (lambda L: L.nn.init.calculate_gain("gelu"), "Unsupported nonlinearity gelu"),
    "slope": (lambda L: L.nn.init.calculate_gain("leaky_relu", True), "negative_slope True"),
    "mode": (lambda L: L.nn.init.kaiming_normal_(L.empty(2, 2), mode="fan"), "Mode fan not supported"),
    "a vector": (lambda L: L.nn.init.kaiming_normal_(L.empty(2)), "fewer than 2 dimensions"),
    "a vector for xavier": (lambda L: L.nn.init.xavier_normal_(L.empty(2)), "fewer than 2 dimensions"),
    "a vector, orthogonal": (lambda L: L.nn.init.orthogonal_(L.empty(2)), "2 or more dimensions"),
    "a cube, eye": (lambda L: L.nn.init.eye_(L.empty(2, 2, 2)), "2 dimensions"),
    "padding side": (lambda L: L.nn.utils.rnn.pad_sequence([L.ones(2)], padding_side="top"), "padding_side"),
    "no sequences": (lambda L: L.nn.utils.rnn.pad_sequence([]), "at least one"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_torchs_error(name: str) -> None:
    with warnings.catch_warnings():
        check_same_error(*MISTAKES[name])
