"""Losses of what should be near or far apart, or on its side of a margin: each function, and the module that calls it."""

from __future__ import annotations

from ..ops.activation import logsigmoid
from ..ops.elementwise import relu, sqrt
from ..ops.functions import clamp_min
from ..ops.indexing import gather, index_select
from ..ops.reduction import mean, norm, sum
from ..ops.scattering import scatter
from ..ops.selection import eq, masked_fill, minimum
from ..ops.shape import named, unsqueeze
from ..tensor import Tensor
from .losses import _Loss, reduced
from .module import Module

# ------------------------------------------------------------------------------------------------------------ of distances


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """‖x1 - x2 + eps‖ₚ along the last axis (torch.nn.functional.pairwise_distance)."""
    return named("Norm", norm(x1 - x2 + eps, p, -1, keepdim), variant=1)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(margin + d(anchor, positive) - d(anchor, negative), 0) (torch.nn.functional.triplet_margin_loss).

    Args:
        anchor, positive, negative: (N, D).
        p, eps: those of the distance d, pairwise_distance.
        swap: the nearer of anchor and positive is what negative is compared with (Balntas et al., 2016).

    Raises:
        ValueError: margin is not positive.
    """
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be greater than 0, got {margin}")
    near, far = (pairwise_distance(anchor, x, p, eps) for x in (positive, negative))
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced("", clamp_min(margin + near - far, 0), reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(x1, x2) where target is 1, max(cos - margin, 0) where -1 (torch.nn.functional.cosine_embedding_loss).

    Args:
        input1, input2: (N, D), or (D,).
        target: (N,), or a single one.
    """
    squares = [sum(x * x, -1) + 1e-12 for x in (input1, input2)]
    cos = sum(input1 * input2, -1) / sqrt(squares[0] * squares[1])
    losses = masked_fill(1 - cos, ~eq(target, 1), 0) + masked_fill(clamp_min(cos - margin, 0), ~eq(target, -1), 0)
    return reduced("", losses, reduction)


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """x where target is 1, max(margin - x, 0) where -1 (torch.nn.functional.hinge_embedding_loss)."""
    far = masked_fill(clamp_min(margin - input, 0), eq(target, 1), 0)
    return reduced("", far + masked_fill(input, eq(target, -1), 0), reduction)


# -------------------------------------------------------------------------------------------------------------- of sides


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, reduction: str = "mean"
) -> Tensor:
    """max(margin - t (x1 - x2), 0), so that x1 is above x2 for t = 1 (torch.nn.functional.margin_ranking_loss).

    Raises:
        RuntimeError: not all of as many dimensions.
    """
    if not input1.ndim == input2.ndim == target.ndim:
        shapes = ", ".join(str(tuple(x.shape)) for x in (input1, input2, target))
        raise RuntimeError(f"margin_ranking_loss: input1, input2, target should have as many dimensions, got {shapes}")
    return reduced("", clamp_min(-target * (input1 - input2) + margin, 0), reduction)


def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """ln(1 + e⁻ᵗˣ) for targets t of 1 and -1 (torch.nn.functional.soft_margin_loss)."""
    return reduced("SoftMarginLoss", -logsigmoid(input * target), reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t ln σ(x) + (1 - t) ln σ(-x)), the mean over the last axis (torch.nn.functional.multilabel_soft_margin_loss)."""
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    return reduced("", mean(losses if weight is None else losses * weight, -1), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σⱼ max(margin - x[t] + x[j], 0)ᵖ / C over the classes j other than t (torch.nn.functional.multi_margin_loss).

    Args:
        input: (N, C), or (C,).
        target: (N,) class ids, or a single one.
        p: 1 or 2.
        weight: (C,) a factor for each class t.

    Raises:
        ValueError: another p, or a weight that is not one-dimensional.
        RuntimeError: targets that are not in 0..C-1.
    """
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: only p == 1 and p == 2 supported, got {p}")
    if weight is not None and weight.ndim != 1:
        raise ValueError(f"multi_margin_loss: weight must be one-dimensional, got shape {tuple(weight.shape)}")
    ids = unsqueeze(target, -1)
    terms = relu(margin - gather(input, -1, ids) + input)
    terms = scatter(terms * terms if p == 2 else terms, -1, ids, 0.0)
    if weight is not None:
        terms = terms * unsqueeze(index_select(weight, 0, target.reshape(-1)).reshape(target.shape), -1)
    return reduced("MultiMarginLoss", mean(terms, -1), reduction)


# ----------------------------------------------------------------------------------------------------------- as modules


class PairwiseDistance(Module):
    """functional.pairwise_distance with its options kept (torch.nn.PairwiseDistance)."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class TripletMarginLoss(_Loss):
    """functional.triplet_margin_loss with its options kept (torch.nn.TripletMarginLoss)."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ):
        super().__init__(reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: expected margin to be greater than 0, got {margin}")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        options = (self.margin, self.p, self.eps, self.swap, self.reduction)
        return triplet_margin_loss(anchor, positive, negative, *options)


class CosineEmbeddingLoss(_Loss):
    """functional.cosine_embedding_loss with its options kept (torch.nn.CosineEmbeddingLoss)."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean"):
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)


class MarginRankingLoss(CosineEmbeddingLoss):
    """functional.margin_ranking_loss with its options kept (torch.nn.MarginRankingLoss)."""

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class HingeEmbeddingLoss(_Loss):
    """functional.hinge_embedding_loss with its options kept (torch.nn.HingeEmbeddingLoss)."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean"):
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return hinge_embedding_loss(input, target, self.margin, self.reduction)


class SoftMarginLoss(_Loss):
    """functional.soft_margin_loss with its options kept (torch.nn.SoftMarginLoss)."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return soft_margin_loss(input, target, self.reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """functional.multilabel_soft_margin_loss with its options kept (torch.nn.MultiLabelSoftMarginLoss)."""

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean"):
        super().__init__(reduction)
        self.weight: Tensor | None
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return multilabel_soft_margin_loss(input, target, self.weight, self.reduction)


class MultiMarginLoss(_Loss):
    """functional.multi_margin_loss with its options kept (torch.nn.MultiMarginLoss)."""

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, reduction: str = "mean"):
        super().__init__(reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: only p == 1 and p == 2 supported, got {p}")
        self.p, self.margin = p, margin
        self.weight: Tensor | None
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return multi_margin_loss(input, target, self.p, self.margin, self.weight, self.reduction)
