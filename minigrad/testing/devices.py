"""Where the numbers of a check are: on the device where new tensors are made."""

from __future__ import annotations

import numpy as np

from .. import backend
from ..dtypes import ours
from ..ops.creation import get_default_device
from ..tensor import Tensor, wrap


def placed(array: np.ndarray) -> Tensor:
    """A tensor of the array's numbers on the default device: on the CPU in the array's own memory, on a GPU laid out alike.

    There too axes are in the array's order in memory, run backwards where its strides are negative, and have gaps between
    their elements if it has.
    """
    ours(array.dtype)  # minigrad has no other types
    where = get_default_device()
    if where.type == "cpu":
        return wrap(np.asarray(array))
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    turned = array.transpose(order)
    forwards = tuple(slice(None, None, -1 if step < 0 else None) for step in turned.strides)
    y = backend.to_device(np.ascontiguousarray(turned[forwards]).reshape(turned.shape), where)
    if array.ndim and abs(turned.strides[-1]) > array.itemsize:
        y = backend.namespace(y).repeat(y, 2, axis=-1)[..., ::2]
    return wrap(y[forwards].transpose([order.index(axis) for axis in range(array.ndim)]))
