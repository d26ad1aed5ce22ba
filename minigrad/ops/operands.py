"""Operands made ready: a common dtype, and a common shape.

A binary op sees operands of one dtype and one shape. Making them so is the work of `operands`, with ops of their own
(Cast, BroadcastTo); their backward undoes it, so that each formula elsewhere is the textbook's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..core import Op
from ..dtypes import Number, default_float, result_type
from ..tensor import Tensor, wrap
from .convert import cast
from .shape import broadcast_shapes, broadcast_to

Operand = Tensor | Number


def operands(name: str, x: Operand, y: Operand, as_float: bool = False) -> tuple[Operand, Operand]:
    """x and y ready for a binary op: tensors of one dtype and one shape, or a tensor and a number its dtype can hold.

    Raises:
        TypeError: neither a tensor nor a number.
        RuntimeError: the shapes do not broadcast.
    """
    tensor: Any
    tensor, other = (x, y) if isinstance(x, Tensor) else (y, x)
    if isinstance(other, Tensor):
        a, b = tensor.array, other.array
        if a.dtype is b.dtype and a.shape == b.shape and (not as_float or a.dtype.kind == "f"):
            return x, y  # the common case needs no preparation
    elif isinstance(tensor, Tensor) and tensor.array.dtype.kind == "f" and type(other) in (float, int):
        return x, y
    foreign = backend.is_array(x) or backend.is_array(y)
    x, y = number_or_tensor(name, x), number_or_tensor(name, y)
    dtype = result_type(x, y)
    if foreign and isinstance(x, Tensor) and isinstance(y, Tensor):  # with an array it is NumPy's rule, as in torch
        dtype = np.promote_types(x.array.dtype, y.array.dtype)
    if as_float and dtype.kind != "f":
        dtype = default_float()
    x = cast(x, dtype) if isinstance(x, Tensor) else fitting(x, dtype)
    y = cast(y, dtype) if isinstance(y, Tensor) else fitting(y, dtype)
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        if x.array.shape != y.array.shape:
            shape = broadcast_shapes(name, x.array.shape, y.array.shape)
            x, y = broadcast_to(x, shape), broadcast_to(y, shape)
    elif not isinstance(x, Tensor) and not isinstance(y, Tensor):
        x = wrap(np.asarray(x, dtype=dtype))
    return x, y


def fitting(x: Number, dtype: np.dtype[Any]) -> Number:
    """A number as that dtype holds it: integers wrap around and floats lose their fraction, as in torch."""
    if dtype.kind == "f":
        return x
    if dtype.kind == "b":
        return bool(x)
    bits = 8 * dtype.itemsize
    x = int(x) % (1 << bits)
    return x - (1 << bits) if dtype.kind == "i" and x >> (bits - 1) else x


def number_or_tensor(name: str, x: Any) -> Operand:
    if isinstance(x, Tensor | bool | int | float):
        return x.item() if isinstance(x, np.generic) else x
    if isinstance(x, np.generic) and x.dtype.kind in "biuf":
        return x.item()
    if backend.is_array(x):
        return wrap(x)
    raise TypeError(f"{name}: expected a tensor or a number, got {type(x).__name__}")


def apply_binary(op: type[Op], name: str, x: Operand, y: Operand, as_float: bool = False) -> Tensor:
    return op.apply(*operands(name, x, y, as_float))
