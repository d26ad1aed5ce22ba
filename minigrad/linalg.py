"""torch.linalg, as far as norms go."""

from __future__ import annotations

from typing import Any

from .ops import reduction
from .ops.reduction import Dims
from .spelling import as_torch_spells
from .tensor import Tensor

__all__ = ["norm", "vector_norm"]


@as_torch_spells
def vector_norm(x: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(Σ |x|ᵒʳᵈ)^(1/ord) along dim, or of everything (torch.linalg.vector_norm)."""
    return reduction.norm(x if dtype is None else x.to(dtype), ord, dim, keepdim)


@as_torch_spells
def norm(A: Tensor, ord: Any = None, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The norm of a vector, or of vectors along dim; of all elements without ord (torch.linalg.norm).

    Raises:
        NotImplementedError: a norm of matrices other than "fro".
    """
    axes = A.ndim if dim is None else 1 if isinstance(dim, int) else len(dim)
    if ord is not None and ord != "fro" and axes == 2:
        raise NotImplementedError(f"linalg.norm: of matrices there is 'fro' only, got ord={ord!r}")
    return vector_norm(A, 2 if ord in (None, "fro") else ord, dim, keepdim, dtype=dtype)
