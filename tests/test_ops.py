"""Every op against torch, one row of a table each: the code, and a strategy for the numbers that its names stand for.

The code of a row runs twice, with `t` being minigrad and being torch. Float arrays become leaves that require grad, so that a
row is tested for values, dtypes, shapes, gradients under random cotangents and gradients of gradients, in float64 and
float32, on inputs of every memory layout. The last test fails when a public function has no row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np
import pytest
import torch
from helpers import as_leaf, check_against_torch, numpy_of, same
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.tensor import wrap
from minigrad.testing import dims, indices, layouts, shapes
from minigrad.testing.devices import placed
from minigrad.testing.strategies import narrower

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # torch comments on nan variances and read-only arrays

TIGHT = {"rtol": 1e-9, "atol": 1e-10}  # float64, second order included
LOOSE = {"rtol": 2e-3, "atol": 2e-4}  # float32

Names = dict[str, Any]
Row = tuple[str, st.SearchStrategy[Names]]


ON_THE_CPU = {
    "x.cpu()": "a GPU's tensor is copied",
    "x.scatter(0, (x * 0).long(), y)": "which of several writes to one place remains is open on a GPU",
    "x.topk(1, largest=False).values": "which of equal numbers is taken is open",
    **dict.fromkeys(
        ("x.cumsum(0)", "t.nansum(x)"), "a number that swallows others: in what order a GPU sums is its own"
    ),
    "t.ones(2).get_device()": "-1 there",
    "t.ones(2).is_cpu": "True there",
    **dict.fromkeys(
        (
            "x.type()",
            "(x > 0).type()",
            "x.detach().sort().values.type()",
            "t.ones(2).int().type()",
            "t.zeros(1).half().type()",
        )
        + ("isinstance(t.ones(2), t.FloatTensor)", "isinstance(t.arange(2), t.LongTensor)"),
        "the name of a GPU's type is another, and torch's tensors are on the CPU",
    ),
}


def each(names: str, table: list[Any]) -> Any:
    """Run the test for every row of a table: a code, or a tuple that starts with one."""
    values = [row if isinstance(row, tuple) else (row,) for row in table]
    marks = [[pytest.mark.cpu_only(ON_THE_CPU[code])] if code in ON_THE_CPU else [] for code, *_ in values]
    return pytest.mark.parametrize(
        names, [pytest.param(*row, id=row[0], marks=m) for row, m in zip(values, marks, strict=True)]
    )


def listed(table: str) -> list[str]:
    """The codes of a table in text, which stand between semicolons or line ends."""
    return [code.strip() for line in table.strip().splitlines() for code in line.split(" ; ")]


# ------------------------------------------------------------------------------------------------------ what is drawn

EXAMPLES = max(settings.default.max_examples // 2, 1)  # there are many rows
FLAG = st.booleans()
SIDES = st.sampled_from([0, 1, 1, 2, 3, 4])
SEEDS = st.integers(0, 999)
UP_TO_5 = st.integers(0, 5)
KINDS = st.sampled_from(["any", "integers"])
DRAWS = {
    "any": lambda rng, shape: rng.standard_normal(shape),
    "integers": lambda rng, shape: rng.integers(-2, 3, shape),
    "positive": lambda rng, shape: rng.uniform(0.3, 3.0, shape),
    "nonzero": lambda rng, shape: rng.uniform(0.3, 3.0, shape) * rng.choice([-1, 1], shape),
}


@st.composite
def floats(draw: st.DrawFn, shape: tuple[int, ...], numbers: str = "any") -> np.ndarray:
    """float64: ordinary numbers, or few small integers, so that there are ties and kinks are met; or numbers away from zero."""
    kind = draw(KINDS) if numbers == "any" else numbers
    x = DRAWS[kind](np.random.default_rng(draw(SEEDS)), shape)
    return draw(layouts(np.asarray(x, dtype=np.float64)))


def index_of(rows: int, shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    """Integers in [0, rows), of any width and memory layout."""
    return layouts(indices(rows, shape).map(numpy_of))


MASKED = st.sampled_from([0.0, 0.5, 0.5, 1.0])


@st.composite
def masks(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(draw(SEEDS))
    return draw(layouts(np.asarray(rng.random(shape) < draw(MASKED))))


@st.composite
def one(draw: st.DrawFn, numbers: str = "any", min_dims: int = 0, max_dims: int = 4, full: bool = False) -> Names:
    """x; and dim, dim2, several (dims), flag. full: without axes of size zero."""
    x = draw(floats(draw(shapes(min_dims, max_dims, min_side=int(full))), numbers))
    dim, dim2, several = draw(dims(x.ndim)), draw(dims(x.ndim)), draw(dims(x.ndim, several=True))
    return {"x": x, "dim": dim, "dim2": dim2, "several": several, "flag": draw(FLAG)}


def several_numbers() -> st.SearchStrategy[Names]:
    """one(), with several numbers along every axis, not all equal: elsewhere higher derivatives are 0 / 0, a matter of taste."""

    def vary(names: Names) -> bool:
        x = names["x"]
        return min(x.shape) > 1 and all((x.std(axis) > 0).all() for axis in range(x.ndim))

    return one(min_dims=1).filter(vary)


@st.composite
def two(draw: st.DrawFn, x_numbers: str = "any", y_numbers: str = "any") -> Names:
    """x and y that broadcast, a mask m that broadcasts with them, a number c."""
    shape = draw(shapes())
    x, y = (draw(floats(draw(narrower(shape)), numbers)) for numbers in (x_numbers, y_numbers))
    c = draw(st.sampled_from([2, -3, 1.5, -0.5, 1]))
    return {"x": x, "y": y, "m": draw(masks(draw(narrower(shape)))), "c": c}


@st.composite
def three(draw: st.DrawFn) -> Names:
    """x, and y and z that broadcast to it; a mask m that does."""
    shape = draw(shapes())
    y, z = (draw(floats(draw(narrower(shape)))) for _ in range(2))
    return {"x": draw(floats(shape)), "y": y, "z": z, "m": draw(masks(draw(narrower(shape))))}


def floats_of(**sizes: tuple[int, ...]) -> st.SearchStrategy[Names]:
    return st.fixed_dictionaries({name: floats(shape) for name, shape in sizes.items()})


# --- for single rows


@st.composite
def powers(draw: st.DrawFn) -> Names:
    """Any base with a whole exponent."""
    return {"x": draw(floats(draw(shapes()))), "c": draw(st.sampled_from([0, 1, 2, 3, 2.0, 1.0, 0.0]))}


@st.composite
def clamps(draw: st.DrawFn) -> Names:
    low, high = draw(st.sampled_from([(-1, 1), (None, 1), (-1, None), (-0.5, 0.7), (2, -2), (0, 0)]))
    return {"x": draw(floats(draw(shapes()))), "low": low, "high": high}


@st.composite
def reshapes(draw: st.DrawFn) -> Names:
    x = draw(floats(draw(shapes())))
    count = x.size
    options = [(count,), (1, count, 1), x.shape, x.shape[::-1], (*x.shape, 1)] + ([(-1,), (1, -1)] if count else [])
    options += [(count // 2, 2), (-1, 2)] if count and count % 2 == 0 else []
    options += [()] if count == 1 else []
    return {"x": x, "to": draw(st.sampled_from(options))}


@st.composite
def in_order(draw: st.DrawFn) -> Names:
    """x in C order, which .view needs."""
    names = draw(reshapes())
    return {**names, "x": np.ascontiguousarray(names["x"]).reshape(names["x"].shape)}


@st.composite
def flattens(draw: st.DrawFn) -> Names:
    x = draw(floats(draw(shapes())))
    a, b = sorted(draw(dims(x.ndim)) % max(x.ndim, 1) for _ in range(2))
    return {"x": x, "a": a, "b": b - draw(st.sampled_from([0, max(x.ndim, 1)]))}


@st.composite
def permutes(draw: st.DrawFn) -> Names:
    x = draw(floats(draw(shapes())))
    order = draw(st.permutations(range(x.ndim)))
    return {"x": x, "order": tuple(d - draw(st.sampled_from([0, x.ndim])) for d in order)}


@st.composite
def expands(draw: st.DrawFn) -> Names:
    to = draw(shapes())
    x = draw(floats(draw(narrower(to))))
    lead = len(to) - x.ndim
    kept = tuple(-1 if i >= lead and x.shape[i - lead] == n and draw(FLAG) else n for i, n in enumerate(to))
    times = tuple(draw(st.lists(st.integers(0, 3), min_size=x.ndim, max_size=x.ndim + 2)))
    return {"x": x, "to": to, "kept": kept, "times": times, "like": np.zeros(to)}


@st.composite
def parts(draw: st.DrawFn) -> Names:
    """x with a dimension, how to split it, a range inside it, and an index into it."""
    x = draw(floats(draw(shapes(min_dims=1))))
    dim = draw(dims(x.ndim))
    n = x.shape[dim]
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=3)))
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
    start = draw(st.integers(0, n))
    return {
        "x": x,
        "dim": dim,
        "size": draw(st.integers(1, n + 1)),
        "sizes": sizes,
        "start": start - (n if start < n and draw(FLAG) else 0),
        "length": draw(st.integers(0, n - start)),
    }


@st.composite
def joined(draw: st.DrawFn) -> Names:
    """x, y, z that differ along dim only, and u of x's shape."""
    shape = draw(shapes(min_dims=1))
    dim = draw(dims(len(shape)))
    sizes = [shape] + [
        tuple(draw(SIDES) if i == dim % len(shape) else n for i, n in enumerate(shape)) for _ in range(2)
    ]
    x, y, z = (draw(floats(s)) for s in sizes)
    return {
        "x": x,
        "y": y,
        "z": z,
        "u": draw(floats(shape)),
        "dim": dim,
        "new": draw(dims(len(shape) + 1)),
        "e": np.zeros(0),
    }


@st.composite
def matrices(draw: st.DrawFn, same_batch: bool = False) -> Names:
    batch = (draw(SIDES),) if same_batch else draw(shapes(max_dims=2))
    n, k, m = (draw(SIDES) for _ in range(3))
    lead = [batch, batch] if same_batch else [draw(narrower(batch)) for _ in range(2)]
    x, y = draw(floats((*lead[0], n, k))), draw(floats((*lead[1], k, m)))
    return {"x": x, "y": y, "v": draw(floats((k,))), "w": draw(floats((m, k))), "b": draw(floats((m,)))}


@st.composite
def gathers(draw: st.DrawFn) -> Names:
    """x and a dim; index i of x's dimensions, within x's sizes elsewhere; rows r of a few indices; src for scatter_add."""
    x = draw(floats(draw(shapes(min_dims=1, min_side=1))))
    dim = draw(dims(x.ndim))
    along = dim % x.ndim
    sizes = tuple(draw(UP_TO_5) if d == along else draw(st.integers(1, n)) for d, n in enumerate(x.shape))
    index = draw(index_of(x.shape[dim], sizes))
    src = draw(floats(sizes))
    apart = np.random.default_rng(draw(SEEDS)).random(x.shape).argsort(along)
    whole = draw(index_of(x.shape[dim], tuple(draw(UP_TO_5) if d == along else n for d, n in enumerate(x.shape))))
    return {
        "x": x, "dim": dim, "i": index, "src": src, "whole": whole, "apart": apart[tuple(slice(draw(st.integers(1, n))) for n in x.shape)],
        "r": draw(index_of(x.shape[dim], (draw(UP_TO_5),))),
    }  # fmt: skip


@st.composite
def triangles(draw: st.DrawFn) -> Names:
    return {"x": draw(floats(draw(shapes(min_dims=2)))), "k": draw(st.integers(-4, 4))}


@st.composite
def tables(draw: st.DrawFn, empty: bool = False) -> Names:
    rows = draw(st.integers(1, 5))
    return {
        "w": draw(floats((rows, draw(st.integers(1, 3))))),
        "ids": draw(index_of(rows, draw(shapes(max_dims=3, min_side=int(not empty))))),
        "padding": draw(st.none() | st.integers(-rows, rows - 1)),
        "flag": draw(FLAG),
    }


@st.composite
def bags(draw: st.DrawFn) -> Names:
    """A table w; ids in bags of one size, even, or one after the other, flat, from starts; a factor for each; padding."""
    rows, size = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    even, flat = (
        draw(index_of(rows, (draw(UP_TO_5), size))).astype(np.int64),
        draw(index_of(rows, (draw(UP_TO_5),))).astype(np.int64),
    )
    starts = np.array([0, *sorted(draw(st.lists(st.integers(0, len(flat)), max_size=3)))])
    return {
        "w": draw(floats((rows, size))), "even": even, "flat": flat, "starts": starts, "ends": np.append(starts, len(flat)),
        "factors": draw(floats(even.shape)),
        "mode": draw(st.sampled_from(["sum", "mean", "max"])), "padding": draw(st.none() | st.integers(-rows, rows - 1)),
    }  # fmt: skip


@st.composite
def losses(draw: st.DrawFn) -> Names:
    """Logits (C,), (N, C) or (N, C, ...), class ids with some ignored, probabilities, class weights."""
    classes = draw(st.integers(1, 5))
    extra = draw(shapes(max_dims=2, min_side=1, max_side=3))
    batch = draw(st.sampled_from([(), (1,), (3,), (4,), (0,)]))
    extra = extra if batch else ()
    ids = draw(index_of(classes, (*batch, *extra))).astype(np.int64)
    ignored = draw(st.sampled_from([-100, -100, -1, 0]))
    if ignored < 0:
        ids = np.where(draw(masks(ids.shape)), ignored, ids) if draw(FLAG) else ids
    shape = (*batch, classes, *extra)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return {
        "x": draw(floats(shape)),
        "ids": ids,
        "p": rng.uniform(0.1, 1.0, shape),
        "weight": draw(st.none() | st.just(rng.uniform(0.1, 2.0, classes))),
        "ignored": ignored,
        "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
        "eps": draw(st.sampled_from([0.0, 0.0, 0.1, 1.0])),
    }


@st.composite
def ranked(draw: st.DrawFn) -> Names:
    """x of different numbers, so that their order is defined, and a number k of them along dim."""
    shape = draw(shapes(min_side=1))
    x = np.random.default_rng(draw(SEEDS)).permutation(math.prod(shape)).reshape(shape) / 4 - 3
    dim = draw(dims(x.ndim))
    k = draw(st.integers(0, x.shape[dim])) if x.ndim else 1
    return {"x": draw(layouts(x)), "dim": dim, "k": k, "flag": draw(FLAG)}


@st.composite
def rolls(draw: st.DrawFn) -> Names:
    """x, a shift and a dim, and several of both."""
    x = draw(floats(draw(shapes(min_dims=1))))
    along = draw(st.lists(dims(x.ndim), min_size=1, max_size=3))
    by = draw(st.lists(st.integers(-5, 5), min_size=len(along), max_size=len(along)))
    order = draw(st.permutations(range(x.ndim)))
    n = draw(st.integers(0, x.ndim))
    places = draw(st.permutations(range(x.ndim)))[:n]
    many = np.random.default_rng(draw(SEEDS)).integers(0, 4, x.shape[along[0]])
    return {
        "x": x, "by": by, "along": along, "dim": along[0], "c": by[0], "source": order[:n], "places": places,
        "n": draw(st.integers(0, 3)), "many": many,
    }  # fmt: skip


@st.composite
def probabilities(draw: st.DrawFn) -> Names:
    """x and t of one shape, p and q strictly between 0 and 1, w that broadcasts; a reduction."""
    shape = draw(shapes())
    rng = np.random.default_rng(draw(SEEDS))
    p, q = (np.asarray(rng.uniform(0.05, 0.95, shape)) for _ in range(2))
    return {
        "x": draw(floats(shape)), "t0": draw(floats(shape)), "p": p, "q": q, "w": draw(floats(draw(narrower(shape)), "positive")),
        "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
    }  # fmt: skip


@st.composite
def sides(draw: st.DrawFn) -> Names:
    """x, y and z (N, C), a t of 1 and -1 for each row or number, class ids, weights of classes, a reduction."""
    n, c = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(SEEDS))
    return {
        **{name: draw(floats((n, c))) for name in "xyz"}, "sign": rng.choice([-1, 1], n), "signs": rng.choice([-1, 1], (n, c)),
        "ids": rng.integers(0, c, n), "w": rng.uniform(0.3, 2, c), "v": rng.uniform(0.3, 2, (n, c)),
        "counts": rng.integers(0, 5, (n, c)), "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
    }  # fmt: skip


@st.composite
def windows(draw: st.DrawFn) -> Names:
    x = draw(floats(draw(shapes())))
    dim = draw(dims(x.ndim))
    return {
        "x": x,
        "dim": dim,
        "size": draw(st.integers(0, x.shape[dim] if x.ndim else 1)),
        "step": draw(st.integers(1, 3)),
    }


@st.composite
def images(draw: st.DrawFn) -> Names:
    """x (N, C, H, W) and w (O, C / groups, K, K), line and v of one axis less, and how windows slide."""
    groups, each, out, n = (draw(st.integers(1, 2)) for _ in range(4))
    k, stride, dilation = (tuple(draw(st.integers(1, 3)) for _ in range(2)) for _ in range(3))
    padding = tuple(draw(st.integers(0, size // 2)) for size in k)
    high, wide = (d * (size - 1) + draw(st.integers(1, 4)) for d, size in zip(dilation, k, strict=True))
    shapes = {"x": (n, groups * each, high, wide), "w": (groups * out, each, *k), "line": (n, groups * each, wide)}
    shapes.update(v=(groups * out, each, k[1]), b=(groups * out,))
    how = {"k": k, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return {**{name: draw(floats(shape)) for name, shape in shapes.items()}, **how}


@st.composite
def diagonals(draw: st.DrawFn) -> Names:
    """x with two of its dimensions, and m, a matrix; a vector v; which diagonal."""
    x = draw(floats(draw(shapes(min_dims=2))))
    a, b = draw(st.permutations(range(x.ndim)))[:2]
    m, v = draw(floats((draw(SIDES), draw(SIDES)))), draw(floats((draw(SIDES),)))
    return {
        "x": x,
        "m": m,
        "v": v,
        "a": a - draw(st.sampled_from([0, x.ndim])),
        "b": b,
        "k": draw(st.integers(-3, 3)) % 4 - 1,
    }


@st.composite
def sums_of_products(draw: st.DrawFn) -> Names:
    """An equation for einsum and operands that fit it, of any letters, repeated or not, with or without dots and an arrow."""
    sizes = {c: draw(SIDES) for c in "aBcd"}
    lead = draw(shapes(max_dims=2, max_side=3))
    terms, arrays = [], []
    for _ in range(draw(st.integers(1, 3))):
        letters = draw(st.lists(st.sampled_from("aBcd"), max_size=4))
        ones = draw(st.sampled_from(["", "", "", "a", "Bc"]))  # broadcast here
        shape = tuple(1 if c in ones else sizes[c] for c in letters)
        if draw(FLAG):
            at = draw(st.integers(0, len(letters)))
            letters[at:at], shape = ["..."], shape[:at] + draw(narrower(lead)) + shape[at:]
        terms.append("".join(letters))
        arrays.append(draw(floats(shape)))
    equation = ",".join(terms)
    if draw(FLAG):
        right = draw(st.permutations(sorted(set(equation) - set(".,"))))[: draw(UP_TO_5)]
        dots = ["..."] if "..." in equation and draw(FLAG) else []
        equation += "->" + "".join(draw(st.permutations([*right, *dots])))
    return {"equation": equation, **dict(zip("xyz", arrays, strict=False)), "n": len(arrays)}


@st.composite
def normalised(draw: st.DrawFn) -> Names:
    """x, its last sizes, and weight and bias of those."""
    shape = draw(shapes(min_dims=1))
    last = shape[draw(st.integers(0, len(shape) - 1)) :]
    eps = draw(st.sampled_from([1e-2, 0.5]))
    return {"x": draw(floats(shape)), "w": draw(floats(last)), "b": draw(floats(last)), "last": list(last), "eps": eps}


@st.composite
def channels(draw: st.DrawFn) -> Names:
    """x (N, C, ...) of several numbers per channel; weight, bias, mean and var of each channel; a number of groups."""
    groups, each = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    n, more = draw(st.integers(2, 4)), draw(shapes(max_dims=2, min_side=2, max_side=3))
    each += each == 1 and not more  # or a group would be a single number
    sizes = {"x": (n, groups * each, *more), **dict.fromkeys(("w", "b", "mean"), (groups * each,))}
    names = {name: draw(floats(shape)) for name, shape in sizes.items()}
    var, eps = draw(floats((groups * each,), "positive")), draw(st.sampled_from([1e-2, 0.5]))
    return {**names, "var": var, "groups": groups, "eps": eps}


@st.composite
def halves(draw: st.DrawFn) -> Names:
    shape = list(draw(shapes(min_dims=1)))
    dim = draw(dims(len(shape)))
    shape[dim] *= 2
    return {"x": draw(floats(tuple(shape))), "dim": dim}


@st.composite
def attentions(draw: st.DrawFn) -> Names:
    """q, and k and v whose leading axes broadcast with q's; bools m and floats b over (..., L, S), some rows all hidden."""
    lead = draw(shapes(max_dims=2, min_side=1, max_side=3))
    n, s, e, f = (draw(st.integers(1, 4)) for _ in range(4))
    q = draw(floats((*lead, n, e)))
    k, v = (draw(floats((*draw(narrower(lead)), *size))) for size in ((s, e), (s, f)))
    m, b = draw(masks(draw(narrower((*lead, n, s))))), draw(floats(draw(narrower((*lead, n, s)))))
    return {"q": q, "k": k, "v": v, "m": m, "b": b, "scale": draw(st.sampled_from([None, 0.3, -1.0, 2.0]))}


@st.composite
def heads(draw: st.DrawFn) -> Names:
    """4-d q of several times as many heads as k and v have."""
    b, h, times, n, e = (draw(st.integers(1, 3)) for _ in range(5))
    q, k, v = (draw(floats((b, heads, n, e))) for heads in (h * times, h, h))
    return {"q": q, "k": k, "v": v}


@st.composite
def paddings(draw: st.DrawFn) -> Names:
    """x (N, C, L) of sizes of 2 and more, what fits to be added, and what may also be cut off."""
    x = draw(floats(draw(shapes(min_dims=3, max_dims=3, min_side=2))))
    ends = draw(st.lists(st.integers(-1, 3), min_size=2, max_size=6).filter(lambda ends: len(ends) % 2 == 0))
    few = [draw(st.integers(-1 if i else 0, x.shape[-1] - 1)) for i in range(2)]
    return {"x": x, "ends": ends, "few": few}


# --- indexing


@st.composite
def keys(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Anything that torch allows in x[...]: one entry after the other, until the axes are used up or we stop."""
    key: list[Any] = []
    axis, dots = 0, False
    common = draw(shapes(max_dims=3, max_side=3))  # what the index arrays broadcast to
    kinds = draw(
        st.sampled_from([["int", "slice", "None"], ["int", "slice", "None", "array", "array", "mask", "list"]])
    )
    while axis < len(shape) and draw(UP_TO_5):
        n = shape[axis]
        left = len(shape) - axis
        kind = draw(st.sampled_from([*kinds, *(["..."] if not dots else [])]))
        if kind == "None":
            key.append(None)
            continue
        if kind == "...":
            skipped = draw(st.integers(0, left))
            dots = True
            key.append(Ellipsis)
            axis += skipped
            if skipped < left and draw(FLAG):
                continue
            break
        axis += 1
        if kind == "int" and n:
            i = draw(st.integers(-n, n - 1))
            key.append(draw(st.sampled_from([i, np.asarray(i)])))
        elif kind in ("array", "list") and n:
            array = draw(index_of(n, draw(narrower(common))))
            array = array.astype(np.int64) - n if draw(FLAG) else array  # from the end
            key.append(array.tolist() if kind == "list" and array.ndim == 1 and array.size else array)
        elif kind == "mask":
            width = draw(st.integers(1, min(2, left)))
            mask = np.array(draw(masks(shape[axis - 1 : axis - 1 + width])))
            key.append(mask)
            axis += width - 1
            common = () if mask.sum() == 1 else (int(mask.sum()),)
            kinds = [kind for kind in kinds if kind != "mask"]
        else:
            ends = st.none() | st.integers(-n - 1, n + 1)
            key.append(slice(draw(ends), draw(ends), draw(st.sampled_from([None, 1, 2, 3]))))
    if dots:  # or the dots would stand for axes after those that the entries were drawn for
        key += [slice(None)] * (len(shape) - axis)
    return tuple(key)


def torch_key(key: Any) -> Any:
    """The same key for torch, which takes index tensors of two widths only."""
    if isinstance(key, tuple):
        return tuple(map(torch_key, key))
    if isinstance(key, np.ndarray):
        return torch.from_numpy(np.array(key if key.dtype == bool else key.astype(np.int64), order="C"))
    return key


def fits(shape: tuple[int, ...], key: Any) -> bool:
    """False where a mask selects a number of elements that does not broadcast with the other index arrays."""
    try:
        torch.zeros(shape)[torch_key(key)]
    except IndexError as error:
        return "broadcast" not in str(error)
    return True


@st.composite
def reads(draw: st.DrawFn) -> Names:
    x = draw(floats(draw(shapes())))
    key = draw(keys(x.shape).filter(lambda key: fits(x.shape, key)))
    return {"x": x, "key": key[0] if len(key) == 1 and draw(FLAG) else key}


@st.composite
def writes(draw: st.DrawFn) -> Names:
    """A read, and a value for what is read: of its shape or narrower, one number where elements are named twice."""
    names = draw(reads())
    places = torch.arange(names["x"].size).reshape(names["x"].shape)[torch_key(names["key"])]
    once = len(places.unique()) == places.numel()
    v = draw(floats(draw(narrower(tuple(places.shape))) if once else ()))
    return {**names, "v": v, "c": draw(st.sampled_from([0, 2.5, -1, True]))}


# ---------------------------------------------------------------------------------------------------------- the table


def rows(strategy: st.SearchStrategy[Names], *codes: str) -> list[Row]:
    return [(code, strategy) for code in codes]


SMOOTH = listed("""
t.exp(x) ; t.tanh(x) ; t.sin(x) ; t.cos(x) ; t.sigmoid(x) ; F.tanh(x) ; F.sigmoid(x) ; t.square(x) ; t.erf(x)
t.neg(x) ; -x ; t.positive(x) ; t.reciprocal(x) ; F.gelu(x) ; F.gelu(x, approximate='tanh') ; F.silu(x)
F.softplus(x) ; F.softplus(x, 2, 0.5) ; F.logsigmoid(x) ; F.mish(x) ; F.tanhshrink(x)
+x
""")
KINKED = listed("""
t.abs(x) ; abs(x) ; t.relu(x) ; F.relu(x) ; t.sign(x) ; t.floor(x) ; t.ceil(x) ; t.trunc(x) ; t.round(x)
F.leaky_relu(x) ; F.leaky_relu(x, -0.5) ; F.elu(x) ; F.elu(x, 0.3) ; F.selu(x) ; F.celu(x) ; F.celu(x, 2)
F.hardtanh(x) ; F.hardtanh(x, -0.3, 2) ; F.relu6(x * 3) ; F.hardswish(x * 2) ; F.softsign(x)
F.softshrink(x) ; F.softshrink(x, 1) ; F.hardshrink(x) ; F.hardshrink(x, 1) ; F.threshold(x, 1, -0.5)
""")
ARITHMETIC = listed("""
x + y ; x - y ; x * y ; t.add(x, y) ; x.add(y, alpha=2) ; t.sub(x, y) ; t.sub(x, y, alpha=0.5) ; t.mul(x, y)
""")
WITH_NUMBER = listed("x + c ; c + x ; x - c ; c - x ; x * c ; c * x ; x / c ; x % c ; t.remainder(x, c)")
COMPARISONS = listed("""
x == y ; x != y ; x < y ; x <= y ; x > y ; x >= y ; x < c ; c >= x ; x == c ; t.eq(x, y) ; t.ne(x, y) ; t.lt(x, y)
t.le(x, y) ; t.gt(x, y) ; t.ge(x, y) ; t.logical_and(x, y) ; t.logical_or(x, y) ; t.logical_xor(x, y)
""")

DIFFERENTIABLE: list[Row] = [
    # elementwise
    *rows(one(), *SMOOTH, *KINKED, "x.negative()", "t.clone(x)", "x.contiguous()", "x * x", "x + x", "x.detach() * x"),
    *rows(one("positive"), "t.log(x)", "t.sqrt(x)", "t.rsqrt(x)", "1 / x", "x ** -1.5", "2 ** x", "x ** x", "x ** -1"),
    *rows(two(), *ARITHMETIC, *WITH_NUMBER, "t.maximum(x, y)", "t.minimum(x, y)", "t.max(x, y)", "t.min(x, y)"),
    *rows(two(), "t.where(m, x, y)", "t.where(m, x, c)", "t.where(m, c, y)", "x.where(m, y)", "x.multiply(y)", "x.subtract(y)"),
    *rows(two(y_numbers="nonzero"), "x / y", "t.div(x, y)", "x.divide(y)", "x.true_divide(y)", "c / y"),
    *rows(two(y_numbers="nonzero"), "t.div(x, y, rounding_mode='floor')", "t.div(x, y, rounding_mode='trunc')"),
    *rows(two(y_numbers="nonzero"), "x % y", "t.remainder(x, y)"),
    *rows(two("positive"), "x ** y", "t.pow(x, y)"),
    *rows(powers(), "x ** c", "t.pow(x, c)", "t.pow(x, t.ones_like(x) * c)"),
    *rows(clamps(), "t.clamp(x, low, high)", "x.clip(min=low, max=high)"),
    *rows(three(), "t.clamp(x, y, t.maximum(z, y + 1))", "t.clamp(x, min=y)", "x.clamp(max=z)"),
    *rows(three(), "x.masked_fill(m, -2)", "t.masked_fill(x, m, float('-inf'))", "t.masked_fill(x, m, y.flatten().mean())"),
    # one type to another
    *rows(one(), "x.double()", "x.to(t.float64)", "x.to(dtype=t.float64)", "x.type(t.float64)", "x.cpu()", "x.type_as(x.double())"),
    *rows(one(), "x.long()", "x.int()", "x.bool()", "x.half().float()", "x.float()", "x.to(t.int16)"),
    # reductions
    *rows(one(), "t.sum(x)", "t.mean(x)", "t.sum(x, dim, flag)", "x.sum(several, keepdim=flag)", "x.mean(several, flag)"),
    *rows(one(), "x.sum(dtype=t.float64)", "x.mean(dim, dtype=t.float64)", "t.mean(x, dim=dim, keepdim=flag)"),
    *rows(one("nonzero"), "x.norm()", "t.norm(x, 1, dim)", "x.norm(2, dim, keepdim=flag)"),
    *rows(one("nonzero"), "x.norm(p='fro', dim=dim)", "t.linalg.norm(x)"),
    *rows(one("nonzero", full=True), "t.norm(x, 3, dim, flag)", "x.norm(0.5)", "t.linalg.vector_norm(x, 3, dim)"),
    *rows(one("nonzero", full=True), "x.norm(1.5, several or None)"),
    *rows(one("nonzero"), "t.linalg.norm(x, dim=dim, keepdim=flag)", "t.linalg.norm(x, 1, dim)"),
    *rows(one(full=True), "x.norm(float('inf'), dim)", "t.norm(x, -float('inf'), dim)"),
    *rows(several_numbers(), "t.var_mean(x)", "t.std_mean(x, dim, keepdim=flag)", "t.var_mean(x, dim, correction=0)"),
    *rows(one(), "t.nansum(x.where(x > 0, float('nan')), dim, flag)", "t.nansum(x)", "x.nanmean()"),
    *rows(one("positive"), "t.nanmean(x.where(x > 1, float('nan')), dim, keepdim=flag)"),
    *rows(several_numbers(), "t.var(x)", "t.std(x)", "x.var(several or None, keepdim=flag)", "x.std(several or None, keepdim=flag)"),
    *rows(several_numbers(), "x.var(dim, unbiased=flag)", "x.std(dim, unbiased=flag)", "x.var(flag)", "x.var(dim, correction=0)"),
    *rows(one(full=True), "t.max(x)", "t.min(x)", "t.max(x, dim, flag)", "t.min(x, dim, keepdim=flag)"),
    *rows(one(full=True), "x.max(dim).values", "x.min(dim)[0]", "t.amax(x, several, flag)", "t.amin(x, several, keepdim=flag)"),
    *rows(one(full=True), "t.amax(x, dim)", "t.amin(x, dim)"),
    *rows(one(), "t.softmax(x, dim)", "t.log_softmax(x, dim)", "F.softmax(x, dim=dim)", "F.log_softmax(x, dim=dim)"),
    *rows(one(), "x.softmax(dim, dtype=t.float64)", "F.log_softmax(x, dim, dtype=t.float64)", "F.softmin(x, dim)"),
    # shape
    *rows(reshapes(), "t.reshape(x, to)", "x.reshape(*to) if to else x.reshape(())"),
    *rows(in_order(), "x.view(to)", "x.view(*to) if to else x.view(())", "x.view_as(x.reshape(to))"),
    *rows(flattens(), "t.flatten(x, a, b)", "x.flatten(a)", "x.flatten()"),
    *rows(one(), "t.squeeze(x)", "t.squeeze(x, dim)", "x.squeeze(several if isinstance(several, tuple) else dim)"),
    *rows(one(), "t.unsqueeze(x, dim)", "x.unsqueeze(-1)", "t.transpose(x, dim, dim2)", "x.swapaxes(dim, dim2)"),
    *rows(one(max_dims=2), "t.t(x)", "x.t()", "x.T"),
    *rows(one(min_dims=2), "x.mT"),
    *rows(permutes(), "t.permute(x, order)", "x.permute(*order) if order else x.permute(())"),
    *rows(expands(), "x.expand(kept)", "x.expand(*to) if to else x.expand(())", "x.expand_as(like)"),
    *rows(expands(), "t.broadcast_to(x, to)", "x.broadcast_to(to)"),
    *rows(expands(), "x.repeat(*times) if times else x.repeat(())", "x.repeat(times)"),
    *rows(parts(), "t.narrow(x, dim, start, length)", "t.split(x, size, dim)", "t.split(x, sizes, dim)"),
    *rows(parts(), "t.chunk(x, size, dim)", "t.unbind(x, dim)", "t.split(x, sizes, dim)[0]", "list(x)", "[*x.unbind(dim)][:1]"),
    *rows(joined(), "t.cat([x, y, z], dim)", "t.cat((x, x), dim)", "t.cat([x], dim)", "t.cat([e, x, y], dim)"),
    *rows(joined(), "t.stack([x, u], new)", "t.stack((x, u, x), dim=new)"),
    # indexing
    *rows(reads(), "x[key]", "(x * 2)[key]"),
    *rows(gathers(), "t.gather(x, dim, i)", "t.scatter_add(x, dim, i, src)", "t.index_select(x, dim, r)"),
    *rows(gathers(), "t.take_along_dim(x, whole, dim)", "x.gather(dim, whole)"),
    *rows(triangles(), "t.tril(x, k)", "t.triu(x, k)", "x.tril()", "x.triu(diagonal=k)"),
    # linear algebra
    *rows(matrices(), "t.matmul(x, y)", "x @ y", "x @ v", "v @ y", "v @ v"),
    *rows(matrices(), "F.linear(x, w, b)", "F.linear(x, w)", "F.linear(v, w, b)"),
    *rows(matrices(), "t.mm(w, w.T)", "t.dot(v, v)", "t.outer(v, b)", "w @ v", "v @ w.mT", "t.outer(b, b)"),
    *rows(matrices(same_batch=True), "t.bmm(x, y)", "x @ y", "x @ x.transpose(-2, -1)"),
    *rows(matrices(), "t.mv(w, v)", "t.vdot(v, v)", "t.inner(x, w)", "t.inner(w, w)", "t.inner(v, v)", "t.inner(v[:0].sum(), x)"),
    *rows(matrices(), "t.addmm(b, w, w.T[:, :len(b)])", "t.addmm(w @ w.T, w, w.T, beta=0.5, alpha=2)", "t.addmm(b, w, w.T, beta=0)"),
    *rows(matrices(same_batch=True), "t.baddbmm(b, x, y)", "t.baddbmm(x @ y, x, y, beta=-1, alpha=0.5)"),
    *rows(sums_of_products(), "t.einsum(equation, [x, y, z] if n > 2 else [x, y] if n > 1 else [x])"),
    *rows(matrices(same_batch=True), "t.einsum('bij,bjk->bik', x, y)", "t.einsum(x, [0, 1, 2], y, [0, 2, 3], [3, ..., 1])"),
    # functions
    *rows(one(), "t.expm1(x)", "t.exp2(x)", "t.erf(x)", "t.atan(x)", "t.sinh(x)", "t.cosh(x)", "t.tan(x / 3)", "t.nan_to_num(x)"),
    *rows(one(), "t.asin(x / 9)", "t.acos(x / 9)", "x.clamp_min(0)", "t.clamp_max(x, 0.5)"),
    *rows(one("positive"), "t.log1p(x)", "t.log2(x)", "t.log10(x)"),
    *rows(two(), "t.logaddexp(x, y)", "t.lerp(x, y, 0.3)", "t.lerp(x, y, c)", "x.fmod(c)", "t.clamp_min(x, y)", "x.clamp_max(y)"),
    *rows(two(y_numbers="nonzero"), "t.atan2(x, y)", "t.fmod(x, y)"),
    *rows(three(), "t.lerp(x, y, z)", "t.addcmul(x, y, z)", "t.addcmul(x, y, z, value=0.5)", "t.addcdiv(x, y, 1 + z * z)"),
    *rows(three(), "t.addcdiv(x, y, 1 + z * z, value=-2)", "t.masked_select(x, m)", "t.masked_scatter(x, m, x * 2 + y)"),
    *rows(one(), "t.frac(x)", "t.deg2rad(x)", "t.rad2deg(x)"),
    *rows(one("nonzero"), "t.sinc(x)", "x.sinc()"),
    *rows(two("nonzero"), "t.hypot(x, y)"),
    *rows(two(), "t.fmax(x, y)", "t.fmin(x, y)", "x.fmax(x.detach())"),
    # running totals, products
    *rows(one(), "t.cumsum(x, dim)", "x.cumprod(dim)", "t.cumprod(x, dim)", "t.prod(x)", "t.prod(x, dim, flag)", "x.prod(dim)"),
    *rows(one(), "x.cumsum(dim, dtype=t.float64)", "t.logsumexp(x, dim, flag)"),
    *rows(one(full=True), "t.logsumexp(x, several or dim, keepdim=flag)"),
    # by size
    *rows(ranked(), "t.sort(x, dim)", "t.sort(x, dim, descending=flag)", "x.sort(dim, flag).values", "t.topk(x, k, dim)"),
    *rows(ranked(), "x.topk(k, dim, largest=flag)", "t.median(x)", "t.median(x, dim, flag)", "x.median(dim)[0]"),
    *rows(one(), "t.sort(x, dim=dim, descending=flag, stable=True)" , "t.sort(x, dim, flag)"),
    *rows(one(full=True), "t.median(x)"),
    *rows(ranked(), "t.quantile(x, 0.3)", "t.quantile(x, 0.6, dim, flag)", "x.quantile(t.tensor([0.5, 0, 0.9], dtype=x.dtype), dim)"),
    *rows(ranked(), *(f"t.quantile(x, 0.37, dim, interpolation='{i}')" for i in ["lower", "higher", "midpoint", "nearest"])),
    *rows(ranked(), "t.kthvalue(x, max(k, 1), dim, keepdim=flag)", "x.kthvalue(1)", "t.mode(x, dim, keepdim=flag)", "x.mode()"),
    *rows(one(full=True), "t.mode(x, dim).values"),
    # arranged otherwise
    *rows(one(min_dims=2), "t.fliplr(x)", "x.flipud()"),
    *rows(one(), "t.flip(x, several if isinstance(several, tuple) else (dim,))", "x.flip(dim)"),
    *rows(rolls(), "t.roll(x, c)", "t.roll(x, c, dim)", "x.roll(by, along)", "t.movedim(x, source, places)", "x.moveaxis(dim, 0)"),
    *rows(rolls(), "t.repeat_interleave(x, n, dim)", "x.repeat_interleave(many, dim)", "x.repeat_interleave(n)", "t.tile(x, (n, 2))"),
    *rows(rolls(), "x.tile(2)", "x.swapdims(dim, 0)", "t.swapaxes(x, 0, dim)", "x.unflatten(dim, (-1, x.shape[dim] or 1))"),
    *rows(rolls(), "t.ravel(x)", "t.select(x, dim, 0) if x.shape[dim] else x", "x.select(dim, -1) if x.shape[dim] else x"),
    *rows(rolls(), "t.absolute(x)", "t.clip(x, -1, 1)", "t.moveaxis(x, dim, 0)"),
    *rows(windows(), "x.unfold(dim, size, step)"),
    *rows(joined(), "t.diff(x, dim=dim)", "x.diff(2, dim)", "t.diff(x, dim=dim, prepend=y)", "t.diff(x, 1, dim, append=z)"),
    *rows(joined(), "t.column_stack([u, u])", "t.column_stack([u.flatten(), x.flatten()])", "t.dstack([u, x])", "t.dstack((u, x, u))"),
    *rows(diagonals(), "t.block_diag(v.sum(), m)", "t.combinations(v, 2)", "t.combinations(v, 3, True)"),
    *rows(diagonals(), "t.cartesian_prod(v, v, m.flatten())", "t.cartesian_prod(v)", "t.kron(m, v)", "t.kron(x, m)", "v.kron(v)"),
    *rows(matrices(same_batch=True), "t.tensordot(x, y, ([2], [1]))", "t.tensordot(x, x, dims=([0, 1], [0, 1]))", "t.tensordot(w, w.T, 1)"),
    *rows(matrices(same_batch=True), "t.tensordot(x, y, 0)", "t.tensordot(w, w)"),
    *rows(floats_of(x=(2, 3), y=(2, 3)), "t.cross(x, y, dim=1)", "x.T.cross(y.T, 0)", "t.cross(x, y[:1], 1)", "t.block_diag(x, y[0], x.T)"),
    *rows(matrices(same_batch=True), "t.cdist(x, x[:, :1] + 0.5)", "t.cdist(x, x.detach() * 2, p=1)", "t.cdist(w, w + 9)"),
    *rows(expands(), "x.expand(to).sum_to_size(x.shape)"),
    *rows(diagonals(), "t.diagonal(x, k, a, b)", "x.diagonal()", "t.diag_embed(x, k)", "t.diag_embed(x, k, 0, -2)", "t.diag(v, k)"),
    *rows(diagonals(), "t.diag(m, k)", "t.trace(m)", "x.unflatten(-1, (1, x.shape[-1]))"),
    *rows(diagonals(), "t.meshgrid(v, m[:1, :1].sum(), v, indexing='ij')"),
    *rows(diagonals(), "t.meshgrid(v, m.flatten(), indexing='xy')", "t.unflatten(x, a, (x.shape[a], 1))"),
    *rows(two(), "t.broadcast_tensors(x, y)"),
    *rows(joined(), "t.concat([x, y], dim)", "t.concatenate((x, y, z), dim)", "t.hstack([u.flatten(), x.flatten()])", "t.vstack([u, u])"),
    *rows(joined(), "t.hstack([u, u])", "t.vstack((x.flatten(), x.flatten()))", "u.reshape_as(u.T)"),
    *rows(gathers(), "t.scatter(x, dim, apart, (x * x).gather(dim, apart))", "t.scatter(x, dim, i, 2.5)", "x.scatter(dim, i, value=-1)"),
    *rows(gathers(), "t.index_add(x, dim, r, t.index_select(x * x, dim, r))", "x.index_add(dim, r, x.index_select(dim, r), alpha=2)"),
    *rows(gathers(), "t.index_fill(x, dim, r, 3)", "t.index_copy(x, dim, r.unique(), (x * x).index_select(dim, r.unique()))"),
    *rows(gathers(), "t.take(x, r)"),
    *rows(gathers(), *(f"t.scatter_reduce(x, dim, i, src, '{r}')" for r in ["sum", "mean", "amax", "amin"])),
    *rows(gathers(), *(f"x.scatter_reduce(dim, i, src + 0.123, '{r}', include_self=False)" for r in ["sum", "mean", "amax", "amin"])),
    *rows(gathers(), "x.index_put([r % x.shape[0]], src.flatten().sum(), accumulate=True)", "t.index_put(x, (r[:1] % x.shape[0],), x[:1])"),
    # losses and tables
    *rows(losses(), "F.cross_entropy(x, ids, fixed(weight), ignore_index=ignored, reduction=reduction, label_smoothing=eps)"),
    *rows(losses(), "F.cross_entropy(x, p, weight=weight, reduction=reduction, label_smoothing=eps)"),
    *rows(losses(), "F.cross_entropy(x, F.softmax(p, 0).detach(), reduction=reduction)", "F.cross_entropy(x, ids, ignore_index=ignored)"),
    *rows(losses(), "F.nll_loss(x, ids, weight=fixed(weight), ignore_index=ignored, reduction=reduction)"),
    *rows(losses(), "F.nll_loss(x, ids, ignore_index=ignored)"),
    *rows(losses(), "F.mse_loss(x, p, reduction=reduction)", "F.mse_loss(x, p)"),
    *rows(probabilities(), "F.l1_loss(x, t0, reduction=reduction)", "F.smooth_l1_loss(x, t0, reduction=reduction)"),
    *rows(probabilities(), "F.smooth_l1_loss(x, t0, beta=0.4)", "F.huber_loss(x, t0, reduction)", "F.huber_loss(x, t0, delta=0.5)"),
    *rows(probabilities(), "F.binary_cross_entropy(p, q, reduction=reduction)", "F.binary_cross_entropy(p, q, fixed(w))"),
    *rows(probabilities(), "F.binary_cross_entropy_with_logits(x, q, reduction=reduction)"),
    *rows(probabilities(), "F.binary_cross_entropy_with_logits(x, q, fixed(w), pos_weight=fixed(w))"),
    *rows(probabilities(), "F.kl_div(x, q, reduction=reduction)", "F.kl_div(x, t0, reduction='sum', log_target=True)"),
    *rows(probabilities(), "F.kl_div(x, q, reduction='batchmean') if x.numel() else x"),
    *rows(
        sides(),
        "F.pairwise_distance(x, y + 3.3)",
        "F.pairwise_distance(x, y + 3.3, 1, keepdim=True)",
        "F.pairwise_distance(x, y + 3.3, 3., 0.1)",
    ),
    *rows(
        sides(),
        "F.triplet_margin_loss(x, y + 3.3, z - 3.7, reduction=reduction)",
        "F.triplet_margin_loss(x, y + 3.3, z - 3.7, 0.3, 1, swap=True)",
    ),
    *rows(sides(), "F.margin_ranking_loss(x, y, signs, 0.2, reduction=reduction)", "F.margin_ranking_loss(x, y, signs)"),
    *rows(
        sides(),
        "F.cosine_embedding_loss(x + 9, y + 3.3, sign, -0.3, reduction=reduction)",
        "F.cosine_embedding_loss(x[0] + 9, y[0] + 3.3, sign[0])",
    ),
    *rows(sides(), "F.hinge_embedding_loss(x, signs, reduction=reduction)", "F.hinge_embedding_loss(x, signs, 0.2)"),
    *rows(sides(), "F.soft_margin_loss(x, signs, reduction=reduction)"),
    *rows(sides(), "F.multilabel_soft_margin_loss(x, (signs > 0).long(), fixed(w), reduction=reduction)"),
    *rows(sides(), "F.multilabel_soft_margin_loss(x[0], (signs[0] > 0).double())"),
    *rows(sides(), "F.multi_margin_loss(x, ids, reduction=reduction)", "F.multi_margin_loss(x, ids, 2, 0.4, fixed(w))"),
    *rows(sides(), "F.multi_margin_loss(x[0], ids[0], weight=fixed(w))"),
    *rows(sides(), "F.poisson_nll_loss(x, counts, reduction=reduction)", "F.poisson_nll_loss(v, counts, False, True, eps=1e-3)"),
    *rows(sides(), "F.gaussian_nll_loss(x, y, v, reduction=reduction)", "F.gaussian_nll_loss(x, y, v[:, 0], True, 0.5)"),
    *rows(sides(), "F.gaussian_nll_loss(x, y, 0.7)", "F.gaussian_nll_loss(x, y, v[:, :1])", "F.bilinear(x, z, z.T @ y * w[:, None, None])"),
    *rows(images(), "F.conv2d(x, w, b, stride, padding, dilation, groups)", "F.conv2d(x[0], w, None, 1, 'same', dilation, groups)"),
    *rows(images(), "F.conv1d(line, v, b, stride[1], padding[1], dilation[1], groups)"),
    *rows(images(), "F.conv1d(line[0], v, b, 1, 'same', dilation[1:], groups)"),
    *rows(images(), "F.max_pool2d(x, k, stride, padding, dilation)", "F.max_pool1d(line, k[1], stride[1], padding[1], dilation[1])"),
    *rows(images(), "F.avg_pool2d(x, k, stride, padding)", "F.avg_pool1d(line[0], k[1], stride[1], padding[1])"),
    *rows(images(), "F.unfold(x, k, dilation, padding, stride)", "F.adaptive_avg_pool2d(x, k)", "F.adaptive_avg_pool1d(line, k[1])"),
    *rows(images(), "F.fold(F.unfold(x, k, dilation, padding, stride) * 2, x.shape[2:], k, dilation, padding, stride)"),
    # layers
    *rows(normalised(), "F.layer_norm(x, last, w, b, eps)", "F.layer_norm(x, tuple(last), eps=eps)", "F.layer_norm(x, last, w, eps=eps)"),
    *rows(normalised(), "F.rms_norm(x, last, w, eps)", "F.rms_norm(x, last, eps=eps)"),
    *rows(channels(), "F.batch_norm(x, None, None, w, b, True, eps=eps)", "F.batch_norm(x, fixed(mean), fixed(var), w, eps=eps)"),
    *rows(channels(), "F.batch_norm(x, fixed(mean) * 1, fixed(var) * 1, w, b, True)", "F.group_norm(x, groups, w, b, eps)"),
    *rows(channels(), "F.group_norm(x, groups, eps=eps)"),
    *rows(channels(), "F.prelu(x + 0.1, w)", "F.prelu(x + 0.1, w[0])", "F.prelu(x[0, 0].flatten() + 0.1, w[:1])"),
    *rows(halves(), "F.glu(x, dim)"),
    *rows(one("nonzero", min_dims=1), "F.normalize(x, dim=dim)", "F.normalize(x, 1, dim)", "F.cosine_similarity(x, x.sin() + 2, dim)"),
    *rows(paddings(), "F.pad(x, ends)", "F.pad(x, tuple(ends), value=-1.5)", "F.pad(x, few, 'reflect')", "F.pad(x, few, 'replicate')"),
    *rows(paddings(), "F.pad(x, [max(n, 0) for n in few], 'circular')"),
    *rows(attentions(), "F.scaled_dot_product_attention(q, k, v, b, scale=scale)"),
    *rows(attentions(), "F.scaled_dot_product_attention(q, k, v)", "F.scaled_dot_product_attention(q, k, v, is_causal=True)"),
    *rows(attentions(), "F.scaled_dot_product_attention(q, k, v, attn_mask=m)"),
    *rows(attentions(), "F.scaled_dot_product_attention(q, k, v, b.masked_fill(m, float('-inf')))"),
    *rows(heads(), "F.scaled_dot_product_attention(q, k, v, enable_gqa=True)"),
    *rows(tables(), "F.embedding(ids, w)", "F.embedding(ids, w, padding_idx=padding)"),
    *rows(tables(), "F.embedding(ids, w, padding, scale_grad_by_freq=flag)"),
    *rows(tables(empty=True), "F.embedding(ids, w, padding)"),
    *rows(bags(), "F.embedding_bag(even, w, mode=mode)", "F.embedding_bag(flat, w, starts, mode=mode, padding_idx=padding)"),
    *rows(bags(), "F.embedding_bag(even, w, mode='sum', per_sample_weights=factors, padding_idx=padding)"),
    *rows(bags(), "F.embedding_bag(flat, w, ends, mode=mode, include_last_offset=True)"),
]  # fmt: skip

WITHOUT_GRADIENT: list[Row] = [
    *rows(two(), *COMPARISONS, "x.detach() // c", "F.hardsigmoid(x.detach() * 2)"),  # torch's slope is 1/6 as a float32
    *rows(
        two(y_numbers="nonzero"),
        "x.detach() // y.detach()",
        "t.floor_divide(x.detach(), y.detach())",
        "c // y.detach()",
        "c % y.detach()",
    ),
    *rows(
        two(),
        "t.equal(x, y)",
        "t.allclose(x, y)",
        "t.allclose(x, x, rtol=0)",
        "t.equal(x, x + 0)",
        "t.equal(x.double(), x)",
    ),
    *rows(
        one(),
        "t.isnan(x)",
        "t.isinf(x / 0)",
        "t.isfinite(1 / x)",
        "t.logical_not(x)",
        "x.numel()",
        "x.dim()",
        "str(t.promote_types(x.dtype, t.float64))",
        "str(t.result_type(x, 1))",
        "x[None].size(dim)",
    ),
    *rows(one(), "t.any(x)", "t.all(x)", "x.any(several, keepdim=flag)", "x.all(several, keepdim=flag)", "x.any(dim)"),
    *rows(one(full=True), "t.argmax(x)", "t.argmin(x)", "x.argmax(dim, keepdim=flag)", "x.argmin(dim, flag)"),
    *rows(one(full=True), "t.max(x, dim)[1]", "t.min(x, dim, flag).indices"),
    *rows(
        one(), "t.nonzero(x)", "x.nonzero(as_tuple=True)", "x.shape", "t.numel(x)", "x.is_floating_point()", "x.ndim"
    ),
    *rows(
        ranked(),
        "t.argsort(x, dim)",
        "x.argsort(dim, descending=flag)",
        "t.topk(x, k, dim, flag)[1]",
        "x.sort(dim, flag).indices",
    ),
    *rows(
        one(),
        "t.argsort(x, dim=dim, descending=flag, stable=True)",
        "x.argsort()",
        "t.unique(x.detach())",
        "x.detach().unique(return_inverse=True, return_counts=True)",
    ),
    *rows(
        one(),
        "t.count_nonzero(x)",
        "t.argwhere(x)",
        "x.detach().norm(0, dim)",
        "x.count_nonzero(dim)",
        "t.isin(x, x.flatten()[:2])",
        "t.isin(x, 1, invert=flag)",
        "t.where(x)",
    ),
    *rows(
        one(min_dims=1, full=True),
        "t.unique(x.detach(), dim=dim)",
        "t.unique(x.detach(), return_counts=flag)",
        "t.unique(x.detach(), return_inverse=True, dim=dim)",
    ),
    *rows(two(), "t.isclose(x, y)", "x.isclose(y, atol=1.5)", "t.isclose(x, x, rtol=0)"),
    *rows(one(min_dims=1), "t.searchsorted(x.sort(-1)[0], x, right=flag)", "t.searchsorted(x.flatten().sort()[0], x)"),
    *rows(
        one(),
        "t.bucketize(x, t.tensor([-1.0, 0.0, 0.5], dtype=t.float64), right=flag)",
        "t.bucketize(x, x.flatten()[:1], out_int32=True)",
    ),
    *rows(
        tables(),
        "t.bincount(ids.flatten())",
        "ids.flatten().bincount(minlength=9)",
        "t.isin(ids.long(), 2)",
        "ids.short()",
        "ids.char()",
    ),
    *rows(tables(), "t.bincount(ids.flatten(), ids.flatten() / 7)", "ids.byte()", "t.repeat_interleave(ids.flatten())"),
    *rows(
        tables(),
        "t.bincount(ids.flatten(), ids.flatten().double())",
        "ids.long().cumsum(-1)",
        "ids.prod()",
        "ids.cumprod(0)",
    ),
    *rows(
        tables(),
        "w.new_zeros(2, 3)",
        "ids.long().new_ones((2,))",
        "w.new_full((2,), 3)",
        "w.new_empty(0)",
        "w.new_tensor([1, 2])",
    ),
    *rows(
        two(), "m & (x > y)", "m | (x > y)", "m ^ (x > y)", "~m", "t.bitwise_and(m, x > y)", "t.bitwise_or(m, x > 0)"
    ),
    *rows(
        two(),
        "t.bitwise_xor(m, x > y)",
        "t.bitwise_not(x > y)",
        "t.logical_and(m, x)",
        "(x > 0).sum()",
        "m.sum(0) if m.ndim else m",
    ),
    *rows(
        tables(),
        "F.one_hot(ids, 6)",
        "F.one_hot(ids) if ids.numel() else ids.long()",
        "ids.long() // 2",
        "ids.long() % 3",
    ),
    *rows(
        tables(),
        "ids.long() << 2",
        "ids.long() >> 1",
        "t.bitwise_left_shift(ids.long(), 3)",
        "ids.long().bitwise_right_shift(1)",
    ),
    *rows(
        tables(),
        "ids.long().bitwise_and(3)",
        "ids.long().bitwise_or(4)",
        "ids.long().bitwise_xor(1)",
        "t.diff(ids.long().flatten())",
    ),
    *rows(
        tables(),
        *(f"(ids.long() + 0).bitwise_{op}_(5)" for op in ["and", "or", "xor"]),
        "(ids.long() + 0).bitwise_not_()",
        "(ids.long() + 0).floor_divide_(2)",
    ),
    *rows(
        tables(),
        "t.mode(ids.long().flatten()).values if ids.numel() else ids.long()",
        "t.broadcast_shapes(ids.shape, (1,))",
    ),
    *rows(
        tables(), "t.scatter_reduce(ids.long().flatten(), 0, ids.long().flatten() * 0, ids.long().flatten(), 'amax')"
    ),
    *rows(two(), "x.less(y)", "t.less_equal(x, y)", "t.greater(x, y)", "x.greater_equal(y)", "t.not_equal(x, c)"),
    *rows(
        two(),
        "t.heaviside(x.detach(), y.detach())",
        "x.detach().heaviside(x.detach())",
        "t.is_floating_point(x)",
        "t.is_complex(x)",
    ),
    *rows(
        one(full=True),
        "t.histc(x.detach(), 5, -2, 2)",
        "x.detach().histc(4)",
        "x.detach().sort().values.type()",
        "(x > 0).type()",
    ),
    *rows(tables(), "ids.long() & 3", "ids.long() | 4", "ids.long() ^ 1", "~ids.long()", "w.tolist()", "ids.tolist()"),
]

# Each of these changes y, which starts as x * 1 and so has a history.
IN_PLACE: list[Row] = [
    *rows(three(), *(f"y.{name}_(v)" for name in ["add", "sub", "mul"]), "y += v", "y -= v", "y *= v", "y.add_(v, alpha=3)"),
    *rows(three(), "y.div_(v.abs() + 1)", "y /= 2", "y **= 2", "y.pow_(2)", "y.sub_(3).mul_(v)", "y %= 2"),
    *rows(one(), "y.neg_()", "y.exp_()", "y.tanh_()", "y.sigmoid_()", "y.relu_()", "y.abs_()", "y.clamp_(-1, 1)", "y.clamp_(min=0)"),
    *rows(one("positive"), "y.sqrt_()"),
    *rows(three(), "y.masked_fill_(m, -3)", "y.copy_(v)", "y.fill_(2.5)", "y.zero_()", "y.fill_(v.flatten().mean())"),
    *rows(three(), "y.copy_(v * 2)", "y.masked_fill_(m, 0).exp_()", "y.copy_(m)", "y.mul_(m)", "y += y"),
    *rows(triangles(), "y.tril_(k)", "y.triu_(k)"),
    *rows(one(), "y.square_()", "y.sin_()", "y.cos_()", "y.floor_()", "y.ceil_()", "y.round_()", "y.nan_to_num_()", "y.remainder_(2)"),
    *rows(one(), "y.clamp_min_(0.5)", "y.clamp_max_(0.5)"),
    *rows(one("positive"), "y.log_()", "y.rsqrt_()", "y.reciprocal_()"),
    *rows(three(), "y.addcmul_(v, v, value=2)", "y.addcdiv_(v, 1 + v * v)", "y.lerp_(v, 0.25)", "y.lerp_(v, v)", "y.masked_scatter_(m, x)"),
    *rows(one(min_dims=2, max_dims=2), "y.fill_diagonal_(3)"),
    *rows(gathers(), "y.scatter_(dim, i, 3)", "y.scatter_(dim, apart, (x * x).gather(dim, apart))", "y.index_fill_(dim, r, -2)"),
    *rows(gathers(), "y.index_add_(dim, r, x.index_select(dim, r))", "y.index_copy_(dim, r.unique(), x.index_select(dim, r.unique()))"),
    *rows(gathers(), "y.scatter_add_(dim, i, src)", "y.scatter_reduce_(dim, i, src, 'sum')"),
    *rows(gathers(), "y.index_put_((r % y.shape[0],), x[0], accumulate=True)", "y.index_put_([r[:1] % y.shape[0]], x[0] * 2)"),
    *rows(three(), "y.subtract_(v)", "y.multiply_(v)", "y.divide_(3)", "y.true_divide_(3)", "y.negative_()", "y.absolute_()"),
    *rows(one(), "y.clip_(-1, 1)", "y.sign_()", "y.trunc_()", "y.expm1_()", "y.exp2_()", "y.erf_()", "y.fmod_(2)", "t.clamp_(y, 0)"),
    *rows(one(), "y.cumsum_(dim)", "y.cumprod_(dim)", "y.logical_not_()", "y.logical_and_(x > 0)", "y.logical_or_(x > 0)"),
    *rows(one(), "y.logical_xor_(x > 0)", "y.squeeze_()", "y.squeeze_(dim).mul_(2)", "y.unsqueeze_(dim)", "y.unsqueeze_(0).exp_()"),
    *rows(one(), "y.transpose_(dim, dim2)", "y.swapaxes_(dim, 0)", "y.swapdims_(dim, -1).mul_(2)", "y.mul_(2).unsqueeze_(0)"),
    *rows(one(max_dims=2), "y.t_()", "y.mul_(2).t_()"),
    *rows(one("positive"), "y.log1p_()", "y.log2_()", "y.log10_()"),
    *rows(writes(), "y[key] = v", "y[key] = c", "y[key] = v * 2; y[key] = c"),
    *rows(writes(), "y[key] += 1" , "y[key] *= 2"),
]  # fmt: skip

FIRST_ORDER = {  # torch has no second one of cdist or empty ids, and a wrong one with frequencies: it leaves them out
    "F.embedding(ids, w, padding)",
    "t.cdist(x, x[:, :1] + 0.5)",
    "t.cdist(x, x.detach() * 2, p=1)",
    "t.cdist(w, w + 9)",
    "F.embedding(ids, w, padding, scale_grad_by_freq=flag)",
    *(code for code, _ in DIFFERENTIABLE if code.startswith(("F.embedding_bag", "F.multi_margin"))),
    # and none of its attention kernel, which it takes unless the mask is a float one that requires grad
    *(code for code, _ in DIFFERENTIABLE if code.startswith("F.scaled_dot") and " b" not in code),
}


def run(code: str | CodeType, library: Any, names: Names) -> Any:
    """The value of an expression, or what y is after statements."""
    scope = {"t": library, "F": library.nn.functional, "fixed": lambda x: x if x is None else x.detach(), **names}
    if code in STATEMENTS:
        scope.update(y=names["x"] * 1, v=names.get("v", names.get("y")))
        exec(STATEMENTS[code], scope)
        return scope["y"]
    return eval(code, scope)


STATEMENTS: dict[str, CodeType] = {code: compile(code, code, "exec") for code, _ in IN_PLACE}


def constants(library: Any, names: Names) -> Names:
    """The names that stand for no float array, as the library takes them."""
    convert = placed if library is mg else torch_key

    def of(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(of, value))
        return convert(value) if isinstance(value, np.ndarray) else value

    return {name: of(value) for name, value in names.items()}


def program(code: str, names: Names) -> tuple[Callable[..., Any], list[np.ndarray]]:
    """The code as a function of the library and of the float arrays among the names."""
    inputs = {name: x for name, x in names.items() if isinstance(x, np.ndarray) and x.dtype.kind == "f"}
    rest = {name: x for name, x in names.items() if name not in inputs}

    def f(library: Any, *tensors: Any) -> Any:
        return run(code, library, {**constants(library, rest), **dict(zip(inputs, tensors, strict=True))})

    return f, list(inputs.values())


def check_row(code: str, names: Names, wide: bool = True, **options: Any) -> None:
    """Values and gradients against torch's: wide in float64 and second order too, else in float32."""
    f, inputs = program(code, names)
    if wide:
        check_against_torch(f, inputs, second_order=code not in FIRST_ORDER, **TIGHT, **options)
    elif not re.search("float64|double", code):
        check_against_torch(f, [x.astype(np.float32) for x in inputs], second_order=False, **LOOSE, **options)


@each("code, strategy", [*DIFFERENTIABLE, *IN_PLACE])
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_values_and_gradients(code: str, strategy: st.SearchStrategy[Names], data: st.DataObject) -> None:
    names = data.draw(strategy)
    check_row(code, names)
    check_row(code, names, wide=False)


def check_values(code: str, names: Names) -> None:
    """Values against torch's, of what has no gradient: what has one belongs into the other table."""
    f, inputs = program(code, names)
    ours, theirs = (f(library, *[as_leaf(library, x) for x in inputs]) for library in (mg, torch))
    assert_alike(ours, theirs)
    found = [y for y in (ours if isinstance(ours, tuple) else [ours]) if isinstance(y, mg.Tensor)]
    assert not any(y.requires_grad for y in found), code
    assert all(y.device.type == mg.get_default_device().type for y in found), code


@each("code, strategy", WITHOUT_GRADIENT)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_values_without_gradient(code: str, strategy: st.SearchStrategy[Names], data: st.DataObject) -> None:
    check_values(code, data.draw(strategy))


def assert_alike(ours: Any, theirs: Any) -> None:
    """The same tensors, exactly, or the same Python values, in the same containers."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, mg.Tensor)
        assert ours.requires_grad == theirs.requires_grad
        same(ours, theirs, **TIGHT)
    elif isinstance(theirs, tuple) and not isinstance(theirs, torch.Size):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_alike(a, b)
    else:
        assert ours == theirs
        assert type(ours) is type(theirs) or isinstance(theirs, torch.Size)


# ------------------------------------------------------------------------------------ numbers that are not ordinary


SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -0.5, -2.5, 3e5, -3e5, 1e300, -1e300, 1e-320, math.inf, -math.inf, math.nan]
)
ALONE = listed("""
t.exp(x) ; t.tanh(x) ; t.sin(x) ; t.cos(x) ; t.sigmoid(x) ; F.tanh(x) ; F.sigmoid(x) ; t.square(x) ; t.neg(x) ; -x
t.positive(x) ; t.reciprocal(x) ; +x ; t.abs(x) ; abs(x) ; t.relu(x) ; F.relu(x) ; t.sign(x) ; t.floor(x) ; t.ceil(x)
t.trunc(x) ; t.round(x) ; t.log1p(x) ; t.expm1(x) ; t.log2(x) ; t.log10(x) ; t.exp2(x) ; t.erf(x) ; t.tan(x)
t.frac(x) ; t.deg2rad(x) ; t.nansum(x) ; t.nanmean(x[3:10]) ; x.sinc() ; t.rad2deg(x) ; x[:11].quantile(0.3)
x[:11].diff() ; t.kthvalue(x, 3).values ; x[:14].mode().values
t.asin(x) ; t.acos(x) ; t.atan(x) ; t.sinh(x) ; t.cosh(x) ; t.nan_to_num(x) ; t.nan_to_num(x, 1.0, 2.0, -2.0)
t.sort(x, stable=True) ; x.sort(descending=True, stable=True).values ; x.median() ; x.cumsum(0) ; x[:10].logsumexp(0)
x[9:].logsumexp(0) ; x.topk(5).values ; x.topk(1, largest=False).values ; x.median(0) ; x[:11].median(0)
x[:4].prod() ; x[2:9].prod() ; x[:9].cumprod(0) ; t.log(x) ; t.sqrt(x) ; t.rsqrt(x) ; 1 / x ; x ** 2 ; x ** 3 ; x ** 0
x ** -1 ; 2 ** x ; x.clamp(-1, 1) ; x.clamp(min=0.5) ; t.softmax(x[:-3], 0) ; t.log_softmax(x[:-3], 0) ; x.max()
x.amin() ; x[:11].var() ; x.masked_fill(x.isnan(), 0) ; x.where(x > 0, 1.0) ; t.relu(x) * x
F.softmax(x[:-2].reshape(3, 5), 1) ; x.max(0).values
F.gelu(x) ; F.gelu(x, approximate='tanh') ; F.silu(x) ; F.leaky_relu(x) ; F.elu(x) ; F.softplus(x)
F.logsigmoid(x) ; F.pad(x, (1, 2), value=3) ; F.selu(x) ; F.celu(x, 2) ; F.mish(x) ; F.softsign(x) ; F.softshrink(x)
F.hardshrink(x) ; F.threshold(x, 0.5, 2) ; F.hardtanh(x) ; F.hardswish(x[:-1]) ; F.relu6(x) ; F.prelu(x, x[4])
""")
PAIRED = listed("""
x + y ; x - y ; x * y ; x / y ; x ** y ; t.maximum(x, y) ; t.minimum(x, y) ; t.where(x > y, x, y) ; t.logaddexp(x, y)
t.atan2(x, y) ; t.lerp(x, y, 0.25) ; t.fmax(x, y) ; t.fmin(x, y)
""")
PAIRED_VALUES = listed("""
x.detach() // y.detach() ; t.heaviside(x.detach(), y.detach())
t.div(x.detach(), y.detach(), rounding_mode='trunc') ; x == y ; x < y ; x >= y ; t.isnan(x)
t.isinf(x) ; t.isfinite(x) ; x.argmax() ; x.argmin() ; x.bool() ; x.any() ; t.equal(x, x) ; t.allclose(x, x)
t.isclose(x, y) ; t.isclose(x, y, equal_nan=True) ; t.argsort(x, stable=True)
t.argsort(x, stable=True, descending=True) ; t.unique(x[:-1].detach()) ; x.count_nonzero()
t.allclose(x, x, equal_nan=True) ; t.logical_not(x) ; x.max(0).indices ; x.nonzero()
""")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@each("code", [*ALONE, *PAIRED])
def test_infinite_tiny_and_undefined_numbers(code: str, dtype: type) -> None:
    check_against_torch(*special(code, dtype), second_order=False, **(TIGHT if dtype is np.float64 else LOOSE))


@each("code", PAIRED_VALUES)
def test_infinite_tiny_and_undefined_numbers_without_gradient(code: str) -> None:
    f, inputs = special(code, np.float64)
    assert_alike(*(f(library, *[as_leaf(library, x) for x in inputs]) for library in (mg, torch)))


def special(code: str, dtype: type) -> tuple[Callable[..., Any], list[np.ndarray]]:
    """The code with every pair of special numbers, or with each where it has no y."""
    numbers = SPECIAL if dtype is np.float64 else np.where(abs(SPECIAL) > 1e30, np.sign(SPECIAL) * 1e30, SPECIAL)
    x, y = np.meshgrid(numbers, numbers) if "y" in code else (numbers, numbers)
    return program(code, {"x": x.ravel().astype(dtype), "y": y.ravel().astype(dtype)})


# ---------------------------------------------------------------------------------------------------- result types

TYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
NUMBERS = [True, 2, -1, 2.5]
MIXED = listed("x + y ; x - y ; x * y ; x / y ; x // y ; x % y ; x ** y ; x == y ; x < y")
MIXED_TENSORS = listed("""
t.maximum(x, y) ; t.minimum(x, y) ; t.cat([x.reshape(-1), y.reshape(-1)]) ; t.result_type(x, y) ; x & y ; x | y
x ^ y ; t.where(x > 0, x, y) ; x.masked_fill(x > 0, y.max()) ; x.clamp(y) ; t.outer(x.reshape(-1), y.reshape(-1))
t.einsum('...,...->...', x, y) ; t.atan2(x, y) ; t.logaddexp(x, y) ; t.fmod(x, y) ; t.isin(x, y) ; t.hstack([x, y])
t.inner(x, y) ; t.einsum('...i,...i', x, y) if x.ndim * y.ndim else x ; t.isclose(x, y) ; t.addcmul(x, x, y)
t.lerp(x, y, 0.5) ; x.scatter(0, (x * 0).long(), y) ; t.bincount(x, y) ; t.searchsorted(x.sort()[0], y) ; t.vdot(x, y)
t.hypot(x, y) ; t.fmax(x, y) ; t.fmin(x, y) ; t.heaviside(x, y) ; t.kron(x, y) ; t.dstack([x, y]) ; t.column_stack([x, y])
t.block_diag(x, y) ; x << y ; t.cartesian_prod(x, y) ; t.not_equal(x, y) ; x.type(y.type()) ; t.tensordot(x, y, 0)
x.masked_fill(y > 0, 2) ; t.clamp_min(x, y) ; x @ y ; t.equal(x, y) ; t.stack([x.max(), y.max()])
t.logical_and(x, y) ; t.promote_types(x.dtype, y.dtype) ; x.type_as(y)
""")
IN_PLACE_MIXED = listed("""
x += y ; x -= y ; x *= y ; x /= y ; x.copy_(y) ; x[...] = y ; x.masked_fill_(x > 0, y) ; x.clamp_(y) ; x.fill_(y)
""")
MONADIC = listed("""
x.exp() ; x.log() ; x.sqrt() ; x.rsqrt() ; x.tanh() ; x.sigmoid() ; x.sin() ; x.cos() ; x.relu() ; x.abs() ; x.sign()
x.floor() ; x.ceil() ; x.trunc() ; x.round() ; x.square() ; x.neg() ; x.sum() ; x.mean() ; x.var() ; x.std() ; x.max()
x.min() ; x.amax() ; x.amin() ; x.argmax() ; x.argmin() ; x.any() ; x.all() ; x.logical_not() ; x.isnan()
x.nonzero() ; x.clone() ; x.softmax(0) ; x.clamp(0, 1) ; x.clamp(0.5) ; ~x ; -x ; x.max(0) ; x.sum(0)
x.frac() ; x.sinc() ; x.deg2rad() ; x.rad2deg() ; x.nansum() ; x.nanmean() ; x.kthvalue(1) ; x.mode() ; x.histc(3)
x.quantile(0.5) ; x.diff() ; x.kron(x) ; t.var_mean(x) ; x.sum_to_size(()) ; x.type() ; x.is_signed()
x << 1 ; x >> 1 ; t.block_diag(x) ; t.combinations(x) ; t.column_stack([x, x]) ; t.dstack([x, x]) ; x.log1p_() ; x.sign_()
x.logical_not_() ; x.unsqueeze_(0) ; t.cartesian_prod(x, x) ; t.tensordot(x, x, 0) ; x.bitwise_not_()
x.index_put((t.tensor([0]),), x[:1]) if x.ndim else x ; x.index_put((t.tensor([0, 0]),), x[:1], True) if x.ndim else x
x.scatter_reduce(0, t.tensor([0, 0, 0]), x, 'amax') if x.ndim else x ; x.scatter_reduce(0, t.tensor([0, 0, 1]), x, 'mean') if x.ndim else x
x.scatter_reduce(0, t.tensor([0, 0, 0]), x, 'amin', include_self=False) if x.ndim else x
x.tril() if x.ndim > 1 else x ; 1 / x ; x.exp_() ; t.zeros_like(x) ; t.ones_like(x) ; t.full_like(x, 2)
x.masked_fill(x > 0, 1.5) ; t.where(x > 0, x, 2.5) ; x.sum(dtype=t.int32) ; t.where(x > 0, 1, 2.5) ; x.sort()
x.topk(1) ; x.median() ; x.cumsum(0) ; x.cumprod(0) ; x.prod() ; x.logsumexp(0) ; x.bincount() ; x.unique()
x.flip(0) ; x.roll(1) ; x.log1p() ; x.erf() ; x.expm1() ; x.exp2() ; x.log2() ; x.tan() ; x.atan() ; x.sinh()
x.fmod(2) ; x.fmod(2.5) ; x.clamp_min(1) ; x.clamp_max(0.5) ; x.nan_to_num() ; x.count_nonzero()
x.repeat_interleave(2) ; x.argsort() ; x.diag() ; t.isin(x, 1) ; t.einsum('...->', x) ; x.cumsum(0, dtype=t.int32)
x.prod(dtype=t.float64) ; x.median(0) ; x.argsort(descending=True) ; x.take(t.tensor([0])) ; t.where(x > 0, x, 1)
t.where(x > 0, 1, 2) ; x.mean(dtype=t.float32) ; 2 ** x ; x ** 2 ; x ** -1 ; x.sqrt_()
""")


def small_tensor(library: Any, dtype: str, ndim: int) -> Any:
    return library.tensor([[1, 0, 2], [1, 2, 0]][0] if ndim else 2).to(getattr(library, dtype))


def outcome(library: Any, code: str, x: Any, y: Any = None) -> Any:
    """What the code gives, or the class of what it raises."""
    scope = {"t": library, "x": x, "y": y}
    try:
        if code in IN_PLACE_MIXED:
            exec(code, scope)
            return scope["x"]
        return eval(code, scope)
    except (TypeError, ValueError, RuntimeError, IndexError, OverflowError, AttributeError) as error:
        return type(error)


def disagreement(ours: Any, theirs: Any) -> str:
    """How two outcomes differ, in words; "" where they do not."""
    if theirs is NotImplementedError:  # torch has no kernel for that type: nothing to agree with
        return ""
    if isinstance(theirs, tuple) and isinstance(ours, tuple):
        return disagreement(ours[0], theirs[0]) or disagreement(ours[1], theirs[1])
    if not isinstance(theirs, torch.Tensor) or not isinstance(ours, mg.Tensor):
        alike = str(theirs).removeprefix("torch.") == str(ours).removeprefix("torch.").removeprefix("minigrad.")
        return "" if alike else f"{shown(ours)}, torch {shown(theirs)}"
    try:
        same(ours, theirs)
    except AssertionError:
        return f"{shown(ours)}, torch {shown(theirs)}"
    return ""


def shown(x: Any) -> str:
    return f"{x.dtype} {x.tolist()}" if isinstance(x, mg.Tensor | torch.Tensor) else str(x)


@each("code", [*MIXED, *MIXED_TENSORS, *IN_PLACE_MIXED])
def test_result_types_of_two_tensors(code: str) -> None:
    differences = []
    for one, other in [(a, b) for a in TYPES for b in TYPES]:
        for ndims in [(1, 1), (0, 1), (1, 0), (0, 0)]:
            made = [
                [small_tensor(library, d, n) for d, n in zip((one, other), ndims, strict=True)]
                for library in (mg, torch)
            ]
            if message := disagreement(outcome(mg, code, *made[0]), outcome(torch, code, *made[1])):
                differences.append(f"x {one} {ndims[0]}-d, y {other} {ndims[1]}-d: {message}")
    assert not differences, f"{len(differences)} differ:\n" + "\n".join(differences[:20])


@each("code", [*MIXED, *IN_PLACE_MIXED])
def test_result_types_with_a_number(code: str) -> None:
    differences = []
    for dtype, number, ndim, flipped in [
        (d, c, n, f) for d in TYPES for c in NUMBERS for n in (0, 1) for f in (False, True)
    ]:
        if flipped and code in IN_PLACE_MIXED:
            continue
        pairs = [(small_tensor(library, dtype, ndim), number) for library in (mg, torch)]
        ours, theirs = (pair[::-1] if flipped else pair for pair in pairs)
        if message := disagreement(outcome(mg, code, *ours), outcome(torch, code, *theirs)):
            differences.append(f"{dtype} {ndim}-d and {number}{', flipped' * flipped}: {message}")
    assert not differences, f"{len(differences)} differ:\n" + "\n".join(differences[:20])


@each("code", MONADIC)
def test_result_types_of_one_tensor(code: str) -> None:
    differences = []
    for dtype, ndim in [(d, n) for d in TYPES for n in (0, 1)]:
        ours, theirs = (outcome(library, code, small_tensor(library, dtype, ndim)) for library in (mg, torch))
        if message := disagreement(ours, theirs):
            differences.append(f"{dtype} {ndim}-d: {message}")
    assert not differences, "\n".join(differences)


# ------------------------------------------------------------------------------------------------- creation and views

CREATED = listed(r"""
t.tensor(3) ; t.tensor(2.5) ; t.tensor(True) ; t.tensor([]) ; t.tensor([[], []]) ; t.tensor([1, 2.5])
t.tensor([True, 2]) ; t.tensor([[1, 2], [3, 4]]) ; t.tensor([True, 2.5]) ; t.tensor([t.tensor(1), t.tensor(2.5)])
t.tensor((1, 2), dtype=t.float64) ; t.tensor([1.7, -1.7], dtype=t.int64) ; t.tensor([0, 0.5, 2], dtype=t.bool)
t.tensor(range(4)) ; t.tensor([float('nan'), 1]) ; t.tensor(np.arange(3, dtype=np.int16)) ; t.tensor(np.float64(2.5))
t.tensor(np.float32(2.5)) ; t.tensor([np.float32(1), 2]) ; t.tensor(np.eye(2), dtype=t.float32)
t.tensor([np.arange(2), np.arange(2)]) ; t.tensor(2**40) ; t.tensor([[1], [2.0]])
t.tensor([[[1, 2]], [[3, 4]]], dtype=t.float16) ; t.Tensor([1, 2]) ; t.Tensor(2, 3).shape ; t.tensor(t.ones(2))
t.as_tensor([1, 2]) ; t.asarray([1, 2]) ; t.as_tensor(2.5, dtype=t.float64) ; t.as_tensor(np.arange(2.0)) ; t.from_numpy(np.arange(3))
t.arange(5) ; t.arange(1, 5) ; t.arange(1, 10, 3) ; t.arange(5, 1, -2) ; t.arange(0, 1, 0.1) ; t.arange(2.5)
t.arange(1, 0, -0.25) ; t.arange(0) ; t.arange(3, 3) ; t.arange(5, dtype=t.float32) ; t.arange(0.5, 3, dtype=t.int64)
t.arange(0, 4, dtype=t.int32) ; t.arange(0, 1, 0.3, dtype=t.float64) ; t.arange(-1, 1, 0.5) ; t.arange(True)
t.arange(0, 2, 0.1).shape ; t.arange(1e3, 1e3 + 2) ; t.linspace(0, 1, 5) ; t.linspace(1, -1, 4) ; t.linspace(0, 1, 1)
t.linspace(0, 1, 0) ; t.linspace(0, 10, 11, dtype=t.int64) ; t.linspace(-3, 3, 50)
t.linspace(0, 1, 7, dtype=t.float64) ; t.full((2, 3), 1) ; t.full((2,), 2.5) ; t.full((), True)
t.full((2,), 1, dtype=t.float64) ; t.full([0, 2], 3) ; t.full((2,), 2.5, dtype=t.int64) ; t.eye(3) ; t.eye(2, 3)
t.eye(3, 1) ; t.eye(0) ; t.eye(2, dtype=t.int64) ; t.zeros(2, 3) ; t.zeros((2, 3)) ; t.zeros([2]) ; t.zeros(())
t.zeros(0) ; t.ones(2, dtype=t.int64) ; t.ones(t.Size([2, 1])) ; t.empty(2, 3).shape ; t.empty((0,))
t.zeros(size=(2,)) ; t.ones(size=(2, 2), dtype=t.bool) ; t.zeros_like(t.arange(3))
t.ones_like(t.ones(2, 3, dtype=t.float64)) ; t.zeros_like(t.arange(3), dtype=t.float32) ; t.full_like(t.arange(3), 7)
t.full_like(t.arange(3), 2.5) ; t.full_like(t.arange(3), 2.5, dtype=t.float32) ; t.empty_like(t.ones(2)).shape
t.tensor([t.inf, -t.inf, t.nan, t.pi, t.e]) ; t.tensor(t.finfo(t.float16).resolution) ; t.finfo(t.float64).max ; t.iinfo(t.uint8).max
t.finfo(t.float32).tiny ; t.iinfo(t.int16).bits ; str(t.finfo()) ; str(t.iinfo(t.int64)) ; t.finfo(t.float64).resolution
t.zeros(2, requires_grad=True) ; t.tensor([1.0], requires_grad=True) ; t.arange(3.0, requires_grad=True)
t.eye(2, requires_grad=True) ; t.randint(0, 1, (3,)) ; t.randperm(0) ; t.rand(0, 3) ; t.randn(2, 0) ; t.randperm(1)
t.rand_like(t.ones(0)) ; t.tensor([1, 2]).float() ; t.tril_indices(3, 4) ; t.triu_indices(3, 3, 1)
t.tril_indices(4, 2, -1) ; t.triu_indices(2, 2, dtype=t.int32) ; t.tril_indices(0, 3) ; t.ones(2, 2).fill_diagonal_(3)
t.ones(3, 2).fill_diagonal_(0) ; t.ones(3, 3, 3).fill_diagonal_(5) ; t.arange(3).new_tensor([1.5])
t.ones(2).new_zeros(2, dtype=t.int64) ; t.logspace(0, 2, 5) ; t.logspace(-3, 3, 4, base=2) ; t.logspace(0, 1, 1)
t.logspace(0, 1, 3, dtype=t.float64) ; t.LongTensor([1, 2]) ; t.FloatTensor([[1, 2], [3, 4]]) ; t.FloatTensor(2, 3).shape
t.LongTensor(t.Size([2])).shape ; t.FloatTensor() ; t.FloatTensor((2, 3)) ; t.BoolTensor([1, 0]) ; t.DoubleTensor([1])
t.IntTensor(np.arange(3)) ; t.FloatTensor(t.ones(2)) ; t.LongTensor([1.5]) ; t.HalfTensor([2]) ; t.ShortTensor([1])
t.CharTensor([-1]) ; t.ByteTensor([1]) ; isinstance(t.ones(2), t.FloatTensor) ; isinstance(t.ones(2).long(), t.FloatTensor)
isinstance(t.arange(2), t.LongTensor) ; t.ones(2).type('torch.LongTensor') ; t.ones(2).type(t.LongTensor) ; str(t.FloatTensor)
t.ones(2).int().type() ; t.zeros(1).half().type() ; t.block_diag() ; t.cartesian_prod(t.arange(2), t.arange(3))
t.ones(2).get_device() ; t.ones(2).is_cpu ; t.ones(2).ndimension() ; t.ones(1).is_nonzero() ; t.ones(2).byte().is_signed()
t.ones(2).is_complex() ; t.ones(2).is_same_size(t.zeros(2)) ; t.ones(2).share_memory_() ; t.ones(2).to_dense()
t.ones(2, requires_grad=True).retains_grad
""")


@each("code", CREATED)
def test_creation(code: str) -> None:
    ours, theirs = (eval(code, {"t": library, "np": np}) for library in (mg, torch))
    assert_alike(ours, theirs)


ALIASES = listed(r"""
x[0] ; x[1:] ; x[..., 0] ; x[None] ; x[:, ::2] ; x[0, 1] ; x[0][1] ; x.view(-1) ; x.reshape(-1) ; x.T ; x.mT ; x.t()
x.detach() ; x.transpose(0, 1) ; x.permute(1, 0) ; x.unsqueeze(0) ; x.squeeze() ; x.flatten() ; x.narrow(0, 0, 1)
x.data ; x.split(1)[1] ; x.chunk(2, 1)[0] ; x.unbind()[1] ; x.contiguous() ; x.float() ; x.to(t.float32) ; x.cpu()
list(x)[0] ; x[()] ; x[...] ; x.T.reshape(-1) ; x.T.contiguous() ; x.clone() ; x[[0, 1]] ; x[x > -9]
x[t.tensor([0])] ; x.double() ; x + 0 ; x.T.flatten() ; x[0, t.tensor([1])] ; x.repeat(1, 1) ; t.cat([x]) ; x.tril()
x.relu() ; x.index_select(0, t.tensor([0])) ; x.sum() ; x.view_as(x) ; x[t.tensor(0)] ; x.broadcast_to((2, 3))
t.as_tensor(x) ; t.tensor(x) ; x.swapaxes(0, 1) ; x.requires_grad_(False) ; x.mul(1) ; x.max(0).values
x.gather(0, t.tensor([[0]]))
x.diagonal() ; x.diagonal(1) ; t.diag(x) ; x.select(1, 0) ; x.movedim(0, 1) ; x.flip(0) ; x.ravel() ; x.T.ravel()
x.unflatten(1, (3, 1)) ; t.broadcast_tensors(x, x[0])[0] ; t.einsum('ij->ji', x) ; t.einsum('ij', x) ; x.T.diagonal() ; x.swapdims(0, 1)
t.meshgrid(x[0], indexing='ij')[0] ; x.sort().values ; x.roll(0) ; x.clamp_min(-9) ; x.masked_select(x > -9) ; x.repeat_interleave(1)
""")


@each("code", ALIASES)
def test_views_share_memory_as_in_torch(code: str) -> None:
    """Zeros are written into the result: do they show in x?"""
    left = []
    for library in (mg, torch):
        x = library.arange(1.0, 7.0).reshape(2, 3).clone()
        y = eval(code, {"t": library, "x": x})
        y.zero_()
        left.append(x)
    same(*left, exact=True)


# ------------------------------------------------------------------------------------------------------------- errors

ERRORS = listed(r"""
x + v4 ; x * t.ones(3, 2) ; x / 'a' ; x + None ; x + [1, 2, 3] ; x == t.ones(5) ; t.maximum(x, v4) ; t.where(m, x, v4)
t.where(x, x, x) ; t.where(i, x, x) ; x.masked_fill(x, 0) ; x.masked_fill(m4, 0) ; x.masked_fill(m, v) ; m - m ; 1 - m
-m ; m - 1 ; i // 0 ; i % 0 ; i ** -1 ; x & x ; x | 1 ; ~x ; x.clamp() ; t.div(x, x, rounding_mode='up') ; t.exp(2.0)
x.pow('a') ; t.maximum(x, 1) ; x ** None ; x.sum(2) ; x.sum(-3) ; x.sum((0, 0)) ; x.sum((0, -2)) ; x.mean(5)
i.mean() ; i.var() ; m.mean() ; x.max(2) ; x.argmax(2) ; x.amax(3) ; x.any(2) ; e.max() ; e.min() ; e.argmax()
e.argmin() ; e.max(0) ; e.amax() ; e.amax(0) ; e.argmax(0) ; x.sum('a') ; x.softmax(2) ; i.softmax(0)
t.softmax(m, 0) ; t.log_softmax(x, -3) ; x.sum(1.5) ; i.std() ; x.logical_not(1) ; t.ones(2, 0).max(1)
t.ones(2, 0).amax(1) ; x.view(4) ; x.view(-1, 4) ; x.view(-1, -1) ; x.T.view(-1) ; x.reshape(5) ; x.reshape(-1, 0)
e.reshape(-1, 0) ; x.reshape(-2) ; x.view('a') ; x.flatten(2) ; x.flatten(1, 0) ; x.squeeze(2) ; x.unsqueeze(3)
x.unsqueeze(-4) ; x.transpose(0, 2) ; x.permute(0) ; x.permute(0, 0) ; x.permute(0, 2) ; x3.t() ; x.expand(4, 3)
x.expand(3) ; x.expand(-1, 2, 3) ; t.broadcast_to(x, (3, 3)) ; x.repeat(2) ; x.narrow(0, 1, 2) ; x.narrow(2, 0, 1)
x.narrow(0, 0, -1) ; x.split(0) ; x.split([1, 2]) ; x.split(1, 2) ; x.split(-1) ; x.chunk(0) ; x.chunk(2, 5)
x.unbind(2) ; s.unbind() ; s.split(1) ; t.cat([]) ; t.cat([x, v]) ; t.cat([x, x3]) ; t.cat([s, s]) ; t.cat([x, x], 2)
t.cat(x) ; t.stack([]) ; t.stack([x, v]) ; t.stack([x, x], 4) ; t.cat([x, 1]) ; t.cat([x, t.ones(3, 3)], 1)
t.stack([x, None]) ; v.mT ; s.transpose(0, 1) ; s.narrow(0, 0, 1) ; s.chunk(1) ; x.view(2, 3, 0) ; x[2] ; x[-3]
x[0, 3] ; x[0, 0, 0] ; s[0] ; x[t.tensor([2])] ; x[t.tensor([-3])] ; x[x] ; x[1.0] ; x['a'] ; x[m4]
x[:, t.tensor([True])] ; x[t.tensor([0, 1]), t.tensor([0, 1, 2])] ; x[::-1] ; x[::0] ; x[[0, 5]] ; x[None, None, 2]
x[t.tensor([0.5])] ; x[[True]] ; x[[0, 1], [0, 1, 2]] ; x[object()] ; len(s) ; list(s) ; x.item() ; e.item() ; bool(x)
bool(e) ; int(x) ; float(x) ; [1, 2][x] ; [1, 2][s] ; range(x) ; s.size(1) ; x.size(2) ; int(t.tensor(float('nan')))
t.gather(x, 0, i) ; t.gather(x, 2, i2) ; t.gather(x, 0, i2 + 5) ; t.gather(x, 0, i2 - 1) ; t.gather(x, 0, x)
t.gather(x, 1, t.zeros(3, 1).long()) ; t.index_select(x, 0, i2) ; t.index_select(x, 0, t.tensor([5]))
t.index_select(x, 2, i) ; t.index_select(x, 0, v) ; t.index_select(x, 0, t.tensor([-1])) ; t.scatter_add(x, 0, i2, v)
t.scatter_add(x, 0, i2 + 9, x) ; t.scatter_add(x, 0, x, x) ; t.scatter_add(x, 0, i2, x.double())
t.take_along_dim(x, x, 0) ; t.scatter_add(x, 2, i2, x) ; t.take_along_dim(x, i, 0) ; v.tril() ; s.triu() ; x @ x
x @ v4 ; v @ v4 ; s @ x ; x @ 2 ; x @ x.T.double() ; x @ i ; t.mm(v, x) ; t.mm(x3, x) ; t.mm(x, x) ; t.bmm(x, x)
t.bmm(x3, x3) ; t.dot(x, x) ; t.dot(v, v4) ; t.outer(x, v) ; x3 @ t.ones(3, 4, 2) ; t.dot(v, i) ; t.matmul(x, None)
t.mm(x, x.T.double()) ; t.bmm(x3, t.ones(3, 4, 1)) ; F.cross_entropy(x, i) ; F.cross_entropy(x, t.tensor([0, 3]))
F.cross_entropy(x, t.tensor([0, -1])) ; F.cross_entropy(x, i2) ; F.cross_entropy(x, v)
F.cross_entropy(x, t.tensor([0, 1]), reduction='max') ; F.cross_entropy(x, t.tensor([0, 1]), label_smoothing=2.0)
F.cross_entropy(s, t.tensor(0)) ; F.cross_entropy(x, t.tensor([0, 1]), weight=t.ones(2))
F.cross_entropy(i2, t.tensor([0, 1])) ; F.cross_entropy(x, t.tensor([True, False]))
F.cross_entropy(x3, t.tensor([0, 1])) ; F.cross_entropy(v, t.tensor(5)) ; F.nll_loss(x, i)
F.nll_loss(x, t.tensor([0, 3])) ; F.nll_loss(x, v) ; F.nll_loss(s, t.tensor(0))
F.nll_loss(x, t.tensor([0, 1]), reduction='a') ; F.mse_loss(x, v4) ; F.mse_loss(x, x, reduction='a')
F.linear(x, x.T) ; F.linear(x, x, v4) ; F.linear(s, x) ; F.linear(x, x.double()) ; F.linear(x, x, x3)
F.embedding(t.tensor([2]), x) ; F.embedding(t.tensor([-1]), x) ; F.embedding(t.tensor([0]), v)
F.embedding(t.tensor([0]), x, padding_idx=2) ; F.embedding([0], x) ; F.one_hot(t.tensor([-1]))
F.one_hot(t.tensor([3]), 2) ; F.one_hot(x) ; F.one_hot(e.long()) ; F.one_hot(t.tensor([0]), 0)
t.tensor([[1], [1, 2]]) ; t.tensor(['a']) ; t.tensor('a') ; t.tensor(None) ; t.tensor([None]) ; t.tensor({})
t.tensor(2**70) ; t.zeros(-1) ; t.ones(2, -3) ; t.full((-1,), 2) ; t.arange(0, 5, 0) ; t.arange(5, 0)
t.arange(0, 5, -1) ; t.eye(-1) ; t.linspace(0, 1, -1) ; t.zeros('a') ; t.zeros(1.5) ; t.zeros_like(3)
t.from_numpy([1]) ; t.from_numpy(np.array(['a'])) ; t.tensor([1], requires_grad=True)
t.tensor(3, requires_grad=True) ; t.tensor(1.0, dtype='float') ; x.add_(v4) ; v.add_(x) ; i.add_(1.5) ; i.div_(2)
m.add_(1) ; x.copy_(v4) ; v.copy_(x) ; x.fill_(v) ; i.mul_(v) ; x.masked_fill_(v, 0) ; i.exp_() ; i.sqrt_()
x.__setitem__(5, 1) ; x.__setitem__(0, v4) ; x.__setitem__((0, 0), v) ; x.__setitem__('a', 1) ; x.__setitem__(0, 'a')
x.__setitem__(m4, 0) ; x.__setitem__(m, v4) ; w.add_(1) ; w.__setitem__(0, 1) ; w.zero_() ; w[0].mul_(2)
w.view(-1).add_(1) ; (w * 1).backward() ; x.sum().backward() ; w.sum().backward(v) ; w.numpy()
(lambda y: y.mul_(y).sum().backward())(w * 1) ; (lambda y: y.copy_(y * w).sum().backward())(w * 1)
(lambda y: (y.exp(), y.add_(1)))(w.exp())[0].sum().backward() ; x.expand(2, 2, 3).add_(1) ; i.requires_grad_()
(w * 1).requires_grad_(False) ; x.to('nowhere') ; x.to('float32') ; t.no_such_function ; x.no_such_method()
x.type(5) ; t.nn.functional.softmax(x, 'a') ; t.std(x, 2) ; t.var(i) ; t.allclose(x, x.double()) ; t.allclose(x, v4)
t.equal(x, 1) ; t.multinomial(x3, 1) ; t.multinomial(-v, 1) ; t.randint(5, 5, (1,)) ; t.bernoulli(t.tensor([2.0]))
t.topk(x, 4) ; t.topk(x, 1, 2) ; x.topk(-1) ; t.sort(x, 2) ; x.argsort(-3) ; x.cumsum(2) ; t.cumprod(x, 5) ; x.prod(2)
t.logsumexp(x, 3) ; t.bincount(x) ; t.bincount(i2) ; t.bincount(-i) ; t.bincount(i, weights=v4)
t.bincount(i, minlength=-1) ; t.einsum('ij,jk', x) ; t.einsum('ij', v) ; t.einsum('ij,ij', x, x.T) ; t.einsum('i$', x)
t.einsum('ij->ik', x) ; t.einsum('ij->ii', x) ; t.einsum('ii', x) ; t.einsum('i...j...', x3)
t.einsum('ij,jk->ik', x, x) ; t.einsum('ijk', x) ; t.einsum('...ijk', x) ; t.einsum('ij,jk', x, x.T.double())
x.repeat_interleave(-1) ; x.repeat_interleave(t.tensor([1, 2]), 1) ; x.repeat_interleave(v)
x.repeat_interleave(2, 2) ; x.flip(0, 0) ; x.flip(2) ; x.roll((1, 2), 0) ; x.roll((1, 2)) ; x.roll(1, 5)
t.movedim(x, 0, 2) ; t.movedim(x, (0, 1), 0) ; t.movedim(x, (0, 0), (0, 1)) ; x.unflatten(1, (2, 2))
x.unflatten(1, (-1, 2)) ; x.unflatten(2, (1, 1)) ; t.diag(x3) ; x.diagonal(0, 1, 1) ; x.diagonal(0, 0, 2)
v.diagonal() ; t.trace(v) ; t.trace(x3) ; x.unfold(0, 3, 1) ; x.unfold(0, 1, 0) ; x.unfold(2, 1, 1)
t.meshgrid(x, x, indexing='ij') ; t.meshgrid(v, indexing='ji') ; t.hstack([]) ; t.vstack([]) ; t.finfo(t.int32)
t.iinfo(t.float32) ; x.norm('a') ; s.select(0, 0) ; x.select(0, 5) ; x.select(2, 0)
x.index_copy(0, t.tensor([-1]), x[:1]) ; x.index_copy(0, t.tensor([0, 1]), x[:1])
x.index_add(0, t.tensor([-1]), x[:1]) ; x.index_add(0, t.tensor([0, 1]), x[:1]) ; t.bincount(m[0]) ; t.vstack([x, v4])
t.hstack([x, v]) ; t.broadcast_tensors(x, v4) ; t.tril_indices(-1, 2) ; x.median(2) ; e.median(0) ; t.lerp(x, v4, 0.5)
t.lerp(x, x.double(), 0.5) ; t.addcdiv(i, i, i) ; t.addcmul(x, v4, v) ; t.fmod(i, 0) ; t.isclose(x, x.double())
t.isclose(x, v4) ; t.atan2(x, v4) ; x.scatter(0, x, x) ; x.scatter(0, i2 + 7, x) ; x.scatter(0, i2, x.double())
x.scatter(2, i2, x) ; x.scatter(0, i, x) ; x.index_add(0, i, x) ; x.index_add(0, t.tensor([0, 5]), x)
x.index_add(0, i2, x) ; x.index_copy(0, t.tensor([5]), x[:1]) ; x.index_fill(0, t.tensor([7]), 1)
t.masked_select(x, v) ; t.masked_select(x, m4) ; t.masked_scatter(x, m, v[:1]) ; t.masked_scatter(x, m, i)
x.masked_scatter(x, x) ; x.take(t.tensor([9])) ; x.take(v) ; t.mv(x, x) ; t.mv(x, v4) ; t.vdot(x, x) ; t.inner(x, v4)
t.addmm(v4, x, x.T) ; t.addmm(x, x, x) ; t.baddbmm(x3, x3, x3) ; t.where(m, x) ; t.searchsorted(x, v4)
t.searchsorted(s, v) ; v.fill_diagonal_(1) ; w.log_() ; w.scatter_(0, i2, 1.0) ; i.lerp_(i, 0.5) ; x.softmax(axis=3)
x.sum(axis=(0, 0)) ; i.log_() ; i.addcdiv_(i, i) ; x.lerp_(x3, 0.5) ; t.randperm(-1) ; t.normal(0.0, -1.0, (2,))
x.uniform_(1, 0) ; x.normal_(0, -1) ; t.nonzero(3) ; t.LongTensor(3.5) ; t.FloatTensor('a') ; t.FloatTensor(i)
t.LongTensor([[1], [2, 3]]) ; x.type('FloatTensor') ; t.quantile(i, 0.5) ; t.quantile(x, 1.5) ; t.quantile(e, 0.5)
t.quantile(x, 0.5, interpolation='a') ; t.quantile(x, 0.5, 2) ; t.kthvalue(x, 5) ; t.kthvalue(x, 0) ; t.mode(e)
t.histc(i) ; t.histc(x, 0) ; t.histc(x, 3, 2, 1) ; t.cdist(x, t.ones(4, 2)) ; t.cdist(v, x) ; t.cross(t.ones(2, 4), t.ones(2, 4))
t.cross(x, x, dim=0) ; t.cross(x, v4) ; t.tensordot(x, x, 1) ; t.tensordot(x, x, 3) ; t.tensordot(x, v, ([0, 1], [0]))
t.broadcast_shapes((2,), (3,)) ; x.index_put_(i, v) ; x.index_put_((t.tensor([0, 7]),), v) ; x.index_put_((i,), t.tensor(1))
x.sum_to_size(3, 1) ; t.frac(i) ; t.diff(s) ; t.diff(v, -1) ; t.combinations(x) ; t.combinations(v, -1) ; t.cartesian_prod()
t.cartesian_prod(x, x) ; t.nanmean(i) ; t.hypot(x, v4) ; t.fmax(x, v4) ; t.heaviside(x, i) ; w.unsqueeze_(0) ; x.unsqueeze_(5)
x3.t_() ; t.scatter_reduce(x, 0, i2, x, 'median') ; t.scatter_reduce(x, 0, i2 + 9, x, 'amax')
t.scatter_reduce(x, 0, i2, x.double(), 'sum')
t.block_diag(x3) ; t.logspace(0, 1, -1) ; x.is_nonzero() ; x << x ; t.var_mean(i) ; i.log2_()
""")


@each("code", ERRORS)
def test_raises_what_torch_raises(code: str) -> None:
    raised = []
    for library in (torch, mg):
        t = library
        names = {
            "t": t, "F": t.nn.functional, "np": np, "x": t.arange(6.0).reshape(2, 3), "v": t.ones(3), "v4": t.ones(4), "s": t.tensor(1.5),
            "m": t.arange(6).reshape(2, 3) > 2, "m4": t.ones(4) > 0, "i": t.tensor([0, 1, 1]), "i2": t.zeros(2, 3).long(),
            "e": t.zeros(0), "x3": t.ones(2, 3, 4), "w": t.ones(2, 3, requires_grad=True),
        }  # fmt: skip
        with pytest.raises(Exception) as caught:
            eval(code, names)
            mg.cuda.synchronize()  # where a GPU's errors show at the latest
        raised.append(caught.value)
    theirs, ours = raised
    assert type(ours) is type(theirs) or isinstance(ours, type(theirs)), f"{ours!r}, torch {theirs!r}"
    assert str(ours), "an error without a sentence"


# --------------------------------------------------------------------------------------------------- nothing is left out

RANDOM = ["bernoulli", "multinomial", "normal", "rand", "rand_like", "randint", "randn", "randn_like", "randperm"]
RANDOM += ["normal_", "uniform_", "bernoulli_", "exponential_", "random_", "dropout", "gumbel_softmax"]
RANDOM += ["dropout1d", "dropout2d", "dropout3d"]
ENGINE = [
    "backward",
    "retain_grad",
    "register_hook",
    "register_post_accumulate_grad_hook",
    "cuda",
    "set_default_device",
    "get_default_device",
    "get_rng_state",
    "set_rng_state",
]


TABLE = [code for code, _ in [*DIFFERENTIABLE, *WITHOUT_GRADIENT, *IN_PLACE]] + CREATED


def without_a_row(codes: list[str]) -> set[str]:
    """The public functions and methods that none of the codes names."""
    rooms = ("minigrad.ops.", "minigrad.fused")
    functions = {name for name, f in vars(mg).items() if str(getattr(f, "__module__", "")).startswith(rooms)}
    methods = {name for name in vars(mg.methods.TensorMethods) if not name.startswith("_")}
    named = {name for code in codes for name in re.findall(r"\.(\w+)", code)}
    return (functions | methods | set(mg.nn.functional.__all__)) - named - {*RANDOM, *ENGINE}


def test_every_public_op_has_a_row() -> None:
    assert without_a_row(TABLE) == set()


@pytest.mark.parametrize(
    "name", ["exp", "matmul", "embedding", "cross_entropy", "scatter_add", "var", "mul_", "unbind", "cat"]
)
def test_a_row_that_is_taken_out_is_missed(name: str) -> None:
    assert without_a_row([code for code in TABLE if not re.search(rf"\.{name}\b", code)]) >= {name}


def test_methods_are_the_functions() -> None:
    """So that a row for one is a row for the other."""
    methods = {
        name: f for name, f in vars(mg.methods.TensorMethods).items() if not name.startswith("_") and name != "where"
    }
    shared = [name for name in methods if callable(getattr(mg, name, None))]
    assert len(shared) > 60
    assert [name for name in shared if getattr(mg, name) is not getattr(mg.Tensor, name)] == []


# --------------------------------------------------------------------------------------------- could these tests fail?


class Doubled(mg.Op):
    """2 x, and in its subclasses something that looks like it."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * 2

    def backward(self, g: mg.Tensor) -> list[mg.Tensor]:
        return [g * 2]


class WritesIntoItsInput(Doubled):
    def forward(self, x: np.ndarray) -> np.ndarray:
        x *= 2
        return x.copy()


class LosesTheType(Doubled):
    def forward(self, x: np.ndarray) -> np.ndarray:
        return x.astype(np.float32) * 2


class ForgetsTheCotangent(Doubled):
    def backward(self, g: mg.Tensor) -> list[mg.Tensor]:
        return [mg.ones_like(g) * 2]


class ForgetsTheFactor(Doubled):
    def backward(self, g: mg.Tensor) -> list[mg.Tensor]:
        return [g * 1]


class IsNotDifferentiableTwice(Doubled):
    def backward(self, g: mg.Tensor) -> list[mg.Tensor]:
        return [g.detach() * 2]


class WritesIntoTheCotangent(Doubled):
    def backward(self, g: mg.Tensor) -> list[mg.Tensor]:
        y = g * 2
        if not g.requires_grad:
            g.array[...] = 0
        return [y]


class KeepsItsGradient(Doubled):
    """One array for the gradients of all calls, which says that it is fresh."""

    fresh = True
    kept: dict[Any, np.ndarray] = {}

    def backward(self, g: mg.Tensor) -> list[mg.Tensor]:
        if g.requires_grad:
            return [g * 2]
        kept = self.kept.setdefault(g.shape, g.array.copy())
        kept[...] = g.array * 2
        return [wrap(kept)]


MUTANTS = [WritesIntoItsInput, LosesTheType, ForgetsTheCotangent, ForgetsTheFactor, IsNotDifferentiableTwice]
MUTANTS += [WritesIntoTheCotangent, KeepsItsGradient]


def doubles(op: type[mg.Op]) -> bool:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((2, 3)) for _ in range(2)]
    return check_against_torch(lambda t, *xs: [op.apply(x) if t is mg else x * 2 for x in xs], inputs)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_mutants_are_caught(mutant: type[mg.Op]) -> None:
    with pytest.raises(AssertionError):
        doubles(mutant)


def test_no_innocent_is_accused() -> None:
    assert doubles(Doubled)
