"""The engine: collecting gradients, freeing graphs, modes, in-place changes, and gradients that are rows.

Most of it is a table of small programs that run in both libraries. Where torch gives numbers, ours are the same; where torch
raises, so do we.
"""

from __future__ import annotations

import gc
import itertools
import json
import math
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import both, check_against_torch, numpy_of, same, without_device

import minigrad as mg
from minigrad.backend import namespace

W = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
U = np.array([[1.0, 3.0, -2.0], [0.5, -1.5, 2.5]])
REFUSALS = (RuntimeError, TypeError, ValueError, IndexError)

Program = Callable[[Any, Any, Any], list[Any]]


@pytest.fixture(autouse=True)
def recording():
    """Every test starts recording, whatever the one before it broke."""
    mg.set_grad_enabled(True)
    torch.set_grad_enabled(True)


def outcome(lib: Any, program: Program) -> Any:
    """What the program returns, as arrays, or the exception it raises. It gets the leaves w and u, both (2, 3) float64."""
    w, u = (lib.tensor(x.copy(), requires_grad=True) for x in (W, U))
    try:
        return [
            None if r is None else numpy_of(r) if hasattr(r, "detach") or hasattr(r, "to_dense") else r
            for r in program(lib, w, u)
        ]
    except REFUSALS as error:
        return error


def compare(program: Program, may_refuse: bool = False) -> None:
    theirs, ours = outcome(torch, program), outcome(mg, program)
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception), f"torch raises {theirs!r:.200}; ours gives {ours}"
        assert type(ours) is type(theirs), f"{ours!r}, torch raises {theirs!r:.200}"
        return
    if isinstance(ours, Exception):
        if may_refuse and isinstance(ours, RuntimeError):
            return
        raise AssertionError(f"torch gives {theirs}") from ours
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if isinstance(b, np.ndarray):
            same(a, b, what=f"result {i}")
        else:
            assert a == b, f"result {i} is {a!r}, torch gives {b!r}"


def table() -> tuple[list[Any], Callable[[Program], Program]]:
    """A list of programs, and the decorator that fills it."""
    programs: list[Any] = []

    def add(program: Program) -> Program:
        programs.append(pytest.param(program, id=program.__name__))
        return program

    return programs, add


def ramp(lib: Any, y: Any) -> Any:
    """A cotangent of y's shape whose elements all differ."""
    return lib.tensor(np.linspace(-1.0, 2.0, y.numel()).reshape(tuple(y.shape)))


def pulled(lib: Any, y: Any, *tensors: Any) -> list[Any]:
    """y, and after its backward the gradients of some tensors."""
    y.backward(ramp(lib, y))
    return [y, *(x.grad for x in tensors)]


def constant(lib: Any, value: float = 1.0) -> Any:
    return lib.tensor(np.full((2, 3), value))


# ---------------------------------------------------------------------------------------------- backward, grad, accumulation

AGREE, agree = table()


@agree
def accumulates_within_a_graph(lib, w, u):
    return pulled(lib, w * u + w, w, u)


@agree
def accumulates_across_graphs(lib, w, u):
    pulled(lib, w * u, w)
    return pulled(lib, w * w, w, u)


@agree
def one_leaf_twice_in_one_op(lib, w, u):
    return pulled(lib, w * w + (w + w) + (w - w) + w / w, w)


@agree
def into_the_same_grad_tensor(lib, w, u):
    pulled(lib, w * u, w)
    held = w.grad
    pulled(lib, w * w, w)
    return [held is w.grad, held]


@agree
def into_a_grad_that_was_assigned(lib, w, u):
    w.grad = constant(lib, 3.0)
    return pulled(lib, w * u, w)


@agree
def grad_set_to_none(lib, w, u):
    pulled(lib, w * u, w)
    w.grad = None
    return pulled(lib, w * 2, w)


@agree
def create_graph_makes_a_new_grad_tensor(lib, w, u):
    (w * w).backward(ramp(lib, w), create_graph=True)
    first = w.grad
    (w * w * w).backward(ramp(lib, w), create_graph=True)
    return [first, w.grad, first is w.grad, w.grad.requires_grad]


@agree
def grad_of_a_leaf_by_itself(lib, w, u):
    return pulled(lib, w, w)


@agree
def gradient_of_another_float_type(lib, w, u):
    (w * u).backward(lib.tensor(np.arange(6.0, dtype=np.float32).reshape(2, 3)))
    return [w.grad]


@agree
def gradient_of_integers(lib, w, u):
    (w * u).backward(lib.tensor(np.arange(6).reshape(2, 3)))
    return [w.grad]


@agree
def gradient_of_another_shape(lib, w, u):
    return [(w * u).backward(lib.tensor(np.ones((3, 2)))), w.grad]


@agree
def gradient_that_would_broadcast(lib, w, u):
    return [(w * u).backward(lib.tensor(np.ones((1, 3)))), w.grad]


@agree
def gradient_that_is_no_tensor(lib, w, u):
    return [(w * u).backward([[1.0, 2.0, 3.0]] * 2)]


@agree
def no_gradient_for_many_numbers(lib, w, u):
    return [(w * u).backward()]


@agree
def no_gradient_for_one_number_in_two_dimensions(lib, w, u):
    y = (w * u)[:1, :1]
    y.backward()
    return [w.grad, u.grad]


@agree
def nothing_requires_grad(lib, w, u):
    return [(w.detach() * 2).backward(constant(lib))]


@agree
def inputs_restrict_backward(lib, w, u):
    (w * u).backward(ramp(lib, w), inputs=[w])
    return [w.grad, u.grad]


@agree
def inputs_named_twice(lib, w, u):
    (w * u).backward(ramp(lib, w), inputs=[w, w])
    return [w.grad, u.grad]


@agree
def inputs_that_are_no_leaves(lib, w, u):
    x = w * u
    (x * x).backward(ramp(lib, w), inputs=[x])
    return [x.grad, w.grad]


@agree
def inputs_of_a_leaf_and_its_descendant(lib, w, u):
    x = w * u
    (x * x * w).backward(ramp(lib, w), inputs=[x, w])
    return [x.grad, w.grad, u.grad]


@agree
def backward_of_several(lib, w, u):
    x, y = w * u, w * w
    lib.autograd.backward([x, y], [ramp(lib, x), constant(lib)])
    return [w.grad, u.grad]


@agree
def grad_leaves_dot_grad_alone(lib, w, u):
    (gw,) = lib.autograd.grad(w * u, w, ramp(lib, w))
    return [gw, w.grad, u.grad]


@agree
def grad_of_inner_tensors(lib, w, u):
    x = w * u
    y = x * w
    return [*lib.autograd.grad(y, [x, w, y], ramp(lib, y)), x.grad]


@agree
def grad_by_the_same_tensor_twice(lib, w, u):
    return list(lib.autograd.grad(w * u, [w, u, w], ramp(lib, w)))


@agree
def grad_of_several_outputs(lib, w, u):
    x = w * u
    return list(lib.autograd.grad([x, x * w, x.sum()], [w, u], [ramp(lib, x), constant(lib), None]))


@agree
def grad_of_one_output_twice(lib, w, u):
    x = w * u
    return list(lib.autograd.grad([x, x], [w], [ramp(lib, x), constant(lib)]))


@agree
def grad_of_what_was_not_used(lib, w, u):
    return list(lib.autograd.grad(w * 2, [w, u], ramp(lib, w)))


@agree
def grad_of_what_was_not_used_allowed(lib, w, u):
    return list(lib.autograd.grad(w * 2, [w, u], ramp(lib, w), allow_unused=True))


@agree
def grad_by_what_needs_none(lib, w, u):
    x = w.detach()
    return list(lib.autograd.grad(w * x, [x], ramp(lib, w)))


@agree
def grad_with_too_few_cotangents(lib, w, u):
    return list(lib.autograd.grad([w * 2, w * 3], [w], [ramp(lib, w)]))


@agree
def grad_by_a_sibling(lib, w, u):
    x, y = w * 2, w * 3  # y depends on w, not on x
    return list(lib.autograd.grad(y, [x, w], ramp(lib, w), allow_unused=True))


@agree
def second_backward(lib, w, u):
    y = (w * u).exp()
    pulled(lib, y)
    return pulled(lib, y)


@agree
def second_backward_where_nothing_was_saved(lib, w, u):
    y = (w + u) - w.reshape(2, 3)
    pulled(lib, y)
    return pulled(lib, y, w, u)


@agree
def second_backward_with_retain_graph(lib, w, u):
    y = (w * u).exp()
    y.backward(ramp(lib, y), retain_graph=True)
    return pulled(lib, y, w, u)


@agree
def second_backward_through_a_shared_part(lib, w, u):
    x = (w * u).exp()
    y, z = x * 2, x * 3
    pulled(lib, y)
    return pulled(lib, z)


@agree
def create_graph_retains(lib, w, u):
    y = w * w * u
    lib.autograd.grad(y, w, ramp(lib, y), create_graph=True)
    return pulled(lib, y, w, u)


@agree
def create_graph_without_retaining(lib, w, u):
    y = w * w * u
    lib.autograd.grad(y, w, ramp(lib, y), create_graph=True, retain_graph=False)
    return pulled(lib, y, w, u)


@agree
def without_create_graph_nothing_is_recorded(lib, w, u):
    (gw,) = lib.autograd.grad(w * w, w, ramp(lib, w))
    return [gw.requires_grad, gw.is_leaf]


@agree
def gradient_by_the_cotangent(lib, w, u):
    g = ramp(lib, w).requires_grad_()
    (gw,) = lib.autograd.grad(w * u * w, w, g, create_graph=True)
    return list(lib.autograd.grad(gw, [g, w, u], constant(lib)))


@agree
def backward_inside_no_grad(lib, w, u):
    y = w * u
    with lib.no_grad():
        return pulled(lib, y, w, u)


@agree
def create_graph_inside_no_grad(lib, w, u):
    y = w * w * u
    with lib.no_grad():
        (gw,) = lib.autograd.grad(y, w, ramp(lib, y), create_graph=True)
    return [gw, gw.requires_grad, *lib.autograd.grad(gw, [w, u], constant(lib))]


@agree
def retain_grad_on_an_inner_tensor(lib, w, u):
    x = w * u
    x.retain_grad()
    return pulled(lib, x * x + x, x, w)


@agree
def retain_grad_accumulates(lib, w, u):
    x = w * u
    x.retain_grad()
    (x * x).backward(ramp(lib, x), retain_graph=True)
    return pulled(lib, x * 3, x, w)


@agree
def retain_grad_on_the_output(lib, w, u):
    y = w * u
    y.retain_grad()
    return pulled(lib, y, y, w)


@agree
def retain_grad_on_a_leaf(lib, w, u):
    w.retain_grad()
    return pulled(lib, w * u, w)


@agree
def retain_grad_needs_requires_grad(lib, w, u):
    return [w.detach().retain_grad()]


@agree
def retain_grad_is_kept_by_grad_too(lib, w, u):
    x = w * u
    x.retain_grad()
    return [*lib.autograd.grad(x * x, [w], ramp(lib, x)), x.grad]


@agree
def retain_grad_of_what_grad_asks_for(lib, w, u):
    x = w * u
    x.retain_grad()
    return [*lib.autograd.grad(x * x, [x], ramp(lib, x)), x.grad]


@agree
def retain_grad_then_in_place(lib, w, u):
    x = w * u
    x.retain_grad()
    x.mul_(3)
    return pulled(lib, x * u, x, w)


@agree
def detach_stops_gradients(lib, w, u):
    x = (w * u).detach()
    return [*pulled(lib, x * w, w, u), x.requires_grad, x.is_leaf]


@agree
def detach_in_place(lib, w, u):
    x = w * u
    x.detach_()
    return [*pulled(lib, x * w, w, u), x.requires_grad, x.is_leaf]


@agree
def detach_shares_memory(lib, w, u):
    w.detach()[0, 0] = 9.0
    return [w]


@agree
def data_shares_memory(lib, w, u):
    w.data.mul_(2)
    w.data[0] = 5.0
    return [w, w.data.requires_grad]


@agree
def data_of_an_inner_tensor_shares_memory(lib, w, u):
    x = w * 1
    d = x.data
    x.mul_(u)
    return [d]


@agree
def data_can_be_replaced(lib, w, u):
    w.data = constant(lib, 7.0)
    return [w.requires_grad, w.is_leaf, *pulled(lib, w * w, w)]


@agree
def leaves(lib, w, u):
    x = w * u
    made = [w, x, w.detach(), x.detach(), constant(lib), constant(lib) * 2, w[0], w.reshape(6)]
    with lib.no_grad():
        made += [w * 2, w.clone()]
    return [(t.is_leaf, t.requires_grad, t.grad_fn is None) for t in made]


@agree
def requires_grad_can_be_set_on_a_leaf(lib, w, u):
    x = constant(lib)
    return [x.requires_grad_() is x, x.requires_grad, x.requires_grad_(False).requires_grad, *pulled(lib, x * w, w, x)]


@agree
def requires_grad_cannot_be_unset_on_an_inner_tensor(lib, w, u):
    return [(w * u).requires_grad_(False)]


@agree
def requires_grad_may_be_said_of_an_inner_tensor(lib, w, u):
    return pulled(lib, (w * u).requires_grad_(), w)


@agree
def requires_grad_of_integers(lib, w, u):
    return [lib.tensor([1, 2]).requires_grad_()]


@agree
def integers_that_require_grad(lib, w, u):
    return [lib.tensor([1, 2], requires_grad=True)]


@agree
def grad_of_another_shape_assigned(lib, w, u):
    w.grad = lib.tensor(np.ones(3))
    return [w.grad]


@agree
def grad_of_another_type_assigned(lib, w, u):
    w.grad = lib.tensor(np.ones((2, 3), dtype=np.float32))
    return [w.grad]


@agree
def comparisons_have_no_history(lib, w, u):
    return [(w > u).requires_grad, w.argmax().requires_grad, pulled(lib, w * (w > u), w)[1]]


@agree
def cast_to_float32_and_back(lib, w, u):
    return pulled(lib, (w.float() * u.float()).double() * w, w, u)


@pytest.mark.parametrize("program", AGREE)
def test_agrees_with_torch(program):
    compare(program)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "f",
    [
        lambda lib, x: (x * x).tanh() * x.exp(),
        lambda lib, x: x.sigmoid() / (x * x + 1),
        lambda lib, x: (x @ x.T).softmax(-1) @ x,
        lambda lib, x: lib.nn.functional.embedding(lib.tensor([1, 0, 1]), x) ** 3,
        lambda lib, x: lib.cat([x[:, :2], x[:, 1:]], 1).sin() * x[0, 0] ** 5,
    ],
    ids=["products", "quotients", "softmax", "lookup", "slices"],
)
def test_derivatives_of_any_order(f, order):
    results = []
    for lib in (mg, torch):
        x = lib.tensor(W.copy(), requires_grad=True)
        y, chain = f(lib, x), []
        for k in range(order):
            last = k == order - 1
            (y,) = lib.autograd.grad(y, x, ramp(lib, y) if k == 0 else lib.tensor(U * (k + 1)), create_graph=not last)
            chain.append(y)
        results.append(chain)
    for k, (ours, theirs) in enumerate(zip(*results, strict=True)):
        same(ours, theirs, what=f"derivative {k + 1}", rtol=1e-9, atol=1e-9)


# --------------------------------------------------------------------------------------------------------- in-place changes

INPLACE, inplace = table()


@inplace
def of_a_leaf(lib, w, u):
    return [w.add_(1)]


@inplace
def of_a_leaf_by_operator(lib, w, u):
    w += u
    return [w]


@inplace
def of_a_leaf_by_index(lib, w, u):
    w[0] = 1.0
    return [w]


@inplace
def of_a_view_of_a_leaf(lib, w, u):
    return [w[0].mul_(2)]


@inplace
def of_a_reshaped_leaf(lib, w, u):
    return [w.view(6).add_(1)]


@inplace
def of_a_leaf_under_no_grad(lib, w, u):
    with lib.no_grad():
        w -= 0.1 * u
        w[0].mul_(2)
        w[1, 2] = 5.0
    return [w.is_leaf, w.requires_grad, *pulled(lib, w * w, w)]


@inplace
def update_between_forward_and_backward(lib, w, u):
    y = w * w
    with lib.no_grad():
        w.mul_(2)
    return pulled(lib, y, w)


@inplace
def update_that_backward_does_not_read(lib, w, u):
    y = w + u
    with lib.no_grad():
        w.mul_(2)
    return pulled(lib, y, w, u)


@inplace
def update_of_a_table_after_its_lookup(lib, w, u):
    y = lib.nn.functional.embedding(lib.tensor([1, 0, 1]), w)
    with lib.no_grad():
        w.mul_(2)
    return pulled(lib, y, w)


@inplace
def update_of_a_detached_twin(lib, w, u):
    y = w * w
    w.detach().add_(1)
    return pulled(lib, y, w)


@inplace
def update_through_data_is_not_seen(lib, w, u):
    y = w * u
    w.data.add_(1)
    return pulled(lib, y, w, u)


@inplace
def of_an_inner_tensor(lib, w, u):
    x = w * u
    x.add_(w).mul_(2)
    x -= u
    x /= 3
    return pulled(lib, x, w, u)


@inplace
def of_a_plain_tensor_by_one_with_history(lib, w, u):
    x = constant(lib)
    x += w
    x.mul_(u)
    return [*pulled(lib, x, w, u), x.is_leaf]


@inplace
def twice_by_itself(lib, w, u):
    x = w * 2
    x.mul_(x)
    return pulled(lib, x, w)


@inplace
def adding_itself(lib, w, u):
    x = w * 2
    x.add_(x)
    return pulled(lib, x, w)


@inplace
def divided_by_its_own_sum(lib, w, u):
    x = w * 2
    x.div_(x.sum())
    return pulled(lib, x, w)


@inplace
def minus_its_own_mean(lib, w, u):
    x = w * 2
    x -= x.mean(-1, keepdim=True)
    return pulled(lib, x, w)


@inplace
def of_what_mul_saved(lib, w, u):
    x = w * 2
    y = x * u
    x.add_(1)
    return pulled(lib, y, w, u)


@inplace
def of_what_exp_saved(lib, w, u):
    x = w.exp()
    y = x * 2
    x.add_(1)
    return pulled(lib, y, w)


@inplace
def of_what_tanh_saved(lib, w, u):
    x = w.tanh()
    x.mul_(2)
    return pulled(lib, x, w)


@inplace
def of_what_softmax_saved(lib, w, u):
    x = w.softmax(-1)
    with lib.no_grad():
        x.zero_()
    return pulled(lib, x * 1, w)


@inplace
def of_what_matmul_saved(lib, w, u):
    x = w * 2
    y = x @ u.T
    x.zero_()
    return pulled(lib, y, w, u)


@inplace
def of_what_nobody_saved(lib, w, u):
    x = w + u
    y = x + w
    x.mul_(5)
    return pulled(lib, y + x, w, u)


@inplace
def of_a_view_that_was_saved(lib, w, u):
    x = w * 2
    y = x[0] * u[0]
    x.zero_()
    return pulled(lib, y, w, u)


@inplace
def through_a_view_of_what_was_saved(lib, w, u):
    x = w * 2
    y = x * u
    x.detach()[0].zero_()
    return pulled(lib, y, w, u)


@inplace
def under_no_grad_of_an_inner_tensor(lib, w, u):
    x = w * 2
    with lib.no_grad():
        x.add_(10)
    return pulled(lib, x * u, w, u)


@inplace
def under_no_grad_through_a_view(lib, w, u):
    x = w * 2
    with lib.no_grad():
        x[0].fill_(3.0)
    return pulled(lib, x * u, w, u)


@inplace
def copy_of_a_constant(lib, w, u):
    x = w * 2
    x.copy_(constant(lib))
    return [*pulled(lib, x, w), x.requires_grad]


@inplace
def copy_of_a_constant_then_more(lib, w, u):
    x = w * 2
    x.copy_(constant(lib))
    x.mul_(u)
    return pulled(lib, x + w, w, u)


@inplace
def copy_of_a_tensor_with_history(lib, w, u):
    x = w * 2
    x.copy_(u)
    return pulled(lib, x * w, w, u)


@inplace
def copy_that_broadcasts(lib, w, u):
    x = w * 2
    x.copy_(u[0])
    return pulled(lib, x * w, w, u)


@inplace
def copy_into_a_plain_tensor(lib, w, u):
    x = constant(lib)
    x.copy_(w)
    return [*pulled(lib, x * w, w), x.requires_grad]


@inplace
def copy_under_no_grad(lib, w, u):
    x = w * 2
    with lib.no_grad():
        x.copy_(u)
    return pulled(lib, x * w, w, u)


@inplace
def copy_of_a_leaf(lib, w, u):
    x = constant(lib)
    x.copy_(w)
    return [x.is_leaf, *pulled(lib, x, w)]


@inplace
def copy_under_no_grad_into_a_plain_tensor(lib, w, u):
    leaf, inner = constant(lib), constant(lib)
    with lib.no_grad():
        leaf.copy_(w)
        inner.copy_(w * 2)
    return [leaf, inner, leaf.requires_grad, inner.requires_grad, *pulled(lib, (leaf + inner) * u, w, u)]


@inplace
def copy_under_no_grad_into_a_leaf(lib, w, u):
    made = u * 3
    with lib.no_grad():
        w.copy_(made)
    return [w.is_leaf, *pulled(lib, w * w, w, u)]


@inplace
def fill_of_an_inner_tensor(lib, w, u):
    x = w * 2
    x.fill_(3.0)
    return pulled(lib, x * u, w, u)


@inplace
def fill_under_no_grad_with_a_tensor(lib, w, u):
    x, leaf = lib.zeros((), dtype=lib.float64), lib.tensor(2.0, dtype=lib.float64, requires_grad=True)
    with lib.no_grad():
        x.fill_(leaf)
    return [x, x.requires_grad, x.is_leaf]


@inplace
def fill_with_a_tensor(lib, w, u):
    x = w * 2
    x.fill_(u[0, 0])
    return pulled(lib, x * w, w, u)


@inplace
def zero_of_what_is_infinite(lib, w, u):
    x = w.detach() / 0.0 * w
    x.zero_()
    return pulled(lib, x + w, w)


@inplace
def random_fill_of_an_inner_tensor(lib, w, u):
    x = w * 2
    x.normal_()
    return [*pulled(lib, x, w)[1:], x.requires_grad]


@inplace
def uniform_fill_of_an_inner_tensor(lib, w, u):
    x = w * 2
    x.uniform_()
    return [*pulled(lib, x, w)[1:], x.requires_grad]


@inplace
def masked_fill_and_triangles(lib, w, u):
    x = w * u
    x.masked_fill_(lib.tensor(W > 0), 7.0)
    x.tril_()
    return pulled(lib, x, w, u)


@inplace
def functions(lib, w, u):
    x = w * u
    for name in ("tanh_", "exp_", "sqrt_", "neg_", "sigmoid_", "abs_", "relu_"):
        x = x * 1.5  # what the last one saved is not what the next one changes
        getattr(x, name)()
    return pulled(lib, (x * 2).pow_(2).clamp_(0.5, 9.0), w, u)


@inplace
def relu_in_place(lib, w, u):
    x = w * u
    x.relu_()
    return pulled(lib, x * 1, w, u)


@inplace
def index_assignment(lib, w, u):
    x = w * 2
    x[0] = u[1]
    x[1, 1:] = 5.0
    return pulled(lib, x * w, w, u)


@inplace
def index_assignment_by_ids(lib, w, u):
    x = w * 2
    x[:, lib.tensor([2, 0])] = u[:, :2]
    return pulled(lib, x * w, w, u)


@inplace
def index_assignment_by_mask(lib, w, u):
    x = w * 2
    x[lib.tensor(W < 0)] = 0.0
    return pulled(lib, x * w, w)


@inplace
def rows_collected_in_a_buffer(lib, w, u):
    x = lib.zeros(2, 3, dtype=lib.float64)
    for i in range(2):
        x[i] = w[i] * u[1 - i]
    return pulled(lib, x, w, u)


@inplace
def index_augmented_assignment_by_number(lib, w, u):
    x = w * 2
    x[0, 1] *= 3
    x[1, 2] += 4
    return pulled(lib, x * u, w, u)


@inplace
def index_augmented_assignment(lib, w, u):
    x = w * 2
    x[0] += u[1]
    x[:, 1] *= 3
    return pulled(lib, x * u, w, u)


@inplace
def index_augmented_assignment_to_a_buffer(lib, w, u):
    x = lib.zeros(2, 3, dtype=lib.float64)
    x[0] += w[1]
    x[1] += w[0] * u[0]
    return pulled(lib, x, w, u)


@inplace
def index_augmented_assignment_without_gradients(lib, w, u):
    x = constant(lib)
    x[0] += 2
    x[:, 1] *= 3
    x[1, 2] -= 1
    return [x]


@inplace
def a_view_sees_its_base_change(lib, w, u):
    x = constant(lib)
    row, flat, turned = x[1], x.view(6), x.T
    x += 4
    return [row, flat, turned]


@inplace
def a_base_sees_its_view_change(lib, w, u):
    x = constant(lib)
    x[1].add_(2)
    x.view(6)[4:].mul_(5)
    x.T[0].zero_()
    return [x]


@inplace
def a_base_sees_one_element_change(lib, w, u):
    x, line = constant(lib), lib.zeros(3)
    x[0, 1].fill_(5.0)
    x[1][2].add_(2)
    line[1].fill_(4.0)
    for i, element in enumerate(line):
        element.add_(i)
    return [x, line]


@inplace
def augmented_assignment_keeps_the_object(lib, w, u):
    x = y = constant(lib)
    y += 1
    y *= 3
    return [x is y, x]


@inplace
def detached_after_a_change(lib, w, u):
    x = w * 2
    x.add_(u)
    return pulled(lib, x.detach() * w + x, w, u)


@inplace
def detached_after_a_buffer_was_filled(lib, w, u):
    x = lib.zeros(2, 3, dtype=lib.float64)
    x[0] = w[0]
    return pulled(lib, x.detach() * w, w, u)


@inplace
def clone_is_apart(lib, w, u):
    x = w * 2
    y = x.clone()
    x.mul_(u)
    return pulled(lib, x + y, w, u)


@inplace
def ids_of_a_lookup(lib, w, u):
    ids = lib.tensor([1, 0, 1])
    y = lib.nn.functional.embedding(ids, w)
    ids.zero_()
    return pulled(lib, y, w)


@inplace
def ids_of_an_index(lib, w, u):
    ids = lib.tensor([1, 0, 1])
    y = w[ids]
    ids.zero_()
    return pulled(lib, y, w)


@inplace
def ids_of_index_select(lib, w, u):
    ids = lib.tensor([1, 0, 1])
    y = lib.index_select(w, 0, ids)
    ids.zero_()
    return pulled(lib, y, w)


@inplace
def targets_of_cross_entropy(lib, w, u):
    ids = lib.tensor([2, 1])
    y = lib.nn.functional.cross_entropy(w, ids)
    ids.zero_()
    return pulled(lib, y, w)


@inplace
def mask_of_masked_fill(lib, w, u):
    mask = lib.tensor(W > 0)
    y = w.masked_fill(mask, 3.0)
    mask.fill_(False)
    return pulled(lib, y, w)


@inplace
def condition_of_where(lib, w, u):
    condition = lib.tensor(W > 0)
    y = lib.where(condition, w, u)
    condition.fill_(False)
    return pulled(lib, y, w, u)


@inplace
def cotangent_changed_after_backward(lib, w, u):
    y = w + u
    g = ramp(lib, y)
    y.backward(g)
    g.zero_()
    return [w.grad, u.grad]


@inplace
def cotangent_of_a_lookup_changed_after_backward(lib, w, u):
    y = lib.nn.functional.embedding(lib.tensor([1, 0]), w)
    g = ramp(lib, y)
    y.backward(g)
    g.zero_()
    return [w.grad]


@inplace
def retained_grad_of_a_lookup_changed(lib, w, u):
    y = lib.nn.functional.embedding(lib.tensor([1, 0]), w)
    y.retain_grad()
    (y * y).backward(ramp(lib, y))
    y.grad.zero_()
    return [w.grad]


@inplace
def one_gradient_changed_the_other_not(lib, w, u):
    pulled(lib, w + u.view(2, 3))
    w.grad.zero_()
    return [w.grad, u.grad]


@inplace
def into_the_wrong_shape(lib, w, u):
    x = (w * 2)[0]
    return [x.add_(u)]


@inplace
def into_integers(lib, w, u):
    return [lib.tensor([1, 2]).add_(0.5)]


@pytest.mark.parametrize("program", INPLACE)
def test_in_place(program):
    compare(program, may_refuse=True)


# Of the above, what torch users write every day: here a refusal is not good enough.
EVERYDAY = [
    of_a_leaf_under_no_grad,
    update_that_backward_does_not_read,
    update_of_a_table_after_its_lookup,
    of_an_inner_tensor,
    of_a_plain_tensor_by_one_with_history,
    of_what_nobody_saved,
    under_no_grad_of_an_inner_tensor,
    copy_of_a_constant,
    copy_of_a_tensor_with_history,
    copy_into_a_plain_tensor,
    copy_of_a_leaf,
    copy_under_no_grad,
    copy_under_no_grad_into_a_plain_tensor,
    copy_under_no_grad_into_a_leaf,
    fill_of_an_inner_tensor,
    masked_fill_and_triangles,
    index_assignment,
    index_assignment_by_ids,
    index_assignment_by_mask,
    rows_collected_in_a_buffer,
    index_augmented_assignment,
    index_augmented_assignment_to_a_buffer,
    index_augmented_assignment_without_gradients,
    a_view_sees_its_base_change,
    a_base_sees_its_view_change,
    a_base_sees_one_element_change,
    augmented_assignment_keeps_the_object,
    detached_after_a_change,
    detached_after_a_buffer_was_filled,
    clone_is_apart,
    cotangent_changed_after_backward,
    one_gradient_changed_the_other_not,
]


@pytest.mark.parametrize("program", EVERYDAY, ids=lambda program: program.__name__)
def test_in_place_without_refusing(program):
    compare(program)


MAKE_VIEW = {
    "itself": lambda x: x,
    "row": lambda x: x[1],
    "rows": lambda x: x[:1],
    "columns": lambda x: x[:, 1:],
    "element": lambda x: x[0, 1],
    "steps": lambda x: x[:, ::2],
    "flat": lambda x: x.view(6),
    "turned": lambda x: x.T,
    "new axis": lambda x: x[None],
    "expanded": lambda x: x[:1].expand(2, 3),
    "detached": lambda x: x.detach(),
}
CHANGE = {
    "add_": lambda lib, v, u: v.add_(2),
    "mul_": lambda lib, v, u: v.mul_(u[0, 0]),
    "zero_": lambda lib, v, u: v.zero_(),
    "copy_": lambda lib, v, u: v.copy_(u[1, 1]),
    "setitem": lambda lib, v, u: v.__setitem__(Ellipsis, u[0, 2]),
    "exp_": lambda lib, v, u: v.exp_(),
}
USE = {
    "the base": lambda x, v, u: x * 1,
    "the view": lambda x, v, u: v * 1,
    "both": lambda x, v, u: x.sum() * v,
    "a product of before": None,
}


def change_and_use(view: str, history: bool, through: str, quiet: bool, change: str, use: str) -> Program:
    def program(lib, w, u):
        x = w * u if history else constant(lib, 1.5)
        v = MAKE_VIEW[view](x)
        before = x * v.sum() * w if use == "a product of before" else None
        with lib.set_grad_enabled(not quiet):
            CHANGE[change](lib, x if through == "base" else v, u)
        y = before if before is not None else USE[use](x, v, u)
        return [x, v, *(pulled(lib, y, w, u) if y.requires_grad else [])]

    return program


@pytest.mark.parametrize("history", [True, False], ids=["history", "plain"])
@pytest.mark.parametrize("through", ["base", "view"])
@pytest.mark.parametrize("change", CHANGE)
@pytest.mark.parametrize("view", MAKE_VIEW)
def test_views_and_bases_never_give_a_wrong_gradient(view, change, through, history):
    """Change a base or a view, then use either: torch's numbers, or an error."""
    wrong = []
    for quiet, use in itertools.product((False, True), USE):
        try:
            compare(change_and_use(view, history, through, quiet, change, use), may_refuse=True)
        except AssertionError as error:
            wrong.append(f"{'under no_grad' if quiet else 'recorded'}, using {use}: {error}")
    assert not wrong, "\n".join(wrong)


def test_changed_in_place_names_the_op_and_the_remedy():
    for f, name in (((lambda x: x * x), "Mul"), ((lambda x: x @ x.T), "Mm"), ((lambda x: x.exp()), "Exp")):
        x = mg.tensor(W, requires_grad=True) * 1
        y = f(x)
        target = y if name == "Exp" else x
        with mg.no_grad():
            target.add_(1)
        with pytest.raises(RuntimeError, match=rf"modified by an inplace operation: {name}\b.*clone"):
            y.backward(mg.ones_like(y))


# ---------------------------------------------------------------------------------------------------------------- modes


@pytest.mark.parametrize("lib", [mg, torch], ids=["minigrad", "torch"])
def test_modes_nest_and_survive_exceptions(lib):
    def on():
        return lib.is_grad_enabled()

    assert on()
    with lib.no_grad():
        assert not on()
        with lib.enable_grad():
            assert on()
            with lib.no_grad(), lib.no_grad():
                assert not on()
            assert on()
        assert not on()
        with lib.set_grad_enabled(True):
            assert on()
        assert not on()
    assert on()
    with pytest.raises(ZeroDivisionError), lib.no_grad():
        raise ZeroDivisionError
    assert on()
    with pytest.raises(ZeroDivisionError), lib.set_grad_enabled(False), lib.enable_grad():
        raise ZeroDivisionError
    assert on()
    lib.set_grad_enabled(False)  # as a function it acts at once
    assert not on()
    lib.set_grad_enabled(True)
    assert on()
    with lib.inference_mode():
        assert not on()
    assert on()
    with lib.inference_mode(False):
        assert on()
    assert on()


@pytest.mark.parametrize("lib", [mg, torch], ids=["minigrad", "torch"])
def test_modes_as_decorators(lib):
    def broken():
        raise ZeroDivisionError

    def on():
        return lib.is_grad_enabled()

    for decorate, expected in (
        (lambda f: lib.no_grad()(f), False),
        (lambda f: lib.no_grad(f), False),
        (lambda f: lib.set_grad_enabled(False)(f), False),
        (lambda f: lib.inference_mode()(f), False),
        (lambda f: lib.enable_grad()(f), True),
        (lambda f: lib.set_grad_enabled(True)(f), True),
    ):
        assert on()
        assert decorate(on)() is expected
        with pytest.raises(ZeroDivisionError):
            decorate(broken)()
        assert on()
        with lib.no_grad():
            assert decorate(on)() is expected
            assert not on()

    @lib.no_grad()
    def recursive(n):
        with lib.enable_grad():
            inner = recursive(n - 1) if n else []
        return [lib.is_grad_enabled(), *inner]

    assert recursive(3) == [False] * 4
    assert lib.is_grad_enabled()

    class Layer:
        @lib.no_grad()
        def on(self):
            """documented"""
            return lib.is_grad_enabled()

    assert Layer().on() is False
    assert Layer.on.__name__ == "on" and Layer.on.__doc__ == "documented"


def in_thread(f):
    result = []
    thread = threading.Thread(target=lambda: result.append(f()))
    thread.start()
    thread.join()
    return result[0]


def test_threads_have_their_own_mode():
    with mg.no_grad():
        assert in_thread(mg.is_grad_enabled) is True
    in_thread(lambda: mg.set_grad_enabled(False))
    assert mg.is_grad_enabled()


def test_one_decorated_function_in_two_threads():
    """The second thread enters before the first has left, and each finds its own mode again."""
    entered, leave = threading.Event(), threading.Event()

    @mg.no_grad()
    def function(wait):
        if wait:
            entered.set()
            leave.wait()
        else:
            leave.set()
            thread.join()

    def first():
        function(True)
        return mg.is_grad_enabled()

    result = []
    thread = threading.Thread(target=lambda: result.append(first()))
    thread.start()
    entered.wait()

    @mg.no_grad()
    def second():
        # This thread does not record; the decorator must not hand its setting to the other one.
        function(False)
        return mg.is_grad_enabled()

    assert second() is False
    assert result == [True]
    assert mg.is_grad_enabled()


def test_graphs_in_threads_are_apart():
    def work(seed):
        rng = np.random.default_rng(seed)
        array, cotangent = rng.standard_normal((2, 3, 3))
        x, t = both(array, requires_grad=True)
        for lib, leaf in ((mg, x), (torch, t)):
            y = leaf
            for _ in range(50):
                y = (y @ leaf).tanh() + leaf
            y.backward(lib.tensor(cotangent))
        return numpy_of(x.grad), numpy_of(t.grad)

    results: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda s=s: results.update({s: work(s)})) for s in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ours, theirs in results.values():
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    assert len(results) == 4


# ------------------------------------------------------------------------------------------- size, memory, and what is freed


def test_a_chain_of_20000_ops():
    x = mg.tensor([1.5, -2.0], dtype=mg.float64, requires_grad=True)
    y = x
    for _ in range(10_000):
        y = (y + 1) * 1.0
    y.backward(mg.tensor([3.0, -4.0], dtype=mg.float64))
    assert x.grad.tolist() == [3.0, -4.0]
    z = x
    for _ in range(20_000):
        z = z * 1.0
    ref = weakref.ref(z.op)
    del z, y  # never went backward: freed all the same, without recursion
    assert ref() is None


def test_a_diamond_of_exponentially_many_paths():
    x = mg.tensor([1.0, -2.0], dtype=mg.float64, requires_grad=True)
    y = x
    for _ in range(300):
        y = y * 0.5 + y * 0.5
    y.backward(mg.tensor([3.0, -4.0], dtype=mg.float64))
    assert x.grad.tolist() == [3.0, -4.0]


def test_wide_sharing():
    x, t = both(W, requires_grad=True)
    for lib, leaf in ((mg, x), (torch, t)):
        shared = leaf.exp()
        parts = [shared * float(i) for i in range(500)]
        lib.stack(parts).backward(lib.tensor(np.random.default_rng(0).standard_normal((500, 2, 3))))
    same(x.grad, t.grad)


class without_gc:
    """No garbage collector: what dies inside dies by reference counting alone."""

    def __enter__(self):
        gc.collect()
        gc.disable()

    def __exit__(self, *exception):
        gc.enable()


def test_intermediate_tensors_and_arrays_die_with_backward():
    w = mg.tensor(W, requires_grad=True)
    with without_gc():
        x = w.exp()
        y = (x * x) @ w.T
        z = y.tanh().sum()
        alive = [weakref.ref(o) for o in (x, x.array, y, y.array, x.op)]
        del x, y
        assert any(ref() is not None for ref in alive)
        z.backward()
        arrays = [alive[1](), alive[3]()]
        assert arrays == [None, None]
        del z
        assert [ref() for ref in alive] == [None] * len(alive)


def unreachable(f: Callable[[], Any]) -> list[str]:
    """The types of the package's objects that f leaves behind in reference cycles."""
    with without_gc():
        f()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            gc.collect()
            return [
                type(o).__name__
                for o in gc.garbage
                if type(o).__module__.startswith("minigrad") or isinstance(o, np.ndarray)
            ]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()


def train_a_little():
    mg.manual_seed(0)
    table = mg.nn.Embedding(10, 4)
    layer = mg.nn.Linear(4, 10)
    optimizer = mg.optim.SGD([*table.parameters(), *layer.parameters()], lr=0.1)
    for _ in range(2):
        x = table(mg.tensor([[1, 2, 1], [3, 3, 0]]))
        y = (layer(x).softmax(-1).log_softmax(-1) * mg.randn(2, 3, 10)).tanh()
        y = y.masked_fill(y > 0.5, 0.0).transpose(1, 2)[:, 1:] + mg.cat([y, y], 1).mean()
        y.retain_grad()
        loss = mg.nn.functional.cross_entropy(layer(x).flatten(0, 1), mg.tensor([1, 2, 3, 4, 5, 6])) + (y * y).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def change_in_place():
    w = mg.tensor(W, requires_grad=True)
    x = w * 2
    x.add_(w).mul_(x.detach().clone())
    x[0] = w[1]
    x.relu_()
    x.backward(mg.ones(2, 3, dtype=mg.float64))


def second_order():
    w = mg.tensor(W, requires_grad=True)
    (g,) = mg.autograd.grad((w * w).exp().softmax(-1).sum(), w, create_graph=True)
    mg.autograd.grad(g, w, mg.ones(2, 3, dtype=mg.float64))


def drop_a_graph():
    w = mg.tensor(W, requires_grad=True)
    _ = (w.exp() @ w.T).softmax(-1)


@pytest.mark.parametrize("f", [train_a_little, change_in_place, second_order, drop_a_graph], ids=lambda f: f.__name__)
def test_no_reference_cycles(f):
    f()  # whatever is made once
    assert unreachable(f) == []


def test_second_backward_gives_advice():
    w = mg.tensor(W, requires_grad=True)
    y = (w * w).exp().sum()
    y.backward()
    before = numpy_of(w.grad).copy()
    with pytest.raises(RuntimeError, match=r"backward through the graph a second time.*retain_graph=True"):
        y.backward()
    assert numpy_of(w.grad).tobytes() == before.tobytes()


class Broken(mg.Op):
    """y = x, and its backward raises."""

    def forward(self, x):
        return x.copy()

    def backward(self, g):
        raise ZeroDivisionError("in the middle")


def test_nothing_is_half_written_when_backward_raises():
    w, u = (mg.tensor(x, requires_grad=True) for x in (W, U))
    table = mg.tensor(W, requires_grad=True)
    broken = Broken.apply(u * 2)
    inner = w * u  # younger than what raises, so its turn comes before
    inner.retain_grad()
    (w * 3 + table[mg.tensor([0, 1])]).backward(mg.ones(2, 3, dtype=mg.float64))
    y = table[mg.tensor([1, 1])] * 2 + inner * inner + broken * w
    before = w.grad, numpy_of(w.grad).copy(), numpy_of(table.grad).copy()
    with pytest.raises(ZeroDivisionError):
        y.backward(mg.ones(2, 3, dtype=mg.float64))
    assert mg.is_grad_enabled()
    assert w.grad is before[0] and numpy_of(w.grad).tobytes() == before[1].tobytes()
    assert numpy_of(table.grad).tobytes() == before[2].tobytes()
    assert u.grad is None
    assert inner.grad is None  # "If anything raises, no .grad has changed"
    (w * w).backward(mg.ones(2, 3, dtype=mg.float64))  # and the engine goes on
    np.testing.assert_allclose(numpy_of(w.grad), before[1] + 2 * W)


# ----------------------------------------------------------------------------------------------------- nobody shares memory

LEAF_PROGRAMS = {
    "x + x": lambda a, b: a + a,
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "the leaf itself": lambda a, b: a,
    "reshape": lambda a, b: a.reshape(3, 2),
    "transpose": lambda a, b: a.T,
    "clone": lambda a, b: a.clone() + b.clone(),
    "reshape twice": lambda a, b: a.reshape(6) + b.reshape(6),
    "expand": lambda a, b: a[None].expand(1, 2, 3) + b,
    "slice": lambda a, b: a[:] + b[...],
    "cat": lambda a, b: mg.cat([a, b], 0),
    "stack": lambda a, b: mg.stack([a, a, b]),
    "lookup": lambda a, b: a[mg.tensor([0, 1])] + b,
    "lookups of two tables": lambda a, b: (
        mg.nn.functional.embedding(mg.tensor([1, 0]), a) + mg.nn.functional.embedding(mg.tensor([0, 1]), b)
    ),
    "cast": lambda a, b: a.to(mg.float64) + b.double(),
    "where": lambda a, b: mg.where(mg.tensor(W > 0), a, b),
    "in place": lambda a, b: (a * 1).add_(b).add_(a),
    "squeeze": lambda a, b: a.unsqueeze(0).squeeze(0) + b,
    "sum": lambda a, b: a.sum(0, keepdim=True) + b,
}


def arrays_of(g: Any) -> list[np.ndarray]:
    return [g.rows] if isinstance(g, mg.RowSparse) else [g.array]


@pytest.mark.parametrize("look", [False, True], ids=["as kept", "as seen"])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("name", LEAF_PROGRAMS)
def test_no_two_gradients_share_memory(name, times, look):
    a, b = (mg.tensor(x, requires_grad=True) for x in (W, U))
    kept: list[np.ndarray] = []
    inner = None
    for _ in range(times):
        y = LEAF_PROGRAMS[name](a, b)
        y = y.reshape(y.shape)
        inner = y.reshape(y.shape)
        inner.retain_grad()
        g = mg.tensor(np.random.default_rng(0).standard_normal(tuple(y.shape)))
        given = numpy_of(g).copy()
        inner.backward(g)
        assert numpy_of(g).tobytes() == given.tobytes()
        kept.append(g.array)
    grads = [x.grad if look else x._grad for x in (a, b, inner) if x._grad is not None]
    arrays = kept + [array for grad in grads for array in arrays_of(grad)] + [a.array, b.array]
    for i, x in enumerate(arrays):
        for j, y in enumerate(arrays[:i]):
            assert not namespace(x, y).shares_memory(x, y), f"gradients {i} and {j} share memory"


def test_what_grad_returns_is_the_callers():
    """Not the cotangent that was passed, nor another result, nor what a retained tensor shows."""
    a, b = (mg.tensor(x, requires_grad=True) for x in (W, U))
    y = a + b
    y.retain_grad()
    g = mg.tensor(W)
    ga, gb, gy = mg.autograd.grad(y, [a, b, y], g)
    arrays = [g.array, ga.array, gb.array, gy.array, *([] if y.grad is None else [y.grad.array])]
    for i, x in enumerate(arrays):
        assert not any(namespace(x, z).shares_memory(x, z) for z in arrays[:i])


# ----------------------------------------------------------------------------------------------- the gradient of a table is rows


def lookup(lib: Any, table: Any, ids: Any, **options: Any) -> Any:
    return lib.nn.functional.embedding(lib.tensor(ids), table, **options)


@pytest.mark.cpu_only("a GPU keeps no rows: to know which there are, one would have to wait for it")
def test_the_gradient_of_a_large_table_stays_rows():
    rows, width = 200_000, 16
    table = mg.tensor(np.zeros((rows, width), dtype=np.float32), requires_grad=True)
    ids = np.array([[5, 199_999, 5], [0, 7, 5]])
    g = np.random.default_rng(0).standard_normal((2, 3, width)).astype(np.float32)
    tracemalloc.start()
    try:
        for _ in range(3):
            y = lookup(mg, table, ids) + lookup(mg, table, ids[:, ::-1].copy())
            y.backward(mg.tensor(g))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(table._grad, mg.RowSparse)
    assert peak < rows * width * 4 / 20
    expected = np.zeros((rows, width), dtype=np.float64)
    np.add.at(expected, ids, g)
    np.add.at(expected, ids[:, ::-1], g)
    assert isinstance(table.grad, mg.Tensor) and tuple(table.grad.shape) == (rows, width)
    np.testing.assert_allclose(numpy_of(table.grad), 3 * expected, rtol=1e-5, atol=1e-5)
    assert table.grad is table.grad


TABLE_PROGRAMS = {
    "one lookup": lambda lib, w, ids: [lookup(lib, w, ids)],
    "two lookups in one graph": lambda lib, w, ids: [lookup(lib, w, ids) * lookup(lib, w, ids[::-1].copy())],
    "three lookups in one graph": lambda lib, w, ids: [
        lookup(lib, w, ids) + lookup(lib, w, ids[::-1].copy()) * 2 + lookup(lib, w, ids // 2)
    ],
    "tied: lookup and matmul": lambda lib, w, ids: [lookup(lib, w, ids) @ w.T],
    "rows, then rows": lambda lib, w, ids: [lookup(lib, w, ids), lookup(lib, w, ids[::-1].copy())],
    "rows, then dense": lambda lib, w, ids: [lookup(lib, w, ids), w * w],
    "dense, then rows": lambda lib, w, ids: [w * w, lookup(lib, w, ids)],
    "rows, dense, rows": lambda lib, w, ids: [lookup(lib, w, ids), w * w, lookup(lib, w, ids[::-1].copy())],
    "slice and lookup": lambda lib, w, ids: [lookup(lib, w, ids)[..., :2] * w[:1, :2]],
    "padding row": lambda lib, w, ids: [lookup(lib, w, ids, padding_idx=1), lookup(lib, w, ids, padding_idx=1)],
    "indexing": lambda lib, w, ids: [w[lib.tensor(ids)] * 2, w[lib.tensor(ids[:2])]],
    "lookup of what is no leaf": lambda lib, w, ids: [lookup(lib, w * 2, ids), lookup(lib, w.reshape(w.shape), ids)],
}


@pytest.mark.parametrize("looking", [False, True], ids=["unseen", "looking between"])
@pytest.mark.parametrize("length", [0, 1, 12, 300])
@pytest.mark.parametrize("name", TABLE_PROGRAMS)
def test_tables_agree_with_torch_bit_for_bit(name, length, looking):
    """Integer-valued, so that every order of summing is exact."""
    rng = np.random.default_rng(length)
    ids = rng.integers(0, 5, length)
    w, t = both(rng.integers(-4, 5, (5, 3)).astype(np.float32), requires_grad=True)
    for lib, leaf in ((mg, w), (torch, t)):
        cotangents = np.random.default_rng(1)
        for y in TABLE_PROGRAMS[name](lib, leaf, ids):
            y.backward(lib.tensor(cotangents.integers(-4, 5, tuple(y.shape)).astype(np.float32)))
            if looking:
                assert leaf.grad is not None
    np.testing.assert_array_equal(numpy_of(w.grad), numpy_of(t.grad))
    assert w.grad.dtype == mg.float32


@pytest.mark.parametrize("shape", [(7, 4), (7, 1), (1, 4), (3000, 5)], ids=str)
@pytest.mark.parametrize("length", [3, 64, 65, 1000])
def test_repeated_ids_are_summed_in_torchs_order(shape, length):
    rng = np.random.default_rng(length)
    w, t = both(rng.standard_normal(shape).astype(np.float32), requires_grad=True)
    ids = np.minimum(rng.geometric(0.2, length) - 1, shape[0] - 1)
    g = rng.standard_normal((length, shape[1])).astype(np.float32)
    for lib, leaf in ((mg, w), (torch, t)):
        lookup(lib, leaf, ids).backward(lib.tensor(g))
        lookup(lib, leaf, ids[::-1].copy()).backward(lib.tensor(g))
    same(w.grad, t.grad, exact=True)


def sparse_pair(rows: int = 6) -> tuple[mg.nn.Embedding, torch.nn.Embedding]:
    weight = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    return (
        mg.nn.Embedding(rows, 2, sparse=True, _weight=mg.tensor(weight)),
        torch.nn.Embedding(rows, 2, sparse=True, _weight=torch.tensor(weight)),
    )


@pytest.mark.parametrize("batches", [[[3, 0, 3]], [[[1, 2], [1, 1]]], [[3, 0], [3, 5]], [[2]], [[]]], ids=str)
def test_sparse_gradients_show_as_torchs(batches):
    ours, theirs = sparse_pair()
    for lib, layer in ((mg, ours), (torch, theirs)):
        for ids in batches:
            y = layer(lib.tensor(np.array(ids, dtype=np.int64)))
            y.backward(lib.tensor(np.arange(1.0, y.numel() + 1, dtype=np.float32).reshape(tuple(y.shape))))
    g, t = ours.weight.grad, theirs.weight.grad
    if len(batches) == 1:  # what several add up to is the same sum, in an order that torch does not promise
        assert without_device(repr(g)) == without_device(repr(t))
        assert g._nnz() == t._nnz() and g.is_coalesced() == t.is_coalesced()
    assert g.is_sparse and isinstance(g, mg.RowSparse)
    assert tuple(g.shape) == tuple(t.shape)
    assert without_device(repr(g.coalesce())) == without_device(repr(t.coalesce()))
    same(g.coalesce().indices(), t.coalesce().indices(), exact=True)
    same(g.coalesce().values(), t.coalesce().values(), exact=True)
    same(g.to_dense(), t.to_dense(), exact=True)


def test_sparse_plus_dense_is_dense():
    ours, theirs = sparse_pair()
    for lib, layer in ((mg, ours), (torch, theirs)):
        y = layer(lib.tensor([3, 0, 3])) @ layer.weight.T
        y.backward(lib.tensor(np.arange(18, dtype=np.float32).reshape(3, 6)))
    assert isinstance(ours.weight.grad, mg.Tensor) and not theirs.weight.grad.is_sparse
    same(ours.weight.grad, theirs.weight.grad)


def test_three_slices_of_one_tensor_share_one_buffer():
    """q, k, v = qkv.split(D): their gradients meet in one array of qkv's size, not in three padded ones."""
    width = 1 << 15
    x = mg.tensor(np.zeros((4, 3 * width), dtype=np.float32), requires_grad=True)
    qkv = x * 1.0
    q, k, v = qkv.split(width, dim=-1)
    y = q + k + v
    g = mg.ones(4, width)
    size = qkv.nbytes
    del q, k, v
    tracemalloc.start()
    try:
        mg.autograd.grad(y, qkv, g)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.7 * size


# ------------------------------------------------------------------------------------------------------------ a user's own op


class Cube(mg.Op):
    """y = x³"""

    def forward(self, x):
        return x * x * x

    def backward(self, g):
        (x,) = self.inputs
        return (g * x * x * 3.0,)


class ScaledProduct(mg.Op):
    """z = c x y"""

    def forward(self, x, y):
        return self.c * x * y

    def backward(self, g):
        x, y = self.inputs
        return (g * y * self.c if self.needs(0) else None), (g * x * self.c if self.needs(1) else None)


class Root(mg.Op):
    """y = √x, from its own result"""

    keeps_output = True
    reads = ()

    def forward(self, x):
        return np.sqrt(x)

    def backward(self, g):
        return (g / (self.output * 2.0),)


OWN_OPS = {
    "cube": (lambda lib, x, y: Cube.apply(x) + y if lib is mg else x * x * x + y),
    "cube of an inner tensor": (lambda lib, x, y: Cube.apply(x * y) * x if lib is mg else (x * y) ** 3 * x),
    "two inputs and a keyword": (lambda lib, x, y: ScaledProduct.apply(x, y, c=2.5) if lib is mg else 2.5 * x * y),
    "one tensor twice": (lambda lib, x, y: ScaledProduct.apply(x, x, c=2.5) + y if lib is mg else 2.5 * x * x + y),
    "its own result": (lambda lib, x, y: Root.apply(x * x + 1) * y if lib is mg else (x * x + 1).sqrt() * y),
}


@pytest.mark.parametrize("name", OWN_OPS)
def test_own_op(name):
    check_against_torch(OWN_OPS[name], [W, U])


def test_own_op_of_third_order():
    results = []
    for lib in (mg, torch):
        x = lib.tensor(W.copy(), requires_grad=True)
        y = Cube.apply(Cube.apply(x)) if lib is mg else x**9
        for k in range(3):
            (y,) = lib.autograd.grad(y, x, lib.tensor(U), create_graph=k < 2)
        results.append(y)
    same(*results, rtol=1e-10)


@pytest.mark.parametrize(
    ("returned", "shapes"),
    [
        (lambda g: (g.sum(),), r"\(\).*\(2, 3\)"),
        (lambda g: (g[:1],), r"\(1, 3\).*\(2, 3\)"),
        (lambda g: (g.reshape(6),), r"\(6,\).*\(2, 3\)"),
    ],
    ids=["sum", "row", "flat"],
)
def test_own_op_with_a_gradient_of_the_wrong_shape(returned, shapes):
    class Wrong(mg.Op):
        def forward(self, x):
            return x * 2

        def backward(self, g):
            return returned(g)

    x = mg.tensor(W, requires_grad=True)
    with pytest.raises(RuntimeError, match=f"Wrong.*{shapes}"):
        Wrong.apply(x).backward(mg.ones(2, 3, dtype=mg.float64))
    assert x.grad is None


def test_own_op_without_backward():
    class Forward(mg.Op):
        def forward(self, x):
            return x * 2

    x = mg.tensor(W, requires_grad=True)
    y = Forward.apply(x)
    with pytest.raises(NotImplementedError, match="Forward"):
        y.backward(mg.ones(2, 3, dtype=mg.float64))
    assert repr(y.grad_fn) == "<ForwardBackward0>"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_own_op_with_the_wrong_number_of_gradients(count):
    class Miscounts(mg.Op):
        def forward(self, x, y):
            return x + y

        def backward(self, g):
            return (g,) * count

    x, y = (mg.tensor(a, requires_grad=True) for a in (W, U))
    with pytest.raises((RuntimeError, ValueError), match="Miscounts"):
        Miscounts.apply(x, y).backward(mg.ones(2, 3, dtype=mg.float64))


def test_own_op_saves_what_changes_in_place():
    x = mg.tensor(W, requires_grad=True) * 1
    y = Cube.apply(x)
    with mg.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="Cube"):
        y.backward(mg.ones(2, 3, dtype=mg.float64))


def test_an_input_that_was_not_used_may_have_zeros_for_a_gradient() -> None:
    for t in (mg, torch):
        x, y = t.ones(2, requires_grad=True), t.ones(3, requires_grad=True)
        gx, gy = t.autograd.grad((x * 2).sum(), [x, y], only_inputs=True, materialize_grads=True)
        assert gx.tolist() == [2, 2] and gy.tolist() == [0, 0, 0]
        assert t.autograd.grad((x * 2).sum(), [y], None, False, False, True, True) == (None,)


def test_a_number_leaves_as_pythons() -> None:
    """Wherever Python wants a number of its own: CuPy's arrays of no dimensions are none."""
    x, i = mg.tensor([[0.125, 2.5]]), mg.tensor(1)
    assert [4, 5, 6][i] == 5 and list(range(i)) == [0] and list(range(mg.tensor([2]))) == [0, 1]
    assert 2.5 in x and mg.tensor(2.5) in x and 3 not in x
    assert round(x[0, 0].item(), 2) == 0.12 and json.dumps([x[0, 1].item(), i.item()]) == "[2.5, 1]"
    assert {i.item(): "one"}[1] == "one" and f"{x[0, 1]:.2f}" == "2.50" and math.sqrt(mg.tensor(4.0)) == 2
    assert type(x.sum().item()) is float and type(i.item()) is int and type((i > 0).item()) is bool


# ----------------------------------------------------------------------------------- what the short ways must not change


def test_what_a_hook_has_seen_is_not_written_later() -> None:
    """A reshape's gradient moves on to its input, where more is added: not in the memory that a hook may have kept."""
    w, kept = mg.ones(2, 2, requires_grad=True), []
    x = w * 2.0
    later = x * 3.0  # older than the reshape, so its part of the gradient comes second
    y = x.reshape(4)
    y.register_hook(kept.append)
    ((y * mg.arange(4.0)) * 5.0).sum().backward(retain_graph=True)
    alone = numpy_of(kept.pop())
    ((y * mg.arange(4.0)) * 5.0 + later.reshape(4)).sum().backward()
    assert numpy_of(kept[0]).tolist() == alone.tolist() == [0.0, 5.0, 10.0, 15.0]


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: x - y,
        lambda x, y: x * y,
        lambda x, y: x / y,
        lambda x, y: 2.5 / x - y / 3 + x * 0.1 - (-y),
        lambda x, y: mg.add(x, y, alpha=0.3),
        lambda x, y: x.exp() + y.log() + y.sqrt() + y.rsqrt() + x.tanh() + y.sigmoid() + x.reciprocal(),
    ],
    ids=["sub", "mul", "div", "numbers", "alpha", "functions"],
)
@pytest.mark.parametrize("shape", [(3,), ()], ids=["1-d", "0-d"])
@pytest.mark.parametrize("kind", [mg.float16, mg.float32, mg.float64], ids=lambda d: d.name)
def test_a_backward_on_arrays_gives_what_its_ops_give(f: Any, shape: tuple[int, ...], kind: Any) -> None:
    """To the last bit and in the same type: ops run where create_graph=True records them, arrays where it does not."""
    rng = np.random.default_rng(3)
    x, y, g = (mg.tensor(rng.uniform(0.5, 2.0, shape), dtype=kind) for _ in range(3))
    x.requires_grad = y.requires_grad = True
    arrays = mg.autograd.grad(f(x, y), [x, y], g)
    ops = mg.autograd.grad(f(x, y), [x, y], g, create_graph=True)
    for a, b in zip(arrays, ops, strict=True):
        assert a.dtype == b.dtype == kind and a.shape == b.shape == shape
        assert numpy_of(a).tobytes() == numpy_of(b.detach()).tobytes()
        assert a.op is None


def test_another_backward_on_top_of_an_arithmetic_one_gets_tensors() -> None:
    class Twice(type((mg.ones(1, requires_grad=True) * 2).op)):  # Mul
        def backward(self, g):
            gx, _ = super().backward(g)
            return mg.where(gx > 0, gx * 2, gx), None

    x = mg.tensor([1.0, -1.0], requires_grad=True)
    Twice.apply(x, mg.tensor([3.0, -3.0])).sum().backward()
    assert x.grad.tolist() == [6.0, -3.0]


def test_numpy_warns_as_before_outside_ops_and_in_hooks() -> None:
    """An op silences NumPy while it runs, and not a moment longer, whether it fails or not."""
    seen = []
    x = mg.tensor([1e30, 0.0], requires_grad=True)
    with np.errstate(all="raise"):
        y = (x * 1e30).tanh() / x * x  # overflow, and 0 / 0
        y.register_hook(lambda g: seen.append(np.geterr()["over"]))
        y.backward(mg.ones_like(y))
        with pytest.raises(RuntimeError):
            x @ mg.ones(3)
        assert set(np.geterr().values()) == {"raise"} and seen == ["raise"]
        with pytest.raises(FloatingPointError):
            np.float32(1e30) * np.float32(1e30)


def test_a_product_of_two_leaves_in_one_memory_has_two_gradients():
    x = mg.tensor([1.0, -2.0], requires_grad=True)
    y = x.detach().requires_grad_()
    (x * y).sum().backward()
    assert x.grad.tolist() == y.grad.tolist() == [1.0, -2.0]
    x.grad = None
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, -4.0]
