"""The checkers are shown to fail: each of these wrong engines must be caught by the check named beside it.

A gradient test that cannot fail proves nothing. Every check passes on the package as it is, and must not on the mutant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import test_adjoint
from helpers import check_against_torch, numpy_of

import minigrad as mg
from minigrad import backend, core, fused, optim
from minigrad.nn import functional
from minigrad.ops import elementwise, indexing, linalg, positions, reduction, shape
from minigrad.ops.adjoint import ADJOINT_PAIRS
from minigrad.sparse import RowSparse, SlicePatch
from minigrad.tensor import wrap
from minigrad.testing import check_program
from minigrad.testing.devices import placed

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-0.3, 0.8, 1.1]])
Y = np.array([[1.0, 3.0, -2.0], [0.5, -1.5, 2.5], [0.7, -0.2, 0.4]])


# -------------------------------------------------------------------------------------------------------------- the checkers


def oracle(f: Callable[..., Any], *inputs: np.ndarray, **options: Any) -> Callable[[], None]:
    return lambda: check_against_torch(f, list(inputs or (X, Y)), **options)


def adjoint(op: str, shape: tuple[int, ...], **keywords: Any) -> Callable[[], None]:
    (pair,) = (pair for pair in ADJOINT_PAIRS if pair.op.__name__ == op)
    return lambda: test_adjoint.check_case(pair, (shape, keywords))


def program(*lines: str) -> Callable[[], None]:
    start = [
        "w1 = numbers((3, 3), 1).requires_grad_()",
        "w2 = numbers((3,), 2).requires_grad_()",
        "opt = torch.optim.SGD([w1, w2], lr=0.1)",
    ]
    return lambda: check_program([*start, *lines])


def lookup(lib: Any, table: Any, **options: Any) -> Any:
    return lib.nn.functional.embedding(lib.tensor([2, 0, 2, 1]), table, **options)


REPEATED = np.array([2, 0, 2, 2, 1])
BACKWARD = "v3.backward(numbers((3, 3), 3))"


# --------------------------------------------------------------------------------------------------------------- the mutants


class Mutant(NamedTuple):
    name: str
    where: Any
    attribute: str
    wrong: Callable[[Any], Any]  # given what is right
    checks: list[Callable[[], None]]


def exp_forgets(right):
    return lambda op, g: (op.output * 1.0,)


def mul_forgets(right):
    return lambda op, g: tuple(op.inputs[::-1])


def first_of_duplicates(right):
    def coalesce(index, y, rows):
        ids, first = np.unique(index, return_index=True)
        return ids, y[first]

    return coalesce


def counts_of_duplicates(right):
    def coalesce(index, y, rows):
        ids, sums = right(index, y, rows)
        return ids, np.ones_like(sums)

    return coalesce


def overwrite(right):
    def scatter_add(y, index, rows):
        out = backend.namespace(y).zeros((rows, *y.shape[1:]), dtype=y.dtype)
        out[index] = y
        return out

    return scatter_add


def last_axis(right):
    def forward(op, y):
        op.back = y.shape
        missing = y.ndim - len(op.to)
        return y.sum(axis=tuple(range(y.ndim - missing, y.ndim))).reshape(op.to)

    return forward


def transposed(right):
    return lambda op, g: (linalg.MatMul.apply(g, op.inputs[1]), linalg.MatMul.apply(op.inputs[0], g))


def exchanged(right):
    return lambda op, g: right(op, g)[::-1]


def next_row(right):
    def backward(op, g):
        (gx,) = right(op, g)
        if isinstance(gx, RowSparse):
            gx.index = (gx.index + 1) % gx.shape[0]
            return (gx,)
        return (shape.cat([gx[-1:], gx[:-1]]),)

    return backward


def next_row_read(right):
    return lambda table, index: right(table, (index + 1) % max(len(table), 1))


def padding_leaks(right):
    def backward(op, g):
        op.padding = None
        return right(op, g)

    return backward


def one_of_the_broadcast(right):
    def backward(op, g):
        (gx,) = right(op, g)
        return (gx / (g.numel() / gx.numel()),)

    return backward


def stale(right):
    first: dict[Any, Any] = {}

    def output(op):
        y = right.fget(op)
        if not isinstance(y, mg.Tensor):  # backward runs on arrays
            return first.setdefault(y.shape, y)
        y.array = first.setdefault(y.array.shape, y.array)
        return y

    return property(output)


def detached_while_recording(right):
    return lambda op, g: [wrap(a) for a in op.fast_backward(g.array)]


def wrong_while_recording(right):
    return lambda op, g: [gx * 2.0 if core.mode.recording else gx for gx in right(op, g)]


def wrong_while_not_recording(right):
    return lambda op, g: [gx * 2.0 for gx in right(op, g)]


def same_permutation(right):
    return lambda op, g: (shape.Permute.apply(g, dims=op.dims),)


def backwards_in_memory(right):
    return lambda op, g: (shape.Reshape.apply(shape.reversed_axes(g), to=op.back),)


def last_one_wins(right):
    def collect(cotangents, slot, g, fresh=False):
        cotangents.of[slot] = g

    return collect


def replaces(right):
    def deposit(leaf, g):
        leaf._grad = core.dense(g)

    return deposit


def overwrites_patch(right):
    def add_into(patch, buffer):
        buffer[patch.key] = patch.g.array

    return add_into


def same_sign(right):
    return lambda op, g: (g, g)


def forgets_dims(right):
    return lambda op, g: (shape.broadcast_to(g, op.back),)


def numerator_only(right):
    return lambda op, g: (right(op, g)[0], None)


def without_normalizer(right):
    return lambda op, g: (g,)


def one_cut_for_all(right):
    return lambda op, g: [shape.narrow(g, op.axis, 0, n) for n in op.sizes]


def ascends(right):
    return lambda optimizer, p, g, *rest: right(optimizer, p, -core.dense(g), *rest)


fast = {"second_order": False}

# --- of attention, norms and activations


def not_shifted_back(right):
    def backward(op, g):
        return (mg.cat([g.new_zeros(*g.shape[:-1], g.shape[-2]), g], dim=-1),)

    return backward


def rotates_on(right):
    def backward(op, g):
        cos, sin = op.saved
        return (positions.Rotate.apply(g, cos=cos, sin=sin, layout=op.layout),)

    return backward


def changed_gradients(change: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    """The fast backward, with its gradients put through `change`."""

    def wrong(right: Any) -> Any:
        return lambda op, g: change(list(right(op, g)))

    return wrong


def without_keep(right: Any) -> Any:
    """Dropout is forgotten on the way back."""

    def backward(op: Any, g: Any) -> Any:
        p, hidden, _ = op._saved
        op._saved = (p, hidden, None)
        return right(op, g)

    return backward


def attend(**options: Any) -> Callable[..., Any]:
    def f(lib: Any, q: Any, k: Any, v: Any) -> Any:
        lib.manual_seed(3)
        return lib.nn.functional.scaled_dot_product_attention(q, k, v, **options)

    return f


QKV = (X, Y, X[:, ::-1] + 0.5)
W = np.array([0.5, -1.5, 2.0])
ANGLES = {
    "cos": placed(np.array([[2], [3]], np.float32)),
    "sin": placed(np.array([[1], [-2]], np.float32)),
    "layout": "halves",
}

MUTANTS = [
    Mutant(
        "attention exchanges the gradients of q and k",
        fused.Attention,
        "fast_backward",
        changed_gradients(lambda gs: [gs[1], gs[0], *gs[2:]]),
        [oracle(attend(), *QKV, **fast)],
    ),
    Mutant(
        "attention forgets to scale the gradient of k",
        fused.Attention,
        "fast_backward",
        changed_gradients(lambda gs: [gs[0], gs[1] * 3**0.5, *gs[2:]]),
        [oracle(attend(is_causal=True), *QKV, **fast)],
    ),
    Mutant(
        "attention forgets its dropout on the way back",
        fused.Attention,
        "fast_backward",
        without_keep,
        [oracle(attend(dropout_p=0.5), *QKV, **fast)],
    ),
    Mutant(
        "layer norm forgets that the mean moves too",
        fused.LayerNorm,
        "fast_backward",
        changed_gradients(lambda gs: [gs[0] + 0.1, *gs[1:]]),
        [oracle(lambda lib, x, w: lib.nn.functional.layer_norm(x, (3,), w), X, W, **fast)],
    ),
    Mutant(
        "layer norm gives the weight the gradient of the bias",
        fused.LayerNorm,
        "fast_backward",
        changed_gradients(lambda gs: [gs[0], gs[2], gs[2]]),
        [oracle(lambda lib, x, w, b: lib.nn.functional.layer_norm(x, (3,), w, b), X, W, W + 1, **fast)],
    ),
    Mutant(
        "gelu's slope is the step alone",
        fused.GELU,
        "pull",
        lambda right: staticmethod(lambda x, c, g: g * c),
        [oracle(lambda lib, x: lib.nn.functional.gelu(x), X, **fast)],
    ),
    Mutant(
        "gelu's slope is the step alone (tanh)",
        fused.GELUTanh,
        "pull",
        lambda right: staticmethod(lambda x, c, g: g * c),
        [oracle(lambda lib, x: lib.nn.functional.gelu(x, approximate="tanh"), X, **fast)],
    ),
    Mutant(
        "gelu by tanh is taken for the exact one",
        fused.GELUTanh,
        "let_through",
        lambda right: vars(fused.GELU)["let_through"],
        [oracle(lambda lib, x: lib.nn.functional.gelu(x, approximate="tanh"), X, exact=False, rtol=1e-7)],
    ),
    Mutant(
        "the running total goes back the way it came",
        reduction.CumSum,
        "backward",
        lambda right: lambda op, g: (reduction.cumsum(g, op.axis),),
        [oracle(lambda lib, x: lib.cumsum(x, 1), X)],
    ),
    Mutant(
        "exp forgets the cotangent",
        elementwise.Exp,
        "backward",
        exp_forgets,
        [oracle(lambda lib, x: x.exp(), X), program("v3 = w1.exp()", BACKWARD)],
    ),
    Mutant("mul forgets the cotangent", elementwise.Mul, "backward", mul_forgets, [oracle(lambda lib, x, y: x * y)]),
    Mutant("mul exchanges its gradients", elementwise.Mul, "backward", exchanged, [oracle(lambda lib, x, y: x * y)]),
    Mutant(
        "sub forgets its sign",
        elementwise.Sub,
        "backward",
        same_sign,
        [oracle(lambda lib, x, y: x - y), program("v3 = w1 - w2", BACKWARD)],
    ),
    Mutant(
        "div forgets its denominator", elementwise.Div, "backward", numerator_only, [oracle(lambda lib, x, y: x / y)]
    ),
    Mutant(
        "an id that repeats counts once",
        backend,
        "coalesce",
        first_of_duplicates,
        [
            oracle(lookup, X, **fast),
            adjoint("Gather", (3, 2), index=REPEATED),
            program("v3 = F.embedding(torch.tensor([2, 0, 2]), w1)", BACKWARD),
        ],
    ),
    Mutant(
        "ones for duplicates",
        backend,
        "coalesce",
        counts_of_duplicates,
        [oracle(lookup, X, **fast), adjoint("Gather", (3, 2), index=REPEATED)],
    ),
    Mutant(
        "scatter_add overwrites",
        backend,
        "scatter_add",
        overwrite,
        [
            oracle(lookup, X),
            adjoint("ScatterAdd", (5, 2), index=REPEATED, rows=3),
            adjoint("Gather", (3, 2), index=REPEATED),
        ],
    ),
    Mutant(
        "sum_to sums the wrong axis",
        shape.SumTo,
        "forward",
        last_axis,
        [
            oracle(lambda lib, x, b: x * b, X, X[0]),
            adjoint("SumTo", (3, 3), to=(3,)),
            adjoint("BroadcastTo", (3,), to=(3, 3)),
            program("v3 = w1 + w2", BACKWARD),
        ],
    ),
    Mutant(
        "broadcasting forgets to sum",
        shape.BroadcastTo,
        "backward",
        one_of_the_broadcast,
        [oracle(lambda lib, x, b: x * b, X, X[0]), adjoint("BroadcastTo", (1, 3), to=(2, 3))],
    ),
    Mutant(
        "matmul's gradient is not transposed",
        linalg.MatMul,
        "backward",
        transposed,
        [
            oracle(lambda lib, x, y: x @ y),
            lambda: test_adjoint.check_matmul(((3, 3), (3, 3))),
            program("v3 = w1 @ w1", BACKWARD),
        ],
    ),
    Mutant(
        "matmul exchanges its gradients",
        linalg.MatMul,
        "backward",
        exchanged,
        [lambda: test_adjoint.check_matmul(((2, 3, 3), (2, 3, 3)))],
    ),
    Mutant(
        "gather's gradient is one row off",
        indexing.Gather,
        "backward",
        next_row,
        [oracle(lambda lib, x: x[lib.tensor([2, 0, 2])], X), adjoint("Gather", (3, 2), index=REPEATED)],
    ),
    Mutant(
        "gather reads one row off",
        backend,
        "gather",
        next_row_read,
        [oracle(lookup, X), adjoint("ScatterAdd", (5, 2), index=REPEATED, rows=3)],
    ),
    Mutant(
        "the padding row leaks",
        functional.Embedding,
        "backward",
        padding_leaks,
        [oracle(lambda lib, x: lookup(lib, x, padding_idx=2), X)],
    ),
    Mutant(
        "a stale result is read",
        core.Op,
        "output",
        stale,
        [oracle(lambda lib, x: x.tanh().tanh(), X), program("v3 = (w1.tanh() * 2).tanh()", BACKWARD)],
    ),
    Mutant(
        "wrong while recording only",
        elementwise.Tanh,
        "backward",
        wrong_while_recording,
        [oracle(lambda lib, x: x.tanh(), X)],
    ),
    Mutant(
        "no second order",
        fused.Softmax,
        "backward",
        detached_while_recording,
        [oracle(lambda lib, x: lib.softmax(x, -1), X)],
    ),
    Mutant(
        "wrong while not recording only",
        fused.LogSoftmax,
        "fast_backward",
        wrong_while_not_recording,
        [
            oracle(lambda lib, x: lib.log_softmax(x, -1), X),
            oracle(lambda lib, x: lib.log_softmax(x, -1), X, **fast),
            program("v3 = torch.log_softmax(w1, 1)", BACKWARD),
        ],
    ),
    Mutant(
        "log_softmax forgets its normalizer",
        fused.LogSoftmax,
        "fast_backward",
        lambda right: lambda op, g: (g,),
        [oracle(lambda lib, x: lib.log_softmax(x, -1), X, **fast)],
    ),
    Mutant(
        "add says that its gradients are fresh",
        elementwise.Add,
        "fresh",
        lambda right: True,
        [
            oracle(lambda lib, x, y: x + y, **fast),
            oracle(lambda lib, x, y: x * 3 + (x + y), **fast),
            program("v4 = w2.expand(3, 3)", "v5 = w1 * 2", "v6 = v5 * 3", "v7 = v5 + v4", "v3 = v7 + v6", BACKWARD),
        ],
    ),
    Mutant(
        "reshape says that its gradient is fresh",
        shape.Reshape,
        "fresh",
        lambda right: True,
        [oracle(lambda lib, x: x.reshape(9), X, **fast)],
    ),
    Mutant(
        "permute goes the same way back",
        shape.Permute,
        "backward",
        same_permutation,
        [adjoint("Permute", (2, 2, 2), dims=(1, 2, 0))],
    ),
    Mutant(
        "reshape goes back in another order",
        shape.Reshape,
        "backward",
        backwards_in_memory,
        [adjoint("Reshape", (3, 3), to=(3, 3))],
    ),
    Mutant(
        "the last gradient wins",
        core.Cotangents,
        "collect",
        last_one_wins,
        [oracle(lambda lib, x, y: x * y + x.exp()), program("v3 = w1 * (w1 + 1)", BACKWARD)],
    ),
    Mutant(
        "backward replaces .grad",
        core,
        "deposit",
        replaces,
        [program("v3 = w1 * 2", BACKWARD, "v4 = w1.exp()", "v4.backward(numbers((3, 3), 4))")],
    ),
    Mutant(
        "a patch overwrites",
        SlicePatch,
        "add_into",
        overwrites_patch,
        [oracle(lambda lib, x: x[:2] * x[1:], X, **fast), program("v3 = w1[1] * w1", BACKWARD)],
    ),
    Mutant(
        "cat cuts every gradient from the front",
        shape.Cat,
        "backward",
        one_cut_for_all,
        [oracle(lambda lib, x, y: lib.cat([x, y])), lambda: test_adjoint.check_cat((0, [(2, 3), (1, 3)]))],
    ),
    Mutant("sum forgets which axis", reduction.Sum, "backward", forgets_dims, [oracle(lambda lib, x: x.sum(1), X)]),
    Mutant(
        "a shift is not undone",
        positions.RelativeShift,
        "backward",
        not_shifted_back,
        [adjoint("RelativeShift", (2, 5))],
    ),
    Mutant("the gradient rotates on", positions.Rotate, "backward", rotates_on, [adjoint("Rotate", (2, 3), **ANGLES)]),
    Mutant("the optimizer ascends", optim.SGD, "update", ascends, [program("v3 = w1.exp()", BACKWARD, "opt.step()")]),
]

ON_THE_CPU = [pytest.mark.cpu_only("coalesce makes the rows of a gradient, which a GPU does not keep")]
CASES = [
    pytest.param(m, check, id=f"{m.name}-{i}", marks=ON_THE_CPU if m.attribute == "coalesce" else [])
    for m in MUTANTS
    for i, check in enumerate(m.checks)
]


@pytest.mark.parametrize(("mutant", "check"), CASES)
def test_mutant_is_caught(mutant, check, monkeypatch):
    check()  # passes on what is right
    right = (
        vars(mutant.where)[mutant.attribute]
        if isinstance(mutant.where, type) and mutant.attribute in vars(mutant.where)
        else getattr(mutant.where, mutant.attribute)
    )
    monkeypatch.setattr(mutant.where, mutant.attribute, mutant.wrong(right))
    with pytest.raises(AssertionError):
        check()


def test_a_loss_that_only_sums_would_not_notice():
    """Why the checks draw a cotangent: under one of ones, an op that forgets it looks right."""

    class Forgets(mg.Op):
        def forward(self, x):
            return np.exp(x)

        def backward(self, g):
            return (self.inputs[0].exp(),)

    x = mg.tensor(X, requires_grad=True)
    Forgets.apply(x).backward(mg.ones(3, 3, dtype=mg.float64))
    np.testing.assert_array_equal(numpy_of(x.grad), np.exp(X))
    with pytest.raises(AssertionError):
        check_against_torch(lambda lib, x: Forgets.apply(x) if lib is mg else x.exp(), [X])
