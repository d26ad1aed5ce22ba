"""What reviews found, each a few lines that once went wrong."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from helpers import CPU, same

import minigrad as mg
from minigrad.ops import shape
from minigrad.ops.positions import relative_shift

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
    assert isinstance(table.weight._grad, mg.RowSparse if CPU else mg.Tensor)
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


@BOTH
def test_a_retained_tensor_off_the_path_gets_no_partial_gradient(lib: Any) -> None:
    a, x = lib.tensor([1.0, 2.0], requires_grad=True), lib.tensor([3.0, 4.0], requires_grad=True)
    y = a * 2
    y.retain_grad()
    lib.autograd.grad((y * x + y.exp()).sum(), x)
    assert y.grad is None


@BOTH
def test_a_retained_gradient_is_counted_once_and_not_written_into(lib: Any) -> None:
    a = lib.tensor([1.0, 2.0], requires_grad=True)
    y = a * 2
    y.retain_grad()
    z = (y * y).sum()
    z.backward(inputs=[y], retain_graph=True)
    first = y.grad
    assert first.tolist() == [4, 8]
    z.backward()
    assert first.tolist() == [4, 8]
    assert y.grad.tolist() == [8, 16]


def test_a_stale_tensor_is_refused_as_a_target() -> None:
    b = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True) * 1
    v = b[0]
    v.mul_(3.0)
    s = (v * v).sum()
    with pytest.raises(RuntimeError, match="shares memory"):
        mg.autograd.grad(s, b, retain_graph=True)
    with pytest.raises(RuntimeError, match="shares memory"):
        s.backward(inputs=[b])
    with pytest.raises(RuntimeError, match="shares memory"):
        b.retain_grad()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_second_order_flows_through_the_softmax_that_was_returned(name: str) -> None:
    results = []
    for lib in (mg, torch):
        a = lib.tensor([1.0, 2.0, 4.0], requires_grad=True, dtype=lib.float64)
        x = a * 1
        y = getattr(lib, name)(x, -1)
        x.add_(1)  # the input is not needed any more
        (g,) = lib.autograd.grad((y**3).sum(), a, create_graph=True)
        results.append(lib.autograd.grad((g * g).sum(), y)[0].tolist())
    np.testing.assert_allclose(*results, rtol=1e-10)


@BOTH
@pytest.mark.cpu_only("CuPy's results lie row by row, however the operands do")
def test_strides_after_in_place_ops_and_cat_are_torchs(lib: Any) -> None:
    a = lib.ones(2, 3, requires_grad=True)
    x = a.t() * 1
    x[0] = 5.0
    x.mul_(lib.ones(3, 2))
    assert x.stride() == (1, 3)
    assert lib.cat([a.t(), a.t()], 1).stride() == (4, 1)


@BOTH
def test_memory_that_was_shared_stays_shared(lib: Any) -> None:
    a = lib.ones(2, requires_grad=True)
    y = a * 2
    array = y.numpy(force=True) if CPU else y.detach()
    v, p = a * 2, lib.zeros(2)
    p.data = v
    y.add_(1)
    v.add_(1)
    assert array.tolist() == p.tolist() == [3, 3]


@BOTH
def test_changing_a_module_s_dtype_leaves_the_caller_s_buffer_alone(lib: Any) -> None:
    module, b = lib.nn.Linear(2, 1), lib.ones(2)
    module.register_buffer("b", b)
    module(lib.ones(1, 2)).sum().backward()
    g = module.weight.grad
    module.double()
    assert (b.dtype, module.b.dtype, g.dtype) == (lib.float32, lib.float64, lib.float64)


@BOTH
def test_new_data_starts_anew(lib: Any) -> None:
    w, t = lib.ones(3, requires_grad=True), lib.zeros(3)
    t.mul_(w)
    t.data = lib.ones(3)
    assert (t * 2).tolist() == [2, 2, 2]


@BOTH
def test_generators_in_a_mode_can_be_thrown_into_and_closed(lib: Any) -> None:
    seen = []

    @lib.set_grad_enabled(False)
    def values() -> Any:
        try:
            yield lib.is_grad_enabled()
        except ValueError:
            yield "caught"
        finally:
            seen.append(lib.is_grad_enabled())

    it = values()
    assert next(it) is False
    assert it.throw(ValueError()) == "caught"
    it.close()
    assert seen == [False]
    assert lib.is_grad_enabled()


@BOTH
def test_a_gradient_that_cannot_be_written_is_a_runtime_error(lib: Any) -> None:
    a = lib.ones(3, requires_grad=True)
    a.grad = lib.ones(1).expand(3)
    with pytest.raises(RuntimeError, match="clone"):
        a.sum().backward()


@pytest.mark.parametrize("shapes", [[(0,), (0,)], [(0,), (2, 3)], [(2, 3), (0,), (1, 3)], [(0,), (0,), (3,)]], ids=str)
def test_an_empty_tensor_in_cat_has_an_empty_gradient(shapes: list[tuple[int, ...]]) -> None:
    """torch.cat lets an empty 1-d tensor pass beside any others; it was left out of the graph."""
    gradients = []
    for t in (mg, torch):
        xs = [t.ones(*shape, requires_grad=True) for shape in shapes]
        y = t.cat(xs)
        gradients.append(t.autograd.grad(y, xs, t.ones_like(y)))
    for ours, theirs in zip(*gradients, strict=True):
        same(ours, theirs, exact=True)


def test_weighted_bincount_adds_in_order_in_the_weights_own_type() -> None:
    weights = np.float32([1, 1, 1, 1, 1, 1]) / 7
    ours, theirs = (
        lib.bincount(lib.tensor([1] * 6), lib.tensor(weights)) for lib in (mg, torch)
    )  # summed in float64 and then rounded it is 1 ulp less
    same(ours, theirs, exact=True)


@BOTH
def test_windows_that_share_their_input_s_memory_see_it_change(lib: Any) -> None:
    x, w = lib.rand(1, 1, 6), lib.rand(1, 1, 3, requires_grad=True)
    y = lib.nn.functional.conv1d(x, w).sum()
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_write_through_a_strided_view_is_noticed() -> None:
    x = mg.ones(3, 7, requires_grad=True) * 1
    relative_shift(x)[0].mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        x.sum()


@BOTH
@pytest.mark.parametrize("kernel", [(1, 3), (1, 1), (2, 2)])
def test_unfolded_windows_are_a_copy(lib: Any, kernel: tuple[int, int]) -> None:
    x = lib.arange(12.0).view(1, 1, 2, 6)
    lib.nn.functional.unfold(x, kernel).mul_(10)
    assert x.flatten().tolist() == list(range(12))
