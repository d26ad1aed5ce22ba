"""The only file that imports CuPy, and does by hand what it does otherwise than NumPy.

An array's type says where it lives, and the arrays decide where an operation runs: there is no global switch. CuPy is
found through sys.modules and imported only when somebody asks for the device "cuda". Nothing is ever moved silently.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import cache, wraps
from types import ModuleType
from typing import Any

import numpy as np

from . import cpu
from .dtypes import device

cpu.keep_memory()

Array = Any  # numpy.ndarray or cupy.ndarray


class BackendUnavailable(RuntimeError):
    """The device "cuda" was asked for and cannot be had; the message says why and what to install."""


# ---------------------------------------------------------------------------------------------- which module, which device


def is_array(x: Any) -> bool:
    """True for numpy.ndarray and cupy.ndarray. Never imports CuPy."""
    return isinstance(x, np.ndarray) or _is_cupy(x)


def _is_cupy(x: Any) -> bool:
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(x, cupy.ndarray)


def namespace(*arrays: Any) -> Any:
    """numpy or cupy, whichever the arrays belong to; Python numbers belong to both.

    Raises:
        RuntimeError: some arrays are on the CPU and others on a GPU.
    """
    found: Any = None
    first: Any = None
    for a in arrays:
        if isinstance(a, np.ndarray):
            module: Any = np
        elif _is_cupy(a):
            module = sys.modules["cupy"]
        else:
            continue
        if found is None:
            found, first = module, a
        elif found is not module or (module is not np and a.device.id != first.device.id):
            places = " and ".join(str(device_of(b)) for b in arrays if is_array(b))
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found {places}: "
                f'nothing is moved silently; call .to("cuda") or .to("cpu") on one of them'
            )
    return np if found is None else found


def device_of(array: Array) -> device:
    """device("cpu"), or device("cuda", index) for a CuPy array."""
    return device("cuda", array.device.id) if _is_cupy(array) else device("cpu")


def module_for(where: device) -> Any:
    """The array module of a device: numpy, or cupy once it has been proven usable."""
    if where.type == "cpu":
        return np
    cupy = _cupy()
    if where.index and where.index >= (count := cupy.cuda.runtime.getDeviceCount()):
        raise BackendUnavailable(f"there is no device '{where}': CuPy sees {count} GPU{'s' if count > 1 else ''}")
    return cupy


def to_device(array: Array, where: device) -> Array:
    """The array on that device: itself when it already is there, else a copy."""
    if where.type == "cpu":
        return to_numpy(array)
    cupy = module_for(where)
    with cupy.cuda.Device(where.index):  # without an index, the one in use
        return cupy.asarray(array)


def to_numpy(array: Array) -> np.ndarray:
    """The array on the host: itself, or a copy of a CuPy array, once the GPU has computed it.

    Raises:
        IndexError: ids that were used on the GPU since the last copy were out of range (see check_later).
    """
    if type(array) is np.ndarray or not _is_cupy(array):
        return np.asarray(array)
    settle()
    return array.get()


def host_buffer(n: int, dtype: Any, like: Array) -> np.ndarray:
    """Host memory for n numbers on their way from and to the device of `like`: pinned, so that a GPU reads it directly."""
    if namespace(like) is np:
        return np.empty(n, dtype)
    import cupyx

    return cupyx.empty_pinned(n, dtype)


def copy_across(source: Array, target: Array) -> None:
    """Copy (n,) numbers from the host to a device or back; done when it returns, so that a buffer can be used again."""
    if source.dtype != target.dtype or namespace(source) is namespace(target):
        target[...] = asarray(to_numpy(source), like=target)
    elif namespace(source) is np:
        target.set(source)
    else:
        settle()
        source.get(out=target)


def _cupy() -> ModuleType:
    """CuPy, imported on the first call and proven by one kernel and one matrix product."""
    if (proven := getattr(_cupy, "module", None)) is not None:
        return proven
    try:
        import cupy
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            raise BackendUnavailable(
                "device 'cuda' needs CuPy, which is not installed: pip install 'cupy-cuda13x[ctk]' (minigrad's extra cuda13; "
                "driver 580 or newer) or 'cupy-cuda12x[ctk]' (cuda12)"
            ) from None
        raise BackendUnavailable(
            f"CuPy is installed but cannot be imported: {type(error).__name__}: {error}"
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()  # unlike is_available(), it keeps the reason
    except Exception as error:
        raise BackendUnavailable(
            f"CuPy {cupy.__version__} is installed but found no usable GPU ({error}). Use device 'cpu', or install an NVIDIA driver"
        ) from error
    if count == 0:
        raise BackendUnavailable("CuPy and the driver work, but no GPU is visible: is CUDA_VISIBLE_DEVICES set?")
    try:
        square = cupy.arange(4, dtype="f4").reshape(2, 2)
        float((square @ square).sum())
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise BackendUnavailable(
            f"a GPU is present but CuPy cannot use it ({reason}). If a CUDA library is missing: "
            "pip install 'cupy-cuda13x[ctk]', or 'cupy-cuda12x[ctk]'"
        ) from error
    _cupy.module = cupy  # type: ignore[attr-defined]
    return cupy


# ---------------------------------------------------------------------------------------------------- arrays, old and new


def _silence() -> tuple[ContextVar[Any], Any]:
    """The context variable that np.seterr sets, and what it holds when nothing is warned of."""
    before, after = copy_context(), copy_context()
    after.run(np.seterr, all="ignore")
    return next((setting, after[setting]) for setting in after if before.get(setting) is not after[setting])


warnings, SILENT = _silence()
"""How NumPy warns. np.errstate says the same, but makes its setting anew each time, which takes longer than a small op."""


def quiet(f: Any) -> Any:
    """A decorator: log(0), 0/0 and overflow give inf and nan without a warning, as in torch (and CuPy)."""

    @wraps(f)
    def quietly(*args: Any, **options: Any) -> Any:
        before = warnings.set(SILENT)
        try:
            return f(*args, **options)
        finally:
            warnings.reset(before)

    return quietly


@quiet
def asarray(x: Any, dtype: Any = None, like: Array | None = None) -> Array:
    """x as an array, on the device of `like` if given. NumPy scalars (a 0-d result) become 0-d arrays."""
    xp = np if like is None else namespace(like)
    return xp.asarray(x, dtype=dtype)


def memory_order(array: Array) -> list[int]:
    """The axes from the one with the largest steps in memory to the one with the smallest; as they are where one is broadcast."""
    if 0 in array.strides:
        return list(range(array.ndim))
    return sorted(range(array.ndim), key=lambda axis: -array.strides[axis])


def is_writable(array: Array) -> bool:
    """False where a write would hit other elements too, or memory that is only to be read. CuPy itself would write."""
    if isinstance(array, np.ndarray) and not array.flags.writeable:
        return False
    if array.flags.forc:
        return True
    reach = 0  # in bytes, of the axes with smaller steps
    for step, n in sorted((abs(step), n) for step, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if step <= reach:
            return not array.size
        reach += step * (n - 1)
    return True


def shares_memory(x: Array, y: Array) -> bool:
    """True if y is x, or a view of x or of what x is a view of."""
    if y is x or (y.base is not None and (y.base is x or y.base is x.base)):
        return True
    same = isinstance(x, np.ndarray) == isinstance(y, np.ndarray)  # as_strided hides the base
    return same and bool(namespace(y).may_share_memory(x, y))


@quiet
def floor_divide(x: Array, y: Array) -> Array:
    """⌊x / y⌋; of floats as NumPy and torch have it: exact however large, and nan for an infinite x."""
    xp = namespace(x, y)
    dtype = xp.result_type(x, y)
    if xp is np or dtype.kind != "f":
        return xp.floor_divide(x, y)
    x, y = xp.asarray(x, dtype=dtype), xp.asarray(y, dtype=dtype)
    rest = xp.fmod(x, y)
    whole = xp.rint((x - rest) / y)
    whole = xp.where((rest != 0) & ((rest < 0) != (y < 0)), whole - 1, whole)
    return xp.where(y != 0, whole, x / y)


def zero_where(x: Array, rows: Array) -> None:
    """x[rows] = 0, in place, for a bool per row of x (N, D)."""
    if (xp := namespace(x)) is not np:  # without asking the GPU which
        xp.copyto(x, 0, where=rows[:, None])
    elif rows.any():
        x[rows] = 0


# ------------------------------------------------------------------------------------------------- ids, and their range


def extent(ids: Array) -> tuple[int, int] | None:
    """The smallest and the largest of some integers; None on a GPU, which would have to be waited for."""
    return (int(ids.min()), int(ids.max())) if isinstance(ids, np.ndarray) else None


def check_later(ids: Array, low: int, high: int, error: Callable[[np.ndarray], Exception]) -> None:
    """Raise error(ids), unless all ids lie in [low, high), as soon as the GPU is waited for anyway.

    The ids, being on the GPU, may not be known yet. A flag is computed beside the work that uses them, which an id out of
    range does not hurt, as CuPy wraps it around; the next copy to the host reads the flag first.
    """

    def found() -> Exception:
        host = ids.get()
        if ((host < low) | (host >= high)).any():
            return error(host)
        return IndexError(f"ids outside [{low}, {high}) were looked up, and have been changed in place since")

    _unread.append((((ids < low) | (ids >= high)).any(), found))
    if len(_unread) >= 1000:
        settle()


_unread: list[tuple[Array, Callable[[], Exception]]] = []
"""Flags of lookups on a GPU: whether an id was out of range, and the error to raise if so."""


def settle() -> None:
    """Wait for the GPU, and raise the first error that check_later has put off."""
    if _unread:
        flags, errors = zip(*_unread, strict=True)
        _unread.clear()
        for wrong, error in zip(namespace(*flags).stack(flags).get(), errors, strict=True):
            if wrong:
                raise error()


# ------------------------------------------------------------------------------------------- gather and scatter-add of rows

deterministic = True
"""False: on a GPU, sums of rows use atomic additions, which are unordered. See use_deterministic_algorithms."""


def keeps_rows(array: Array) -> bool:
    """Whether a table's gradient is better kept as rows: not on a GPU, where to know which rows there are, one has to wait."""
    return isinstance(array, np.ndarray)


def gather(table: Array, index: Array) -> Array:
    """y[i] = table[index[i]]: rows of a (V, ...) table by an integer array of any shape, already checked to be in range."""
    if not isinstance(table, np.ndarray):
        return table.take(asarray(index, like=table), axis=0)
    namespace(table, index)  # host ids may index a GPU's table, not the reverse
    return cpu.gather(table, index)


def add_to_rows(x: Array, index: Array, y: Array, factor: float = 1) -> None:
    """x[index[i]] += factor y[i], in place, for ids that do not repeat."""
    if isinstance(x, np.ndarray):
        cpu.add_to_rows(x, index, y, factor)
    else:
        x[index] += factor * y


def scatter_add(y: Array, index: Array, rows: int) -> Array:
    """out[index[i]] += y[i] over `rows` rows of zeros, in the order of i: y (N, ...) and index (N,) give (rows, ...)."""
    xp = namespace(y)
    if xp is not np:
        return _segment_sum(y, index, rows)
    out = np.zeros((rows, *y.shape[1:]), dtype=y.dtype)
    touched, sums = coalesce(index, y, rows)
    out[touched] = sums
    return out


@quiet
def add_at(x: Array, y: Array, index: Array) -> Array:
    """x (V,) with y[i] added at index[i], in the order of i; y and index are (N,)."""
    if namespace(x, y) is not np:
        return x + _segment_sum(y, index, len(x))
    out = x.copy()
    np.add.at(out, index, y)
    return out


@quiet
def extreme_at(x: Array, y: Array, index: Array, largest: bool) -> Array:
    """x (V,) with the largest of x[v] and all y[i] of index[i] = v at v, or the smallest; nan if one is. y and index are (N,)."""
    xp = namespace(x, y)
    if xp is np:
        out = x.copy()
        (np.maximum if largest else np.minimum).at(out, index, y)
        return out
    if not y.size:
        return x.copy()
    # cupy.maximum.at takes float64 by way of float32. Sorted by value and then by id, each id's extreme stands at an end.
    by_value = xp.argsort(y)
    order = by_value[xp.argsort(index[by_value])]  # CuPy's sort is stable
    ids, values = index[order], y[order]
    rows = xp.arange(len(x))
    first, end = xp.searchsorted(ids, rows, side="left"), xp.searchsorted(ids, rows, side="right")
    last = values[xp.maximum(end - 1, 0)]  # nan counts as larger than any number
    found = last if largest else xp.where(last != last, last, values[xp.minimum(first, len(y) - 1)])
    return xp.where(end > first, (xp.maximum if largest else xp.minimum)(x, found), x)


@quiet
def coalesce(index: Array, y: Array, rows: int) -> tuple[Array, Array]:
    """The distinct ids of `index` (N,), ascending, and for each the sum of its rows of y (N, ...).

    The sum runs in the order of i, one addition after another from +0, so the result equals a sequential loop bit for bit.
    """
    xp = namespace(y)
    if xp is not np:
        touched, position = xp.unique(asarray(index, like=y), return_inverse=True)
        return touched, _segment_sum(y, position, len(touched))
    return cpu.coalesce(to_numpy(index), y, rows)


# Products are rounded before they are added, as in NumPy: these kernels wait for memory, not for arithmetic
KERNEL_OPTIONS = ("--fmad=false",)


@cache
def compiled(xp: Any, name: str, source: str, dtype: np.dtype[Any]) -> Any:
    """The kernel `name` of a CUDA source about numbers of type T, float or double."""
    return xp.RawKernel(f"#define T {_C_TYPE[dtype]}\n{source}", name, options=KERNEL_OPTIONS)


_C_TYPE = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


_SEGMENT_SUM = r"""
extern "C" __global__ void minigrad_segment_sum(
    const T* __restrict__ y, const long long* __restrict__ order, const long long* __restrict__ start,
    T* __restrict__ out, const long long rows, const long long width) {
  const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= rows * width) return;
  const long long row = t / width, column = t - row * width;
  T sum = 0;
  for (long long k = start[row]; k < start[row + 1]; ++k) sum += y[order[k] * width + column];
  out[t] = sum;
}
"""


def _segment_sum(y: Array, index: Array, rows: int) -> Array:
    """scatter_add on a GPU: one thread per element of the result adds its occurrences in order. Deterministic, no atomics."""
    cupy = namespace(y)
    if not deterministic and y.dtype in (np.float16, np.float32, np.float64):
        out = cupy.zeros((rows, *y.shape[1:]), dtype=y.dtype)
        cupy.add.at(out, cupy.asarray(index), y)
        return out
    if y.dtype not in (np.float32, np.float64):  # integers are exact in any order; float16 is summed in float32
        if y.dtype == np.float16:
            return _segment_sum(y.astype(np.float32), index, rows).astype(np.float16)
        out = cupy.zeros((rows, *y.shape[1:]), dtype=np.int64)
        cupy.add.at(out, cupy.asarray(index), y.astype(np.int64))
        return out.astype(y.dtype)
    flat = cupy.asarray(index).astype(np.int64)
    order = cupy.argsort(flat)  # CuPy's sort is stable
    start = cupy.searchsorted(flat[order], cupy.arange(rows + 1))
    out = cupy.empty((rows, *y.shape[1:]), dtype=y.dtype)
    if out.size:
        kernel = compiled(cupy, "minigrad_segment_sum", _SEGMENT_SUM, out.dtype)
        arguments = (cupy.ascontiguousarray(y), order, start, out, np.int64(rows), np.int64(out.size // rows))
        with y.device:
            kernel(((out.size + 127) // 128,), (128,), arguments)
    return out
