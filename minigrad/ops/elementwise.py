"""Element by element: arithmetic, functions of one number, comparisons, selection, and the change of type.

A binary op sees operands of one dtype and one shape. Making them so is the work of `operands`, with ops of their own
(Cast, BroadcastTo); their backward undoes it, so that each formula here is the textbook's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import backend, dtypes
from ..backend import Array, namespace, quiet
from ..core import Op
from ..dtypes import Number, as_numpy, default_float, result_type
from ..tensor import Tensor, wrap
from .shape import broadcast_shapes, broadcast_to

Operand = Tensor | Number
Gradients = Sequence[Tensor | None]

# ---------------------------------------------------------------------------------------------------------------- dtypes


class Cast(Op):
    """y = x as another type. The transpose of the cast back."""

    reads = ()
    label = "ToCopyBackward0"
    to: np.dtype[Any]

    def forward(self, x: Array) -> Array:
        self.back = x.dtype
        return x.astype(self.to)

    def backward(self, g: Tensor) -> Gradients:
        return (cast(g, self.back),)


class ToDevice(Op):
    """y = x on another device. The transpose of the way back."""

    reads = ()
    label = "ToCopyBackward0"
    to: dtypes.device

    def forward(self, x: Array) -> Array:
        self.back = backend.device_of(x)
        return backend.to_device(x, self.to)

    def backward(self, g: Tensor) -> Gradients:
        return (ToDevice.apply(g, to=self.back),)


def cast(x: Tensor, to: np.dtype[Any]) -> Tensor:
    """x as that NumPy dtype; x itself if it has it. Integers and bools carry no gradient."""
    if x.array.dtype == to:
        return x
    return Cast.apply(x, to=to) if to.kind == "f" else wrap(x.array.astype(to))


def to(
    x: Tensor, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False
) -> Tensor:
    """x with another dtype, on another device, or both: to(float64), to("cuda"), to("cuda", float64), to(other_tensor).

    Raises:
        BackendUnavailable: "cuda" was asked for and cannot be had; the message says why.
    """
    for a in args:
        if isinstance(a, Tensor):
            dtype, device = a.dtype, a.device
        elif isinstance(a, str | dtypes.device | int) and not isinstance(a, bool):
            device = a
        elif a is not None:
            dtype = a
    y = x
    if device is not None:
        there, here = dtypes.device(device), x.device
        if there.type != here.type or there.index not in (None, here.index):
            y = ToDevice.apply(y, to=there)
    if dtype is not None:
        y = cast(y, as_numpy(dtype))
    return y.clone() if copy and y is x else y


def floating(x: Tensor) -> Tensor:
    """x, or x as the default float where it holds integers or bools: what log or division work on."""
    return x if x.array.dtype.kind == "f" else cast(x, default_float())


def operands(name: str, x: Operand, y: Operand, as_float: bool = False) -> tuple[Operand, Operand]:
    """x and y ready for a binary op: tensors of one dtype and one shape, or a tensor and a number its dtype can hold.

    Raises:
        TypeError: neither a tensor nor a number.
        RuntimeError: the shapes do not broadcast.
    """
    x, y = _number_or_tensor(name, x), _number_or_tensor(name, y)
    dtype = result_type(x, y)
    if as_float and dtype.kind != "f":
        dtype = default_float()
    if isinstance(x, Tensor):
        x = cast(x, dtype)
    if isinstance(y, Tensor):
        y = cast(y, dtype)
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        if x.array.shape != y.array.shape:
            shape = broadcast_shapes(name, x.array.shape, y.array.shape)
            x, y = broadcast_to(x, shape), broadcast_to(y, shape)
    elif not isinstance(x, Tensor) and not isinstance(y, Tensor):
        x = wrap(np.asarray(x, dtype=dtype))
    return x, y


def _number_or_tensor(name: str, x: Any) -> Operand:
    if isinstance(x, Tensor | bool | int | float):
        return x.item() if isinstance(x, np.generic) else x
    if isinstance(x, np.generic) and x.dtype.kind in "biuf":
        return x.item()
    if backend.is_array(x):
        raise TypeError(
            f"{name}: got a {type(x).__module__} array; make it a tensor first: from_numpy(array), or tensor(array) for a copy"
        )
    raise TypeError(f"{name}: expected a tensor or a number, got {type(x).__name__}")


def _binary(op: type[Op], name: str, x: Operand, y: Operand, as_float: bool = False) -> Tensor:
    if isinstance(x, Tensor) and x.array.dtype.kind == "f":  # the common cases need no preparation
        if type(y) is float or type(y) is int:
            return op.apply(x, y)
        if isinstance(y, Tensor) and y.array.dtype == x.array.dtype and y.array.shape == x.array.shape:
            return op.apply(x, y)
    return op.apply(*operands(name, x, y, as_float))


# ------------------------------------------------------------------------------------------------------------ arithmetic


class Add(Op):
    """z = x + y"""

    reads = ((), ())

    def forward(self, x: Array, y: Array) -> Array:
        return x + y

    def backward(self, g: Tensor) -> Gradients:
        return g, g


class Sub(Op):
    """z = x - y"""

    reads = ((), ())

    def forward(self, x: Array, y: Array) -> Array:
        return x - y

    def backward(self, g: Tensor) -> Gradients:
        return g, -g if self.needs(1) else None


class Mul(Op):
    """z = x y; gx = g y, gy = g x"""

    reads = ((1,), (0,))
    fresh = True

    def forward(self, x: Array, y: Array) -> Array:
        return x * y

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        return g * y if self.needs(0) else None, g * x if self.needs(1) else None


class Div(Op):
    """z = x / y; gx = g / y, gy = -g x / y²"""

    reads = ((1,), (0, 1))
    fresh = True

    @quiet
    def forward(self, x: Array, y: Array) -> Array:
        return x / y

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        return g / y if self.needs(0) else None, -g * ((x / y) / y) if self.needs(1) else None


class Pow(Op):
    """z = xʸ; gx = g y xʸ⁻¹, gy = g z log x. Where the formula is 0 · ∞, the gradient is 0."""

    fresh = True

    @quiet
    def forward(self, x: Array, y: Array) -> Array:
        return x**y

    def backward(self, g: Tensor) -> Gradients:
        x, y = self.inputs
        gx = gy = None
        if self.needs(0):
            gx = g * (y * pow(x, y - 1))
            gx = where(eq(y, 0), 0.0, gx) if isinstance(y, Tensor) else gx if y != 0 else g * 0.0
        if self.needs(1):
            steady = (
                logical_and(eq(x, 0), ge(y, 0)) if isinstance(x, Tensor) else wrap(np.asarray(x == 0) & (y.array >= 0))
            )
            log_x = log(x) if isinstance(x, Tensor) else float(quiet(np.log)(x))
            gy = where(steady, 0.0, g * (pow(x, y) * log_x))
        return gx, gy


class Neg(Op):
    """y = -x"""

    reads = ()
    fresh = True

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, g: Tensor) -> Gradients:
        return (-g,)


def add(x: Operand, y: Operand, *, alpha: Number = 1) -> Tensor:
    """x + alpha y, broadcast (torch.add)."""
    return _binary(Add, "add", x, y if alpha == 1 else mul(y, alpha))


def sub(x: Operand, y: Operand, *, alpha: Number = 1) -> Tensor:
    """x - alpha y, broadcast (torch.sub)."""
    return _binary(Sub, "sub", x, y if alpha == 1 else mul(y, alpha))


def mul(x: Operand, y: Operand) -> Tensor:
    """x y, element by element, broadcast (torch.mul)."""
    return _binary(Mul, "mul", x, y)


def div(x: Operand, y: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """x / y, broadcast (torch.div). Integers divide to floats, unless rounding_mode is "floor" or "trunc"."""
    if rounding_mode is None:
        return _binary(Div, "div", x, y, as_float=True)
    if rounding_mode == "floor":
        return floor_divide(x, y)
    if rounding_mode != "trunc":
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
        )
    dtype = result_type(x, y)
    return cast(trunc(_binary(Div, "div", x, y, as_float=True)), dtype)


def floor_divide(x: Operand, y: Operand) -> Tensor:
    """The integer below x / y (torch.floor_divide). Its gradient is zero almost everywhere, and not recorded."""
    a, b = (z.array if isinstance(z, Tensor) else z for z in operands("floor_divide", x, y))
    if namespace(a, b).asarray(b == 0).any() and result_type(x, y).kind != "f":
        raise RuntimeError("ZeroDivisionError: floor_divide of integers by zero")
    return wrap(quiet(np.floor_divide)(a, b))


def remainder(x: Operand, y: Operand) -> Tensor:
    """x - y ⌊x / y⌋, with the sign of y (torch.remainder)."""
    a, b = operands("remainder", x, y)
    arrays = [z.array if isinstance(z, Tensor) else z for z in (a, b)]
    if _any_requires_grad(a, b):
        return sub(a, mul(b, floor_divide(a, b)))
    return wrap(quiet(np.remainder)(arrays[0], arrays[1]))


def _any_requires_grad(*xs: Operand) -> bool:
    return any(isinstance(x, Tensor) and x.requires_grad for x in xs)


def neg(x: Tensor) -> Tensor:
    """-x (torch.neg)."""
    return Neg.apply(x)


def pow(x: Operand, exponent: Operand) -> Tensor:
    """x to the power of exponent, broadcast (torch.pow)."""
    x, y = operands("pow", x, exponent)
    if result_type(x, y).kind in "iu" and namespace(y).any((y.array if isinstance(y, Tensor) else np.asarray(y)) < 0):
        raise RuntimeError("Integers to negative integer powers are not allowed: make the base a float")
    return Pow.apply(x, y)


def square(x: Tensor) -> Tensor:
    """x² (torch.square)."""
    return pow(x, 2)


# ------------------------------------------------------------------------------------------------ functions of one number


class Exp(Op):
    """y = eˣ; gx = g y"""

    reads = ()
    keeps_output = True
    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return namespace(x).exp(x)

    def backward(self, g: Tensor) -> Gradients:
        return (g * self.output,)


class Log(Op):
    """y = ln x; gx = g / x"""

    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return namespace(x).log(x)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (g / x,)


class Sqrt(Op):
    """y = √x; gx = g / 2y"""

    reads = ()
    keeps_output = True
    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return namespace(x).sqrt(x)

    def backward(self, g: Tensor) -> Gradients:
        return (g / (2 * self.output),)


class Tanh(Op):
    """y = tanh x; gx = g (1 - y²)"""

    reads = ()
    keeps_output = True
    fresh = True

    def forward(self, x: Array) -> Array:
        return namespace(x).tanh(x)

    def backward(self, g: Tensor) -> Gradients:
        y = self.output
        return (g * (1 - y * y),)


class Sigmoid(Op):
    """y = 1 / (1 + e⁻ˣ); gx = g y (1 - y)"""

    reads = ()
    keeps_output = True
    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return 1 / (1 + namespace(x).exp(-x))

    def backward(self, g: Tensor) -> Gradients:
        y = self.output
        return (g * ((1 - y) * y),)


class Sin(Op):
    """y = sin x; gx = g cos x"""

    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return namespace(x).sin(x)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (g * cos(x),)


class Cos(Op):
    """y = cos x; gx = -g sin x"""

    fresh = True

    @quiet
    def forward(self, x: Array) -> Array:
        return namespace(x).cos(x)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (g * -sin(x),)


class Abs(Op):
    """y = |x|; gx = g sign x, which is 0 at 0"""

    fresh = True

    def forward(self, x: Array) -> Array:
        return abs_(x)

    def backward(self, g: Tensor) -> Gradients:
        (x,) = self.inputs
        return (g * sign(x),)


class Relu(Op):
    """y = max(x, 0); gx = g where y > 0"""

    reads = ()
    keeps_output = True
    fresh = True

    def forward(self, x: Array) -> Array:
        return namespace(x).maximum(x, 0)

    def backward(self, g: Tensor) -> Gradients:
        return (where(gt(self.output, 0), g, 0.0),)


abs_ = abs  # the builtin, under the function that takes its name


def exp(x: Tensor) -> Tensor:
    """eˣ (torch.exp)."""
    return Exp.apply(floating(x))


def log(x: Tensor) -> Tensor:
    """The natural logarithm (torch.log): -inf at 0, nan below."""
    return Log.apply(floating(x))


def sqrt(x: Tensor) -> Tensor:
    """√x (torch.sqrt): nan below 0."""
    return Sqrt.apply(floating(x))


def rsqrt(x: Tensor) -> Tensor:
    """1 / √x (torch.rsqrt)."""
    return 1 / sqrt(x)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent (torch.tanh)."""
    return Tanh.apply(floating(x))


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ) (torch.sigmoid)."""
    return Sigmoid.apply(floating(x))


def sin(x: Tensor) -> Tensor:
    """The sine of x radians (torch.sin)."""
    return Sin.apply(floating(x))


def cos(x: Tensor) -> Tensor:
    """The cosine of x radians (torch.cos)."""
    return Cos.apply(floating(x))


def abs(x: Tensor) -> Tensor:
    """|x| (torch.abs)."""
    return Abs.apply(x)


def relu(x: Tensor) -> Tensor:
    """max(x, 0) (torch.relu)."""
    return Relu.apply(x)


def _step(name: str) -> Callable[[Tensor], Tensor]:
    """A function whose gradient is zero wherever it has one."""

    def f(x: Tensor) -> Tensor:
        y = (
            wrap(getattr(namespace(x.array), name)(x.array))
            if x.array.dtype.kind == "f" or name == "sign"
            else x.clone()
        )
        return y + x * 0.0 if x.requires_grad else y

    f.__name__ = f.__qualname__ = {"rint": "round"}.get(name, name)
    f.__doc__ = f"{f.__name__} of every element (torch.{f.__name__}); the gradient is zero."
    return f


sign = _step("sign")
floor = _step("floor")
ceil = _step("ceil")
trunc = _step("trunc")
round = _step("rint")

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
    dtype = result_type(_number_or_tensor("where", x), _number_or_tensor("where", y))
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
    return _binary(Maximum, "maximum", x, y)


def minimum(x: Tensor, y: Tensor) -> Tensor:
    """The smaller of x and y, element by element, broadcast (torch.minimum)."""
    return _binary(Minimum, "minimum", x, y)


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
        x, y = _number_or_tensor(name, x), _number_or_tensor(name, y)
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
