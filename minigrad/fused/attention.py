"""Scaled dot-product attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backend import Array, namespace
from ..kernels import by_rows
from ..ops.elementwise import exp
from ..ops.linalg import matmul
from ..ops.reduction import sum
from ..ops.selection import masked_fill
from ..ops.shape import matrix_transpose, named
from ..tensor import Tensor, wrap
from .base import Fused
from .softmax import softmax_gradient


def attention_definition(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float, hidden: Array | None, keep: Array | None
) -> Tensor:
    """y = (softmax(s) keep) v, s = scale q kᵀ + bias, -∞ where hidden; the softmax of nothing but -∞ is 0 (Vaswani et al., 2017)"""
    s = matmul(q, matrix_transpose(k)) * scale
    s = s if bias is None else s + bias
    s = s if hidden is None else masked_fill(s, wrap(hidden), float("-inf"))
    e = exp(s - wrap(_peak(s.array)))  # the peak cancels, and so does its gradient
    total = sum(e, -1, keepdim=True)
    p = e / (total + wrap((total.array == 0).astype(e.array.dtype)))
    return matmul(p if keep is None else p * wrap(keep), v)


def _peak(s: Array) -> Array:
    peak = s.max(axis=-1, keepdims=True)
    namespace(s).copyto(peak, 0, where=peak == -float("inf"))
    return peak


@by_rows("""
    x[i,j] -> y[i,j]:
    const T m = MAX(x[j]), peak = m < 0 && isinf(m) ? 0 : m, total = SUM(exp(x[j] - peak));
    EACH y[j] = exp(x[j] - peak) / (total == 0 ? 1 : total);
""")
def softmax_or_zeros(x: Array) -> Array:
    """softmax over the last axis, and zeros where there is nothing but -∞."""
    y = x - _peak(x)
    namespace(x).exp(y, out=y)
    total = y.sum(axis=-1, keepdims=True)
    namespace(x).copyto(total, 1, where=total == 0)
    y /= total
    return y


class Attention(Fused):
    """y = w v, w = p keep, p = softmax(s), s = scale q kᵀ + bias, -∞ where hidden

    gv = wᵀ g; gp = keep (g vᵀ); gs = p (gp - Σ gp p); gq = scale gs k; gk = scale gsᵀ q; gbias = gs. Of the (L, S) matrices only p is kept.
    """

    label = "UnsafeViewBackward0"
    definition = staticmethod(attention_definition)
    scale: float
    hidden: Array | None
    keep: Array | None

    def params(self) -> dict[str, Any]:
        _, hidden, keep = self.saved
        return {"scale": self.scale, "hidden": hidden, "keep": keep}

    def forward(self, q: Array, k: Array, v: Array, bias: Array | None) -> Array:
        hidden, keep = self.__dict__.pop("hidden"), self.__dict__.pop("keep")
        xp = namespace(q, k, v, bias, hidden, keep)
        p = (q * self.scale) @ k.swapaxes(-1, -2)
        if bias is not None:
            p += bias
        if hidden is not None:
            xp.copyto(p, p.dtype.type(-float("inf")), where=hidden)
        p = softmax_or_zeros(p, into=p)
        self.save(p, hidden, keep)
        return (p if keep is None else p * keep) @ v

    def fast_backward(self, g: Array) -> Sequence[Array | None]:
        (q, k, v, _), (p, _, keep) = self.inputs, self.saved
        gq = gk = gv = gbias = None
        if self.needs(2):
            gv = (p if keep is None else p * keep).swapaxes(-1, -2) @ g
        if self.needs(0) or self.needs(1) or self.needs(3):
            gs = g @ v.array.swapaxes(-1, -2)
            if keep is not None:
                gs *= keep
            gs = softmax_gradient(p, gs, into=gs)
            gq = (gs @ k.array) * self.scale if self.needs(0) else None
            gk = gs.swapaxes(-1, -2) @ (q.array * self.scale) if self.needs(1) else None
            gbias = gs if self.needs(3) else None
        return gq, gk, gv, gbias


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    *,
    scale: float,
    hidden: Array | None = None,
    keep: Array | None = None,
) -> Tensor:
    """softmax(scale q kᵀ + bias) v for (..., L, E), (..., S, E), (..., S, F) and (..., L, S), all with equal leading axes.

    Args:
        hidden: bools that broadcast to (..., L, S): True where a query does not see a key. A query that sees none gives 0.
        keep: (..., L, S) factors of the softmax, for dropout.
    """
    if key.array.shape[-2] == 0:  # nothing to look at: zeros
        return matmul(matmul(query, matrix_transpose(key)), value)
    y = Attention.apply(query, key, value, bias, scale=scale, hidden=hidden, keep=keep)
    if query.ndim == 4 and keep is None and not (bias is not None and bias.requires_grad):
        return named("ScaledDotProductFlashAttentionForCpu", y)  # torch has a kernel for these
    return named("Mm", y) if query.ndim == 2 else y
