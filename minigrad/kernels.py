"""Functions of arrays that are one kernel on a GPU: a CUDA form stands beside the array form.

The array form is what the CPU runs, and the definition. A GPU would run it too, as ten kernels that each read and write all of
the memory; the CUDA form, a few lines of C++ given to a decorator, does everything in one pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, wraps
from inspect import signature
from string import Template
from typing import Any, NamedTuple, TypeVar

import numpy as np

from . import cpu
from .backend import KERNEL_OPTIONS, Array, compiled, namespace, quiet

F = TypeVar("F", bound=Callable[..., Any])

fused_kernels = True
"""False: on a GPU, too, these functions are computed array by array, to compare the two."""


def elementwise(cuda: str, makes: str = "y", into: str = "", **constants: float) -> Callable[[F], F]:
    """Gives a function of arrays of one dtype, element by element, a CUDA form: on a GPU it is one kernel.

    Args:
        cuda: C++ in the function's parameters, each of the type T, that sets what the function makes.
        makes: the names of the results there.
        into: instead of results, the names of the last parameters, which are changed in place.
        constants: numbers that `cuda` names.
    """

    def decorate(f: F) -> F:
        names = [*signature(f).parameters]
        made = (into or makes).split()
        given = names[: len(names) - len(into.split())]
        body = "".join(f"const T {name} = {value!r};\n" for name, value in constants.items()) + cuda

        @cache
        def kernel(xp: Any) -> Any:
            parameters = (", ".join(f"T {name}" for name in which) for which in (given, made))
            return xp.ElementwiseKernel(*parameters, body, _kernel_name(f), options=KERNEL_OPTIONS)

        @wraps(f)
        def run(*arguments: Any) -> Any:
            xp = namespace(arguments[-1])
            if xp is np or not fused_kernels or arguments[-1].dtype == np.float16:
                return f(*arguments)
            return kernel(xp)(*arguments)

        return run  # type: ignore[return-value]

    return decorate


def by_rows(cuda: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Has a function of matrices, row by row, computed some rows at a time on the CPU, and on a GPU as one kernel.

    On the CPU, what is computed on the way so stays in a core's cache. On a GPU, a block of threads computes each row.
    All sums are added up in an order that depends on the shapes alone, so the result is the same, bit for bit, every time.
    The function takes one more argument, `into`: memory that its first result may be written to, the first matrix say.

    Args:
        cuda: what goes in and what comes out, in the function's order, as "x[i,j], w[j], bool big -> y[i,j], s[i], c[j]:", and
            then C++ that computes row i.
            Types are T, the first matrix's own (float for halves), unless named. Matrices (..., size) count as (rows, size).
            w may be None, in C++ a null pointer. c, made for each column, is a sum over the rows, to which a row adds.
            In C++ it is x[j], w[j] and s[i], which every thread sets alike. EACH visits the row's j, each by one thread, which
            is the same in every loop and row. SUM(x[j]) and MAX(x[j]) are over all j < size.
    """

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        header, _, body = cuda.partition(":\n")
        given, made = ([_Parameter.read(p) for p in re.split(r",\s", side)] for side in header.split("->"))
        source = Template(_BY_ROWS).substitute(
            name=_kernel_name(f),
            parameters=", ".join([*(p.declared("const ") for p in given), *(p.declared("") for p in made)]),
            starts="\n    ".join([*(p.start("const ") for p in given if p.at), *(p.start("") for p in made)]),
            body=body.strip(),
        )

        @wraps(f)
        def run(*arguments: Any, into: np.ndarray | None = None) -> Any:
            xp, x = namespace(*arguments), arguments[0]
            if xp is np and x.size > cpu.BLOCK:
                return _rows_in_pieces(f, given, made, arguments, into)
            if xp is np or not fused_kernels or not x.size:
                return f(*arguments)
            dtype = np.dtype(np.float32) if x.dtype == np.float16 else x.dtype
            size = x.shape[-1]
            rows = x.size // size
            blocks = min(rows, 1024 if any(p.at == "j" for p in made) else (1 << 31) - 1)
            threads = 32 if size <= 256 else 128 if size <= 4096 else 512
            shapes = {"i,j": x.shape, "i": x.shape[:-1], "j": (blocks, size)}
            inputs = [p.value(xp, a, dtype) for p, a in zip(given, arguments, strict=True)]
            outputs = [(xp.zeros if p.at == "j" else xp.empty)(shapes[p.at], dtype=dtype) for p in made]
            kernel = compiled(xp, _kernel_name(f), source, dtype)
            with x.device:
                kernel((blocks,), (threads,), (*inputs, *outputs, np.int64(rows), np.int64(size)))
            results = [y.sum(axis=0) if p.at == "j" else y for p, y in zip(made, outputs, strict=True)]
            results = [y.astype(x.dtype, copy=False) for y in results]
            return results if len(results) > 1 else results[0]

        return run

    return decorate


def _rows_in_pieces(
    f: Callable[..., Any], given: list[_Parameter], made: list[_Parameter], arguments: Sequence[Any], into: Any
) -> Any:
    """f of matrices (..., size), some rows at a time. What is made for each column is summed up over the pieces."""
    x = arguments[0]
    size = x.shape[-1]
    rows = x.size // size
    flat = {"i,j": (rows, size), "i": (rows,)}
    matrices = [a.reshape(flat[p.at]) if p.at in flat else a for p, a in zip(given, arguments, strict=True)]
    step = 4 * cpu.rows_apiece(size)
    shapes = {"i,j": x.shape, "i": x.shape[:-1], "j": (-(-rows // step), size)}
    results: list[Any] = [np.empty(shapes[p.at], x.dtype) for p in made]
    if into is not None:
        results[0] = into
    places = [y.reshape(flat[p.at]) if p.at in flat else y for p, y in zip(made, results, strict=True)]

    def piece(start: int, stop: int) -> None:
        parts = f(*(a[start:stop] if p.at in flat else a for p, a in zip(given, matrices, strict=True)))
        for k, part in enumerate(parts if len(made) > 1 else [parts]):
            if part is None:
                results[k] = None
            elif made[k].at in flat:
                places[k][start:stop] = part
            else:
                places[k][start // step] = part

    sums = any(p.at == "j" for p in made)  # which depend on the pieces: these must not depend on the number of threads
    cpu.in_pieces(piece, rows, size, step=step if sums else None)
    results = [y.sum(axis=0) if p.at == "j" and y is not None else y for p, y in zip(made, results, strict=True)]
    return results if len(results) > 1 else results[0]


def _kernel_name(f: Callable[..., Any]) -> str:
    return f"minigrad_{f.__name__.strip('_')}"


class _Parameter(NamedTuple):
    """One of by_rows' parameters: "long long target[i]"."""

    type: str
    name: str
    at: str  # "i,j", "i", "j", or "" for a number

    @classmethod
    def read(cls, text: str) -> _Parameter:
        declared, _, at = text.strip().removesuffix("]").partition("[")
        *kind, name = declared.split()
        return cls(" ".join(kind) or "T", name, at)

    def declared(self, const: str) -> str:
        return f"{const}{self.type}* __restrict__ {self.name}_all" if self.at else f"{const}{self.type} {self.name}"

    def start(self, const: str) -> str:
        """Where the row's own numbers begin; the sums over rows begin anew for every block."""
        first = {"i,j": " + i * size", "i": "", "j": "" if const else " + blockIdx.x * size"}[self.at]
        return f"{const}{self.type}* {self.name} = {self.name}_all{first};"

    def value(self, xp: Any, argument: Any, dtype: np.dtype[Any]) -> Any:
        wanted = {"T": dtype, "long long": np.dtype(np.int64), "bool": np.dtype(np.bool_)}[self.type]
        if not self.at:
            return wanted.type(argument)
        return np.intp(0) if argument is None else xp.ascontiguousarray(argument, dtype=wanted)


_BY_ROWS = r"""
struct Sum { __device__ T operator()(T a, T b) const { return a + b; } };
struct Max { __device__ T operator()(T a, T b) const { return a > b ? a : b; } };

template <class Combine> __device__ T over_threads(T own, Combine combine) {
  __shared__ T part[512];
  const unsigned t = threadIdx.x;
  part[t] = own;
  __syncthreads();
  if (t < 32)
    for (unsigned k = t + 32; k < blockDim.x; k += 32) part[t] = combine(part[t], part[k]);
  __syncthreads();
  T all = part[0];
  for (unsigned k = 1; k < 32; ++k) all = combine(all, part[k]);
  __syncthreads();  // before part is written again
  return all;
}

#define EACH for (long long j = threadIdx.x; j < size; j += blockDim.x)
#define OVER_ROW(combine, first, ...) \
  over_threads([&] { long long j = 0; T own = first; EACH own = combine(own, __VA_ARGS__); return own; }(), combine)
#define SUM(...) OVER_ROW(Sum(), 0, __VA_ARGS__)
#define MAX(...) OVER_ROW(Max(), (__VA_ARGS__), __VA_ARGS__)

extern "C" __global__ void $name($parameters, const long long rows, const long long size) {
  for (long long i = blockIdx.x; i < rows; i += gridDim.x) {
    $starts
    $body
  }
}
"""


# ---------------------------------------------------------------------------------------- functions that NumPy does not have


def by_blocks(cuda: str, makes: str = "y", **constants: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Has a function of arrays of one shape and dtype, element by element, computed block by block on the CPU.

    A formula of ten steps then reads and writes main memory once, not ten times. On a GPU it is one kernel: see elementwise.
    """

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        on_gpu = elementwise(cuda, makes, "", **constants)(f)

        @wraps(f)
        @quiet
        def run(*arrays: Array) -> Any:
            x = arrays[0]
            if x.dtype == np.float16:  # as torch, by way of float32
                y = run(*(a.astype(np.float32) for a in arrays))
                return [part.astype(np.float16) for part in y] if isinstance(y, list | tuple) else y.astype(np.float16)
            if namespace(*arrays) is not np:
                return on_gpu(*arrays)
            flat = [a.reshape(-1) for a in arrays]
            made = [np.empty(x.shape, x.dtype) for _ in makes.split()]
            places = [y.reshape(-1) for y in made]

            def piece(start: int, stop: int) -> None:
                parts = f(*(a[start:stop] for a in flat))
                for place, part in zip(places, parts if len(made) > 1 else [parts], strict=True):
                    place[start:stop] = part

            cpu.in_pieces(piece, x.size)
            return made if len(made) > 1 else made[0]

        return run

    return decorate


@by_blocks("y = erf(x)")
def erf(x: Array) -> Array:
    """2/√π ∫₀ˣ e^(-t²) dt of floats: within 1 ulp in float64, 2 in float32.

    The rational functions were fitted for the smallest largest error (in 60 digits, by Lawson's weighted least squares);
    the forms that are fitted are those of W. J. Cody, Rational Chebyshev approximations for the error function, 1969:
    x + x R(x²) below 1, and 1 - e^(-x²) R(x) above. In float32, erf x = tanh(x + x R(x²)) needs one R of low degree, as all but
    the slow bend of artanh(erf x) / x is done by tanh, which NumPy computes fast.
    """
    xp = namespace(x)
    if x.dtype != np.float64:
        a = xp.clip(x, -5, 5)
        y = _ratio(_ERF32, a * a)
        y *= a
        y += a
        return xp.tanh(y, out=y)
    a = xp.minimum(abs(x), 6)
    square = a * a
    below = _ratio(_ERF_BELOW_1, square)
    below *= a
    below += a
    above = _ratio(_ERF_ABOVE_1, a)
    above *= xp.exp(-square)
    return xp.copysign(xp.where(a < 1, below, 1 - above), x)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    """P(x) / Q(x), coefficients from the constant up, by Horner's rule."""
    p, q = (x * c[-1] for c in coefficients)
    for y, c in zip((p, q), coefficients, strict=True):
        for k in c[-2:0:-1]:
            y += k
            y *= x
        y += c[0]
    p /= q
    return p


# fmt: off
# artanh(erf x) / x - 1 in x², |x| < 4: erf is within 3.3e-9 of itself
_ERF32 = (
    (0.12837917093324314, 0.12291433258415216, 0.018956623288638317, 0.0018532902679537053),
    (1.0, 0.15689321920472962, 0.02368933312230134, 0.00032490815947153407),
)
# erf x / x - 1 in x², |x| < 1: within 7e-19
_ERF_BELOW_1 = (
    (0.1283791670955126, -0.31700607642517104, -0.04832961109131382, -0.00881569299584798, -0.0004956173076085525,
     -2.073272033283293e-05),
    (1.0, 0.4605132900004085, 0.09381329806565189, 0.010693124627426475, 0.0006925028528338317, 2.081046968814024e-05),
)
# e^(x²) (1 - erf x) in x, 1 < x < 6: 1 - erf is within 1.6e-19
_ERF_ABOVE_1 = (
    (0.9999999613674897, 1.3323690430355253, 0.8813772842552854, 0.3346634755325969, 0.07259162516174787,
     0.007293389679582648, 1.2967165683387893e-08),
    (1.0, 2.460747785969416, 2.6580360444798807, 1.6254335366361692, 0.5997831308281764, 0.12865185260083903,
     0.012927999927418457),
)
# fmt: on
