"""How the learning rate changes from step to step (torch.optim.lr_scheduler).

A scheduler sets group["lr"] of its optimizer when it is made, and anew at every step(), which comes after the optimizer's.
Most compute the next rate from the present one, as torch's do, so that several can work on one optimizer; rounding
included, the numbers are torch's. η is the learning rate, η₀ that of the beginning ("initial_lr"), t the step.
"""

from __future__ import annotations

import math
import types
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..tensor import Tensor
from .optimizers import Optimizer

Group = dict[str, Any]


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _set_lr(group: Group, lr: Any) -> None:
    """A learning rate that is a tensor stays that tensor."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(float(lr))
    else:
        group["lr"] = lr


class LRScheduler:
    """Base of the schedulers. A subclass writes next(group, η₀), or get_lr() as for torch.

    Args:
        optimizer: whose learning rates it sets.
        last_epoch: steps done before, to go on with an optimizer that has been loaded; -1 for none.

    Attributes:
        base_lrs: η₀ of every group.
        last_epoch: t.

    Raises:
        TypeError: not an optimizer.
        KeyError: last_epoch is given, but the optimizer's groups have no "initial_lr".
    """

    _is_initial = False  # is this the step of the constructor?

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming a scheduler with "
                    f"last_epoch={last_epoch}: load the optimizer's state first, or leave last_epoch out"
                )
        self.base_lrs = [_copied(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        if optimizer._opt_called is None:
            optimizer._opt_called = False
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def next(self, group: Group, base_lr: Any) -> Any:
        """The learning rate of a group at step self.last_epoch."""
        raise NotImplementedError(f"{type(self).__name__} needs a get_lr()")

    def get_lr(self) -> list[Any]:
        """The next learning rate of every group; for the present ones see get_last_lr()."""
        return [self.next(group, base) for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True)]

    def get_last_lr(self) -> list[Any]:
        """The learning rate of every group, as last set here."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Set the next learning rates; epoch goes to that step instead, where there is a formula for it."""
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: call them the other way round, or the "
                "first value of the schedule is skipped",
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(
                "The epoch parameter in `scheduler.step()` is deprecated: call it without, once a step", stacklevel=2
            )
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed_form = None if epoch is None else getattr(self, "at", None)
        lrs = self.get_lr() if closed_form is None else [closed_form(base) for base in self.base_lrs]
        self._set(lrs)

    def _set(self, lrs: Iterable[Any]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            _set_lr(group, lr)
        self._last_lr = [_copied(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All it remembers but the optimizer, which is saved by itself."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state_dict()."""
        vars(self).update(state_dict)


_LRScheduler = LRScheduler  # its name before torch 2.0


class _Lambdas(LRScheduler):
    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1):
        groups = len(optimizer.param_groups)
        if not isinstance(lr_lambda, list | tuple):
            lr_lambda = [lr_lambda] * groups
        if len(lr_lambda) != groups:
            raise ValueError(f"Expected {groups} lr_lambdas, but got {len(lr_lambda)}: one for every param group")
        if not all(map(callable, lr_lambda)):
            raise TypeError(f"lr_lambda should be a function, but got {lr_lambda}")
        self.lr_lambdas: list[Callable[[int], float]] = list(lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        return [
            self.scaled(group, base, f(self.last_epoch))
            for group, base, f in zip(self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True)
        ]

    def scaled(self, group: Group, base_lr: Any, factor: float) -> Any:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """As LRScheduler's; of the functions only the attributes of callable objects, for code is not saved."""
        attributes = [None if isinstance(f, types.FunctionType) else dict(vars(f)) for f in self.lr_lambdas]
        return super().state_dict() | {"lr_lambdas": attributes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state_dict()."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "lr_lambdas"})
        for f, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            vars(f).update(attributes or {})


class LambdaLR(_Lambdas):
    """η = η₀ f(t), with one f for all groups, or a list of them."""

    def scaled(self, group: Group, base_lr: Any, factor: float) -> Any:
        return base_lr * factor


class MultiplicativeLR(_Lambdas):
    """η ← η f(t), with one f for all groups, or a list of them. f(0) is not used."""

    def get_lr(self) -> list[Any]:
        return [group["lr"] for group in self.optimizer.param_groups] if self._is_initial else super().get_lr()

    def scaled(self, group: Group, base_lr: Any, factor: float) -> Any:
        return group["lr"] * factor


class StepLR(LRScheduler):
    """η ← γ η every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def next(self, group: Group, base_lr: Any) -> Any:
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return group["lr"]
        return group["lr"] * self.gamma

    def at(self, base_lr: Any) -> Any:
        return base_lr * self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """η ← γ η at every milestone."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def next(self, group: Group, base_lr: Any) -> Any:
        if self.last_epoch not in self.milestones:
            return group["lr"]
        return group["lr"] * self.gamma ** self.milestones[self.last_epoch]

    def at(self, base_lr: Any) -> Any:
        return base_lr * self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)


class ConstantLR(LRScheduler):
    """η = factor η₀ for total_iters steps, then η₀."""

    def __init__(self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1):
        if not 0 <= factor <= 1:
            raise ValueError(f"Constant multiplicative factor expected to be between 0 and 1, got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def next(self, group: Group, base_lr: Any) -> Any:
        if self.last_epoch == 0:
            return group["lr"] * self.factor
        return group["lr"] * (1.0 / self.factor) if self.last_epoch == self.total_iters else group["lr"]

    def at(self, base_lr: Any) -> Any:
        return base_lr * (self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor))


class LinearLR(LRScheduler):
    """η = η₀ (start + (end - start) t / total_iters), from t = total_iters on η₀ end: warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        if not 0 < start_factor <= 1:
            raise ValueError(f"start_factor expected to be greater than 0 and at most 1, got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"end_factor expected to be between 0 and 1, got {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def next(self, group: Group, base_lr: Any) -> Any:
        if self.last_epoch == 0:
            return group["lr"] * self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return group["lr"]
        rise = self.end_factor - self.start_factor
        return group["lr"] * (1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise))

    def at(self, base_lr: Any) -> Any:
        rise = self.end_factor - self.start_factor
        return base_lr * (self.start_factor + rise * min(self.total_iters, self.last_epoch) / self.total_iters)


class ExponentialLR(LRScheduler):
    """η ← γ η at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def next(self, group: Group, base_lr: Any) -> Any:
        return group["lr"] if self._is_initial else group["lr"] * self.gamma

    def at(self, base_lr: Any) -> Any:
        return base_lr * self.gamma**self.last_epoch


class PolynomialLR(LRScheduler):
    """η = η₀ (1 - t / total_iters)^power, from t = total_iters on 0."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def next(self, group: Group, base_lr: Any) -> Any:
        t, end = self.last_epoch, self.total_iters
        if self._is_initial or t > end:
            return group["lr"]
        return group["lr"] * ((1.0 - t / end) / (1.0 - (t - 1) / end)) ** self.power

    def at(self, base_lr: Any) -> Any:
        return base_lr * (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power


class CosineAnnealingLR(LRScheduler):
    """η = η_min + (η₀ - η_min) (1 + cos(π t / T_max)) / 2 (Loshchilov and Hutter, 2017, without restarts)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def next(self, group: Group, base_lr: Any) -> Any:
        t, T, low = self.last_epoch, self.T_max, self.eta_min
        if self._is_initial:
            return group["lr"]
        if self._step_count == 1 and t > 0:
            return low + (base_lr - low) * (1 + math.cos(t * math.pi / T)) / 2
        if (t - 1 - T) % (2 * T) == 0:  # the present rate is η_min, of which no multiple leads up again
            return group["lr"] + (base_lr - low) * (1 - math.cos(math.pi / T)) / 2
        return (1 + math.cos(math.pi * t / T)) / (1 + math.cos(math.pi * (t - 1) / T)) * (group["lr"] - low) + low

    def at(self, base_lr: Any) -> Any:
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """CosineAnnealingLR that starts again after T_0 steps, then after T_0 T_mult, and so on (Loshchilov and Hutter, 2017)."""

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, float | int):
            raise ValueError(f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}")
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def next(self, group: Group, base_lr: Any) -> Any:
        return self.eta_min + (base_lr - self.eta_min) * (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2

    def step(self, epoch: float | None = None) -> None:
        """Set the next learning rates; epoch, which may be a fraction, goes there."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        elif epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr, then down to max_lr / (div_factor final_div_factor) (Smith and Topin, 2017).

    Args:
        max_lr: the highest rate, or one for every group.
        total_steps: how many steps in all; or epochs and steps_per_epoch, whose product it is.
        pct_start: which part of them goes up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move momentum, or β₁, from max_momentum down to base_momentum, and up again.
        three_phase: down to the initial rate in as many steps as up, and to the lowest in the rest.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        for name, n in (("total_steps", total_steps), ("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
            if n is not None and (total_steps is None or name == "total_steps") and (not isinstance(n, int) or n <= 0):
                raise ValueError(f"Expected positive integer {name}, but got {n}")
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self.total_steps = total_steps if total_steps is not None else (epochs or 0) * (steps_per_epoch or 0)
        up = float(pct_start * self.total_steps) - 1
        self._schedule_phases: list[Group] = [
            _phase(up, "initial_lr", "max_lr", "max_momentum", "base_momentum"),
            _phase(self.total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"),
        ]
        if three_phase:
            down = float(2 * pct_start * self.total_steps) - 2
            self._schedule_phases[1:] = [
                _phase(down, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                _phase(self.total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
            ]
        self._anneal_func_type = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.use_beta1 = "betas" in optimizer.defaults
        if cycle_momentum and not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
        highest, low, high = (
            _for_each_group(name, optimizer, value)
            for name, value in (("max_lr", max_lr), ("base_momentum", base_momentum), ("max_momentum", max_momentum))
        )
        for i, group in enumerate(optimizer.param_groups if last_epoch == -1 else ()):
            group["initial_lr"] = highest[i] / div_factor
            group["max_lr"] = highest[i]
            group["min_lr"] = group["initial_lr"] / final_div_factor
            if cycle_momentum:
                self._set_momentum(group, high[i])
                group["max_momentum"], group["base_momentum"] = high[i], low[i]
        super().__init__(optimizer, last_epoch)

    def _set_momentum(self, group: Group, value: float) -> None:
        group.update({"betas": (value, *group["betas"][1:])} if self.use_beta1 else {"momentum": value})

    def _between(self, start: Any, end: Any, part: float) -> Any:
        if self._anneal_func_type == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)

    def next(self, group: Group, base_lr: Any) -> Any:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. The specified number of total steps is {self.total_steps}"
            )
        start = 0.0
        for phase in self._schedule_phases[:-1]:
            if self.last_epoch <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        part = (self.last_epoch - start) / (phase["end_step"] - start)
        if self.cycle_momentum:
            self._set_momentum(group, self._between(group[phase["start_momentum"]], group[phase["end_momentum"]], part))
        return self._between(group[phase["start_lr"]], group[phase["end_lr"]], part)


def _phase(end_step: float, start_lr: str, end_lr: str, start_momentum: str, end_momentum: str) -> Group:
    return {
        "end_step": end_step,
        "start_lr": start_lr,
        "end_lr": end_lr,
        "start_momentum": start_momentum,
        "end_momentum": end_momentum,
    }


def _for_each_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [_copied(value) for _ in range(groups)]
    if len(value) != groups:
        raise ValueError(f"{name} must have one value for each of the {groups} param groups, got {len(value)}")
    return list(value)


class ReduceLROnPlateau(LRScheduler):
    """η ← factor η when a measure has not become better for more than `patience` steps.

    Args:
        mode: better is less ("min") or more ("max").
        factor: below 1.
        patience: steps without improvement that are let pass.
        threshold: what counts as better: by this part of the best ("rel") or this much ("abs").
        cooldown: steps after a reduction in which nothing is counted.
        min_lr: the lowest rate, or one for every group.
        eps: reductions of less than this are left out.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0,
        eps: float = 1e-8,
    ):
        if factor >= 1.0:
            raise ValueError(f"factor should be < 1.0, got {factor}")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown! It is 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown! It is 'rel' or 'abs'")
        self.optimizer = optimizer
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.min_lrs = _for_each_group("min_lr", optimizer, min_lr)
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = 0
        self._last_lr = [_copied(group["lr"]) for group in optimizer.param_groups]

    @property
    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Look at the measure, and lower the learning rates where it is time."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        measure = float(metrics)
        if self._is_better(measure):
            self.best, self.num_bad_epochs = measure, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, lowest in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lr = float(group["lr"])
                if lr - max(lr * self.factor, lowest) > self.eps:
                    _set_lr(group, max(lr * self.factor, lowest))
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [_copied(group["lr"]) for group in self.optimizer.param_groups]

    def _is_better(self, measure: float) -> bool:
        if self.mode == "min":
            return measure < (
                self.best * (1.0 - self.threshold) if self.threshold_mode == "rel" else self.best - self.threshold
            )
        return measure > (
            self.best * (self.threshold + 1.0) if self.threshold_mode == "rel" else self.best + self.threshold
        )


class _Several(LRScheduler):
    def _take(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        name = type(self).__name__
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{name} at index {i} should have `optimizer` as its attribute: it is no scheduler")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau`, whose step() takes a measure (index {i})"
                )
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer; that of index {i} differs"
                )
        self.optimizer = optimizer
        self._schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """As LRScheduler's, with the schedulers' inside."""
        return super().state_dict() | {"_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state_dict()."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class ChainedScheduler(_Several):
    """All of the schedulers step at every step: their factors multiply."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None):
        if len(schedulers) < 1:
            raise ValueError("ChainedScheduler expects at least one scheduler to be chained, but got no scheduler.")
        self._take(optimizer or schedulers[0].optimizer, schedulers)
        self._last_lr = [_copied(group["lr"]) for group in self.optimizer.param_groups]

    def step(self) -> None:  # type: ignore[override]
        """Step all of them."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = [_copied(group["lr"]) for group in self.optimizer.param_groups]


class SequentialLR(_Several):
    """One scheduler after another: the next takes over, from its own step 0, at every milestone."""

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ):
        if len(schedulers) < 1:
            raise ValueError("SequentialLR expects at least one scheduler, but got no scheduler.")
        self._take(optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"{len(schedulers)} schedulers need {len(schedulers) - 1} milestones, got {len(milestones)}"
            )
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            _set_lr(group, group["initial_lr"])
        _undo(self)
        first = self._schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Step the scheduler whose turn it is."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo(scheduler: LRScheduler) -> None:
    """Take back the step that a scheduler did when it was made."""
    if isinstance(scheduler, _Several):
        for inner in scheduler._schedulers:
            _undo(inner)
    else:
        scheduler.last_epoch -= 1


__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
