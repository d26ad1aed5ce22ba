"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ..backend import Array, is_array
from ..core import Op
from ..dtypes import Number, result_type
from ..tensor import Tensor, wrap
from .convert import cast
from .elementwise import add, mul, sub
from .reduction import norm, sum
from .shape import Reshape, SumTo, broadcast_shapes, broadcast_to, matrix_transpose, named, reshape, unsqueeze


class MatMul(Op):
    """z = x y over the last two axes, for equal leading axes; gx = g yᵀ, gy = xᵀ g. matmul(·, y) is the transpose of matmul(·, yᵀ)."""

    reads = ((1,), (0,))
    fresh = True
    label = "MmBackward0"

    def forward(self, x: Array, y: Array) -> Array:
        self.transposed = [z.strides[-2] < z.strides[-1] for z in (x, y)]
        return x @ y

    def backward(self, g: Tensor) -> Sequence[Tensor | None]:
        x, y = self.inputs
        gx = _product(g, matrix_transpose(y), self.transposed[0]) if self.needs(0) else None
        return gx, _product(matrix_transpose(x), g, self.transposed[1]) if self.needs(1) else None


def _product(x: Tensor, y: Tensor, transposed: bool) -> Tensor:
    """x y, in memory transposed: the gradient of a weight used as W.T then arrives at W in W's own order, without a copy."""
    if transposed:
        return matrix_transpose(MatMul.apply(matrix_transpose(y), matrix_transpose(x)))
    return MatMul.apply(x, y)


class Linear(Op):
    """y = x Wᵀ + b over the last axis of x; gx = g W, gW = gᵀ x, gb = Σ g, with the leading axes taken as one."""

    reads = ((1,), (0,), ())
    fresh = True
    label = "AddmmBackward0"

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        y = x.reshape(prod(x.shape[:-1]), x.shape[-1]) @ weight.T
        if bias is not None:
            y += bias
        return y.reshape(*x.shape[:-1], len(weight))

    def backward(self, g: Tensor) -> Sequence[Tensor | None]:
        x, weight, _ = self.inputs
        shape = g.array.shape
        rows = Reshape.apply(g, to=(prod(shape[:-1]), shape[-1]))
        gx = gweight = None
        if self.needs(0):
            gx = Reshape.apply(MatMul.apply(rows, weight), to=(*shape[:-1], weight.array.shape[1]))
        if self.needs(1):
            columns = Reshape.apply(x, to=(rows.array.shape[0], x.array.shape[-1]))
            gweight = MatMul.apply(matrix_transpose(rows), columns)
        return gx, gweight, SumTo.apply(rows, to=shape[-1:]) if self.needs(2) else None


def matmul(x: Tensor, y: Tensor) -> Tensor:
    """The matrix product over the last two axes; leading axes broadcast; 1-d operands are vectors (torch.matmul).

    Shapes: (..., M, K) @ (..., K, N) -> (..., M, N).

    Raises:
        RuntimeError: the inner sizes differ, the leading axes do not broadcast, or the dtypes differ.
    """
    x, y = (wrap(z) if is_array(z) else z for z in (x, y))
    for operand in (x, y):
        if not isinstance(operand, Tensor):
            raise TypeError(f"matmul: expected tensors, got {type(operand).__name__}")
        if operand.ndim == 0:
            raise RuntimeError("both arguments to matmul need to be at least 1D: use * for a 0-d tensor")
    if x.array.dtype != y.array.dtype:
        raise RuntimeError(
            f"matmul: expected both operands to have the same dtype, but got {x.dtype} and {y.dtype}: use .to({y.dtype}) on one"
        )
    inner = y.array.shape[-2] if y.ndim > 1 else y.array.shape[0]
    if x.array.shape[-1] != inner:
        raise RuntimeError(
            f"matmul: {tuple(x.shape)} @ {tuple(y.shape)}: shapes cannot be multiplied, "
            f"the inner sizes {x.array.shape[-1]} and {inner} differ"
        )
    if x.ndim == 1 and y.ndim == 1:
        wide = np.dtype(np.float32) if x.array.dtype == np.float16 else x.array.dtype
        return named("Dot", cast(sum(mul(cast(x, wide), cast(y, wide)), dtype=wide), x.array.dtype))
    if x.ndim == 1:
        product = matmul(Reshape.apply(x, to=(1, x.numel())), y)
        row = Reshape.apply(product, to=(*product.array.shape[:-2], product.array.shape[-1]))
        return named("Squeeze", row, variant=4) if y.ndim == 2 else named("UnsafeView", row)
    if y.ndim == 1:
        product = matmul(x, Reshape.apply(y, to=(y.numel(), 1)))
        return named("Mv" if x.ndim == 2 else "UnsafeView", Reshape.apply(product, to=product.array.shape[:-1]))
    if y.ndim == 2:
        if x.ndim == 2:
            return MatMul.apply(x, y)
        # One product of many rows, so that the gradient of y is one product too, and not one for every leading index
        rows = MatMul.apply(reshape(x, -1 if inner else x.numel(), inner), y) if x.numel() else None
        if rows is not None:
            return named("UnsafeView", Reshape.apply(rows, to=(*x.array.shape[:-1], y.array.shape[-1])))
    try:
        lead = broadcast_shapes("matmul", x.array.shape[:-2], y.array.shape[:-2])
    except RuntimeError as error:
        raise RuntimeError(f"matmul: {tuple(x.shape)} @ {tuple(y.shape)}: the leading axes differ ({error})") from None
    x, y = (broadcast_to(z, (*lead, *z.array.shape[-2:])) for z in (x, y))
    return named("UnsafeView", MatMul.apply(x, y))


def mm(x: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices (torch.mm)."""
    if x.ndim != 2 or mat2.ndim != 2:
        raise RuntimeError(
            f"mm: both must be matrices, got {x.ndim}-d and {mat2.ndim}-d tensors; matmul takes more dimensions"
        )
    return matmul(x, mat2)


def bmm(x: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices, (B, M, K) and (B, K, N) (torch.bmm)."""
    if x.ndim != 3 or mat2.ndim != 3 or x.shape[0] != mat2.shape[0]:
        raise RuntimeError(f"bmm: both must be (B, ., .) with the same B, got {tuple(x.shape)} and {tuple(mat2.shape)}")
    return named("Bmm", matmul(x, mat2))


def dot(x: Tensor, tensor: Tensor) -> Tensor:
    """Σ xᵢ yᵢ of two vectors (torch.dot)."""
    if x.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"dot: 1D tensors expected, but got {x.ndim}D and {tensor.ndim}D tensors")
    return matmul(x, tensor)


def outer(x: Tensor, vec2: Tensor) -> Tensor:
    """xᵢ yⱼ of two vectors (torch.outer)."""
    if x.ndim != 1 or vec2.ndim != 1:
        raise RuntimeError(f"outer: 1D tensors expected, but got {x.ndim}D and {vec2.ndim}D tensors")
    dtype = result_type(x, vec2)
    return mul(Reshape.apply(cast(x, dtype), to=(x.numel(), 1)), cast(vec2, dtype))


def mv(x: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector (torch.mv)."""
    if x.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(f"mv: expected a matrix and a vector, got {x.ndim}-d and {vec.ndim}-d tensors")
    return matmul(x, vec)


def vdot(x: Tensor, y: Tensor) -> Tensor:
    """Σ xᵢ yᵢ of two vectors (torch.vdot)."""
    return named("Vdot", dot(x, y))


def inner(x: Tensor, y: Tensor) -> Tensor:
    """The products summed over the last axes of both, or x y where one is a number (torch.inner).

    Shapes: (..., K) and (***, K) give (..., ***).
    """
    if x.ndim == 0 or y.ndim == 0:
        return mul(x, y)
    if x.array.shape[-1] != y.array.shape[-1]:
        raise RuntimeError(f"inner: the size of last dimension must match, got {tuple(x.shape)} and {tuple(y.shape)}")
    if x.ndim == 1 and y.ndim == 1:
        return named("View", dot(x, y))
    k, lead = x.array.shape[-1], (*x.array.shape[:-1], *y.array.shape[:-1])
    rows, columns = (Reshape.apply(z, to=(prod(z.array.shape[:-1]), k)) for z in (x, y))
    return named("View", Reshape.apply(matmul(rows, matrix_transpose(columns)), to=lead))


def _added(name: str, x: Tensor, product: Tensor, beta: Number, alpha: Number) -> Tensor:
    scaled = product if alpha == 1 else mul(product, alpha)
    if broadcast_shapes(name, x.array.shape, product.array.shape) != product.array.shape:
        raise RuntimeError(f"{name}: {tuple(x.shape)} does not broadcast to the product's shape {tuple(product.shape)}")
    return named(name.title(), scaled if beta == 0 else add(x if beta == 1 else mul(x, beta), scaled))


def addmm(x: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta x + alpha mat1 @ mat2, for matrices (torch.addmm)."""
    return _added("addmm", x, mm(mat1, mat2), beta, alpha)


def baddbmm(x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Tensor:
    """beta x + alpha batch1 @ batch2, for batches of matrices (torch.baddbmm)."""
    return _added("baddbmm", x, bmm(batch1, batch2), beta, alpha)


def kron(x: Tensor, y: Tensor) -> Tensor:
    """Every element of x times the whole of y, side by side: the Kronecker product (torch.kron)."""
    n = max(x.ndim, y.ndim)
    a, b = ((1,) * (n - z.ndim) + z.array.shape for z in (x, y))
    apart = mul(reshape(x, [m for size in a for m in (size, 1)]), reshape(y, [m for size in b for m in (1, size)]))
    return named("UnsafeView", reshape(apart, [p * q for p, q in zip(a, b, strict=True)]))


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """The distances (Σ |x - y|ᵖ)^(1/p) of all rows x of x1 and y of x2 (torch.cdist).

    Shapes: (..., P, M) and (..., R, M) give (..., P, R).
    """
    if min(x1.ndim, x2.ndim) < 2:
        raise RuntimeError(f"cdist only supports at least 2D tensors, got {x1.ndim}D and {x2.ndim}D")
    if x1.array.shape[-1] != x2.array.shape[-1]:
        raise RuntimeError(f"cdist: both must have the same number of columns: {tuple(x1.shape)} and {tuple(x2.shape)}")
    return named("Cdist", norm(sub(unsqueeze(x1, -2), unsqueeze(x2, -3)), p, -1))
