"""Optimizers: the same parameters as torch's after many steps, whatever form the gradient has, and no work that rows spare."""

from __future__ import annotations

import copy
import inspect
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers import check_same_error, numpy_of, same

import minigrad as mg

STEPS = 30
ROWS, DIM = 40, 6

SGD = [
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
    {"lr": 0.1, "weight_decay": 0.05},
    {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.05},
    {"lr": 0.1, "momentum": 0.8, "nesterov": True},
    {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05},
    {"lr": 0.1, "maximize": True},
    {"lr": 0.1, "maximize": True, "momentum": 0.7, "dampening": 0.1, "weight_decay": 0.02},
    {"lr": 0.0},
]
ADAM = [
    {},
    {"lr": 0.05},
    {"lr": 0.05, "betas": (0.5, 0.8), "eps": 1e-3},
    {"lr": 0.05, "betas": (0.0, 0.0)},
    {"lr": 0.05, "weight_decay": 0.1},
    {"lr": 0.05, "amsgrad": True},
    {"lr": 0.05, "amsgrad": True, "weight_decay": 0.1, "maximize": True},
    {"lr": 0.05, "maximize": True},
]
RMSPROP = [
    {},
    {"lr": 0.03, "alpha": 0.7, "eps": 1e-3},
    {"lr": 0.03, "momentum": 0.6, "weight_decay": 0.1},
    {"lr": 0.03, "centered": True},
    {"lr": 0.03, "centered": True, "momentum": 0.5, "maximize": True, "eps": 1e-2},
]
ADAGRAD = [
    {},
    {"lr": 0.1, "lr_decay": 0.2, "eps": 1e-3},
    {"lr": 0.1, "initial_accumulator_value": 0.3},
    {"lr": 0.1, "weight_decay": 0.1, "maximize": True},
]
SPARSE_ADAM = [{}, {"lr": 0.05}, {"lr": 0.05, "betas": (0.5, 0.8), "eps": 1e-3}, {"lr": 0.05, "maximize": True}]
OTHERS = (("RMSprop", RMSPROP), ("Adagrad", ADAGRAD))
DENSE = [(name, options) for name, all_ in (("SGD", SGD), ("Adam", ADAM), ("AdamW", ADAM), *OTHERS) for options in all_]
SPARSE = [("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "maximize": True}), *(("SparseAdam", o) for o in SPARSE_ADAM)]
SPARSE += [("Adagrad", {"lr": 0.1}), ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "maximize": True})]
TOLERANCE = {"float64": 1e-11, "float32": 2e-4}


def named(cases: list[tuple[str, dict[str, Any]]]) -> Any:
    return pytest.mark.parametrize("name, options", cases, ids=[f"{n}-{o}" for n, o in cases])


# ------------------------------------------------------------------------- small models, of which each gives another gradient


def dense_model(L: Any, dtype: Any) -> Any:
    return L.nn.Sequential(L.nn.Linear(DIM, 5, dtype=dtype), L.nn.Tanh(), L.nn.Linear(5, ROWS, bias=False, dtype=dtype))


def table_model(L: Any, dtype: Any, sparse: bool = False) -> Any:
    return L.nn.Sequential(L.nn.Embedding(ROWS, DIM, padding_idx=3, sparse=sparse, dtype=dtype), L.nn.Tanh())


def table_and_linear(L: Any, dtype: Any) -> Any:
    table = L.nn.Embedding(ROWS, DIM, dtype=dtype)
    return L.nn.Sequential(table, L.nn.Linear(DIM, DIM, dtype=dtype), L.nn.Tanh())


def tied_model(L: Any, dtype: Any) -> Any:
    head = L.nn.Linear(DIM, ROWS, bias=False, dtype=dtype)
    model = L.nn.Sequential(L.nn.Embedding(ROWS, DIM, dtype=dtype), L.nn.Tanh(), head)
    head.weight = model[0].weight
    return model


def sparse_model(L: Any, dtype: Any) -> Any:
    return table_model(L, dtype, sparse=True)


MODELS = {"dense": dense_model, "table": table_model, "table and linear": table_and_linear, "tied": tied_model}


def inputs(model: Any, step: int) -> np.ndarray:
    """Floats for a model that starts with Linear, ids that repeat for one that starts with a table; some rows never come."""
    rng = np.random.default_rng(step)
    if hasattr(model[0], "in_features"):
        return rng.standard_normal((4, DIM))
    return (rng.zipf(1.4, (3, 7)) - 1) % (ROWS - 5)


def twins(build: Callable[[Any, Any], Any], dtype: str = "float64", seed: int = 0) -> tuple[Any, Any]:
    """The model in both libraries, with the same numbers."""
    models = [build(L, getattr(L, dtype)) for L in (mg, torch)]
    rng = np.random.default_rng(seed)
    for name, p in models[1].named_parameters():
        array = (0.3 * rng.standard_normal(tuple(p.shape))).astype(dtype)
        for L, model in zip((mg, torch), models, strict=True):
            with L.no_grad():
                dict(model.named_parameters())[name].copy_(L.tensor(array))
    return models[0], models[1]


def backward(L: Any, model: Any, step: int, weight: float = 0.1) -> Any:
    """One loss, <random cotangent, output>, and its gradients."""
    x = inputs(model, step)
    dtype = next(iter(model.parameters())).dtype
    y = model(L.tensor(x, dtype=dtype) if x.dtype.kind == "f" else L.tensor(x))
    c = np.random.default_rng(10_000 + step).standard_normal(tuple(y.shape)) * weight
    loss = (y * L.tensor(c, dtype=dtype)).sum()
    loss.backward()
    return loss


def train(L: Any, model: Any, optimizer: Any, steps: int = STEPS, start: int = 0) -> None:
    for step in range(start, start + steps):
        optimizer.zero_grad()
        backward(L, model, step)
        optimizer.step()


def same_parameters(ours: Any, theirs: Any, dtype: str = "float64", exact: bool = False) -> None:
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        same(p, q, exact, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], what=name)


# ----------------------------------------------------------------------------------------------------------- many steps


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("model", MODELS)
@named(DENSE)
def test_many_steps(name: str, options: dict[str, Any], model: str, dtype: str) -> None:
    """Dense gradients, gradients that are rows inside, both, and a table that gets both kinds."""
    pair = twins(MODELS[model], dtype)
    for L, m in zip((mg, torch), pair, strict=True):
        train(L, m, getattr(L.optim, name)(m.parameters(), **options))
    same_parameters(*pair, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@named(SPARSE)
def test_many_steps_with_sparse_gradients(name: str, options: dict[str, Any], dtype: str) -> None:
    pair = twins(sparse_model, dtype)
    for L, m in zip((mg, torch), pair, strict=True):
        train(L, m, getattr(L.optim, name)(m.parameters(), **options))
        assert m[0].weight.grad.is_sparse
    same_parameters(*pair, dtype=dtype)


@named([c for c in DENSE if c[0] != "SGD"][:3] + [c for c in DENSE if c[0] == "SGD"][:3])
def test_a_table_larger_than_one_block(name: str, options: dict[str, Any]) -> None:
    """More rows than are updated at once, with ids in the first, the last and no row of a block."""
    rows, dim = 9001, 16
    tables, ids = [], np.array([0, 1, 2047, 2048, 2049, 4095, 4096, 8191, 8192, 9000, 9000, 5])
    start, c = (
        np.random.default_rng(0).standard_normal((rows, dim)),
        np.random.default_rng(1).standard_normal((len(ids), dim)),
    )
    for L in (mg, torch):
        table = L.nn.Embedding.from_pretrained(L.tensor(start.copy()), freeze=False)
        optimizer = getattr(L.optim, name)(table.parameters(), **options)
        for step in range(6):
            optimizer.zero_grad()
            table(L.tensor(ids[step:])).backward(L.tensor(c[step:]))
            optimizer.step()
        tables.append(table.weight)
    same(*tables, rtol=1e-11, atol=1e-11)


@named(DENSE)
def test_parameters_of_every_shape(name: str, options: dict[str, Any]) -> None:
    """0-d, empty, one number, three axes, not contiguous."""
    rng = np.random.default_rng(0)
    shapes = [(), (0,), (1,), (2, 0, 3), (2, 3, 4), (70_000,), (5, 3)]
    arrays, gradients = ([rng.standard_normal(s) for s in shapes] for _ in range(2))
    results = []
    for L in (mg, torch):
        params = [L.tensor(a.copy(), requires_grad=True) for a in arrays[:-1]]
        params.append(L.tensor(arrays[-1].T.copy()).t().requires_grad_())
        optimizer = getattr(L.optim, name)(params, **options)
        for step in range(1, 5):
            optimizer.zero_grad()
            for p, g in zip(params, gradients, strict=True):
                (p * L.tensor(g / step)).sum().backward()
            optimizer.step()
        results.append(params)
    for ours, theirs in zip(*results, strict=True):
        same(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plain_sgd_equals_torch_bit_for_bit_on_rows(dtype: str) -> None:
    """The learning rate is a power of two, so that rounding its product cannot differ."""
    pair = twins(lambda L, d: L.nn.Sequential(L.nn.Embedding(ROWS, DIM, dtype=d)), dtype)
    for L, m in zip((mg, torch), pair, strict=True):
        train(L, m, L.optim.SGD(m.parameters(), lr=0.125))
    same_parameters(*pair, exact=True)


# ------------------------------------------------------------------------------------------------------- only rows in use


def test_plain_sgd_on_rows_equals_sgd_on_the_dense_gradient_bit_for_bit() -> None:
    rows, dense = (twins(table_model, "float32")[0] for _ in range(2))
    optimizers = [mg.optim.SGD(m.parameters(), lr=0.37) for m in (rows, dense)]
    for step in range(STEPS):
        for m, optimizer in zip((rows, dense), optimizers, strict=True):
            optimizer.zero_grad()
            backward(mg, m, step)
            if m is dense:
                assert isinstance(m[0].weight.grad, mg.Tensor)  # from being looked at, it is dense
            optimizer.step()
    same_parameters(rows, dense, exact=True)


def test_plain_sgd_leaves_the_bytes_of_other_rows_alone() -> None:
    odd = np.array([np.nan, -0.0, np.inf, 5e-324, -np.nan])
    table = mg.nn.Embedding.from_pretrained(mg.tensor(np.tile(odd, (8, 1))), freeze=False)
    before = numpy_of(table.weight).copy()
    table(mg.tensor([2, 5, 2])).backward(mg.ones(3, 5, dtype=mg.float64))
    mg.optim.SGD(table.parameters(), lr=0.1).step()
    after = numpy_of(table.weight)
    for row in (0, 1, 3, 4, 6, 7):
        assert after[row].tobytes() == before[row].tobytes()
    assert after[2][1] == -0.2 and after[5][1] == -0.1


def peak(f: Callable[[], Any]) -> int:
    """Bytes allocated by f at most, above what there was."""
    tracemalloc.start()
    try:
        f()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def one_step(table: Any, optimizer: Any, ids: Any, cotangent: Any) -> Callable[[], None]:
    def run() -> None:
        optimizer.zero_grad()
        table(ids).backward(cotangent)
        optimizer.step()

    return run


@pytest.mark.parametrize(
    "name, options, sparse, tables",
    [
        ("SGD", {"lr": 0.1}, False, 0.0),
        ("SGD", {"lr": 0.1}, True, 0.0),
        ("SGD", {"lr": 0.1, "maximize": True}, False, 0.0),
        ("SparseAdam", {}, True, 0.0),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}, False, 0.0),
        ("Adam", {}, False, 0.0),
        ("Adam", {"amsgrad": True, "weight_decay": 0.1}, False, 0.0),
        ("AdamW", {}, False, 0.0),
        ("Adagrad", {}, False, 0.0),
        ("Adagrad", {}, True, 0.0),
        ("RMSprop", {"momentum": 0.9, "centered": True}, False, 0.0),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}, False, 1.0),
        ("Adam", {}, False, 2.0),
        ("AdamW", {"amsgrad": True}, False, 3.0),
        ("SparseAdam", {}, True, 2.0),
    ],
)
@pytest.mark.cpu_only("rows: a GPU's gradients are dense; and it counts the host's memory")
def test_no_array_of_the_tables_size_beyond_the_moments(
    name: str, options: dict[str, Any], sparse: bool, tables: float
) -> None:
    """`tables`: how many arrays of the table's size the first step may make, to keep them; 0: a later step, which makes none."""
    rows, dim = 1_000_000, 16
    table = mg.nn.Embedding.from_pretrained(mg.zeros(rows, dim), freeze=False, sparse=sparse)
    optimizer = getattr(mg.optim, name)(table.parameters(), **options)
    run = one_step(table, optimizer, mg.tensor(np.arange(0, rows, 997)), mg.ones(1004, dim))
    if not tables:
        run()
    size = rows * dim * 4
    assert tables * size <= peak(run) < (tables + 0.2) * size


# ----------------------------------------------------------------------------------------------- groups, closures, schedules


def test_groups_have_their_own_options() -> None:
    pair = twins(table_and_linear)
    for L, m in zip((mg, torch), pair, strict=True):
        groups = [
            {"params": m[0].parameters(), "lr": 0.5},
            {"params": [m[1].weight], "momentum": 0.9, "weight_decay": 0.1},
        ]
        optimizer = L.optim.SGD(groups, lr=0.05)
        train(L, m, optimizer, 10)
        optimizer.add_param_group({"params": m[1].bias, "lr": 0.2})
        train(L, m, optimizer, 10, start=10)
        assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.05, 0.2]
        assert [len(g["params"]) for g in optimizer.param_groups] == [1, 1, 1]
    same_parameters(*pair)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_the_learning_rate_may_change_between_steps(name: str) -> None:
    pair = twins(table_and_linear)
    for L, m in zip((mg, torch), pair, strict=True):
        optimizer = getattr(L.optim, name)(m.parameters(), lr=0.1)
        for step in range(25):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 * (1 + math.cos(step / 8))
            train(L, m, optimizer, 1, start=step)
    same_parameters(*pair)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_parameters_without_a_gradient_and_frozen_ones_stay(name: str) -> None:
    pair = twins(table_and_linear)
    for L, m in zip((mg, torch), pair, strict=True):
        spare = L.ones(3, requires_grad=True)
        m[1].weight.requires_grad_(False)
        frozen, table = m[1].weight.tolist(), m[0].weight.tolist()
        optimizer = getattr(L.optim, name)([*m.parameters(), spare], lr=0.1, weight_decay=0.5)
        optimizer.step()
        assert m[0].weight.tolist() == table
        train(L, m, optimizer, 5)
        assert m[1].weight.tolist() == frozen and spare.tolist() == [1.0, 1.0, 1.0]
        m[1].weight.requires_grad_(True)
        train(L, m, optimizer, 5, start=5)
        assert m[1].weight.tolist() != frozen
    same_parameters(*pair)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "SparseAdam"])
@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad(name: str, set_to_none: bool) -> None:
    """Gradients of zeros still move momentum and Adam; a table set to zero and used again gives torch's numbers."""
    sparse = name == "SparseAdam"
    options = {"lr": 0.1, "momentum": 0.5} if name == "SGD" else {"lr": 0.1}
    pair = twins(sparse_model if sparse else table_and_linear)
    for L, m in zip((mg, torch), pair, strict=True):
        optimizer = getattr(L.optim, name)(m.parameters(), **options)
        for step in range(8):
            if step != 5:
                backward(L, m, step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=set_to_none)
            for p in m.parameters():
                if set_to_none:
                    assert p.grad is None
                elif not sparse:
                    assert tuple(p.grad.shape) == tuple(p.shape) and not bool((p.grad != 0).any())
    same_parameters(*pair)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_gradients_accumulate_over_batches(name: str) -> None:
    for model in (table_model, tied_model):
        pair = twins(model)
        for L, m in zip((mg, torch), pair, strict=True):
            optimizer = getattr(L.optim, name)(m.parameters(), lr=0.1)
            for step in range(0, 12, 3):
                optimizer.zero_grad()
                for i in range(3):
                    backward(L, m, step + i, weight=0.03)
                optimizer.step()
        same_parameters(*pair)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_gradient_changed_by_hand_is_what_the_step_takes(name: str) -> None:
    """Clipping, scaling and assigning .grad, on a table as on anything else."""
    pair = twins(table_and_linear)
    for L, m in zip((mg, torch), pair, strict=True):
        optimizer = getattr(L.optim, name)(m.parameters(), lr=0.1)
        for step in range(6):
            optimizer.zero_grad()
            backward(L, m, step)
            if step % 2:
                m[0].weight.grad.mul_(0.25)
                m[1].weight.grad = m[1].weight.grad.clamp(-0.1, 0.1)
            else:
                m[0].weight.grad = m[0].weight.grad * 3 + 1
            optimizer.step()
    same_parameters(*pair)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_closures(name: str) -> None:
    pair = twins(table_and_linear)
    for L, m in zip((mg, torch), pair, strict=True):
        optimizer = getattr(L.optim, name)(m.parameters(), lr=0.1)
        assert optimizer.step() is None
        for step in range(5):

            def closure(L: Any = L, m: Any = m, step: int = step, optimizer: Any = optimizer) -> Any:
                assert L.is_grad_enabled()
                optimizer.zero_grad()
                return backward(L, m, step)

            with L.no_grad():
                loss = optimizer.step(closure)
            assert loss.shape == () and loss.requires_grad
    same_parameters(*pair)


def test_a_step_keeps_parameters_leaves_and_marks_them_as_changed() -> None:
    for L in (mg, torch):
        w = L.ones(2, 2, requires_grad=True)
        optimizer = L.optim.SGD([w], lr=0.1)
        pointer = w.data_ptr()
        y = ((w @ w) * L.tensor([[1.0, 2.0], [3.0, 4.0]])).sum()
        y.backward(retain_graph=True)
        optimizer.step()
        assert w.is_leaf and w.requires_grad and w.grad_fn is None and w.data_ptr() == pointer
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.backward()


# --------------------------------------------------------------------------------------------------- saving and going on

RESUMED = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("AdamW", {"lr": 0.05}),
    ("RMSprop", {"lr": 0.05, "momentum": 0.5, "centered": True}),
    ("Adagrad", {"lr": 0.05, "initial_accumulator_value": 0.1}),
]


@named([*RESUMED, ("SparseAdam", {"lr": 0.05})])
def test_resuming_gives_the_same_bits(name: str, options: dict[str, Any]) -> None:
    build = sparse_model if name == "SparseAdam" else table_and_linear
    first, second = (twins(build, "float32", seed=s)[0] for s in (0, 1))
    optimizer = getattr(mg.optim, name)(first.parameters(), **options)
    train(mg, first, optimizer, 7)
    saved = copy.deepcopy((first.state_dict(), optimizer.state_dict()))
    train(mg, first, optimizer, 8, start=7)
    again = getattr(mg.optim, name)(second.parameters(), lr=0.9)
    second.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    train(mg, second, again, 8, start=7)
    same_parameters(first, second, exact=True)


@named(RESUMED)
def test_a_loaded_state_is_a_copy(name: str, options: dict[str, Any]) -> None:
    first, second = (twins(table_and_linear)[0] for _ in range(2))
    optimizer = getattr(mg.optim, name)(first.parameters(), **options)
    train(mg, first, optimizer, 3)
    again = getattr(mg.optim, name)(second.parameters(), **options)
    second.load_state_dict(first.state_dict())
    again.load_state_dict(optimizer.state_dict())
    before = [numpy_of(x).copy() for s in optimizer.state.values() for x in s.values() if isinstance(x, mg.Tensor)]
    train(mg, second, again, 3, start=3)
    after = [numpy_of(x) for s in optimizer.state.values() for x in s.values() if isinstance(x, mg.Tensor)]
    for a, b in zip(before, after, strict=True):
        assert a.tobytes() == b.tobytes()


@named(RESUMED)
def test_state_dict_is_laid_out_as_torchs(name: str, options: dict[str, Any]) -> None:
    pair = twins(table_and_linear)
    states = []
    for L, m in zip((mg, torch), pair, strict=True):
        optimizer = getattr(L.optim, name)(
            [{"params": m[0].parameters(), "lr": 0.3}, {"params": m[1].parameters()}], **options
        )
        train(L, m, optimizer, 3)
        states.append(optimizer.state_dict())
    ours, theirs = states
    assert ours["param_groups"] == theirs["param_groups"]
    assert [list(s) for s in ours["state"].values()] == [list(s) for s in theirs["state"].values()]
    for i, state in theirs["state"].items():
        for key, value in state.items():
            same(ours["state"][i][key], value, rtol=1e-11, atol=1e-13, what=key)


@named(RESUMED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_state_goes_to_torch_and_back_through_files(
    name: str, options: dict[str, Any], dtype: str, tmp_path: Path
) -> None:
    """Our checkpoint in torch's optimizer, and torch's in ours: the steps that follow are the same."""
    pair = twins(table_and_linear, dtype)
    optimizers = [getattr(L.optim, name)(m.parameters(), **options) for L, m in zip((mg, torch), pair, strict=True)]
    for L, m, optimizer in zip((mg, torch), pair, optimizers, strict=True):
        train(L, m, optimizer, 4)
    mg.save({"model": pair[0].state_dict(), "optimizer": optimizers[0].state_dict()}, tmp_path / "ours")
    tensors = safetensors.torch.load_file(tmp_path / "ours")
    state = copy.deepcopy(optimizers[1].state_dict())
    for i, values in state["state"].items():
        for key in values:
            values[key] = tensors[f"optimizer.state.{i}.{key}"]
    flat = {
        f"{i} {key}": v.contiguous() for i, s in optimizers[1].state_dict()["state"].items() for key, v in s.items()
    }
    safetensors.torch.save_file(flat | {k: v.clone() for k, v in pair[1].state_dict().items()}, tmp_path / "theirs")
    back = mg.load(tmp_path / "theirs")
    other = {
        "state": {i: {k: back[f"{i} {k}"] for k in s} for i, s in optimizers[1].state_dict()["state"].items()},
        "param_groups": optimizers[1].state_dict()["param_groups"],
    }
    again = [getattr(L.optim, name)(m.parameters(), lr=0.9) for L, m in zip((mg, torch), pair, strict=True)]
    again[0].load_state_dict(other)
    again[1].load_state_dict(state)
    for L, m, optimizer in zip((mg, torch), pair, again, strict=True):
        train(L, m, optimizer, 4, start=4)
    same_parameters(*pair, dtype=dtype)


def test_a_state_of_another_model_is_refused_and_changes_nothing() -> None:
    model = twins(table_and_linear)[0]
    optimizer = mg.optim.Adam(model.parameters())
    train(mg, model, optimizer, 2)
    other = mg.optim.Adam([mg.ones(1, requires_grad=True)], lr=7.0)
    before = [numpy_of(s["exp_avg"]).copy() for s in optimizer.state.values()]
    with pytest.raises(ValueError, match="doesn't match the size"):
        optimizer.load_state_dict(other.state_dict())
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["lr"] = 7.0
    state["state"][2]["exp_avg"] = mg.ones(2, 2)
    with pytest.raises(ValueError, match="exp_avg"):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 1e-3
    for a, s in zip(before, optimizer.state.values(), strict=True):
        assert a.tobytes() == numpy_of(s["exp_avg"]).tobytes()


# ------------------------------------------------------------------------------------------------------------------ errors


def ones(L: Any) -> Any:
    return L.ones(2, requires_grad=True)


def stepping(name: str, sparse: bool, **options: Any) -> Callable[[Any], None]:
    def f(L: Any) -> None:
        table = L.nn.Embedding(4, 2, sparse=sparse)
        table(L.tensor([1, 1])).backward(L.ones(2, 2))
        getattr(L.optim, name)(table.parameters(), **options).step()

    return f


def added_twice(L: Any) -> None:
    x = ones(L)
    L.optim.SGD([x], lr=0.1).add_param_group({"params": [x]})


def in_two_groups(L: Any) -> None:
    x = ones(L)
    L.optim.SGD([{"params": [x]}, {"params": [x]}], lr=0.1)


MISTAKES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no parameters": (lambda L: L.optim.SGD([], lr=0.1), "empty parameter list"),
    "a used-up iterator": (lambda L: L.optim.SGD(iter(()), lr=0.1), "empty parameter list"),
    "a tensor": (lambda L: L.optim.SGD(ones(L), lr=0.1), "iterable"),
    "a module": (lambda L: L.optim.SGD(L.nn.Linear(1, 1), lr=0.1), "iterable"),
    "numbers": (lambda L: L.optim.SGD([1.0], lr=0.1), "float"),
    "arrays": (lambda L: L.optim.SGD([np.ones(2)], lr=0.1), "ndarray"),
    "names": (lambda L: L.optim.SGD(["weight"], lr=0.1), "str"),
    "a tensor after a dict": (lambda L: L.optim.SGD([{"params": [ones(L)]}, ones(L)], lr=0.1), "dict"),
    "a non-leaf": (lambda L: L.optim.SGD([ones(L) * 2], lr=0.1), "non-leaf"),
    "a group twice": (added_twice, "more than one parameter group"),
    "two groups with one tensor": (in_two_groups, "more than one parameter group"),
    "a group that is a list": (lambda L: L.optim.SGD([ones(L)], lr=0.1).add_param_group([ones(L)]), "dict"),
    "parameters as a set": (lambda L: L.optim.SGD([{"params": {ones(L)}}], lr=0.1), "set"),
    "SGD lr": (lambda L: L.optim.SGD([ones(L)], lr=-0.1), "learning rate: -0.1"),
    "SGD lr nan": (lambda L: L.optim.Adam([ones(L)], lr=math.nan), "learning rate: nan"),
    "SGD momentum": (lambda L: L.optim.SGD([ones(L)], lr=0.1, momentum=-1), "momentum"),
    "SGD weight_decay": (lambda L: L.optim.SGD([ones(L)], lr=0.1, weight_decay=-1), "weight_decay"),
    "nesterov without momentum": (lambda L: L.optim.SGD([ones(L)], lr=0.1, nesterov=True), "Nesterov"),
    "nesterov with dampening": (lambda L: L.optim.SGD([ones(L)], lr=0.1, momentum=0.9, dampening=0.1, nesterov=True), "Nesterov"),
    "Adam sparse": (stepping("Adam", sparse=True), "sparse gradients, please consider SparseAdam"),
    "AdamW sparse": (stepping("AdamW", sparse=True), "sparse"),
    "SparseAdam dense": (stepping("SparseAdam", sparse=False), "dense gradients, please consider Adam"),
    "SGD sparse with weight decay": (stepping("SGD", sparse=True, lr=0.1, weight_decay=0.1), ""),
    "SparseAdam lr 0": (lambda L: L.optim.SparseAdam([ones(L)], lr=0.0), "learning rate: 0.0"),
    "foreach and fused": (lambda L: L.optim.AdamW([ones(L)], foreach=True, fused=True), "cannot be `True` together"),
    "RMSprop alpha": (lambda L: L.optim.RMSprop([ones(L)], alpha=-1.0), "alpha"),
    "RMSprop sparse": (stepping("RMSprop", sparse=True), "sparse"),
    "Adagrad lr_decay": (lambda L: L.optim.Adagrad([ones(L)], lr_decay=-1.0), "lr_decay"),
    "Adagrad start": (lambda L: L.optim.Adagrad([ones(L)], initial_accumulator_value=-1.0), "initial_accumulator_value"),
    "Adagrad sparse with weight decay": (stepping("Adagrad", sparse=True, weight_decay=0.1), "weight_decay"),
    "a tensor of rates": (lambda L: L.optim.SGD([ones(L)], lr=L.ones(2)), "1-element"),
    "names for some": (lambda L: L.optim.SGD([("a", ones(L)), ones(L)], lr=0.1), "with/without names"),
    "names in one group": (
        lambda L: L.optim.SGD([{"params": [("a", ones(L))]}, {"params": [ones(L)]}], lr=0.1), "with/without names",
    ),
    "an unknown option": (lambda L: L.optim.SGD([ones(L)], lr=0.1, momentun=0.9), "momentun"),
    "a state without groups": (lambda L: L.optim.SGD([ones(L)], lr=0.1).load_state_dict({}), "param_groups"),
    "a state with another number of groups": (
        lambda L: L.optim.SGD([ones(L)], lr=0.1).load_state_dict({"state": {}, "param_groups": []}), "number of parameter groups",
    ),
}  # fmt: skip
for _name in ("Adam", "AdamW", "SparseAdam"):
    MISTAKES |= {
        f"{_name} lr": (lambda L, n=_name: getattr(L.optim, n)([ones(L)], lr=-1.0), "learning rate: -1.0"),
        f"{_name} beta 0": (lambda L, n=_name: getattr(L.optim, n)([ones(L)], betas=(1.0, 0.9)), "beta parameter at index 0: 1.0"),
        f"{_name} beta 1": (lambda L, n=_name: getattr(L.optim, n)([ones(L)], betas=(0.9, -0.1)), "beta parameter at index 1: -0.1"),
        f"{_name} eps": (lambda L, n=_name: getattr(L.optim, n)([ones(L)], eps=-1.0), "eps"),
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_torchs_error(name: str) -> None:
    check_same_error(*MISTAKES[name])


def test_a_refused_group_is_not_added() -> None:
    for L in (mg, torch):
        x = ones(L)
        optimizer = L.optim.SGD([x], lr=0.1)
        for group in ({"params": [x]}, {"params": [ones(L) * 2]}, {"params": [1.0]}):
            with pytest.raises((ValueError, TypeError)):
                optimizer.add_param_group(group)
        assert len(optimizer.param_groups) == 1


def test_sgd_refuses_nothing_that_torch_takes() -> None:
    """Named parameters, generators, a single tensor in a group, the same tensor in no group twice."""
    for L in (mg, torch):
        layer = L.nn.Linear(2, 1)
        for params in (layer.parameters(), iter([layer.weight]), tuple(layer.parameters()), [{"params": layer.weight}]):
            assert L.optim.SGD(params, lr=0.1).param_groups[0]["params"][0] is layer.weight
        assert L.optim.SGD(layer.parameters()).param_groups[0]["lr"] == 1e-3


@named(
    [("SGD", {"lr": 0.1}), ("Adam", {}), ("AdamW", {"lr": 0.1}), ("RMSprop", {}), ("Adagrad", {}), ("SparseAdam", {})]
)
def test_the_printed_form_names_the_options(name: str, options: dict[str, Any]) -> None:
    for groups in (1, 2):
        ours, theirs = (
            repr(getattr(L.optim, name)([{"params": [ones(L)]} for _ in range(groups)], **options)) for L in (mg, torch)
        )
        assert ours == theirs


# -------------------------------------------------------------------------------------------------- what scripts also pass

NAMES = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "SparseAdam"]


@pytest.mark.parametrize("name", NAMES)
def test_arguments_and_defaults_are_torchs(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(L.optim, name)).parameters for L in (mg, torch))
    assert [(p.name, p.default, p.kind) for p in ours.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]
    assert getattr(mg.optim, name)([ones(mg)]).defaults == getattr(torch.optim, name)([ones(torch)]).defaults


@named(
    [
        ("SGD", {"foreach": True}),
        ("SGD", {"fused": True, "momentum": 0.9}),
        ("Adam", {"foreach": False, "fused": True}),
        ("AdamW", {"fused": True}),
        ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.3}),
        ("RMSprop", {"foreach": True}),
        ("Adagrad", {"foreach": True}),
    ]
)
def test_switches_change_nothing(name: str, options: dict[str, Any]) -> None:
    pair = twins(dense_model)
    for L, m in zip((mg, torch), pair, strict=True):
        train(L, m, getattr(L.optim, name)(m.parameters(), lr=0.05, **options), 5)
    same_parameters(*pair)


@pytest.mark.parametrize("name", NAMES[:-1])
def test_the_learning_rate_may_be_a_tensor(name: str) -> None:
    pair = twins(dense_model)
    for L, m in zip((mg, torch), pair, strict=True):
        lr = L.tensor(0.05, dtype=L.float64)
        optimizer = getattr(L.optim, name)(m.parameters(), lr=lr)
        train(L, m, optimizer, 3)
        lr.fill_(0.01)
        train(L, m, optimizer, 3, start=3)
        optimizer.load_state_dict(optimizer.state_dict())
        lr.fill_(0.5)
        train(L, m, optimizer, 1, start=6)
    same_parameters(*pair)


def test_parameters_with_names() -> None:
    states = []
    for L, m in zip((mg, torch), twins(table_and_linear), strict=True):
        optimizer = L.optim.AdamW(m.named_parameters(), lr=0.1)
        assert [a is b for a, b in zip(optimizer.param_groups[0]["params"], m.parameters(), strict=True)] == [True] * 3
        train(L, m, optimizer, 2)
        states.append(optimizer.state_dict()["param_groups"])
        groups = [{"params": [("a", ones(L))], "weight_decay": 0.0}, {"params": iter([("b", ones(L))]), "lr": 3.0}]
        states.append(L.optim.SGD(groups).state_dict()["param_groups"])
    assert states[:2] == states[2:] and states[0][0]["param_names"] == ["0.weight", "1.weight", "1.bias"]


def test_nanogpts_groups() -> None:
    pair = twins(tied_model)
    for L, m in zip((mg, torch), pair, strict=True):
        named_ = {n: p for n, p in m.named_parameters() if p.requires_grad}
        groups = [
            {"params": [p for p in named_.values() if p.dim() >= 2], "weight_decay": 0.1},
            {"params": [p for p in named_.values() if p.dim() < 2] or [ones(L)], "weight_decay": 0.0},
        ]
        assert "fused" in inspect.signature(L.optim.AdamW).parameters
        optimizer = L.optim.AdamW(groups, lr=6e-2, betas=(0.9, 0.95), fused=True)
        for step in range(10):
            for group in optimizer.param_groups:
                group["lr"] = 0.06 / (1 + step)
            train(L, m, optimizer, 1, start=step)
    same_parameters(*pair)


def test_hooks_before_and_after_a_step() -> None:
    for L in (mg, torch):
        seen: list[Any] = []
        optimizer = L.optim.SGD([ones(L)], lr=0.1)
        before = optimizer.register_step_pre_hook(lambda o, args, kwargs, s=seen: s.append(("before", o, args, kwargs)))
        after = optimizer.register_step_post_hook(lambda o, args, kwargs, s=seen: s.append(("after", o, args, kwargs)))
        optimizer.step()
        before.remove()
        optimizer.step(closure=None)
        after.remove()
        optimizer.step()
        assert seen == [
            ("before", optimizer, (optimizer,), {}),
            ("after", optimizer, (optimizer,), {}),
            ("after", optimizer, (optimizer,), {"closure": None}),
        ]


def test_an_optimizer_of_ones_own_as_for_torch() -> None:
    pair = twins(dense_model)
    for L, m in zip((mg, torch), pair, strict=True):

        class Lion(L.optim.Optimizer):  # type: ignore[name-defined, misc]
            def __init__(self, params: Any, lr: float, library: Any = L) -> None:
                super().__init__(params, {"lr": lr})
                self.library = library

            def step(self, closure: Any = None) -> None:
                with self.library.no_grad():
                    for group in self.param_groups:
                        for p in group["params"]:
                            state = self.state[p]
                            if len(state) == 0:
                                state["m"] = self.library.zeros_like(p)
                            state["m"].mul_(0.9).add_(p.grad * 0.1)
                            p.sub_(group["lr"] * state["m"].sign())

        optimizer = Lion(m.parameters(), 0.01)
        train(L, m, optimizer, 5)
        other = Lion(m.parameters(), 0.5)
        other.load_state_dict(optimizer.state_dict())
        train(L, m, other, 5, start=5)
    same_parameters(*pair)


@pytest.mark.parametrize(("change", "fact"), [
    (lambda s: s["state"].update({7: {}}), "7"),
    (lambda s: s.pop("param_groups"), "param_groups"),
])  # fmt: skip
def test_a_state_that_does_not_belong_changes_nothing(change, fact):
    w = mg.ones(2, requires_grad=True)
    opt = mg.optim.Adam([w])
    w.sum().backward()
    opt.step()
    before = opt.state_dict()
    broken = {**before, "state": dict(before["state"])}
    change(broken)
    with pytest.raises((ValueError, KeyError), match=fact):
        opt.load_state_dict(broken)
    assert opt.state_dict()["state"][0]["exp_avg"] is before["state"][0]["exp_avg"]
