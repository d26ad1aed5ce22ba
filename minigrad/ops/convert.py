"""To another type, to another device. Each is linear; its transpose is the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend, dtypes
from ..backend import Array, quiet
from ..core import Op
from ..dtypes import as_numpy, default_float
from ..tensor import Tensor, wrap

Gradients = Sequence[Tensor | None]


@quiet
def astype(x: Array, to: np.dtype[Any]) -> Array:
    if to == dtypes.float16.numpy:  # as torch, by way of float32
        x = x.astype(np.float32, copy=False)
    return x.astype(to)


class Cast(Op):
    """y = x as another type. The transpose of the cast back."""

    reads = ()
    label = "ToCopyBackward0"
    to: np.dtype[Any]

    def forward(self, x: Array) -> Array:
        self.back = x.dtype
        return astype(x, self.to)

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
    return Cast.apply(x, to=to) if to.kind == "f" else wrap(astype(x.array, to))


def destination(args: tuple[Any, ...], dtype: Any = None, device: Any = None) -> tuple[Any, np.dtype[Any] | None]:
    """The device and the NumPy dtype that x.to(...) was asked for, each None if not."""
    for a in args:
        if isinstance(a, Tensor):
            dtype, device = a.dtype, a.device
        elif isinstance(a, str | dtypes.device | int) and not isinstance(a, bool):
            device = a
        elif a is not None:
            dtype = a
    return device, None if dtype is None else as_numpy(dtype)


def to(
    x: Tensor, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False
) -> Tensor:
    """x with another dtype, on another device, or both: to(float64), to("cuda"), to("cuda", float64), to(other_tensor).

    Raises:
        BackendUnavailable: "cuda" was asked for and cannot be had; the message says why.
    """
    device, kind = destination(args, dtype, device)
    y = x
    if device is not None:
        there, here = dtypes.device(device), x.device
        if there.type != here.type or there.index not in (None, here.index):
            y = ToDevice.apply(y, to=there)
            if there.type != "cpu" and x.array.dtype.kind in "iu" and x.numel() and (known := x.extent()) is not None:
                y._extent = (known, 0)  # looked up now, while the host knows them
    if kind is not None:
        y = cast(y, kind)
    return y.clone() if copy and y is x else y


def floating(x: Tensor) -> Tensor:
    """x, or x as the default float where it holds integers or bools: what log or division work on."""
    if not isinstance(x, Tensor):
        raise TypeError(f"expected a Tensor, got {type(x).__name__}")
    return x if x.array.dtype.kind == "f" else cast(x, default_float())


def promote_types(type1: dtypes.dtype, type2: dtypes.dtype) -> dtypes.dtype:
    """The common type of two dtypes (torch.promote_types)."""
    return dtypes.ours(dtypes.promote(type1.numpy, type2.numpy))


def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The type of an operation on two tensors or numbers (torch.result_type)."""
    return dtypes.ours(dtypes.result_type(tensor1, tensor2))
