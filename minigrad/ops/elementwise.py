"""Element by element: arithmetic, and functions of one number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..backend import Array, namespace, quiet
from ..core import Op
from ..dtypes import Number, result_type
from ..tensor import Tensor, wrap
from .convert import Gradients, cast, floating
from .operands import Operand, apply_binary, operands
from .selection import eq, ge, gt, logical_and, where

# ------------------------------------------------------------------------------------------------------------ arithmetic


class Add(Op):
    """z = x + y"""

    reads = ((), ())

    def forward(self, x: Array, y: Array) -> Array:
        return x + y

    def backward(self, g: Tensor) -> Gradients:
        return g, g


class Sub(Op):
    """z = x - y"""

    reads = ((), ())

    def forward(self, x: Array, y: Array) -> Array:
        return x - y

    def backward(self, g: Tensor) -> Gradients:
        return g, -g if self.needs(1) else None


class Mul(Op):
    """z = x y; gx = g y, gy = g x"""

    reads = ((1,), (0,))
    fresh = True

    def forward(self, x: Array, y: Array) -> Array:
        return x * y

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        return g * y if self.needs(0) else None, g * x if self.needs(1) else None


class Div(Op):
    """z = x / y; gx = g / y, gy = -g x / y²"""

    reads = ((1,), (0, 1))
    fresh = True

    @quiet
    def forward(self, x: Array, y: Array) -> Array:
        return x / y

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        return g / y if self.needs(0) else None, -g * ((x / y) / y) if self.needs(1) else None


class Pow(Op):
    """z = xʸ; gx = g y xʸ⁻¹, gy = g z log x. Where the formula is 0 · ∞, the gradient is 0."""

    fresh = True

    @quiet
    def forward(self, x: Array, y: Array) -> Array:
        return x**y

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        gx = gy = None
        if self.needs(0):
            gx = g * (y * pow(x, y - 1))
            gx = where(eq(y, 0), 0.0, gx) if isinstance(y, Tensor) else gx if y != 0 else g * 0.0
        if self.needs(1):
            steady = (
                logical_and(eq(x, 0), ge(y, 0)) if isinstance(x, Tensor) else wrap(np.asarray(x == 0) & (y.array >= 0))
            )
            log_x = log(x) if isinstance(x, Tensor) else float(quiet(np.log)(x))
            gy = where(steady, 0.0, g * (pow(x, y) * log_x))
        return gx, gy


class Neg(Op):
    """y = -x"""

    reads = ()
    fresh = True

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, g: Tensor) -> Gradients:
        return (-g,)


def add(x: Operand, y: Operand, *, alpha: Number = 1) -> Tensor:
    """x + alpha y, broadcast (torch.add)."""
    return apply_binary(Add, "add", x, y if alpha == 1 else mul(y, alpha))


def sub(x: Operand, y: Operand, *, alpha: Number = 1) -> Tensor:
    """x - alpha y, broadcast (torch.sub)."""
    return apply_binary(Sub, "sub", x, y if alpha == 1 else mul(y, alpha))


def mul(x: Operand, y: Operand) -> Tensor:
    """x y, element by element, broadcast (torch.mul)."""
    return apply_binary(Mul, "mul", x, y)


def div(x: Operand, y: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """x / y, broadcast (torch.div). Integers divide to floats, unless rounding_mode is "floor" or "trunc"."""
    if rounding_mode is None:
        return apply_binary(Div, "div", x, y, as_float=True)
    if rounding_mode == "floor":
        return floor_divide(x, y)
    if rounding_mode != "trunc":
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
        )
    dtype = result_type(x, y)
    return cast(trunc(apply_binary(Div, "div", x, y, as_float=True)), dtype)


def floor_divide(x: Operand, y: Operand) -> Tensor:
    """The integer below x / y (torch.floor_divide). Its gradient is zero almost everywhere, and not recorded."""
    a, b = (z.array if isinstance(z, Tensor) else z for z in operands("floor_divide", x, y))
    if namespace(a, b).asarray(b == 0).any() and result_type(x, y).kind != "f":
        raise RuntimeError("ZeroDivisionError: floor_divide of integers by zero")
    return wrap(quiet(np.floor_divide)(a, b))


def remainder(x: Operand, y: Operand) -> Tensor:
    """x - y ⌊x / y⌋, with the sign of y (torch.remainder)."""
    a, b = operands("remainder", x, y)
    arrays = [z.array if isinstance(z, Tensor) else z for z in (a, b)]
    if _any_requires_grad(a, b):
        return sub(a, mul(b, floor_divide(a, b)))
    return wrap(quiet(np.remainder)(arrays[0], arrays[1]))


def _any_requires_grad(*xs: Operand) -> bool:
    return any(isinstance(x, Tensor) and x.requires_grad for x in xs)


def neg(x: Tensor) -> Tensor:
    """-x (torch.neg)."""
    return Neg.apply(x)


def pow(x: Operand, exponent: Operand) -> Tensor:
    """x to the power of exponent, broadcast (torch.pow)."""
    x, y = operands("pow", x, exponent)
    if result_type(x, y).kind in "iu" and namespace(y).any((y.array if isinstance(y, Tensor) else np.asarray(y)) < 0):
        raise RuntimeError("Integers to negative integer powers are not allowed: make the base a float")
    return Pow.apply(x, y)


def square(x: Tensor) -> Tensor:
    """x² (torch.square)."""
    return pow(x, 2)


# ------------------------------------------------------------------------------------------------ functions of one number


class Exp(Op):
    """y = eˣ; gx = g y"""

    reads = ()
    keeps_output = True
    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return namespace(x).exp(x)

    def backward(self, g: Tensor) -> Gradients:
        return (g * self.output,)


class Log(Op):
    """y = ln x; gx = g / x"""

    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return namespace(x).log(x)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (g / x,)


class Sqrt(Op):
    """y = √x; gx = g / 2y"""

    reads = ()
    keeps_output = True
    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return namespace(x).sqrt(x)

    def backward(self, g: Tensor) -> Gradients:
        return (g / (2 * self.output),)


class Tanh(Op):
    """y = tanh x; gx = g (1 - y²)"""

    reads = ()
    keeps_output = True
    fresh = True

    def forward(self, x: Array) -> Array:
        return namespace(x).tanh(x)

    def backward(self, g: Tensor) -> Gradients:
        y = self.output
        return (g * (1 - y * y),)


class Sigmoid(Op):
    """y = 1 / (1 + e⁻ˣ); gx = g y (1 - y)"""

    reads = ()
    keeps_output = True
    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return 1 / (1 + namespace(x).exp(-x))

    def backward(self, g: Tensor) -> Gradients:
        y = self.output
        return (g * ((1 - y) * y),)


class Sin(Op):
    """y = sin x; gx = g cos x"""

    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return namespace(x).sin(x)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (g * cos(x),)


class Cos(Op):
    """y = cos x; gx = -g sin x"""

    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return namespace(x).cos(x)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (g * -sin(x),)


class Abs(Op):
    """y = |x|; gx = g sign x, which is 0 at 0"""

    fresh = True

    def forward(self, x: Array) -> Array:
        return abs_(x)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (g * sign(x),)


class Relu(Op):
    """y = max(x, 0); gx = g where y > 0"""

    reads = ()
    keeps_output = True
    fresh = True

    def forward(self, x: Array) -> Array:
        return namespace(x).maximum(x, 0)

    def backward(self, g: Tensor) -> Gradients:
        return (where(gt(self.output, 0), g, 0.0),)


abs_ = abs  # the builtin, under the function that takes its name


def exp(x: Tensor) -> Tensor:
    """eˣ (torch.exp)."""
    return Exp.apply(floating(x))


def log(x: Tensor) -> Tensor:
    """The natural logarithm (torch.log): -inf at 0, nan below."""
    return Log.apply(floating(x))


def sqrt(x: Tensor) -> Tensor:
    """√x (torch.sqrt): nan below 0."""
    return Sqrt.apply(floating(x))


def rsqrt(x: Tensor) -> Tensor:
    """1 / √x (torch.rsqrt)."""
    return 1 / sqrt(x)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent (torch.tanh)."""
    return Tanh.apply(floating(x))


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ) (torch.sigmoid)."""
    return Sigmoid.apply(floating(x))


def sin(x: Tensor) -> Tensor:
    """The sine of x radians (torch.sin)."""
    return Sin.apply(floating(x))


def cos(x: Tensor) -> Tensor:
    """The cosine of x radians (torch.cos)."""
    return Cos.apply(floating(x))


def abs(x: Tensor) -> Tensor:
    """|x| (torch.abs)."""
    return Abs.apply(x)


def relu(x: Tensor) -> Tensor:
    """max(x, 0) (torch.relu)."""
    return Relu.apply(x)


def _step(name: str) -> Callable[[Tensor], Tensor]:
    """A function whose gradient is zero wherever it has one."""

    def f(x: Tensor) -> Tensor:
        y = (
            wrap(getattr(namespace(x.array), name)(x.array))
            if x.array.dtype.kind == "f" or name == "sign"
            else x.clone()
        )
        return y + x * 0.0 if x.requires_grad else y

    f.__name__ = f.__qualname__ = {"rint": "round"}.get(name, name)
    f.__doc__ = f"{f.__name__} of every element (torch.{f.__name__}); the gradient is zero."
    return f


sign = _step("sign")
floor = _step("floor")
ceil = _step("ceil")
trunc = _step("trunc")
round = _step("rint")
