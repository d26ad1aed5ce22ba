"""Two arrays side by side: which entry differs first, and by how many representable numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Patch
from ..tensor import Tensor

TOLERANCE = {"float16": 2e-3, "float32": 2e-5, "float64": 1e-12}
"""Relative and absolute, where a check names none: some thirty roundings of float32, thousands of float64."""


def numpy_of(x: Any) -> np.ndarray:
    """A tensor of minigrad or of torch, or what numpy.asarray takes, as an array of numpy; sparse gradients with their zeros."""
    if isinstance(x, Patch):
        x = x.to_dense()
    if isinstance(x, Tensor):
        return np.asarray(x.detach().cpu().array)
    if type(x).__module__.partition(".")[0] == "torch":
        x = x.detach()
        return (x.to_dense() if x.is_sparse else x).cpu().numpy(force=True)
    return np.asarray(x)


def ulp_distance(x: Any, y: Any) -> np.ndarray:
    """How many steps from one representable number to the next lie between x and y, entry by entry, as float64.

    0 and -0 are the same number, and so are two NaN; from a NaN to a number it is inf. The largest finite number and
    infinity are neighbours.

    Args:
        x, y: tensors or arrays that broadcast, of the same floating dtype.
    """
    a, b = numpy_of(x), numpy_of(y)
    if a.dtype != b.dtype or a.dtype.kind != "f":
        raise TypeError(f"ulp_distance: both must have one floating dtype, got {a.dtype} and {b.dtype}")
    a, b = np.broadcast_arrays(a, b)
    steps = [abs(i - j) for i, j in zip(_places(a), _places(b), strict=True)]
    nan = np.isnan(a), np.isnan(b)
    distance = np.array(steps, np.float64).reshape(a.shape)
    return np.where(nan[0] & nan[1], 0.0, np.where(nan[0] | nan[1], np.inf, distance))


def _places(a: np.ndarray) -> list[int]:
    """Each number's place in the order of all numbers of its dtype, zero being 0; as Python integers, which do not overflow."""
    largest = int(np.iinfo(f"i{a.dtype.itemsize}").max)
    bits = np.ascontiguousarray(a).view(f"i{a.dtype.itemsize}").ravel().tolist()
    return [-(i & largest) if i < 0 else i for i in bits]


def assert_same(
    ours: Any,
    theirs: Any,
    what: str = "value",
    *,
    exact: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    names: tuple[str, str] = ("minigrad", "torch"),
) -> None:
    """The same shape, dtype and numbers: bit for bit if `exact`, else |ours - theirs| <= atol + rtol |theirs|.

    Tolerances that are not given are TOLERANCE of the dtype. NaN equals NaN, unless told otherwise.

    Raises:
        AssertionError: naming the first entry that differs, both numbers, and how many ulp lie between them.
    """
    a, b = numpy_of(ours), numpy_of(theirs)
    (one, other) = names
    if a.shape != b.shape:
        raise AssertionError(f"{what}: {one} has shape {a.shape}, {other} {b.shape}")
    if a.dtype != b.dtype:
        raise AssertionError(f"{what}: {one} has dtype {a.dtype}, {other} {b.dtype}")
    if a.tobytes() == b.tobytes() and (equal_nan or a.dtype.kind != "f"):
        return
    if a.dtype.kind != "f":
        limit = (atol or 0) + (rtol or 0) * np.abs(b.astype(np.float64))
        differ = (
            np.abs(a.astype(np.float64) - b.astype(np.float64)) > limit
            if a.dtype.kind in "iu" and limit.any()
            else a != b
        )
    elif exact:
        kind = f"u{a.dtype.itemsize}"
        differ = np.ascontiguousarray(a).view(kind) != np.ascontiguousarray(b).view(kind)
        differ = differ.reshape(a.shape)  # ascontiguousarray makes a number an array of one
    else:
        usual = TOLERANCE.get(a.dtype.name, 2e-5)
        limits = {"rtol": usual if rtol is None else rtol, "atol": usual if atol is None else atol}
        with np.errstate(all="ignore"):
            differ = ~np.isclose(a, b, **limits, equal_nan=equal_nan)
    if differ.any():
        raise AssertionError(f"{what}: {_first(a, b, differ, one, other)}")


def _first(a: np.ndarray, b: np.ndarray, differ: np.ndarray, one: str, other: str) -> str:
    """The sentence about the first entry that differs, and the largest difference of all."""
    where = np.argwhere(differ)
    first = tuple(int(i) for i in where[0])
    x, y = a[first], b[first]
    text = f"{one} {x!s}, {other} {y!s}"
    if a.ndim:
        text = f"the first of {len(where)} entries (of {a.size}) that differ is {list(first)}: {text}"
    if a.dtype.kind == "f":
        ulps = float(ulp_distance(x, y))
        text += f", {_count(ulps)} ulp apart" if np.isfinite(ulps) else ""
        text += " (0 and -0 differ in their sign bit)" if ulps == 0 and x == 0 else ""
        with np.errstate(all="ignore"):
            gap = np.where(differ, np.abs(a - b), 0)
        worst = tuple(int(i) for i in np.unravel_index(np.argmax(np.nan_to_num(gap, nan=np.inf)), a.shape))
        if worst != first:
            text += f"; the largest difference is at {list(worst)}: {a[worst]!s} and {b[worst]!s}"
    return text


def _count(n: float) -> str:
    return f"{n:,.0f}" if n < 1e6 else f"{n:.1e}"


def assert_close(
    actual: Any, expected: Any, *, rtol: float | None = None, atol: float | None = None, equal_nan: bool = False
) -> None:
    """Same shape, dtype and, within tolerances, numbers; nested lists, tuples and dicts too (torch.testing.assert_close).

    The tolerances that are not given are torch's for the dtype: 1e-3 and 1e-5 (float16), 1.3e-6 and 1e-5 (float32), 1e-7
    and 1e-7 (float64), and none for integers.

    Args:
        rtol, atol: |actual - expected| <= atol + rtol |expected|; both or neither.
        equal_nan: whether NaN is as good as NaN.

    Raises:
        AssertionError: naming the first entry that differs, both numbers, and how many ulp lie between them.
        ValueError: only one tolerance was given.
    """
    if (rtol is None) != (atol is None):
        raise ValueError("assert_close: give both rtol and atol, or neither")
    _assert_close(actual, expected, rtol, atol, equal_nan, "assert_close")


def _assert_close(actual: Any, expected: Any, rtol: Any, atol: Any, equal_nan: bool, what: str) -> None:
    pairs: list[tuple[Any, Any]] | None = None  # of the keys, for what is nested
    if isinstance(expected, dict):
        if not isinstance(actual, dict) or actual.keys() != expected.keys():
            got = str(list(actual)) if isinstance(actual, dict) else type(actual).__name__
            raise AssertionError(f"{what}: expected a dict with the keys {list(expected)}, got {got}")
        pairs = [(key, key) for key in expected]
    elif isinstance(expected, list | tuple):
        if not isinstance(actual, list | tuple) or len(actual) != len(expected):
            got = str(len(actual)) if isinstance(actual, list | tuple) else type(actual).__name__
            raise AssertionError(f"{what}: expected a sequence of {len(expected)}, got {got}")
        pairs = [(i, i) for i in range(len(expected))]
    if pairs is not None:
        for i, j in pairs:
            _assert_close(actual[i], expected[j], rtol, atol, equal_nan, f"{what}, [{i!r}]")
        return
    a, b = numpy_of(actual), numpy_of(expected)
    usual = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}.get(b.dtype.name, (0.0, 0.0))
    rtol, atol = usual if rtol is None else (rtol, atol)
    assert_same(a, b, what, rtol=rtol, atol=atol, equal_nan=equal_nan, names=("actual", "expected"))
