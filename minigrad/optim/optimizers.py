"""Optimizers: how gradients move parameters. torch's names, defaults and formulas.

A table's gradient may be rows (see sparse.py). Plain SGD and SparseAdam touch those rows only. The others move every row at
every step, as torch's do with its dense gradient, and go through a large parameter in blocks, so that no second array of
its size is ever made.

foreach, fused and capturable, by which torch's optimizers are told how to go about it, are accepted and change nothing.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from .. import cpu
from ..backend import Array, add_to_rows, namespace, quiet
from ..core import Handle
from ..grad_mode import enable_grad, no_grad
from ..kernels import elementwise
from ..ops.creation import zeros_like
from ..sparse import RowSparse
from ..tensor import Tensor, wrap


def with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """An optimizer's step() that calls hooks before and after, and lets schedulers know that it was called."""

    @wraps(step)
    def hooked(*args: Any, **kwargs: Any) -> Any:
        self: Optimizer = args[0]
        for hook in [*self._before.values()]:
            args, kwargs = hook(self, args, kwargs) or (args, kwargs)
        result = step(*args, **kwargs)
        for hook in [*self._after.values()]:
            hook(self, args, kwargs)
        if self._opt_called is not None:
            self._opt_called = True
        return result

    return hooked


class Optimizer:
    """Base of the optimizers (torch.optim.Optimizer). A subclass writes update(), or step() as for torch.

    Attributes:
        param_groups: dicts with "params" and the options that hold for them.
        state: what an optimizer remembers of each parameter.
        defaults: the options of groups that do not say otherwise.
    """

    _opt_called: bool | None = None  # since there is a scheduler, which wants to come second

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in vars(cls):
            cls.step = with_hooks(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]):
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got a Tensor: write [tensor]"
            )
        if hasattr(params, "parameters"):
            raise TypeError(
                f"params must be an iterable of Tensors, got the module {type(params).__name__}: write its .parameters()"
            )
        if defaults.get("foreach") and defaults.get("fused"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        if defaults.get("differentiable"):
            raise NotImplementedError("differentiable=True: an optimizer's step is not recorded, so it has no gradient")
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self._before: dict[Handle, Callable[..., Any]] = {}
        self._after: dict[Handle, Callable[..., Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            if not isinstance(group, dict):
                raise TypeError(
                    f"param group must be a dict, got {type(group).__name__}: use dicts only, or tensors only"
                )
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Train more parameters: a dict with "params" and the options that differ from the defaults.

        Parameters may come with names, as from named_parameters(); the names are kept under "param_names".

        Raises:
            TypeError: something that is not a tensor.
            ValueError: a tensor that is not a leaf, or is in a group already; names for some parameters only.
        """
        if not isinstance(param_group, dict):
            raise TypeError(
                f"param_group must be a dict, got {type(param_group).__name__}: write {{'params': [...], 'lr': ...}}"
            )
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but a set has no order: use a list"
            )
        params = [params] if isinstance(params, Tensor) else list(params)
        names = [p[0] for p in params if isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str)]
        if names:
            if len(names) < len(params) or any("param_names" not in g for g in self.param_groups):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            param_group = {**param_group, "param_names": names}
            params = [p for _, p in params]
        elif any("param_names" in g for g in self.param_groups):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        taken = {p for group in self.param_groups for p in group["params"]}
        for p in params:
            if isinstance(p, list | tuple | dict):
                raise TypeError(
                    f"param group must be a dict, got a {type(p).__name__}: write [{{'params': [...], 'lr': ...}}]"
                )
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
            if p in taken:
                raise ValueError("some parameters appear in more than one parameter group")
        group = {**self.defaults, **param_group, "params": list(dict.fromkeys(params))}
        self.check(group)
        self.param_groups.append(group)

    def check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for options that make no sense."""
        if isinstance(group.get("lr"), Tensor) and group["lr"].numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for name in ("lr", "lr_decay", "eps", "weight_decay", "momentum", "alpha", "initial_accumulator_value"):
            if name in group and not group[name] >= 0.0:
                raise ValueError(f"Invalid {'learning rate' if name == 'lr' else name}: {group[name]}")
        for i, beta in enumerate(group.get("betas", ())):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p._grad is not None:
                    p._grad.detach_().zero_()

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call hook(optimizer, args, kwargs) before every step; args[0] is the optimizer. It may return other args, kwargs."""
        return Handle(self._before, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call hook(optimizer, args, kwargs) after every step."""
        return Handle(self._after, hook)

    @with_hooks
    @quiet
    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; others stay. `closure`, if given, computes the loss and gradients first.

        Returns:
            What closure returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p._grad is not None:
                    p.writable("optimizer step")
                    state = self.state.get(p, {})
                    self.update(p, p._grad, state, group)
                    p.written()
                    if state:
                        self.state[p] = state
        return loss

    def update(self, p: Tensor, g: Tensor | RowSparse, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Move one parameter by its gradient."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Options and state, with parameters replaced by their numbers, as torch lays it out."""
        number = {p: i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = [
            {name: value for name, value in group.items() if name != "params"}
            | {"params": [number[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        return {"state": {number[p]: dict(s) for p, s in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over options and state (copied). Raises ValueError if the groups are of other sizes; then nothing has changed."""
        if not {"state", "param_groups"} <= set(state_dict):
            raise KeyError(
                f"an optimizer's state has 'state' and 'param_groups', this has {sorted(map(str, state_dict))}"
            )
        groups = state_dict["param_groups"]
        if len(groups) != len(self.param_groups):
            raise ValueError(
                f"loaded state dict has a different number of parameter groups: {len(groups)}, not {len(self.param_groups)}"
            )
        if any(len(a["params"]) != len(b["params"]) for a, b in zip(groups, self.param_groups, strict=True)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        params = dict(
            zip(
                (i for a in groups for i in a["params"]),
                (p for b in self.param_groups for p in b["params"]),
                strict=True,
            )
        )
        if unknown := state_dict["state"].keys() - params:
            raise ValueError(f"loaded state dict has state of parameters that no group has: {sorted(unknown)}")
        for i, s in state_dict["state"].items():
            for name, value in s.items():
                if isinstance(value, Tensor) and value.ndim and value.shape != params[i].shape:
                    raise ValueError(
                        f"state {name!r} of parameter {i} has shape {tuple(value.shape)}, the parameter {tuple(params[i].shape)}"
                    )
        self.state = defaultdict(dict)
        for i, s in state_dict["state"].items():
            self.state[params[i]] = {name: _taken_over(name, value, params[i]) for name, value in s.items()}
        for mine, theirs in zip(self.param_groups, groups, strict=True):
            mine.update({name: copy.deepcopy(value) for name, value in theirs.items() if name != "params"})

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [*([""] if i else []), f"Parameter Group {i}"]
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def _taken_over(name: str, value: Any, p: Tensor) -> Any:
    """A copy of what was remembered of p, on its device and, but for the step, in its type."""
    if not isinstance(value, Tensor) or name == "step" or not p.is_floating_point():
        return copy.deepcopy(value)
    return value.detach().to(device=p.device, dtype=p.dtype, copy=True)


def counted(state: dict[str, Any]) -> float:
    """One more step; how many that makes. torch keeps the number in a float32 tensor."""
    steps = float(state["step"]) + 1
    state["step"] = wrap(np.array(steps, dtype=np.float32))
    return steps


def over_blocks(g: Tensor | RowSparse, move: Callable[[Any, Array], None]) -> None:
    """move(which rows, the gradient there) for a gradient piece by piece. Rows that a RowSparse lacks are zeros."""
    shape, on_cpu = g.shape, namespace(g.array if isinstance(g, Tensor) else g.rows) is np
    if isinstance(g, Tensor) and on_cpu and g.ndim and g.numel() > cpu.BLOCK:
        array = g.array
        cpu.in_pieces(lambda start, stop: move(slice(start, stop), array[start:stop]), shape[0], g.numel() // shape[0])
    elif isinstance(g, Tensor) or not on_cpu:
        move(..., g.to_dense().array)
    else:
        rows = g.coalesce()

        def piece(start: int, stop: int) -> None:
            low, high = np.searchsorted(rows.index, (start, stop))
            some = np.zeros((stop - start, *shape[1:]), dtype=rows.rows.dtype)
            some[rows.index[low:high] - start] = rows.rows[low:high]
            move(slice(start, stop), some)

        cpu.in_pieces(piece, shape[0], int(np.prod(shape[1:])))


class SGD(Optimizer):
    """p ← p - lr g, with momentum b ← μ b + (1 - dampening) g in place of g (torch.optim.SGD).

    Without momentum and weight decay, only those rows of an embedding table are touched that the batch used.

    Args:
        lr: learning rate.
        momentum: μ.
        dampening: not with nesterov.
        weight_decay: adds this times p to g.
        nesterov: g + μ b in place of b.
        maximize: climb instead.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        defaults |= {"nesterov": nesterov, "maximize": maximize}
        super().__init__(params, defaults | {"foreach": foreach, "differentiable": differentiable, "fused": fused})

    def update(self, p: Tensor, g: Tensor | RowSparse, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, momentum, decay = float(group["lr"]), group["momentum"], group["weight_decay"]
        if isinstance(g, RowSparse) and g.visible and decay:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        sign = -1 if group["maximize"] else 1
        if isinstance(g, RowSparse) and not momentum and not decay:
            rows = g.summed()
            add_to_rows(p.array, rows.index, rows.rows, -sign * lr)
            return
        first = state.get("momentum_buffer") is None
        if momentum and first:
            state["momentum_buffer"] = zeros_like(p)

        def move(where: Any, gb: Array) -> None:
            w = p.array[where]
            if sign < 0:
                gb = -gb
            if decay:
                gb = gb + decay * w
            if momentum:
                b = state["momentum_buffer"].array[where]
                if first:
                    b[...] = gb
                else:
                    b *= momentum
                    b += (1 - group["dampening"]) * gb
                gb = gb + momentum * b if group["nesterov"] else b
            w -= lr * gb

        over_blocks(g, move)


class Adam(Optimizer):
    """m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², p ← p - lr m̂ / (√v̂ + ε), m̂ and v̂ corrected for starting at 0.

    Kingma and Ba, 2015 (torch.optim.Adam).

    Args:
        lr: learning rate.
        betas: β₁ and β₂.
        eps: ε.
        weight_decay: adds this times p to g.
        amsgrad: divide by the largest v so far.
        maximize: climb instead.
        decoupled_weight_decay: as AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ):
        defaults = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        defaults |= {"maximize": maximize, "foreach": foreach, "capturable": capturable}
        defaults |= {"differentiable": differentiable, "fused": fused}
        super().__init__(params, defaults | {"decoupled_weight_decay": decoupled_weight_decay})

    def update(self, p: Tensor, g: Tensor | RowSparse, state: dict[str, Any], group: dict[str, Any]) -> None:
        if isinstance(g, RowSparse) and g.visible:
            raise RuntimeError("Adam does not support sparse gradients, please consider SparseAdam instead")
        if not state:
            state.update(step=0, exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = zeros_like(p)
        steps = counted(state)
        lr, (beta1, beta2), eps, decay = float(group["lr"]), group["betas"], group["eps"], group["weight_decay"]
        shrink = 1 - lr * decay if group["decoupled_weight_decay"] else 1.0
        step_size = lr / (1 - beta1**steps)
        correction = (1 - beta2**steps) ** 0.5

        def move(where: Any, gb: Array) -> None:
            w, m, v = p.array[where], state["exp_avg"].array[where], state["exp_avg_sq"].array[where]
            if group["maximize"]:
                gb = -gb
            if decay and not group["decoupled_weight_decay"]:
                gb = gb + decay * w
            top = state["max_exp_avg_sq"].array[where] if group["amsgrad"] else v
            _adam(gb, shrink, 1 - beta1, beta2, 1 - beta2, correction, eps, step_size, w, m, v, top)

        over_blocks(g, move)


@elementwise(
    """
    w *= shrink;
    m += rate1 * (g - m);
    v = v * beta2 + rate2 * (g * g);
    if (!(top >= v)) top = v;
    w -= m / (sqrt(top) / correction + eps) * step_size;
""",
    into="w m v top",
)
def _adam(
    g: Array,
    shrink: float,
    rate1: float,
    beta2: float,
    rate2: float,
    correction: float,
    eps: float,
    step_size: float,
    w: Array,
    m: Array,
    v: Array,
    top: Array,
) -> None:
    """One step of Adam. top: the largest v so far, or v itself."""
    xp = namespace(w)
    t = xp.empty_like(w)  # for all that is computed on the way, so that it stays in the cache
    if shrink != 1:
        w *= shrink
    xp.subtract(g, m, out=t)
    t *= rate1
    m += t
    v *= beta2
    xp.multiply(g, g, out=t)
    t *= rate2
    v += t
    if top is not v:
        xp.maximum(top, v, out=top)
    xp.sqrt(top, out=t)
    t /= correction
    t += eps
    xp.divide(m, t, out=t)
    t *= step_size
    w -= t


class AdamW(Adam):
    """Adam, with weight decay taken from p itself: p ← p - lr λ p (Loshchilov and Hutter, 2019; torch.optim.AdamW)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        switches: dict[str, Any] = {"foreach": foreach, "maximize": maximize, "capturable": capturable}
        switches |= {"differentiable": differentiable, "fused": fused, "decoupled_weight_decay": True}
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **switches)


class SparseAdam(Optimizer):
    """Adam on the rows that have a gradient; the moments of other rows wait (torch.optim.SparseAdam).

    Takes the gradients of Embedding(sparse=True).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ):
        if not lr > 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "maximize": maximize})

    def update(self, p: Tensor, g: Tensor | RowSparse, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not isinstance(g, RowSparse) or not g.visible:
            raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
        if not state:
            state.update(step=0, exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))
        state["step"] += 1
        rows, sign = g.summed(), -1 if group["maximize"] else 1
        beta1, beta2 = group["betas"]
        m, v = state["exp_avg"].array, state["exp_avg_sq"].array
        step_size = float(group["lr"]) * (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])

        def piece(start: int, stop: int) -> None:
            some, gr = rows.index[start:stop], sign * rows.rows[start:stop]
            old_m, old_v = m[some], v[some]
            new_m = m[some] = old_m + (1 - beta1) * (gr - old_m)
            new_v = v[some] = old_v + (1 - beta2) * (gr * gr - old_v)
            p.array[some] -= step_size * (new_m / (namespace(new_v).sqrt(new_v) + group["eps"]))

        if not isinstance(m, np.ndarray):
            piece(0, len(rows.index))
        else:
            cpu.in_pieces(piece, len(rows.index), rows.rows.size // (len(rows.index) or 1))


class RMSprop(Optimizer):
    """v ← α v + (1 - α) g², p ← p - lr g / (√v + ε) (Tieleman and Hinton, 2012; torch.optim.RMSprop).

    Args:
        lr: learning rate.
        alpha: α.
        eps: ε.
        weight_decay: adds this times p to g.
        momentum: μ of b ← μ b + g / (√v + ε), which then moves p instead.
        centered: subtract from v the square of the mean gradient, ḡ ← α ḡ + (1 - α) g.
        maximize: climb instead.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ):
        defaults: dict[str, Any] = {"lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered}
        defaults |= {"weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize}
        super().__init__(params, defaults | {"differentiable": differentiable})

    def update(self, p: Tensor, g: Tensor | RowSparse, state: dict[str, Any], group: dict[str, Any]) -> None:
        if isinstance(g, RowSparse) and g.visible:
            raise RuntimeError("RMSprop does not support sparse gradients")
        momentum, alpha, decay = group["momentum"], group["alpha"], group["weight_decay"]
        if not state:
            state.update(step=0, square_avg=zeros_like(p))
            if momentum > 0:
                state["momentum_buffer"] = zeros_like(p)
            if group["centered"]:
                state["grad_avg"] = zeros_like(p)
        counted(state)
        xp = namespace(p.array)

        def move(where: Any, gb: Array) -> None:
            w, v = p.array[where], state["square_avg"].array[where]
            if group["maximize"]:
                gb = -gb
            if decay:
                gb = gb + decay * w
            v *= alpha
            v += (1 - alpha) * (gb * gb)
            if group["centered"]:
                mean = state["grad_avg"].array[where]
                mean += (1 - alpha) * (gb - mean)
                v = v - mean * mean
            step = gb / (xp.sqrt(v) + group["eps"])
            if momentum > 0:
                b = state["momentum_buffer"].array[where]
                b *= momentum
                b += step
                step = b
            w -= float(group["lr"]) * step

        over_blocks(g, move)


class Adagrad(Optimizer):
    """s ← s + g², p ← p - lr / (1 + (t - 1) lr_decay) g / (√s + ε) (Duchi et al., 2011; torch.optim.Adagrad).

    A row without a gradient stays where it is, so only those of an embedding table are touched that the batch used.

    Args:
        lr: learning rate.
        lr_decay: lowers it with the number of steps t.
        weight_decay: adds this times p to g.
        initial_accumulator_value: s at the start.
        eps: ε.
        maximize: climb instead.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        defaults: dict[str, Any] = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay}
        defaults |= {"initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize}
        super().__init__(params, defaults | {"differentiable": differentiable, "fused": fused})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As Optimizer's; also starts the sums of squares."""
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            total = zeros_like(p)
            total.array += self.param_groups[-1]["initial_accumulator_value"]
            self.state[p] = {"step": wrap(np.zeros((), np.float32)), "sum": total}

    def update(self, p: Tensor, g: Tensor | RowSparse, state: dict[str, Any], group: dict[str, Any]) -> None:
        decay, xp = group["weight_decay"], namespace(p.array)
        if isinstance(g, RowSparse) and g.visible and decay:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        lr = float(group["lr"]) / (1 + (counted(state) - 1) * group["lr_decay"])

        def move(where: Any, gb: Array) -> None:
            if group["maximize"]:
                gb = -gb
            if decay:
                gb = gb + decay * p.array[where]
            total = state["sum"].array[where] + gb * gb
            state["sum"].array[where] = total
            p.array[where] -= lr * (gb / (xp.sqrt(total) + group["eps"]))

        if isinstance(g, RowSparse) and not decay and group["eps"] > 0:
            rows = g.summed()
            move(rows.index, rows.rows)
        else:
            over_blocks(g, move)


__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "SparseAdam"]
