"""torch.autograd's names: grad, backward, no_grad and friends, and Function. The engine itself is core.py."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import accumulate
from typing import Any

from . import backend
from .backend import Array
from .core import Op, grad
from .grad_mode import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    mode,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
)
from .ops.creation import zeros_like
from .ops.shape import can_broadcast, cat, stack, sum_to_size
from .tensor import Tensor, wrap


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradients of several tensors to `.grad` of the leaves (torch.autograd.backward)."""
    from .core import backward_all

    ys = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    gs = [grad_tensors] * len(ys) if grad_tensors is None or isinstance(grad_tensors, Tensor) else list(grad_tensors)
    if len(gs) != len(ys):
        raise RuntimeError(f"backward: got {len(ys)} tensors and {len(gs)} gradients")
    backward_all(ys, gs, retain_graph, create_graph)


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """The same memory as a leaf: what tensors were wrapped in before torch 0.4 (torch.autograd.Variable)."""
    return data.detach().requires_grad_(requires_grad)


# ------------------------------------------------------------------------------------------------- ops that people write


class Function:
    """An op of one's own, with the gradient that one gives it (torch.autograd.Function).

    A subclass writes two static methods, and is called by `apply`:
        forward(ctx, *args): the result, a tensor or a tuple. It sees tensors, and nothing that it does is recorded.
        backward(ctx, *gs): for each argument of forward its gradient, or None; gs are those of the results. Being made of
            ops, it can be differentiated again.
    Or it writes forward(*args), and setup_context(ctx, inputs, output), which saves what backward needs.

        class Square(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            def backward(ctx, g):
                (x,) = ctx.saved_tensors
                return 2 * x * g

        y = Square.apply(x)

    Raises (from apply and backward):
        NotImplementedError: forward or backward is not written.
        RuntimeError: backward gave no tensor, too few, or one of a shape that does not sum up to its argument's.
    """

    setup_context: Callable[..., None] | None = None

    @staticmethod
    def forward(*args: Any) -> Any:
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: FunctionCtx, *gs: Any) -> Any:
        raise NotImplementedError(
            "You must implement the backward method of your autograd.Function to differentiate it"
        )

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """What forward makes of the arguments, and in the graph one op for it."""
        call = Call()
        ctx = call.ctx = FunctionCtx()
        call.function, call.label, ctx._call = cls, f"{cls.__name__}Backward", weakref.ref(call)
        ctx.needs_input_grad = tuple([isinstance(x, Tensor) and x.requires_grad for x in args])
        with no_grad():
            if cls.setup_context is None:
                y = cls.forward(ctx, *args)
            else:
                y = cls.forward(*args)
                cls.setup_context(ctx, args, y)
        if not mode.recording or not any(ctx.needs_input_grad):
            return y
        ys = call.record(args, list(y) if isinstance(y, tuple) else [y])
        return tuple(ys) if isinstance(y, tuple) else ys[0]


class FunctionCtx:
    """The `ctx` of one call of a Function: what forward leaves there, backward finds. Any attribute may be set."""

    needs_input_grad: tuple[bool, ...]
    """For each argument of forward, whether it requires grad."""
    _call: weakref.ref[Call]
    _saved: tuple[Tensor | None, ...] = ()
    _constant: tuple[Tensor, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep arguments or results for backward, which finds them in `saved_tensors`."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What forward saved.

        Raises:
            RuntimeError: the graph was freed, or one of them was changed in place since.
        """
        call = self._call()
        return self._saved if call is None or not call.shapes else call.kept()

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """These results have no gradient; backward gets zeros for them."""
        self._constant = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Not supported: raises NotImplementedError."""
        raise NotImplementedError(
            "mark_dirty: forward must not write into its arguments here; let it return a new tensor"
        )

    def set_materialize_grads(self, value: bool) -> None:
        """Accepted. The gradient of a result that was not used is always zeros, never None."""


class Call(Op):
    """One call of a Function. Since an op has one result, several are laid end to end, in one vector."""

    reads = ()
    function: type[Function]
    ctx: FunctionCtx
    shapes: Sequence[Any] = ()
    """Of the results, once they are recorded; None for what is no tensor."""
    place: dict[int, slice]
    """Where in the vector the differentiable ones lie."""

    def record(self, args: tuple[Any, ...], ys: list[Any]) -> list[Any]:
        """The results of forward, made by this op."""
        for x in args:
            if isinstance(x, Tensor):
                x.check_history(self.name)
        constant, saved = set(map(id, self.ctx._constant)), self.ctx._saved
        which = [
            i for i, y in enumerate(ys) if isinstance(y, Tensor) and y.array.dtype.kind == "f" and id(y) not in constant
        ]
        self.shapes = [y.array.shape if isinstance(y, Tensor) else None for y in ys]
        ends = list(accumulate([ys[i].numel() for i in which], initial=0))
        self.place = {i: slice(a, b) for i, a, b in zip(which, ends, ends[1:], strict=False)}
        number = {id(ys[i]): i for i in which if not any(ys[i] is x for x in args)}
        self.save(*[number.get(id(x), x) for x in saved])
        self.ctx._saved = ()
        # A result is kept as an array: a tensor that knows this op, on this op, would be a cycle.
        self.__dict__["keeps_output"] = any(id(x) in number for x in saved)
        with no_grad():
            for i in which:
                shared = [x for x in args if isinstance(x, Tensor) and backend.shares_memory(x.array, ys[i].array)]
                if shared or ys[i]._requires_grad:
                    ys[i] = ys[i].clone()  # a change of one in place must not be one of the other
            if not which:
                return ys
            whole = ys[which[0]] if len(which) == 1 else cat([ys[i].reshape(-1) for i in which])
        self._record(args, whole)
        for i in which if len(which) > 1 else ():
            ys[i].op, ys[i]._requires_grad = self.part(whole, i).to(ys[i].dtype).op, True
            ys[i].op.label = self.label
        return ys

    def part(self, whole: Tensor, i: int) -> Tensor:
        """Result i, or its gradient."""
        return whole if len(self.place) == 1 else whole[self.place[i]].reshape(self.shapes[i])

    def kept(self) -> tuple[Any, ...]:
        """What forward saved; a result as this op made it, so that it can be differentiated again."""
        return tuple([self.part(self.output, x) if isinstance(x, int) else x for x in self.saved])

    def backward(self, g: Tensor) -> list[Tensor | None]:
        zeros = backend.namespace(g.array).zeros
        gs = [
            None if shape is None else self.part(g, i) if i in self.place else wrap(zeros(shape, dtype=g.array.dtype))
            for i, shape in enumerate(self.shapes)
        ]
        gxs = self.function.backward(self.ctx, *gs)
        gxs, n = gxs if isinstance(gxs, tuple | list) else (gxs,), len(self.parents)
        if len(gxs) < n or any(gx is not None for gx in gxs[n:]):
            raise RuntimeError(
                f"function {self.label} returned an incorrect number of gradients (expected {n}, got {len(gxs)}): "
                f"one for each argument of forward, None where there is none"
            )
        return [
            None if x is None or gx is None else self.fitting(gx, x, i)
            for i, (gx, x) in enumerate(zip(gxs, self.parents, strict=False))
        ]

    def fitting(self, gx: Any, x: Op | Tensor, i: int) -> Tensor:
        """gx, summed to the shape of its argument if that was broadcast, as torch does for a Function, and only for it."""
        if not isinstance(gx, Tensor):
            raise RuntimeError(f"{self.label}: expected a Tensor or None at index {i}, got {type(gx).__name__}")
        to = tuple(x.shape)
        if not can_broadcast(to, gx.array.shape):
            raise RuntimeError(
                f"Function {self.label} returned an invalid gradient at index {i} - got {list(gx.shape)} but expected shape "
                f"compatible with {list(to)}"
            )
        return sum_to_size(gx, to)


class Once(Op):
    """y = x, with no way back"""

    reads = ()

    def forward(self, x: Array) -> Array:
        return x

    def backward(self, g: Tensor) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of Function.backward: what it returns cannot be differentiated again (torch's of that name)."""

    @wraps(backward)
    def once(ctx: FunctionCtx, *gs: Any) -> Any:
        with no_grad():
            gxs = backward(ctx, *gs)
        if not mode.recording:
            return gxs
        gxs = gxs if isinstance(gxs, tuple) else (gxs,)
        return tuple([gx if gx is None else Once.apply(gx.detach().requires_grad_()) for gx in gxs])

    return once


# ------------------------------------------------------------------------------------------------------- whole matrices


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of every number that func(*inputs) gives by every input, row by row (torch.autograd.functional.jacobian).

    Args:
        inputs: a tensor, or a tuple of them.
        create_graph: record the computation, so that the result can be differentiated.
        vectorize, strategy: accepted; the rows come one after another, by backward.

    Returns:
        A tensor of shape y.shape + x.shape; of several inputs or outputs a tuple of them, outputs first.

    Raises:
        RuntimeError: with strict, an output does not depend on an input.
    """
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    with enable_grad():
        xs = [x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in given]
        y = func(*xs)
        blocks = []
        for part in y if isinstance(y, tuple) else (y,):
            rows = [_row(number, xs, create_graph, strict) for number in part.reshape(-1).unbind()]
            columns = list(zip(*rows, strict=True)) or [()] * len(xs)
            blocks.append(tuple([stack(c).reshape(*part.shape, *x.shape) for c, x in zip(columns, xs, strict=True)]))
    single = [block if isinstance(inputs, tuple) else block[0] for block in blocks]
    return tuple(single) if isinstance(y, tuple) else single[0]


def _row(y: Tensor, xs: list[Tensor], create_graph: bool, strict: bool) -> list[Tensor]:
    gxs: list[Any] = [None] * len(xs)
    if y.requires_grad:
        gxs = list(grad(y, xs, retain_graph=True, create_graph=create_graph, allow_unused=True))
    if strict and any(gx is None for gx in gxs):
        raise RuntimeError(
            "jacobian: an output of the function is independent of an input, which strict=True does not allow"
        )
    return [zeros_like(x) if gx is None else gx for gx, x in zip(gxs, xs, strict=True)]


def hessian(
    func: Callable[..., Tensor], inputs: Any, create_graph: bool = False, strict: bool = False, **how: Any
) -> Any:
    """The second derivatives of func, which gives one number (torch.autograd.functional.hessian).

    Returns:
        A tensor of shape x.shape + x.shape; of several inputs a tuple of tuples.

    Raises:
        RuntimeError: func gives more than one number.
    """

    def slope(*xs: Tensor) -> Any:
        return jacobian(one_number, xs if isinstance(inputs, tuple) else xs[0], create_graph=True, strict=strict)

    def one_number(*xs: Tensor) -> Tensor:
        y = func(*xs)
        if y.numel() != 1:
            raise RuntimeError(
                f"The Tensor returned by the function given to hessian should contain a single element, got {tuple(y.shape)}"
            )
        return y.reshape(())

    return jacobian(slope, inputs, create_graph, strict)


# ------------------------------------------------------------------------------------------------------------------- checks


def gradcheck(func: Callable[..., Any], inputs: Any, *, raise_exception: bool = True, **options: Any) -> bool:
    """Is func's backward its derivative? minigrad.testing.gradcheck, which chooses its steps and tolerances itself.

    Args:
        raise_exception: raise AssertionError, which says where it is not, instead of returning False.
        options: torch's, such as eps and atol; not looked at.
    """
    from . import testing  # a tool, which the engine does not import

    try:
        return testing.gradcheck(func, inputs, order=1)
    except AssertionError:
        if raise_exception:
            raise
        return False


__all__ = [
    "Function", "Variable", "backward", "detect_anomaly", "enable_grad", "grad", "gradcheck", "hessian", "inference_mode",
    "jacobian", "no_grad", "once_differentiable", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip
