"""Element types, devices' names and shapes, as torch spells and prints them; and torch's rule for mixing types."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

Number = builtins.bool | int | float


class dtype:
    """The type of a tensor's elements, printed as torch prints it. `.numpy` is NumPy's name for the same thing."""

    def __init__(self, name: str, numpy: type[np.generic]):
        self.name = name
        self.numpy: np.dtype[Any] = np.dtype(numpy)
        self.is_floating_point = self.numpy.kind == "f"
        self.is_signed = self.numpy.kind in "if"
        self.is_complex = False
        self.itemsize = self.numpy.itemsize

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:  # there is one object per type: copies and pickles are that object
        return self.name

    @property
    def dtype(self) -> np.dtype[Any]:  # lets NumPy take ours where it takes its own: np.zeros(3, minigrad.float32)
        return self.numpy


class absent(dtype):
    """A type that scripts name and compare, but that no tensor here can have."""

    def __init__(self, name: str, itemsize: int):
        self.name, self.itemsize = name, itemsize
        self.is_floating_point = self.is_signed = True
        self.is_complex = False

    @property
    def numpy(self) -> np.dtype[Any]:  # type: ignore[override]
        raise TypeError(f"there are no {self.name} tensors here, since NumPy has no such type: use float32")


bool = dtype("bool", np.bool_)
uint8 = dtype("uint8", np.uint8)
uint16 = dtype("uint16", np.uint16)
uint32 = dtype("uint32", np.uint32)
uint64 = dtype("uint64", np.uint64)
int8 = dtype("int8", np.int8)
int16 = short = dtype("int16", np.int16)
int32 = int_ = dtype("int32", np.int32)
int64 = long = dtype("int64", np.int64)
float16 = half = dtype("float16", np.float16)
float32 = float_ = dtype("float32", np.float32)
float64 = double = dtype("float64", np.float64)
bfloat16 = absent("bfloat16", 2)

_ALL = (bool, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16, float32, float64)
_OURS = {d.numpy: d for d in _ALL}
_PYTHON = {builtins.bool: bool, int: int64, float: float64}
_default: np.dtype[Any] = float32.numpy


def ours(numpy_dtype: np.dtype[Any]) -> dtype:
    """minigrad's name of a NumPy dtype."""
    if (found := _OURS.get(numpy_dtype)) is not None:
        return found
    try:
        return _OURS[np.dtype(numpy_dtype).newbyteorder("=")]
    except KeyError:
        raise TypeError(
            f"minigrad has no tensors of type {numpy_dtype}; it has {', '.join(d.name for d in _ALL)}"
        ) from None


def as_numpy(d: Any) -> np.dtype[Any]:
    """NumPy's dtype for what a caller wrote as dtype: ours, Python's bool, int or float, or NumPy's own."""
    if isinstance(d, dtype):
        return d.numpy
    if isinstance(d, type) and d in _PYTHON:
        return _PYTHON[d].numpy
    try:
        if isinstance(d, str):
            raise TypeError
        return ours(np.dtype(d)).numpy
    except TypeError:
        raise TypeError(f"dtype must be one of {', '.join(d.name for d in _ALL)}, got {d!r}") from None


def get_default_dtype() -> dtype:
    """The floating-point type of new tensors and of integer division (torch.get_default_dtype)."""
    return ours(_default)


def set_default_dtype(d: dtype) -> None:
    """Set the type that Python floats become (torch.set_default_dtype). Raises TypeError for types that are not floating."""
    global _default
    if as_numpy(d).kind != "f":
        raise TypeError(f"set_default_dtype: only floating-point types can be the default, got {d!r}")
    _default = as_numpy(d)


def default_float() -> np.dtype[Any]:
    return _default


def promote(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The common type of two dtypes (torch.promote_types). Unlike NumPy's, an integer never widens a float."""
    if a == b or (a.kind == "f" and b.kind != "f"):
        return a
    if b.kind == "f" and a.kind != "f":
        return b
    return np.promote_types(a, b)


def result_type(*operands: Any) -> np.dtype[Any]:
    """The type of an operation on tensors, arrays and Python numbers (torch.result_type).

    Tensors with dimensions decide; a 0-d tensor, and after it a Python number, only counts when it is of a higher kind
    (bool < integer < float).
    """
    found: list[np.dtype[Any] | None] = [None, None, None]
    for x in operands:
        if hasattr(x, "ndim") and not isinstance(x, np.generic):
            rank, d = (0 if x.ndim else 1), (x.array if hasattr(x, "array") else x).dtype
        else:
            rank, d = 2, _default if isinstance(x, float | np.floating) else _PYTHON[_kind(x)].numpy
        so_far = found[rank]
        found[rank] = d if so_far is None else promote(so_far, d)
    result = found[2]
    for higher in (found[1], found[0]):
        result = higher if result is None else result if higher is None else _outrank(higher, result)
    assert result is not None
    return result


def _outrank(higher: np.dtype[Any], lower: np.dtype[Any]) -> np.dtype[Any]:
    if higher.kind != "f" and (higher.kind == "b" or lower.kind == "f"):
        return promote(higher, lower)
    return higher


def _kind(x: Any) -> type:
    if isinstance(x, builtins.bool | np.bool_):
        return builtins.bool
    if isinstance(x, int | np.integer):
        return int
    raise TypeError(f"expected a tensor or a number, got {type(x).__name__}")


class finfo:
    """The limits of a floating-point dtype, by default the default one (torch.finfo): finfo(float32).min, .max, .eps, .tiny."""

    def __init__(self, type: dtype | None = None):
        kind = _default if type is None else as_numpy(type)
        if kind.kind != "f":
            raise TypeError(
                f"torch.finfo() requires a floating point input type, got {type}. Use torch.iinfo for integers"
            )
        info = np.finfo(kind)
        self.dtype, self.bits = ours(kind).name, info.bits
        self.min, self.max, self.eps = float(info.min), float(info.max), float(info.eps)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = 10.0**-info.precision

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{name}={getattr(self, name):g}' for name in names)}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype (torch.iinfo): iinfo(int32).min, .max, .bits."""

    def __init__(self, type: dtype):
        kind = as_numpy(type)
        if kind.kind not in "iu":
            raise TypeError(f"torch.iinfo() requires an integer input type, got {type}. Use torch.finfo for floats")
        info = np.iinfo(kind)
        self.dtype, self.bits, self.min, self.max = ours(kind).name, info.bits, info.min, info.max

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


class Size(tuple[int, ...]):
    """A tensor's shape: a tuple that prints as torch.Size([2, 3])."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements: the product of the sizes."""
        n = 1
        for size in self:
            n *= size
        return n

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return Size(part) if isinstance(key, slice) else part

    def __add__(self, other: Any) -> Size:
        return Size(tuple(self) + tuple(other))

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    __str__ = __repr__


class device:
    """Where a tensor's array lives: device("cpu"), device("cuda"), device("cuda:1"), device("cuda", 1)."""

    type: str
    index: int | None

    def __init__(self, type: Any, index: int | None = None):
        name: Any = type
        if isinstance(type, device):
            name, index = type.type, type.index
        elif isinstance(type, int) and not isinstance(type, builtins.bool):
            name, index = "cuda", type
        if not isinstance(name, str):
            raise TypeError(f"device must be a name such as 'cpu' or 'cuda:0', got {name!r}")
        if index is not None and (isinstance(index, builtins.bool) or not isinstance(index, int)):
            raise TypeError(f"device: the index must be an int, got {index!r}")
        kind, colon, number = name.partition(":")
        if kind not in ("cpu", "cuda") or (colon and not number.isdecimal()) or (colon and index is not None):
            raise RuntimeError(f"device must be 'cpu', 'cuda' or 'cuda:N', got {name!r}")
        self.type = kind
        self.index = int(number) if colon else index

    def __eq__(self, other: object) -> builtins.bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (")" if self.index is None else f", index={self.index})")
