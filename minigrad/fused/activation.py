"""Activations that let x through to a degree: y = x c(x), with c a smooth step from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ..backend import Array, namespace
from ..kernels import by_blocks, erf
from ..ops import functions
from ..ops.activation import floats
from ..ops.elementwise import sigmoid, tanh
from ..tensor import Tensor
from .base import Fused


class Gated(Fused):
    """y = x c(x); gx = g (c + x c')"""

    let_through: ClassVar[Any]  # y and c of x
    pull: ClassVar[Any]  # gx of x, c and g

    def forward(self, x: Array) -> Array:
        y, c = self.let_through(x)
        self.save(c)
        return y

    def fast_backward(self, g: Array) -> Sequence[Array]:
        (x,), (c,) = self.inputs, self.saved
        return (self.pull(x.array, c, g),)


# ------------------------------------------------------------------------------------------------------------------- GELU


def gelu_definition(x: Tensor) -> Tensor:
    """x Φ(x), with Φ(x) = ½ (1 + erf(x / √2)) the chance that a normal number is below x (Hendrycks and Gimpel, 2016)"""
    return x * 0.5 * (1 + functions.erf(x * math.sqrt(0.5)))


def gelu_tanh_definition(x: Tensor) -> Tensor:
    """½ x (1 + tanh u), with u = √(2/π) (x + 0.044715 x³)"""
    return 0.5 * x * (1 + tanh(ROOT * (x + CUBE * (x * x * x))))


ROOT, CUBE = math.sqrt(2 / math.pi), 0.044715


@by_blocks("c = (1 + erf(x * ROOT_HALF)) / 2; y = x * c", makes="y c", ROOT_HALF=math.sqrt(0.5))
def _gelu(x: Array) -> tuple[Array, Array]:
    c = erf(x * math.sqrt(0.5))
    c += 1
    c *= 0.5
    return x * c, c


@by_blocks("y = g * (c + x * exp(x * x / -2) * DENSITY)", DENSITY=ROOT / 2)
def _gelu_gradient(x: Array, c: Array, g: Array) -> Array:
    """g (Φ + x e^(-x²/2) / √2π)"""
    gx = x * x
    gx *= -0.5
    namespace(x).exp(gx, out=gx)
    gx *= x
    gx *= ROOT / 2
    gx += c
    gx *= g
    return gx


@by_blocks("c = (1 + tanh(x * (ROOT + x * x * CUBE))) / 2; y = x * c", makes="y c", ROOT=ROOT, CUBE=ROOT * CUBE)
def _gelu_tanh(x: Array) -> tuple[Array, Array]:
    c = x * x
    c *= ROOT * CUBE
    c += ROOT
    c *= x
    namespace(x).tanh(c, out=c)
    c += 1
    c *= 0.5
    return x * c, c


@by_blocks("y = (1 + x * (SLOPE + x * x * CUBE) * (1 - c)) * c * g", SLOPE=2 * ROOT, CUBE=6 * ROOT * CUBE)
def _gelu_tanh_gradient(x: Array, c: Array, g: Array) -> Array:
    """g (c + x 2c (1 - c) u')"""
    gx = x * x
    gx *= 6 * ROOT * CUBE
    gx += 2 * ROOT
    gx *= x
    gx *= 1 - c
    gx += 1
    gx *= c
    gx *= g
    return gx


class GELU(Gated):
    """y = x Φ(x); gx = g (Φ(x) + x φ(x))"""

    label = "GeluBackward0"
    definition = staticmethod(gelu_definition)
    let_through, pull = staticmethod(_gelu), staticmethod(_gelu_gradient)


class GELUTanh(Gated):
    """y = x c, c = ½ (1 + tanh u); gx = g (c + x 2c (1 - c) u')"""

    label = "GeluBackward0"
    definition = staticmethod(gelu_tanh_definition)
    let_through, pull = staticmethod(_gelu_tanh), staticmethod(_gelu_tanh_gradient)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x), Φ being the normal distribution function (torch.nn.functional.gelu).

    Args:
        approximate: "none" for the definition, "tanh" for GPT-2's formula, which differs by up to 5e-4.

    Raises:
        RuntimeError: another name.
        NotImplementedError: integers or bools.
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu: approximate argument must be either none or tanh, got {approximate!r}")
    return (GELU if approximate == "none" else GELUTanh).apply(floats("gelu", input))


# ------------------------------------------------------------------------------------------------------------------- SiLU


def silu_definition(x: Tensor) -> Tensor:
    """x σ(x), σ(x) = 1 / (1 + e⁻ˣ)"""
    return x * sigmoid(x)


@by_blocks("c = 1 / (1 + exp(-x)); y = x * c", makes="y c")
def _silu(x: Array) -> tuple[Array, Array]:
    c = -x
    namespace(x).exp(c, out=c)
    c += 1
    namespace(x).reciprocal(c, out=c)
    return x * c, c


@by_blocks("y = (1 + x * (1 - c)) * c * g")
def _silu_gradient(x: Array, c: Array, g: Array) -> Array:
    """g c (1 + x (1 - c))"""
    gx = 1 - c
    gx *= x
    gx += 1
    gx *= c
    gx *= g
    return gx


class SiLU(Gated):
    """y = x σ(x); gx = g σ (1 + x (1 - σ))"""

    label = "SiluBackward0"
    definition = staticmethod(silu_definition)
    let_through, pull = staticmethod(_silu), staticmethod(_silu_gradient)


def silu(input: Tensor) -> Tensor:
    """x σ(x), also called swish (torch.nn.functional.silu). Raises NotImplementedError for integers and bools."""
    return SiLU.apply(floats("silu", input))
