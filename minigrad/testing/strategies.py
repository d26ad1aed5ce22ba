"""What hypothesis draws: shapes, numbers, ids and memory layouts, the awkward ones often.

Zero-size axes, axes of one, numbers without an axis, ids that repeat, views with gaps or negative strides: where gradients go wrong.
All of them shrink to small readable values.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..dtypes import as_numpy, float32
from ..dtypes import dtype as Dtype
from ..tensor import Tensor
from .compare import numpy_of
from .devices import placed

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as missing:
    raise ImportError(
        "the strategies of minigrad.testing are hypothesis's, which is not installed: pip install hypothesis"
    ) from missing

Shape = tuple[int, ...]
Strategy = st.SearchStrategy

FLAG = st.booleans()
SIMPLE = [1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 1.5, -1.5]


def drawn(draw: st.DrawFn, x: Any) -> Any:
    """x, or what it draws if it is a strategy."""
    return draw(x) if isinstance(x, st.SearchStrategy) else x


# ---------------------------------------------------------------------------------------------------------------- shapes


@cache  # a strategy that is made once is checked once
def shapes(min_dims: int = 0, max_dims: int = 4, min_side: int = 0, max_side: int = 4) -> Strategy[Shape]:
    """Shapes of min_dims to max_dims axes, each of min_side to max_side entries; often with axes of one."""
    if not 0 <= min_dims <= max_dims or not 0 <= min_side <= max_side:
        raise ValueError(f"shapes: {min_dims} to {max_dims} axes of {min_side} to {max_side} entries: there are none")
    side = st.sampled_from([n for n in (1, 0, 2, 1, *range(3, max_side + 1)) if min_side <= n <= max_side])
    return st.lists(side, min_size=min_dims, max_size=max_dims).map(tuple)


@cache
def _up_to(n: int) -> Strategy[int]:
    return st.integers(0, n)


@st.composite
def narrower(draw: st.DrawFn, shape: Shape, min_dims: int = 0, ones: bool = True) -> Shape:
    """A shape that broadcasts to this one: leading axes left out, others of one."""
    left_out = draw(_up_to(max(len(shape) - min_dims, 0))) if draw(FLAG) else 0
    return tuple(1 if ones and draw(_up_to(2)) == 2 else n for n in shape[left_out:])


@st.composite
def broadcastable_shapes(
    draw: st.DrawFn, count: int = 2, min_dims: int = 0, max_dims: int = 4, min_side: int = 0, max_side: int = 4
) -> tuple[Shape, ...]:
    """`count` shapes that broadcast together, by the rules of NumPy and torch. The limits are those of `shapes`."""
    whole = draw(shapes(min_dims, max_dims, min_side, max_side))
    return tuple(draw(narrower(whole, min_dims, min_side <= 1)) for _ in range(count))


@cache
def dims(ndim: int, several: bool = False) -> Strategy[Any]:
    """A dimension of a tensor that has `ndim`, counted from either end: an int in [-ndim, ndim); 0 or -1 if it has none.

    several: or None, or a tuple of different ones, perhaps empty.
    """
    one = st.integers(-max(ndim, 1), max(ndim, 1) - 1)
    if not several:
        return one
    return one | st.none() | st.lists(one, unique_by=lambda d: d % max(ndim, 1), max_size=ndim).map(tuple)


# --------------------------------------------------------------------------------------------------------------- tensors


@st.composite
def tensors(
    draw: st.DrawFn,
    shape: int | Shape | Strategy[Shape] | None = None,
    dtype: Dtype | Strategy[Dtype] | None = None,
    elements: Strategy[Any] | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Tensors of a shape (default: any of `shapes()`) and dtype (default: float64).

    Floats are by default numbers with |x| in [1/4, 4]: away from zero, where relu, abs and sign have their kink and division
    and log their pole, and of few digits. Integers are in [-8, 8], or [0, 8] without a sign.

    Args:
        shape: a shape, a length, or a strategy of shapes.
        dtype: a dtype, or a strategy of dtypes.
        elements: a strategy of the entries.
        requires_grad: whether the tensor is a leaf that requires grad.
    """
    to = as_numpy(np.float64 if dtype is None else drawn(draw, dtype))
    size = _shape(draw, shape, shapes())
    entries = _entries(to) if elements is None else elements
    return placed(_filled(draw, size, entries, to)).requires_grad_(requires_grad)


def _shape(draw: st.DrawFn, shape: Any, default: Strategy[Shape]) -> Shape:
    size = drawn(draw, default if shape is None else shape)
    size = (size,) if isinstance(size, int) else tuple(size)
    if any(n < 0 for n in size):
        raise ValueError(f"a shape must not have negative sizes, got {size}")
    return size


@cache
def _entries(dtype: np.dtype[Any]) -> Strategy[Any]:
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind in "iu":
        return st.integers(0 if dtype.kind == "u" else -8, 8)
    away = st.floats(0.25, 4.0, width=16)
    return st.sampled_from(SIMPLE) | away | away.map(lambda x: -x)


def _filled(draw: st.DrawFn, shape: Shape, elements: Strategy[Any], dtype: np.dtype[Any]) -> np.ndarray:
    """An array drawn entry by entry; beyond 100 entries, of 100 that are drawn, in an order that is."""
    count = int(np.prod(shape))
    few = [draw(elements) for _ in range(min(count, 100))]
    if count > len(few):
        order = np.random.default_rng(draw(st.integers(0, 2**16))).integers(0, len(few), count)
        return np.array(few, dtype)[order].reshape(shape)
    return np.array(few, dtype).reshape(shape)


def integer_valued_floats(
    shape: int | Shape | Strategy[Shape] | None = None, dtype: Dtype | Strategy[Dtype] | None = None, bound: int = 8
) -> Strategy[Tensor]:
    """Tensors of floating dtype (default: float32) whose entries are whole numbers in [-bound, bound].

    Sums and products of them are exact in any order, as long as they stay below 2**24 (float32) or 2**53 (float64), so what
    is computed can be compared without a tolerance.
    """
    return tensors(shape, float32 if dtype is None else dtype, st.integers(-bound, bound))


WIDTHS = ["int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64"]


@cache
def _widths(rows: int) -> Strategy[str]:
    return st.sampled_from([w for w in WIDTHS if np.iinfo(w).max >= rows - 1])


@st.composite
def indices(
    draw: st.DrawFn,
    rows: int,
    shape: int | Shape | Strategy[Shape] | None = None,
    dtype: Dtype | Strategy[Dtype] | None = None,
) -> Tensor:
    """Ids of the rows of a table: integers in [0, rows), of a shape with up to three axes, perhaps empty.

    Most often ids repeat: that is where a scatter-add that overwrites goes wrong.

    Args:
        rows: the number of rows. A table without rows has no ids, so then they are empty.
        shape: their shape, or a strategy of shapes.
        dtype: of the ids; default: any integer width that can count the rows.

    Raises:
        ValueError: dtype is not an integer type, or too narrow to count the rows.
    """
    size = _shape(draw, shape, shapes(0 if rows else 1, 3))
    if not rows:
        size = size if 0 in size else (0, *size[1:])
    to = np.dtype(draw(_widths(rows))) if dtype is None else as_numpy(drawn(draw, dtype))
    if to.kind not in "iu" or np.iinfo(to).max < rows - 1:
        raise ValueError(f"indices: {to} cannot count {rows} rows")
    if not rows:
        return placed(np.zeros(size, to))
    any_id = _up_to(rows - 1)
    few = [draw(any_id) for _ in range(draw(_up_to(2)))]  # one or two ids, again and again, or any
    return placed(_filled(draw, size, st.sampled_from(few) if few else any_id, to))


LAYOUTS = ["contiguous", "transposed", "reversed", "gaps", "offset", "read-only"]

LAYOUT = st.sampled_from(LAYOUTS)


@st.composite
def layouts(draw: st.DrawFn, x: Any) -> Any:
    """The same numbers in another memory layout.

    Contiguous, column by column, with negative strides, with gaps, in the middle of a larger array, or read-only.

    Args:
        x: a tensor, an array, or a strategy of either. What comes out is a tensor for a tensor, an array for an array.
    """
    given = drawn(draw, x)
    if isinstance(given, Tensor):
        laid_out = placed(in_layout(numpy_of(given), draw(LAYOUT)))
        return laid_out.requires_grad_(given.requires_grad)
    return in_layout(np.asarray(given), draw(LAYOUT))


def in_layout(x: np.ndarray, layout: str) -> np.ndarray:
    """A copy of x whose memory is laid out like that; of a number only the read-only layout differs."""
    y = np.array(x, order="C")
    if layout == "read-only":
        y.flags.writeable = False
    elif y.ndim == 0 or layout == "contiguous":
        pass
    elif layout == "transposed":
        y = np.asfortranarray(y)
    elif layout == "reversed":
        y = np.flip(np.flip(y).copy())
    elif layout == "gaps":
        y = np.repeat(y, 2, axis=-1)[..., ::2]
    elif layout == "offset":
        y = np.pad(y, 1, mode="edge" if y.size else "constant")[tuple(slice(1, -1) for _ in y.shape)]
    else:
        raise ValueError(f"in_layout: layout must be one of {LAYOUTS}, got {layout!r}")
    return y
