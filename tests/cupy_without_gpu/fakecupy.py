"""A strict stand-in for CuPy 14.2 on NumPy's memory, for tests: it refuses what CuPy refuses, so that code tested with it runs there.

What exists and which arguments it takes stands in cupy_api.json, a snapshot of the real CuPy; the numbers are NumPy's; this
file holds the differences, and test_cupy_rules.py runs one table of them on the fake and on CuPy's own code. What CuPy
leaves open is made to hurt: fresh memory is garbage, the winner among duplicate indices is arbitrary, and
`cupyx.allow_synchronize(False)` turns every wait for the GPU into an error.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

API: dict[str, str] = json.loads(Path(__file__).with_name("cupy_api.json").read_text())
quiet = np.errstate(all="ignore")  # a GPU divides by zero without a word

# ------------------------------------------------------------------------------------------------- hidden synchronisation


class DeviceSynchronized(RuntimeError):
    """Something waited for the GPU inside `with cupyx.allow_synchronize(False)`."""


_allowed = [True]


@contextlib.contextmanager
def allow_synchronize(allow: bool) -> Iterator[None]:
    """Within allow_synchronize(False), whatever waits for the GPU raises DeviceSynchronized."""
    _allowed.append(allow)
    try:
        yield
    finally:
        _allowed.pop()


def _synchronize() -> None:
    if not _allowed[-1]:
        raise DeviceSynchronized("Device synchronization was detected while disallowed.")


# ------------------------------------------------------------------------------------------------------------- the array


class ndarray:
    """cupy.ndarray: `_a` is the memory, `base` the array that this one is a view of. Other members come from the snapshot."""

    __slots__ = ("__weakref__", "_a", "base")
    __hash__ = None  # type: ignore[assignment]
    _a: np.ndarray
    base: ndarray | None

    def __new__(
        cls, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"
    ) -> ndarray:
        if memptr is not None or strides is not None:
            raise NotImplementedError("fakecupy: memptr and strides")
        return wrap(_garbage(np.empty(shape, dtype, order)))  # type: ignore[call-overload]

    # what numpy does with a cupy.ndarray: nothing, or hand over to cupy
    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "at":
            return NotImplemented
        if options.get("out") is not None:
            (options["out"],) = options["out"]
        f = getattr(cupy, function.__name__)
        return (f if method == "__call__" else getattr(f, method))(*inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: tuple, options: dict) -> Any:
        f = getattr(cupy, function.__name__, None)
        return NotImplemented if f is None else f(*args, **options)

    # what leaves the GPU waits for it
    def get(self, stream: Any = None, order: Any = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        _synchronize()
        if out is None:
            return self._a.copy(order)
        out[...] = self._a
        return out

    def item(self) -> Any:
        if self._a.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        return self.get().tobytes(order)

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def __bool__(self) -> bool:
        return bool(self.get())

    def __repr__(self) -> str:
        return repr(self.get())

    def __str__(self) -> str:
        return str(self.get())

    def __format__(self, spec: str) -> str:
        return format(self.get()[()] if self._a.ndim == 0 else self.get(), spec)

    def __reduce__(self) -> Any:
        return asarray, (self.get(),)

    def __deepcopy__(self, memo: Any) -> ndarray:
        return wrap(self._a.copy())

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray) or arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError("Shape or dtype mismatch")
        self._a[...] = arr

    # attributes
    dtype = property(lambda self: self._a.dtype)
    shape = property(lambda self: self._a.shape, lambda self, shape: setattr(self._a, "shape", shape))
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    strides = property(lambda self: self._a.strides)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    device = property(lambda self: Device(0))
    data = property(lambda self: SimpleNamespace(ptr=self._a.__array_interface__["data"][0]))
    flags = property(lambda self: Flags(self._a))
    __cuda_array_interface__ = property(lambda self: self._a.__array_interface__)
    T = property(lambda self: wrap(self._a.T, self))
    mT = property(lambda self: wrap(self._a.mT, self))
    real = property(lambda self: wrap(self._a.real, self) if self._a.dtype.kind == "c" else self)
    imag = property(lambda self: wrap(self._a.imag, self))

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Iterator[ndarray]:
        if self._a.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (wrap(self._a[i, ...], self) for i in range(len(self._a)))

    def __getitem__(self, key: Any) -> ndarray:
        key = _index(self._a, key)
        y = self._a[key]
        return wrap(np.ascontiguousarray(y) if any(isinstance(k, np.ndarray) for k in key) else y, self)

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(value, ndarray) and np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        _assign(self._a, _index(self._a, key), value._a if isinstance(value, ndarray) else value)

    def fill(self, value: Any) -> None:
        if isinstance(value, ndarray):
            _synchronize()
        self[...] = value

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> ndarray:
        if not copy and self._a.dtype == dtype:
            return self
        with np.errstate(all="ignore"):
            return wrap(self._a.astype(dtype, order))

    def conj(self) -> ndarray:
        return cupy.conj(self) if self._a.dtype.kind == "c" else self

    def scatter_add(self, slices: Any, value: Any) -> None:
        _at("add", self, slices, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'ndarray' object has no attribute {name!r}")


SCALARS = (bool, int, float, complex, np.generic)


class Flags:
    """array.flags: those that CuPy has; every array may be written to."""

    def __init__(self, a: np.ndarray) -> None:
        self.c_contiguous, self.f_contiguous = a.flags.c_contiguous, a.flags.f_contiguous
        self.forc, self.fnc, self.owndata = a.flags.forc, a.flags.fnc, a.base is None

    def __getitem__(self, name: str) -> bool:
        names = {"C_CONTIGUOUS": self.c_contiguous, "F_CONTIGUOUS": self.f_contiguous, "OWNDATA": self.owndata}
        return names[name]


def wrap(x: Any, of: ndarray | None = None) -> Any:
    """A result of NumPy as CuPy gives it: scalars are 0-d arrays; `of` is the array that x may be a view of."""
    if isinstance(x, np.ndarray):
        y = object.__new__(ndarray)
        y._a, y.base = x, None
        if of is not None and x.base is not None and x is not of._a and np.may_share_memory(x, of._a):
            y.base = of if of.base is None else of.base
            if not x.flags.writeable:
                y._a = np.asarray(_Memory(x))
        return y
    if isinstance(x, np.generic):
        return wrap(np.asarray(x))
    if isinstance(x, (tuple, list)):
        parts = [wrap(y, of) for y in x]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    return x


class _Memory:
    """Memory of an array, to be written to: CuPy knows no read-only views."""

    def __init__(self, a: np.ndarray) -> None:
        self.array, interface = a, a.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def unwrap(x: Any) -> Any:
    """An argument as NumPy takes it; NumPy's own arrays are refused, as CuPy never moves them silently."""
    if isinstance(x, ndarray):
        return x._a
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if type(x) in (list, tuple):
        return type(x)(map(unwrap, x))
    return x


def plain(x: Any) -> Any:
    """An argument that is a number, a shape, an axis or a word: no array, not even one of a single integer."""
    if isinstance(x, ndarray) or (type(x) in (list, tuple) and any(isinstance(y, ndarray) for y in x)):
        raise TypeError("'ndarray' object cannot be interpreted as an integer")
    return x


def _garbage(a: np.ndarray) -> np.ndarray:
    """Memory as CuPy finds it: not zero by luck."""
    if a.size:
        a.ravel("K").view(np.uint8).fill(0xAB)
    return a


# -------------------------------------------------------------------------------------------------------------- indexing


def _index(a: np.ndarray, key: Any) -> Any:
    """key for NumPy: lists and NumPy's arrays may index, and what is out of bounds wraps around, as in CuPy."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(k, (ndarray, np.ndarray, list, bool)) for k in parts):
        parts = tuple(_index_array(k) if isinstance(k, (ndarray, np.ndarray, list, bool)) else k for k in parts)
        taken = sum(k.ndim if _is_mask(k) else 1 for k in parts if k is not None and k is not Ellipsis)
        axis, result = 0, []
        for k in parts:
            if isinstance(k, np.ndarray) and k.dtype.kind in "iu" and axis < a.ndim and a.shape[axis]:
                k = _around(k, a.shape[axis])
            result.append(k)
            axis += 0 if k is None else a.ndim - taken if k is Ellipsis else k.ndim if _is_mask(k) else 1
        return tuple(result)
    # a[0, 0] is a view of one element, no scalar
    return parts if any(k is Ellipsis for k in parts) else (*parts, Ellipsis)


def _around(index: Any, n: int) -> Any:
    """The places that an index, out of bounds too, means in n of them; it may be of a type that does not hold n."""
    return np.asarray(index).astype(np.int64) % n if n else index


def _is_mask(k: Any) -> bool:
    return isinstance(k, np.ndarray) and k.dtype == bool


def _index_array(k: Any) -> np.ndarray:
    k = k._a if isinstance(k, ndarray) else np.asarray(k)
    if k.size == 0 and k.dtype == np.float64:
        k = k.astype(np.int64)
    if k.dtype == bool:
        _synchronize()  # the size of what a mask selects is known only to the GPU
    return k


@quiet
def _assign(a: np.ndarray, key: Any, value: Any) -> None:
    """a[key] = value; which of several values for one place wins is anybody's guess, so guess."""
    if any(isinstance(k, np.ndarray) and k.ndim and k.dtype != bool for k in key) and np.ndim(value):
        places = np.arange(a.size).reshape(a.shape)[key]
        order = np.random.default_rng(places.size).permutation(places.size)
        values = np.broadcast_to(value, places.shape).reshape(-1)
        a.flat[places.reshape(-1)[order]] = values[order]
    else:
        a[key] = value


# ----------------------------------------------------------------------------------------------------------------- ufuncs

_ATOMIC = {np.dtype(t) for t in ("i4", "i8", "u4", "u8", "f2", "f4", "f8")}
_AT_DTYPES = {
    "add": _ATOMIC,
    "subtract": {np.dtype("i4"), np.dtype("u4")},
    "maximum": _ATOMIC - {np.dtype("f2")},
    "minimum": _ATOMIC - {np.dtype("f2")},
}


def _at(name: str, a: Any, index: Any, value: Any) -> None:
    """ufunc.at for the few ufuncs and dtypes for which CUDA has an atomic operation."""
    if not isinstance(a, ndarray):
        raise TypeError("First operand must be a cupy.ndarray")
    if name not in _AT_DTYPES:
        raise NotImplementedError(f"`cupy_{name}.at` is not supported yet")
    if a.dtype not in _AT_DTYPES[name]:
        raise TypeError(f"cupy.{name}.at only supports {', '.join(map(str, _AT_DTYPES[name]))} as data type")
    value = value._a if isinstance(value, ndarray) else np.asarray(value)
    getattr(np, name).at(a._a, _index(a._a, index), value.astype(a.dtype))


class ufunc:
    """cupy.ufunc: chooses one of CuPy's loops by the dtypes, takes arrays of CuPy and scalars, and few keywords."""

    def __init__(self, name: str, line: str, function: Callable | None = None) -> None:
        self.__name__, self.name = name, f"cupy_{name}"
        nin, nout, *self.types = line.split()[1:]
        self.nin, self.nout = int(nin), int(nout)
        self.loops = [tuple(map(np.dtype, t)) for t in (types.replace("->", "") for types in self.types)]
        self.function: Any = function or _FUNCTIONS.get(name) or getattr(np, name)
        self.plans: dict[tuple, Any] = {}

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: Any = "same_kind", **wrong: Any) -> Any:
        if wrong:
            raise TypeError(f"Wrong arguments {wrong}")
        if not self.nin <= len(args) <= self.nin + self.nout:
            raise TypeError(f"Wrong number of arguments for {self.name}")
        if len(args) > self.nin:
            if out is not None:
                raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
            out = args[self.nin] if self.nout == 1 else args[self.nin :]
            args = args[: self.nin]
        key: list[Any] = []
        values: list[Any] = []
        for x in args:
            if type(x) is ndarray:
                key.append(x._a.dtype)
                values.append(x._a)
            elif isinstance(x, np.generic):
                key.append(x.dtype)
                values.append(x)
            elif isinstance(x, SCALARS):
                key.append(type(x))
                values.append(x)
            else:
                raise TypeError(f"Unsupported type {type(x)}")
        result = self.run(self.plans.get((*key, dtype)) or self.plan(tuple(key), dtype), values)
        if out is None:
            return wrap(result)
        for o, r in zip((out,), (result,), strict=True) if self.nout == 1 else zip(out, result, strict=True):
            if not isinstance(o, ndarray):
                raise TypeError(f"Unsupported type {type(o)}")
            if not np.can_cast(r.dtype, o.dtype, casting):
                raise TypeError(
                    f"Cannot cast output operand from {r.dtype!r} to {o.dtype!r} according to the rule {casting!r}"
                )
            if np.broadcast_shapes(r.shape, o.shape) != o.shape:
                raise ValueError("Out shape is mismatched")
            o._a[...] = r
        return out

    @quiet
    def run(self, loop: tuple, values: list) -> Any:
        ins, outs, as_numpy = loop
        if as_numpy:
            return self.function(*values, order="C")
        values = [
            np.asarray(v, t) if isinstance(v, (int, float, complex)) else v.astype(t)
            for v, t in zip(values, ins, strict=True)
        ]
        result = self.function(*values)
        if len(outs) == 1:
            return result.astype(outs[0], "C")
        return tuple(r.astype(t, "C") for r, t in zip(result, outs, strict=True))

    def plan(self, key: tuple, dtype: Any) -> tuple:
        """The first of CuPy's loops that these operands fit, and whether NumPy by itself would choose the same."""
        strong = [k for k in key if isinstance(k, np.dtype) or k is bool]
        common = np.result_type(*strong) if strong else None
        given = [
            np.dtype(k) if isinstance(k, np.dtype) or k is bool or common is None else np.result_type(common, k(0))
            for k in key
        ]
        for loop in self.loops:
            ins, outs = loop[: self.nin], loop[self.nin :]
            if outs[0] == np.dtype(dtype) if dtype is not None else all(map(np.can_cast, given, ins)):
                break
        else:
            raise TypeError(f"Wrong type ({dtype or given}) of arguments for {self.name}")
        if self.__name__ == "subtract" and ins[0].kind == "b":
            raise TypeError("numpy boolean subtract, the `-` operator, is not supported")
        try:
            as_numpy = (
                isinstance(self.function, np.ufunc)
                and dtype is None
                and self.function.resolve_dtypes((*given, *[None] * self.nout)) == loop
            )
        except TypeError:
            as_numpy = False
        self.plans[(*key, dtype)] = ins, outs, as_numpy
        return ins, outs, as_numpy

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        _at(self.__name__, a, indices, b)

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        if self.__name__ not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")
        f = cupy.sum if self.__name__ == "add" else cupy.prod
        return f(array, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        if self.__name__ not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.name}.accumulate` is not supported yet")
        return (cupy.cumsum if self.__name__ == "add" else cupy.cumprod)(array, axis, dtype, out)

    def reduceat(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError(
            f"fakecupy: {self.name}.reduceat is a difference of cumulative sums, and loses digits"
        )

    def outer(self, a: Any, b: Any, **options: Any) -> Any:
        return self(a.reshape(a.shape + (1,) * b.ndim), b, **options)


def _power(x: Any, y: Any) -> Any:
    """In C, an integer to a negative power is no error: 1 and -1 have one, for others it rounds to 0."""
    if np.result_type(x, y).kind not in "iu":
        return np.power(x, y)
    odd = np.where(y & 1, x, 1)
    return np.where(y < 0, np.where(abs(x) == 1, odd, 0), np.power(x, np.maximum(y, 0)))


# Where CuPy's loops compute something else than NumPy's: 0 % -2 is 0, not -0.
_FUNCTIONS: dict[str, Callable] = {"power": _power, "remainder": lambda x, y: np.remainder(x, y) + 0}


# -------------------------------------------------------------------------------------------------------------- operators


def _comparison(name: str) -> Callable:
    def compare(self: ndarray, other: Any) -> Any:
        if other is None and name in ("equal", "not_equal"):
            return cupy.full(self.shape, name == "not_equal")
        return getattr(cupy, name)(self, other)

    return compare


def _operator(name: str, reflected: bool = False) -> Callable:
    def operate(self: ndarray, other: Any) -> Any:
        if not isinstance(other, (ndarray, np.ndarray, *SCALARS)):
            return NotImplemented
        f = getattr(cupy, name)
        return f(other, self) if reflected else f(self, other)

    return operate


def _in_place(name: str) -> Callable:
    def operate(self: ndarray, other: Any) -> Any:
        if not isinstance(other, (ndarray, np.ndarray, *SCALARS)):
            return NotImplemented
        return getattr(cupy, name)(self, other, self)

    return operate


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
for _name, _f in _OPERATORS.items():
    setattr(ndarray, f"__{_name}__", _operator(_f))
    setattr(ndarray, f"__r{_name}__", _operator(_f, reflected=True))
    if _name != "matmul":
        setattr(ndarray, f"__i{_name}__", _in_place(_f))
for _name, _f in {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}.items():  # fmt: skip
    setattr(ndarray, f"__{_name}__", _comparison(_f))
for _name, _f in {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}.items():
    setattr(ndarray, f"__{_name}__", lambda self, f=_f: getattr(cupy, f)(self))


# ------------------------------------------------------------------------------------- functions and methods, by snapshot

# What waits for the GPU: the size of the result, or a check, depends on the values.
_SYNCHRONIZES = {
    "nonzero", "flatnonzero", "argwhere", "unique", "bincount", "extract", "compress", "setdiff1d", "intersect1d",
    "union1d", "histogram", "trim_zeros", "array_repr", "array_str", "argpartition", "sliding_window_view",
    "shares_memory", "place", "putmask", "delete", "unravel_index",
}  # fmt: skip
# Python's bool and int in NumPy, arrays in CuPy.
_ZERO_D = {"allclose", "array_equal", "array_equiv", "count_nonzero"}
# Parameters that are arrays: neither a list nor NumPy's array will do.
_ARRAYS = {
    "a", "x", "arr", "array", "ary", "m", "v", "b", "x1", "x2", "condition", "element", "ar1", "ar2", "y", "prototype",
}  # fmt: skip
# Parameters that are numbers, shapes or axes: no array, not even of one integer.
_PLAIN = {
    "shape", "newshape", "axis", "axes", "axis1", "axis2", "decimals", "k", "N", "M", "num", "reps", "source",
    "destination", "ddof", "offset", "kth",
}  # fmt: skip
# What keeps the order of its argument in memory; what other functions make is in C's.
_KEEPS_ORDER = {"zeros_like", "ones_like", "full_like", "copy", "zeros", "ones"}


def parse(line: str) -> tuple[list[str], list[str], bool, bool]:
    """The names that may be given by position, all names, whether there is *args, whether **options."""
    names = [n.strip() for n in line[1:-1].split(",") if n.strip() not in ("", "/")]
    star = next((i for i, n in enumerate(names) if n[0] == "*" and n[:2] != "**"), len(names))
    known = [n.rstrip("=") for n in names if n[0] != "*"]
    any_positional = any(len(n) > 1 and n[0] == "*" != n[1] for n in names)
    return known[:star], known, any_positional, any(n[:2] == "**" for n in names)


def bind(name: str, f: Callable, method: bool = False) -> Callable:
    """NumPy's f called by CuPy's rules: the snapshot's parameters under their names, only CuPy's arrays."""
    short = name.rpartition(".")[2]
    positional, known, var_positional, var_keyword = parse(API[name])
    if method:
        positional, known = ["self", *positional], ["self", *known]
    try:
        theirs = list(inspect.signature(f).parameters.values())
    except ValueError:
        theirs = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in known]
    names = [p.name for p in theirs if p.kind <= p.POSITIONAL_OR_KEYWORD]
    # NumPy may call a parameter otherwise, or have it in another place, or not at all
    by_place = itertools.zip_longest(positional, names[: len(positional)])
    all_names = {p.name for p in theirs}
    other = [n if n in all_names else m if m not in known else None for n, m in by_place]
    same = next((i for i, n in enumerate(other) if i >= len(names) or n != names[i]), len(positional))
    renamed = dict(zip(positional, other, strict=True))
    first = sum(p.kind == p.POSITIONAL_ONLY for p in theirs)
    convert = [plain if n in _PLAIN else unwrap for n in positional]
    convert += [plain if "(*shape" in API[name] or "(*axes" in API[name] else unwrap] * 32 if var_positional else []
    run, synchronizes, zero_d = quiet(f), short in _SYNCHRONIZES, short in _ZERO_D
    first_is_array = positional[:1] and positional[0] in _ARRAYS
    is_sequence = short in ("concatenate", "stack", "vstack", "hstack", "dstack", "column_stack")

    def arrange(args: tuple, options: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """The arguments as NumPy takes them."""
        if len(args) > len(positional) and not var_positional:
            raise TypeError(f"{short}() takes {len(positional)} positional arguments but {len(args)} were given")
        for n in options:
            if n not in known and not var_keyword:
                raise TypeError(f"{short}() got an unexpected keyword argument {n!r}")
        if not var_positional:
            options.update(zip(positional[same:], args[same:], strict=False))
            args = args[:same]
        options = {renamed.get(n, n) or n: v for n, v in options.items() if v is not None or renamed.get(n, n)}
        while len(args) < first and names[len(args)] in options:
            args = *args, options.pop(names[len(args)])
        return args, options

    def call(*args: Any, **options: Any) -> Any:
        if options or len(args) > same:
            args, options = arrange(args, options)
        if args and first_is_array:
            _array(short, args[0])
        if args and is_sequence and not isinstance(args[0], ndarray):
            for a in args[0]:
                _array(short, a)
        if synchronizes:
            _synchronize()
        values = [f(a) for f, a in zip(convert, args, strict=False)]
        result = run(*values, **{n: plain(v) if n in _PLAIN else unwrap(v) for n, v in options.items()})
        if options.get("out") is not None:
            return options["out"]
        if zero_d or (isinstance(result, np.ndarray) and result.base is None and short not in _KEEPS_ORDER):
            result = np.asarray(result, order="C")
        return wrap(result, args[0] if args and isinstance(args[0], ndarray) else None)

    call.__name__ = short
    return call


# --------------------------------------------------------------------------------------- functions that differ from NumPy


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    """Uploads; the one door through which NumPy's arrays come in."""
    if isinstance(a, ndarray):
        changed = wrap(np.asarray(a._a, dtype=dtype, order=order, copy=copy), a)
        return a if changed._a is a._a else changed
    if isinstance(a, (list, tuple)):
        a = _host(a)
    b = np.array(a, dtype=dtype, order=order or "K")
    if b.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {b.dtype}")
    return wrap(b)


def _host(x: Any) -> Any:
    return [_host(y) for y in x] if isinstance(x, (list, tuple)) else x._a if isinstance(x, ndarray) else x


def array(
    object: Any,
    dtype: Any = None,
    copy: bool = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> ndarray:
    a = asarray(object, dtype)
    a = wrap(a._a.copy(order)) if copy and a is object else a
    return a if a.ndim >= ndmin else wrap(a._a.reshape((1,) * (ndmin - a.ndim) + a.shape), a)


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    a = asarray(a, dtype)
    return a if a._a.flags.c_contiguous else wrap(np.ascontiguousarray(a._a))


def take(a: ndarray, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
    """No mode=: indices wrap around."""
    n = a.size if axis is None else a.shape[axis]
    index = _index_array(indices) if isinstance(indices, (ndarray, np.ndarray, list)) else indices
    result = np.take(_array("take", a)._a, _around(index, n), axis=axis)
    if out is None:
        return wrap(result)
    if out.dtype != result.dtype or out.shape != result.shape:
        raise (TypeError if out.dtype != result.dtype else ValueError)("Output dtype mismatch")
    out._a[...] = result
    return out


def argsort(a: ndarray, axis: Any = -1, kind: Any = None) -> ndarray:
    """Always stable."""
    return wrap(unwrap(a).argsort(axis=axis, kind=_stable(kind)))


def sort(a: ndarray, axis: Any = -1, kind: Any = None) -> ndarray:
    return wrap(np.asarray(np.sort(unwrap(a), axis=axis, kind=_stable(kind)), order="C"))


def _sort_in_place(self: ndarray, axis: int = -1, kind: Any = None) -> None:
    if not self._a.flags.c_contiguous:
        raise NotImplementedError("Sorting non-contiguous array is not supported.")
    self._a.sort(axis=axis, kind=_stable(kind))


def _stable(kind: Any) -> Any:
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    return "stable"


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        return cupy.nonzero(condition)
    if not isinstance(condition, ndarray):
        raise TypeError(f"where: Unsupported type {type(condition)}")
    return _WHERE(condition if condition.dtype == bool else condition.astype(bool), x, y)


_WHERE = ufunc("where", "ufunc 3 1 " + " ".join(f"?{c}{c}->{c}" for c in "?bBhHiIlLqQefdFD"), np.where)


def matmul(x1: ndarray, x2: ndarray, /, out: ndarray | None = None) -> ndarray:
    """float16 is summed in float32, as cuBLAS is asked to."""
    a, b = _array("matmul", x1)._a, _array("matmul", x2)._a
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError("Scalar operands are not allowed, use '*' instead")
    dtype = np.result_type(a, b)
    y = np.matmul(a.astype(np.float32), b.astype(np.float32)) if dtype == np.float16 else np.matmul(a, b)
    if out is None:
        return wrap(y.astype(dtype, "C", copy=False))
    out[...] = wrap(y)
    return out


def take_along_axis(a: ndarray, indices: ndarray, axis: int | None) -> ndarray:
    n = a.size if axis is None else a.shape[axis]
    return wrap(np.take_along_axis(_array("take_along_axis", a)._a, _around(unwrap(indices), n), axis))


def put_along_axis(arr: ndarray, indices: ndarray, values: Any, axis: int | None) -> None:
    n = arr.size if axis is None else arr.shape[axis]
    np.put_along_axis(_array("put_along_axis", arr)._a, _around(unwrap(indices), n), unwrap(values), axis)


def _array(name: str, a: Any) -> ndarray:
    if not isinstance(a, ndarray):
        raise TypeError(f"{name}: Unsupported type {type(a)}")
    return a


@quiet
def copyto(dst: ndarray, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    if isinstance(src, np.ndarray) and src.ndim:
        raise ValueError("non-scalar numpy.ndarray cannot be used for copyto")
    np.copyto(dst._a, unwrap(src), casting=casting, where=True if where is None else unwrap(where))  # type: ignore[arg-type]


def as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    return wrap(np.lib.stride_tricks.as_strided(x._a, shape, strides))


def broadcast_to(array: ndarray, shape: Any) -> ndarray:
    """Unlike NumPy's, it may be written to."""
    b = np.broadcast_to(_array("broadcast_to", array)._a, shape)
    return wrap(as_strided(array, b.shape, b.strides)._a, array)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> ndarray:
    if any(isinstance(x, ndarray) for x in (start, stop, step)):
        _synchronize()
    start, stop = (0, start) if stop is None else (start, stop)
    return wrap(np.arange(unwrap(start), unwrap(stop), unwrap(step), dtype=dtype))


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return ndarray(plain(shape), dtype, order=order)


def empty_like(
    prototype: ndarray, dtype: Any = None, order: Any = "K", subok: Any = None, shape: Any = None
) -> ndarray:
    return wrap(_garbage(np.empty_like(unwrap(prototype), dtype=dtype, order=order, shape=shape)))


def full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C") -> ndarray:
    return wrap(np.full(plain(shape), unwrap(fill_value), dtype, order))


def put(a: ndarray, ind: Any, v: Any, mode: Any = "wrap") -> None:
    if mode == "raise":
        _synchronize()
    np.put(a._a, _index_array(ind), unwrap(v), mode=mode)


def repeat(a: ndarray, repeats: Any, axis: Any = None) -> ndarray:
    if isinstance(repeats, ndarray):
        _synchronize()
    return wrap(np.repeat(unwrap(a), unwrap(repeats), axis))


def asnumpy(a: Any, stream: Any = None, order: Any = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    return a.get(order=order, out=out) if isinstance(a, ndarray) else np.asarray(a)


def get_array_module(*args: Any) -> ModuleType:
    return cupy if any(isinstance(a, ndarray) for a in args) else np


_DIFFERENT: dict[str, Any] = {
    f.__name__: f
    for f in (
        ndarray, ufunc, asarray, array, arange, ascontiguousarray, take, argsort, sort, where, copyto, broadcast_to, empty,
        empty_like, full, put, repeat, asnumpy, get_array_module, matmul, take_along_axis, put_along_axis,
    )
}  # fmt: skip
_DIFFERENT["lib.stride_tricks.as_strided"] = as_strided
for _name in ("take", "argsort", "put", "repeat"):
    setattr(ndarray, _name, _DIFFERENT[_name])
ndarray.sort = _sort_in_place  # type: ignore[attr-defined]

for _name, _line in API.items():
    _class, _, _member = _name.rpartition(".")
    if _class == "cupy.ndarray" and _line[0] == "(" and _member not in dir(ndarray) and hasattr(np.ndarray, _member):
        setattr(ndarray, _member, bind(_name, getattr(np.ndarray, _member), method=True))


# ------------------------------------------------------------------------------------------------------------ own kernels


def _kernel(name: str) -> Callable:
    return quiet(importlib.import_module(f"{__package__}.kernels").KERNELS[name])


class RawKernel:
    """Runs kernels.KERNELS[name] on the arguments: arrays as NumPy's, which it writes to, and numbers."""

    def __init__(self, code: str, name: str, options: tuple = (), backend: str = "nvrtc", **others: Any) -> None:
        self.code, self.name, self.options = code, name, options

    def __call__(self, grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0, **others: Any) -> None:
        if not all(isinstance(n, int) and n > 0 for n in (*grid, *block)) or math.prod(block) > 1024:
            raise ValueError(f"fakecupy: {self.name} launched with grid {grid}, block {block}")
        for a in args:
            if not isinstance(a, (ndarray, *SCALARS)):
                raise TypeError(f"Unsupported type {type(a)}")
            if isinstance(a, ndarray) and not a._a.flags.c_contiguous:
                raise ValueError(
                    f"fakecupy: {self.name} would read memory of strides {a.strides} as if it were contiguous"
                )
        _kernel(self.name)(*map(unwrap, args))


class ElementwiseKernel:
    """Runs kernels.KERNELS[name] on the inputs, broadcast unless raw; its results become the outputs."""

    def __init__(self, in_params: str, out_params: str, operation: str, name: str = "kernel", **others: Any) -> None:
        self.ins, self.outs = ([p.split() for p in s.split(",") if p.strip()] for s in (in_params, out_params))
        self.nin, self.nout, self.name, self.operation = len(self.ins), len(self.outs), name, operation

    def __call__(self, *args: Any, size: int | None = None, **others: Any) -> Any:
        if len(args) not in (self.nin, self.nin + self.nout):
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {self.nin} or {self.nin + self.nout}"
            )
        types, values = _types(self.ins, args[: self.nin], self.name)
        broadcast = [i for i, p in enumerate(self.ins) if p[0] != "raw"]
        for i, v in zip(broadcast, np.broadcast_arrays(*(values[i] for i in broadcast)), strict=True):
            values[i] = v
        outs = args[self.nin :]
        raw = [o._a for o, p in zip(outs, self.outs, strict=False) if p[0] == "raw"]
        results = _kernel(self.name)(*values, *raw, **({} if size is None else {"size": size}))
        if raw:
            return outs[0] if len(outs) == 1 else outs
        results = [np.asarray(r) for r in (results if isinstance(results, tuple) else (results,))]
        if outs:
            for o, r in zip(outs, results, strict=True):
                o._a[...] = r
            return outs[0] if len(outs) == 1 else outs
        made = tuple(wrap(r.astype(types.get(p[-2]) or p[-2])) for r, p in zip(results, self.outs, strict=True))
        return made[0] if len(made) == 1 else made


class ReductionKernel:
    """Runs kernels.KERNELS[name](*inputs, axis=, keepdims=)."""

    def __init__(
        self, in_params: str, out_params: str, map_expr: str, reduce_expr: str, post_map_expr: str, identity: Any,
        name: str = "reduce_kernel", **others: Any,
    ) -> None:  # fmt: skip
        self.ins, self.outs = ([p.split() for p in s.split(",") if p.strip()] for s in (in_params, out_params))
        self.name = name

    def __call__(self, *args: Any, out: Any = None, axis: Any = None, keepdims: bool = False, **others: Any) -> Any:
        types, values = _types(self.ins, args, self.name)
        result = np.asarray(_kernel(self.name)(*np.broadcast_arrays(*values), axis=axis, keepdims=keepdims))
        if out is not None:
            out._a[...] = result
            return out
        return wrap(result.astype(types.get(self.outs[0][-2]) or self.outs[0][-2]))


def _types(parameters: list[list[str]], args: tuple, name: str) -> tuple[dict[str, np.dtype], list[np.ndarray]]:
    """What T stands for, from the first array declared as T, and the arguments as arrays: all T must be of one dtype."""
    if len(args) != len(parameters):
        raise TypeError(f"Wrong number of arguments for {name!r}")
    types: dict[str, np.dtype] = {}
    for p, a in zip(parameters, args, strict=True):
        if not isinstance(a, (ndarray, *SCALARS)):
            raise TypeError(f"Unsupported type {type(a)}")
        if isinstance(a, ndarray) and len(p[-2]) == 1 and types.setdefault(p[-2], a.dtype) != a.dtype:
            raise TypeError(f"Type is mismatched. {p[-1]} {a.dtype.name} {types[p[-2]].name}")
    return types, [
        a._a if isinstance(a, ndarray) else np.asarray(a, types.get(p[-2]))
        for p, a in zip(parameters, args, strict=True)
    ]


# ------------------------------------------------------------------------------------------------------------- the device


class Device:
    """cupy.cuda.Device: there is one."""

    def __init__(self, device: Any = None) -> None:
        self.id = int(device or 0)

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __enter__(self) -> Device:
        return self.use() or self

    def __exit__(self, *args: Any) -> None:
        pass

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> Any:
        if self.id:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def synchronize(self) -> None:
        _synchronize()


_POOL = SimpleNamespace(free_all_blocks=lambda stream=None: None, used_bytes=lambda: 0, total_bytes=lambda: 0)
_RUNTIME = {
    "getDeviceCount": lambda: 1,
    "getDevice": lambda: 0,
    "deviceSynchronize": lambda: None,  # CuPy's sync detection does not see this one
    "getDeviceProperties": lambda device: {"name": b"fakecupy, no GPU", "totalGlobalMem": 0},
    "runtimeGetVersion": lambda: 13000,
    "driverGetVersion": lambda: 13000,
}


def _erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[np.float64])(x) if x.size else x


# ------------------------------------------------------------------------------------------------------------ the modules


class Module(ModuleType):
    """A module whose names are those of the snapshot, made when first asked for."""

    def __init__(self, name: str, **members: Any) -> None:
        super().__init__(name)
        self.__dict__.update(members, __path__=[], __spec__=ModuleSpec(name, None))

    def __getattr__(self, name: str) -> Any:
        full = f"{self.__name__}.{name}"
        line = API.get(full)
        if line is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__dict__[name] = made = self._make(full.partition(".")[2], full, line)
        return made

    @staticmethod
    def _make(short: str, full: str, line: str) -> Any:
        if short in _DIFFERENT and full.startswith("cupy."):
            return _DIFFERENT[short]
        if line == "module":
            return Module(full)
        theirs: Any = np
        for part in short.split("."):
            theirs = getattr(theirs, part, None)
        if theirs is None or full.startswith("cupyx."):
            raise NotImplementedError(f"fakecupy: {full} exists in CuPy but not here")
        if line.startswith("ufunc"):
            return ufunc(short, line)
        return bind(full, theirs) if line[0] == "(" else theirs


cupy: Any = Module(
    "cupy",
    __version__=API["__version__"],
    RawKernel=RawKernel,
    ElementwiseKernel=ElementwiseKernel,
    ReductionKernel=ReductionKernel,
    get_default_memory_pool=lambda: _POOL,
    get_default_pinned_memory_pool=lambda: _POOL,
    cuda=Module(
        "cupy.cuda",
        Device=Device,
        Stream=SimpleNamespace(null=SimpleNamespace(synchronize=lambda: None)),
        runtime=Module("cupy.cuda.runtime", **_RUNTIME),
        is_available=lambda: True,
    ),
)
_special = Module("cupyx.scipy.special", erf=ufunc("erf", API["cupyx.scipy.special.erf"], _erf))
cupyx: Any = Module(
    "cupyx",
    allow_synchronize=allow_synchronize,
    DeviceSynchronized=DeviceSynchronized,
    scatter_add=lambda a, slices, value: _at("add", a, slices, value),
    errstate=lambda **options: contextlib.nullcontext(),
    empty_pinned=lambda shape, dtype=float, order="C": np.empty(shape, dtype, order),
    scipy=Module("cupyx.scipy", special=_special),
)
_MODULES = {m.__name__: m for m in (cupy, cupy.cuda, cupy.cuda.runtime, cupyx, cupyx.scipy, _special)}
_before: dict[str, Any] = {}


def install() -> ModuleType:
    """From now on `import cupy` gives the fake. Returns it."""
    if sys.modules.get("cupy") is not cupy:
        _before.update({name: sys.modules.get(name) for name in _MODULES})
        sys.modules.update(_MODULES)
    return cupy


def uninstall() -> None:
    """sys.modules as it was before install()."""
    for name, module in _before.items():
        if module is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = module
    _before.clear()
