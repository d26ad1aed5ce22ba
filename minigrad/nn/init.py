"""Filling parameters before training, in place, with torch's numbers for the same seed (torch.nn.init).

`generator`: draws, instead of the default generator. fan_in and fan_out are the numbers that go into, and are fed by, one
unit of a weight (out, in, ...).
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from ..backend import asarray, to_numpy
from ..grad_mode import no_grad
from ..ops.creation import empty_like, eye
from ..ops.selection import where
from ..random import Generator
from ..tensor import Tensor, wrap


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers uniform on [a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number."""
    return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal of a matrix of zeros. Raises ValueError if it is no matrix."""
    if tensor.ndim != 2:
        raise ValueError(f"Only tensors with 2 dimensions are supported, got {tensor.ndim}")
    return tensor.copy_(eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))


@no_grad()
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers, of which those outside [a, b] are drawn again."""
    if not a - 2 * std <= mean <= b + 2 * std:
        warnings.warn("mean is more than 2 std from [a, b]: the distribution of values may be incorrect", stacklevel=2)
    inside = (math.erf((b - mean) / (std * math.sqrt(2.0))) - math.erf((a - mean) / (std * math.sqrt(2.0)))) / 2
    fresh = empty_like(tensor)
    if inside > 0.3:
        tensor.normal_(mean, std, generator=generator)
        while (outside := (tensor < a) | (tensor > b)).any():
            tensor.copy_(where(outside, fresh.normal_(mean, std, generator=generator), tensor))
        return tensor
    # few would be inside: uniform on [a, b], taken with the probability density relative to its highest
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
    height, pending = empty_like(tensor), None
    while pending is None or pending.any():
        fresh.uniform_(a, b, generator=generator)
        tensor.copy_(fresh if pending is None else where(pending, fresh, tensor))
        log_density = ((fresh - mean) / std) ** 2 * -0.5 - peak
        refused = height.uniform_(generator=generator).log() > log_density
        pending = refused if pending is None else pending & refused
    return tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights before that function should be larger, so that numbers keep their size. param: leaky ReLU's slope.

    Raises:
        ValueError: a function it does not know, or a slope that is no number.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, int | float):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    linear = [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]
    gains = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4} | dict.fromkeys(
        ["linear", "sigmoid", *linear], 1
    )
    if nonlinearity not in gains:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}; known are leaky_relu, {', '.join(gains)}")
    return gains[nonlinearity]


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform on ±gain √(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    bound = math.sqrt(3.0) * (gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation gain √(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan = _calculate_fan_in_and_fan_out(tensor)[mode.lower() == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform on ±√3 gain / √fan, with the gain of a nonlinearity (He et al., 2015); a is leaky ReLU's slope."""
    if not tensor.numel():
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain / √fan (He et al., 2015); arguments as for kaiming_uniform_."""
    if not tensor.numel():
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """gain Q, with QR a matrix of normal numbers and R's diagonal positive (Saxe et al., 2014): rows or columns orthogonal.

    Raises:
        ValueError: fewer than 2 dimensions.
    """
    if tensor.ndim < 2:
        raise ValueError(f"Only tensors with 2 or more dimensions are supported, got {tensor.ndim}")
    if not tensor.numel():
        return tensor
    # on the host, where the numbers are drawn: the same matrix on every device
    normals = to_numpy(empty_like(tensor).normal_(generator=generator).array).reshape(len(tensor), -1)
    wide = normals.shape[0] < normals.shape[1]
    q, r = np.linalg.qr(normals.T if wide else normals)
    q *= np.sign(np.diag(r))
    return tensor.copy_(wrap(asarray((q.T if wide else q).reshape(tensor.shape) * gain, like=tensor.array)))
