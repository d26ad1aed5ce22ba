"""Element by element: arithmetic, and functions of one number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import backend
from ..backend import Array, namespace, quiet
from ..core import Op
from ..dtypes import Number, result_type
from ..tensor import Tensor, wrap
from .convert import Gradients, cast, floating
from .operands import Operand, apply_binary, number_or_tensor, operands
from .selection import MaskedFill, eq, ge, logical_and, where
from .shape import named

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
    arithmetic = True

    def forward(self, x: Array, y: Array) -> Array:
        return x - y

    def backward(self, g: Tensor) -> Gradients:
        return g, -g if self.needs(1) else None


@quiet
def fma(x: Array, y: Array | Number, z: Array) -> Array:
    """x y + z; in float32, as by a fused multiply-add.

    In float64 the product is exact, and the sum, rounded there and once more to float32, equals the sum rounded once, except
    where the first rounding makes a tie: some 2⁻²⁹ of all sums.
    """
    if z.dtype != np.float32:
        return x * y + z
    wide = x.astype(np.float64)
    wide *= float(np.float32(y)) if isinstance(y, int | float) else y
    wide += z
    return wide.astype(np.float32)


class AddScaled(Op):
    """z = x + αy, as by a fused multiply-add; gx = g, gy = αg"""

    reads = ((), ())
    arithmetic = True
    alpha: Number

    def forward(self, x: Array, y: Array) -> Array:
        return fma(y, self.alpha, x)

    def backward(self, g: Tensor) -> Gradients:
        return g, g * self.alpha if self.needs(1) else None


class Mul(Op):
    """z = x y; gx = g y, gy = g x"""

    reads = ((1,), (0,))
    fresh = True
    arithmetic = True

    def forward(self, x: Array, y: Array) -> Array:
        return x * y

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        if x is y and self.parents[0] is self.parents[1]:  # a square, where both gradients are the same
            return (g * x) * 2, None
        return g * y if self.needs(0) else None, g * x if self.needs(1) else None


class Div(Op):
    """z = x / y; gx = g / y, gy = -g x / y²"""

    reads = ((1,), (0, 1))
    fresh = True
    arithmetic = True

    def forward(self, x: Array, y: Array) -> Array:
        return x / y

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        return g / y if self.needs(0) else None, -g * ((x / y) / y) if self.needs(1) else None


class Reciprocal(Op):
    """y = 1 / x; gx = -g y²"""

    reads = ()
    keeps_output = True
    fresh = True
    arithmetic = True

    def forward(self, x: Array) -> Array:
        return 1 / x

    def backward(self, g: Tensor) -> Gradients:
        y = self.output
        return (-g * (y * y),)


class Pow(Op):
    """z = xʸ; gx = g y xʸ⁻¹, gy = g z log x. Where the formula is 0 · ∞, the gradient is 0."""

    fresh = True

    def forward(self, x: Array, y: Array) -> Array:
        if isinstance(y, int | float) and x.dtype != np.float16:  # as in torch; NumPy does likewise for 2, 1/2 and -1
            if y == 3:
                return x * x * x
            if y == -2:
                return 1 / (x * x)
            if y == -0.5:
                return 1 / namespace(x).sqrt(x)
        return x**y

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        gx = gy = None
        if self.needs(0):
            gx = g * (y * pow(x, y - 1))
            gx = where(eq(y, 0), 0.0, gx) if isinstance(y, Tensor) else gx if y != 0 else g * 0.0
        if self.needs(1):
            steady = logical_and(eq(x, 0), ge(y, 0)) if isinstance(x, Tensor) else wrap((y.array >= 0) & (x == 0))
            log_x = log(x) if isinstance(x, Tensor) else float(quiet(np.log)(x))
            gy = where(steady, 0.0, g * (pow(x, y) * log_x))
        return gx, gy


class Neg(Op):
    """y = -x"""

    reads = ()
    fresh = True
    arithmetic = True

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, g: Tensor) -> Gradients:
        return (-g,)


def add(x: Operand, y: Operand, *, alpha: Number = 1) -> Tensor:
    """x + alpha y, broadcast (torch.add)."""
    return Add.apply(*operands("add", x, y)) if alpha == 1 else _add_scaled("add", x, y, alpha)


def _add_scaled(name: str, x: Operand, y: Operand, alpha: Number) -> Tensor:
    x, y = operands(name, x, y)
    if isinstance(x, Tensor) and isinstance(y, Tensor) and x.array.dtype == np.float32:
        return named(name.title(), AddScaled.apply(x, y, alpha=alpha))
    return named(name.title(), apply_binary(Add, name, x, mul(y, alpha) if isinstance(y, Tensor) else y * alpha))


def _refuse_bool(name: str, *xs: Operand) -> None:
    for x in xs:
        if x.array.dtype.kind == "b" if isinstance(x, Tensor) else isinstance(x, bool):
            raise RuntimeError(f"{name}: the `-` operator with bools is not supported: use `~`, `^` or .int()")


def sub(x: Operand, y: Operand, *, alpha: Number = 1) -> Tensor:
    """x - alpha y, broadcast (torch.sub)."""
    _refuse_bool("sub", x, y)
    return Sub.apply(*operands("sub", x, y)) if alpha == 1 else _add_scaled("sub", x, y, -alpha)


def mul(x: Operand, y: Operand) -> Tensor:
    """x y, element by element, broadcast (torch.mul)."""
    return Mul.apply(*operands("mul", x, y))


def div(x: Operand, y: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """x / y, broadcast (torch.div). Integers divide to floats, unless rounding_mode is "floor" or "trunc"."""
    if rounding_mode is None:
        return Div.apply(*operands("div", x, y, as_float=True))
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
        )
    a, b = operands("div", x, y)
    _refuse_zero("div", b, result_type(a, b))

    @quiet
    def compute(p: Array, q: Array) -> Array:
        if rounding_mode == "floor":
            return backend.floor_divide(p, q)
        return namespace(p, q).trunc(p / q).astype(result_type(a, b))

    return named("Div", Step.apply(a, b, f=compute), variant=2)


def _refuse_zero(name: str, divisor: Operand, dtype: np.dtype) -> None:
    if dtype.kind != "f" and bool((divisor.array == 0).any() if isinstance(divisor, Tensor) else divisor == 0):
        raise RuntimeError(f"ZeroDivisionError: {name} of integers by zero")


def floor_divide(x: Operand, y: Operand) -> Tensor:
    """The integer below x / y (torch.floor_divide). Its gradient, zero almost everywhere, is not recorded."""
    a, b = operands("floor_divide", x, y)
    _refuse_zero("floor_divide", b, result_type(a, b))
    p, q = (z.array if isinstance(z, Tensor) else z for z in (a, b))
    return wrap(backend.floor_divide(p, q))


class Remainder(Op):
    """z = x - y ⌊x / y⌋; gx = g, gy = -g ⌊x / y⌋"""

    def forward(self, x: Array, y: Array) -> Array:
        xp = namespace(x, y)
        z = xp.remainder(x, y)
        if z.dtype.kind != "f":
            return z
        return xp.where(z == 0, x * z.dtype.type(0), z)  # to a 0 NumPy gives the sign of y, torch that of x

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        return g, -g * floor_divide(x, y) if self.needs(1) else None


def remainder(x: Operand, y: Operand) -> Tensor:
    """x - y ⌊x / y⌋, with the sign of y (torch.remainder)."""
    a, b = operands("remainder", x, y)
    _refuse_zero("remainder", b, result_type(a, b))
    return Remainder.apply(a, b)


def neg(x: Tensor) -> Tensor:
    """-x (torch.neg)."""
    _refuse_bool("neg", x)
    return Neg.apply(x)


def positive(x: Tensor) -> Tensor:
    """x itself (torch.positive)."""
    if x.array.dtype == bool:
        raise RuntimeError("positive: the `+` operator with a bool tensor is not supported")
    return x


def reciprocal(x: Tensor) -> Tensor:
    """1 / x (torch.reciprocal)."""
    return Reciprocal.apply(floating(x))


def pow(x: Operand, exponent: Operand) -> Tensor:
    """x to the power of exponent, broadcast (torch.pow)."""
    e = number_or_tensor("pow", exponent)
    negative = bool((e.array < 0).any()) if isinstance(e, Tensor) else e < 0
    x, y = operands("pow", x, exponent)
    if negative and result_type(x, y).kind in "iu":
        raise RuntimeError("Integers to negative integer powers are not allowed: make the base a float")
    z = Pow.apply(x, y)
    if z.op is not None:
        named("Pow", z, variant=2 if not isinstance(x, Tensor) else 1 if isinstance(y, Tensor) else 0)
    return cast(z, result_type(x, y))  # NumPy makes integers of powers of bools


def square(x: Tensor) -> Tensor:
    """x² (torch.square)."""
    return pow(x, 2)


# ------------------------------------------------------------------------------------------------ functions of one number


class Exp(Op):
    """y = eˣ; gx = g y"""

    reads = ()
    keeps_output = True
    fresh = True
    arithmetic = True

    def forward(self, x: Array) -> Array:
        return namespace(x).exp(x)

    def backward(self, g: Tensor) -> Gradients:
        return (g * self.output,)


class Log(Op):
    """y = ln x; gx = g / x"""

    fresh = True
    arithmetic = True

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
    arithmetic = True

    def forward(self, x: Array) -> Array:
        return namespace(x).sqrt(x)

    def backward(self, g: Tensor) -> Gradients:
        return (g / (2 * self.output),)


class Rsqrt(Op):
    """y = 1 / √x; gx = -½ g y³"""

    reads = ()
    keeps_output = True
    fresh = True
    arithmetic = True

    def forward(self, x: Array) -> Array:
        return 1 / namespace(x).sqrt(x)

    def backward(self, g: Tensor) -> Gradients:
        y = self.output
        return (-0.5 * g * (y * y * y),)


class Tanh(Op):
    """y = tanh x; gx = g (1 - y²)"""

    reads = ()
    keeps_output = True
    fresh = True
    arithmetic = True

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
    arithmetic = True

    def forward(self, x: Array) -> Array:
        return 1 / (1 + namespace(x).exp(-x))

    def backward(self, g: Tensor) -> Gradients:
        y = self.output
        return (g * ((1 - y) * y),)


class Sin(Op):
    """y = sin x; gx = g cos x"""

    fresh = True

    def forward(self, x: Array) -> Array:
        return namespace(x).sin(x)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (g * cos(x),)


class Cos(Op):
    """y = cos x; gx = -g sin x"""

    fresh = True

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
        return namespace(x).maximum(0, x)  # of two zeros NumPy takes the second, as torch takes x

    def backward(self, g: Tensor) -> Gradients:
        return (MaskedFill.apply(g, mask=wrap(self.output.array <= 0), value=0),)  # so that the gradient at nan is g


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
    return Rsqrt.apply(floating(x))


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
    if x.array.dtype.kind == "b":
        raise RuntimeError("relu is not implemented for bools")
    return Relu.apply(x)


class Step(Op):
    """A function whose gradient is zero wherever it has one"""

    reads = ()
    fresh = True
    f: Callable[..., Array]

    def forward(self, *xs: Array) -> Array:
        self.shapes = [x.shape if isinstance(x, np.ndarray) or hasattr(x, "shape") else () for x in xs]
        return self.f(*xs)

    def backward(self, g: Tensor) -> Gradients:
        zeros = namespace(g.array).zeros
        return [wrap(zeros(shape, dtype=g.array.dtype)) for shape in self.shapes]


def _step(name: str, numpy_name: str) -> Callable[[Tensor], Tensor]:
    @quiet
    def compute(x: Array) -> Array:
        if x.dtype.kind != "f" and (name != "sign" or x.dtype == bool):
            return x.copy()
        y = getattr(namespace(x), numpy_name)(x)
        return namespace(x).where(x != x, 0, y).astype(x.dtype) if name == "sign" else y  # torch: the sign of nan is 0

    def f(x: Tensor) -> Tensor:
        return named(name.title(), Step.apply(x, f=compute))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"{name} of every element (torch.{name}); the gradient is zero."
    return f


sign = _step("sign", "sign")
floor = _step("floor", "floor")
ceil = _step("ceil", "ceil")
trunc = _step("trunc", "trunc")
_round = _step("round", "rint")


def round(x: Tensor, *, decimals: int = 0) -> Tensor:
    """x to so many decimals, halves to the even neighbour (torch.round); the gradient is zero."""
    if decimals == 0 or x.array.dtype.kind != "f":
        return _round(x)
    scale = 10 ** max(decimals, -decimals)
    y = _round(mul(x, scale)) / scale if decimals > 0 else _round(x / scale) * scale
    return named("Round", y, variant=1)
