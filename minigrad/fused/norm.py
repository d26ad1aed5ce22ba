"""Normalisation: over the last axes, over groups of channels, over the batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any, ClassVar

import numpy as np

from ..backend import Array, namespace
from ..grad_mode import no_grad
from ..kernels import by_rows
from ..ops.convert import cast
from ..ops.elementwise import rsqrt, square
from ..ops.reduction import mean
from ..ops.shape import Permute, Reshape, broadcast_to, contiguous, named
from ..tensor import Tensor, wrap
from .base import Fused


def layer_norm_definition(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """y = (x - mean x) / √(var x + eps) · weight + bias, over the last axis; the variance is the mean of squares"""
    x = x - broadcast_to(mean(x, -1, keepdim=True), x.array.shape)
    return rms_norm_definition(x, weight, bias, eps)


def rms_norm_definition(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """y = x / √(mean x² + eps) · weight, over the last axis"""
    y = x * rsqrt(mean(square(x), -1, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@by_rows("""
    x[i,j], weight[j], bias[j], eps, bool centers -> y[i,j], n[i,j], r[i]:
    const T mean = centers ? SUM(x[j]) / size : 0;
    const T root = 1 / sqrt(SUM((x[j] - mean) * (x[j] - mean)) / size + eps);
    r[i] = root;
    EACH {
      n[j] = (x[j] - mean) * root;
      y[j] = n[j] * (weight ? weight[j] : 1) + (bias ? bias[j] : 0);
    }
""")
def _normalized(
    x: Array, weight: Array | None, bias: Array | None, eps: float, centers: bool
) -> tuple[Array, Array, Array]:
    xp, size = namespace(x), x.shape[-1]
    n = x - x.sum(axis=-1, keepdims=True) / size if centers else x
    y = n * n
    r = 1 / xp.sqrt(y.sum(axis=-1, keepdims=True) / size + eps)
    n = xp.multiply(n, r, out=n if centers else None)
    xp.multiply(n, 1 if weight is None else weight, out=y)
    if bias is not None:
        y += bias
    return y, n, r[..., 0]


@by_rows("""
    g[i,j], n[i,j], r[i], weight[j], bool centers, bool for_x, bool for_weight, bool for_bias
        -> gx[i,j], gweight[j], gbias[j]:
    #define GN (g[j] * (weight ? weight[j] : 1))
    const T mean = for_x && centers ? SUM(GN) / size : 0, slope = for_x ? SUM(GN * n[j]) / size : 0;
    EACH {
      if (for_x) gx[j] = (GN - mean - n[j] * slope) * r[i];
      if (for_weight) gweight[j] += g[j] * n[j];
      if (for_bias) gbias[j] += g[j];
    }
""")
def _norm_gradients(
    g: Array, n: Array, r: Array, weight: Array | None, centers: bool, for_x: bool, for_weight: bool, for_bias: bool
) -> tuple[Array | None, Array | None, Array | None]:
    xp, size, rows = namespace(g), n.shape[-1], tuple(range(g.ndim - 1))
    gn = g * n
    gweight = gn.sum(axis=rows) if for_weight else None
    gbias = g.sum(axis=rows) if for_bias else None
    if not for_x:
        return None, gweight, gbias
    w = xp.ones(size, dtype=g.dtype) if weight is None else weight
    gx = g * w
    if centers:
        gx -= (g @ w)[..., None] / size
    gx -= xp.multiply(n, (gn @ w)[..., None] / size, out=gn)
    gx *= r[..., None]
    return gx, gweight, gbias


class LayerNorm(Fused):
    """y = n w + b, n = (x - mean x) r, r = 1 / √(var x + eps); gx = r (g w - mean(g w) - n mean(g w n)), gw = Σ g n, gb = Σ g"""

    label = "NativeLayerNormBackward0"
    definition = staticmethod(layer_norm_definition)
    centers: ClassVar[bool] = True
    eps: float

    def params(self) -> dict[str, Any]:
        return {"eps": self.eps}

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        y, n, r = _normalized(x, weight, bias, self.eps, self.centers)
        self.save(n, r)
        return y

    def fast_backward(self, g: Array) -> Sequence[Array | None]:
        (n, r), (_, weight, _) = self.saved, self.inputs
        w = None if weight is None else weight.array
        needs = [self.needs(k) for k in range(3)]
        return [
            gx if k else None for k, gx in zip(needs, _norm_gradients(g, n, r, w, self.centers, *needs), strict=True)
        ]


class RMSNorm(LayerNorm):
    """y = n w, n = x r, r = 1 / √(mean x² + eps); gx = r (g w - n mean(g w n)), gw = Σ g n"""

    label = "MulBackward0"
    definition = staticmethod(rms_norm_definition)
    centers = False


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / √(var + eps) · weight + bias over the last axes (torch.nn.functional.layer_norm; Ba et al., 2016).

    Args:
        input: floats of shape (..., *normalized_shape).
        weight, bias: of normalized_shape and input's dtype.

    Raises:
        RuntimeError: input does not end in normalized_shape; weight or bias of another shape or dtype.
        TypeError: normalized_shape is not a sequence of ints.
        NotImplementedError: integers.
    """
    for parameter in (weight, bias):
        if parameter is not None and parameter.array.dtype != input.array.dtype != np.float16:
            raise RuntimeError(
                f"layer_norm: mixed dtype: expect weight and bias to have the input's {input.dtype}, got {parameter.dtype}"
            )
    return _over_last("layer_norm", LayerNorm, input, normalized_shape, weight, bias, eps)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / √(mean x² + eps) · weight over the last axes (torch.nn.functional.rms_norm; Zhang and Sennrich, 2019).

    Arguments and errors are those of layer_norm; eps: by default the distance from 1 to the next float.
    """
    return _over_last("rms_norm", RMSNorm, input, normalized_shape, weight, None, eps)


def _over_last(
    name: str, op: type[Fused], x: Tensor, shape: Any, weight: Tensor | None, bias: Tensor | None, eps: float | None
) -> Tensor:
    """A last-axis op applied over the last axes, taken as one."""
    if not isinstance(shape, Sequence):
        raise TypeError(f"{name}: normalized_shape must be a tuple of ints, got {shape!r}")
    shape = tuple(shape)
    if not shape:
        raise RuntimeError(f"{name}: expected normalized_shape to be at least 1-dimensional, got ()")
    for what, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and parameter.array.shape != shape:
            raise RuntimeError(
                f"{name}: expected {what} to be of same shape as normalized_shape {shape}, got {tuple(parameter.shape)}"
            )
    if x.array.shape[-len(shape) :] != shape:
        raise RuntimeError(
            f"{name}: given normalized_shape={list(shape)}, expected input with shape (..., {', '.join(map(str, shape))}), "
            f"got {tuple(x.shape)}"
        )
    dtype = x.array.dtype
    if dtype.kind != "f":
        raise NotImplementedError(f"{name} is not implemented for {x.dtype}: it needs floating point; use .float()")
    wide = np.dtype(np.float32) if dtype == np.float16 else dtype  # as torch, half precision by way of float32
    eps = float(np.finfo(wide).eps) if eps is None else eps
    lead = x.array.shape[: -len(shape)]
    parameters = [p if p is None else cast(p, wide) for p in (weight, bias)]
    x = cast(x, wide)
    if len(shape) > 1:
        x = Reshape.apply(x, to=(*lead, prod(shape)))
        parameters = [p if p is None else Reshape.apply(p, to=(prod(shape),)) for p in parameters]
    y = op.apply(x, *parameters, eps=eps)
    if len(shape) > 1:
        y = named(op.label.removesuffix("Backward0"), Reshape.apply(y, to=(*lead, *shape)))
    return cast(y, dtype)


# --------------------------------------------------------------------------------------------------- channels, (N, C, ...)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / √(var + eps) over each sample's groups of channels (torch.nn.functional.group_norm; Wu and He, 2018).

    Args:
        input: floats of shape (N, C, ...).
        num_groups: into how many groups of neighbours the C channels are divided.
        weight, bias: (C,), of input's dtype.

    Raises:
        RuntimeError: input has no channels, or their number is no multiple of num_groups; weight or bias of another
            shape or dtype.
        ValueError: a group of a single number, which would always become 0.
        NotImplementedError: integers.
    """
    shape = input.array.shape
    if len(shape) < 2:
        raise RuntimeError(f"group_norm: expected at least 2 dimensions, (N, C, ...), got shape {shape}")
    if shape[1] % num_groups:
        raise RuntimeError(
            f"group_norm: expected the number of channels to be divisible by num_groups, got {shape} and {num_groups}"
        )
    rows = (shape[0] * num_groups, prod(shape[1:]) // num_groups)
    _check_channels("group_norm", input, rows[1], {"weight": weight, "bias": bias})
    y = Reshape.apply(LayerNorm.apply(Reshape.apply(input, to=rows), None, None, eps=eps), to=shape)
    return named("NativeGroupNorm", _scaled(y, weight, bias))


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / √(var + eps) of each channel (torch.nn.functional.batch_norm; Ioffe and Szegedy, 2015).

    Args:
        input: floats of shape (N, C, ...).
        running_mean, running_var: (C,); in training both move towards the batch's, by the share `momentum`.
        weight, bias: (C,).
        training: mean and variance are those of the batch, not the running ones.

    Raises:
        ValueError: training on a single number per channel, which would always become 0.
        RuntimeError: a parameter of another size than C or of another dtype; no running statistics outside training.
        NotImplementedError: integers.
    """
    shape = input.array.shape
    if len(shape) < 2:
        raise IndexError(f"batch_norm: expected at least 2 dimensions, (N, C, ...), got shape {shape}")
    count = prod(shape) // max(shape[1], 1)
    given = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    _check_channels("batch_norm", input, count if training else 0, given)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("batch_norm: running_mean and running_var must be defined in evaluation mode")
        r = rsqrt(running_var + eps)
        y = (input - _per_channel(running_mean, input)) * _per_channel(r, input)
        return named("NativeBatchNorm", _scaled(y, weight, bias))
    first = (1, 0, *range(2, len(shape)))  # channels first; it is its own inverse
    turned = Permute.apply(input, dims=first)
    rows = Reshape.apply(turned, to=(shape[1], count))
    y = Reshape.apply(LayerNorm.apply(rows, None, None, eps=eps), to=turned.array.shape)
    with no_grad():
        for running, now in (running_mean, rows.array.mean), (running_var, partial(rows.array.var, ddof=1)):
            if running is not None and count:
                running.mul_(1 - momentum).add_(wrap(now(axis=1)) * momentum)
    return named("NativeBatchNorm", _scaled(contiguous(Permute.apply(y, dims=first)), weight, bias))


def _check_channels(name: str, x: Tensor, count: int, parameters: dict[str, Tensor | None]) -> None:
    """parameters are (C,) and of x's dtype, and not 1 number alone is normalised."""
    channels = x.array.shape[1]
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f"{name} is not implemented for {x.dtype}: it needs floating point; use .float()")
    if count == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")
    for what, p in parameters.items():
        if p is not None and p.array.shape != (channels,):
            raise RuntimeError(
                f"{name}: {what} should contain {channels} elements, one per channel, got {tuple(p.shape)}"
            )
        if p is not None and p.array.dtype != x.array.dtype:
            raise RuntimeError(f"{name}: mixed dtype: {what} is {p.dtype} and input {x.dtype}")


def _per_channel(p: Tensor, like: Tensor) -> Tensor:
    return Reshape.apply(p, to=(-1, *(1,) * (like.ndim - 2)))


def _scaled(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = y if weight is None else y * _per_channel(weight, y)
    return y if bias is None else y + _per_channel(bias, y)
