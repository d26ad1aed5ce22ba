"""New tensors: from data, constant, and random. The names, arguments and defaults are torch's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from .. import backend, dtypes, random
from ..backend import Array, quiet
from ..dtypes import Number, as_numpy, default_float, int64
from ..random import Generator
from ..tensor import Tensor, wrap
from .shape import ints

_default_device = dtypes.device("cpu")


def get_default_device() -> dtypes.device:
    """Where new tensors are made (torch.get_default_device)."""
    return _default_device


def set_default_device(device: Any) -> None:
    """Make new tensors there, unless told otherwise; None: on the CPU (torch.set_default_device).

    Raises:
        BackendUnavailable: there is no such GPU.
    """
    global _default_device
    chosen = dtypes.device("cpu" if device is None else device)
    backend.module_for(chosen)
    _default_device = chosen


def _arrays(device: Any) -> Any:
    """The array module of a device, or of the default device: numpy or cupy."""
    return backend.module_for(_default_device if device is None else dtypes.device(device))


def _finish(array: Array, device: Any, requires_grad: bool) -> Tensor:
    where = _default_device if device is None else dtypes.device(device)
    if where.type == "cpu" and isinstance(array, np.ndarray):
        x = wrap(array)
    else:
        x = wrap(backend.to_device(array, where))
        if array.dtype.kind in "iu" and array.size and (known := backend.extent(array)) is not None:
            x._extent = (known, 0)  # looked up now, while the host knows them
    if requires_grad:
        x.requires_grad = True
    return x


# ------------------------------------------------------------------------------------------------------------- from data


@quiet
def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of data: a number, nested lists, an array (torch.tensor).

    Python floats become the default float type, ints int64, bools bool; arrays keep their type.

    Raises:
        ValueError: nested lists of uneven lengths.
        TypeError: a list beside a number, or text.
        RuntimeError: something else that is not a number inside.
    """
    if isinstance(data, Tensor):
        data = data.array
    if backend.is_array(data):
        array = data.astype(as_numpy(dtype) if dtype is not None else dtypes.ours(data.dtype).numpy, copy=True)
        return _finish(array, _device_for(array) if device is None else device, requires_grad)
    if isinstance(data, str):
        raise TypeError(f"tensor: expected numbers, got {data!r:.40} (str)")
    return _finish(_from_lists(data, dtype), device, requires_grad)


_PLAIN = {bool, int, float, list, tuple}


def _from_lists(data: Any, dtype: Any) -> np.ndarray:
    """Numbers and nested lists of them as an array. What is no Python number brings its own type, but NumPy's numbers deep
    inside: nobody looks for them there, it would take as long as the rest."""
    items = data if isinstance(data, list | tuple) else (data,)
    others = set(map(type, items)) - _PLAIN
    if any(issubclass(t, Tensor | np.ndarray) for t in others):
        return _stacked(data, dtype)
    try:
        array = np.array(data)
    except (ValueError, RuntimeError, TypeError):  # uneven; or NumPy met a tensor that requires grad, or is on a GPU
        if not _has_tensors(data):
            _refuse(data)
            raise
        return _stacked(data, dtype)
    if array.dtype.kind == "O" and _has_tensors(data):
        return _stacked(data, dtype)
    if array.size and array.dtype.kind not in "bif":  # "u" may be an int of 2**63 and more
        _refuse(data)
    if dtype is not None:
        to = as_numpy(dtype)
    elif any(issubclass(t, np.generic) for t in others):
        to = reduce(dtypes.promote, (d.dtype if isinstance(d, np.generic) else dtypes.result_type(d) for d in items))
    else:
        to = {"f": default_float(), "i": int64.numpy, "u": int64.numpy, "b": np.dtype(bool)}[array.dtype.kind]
    return array.astype(to, copy=False)


def _stacked(data: Any, dtype: Any) -> np.ndarray:
    """A list with tensors or arrays inside."""
    arrays = [tensor(d, dtype=dtype, device="cpu").array for d in data]
    if len({a.shape for a in arrays}) > 1:
        _refuse(arrays)
    return np.stack(arrays).astype(reduce(dtypes.promote, (a.dtype for a in arrays)), copy=False)


def _has_tensors(data: Any) -> bool:
    return isinstance(data, Tensor) or (isinstance(data, list | tuple) and any(map(_has_tensors, data)))


def _refuse(data: Any) -> None:
    """Say what is no number, or no sequence as long as the first of its level. The classes are torch's choice."""

    def length(d: Any) -> int | None:
        return len(d) if isinstance(d, list | tuple) or np.ndim(d) else None

    def said(n: int | None) -> str:
        return "a number" if n is None else f"a sequence of length {n}"

    def check_numbers(d: Any, first: bool = True) -> None:
        if isinstance(d, list | tuple):
            for i, e in enumerate(d):
                check_numbers(e, first and i == 0)
        elif not isinstance(d, float | np.ndarray | np.integer | np.floating | np.bool_) and not (
            isinstance(d, int) and abs(d) < 2**63
        ):
            of_text = ValueError if first else TypeError
            raise (ValueError if isinstance(d, int) else of_text if isinstance(d, str) else RuntimeError)(
                f"tensor: expected numbers, got {d!r:.40} ({type(d).__name__})"
            )

    def check_lengths(d: Any, i: int, dim: int) -> None:
        n, expected = length(d), lengths[dim]
        if n != expected:
            raise (TypeError if None in (n, expected) else ValueError)(
                f"tensor: the nested lists are uneven: at dim {dim}, the first is {said(expected)}, but element {i} is {said(n)}"
            )
        for j, e in enumerate(d if n else ()):
            check_lengths(e, j, dim + 1)

    check_numbers(data)
    first, lengths = data, [length(data)]
    while lengths[-1]:
        first = first[0]
        lengths.append(length(first))
    check_lengths(data, 0, 0)


def _device_for(array: Array) -> dtypes.device:
    """Where an array goes that nobody names a device for: stays on a GPU, unless new tensors are made on another."""
    return backend.device_of(array) if _default_device.type == "cpu" else _default_device


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the array's memory: writing to one is seen in the other (torch.from_numpy)."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    dtypes.ours(array.dtype)
    return wrap(np.asarray(array))


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """data as a tensor, without a copy where it already is one, or an array, on that device (torch.as_tensor)."""
    if not isinstance(data, Tensor):
        data = wrap(data) if backend.is_array(data) else tensor(data, device=device)
    return data.to(dtype=dtype, device=_device_for(data.array) if device is None else device)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """obj as a tensor; a copy only where needed, or if asked for (torch.asarray)."""
    x = as_tensor(obj, dtype, device)
    x = wrap(x.array.copy()) if copy else x
    return x.detach().requires_grad_() if requires_grad else x


# -------------------------------------------------------------------------------------------------------------- constant


@quiet
def full(
    size: Sequence[int], fill_value: Number, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of that shape filled with one number, whose type it takes (torch.full)."""
    kind = dtype if dtype is not None else dtypes.ours(dtypes.result_type(fill_value))
    return _finish(
        _arrays(device).full(_checked_size((size,)), fill_value, dtype=as_numpy(kind)),
        device,
        requires_grad,
    )


def zeros(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of that shape (torch.zeros)."""
    return _finish(_arrays(device).zeros(_checked_size(sizes, size), dtype=_float_or(dtype)), device, requires_grad)


def ones(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of that shape (torch.ones)."""
    return _finish(_arrays(device).ones(_checked_size(sizes, size), dtype=_float_or(dtype)), device, requires_grad)


def empty(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Memory of that shape, not set to anything (torch.empty)."""
    return _finish(_arrays(device).empty(_checked_size(sizes, size), dtype=_float_or(dtype)), device, requires_grad)


def _float_or(dtype: Any) -> np.dtype[Any]:
    return default_float() if dtype is None else as_numpy(dtype)


def _checked_size(sizes: tuple[Any, ...], size: Any = None) -> tuple[int, ...]:
    """What was written as f(2, 3), f((2, 3)) or f(size=(2, 3))."""
    shape = ints(sizes if size is None else (size,))
    if min(shape, default=0) < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return shape


def _like(make: Any, x: Tensor, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    """What make makes, in x's memory order (torch.preserve_format): where random numbers are drawn, the order matters."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{make.__name__}_like: expected a Tensor, got {type(x).__name__}")
    order = backend.memory_order(x.array)
    y = make(*(x.array.shape[axis] for axis in order), dtype=dtype or x.dtype, device=device or x.device)
    return _finish(y.array.transpose([order.index(axis) for axis in range(x.ndim)]), y.device, requires_grad)


def zeros_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of x's shape, dtype and device (torch.zeros_like)."""
    return _like(zeros, x, dtype, device, requires_grad)


def ones_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of x's shape, dtype and device (torch.ones_like)."""
    return _like(ones, x, dtype, device, requires_grad)


def empty_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Unset memory of x's shape, dtype and device (torch.empty_like)."""
    return _like(empty, x, dtype, device, requires_grad)


def full_like(
    x: Tensor, fill_value: Number, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One number in x's shape, dtype and device (torch.full_like)."""
    return _like(lambda *shape, **how: full(shape, fill_value, **how), x, dtype, device, requires_grad)


def _new(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method that makes such a tensor with this one's dtype and device."""

    def method(x: Tensor, *args: Any, dtype: Any = None, device: Any = None, **options: Any) -> Tensor:
        return make(*args, dtype=dtype or x.dtype, device=device or x.device, **options)

    method.__name__ = method.__qualname__ = f"new_{make.__name__}"
    method.__doc__ = (
        f"{make.__name__}, by default with this tensor's dtype and device (torch.Tensor.new_{make.__name__})."
    )
    return method


new_zeros, new_ones, new_empty, new_full, new_tensor = (_new(make) for make in (zeros, ones, empty, full, tensor))


@quiet
def arange(
    start: Number,
    end: Number | None = None,
    step: Number = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below end; arange(n) starts at 0 (torch.arange). int64 where all arguments are ints.

    Raises:
        RuntimeError: step is 0, or leads away from end.
    """
    if end is None:
        start, end = 0, start
    start, end, step = (a.item() if isinstance(a, Tensor) else a for a in (start, end, step))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(f"upper bound and lower bound inconsistent with step sign: from {start} to {end} by {step}")
    floats = any(isinstance(a, float) for a in (start, end, step))
    kind = as_numpy(dtype) if dtype is not None else default_float() if floats else int64.numpy
    count = int(np.ceil((end - start) / step)) if floats else -((start - end) // step)
    steps = np.arange(count)
    return _finish((steps * step + start).astype(kind), device, requires_grad)


@quiet
def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers from start to end, both included (torch.linspace)."""
    if steps < 0:
        raise RuntimeError(f"linspace: number of steps must be non-negative, got {steps}")
    kind = _float_or(dtype)
    if kind.kind != "f" or steps < 2:
        return _finish(np.linspace(start, end, steps).astype(kind), device, requires_grad)
    # as torch: steps of the result's type, taken from both ends to the middle
    first, last, i = kind.type(start), kind.type(end), np.arange(steps)
    step = float((last - first) / kind.type(steps - 1))
    values = np.where(
        i < steps // 2, float(first) + step * i, float(last) - step * (steps - 1 - i)
    )  # a fused multiply-add
    return _finish(values.astype(kind), device, requires_grad)


@quiet
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """base to the power of `steps` numbers from start to end, both included (torch.logspace)."""
    if steps < 0:
        raise RuntimeError(f"logspace: number of steps must be non-negative, got {steps}")
    values = float(base) ** np.linspace(float(start), float(end), steps)
    return _finish(values.astype(_float_or(dtype)), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an (n, m) matrix of zeros (torch.eye)."""
    if n < 0 or (m or 0) < 0:
        raise RuntimeError(f"eye: sizes must not be negative, got {n} and {m}")
    return _finish(_arrays(device).eye(n, m, dtype=_float_or(dtype)), device, requires_grad)


# ---------------------------------------------------------------------------------------------------------------- random


def _generator(generator: Generator | None) -> Generator:
    return random.default_generator if generator is None else generator


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [0, 1) (torch.rand), torch's numbers for the same seed."""
    return _finish(
        _generator(generator).uniform(_checked_size(sizes, size), dtype=_float_or(dtype)), device, requires_grad
    )


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with mean 0 and variance 1 (torch.randn), torch's numbers for the same seed."""
    return _finish(
        _generator(generator).normal(_checked_size(sizes, size), dtype=_float_or(dtype)), device, requires_grad
    )


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers from low (0 if left out) below high: randint(10, (2, 3)) or randint(5, 10, (2, 3)) (torch.randint)."""
    if size is None and isinstance(high, Sequence):
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("randint: size is missing: randint(high, (2, 3)) or randint(low, high, (2, 3))")
    kind = int64.numpy if dtype is None else as_numpy(dtype)
    return _finish(_generator(generator).randint(low, high, _checked_size((size,)), dtype=kind), device, requires_grad)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """0 .. n - 1 in random order (torch.randperm)."""
    order = _generator(generator).randperm(n)
    return _finish(order if dtype is None else order.astype(as_numpy(dtype)), device, False)


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, device: Any = None
) -> Tensor:
    """Normal with that mean and standard deviation: numbers with a size, or tensors (torch.normal)."""
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        like = mean if isinstance(mean, Tensor) else std
        shape = (mean * 0 + std).shape if isinstance(mean, Tensor) and isinstance(std, Tensor) else like.shape
        drawn = randn(*shape, generator=generator, dtype=like.dtype, device=like.device if device is None else device)
        return drawn * std + mean
    if size is None:
        raise TypeError("normal: size is missing: normal(0.0, 1.0, (2, 3))")
    return _finish(
        _generator(generator).normal(_checked_size((size,)), mean, std, dtype=default_float()), device, False
    )


def rand_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform on [0, 1) in x's shape, dtype and device (torch.rand_like)."""
    y = empty_like(x, dtype=dtype, device=device).uniform_()
    return y.requires_grad_(requires_grad)


def randn_like(x: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal numbers in x's shape, dtype and device (torch.randn_like)."""
    y = empty_like(x, dtype=dtype, device=device).normal_()
    return y.requires_grad_(requires_grad)


def bernoulli(x: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with probability x, else 0, element by element, in x's dtype (torch.bernoulli); with p, of that probability everywhere."""
    if p is not None:
        return empty(x.array.shape, dtype=x.dtype, device=x.device).bernoulli_(p, generator=generator)
    draws = _generator(generator).bernoulli_from(backend.to_numpy(x.array))
    return _finish(draws.astype(x.array.dtype), x.device, False)


def multinomial(
    p: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """int64 indices drawn with the probabilities p, which need not add up to 1, along the last axis (torch.multinomial)."""
    draws = _generator(generator).multinomial(backend.to_numpy(p.array), num_samples, replacement)
    return _finish(draws, p.device, False)


def get_rng_state() -> Tensor:
    """The state of the default random stream: 5056 bytes, uint8, as torch lays them out (torch.get_rng_state)."""
    return wrap(random.get_rng_state())


def set_rng_state(new_state: Tensor) -> None:
    """Continue the default random stream from get_rng_state's bytes, or torch's (torch.set_rng_state)."""
    random.set_rng_state(new_state.array if isinstance(new_state, Tensor) else new_state)


# ------------------------------------------------------------------------------------------------------- by older names


class TensorType:
    """torch.FloatTensor and its like: makes tensors of one dtype, of data or of sizes, and isinstance(x, ...) knows them."""

    def __init__(self, name: str, dtype: dtypes.dtype):
        self.__name__, self.dtype = name, dtype

    def __call__(self, *data: Any) -> Tensor:
        if len(data) == 1 and isinstance(data[0], Tensor):
            if data[0].dtype is not self.dtype:
                raise TypeError(
                    f"{self.__name__} expected a tensor of {self.dtype}, got {data[0].dtype}: use .to(dtype)"
                )
            return data[0].detach()
        if len(data) == 1 and not isinstance(data[0], int | dtypes.Size):
            if not isinstance(data[0], Sequence | np.ndarray) or isinstance(data[0], str):
                raise TypeError(f"{self.__name__}: data must be a sequence (got {type(data[0]).__name__})")
            return tensor(data[0], dtype=self.dtype)
        return empty(*(data or (0,)), dtype=self.dtype)

    def __instancecheck__(self, x: Any) -> bool:
        return isinstance(x, Tensor) and x.dtype is self.dtype and x.is_cpu

    def __repr__(self) -> str:
        return f"<class 'torch.{self.__name__}'>"


TYPES = {
    d: TensorType(f"{name}Tensor", d)
    for name, d in {
        "Float": dtypes.float32, "Double": dtypes.float64, "Half": dtypes.float16, "Long": dtypes.int64, "Int": dtypes.int32,
        "Short": dtypes.int16, "Char": dtypes.int8, "Byte": dtypes.uint8, "Bool": dtypes.bool,
    }.items()
}  # fmt: skip
FloatTensor, DoubleTensor, HalfTensor, LongTensor, IntTensor, ShortTensor, CharTensor, ByteTensor, BoolTensor = (
    TYPES.values()
)


def as_type(x: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of x's type, "torch.FloatTensor"; or x as another: a dtype, such a name, FloatTensor."""
    where = "" if x.is_cpu else "cuda."
    if dtype is None:
        return f"torch.{where}{TYPES[x.dtype].__name__}" if x.dtype in TYPES else str(x.dtype)
    if isinstance(dtype, str):
        device, _, name = dtype.removeprefix("torch.").rpartition(".")
        found = [d for d, kind in TYPES.items() if kind.__name__ == name]
        if not dtype.startswith("torch.") or not found or device not in ("", "cuda"):
            raise ValueError(f"invalid type: {dtype!r}, expected a name such as 'torch.FloatTensor'")
        return x.to(found[0], device=device or "cpu")
    return x.to(dtypes.ours(as_numpy(dtype.dtype if isinstance(dtype, TensorType) else dtype)))
