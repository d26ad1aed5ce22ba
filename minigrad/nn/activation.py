"""Activations as modules."""

from __future__ import annotations

from typing import Any, ClassVar

from ..dtypes import Number
from ..ops.creation import full
from ..tensor import Tensor
from . import functional as F
from .module import Module, Parameter


class _InPlace(Module):
    """An activation that may write its result over its input, which is all that it may be told."""

    function: ClassVar[Any]  # of the input and inplace

    def __init__(self, inplace: bool = False):
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """max(x, 0) (torch.nn.ReLU)."""

    function = staticmethod(F.relu)


class SiLU(_InPlace):
    """x σ(x) (torch.nn.SiLU)."""

    function = staticmethod(F.silu)


class ReLU6(_InPlace):
    """min(max(x, 0), 6) (torch.nn.ReLU6)."""

    function = staticmethod(F.relu6)


class SELU(_InPlace):
    """functional.selu (torch.nn.SELU)."""

    function = staticmethod(F.selu)


class Mish(_InPlace):
    """x tanh ln(1 + eˣ) (torch.nn.Mish)."""

    function = staticmethod(F.mish)


class Hardsigmoid(_InPlace):
    """relu6(x + 3) / 6 (torch.nn.Hardsigmoid)."""

    function = staticmethod(F.hardsigmoid)
    extra_repr = Module.extra_repr


class Hardswish(_InPlace):
    """x relu6(x + 3) / 6 (torch.nn.Hardswish)."""

    function = staticmethod(F.hardswish)
    extra_repr = Module.extra_repr


class Hardtanh(_InPlace):
    """x between min_val and max_val (torch.nn.Hardtanh)."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False):
        super().__init__(inplace)
        if max_val <= min_val:
            raise AssertionError(f"max_val ({max_val}) must be greater than min_val ({min_val})")
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + ", inplace=True" * self.inplace


class Threshold(_InPlace):
    """x, but value where x <= threshold (torch.nn.Threshold)."""

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        super().__init__(inplace)
        self.threshold, self.value = threshold, value

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + ", inplace=True" * self.inplace


class GELU(Module):
    """x Φ(x), or its approximation "tanh" (torch.nn.GELU)."""

    def __init__(self, approximate: str = "none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class LeakyReLU(_InPlace):
    """x, or negative_slope x where that is negative (torch.nn.LeakyReLU)."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + ", inplace=True" * self.inplace


class ELU(_InPlace):
    """x, or α (eˣ - 1) where x is negative (torch.nn.ELU)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + ", inplace=True" * self.inplace


class CELU(ELU):
    """x, or α (e^(x/α) - 1) where x is negative (torch.nn.CELU)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)


class PReLU(Module):
    """x, or w x where x is negative, with w learned: one, or one per channel (torch.nn.PReLU; He et al., 2015)."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None):
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), float(init), device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Softshrink(Module):
    """x moved towards 0 by λ, and no further (torch.nn.Softshrink)."""

    def __init__(self, lambd: float = 0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(Softshrink):
    """x, but 0 where |x| <= λ (torch.nn.Hardshrink)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)


class Softsign(Module):
    """x / (1 + |x|) (torch.nn.Softsign)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(Module):
    """x - tanh x (torch.nn.Tanhshrink)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class Softplus(Module):
    """ln(1 + e^βx) / β (torch.nn.Softplus)."""

    def __init__(self, beta: Number = 1.0, threshold: Number = 20.0):
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Tanh(Module):
    """tanh x (torch.nn.Tanh)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ) (torch.nn.Sigmoid)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class LogSigmoid(Module):
    """ln σ(x) (torch.nn.LogSigmoid)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Softmax(Module):
    """softmax along dim (torch.nn.Softmax)."""

    def __init__(self, dim: int = -1):
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Softmax):
    """softmax of -x along dim (torch.nn.Softmin)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)


class LogSoftmax(Softmax):
    """ln softmax along dim (torch.nn.LogSoftmax)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


class GLU(Softmax):
    """a σ(b), with a and b the halves along dim (torch.nn.GLU)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)
