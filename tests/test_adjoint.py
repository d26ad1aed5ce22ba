"""Adjointness: <A x, y> = <x, Aᵀ y>, exactly, for every linear op of the package.

The numbers are small integers held as floats, so every product and every order of summing is exact: no tolerance, no
oracle. The list of pairs is the package's own; an op that is added to it needs a strategy here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import cases, numpy_of
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.backend import Array
from minigrad.core import Op
from minigrad.ops import adjoint
from minigrad.ops.adjoint import ADJOINT_PAIRS, MULTILINEAR, AdjointPair
from minigrad.ops.positions import LAYOUTS as LAYOUTS_OF_PAIRS
from minigrad.testing.devices import placed

EXAMPLES = settings(cases(60), derandomize=True)
FLOATS = [np.dtype("float32"), np.dtype("float64")]
Case = tuple[tuple[int, ...], dict[str, Any]]  # x's shape, and A's keywords

sizes = st.sampled_from([0, 1, 1, 2, 3, 4])
shapes = st.lists(sizes, max_size=4).map(tuple)


# ----------------------------------------------------------------------------------------------------- a case of every op


def ids(draw: Any, count: int, rows: int) -> np.ndarray:
    """Ids below rows: drawn one by one, or many that often repeat, in any integer width."""
    dtype = draw(st.sampled_from(["int64", "int32", "uint16"]))
    if count <= 8:
        return np.array(draw(st.lists(st.integers(0, rows - 1), min_size=count, max_size=count)), dtype=dtype)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return np.minimum(rng.geometric(0.3, count) - 1, rows - 1).astype(dtype)


counts = st.sampled_from([0, 1, 2, 5, 8, 64, 65, 200])


@st.composite
def gather(draw: Any) -> Case:
    rows, width = draw(st.integers(1, 6)), draw(shapes.map(lambda s: s[:2]))
    index = ids(draw, draw(counts), rows)
    if index.size % 2 == 0 and draw(st.booleans()):
        index = index.reshape(2, -1)
    return (rows, *width), {"index": index}


@st.composite
def gather_nothing(draw: Any) -> Case:
    return (0, *draw(shapes.map(lambda s: s[:2]))), {
        "index": np.zeros(draw(st.sampled_from([(0,), (0, 3), (2, 0)])), np.int64)
    }


@st.composite
def scatter_add(draw: Any) -> Case:
    rows, width = draw(st.integers(1, 6)), draw(shapes.map(lambda s: s[:2]))
    index = ids(draw, draw(counts), rows)
    return (len(index), *width), {"index": index, "rows": rows}


@st.composite
def narrower(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape, and one that broadcasts to it."""
    wide = draw(shapes)
    narrow = tuple(1 if draw(st.booleans()) else n for n in wide)
    return narrow[draw(st.integers(0, len(wide))) :], wide


@st.composite
def reshape(draw: Any) -> Case:
    shape = draw(shapes)
    to = draw(st.permutations(shape)) if draw(st.booleans()) else [int(np.prod(shape))]
    return shape, {"to": (*to, *draw(st.sampled_from([(), (1,), (1, 1)])))}


@st.composite
def permute(draw: Any) -> Case:
    shape = draw(shapes)
    return shape, {"dims": tuple(draw(st.permutations(range(len(shape)))))}


@st.composite
def key_of(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """A basic index: integers from either end, slices with steps, new axes."""
    key: list[Any] = []
    for n in shape:
        if draw(st.integers(0, 5)) == 0:
            key.append(None)
        bounds = st.none() | st.integers(-n - 1, n + 1)
        steps = st.none() | st.integers(1, 3)
        pieces = st.builds(slice, bounds, bounds, steps)
        key.append(draw(st.integers(-n, n - 1) | pieces if n else pieces))
    return tuple(key)


@st.composite
def cut(draw: Any) -> Case:
    shape = draw(shapes)
    return shape, {"key": draw(key_of(shape))}


@st.composite
def pad(draw: Any) -> Case:
    to = draw(shapes)
    key = draw(key_of(to))
    return np.zeros(to)[key].shape, {"key": key, "to": to}


@st.composite
def diagonal(draw: Any) -> Case:
    shape = (*draw(shapes), draw(sizes), draw(sizes))[-4:]
    return shape, {"offset": draw(st.integers(-shape[-2], shape[-1]))}


@st.composite
def diag_embed(draw: Any) -> Case:
    to, params = draw(diagonal())
    return np.zeros(to).diagonal(params["offset"], -2, -1).shape, {**params, "to": to}


@st.composite
def windows(draw: Any) -> Case:
    """One or two axes, each long enough for one window at least."""
    dims, few = draw(st.integers(1, 2)), st.integers(1, 3)
    size, stride, dilation, more = (tuple(draw(few) for _ in range(dims)) for _ in range(4))
    long = [d * (k - 1) + m for k, d, m in zip(size, dilation, more, strict=True)]
    return (*draw(shapes)[:2], *long), {"size": size, "stride": stride, "dilation": dilation}


@st.composite
def overlap(draw: Any) -> Case:
    to, how = draw(windows())
    y = mg.ops.windows.Windows.apply(mg.zeros(to), **how)
    return tuple(y.shape), {"to": to, **how}


@st.composite
def by_distance(draw: Any) -> Case:
    """(..., L, L + S)"""
    length = draw(sizes)
    return (*draw(shapes)[:2], length, length + draw(sizes)), {}


@st.composite
def by_key(draw: Any) -> Case:
    """(..., L, S)"""
    return (*draw(shapes)[:2], draw(sizes), draw(sizes)), {}


@st.composite
def rotated(draw: Any) -> Case:
    """Whole numbers in the places of cos and sin, some numbers left behind the pairs, and axes that broadcast."""
    lead, pairs, rest = draw(shapes), draw(sizes), draw(st.integers(0, 2))
    angles = tuple(draw(st.sampled_from([n, 1])) for n in lead)[draw(st.integers(0, len(lead))) :]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    cos, sin = (placed(rng.integers(-3, 4, (*angles, pairs)).astype(np.float32)) for _ in range(2))
    return (*lead, 2 * pairs + rest), {"cos": cos, "sin": sin, "layout": draw(st.sampled_from(LAYOUTS_OF_PAIRS))}


CASES: dict[tuple[str, str], st.SearchStrategy[Case]] = {
    ("Gather", "ScatterAdd"): gather() | gather_nothing(),
    ("ScatterAdd", "Gather"): scatter_add(),
    ("Diagonal", "DiagEmbed"): diagonal(),
    ("DiagEmbed", "Diagonal"): diag_embed(),
    ("BroadcastTo", "SumTo"): narrower().map(lambda pair: (pair[0], {"to": pair[1]})),
    ("SumTo", "BroadcastTo"): narrower().map(lambda pair: (pair[1], {"to": pair[0]})),
    ("Reshape", "Reshape"): reshape(),
    ("Permute", "Permute"): permute(),
    ("Slice", "Pad"): cut(),
    ("Pad", "Slice"): pad(),
    ("Windows", "OverlapAdd"): windows(),
    ("OverlapAdd", "Windows"): overlap(),
    ("RelativeShift", "RelativeUnshift"): by_distance(),
    ("RelativeUnshift", "RelativeShift"): by_key(),
    ("Rotate", "Rotate"): rotated(),
    ("Cast", "Cast"): st.tuples(shapes, st.sampled_from(FLOATS).map(lambda to: {"to": to})),
    ("ToDevice", "ToDevice"): st.tuples(shapes, st.just({"to": mg.device("cpu")})),
}


def name(pair: AdjointPair) -> tuple[str, str]:
    return pair.op.__name__, pair.transpose.__name__


def test_every_pair_has_a_strategy():
    assert {name(pair) for pair in ADJOINT_PAIRS} == set(CASES)
    assert {op.__name__ for op in MULTILINEAR} == {"MatMul", "Cat"}


def test_every_linear_movement_is_in_the_list():
    """An op whose backward reads no values is linear; of those that move elements, none is forgotten."""
    from minigrad.ops import indexing, positions, shape, windows

    listed = {pair.op for pair in ADJOINT_PAIRS} | set(MULTILINEAR)
    moving = {
        op
        for module in (shape, indexing, windows, positions)
        for op in vars(module).values()
        if inspect.isclass(op) and issubclass(op, Op) and op.__module__ == module.__name__ and op.reads == ()
    }
    assert {op.__name__ for op in moving - listed} <= {"Clone"}


def test_every_pair_is_listed_both_ways():
    names = {name(pair) for pair in ADJOINT_PAIRS}
    assert names == {(b, a) for a, b in names}
    assert adjoint.ADJOINT_PAIRS is ADJOINT_PAIRS


# --------------------------------------------------------------------------------------------------------------- the check

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": lambda a: a,
    "transposed": lambda a: a.T.copy(order="C").T,
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "read-only": lambda a: np.lib.stride_tricks.as_strided(a, writeable=False),
}


def integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, layout: str = "contiguous") -> Array:
    """Small whole numbers, few of them zero, as floats."""
    a = rng.integers(1, 8, shape) * rng.choice([-1, 1], shape)
    return LAYOUTS[layout](np.asarray(a, dtype=dtype))


def inner(x: Any, y: Any) -> int:
    x, y = numpy_of(x), numpy_of(y)
    assert x.shape == y.shape
    return int((x.astype(np.int64) * y.astype(np.int64)).sum())


def bits(x: Any) -> tuple[Any, ...]:
    """Shape, dtype, and numbers. 0 and -0 are the same number: a sum from +0 and a copy may differ in it."""
    array = numpy_of(x)
    return array.shape, array.dtype, (array + 0.0).tobytes()


def pulled(y: mg.Tensor, x: mg.Tensor, g: Array, record: bool) -> mg.Tensor:
    (gx,) = mg.autograd.grad(y, x, placed(g), create_graph=record)
    return gx


def check_pair(
    op: type[Op], transpose: type[Op], keywords: dict[str, Any], back: dict[str, Any], x: Array, rng: Any, layout: str
) -> None:
    """A x, Aᵀ y, their inner products, and that each is the other's backward, plain and recorded."""
    before = x.copy()
    leaf = placed(x).requires_grad_()
    ax = op.apply(leaf, **keywords)
    y = integers(rng, ax.array.shape, ax.array.dtype, layout)
    flat = (
        y.reshape(back["index"].size, *x.shape[1:]) if transpose.__name__ == "ScatterAdd" else y
    )  # its rows stand in line
    given = y.copy()
    aty = transpose.apply(placed(flat), **back)
    assert (aty.array.shape, aty.array.dtype) == (x.shape, x.dtype)
    assert inner(ax, y) == inner(x, aty), "<A x, y> is not <x, Aᵀ y>"
    for record in (False, True):
        assert bits(pulled(op.apply(leaf, **keywords), leaf, y, record)) == bits(aty), "the backward of A is not Aᵀ"
    other = placed(flat).requires_grad_()
    z = transpose.apply(other, **back)
    g = integers(rng, z.array.shape, z.array.dtype, layout)
    expected = op.apply(placed(g), **keywords).reshape(flat.shape)
    for record in (False, True):
        assert bits(pulled(transpose.apply(other, **back), other, g, record)) == bits(expected), (
            "the backward of Aᵀ is not A"
        )
    assert x.tobytes() == before.tobytes() and y.tobytes() == given.tobytes(), "an input was changed"


def check_case(
    pair: AdjointPair, case: Case, seed: int = 0, dtype: Any = np.float32, layout: str = "contiguous"
) -> None:
    shape, keywords = case
    rng = np.random.default_rng(seed)
    check_pair(
        pair.op,
        pair.transpose,
        keywords,
        pair.params(shape, np.dtype(dtype), **keywords),
        integers(rng, shape, dtype, layout),
        rng,
        layout,
    )


@pytest.mark.parametrize("pair", ADJOINT_PAIRS, ids=lambda pair: "-".join(name(pair)))
def test_adjoint(pair, device):
    if "ToDevice" in name(pair) and device == "cuda":
        pytest.skip("only on the CPU: this pair leaves the device")

    @EXAMPLES
    @given(CASES[name(pair)], st.integers(0, 99), st.sampled_from(FLOATS), st.sampled_from(list(LAYOUTS)))
    def check(case, seed, dtype, layout):
        check_case(pair, case, seed, dtype, layout)

    check()


# -------------------------------------------------------------------------------------------------- linear in each of several


@st.composite
def factors(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    lead = tuple(draw(st.lists(sizes, max_size=2)))
    m, k, n = draw(st.tuples(sizes, sizes, sizes))
    return (*lead, m, k), (*lead, k, n)


def check_matmul(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], seed: int = 0, dtype: Any = np.float32, layout: str = "contiguous"
) -> None:
    """<x y, z> = <x, z yᵀ> = <y, xᵀ z>, and backward says the same."""
    (product,) = (op for op in MULTILINEAR if op.__name__ == "MatMul")
    rng = np.random.default_rng(seed)
    arrays = [integers(rng, shape, dtype, layout) for shape in shapes]
    leaves = [placed(a).requires_grad_() for a in arrays]
    for record in (False, True):
        xy = product.apply(*leaves)
        z = integers(np.random.default_rng(seed + 1), xy.array.shape, dtype)
        gradients = mg.autograd.grad(xy, leaves, placed(z), create_graph=record)
        for array, gx in zip(arrays, gradients, strict=True):
            assert inner(xy, z) == inner(array, gx)
        x, y = arrays
        expected = np.einsum("...mn,...kn->...mk", z, y), np.einsum("...mk,...mn->...kn", x, z)
        assert [bits(gx) for gx in gradients] == [bits(e.astype(dtype)) for e in expected]


@given(factors(), st.integers(0, 99), st.sampled_from(FLOATS), st.sampled_from(list(LAYOUTS)))
@EXAMPLES
def test_matmul(shapes, seed, dtype, layout):
    check_matmul(shapes, seed, dtype, layout)


@st.composite
def parts(draw: Any) -> tuple[int, list[tuple[int, ...]]]:
    shape = draw(st.lists(sizes, min_size=1, max_size=3))
    axis = draw(st.integers(0, len(shape) - 1))
    return axis, [(*shape[:axis], draw(sizes), *shape[axis + 1 :]) for _ in range(draw(st.integers(1, 4)))]


def check_cat(
    case: tuple[int, list[tuple[int, ...]]], seed: int = 0, dtype: Any = np.float32, layout: str = "contiguous"
) -> None:
    """<cat(x₁, x₂, …), z> = Σ <xᵢ, zᵢ>, and backward cuts z into those zᵢ."""
    axis, shapes = case
    rng = np.random.default_rng(seed)
    arrays = [integers(rng, shape, dtype, layout) for shape in shapes]
    leaves = [placed(a).requires_grad_() for a in arrays]
    for record in (False, True):
        y = mg.cat(leaves, axis)
        z = integers(np.random.default_rng(seed + 1), y.array.shape, dtype, layout)
        gradients = mg.autograd.grad(y, leaves, placed(z), create_graph=record)
        assert inner(y, z) == sum(inner(a, gx) for a, gx in zip(arrays, gradients, strict=True))
        ends = np.cumsum([shape[axis] for shape in shapes])[:-1]
        assert [bits(gx) for gx in gradients] == [bits(np.ascontiguousarray(part)) for part in np.split(z, ends, axis)]


@given(parts(), st.integers(0, 99), st.sampled_from(FLOATS), st.sampled_from(list(LAYOUTS)))
@EXAMPLES
def test_cat(case, seed, dtype, layout):
    check_cat(case, seed, dtype, layout)


# ------------------------------------------------------------------------------------------------- cases worth their own line

NAMED_CASES: list[tuple[str, str, Case]] = [
    ("Gather", "one row, one column", ((1, 1), {"index": np.array([0, 0, 0])})),
    ("Gather", "rows of nothing", ((3, 0), {"index": np.array([2, 0, 2])})),
    ("Gather", "a table of numbers", ((4,), {"index": np.array([[3, 3], [0, 3]])})),
    ("Gather", "one id without an axis", ((4, 2), {"index": np.array(3)})),
    ("Gather", "many of one id", ((2, 3), {"index": np.ones(500, np.uint16)})),
    ("ScatterAdd", "nothing into no rows", ((0, 2), {"index": np.zeros(0, np.int64), "rows": 0})),
    ("ScatterAdd", "all into the last row", ((70, 1), {"index": np.full(70, 4), "rows": 5})),
    ("ScatterAdd", "numbers, many times one id", ((300,), {"index": np.repeat([1, 0, 1], 100), "rows": 2})),
    ("SumTo", "everything into one number", ((2, 3), {"to": ()})),
    ("SumTo", "no elements into one number", ((0, 3), {"to": ()})),
    ("SumTo", "no rows into one row", ((0, 3), {"to": (1, 3)})),
    ("BroadcastTo", "a number to no elements", ((), {"to": (2, 0)})),
    ("Slice", "one element", ((2, 3), {"key": (1, -1)})),
    ("Slice", "nothing", ((2, 3), {"key": (slice(2, 2), slice(None))})),
    ("Slice", "a number", ((), {"key": ()})),
    ("Pad", "one element", ((), {"key": (0, 2), "to": (2, 3)})),
    ("Permute", "no axes", ((), {"dims": ()})),
    ("Reshape", "a number to a matrix", ((), {"to": (1, 1)})),
    ("Cast", "a number", ((), {"to": np.dtype("float64")})),
]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("op", "case"), [pytest.param(op, case, id=f"{op}: {what}") for op, what, case in NAMED_CASES])
def test_named_case(op, case, dtype):
    (pair,) = (pair for pair in ADJOINT_PAIRS if pair.op.__name__ == op)
    check_case(pair, case, dtype=dtype)
