"""Fast forms that carry their definition.

A fused op computes in one go, with few passes over memory, what its `definition` says in small ops. The definition is its
documentation, the oracle of its tests, and what is differentiated when the gradient itself must be differentiable
(create_graph=True). The engine chooses when backward runs; the caller does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from .backend import Array, namespace, quiet
from .core import Op, grad
from .dtypes import as_numpy
from .grad_mode import mode
from .ops.convert import cast
from .ops.elementwise import exp, log
from .ops.indexing import checked, gather
from .ops.reduction import sum
from .ops.shape import Permute, Reshape, broadcast_to, named, unsqueeze
from .tensor import Tensor, axis_of, wrap


class Fused(Op):
    """An op with a fast backward on arrays, and a definition in ops for higher derivatives."""

    fresh = True
    definition: ClassVar[Callable[..., Tensor]]

    def backward(self, g: Tensor) -> Sequence[Tensor | None]:
        if mode.recording:
            return self.defined_backward(g)
        return [None if gx is None else wrap(gx) for gx in self.fast_backward(g.array)]

    def fast_backward(self, g: Array) -> Sequence[Array | None]:
        raise NotImplementedError

    def defined_backward(self, g: Tensor) -> Sequence[Tensor | None]:
        """The definition's gradient, recorded: a function of the inputs and of g."""
        inputs = [Reshape.apply(x, to=x.array.shape) for x in self.inputs]  # apart, even if one tensor came in twice
        y = type(self).definition(*inputs, **self.params())
        wanted = [x for i, x in enumerate(inputs) if self.needs(i)]
        gradients = iter(grad(y, wanted, g, create_graph=True, allow_unused=True))
        return [next(gradients) if self.needs(i) else None for i in range(len(inputs))]

    def params(self) -> dict[str, Any]:
        """What the definition takes besides the inputs."""
        return {}


# --------------------------------------------------------------------------------------------------------------- softmax


def softmax_definition(x: Tensor) -> Tensor:
    """yᵢ = exp(xᵢ - m) / Σⱼ exp(xⱼ - m), m = max x, over the last axis"""
    e = exp(x - wrap(x.array.max(axis=-1, keepdims=True)))  # m cancels, and so does its gradient
    return e / sum(e, -1, keepdim=True)


def log_softmax_definition(x: Tensor) -> Tensor:
    """yᵢ = xᵢ - m - ln Σⱼ exp(xⱼ - m), m = max x, over the last axis"""
    centered = x - wrap(x.array.max(axis=-1, keepdims=True))
    return centered - log(sum(exp(centered), -1, keepdim=True))


def _centered(x: Array) -> Array:
    return x - x.max(axis=-1, keepdims=True)


class Softmax(Fused):
    """y = softmax(x) over the last axis; gx = y (g - Σ g y)"""

    definition = staticmethod(softmax_definition)
    keeps_output = True

    @quiet
    def forward(self, x: Array) -> Array:
        y = _centered(x)
        namespace(x).exp(y, out=y)
        y /= y.sum(axis=-1, keepdims=True)
        return y

    def fast_backward(self, g: Array) -> Sequence[Array]:
        y = self.output.array
        gx = g * y
        gx -= y * gx.sum(axis=-1, keepdims=True)
        return (gx,)


class LogSoftmax(Fused):
    """y = ln softmax(x) over the last axis; gx = g - exp(y) Σ g"""

    definition = staticmethod(log_softmax_definition)

    @quiet
    def forward(self, x: Array) -> Array:
        xp = namespace(x)
        y = _centered(x)
        e = xp.exp(y)
        total = e.sum(axis=-1, keepdims=True)
        y -= xp.log(total)
        e /= total
        self.saved = e
        return y

    def fast_backward(self, g: Array) -> Sequence[Array]:
        return (g - self.saved * g.sum(axis=-1, keepdims=True),)


def _over(op: type[Op], x: Tensor, dim: int, dtype: Any) -> Tensor:
    """A last-axis op applied along dim."""
    if dtype is not None:
        x = cast(x, as_numpy(dtype))
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f"softmax of {x.dtype}: it needs floating point; use x.float() or dtype=")
    axis = axis_of(x, dim, "softmax")
    if x.ndim == 0:
        return Reshape.apply(op.apply(Reshape.apply(x, to=(1,))), to=())
    if x.numel() == 0:
        return x * 1
    if axis == x.ndim - 1:
        return op.apply(x)
    dims = tuple(x.ndim - 1 if i == axis else axis if i == x.ndim - 1 else i for i in range(x.ndim))
    return Permute.apply(op.apply(Permute.apply(x, dims=dims)), dims=dims)


def softmax(x: Tensor, dim: int = -1, dtype: Any = None) -> Tensor:
    """exp(x) / Σ exp(x) along dim, without overflow (torch.softmax)."""
    return named("Softmax", _over(Softmax, x, dim, dtype))


def log_softmax(x: Tensor, dim: int = -1, dtype: Any = None) -> Tensor:
    """ln softmax(x) along dim, without overflow (torch.log_softmax)."""
    return named("LogSoftmax", _over(LogSoftmax, x, dim, dtype))


# --------------------------------------------------------------------------------------------------------- cross-entropy


def cross_entropy_definition(logits: Tensor, target: Array, weight: Array) -> Tensor:
    """Lᵢ = -wᵢ ln softmax(logitsᵢ)[targetᵢ] for logits (N, V), target (N,), weight (N,)"""
    at_target = gather(log_softmax(logits), 1, wrap(target[:, None]))
    return -wrap(weight) * Reshape.apply(at_target, to=target.shape)


class CrossEntropy(Fused):
    """Lᵢ = -wᵢ ln softmax(logitsᵢ)[targetᵢ]; glogitsᵢ = gᵢ wᵢ (softmax(logitsᵢ) - one_hot(targetᵢ))

    The softmax that forward computes is kept, and is the gradient but for the targets: no one-hot matrix is ever made.
    """

    definition = staticmethod(cross_entropy_definition)
    target: Array
    weight: Array

    def params(self) -> dict[str, Any]:
        return {"target": self.target, "weight": self.weight}

    @quiet
    def forward(self, logits: Array) -> Array:
        xp = namespace(logits)
        rows = xp.arange(len(logits))
        y = _centered(logits)
        at_target = y[rows, self.target]
        xp.exp(y, out=y)
        total = y.sum(axis=-1, keepdims=True)
        y /= total
        self.saved = y
        losses = xp.log(total[:, 0]) - at_target
        return xp.where(self.weight != 0, losses * self.weight, 0)  # an ignored row counts 0 even if it is nan

    def fast_backward(self, g: Array) -> Sequence[Array]:
        xp = namespace(g)
        gx = self.saved * (g * self.weight)[:, None]
        gx[xp.arange(len(gx)), self.target] -= g * self.weight
        if not self.weight.all():
            gx[self.weight == 0] = 0
        return (gx,)


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
        ValueError: shapes that do not belong together; an unknown reduction.
        RuntimeError: targets that are neither integers nor probabilities.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction: use 'mean', 'sum' or 'none'")
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input.ndim == 0 or input.array.dtype.kind != "f":
        raise RuntimeError(
            f"cross_entropy: input must be logits (N, V) of a floating type, got {tuple(input.shape)} {input.dtype}"
        )
    axis = 0 if input.ndim == 1 else 1
    if target.array.dtype.kind == "f":
        return _soft_cross_entropy(input, target, axis, weight, reduction, label_smoothing)
    return _hard_cross_entropy(input, target, axis, weight, ignore_index, reduction, label_smoothing)


def _soft_cross_entropy(
    input: Tensor, target: Tensor, axis: int, weight: Any, reduction: str, smoothing: float
) -> Tensor:
    if target.shape != input.shape:
        raise ValueError(
            f"cross_entropy: probabilities as targets must have the input's shape {tuple(input.shape)}, got {tuple(target.shape)}"
        )
    if smoothing:
        target = target * (1 - smoothing) + smoothing / input.array.shape[axis]
    terms = -log_softmax(input, axis) * target
    if weight is not None:
        terms = terms * _per_class(weight, input, axis)
    losses = sum(terms, axis)
    if reduction == "none":
        return losses
    total = sum(losses)
    return total if reduction == "sum" else total / max(losses.numel(), 1)


def _per_class(weight: Tensor, input: Tensor, axis: int) -> Tensor:
    return broadcast_to(
        Reshape.apply(weight, to=tuple(-1 if i == axis else 1 for i in range(input.ndim))), input.array.shape
    )


def _hard_cross_entropy(
    input: Tensor, target: Tensor, axis: int, weight: Tensor | None, ignore_index: int, reduction: str, smoothing: float
) -> Tensor:
    classes = input.array.shape[axis]
    expected = input.array.shape[:axis] + input.array.shape[axis + 1 :]
    if target.array.dtype.kind not in "iu":
        raise RuntimeError(
            f"cross_entropy: expected class ids as integers or probabilities as floats, got {target.dtype}"
        )
    if target.array.shape != expected:
        raise ValueError(
            f"cross_entropy: input of shape {tuple(input.shape)} has its {classes} classes on axis {axis}, so target should be "
            f"of shape {expected}, got {tuple(target.shape)}. For (B, T, V) logits use logits.flatten(0, 1) and targets.flatten()"
        )
    if input.ndim > 2:  # classes last
        input = Permute.apply(input, dims=(0, *range(2, input.ndim), 1))
    logits = Reshape.apply(input, to=(target.numel(), classes))
    ids = target.array.reshape(-1)
    xp = namespace(ids)
    counts = ids != ignore_index
    ids = checked(xp.where(counts, ids, 0), (classes, classes), "cross_entropy", False) if classes else ids
    scale = counts.astype(input.array.dtype)
    if weight is not None:
        scale = scale * weight.array[ids]
    losses = CrossEntropy.apply(logits, target=ids, weight=scale)
    if smoothing:
        spread = -log_softmax(logits)
        if weight is not None:
            spread = spread * broadcast_to(weight, spread.array.shape)
        spread = sum(spread, 1) * wrap(counts.astype(scale.dtype)) / classes
        losses = losses * (1 - smoothing) + spread * smoothing
    if reduction == "none":
        return named("NllLoss", Reshape.apply(losses, to=expected))
    total = sum(losses)
    if reduction == "mean":
        total = total / float(scale.sum())
    return named("NllLoss", total)


def nll_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """-input[i, target[i]] for log-probabilities (N, V) and ids (N,) (torch.nn.functional.nll_loss)."""
    losses = -Reshape.apply(gather(input, 1, unsqueeze(target, 1)), to=target.array.shape)
    if reduction == "none":
        return losses
    return named("NllLoss", sum(losses) if reduction == "sum" else sum(losses) / losses.numel())
