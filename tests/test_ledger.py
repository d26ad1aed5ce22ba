"""The ledger of bits: op by op, whether minigrad's numbers are torch's bit for bit or, if not, within how many ulp.

A row of LEDGER is code that runs in both libraries on the same drawn numbers, and a promise about the two results.

Promise 0 is bit for bit: the same shape, the same dtype and in every entry the same bits, so that 0 and -0 differ; only nans
are all one, as nobody computes with their sign and payload.

Promise n is a distance of at most n ulp in every entry, where an ulp is the step from one float to the next, and 0 and -0 are
one number. A row that names no unit takes the step at the result: its distance is a count of floats. A sum whose terms cancel
has no such precision in either library, whatever the order in which it is added up. There a row names as its unit the sum of
the terms' absolute values, or whatever else was rounded on the way, and the distance is |ours - torch's| in ulp of that number.

Promise DIFFERS states a difference that is known: such a row fails when the difference is gone, and should become a promise.

`python tests/test_ledger.py` prints what is measured, and the share of entries that differ in any bit. The numbers here were
measured with torch 2.13 and NumPy 2.4 on a CPU with AVX512, for which both choose kernels of their own. Every n above 0 leaves
some room for other CPUs, where exp, sin or a matrix product may be rounded otherwise; all rows held for 20 more seeds, and with
both libraries told to use AVX2 only. torch runs on one thread: on more it adds up the gradient of x[ids] in no fixed order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from helpers import as_list, numpy_of

import minigrad as mg
from minigrad.testing import ulp_distance

pytestmark = pytest.mark.cpu_only("which bits are torch's is promised of the CPU's arithmetic")

SEEDS = range(3)
DIFFERS = None

Arrays = Sequence[np.ndarray]
Rng = np.random.Generator


class Row(NamedTuple):
    name: str
    code: Callable[..., Any]  # of a library and of tensors: a tensor or several
    draw: Callable[[Rng], Arrays]  # the tensors' numbers
    promise: float | None = 0
    unit: Callable[..., np.ndarray] | None = None  # of the same numbers, floats in float64: where an ulp is taken


# --------------------------------------------------------------------------------------------------------------- the ruler


class Measured(NamedTuple):
    worst: float = 0.0  # ulp
    differing: int = 0  # entries, in any bit
    entries: int = 0
    first: str = ""  # the first entry that differs

    def and_also(self, other: Measured) -> Measured:
        counts = self.differing + other.differing, self.entries + other.entries
        return Measured(max(self.worst, other.worst), *counts, self.first or other.first)


def differing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where the bits differ, and not both are nan."""
    kind = f"u{a.itemsize}"
    return (a.view(kind) != b.view(kind)) & ~((a != a) & (b != b))


def distance(a: np.ndarray, b: np.ndarray, unit: np.ndarray | None = None) -> np.ndarray:
    """In ulp of the unit, or in floats; of integers and bools, their difference."""
    wide = a.astype(np.float64), b.astype(np.float64)
    if a.dtype.kind == "f" and unit is None:
        return ulp_distance(a, b)
    assert np.isfinite(wide).all(), "this distance is between finite numbers"
    return np.abs(wide[0] - wide[1]) / (1 if unit is None else np.spacing(unit.astype(a.dtype)))


def compare(ours: Any, theirs: Any, unit: np.ndarray | None = None) -> Measured:
    """Two results entry by entry; raises AssertionError where shapes or dtypes are not the same."""
    a, b = (np.array(numpy_of(x), order="C") for x in (ours, theirs))
    assert (a.shape, a.dtype) == (b.shape, b.dtype), f"{a.dtype} {a.shape}, torch has {b.dtype} {b.shape}"
    bad = differing(a, b)
    if not bad.any():
        return Measured(entries=bad.size)
    far = distance(a[bad], b[bad], None if unit is None else np.broadcast_to(unit, a.shape)[bad])
    where = [int(i[0]) for i in np.nonzero(np.atleast_1d(bad))][: a.ndim]
    first = f"the first, at {where}, is {a[bad][0]!s} where torch has {b[bad][0]!s}, {far[0]:g} ulp away"
    return Measured(float(far.max()), int(bad.sum()), bad.size, first)


@np.errstate(all="ignore")
def measure(row: Row, seed: int) -> Measured:
    """The row's code in both libraries, on the numbers of one seed."""
    inputs = row.draw(np.random.default_rng(seed))
    with np.errstate(divide="raise", over="raise", invalid="raise"):  # no warning of NumPy's may leave an op
        ours = as_list(row.code(mg, *(mg.tensor(x.copy()) for x in inputs)))
    theirs = as_list(row.code(torch, *(torch.tensor(x.copy()) for x in inputs)))
    unit = None if row.unit is None else row.unit(*(x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs))
    found = Measured()
    for a, b in zip(ours, theirs, strict=True):
        found = found.and_also(compare(a, b, unit))
    return found


def check(row: Row, found: Measured) -> None:
    """Raise AssertionError if what was found is not what the row says."""
    if row.promise is DIFFERS:
        assert found.differing, f"{row.name}: stated to differ from torch, but no longer does: promise 0"
    elif row.promise == 0:
        assert not found.differing, f"{row.name}: {found.differing} of {found.entries} entries differ; {found.first}"
    else:
        assert found.worst <= row.promise, f"{row.name}: {found.worst:g} ulp, promised {row.promise:g}; {found.first}"


# ----------------------------------------------------------------------------------------------------------------- numbers

N = 20011  # not a multiple of the width of any vector instruction, so that the rest at the end is seen too
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 1e-38, 3e38, -3e38, np.inf, -np.inf, np.nan], np.float32)


def numbers(r: Rng, *shape: int) -> np.ndarray:
    """float32 of ten magnitudes, and zeros of both signs: their sum depends on the order."""
    x = r.standard_normal(shape) * 10.0 ** r.integers(-4, 5, shape)
    return np.where(r.random(shape) < 0.05, r.choice([0.0, -0.0], shape), x).astype(np.float32)


def normals(r: Rng, *shape: int) -> np.ndarray:
    return r.standard_normal(shape).astype(np.float32)


def bits(r: Rng, *shape: int, dtype: Any = np.float32) -> np.ndarray:
    """Every float is as likely as every other: all exponents, denormals, infinities, nans."""
    kind = np.dtype(f"u{np.dtype(dtype).itemsize}")
    return np.asarray(r.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)).view(dtype)


def words(r: Rng, rows: int, *shape: int) -> np.ndarray:
    """Ids of which a few make up most, as words in a text."""
    return (r.zipf(1.3, shape) - 1) % rows


# What a row's `draw` is: of a generator, arrays.


def of(*shapes: tuple[int, ...], draw: Callable[..., np.ndarray] = numbers) -> Callable[[Rng], Arrays]:
    """One array of each shape."""
    return lambda r: [draw(r, *shape) for shape in shapes]


def between(low: float, high: float) -> Callable[[Rng], Arrays]:
    return lambda r: [r.uniform(low, high, N).astype(np.float32)]


def anything(r: Rng) -> Arrays:
    return [np.concatenate([bits(r, N), numbers(r, N), SPECIAL])]


def anything_and(low: float, high: float) -> Callable[[Rng], Arrays]:
    return lambda r: [np.concatenate([*anything(r), *between(low, high)(r)])]


def any_two(r: Rng) -> Arrays:
    """Pairs of all floats, of common sizes, and every special number with every other."""
    n = len(SPECIAL)
    x, y = (np.concatenate([bits(r, N), numbers(r, N)]) for _ in range(2))
    return [np.concatenate([x, np.repeat(SPECIAL, n)]), np.concatenate([y, np.tile(SPECIAL, n)])]


def positive_zeros(draw: Callable[[Rng], Arrays]) -> Callable[[Rng], Arrays]:
    return lambda r: [np.where(x == 0, x.dtype.type(0), x) for x in draw(r)]


def and_g(draw: Callable[[Rng], Arrays]) -> Callable[[Rng], Arrays]:
    """What draw draws and, for an elementwise op, the gradient of its result."""
    return lambda r: [*(xs := draw(r)), numbers(r, *xs[0].shape)]


def constant(x: float) -> Callable[[Rng], Arrays]:
    return lambda r: [np.full(100, x, np.float32)]


def ties(r: Rng) -> Arrays:
    """Few different numbers, so that most rows have several extremes, and a gradient for every row."""
    return [r.integers(1, 9, WIDE).astype(np.float32), numbers(r, WIDE[0])]


def integer_pairs(r: Rng) -> Arrays:
    """Of both signs, the second never 0."""
    return [r.integers(-1000, 1000, N), r.integers(1, 50, N) * r.choice([-1, 1], N)]


def lookups(r: Rng) -> Arrays:
    """A table, thousands of ids, and a gradient for each."""
    return [numbers(r, 300, 17), words(r, 300, 5003), numbers(r, 5003, 17)]


def lookups_of_three(r: Rng) -> Arrays:
    """Every row is read more than a thousand times."""
    return [numbers(r, 3, 9), r.integers(0, 3, 5003), numbers(r, 5003, 9)]


def cells(r: Rng) -> Arrays:
    """x, which of its elements to read along dim 1, and a gradient for each."""
    return [numbers(r, 50, 60), r.integers(0, 60, (50, 50)), numbers(r, 50, 50)]


def gpt_inputs(batch: int) -> Callable[[Rng], Arrays]:
    """Two tables, ids (B, T), and the gradient of the result."""
    return lambda r: [numbers(r, 300, 17), numbers(r, 40, 17), words(r, 300, batch, 32), numbers(r, batch, 32, 17)]


def logits(r: Rng) -> Arrays:
    return [3 * normals(r, *WIDE)]


def logits_and_targets(r: Rng) -> Arrays:
    return [*logits(r), r.integers(0, WIDE[1], WIDE[0])]


def batches(r: Rng) -> Arrays:
    """A table, and for five batches the ids and a gradient for each id."""
    return [normals(r, 300, 17), words(r, 300, 5, 600), normals(r, 5, 600, 17)]


def seed(r: Rng) -> Arrays:
    return [np.asarray(r.integers(0, 2**62))]


def bounds(r: Rng) -> Arrays:
    """Where to start, and how far to go."""
    return [np.asarray(r.normal() * 10.0 ** r.integers(-3, 4)), np.asarray(r.uniform(0.1, 1000))]


# -------------------------------------------------------------------------------------------------------------------- code


def gradient(f: Callable[..., Any], wrt: int = 0) -> Callable[..., Any]:
    """f's gradient in one of its inputs. The last tensor is the gradient of f's value."""

    def code(t: Any, *tensors: Any) -> Any:
        *xs, g = tensors
        xs[wrt].requires_grad_()
        return t.autograd.grad(f(t, *xs), xs[wrt], g)[0]

    return code


def embedding(t: Any, table: Any, ids: Any) -> Any:
    return t.nn.functional.embedding(ids, table)


def linear(t: Any, x: Any, weight: Any, bias: Any) -> Any:
    return t.nn.functional.linear(x, weight, bias)


def loss(t: Any, logits: Any, target: Any) -> Any:
    return t.nn.functional.cross_entropy(logits, target)


def losses(t: Any, logits: Any, target: Any) -> Any:
    return t.nn.functional.cross_entropy(logits, target, reduction="none")


def gpt_input(t: Any, tokens: Any, positions: Any, ids: Any, g: Any) -> list[Any]:
    """TokenAndPositionEmbedding, or in torch its definition: the value, and the gradients of both tables."""
    tokens, positions = t.nn.Parameter(tokens), t.nn.Parameter(positions)
    if t is mg:
        layer = mg.nn.TokenAndPositionEmbedding(tokens.shape[0], *positions.shape)
        layer.token.weight, layer.position.weight = tokens, positions
        y = layer(ids)
    else:
        y = embedding(t, tokens, ids) + embedding(t, positions, t.arange(ids.shape[-1]))
    y.backward(g)
    return [y, tokens.grad, positions.grad]


def scattered(t: Any, y: Any, index: Any) -> Any:
    return t.zeros(50, 60).scatter_add(1, index, y)


def moved(t: Any, x: Any) -> list[Any]:
    return [
        x.permute(2, 0, 1).reshape(60, 330),
        x[0].T,
        x[:, None].expand(20, 3, 30, 33),
        x.repeat(1, 2, 1),
        x.flatten(1),
    ]


def cut(t: Any, x: Any) -> list[Any]:
    return [x[1:-1, ::3], x[..., -1], x.narrow(1, 3, 4), *x.split(7), *x.chunk(4, 2), *x.unbind(1)[:2]]


def of_crossed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return abs(np.roll(x, -1, 0) * np.roll(y, -2, 0)) + abs(np.roll(x, -2, 0) * np.roll(y, -1, 0))


def put_again(r: Rng) -> Arrays:
    return [numbers(r, 3000), r.integers(0, 400, 3000)]


def turned(t: Any, x: Any) -> list[Any]:
    return [
        x.flip(0, 2),
        x.roll((1, -2), (0, 1)),
        x.movedim(0, 2),
        x.repeat_interleave(3, 1),
        x.repeat_interleave(t.arange(20), 0),
    ]


def diagonals(t: Any, x: Any) -> list[Any]:
    return [x.diagonal(), t.diag(x, -3), t.diag_embed(x[:5], 2), x.unfold(0, 7, 3), t.trace(x[:2])]


def written(t: Any, x: Any, i: Any, y: Any) -> list[Any]:
    return [x.scatter(1, i[:, :1], y), x.index_add(0, i[0] % 50, y.repeat(1, 2)[:, :60]), x.index_fill(1, i[0], 2.5)]


def counted(t: Any, x: Any, g: Any) -> list[Any]:
    ids = x.long().flatten()
    counts = [t.bincount(ids), t.bincount(ids, x.flatten())]
    return [*t.unique(x, return_inverse=True, return_counts=True), *counts, t.searchsorted(x.unique(), x)]


def compared(t: Any, x: Any, y: Any) -> list[Any]:
    return [x == y, x != y, x < y, x <= y, x > y, x >= y]


def chosen(t: Any, x: Any, y: Any) -> list[Any]:
    return [t.where(x < y, x, y), t.where(x < y, x, 0.1), x.masked_fill(x < y, float("-inf"))]


def extremes(t: Any, x: Any) -> list[Any]:
    return [x.amax(-1), x.amin(0), x.max(0)[0], x.min(-1)[0], x.max(), x.min()]


def where_extremes_are(t: Any, x: Any, g: Any) -> list[Any]:
    return [x.argmax(-1), x.argmin(0), x.argmax(), x.max(0)[1], x.min(-1)[1]]


def into_transposed(t: Any) -> Any:
    x = t.empty(17, 60).T
    return [x.normal_(), x.clone().uniform_()]


def product(t: Any, x: Any, y: Any) -> Any:
    return x @ y


def quotient(t: Any, x: Any, y: Any) -> Any:
    return x / y


def softmax(t: Any, x: Any) -> Any:
    return t.softmax(x, -1)


def log_softmax(t: Any, x: Any) -> Any:
    return t.log_softmax(x, -1)


def variance(t: Any, x: Any) -> Any:
    return x.var(-1)


def functional(name: str, **options: Any) -> Callable[..., Any]:
    return lambda t, *xs: getattr(t.nn.functional, name)(*xs, **options)


def layer_norm(t: Any, x: Any) -> Any:
    return t.nn.functional.layer_norm(x, x.shape[-1:])


def rms_norm(t: Any, x: Any) -> Any:
    return t.nn.functional.rms_norm(x, x.shape[-1:])


def attention(t: Any, q: Any, k: Any, v: Any) -> Any:
    return t.nn.functional.scaled_dot_product_attention(q, k, v)


def part(i: int, code: Callable[..., Any]) -> Callable[..., Any]:
    return lambda t, *tensors: code(t, *tensors)[i]


def trained(make: Callable[[Any, list[Any]], Any]) -> Callable[..., Any]:
    """A parameter after one step of an optimizer for each of the given gradients."""

    def code(t: Any, p: Any, gradients: Any) -> Any:
        optimizer = make(t.optim, [p.requires_grad_()])
        for g in gradients:
            p.grad = g.clone()
            optimizer.step()
        return p

    return code


def clipped(t: Any, *gradients: Any) -> list[Any]:
    """The gradients, clipped, and their norm: in float32, torch adds it up in an order that everything after depends on."""
    params = [t.zeros_like(g, requires_grad=True) for g in gradients]
    for p, g in zip(params, gradients, strict=True):
        p.grad = g.clone()
    return [t.nn.utils.clip_grad_norm_(params, 1.0), *(p.grad for p in params)]


def trained_table(t: Any, table: Any, ids: Any, gradients: Any) -> Any:
    """The main job: look up, scatter-add, SGD; one step per batch."""
    optimizer = t.optim.SGD([table.requires_grad_()], lr=0.1)
    for batch, g in zip(ids, gradients, strict=True):
        optimizer.zero_grad()
        embedding(t, table, batch).backward(g)
        optimizer.step()
    return table


def first_weights(t: Any) -> list[Any]:
    layer = t.nn.Linear(129, 70)
    return [t.nn.Embedding(300, 17).weight, layer.weight, layer.bias]


def initialised(t: Any) -> list[Any]:
    init = t.nn.init
    return [
        init.kaiming_normal_(t.empty(70, 30), mode="fan_out", nonlinearity="relu"),
        init.xavier_normal_(t.empty(9, 5)),
        init.trunc_normal_(t.empty(100, 30), std=0.02),
        init.trunc_normal_(t.empty(3000)),
        init.trunc_normal_(t.empty(100, 30), a=1.0, b=3.0),
    ]


def linspace64(t: Any, start: Any, length: Any) -> Any:
    return t.linspace(start.item(), start.item() + length.item(), 1003, dtype=t.float64)


def drawn(f: Callable[[Any], Any]) -> Callable[..., list[Any]]:
    """What f draws from a seed, and the 5056 bytes of the generator's state afterwards."""

    def code(t: Any, seed: Any) -> list[Any]:
        before = t.get_rng_state()
        t.manual_seed(seed.item())
        try:
            return [*as_list(f(t)), t.get_rng_state()]
        finally:
            t.set_rng_state(before)

    return code


# ------------------------------------------------------------------------------------------------------------------- units


def absolute(f: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """What f would be if nothing cancelled: f of absolute values."""
    return lambda *xs: f(*(np.abs(x) for x in xs))


def of_g(*inputs: np.ndarray) -> np.ndarray:
    """For g (1 - y²) and g y (1 - y), in which the 1 cancels."""
    return np.abs(inputs[-1])


def probabilities(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def of_positions(tokens: np.ndarray, positions: np.ndarray, ids: np.ndarray, g: np.ndarray) -> np.ndarray:
    total = np.zeros_like(positions)
    total[: g.shape[1]] = np.abs(g).sum(0)
    return total


def of_var_gradient(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """2/(n-1) g (x - mean), its terms not subtracted but added."""
    return 2 / (x.shape[1] - 1) * np.abs(g)[:, None] * (np.abs(x) + np.abs(x).mean(-1, keepdims=True))


def of_softmax_gradient(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    p = probabilities(x)
    return p * (np.abs(g) + (p * np.abs(g)).sum(-1, keepdims=True))


def of_logaddexp(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 1 + np.abs(np.logaddexp(x, y))


def of_log_softmax(x: np.ndarray) -> np.ndarray:
    """ln Σ exp(x - m) is as precise as the sum, which is at least 1."""
    return 1 + np.abs(np.log(probabilities(x)))


def of_log_softmax_gradient(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.abs(g) + probabilities(x) * np.abs(g).sum(-1, keepdims=True)


def normalised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def of_layer_norm(x: np.ndarray) -> np.ndarray:
    return 1 + np.abs(normalised(x))


def of_layer_norm_gradient(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    n, g = np.abs(normalised(x)), np.abs(g)
    return (g + g.mean(-1, keepdims=True) + n * (g * n).mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def of_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    return probabilities(q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5) @ np.abs(v)


def of_losses(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.take_along_axis(of_log_softmax(x), target[:, None], 1)[:, 0]


def of_loss_gradient(x: np.ndarray, target: np.ndarray, g: np.ndarray) -> np.ndarray:
    """g/n (p - one_hot(target)), where torch makes p of ln p and so carries the error of that."""
    p = probabilities(x)
    return np.abs(g) / len(x) * (p * of_log_softmax(x) + np.eye(x.shape[1])[target])


def of_steps(size: float) -> Callable[..., np.ndarray]:
    """A parameter and, at that size, all gradients that were subtracted from it."""
    return lambda p, gradients: np.abs(p) + size * np.abs(gradients).sum(0)


def of_adam(p: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """A parameter and as many steps, each about as large as the learning rate."""
    return np.abs(p) + 0.01 * len(gradients)


def of_trained_table(table: np.ndarray, ids: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    total = np.abs(table)
    np.add.at(total, ids.reshape(-1), 0.1 * np.abs(gradients).reshape(-1, table.shape[1]))
    return total


# -------------------------------------------------------------------------------------------------------------- the ledger

WIDE, TALL, CUBE, LINE = (60, 509), (509, 60), (20, 30, 33), (N,)
MATRICES = (100, 517), (517, 530), (100, 530)  # x, y and the gradient of x y
WEIGHTS = (3, 30, 517), (530, 517), (530,), (3, 30, 530)  # x, w, b and the gradient of x wᵀ + b
ROW, ROWS = (5003,), (10, 5003)

# fmt: off
TABLES = [
    Row("embedding", embedding, lambda r: [bits(r, 400, 50), words(r, 400, 40, 25)]),
    Row("embedding: gradient (scatter-add)", gradient(embedding), lookups),
    Row("embedding: gradient, of three rows", gradient(embedding), lookups_of_three),
    Row("x[ids]", lambda t, x, i: x[i], lambda r: [bits(r, N), r.integers(-N, N, 3000)]),
    Row("x[ids]: gradient (scatter-add)", gradient(lambda t, x, i: x[i]), lookups),
    Row("index_select", lambda t, x, i, g: t.index_select(x, 0, i), lookups),
    Row("index_select: gradient (scatter-add)", gradient(lambda t, x, i: t.index_select(x, 0, i)), lookups),
    Row("gather", lambda t, x, i, g: t.gather(x, 1, i), cells),
    Row("gather: gradient (scatter-add)", gradient(lambda t, x, i: t.gather(x, 1, i)), cells),
    Row("scatter_add to zeros", lambda t, x, i, y: scattered(t, y, i), cells),
    Row("scatter_add to zeros: gradient", lambda t, x, i, y: gradient(scattered)(t, y, i, x), cells),
    Row("scatter_add to x", lambda t, x, i, y: x.scatter_add(1, i, y), cells),
    Row("one_hot", lambda t, i: t.nn.functional.one_hot(i, 300), lambda r: [words(r, 300, 500)]),
    Row("(B, T, D) + (T, D)", lambda t, x, p: x + p, of((24, 32, 17), (32, 17))),
    Row("TokenAndPositionEmbedding", part(0, gpt_input), gpt_inputs(24)),
    Row("  tokens' gradient (scatter-add)", part(1, gpt_input), gpt_inputs(24)),
    Row("  positions' gradient, B = 8, T D = 544", part(2, gpt_input), gpt_inputs(8)),
    Row("  positions' gradient, B = 24, in ulp of Σ|g|", part(2, gpt_input), gpt_inputs(24), 3, of_positions),
]

MOVEMENTS = [
    Row("permute, reshape, T, expand, repeat, flatten", moved, of(CUBE, draw=bits)),
    Row("permute, reshape: gradient", gradient(lambda t, x: x.permute(2, 0, 1).reshape(60, 330)), of(CUBE, (60, 330))),
    Row("slices, narrow, split, chunk, unbind", cut, of(CUBE, draw=bits)),
    Row("slices: gradient", gradient(lambda t, x: x[1:-1, ::3]), of((40, 60), (38, 20))),
    Row("x[mask], nonzero", lambda t, x: [x[x > 0], t.nonzero(x)], anything),
    Row("cat, stack", lambda t, x, y: [t.cat([x, y]), t.cat([x, y], 1), t.stack([x, y], 1)], of(WIDE, WIDE, draw=bits)),
    Row("cat: gradient", gradient(lambda t, x, y: t.cat([x, y], 1)), of((40, 30), (40, 33), (40, 63))),
    Row("tril, triu", lambda t, x: [t.tril(x), t.triu(x, 3)], of(CUBE, draw=bits)),
    Row("flip, roll, movedim, repeat_interleave", turned, of(CUBE, draw=bits)),
    Row("diagonal, diag, diag_embed, unfold", diagonals, of(TALL, draw=bits)),
    Row("flip, roll: gradient", gradient(lambda t, x: t.roll(t.flip(x, (0,)), 3, 1)), positive_zeros(of(TALL, TALL))),
    Row("repeat_interleave by a tensor: gradient (scatter-add)",
        gradient(lambda t, x: x.repeat_interleave(t.arange(40) % 5, 0)), of((40, 30), (80, 30))),
    Row("scatter, index_add, index_fill", written, cells),
    Row("masked_select, take", lambda t, x: [t.masked_select(x, x > 0), t.take(x, t.tensor([5, -1, 7]))], anything),
    Row("tril: gradient", gradient(lambda t, x: t.tril(x)), of(CUBE, CUBE)),
]

CASTS = [
    Row("float64 to float32",
        lambda t, x: x.float(), lambda r: [np.append(bits(r, N, dtype=np.float64), r.standard_normal(N))]),
    Row("float32 to float16", lambda t, x: x.half(), anything),
    Row("float64 to float16", lambda t, x: x.half(), lambda r: [r.standard_normal(N)]),
    Row("float16 to float32 to float64", lambda t, x: x.float().double(), lambda r: [bits(r, N, dtype=np.float16)]),
    Row("float32 to int64, to bool", lambda t, x: [x.long(), x.bool()], of(LINE)),
    Row("int64 to float32", lambda t, i: i.float(), lambda r: [r.integers(-(2**62), 2**62, N)]),
]

ARITHMETIC = [
    Row("x + y", lambda t, x, y: x + y, any_two),
    Row("x - y", lambda t, x, y: x - y, any_two),
    Row("x * y", lambda t, x, y: x * y, any_two),
    Row("x / y", lambda t, x, y: x / y, any_two),
    Row("with numbers: +, -, *, /", lambda t, x: [x + 0.7, 0.7 - x, x * 0.3, x / 0.3, 3 / x], anything),
    Row("x * y: gradient", gradient(lambda t, x, y: x * y), and_g(of(LINE, LINE))),
    Row("x / y: gradient in x", gradient(quotient), and_g(of(LINE, LINE))),
    Row("x / y: gradient in y", gradient(quotient, 1), and_g(of(LINE, LINE))),
    Row("neg, abs, sign", lambda t, x: [-x, abs(x), t.sign(x)], anything),
    Row("abs: gradient", gradient(lambda t, x: abs(x)), and_g(of(LINE))),
    Row("floor, ceil, trunc, round", lambda t, x: [t.floor(x), t.ceil(x), t.trunc(x), t.round(x)], anything),
    Row("relu", lambda t, x: t.relu(x), anything),
    Row("relu: gradient", gradient(lambda t, x: t.relu(x)), and_g(of(LINE))),
    Row("clamp", lambda t, x: [x.clamp(-1.0, 2.0), x.clamp(0.0, 1.0), x.clamp(min=0.0), x.clamp(max=0.0)], anything),
    Row("clamp: gradient", gradient(lambda t, x: x.clamp(-1.0, 2.0)), and_g(of(LINE))),
    Row("maximum, minimum, but of 0 and -0", lambda t, *x: [t.maximum(*x), t.minimum(*x)], positive_zeros(any_two)),
    Row("maximum: gradient", gradient(lambda t, x, y: t.maximum(x, y)), and_g(of(LINE, LINE))),
    Row("where, masked_fill", chosen, any_two),
    Row("where: gradient", gradient(lambda t, x, y: t.where(x < y, x, y)), and_g(of(LINE, LINE))),
    Row("==, !=, <, <=, >, >=", compared, any_two),
    Row("isnan, isinf, isfinite", lambda t, x: [t.isnan(x), t.isinf(x), t.isfinite(x)], anything),
    Row("reciprocal, x ** -1", lambda t, x: [t.reciprocal(x), x**-1], anything),
    Row("reciprocal: gradient", gradient(lambda t, x: t.reciprocal(x)), and_g(of(LINE))),
    Row("square, x ** 2", lambda t, x: [t.square(x), x**2], anything),
    Row("square: gradient", gradient(lambda t, x: t.square(x)), and_g(of(LINE))),
    Row("x ** 3, x ** -2, x ** -0.5", lambda t, x: [x**3, x**-2, x**-0.5], anything),
    Row("x ** 3: gradient", gradient(lambda t, x: x**3), and_g(of(LINE))),
    Row("x ** 4, x ** -1, x ** 0.5: gradient",
        gradient(lambda t, x: x**4 + x**-1 + x**0.5), and_g(between(0, 1e3))),
    Row("x ** y", lambda t, x, y: x**y, lambda r: [*between(0, 5)(r), *between(-5, 5)(r)], 2),
    Row("sqrt (ours is the nearest float)", lambda t, x: t.sqrt(x), anything, 1),
    Row("sqrt: gradient", gradient(lambda t, x: t.sqrt(x)), and_g(between(0, 1e3)), 3),
    Row("rsqrt", lambda t, x: t.rsqrt(x), anything),
    Row("rsqrt: gradient", gradient(lambda t, x: t.rsqrt(x)), and_g(between(0, 1e3))),
    Row("x // y", lambda t, x, y: x // y, any_two),
    Row("x % y", lambda t, x, y: x % y, lambda r: [*between(-9, 9)(r), *between(-5, 5)(r)]),
    Row("x % y of multiples (the sign of 0)", lambda t, x: [x % -2.0, -x % 2.0], constant(4.0)),
    Row("lerp", lambda t, x, y: [t.lerp(x, y, 0.3), t.lerp(x, y, 0.8)], of(LINE, LINE)),
    Row("addcmul, addcdiv", lambda t, x, y: [t.addcmul(x, x, y, value=0.3), t.addcdiv(x, y, y + 9, value=0.3)], of(LINE, LINE)),
    Row("fmod", lambda t, x, y: t.fmod(x, y), lambda r: [*between(-9, 9)(r), *between(-5, 5)(r)]),
    Row("nan_to_num", lambda t, x: t.nan_to_num(x), anything),
    # ---- what other people's scripts use
    Row("frac, fmax, fmin, heaviside",
        lambda t, x, y: [t.frac(x), t.fmax(x, y), t.fmin(x, y), t.heaviside(x, y)], positive_zeros(of(LINE, LINE))),
    Row("deg2rad, rad2deg", lambda t, x: [t.deg2rad(x), t.rad2deg(x)], anything),
    Row("hypot", lambda t, x, y: t.hypot(x, y), of(LINE, LINE), 1),
    Row("sinc", lambda t, x: t.sinc(x), of(LINE, draw=normals), 3),
    Row("diff, kron", lambda t, x: [t.diff(x, dim=0), t.kron(x[:9, :9], x[:5, :7])], of(WIDE)),
    Row("cross, in ulp of its two products", lambda t, x, y: t.cross(x, y, dim=0), of((3, 99), (3, 99)), 2, of_crossed),
    Row("quantile", lambda t, x: [t.quantile(x, 0.3, 0), t.quantile(x, 0.77)], positive_zeros(of(WIDE))),
    Row("kthvalue, mode, histc", lambda t, x: [t.kthvalue(x, 3).values, t.mode(x)[0], t.histc(x, 20, -2, 2)], of(WIDE, draw=normals)),
    Row("nansum, in ulp of Σ|x|", lambda t, x: t.nansum(x, 0), of(WIDE, draw=normals), 8, lambda x: abs(x).sum(0)),
    Row("var_mean: variance", lambda t, x: t.var_mean(x, 1)[0], of(WIDE, draw=normals), 4),
    Row("cdist", lambda t, x: t.cdist(x[:7], x[7:20]), of(WIDE, draw=normals), 12),
    Row("scatter_reduce: sum, mean", lambda t, x, i, y: [x.scatter_reduce(1, i, y, r) for r in ("sum", "mean")], cells),
    Row("scatter_reduce: amax, amin", lambda t, x, i, y: [x.scatter_reduce(1, i, y, r) for r in ("amax", "amin")], cells, 1),
    Row("index_put, accumulating (scatter-add)", lambda t, x, i: x.index_put((i,), x[: len(i)], accumulate=True), put_again),
    Row("logspace", lambda t, x: t.logspace(-3, 3, 1001), of((1,)), 1),
    Row("integers: /, //, %", lambda t, i, j: [i / j, i // j, i % j], integer_pairs),
    Row("integers: &, |, ^, ~", lambda t, i, j: [i & j, i | j, i ^ j, ~i], integer_pairs),
]

FUNCTIONS = [
    Row("exp", lambda t, x: t.exp(x), anything_and(-87, 88), 3),
    Row("exp: gradient", gradient(lambda t, x: t.exp(x)), and_g(between(-20, 20)), 4),
    Row("log", lambda t, x: t.log(x), anything_and(0, 20), 4),
    Row("log: gradient", gradient(lambda t, x: t.log(x)), and_g(between(0, 20))),
    Row("sin, cos", lambda t, x: [t.sin(x), t.cos(x)], anything_and(-100, 100), 2),
    Row("sin: gradient", gradient(lambda t, x: t.sin(x)), and_g(between(-9, 9)), 3),
    Row("log2, log10, log1p", lambda t, x: [t.log2(x), t.log10(x), t.log1p(x)], anything_and(0, 20), 3),
    Row("log2, log1p: gradient", gradient(lambda t, x: t.log2(x) + t.log1p(x)), and_g(between(0, 20)), 3),
    Row("expm1", lambda t, x: t.expm1(x), anything_and(-20, 20), 3),
    Row("exp2", lambda t, x: t.exp2(x), anything_and(-20, 20), 3),
    Row("erf", lambda t, x: t.erf(x), anything_and(-4, 4), 2),
    Row("erf: gradient", gradient(lambda t, x: t.erf(x)), and_g(between(-4, 4)), 6),
    Row("tan, atan", lambda t, x: [t.tan(x), t.atan(x)], anything_and(-9, 9), 4),
    Row("sinh, cosh", lambda t, x: [t.sinh(x), t.cosh(x)], between(-80, 80), 4),
    Row("asin, acos", lambda t, x: [t.asin(x), t.acos(x)], anything_and(-1, 1), 4),
    Row("atan2", lambda t, x, y: t.atan2(x, y), any_two, 4),
    Row("logaddexp, in ulp of 1 + |z|", lambda t, x, y: t.logaddexp(x, y), of(LINE, LINE, draw=normals), 2, of_logaddexp),
    Row("tanh", lambda t, x: t.tanh(x), anything_and(-9, 9), 2),
    Row("tanh: gradient, in ulp of g", gradient(lambda t, x: t.tanh(x)), and_g(between(-9, 9)), 4, of_g),
    Row("sigmoid", lambda t, x: t.sigmoid(x), anything_and(-87, 20), 5),
    Row("sigmoid: gradient, in ulp of g", gradient(lambda t, x: t.sigmoid(x)), and_g(between(-9, 9)), 3, of_g),
]

REDUCTIONS = [
    Row("sum over the first dim, of 8 rows of 544", lambda t, x: x.sum(0), of((8, 32, 17))),
    Row("sum over the first dim, in ulp of Σ|x|", lambda t, x: x.sum(0), of(TALL), 5, absolute(lambda x: x.sum(0))),
    Row("sum over the last dim, in ulp of Σ|x|", lambda t, x: x.sum(-1), of(WIDE), 2, absolute(lambda x: x.sum(-1))),
    Row("sum of all, in ulp of Σ|x|", lambda t, x: x.sum(), of(WIDE), 0.5, absolute(np.sum)),
    Row("mean over the first dim, in ulp of mean |x|",
        lambda t, x: x.mean(0), of(TALL), 5, absolute(lambda x: x.mean(0))),
    Row("mean over the last dim, in ulp of mean |x|",
        lambda t, x: x.mean(-1), of(WIDE), 2, absolute(lambda x: x.mean(-1))),
    Row("sum: gradient", gradient(lambda t, x: x.sum(-1)), of(WIDE, WIDE[:1])),
    Row("mean: gradient", gradient(lambda t, x: x.mean(-1)), of(WIDE, WIDE[:1])),
    Row("expand: gradient, of 8 rows of 64", gradient(lambda t, x: x.expand(8, 64)), of((64,), (8, 64))),
    Row("var over the first dim", lambda t, x: x.var(0), of(TALL, draw=normals), 16),
    Row("var over the last dim", variance, of(WIDE, draw=normals), 3),
    Row("var: gradient, in ulp of g (|x| + mean |x|) 2/(n-1)",
        gradient(variance), of(WIDE, WIDE[:1], draw=normals), 3, of_var_gradient),
    Row("std over the last dim", lambda t, x: x.std(-1), of(WIDE, draw=normals), 2),
    Row("norm over the last dim", lambda t, x: x.norm(dim=-1), of(WIDE), 2),
    Row("amax, amin, max, min", extremes, of(WIDE)),
    Row("argmax, argmin, among ties", where_extremes_are, ties),
    Row("cumsum", lambda t, x: [x.cumsum(0), x.cumsum(1)], of(WIDE)),
    Row("cumsum: gradient", gradient(lambda t, x: x.cumsum(-1)), of(WIDE, WIDE)),
    Row("cumprod", lambda t, x: [x.cumprod(0), x.cumprod(1)], lambda r: [r.uniform(0.5, 1.5, WIDE).astype(np.float32)]),
    Row("prod over the last dim", lambda t, x: x.prod(-1), lambda r: [r.uniform(0.5, 1.5, WIDE).astype(np.float32)], 60),
    Row("logsumexp", lambda t, x: x.logsumexp(-1), logits, 2),
    Row("sort, argsort, among ties", lambda t, x, g: [*t.sort(x, stable=True), t.argsort(x, dim=0, descending=True, stable=True)], ties),
    Row("topk", lambda t, x: [*x.topk(40), *x.topk(3, 0, largest=False)], of(WIDE, draw=normals)),
    Row("median", lambda t, x: [x.median(), *x.median(0)], of(WIDE, draw=normals)),
    Row("unique, bincount, searchsorted", counted, ties),
    Row("amax: gradient among ties", gradient(lambda t, x: x.amax(-1)), ties),
    Row("max(): gradient among ties", gradient(lambda t, x: x.max()), lambda r: [ties(r)[0], normals(r)]),
    Row("max(dim): gradient among ties, but of -0", gradient(lambda t, x: x.max(-1)[0]), positive_zeros(ties)),
]

SOFTMAX = [
    Row("softmax", softmax, logits, 10),
    Row("softmax over the first dim", lambda t, x: t.softmax(x, 0), logits, 10),
    Row("softmax: gradient, in ulp of p (|g| + Σ p |g|)",
        gradient(softmax), of(WIDE, WIDE, draw=normals), 6, of_softmax_gradient),
    Row("log_softmax, in ulp of 1 + |y|", log_softmax, logits, 4, of_log_softmax),
    Row("log_softmax: gradient, in ulp of |g| + p Σ|g|",
        gradient(log_softmax), of(WIDE, WIDE, draw=normals), 3, of_log_softmax_gradient),
    Row("cross_entropy", loss, logits_and_targets, 3),
    Row("cross_entropy of each, in ulp of 1 + loss", losses, logits_and_targets, 2, of_losses),
    Row("cross_entropy: gradient, in ulp of p (1 + |ln p|) + 1",
        gradient(loss), lambda r: [*logits_and_targets(r), normals(r)], 5, of_loss_gradient),
    Row("mse_loss", lambda t, x, y: t.nn.functional.mse_loss(x, y), of(LINE, LINE), 2),
]

NETWORKS = [
    Row("gelu, in ulp of x (ours is within 2 of the exact one)", functional("gelu"), between(-6, 6), 8, abs),
    Row("gelu: gradient, in ulp of g", gradient(functional("gelu")), and_g(between(-6, 6)), 8, of_g),
    Row("gelu by tanh, in ulp of x", functional("gelu", approximate="tanh"), between(-6, 6), 2, abs),
    Row("gelu by tanh: gradient, in ulp of g (1 - tanh² times 35)",
        gradient(functional("gelu", approximate="tanh")), and_g(between(-6, 6)), 48, of_g),
    Row("silu", functional("silu"), between(-87, 20), 6),
    Row("silu: gradient, in ulp of g", gradient(functional("silu")), and_g(between(-20, 20)), 12, of_g),
    Row("leaky_relu", functional("leaky_relu"), anything),
    Row("leaky_relu: gradient", gradient(functional("leaky_relu")), and_g(of(LINE))),
    Row("elu", functional("elu"), anything, 3),
    Row("elu: gradient", gradient(functional("elu")), and_g(between(-9, 9)), 5),
    Row("softplus", functional("softplus"), anything_and(-30, 30), 6),
    Row("logsigmoid", functional("logsigmoid"), anything_and(-30, 30), 6),
    Row("layer_norm, in ulp of 1 + |y|", layer_norm, of(WIDE, draw=normals), 5, of_layer_norm),
    Row("layer_norm: gradient, in ulp of |g| + mean |g| + |n| mean |g n|, over the deviation",
        gradient(layer_norm), of(WIDE, WIDE, draw=normals), 6, of_layer_norm_gradient),
    Row("rms_norm", rms_norm, of(WIDE, draw=normals), 5),
    Row("normalize", functional("normalize"), of(WIDE, draw=normals), 5),
    Row("pad", lambda t, x: [t.nn.functional.pad(x, (1, -2), value=2.0),
                             t.nn.functional.pad(x, (3, 2), "reflect")], of(CUBE, draw=bits)),
    Row("pad: gradient", gradient(lambda t, x: t.nn.functional.pad(x, (3, 0))), of((40, 30), (40, 33))),
    Row("l1_loss, smooth_l1_loss, huber_loss of each", lambda t, x, y: [
        getattr(t.nn.functional, f"{name}_loss")(x, y, reduction="none") for name in ("l1", "smooth_l1", "huber")],
        of(LINE, LINE), 2),
    Row("binary_cross_entropy_with_logits of each, in ulp of 1 + |x|",
        lambda t, x, y: t.nn.functional.binary_cross_entropy_with_logits(x, y.sigmoid(), reduction="none"),
        of(LINE, LINE, draw=normals), 4, lambda x, y: 1 + abs(x)),
    Row("scaled_dot_product_attention, in ulp of softmax |v|",
        attention, of((4, 50, 16), (4, 60, 16), (4, 60, 8), draw=normals), 16, of_attention),
    Row("hardtanh, hardshrink, threshold", lambda t, x: [
        getattr(t.nn.functional, name)(x) for name in ("hardtanh", "hardshrink")]
        + [t.nn.functional.threshold(x, 1, 2)], anything),
    Row("relu6, softshrink (torch's zeros have a sign)",
        lambda t, x: [getattr(t.nn.functional, name)(x) + 0 for name in ("relu6", "softshrink")], anything),
    Row("hardswish, in ulp of x", functional("hardswish"), between(-9, 9), 2, abs),
    Row("selu", functional("selu"), anything, 4),
    Row("celu", functional("celu"), anything, 4),
    Row("mish", functional("mish"), between(-20, 20), 8),
    Row("embedding_bag, sum", lambda t, table, ids, _: t.nn.functional.embedding_bag(
        ids[:5000].reshape(100, 50), table, mode="sum"), lookups),
    Row("embedding_bag, max", lambda t, table, ids, _: t.nn.functional.embedding_bag(
        ids[:5000].reshape(100, 50), table, mode="max"), lookups),
    Row("batch_norm, in ulp of 1 + |y|", lambda t, x: t.nn.functional.batch_norm(x, None, None, training=True),
        of((60, 20, 7), draw=normals), 8, lambda x: 1 + abs(x)),
    Row("group_norm, in ulp of 1 + |y|", lambda t, x: t.nn.functional.group_norm(x, 4), of((6, 20, 30), draw=normals), 8,
        lambda x: 1 + abs(x)),
    Row("max_pool2d", lambda t, x: t.nn.functional.max_pool2d(x, 3, 2, 1), of((2, 3, 40, 41))),
    Row("conv2d, in ulp of the same of |x| and |w|", functional("conv2d"), of((2, 5, 12, 13), (7, 5, 3, 3), draw=normals), 16,
        absolute(lambda x, w: np.einsum("nchwij,ocij->nohw", np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3)), w))),
    Row("gumbel_softmax", drawn(lambda t: t.nn.functional.gumbel_softmax(t.randn(40, 50))), seed, 30),
]

PRODUCTS = [  # of sums of 517 or 530 terms, whose order NumPy lets its number of threads decide: 0 to 12 ulp were measured
    Row("x @ y, in ulp of |x| @ |y|", product, of(*MATRICES[:2]), 16, absolute(lambda x, y: x @ y)),
    Row("x @ y: gradient in x, in ulp of |g| @ |yᵀ|",
        gradient(product), of(*MATRICES), 16, absolute(lambda x, y, g: g @ y.T)),
    Row("x @ y: gradient in y, in ulp of |xᵀ| @ |g|",
        gradient(product, 1), of(*MATRICES), 16, absolute(lambda x, y, g: x.T @ g)),
    Row("linear, in ulp of |x| @ |wᵀ| + |b|", linear, of(*WEIGHTS[:3]), 16, absolute(lambda x, w, b: x @ w.T + b)),
    Row("linear: gradient in b, in ulp of Σ|g|",
        gradient(linear, 2), of(*WEIGHTS), 8, absolute(lambda x, w, b, g: g.sum((0, 1)))),
    Row("einsum, in ulp of |x| @ |y|",
        lambda t, x, y: t.einsum("ij,jk->ik", x, y), of(*MATRICES[:2]), 16, absolute(lambda x, y: x @ y)),
    Row("dot, in ulp of |x| @ |y|", lambda t, x, y: x.dot(y), of(ROW, ROW), 2, absolute(np.dot)),
]

STEPS = [
    Row("SGD, 10 steps, in ulp of |p| + Σ|lr g|",
        trained(lambda o, p: o.SGD(p, lr=0.1)), of(ROW, ROWS, draw=normals), 3, of_steps(0.1)),
    Row("SGD, 10 steps of lr = 1/8", trained(lambda o, p: o.SGD(p, lr=0.125)), of(ROW, ROWS, draw=normals)),
    Row("SGD with momentum 0.9, in ulp of |p| + Σ|g|",
        trained(lambda o, p: o.SGD(p, lr=0.1, momentum=0.9)), of(ROW, ROWS, draw=normals), 2, of_steps(1)),
    Row("Adam, 10 steps, in ulp of |p| + 10 lr",
        trained(lambda o, p: o.Adam(p, lr=0.01)), of(ROW, ROWS, draw=normals), 3, of_adam),
    Row("AdamW, 10 steps, in ulp of |p| + 10 lr",
        trained(lambda o, p: o.AdamW(p, lr=0.01)), of(ROW, ROWS, draw=normals), 3, of_adam),
    Row("RMSprop, 10 steps, in ulp of |p| + 100 lr",
        trained(lambda o, p: o.RMSprop(p, lr=0.01)), of(ROW, ROWS, draw=normals), 3, lambda p, g: np.abs(p) + 1),
    Row("Adagrad, 10 steps, in ulp of |p| + 10 lr",
        trained(lambda o, p: o.Adagrad(p, lr=0.01)), of(ROW, ROWS, draw=normals), 3, of_adam),
    Row("clip_grad_norm_", clipped, of(ROWS, (N,), draw=normals)),
    Row("embedding and SGD, 5 steps, in ulp of |p| + Σ|lr g|", trained_table, batches, 3, of_trained_table),
]

STREAM = [
    Row("rand", drawn(lambda t: [t.rand(n) for n in (1, 17, N)]), seed),
    Row("rand in float64", drawn(lambda t: t.rand(N, dtype=t.float64)), seed),
    Row("randint", drawn(lambda t: [t.randint(1000, (N,)), t.randint(-(2**40), 2**40, (N,))]), seed),
    Row("randperm", drawn(lambda t: [t.randperm(n) for n in (1, 2, 5003)]), seed),
    Row("bernoulli", drawn(lambda t: t.bernoulli(t.rand(N))), seed),
    Row("multinomial", drawn(lambda t: [t.multinomial(t.rand(40, 503), k) for k in (1, 20)]), seed),
    Row("multinomial with replacement", drawn(lambda t: t.multinomial(t.rand(40, 503), 1000, replacement=True)), seed),
    Row("bernoulli_, exponential_, random_",
        drawn(lambda t: [t.empty(N).bernoulli_(0.3), t.empty(N).exponential_(), t.empty(N).random_()]), seed),
]

AVX = [  # torch's kernels for AVX2 and AVX512 have a logarithm, sine and cosine of their own, and fused multiply-adds
    Row("add, sub (x, y, alpha=0.3)", lambda t, *x: [t.add(*x, alpha=0.3), t.sub(*x, alpha=0.3)], of(LINE, LINE)),
    Row("add(x, y, alpha=0.3): gradient in y",
        gradient(lambda t, x, y: t.add(x, y, alpha=0.3), 1), and_g(of(LINE, LINE))),
    Row("randn, less than 16, one after another", drawn(lambda t: [t.randn(n) for n in (1, 2, 15, 5)]), seed),
    Row("randn", drawn(lambda t: [t.randn(n) for n in (16, 17, 320, N)]), seed),
    Row("randn in float64", drawn(lambda t: t.randn(N, dtype=t.float64)), seed),
    Row("uniform_, normal_", drawn(lambda t: [t.empty(N).uniform_(-0.3, 0.7), t.empty(N).normal_(3, 0.02)]), seed),
    Row("normal_, uniform_ into a transposed tensor", drawn(into_transposed), seed),
    Row("Embedding's and Linear's first weights", drawn(first_weights), seed),
    Row("nn.init: kaiming_normal_, xavier_normal_, trunc_normal_", drawn(initialised), seed),
    Row("linspace", lambda t, a, n: t.linspace(a.item(), a.item() + n.item(), 1003), bounds),
]

CREATION = [
    Row("arange of ints",
        lambda t, i: t.arange(-i.item(), i.item() + 100, 3), lambda r: [np.asarray(r.integers(0, 9999))]),
    Row("arange of floats, in ulp of |start| + |end|",
        lambda t, a, n: t.arange(a.item(), a.item() + n.item(), 0.1), bounds, 2, absolute(lambda a, n: 2 * a + n)),
    Row("linspace in float64, in ulp of |start| + |end|", linspace64, bounds, 2, absolute(lambda a, n: 2 * a + n)),
]

LEDGER = [
    *TABLES, *MOVEMENTS, *CASTS, *ARITHMETIC, *FUNCTIONS, *REDUCTIONS, *SOFTMAX, *NETWORKS, *PRODUCTS, *STEPS, *STREAM, *AVX,
    *CREATION,
]
# fmt: on


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name.strip()) for row in LEDGER])
def test_the_ledger_holds(row: Row) -> None:
    if row in AVX and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("these are the bits of torch's AVX2 and AVX512 kernels")
    for seed in SEEDS:
        check(row, measure(row, seed))


def test_names_are_unique() -> None:
    assert len({row.name for row in LEDGER}) == len(LEDGER)


# ------------------------------------------------------------------------------------------------------ and it can be false


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_ruler(dtype: Any) -> None:
    tiny, largest = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max
    one = dtype(1)
    for a, b, steps in [
        (one, one, 0),
        (one, np.nextafter(one, dtype(2)), 1),
        (one, np.nextafter(one, dtype(0)), 1),
        (one, one + np.finfo(dtype).eps * 5, 5),
        (dtype(0), dtype(-0.0), 0),
        (dtype(0), tiny, 1),
        (-tiny, tiny, 2),
        (-3 * tiny, 4 * tiny, 7),
        (one, -one, 2 * int(one.view(f"i{one.itemsize}"))),
        (largest, dtype(np.inf), 1),
        (dtype(-np.inf), dtype(-np.inf), 0),
        (dtype(np.nan), dtype(np.nan), 0),
        (dtype(np.nan), one, np.inf),
        (dtype(np.inf), dtype(np.nan), np.inf),
    ]:
        a, b = np.array([a], dtype), np.array([b], dtype)
        assert ulp_distance(a, b) == ulp_distance(b, a) == steps, (a, b)
        assert compare(a, b) == compare(b, a)._replace(first=compare(a, b).first)
        assert compare(a, b).differing == (a.tobytes() != b.tobytes())  # the zeros of two signs among them


def test_the_ruler_with_a_unit() -> None:
    a, b = np.array([1.0, 0.0], np.float32), np.array([1.0, 2**-23], np.float32)
    assert ulp_distance(a, b)[1] > 1e8
    assert compare(a, b, np.array([1.0, 1.0])).worst == 1
    assert compare(a, b, np.array([1.0, 4.0])).worst == 0.25
    with pytest.raises(AssertionError, match="finite"):
        compare(a, np.array([1.0, np.inf], np.float32), np.ones(2))


def test_shapes_and_dtypes_count() -> None:
    x = np.zeros(3, np.float32)
    for other in (x[:, None], x.astype(np.float64), x[:2]):
        with pytest.raises(AssertionError, match="torch has"):
            compare(x, other)


def nudged(row: Row, change: Callable[[np.ndarray], Any]) -> Row:
    """The row, but in minigrad change is made to the first entry of the result."""

    def code(t: Any, *tensors: Any) -> Any:
        results = as_list(row.code(t, *tensors))
        if t is torch:
            return results
        array = np.array(numpy_of(results[0]))
        array.reshape(-1)[0] = change(array.reshape(-1)[0])
        return [array, *results[1:]]

    return row._replace(code=code)


def next_float(x: Any) -> Any:
    return np.nextafter(x, np.float32(np.inf))


@pytest.mark.parametrize(
    "name", ["(B, T, D) + (T, D)", "embedding: gradient (scatter-add)", "rand", "amax, amin, max, min"]
)
def test_one_ulp_is_enough_to_break_a_promise_of_0(name: str) -> None:
    (row,) = (row for row in LEDGER if row.name == name)
    with pytest.raises(AssertionError, match=r"1 of \d+ entries differ; the first, at \[0.*\], is .* 1 ulp away"):
        check(row, measure(nudged(row, next_float), 0))


def test_so_is_the_sign_of_a_zero() -> None:
    row = Row("x - x", lambda t, x: x - x, of((5,)))
    check(row, measure(row, 0))
    with pytest.raises(
        AssertionError, match=r"1 of 5 entries differ; the first, at \[0\], is -0\.0 where torch has 0\.0, 0 ulp"
    ):
        check(row, measure(nudged(row, np.negative), 0))


def test_a_promise_of_2_breaks_at_3() -> None:
    row = Row("-x", lambda t, x: -x, lambda r: [np.ones(5, np.float32)], 2)
    two, three = (lambda x, n=n: x + n * np.spacing(x) for n in (2, 3))
    check(row, measure(nudged(row, two), 0))
    with pytest.raises(AssertionError, match="3 ulp, promised 2"):
        check(row, measure(nudged(row, three), 0))


def test_a_difference_that_is_gone_is_noticed() -> None:
    row = Row("-x", lambda t, x: -x, of((5,)), DIFFERS)
    with pytest.raises(AssertionError, match="no longer does"):
        check(row, measure(row, 0))


# --------------------------------------------------------------------------------------------------------------- as a text


def main() -> None:
    """Print the ledger: what is promised, what is measured over all seeds, and how many of the entries differ."""
    start = time.perf_counter()
    width = max(len(row.name) for row in LEDGER)
    print(f"{'':{width}}  promised  measured   differ")
    for row in LEDGER:
        found = Measured()
        for seed in SEEDS:
            found = found.and_also(measure(row, seed))
        promise = "differs" if row.promise is DIFFERS else "bits" if row.promise == 0 else f"{row.promise:g} ulp"
        share = found.differing / found.entries
        print(f"{row.name:{width}}  {promise:>8}  {found.worst:>8.3g}  {share:7.2%}".rstrip())
    print(
        f"{len(LEDGER)} rows, {len(SEEDS)} seeds each; torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}),"
    )
    print(f"NumPy {np.__version__}; {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    with one_thread():
        main()
