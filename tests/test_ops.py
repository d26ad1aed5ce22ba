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
from helpers import as_leaf, both, check_against_torch, numpy_of, same
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # torch comments on nan variances and read-only arrays

TIGHT = {"rtol": 1e-9, "atol": 1e-10}  # float64, second order included
LOOSE = {"rtol": 2e-3, "atol": 2e-4}  # float32

Names = dict[str, Any]
Row = tuple[str, st.SearchStrategy[Names]]

# ------------------------------------------------------------------------------------------------------ what is drawn

SIDES = st.sampled_from([0, 1, 1, 2, 3, 4])
FLAG = st.booleans()


def shapes(min_dims: int = 0, max_dims: int = 4, sides: st.SearchStrategy[int] = SIDES) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(sides, min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def laid_out(draw: st.DrawFn, array: np.ndarray) -> np.ndarray:
    """The same numbers in some memory layout: as they are, transposed, reversed, with gaps, or read-only."""
    layout = draw(st.sampled_from(["plain", "plain", "transposed", "reversed", "gaps", "read-only"]))
    y = np.array(array)
    if layout == "transposed" and y.ndim:
        y = np.asfortranarray(y)
    elif layout == "reversed" and y.ndim:
        y = np.flip(np.flip(y).copy())
    elif layout == "gaps" and y.ndim:
        y = np.repeat(y, 2, axis=-1)[..., ::2]
    y.flags.writeable = layout != "read-only"
    return y


@st.composite
def floats(draw: st.DrawFn, shape: tuple[int, ...], numbers: str = "any") -> np.ndarray:
    """float64: ordinary numbers, or few small integers, so that there are ties and kinks are met; or numbers away from zero."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    if numbers == "positive":
        return draw(laid_out(rng.uniform(0.3, 3.0, shape)))
    if numbers == "nonzero":
        return draw(laid_out(rng.uniform(0.3, 3.0, shape) * rng.choice([-1, 1], shape)))
    if numbers == "any" and draw(FLAG):
        return draw(laid_out(np.asarray(rng.integers(-2, 3, shape), dtype=np.float64)))
    return draw(laid_out(np.asarray(rng.standard_normal(shape))))


@st.composite
def integers(draw: st.DrawFn, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
    """Integers in [low, high), of any width."""
    wide = ["int64", "int64", "int32", "int16", "int8"] + (["uint8", "uint16", "uint32", "uint64"] if low >= 0 else [])
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    numbers = np.asarray(rng.integers(low, max(high, low + 1), shape)).astype(draw(st.sampled_from(wide)))
    return draw(laid_out(numbers))


@st.composite
def masks(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return draw(laid_out(np.asarray(rng.random(shape) < draw(st.sampled_from([0.0, 0.5, 0.5, 1.0])))))


@st.composite
def narrower(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to this one."""
    kept = shape[draw(st.integers(0, len(shape))) if draw(FLAG) else 0 :]
    return tuple(draw(st.sampled_from([n, n, 1])) for n in kept)


def dims(ndim: int) -> st.SearchStrategy[int]:
    """A dimension, counted from either end; a 0-d tensor has dimensions 0 and -1."""
    return st.integers(-max(ndim, 1), max(ndim, 1) - 1)


@st.composite
def several_dims(draw: st.DrawFn, ndim: int) -> Any:
    """None, one dimension, or some of them."""
    some = st.lists(dims(ndim), unique_by=lambda d: d % max(ndim, 1), max_size=ndim).map(tuple)
    return draw(st.none() | dims(ndim) | some)


@st.composite
def one(draw: st.DrawFn, numbers: str = "any", min_dims: int = 0, max_dims: int = 4, full: bool = False) -> Names:
    """x; and dim, dim2, several (dims), flag. full: without axes of size zero."""
    sides = st.sampled_from([1, 2, 3, 4]) if full else SIDES
    x = draw(floats(draw(shapes(min_dims, max_dims, sides)), numbers))
    dim, dim2, several = draw(dims(x.ndim)), draw(dims(x.ndim)), draw(several_dims(x.ndim))
    return {"x": x, "dim": dim, "dim2": dim2, "several": several, "flag": draw(FLAG)}


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
    sizes = [shape] + [tuple(draw(SIDES) if i == dim % len(shape) else n for i, n in enumerate(shape)) for _ in range(2)]
    x, y, z = (draw(floats(s)) for s in sizes)
    return {"x": x, "y": y, "z": z, "u": draw(floats(shape)), "dim": dim, "new": draw(dims(len(shape) + 1)), "e": np.zeros(0)}


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
    x = draw(floats(draw(shapes(min_dims=1, sides=st.sampled_from([1, 2, 3, 4])))))
    dim = draw(dims(x.ndim))
    along = dim % x.ndim
    sizes = tuple(draw(st.integers(0, 5)) if d == along else draw(st.integers(1, n)) for d, n in enumerate(x.shape))
    index = draw(integers(sizes, 0, x.shape[dim]))
    src = draw(floats(sizes))
    whole = draw(integers(tuple(draw(st.integers(0, 5)) if d == along else n for d, n in enumerate(x.shape)), 0, x.shape[dim]))
    return {
        "x": x, "dim": dim, "i": index, "src": src, "whole": whole,
        "r": draw(integers((draw(st.integers(0, 5)),), 0, x.shape[dim])),
    }  # fmt: skip


@st.composite
def triangles(draw: st.DrawFn) -> Names:
    return {"x": draw(floats(draw(shapes(min_dims=2)))), "k": draw(st.integers(-4, 4))}


@st.composite
def tables(draw: st.DrawFn) -> Names:
    rows = draw(st.integers(1, 5))
    return {
        "w": draw(floats((rows, draw(st.integers(1, 3))))),
        "ids": draw(integers(draw(shapes(max_dims=3)), 0, rows)),
        "padding": draw(st.none() | st.integers(-rows, rows - 1)),
        "flag": draw(FLAG),
    }


@st.composite
def losses(draw: st.DrawFn) -> Names:
    """Logits (C,), (N, C) or (N, C, ...), class ids with some ignored, probabilities, class weights."""
    classes = draw(st.integers(1, 5))
    extra = draw(shapes(max_dims=2, sides=st.sampled_from([1, 2, 3])))
    batch = draw(st.sampled_from([(), (1,), (3,), (4,), (0,)]))
    extra = extra if batch else ()
    ids = draw(integers((*batch, *extra), 0, classes)).astype(np.int64)
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


# --- indexing


@st.composite
def keys(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Anything that torch allows in x[...]: one entry after the other, until the axes are used up or we stop."""
    key: list[Any] = []
    axis, dots = 0, False
    common = draw(shapes(max_dims=3, sides=st.sampled_from([0, 1, 2, 3])))  # what the index arrays broadcast to
    kinds = draw(st.sampled_from([["int", "slice", "None"], ["int", "slice", "None", "array", "array", "mask", "list"]]))
    while axis < len(shape) and draw(st.integers(0, 5)):
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
            key += [slice(None)] * (len(shape) - axis)
            break
        axis += 1
        if kind == "int" and n:
            i = draw(st.integers(-n, n - 1))
            key.append(draw(st.sampled_from([i, np.asarray(i)])))
        elif kind in ("array", "list") and n:
            array = draw(integers(draw(narrower(common)), draw(st.sampled_from([-n, 0])), n))
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
    x = draw(floats(draw(shapes(max_dims=4, sides=st.sampled_from([0, 1, 2, 3, 4, 4])))))
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


SMOOTH = "t.exp(x) t.tanh(x) t.sin(x) t.cos(x) t.sigmoid(x) F.tanh(x) F.sigmoid(x) t.square(x) t.neg(x) -x +x".split()
KINKED = "t.abs(x) abs(x) t.relu(x) F.relu(x) t.sign(x) t.floor(x) t.ceil(x) t.trunc(x) t.round(x)".split()
ARITHMETIC = ["x + y", "x - y", "x * y", "t.add(x, y)", "x.add(y, alpha=2)", "t.sub(x, y)", "t.sub(x, y, alpha=0.5)", "t.mul(x, y)"]
WITH_NUMBER = ["x + c", "c + x", "x - c", "c - x", "x * c", "c * x", "x / c", "x % c", "t.remainder(x, c)"]
COMPARISONS = ["x == y", "x != y", "x < y", "x <= y", "x > y", "x >= y", "x < c", "c >= x", "x == c"]
COMPARISONS += [f"t.{name}(x, y)" for name in "eq ne lt le gt ge logical_and logical_or logical_xor".split()]

DIFFERENTIABLE: list[Row] = [
    # elementwise
    *rows(one(), *SMOOTH, *KINKED, "x.negative()", "t.clone(x)", "x.contiguous()", "x * x", "x + x", "x.detach() * x"),
    *rows(one("positive"), "t.log(x)", "t.sqrt(x)", "t.rsqrt(x)", "1 / x", "x ** -1.5", "2 ** x", "x ** x", "x ** -1"),
    *rows(two(), *ARITHMETIC, *WITH_NUMBER, "t.maximum(x, y)", "t.minimum(x, y)", "t.max(x, y)", "t.min(x, y)"),
    *rows(two(), "t.where(m, x, y)", "t.where(m, x, c)", "t.where(m, c, y)", "x.where(m, y)", "x.multiply(y)", "x.subtract(y)"),
    *rows(two(y_numbers="nonzero"), "x / y", "t.div(x, y)", "x.divide(y)", "x.true_divide(y)", "c / y"),
    *rows(two(y_numbers="nonzero"), "t.div(x, y, rounding_mode='floor')", "t.div(x, y, rounding_mode='trunc')"),
    *rows(two(y_numbers="nonzero"), "x % y", "c % y", "t.remainder(x, y)"),
    *rows(two("positive"), "x ** y", "t.pow(x, y)"),
    *rows(powers(), "x ** c", "t.pow(x, c)", "t.pow(x, t.ones_like(x) * c)"),
    *rows(clamps(), "t.clamp(x, low, high)", "x.clip(min=low, max=high)"),
    *rows(three(), "t.clamp(x, y, z)", "t.clamp(x, min=y)", "x.clamp(max=z)"),
    *rows(three(), "x.masked_fill(m, -2)", "t.masked_fill(x, m, float('-inf'))", "t.masked_fill(x, m, y.flatten().mean())"),
    # one type to another
    *rows(one(), "x.double()", "x.to(t.float64)", "x.to(dtype=t.float64)", "x.type(t.float64)", "x.cpu()", "x.type_as(x.double())"),
    *rows(one(), "x.long()", "x.int()", "x.bool()", "x.half().float()", "x.float()", "x.to(t.int16)"),
    # reductions
    *rows(one(), "t.sum(x)", "t.mean(x)", "t.sum(x, dim, flag)", "x.sum(several, keepdim=flag)", "x.mean(several, flag)"),
    *rows(one(), "x.sum(dtype=t.float64)", "x.mean(dim, dtype=t.float64)", "t.mean(x, dim=dim, keepdim=flag)"),
    *rows(one(), "t.var(x)", "t.std(x)", "x.var(several, keepdim=flag)", "x.std(several, keepdim=flag)"),
    *rows(one(), "x.var(dim, unbiased=flag)", "x.std(dim, unbiased=flag)", "x.var(flag)", "x.var(dim, correction=0)"),
    *rows(one(full=True), "t.max(x)", "t.min(x)", "t.max(x, dim, flag)", "t.min(x, dim, keepdim=flag)"),
    *rows(one(full=True), "x.max(dim).values", "x.min(dim)[0]", "t.amax(x, several, flag)", "t.amin(x, several, keepdim=flag)"),
    *rows(one(full=True), "t.amax(x, dim)", "t.amin(x, dim)"),
    *rows(one(), "t.softmax(x, dim)", "t.log_softmax(x, dim)", "F.softmax(x, dim=dim)", "F.log_softmax(x, dim=dim)"),
    *rows(one(), "x.softmax(dim, dtype=t.float64)", "F.log_softmax(x, dim, dtype=t.float64)"),
    # shape
    *rows(reshapes(), "t.reshape(x, to)", "x.reshape(*to) if to else x.reshape(())"),
    *rows(in_order(), "x.view(to)", "x.view(*to) if to else x.view(())", "x.view_as(x.reshape(to))"),
    *rows(flattens(), "t.flatten(x, a, b)", "x.flatten(a)", "x.flatten()"),
    *rows(one(), "t.squeeze(x)", "t.squeeze(x, dim)", "x.squeeze(several if isinstance(several, tuple) else dim)"),
    *rows(one(), "t.unsqueeze(x, dim)", "x.unsqueeze(-1)", "t.transpose(x, dim, dim2)", "x.swapaxes(dim, dim2)"),
    *rows(one(max_dims=2), "t.t(x)", "x.t()", "x.T"),
    *rows(one(min_dims=2), "x.mT"),
    *rows(permutes(), "t.permute(x, order)", "x.permute(*order)"),
    *rows(expands(), "x.expand(kept)", "x.expand(*to)", "t.broadcast_to(x, to)", "x.broadcast_to(to)", "x.expand_as(like)"),
    *rows(expands(), "x.repeat(*times)", "x.repeat(times)"),
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
    *rows(matrices(), "t.matmul(x, y)", "x @ y", "x @ v", "v @ y", "v @ v", "F.linear(x, w, b)", "F.linear(x, w)", "F.linear(v, w, b)"),
    *rows(matrices(), "t.mm(w, w.T)", "t.dot(v, v)", "t.outer(v, b)", "w @ v", "v @ w.mT", "t.outer(b, b)"),
    *rows(matrices(same_batch=True), "t.bmm(x, y)", "x @ y", "x @ x.transpose(-2, -1)"),
    # losses and tables
    *rows(losses(), "F.cross_entropy(x, ids, weight, ignore_index=ignored, reduction=reduction, label_smoothing=eps)"),
    *rows(losses(), "F.cross_entropy(x, p, weight=weight, reduction=reduction, label_smoothing=eps)"),
    *rows(losses(), "F.cross_entropy(x, F.softmax(p, 0).detach(), reduction=reduction)", "F.cross_entropy(x, ids)"),
    *rows(losses(), "F.nll_loss(x, ids, weight=weight, ignore_index=ignored, reduction=reduction)", "F.nll_loss(x, ids)"),
    *rows(losses(), "F.mse_loss(x, p, reduction=reduction)", "F.mse_loss(x, p)"),
    *rows(tables(), "F.embedding(ids, w)", "F.embedding(ids, w, padding_idx=padding)", "F.embedding(ids, w, padding, scale_grad_by_freq=flag)"),
]  # fmt: skip

WITHOUT_GRADIENT: list[Row] = [
    *rows(two(), *COMPARISONS, "x.detach() // c"),
    *rows(two(y_numbers="nonzero"), "x.detach() // y.detach()", "t.floor_divide(x.detach(), y.detach())", "c // y.detach()"),
    *rows(two(), "t.equal(x, y)", "t.allclose(x, y)", "t.allclose(x, x, rtol=0)", "t.equal(x, x + 0)", "t.equal(x.double(), x)"),
    *rows(one(), "t.isnan(x)", "t.isinf(x / 0)", "t.isfinite(1 / x)", "t.logical_not(x)", "x.numel()", "x.dim()", "x.size(dim)"),
    *rows(one(), "t.any(x)", "t.all(x)", "x.any(several, keepdim=flag)", "x.all(several, keepdim=flag)", "x.any(dim)"),
    *rows(one(full=True), "t.argmax(x)", "t.argmin(x)", "x.argmax(dim, keepdim=flag)", "x.argmin(dim, flag)"),
    *rows(one(full=True), "t.max(x, dim)[1]", "t.min(x, dim, flag).indices"),
    *rows(one(), "t.nonzero(x)", "x.nonzero(as_tuple=True)", "x.shape", "t.numel(x)", "x.is_floating_point()", "x.ndim"),
    *rows(two(), "m & (x > y)", "m | (x > y)", "m ^ (x > y)", "~m", "t.bitwise_and(m, x > y)", "t.bitwise_or(m, x > 0)"),
    *rows(two(), "t.bitwise_xor(m, x > y)", "t.bitwise_not(x > y)", "t.logical_and(m, x)", "(x > 0).sum()", "m.sum(0) if m.ndim else m"),
    *rows(tables(), "F.one_hot(ids, 6)", "F.one_hot(ids) if ids.numel() else ids.long()", "ids.long() // 2", "ids.long() % 3"),
    *rows(tables(), "ids.long() & 3", "ids.long() | 4", "ids.long() ^ 1", "~ids.long()", "w.tolist()", "ids.tolist()"),
]

# Each of these changes y, which starts as x * 1 and so has a history.
IN_PLACE: list[Row] = [
    *rows(three(), *(f"y.{name}_(v)" for name in "add sub mul".split()), "y += v", "y -= v", "y *= v", "y.add_(v, alpha=3)"),
    *rows(three(), "y.div_(v.abs() + 1)", "y /= 2", "y **= 2", "y.pow_(2)", "y.mul_(y)", "y.sub_(3).mul_(v)", "y %= 2"),
    *rows(one(), "y.neg_()", "y.exp_()", "y.tanh_()", "y.sigmoid_()", "y.relu_()", "y.abs_()", "y.clamp_(-1, 1)", "y.clamp_(min=0)"),
    *rows(one("positive"), "y.sqrt_()"),
    *rows(three(), "y.masked_fill_(m, -3)", "y.copy_(v)", "y.fill_(2.5)", "y.zero_()", "y.fill_(v.flatten().mean())"),
    *rows(three(), "y.copy_(y * v)", "y.masked_fill_(m, 0).exp_()", "y.copy_(m)", "y.mul_(m)", "y += y"),
    *rows(triangles(), "y.tril_(k)", "y.triu_(k)"),
    *rows(gathers(), "y.scatter_add_(dim, i, src)"),
    *rows(writes(), "y[key] = v", "y[key] = c", "y[key] = v * 2; y[key] = c"),
    *rows(writes(), "y[key] += 1" , "y[key] *= 2"),
]  # fmt: skip

TABLE = [*DIFFERENTIABLE, *WITHOUT_GRADIENT]


def run(code: str | CodeType, library: Any, names: Names) -> Any:
    """The value of an expression, or what y is after statements."""
    scope = {"t": library, "F": library.nn.functional, **names}
    if code in STATEMENTS:
        scope.update(y=names["x"] * 1, v=names.get("v", names.get("y")))
        exec(STATEMENTS[code], scope)
        return scope["y"]
    return eval(code, scope)


STATEMENTS: dict[str, CodeType] = {code: compile(code, code, "exec") for code, _ in IN_PLACE}


def constants(library: Any, names: Names) -> Names:
    """The names that stand for no float array, as the library takes them."""
    convert = (lambda a: mg.from_numpy(a)) if library is mg else torch_key

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


def narrow(array: np.ndarray) -> np.ndarray:
    """The array in float32, in the same memory layout as far as it matters: contiguous or not."""
    y = np.lib.stride_tricks.as_strided(np.empty(array.shape, np.float32)) if array.size == 0 else array.astype(np.float32)
    return y


def cases(table: list[Row]) -> Any:
    return pytest.mark.parametrize(("code", "strategy"), table, ids=[f"{i}: {code}" for i, (code, _) in enumerate(table)])


@cases([*DIFFERENTIABLE, *IN_PLACE])
@settings(max_examples=12)
@given(data=st.data())
def test_values_and_gradients(code: str, strategy: st.SearchStrategy[Names], data: st.DataObject) -> None:
    names = data.draw(strategy)
    f, inputs = program(code, names)
    check_against_torch(f, inputs, **TIGHT)
    if not any(word in code for word in ("float64", "double")):
        check_against_torch(f, [narrow(x) for x in inputs], second_order=False, **LOOSE)
