"""Schedulers: torch's learning rates, to the last bit, over many steps and however they are combined, saved or misused."""

from __future__ import annotations

import copy
import io
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import check_same_error
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg

Build = Callable[[Any, Any], Any]  # library, optimizer -> scheduler
STEPS = 50


def sgd(L: Any, lrs: list[float] | None = None, **options: Any) -> Any:
    groups = [{"params": [L.ones(1, requires_grad=True)], "lr": lr} for lr in lrs or [0.1, 0.0313]]
    return L.optim.SGD(groups, lr=0.5, **options)


def made(name: str, **options: Any) -> Build:
    return lambda L, optimizer: getattr(L.optim.lr_scheduler, name)(optimizer, **options)


def rates(L: Any, build: Build, optimizer: Any, steps: int = STEPS) -> list[Any]:
    """All that can be seen of a schedule: the rates, momenta and counters before and after every step."""
    scheduler, seen = build(L, optimizer), []
    for i in range(steps + 1):
        groups = [
            {k: float(v) for k, v in g.items() if k in ("lr", "initial_lr", "momentum")} for g in optimizer.param_groups
        ]
        seen.append(
            (groups, [g.get("betas") for g in optimizer.param_groups], [float(lr) for lr in scheduler.get_last_lr()])
        )
        if i < steps:
            optimizer.step()
            scheduler.step()
    return [*seen, getattr(scheduler, "last_epoch", None)]


def agree(build: Build, optimizer: Callable[[Any], Any] = sgd, steps: int = STEPS) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rates(mg, build, optimizer(mg), steps) == rates(torch, build, optimizer(torch), steps)


def decay(t: int) -> float:
    return 0.95**t


def wave(t: int) -> float:
    return 1 + math.sin(t) / 3


floats, steps = st.floats(0.05, 1.0), st.integers(1, 30)
SIMPLE = {
    "LambdaLR": st.fixed_dictionaries({"lr_lambda": st.sampled_from([decay, wave, [decay, wave], (wave, wave)])}),
    "MultiplicativeLR": st.fixed_dictionaries({"lr_lambda": st.sampled_from([decay, wave, [decay, wave]])}),
    "StepLR": st.fixed_dictionaries({"step_size": steps}, optional={"gamma": floats}),
    "MultiStepLR": st.fixed_dictionaries({"milestones": st.lists(steps, max_size=4)}, optional={"gamma": floats}),
    "ConstantLR": st.fixed_dictionaries({}, optional={"factor": floats, "total_iters": steps}),
    "LinearLR": st.fixed_dictionaries(
        {}, optional={"start_factor": floats, "end_factor": st.floats(0, 1), "total_iters": steps}
    ),
    "ExponentialLR": st.fixed_dictionaries({"gamma": floats}),
    "PolynomialLR": st.fixed_dictionaries({}, optional={"total_iters": steps, "power": st.floats(0.5, 3)}),
    "CosineAnnealingLR": st.fixed_dictionaries({"T_max": steps}, optional={"eta_min": st.floats(0, 0.2)}),
    "CosineAnnealingWarmRestarts": st.fixed_dictionaries(
        {"T_0": steps}, optional={"T_mult": st.integers(1, 3), "eta_min": st.floats(0, 0.2)}
    ),
}
simple = st.sampled_from(sorted(SIMPLE)).flatmap(lambda name: SIMPLE[name].map(lambda options: (name, options)))
one_cycle = st.fixed_dictionaries(
    {"max_lr": st.floats(0.01, 1) | st.tuples(floats, floats).map(list)},
    optional={
        "pct_start": st.floats(0.1, 0.9),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "cycle_momentum": st.booleans(),
        "base_momentum": st.floats(0, 0.8),
        "max_momentum": st.floats(0.8, 0.99),
        "div_factor": st.floats(1, 50),
        "final_div_factor": st.floats(1, 1e5),
        "three_phase": st.booleans(),
    },
)


@given(simple, st.lists(st.floats(1e-6, 10), min_size=2, max_size=2))
def test_every_rate_is_torchs(case: tuple[str, dict[str, Any]], lrs: list[float]) -> None:
    agree(made(case[0], **case[1]), lambda L: sgd(L, lrs))


@pytest.mark.parametrize("name", SIMPLE)
def test_defaults(name: str) -> None:
    needed: dict[str, Any] = {
        "LambdaLR": {"lr_lambda": decay},
        "MultiplicativeLR": {"lr_lambda": wave},
        "StepLR": {"step_size": 7},
        "MultiStepLR": {"milestones": [3, 3, 20]},
        "ExponentialLR": {"gamma": 0.97},
        "CosineAnnealingLR": {"T_max": 12},
        "CosineAnnealingWarmRestarts": {"T_0": 5},
    }
    agree(made(name, **needed.get(name, {})))


@given(one_cycle, st.sampled_from(["SGD", "Adam"]))
def test_one_cycle(options: dict[str, Any], name: str) -> None:
    length = {"epochs": 5, "steps_per_epoch": 10} if "div_factor" in options else {"total_steps": 50}

    def optimizer(L: Any) -> Any:
        return (
            sgd(L, momentum=0.9) if name == "SGD" else L.optim.Adam([{"params": [L.ones(1)]}, {"params": [L.ones(1)]}])
        )

    agree(made("OneCycleLR", **length, **options), optimizer)


@given(st.lists(simple, min_size=1, max_size=3), st.lists(steps, min_size=2, max_size=2, unique=True))
def test_one_after_another(cases: list[tuple[str, dict[str, Any]]], milestones: list[int]) -> None:
    def build(L: Any, optimizer: Any) -> Any:
        parts = [made(name, **options)(L, optimizer) for name, options in cases]
        return L.optim.lr_scheduler.SequentialLR(optimizer, parts, sorted(milestones)[: len(parts) - 1])

    agree(build)


@given(st.lists(simple, min_size=1, max_size=3))
def test_all_at_once(cases: list[tuple[str, dict[str, Any]]]) -> None:
    def build(L: Any, optimizer: Any) -> Any:
        return L.optim.lr_scheduler.ChainedScheduler([made(name, **options)(L, optimizer) for name, options in cases])

    agree(build)


def test_warm_up_and_cosine_nested() -> None:
    def build(L: Any, optimizer: Any) -> Any:
        s = L.optim.lr_scheduler
        first = s.SequentialLR(
            optimizer, [s.LinearLR(optimizer, 0.01, total_iters=5), s.ConstantLR(optimizer, 1.0)], [5]
        )
        return s.SequentialLR(optimizer, [first, s.CosineAnnealingLR(optimizer, T_max=30, eta_min=1e-5)], [10])

    assert warned(lambda L: build(L, sgd(L)), mg) == warned(lambda L: build(L, sgd(L)), torch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert rates(mg, build, sgd(mg)) == rates(torch, build, sgd(torch))


@given(
    st.lists(st.floats(-2, 2) | st.just(math.nan), min_size=30, max_size=60),
    st.fixed_dictionaries(
        {"mode": st.sampled_from(["min", "max"]), "patience": st.integers(0, 4), "cooldown": st.integers(0, 4)},
        optional={
            "factor": st.floats(0.1, 0.9),
            "threshold": st.floats(0, 0.5),
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "min_lr": st.floats(0, 0.05) | st.tuples(floats, floats).map(list),
            "eps": st.floats(0, 0.01),
        },
    ),
)
def test_plateaus(measures: list[float], options: dict[str, Any]) -> None:
    seen = []
    for L in (mg, torch):
        optimizer = sgd(L)
        scheduler = L.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        seen.append([])
        for measure in measures:
            scheduler.step(L.tensor(measure, dtype=L.float64))
            state = {k: v for k, v in scheduler.state_dict().items() if k not in ("mode_worse", "default_min_lr")}
            seen[-1].append(
                repr([sorted(state.items()), scheduler.in_cooldown, [g["lr"] for g in optimizer.param_groups]])
            )
    assert seen[0] == seen[1]


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@given(simple, st.lists(st.integers(0, 40), max_size=6))
def test_going_to_an_epoch(case: tuple[str, dict[str, Any]], epochs: list[int]) -> None:
    seen = []
    for L in (mg, torch):
        optimizer = sgd(L)
        scheduler = made(case[0], **case[1])(L, optimizer)
        optimizer.step()
        for epoch in epochs:
            scheduler.step(epoch)
        seen.append(([float(g["lr"]) for g in optimizer.param_groups], scheduler.last_epoch))
    assert seen[0] == seen[1]


@given(simple)
def test_a_rate_that_is_a_tensor_stays_that_tensor(case: tuple[str, dict[str, Any]]) -> None:
    seen = []
    for L in (mg, torch):
        lrs = [L.tensor(0.1), L.tensor(0.3)]
        optimizer = sgd(L, lrs)  # type: ignore[arg-type]
        seen.append(rates(L, made(case[0], **case[1]), optimizer, 20))
        assert all(g["lr"] is lr for g, lr in zip(optimizer.param_groups, lrs, strict=True))
    for (ours, *_), (theirs, *_) in zip(seen[0][:-1], seen[1][:-1], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a == pytest.approx(b, rel=1e-6)


@given(simple, st.integers(0, 20))
def test_a_state_goes_through_a_file_and_to_torch_and_back(case: tuple[str, dict[str, Any]], when: int) -> None:
    build = made(case[0], **case[1])
    expected = rates(torch, build, sgd(torch), when + 15)[when:-1]
    optimizer = sgd(mg)
    scheduler = build(mg, optimizer)
    for _ in range(when):
        optimizer.step()
        scheduler.step()
    stream = io.BytesIO()
    mg.save([optimizer.state_dict(), scheduler.state_dict()], stream)
    stream.seek(0)
    saved = mg.load(stream)
    for L in (mg, torch):
        other = sgd(L)
        resumed = build(L, other)
        other.load_state_dict(copy.deepcopy(saved[0]))
        resumed.load_state_dict(copy.deepcopy(saved[1]))
        for groups, *_ in expected:
            assert [g["lr"] for g in other.param_groups] == [g["lr"] for g in groups]
            assert resumed.get_last_lr() == [g["lr"] for g in groups]
            other.step()
            resumed.step()


@pytest.mark.parametrize("name", ["SequentialLR", "ChainedScheduler"])
def test_the_state_of_several(name: str) -> None:
    def build(L: Any, optimizer: Any) -> Any:
        s = L.optim.lr_scheduler
        parts = [s.LinearLR(optimizer, total_iters=4), s.CosineAnnealingLR(optimizer, T_max=20)]
        return s.SequentialLR(optimizer, parts, [4]) if name == "SequentialLR" else s.ChainedScheduler(parts)

    for origin in (mg, torch):
        optimizer = sgd(origin)
        scheduler = build(origin, optimizer)
        for _ in range(6):
            optimizer.step()
            scheduler.step()
        for L in (mg, torch):
            other = sgd(L)
            resumed = build(L, other)
            other.load_state_dict(optimizer.state_dict())
            resumed.load_state_dict(copy.deepcopy(scheduler.state_dict()))
            other.step()
            resumed.step()
            assert other.param_groups[0]["lr"] == rates(torch, build, sgd(torch), 7)[7][0][0]["lr"]


def test_resuming_by_last_epoch() -> None:
    for name, options in (
        ("CosineAnnealingLR", {"T_max": 20}),
        ("StepLR", {"step_size": 3}),
        ("LambdaLR", {"lr_lambda": decay}),
    ):
        seen = []
        for L in (mg, torch):
            optimizer = sgd(L)
            scheduler = made(name, **options)(L, optimizer)
            for _ in range(5):
                optimizer.step()
                scheduler.step()
            resumed = made(name, last_epoch=5, **options)(L, optimizer)
            seen.append([(resumed.step(), [g["lr"] for g in optimizer.param_groups])[1] for _ in range(5)])  # type: ignore[func-returns-value]
        assert seen[0] == seen[1]


def test_a_schedule_of_ones_own_as_for_torch() -> None:
    def build(L: Any, optimizer: Any) -> Any:
        class WarmUp(L.optim.lr_scheduler._LRScheduler):  # type: ignore[name-defined, misc]
            def __init__(self, optimizer: Any, warm_up: int) -> None:
                self.warm_up = warm_up
                super().__init__(optimizer)

            def get_lr(self) -> list[float]:
                return [
                    lr * min(1, (self._step_count + 1) / self.warm_up) * 0.99**self.last_epoch for lr in self.base_lrs
                ]

        return WarmUp(optimizer, 10)

    agree(build)


class Callable_:
    def __init__(self) -> None:
        self.rate = 0.5

    def __call__(self, t: int) -> float:
        return self.rate**t


def test_a_callable_object_is_saved_by_its_attributes() -> None:
    for L in (mg, torch):
        f = Callable_()
        scheduler = L.optim.lr_scheduler.LambdaLR(sgd(L), [f, decay])
        assert scheduler.state_dict()["lr_lambdas"] == [{"rate": 0.5}, None]
        f.rate = 0.25
        other = L.optim.lr_scheduler.LambdaLR(sgd(L), [Callable_(), decay])
        other.load_state_dict(scheduler.state_dict())
        assert other.lr_lambdas[0].rate == 0.25 and other.lr_lambdas[1] is decay


# ---------------------------------------------------------------------------------------------------- warnings and errors


def warned(f: Callable[[Any], Any], L: Any) -> list[tuple[type, str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        f(L)
    return [(w.category, str(w.message)[:60]) for w in caught]


def wrong_order(L: Any) -> None:
    optimizer = sgd(L)
    scheduler = L.optim.lr_scheduler.StepLR(optimizer, 2)
    for _ in range(3):
        scheduler.step()
        optimizer.step()


def stepped_before_there_was_a_scheduler(L: Any) -> None:
    optimizer = sgd(L)
    optimizer.step()
    L.optim.lr_scheduler.StepLR(optimizer, 2).step()


def right_order(L: Any) -> None:
    class Own(L.optim.Optimizer):  # type: ignore[name-defined, misc]
        def __init__(self, params: Any) -> None:
            super().__init__(params, {"lr": 0.1})

        def step(self, closure: Any = None) -> None:
            assert self.state[self.param_groups[0]["params"][0]] == {}

    for optimizer in (sgd(L), Own([L.ones(1)])):
        scheduler = L.optim.lr_scheduler.StepLR(optimizer, 2)
        for _ in range(3):
            optimizer.step()
            scheduler.step()
        L.optim.lr_scheduler.StepLR(optimizer, 2).step()


@pytest.mark.parametrize("f", [wrong_order, stepped_before_there_was_a_scheduler, right_order])
def test_the_warning_about_the_order_comes_when_torchs_does(f: Callable[[Any], Any]) -> None:
    assert warned(f, mg) == warned(f, torch)
    assert len(warned(f, mg)) == (f is not right_order)


def scheduled(name: str, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
    return lambda L: getattr(L.optim.lr_scheduler, name)(sgd(L), *arguments, **options)


def stepped(L: Any) -> None:
    scheduler = L.optim.lr_scheduler.OneCycleLR(sgd(L), 0.1, total_steps=3, cycle_momentum=False)
    for _ in range(5):
        scheduler.step()


def of_another_optimizer(L: Any) -> None:
    s = L.optim.lr_scheduler
    s.SequentialLR(sgd(L), [s.StepLR(sgd(L), 1)], [])


MISTAKES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a model": (lambda L: L.optim.lr_scheduler.StepLR(L.nn.Linear(1, 1), 3), "Linear is not an Optimizer"),
    "a model for one cycle": (lambda L: L.optim.lr_scheduler.OneCycleLR(L.ones(1), 3), "is not an Optimizer"),
    "a model for a plateau": (lambda L: L.optim.lr_scheduler.ReduceLROnPlateau(L.ones(1)), "is not an Optimizer"),
    "resuming from nothing": (scheduled("StepLR", 3, last_epoch=4), "initial_lr"),
    "no rule": (scheduled("LRScheduler"), ""),
    "lambdas": (scheduled("LambdaLR", [decay]), "2 lr_lambdas, but got 1"),
    "factors": (scheduled("MultiplicativeLR", [decay]), "2 lr_lambdas, but got 1"),
    "factors that are none": (scheduled("MultiplicativeLR", 0.5), "lr_lambda should be a function"),
    "constant": (scheduled("ConstantLR", 1.5), "between 0 and 1"),
    "linear start": (scheduled("LinearLR", 0.0), "start_factor"),
    "linear end": (scheduled("LinearLR", 0.5, 1.5), "end_factor"),
    "T_0": (scheduled("CosineAnnealingWarmRestarts", 0), "T_0"),
    "T_0 float": (scheduled("CosineAnnealingWarmRestarts", 2.5), "T_0"),
    "T_mult": (scheduled("CosineAnnealingWarmRestarts", 2, 0), "T_mult"),
    "eta_min": (scheduled("CosineAnnealingWarmRestarts", 2, 1, "x"), "eta_min"),
    "one cycle without length": (scheduled("OneCycleLR", 0.1), "total_steps"),
    "one cycle of epochs only": (scheduled("OneCycleLR", 0.1, epochs=3), "steps_per_epoch"),
    "one cycle of 0": (scheduled("OneCycleLR", 0.1, 0), "total_steps"),
    "one cycle of 0 epochs": (scheduled("OneCycleLR", 0.1, epochs=0, steps_per_epoch=3), "epochs"),
    "one cycle part": (scheduled("OneCycleLR", 0.1, 5, pct_start=2.0), "pct_start"),
    "one cycle part int": (scheduled("OneCycleLR", 0.1, 5, pct_start=1), "pct_start"),
    "one cycle strategy": (scheduled("OneCycleLR", 0.1, 5, anneal_strategy="x"), "anneal_strategy"),
    "one cycle rates": (scheduled("OneCycleLR", [0.1], 5), "max_lr"),
    "one cycle too far": (stepped, "Tried to step 4 times"),
    "one cycle without momentum": (
        lambda L: L.optim.lr_scheduler.OneCycleLR(L.optim.Adagrad([L.ones(1)]), 0.1, 5), "momentum",
    ),
    "plateau factor": (scheduled("ReduceLROnPlateau", factor=1.0), "< 1.0"),
    "plateau mode": (scheduled("ReduceLROnPlateau", "x"), "mode x is unknown"),
    "plateau threshold": (scheduled("ReduceLROnPlateau", threshold_mode="x"), "threshold mode x is unknown"),
    "plateau rates": (scheduled("ReduceLROnPlateau", min_lr=[1, 2, 3]), "got 3"),
    "nothing in sequence": (scheduled("SequentialLR", [], []), "at least one"),
    "nothing chained": (lambda L: L.optim.lr_scheduler.ChainedScheduler([]), "at least one"),
    "a number chained": (lambda L: L.optim.lr_scheduler.ChainedScheduler([3], sgd(L)), "optimizer"),
    "of another optimizer": (of_another_optimizer, "same optimizer"),
    "milestones": (lambda L: L.optim.lr_scheduler.SequentialLR(o := sgd(L), [L.optim.lr_scheduler.StepLR(o, 2)], [3]), "milestones"),
    "plateau in sequence": (
        lambda L: L.optim.lr_scheduler.SequentialLR(o := sgd(L), [L.optim.lr_scheduler.ReduceLROnPlateau(o)], []), "ReduceLROnPlateau",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Detected call")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_torchs_error(name: str) -> None:
    check_same_error(*MISTAKES[name])
