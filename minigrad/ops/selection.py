"""Choosing between elements: where, masks, bounds, and the comparisons that make masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import backend
from ..backend import Array, namespace, quiet
from ..core import Op
from ..dtypes import Number, result_type
from ..grad_mode import no_grad
from ..tensor import Tensor, wrap
from .convert import Gradients, cast
from .indexing import nonzero
from .operands import Operand, apply_binary, fitting, number_or_tensor, operands
from .shape import broadcast_shapes, broadcast_to, named

# ------------------------------------------------------------------------------------------------------------- selection


class Where(Op):
    """z = x where condition, else y; each takes its part of g"""

    reads = ((), ())
    fresh = True
    condition: Tensor

    def forward(self, x: Array, y: Array) -> Array:
        condition = self.__dict__.pop("condition")
        self.save(condition)
        return namespace(condition.array).where(condition.array, x, y)

    def backward(self, g: Tensor) -> Gradients:
        (c,) = self.saved
        return where(c, g, 0.0) if self.needs(0) else None, where(c, 0.0, g) if self.needs(1) else None


def where(condition: Tensor, x: Operand | None = None, y: Operand | None = None) -> Any:
    """x where condition (bool) holds, else y; all three broadcast (torch.where). where(x) is nonzero(x, as_tuple=True)."""
    if x is None and y is None:
        return nonzero(condition, as_tuple=True)
    if x is None or y is None:
        raise TypeError(
            "where: expected what to take where condition holds and where it does not; one of the two is missing"
        )
    if condition.array.dtype != bool:
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype}"
        )
    namespace(condition.array, *(z.array for z in (x, y) if isinstance(z, Tensor)))
    dtype = result_type(number_or_tensor("where", x), number_or_tensor("where", y))
    shapes = [z.array.shape for z in (condition, x, y) if isinstance(z, Tensor)]
    shape = broadcast_shapes("where", *shapes)
    c = broadcast_to(condition, shape)
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
    mask: Tensor
    value: Number

    def forward(self, x: Array) -> Array:
        mask = self.__dict__.pop("mask")
        self.save(mask)
        y = x.copy()
        namespace(x, mask.array).copyto(y, y.dtype.type(self.value), where=mask.array)
        return y

    def backward(self, g: Tensor) -> Gradients:
        return (MaskedFill.apply(g, mask=self.saved[0], value=0),)


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
    namespace(x.array, mask.array)
    shape = broadcast_shapes("masked_fill", x.array.shape, mask.array.shape)
    value = fitting(value, x.array.dtype)
    return MaskedFill.apply(broadcast_to(x, shape), mask=broadcast_to(mask, shape), value=value)


class Maximum(Op):
    """z = max(x, y); g goes to the larger, half each where they are equal"""

    fresh = True
    sign = 1

    def forward(self, x: Array, y: Array) -> Array:
        xp = namespace(x, y)
        return xp.maximum(x, y) if self.sign > 0 else xp.minimum(x, y)

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        shared = where(eq(x, y), g / 2, g)  # and where either is nan, both get g
        x_loses, y_loses = (lt, gt) if self.sign > 0 else (gt, lt)
        return masked_fill(shared, x_loses(x, y), 0), masked_fill(shared, y_loses(x, y), 0)


class Minimum(Maximum):
    """z = min(x, y); g goes to the smaller, half each where they are equal"""

    sign = -1


def _tensors(name: str, *xs: Tensor) -> None:
    for x in xs:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: expected a Tensor, got {type(x).__name__}")


def maximum(x: Tensor, y: Tensor) -> Tensor:
    """The larger of x and y, element by element, broadcast (torch.maximum)."""
    _tensors("maximum", x, y)
    return apply_binary(Maximum, "maximum", x, y)


def minimum(x: Tensor, y: Tensor) -> Tensor:
    """The smaller of x and y, element by element, broadcast (torch.minimum)."""
    _tensors("minimum", x, y)
    return apply_binary(Minimum, "minimum", x, y)


class Clamp(Op):
    """y = x, but not below low nor above high; gx = g inside, bounds included"""

    fresh = True
    low: Number | None
    high: Number | None

    def forward(self, x: Array) -> Array:
        xp = namespace(x)
        y = xp.empty_like(x)
        if self.low is not None:
            x = xp.maximum(self.low, x, out=y)  # of two zeros NumPy takes the second, as torch takes x
        return x if self.high is None else xp.minimum(self.high, x, out=y)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        inside = wrap(namespace(x.array).ones(x.array.shape, dtype=bool))
        if self.low is not None:
            inside = logical_and(inside, ge(x, self.low))
        if self.high is not None:
            inside = logical_and(inside, le(x, self.high))
        return (where(inside, g, 0.0),)


def clamp(x: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """x limited to [min, max]; a bound may be left out, and may be a tensor (torch.clamp)."""
    if min is None and max is None:
        raise RuntimeError("clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        y = x if min is None else where(lt(x, min), min, x)
        return named("Clamp", y if max is None else where(gt(y, max), max, y))
    dtype = result_type(x, *(b for b in (min, max) if b is not None))
    low, high = (None if b is None else fitting(b, dtype) for b in (min, max))
    return named("Clamp", Clamp.apply(cast(x, dtype), low=low, high=high), variant=1)


def _triangle(name: str, x: Tensor, diagonal: int, lower: bool) -> Tensor:
    if x.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    xp = namespace(x.array)
    keep = xp.tri(x.array.shape[-2], x.array.shape[-1], diagonal if lower else diagonal - 1, dtype=bool)
    mask = wrap(xp.broadcast_to(~keep if lower else keep, x.array.shape))
    return named(name.title(), MaskedFill.apply(x, mask=mask, value=0))


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """x (..., M, N) with zeros above the diagonal (torch.tril)."""
    return _triangle("tril", x, diagonal, lower=True)


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """x (..., M, N) with zeros below the diagonal (torch.triu)."""
    return _triangle("triu", x, diagonal, lower=False)


# ----------------------------------------------------------------------------------------------- comparisons, without gradient


def _comparison(name: str, sign: str) -> Callable[[Operand, Operand], Tensor]:
    @quiet
    def compare(x: Operand, y: Operand) -> Tensor:
        with no_grad():
            a, b = (z.array if isinstance(z, Tensor) else z for z in operands(name, x, y))
        return wrap(getattr(namespace(a, b), name)(a, b))

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
        if result_type(*xs).kind == "f":
            error = TypeError if len(xs) == 1 else NotImplementedError
            raise error(f"{name} is for bools and integers, not for floats")
        arrays = [
            x.array if isinstance(x, Tensor) else x for x in (xs if len(xs) == 1 else operands(name, xs[0], xs[1]))
        ]
        return wrap(getattr(namespace(*arrays), name)(*arrays))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"{sign} of bools or integers."
    return f


bitwise_not = _bitwise("invert", "~")
bitwise_and = _bitwise("bitwise_and", "&")
bitwise_or = _bitwise("bitwise_or", "|")
bitwise_xor = _bitwise("bitwise_xor", "^")
bitwise_left_shift = _bitwise("left_shift", "<<")
bitwise_right_shift = _bitwise("right_shift", ">>")
