"""The only file that knows NumPy from CuPy.

An array's type says where it lives, and the arrays decide where an operation runs: there is no global switch. CuPy is
found through sys.modules and imported only when somebody asks for the device "cuda". Nothing is ever moved silently.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np

from .dtypes import device

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
    for a in arrays:
        if isinstance(a, np.ndarray):
            module: Any = np
        elif _is_cupy(a):
            module = sys.modules["cupy"]
        else:
            continue
        if found is None:
            found = module
        elif found is not module:
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
    return np if where.type == "cpu" else _cupy()


def to_device(array: Array, where: device) -> Array:
    """The array on that device: itself when it already is there, else a copy."""
    if where.type == "cpu":
        return to_numpy(array)
    cupy = _cupy()
    with cupy.cuda.Device(where.index or 0):
        return cupy.asarray(array)


def to_numpy(array: Array) -> np.ndarray:
    """The array on the host: itself, or a copy of a CuPy array. The only place that reads a GPU's memory."""
    return array.get() if _is_cupy(array) else np.asarray(array)


def _cupy() -> ModuleType:
    """CuPy, imported on the first call and proven by one kernel and one matrix product."""
    if (proven := getattr(_cupy, "module", None)) is not None:
        return proven
    try:
        import cupy
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            raise BackendUnavailable(
                "device 'cuda' needs CuPy, which is not installed: pip install 'minigrad[cuda13]' (driver 580 or newer) "
                "or 'minigrad[cuda12]'"
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
    except (ImportError, RuntimeError, MemoryError) as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise BackendUnavailable(
            f"a GPU is present but CuPy cannot use it ({reason}). If a CUDA library is missing: pip install 'cupy-cuda13x[ctk]'"
        ) from error
    _cupy.module = cupy  # type: ignore[attr-defined]
    return cupy


# ---------------------------------------------------------------------------------------------------- arrays, old and new


quiet = np.errstate(all="ignore")
"""A decorator: log(0), 0/0 and overflow give inf and nan without a warning, as in torch (and CuPy)."""


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


def shares_memory(x: Array, y: Array) -> bool:
    """True if y is x, or a view of x or of what x is a view of."""
    return y is x or (y.base is not None and (y.base is x or y.base is x.base))


# ------------------------------------------------------------------------------------------- gather and scatter-add of rows


def gather(table: Array, index: Array) -> Array:
    """y[i] = table[index[i]]: rows of a (V, ...) table by an integer array of any shape, already checked to be in range."""
    if isinstance(table, np.ndarray):
        namespace(table, index)  # host ids may index a GPU's table, not the reverse
        # mode='clip' skips a second bounds check, and with it a buffer
        return table.take(index, axis=0, mode="clip")
    return table.take(asarray(index, like=table), axis=0)


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
def coalesce(index: Array, y: Array, rows: int) -> tuple[Array, Array]:
    """The distinct ids of `index` (N,), in no particular order, and for each the sum of its rows of y (N, ...).

    The sum runs in the order of i, one addition after another from +0, so the result equals a sequential loop bit for bit.
    """
    if namespace(y) is not np:
        touched = np.unique(to_numpy(index))
        position = np.zeros(rows, dtype=np.int64)
        position[touched] = np.arange(len(touched))
        return asarray(touched, like=y), _segment_sum(y, position[to_numpy(index)], len(touched))
    index = to_numpy(index)
    if len(index) <= 64:
        return _coalesce_by_loop(index, y)
    # NumPy sorts 16-bit integers by radix, twice as fast
    order = (index.astype(np.uint16) if rows <= 1 << 16 else index).argsort(kind="stable")
    in_order = index[order]
    start = np.flatnonzero(np.concatenate(([True], in_order[1:] != in_order[:-1])))
    count = np.diff(start, append=len(index))
    by_count = (-count).argsort(kind="stable")  # rows that occur often first: layer r below is then a prefix
    start, count = start[by_count], count[by_count]
    sums = y[order[start]]
    sums += y.dtype.type(0)  # 0 + (-0) is +0, as in a sum that starts from zero
    # Layer r adds the r-th occurrence of every row that has one. Rows with many occurrences are summed each by itself,
    # except where a row is one number: NumPy would sum those in pairs, not in order.
    layers = int(count[0]) if sums[0].size == 1 else min(int(count[0]), 12)
    alive = np.searchsorted(-count, -np.arange(layers + 1), side="left")  # how many rows occur more than r times
    for r in range(1, layers):
        sums[: alive[r]] += y[order[start[: alive[r]] + r]]
    for i in range(alive[layers]):
        np.add.reduce(y[order[start[i] : start[i] + count[i]]], axis=0, out=sums[i], initial=0)
    return in_order[start], sums


def _coalesce_by_loop(index: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The definition of coalesce; also the fastest way when there are few rows."""
    position: dict[int, int] = {}
    where = [position.setdefault(i, len(position)) for i in index.tolist()]
    sums = np.zeros((len(position), *y.shape[1:]), dtype=y.dtype)
    for i, row in zip(where, y, strict=True):
        sums[i] += row
    return np.fromiter(position, dtype=np.int64, count=len(position)), sums


_SEGMENT_SUM = r"""
extern "C" __global__ void segment_sum(
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
        source = f"#define T {'float' if y.dtype == np.float32 else 'double'}" + _SEGMENT_SUM
        kernel = cupy.RawKernel(source, "segment_sum", options=("--fmad=false",))
        arguments = (cupy.ascontiguousarray(y), order, start, out, np.int64(rows), np.int64(out.size // max(rows, 1)))
        kernel(((out.size + 127) // 128,), (128,), arguments)
    return out


# --------------------------------------------------------------------------------------------------- what NumPy does not have

_ERF = (  # numerator and denominator, highest power first: of erf(x) / x in x²; of exp(x²) erfc(x) in x
    ((1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
     (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)),
    ((2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1, 2.98635138197400131e2,
      8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
     (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
      3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3)),
)  # fmt: skip


@quiet
def erf(x: Array) -> Array:
    """2/√π ∫₀ˣ exp(-t²) dt, by two quotients of polynomials (W. J. Cody, Math. Comp. 23, 1969); in float64, rounded at the end."""
    xp = namespace(x)
    wide = x.astype(np.float64)
    a = xp.minimum(abs(wide), 6.0)  # from there on it is 1

    def quotient(i: int, t: Array) -> Array:
        above, below = (xp.full_like(t, c[0]) for c in _ERF[i])
        for p, q in zip(_ERF[i][0][1:], _ERF[i][1][1:], strict=True):
            above *= t
            above += p
            below *= t
            below += q
        above /= below
        return above

    small = wide * quotient(0, xp.minimum(a, 0.5) ** 2)
    return xp.where(a < 0.5, small, xp.copysign(1 - xp.exp(-a * a) * quotient(1, a), wide)).astype(x.dtype)
