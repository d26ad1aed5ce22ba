"""Choosing between elements: where, masks, bounds, and the comparisons that make masks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import backend
from ..backend import Array, namespace
from ..core import Op
from ..dtypes import Number, result_type
from ..tensor import Tensor, wrap
from .convert import Gradients, cast
from .operands import Operand, apply_binary, number_or_tensor
from .shape import broadcast_shapes, broadcast_to

# ------------------------------------------------------------------------------------------------------------- selection


class Where(Op):
    """z = x where condition, else y; each takes its part of g"""

    reads = ((), ())
    fresh = True
    condition: Array

    def forward(self, x: Array, y: Array) -> Array:
        return namespace(self.condition).where(self.condition, x, y)

    def backward(self, g: Tensor) -> Gradients:
        c = wrap(self.condition)
        return where(c, g, 0.0) if self.needs(0) else None, where(c, 0.0, g) if self.needs(1) else None


def where(condition: Tensor, x: Operand, y: Operand) -> Tensor:
    """x where condition (bool) holds, else y; all three broadcast (torch.where)."""
    if condition.array.dtype != bool:
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype}"
        )
    dtype = result_type(number_or_tensor("where", x), number_or_tensor("where", y))
    shapes = [z.array.shape for z in (condition, x, y) if isinstance(z, Tensor)]
    shape = broadcast_shapes("where", *shapes)
    c = backend.namespace(condition.array).broadcast_to(condition.array, shape)
    parts = []
    for z in (x, y):
        if not isinstance(z, Tensor):
            z = wrap(backend.asarray(z, dtype=dtype, like=condition.array))
        parts.append(broadcast_to(cast(z, dtype), shape))
    return Where.apply(*parts, condition=c)


class MaskedFill(Op):
    """y = value where mask, else x; gx = 0 where mask, else g"""

    reads = ()
    fresh = True
    mask: Array
    value: Number

    def forward(self, x: Array) -> Array:
        y = x.copy()
        namespace(x).copyto(y, y.dtype.type(self.value), where=self.mask)
        return y

    def backward(self, g: Tensor) -> Gradients:
        return (MaskedFill.apply(g, mask=self.mask, value=0),)


def masked_fill(x: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """x with `value` (a number or a 0-d tensor) where mask holds; the mask broadcasts (torch.masked_fill)."""
    if mask.array.dtype != bool:
        raise RuntimeError(f"masked_fill only supports boolean masks, but got mask with dtype {mask.dtype}")
    if isinstance(value, Tensor):
        if value.ndim > 0:
            raise RuntimeError(
                f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s)."
            )
        if value.requires_grad:
            return where(mask, cast(value, x.array.dtype), x)
        value = value.item()
    if x.array.dtype.kind in "iu" and isinstance(value, float) and not value.is_integer():
        raise RuntimeError(f"value cannot be converted to type {x.dtype} without overflow")
    shape = broadcast_shapes("masked_fill", x.array.shape, mask.array.shape)
    return MaskedFill.apply(
        broadcast_to(x, shape), mask=namespace(mask.array).broadcast_to(mask.array, shape), value=value
    )


class Maximum(Op):
    """z = max(x, y); g goes to the larger, half each where they are equal"""

    fresh = True
    sign = 1

    def forward(self, x: Array, y: Array) -> Array:
        xp = namespace(x, y)
        return xp.maximum(x, y) if self.sign > 0 else xp.minimum(x, y)

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        wins = gt(x, y) if self.sign > 0 else lt(x, y)
        tie = eq(x, y)
        return where(tie, g / 2, where(wins, g, 0.0)), where(tie, g / 2, where(logical_not(wins), g, 0.0))


class Minimum(Maximum):
    """z = min(x, y); g goes to the smaller, half each where they are equal"""

    sign = -1


def maximum(x: Tensor, y: Tensor) -> Tensor:
    """The larger of x and y, element by element, broadcast (torch.maximum)."""
    return apply_binary(Maximum, "maximum", x, y)


def minimum(x: Tensor, y: Tensor) -> Tensor:
    """The smaller of x and y, element by element, broadcast (torch.minimum)."""
    return apply_binary(Minimum, "minimum", x, y)


class Clamp(Op):
    """y = x, but not below low nor above high; gx = g inside, bounds included"""

    fresh = True
    low: Number | None
    high: Number | None

    def forward(self, x: Array) -> Array:
        return namespace(x).clip(x, self.low, self.high)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        outside = wrap(namespace(x.array).zeros(x.array.shape, dtype=bool))
        if self.low is not None:
            outside = logical_or(outside, lt(x, self.low))
        if self.high is not None:
            outside = logical_or(outside, gt(x, self.high))
        return (masked_fill(g, outside, 0),)


def clamp(x: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """x limited to [min, max]; a bound may be left out, and may be a tensor (torch.clamp)."""
    if min is None and max is None:
        raise RuntimeError("clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        y = x if min is None else maximum(x, min)  # type: ignore[arg-type]
        return y if max is None else minimum(y, max)  # type: ignore[arg-type]
    dtype = result_type(x, *(b for b in (min, max) if b is not None))
    return Clamp.apply(cast(x, dtype), low=min, high=max)


# ----------------------------------------------------------------------------------------------- comparisons, without gradient


def _comparison(name: str, sign: str) -> Callable[[Operand, Operand], Tensor]:
    def compare(x: Operand, y: Operand) -> Tensor:
        x, y = number_or_tensor(name, x), number_or_tensor(name, y)
        a, b = (z.array if isinstance(z, Tensor) else z for z in (x, y))
        xp = namespace(a, b)
        if isinstance(x, Tensor) and isinstance(y, Tensor):
            broadcast_shapes(name, x.array.shape, y.array.shape)
        if result_type(x, y).kind == "f":  # compare as torch does, in the common type
            common = result_type(x, y)
            a, b = (z.astype(common) if isinstance(z, np.ndarray) and z.dtype != common else z for z in (a, b))
        return wrap(getattr(xp, name)(a, b))

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"x {sign} y, element by element, as bools; broadcast."
    return compare


eq = _comparison("equal", "==")
ne = _comparison("not_equal", "!=")
lt = _comparison("less", "<")
le = _comparison("less_equal", "<=")
gt = _comparison("greater", ">")
ge = _comparison("greater_equal", ">=")


def _logical(name: str, doc: str) -> Callable[..., Tensor]:
    def f(*xs: Operand) -> Tensor:
        arrays = [x.array if isinstance(x, Tensor) else x for x in xs]
        return wrap(getattr(namespace(*arrays), name)(*arrays))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return f


logical_not = _logical("logical_not", "True where x is zero.")
logical_and = _logical("logical_and", "True where both are nonzero.")
logical_or = _logical("logical_or", "True where either is nonzero.")
logical_xor = _logical("logical_xor", "True where exactly one is nonzero.")
isnan = _logical("isnan", "True where x is not a number.")
isinf = _logical("isinf", "True where x is infinite.")
isfinite = _logical("isfinite", "True where x is neither infinite nor nan.")


def _bitwise(name: str, sign: str) -> Callable[..., Tensor]:
    def f(*xs: Operand) -> Tensor:
        arrays = [x.array if isinstance(x, Tensor) else x for x in xs]
        if any(isinstance(a, float) or getattr(a, "dtype", np.dtype(bool)).kind == "f" for a in arrays):
            raise RuntimeError(f"{name} is for bools and integers, not for floats")
        return wrap(getattr(namespace(*arrays), name)(*arrays))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"{sign} of bools or integers."
    return f


bitwise_not = _bitwise("invert", "~")
bitwise_and = _bitwise("bitwise_and", "&")
bitwise_or = _bitwise("bitwise_or", "|")
bitwise_xor = _bitwise("bitwise_xor", "^")
