"""Activations in a few pieces. The smooth steps of GELU and SiLU are in fused/activation.py."""

from __future__ import annotations

from ..backend import Array, by_blocks, namespace, quiet
from ..core import Op
from ..dtypes import Number
from ..tensor import Tensor, axis_of
from .convert import Gradients
from .elementwise import exp, sigmoid
from .selection import ge, gt, le, masked_fill, where
from .shape import named, narrow


def floats(name: str, x: Tensor) -> Tensor:
    """x, if it is a tensor of floating point."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: input must be a Tensor, got {type(x).__name__}")
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f"{name} is not implemented for {x.dtype}: it needs floating point; use .float()")
    return x


def into(x: Tensor, y: Tensor, inplace: bool, name: str) -> Tensor:
    """y, in x's place if so asked."""
    return x.rewrite(y, x.before_write(name), name) if inplace else y


class LeakyRelu(Op):
    """y = x where x > 0, else αx; gx = g, or αg"""

    fresh = True
    slope: float

    @quiet
    def forward(self, x: Array) -> Array:
        return namespace(x).where(x > 0, x, x * self.slope)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (where(gt(x, 0), g, g * self.slope),)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope x (torch.nn.functional.leaky_relu)."""
    return into(input, LeakyRelu.apply(floats("leaky_relu", input), slope=negative_slope), inplace, "leaky_relu")


class Elu(Op):
    """y = x where x > 0, else α (eˣ - 1); gx = g, or g α eˣ"""

    fresh = True
    alpha: float

    @quiet
    def forward(self, x: Array) -> Array:
        xp = namespace(x)
        return xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)) * self.alpha)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (where(le(x, 0), g * self.alpha * exp(masked_fill(x, ge(x, 0), 0)), g),)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else α (eˣ - 1) (torch.nn.functional.elu; Clevert et al., 2015)."""
    return into(input, Elu.apply(floats("elu", input), alpha=alpha), inplace, "elu")


class Softplus(Op):
    """y = ln(1 + e^βx) / β, but x where βx > threshold; gx = g σ(βx), or g"""

    fresh = True
    beta: Number
    threshold: Number

    @quiet
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


@by_blocks
def _log_sigmoid(x: Array) -> Array:
    xp = namespace(x)
    return xp.minimum(x, 0) - xp.log1p(xp.exp(-abs(x)))


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
