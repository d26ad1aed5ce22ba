"""The checks that users run on their own ops are checked here: right ops pass, wrong ones are reported, and where.

Written from the docstrings of minigrad.testing, by somebody who had not read its source.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from helpers import CPU
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import (
    assert_close,
    broadcastable_shapes,
    check_adjoint,
    check_against_torch,
    dims,
    gradcheck,
    gradgradcheck,
    indices,
    integer_valued_floats,
    layouts,
    programs,
    shapes,
    tensors,
    ulp_distance,
)
from minigrad.testing.devices import placed

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
Y = np.array([[1.0, 3.0, -2.0], [0.5, -1.5, 2.5]])
SQUARE = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-0.3, 0.8, 1.1]])
FIFTY = np.linspace(0.5, 3.0, 50).reshape(5, 10)
IDS = np.array([2, 0, 2, 2, 1])  # row 2 is read three times, row 3 never
PADDED = np.array([2, 0, 1, 0])  # id 0 is padding
TABLE = np.arange(12.0).reshape(4, 3) / 8 + 0.5


def make_op(name: str, forward: Callable[..., Any], backward: Callable[..., Any], **flags: Any) -> Callable[..., Any]:
    """A user's op: forward(op, *arrays) and backward(op, g) are its two methods. What comes back is its apply."""
    return type(name, (mg.Op,), {"forward": forward, "backward": backward, **flags}).apply


def failure(check: Callable[..., Any], *args: Any, **options: Any) -> str:
    """The report of a check that must fail."""
    with pytest.raises(AssertionError) as error:
        check(*args, **options)
    return str(error.value)


def draw(strategy: Any, count: int = 200) -> list[Any]:
    """What hypothesis draws, the same each time: to see which kinds occur."""
    drawn: list[Any] = []

    @settings(max_examples=count, derandomize=True, database=None)
    @given(strategy)
    def collect(value: Any) -> None:
        drawn.append(value)

    collect()
    return drawn


# ------------------------------------------------------------------------------------------------------ wrong backwards


def spread(rows: int, ids: np.ndarray) -> np.ndarray:
    """The matrix whose product with g adds g's rows to the rows that they were read from."""
    matrix = np.zeros((rows, len(ids)))
    matrix[ids, np.arange(len(ids))] = 1
    return matrix


ADDS = spread(4, IDS)
OVERWRITES = ADDS * (np.arange(5) == [[1], [4], [3], [-1]])  # of each row only the last time that it was read
NEXT_ROW = np.roll(ADDS, 1, axis=0)
LEAKS = spread(4, PADDED)
ONE_TOO_LARGE = np.where(np.arange(50).reshape(5, 10) == 37, 1 + 1e-3, 1)  # entry [3, 7]
buffer = placed(np.zeros((2, 3)))


def exp_into_buffer(op, x):
    np.exp(x, out=buffer.array)
    return buffer.array.copy()


def cube(op, x):
    return x**3


def product(op, x, y):
    return x * y


def gather(op, table):
    return table[IDS]


def cube_wrong_if_recorded(op, g):
    (x,) = op.inputs
    return (3 * g * x.detach() ** 2 if mg.is_grad_enabled() else 3 * g * x**2,)


def cube_other_value_if_recorded(op, g):
    (x,) = op.inputs
    return (2 * g * x**2 if mg.is_grad_enabled() else 3 * g * x**2,)


def cube_wrong_unless_recorded(op, g):
    (x,) = op.inputs
    return (3 * g * x**2 if mg.is_grad_enabled() else 2 * g * x**2,)


stale_exp = make_op("StaleExp", exp_into_buffer, lambda op, g: (g * buffer.clone(),))
detached_cube = make_op("DetachedCube", cube, lambda op, g: (3 * g * op.inputs[0].detach() ** 2,))


def table(rows: dict[str, Any]) -> dict[str, Any]:
    """Rows of a table and their names, for parametrize."""
    return {"argvalues": list(rows.values()), "ids": [name.replace(" ", "_") for name in rows]}


class Wrong(NamedTuple):
    """An op with the right values and a wrong gradient; it should be truth(library, *inputs)."""

    name: str
    op: Callable[..., Any]
    truth: Callable[..., Any]
    inputs: list[np.ndarray]
    order: int = 1  # the first derivative that is wrong


WRONG = [
    Wrong(
        "forgets the cotangent",
        make_op("Square", lambda op, x: x * x, lambda op, g: (2 * op.inputs[0],)),
        lambda lib, x: x * x,
        [X],
    ),
    Wrong(
        "takes ones for the cotangent of rows",
        make_op("Gather", gather, lambda op, g: (mg.tensor(ADDS) @ mg.ones_like(g),)),
        lambda lib, table: table[lib.tensor(IDS)],
        [TABLE],
    ),
    Wrong(
        "overwrites instead of adding",
        make_op("Gather", gather, lambda op, g: (mg.tensor(OVERWRITES) @ g,)),
        lambda lib, table: table[lib.tensor(IDS)],
        [TABLE],
    ),
    Wrong(
        "is off by one row",
        make_op("Gather", gather, lambda op, g: (mg.tensor(NEXT_ROW) @ g,)),
        lambda lib, table: table[lib.tensor(IDS)],
        [TABLE],
    ),
    Wrong(
        "leaks into the padding row",
        make_op(
            "Padded",
            lambda op, t: t[PADDED] * placed(PADDED != 0).array[:, None],
            lambda op, g: (mg.tensor(LEAKS) @ g,),
        ),
        lambda lib, table: table[lib.tensor(PADDED)] * lib.tensor(1.0 * (PADDED != 0))[:, None],
        [TABLE],
    ),
    Wrong(
        "spreads along the wrong axis",
        make_op("Sum0", lambda op, x: x.sum(axis=0), lambda op, g: (g[:, None].expand(3, 3),)),
        lambda lib, x: x.sum(0),
        [SQUARE],
    ),
    Wrong(
        "does not transpose back",
        make_op("Transpose", lambda op, x: x.T, lambda op, g: (g,)),
        lambda lib, x: x.T,
        [SQUARE],
    ),
    Wrong(
        "multiplies by matrices that are not transposed",
        make_op("Product", lambda op, a, b: a @ b, lambda op, g: (g @ op.inputs[1], op.inputs[0] @ g)),
        lambda lib, a, b: a @ b,
        [SQUARE, SQUARE + 1],
    ),
    Wrong(
        "does not sum over the broadcast axis",
        make_op("AddBias", lambda op, x, b: x + b, lambda op, g: (g, g[0])),
        lambda lib, x, b: x + b,
        [X, Y[0]],
    ),
    Wrong(
        "reads a saved output that a later call has changed",
        lambda x: stale_exp(x) * stale_exp(2 * x),
        lambda lib, x: x.exp() * (2 * x).exp(),
        [X],
    ),
    Wrong(
        "has the wrong sign",
        make_op("Cos", lambda op, x: np.cos(x), lambda op, g: (g * op.inputs[0].sin(),)),
        lambda lib, x: x.cos(),
        [X],
    ),
    Wrong(
        "is a thousandth too large in one entry of fifty",
        make_op("Sin", lambda op, x: np.sin(x), lambda op, g: (g * op.inputs[0].cos() * mg.tensor(ONE_TOO_LARGE),)),
        lambda lib, x: x.sin(),
        [FIFTY],
    ),
    Wrong(
        "swaps the gradients of its inputs",
        make_op("Multiply", product, lambda op, g: (g * op.inputs[0], g * op.inputs[1])),
        lambda lib, x, y: x * y,
        [X, Y],
    ),
    Wrong(
        "gives the first input's gradient to the second",
        make_op("Multiply", product, lambda op, g: (None, g * op.inputs[1])),
        lambda lib, x, y: x * y,
        [X, Y],
    ),
    Wrong(
        "gives no gradient to an input that matters",
        make_op("Multiply", product, lambda op, g: (g * op.inputs[1], None)),
        lambda lib, x, y: x * y,
        [X, Y],
    ),
    Wrong(
        "is wrong unless it is recorded",
        make_op("Cube", cube, cube_wrong_unless_recorded),
        lambda lib, x: x**3,
        [X],
    ),
    Wrong("detaches its input in backward", detached_cube, lambda lib, x: x**3, [X], order=2),
    Wrong(
        "computes the gradient on arrays",
        make_op(
            "Cube",
            cube,
            lambda op, g: (mg.tensor(3 * g.detach().cpu().numpy() * op.inputs[0].detach().cpu().numpy() ** 2),),
        ),
        lambda lib, x: x**3,
        [X],
        order=2,
    ),
    Wrong(
        "detaches only where it is recorded",
        make_op("Cube", cube, cube_wrong_if_recorded),
        lambda lib, x: x**3,
        [X],
        order=2,
    ),
    Wrong(
        "gives another value where it is recorded",
        make_op("Cube", cube, cube_other_value_if_recorded),
        lambda lib, x: x**3,
        [X],
        order=2,
    ),
    Wrong(
        "forgets the cotangent's own gradient",
        make_op("Cube", cube, lambda op, g: (3 * g.detach() * op.inputs[0] ** 2,)),
        lambda lib, x: x**3,
        [X],
        order=2,
    ),
    Wrong(
        "has a second derivative that detaches",
        make_op("Fourth", lambda op, x: x**4, lambda op, g: (4 * g * detached_cube(op.inputs[0]),)),
        lambda lib, x: x**4,
        [X],
        order=3,
    ),
]


def wrong_ops(orders: set[int]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("wrong", **table({wrong.name: wrong for wrong in WRONG if wrong.order in orders}))


ALL = {1, 2, 3}
OF_ORDER = {1: r"the gradient of \w", 2: "the gradient of the gradient|create_graph=True", 3: "the gradient of order 3"}


@wrong_ops(ALL)
def test_gradcheck_reports_each_wrong_backward_at_the_order_where_it_goes_wrong(wrong):
    for order in range(1, wrong.order):
        assert gradcheck(wrong.op, wrong.inputs, order)
    report = failure(gradcheck, wrong.op, wrong.inputs, wrong.order)
    assert re.search(OF_ORDER[wrong.order], report.splitlines()[0])


@wrong_ops(ALL)
def test_what_each_wrong_backward_should_have_been_passes(wrong):
    assert gradcheck(lambda *xs: wrong.truth(mg, *xs), wrong.inputs, order=3)


@wrong_ops(ALL)
def test_another_seed_finds_each_wrong_backward_too(wrong):
    failure(gradcheck, wrong.op, wrong.inputs, wrong.order, seed=1)


@wrong_ops({1, 2})
def test_comparing_with_torch_reports_each_wrong_backward_at_its_order(wrong):
    theirs = lambda *xs: wrong.truth(torch, *xs)  # noqa: E731
    report = failure(check_against_torch, wrong.op, theirs, wrong.inputs)
    assert "gradient" in report
    assert check_against_torch(lambda *xs: wrong.truth(mg, *xs), theirs, wrong.inputs)


WORST = re.compile(r"worst entry, input (\d+) \[([\d, ]*)\]: backward says (\S+), finite differences say (\S+)")


def worst_entry(report: str) -> tuple[int, tuple[int, ...], float, float]:
    """The entry that a report accuses: input, index, and the two numbers."""
    found = WORST.search(report)
    assert found, report
    index = tuple(int(i) for i in found[2].split(",")) if found[2] else ()
    return int(found[1]), index, float(found[3]), float(found[4])


def first_gradients(f: Callable[..., Any], inputs: list[np.ndarray], cotangent: np.ndarray) -> list[np.ndarray]:
    leaves = [mg.tensor(x, requires_grad=True) for x in inputs]
    grads = mg.autograd.grad(f(*leaves), leaves, mg.tensor(cotangent), allow_unused=True)
    return [np.zeros_like(x) if g is None else g.cpu().numpy() for x, g in zip(inputs, grads, strict=True)]


@wrong_ops({1})
def test_gradcheck_accuses_an_entry_that_is_wrong(wrong):
    i, index, ours, true = worst_entry(failure(gradcheck, wrong.op, wrong.inputs, order=1))
    assert ours != true
    y = wrong.truth(mg, *[mg.tensor(x) for x in wrong.inputs])
    cotangent = np.random.default_rng(7).uniform(1, 2, tuple(y.shape))
    got = first_gradients(wrong.op, wrong.inputs, cotangent)
    right = first_gradients(lambda *xs: wrong.truth(mg, *xs), wrong.inputs, cotangent)
    assert abs(got[i][index] - right[i][index]) > 1e-4


def test_gradcheck_names_the_one_wrong_entry_of_fifty():
    (wrong,) = [w for w in WRONG if "fifty" in w.name]
    for seed in range(5):
        i, index, ours, true = worst_entry(failure(gradcheck, wrong.op, wrong.inputs, seed=seed))
        assert (i, index) == (0, (3, 7))
        assert ours / true == pytest.approx(1 + 1e-3, abs=1e-6)


def test_a_report_of_gradcheck_names_the_op_the_inputs_the_direction_and_both_numbers():
    report = failure(gradcheck, FORGETFUL, np.array([3.0]))
    assert "MySquare" in report
    assert "input 0 = [3.]" in report
    (direction,) = re.findall(r"direction of input 0 = \[\s*(\S+)\]", report)
    (cotangent,) = re.findall(r"cotangent of value 0 = \[\s*(\S+)\]", report)
    i, index, ours, true = worst_entry(report)
    assert (i, index, ours) == (0, (0,), 6)
    assert true == pytest.approx(6 * float(cotangent), rel=1e-5)
    slopes = re.search(r"along the direction below: backward says (\S+), finite differences say (\S+)", report)
    assert float(slopes[1]) == pytest.approx(6 * float(direction), rel=1e-5)
    assert float(slopes[2]) == pytest.approx(6 * float(direction) * float(cotangent), rel=1e-5)


def test_a_report_of_gradcheck_names_the_wrong_op_among_right_ones():
    report = failure(gradcheck, lambda x: FORGETFUL(x.sin()).sum(), X)
    assert "MySquare" in report and "Sin" in report


def test_a_report_of_gradcheck_tells_a_wrong_output_from_right_ones():
    assert gradcheck(lambda x, y: (x.sin(), y.cos()), [X, Y])
    report = failure(gradcheck, lambda x, y: (x.sin(), FORGETFUL(y)), [X, Y])
    assert worst_entry(report)[0] == 1
    assert "cotangent of value 0" in report and "cotangent of value 1" in report


def test_gradgradcheck_fails_where_only_the_second_order_is_wrong_and_passes_where_it_is_right():
    assert gradgradcheck(lambda x: x**3, X)
    assert gradgradcheck(lambda x: x**3, [X], seed=3, eps=1e-4, rtol=1e-4, atol=1e-6)
    for wrong in WRONG:
        if wrong.order == 2:
            assert re.search(OF_ORDER[2], failure(gradgradcheck, wrong.op, wrong.inputs))


FORGETFUL = make_op("MySquare", lambda op, x: x * x, lambda op, g: (2 * op.inputs[0],))
TWO_THIRDS = make_op("TwoThirds", lambda op, x: x * x, lambda op, g: (3 * g * op.inputs[0],))
INF_IN_ONE = make_op("Inf", lambda op, x: x * x, lambda op, g: (2 * g * op.inputs[0] / mg.tensor(1.0 * (X != 0.5)),))
NAN_IN_ONE = make_op("Nan", lambda op, x: x * x, lambda op, g: (INF_IN_ONE(g) * mg.tensor(1.0 * (X != 0.5)),))


def test_gradcheck_never_names_an_entry_that_is_right():
    late = mg.tensor(1.0 + (np.arange(400) == 350))
    wrong_at_350 = make_op("Late", lambda op, x: x * x, lambda op, g: (2 * g * op.inputs[0] * late,))
    report = failure(gradcheck, wrong_at_350, np.linspace(1, 2, 400), order=1)
    assert "worst entry" not in report or worst_entry(report)[:2] == (0, (350,))


@pytest.mark.parametrize("check", [gradcheck, lambda f, xs: check_against_torch(f, lambda ids, x: (x * x)[ids], xs)])
def test_a_report_counts_the_inputs_as_they_were_given(check):
    report = failure(check, lambda ids, x: TWO_THIRDS(x)[ids], [np.array([0, 1]), X])
    assert re.search(r"worst entry, input 1 |gradient of input 1", report)


@pytest.mark.parametrize("wrong", [pytest.param(INF_IN_ONE), NAN_IN_ONE])
def test_gradcheck_reports_a_gradient_that_is_inf_or_nan_in_one_entry(wrong):
    with np.errstate(all="ignore"):
        failure(gradcheck, wrong, X, order=1)


HIDDEN = {
    "an output that is a million times larger": (lambda x: (TWO_THIRDS(x), 1e6 * x.sum()), [X]),
    "an input whose gradient is a million times larger": (lambda x, y: TWO_THIRDS(x).sum() + 1e6 * y.sum(), [X, Y]),
}


@pytest.mark.parametrize("f, inputs", **table(HIDDEN))
def test_gradcheck_reports_a_gradient_that_is_half_too_large_beside(f, inputs):
    failure(gradcheck, f, inputs, order=1)


# ----------------------------------------------------------------------------------------------- what gradcheck refuses


def write_into_input(op, x):
    x *= 2
    return x / 2


def sum_of_broken(op, x):
    x[0, 0] = 1.0
    return x.sum()


@pytest.mark.parametrize("forward", [write_into_input, sum_of_broken])
def test_gradcheck_reports_a_forward_that_writes_into_its_input(forward):
    writes = make_op("Writes", forward, lambda op, g: (g * mg.ones(2, 3, dtype=mg.float64),))
    array = X.copy()
    with pytest.raises(AssertionError, match="writes into"):
        gradcheck(writes, array)
    np.testing.assert_array_equal(array, X)  # the user's own array is not harmed


random = np.random.default_rng(0)
REFUSED = {
    "a random f": (lambda x: x * mg.tensor(random.normal(size=3)), [X], "other numbers"),
    "nan": (lambda x: x.log(), [X], "nan"),
    "inf": (lambda x: 1 / x, [np.zeros(2)], "inf"),
    "inputs that are nan": (lambda x: x * 2, [X * np.nan], "nan"),
    "only integers": (lambda x: x * 2, [np.arange(3)], "nothing to differentiate"),
    "no inputs": (lambda: mg.ones(2), [], "nothing to differentiate"),
    "only a number": (lambda x: mg.ones(2) * x, [3.0], "nothing to differentiate"),
    "float32 inside": (lambda x: x.float().sin(), [X], "float32"),
    "float16 inside": (lambda x: x.half().double() * 2, [X], "float16"),
    "what is too steep": (lambda x: (1e13 * x).sin(), [X], "too steep"),
}


@pytest.mark.parametrize("f, inputs, fact", **table(REFUSED))
def test_gradcheck_refuses_what_has_no_derivative_to_compare_with(f, inputs, fact):
    with pytest.raises(ValueError, match=fact):
        gradcheck(f, inputs)


@pytest.mark.parametrize("order", [0, -1])
def test_gradcheck_refuses_an_order_below_one(order):
    with pytest.raises(ValueError, match=f"order must be 1 or more, got {order}"):
        gradcheck(lambda x: x, X, order)


@pytest.mark.parametrize("value", [None, "text", 3.0, {"y": 1}])
def test_gradcheck_says_what_f_must_return(value):
    with pytest.raises(TypeError, match=f"must return a tensor or several, got {type(value).__name__}"):
        gradcheck(lambda x: value, X)


# ------------------------------------------------------------------------------------------------ what gradcheck passes

F = mg.nn.functional
RIGHT = {
    "sin": (lambda x: x.sin(), [X]),
    "a chain of elementwise ops": (lambda x: (x.exp() + 1).log().sigmoid() * x.tanh(), [X]),
    "division": (lambda x, y: x / y, [X, Y]),
    "power": (lambda x, y: (x.abs() + 1) ** y, [X, Y + 0.1]),
    "matmul": (lambda a, b: a @ b, [X, Y.T]),
    "batched matmul that broadcasts": (lambda a, b: a @ b, [np.stack([X, Y]), SQUARE]),
    "gather with repeated ids": (lambda table, ids: table[ids], [TABLE, mg.tensor(IDS)]),
    "embedding with repeated ids": (lambda ids, table: F.embedding(ids, table), [mg.tensor(IDS), TABLE]),
    "scatter_add with repeated ids": (lambda t, i, s: t.scatter_add(0, i, s), [Y[0], mg.tensor([0, 2, 2]), X[0]]),
    "softmax": (lambda x: F.softmax(x, dim=-1), [X]),
    "cross-entropy": (lambda x, ids: F.cross_entropy(x, ids), [X, mg.tensor([2, 0])]),
    "max": (lambda x: x.max(), [X]),
    "max with ties": (lambda x: x.max(dim=1).values, [np.ones((2, 3))]),
    "amax with ties": (lambda x: x.amax(1), [np.ones((2, 3))]),
    "maximum with ties": (lambda x, y: mg.maximum(x, y), [X, X]),
    "relu at 0": (lambda x: x.relu(), [np.array([0.0, -1.0, 2.0, 0.0])]),
    "relu of a sum that is 0": (lambda x, y: (x + y).relu(), [X, -X]),
    "abs at 0": (lambda x: x.abs(), [np.zeros(3)]),
    "clamp at its bounds": (lambda x: x.clamp(0, 1), [np.array([0.0, 1.0, 0.5, 2.0])]),
    "where": (lambda x, y: mg.where(x > 0, x * y, y.sin()), [X, Y]),
    "where beside a given condition": (lambda c, x, y: mg.where(c, x, y), [X > 0, X, Y]),
    "several outputs": (lambda x, y: (x * y, x.sum(), y.exp()), [X, Y]),
    "a list of outputs": (lambda x: [x.sin(), x.cos()], [X]),
    "an output of integers beside": (lambda x: x.max(dim=1), [X]),
    "an output that depends on no input": (lambda x: (x.sin(), mg.ones(2)), [X]),
    "an output that is an input": (lambda x: x, [X]),
    "an input that is not used": (lambda x, y: x * x, [X, Y]),
    "an input used twice": (lambda x: x * x.sum(), [X]),
    "the same array twice": (lambda x, y: x * y, [X, X]),
    "broadcasting": (lambda x, b: x * b, [X, Y[0]]),
    "a number beside": (lambda x, n: x * n, [X, 3]),
    "text and None beside": (lambda x, a, b: x.sum() if a == "sum" and b is None else None, [X, "sum", None]),
    "0-d": (lambda x: x.sin() * x, [np.array(0.5)]),
    "one array instead of a list": (lambda x: x.sin(), X),
    "one tensor instead of a list": (lambda x: x.sin(), mg.tensor(X)),
    "a tuple of inputs": (lambda x, y: x * y, (X, Y)),
    "zero size": (lambda x: x.sin(), [np.zeros((0, 3))]),
    "the sum of nothing": (lambda x: x.sum(), [np.zeros((0, 3))]),
    "zero size beside": (lambda x, y: (x.sin(), y.cos()), [X, np.zeros((0, 3))]),
    "rows read with no ids": (lambda table, ids: table[ids], [TABLE, np.zeros(0, np.int64)]),
    "column by column": (lambda x: x.sin(), [X.T]),
    "negative strides": (lambda x: x.sin(), [X[::-1, ::-1]]),
    "gaps": (lambda x: x.sin(), [X[:, ::2]]),
    "a read-only array": (lambda x: x.sin() * x, [np.broadcast_to(X[0], (2, 3))]),
    "a tensor over a read-only array": (lambda x: x.sin() * x, [mg.from_numpy(np.broadcast_to(X[0], (2, 3)))]),
    "float32 inputs": (lambda x: x.sin(), [X.astype(np.float32)]),
    "float16 inputs": (lambda x: x.sin(), [X.astype(np.float16)]),
    "a constant f": (lambda x: x * 0 + 3, [X]),
    "a linear f": (lambda x: 2 * x, [X]),
    "a step between its jumps": (lambda x: x.floor() * x, [X + 0.3]),
    "a step at its jumps": (lambda x: x.floor() * x, [np.arange(4.0)]),
    "a jump at one entry": (lambda x: mg.where(x > 0.5, x, x + 1), [X]),
    "an f that writes into its own results": (lambda x: (x * 2).add_(x).mul_(x), [X]),
    "an f that detaches what it says it detaches": (lambda x: mg.zeros_like(x.detach()) * x, [X]),
}


@pytest.mark.parametrize("f, inputs", **table(RIGHT))
def test_gradcheck_passes_right_functions_up_to_order_three_and_with_another_seed(f, inputs):
    assert gradcheck(f, inputs, order=3) is True
    assert gradcheck(f, inputs, order=1, seed=1) is True


def test_gradcheck_differentiates_only_what_requires_grad_if_anything_does():
    half_wrong = make_op("Multiply", product, lambda op, g: (g * op.inputs[1], None))  # wrong for the second input
    x, y = mg.tensor(X), mg.tensor(Y)
    leaf = mg.tensor(X, requires_grad=True)
    assert gradcheck(half_wrong, [leaf, y], order=1)
    assert gradcheck(half_wrong, [leaf, Y], order=1)
    failure(gradcheck, half_wrong, [x, y], order=1)
    failure(gradcheck, half_wrong, [x, mg.tensor(Y, requires_grad=True)], order=1)


def test_gradcheck_leaves_the_inputs_as_they_were():
    array, leaf, ids = X.copy(), mg.tensor(Y, requires_grad=True), mg.tensor([0, 1])
    assert gradcheck(lambda x, y, i: (x * y)[i], [array, leaf, ids])
    np.testing.assert_array_equal(array, X)
    np.testing.assert_array_equal(leaf.detach().cpu().numpy(), Y)
    assert leaf.requires_grad and leaf.is_leaf and leaf.grad is None
    assert ids.dtype == mg.int64


def test_gradcheck_computes_in_float64_and_passes_integers_and_numbers_on():
    seen = []

    def f(x, ids, number):
        seen.append((x.dtype, ids.dtype, type(number)))
        return x[ids] * number

    assert gradcheck(f, [X.astype(np.float32), np.array([1, 0, 1], np.int32), 2])
    assert set(seen) == {(mg.float64, mg.int32, int)}


def test_gradcheck_has_a_tolerance_that_can_be_widened():
    (wrong,) = [w for w in WRONG if "fifty" in w.name]
    assert gradcheck(wrong.op, wrong.inputs, rtol=1e-2)
    assert gradcheck(wrong.op, wrong.inputs, atol=1.0)


SMOOTH = {
    "sin": lambda x: x.sin(),
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "bump": lambda x: 1 / (x * x + 1),
    "log": lambda x: (x * x + 0.1).log(),
    "root": lambda x: (x * x + 0.1).sqrt(),
    "bounded exp": lambda x: x.sin().exp(),
    "mix": lambda x: x * x.tanh().sum() / 3,
    "shift": lambda x: x + 5,
    "constant": lambda x: x * 0 + 3,
    "matmul": lambda x: x @ x.transpose(-1, -2) @ x / 30,
}
LAST = {
    "as it is": lambda y: y,
    "times a million": lambda y: 1e6 * y,
    "times a millionth": lambda y: 1e-6 * y,
    "divided by a hundredth": lambda y: y / 0.01,
    "beside a large constant": lambda y: y + 1e4,
    "beside a much larger output": lambda y: (y, 1e6 * y.sum()),
    "summed": lambda y: y.sum(),
}


@given(
    first=st.sampled_from([1.0, 1e-3, 100.0]),
    names=st.lists(st.sampled_from(sorted(SMOOTH)), min_size=1, max_size=4),
    last=st.sampled_from(sorted(LAST)),
    x=tensors(st.sampled_from([(2, 3), (1, 1), (3, 2)])),
    order=st.sampled_from([1, 2]),
)
def test_gradcheck_never_accuses_a_smooth_composition(first, names, last, x, order):
    assume(first <= 1 or names.count("bounded exp") < 3)  # slopes of slopes that no step size follows

    def f(x):
        x = first * x
        for name in names:
            x = SMOOTH[name](x)
        return LAST[last](x)

    assert gradcheck(f, x, 1 if first > 1 else order)


STEEP = {
    "a million times x": (lambda x: 1e6 * x, X),
    "x / 0.01": (lambda x: x / 0.01, X),
    "a steep sigmoid": (lambda x: (x / 0.01).sigmoid(), X * 0.01),
    "a fast sine": (lambda x: (100 * x).sin(), X),
    "a very fast sine": (lambda x: (1e6 * x).sin(), X),
    "a sigmoid that is flat": (lambda x: (x / 0.01).sigmoid(), X),
    "x at a million": (lambda x: x * x, 1e6 * X),
    "x at a millionth": (lambda x: x * x, 1e-6 * X),
    "log at a million": (lambda x: x.log(), 1e6 * np.abs(X)),
    "log at a millionth": (lambda x: x.log(), 1e-6 * np.abs(X)),
    "sqrt at a millionth": (lambda x: x.sqrt(), 1e-6 * np.abs(X)),
    "sqrt at a million": (lambda x: x.sqrt(), 1e6 * np.abs(X)),
    "reciprocal at a million": (lambda x: 1 / x, 1e6 * X),
    "reciprocal at a millionth": (lambda x: 1 / x, 1e-6 * X),
    "rsqrt at a millionth": (lambda x: x.rsqrt(), 1e-6 * np.abs(X)),
    "log of inputs of many sizes": (lambda x: x.log(), np.array([1e-6, 1e-3, 1.0, 1e3, 1e6])),
    "reciprocals of many sizes": (lambda x: 1 / x, np.array([1e-3, 1.0, 1e3])),
    "exp of a large number": (lambda x: x.exp(), np.array([20.0, -20.0, 0.0])),
    "softmax of large numbers": (lambda x: mg.softmax(x, dim=-1), 100 * X),
    "a large input beside a small one": (lambda x, y: (x * 1e-6).sin() * y.log(), [1e6 * X, 1e-6 * np.abs(Y)]),
    "everything 0": (lambda x: x * x * x, np.zeros((2, 3))),
    "values that cancel": (lambda x: (x + 1e6) - 1e6, X),
    "a norm near 0": (lambda x: (x * x).sum().sqrt(), 1e-5 * X),
    "softmax of numbers that are almost equal": (lambda x: 1e6 * mg.softmax(1e-12 * x, dim=-1), X),
    "sin² + cos²": pytest.param(lambda x: x.sin() ** 2 + x.cos() ** 2, X),
    "the sum of a softmax": pytest.param(
        lambda x: mg.softmax(x, dim=-1).sum(), np.array([[1.0, 1.0, 1.0], [1.0, -2.0, -1.0]])
    ),
    "the sum of what is centred": pytest.param(lambda x: (x - x.mean(-1, keepdim=True)).sum(), X),
    "softmax of a saturated sigmoid": pytest.param(
        lambda x: 1e6 * mg.softmax((100 * x).abs().sigmoid(), dim=-1),
        np.array([[-0.692, 0.34], [-3.6, 3.71]]),
    ),
    "a kink beside a large constant": pytest.param(lambda x: 1e-6 * x.relu() + 1e4, np.zeros(3)),
    "a ripple beside a large constant": pytest.param(lambda x: 1e-6 * (1e5 * x).sin() + 1e6, X),
}


@pytest.mark.parametrize("f, x", **table(STEEP))
def test_gradcheck_never_accuses_steep_flat_large_or_small_functions(f, x):
    assert gradcheck(f, x, order=2)
    assert gradcheck(f, x, order=1, seed=1)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_gradcheck_reports_an_error_of_a_thousandth_at_every_scale(scale, factor):
    off = make_op("Off", lambda op, x: factor * x * x, lambda op, g: (2.002 * factor * g * op.inputs[0],))
    failure(gradcheck, off, scale * X, order=1, atol=0.0)


# -------------------------------------------------------------------------------------------------------- check_adjoint


def row_sums(ids: np.ndarray, rows: int) -> Callable[[mg.Tensor], mg.Tensor]:
    """The right transpose of reading rows."""
    return lambda y: mg.tensor(spread(rows, ids)).to(y.dtype) @ y


def numpy_op(f: Callable[[np.ndarray], np.ndarray]) -> Callable[[mg.Tensor], mg.Tensor]:
    return lambda x: mg.tensor(np.ascontiguousarray(f(x.cpu().numpy())))


def overwrite_rows(y):
    out = np.zeros((4, 3), y.dtype)
    out[IDS] = y
    return out


def pad(x):
    return np.pad(x, [(1, 2), (0, 0)])


class Pair(NamedTuple):
    name: str
    A: Callable[..., Any]
    At: Callable[..., Any]
    x: tuple[int, ...]
    y: tuple[int, ...]
    wrong: dict[str, Callable[..., Any]] = {}


W = mg.tensor(np.arange(12.0, dtype=np.float32).reshape(3, 4) - 5)
PAIRS = [
    Pair(
        "gather and scatter-add",
        lambda x: x[mg.tensor(IDS)],
        row_sums(IDS, 4),
        (4, 3),
        (5, 3),
        {
            "overwrites": numpy_op(overwrite_rows),
            "is off by one row": numpy_op(lambda y: np.roll(spread(4, IDS) @ y, 1, axis=0).astype(y.dtype)),
        },
    ),
    Pair(
        "pad and slice",
        numpy_op(pad),
        lambda y: y[1:3],
        (2, 3),
        (5, 3),
        {"is off by one": lambda y: y[2:4], "reverses": numpy_op(lambda y: y[2:0:-1])},
    ),
    Pair(
        "matmul and matmul by the transpose",
        lambda x: x @ W,
        lambda y: y @ W.T,
        (3, 3),
        (3, 4),
        {"multiplies from the wrong side": lambda y: (y @ W.T).T, "changes the sign": lambda y: -(y @ W.T)},
    ),
    Pair(
        "permute and permute back",
        lambda x: x.permute(1, 2, 0),
        lambda y: y.permute(2, 0, 1),
        (2, 2, 2),
        (2, 2, 2),
        {"permutes on": lambda y: y.permute(1, 2, 0), "does nothing": lambda y: y},
    ),
    Pair(
        "broadcast and sum",
        lambda x: x.expand(3, 3),
        lambda y: y.sum(0),
        (3,),
        (3, 3),
        {"sums the wrong axis": lambda y: y.sum(1), "does not sum": lambda y: y[0]},
    ),
    Pair("a number and itself", lambda x: 3 * x, lambda y: 3 * y, (), (), {"adds": lambda y: y + 2}),
    Pair("nothing and nothing", lambda x: x.sum(), lambda y: y.expand(0, 2), (0, 2), ()),
    Pair("nothing in, zeros out", lambda x: x.sum(0), lambda y: y.expand(0, 2), (0, 2), (2,)),
]


@pytest.mark.parametrize("pair", PAIRS, ids=[pair.name.replace(" ", "_") for pair in PAIRS])
@given(data=st.data())
def test_right_pairs_are_adjoint_exactly(pair, data):
    x, y = data.draw(integer_valued_floats(pair.x)), data.draw(integer_valued_floats(pair.y))
    assert check_adjoint(pair.A, pair.At, x, y) is True


MISPAIRED = [(pair, name) for pair in PAIRS for name in pair.wrong]


@pytest.mark.parametrize("pair, name", MISPAIRED, ids=[f"{p.name} {name}".replace(" ", "_") for p, name in MISPAIRED])
@pytest.mark.parametrize("seed", range(3))
def test_check_adjoint_reports_a_wrong_transpose_and_an_entry_that_is_wrong(pair, name, seed):
    rng = np.random.default_rng(seed)
    x, y = (np.asarray(rng.integers(1, 9, shape), np.float32) for shape in (pair.x, pair.y))
    report = failure(check_adjoint, pair.A, pair.wrong[name], x, y)
    found = re.search(r"\(At y\)\[([\d, ]*)\] is (\S+), and should be <A e, y> = ([^,\s]+)", report)
    index = tuple(int(i) for i in found[1].split(",")) if found[1] else ()
    got, right = pair.wrong[name](mg.tensor(y)).cpu().numpy()[index], pair.At(mg.tensor(y)).cpu().numpy()[index]
    assert got != right
    assert (float(found[2]), float(found[3])) == pytest.approx((got, right))


def test_check_adjoint_names_both_inner_products():
    report = failure(check_adjoint, lambda x: 2 * x, lambda y: 3 * y, np.array([1.0, 2.0]), np.array([10.0, 100.0]))
    assert "<A x, y> = 420" in report and "<x, At y> = 630" in report


def test_check_adjoint_notices_a_difference_of_one_on_integers_however_large_the_rest():
    off = np.zeros(1000, np.float64)
    off[123] = 1
    ones = np.full(1000, 1e6)
    report = failure(check_adjoint, lambda x: x, lambda y: y + mg.tensor(off), ones, ones)
    assert "[123]" in report


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_check_adjoint_tolerates_the_rounding_of_floats_and_no_more(dtype):
    rng = np.random.default_rng(5)
    w = mg.tensor(rng.normal(size=(40, 50)).astype(dtype))
    x, y = rng.normal(size=(30, 40)).astype(dtype), rng.normal(size=(30, 50)).astype(dtype)
    assert check_adjoint(lambda x: x @ w, lambda y: y @ w.T, x, y)
    failure(check_adjoint, lambda x: x @ w, lambda y: (y @ w.T) * 1.1, x, y)


def test_check_adjoint_reports_a_wrong_sign_on_large_float32_inputs():
    x, y, w = np.random.default_rng(5).normal(size=(3, 300, 300)).astype(np.float32)
    failure(check_adjoint, lambda x: x @ mg.tensor(w), lambda y: -(y @ mg.tensor(w.T)), x, y)


@pytest.mark.parametrize(
    "At, y, shapes",
    [
        (lambda y: y, X, ["(2, 3)", "(3, 2)"]),
        (lambda y: y, X.T, ["(2, 3)", "(3, 2)"]),
        (lambda y: y.sum(), X.T, ["(2, 3)", "()"]),
    ],
    ids=["of_y", "of_At_y", "of_a_sum"],
)
def test_check_adjoint_names_shapes_that_do_not_fit(At, y, shapes):
    report = failure(check_adjoint, lambda x: x.T, At, X, y)
    assert all(shape in report for shape in shapes)


# -------------------------------------------------------------------------------------------------- check_against_torch


def square(x):
    return x * x


def last_up(op, x):
    y = x * x
    y[1, 2] = np.nextafter(y[1, 2], np.inf).astype(y.dtype)
    return y


def square_gradient(op, g):
    return (2 * g * op.inputs[0],)


def last_gradient_up(op, g):
    up = (2 * g * op.inputs[0]).detach().cpu().numpy().copy()
    up[1, 2] = np.nextafter(up[1, 2], np.inf)
    return (mg.tensor(up),)


DIFFERENT = {
    "dtype": (lambda x: (x * x).float(), square, ["dtype", "float32", "float64"]),
    "shape": (lambda x: (x * x)[None], square, ["shape", "(1, 2, 3)", "(2, 3)"]),
    "requires_grad missing": (lambda x: (x * x).detach(), square, ["requires_grad", "False", "True"]),
    "requires_grad too much": (square, lambda x: (x * x).detach(), ["requires_grad", "False", "True"]),
    "one entry": (
        lambda x: x * x + mg.tensor(X == 0.25),
        square,
        ["[1, 1]", "1 entries (of 6)", "1.0625", "0.0625"],
    ),
    "nan": (lambda x: x.log(), lambda x: x.abs().log(), ["[0, 1]", "nan"]),
    "more values": (lambda x: (x, x), lambda x: (x,), ["2 values", "1"]),
    "fewer values": (lambda x: x, lambda x: (x, x), ["1 value", "2"]),
}


@pytest.mark.parametrize("ours, theirs, facts", **table(DIFFERENT))
def test_comparing_with_torch_names_what_differs_in_the_values(ours, theirs, facts):
    report = failure(check_against_torch, ours, theirs, X)
    assert all(fact in report for fact in facts), report


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_ulp_in_one_entry_of_the_value_is_reported_only_if_exact(dtype):
    off = make_op("LastUp", last_up, square_gradient)
    x = X.astype(dtype)
    assert check_against_torch(off, square, x)
    report = failure(check_against_torch, off, square, x, exact=True)
    assert "[1, 2]" in report and "0.5625" in report and re.search(r"\b1 ulp", report)


def test_one_ulp_in_one_entry_of_a_gradient_is_reported_only_if_exact():
    off = make_op("LastUp", lambda op, x: x * x, last_gradient_up)
    assert check_against_torch(off, square, X, second_order=False)
    report = failure(check_against_torch, off, square, X, second_order=False, exact=True)
    assert "gradient of input 0" in report and "[1, 2]" in report and re.search(r"\b1 ulp", report)


def test_tolerances_of_the_comparison_with_torch_can_be_chosen():
    f = lambda x: 1.001 * x  # noqa: E731
    failure(check_against_torch, f, lambda x: x * 1, X)
    assert check_against_torch(f, lambda x: x * 1, X, rtol=1e-2, atol=0.0)
    failure(check_against_torch, f, lambda x: x * 1, X, rtol=1e-4, atol=0.0)


def test_second_order_is_compared_only_if_asked_for():
    assert check_against_torch(detached_cube, lambda x: x**3, X, second_order=False)
    assert "second" in failure(check_against_torch, detached_cube, lambda x: x**3, X)


kept: list[Any] = []


def writes_first_entry(op, x):
    y = x * x
    x[0, 0] = 7.0
    return y


def clips_its_input(op, x):
    np.maximum(x, 0, out=x)
    return x.copy()


def zeroes_the_cotangent(op, g):
    gx = 2 * g * op.inputs[0]
    g.array[...] = 0
    return (gx,)


def keeps_itself_in_backward(op, g):
    kept.append(op)
    return (2 * g * op.inputs[0],)


def keeps_itself(op, x):
    kept.append(op)
    return x * x


def stores_its_output(x):
    y = make_op("Square", lambda op, x: x * x, square_gradient)(x)
    y.op.y = y
    return y


def plus(x, y):
    return x + y


ZEROS = mg.zeros(2, 3, dtype=mg.float64)
KINDS = {"writes": "writ|changed", "returns": "memory", "stores": "cycle", "keeps": "alive"}
UNHYGIENIC = {
    "writes into its input": (make_op("Writes", writes_first_entry, square_gradient), square, [X]),
    "writes into its input what makes no difference to the value": (
        make_op("Clips", clips_its_input, lambda op, g: (g * (op.inputs[0] > 0),)),
        lambda x: x.relu(),
        [X],
    ),
    "writes into the cotangent": (make_op("Zeroes", lambda op, x: x * x, zeroes_the_cotangent), square, [X]),
    "returns one array twice and calls it fresh": (
        make_op("Plus", lambda op, x, y: x + y, lambda op, g: (g * 1.0,) * 2, fresh=True),
        plus,
        [X, Y],
    ),
    "returns the cotangent twice and calls it fresh": (
        make_op("Plus", lambda op, x, y: x + y, lambda op, g: (g, g), fresh=True),
        plus,
        [X, Y],
    ),
    "returns the cotangent and calls it fresh": (
        make_op("Copy", lambda op, x: x.copy(), lambda op, g: (g,), fresh=True),
        lambda x: x * 1,
        [X],
    ),
    "returns an array that it keeps and calls it fresh": (
        make_op("Floor", lambda op, x: np.floor(x), lambda op, g: (ZEROS.detach(),), fresh=True),
        lambda x: x.floor(),
        [X],
    ),
    "stores its own output": (stores_its_output, square, [X]),
    "keeps its graph alive": (make_op("Keeps", keeps_itself, square_gradient), square, [X]),
    "keeps its graph alive in backward": (
        make_op("Keeps", lambda op, x: x * x, keeps_itself_in_backward),
        square,
        [X],
    ),
}


@pytest.mark.parametrize(
    "name",
    **table({n: pytest.param(n) for n in UNHYGIENIC}),
)
def test_comparing_with_torch_reports_an_op_with_right_numbers_that(name):
    f, truth, inputs = UNHYGIENIC[name]
    report = failure(check_against_torch, f, truth, [x.copy() for x in inputs])
    assert re.search(KINDS[name.split()[0]], report), report


def test_what_kept_a_graph_alive_once_does_not_trouble_the_next_comparison():
    kept.clear()
    assert check_against_torch(square, square, X)


PASSED_ON = {
    "an array": (square, square, X),
    "a tensor": (square, square, mg.tensor(X)),
    "a leaf": (square, square, mg.tensor(X, requires_grad=True)),
    "ids as an array": (lambda t, i: t[i], lambda t, i: t[i], [TABLE, IDS]),
    "ids as a tensor": (lambda t, i: t[i], lambda t, i: t[i], [TABLE, mg.tensor(IDS)]),
    "ids as a tensor of int32": (lambda t, i: t[i], lambda t, i: t[i], [TABLE, mg.tensor(IDS, dtype=mg.int32)]),
    "a mask": (lambda x, m: x.masked_fill(m, 0.0), lambda x, m: x.masked_fill(m, 0.0), [X, X > 0]),
    "a number": (lambda x, n: x * n, lambda x, n: x * n, [X, 3]),
    "a float": (lambda x, n: x * n, lambda x, n: x * n, [X, 2.5]),
    "text": (lambda x, how: getattr(x, how)(), lambda x, how: getattr(x, how)(), [X, "abs"]),
    "None and a list": (lambda x, a, b: x.sum(b), lambda x, a, b: x.sum(b), [X, None, [0, 1]]),
    "no inputs at all": (lambda: mg.ones(2), lambda: torch.ones(2), []),
    "integers only": (lambda x: x + 1, lambda x: x + 1, IDS),
    "several outputs, one of integers": (lambda x: tuple(x.max(dim=1)), lambda x: tuple(x.max(dim=1)), X),
    "a list where torch has a tuple": (lambda x: [x, x * 2], lambda x: (x, x * 2), X),
    "the input itself": (lambda x: x, lambda x: x, X),
    "a view": (lambda x: x.T, lambda x: x.T, X),
    "an unused input": (lambda x, y: x * 2, lambda x, y: x * 2, [X, Y]),
    "the same array twice": (lambda x, y: x * y, lambda x, y: x * y, [X, X]),
    "float32": (square, square, X.astype(np.float32)),
    "float16": (lambda x: x.reshape(-1), lambda x: x.reshape(-1), X.astype(np.float16)),
    "0-d": (square, square, np.array(0.5)),
    "zero size": (square, square, np.zeros((0, 3))),
    "read-only": (square, square, np.broadcast_to(X[0], (2, 3))),
    "negative strides": (square, square, X[::-1, ::-1]),
}


@pytest.mark.parametrize("exact", [False, True], ids=["close", "exact"])
@pytest.mark.parametrize("ours, theirs, inputs", **table(PASSED_ON))
def test_comparing_with_torch_takes_inputs_of_any_kind(ours, theirs, inputs, exact):
    assert check_against_torch(ours, theirs, inputs, exact=exact) is True


@pytest.mark.parametrize("value", [3, "text", None, (2, 3), {"a": 1}, True])
@pytest.mark.parametrize("inputs", [X, IDS], ids=["floats", "integers"])
def test_functions_that_return_something_else_than_tensors_in_both_libraries_may_agree(value, inputs):
    assert check_against_torch(lambda x: value, lambda x: value, inputs)


@pytest.mark.parametrize("value", [3, "text", None, {"a": 1}, True])
def test_functions_that_return_something_else_than_tensors_are_compared(value):
    assert "another" in failure(check_against_torch, lambda x: value, lambda x: "another value", X)


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (lambda x: "text", lambda x: x * 1),
        pytest.param(lambda x: x * 1, lambda x: "text"),
    ],
    ids=["in_minigrad", "in_torch"],
)
def test_something_else_than_a_tensor_in_one_library_only_is_reported(ours, theirs):
    failure(check_against_torch, ours, theirs, X)


def test_comparing_with_torch_differentiates_only_what_requires_grad_if_anything_does():
    half_wrong = make_op("Multiply", product, lambda op, g: (g * op.inputs[1], None))
    both = lambda x, y: x * y  # noqa: E731
    assert check_against_torch(half_wrong, both, [mg.tensor(X, requires_grad=True), Y], second_order=False)
    assert "input 1" in failure(check_against_torch, half_wrong, both, [X, Y], second_order=False)


def test_comparing_with_torch_leaves_the_inputs_as_they_were():
    array, leaf = X.copy(), mg.tensor(Y, requires_grad=True)
    assert check_against_torch(lambda x, y: x * y, lambda x, y: x * y, [array, leaf])
    np.testing.assert_array_equal(array, X)
    np.testing.assert_array_equal(leaf.detach().cpu().numpy(), Y)
    assert leaf.requires_grad and leaf.grad is None


def test_minigrad_gets_arrays_with_the_memory_that_they_have_and_torch_contiguous_copies():
    strides = []

    def ours(x):
        strides.append(x.stride())
        return x * 2

    def theirs(x):
        strides.append(x.stride())
        return x * 2

    assert check_against_torch(ours, theirs, X.T)
    assert set(strides) == {(1, 3), (2, 1)}


# ---------------------------------------------------------------------------------------- ulp_distance and assert_close

FLOATS = [np.float16, np.float32, np.float64]
floats = pytest.mark.parametrize("dtype", FLOATS, ids=["float16", "float32", "float64"])


def steps(x: Any, towards: float, count: int) -> Any:
    for _ in range(count):
        x = np.nextafter(x, x.dtype.type(towards))
    return x


@floats
@pytest.mark.parametrize("start", ["0", "1", "-1", "2", "-2.5", "smallest", "tiny", "max", "-0"])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_ulp_distance_counts_the_steps_of_nextafter(dtype, start, count):
    info = np.finfo(dtype)
    named = {"smallest": info.smallest_subnormal, "tiny": info.tiny, "max": info.max}
    x = np.asarray(dtype(named.get(start, start)))
    y = np.asarray(steps(x, -np.inf, count))
    for a, b in [(x, y), (y, x), (-x, -y), (mg.tensor(x), mg.tensor(y)), (x, mg.tensor(y))]:
        distance = ulp_distance(a, b)
        assert distance.dtype == np.float64 and distance == count


@floats
def test_ulp_distance_at_the_edges_of_the_numbers(dtype):
    info, inf, nan = np.finfo(dtype), dtype(np.inf), dtype(np.nan)
    smallest = info.smallest_subnormal
    edges = [
        (dtype(0), -dtype(0), 0),
        (nan, nan, 0),
        (nan, -nan, 0),
        (nan, dtype(1), np.inf),
        (dtype(1), nan, np.inf),
        (nan, inf, np.inf),
        (inf, inf, 0),
        (-inf, -inf, 0),
        (info.max, inf, 1),
        (-info.max, -inf, 1),
        (-smallest, smallest, 2),
        (dtype(0), smallest, 1),
        (dtype(1), dtype(2), 2**info.nmant),
        (dtype(1), dtype(1) - info.epsneg, 1),
        (dtype(-1), dtype(1), 2 * 2**info.nmant * (-info.minexp + 1)),
        (dtype(-2), dtype(2), 2 * 2**info.nmant * (-info.minexp + 2)),
        (-inf, inf, 2 * 2**info.nmant * (info.maxexp - info.minexp + 1)),
    ]
    xs, ys, expected = (np.array(column) for column in zip(*edges, strict=True))
    np.testing.assert_array_equal(ulp_distance(xs.astype(dtype), ys.astype(dtype)), expected)


@floats
@pytest.mark.parametrize("x, y", [(-1, 1), (-2, 2), (2, -2), (-3, 3), (3, -3)])
def test_ulp_distance_of_two_numbers_is_that_of_two_arrays_of_one_number(dtype, x, y):
    assert ulp_distance(np.array(x, dtype), np.array(y, dtype)) == ulp_distance(
        np.array([x], dtype), np.array([y], dtype)
    )


def test_a_wrong_sign_is_reported_with_the_distance_in_ulp():
    assert "ulp apart" in failure(check_against_torch, lambda x: -x, lambda x: 1 * x, np.array([3.0]))


def test_ulp_distance_broadcasts_and_takes_tensors_that_require_grad():
    x = mg.tensor(np.ones((2, 1)), requires_grad=True)
    assert ulp_distance(x, np.nextafter(np.ones(3), 2)).tolist() == [[1] * 3] * 2
    assert ulp_distance(np.zeros((0, 3)), np.zeros(3)).shape == (0, 3)


@pytest.mark.parametrize("x, y", [(np.float32([1]), np.float64([1])), (IDS, IDS)], ids=["two_dtypes", "integers"])
def test_ulp_distance_refuses_what_is_not_of_one_floating_dtype(x, y):
    with pytest.raises(TypeError, match=str(x.dtype)):
        ulp_distance(x, y)


def passes(check: Callable[..., Any], *args: Any, **options: Any) -> bool:
    try:
        check(*args, **options)
    except AssertionError:
        return False
    return True


TORCH_DTYPES = {np.float16: torch.float16, np.float32: torch.float32, np.float64: torch.float64}
TOLERANCES = {np.float16: (1e-3, 1e-5), np.float32: (1.3e-6, 1e-5), np.float64: (1e-7, 1e-7)}
special = st.sampled_from([0.0, -0.0, np.inf, -np.inf])


@given(
    dtype=st.sampled_from(FLOATS),
    numbers=st.lists(st.one_of(special, st.floats(-1000, 1000)), max_size=3),
    errors=st.lists(st.sampled_from([0, 0, 0.5, -0.5, 2, -2, 1000, np.nan, np.inf]), min_size=3, max_size=3),
    chosen=st.sampled_from(
        [{}, {}, {"rtol": 0.01, "atol": 0.0}, {"rtol": 0.0, "atol": 0.1}, {"rtol": 0.0, "atol": 0.0}]
    ),
)
def test_assert_close_agrees_with_torch(dtype, numbers, errors, chosen):
    rtol, atol = (chosen["rtol"], chosen["atol"]) if chosen else TOLERANCES[dtype]
    expected = np.array(numbers, dtype)
    with np.errstate(all="ignore"):
        error = np.array(errors[: len(numbers)]) * (atol + rtol * np.abs(expected.astype(np.float64)))
        actual = np.where(error == 0, expected, expected.astype(np.float64) + error).astype(dtype)
        moved = np.abs(
            actual.astype(np.float64) - expected
        )  # where rounding brought it to the edge, both may say either
        edge = np.isclose(moved, atol + rtol * np.abs(expected.astype(np.float64)), rtol=1e-2, atol=0) & (moved > 0)
    actual = np.where(edge, expected, actual)
    theirs = passes(torch.testing.assert_close, torch.tensor(actual), torch.tensor(expected), **chosen)
    assert passes(assert_close, mg.tensor(actual), mg.tensor(expected), **chosen) == theirs


def test_assert_close_agrees_with_torch_about_nan():
    nan = np.array([np.nan])
    assert passes(assert_close, nan, nan) == passes(torch.testing.assert_close, torch.tensor(nan), torch.tensor(nan))


@pytest.mark.filterwarnings("error")
def test_assert_close_reports_the_largest_numbers_without_a_warning():
    failure(assert_close, np.float32([3e38]), np.float32([-3e38]))


@pytest.mark.parametrize("actual, expected", [(3.0, {"a": 1.0}), (5, [5])], ids=["dict", "list"])
def test_assert_close_reports_a_number_where_several_were_expected(actual, expected):
    failure(assert_close, actual, expected)


CLOSE = {
    "equal integers": (mg.tensor([1, 2]), mg.tensor([1, 2])),
    "nested": ({"a": [mg.tensor(X), (1.0, 2)]}, {"a": [mg.tensor(X), (1.0, 2)]}),
    "arrays": (X, X + 1e-9),
    "a tensor that requires grad": (mg.tensor(X, requires_grad=True), mg.tensor(X)),
    "nothing": ([], []),
    "zero size": (mg.zeros(0, 3), mg.zeros(0, 3)),
    "bools": (mg.tensor([True]), mg.tensor([True])),
}
FAR = {
    "integers": (mg.tensor([1, 2]), mg.tensor([1, 3]), ["[1]", "2", "3"]),
    "shapes": (mg.zeros(2, 3), mg.zeros(3, 2), ["shape", "(2, 3)", "(3, 2)"]),
    "shapes that broadcast": (mg.zeros(2, 1), mg.zeros(2), ["shape"]),
    "dtypes": (mg.zeros(2), mg.zeros(2, dtype=mg.float64), ["dtype", "float32", "float64"]),
    "bools": (mg.tensor([True, True]), mg.tensor([True, False]), ["[1]", "True", "False"]),
    "one entry of many": (X, X + 0.5 * (X == 0.25), ["1 entries (of 6)", "[1, 1]", "0.25", "0.75", "ulp"]),
    "one ulp more than none": (
        np.array([1.0, np.nextafter(2.0, 3)]),
        np.array([1.0, 2.0]),
        ["[1]", "2.0000000000000004", "2.0", "1 ulp"],
    ),
    "keys": ({"a": X}, {"b": X}, ["'a'", "'b'"]),
    "lengths": ([X, X], [X], ["2", "1"]),
    "an entry deep inside": pytest.param({"a": [X, X]}, {"a": [X, X + 1]}, ["[0, 0]", "'a'", "[1]"]),
    "an item of a list": pytest.param([1.0, 2.0], [1.0, 3.0], ["[1]", "2.0", "3.0"]),
    "a list and a tensor": ([1.0], mg.tensor([1.0]), []),
}


@pytest.mark.parametrize("actual, expected", **table(CLOSE))
def test_assert_close_passes_what_is_close(actual, expected):
    assert assert_close(actual, expected) is None


@pytest.mark.parametrize("actual, expected, facts", **table(FAR))
def test_assert_close_names_what_differs(actual, expected, facts):
    exact = {"rtol": 0.0, "atol": 0.0} if facts and facts[-1] == "1 ulp" else {}
    report = failure(assert_close, actual, expected, **exact)
    assert all(fact in report for fact in facts), report


# ----------------------------------------------------------------------------------------------------------- strategies


@pytest.mark.parametrize("limits", [(0, 4, 0, 4), (1, 2, 1, 3), (3, 3, 0, 1), (0, 0, 0, 4), (2, 2, 5, 6)])
@given(data=st.data())
def test_shapes_keep_to_their_limits(limits, data):
    min_dims, max_dims, min_side, max_side = limits
    shape = data.draw(shapes(*limits))
    assert type(shape) is tuple and all(type(side) is int for side in shape)
    assert min_dims <= len(shape) <= max_dims
    assert all(min_side <= side <= max_side for side in shape)


def test_shapes_are_of_all_kinds():
    drawn = draw(shapes(), 100)
    assert {len(shape) for shape in drawn} == {0, 1, 2, 3, 4}
    assert {side for shape in drawn for side in shape} == {0, 1, 2, 3, 4}
    assert sum(1 in shape for shape in drawn) > 20


@given(data=st.data(), count=st.integers(1, 4))
def test_broadcastable_shapes_broadcast(data, count):
    drawn = data.draw(broadcastable_shapes(count))
    assert len(drawn) == count
    np.broadcast_shapes(*drawn)
    torch.broadcast_shapes(*drawn)
    assert all(len(shape) <= 4 and all(0 <= side <= 4 for side in shape) for shape in drawn)


def test_broadcastable_shapes_differ_in_length_and_in_sides_and_are_sometimes_empty():
    drawn = draw(broadcastable_shapes(2), 100)
    assert sum(len(a) != len(b) for a, b in drawn) > 10
    assert sum(len(a) == len(b) and a != b for a, b in drawn) > 10
    assert sum(0 in np.broadcast_shapes(a, b) for a, b in drawn) > 3
    assert any(a != np.broadcast_shapes(a, b) != b for a, b in drawn)  # each stretches the other


def test_broadcastable_shapes_keep_to_their_limits():
    for drawn in draw(broadcastable_shapes(3, 1, 3, 1, 2), 60):
        assert all(1 <= len(shape) <= 3 and set(shape) <= {1, 2} for shape in drawn)


@pytest.mark.parametrize("ndim, expected", [(3, {-3, -2, -1, 0, 1, 2}), (1, {-1, 0}), (0, {-1, 0})])
def test_dims_count_from_either_end(ndim, expected):
    assert set(draw(dims(ndim), 60)) == expected


@pytest.mark.parametrize("ndim", [0, 1, 3])
def test_several_dims_are_different_ones_that_torch_takes(ndim):
    drawn = draw(dims(ndim, several=True), 100)
    kinds = {type(dim) for dim in drawn}
    assert kinds == {int, type(None), tuple}
    assert () in drawn
    for dim in drawn:
        torch.zeros((2,) * ndim).sum(dim)  # says so if one is out of range or comes twice
    if ndim == 3:
        assert {len(dim) for dim in drawn if type(dim) is tuple} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "argument, allowed",
    [
        ((2, 3), {(2, 3)}),
        ((), {()}),
        (4, {(4,)}),
        (0, {(0,)}),
        ([2, 3], {(2, 3)}),
        (mg.zeros(2, 3).shape, {(2, 3)}),
        (st.sampled_from([(1, 2), (3,)]), {(1, 2), (3,)}),
        (st.sampled_from([1, 2]), {(1,), (2,)}),
    ],
    ids=["tuple", "no_axes", "length", "zero", "list", "size", "strategy", "strategy_of_lengths"],
)
@pytest.mark.parametrize("strategy", [tensors, integer_valued_floats, lambda shape: indices(5, shape)])
def test_a_shape_can_be_given_in_every_way(strategy, argument, allowed):
    assert {tuple(x.shape) for x in draw(strategy(argument), 8)} == allowed


DTYPES = [
    (mg.float16, {mg.float16}),
    (mg.float32, {mg.float32}),
    (np.float32, {mg.float32}),
    (np.dtype("float64"), {mg.float64}),
    (mg.int8, {mg.int8}),
    (mg.uint8, {mg.uint8}),
    (mg.bool, {mg.bool}),
    (st.sampled_from([mg.float32, mg.int64]), {mg.float32, mg.int64}),
    (None, {mg.float64}),
]


@pytest.mark.parametrize("argument, allowed", DTYPES, ids=[str(i) for i in range(len(DTYPES))])
def test_tensors_have_the_dtype_that_was_asked_for_and_numbers_that_suit_it(argument, allowed):
    drawn = draw(tensors((2, 3), argument), 15)
    assert {x.dtype for x in drawn} == allowed
    for x in drawn:
        values = x.cpu().numpy()
        if x.is_floating_point():
            assert ((np.abs(values) >= 0.25) & (np.abs(values) <= 4)).all()
        elif values.dtype.kind != "b":
            assert ((values >= (0 if values.dtype.kind == "u" else -8)) & (values <= 8)).all()


def test_tensors_are_of_both_signs_and_many_values_and_sometimes_empty():
    drawn = draw(tensors(), 100)
    values = np.concatenate([x.cpu().numpy().ravel() for x in drawn])
    assert (values < 0).mean() > 0.1 and (values > 0).mean() > 0.1
    assert len(np.unique(values)) > 50
    assert 3 < sum(x.numel() == 0 for x in drawn) < 70
    assert {x.ndim for x in drawn} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("requires_grad", [False, True])
def test_tensors_are_leaves_that_require_grad_if_asked_for(requires_grad):
    for x in draw(tensors(requires_grad=requires_grad), 20):
        assert x.requires_grad is requires_grad and x.is_leaf and x.grad is None


def test_the_entries_of_tensors_can_be_chosen():
    values = [x.tolist() for x in draw(tensors((2,), mg.int64, elements=st.sampled_from([3, 5])), 30)]
    assert {number for pair in values for number in pair} == {3, 5}
    floats = [x.cpu().numpy() for x in draw(tensors(2, elements=st.floats(10, 11)), 30)]
    assert all(((x >= 10) & (x <= 11)).all() for x in floats)


WIDTHS = {mg.int8, mg.int16, mg.int32, mg.int64, mg.uint8, mg.uint16, mg.uint32, mg.uint64}


@pytest.mark.parametrize(
    "rows, widths",
    [(0, WIDTHS), (1, WIDTHS), (5, WIDTHS), (300, WIDTHS - {mg.int8, mg.uint8})],
)
def test_indices_are_rows_of_the_table_in_every_integer_width_that_can_count_them(rows, widths):
    drawn = draw(indices(rows))
    assert {ids.dtype for ids in drawn} == widths
    for ids in drawn:
        values = ids.cpu().numpy().astype(np.int64)
        assert ((values >= 0) & (values < rows)).all()
        assert ids.ndim <= 3 and not ids.requires_grad
    sizes = np.array([ids.numel() for ids in drawn])
    repeated = sum(len(np.unique(ids.cpu().numpy())) < ids.numel() for ids in drawn)
    assert (sizes == 0).sum() > 5
    if rows == 0:
        assert not sizes.any()
    else:
        assert {ids.ndim for ids in drawn} == {0, 1, 2, 3}
        assert repeated > 40
        assert repeated > (sizes > 1).sum() / 2  # "most often ids repeat"


def test_indices_reach_the_first_and_the_last_row():
    values = np.concatenate([ids.cpu().numpy().ravel().astype(np.int64) for ids in draw(indices(5), 60)])
    assert set(values.tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("dtype", [mg.int32, np.uint8])
def test_indices_have_the_dtype_that_was_asked_for(dtype):
    assert {ids.dtype for ids in draw(indices(5, (2, 2), dtype), 10)} == {mg.tensor(0).to(dtype).dtype}


@pytest.mark.parametrize("dtype, bound", [(None, 8), (mg.float16, 3), (mg.float32, 1), (mg.float64, 0)])
def test_integer_valued_floats_are_whole_numbers_within_the_bound(dtype, bound):
    drawn = draw(integer_valued_floats((3, 3), dtype, bound), 60)
    values = np.concatenate([x.cpu().numpy().ravel() for x in drawn])
    assert {x.dtype for x in drawn} == {dtype or mg.float32}
    assert set(values.tolist()) == set(range(-bound, bound + 1))


@pytest.mark.parametrize("strategy", [tensors((20, 20)), indices(5, (20, 20)), integer_valued_floats(400)])
def test_what_has_hundreds_of_entries_is_drawn_whole(strategy):
    drawn = draw(strategy, 20)
    assert all(x.numel() == 400 for x in drawn)
    assert max(len(np.unique(x.cpu().numpy())) for x in drawn) > 2


def kind_of_layout(x: np.ndarray) -> str:
    """Of an array of shape (2, 3)."""
    if not x.flags.writeable:
        return "read-only"
    if min(x.strides) < 0:
        return "negative strides"
    if x.flags.c_contiguous:
        return "contiguous"
    if x.flags.f_contiguous:
        return "column by column"
    return "gaps" if x.strides[1] > x.itemsize else "in the middle"


@pytest.mark.parametrize("as_tensor", [False, True], ids=["array", "tensor"])
def test_layouts_are_of_every_kind_and_hold_the_same_numbers(as_tensor):
    x = X.astype(np.float32)
    drawn = draw(layouts(mg.tensor(x) if as_tensor else x), 60)
    assert all(type(y) is (mg.Tensor if as_tensor else np.ndarray) for y in drawn)
    arrays = [y.cpu().numpy() if as_tensor else y for y in drawn]
    for array in arrays:
        assert array.dtype == x.dtype
        np.testing.assert_array_equal(array, x)
    if as_tensor and not CPU:  # what is copied from a GPU has lost its layout
        return
    kinds = {"read-only", "negative strides", "contiguous", "column by column", "gaps", "in the middle"}
    assert {kind_of_layout(array) for array in arrays} == kinds
    (locked, *_) = [array for array in arrays if not array.flags.writeable]
    with pytest.raises(ValueError, match="read-only"):
        locked[0, 0] = 1


def test_the_layouts_of_an_array_do_not_share_its_memory():
    assert not any(np.shares_memory(y, X) for y in draw(layouts(X), 30))


@pytest.mark.parametrize("requires_grad", [False, True])
def test_layouts_keep_requires_grad(requires_grad):
    x = mg.tensor(X, requires_grad=requires_grad)
    drawn = draw(layouts(x), 30)
    assert all(y.requires_grad is requires_grad and y.is_leaf for y in drawn)
    assert len({y.stride() for y in drawn}) > 3
    drawn = draw(layouts(tensors((2, 3), requires_grad=requires_grad)), 30)
    assert all(y.requires_grad is requires_grad and y.is_leaf for y in drawn)


@given(data=st.data(), x=tensors(dtype=st.sampled_from([mg.float32, mg.int64, mg.bool])))
def test_layouts_of_any_shape_and_dtype_hold_the_same_numbers(data, x):
    y = data.draw(layouts(x))
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y.cpu().numpy(), x.cpu().numpy())


@pytest.mark.parametrize(
    "strategy, fails, largest",
    [
        (tensors(), lambda x: (x.cpu().numpy() < 0).any(), 1),
        (tensors(), lambda x: x.numel() > 1, 2),
        (tensors(requires_grad=True), lambda x: float(x.sum()) > 3, 2),
        (layouts(tensors()), lambda x: (x.cpu().numpy() < 0).any(), 1),
        (integer_valued_floats(), lambda x: (x.cpu().numpy() > 4).any(), 1),
        (indices(9), lambda x: len(np.unique(x.cpu().numpy())) < x.numel(), 2),
    ],
    ids=["a_negative_number", "two_numbers", "a_large_sum", "a_negative_number_in_a_layout", "whole", "repeated_ids"],
)
def test_what_fails_shrinks_to_at_most_two_numbers(strategy, fails, largest):
    thorough = settings(max_examples=200, phases=tuple(Phase), derandomize=True, database=None)
    smallest = find(strategy, fails, settings=thorough)
    assert smallest.numel() <= largest


def test_programs_have_more_lines_the_more_rules_are_drawn():
    none = [len(program) for program in draw(programs(0, 0), 20)]
    one = [len(program) for program in draw(programs(1, 1), 20)]
    many = [len(program) for program in draw(programs(30, 30), 20)]
    assert max(none) <= max(one) < min(many)
    assert np.mean(many) - np.mean(none) > 20


# ------------------------------------------------------------------------------------------------------- import hygiene


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["minigrad", "minigrad.testing"])
def test_neither_hypothesis_nor_torch_is_imported_with(module):
    code = f"import sys, {module}; print([name for name in ('hypothesis', 'torch', 'pytest') if name in sys.modules])"
    assert run_python(code).strip() == "[]"


STRATEGIES = ["tensors", "shapes", "broadcastable_shapes", "indices", "integer_valued_floats", "layouts", "dims"]
WITHOUT = """
import sys
sys.modules["hypothesis"] = sys.modules["torch"] = None  # as if they were not installed
import numpy as np, minigrad as mg
from minigrad.testing import assert_close, check_adjoint, gradcheck, gradgradcheck, ulp_distance
import minigrad.testing as kit

x = mg.ones(2, 3)
assert gradcheck(lambda x: x.sin(), x) and gradgradcheck(lambda x: x.sin(), x)
assert check_adjoint(lambda x: 2 * x, lambda y: 2 * y, x, x)
assert_close(x, x)
assert ulp_distance(x, x).max() == 0
dir(kit)
for name in sys.argv[1:] or {names}:
    try:
        getattr(kit, name)
    except ImportError as error:
        print(name, "|", error)
    else:
        print(name, "| was found")
"""


def test_the_checks_work_without_hypothesis_and_torch_and_the_rest_says_what_to_install():
    needs = {
        "hypothesis": [*STRATEGIES, "programs"],
        "torch": ["check_against_torch", "check_program"],
    }
    printed = run_python(WITHOUT.replace("{names}", repr([*needs["hypothesis"], *needs["torch"]])))
    said = dict(line.split(" | ") for line in printed.splitlines())
    for name in needs["hypothesis"]:
        assert "pip install hypothesis" in said[name]
    assert "pip install torch" in said["check_against_torch"]
    assert "pip install" in said["check_program"]


def test_an_unknown_name_is_answered_with_the_names_that_there_are():
    import minigrad.testing as kit

    with pytest.raises(AttributeError, match=r"'grad_check'.*gradcheck"):
        _ = kit.grad_check
    with pytest.raises(ImportError, match="grad_check"):
        from minigrad.testing import grad_check  # noqa: F401


def test_the_kit_lists_its_names():
    import minigrad.testing as kit

    assert set(kit.__all__) <= set(dir(kit))
    assert all(callable(getattr(kit, name)) and getattr(kit, name).__doc__ for name in kit.__all__)
