"""The loss of classifiers and language models, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array, asarray, namespace, zero_where
from ..kernels import by_rows
from ..ops.indexing import Index, array_of, check_range, gather
from ..ops.reduction import mean, sum
from ..ops.selection import masked_fill
from ..ops.shape import Permute, Reshape, broadcast_to, named
from ..tensor import Tensor, wrap
from .base import Fused
from .softmax import centered, log_softmax


def cross_entropy_definition(logits: Tensor, target: Index, weight: Array) -> Tensor:
    """Lᵢ = -wᵢ ln softmax(logitsᵢ)[targetᵢ] for logits (N, V), target (N,), weight (N,)"""
    return nll_definition(log_softmax(logits), target, weight)


def nll_definition(log_probabilities: Tensor, target: Index, weight: Array) -> Tensor:
    """Lᵢ = -wᵢ xᵢ[targetᵢ]; a row of weight 0 counts 0 whatever it holds"""
    at_target = gather(log_probabilities, 1, wrap(array_of(target)[:, None]))
    losses = -wrap(weight) * Reshape.apply(at_target, to=weight.shape)
    return masked_fill(losses, wrap(weight == 0), 0)


@by_rows("""
    x[i,j], long long target[i], weight[i] -> y[i,j], loss[i]:
    const T m = MAX(x[j]), total = SUM(exp(x[j] - m));
    EACH y[j] = exp(x[j] - m) / total;
    const bool known = 0 <= target[i] && target[i] < size;  // an id that is not is reported by check_range
    loss[i] = weight[i] == 0 ? 0 : weight[i] * (log(total) - (known ? x[target[i]] - m : T(nan(""))));
""")
def _softmax_and_losses(x: Array, target: Array, weight: Array) -> tuple[Array, Array]:
    xp = namespace(x)
    y = centered(x)
    at_target = y[xp.arange(len(x)), target]
    xp.exp(y, out=y)
    total = y.sum(axis=-1, keepdims=True)
    y /= total
    losses = xp.log(total[:, 0]) - at_target
    return y, xp.where(weight != 0, losses * weight, 0)


@by_rows("""
    y[i,j], long long target[i], weight[i], g[i] -> gx[i,j]:
    const T gi = g[i] * weight[i];
    EACH gx[j] = weight[i] == 0 ? 0 : y[j] * gi - (j == target[i] ? gi : 0);
""")
def _cross_entropy_gradient(y: Array, target: Array, weight: Array, g: Array) -> Array:
    g = g * weight
    gx = y * g[:, None]
    gx[namespace(g).arange(len(gx)), target] -= g
    zero_where(gx, weight == 0)
    return gx


class CrossEntropy(Fused):
    """Lᵢ = -wᵢ ln softmax(logitsᵢ)[targetᵢ]; glogitsᵢ = gᵢ wᵢ (softmax(logitsᵢ) - one_hot(targetᵢ))

    The softmax that forward computes is kept, and is the gradient but for the targets: no one-hot matrix is ever made, and
    in the last backward no other matrix either.
    """

    definition = staticmethod(cross_entropy_definition)
    target: Index
    weight: Array
    watched: Tensor | None  # what target came from: backward refuses if it was changed meanwhile

    def params(self) -> dict[str, Any]:
        _, target, weight, _ = self.saved
        return {"target": target, "weight": weight}

    def forward(self, logits: Array) -> Array:
        target, weight = self.__dict__.pop("target"), self.__dict__.pop("weight")
        watched = self.__dict__.pop("watched", None)
        y, losses = _softmax_and_losses(logits, array_of(target), weight)
        self.save(y, target, weight, watched)
        return losses

    def fast_backward(self, g: Array) -> Sequence[Array]:
        y, target, weight, _ = self.saved
        return (_cross_entropy_gradient(y, array_of(target), weight, g, into=y if self.last else None),)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The negative log-likelihood of the target classes under softmax(input) (torch.nn.functional.cross_entropy).

    Args:
        input: logits, (N, V), (N, V, d1, ...) or (V,).
        target: class ids (integers) of shape (N,), (N, d1, ...) or (), or probabilities (floats) in input's shape.
        weight: (V,) a weight per class; the mean is then weighted.
        ignore_index: targets of this value count for nothing.
        reduction: "mean" over what counts, "sum", or "none".
        label_smoothing: this share of each target is spread over all classes.

    Raises:
        IndexError: a target outside [0, V).
        ValueError: another number of targets than of inputs; an unknown reduction.
        RuntimeError: shapes that do not belong together, targets that are neither integers nor probabilities.
        NotImplementedError: logits that are integers.
    """
    _check_loss("cross_entropy", input, target, weight, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.array.dtype.kind == "f":
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    rows, ids, scale = _rows_and_targets("cross_entropy", input, target, weight, ignore_index)
    losses = CrossEntropy.apply(rows, target=ids, weight=scale, watched=target)
    name = "NllLoss" if input.ndim < 3 else "NllLoss2D"
    if label_smoothing:
        name = "Add"
        spread = -log_softmax(rows)
        if weight is not None:
            spread = spread * broadcast_to(weight, spread.array.shape)
        spread = masked_fill(sum(spread, 1) / rows.array.shape[1], wrap(_ignored(ids, target, ignore_index)), 0)
        losses = losses * (1 - label_smoothing) + spread * label_smoothing
    return _reduced(name, losses, scale, reduction, target.array.shape)


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """-input[i, target[i]]: cross_entropy for log-probabilities (torch.nn.functional.nll_loss).

    Arguments, shapes and errors are those of cross_entropy.
    """
    _check_loss("nll_loss", input, target, weight, reduction)
    rows, ids, scale = _rows_and_targets("nll_loss", input, target, weight, ignore_index)
    name = "NllLoss" if input.ndim < 3 else "NllLoss2D"
    return _reduced(name, nll_definition(rows, ids, scale), scale, reduction, target.array.shape)


def _check_loss(name: str, input: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> None:
    for argument, x in (("input", input), ("target", target)):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: {argument} must be a Tensor, got {type(x).__name__}")
    namespace(input.array, target.array)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction: use 'mean', 'sum' or 'none'")
    if input.ndim == 0:
        raise (RuntimeError if name == "cross_entropy" else ValueError)(
            f"{name}: input must have a class axis, (V,) or (N, V), got a single number"
        )
    if input.array.dtype.kind != "f":
        raise NotImplementedError(f"{name}: input must be of a floating type, got {input.dtype}; use .float()")
    axis = _class_axis(input)
    if axis and target.ndim == 1 and len(target) != len(input):
        raise ValueError(
            f"{name}: Expected input batch_size ({len(input)}) to match target batch_size ({len(target)}): "
            f"input is {tuple(input.shape)} and target {tuple(target.shape)}"
        )
    classes = input.array.shape[axis]
    by_id = target.array.dtype.kind != "f"
    if weight is not None and by_id and (weight.requires_grad or weight.array.dtype != input.array.dtype):
        raise RuntimeError(
            f"{name}: weight must be a constant of the input's type {input.dtype}, got {weight.dtype}"
            + (" that requires grad" if weight.requires_grad else "")
        )
    if weight is not None and weight.array.shape != (classes,):
        raise RuntimeError(
            f"{name}: weight should have one number for each of the {classes} classes, got {tuple(weight.shape)}"
        )


def _class_axis(input: Tensor) -> int:
    return 0 if input.ndim == 1 else 1


def _soft_cross_entropy(input: Tensor, target: Tensor, weight: Any, reduction: str, smoothing: float) -> Tensor:
    """Lᵢ = -Σ target ln softmax(inputᵢ), for probabilities."""
    axis = _class_axis(input)
    if target.array.shape != input.array.shape:
        raise RuntimeError(
            f"cross_entropy: probabilities as targets must have the input's shape {tuple(input.shape)}, got "
            f"{tuple(target.shape)} of {target.dtype}; class ids must be integers"
        )
    if smoothing:
        target = target * (1 - smoothing) + smoothing / input.array.shape[axis]
    terms = -log_softmax(input, axis) * target
    if weight is not None:
        per_class = Reshape.apply(weight, to=tuple(-1 if i == axis else 1 for i in range(input.ndim)))
        terms = terms * broadcast_to(per_class, input.array.shape)
    losses = sum(terms, axis)
    if reduction == "none":
        return losses
    return sum(losses) if reduction == "sum" else named("Div", mean(losses), variant=1)


def _rows_and_targets(
    name: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Index, Array]:
    """input as (N, V), the target ids as (N,) with ignored ones set to 0, and for each its weight, 0 where ignored."""
    axis = _class_axis(input)
    classes = input.array.shape[axis]
    expected = input.array.shape[:axis] + input.array.shape[axis + 1 :]
    if target.array.dtype.kind not in "iu":
        raise RuntimeError(f"{name}: expected scalar type Long for the target's class ids, got {target.dtype}")
    if target.array.shape != expected:
        sentence = (
            f"{name}: input of shape {tuple(input.shape)} has its {classes} classes on axis {axis}, so target should be "
            f"of shape {expected}, got {tuple(target.shape)}"
        )
        if input.ndim <= 2 and target.array.shape != input.array.shape:
            raise ValueError(sentence)
        raise RuntimeError(f"{sentence}. For (B, T, V) logits use logits.flatten(0, 1) and targets.flatten()")
    if input.ndim > 2:  # classes last
        input = Permute.apply(input, dims=(0, *range(2, input.ndim), 1))
    rows = Reshape.apply(input, to=(target.numel(), classes))
    ids: Index = Reshape.apply(target, to=(target.numel(),))
    ignored = array_of(ids) == ignore_index
    if namespace(ignored) is np:
        some = bool(ignored.any())
    else:  # a GPU is not asked
        known = ids.extent()
        some = known is None or known[0] <= ignore_index <= known[1]
    if some:
        ids = namespace(ignored).where(ignored, 0, array_of(ids))

    def out_of_bounds(ids: np.ndarray) -> IndexError:
        bad = ((ids < 0) | (ids >= classes)).reshape(expected)
        first = [int(axis[0]) for axis in bad.nonzero()] if expected else []
        return IndexError(
            f"{name}: target{first or ''} = {ids.reshape(expected)[tuple(first)]} is out of bounds: the input has classes "
            f"0..{classes - 1}; {int(bad.sum())} of {target.numel()} targets are. For padding use ignore_index (now {ignore_index})"
        )

    check_range(ids, 0, classes, out_of_bounds)
    scale = (~ignored).astype(rows.array.dtype)
    if weight is not None:
        scale = scale * weight.array[array_of(ids)]
    return rows, ids, scale


def _ignored(ids: Index, target: Tensor, ignore_index: int) -> Array:
    return target.array.reshape(array_of(ids).shape) == ignore_index


def _reduced(name: str, losses: Tensor, scale: Array, reduction: str, shape: tuple[int, ...]) -> Tensor:
    if reduction == "none":
        return named(name, Reshape.apply(losses, to=shape))
    total = sum(losses)
    return named(name, total if reduction == "sum" else total / wrap(asarray(scale.sum(), like=scale)))
