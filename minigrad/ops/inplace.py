"""Methods that end in an underscore: they write into a tensor's memory, where its views see it.

`add_` is add followed by Tensor.rewrite, which also moves the tensor to its new place in the graph; so is every other
one. The random ones fill memory from torch's stream.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .. import backend, random
from ..random import Generator
from ..tensor import Tensor, wrap
from . import elementwise, functions, indexing, reduction, scattering, selection, shape
from .operands import Operand


def _in_place(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    name = f"{f.__name__}_"

    def method(x: Tensor, *args: Any, **options: Any) -> Tensor:
        old = x.before_write(name)
        return x.rewrite(f(old, *args, **options), old, name)

    wraps(f)(method)  # for its signature
    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"{f.__name__}, in place. Returns this tensor."
    return method


add_ = _in_place(elementwise.add)
sub_ = _in_place(elementwise.sub)
mul_ = _in_place(elementwise.mul)
div_ = _in_place(elementwise.div)
pow_ = _in_place(elementwise.pow)
neg_ = _in_place(elementwise.neg)
exp_ = _in_place(elementwise.exp)
sqrt_ = _in_place(elementwise.sqrt)
abs_ = _in_place(elementwise.abs)
relu_ = _in_place(elementwise.relu)
tanh_ = _in_place(elementwise.tanh)
sigmoid_ = _in_place(elementwise.sigmoid)
clamp_ = _in_place(selection.clamp)
masked_fill_ = _in_place(selection.masked_fill)
tril_ = _in_place(selection.tril)
triu_ = _in_place(selection.triu)
scatter_add_ = _in_place(indexing.scatter_add)
log_ = _in_place(elementwise.log)
rsqrt_ = _in_place(elementwise.rsqrt)
reciprocal_ = _in_place(elementwise.reciprocal)
square_ = _in_place(elementwise.square)
sin_ = _in_place(elementwise.sin)
cos_ = _in_place(elementwise.cos)
floor_ = _in_place(elementwise.floor)
ceil_ = _in_place(elementwise.ceil)
round_ = _in_place(elementwise.round)
remainder_ = _in_place(elementwise.remainder)
addcmul_ = _in_place(functions.addcmul)
addcdiv_ = _in_place(functions.addcdiv)
lerp_ = _in_place(functions.lerp)
clamp_min_ = _in_place(functions.clamp_min)
clamp_max_ = _in_place(functions.clamp_max)
nan_to_num_ = _in_place(functions.nan_to_num)
scatter_ = _in_place(scattering.scatter)
index_add_ = _in_place(scattering.index_add)
index_copy_ = _in_place(scattering.index_copy)
index_fill_ = _in_place(scattering.index_fill)
masked_scatter_ = _in_place(scattering.masked_scatter)
fill_diagonal_ = _in_place(scattering.fill_diagonal)
scatter_reduce_ = _in_place(scattering.scatter_reduce)
index_put_ = _in_place(scattering.index_put)
sign_ = _in_place(elementwise.sign)
trunc_ = _in_place(elementwise.trunc)
floor_divide_ = _in_place(elementwise.floor_divide)
log1p_ = _in_place(functions.log1p)
log2_ = _in_place(functions.log2)
log10_ = _in_place(functions.log10)
expm1_ = _in_place(functions.expm1)
exp2_ = _in_place(functions.exp2)
erf_ = _in_place(functions.erf)
fmod_ = _in_place(functions.fmod)
cumsum_ = _in_place(reduction.cumsum)
cumprod_ = _in_place(reduction.cumprod)
logical_not_ = _in_place(selection.logical_not)
logical_and_ = _in_place(selection.logical_and)
logical_or_ = _in_place(selection.logical_or)
logical_xor_ = _in_place(selection.logical_xor)
bitwise_not_ = _in_place(selection.bitwise_not)
bitwise_and_ = _in_place(selection.bitwise_and)
bitwise_or_ = _in_place(selection.bitwise_or)
bitwise_xor_ = _in_place(selection.bitwise_xor)


def _seen_otherwise(f: Callable[..., Tensor], variant: int = 1) -> Callable[..., Tensor]:
    """The method that turns this tensor into f's view of it: the memory stays as it is."""
    name = f"{f.__name__}_"

    def method(x: Tensor, *args: Any, **options: Any) -> Tensor:
        y = f(x.before_write(name), *args, **options)
        if y.op is not None and x.op is not None:
            y.op.label = f"{y.op.label[:-1]}{int(y.op.label[-1]) + variant}"
            y.op.retained, x.op.retained = x.op.retained, None
        x.array, x.op = y.array, y.op
        return x

    wraps(f)(method)
    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"{f.__name__}, in place. Returns this tensor."
    return method


squeeze_ = _seen_otherwise(shape.squeeze, 3)
unsqueeze_ = _seen_otherwise(shape.unsqueeze)
transpose_ = _seen_otherwise(shape.transpose)
t_ = _seen_otherwise(shape.t)


def copy_(x: Tensor, source: Operand) -> Tensor:
    """Take over source's values, broadcast and cast to this tensor's shape, dtype and device (torch.Tensor.copy_)."""
    indexing.setitem(x, ..., source.to(x.device) if isinstance(source, Tensor) else source, "copy_")
    return x


def fill_(x: Tensor, value: Operand) -> Tensor:
    """Set every element to one number, or to a 0-d tensor (torch.Tensor.fill_)."""
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
    indexing.setitem(x, ..., value, "fill_")
    return x


def zero_(x: Tensor) -> Tensor:
    """Set every element to zero (torch.Tensor.zero_)."""
    indexing.setitem(x, ..., 0, "zero_")
    return x


# ---------------------------------------------------------------------------------------------------------------- random


def _fill(
    x: Tensor, what: str, draw: Callable[[Generator, Any, bool], np.ndarray], generator: Generator | None
) -> Tensor:
    """Fill x with draws. torch draws in memory order, and takes another path for memory that is not contiguous."""
    x.before_write(what)  # refuse before anything is drawn
    generator = random.default_generator if generator is None else generator
    if x.numel():
        order = backend.memory_order(x.array)
        values = draw(generator, tuple(x.array.shape[axis] for axis in order), x.is_contiguous())
        values = values.transpose([order.index(axis) for axis in range(x.ndim)])
        indexing.setitem(x, ..., wrap(backend.to_device(values, x.device)), what)
    return x


def normal_(x: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers, torch's for the same seed (torch.Tensor.normal_)."""
    return _fill(
        x,
        "normal_",
        lambda g, shape, contiguous: g.normal(shape, mean, std, x.array.dtype, contiguous=contiguous),
        generator,
    )


def uniform_(x: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with numbers uniform on [a, b), torch's for the same seed (torch.Tensor.uniform_)."""
    return _fill(x, "uniform_", lambda g, shape, _: g.uniform(shape, a, b, x.array.dtype), generator)


def bernoulli_(x: Tensor, p: float = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill with ones with probability p, else zeros (torch.Tensor.bernoulli_)."""
    return _fill(x, "bernoulli_", lambda g, shape, _: g.bernoulli(shape, p).astype(x.array.dtype), generator)


def exponential_(x: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with draws of density λ exp(-λ x) (torch.Tensor.exponential_)."""
    return _fill(x, "exponential_", lambda g, shape, _: g.exponential(shape, lambd, x.array.dtype), generator)


def random_(x: Tensor, low: int = 0, high: int | None = None, *, generator: Generator | None = None) -> Tensor:
    """Fill with integers from low below high, or over the dtype's whole range (torch.Tensor.random_)."""
    if high is None and low == 0:
        return _fill(x, "random_", lambda g, shape, _: g.random(shape, x.array.dtype), generator)
    bounds = (0, low) if high is None else (low, high)
    return _fill(x, "random_", lambda g, shape, _: g.randint(*bounds, shape, x.array.dtype), generator)
