"""More functions of one, two and three numbers: what a GPT needs seldom and other scripts often."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import kernels
from ..backend import Array, namespace, quiet
from ..core import Op
from ..dtypes import Number, result_type
from ..tensor import Tensor, wrap
from .convert import Gradients, floating
from .elementwise import add, div, exp, fma, mul, square, trunc
from .operands import Operand, apply_binary, operands
from .selection import clamp, eq, ge, isinf, isnan, le, logical_and, logical_not, logical_or, masked_fill
from .shape import broadcast_shapes, broadcast_to, named

# ---------------------------------------------------------------------------------------------------------- of one number


class Function(Op):
    """y = f(x); gx = g f'(x)"""

    fresh = True
    f: Callable[[Array], Array]
    slope: Callable[[Any], Any]

    def forward(self, x: Array) -> Array:
        return self.f(x)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (g * self.slope(x),)


def _function(
    name: str, formula: str, slope: Callable[[Any], Any], f: str | Callable[[Array], Array] = "", label: str = ""
) -> Callable[[Tensor], Tensor]:
    """The function of that name, given its derivative; f: what NumPy calls it, where that is not its name."""
    compute = (lambda x: getattr(namespace(x), f or name)(x)) if isinstance(f, str) else f

    def function(x: Tensor) -> Tensor:
        return named(label or name.title(), Function.apply(floating(x), f=compute, slope=slope))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{formula} (torch.{name})."
    return function


log1p = _function("log1p", "ln(1 + x), precise near 0", lambda x: 1 / (x + 1), label="Log1P")
expm1 = _function("expm1", "eˣ - 1, precise near 0", lambda x: x.exp())
log2 = _function("log2", "The logarithm to base 2", lambda x: 1 / (x * math.log(2)))
log10 = _function("log10", "The logarithm to base 10", lambda x: 1 / (x * math.log(10)))
exp2 = _function("exp2", "2ˣ", lambda x: x.exp2() * math.log(2))
tan = _function("tan", "The tangent of x radians", lambda x: x.tan() ** 2 + 1)
asin = _function("asin", "The angle whose sine is x", lambda x: (1 - x * x).rsqrt(), "arcsin")
acos = _function("acos", "The angle whose cosine is x", lambda x: -(1 - x * x).rsqrt(), "arccos")
atan = _function("atan", "The angle whose tangent is x", lambda x: 1 / (x * x + 1), "arctan")
sinh = _function("sinh", "(eˣ - e⁻ˣ) / 2", lambda x: x.cosh())
cosh = _function("cosh", "(eˣ + e⁻ˣ) / 2", lambda x: x.sinh())
erf = _function("erf", "2/√π ∫₀ˣ exp(-t²) dt", lambda x: (-x * x).exp() * (2 / math.sqrt(math.pi)), kernels.erf)


def _sinc_slope(x: Tensor) -> Tensor:
    origin = eq(x, 0)
    return masked_fill(((x * math.pi).cos() - sinc(x)) / masked_fill(x, origin, 1), origin, 0)


def _sinc(x: Array) -> Array:
    return namespace(x).where(x == x, namespace(x).sinc(x), x)  # CuPy's is 1 at nan


sinc = _function("sinc", "sin πx / πx, 1 at 0", _sinc_slope, _sinc)


def frac(x: Tensor) -> Tensor:
    """What is behind the point, with the sign of x (torch.frac)."""
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f"frac is for floating point tensors, got {x.dtype}")
    return named("Frac", x - trunc(x))


def deg2rad(x: Tensor) -> Tensor:
    """Degrees in radians (torch.deg2rad)."""
    return named("Deg2Rad", floating(x) * (math.pi / 180))


def rad2deg(x: Tensor) -> Tensor:
    """Radians in degrees (torch.rad2deg)."""
    return named("Rad2Deg", floating(x) * (180 / math.pi))


def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """x with numbers for nan and the infinities, by default the dtype's largest and lowest (torch.nan_to_num)."""
    if x.array.dtype.kind != "f":
        return x.clone()
    largest = float(np.finfo(x.array.dtype).max)
    y = masked_fill(x, isnan(x), 0.0 if nan is None else nan)
    y = masked_fill(y, logical_and(isinf(x), x > 0), largest if posinf is None else posinf)
    y = masked_fill(y, logical_and(isinf(x), x < 0), -largest if neginf is None else neginf)
    return named("NanToNum", y)


def clamp_min(x: Tensor, min: Operand) -> Tensor:
    """x, but not below min (torch.clamp_min)."""
    return named("ClampMin", clamp(x, min), variant=int(isinstance(min, Tensor)))


def clamp_max(x: Tensor, max: Operand) -> Tensor:
    """x, but not above max (torch.clamp_max)."""
    return named("ClampMax", clamp(x, max=max), variant=int(isinstance(max, Tensor)))


# ---------------------------------------------------------------------------------------------------------- of two numbers


class Atan2(Op):
    """z = the angle of the point (y, x); gx = g y / (x² + y²), gy = -g x / (x² + y²), but 0 at the origin"""

    fresh = True

    def forward(self, x: Array, y: Array) -> Array:
        return namespace(x, y).arctan2(x, y)

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        squares = square(x) + square(y)
        scaled = masked_fill(g / squares, eq(squares, 0), 0)
        return scaled * y, -scaled * x


class LogAddExp(Op):
    """z = ln(eˣ + eʸ); gx = g / (1 + eʸ⁻ˣ), gy = g / (1 + eˣ⁻ʸ)"""

    fresh = True

    def forward(self, x: Array, y: Array) -> Array:
        return namespace(x, y).logaddexp(x, y)

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        return g / (1 + exp(y - x)), g / (1 + exp(x - y))


class Hypot(Op):
    """z = √(x² + y²); gx = g x / z, gy = g y / z"""

    keeps_output = True
    fresh = True

    def forward(self, x: Array, y: Array) -> Array:
        return namespace(x, y).hypot(x, y)

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        return g * (x / self.output), g * (y / self.output)


class Fmax(Op):
    """z = the larger of x and y that is not nan; g goes there, to x where both are"""

    fresh = True
    f = "fmax"

    def forward(self, x: Array, y: Array) -> Array:
        return getattr(namespace(x, y), self.f)(x, y)

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        to_x = logical_or(ge(x, y) if self.f == "fmax" else le(x, y), isnan(y))
        return masked_fill(g, logical_not(to_x), 0), masked_fill(g, to_x, 0)


class Fmin(Fmax):
    """z = the smaller of x and y that is not nan; g goes there, to x where both are"""

    f = "fmin"


class Fmod(Op):
    """z = x - y trunc(x / y); gx = g, gy = -g trunc(x / y)"""

    def forward(self, x: Array, y: Array) -> Array:
        return namespace(x, y).fmod(x, y)

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        return g, -g * div(x, y, rounding_mode="trunc") if self.needs(1) else None


def atan2(x: Tensor, y: Tensor) -> Tensor:
    """The angle of the point with ordinate x and abscissa y, in (-π, π] (torch.atan2)."""
    return apply_binary(Atan2, "atan2", x, y, as_float=True)


def hypot(x: Tensor, y: Tensor) -> Tensor:
    """√(x² + y²), without overflow on the way (torch.hypot)."""
    return apply_binary(Hypot, "hypot", x, y, as_float=True)


def fmax(x: Tensor, y: Tensor) -> Tensor:
    """The larger of x and y, or the one that is not nan (torch.fmax)."""
    return apply_binary(Fmax, "fmax", x, y)


def fmin(x: Tensor, y: Tensor) -> Tensor:
    """The smaller of x and y, or the one that is not nan (torch.fmin)."""
    return apply_binary(Fmin, "fmin", x, y)


def heaviside(x: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above, and at 0 what `values` says (torch.heaviside); no gradient.

    Raises:
        RuntimeError: the dtypes differ.
    """
    if x.array.dtype != values.array.dtype:
        raise RuntimeError(f"heaviside: x and values must have the same dtype, got {x.dtype} and {values.dtype}")
    xp = namespace(x.array, values.array)
    return wrap(xp.where(x.array == 0, values.array, (x.array > 0).astype(x.array.dtype)))


def logaddexp(x: Tensor, y: Tensor) -> Tensor:
    """ln(eˣ + eʸ) without overflow (torch.logaddexp)."""
    return named("Logaddexp", apply_binary(LogAddExp, "logaddexp", x, y))


def fmod(x: Operand, y: Operand) -> Tensor:
    """The remainder of x / y with the sign of x (torch.fmod)."""
    a, b = operands("fmod", x, y)
    if result_type(a, b).kind != "f" and bool((b.array == 0).any() if isinstance(b, Tensor) else b == 0):
        raise RuntimeError("ZeroDivisionError: fmod of integers by zero")
    return named("Fmod", Fmod.apply(a, b), variant=int(isinstance(y, Tensor)))


@quiet
def isclose(x: Tensor, y: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """|x - y| <= atol + rtol |y|, element by element (torch.isclose)."""
    if x.array.dtype != y.array.dtype:
        raise RuntimeError(f"isclose: {x.dtype} did not match {y.dtype}")
    broadcast_shapes("isclose", x.array.shape, y.array.shape)
    xp = namespace(x.array, y.array)
    return wrap(xp.isclose(x.array, y.array, rtol=rtol, atol=atol, equal_nan=equal_nan))


# -------------------------------------------------------------------------------------------------------- of three numbers


class Lerp(Op):
    """z = x + w (y - x), from the nearer end; gx = g (1 - w), gy = g w, gw = g (y - x)"""

    reads = ((2,), (2,), (0, 1))
    fresh = True

    def forward(self, x: Array, y: Array, w: Array) -> Array:
        d = y - x
        if isinstance(w, int | float):
            w = x.dtype.type(w)
            return fma(d, w, x) if abs(w) < 0.5 else fma(d, w - 1, y)
        return namespace(x).where(abs(w) < 0.5, fma(d, w, x), fma(d, w - 1, y))

    def backward(self, g: Tensor) -> Gradients:
        x, y, w = self.inputs
        return (
            g * (1 - w) if self.needs(0) else None,
            g * w if self.needs(1) else None,
            g * (y - x) if self.needs(2) else None,
        )


def lerp(x: Tensor, end: Tensor, weight: Operand) -> Tensor:
    """x + weight (end - x), broadcast: x at weight 0, end at 1 (torch.lerp).

    Raises:
        RuntimeError: the dtypes differ, or the shapes do not broadcast.
        NotImplementedError: they are of integers.
    """
    xs = [z for z in (x, end, weight) if isinstance(z, Tensor)]
    if len({z.array.dtype for z in xs}) > 1:
        raise RuntimeError(f"lerp: expected one dtype, got {', '.join(str(z.dtype) for z in xs)}")
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f"lerp is for floating point tensors, got {x.dtype}")
    shape = broadcast_shapes("lerp", *(z.array.shape for z in xs))
    ready = [broadcast_to(z, shape) if isinstance(z, Tensor) else z for z in (x, end, weight)]
    return named("Lerp", Lerp.apply(*ready), variant=int(isinstance(weight, Tensor)))


class AddCMul(Op):
    """u = x + y z, as by a fused multiply-add; gx = g, gy = g z, gz = g y"""

    reads = ((), (2,), (1,))

    def forward(self, x: Array, y: Array, z: Array) -> Array:
        return fma(y, z, x)

    def backward(self, g: Tensor) -> Gradients:
        _, y, z = self.inputs
        return g, g * z if self.needs(1) else None, g * y if self.needs(2) else None


def addcmul(x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """x + value tensor1 tensor2 (torch.addcmul)."""
    y, z = operands("addcmul", tensor1 if value == 1 else mul(tensor1, value), tensor2)
    wide, y = operands("addcmul", x, y)
    return named("Addcmul", AddCMul.apply(wide, y, operands("addcmul", wide, z)[1]))


def addcdiv(x: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """x + value tensor1 / tensor2 (torch.addcdiv)."""
    if result_type(tensor1, tensor2).kind != "f":
        raise RuntimeError("addcdiv: integer division of tensor1 by tensor2 is not supported: make one a float")
    return named("Addcdiv", add(x, div(tensor1 if value == 1 else mul(tensor1, value), tensor2)))
