"""Where CuPy differs from NumPy: one table, run on the fake of CuPy, on CuPy's own code in the emulator, or on a GPU.

Which of them is decided by `--backend`; without it, the fake. What holds on all of them may be relied upon: the fake stays
as strict as CuPy, and minigrad is written for what stands here.
"""

from __future__ import annotations

import ast
import builtins
import copy
import json
import math
import operator
import pickle
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cupy_without_gpu import fakecupy
from cupy_without_gpu.kernels import KERNELS

from minigrad import backend

# `code -> outcome`, and `code ~> outcome` where it waits for the GPU. Arrays are shown as their dtype and numbers; of an
# error, the type and a part of the message; "refused" is any error: its words are nobody's promise.
RULES = r"""
# promotion: NumPy 2's, Python's numbers take the array's dtype, NumPy's do not
a * 2.5 -> float32 [[ 0. ,  2.5,  5. ], [ 7.5, 10. , 12.5]]
a * np.float64(2.5) -> float64 [[ 0. ,  2.5,  5. ], [ 7.5, 10. , 12.5]]
a * np.float32(2.5) -> float32 [[ 0. ,  2.5,  5. ], [ 7.5, 10. , 12.5]]
a + i[:1] -> float64 [[0., 1., 2.], [3., 4., 5.]]
i + 1 -> int64 [1, 2]
i * 2.5 -> float64 [0. , 2.5]
i / 2 -> float64 [0. , 0.5]
h + 1.5 -> float16 [[1.5, 2.5, 3.5], [4.5, 5.5, 6.5]]
h * a -> float32 [[ 0.,  1.,  4.], [ 9., 16., 25.]]
m + m -> bool [[False, False, False], [ True,  True,  True]]
m + 1 -> int64 [[1, 1, 1], [2, 2, 2]]
m * 1.5 -> float64 [[0. , 0. , 0. ], [1.5, 1.5, 1.5]]
b + 300 -> OverflowError: Python integer 300 out of bounds for uint8
b + 200 -> uint8 [200, 201]
b + np.int64(300) -> int64 [300, 301]
-b -> uint8 [  0, 255]
h.sum() -> float16 15.
m.sum() -> int64 3
b.sum() -> uint64 1
i32.sum() -> int64 3
i32.mean() -> float64 1.5
i32.prod() -> int64 2
i32.cumsum() -> int64 [1, 3]
h.mean() -> float16 2.5
h.var() -> float16 2.916
m.mean() -> float64 0.5
cp.sqrt(i) -> float64 [0., 1.]
cp.floor(i) -> int64 [0, 1]
cp.trunc(i) -> int64 [0, 1]
cp.rint(i) -> float64 [0., 1.]
cp.sign(i) -> int64 [0, 1]
cp.abs(i) -> int64 [0, 1]
cp.negative(m) -> TypeError: boolean negative
-m -> TypeError: boolean negative
m - m -> TypeError: boolean subtract
~m -> bool [[ True,  True,  True], [False, False, False]]
m & m -> bool [[False, False, False], [ True,  True,  True]]
m * m -> bool [[False, False, False], [ True,  True,  True]]
cp.square(i32) -> int32 [1, 4]
cp.reciprocal(i + 1) -> int64 [1, 0]
cp.power(i, 2) -> int64 [0, 1]
i ** -1 -> int64 [0, 1]
cp.power(2, i) -> int64 [1, 2]
2 ** i -> int64 [1, 2]
2.0 ** i -> float64 [1., 2.]
a ** 2 -> float32 [[ 0.,  1.,  4.], [ 9., 16., 25.]]
h ** 2 -> float16 [[ 0.,  1.,  4.], [ 9., 16., 25.]]
i // 0 -> int64 [0, 0]
i % 0 -> int64 [0, 0]
i32 // i32 -> int32 [1, 1]
-i // 2 -> int64 [ 0, -1]
-i % 2 -> int64 [0, 1]
cp.fmod(-i, 2) -> int64 [ 0, -1]
cp.divide(a, 0) -> float32 [[nan, inf, inf], [inf, inf, inf]]
cp.log(a * 0) -> float32 [[-inf, -inf, -inf], [-inf, -inf, -inf]]
cp.maximum(a, 1) -> float32 [[1., 1., 2.], [3., 4., 5.]]
cp.maximum(1, 2) -> int64 2
cp.maximum(1, 2.5) -> float64 2.5
cp.add(a, 1, dtype='f8') -> float64 [[1., 2., 3.], [4., 5., 6.]]
cp.add(i, 1, dtype='f4') -> float32 [1., 2.]
cp.logaddexp(a, a) -> float32 [[0.69315, 1.69315, 2.69315], [3.69315, 4.69315, 5.69315]]
cp.logaddexp(i, i) -> float64 [0.69315, 1.69315]
cp.hypot(i, i) -> float64 [0.     , 1.41421]
cp.arctan2(h, h) -> float16 [[0.   , 0.785, 0.785], [0.785, 0.785, 0.785]]
cp.isnan(i) -> bool [False, False]
cp.isfinite(a) -> bool [[ True,  True,  True], [ True,  True,  True]]
cp.signbit(a) -> bool [[False, False, False], [False, False, False]]
cp.copysign(i, -1) -> float64 [-0., -1.]
cp.clip(a, 1, 3) -> float32 [[1., 1., 2.], [3., 3., 3.]]
cp.clip(i, 1, None) -> int64 [1, 1]
cp.clip(i, 0, 0.5) -> float64 [0. , 0.5]
cp.clip(a, cp.asarray(1.0), None) -> float64 [[1., 1., 2.], [3., 4., 5.]]
cp.where(m, a, 0) -> float32 [[0., 0., 0.], [3., 4., 5.]]
cp.where(m, 1, 0) -> int64 [[0, 0, 0], [1, 1, 1]]
cp.where(m, 1.0, 0) -> float64 [[0., 0., 0.], [1., 1., 1.]]
cp.where(m, i[:1], 0.5) -> float64 [[0.5, 0.5, 0.5], [0. , 0. , 0. ]]
cp.where(a, 1, 2) -> int64 [[2, 1, 1], [1, 1, 1]]
cp.arange(3) -> int64 [0, 1, 2]
cp.arange(3.0) -> float64 [0., 1., 2.]
cp.arange(0, 1, 0.5, dtype='f4') -> float32 [0. , 0.5]
cp.zeros(2) -> float64 [0., 0.]
cp.zeros_like(a) -> float32 [[0., 0., 0.], [0., 0., 0.]]
cp.ones((), dtype='f4') -> float32 1.
cp.full(2, 7) -> int64 [7, 7]
cp.full((2,), 7, dtype='f4') -> float32 [7., 7.]
cp.linspace(0, 1, 3) -> float64 [0. , 0.5, 1. ]
cp.eye(2) -> float64 [[1., 0.], [0., 1.]]
cp.tri(2, 2, 0, dtype=bool) -> bool [[ True, False], [ True,  True]]
cp.asarray(1) -> int64 1
cp.asarray([1, 2.5]) -> float64 [1. , 2.5]
cp.asarray(np.float32(2.5)) -> float32 2.5
cp.asarray(True) -> bool True
cp.asarray(['a']) -> ValueError: Unsupported dtype <U1
cp.asarray(None) -> ValueError: Unsupported dtype object
cp.result_type(a, 1.0) -> dtype('float32')
cp.result_type(a, i) -> dtype('float64')
cp.isin(i, i) -> bool [ True,  True]
cp.count_nonzero(a) -> int64 5
cp.argmax(a) -> int64 5
cp.argmax(a, axis=1) -> int64 [2, 2]
cp.searchsorted(cp.arange(3.0), a) -> int64 [[0, 1, 2], [3, 3, 3]]
cupyx.scipy.special.erf(a[0]) -> float32 [0.     , 0.8427 , 0.99532]
cupyx.scipy.special.erf(h).dtype -> dtype('float64')
cupyx.scipy.special.erf(cp.zeros(0, 'f4')) -> float32 []
a.astype('f8').dtype -> dtype('float64')
cp.asarray([1.7, -1.7]).astype('i4') -> int32 [ 1, -1]
b > -1 -> bool [ True,  True]
b < 300 -> bool [ True,  True]
b == 300 -> bool [False, False]
i32 * 2**40 -> OverflowError: Python integer 1099511627776 out of bounds for int32
h * 1e6 -> float16 [[nan, inf, inf], [inf, inf, inf]]
m.sum(dtype='i4') -> int32 3
h.cumsum() -> float16 [ 0.,  1.,  3.,  6., 10., 15.]
(h * 0 + 0.1).sum(dtype='f4') -> float32 0.59985
cp.full_like(b, 7) -> uint8 [7, 7]
cp.full_like(a, 2.5) -> float32 [[2.5, 2.5, 2.5], [2.5, 2.5, 2.5]]
x = b.copy(); x += 1; x -> uint8 [1, 2]
x = b.copy(); x *= 2.0; x -> TypeError: Cannot cast output operand
x = b.copy(); x[0] = 300; x -> OverflowError: Python integer 300 out of bounds for uint8
x = i.copy(); x[...] = a[0, :2] + 0.5; x -> int64 [0, 1]
x = a.copy(); x[0] = cp.zeros(2); x -> ValueError
a * True -> float32 [[0., 1., 2.], [3., 4., 5.]]
a + np.bool_(True) -> float32 [[1., 2., 3.], [4., 5., 6.]]
True + m -> bool [[ True,  True,  True], [ True,  True,  True]]
1 - m -> int64 [[1, 1, 1], [0, 0, 0]]
m ^ True -> bool [[ True,  True,  True], [False, False, False]]
m | 1 -> int64 [[1, 1, 1], [1, 1, 1]]
abs(-a) -> float32 [[0., 1., 2.], [3., 4., 5.]]
divmod(i, 2) -> int64 [0, 0]; int64 [0, 1]
a.sum(axis=(0, 1)) -> float32 15.
a.sum(axis=0, out=cp.zeros(3, 'f4')) -> float32 [3., 5., 7.]
a.sum(axis=0, dtype='f8') -> float64 [3., 5., 7.]
a.sum(-1, keepdims=True) -> float32 [[ 3.], [12.]]
a.sum(axis=2) -> ValueError: axis 2 is out of bounds for array of dimension 2
cp.zeros(0).sum() -> float64 0.
cp.zeros(0).max() -> ValueError: zero-size array to reduction operation
cp.argmax(cp.zeros(0)) -> ValueError
cp.zeros((0, 3)).sum(axis=0) -> float64 [0., 0., 0.]
cp.zeros((2, 0)) @ cp.zeros((0, 2)) -> float64 [[0., 0.], [0., 0.]]
cp.concatenate([]) -> ValueError
cp.concatenate([a[0, 0]]) -> refused
cp.stack([]) -> ValueError
cp.concatenate([a, a[0]]) -> ValueError
cp.array([1, 2], 'f4') -> float32 [1., 2.]
cp.linspace(0, 1, 3, dtype='f4') -> float32 [0. , 0.5, 1. ]
cp.searchsorted(i, 1, side='right') -> int64 2
cp.asarray(n, dtype='f8') -> float64 [1., 1., 1.]
cp.asarray(n, 'f4', 'C').flags.c_contiguous -> True
cp.arange(3, dtype=np.int64) -> int64 [0, 1, 2]
cp.arange(start=1, stop=3) -> int64 [1, 2]
cp.arange(3, 0, -1) -> int64 [3, 2, 1]
cp.arange(i[1]) ~> int64 [0]
cp.zeros(i[1]) -> TypeError: 'ndarray' object cannot be interpreted as an integer
a.reshape(i[1], 6) -> TypeError: 'ndarray' object cannot be interpreted as an integer
a.sum(axis=i[1]) -> TypeError
cp.minimum(a, None) -> TypeError: Unsupported type <class 'NoneType'>
cp.isinf(a / 0) -> bool [[False,  True,  True], [ True,  True,  True]]
cp.round(a / 2, decimals=1) -> float32 [[0. , 0.5, 1. ], [1.5, 2. , 2.5]]
cp.floor_divide(a, 2) -> float32 [[0., 0., 1.], [1., 2., 2.]]
cp.remainder(a, -2) -> float32 [[ 0., -1.,  0.], [-1.,  0., -1.]]
-a % 2 -> float32 [[0., 1., 0.], [1., 0., 1.]]
cp.fmod(-a, 2) -> float32 [[-0., -1., -0.], [-1., -0., -1.]]
cp.sign(a - 2) -> float32 [[-1., -1.,  0.], [ 1.,  1.,  1.]]
cp.tanh(a[0]) -> float32 [0.     , 0.76159, 0.96403]
cp.expm1(a[0]) -> float32 [0.     , 1.71828, 6.38906]
cp.log1p(a[0]) -> float32 [0.     , 0.69315, 1.09861]
cp.exp2(i) -> float64 [1., 2.]
cp.cbrt(a[0]) -> float32 [0.     , 1.     , 1.25992]
cp.float64(2) * a -> float64 [[ 0.,  2.,  4.], [ 6.,  8., 10.]]
# no scalars: everything stays on the GPU
type(a.sum()) is cp.ndarray -> True
type(a[0, 0]) is cp.ndarray -> True
type(a.max()) is cp.ndarray -> True
type(cp.allclose(a, a)) is cp.ndarray -> True
type(m.any()) is cp.ndarray -> True
type(next(iter(a))) is cp.ndarray -> True
a.sum().shape -> ()
a[0, 0] + 1 -> float32 1.
x = a.copy(); y = x[0, 0]; y += 7; x[0, 0] -> float32 7.
x = a.copy(); x[0] += 1; x -> float32 [[1., 2., 3.], [3., 4., 5.]]
x = a.copy(); x[:, 1] = 9; x -> float32 [[0., 9., 2.], [3., 9., 5.]]
x = a.copy(); x += 1; x -> float32 [[1., 2., 3.], [4., 5., 6.]]
x = a.copy(); x += 1j; x -> TypeError: Cannot cast output operand
x = i.copy(); x += 0.5; x -> TypeError: Cannot cast output operand
x = i.copy(); x /= 2; x -> TypeError: Cannot cast output operand
x = a.copy(); x *= i[0]; x -> float32 [[0., 0., 0.], [0., 0., 0.]]
x = a.copy(); x += cp.ones((2, 2, 3)); x -> ValueError: Out shape is mismatched
float(a[0, 1]) ~> 1.0
int(a[0, 1]) ~> 1
bool(a[0, 1]) ~> True
complex(a[0, 1]) ~> (1+0j)
bool(a) -> ValueError: The truth value of an array
float(a) -> TypeError: only 0-dimensional arrays can be converted to Python scalars
a.item() -> ValueError: can only convert an array of size 1 to a Python scalar
a[0, 1].item() ~> 1.0
a.item(0) -> TypeError: item() takes
a.tolist() ~> [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
f'{a[0, 1]:.2f}' ~> '1.00'
f'{a[0, 1]}' ~> '1.0'
repr(a[0]) ~> 'array([0., 1., 2.], dtype=float32)'
str(a[0]) ~> '[0. 1. 2.]'
'yes' if a[0, 1] > 0 else 'no' ~> 'yes'
not a[0, 1] ~> False
round(a[0, 1], 1) -> TypeError: type ndarray doesn't define __round__ method
range(i[1]) -> TypeError: 'ndarray' object cannot be interpreted as an integer
[0, 1][i[1]] -> TypeError: list indices must be integers or slices, not ndarray
math.sqrt(a[0, 1]) ~> 1.0
json.dumps(a[0, 1]) -> TypeError: Object of type ndarray is not JSON serializable
hash(a) -> TypeError: unhashable type: 'ndarray
3 in a -> ValueError: The truth value of an array
3.0 in a[0] ~> False
len(a) -> 2
len(a[0, 0]) -> TypeError: len() of unsized object
list(a[0, 0]) -> TypeError: iteration over a 0-d array
list(i)[1] -> int64 1
sum(a) -> float32 [3., 5., 7.]
max(i) ~> int64 1
sorted([a[0, 1], a[0, 0]])[0] ~> float32 0.
a.get() ~> numpy float32 [[0., 1., 2.], [3., 4., 5.]]
cp.asnumpy(a) ~> numpy float32 [[0., 1., 2.], [3., 4., 5.]]
cp.asnumpy(np.ones(1)) -> numpy float64 [1.]
copy.deepcopy(a) -> float32 [[0., 1., 2.], [3., 4., 5.]]
pickle.loads(pickle.dumps(a)) ~> float32 [[0., 1., 2.], [3., 4., 5.]]
# NumPy's arrays and functions: only by asarray and get
np.asarray(a) -> TypeError: Implicit conversion to a NumPy array is not allowed
np.array(a) -> TypeError: Implicit conversion to a NumPy array is not allowed
np.array([a[0, 0], a[0, 1]]) -> TypeError: Implicit conversion to a NumPy array is not allowed
np.exp(a) -> float32 [[  1.     ,   2.71828,   7.38906], [ 20.08554,  54.59815, 148.41316]]
np.sum(a) -> float32 15.
np.concatenate([a, a]) -> float32 [[0., 1., 2.], [3., 4., 5.], [0., 1., 2.], [3., 4., 5.]]
np.where(m, a, 0) -> float32 [[0., 0., 0.], [3., 4., 5.]]
np.float64(2) * a -> float64 [[ 0.,  2.,  4.], [ 6.,  8., 10.]]
np.float32(2) * a -> float32 [[ 0.,  2.,  4.], [ 6.,  8., 10.]]
n * a -> TypeError: Unsupported type <class 'numpy.ndarray'>
a * n -> TypeError: Unsupported type <class 'numpy.ndarray'>
a + np.ones((), 'f4') -> TypeError: Unsupported type <class 'numpy.ndarray'>
a @ n -> refused
n @ a.T -> refused
a == n -> TypeError: Unsupported type <class 'numpy.ndarray'>
a += n -> TypeError: Unsupported type <class 'numpy.ndarray'>
cp.exp(n) -> TypeError: Unsupported type <class 'numpy.ndarray'>
cp.maximum(a, n) -> TypeError: Unsupported type <class 'numpy.ndarray'>
cp.where(m, a, n) -> TypeError: Unsupported type <class 'numpy.ndarray'>
cp.concatenate([a[0], n]) -> TypeError: Unsupported type <class 'numpy.ndarray'>
cp.stack([a[0], n]) -> refused
x = a.copy(); x[0] = n; x -> ValueError: non-scalar numpy.ndarray cannot be used for fill
x = a.copy(); x[0, 0] = np.ones((), 'f4'); x -> float32 [[1., 1., 2.], [3., 4., 5.]]
x = a.copy(); x[0] = np.float32(1); x -> float32 [[1., 1., 1.], [3., 4., 5.]]
x = a.copy(); x[0] = [7, 8, 9]; x -> ValueError: non-scalar numpy.ndarray cannot be used for fill
x = a.copy(); cp.copyto(x, n); x -> ValueError: non-scalar numpy.ndarray cannot be used for copyto
x = a.copy(); cp.copyto(x, 1, where=m); x -> float32 [[0., 1., 2.], [1., 1., 1.]]
x = a.copy(); cp.copyto(x, a[0]); x -> float32 [[0., 1., 2.], [0., 1., 2.]]
x = a.copy(); cp.copyto(x, 1, where=m.get()); x -> TypeError: Unsupported type <class 'numpy.ndarray'>
cp.asarray(n) -> float32 [1., 1., 1.]
cp.asarray([n, n]) -> float32 [[1., 1., 1.], [1., 1., 1.]]
cp.asarray([a[0, 0], a[0, 1]]) -> float32 [0., 1.]
cp.array(a, dtype='f8', ndmin=3) -> float64 [[[0., 1., 2.],  [3., 4., 5.]]]
cp.asarray(a) is a -> True
cp.asarray(a, dtype='f4') is a -> True
cp.asarray(a, dtype='f8').dtype -> dtype('float64')
cp.array(a) is a -> False
n[i] -> TypeError: Implicit conversion to a NumPy array is not allowed
n[i[0]] -> TypeError: Implicit conversion to a NumPy array is not allowed
# lists are not arrays
cp.sum([1, 2]) -> refused
cp.exp([1.0]) -> TypeError: Unsupported type <class 'list'>
cp.reshape([1, 2], (2, 1)) -> refused
cp.concatenate([[1], [2]]) -> TypeError: Unsupported type <class 'list'>
cp.where([True], 1, 2) -> refused
cp.zeros_like([1]) -> refused
cp.matmul([1], [1]) -> refused
cp.broadcast_to([1], (2,)) -> refused
cp.sum(1) -> refused
a + [1, 2, 3] -> TypeError
a @ [1, 2, 3] -> TypeError
a == [1, 2, 3] -> TypeError
a < [1, 2, 3] -> TypeError
a == None -> bool [[False, False, False], [False, False, False]]
a != None -> bool [[ True,  True,  True], [ True,  True,  True]]
a == 'x' -> TypeError
a + None -> TypeError
# indexing: arrays wrap around, Python's numbers do not
a[cp.asarray([7])] -> float32 [[3., 4., 5.]]
a[cp.asarray([-3])] -> float32 [[3., 4., 5.]]
a[[5]] -> float32 [[3., 4., 5.]]
a[np.asarray([2])] -> float32 [[0., 1., 2.]]
a[:, cp.asarray([3, 4])] -> float32 [[0., 1.], [3., 4.]]
a[..., cp.asarray([3])] -> float32 [[0.], [3.]]
a[None, :, cp.asarray([4])] -> float32 [[[1.],  [4.]]]
a[cp.asarray([2]), cp.asarray([3])] -> float32 [0.]
a[cp.asarray([0, 1])[:, None], cp.asarray([0, 5])] -> float32 [[0., 2.], [3., 5.]]
a[5] -> IndexError: 5 is out of bounds for axis 0 with size 2
a[0, 5] -> IndexError: 5 is out of bounds for axis 1 with size 3
a[-3] -> IndexError: -3 is out of bounds for axis 0 with size 2
a[i[1]] -> float32 [3., 4., 5.]
a[cp.asarray(7)] -> float32 [3., 4., 5.]
a[cp.asarray([0.0])] -> IndexError: arrays used as indices must be of integer
a[[True, False]] ~> float32 [[0., 1., 2.]]
a[np.asarray([True, False])] ~> float32 [[0., 1., 2.]]
a[m] ~> float32 [3., 4., 5.]
a[m, None] ~> float32 [[3.], [4.], [5.]]
a[m[0]] -> IndexError: boolean index did not match
a[m[:, 0]] ~> float32 [[3., 4., 5.]]
a[m[:, 0], 1] ~> float32 [4.]
a[cp.asarray([], dtype='i8')] -> float32 []
a[[]] -> float32 []
a[()] -> float32 [[0., 1., 2.], [3., 4., 5.]]
a[..., 0] -> float32 [0., 3.]
a[:, None].shape -> (2, 1, 3)
a[True].shape ~> (1, 2, 3)
a.take(cp.asarray([7]), axis=0) -> float32 [[3., 4., 5.]]
a.take(cp.asarray([7])) -> float32 [1.]
a.take(1, axis=1) -> float32 [1., 4.]
a.take([0, 7], axis=0) -> float32 [[0., 1., 2.], [3., 4., 5.]]
cp.take(a, i, axis=1) -> float32 [[0., 1.], [3., 4.]]
cp.take(a, i, axis=0, mode='clip') -> TypeError: take() got an unexpected keyword argument 'mode
a.take(i, 0, None, 'clip') -> TypeError: take() takes
cp.take(a, i, axis=0, out=cp.zeros((2, 3), 'f4')) -> float32 [[0., 1., 2.], [3., 4., 5.]]
cp.take(a, i, axis=0, out=cp.zeros((2, 3), 'f8')) -> TypeError: Output dtype mismatch
cp.take_along_axis(a, cp.asarray([[0], [4]]), axis=1) -> float32 [[0.], [4.]]
cp.arange(300)[cp.asarray([-1], 'i1')] -> int64 [299]
cp.arange(300).take(cp.asarray([255], 'u1')) -> int64 [255]
cp.arange(300).take(cp.asarray([-1], 'i2')) -> int64 [299]
cp.arange(300)[None].take(cp.asarray([-1], 'i1'), axis=1) -> int64 [[299]]
cp.take_along_axis(cp.arange(300), cp.asarray([-1], 'i1'), axis=0) -> int64 [299]
x = cp.zeros(300); x[cp.asarray([-1], 'i1')] = 1; x[299] -> float64 1.
x = a.copy(); x[cp.asarray([3])] = 9; x -> float32 [[0., 1., 2.], [9., 9., 9.]]
x = a.copy(); x[m] = 0; x ~> float32 [[0., 1., 2.], [0., 0., 0.]]
x = a.copy(); x[m] = cp.asarray([7, 8, 9], 'f4'); x ~> float32 [[0., 1., 2.], [7., 8., 9.]]
x = a.copy(); x[i] = a[::-1]; x -> float32 [[3., 4., 5.], [0., 1., 2.]]
x = a.copy(); x[cp.asarray([0, 1]), cp.asarray([0, 5])] = 9; x -> float32 [[9., 1., 2.], [3., 4., 9.]]
x = a.copy(); x[i, 0] += 1; x -> float32 [[1., 1., 2.], [4., 4., 5.]]
x = a.copy(); cp.put_along_axis(x, cp.asarray([[0], [4]]), 9, axis=1); x -> float32 [[9., 1., 2.], [3., 9., 5.]]
x = a.copy(); cp.put(x, cp.asarray([0, 7]), 9); x -> float32 [[9., 9., 2.], [3., 4., 5.]]
x = a.copy(); cp.put(x, cp.asarray([0]), 9, mode='raise'); x ~> float32 [[9., 1., 2.], [3., 4., 5.]]
x = a.copy(); x[5] = 1; x -> IndexError: 5 is out of bounds for axis 0 with size 2
x = a.copy(); cp.fill_diagonal(x, 9); x -> float32 [[9., 1., 2.], [3., 9., 5.]]
# what a mask or a search gives has a size that only the GPU knows
cp.nonzero(a) ~> int64 [0, 0, 1, 1, 1]; int64 [1, 2, 0, 1, 2]
a.nonzero() ~> int64 [0, 0, 1, 1, 1]; int64 [1, 2, 0, 1, 2]
cp.flatnonzero(a) ~> int64 [1, 2, 3, 4, 5]
cp.argwhere(m) ~> int64 [[1, 0], [1, 1], [1, 2]]
cp.where(m) ~> int64 [1, 1, 1]; int64 [0, 1, 2]
cp.unique(i) ~> int64 [0, 1]
cp.unique(i, return_inverse=True, return_counts=True) ~> int64 [0, 1]; int64 [0, 1]; int64 [1, 1]
cp.bincount(i) ~> int64 [1, 1]
cp.bincount(i, minlength=4) ~> int64 [1, 1, 0, 0]
cp.extract(m, a) ~> float32 [3., 4., 5.]
cp.compress(m[0], a, axis=1) ~> float32 []
cp.repeat(a[0], 2) -> float32 [0., 0., 1., 1., 2., 2.]
cp.repeat(i, i) ~> int64 [1]
cp.argpartition(i, 1) ~> int64 [0, 1]
cp.partition(i, 1) -> int64 [0, 1]
x = a.copy(); x.fill(1); x -> float32 [[1., 1., 1.], [1., 1., 1.]]
x = a.copy(); x.fill(a[0, 1]); x ~> float32 [[1., 1., 1.], [1., 1., 1.]]
cp.array_equal(a, a) -> bool True
cp.isclose(a, a) -> bool [[ True,  True,  True], [ True,  True,  True]]
cp.full(2, a[0, 1]) -> float32 [1., 1.]
cp.cuda.Device().synchronize() ~> None
cp.cuda.runtime.deviceSynchronize() -> None
# ufuncs
cp.exp(a, out=cp.zeros((2, 3), 'f4')) -> float32 [[  1.     ,   2.71828,   7.38906], [ 20.08554,  54.59815, 148.41316]]
cp.add(a, 1, cp.zeros((2, 3), 'f4')) -> float32 [[1., 2., 3.], [4., 5., 6.]]
cp.exp(a, where=m) -> TypeError: Wrong arguments
cp.add(a, 1, where=m) -> TypeError: Wrong arguments
cp.add(a, 1, order='C') -> TypeError: Wrong arguments
cp.add(a) -> TypeError: Wrong number of arguments
cp.add(a, 1, out=cp.zeros((2, 3), 'i4')) -> TypeError: Cannot cast output operand
cp.add(a, 1, out=cp.zeros((2, 3), 'i4'), casting='unsafe') -> int32 [[1, 2, 3], [4, 5, 6]]
cp.add(a, 1, out=cp.zeros((3,), 'f4')) -> ValueError: Out shape is mismatched
cp.add(a, 1, out=np.zeros((2, 3), 'f4')) -> TypeError: Unsupported type <class 'numpy.ndarray'>
cp.add.reduce(a, axis=1) -> float32 [ 3., 12.]
cp.multiply.reduce(a, axis=1) -> float32 [ 0., 60.]
cp.maximum.reduce(a) -> NotImplementedError: `cupy_maximum.reduce` is not supported yet
cp.maximum.accumulate(a) -> NotImplementedError: `cupy_maximum.accumulate` is not supported yet
cp.add.accumulate(a) -> float32 [[0., 1., 2.], [3., 5., 7.]]
cp.add.outer(i, i) -> int64 [[0, 1], [1, 2]]
x = cp.zeros(3, 'f4'); cp.add.at(x, cp.asarray([0, 0, 5]), 1); x -> float32 [2., 0., 1.]
x = cp.zeros(3, 'f2'); cp.add.at(x, i, 1); x -> float16 [1., 1., 0.]
x = cp.zeros(3, 'f8'); cp.add.at(x, i, a[0, :2]); x -> float64 [0., 1., 0.]
x = cp.zeros(3, 'i4'); cp.add.at(x, i, 1.5); x -> int32 [1, 1, 0]
x = cp.zeros(3, 'i2'); cp.add.at(x, i, 1); x -> TypeError: cupy.add.at only supports
x = cp.zeros(3, '?'); cp.add.at(x, i, True); x -> TypeError: cupy.add.at only supports
x = cp.zeros((2, 3), 'f4'); cp.add.at(x, (i, cp.asarray([1, 1])), 2); x -> float32 [[0., 2., 0.], [0., 2., 0.]]
x = cp.zeros(3, 'f4'); cp.subtract.at(x, i, 1); x -> TypeError: cupy.subtract.at only supports
x = cp.zeros(3, 'i4'); cp.subtract.at(x, i, 1); x -> int32 [-1, -1,  0]
x = cp.zeros(3, 'f4'); cp.multiply.at(x, i, 1); x -> NotImplementedError: `cupy_multiply.at` is not supported yet
x = cp.zeros(3, 'f2'); cp.maximum.at(x, i, 1); x -> TypeError: cupy.maximum.at only supports
x = cp.zeros(1, 'f8'); cp.maximum.at(x, cp.asarray([0]), 0.1); x -> float64 [0.1]
x = cp.zeros(3, 'f4'); cupyx.scatter_add(x, i, 1); x -> float32 [1., 1., 0.]
x = cp.zeros(3, 'f4'); cp.scatter_add(x, i, 1); x -> AttributeError: module 'cupy' has no attribute 'scatter_add
x = cp.zeros(3, 'f4'); x.scatter_add(i, 1); x -> float32 [1., 1., 0.]
# names and parameters
isinstance(cp.add, cp.ufunc) -> True
cp.block -> AttributeError: module 'cupy' has no attribute 'block
cp.errstate -> AttributeError: module 'cupy' has no attribute 'errstate
cp.insert -> AttributeError: module 'cupy' has no attribute 'insert
cp.einsum_path -> AttributeError: module 'cupy' has no attribute 'einsum_path
cp.nditer -> AttributeError: module 'cupy' has no attribute 'nditer
cp.vecdot -> AttributeError: module 'cupy' has no attribute 'vecdot
cp.geomspace -> AttributeError: module 'cupy' has no attribute 'geomspace
a.ctypes -> AttributeError: 'ndarray' object has no attribute 'ctypes
a.resize -> AttributeError: 'ndarray' object has no attribute 'resize
a.itemset -> AttributeError: 'ndarray' object has no attribute 'itemset
a.__index__ -> AttributeError: 'ndarray' object has no attribute '__index__
a.__array_namespace__ -> AttributeError: 'ndarray' object has no attribute '__array_namespace__
a.data.ptr > 0 -> True
a.device.id -> 0
a.nope -> AttributeError: 'ndarray' object has no attribute 'nope
cp.nope -> AttributeError: module 'cupy' has no attribute 'nope
cp.sum(a, where=m) -> TypeError: sum() got an unexpected keyword argument 'where
cp.sum(a, initial=0) -> TypeError: sum() got an unexpected keyword argument 'initial
a.sum(where=m) -> TypeError: sum() got an unexpected keyword argument 'where
a.max(initial=0) -> TypeError: max() got an unexpected keyword argument 'initial
a.max(axis=0) -> float32 [3., 4., 5.]
a.min(1, None, True) -> float32 [[0.], [3.]]
cp.max(a, axis=(0, 1)) -> float32 5.
cp.mean(a, axis=1, keepdims=True) -> float32 [[1.], [4.]]
a.mean(axis=1, dtype='f8') -> float64 [1., 4.]
a.std(ddof=1) -> float32 1.87083
a.var(axis=0, ddof=1) -> float32 [4.5, 4.5, 4.5]
a.var(correction=1) -> TypeError: var() got an unexpected keyword argument 'correction
cp.clip(a, min=1, max=3) -> TypeError: clip() got an unexpected keyword argument 'min
a.clip(min=1, max=3) -> float32 [[1., 1., 2.], [3., 3., 3.]]
a.clip(1, 3) -> float32 [[1., 1., 2.], [3., 3., 3.]]
cp.argmax(a, 1, None, None) -> int64 [2, 2]
cp.argmax(a, axis=1, keepdims=True) -> int64 [[2], [2]]
a.argmax(1) -> int64 [2, 2]
cp.zeros(2, device='cpu') -> TypeError: zeros() got an unexpected keyword argument 'device
cp.asarray(a, device='cpu') -> TypeError: asarray() got an unexpected keyword argument 'device
cp.zeros(2, like=a) -> TypeError: zeros() got an unexpected keyword argument 'like
cp.sort(i, kind='quicksort') -> ValueError: kind can only be None or 'stable
cp.sort(i, stable=True) -> TypeError: sort() got an unexpected keyword argument 'stable
cp.sort(i[::-1]) -> int64 [0, 1]
cp.sort(a, axis=None) -> float32 [0., 1., 2., 3., 4., 5.]
i.argsort(kind='stable') -> int64 [0, 1]
cp.argsort(cp.asarray([2, 1, 2, 1])) -> int64 [1, 3, 0, 2]
cp.argsort(i, kind='mergesort') -> ValueError: kind can only be None or 'stable
cp.argsort(a, axis=0) -> int64 [[0, 0, 0], [1, 1, 1]]
x = i[::-1].copy(); x.sort(); x -> int64 [0, 1]
x = a.copy(); x[:, 0].sort(); x -> NotImplementedError: Sorting non-contiguous array is not supported.
x = a.copy(); x.sort(axis=0); x -> float32 [[0., 1., 2.], [3., 4., 5.]]
cp.cumsum(a, axis=1) -> float32 [[ 0.,  1.,  3.], [ 3.,  7., 12.]]
cp.cumsum(i, dtype='f4') -> float32 [0., 1.]
cp.diff(i, prepend=0) -> int64 [0, 1]
cp.concatenate([a, a], axis=1) -> float32 [[0., 1., 2., 0., 1., 2.], [3., 4., 5., 3., 4., 5.]]
cp.concatenate((a[0], i)) -> float64 [0., 1., 2., 0., 1.]
cp.concatenate([a, a], 0, None, dtype='f8').dtype -> dtype('float64')
cp.stack([i, i], axis=1) -> int64 [[0, 0], [1, 1]]
cp.split(i, 2) -> int64 [0]; int64 [1]
cp.meshgrid(i, i, indexing='ij') -> int64 [[0, 0], [1, 1]]; int64 [[0, 1], [0, 1]]
cp.indices((2, 2)).shape -> (2, 2, 2)
cp.tile(i, 2) -> int64 [0, 1, 0, 1]
cp.pad(i, (1, 2)) -> int64 [0, 0, 1, 0, 0]
cp.pad(i, (1, 2), constant_values=7) -> int64 [7, 0, 1, 7, 7]
cp.roll(i, 1) -> int64 [1, 0]
cp.flip(a, 0) -> float32 [[3., 4., 5.], [0., 1., 2.]]
cp.flip(a, axis=(0, 1)) -> float32 [[5., 4., 3.], [2., 1., 0.]]
cp.moveaxis(a, 0, 1).shape -> (3, 2)
cp.expand_dims(a, 0).shape -> (1, 2, 3)
cp.expand_dims(a, (0, 1)).shape -> (1, 1, 2, 3)
cp.squeeze(a[None]).shape -> (2, 3)
cp.transpose(a, (1, 0)).shape -> (3, 2)
a.transpose(1, 0).shape -> (3, 2)
a.T.shape -> (3, 2)
a.mT.shape -> (3, 2)
a.swapaxes(0, 1).shape -> (3, 2)
a.reshape(3, 2) -> float32 [[0., 1.], [2., 3.], [4., 5.]]
a.reshape((3, -1)).shape -> (3, 2)
a.reshape(4, 2) -> ValueError: cannot reshape array of size 6
a.reshape(6, order='F') -> float32 [0., 3., 1., 4., 2., 5.]
a.ravel() -> float32 [0., 1., 2., 3., 4., 5.]
a.flatten() -> float32 [0., 1., 2., 3., 4., 5.]
a.squeeze() -> float32 [[0., 1., 2.], [3., 4., 5.]]
cp.tril(a) -> float32 [[0., 0., 0.], [3., 4., 0.]]
cp.triu(a, k=1) -> float32 [[0., 1., 2.], [0., 0., 5.]]
cp.diag(i) -> int64 [[0, 0], [0, 1]]
cp.diagonal(a) -> float32 [0., 4.]
cp.trace(a) -> float32 4.
cp.einsum('ij,kj->ik', a, a) -> float32 [[ 5., 14.], [14., 50.]]
cp.einsum('ij,kj->ik', a, a, optimize=True) -> float32 [[ 5., 14.], [14., 50.]]
cp.tensordot(a, a, axes=([0, 1], [0, 1])) -> float32 55.
cp.dot(a, a.T) -> float32 [[ 5., 14.], [14., 50.]]
a.dot(i) -> ValueError
cp.matmul(a, a.T, out=cp.zeros((2, 2), 'f4')) -> float32 [[ 5., 14.], [14., 50.]]
a @ a.T -> float32 [[ 5., 14.], [14., 50.]]
i @ i -> int64 1
(h @ h.T).dtype -> dtype('float16')
a[0, 0] @ a -> ValueError: Scalar operands
cp.outer(i, i) -> int64 [[0, 0], [0, 1]]
cp.isin(a, cp.asarray([1, 2], 'f4')) -> bool [[False,  True,  True], [False, False, False]]
cp.linalg.norm(a) -> float32 7.4162
cp.linalg.norm(a, axis=1) -> float32 [2.23607, 7.07107]
cp.prod(i) -> int64 0
cp.all(m) -> bool False
cp.any(m, axis=1) -> bool [False,  True]
m.all(axis=0) -> bool [False, False, False]
cp.nan_to_num(a) -> float32 [[0., 1., 2.], [3., 4., 5.]]
cp.round(a / 2) -> float32 [[0., 0., 1.], [2., 2., 2.]]
a.round(1) -> float32 [[0., 1., 2.], [3., 4., 5.]]
cp.lexsort(cp.stack([i, i])) -> int64 [0, 1]
cp.minimum(a, a[0]) -> float32 [[0., 1., 2.], [0., 1., 2.]]
cp.broadcast_arrays(a, i[:1])[1].shape -> (2, 3)
cp.broadcast_shapes((2, 1), (3,)) -> (2, 3)
cp.ndim(a) -> 2
cp.shape(a) -> (2, 3)
cp.can_cast('f4', 'f8') -> True
cp.iscomplexobj(a) -> False
cp.get_array_module(a) is cp -> True
cp.get_array_module(n) is np -> True
cp.lib.stride_tricks.sliding_window_view(i, 2) ~> int64 [[0, 1]]
cp.lib.stride_tricks.as_strided(i, (2, 2), (0, 8)) -> int64 [[0, 1], [0, 1]]
cp.lib.stride_tricks.as_strided(i, (2, 2), (0, 8), writeable=False) -> TypeError: as_strided() got an unexpected keyword argument 'writeable
cp.copy(a) is a -> False
a.copy(order='C').flags.c_contiguous -> True
a.astype('f4', copy=False) is a -> True
a.astype('f4') is a -> False
a.view('i4').dtype -> dtype('int32')
a.view('i4')[0] -> int32 [         0, 1065353216, 1073741824]
a.set(np.ones((2, 3), 'f4')) -> None
a.real is a -> True
a.conj() is a -> True
# views, strides, flags
a.base is None -> True
a[0].base is a -> True
a[0][1:].base is a -> True
a.T.base is a -> True
a.reshape(3, 2).base is a -> True
a.ravel().base is a -> True
a.T.reshape(6).base is None -> True
a[i].base is None -> True
a[m].base is None ~> True
(a + 1).base is None -> True
cp.asarray(a, dtype='f8').base is None -> True
cp.broadcast_to(a, (2, 2, 3)).base is a -> True
cp.expand_dims(a, 0).base is a -> True
cp.diagonal(a).base is a -> True
cp.lib.stride_tricks.as_strided(a, (2,), (4,)).base is a -> False
cp.may_share_memory(a, a[0]) -> True
cp.shares_memory(a, a[1:]) ~> True
a.T.flags.c_contiguous -> False
a.T.flags.f_contiguous -> True
a.flags['C_CONTIGUOUS'] -> True
a.flags.owndata -> True
a[0].flags.owndata -> False
a.flags.writeable -> AttributeError: 'Flags' object has no attribute 'writeable
a.T.strides -> (4, 12)
(a.T + 1).strides -> (8, 4)
a.T.copy().strides -> (8, 4)
a.T[i].strides -> (8, 4)
a[:, i].strides -> (8, 4)
cp.empty_like(a.T).strides -> (4, 12)
a.T.astype('f8').strides -> (8, 24)
cp.broadcast_to(a, (2, 2, 3)).strides -> (0, 12, 4)
x = cp.broadcast_to(cp.zeros(2), (2, 2)); x[0, 0] = 5; x -> float64 [[5., 0.], [5., 0.]]
x = cp.arange(4); x[1:] = x[:-1]; x -> int64 [0, 0, 1, 2]
x = cp.arange(4); x[1:] += x[:-1]; x -> int64 [0, 1, 3, 5]
# views, shapes and what Python does with them
a[np.int64(5)] -> IndexError: 5 is out of bounds for axis 0 with size 2
a[np.int64(1)] -> float32 [3., 4., 5.]
x = a.copy(); x[np.int64(1)] = 0; x -> float32 [[0., 1., 2.], [0., 0., 0.]]
a[i[0], i[1]] -> float32 1.
a[i[0]][1] -> float32 1.
a[i[0], 1] -> float32 1.
a[i, ::-1] -> float32 [[2., 1., 0.], [5., 4., 3.]]
a[0, [True, False, True]] ~> float32 [0., 2.]
a.T[[0, 1]].base is None -> True
a[1:][0].base is a -> True
n[0] + a -> float32 [[1., 2., 3.], [4., 5., 6.]]
n[0] * a[0, 0] -> float32 0.
x = n.copy(); x[:] = a[0]; x -> TypeError: Implicit conversion to a NumPy array is not allowed
x = n.copy(); x += a[0]; x -> TypeError: Unsupported type <class 'numpy.ndarray'>
np.add.at(a, [0], 1) -> TypeError
np.add.reduce(a) -> float32 [3., 5., 7.]
np.allclose(a, a) -> bool True
np.testing.assert_allclose(a, a) -> TypeError: Implicit conversion to a NumPy array is not allowed
np.may_share_memory(a, a) -> True
np.result_type(a, 1.0) -> dtype('float32')
np.ndim(a) -> 2
np.shape(a) -> (2, 3)
np.zeros_like(a) -> float32 [[0., 0., 0.], [0., 0., 0.]]
np.ascontiguousarray(a) -> TypeError: Implicit conversion to a NumPy array is not allowed
np.broadcast_to(a, (2, 2, 3)).shape -> (2, 2, 3)
np.stack([a[0], n]) -> refused
np.maximum(a, n) -> TypeError: Unsupported type <class 'numpy.ndarray'>
np.maximum(a, 1) -> float32 [[1., 1., 2.], [3., 4., 5.]]
np.sqrt(a[0, 1]) -> float32 1.
np.isnan(a[0, 1]) -> bool False
np.float32(a[0, 1]) -> TypeError: Implicit conversion to a NumPy array is not allowed
np.array_equal(a, a) -> bool True
np.array(1.0) * a -> TypeError: Unsupported type <class 'numpy.ndarray'>
np.block([a, a]) -> TypeError
operator.index(i[1]) -> TypeError: 'ndarray' object cannot be interpreted as an integer
'%d' % i[1] ~> '1'
'%s' % a[0, 1] ~> '1.0'
a[0, 1] in [1.0, 2.0] ~> True
a[0, 1] == 1.0 and 'yes' ~> 'yes'
any(i) ~> True
any(m) -> ValueError: The truth value of an array
min(a[0, 0], a[0, 1]) ~> float32 0.
float(i.sum()) / 2 ~> 0.5
isinstance(a, np.ndarray) -> False
hasattr(a, '__array__') -> True
hasattr(a, '__cuda_array_interface__') -> True
hasattr(a, '__index__') -> False
a.dtype == np.float32 -> True
a.ndim -> 2
a.flags.contiguous -> AttributeError: 'Flags' object has no attribute 'contiguous
a.tobytes() == a.get().tobytes() ~> True
a.T.ravel().base is None -> True
a[:, 0].copy().strides -> (4,)
a[:, ::2].strides -> (12, 8)
a[::-1].strides -> (-12, 4)
a[::-1].base is a -> True
a[0, 0].strides -> ()
a.reshape(1, 6).strides -> (24, 4)
a.squeeze().base is a -> False
a.astype('f4').base is None -> True
cp.ascontiguousarray(a) is a -> True
cp.ascontiguousarray(a.T).strides -> (8, 4)
cp.concatenate([a.T, a.T]).strides -> (8, 4)
cp.where(m.T, a.T, 0).strides -> (8, 4)
(a.T @ a).strides -> (12, 4)
a.T.sum(axis=0).strides -> (4,)
cp.exp(a.T).strides -> (8, 4)
cp.zeros_like(a.T).strides -> (4, 12)
cp.zeros((2, 3), order='F').strides -> (8, 16)
cp.stack([a, a], axis=2).strides -> (24, 8, 4)
cp.flip(a, 0).strides -> (-12, 4)
cp.take(a, i, axis=1).strides -> (8, 4)
cp.sort(a.T, axis=0).strides -> (8, 4)
cp.transpose(cp.ones((2, 3, 4)), (2, 0, 1)).sum(axis=1).strides -> (24, 8)
(cp.transpose(cp.ones((2, 3, 4)), (2, 0, 1)) + 1).strides -> (48, 24, 8)
cp.cumsum(a.T, axis=0).strides -> (8, 4)
cp.cuda.Device().id -> 0
cp.cuda.runtime.getDeviceCount() > 0 -> True
cp.cuda.is_available() -> True
cp.get_default_memory_pool().free_all_blocks() -> None
cp.get_default_memory_pool().used_bytes() >= 0 -> True
cp.get_default_memory_pool().total_bytes() >= 0 -> True
cp.cuda.runtime.getDeviceProperties(0)['name'].decode()[:0] -> ''
cp.cuda.Stream.null.synchronize() -> None
cupyx.nope -> AttributeError: module 'cupyx' has no attribute 'nope
cupyx.scipy.special.nope -> AttributeError: module 'cupyx.scipy.special' has no attribute 'nope
cp.ndarray((2, 3), 'f4').shape -> (2, 3)
x = a.copy(); x[x > 2] = 0; x ~> float32 [[0., 1., 2.], [0., 0., 0.]]
x = a.copy(); x[None] = 1; x -> float32 [[1., 1., 1.], [1., 1., 1.]]
x = a.copy(); x[:, i] = 7; x -> float32 [[7., 7., 2.], [7., 7., 5.]]
x = a.copy(); x[:, i] += a[:, i]; x -> float32 [[0., 2., 2.], [6., 8., 5.]]
x = a.copy(); x[..., 0] = x[..., 1]; x -> float32 [[1., 1., 2.], [4., 4., 5.]]
x = a.copy(); x.T[0] = 7; x -> float32 [[7., 1., 2.], [7., 4., 5.]]
x = a.copy(); x.reshape(-1)[0] = 7; x -> float32 [[7., 1., 2.], [3., 4., 5.]]
x = a.copy(); x.shape = (3, 2); x -> float32 [[0., 1.], [2., 3.], [4., 5.]]
x = a.copy(); x.put(cp.asarray([0, 7]), 9); x -> float32 [[9., 9., 2.], [3., 4., 5.]]
x = a.copy(); cp.add.at(x, (slice(None), i), 1); x -> float32 [[1., 2., 2.], [4., 5., 5.]]
x = a.copy(); cp.add.at(x, m, 1); x ~> float32 [[0., 1., 2.], [4., 5., 6.]]
x = a.copy(); cp.add.at(x, 0, 1); x -> float32 [[1., 2., 3.], [3., 4., 5.]]
x = a.copy(); cp.add.at(x, i, n); x -> float32 [[1., 2., 3.], [4., 5., 6.]]
x = a.copy(); cp.add.at(x, [0, 0], a); x -> float32 [[3., 6., 9.], [3., 4., 5.]]
"""


@pytest.fixture(scope="module", autouse=True)
def cupy() -> Iterator[Any]:
    """The CuPy that --backend has installed, or else the fake."""
    if "cupy" in sys.modules:
        yield sys.modules["cupy"]
    else:
        yield fakecupy.install()
        fakecupy.uninstall()


def rules() -> dict[str, tuple[str, bool]]:
    """What each line of RULES promises: the outcome, and whether it waits for the GPU."""
    found = {}
    for line in RULES.strip().splitlines():
        if not line.startswith("#"):
            waits = " ~> " in line
            code, outcome = line.split(" ~> " if waits else " -> ")
            assert code not in found, code
            found[code] = outcome, waits
    return found


def run(code: str, wait: bool = True) -> Any:
    """The value of the last expression of code; with wait=False, waiting for the GPU is an error."""
    import cupy as cp
    import cupyx

    a = cp.arange(6, dtype="f4").reshape(2, 3).copy()
    names = {
        "cp": cp, "np": np, "cupyx": cupyx, "math": math, "operator": operator, "json": json, "copy": copy, "pickle": pickle,
        "a": a, "m": a > 2, "h": a.astype("f2"), "i": cp.arange(2), "i32": cp.arange(1, 3, dtype="i4"),
        "b": cp.arange(2, dtype="u1"), "n": np.ones(3, "f4"),
    }  # fmt: skip
    *statements, last = code.split("; ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # allow_synchronize calls itself deprecated
        with cupyx.allow_synchronize(wait):
            exec("; ".join(statements), names)
            if not isinstance(ast.parse(last).body[0], ast.Expr):
                return exec(last, names)
            return eval(last, names)


def show(x: Any) -> str:
    """An outcome as in the table."""
    if isinstance(x, np.ndarray):
        return "numpy " + show_numbers(x)
    if hasattr(x, "get") and hasattr(x, "dtype"):
        return show_numbers(x.get())
    if type(x) in (list, tuple) or hasattr(x, "_fields"):
        return "; ".join(map(show, x)) if any(hasattr(y, "get") for y in x) else repr(x)
    return type(x).__name__ + " " + str(x) if isinstance(x, np.generic) else repr(x)


def show_numbers(x: np.ndarray) -> str:
    with np.printoptions(precision=5):
        return f"{x.dtype} {np.array2string(x, separator=', ', max_line_width=10**6)}".replace("\n", "")


TABLE = rules()


@pytest.mark.parametrize("code", TABLE)
def test_rule(code: str) -> None:
    outcome, waits = TABLE[code]
    if error := re.fullmatch(r"(\w+Error|refused)(?:: (.*))?", outcome):
        kind = Exception if error[1] == "refused" else getattr(builtins, error[1])
        with pytest.raises(kind, match=re.escape(error[2] or "")):
            run(code)
        return
    assert show(run(code)) == outcome
    import cupyx

    if waits:
        with pytest.raises(cupyx.DeviceSynchronized):
            run(code, wait=False)
    else:
        run(code, wait=False)


# --------------------------------------------------------------------------- what is left open, and what only the fake refuses


@pytest.mark.parametrize("key", ["x[i]", "x[i, 0]", "x[i] (rows)"])
def test_one_of_the_values_for_one_place_wins(cupy: Any, key: str) -> None:
    """Which one, CuPy does not say; the fake, so that nobody relies on the last, gives another one as well."""
    winners = set()
    for n in range(2, 12):
        i, v = cupy.zeros(n, "i8"), cupy.arange(1, n + 1)
        x = cupy.zeros((2, 3), "i8")
        if key == "x[i]":
            x[0][i] = v
        elif key == "x[i, 0]":
            x[i, 0] = v
        else:
            x[i] = v[:, None]
        winner = int(x[0, 0])
        assert 1 <= winner <= n
        winners.add(winner == n)
    if cupy is fakecupy.cupy:
        assert winners == {True, False}


def test_the_fake_refuses_more() -> None:
    """What works on a GPU, but computes something else than is meant, or lets NumPy's arrays in unseen."""
    cp = fakecupy.cupy
    with pytest.raises(NotImplementedError, match="loses digits"):
        cp.add.reduceat(cp.arange(3.0), [0, 1])
    with pytest.raises(TypeError, match="Unsupported type"):
        cp.sum(np.ones(3))


def test_fresh_memory_of_the_fake_is_garbage() -> None:
    cp = fakecupy.cupy
    assert (cp.empty(3).get().view("u1") == 0xAB).all()
    assert (cp.empty_like(cp.zeros((2, 2), "f4").T).get().view("u1") == 0xAB).all()
    assert (cp.ndarray((3,), "i4").get().view("u1") == 0xAB).all()


def test_the_fake_goes_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("cupy", "cupyx", "cupyx.scipy.special")
    monkeypatch.setattr(fakecupy, "_before", {})
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)
    assert fakecupy.install() is sys.modules["cupy"] is fakecupy.cupy
    assert fakecupy.install() is fakecupy.cupy  # a second time changes nothing
    from cupyx.scipy.special import erf

    assert float(erf(fakecupy.cupy.zeros(1))[0]) == 0
    fakecupy.uninstall()
    assert not any(name in sys.modules for name in names)


# ---------------------------------------------------------------------------------------------------------------- kernels


def test_elementwise_kernels(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KERNELS, "rules_scaled_sum", lambda x, y, scale: (x + y) * scale)
    f = cupy.ElementwiseKernel("T x, T y, float64 scale", "T z", "z = (x + y) * scale", "rules_scaled_sum")
    x = cupy.arange(3, dtype="f4")
    assert show(f(x, x, 0.5)) == "float32 [0., 1., 2.]"
    assert show(f(x[:, None], x[:2], 2.0)) == "float32 [[0., 2.], [2., 4.], [4., 6.]]"
    assert show(f(x, 1.0, 2.0)) == "float32 [2., 4., 6.]"
    out = cupy.zeros(3, "f4")
    assert f(x, x, 1.0, out) is out
    assert show(out) == "float32 [0., 2., 4.]"
    for wrong in ((x, x.astype("f8"), 1.0), (x, np.ones(3, "f4"), 1.0), (x, x)):
        with pytest.raises(TypeError):
            f(*wrong)


def test_reduction_kernels(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KERNELS, "rules_norm2", lambda x, axis, keepdims: (x * x).sum(axis=axis, keepdims=keepdims))
    f = cupy.ReductionKernel("T x", "T y", "x * x", "a + b", "y = a", "0", "rules_norm2")
    x = cupy.arange(6, dtype="f4").reshape(2, 3)
    assert show(f(x)) == "float32 55."
    assert show(f(x, axis=1)) == "float32 [ 5., 50.]"
    assert show(f(x, axis=0, keepdims=True)) == "float32 [[ 9., 17., 29.]]"
    with pytest.raises(TypeError):
        f(np.ones(3, "f4"))


def test_raw_kernels(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def double(x: np.ndarray, n: Any) -> None:
        x[:n] *= 2

    monkeypatch.setitem(KERNELS, "rules_double", double)
    source = r"""extern "C" __global__ void rules_double(float* x, const long long n) {
      const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) x[i] *= 2;
    }"""
    f = cupy.RawKernel(source, "rules_double", options=("--fmad=false",))
    x = cupy.arange(4, dtype="f4")
    assert f((1,), (128,), (x, np.int64(3))) is None
    assert show(x) == "float32 [0., 2., 4., 3.]"
    with pytest.raises(TypeError):
        f((1,), (128,), (np.ones(3, "f4"), np.int64(3)))


def test_a_raw_kernel_of_the_fake_refuses_what_would_read_other_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    cp = fakecupy.cupy
    monkeypatch.setitem(KERNELS, "rules_nothing", lambda x: None)
    f = cp.RawKernel("", "rules_nothing")
    f((1,), (1,), (cp.zeros((2, 3)),))
    with pytest.raises(ValueError, match="strides"):
        f((1,), (1,), (cp.zeros((2, 3)).T,))
    with pytest.raises(ValueError, match="grid"):
        f((0,), (128,), (cp.zeros(3),))
    with pytest.raises(ValueError, match="block"):
        f((1,), (2048,), (cp.zeros(3),))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_engines_segment_sum_is_np_add_at(cupy: Any, dtype: str) -> None:
    """On the fake, this compares the kernel's definition in NumPy; elsewhere, the kernel."""
    draw = np.random.default_rng(0)
    y, index = draw.standard_normal((50, 3)).astype(dtype), draw.integers(0, 7, 50)
    want = np.zeros((9, 3), dtype)
    np.add.at(want, index, y)
    got = backend.scatter_add(cupy.asarray(y), cupy.asarray(index), 9).get()
    assert got.dtype == want.dtype and got.tobytes() == want.tobytes()
