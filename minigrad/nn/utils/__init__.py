"""Gradients clipped, and parameters as one vector (torch.nn.utils)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from types import GeneratorType
from typing import Any

import numpy as np

from ...backend import Array, namespace, quiet
from ...grad_mode import no_grad
from ...ops.creation import tensor
from ...ops.shape import cat
from ...sparse import RowSparse
from ...tensor import Tensor, wrap
from . import rnn

Tensors = Tensor | Iterable[Tensor]
_BLOCK = 1 << 16  # elements: what fits into a core's cache


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """g ← g min(1, max_norm / (‖all g‖ + 1e-6)), in place (torch.nn.utils.clip_grad_norm_).

    The gradient of a table stays rows.

    Returns:
        the norm before, a 0-d tensor.

    Raises:
        RuntimeError: error_if_nonfinite, and the norm is inf or nan; then nothing has changed.
    """
    if isinstance(parameters, GeneratorType):
        parameters = list(parameters)
        if not parameters:
            warnings.warn("`parameters` is an empty generator: was it used up before? Nothing is clipped", stacklevel=2)
    params = _with_gradients(parameters)
    norm = _total_norm([_summed(p) for p in params], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(params, max_norm, norm)
    return norm


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """g ← g min(1, max_norm / (total_norm + 1e-6)), in place (torch.nn.utils.clip_grads_with_norm_)."""
    factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    for p in _with_gradients(parameters):
        if isinstance(p._grad, Tensor):
            p._grad.mul_(factor.to(p._grad.device))
        else:
            p._grad.rows *= factor.to(p._grad.device).array.astype(p._grad.rows.dtype)


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """g ← min(max(g, -clip_value), clip_value), in place (torch.nn.utils.clip_grad_value_). A table's gradient stays rows."""
    bound = float(clip_value)
    for p in _with_gradients(parameters):
        if isinstance(p._grad, Tensor):
            p._grad.copy_(p._grad.clamp(-bound, bound))
        else:
            rows = _summed(p)
            namespace(rows).clip(rows, -bound, bound, out=rows)


def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all numbers in all tensors, as if they were one vector (torch.nn.utils.get_total_norm): 0-d.

    Raises:
        RuntimeError: error_if_nonfinite, and the norm is inf or nan.
    """
    tensors = [tensors] if isinstance(tensors, Tensor) else tensors
    return _total_norm(
        [t.array if isinstance(t, Tensor) else t.coalesce().rows for t in tensors], norm_type, error_if_nonfinite
    )


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters in one row (torch.nn.utils.parameters_to_vector)."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """The reverse of parameters_to_vector: the parameters' values, which are views of vec from now on.

    Raises:
        TypeError: vec is not a tensor.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for p in parameters:
        p.data = vec[start : start + p.numel()].reshape(p.shape).data
        start += p.numel()


def _with_gradients(parameters: Tensors) -> list[Tensor]:
    return [p for p in ([parameters] if isinstance(parameters, Tensor) else parameters) if p._grad is not None]


def _summed(p: Tensor) -> Array:
    """The numbers of p's gradient; rows in the order of their ids, each id once."""
    if isinstance(p._grad, RowSparse):
        p._grad = p._grad.coalesce()
        return p._grad.rows
    return p.grad.array


@quiet
def _norm(x: Array, p: float) -> Any:
    """(Σ |x|ᵖ)^(1/p)."""
    xp, x = namespace(x), x.reshape(-1)
    if p == float("inf"):
        return xp.abs(x).max() if x.size else 0.0
    if p == float("-inf"):
        return xp.abs(x).min() if x.size else 0.0
    if p == 0:
        return xp.count_nonzero(x)
    if p == 2 and xp is np and x.dtype != np.float16:
        return _length(x)
    if p == 2 and x.dtype != np.float16:
        return xp.sqrt(xp.square(x).sum(dtype=np.float64))
    return (xp.abs(x.astype(np.float64)) ** p).sum() ** (1 / p)


def _length(x: np.ndarray) -> Any:
    """√Σx² as torch adds it up: in as many lanes as a register of 32 bytes has, number after number, in x's own type.

    In float32 that is 0.2 % short for 38 million numbers, and where gradients are clipped, all that follows shows it.
    """
    lanes = 32 // x.itemsize
    whole = x.size - x.size % lanes
    sums = np.zeros(lanes, x.dtype)
    for start in range(0, whole, _BLOCK):
        squares = np.square(x[start : min(start + _BLOCK, whole)]).reshape(-1, lanes)
        squares[0] += sums
        np.einsum("ij->j", squares, out=sums)  # row after row, as add.reduce, and twice as fast
    total, rest = sums[0], x[whole:]
    for term in [*sums[1:], *np.square(rest[: len(rest) & 4])]:
        total = total + term
    for v in rest[len(rest) & 4 :].tolist():
        total = x.dtype.type(v * v + float(total))  # a fused multiply-add, where x is float32
    return np.sqrt(total)


def _total_norm(arrays: list[Array], norm_type: float, error_if_nonfinite: bool) -> Tensor:
    if not arrays:
        return tensor(0.0)
    p, xp, kind = float(norm_type), namespace(*arrays), np.result_type(*(a.dtype for a in arrays))
    each = xp.stack([xp.asarray(_norm(a, p), dtype=kind) for a in arrays])  # on a GPU nobody waits for them
    total = wrap(xp.asarray(_norm(each, p), dtype=kind))
    if error_if_nonfinite and not np.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {p} for gradients from `parameters` is non-finite ({total.item()}), so it cannot be "
            f"clipped. To scale by it all the same, set error_if_nonfinite=False"
        )
    return total


__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "rnn",
    "vector_to_parameters",
]
