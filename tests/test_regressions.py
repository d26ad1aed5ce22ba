"""What reviews found, each a few lines that once went wrong."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.ops import shape

BOTH = pytest.mark.parametrize("lib", [mg, torch], ids=["minigrad", "torch"])


@BOTH
def test_a_change_of_dtype_leaves_integer_buffers_alone(lib: Any) -> None:
    module = lib.nn.Module()
    module.register_buffer("position_ids", lib.tensor([2049, 70000, 16777217]))
    module.half().float()
    assert module.position_ids.tolist() == [2049, 70000, 16777217]
    assert module.position_ids.dtype == lib.int64


@BOTH
def test_a_parameter_shares_its_version_with_the_tensor_it_was_made_of(lib: Any) -> None:
    x = lib.tensor([1.0, 2.0])
    p = lib.nn.Parameter(x)
    y = (p * p).sum()
    x.mul_(10)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


@BOTH
def test_a_detached_tensor_has_a_history_of_its_own(lib: Any) -> None:
    w, s = lib.ones(3, requires_grad=True), lib.full((3,), 2.0, requires_grad=True)
    d = w.detach()
    d.mul_(s)
    (w * 1).sum().backward()  # w's history is still right: it has none
    assert w.grad.tolist() == [1, 1, 1]


def test_a_view_of_a_detached_tensor_does_not_lose_a_gradient_silently() -> None:
    a, w = mg.ones(3), mg.ones(3, requires_grad=True)
    e = a.detach()
    v = e[0:2]
    e.mul_(w)
    with pytest.raises(RuntimeError, match="shares memory"):
        v * w[:2]


@BOTH
def test_a_saved_result_is_watched_in_second_order_too(lib: Any) -> None:
    x, v = lib.tensor([1.0], requires_grad=True), lib.tensor([1.0], requires_grad=True)
    y = x.exp()
    (g,) = lib.autograd.grad(y, x, v, create_graph=True)
    with lib.no_grad():
        y.mul_(10)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        lib.autograd.grad(g.sum(), v)


@BOTH
def test_saved_ids_and_targets_are_watched_in_second_order_too(lib: Any) -> None:
    w, v = lib.ones(3, 2, requires_grad=True), lib.ones(2, 2, requires_grad=True)
    ids = lib.tensor([0, 1])
    (g,) = lib.autograd.grad(w[ids], w, v, create_graph=True)
    ids.fill_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        lib.autograd.grad((g * 2).sum(), v)
    target = lib.tensor([0, 1, 1])
    loss = lib.nn.functional.cross_entropy(w, target)
    target.fill_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        lib.autograd.grad(loss, w, create_graph=True)


@BOTH
def test_class_weights_are_constants(lib: Any) -> None:
    x, ids = lib.ones(2, 3), lib.tensor([0, 1])
    for weight in (lib.ones(3, requires_grad=True), lib.ones(3, dtype=lib.float64)):
        with pytest.raises(RuntimeError):
            lib.nn.functional.cross_entropy(x, ids, weight=weight, label_smoothing=0.1).sum().backward()


@BOTH
def test_no_grad_covers_the_body_of_a_generator(lib: Any) -> None:
    w = lib.ones(1, requires_grad=True)

    @lib.no_grad()
    def values() -> Any:
        yield (w * 2).requires_grad
        yield (w * 2).requires_grad

    seen = [(inside, (w * 2).requires_grad) for inside in values()]
    assert seen == [(False, True), (False, True)]


@BOTH
def test_many_integers_are_scatter_added(lib: Any) -> None:
    index = lib.arange(100) % 5
    counts = lib.zeros(5, dtype=lib.int64).scatter_add(0, index, lib.ones(100, dtype=lib.int64))
    assert counts.tolist() == [20] * 5


@BOTH
def test_backward_lets_go_of_masks_and_ids_while_the_loss_lives(lib: Any) -> None:
    x, w = lib.ones(4, requires_grad=True), lib.ones(3, 1, requires_grad=True)
    mask, ids = lib.tensor([True, False, True, False]), lib.tensor([0, 2])
    loss = x.masked_fill(mask, 0.0).sum() + lib.nn.functional.embedding(ids, w).sum()
    dead = [weakref.ref(mask), weakref.ref(ids)]
    del mask, ids
    loss.backward()
    gc.collect()
    assert [ref() for ref in dead] == [None, None]
    assert loss.item() == 4


def test_an_infinite_cotangent_leaves_the_padding_row_alone() -> None:
    w = mg.ones(3, 2, requires_grad=True)
    y = mg.nn.functional.embedding(mg.tensor([0, 1]), w, padding_idx=0)
    (g,) = mg.autograd.grad(y, w, mg.full((2, 2), float("inf")), create_graph=True)
    assert g.tolist() == [[0, 0], [np.inf, np.inf], [0, 0]]


def test_a_deep_copy_has_its_own_sparse_gradient() -> None:
    w = mg.ones(3, 2, requires_grad=True)
    mg.nn.functional.embedding(mg.tensor([1]), w, sparse=True).backward(mg.ones(1, 2))
    copy.deepcopy(w).grad.zero_()
    assert w.grad.to_dense().tolist() == [[0, 0], [1, 1], [0, 0]]


@BOTH
def test_backward_into_a_tensor_that_needs_no_gradient_is_refused(lib: Any) -> None:
    w = lib.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError):
        (w * 2).sum().backward(inputs=[lib.ones(2)])


@BOTH
def test_small_negative_ids_count_from_the_end_of_a_long_tensor(lib: Any) -> None:
    assert lib.arange(1000)[lib.tensor([-1], dtype=lib.int8).long()].tolist() == [999]
    if lib is mg:  # torch refuses int8
        assert mg.arange(1000)[mg.tensor([-1], dtype=mg.int8)].tolist() == [999]


@BOTH
def test_plain_sgd_remembers_nothing(lib: Any) -> None:
    w = lib.ones(2, requires_grad=True)
    optimizer = lib.optim.SGD([w], lr=0.1)
    w.sum().backward()
    optimizer.step()
    assert optimizer.state_dict()["state"] == {}


def test_zero_grad_to_zeros_keeps_a_table_s_gradient_rows() -> None:
    table = mg.nn.Embedding(1000, 4)
    table(mg.tensor([1, 2])).backward(mg.ones(2, 4))
    mg.optim.SGD(table.parameters(), lr=0.1).zero_grad(set_to_none=False)
    assert isinstance(table.weight._grad, mg.RowSparse)
    assert not table.weight.grad.any()


def test_a_clone_keeps_the_layout() -> None:
    assert mg.ones(2, 3).t().clone().stride() == torch.ones(2, 3).t().clone().stride() == (1, 3)


def test_the_gradient_of_a_linear_weight_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    w, x = mg.ones(3, 2, requires_grad=True), mg.ones(4, 2)
    monkeypatch.setattr(shape.Clone, "forward", lambda op, x: pytest.fail("a gradient was copied"))
    (x @ w.T).backward(mg.ones(4, 3))
    assert w.grad.tolist() == [[4, 4]] * 3
    assert w.grad.is_contiguous()


@BOTH
def test_a_gradient_lies_in_memory_as_its_leaf_does(lib: Any) -> None:
    w = lib.ones(3, 2, requires_grad=True)
    (w.t() * lib.ones(2, 3)).backward(lib.ones(2, 3))
    assert w.grad.view(-1).tolist() == [1] * 6


def test_a_write_under_no_grad_does_not_make_a_stale_view_fresh() -> None:
    x, w = mg.ones(3, requires_grad=True) * 1, mg.ones(3, requires_grad=True)
    v = x[:2]
    x.mul_(w)
    with mg.no_grad():
        v.zero_()  # allowed: nothing is recorded
    assert x.tolist() == [0, 0, 1]
    with pytest.raises(RuntimeError, match="shares memory"):
        v * 2
