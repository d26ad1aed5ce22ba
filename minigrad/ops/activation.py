"""Activations in a few pieces. The smooth steps of GELU and SiLU are in fused/activation.py."""

from __future__ import annotations

from collections.abc import Callable

from ..backend import Array, namespace
from ..core import Op
from ..dtypes import Number
from ..kernels import by_blocks
from ..tensor import Tensor, axis_of
from .convert import Gradients
from .elementwise import abs, exp, sigmoid, tanh
from .selection import clamp, ge, gt, le, masked_fill, where
from .shape import Reshape, named, narrow


def floats(name: str, x: Tensor) -> Tensor:
    """x, if it is a tensor of floating point."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: input must be a Tensor, got {type(x).__name__}")
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f"{name} is not implemented for {x.dtype}: it needs floating point; use .float()")
    return x


def into(x: Tensor, f: Callable[[Tensor], Tensor], inplace: bool, name: str) -> Tensor:
    """f(x), in x's place if so asked."""
    if not inplace:
        return f(x)
    old = x.before_write(name)
    return x.rewrite(f(old), old, name)


class LeakyRelu(Op):
    """y = x where x > 0, else αx; gx = g, or αg"""

    fresh = True
    slope: float

    def forward(self, x: Array) -> Array:
        return namespace(x).where(x > 0, x, x * self.slope)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (where(gt(x, 0), g, g * self.slope),)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope x (torch.nn.functional.leaky_relu)."""
    return into(input, lambda x: LeakyRelu.apply(floats("leaky_relu", x), slope=negative_slope), inplace, "leaky_relu")


class Elu(Op):
    """y = s x where x > 0, else s α (e^rx - 1); gx = g s, or g s α r e^rx"""

    fresh = True
    alpha: float
    scale: float
    rate: float

    def forward(self, x: Array) -> Array:
        xp = namespace(x)
        low = xp.expm1(xp.minimum(x, 0) * self.rate) * (self.alpha * self.scale)
        return xp.where(x > 0, x * self.scale, low)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        low = exp(masked_fill(x, ge(x, 0), 0) * self.rate) * (self.alpha * self.scale * self.rate)
        return (where(le(x, 0), g * low, g * self.scale),)


def _elu(name: str, x: Tensor, inplace: bool, alpha: float, scale: float = 1.0, rate: float = 1.0) -> Tensor:
    def f(x: Tensor) -> Tensor:
        return named(name, Elu.apply(floats(name.lower(), x), alpha=alpha, scale=scale, rate=rate))

    return into(x, f, inplace, name.lower())


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else α (eˣ - 1) (torch.nn.functional.elu; Clevert et al., 2015)."""
    return _elu("Elu", input, inplace, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """s elu(x, α), with s and α that keep mean 0 and variance 1 (torch.nn.functional.selu; Klambauer et al., 2017)."""
    return _elu("Elu", input, inplace, 1.6732632423543772, 1.0507009873554805)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else α (e^(x/α) - 1) (torch.nn.functional.celu; Barron, 2017). Raises RuntimeError for alpha = 0."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: celu: alpha cannot be 0")
    return _elu("Celu", input, inplace, alpha, 1.0, 1 / alpha)


class Softplus(Op):
    """y = ln(1 + e^βx) / β, but x where βx > threshold; gx = g σ(βx), or g"""

    fresh = True
    beta: Number
    threshold: Number

    def forward(self, x: Array) -> Array:
        xp = namespace(x)
        scaled = x * self.beta
        return xp.where(scaled > self.threshold, x, xp.log1p(xp.exp(scaled)) / self.beta)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        scaled = x * self.beta
        return (where(gt(scaled, self.threshold), g, g * sigmoid(scaled)),)


def softplus(input: Tensor, beta: Number = 1, threshold: Number = 20) -> Tensor:
    """ln(1 + e^βx) / β, a smooth relu; x itself where βx > threshold (torch.nn.functional.softplus)."""
    return Softplus.apply(floats("softplus", input), beta=beta, threshold=threshold)


@by_blocks("y = (x < 0 ? x : 0) - log1p(exp(-abs(x)))")
def _log_sigmoid(x: Array) -> Array:
    xp = namespace(x)
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))


class LogSigmoid(Op):
    """y = ln σ(x) = min(x, 0) - ln(1 + e^-|x|); gx = g σ(-x)"""

    fresh = True

    def forward(self, x: Array) -> Array:
        return _log_sigmoid(x)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (g * sigmoid(-x),)


def logsigmoid(input: Tensor) -> Tensor:
    """ln σ(x), without overflow (torch.nn.functional.logsigmoid)."""
    return LogSigmoid.apply(floats("logsigmoid", input))


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a σ(b), with a and b the halves of input along dim (torch.nn.functional.glu; Dauphin et al., 2017).

    Raises:
        RuntimeError: the size along dim is odd, or input is a single number.
    """
    if input.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors: it halves a dimension")
    axis = axis_of(input, dim, "glu")
    half, odd = divmod(input.array.shape[axis], 2)
    if odd:
        raise RuntimeError(f"glu: halving dimension must be even, but dimension {axis} is size {input.shape[axis]}")
    return named("Glu", narrow(input, axis, 0, half) * sigmoid(narrow(input, axis, half, half)))


# ------------------------------------------------------------------------------------------------------ made of other ops


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x between its bounds; no gradient at them (torch.nn.functional.hardtanh). Raises ValueError for bounds in reverse."""
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val cannot be greater than max_val, got {min_val} and {max_val}")

    def f(x: Tensor) -> Tensor:
        return named("Hardtanh", masked_fill(masked_fill(x, le(x, min_val), min_val), ge(x, max_val), max_val))

    return into(input, f, inplace, "hardtanh")


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6) (torch.nn.functional.relu6)."""
    return hardtanh(input, 0, 6, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """relu6(x + 3) / 6 (torch.nn.functional.hardsigmoid)."""
    floats("hardsigmoid", input)
    return into(input, lambda x: named("Hardsigmoid", relu6(x + 3) / 6), inplace, "hardsigmoid")


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x relu6(x + 3) / 6 (torch.nn.functional.hardswish; Howard et al., 2019)."""
    floats("hardswish", input)
    return into(input, lambda x: named("Hardswish", x * relu6(x + 3) / 6), inplace, "hardswish")


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh ln(1 + eˣ) (torch.nn.functional.mish; Misra, 2019)."""
    floats("mish", input)
    return into(input, lambda x: named("Mish", x * tanh(softplus(x))), inplace, "mish")


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|) (torch.nn.functional.softsign)."""
    return input / (abs(input) + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh x (torch.nn.functional.tanhshrink)."""
    return input - tanh(input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by λ, and no further (torch.nn.functional.softshrink). Raises RuntimeError for a negative λ."""
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambd must not be negative, got {lambd}")
    return named("Softshrink", input - clamp(floats("softshrink", input), -lambd, lambd))


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x, but 0 where |x| <= λ (torch.nn.functional.hardshrink)."""
    return named("Hardshrink", masked_fill(input, le(abs(floats("hardshrink", input)), lambd), 0))


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x, but value where x <= threshold (torch.nn.functional.threshold)."""
    return into(input, lambda x: named("Threshold", masked_fill(x, le(x, threshold), value)), inplace, "threshold")


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else w x, with one w or one per channel, axis 1 (torch.nn.functional.prelu; He et al., 2015).

    Raises:
        RuntimeError: weight is not one number or one per channel, or of another dtype.
    """
    if weight.array.dtype != input.array.dtype:
        raise RuntimeError(f"prelu: weight must be of input's type {input.dtype}, got {weight.dtype}")
    channels = input.array.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise RuntimeError(
            f"prelu: weight must be one number or one for each of {channels} channels, got shape {tuple(weight.shape)}"
        )
    w = Reshape.apply(weight, to=(-1, *(1,) * (input.ndim - 2)) if input.ndim > 1 else (1,) * input.ndim)
    return named("PreluKernel", where(gt(input, 0), input, input * w))
