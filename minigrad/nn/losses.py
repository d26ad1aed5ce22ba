"""Losses: each function, and the module that calls it. Those of classes are in fused/cross_entropy.py."""

from __future__ import annotations

import math

from ..backend import Array, namespace
from ..core import Op
from ..fused import cross_entropy, nll_loss
from ..ops.activation import logsigmoid
from ..ops.convert import Gradients
from ..ops.elementwise import abs, exp, log
from ..ops.reduction import mean, sum
from ..ops.selection import clamp, eq, le, lt, masked_fill, where
from ..ops.shape import named, unsqueeze
from ..tensor import Tensor
from .module import Module


def reduced(name: str, losses: Tensor, reduction: str) -> Tensor:
    """The mean of the losses, their sum, or the losses; with the name of torch's one op, or "" where torch's are several."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction: use 'mean', 'sum' or 'none'")
    y = losses if reduction == "none" else mean(losses) if reduction == "mean" else sum(losses)
    return named(name, y) if name else y


def _weighted(losses: Tensor, weight: Tensor | None) -> Tensor:
    return losses if weight is None else losses * weight


class _Loss(Module):
    def __init__(self, reduction: str = "mean"):
        super().__init__()
        self.reduction = reduction


# --------------------------------------------------------------------------------------------------------- of differences


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """The squared difference, averaged, summed, or as it is (torch.nn.functional.mse_loss)."""
    difference = input - target
    return reduced("MseLoss", _weighted(difference * difference, weight), reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """The absolute difference, averaged, summed, or as it is (torch.nn.functional.l1_loss)."""
    name = {"mean": "Mean", "sum": "Sum"}.get(reduction, "Abs")
    return reduced(name, _weighted(abs(input - target), weight), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d² / 2β where |d| < β, else |d| - β/2, for the difference d (torch.nn.functional.smooth_l1_loss; Girshick, 2015).

    Raises:
        RuntimeError: beta is negative.
    """
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    d = input - target
    return reduced("SmoothL1Loss", where(lt(abs(d), beta), d * d * (0.5 / beta), abs(d) - 0.5 * beta), reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d² / 2 where |d| < δ, else δ (|d| - δ/2), for the difference d (torch.nn.functional.huber_loss; Huber, 1964).

    Raises:
        RuntimeError: delta is not positive.
    """
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta, got {delta}")
    d = input - target
    losses = where(lt(abs(d), delta), d * d * 0.5, (abs(d) - 0.5 * delta) * delta)
    return reduced("HuberLoss", _weighted(losses, weight), reduction)


class MSELoss(_Loss):
    """The mean squared difference (torch.nn.MSELoss)."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """The mean absolute difference (torch.nn.L1Loss)."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return l1_loss(input, target, self.reduction)


class SmoothL1Loss(_Loss):
    """functional.smooth_l1_loss with its options kept (torch.nn.SmoothL1Loss)."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0):
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(_Loss):
    """functional.huber_loss with its options kept (torch.nn.HuberLoss)."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return huber_loss(input, target, self.reduction, self.delta)


# --------------------------------------------------------------------------------------------- of numbers that were drawn


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """rate - target ln rate, for counts that have a Poisson distribution (torch.nn.functional.poisson_nll_loss).

    Args:
        log_input: input is ln rate; else the rate, and eps is added before its logarithm.
        full: add Stirling's approximation of ln target! where target is above 1.
    """
    losses = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        t = masked_fill(target, le(target, 1), 1)
        stirling = t * log(t) - t + 0.5 * log(2 * math.pi * t)
        losses = losses + masked_fill(stirling, le(target, 1), 0)
    return reduced("", losses, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """½ (ln var + (x - t)² / var), for normal numbers of mean x (torch.nn.functional.gaussian_nll_loss).

    Args:
        var: of input's shape, or with 1 for one of its sizes, or without the last, or a number; at least eps is used.
        full: add ½ ln 2π.

    Raises:
        ValueError: var is of another shape, or negative somewhere.
    """
    if not isinstance(var, Tensor):
        var = input.detach() * 0 + var
    shape = input.array.shape
    if var.array.shape != shape and var.array.shape == shape[:-1]:
        var = unsqueeze(var, -1)
    odd = [m for n, m in zip(shape, var.array.shape, strict=False) if n != m]
    if var.ndim != input.ndim or odd not in ([], [1]):
        raise ValueError(f"gaussian_nll_loss: var is of incorrect size {tuple(var.shape)} for input {shape}")
    if bool((var.array < 0).any()):
        raise ValueError(f"gaussian_nll_loss: var has negative entry/entries, the lowest is {float(var.array.min())}")
    var = var + (clamp(var.detach(), eps) - var.detach())  # the gradient is that of what is used
    d = input - target
    losses = 0.5 * (log(var) + d * d / var)
    return reduced("", losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


class PoissonNLLLoss(_Loss):
    """functional.poisson_nll_loss with its options kept (torch.nn.PoissonNLLLoss)."""

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"):
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return poisson_nll_loss(log_input, target, self.log_input, self.full, self.eps, self.reduction)


class GaussianNLLLoss(_Loss):
    """functional.gaussian_nll_loss with its options kept (torch.nn.GaussianNLLLoss)."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"):
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


# --------------------------------------------------------------------------------------------- of yes and no, as a probability


class BinaryCrossEntropy(Op):
    """L = -(t ln x + (1 - t) ln(1 - x)), each ln at least -100; gx = g (x - t) / (x (1 - x)), gt = g (ln(1 - x) - ln x)"""

    fresh = True

    def forward(self, x: Array, t: Array) -> Array:
        xp = namespace(x, t)
        return (t - 1) * xp.maximum(xp.log1p(-x), -100) - t * xp.maximum(xp.log(x), -100)

    def backward(self, g: Tensor) -> Gradients:
        x, t = self.inputs
        gx = g * (x - t) / clamp(x * (1 - x), min=1e-12) if self.needs(0) else None
        return gx, g * (log(1 - x) - log(x)) if self.needs(1) else None


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t ln x + (1 - t) ln(1 - x)) for probabilities x (torch.nn.functional.binary_cross_entropy).

    Raises:
        ValueError: target of another shape.
        RuntimeError: input outside [0, 1].
    """
    if input.array.shape != target.array.shape:
        raise ValueError(
            f"binary_cross_entropy: target size ({tuple(target.shape)}) must be the same as input size ({tuple(input.shape)})"
        )
    if bool(((input.array < 0) | (input.array > 1)).any()):
        raise RuntimeError(
            f"binary_cross_entropy: all elements of input should be between 0 and 1, got {float(input.array.min())} to "
            f"{float(input.array.max())}; for logits use binary_cross_entropy_with_logits"
        )
    return reduced("BinaryCrossEntropy", _weighted(BinaryCrossEntropy.apply(input, target), weight), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy of σ(input), without overflow (torch.nn.functional.binary_cross_entropy_with_logits).

    Args:
        pos_weight: a factor of t, which broadcasts.

    Raises:
        ValueError: target of another shape.
    """
    if input.array.shape != target.array.shape:
        raise ValueError(
            f"binary_cross_entropy_with_logits: target size ({tuple(target.shape)}) must be the same as input size "
            f"({tuple(input.shape)})"
        )
    positive = 1 if pos_weight is None else (pos_weight - 1) * target + 1
    losses = (1 - target) * input - logsigmoid(input) * positive
    return reduced("BinaryCrossEntropyWithLogits", _weighted(losses, weight), reduction)


class BCELoss(_Loss):
    """functional.binary_cross_entropy with its options kept (torch.nn.BCELoss)."""

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean"):
        super().__init__(reduction)
        self.weight: Tensor | None
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """functional.binary_cross_entropy_with_logits with its options kept (torch.nn.BCEWithLogitsLoss)."""

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None):
        super().__init__(reduction)
        self.weight: Tensor | None
        self.pos_weight: Tensor | None
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


# ------------------------------------------------------------------------------------------------------------- of classes


class CrossEntropyLoss(_Loss):
    """functional.cross_entropy with its options kept (torch.nn.CrossEntropyLoss)."""

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__(reduction)
        self.weight: Tensor | None
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class NLLLoss(_Loss):
    """functional.nll_loss with its options kept (torch.nn.NLLLoss)."""

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction)
        self.weight: Tensor | None
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t (ln t - x) for log-probabilities x (torch.nn.functional.kl_div); 0 where t is 0.

    Args:
        reduction: "mean" over all elements, "batchmean" over the first axis only, which is the divergence; "sum" or "none".
        log_target: target holds ln t.
    """
    log_t = target if log_target else log(masked_fill(target, eq(target, 0), 1))
    losses = (exp(target) if log_target else target) * (log_t - input)
    if reduction == "batchmean":
        return sum(losses) / input.array.shape[0] if input.ndim else sum(losses)
    return reduced({"mean": "Mean", "sum": "Sum"}.get(reduction, "Sub"), losses, reduction)


class KLDivLoss(_Loss):
    """functional.kl_div with its options kept (torch.nn.KLDivLoss)."""

    def __init__(self, reduction: str = "mean", log_target: bool = False):
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return kl_div(input, target, self.reduction, self.log_target)
