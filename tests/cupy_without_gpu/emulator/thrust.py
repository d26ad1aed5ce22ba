"""cupy.cuda.thrust of the emulator: NumPy sorts. As in Thrust, along the last axis, in place, stably, and NaN comes last."""

import ctypes

import numpy as np

available = True


def get_build_version():
    return 0


def _array(pointer, dtype, shape):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(pointer), dtype=dtype).reshape(shape)


def sort(dtype, data, keys, shape):
    _array(data, dtype, shape).sort(axis=-1, kind="stable")


def argsort(dtype, index, data, keys, shape):
    values = _array(data, dtype, shape)
    order = values.argsort(axis=-1, kind="stable")
    _array(index, np.intp, shape)[...] = order
    values[...] = np.take_along_axis(values, order, axis=-1)


def lexsort(dtype, index, keys, k, n):
    _array(index, np.intp, (n,))[...] = np.lexsort(_array(keys, dtype, (k, n)))
