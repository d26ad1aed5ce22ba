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
    steps = np.abs(_place(a) - _place(b))
    nan = np.isnan(a), np.isnan(b)
    return np.where(nan[0] & nan[1], 0.0, np.where(nan[0] | nan[1], np.inf, steps.astype(np.float64)))


def _place(a: np.ndarray) -> np.ndarray:
    """Each number's place in the order of all numbers of its dtype, as Python integers, which do not overflow; zero is 0."""
    bits = a.view(f"i{a.dtype.itemsize}").astype(object)
    return np.where(np.signbit(a), -(bits & int(np.iinfo(f"i{a.dtype.itemsize}").max)), bits)


def assert_same(
    ours: Any,
    theirs: Any,
    what: str = "value",
    *,
    exact: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
    names: tuple[str, str] = ("minigrad", "torch"),
) -> None:
    """The same shape, dtype and numbers: bit for bit if `exact`, else |ours - theirs| <= atol + rtol |theirs|.

    Tolerances that are not given are TOLERANCE of the dtype. NaN equals NaN.

    Raises:
        AssertionError: naming the first entry that differs, both numbers, and how many ulp lie between them.
    """
    a, b = numpy_of(ours), numpy_of(theirs)
    (one, other) = names
    if a.shape != b.shape:
        raise AssertionError(f"{what}: {one} has shape {a.shape}, {other} {b.shape}")
    if a.dtype != b.dtype:
        raise AssertionError(f"{what}: {one} has dtype {a.dtype}, {other} {b.dtype}")
    if a.tobytes() == b.tobytes():
        return
    if a.dtype.kind != "f":
        differ = a != b
    elif exact:
        kind = f"u{a.dtype.itemsize}"
        differ = np.ascontiguousarray(a).view(kind) != np.ascontiguousarray(b).view(kind)
        differ = differ.reshape(a.shape)  # ascontiguousarray makes a number an array of one
    else:
        usual = TOLERANCE.get(a.dtype.name, 2e-5)
        limits = {"rtol": usual if rtol is None else rtol, "atol": usual if atol is None else atol}
        differ = ~np.isclose(a, b, **limits, equal_nan=True)
    if differ.any():
        raise AssertionError(f"{what}: {_first(a, b, differ, one, other)}")


def _first(a: np.ndarray, b: np.ndarray, differ: np.ndarray, one: str, other: str) -> str:
    """The sentence about the first entry that differs, and the largest difference of all."""
    where = np.argwhere(differ)
    first = tuple(int(i) for i in where[0])
    x, y = a[first], b[first]
    text = f"the first of {len(where)} entries (of {a.size}) that differ is {list(first)}: {one} {x!s}, {other} {y!s}"
    if a.dtype.kind == "f":
        ulps = ulp_distance(x, y)
        text += f", {_count(float(ulps))} ulp apart" if np.isfinite(ulps) else ""
        text += " (0 and -0 differ in their sign bit)" if ulps == 0 and x == 0 else ""
        with np.errstate(invalid="ignore"):
            gap = np.where(differ, np.abs(a - b), 0)
        worst = tuple(int(i) for i in np.unravel_index(np.nanargmax(gap) if not np.isnan(gap).all() else 0, a.shape))
        if worst != first:
            text += f"; the largest difference is at {list(worst)}: {a[worst]!s} and {b[worst]!s}"
    return text


def _count(n: float) -> str:
    return f"{n:,.0f}" if n < 1e6 else f"{n:.1e}"


def assert_close(actual: Any, expected: Any, *, rtol: float | None = None, atol: float | None = None) -> None:
    """Same shape, dtype and, within tolerances, numbers; nested lists, tuples and dicts too (torch.testing.assert_close).

    The tolerances that are not given are torch's for the dtype: 1e-3 and 1e-5 (float16), 1.3e-6 and 1e-5 (float32), 1e-7
    and 1e-7 (float64), and none for integers.

    Raises:
        AssertionError: naming the first entry that differs, both numbers, and how many ulp lie between them.
    """
    if (rtol is None) != (atol is None):
        raise ValueError("assert_close: give both rtol and atol, or neither")
    if isinstance(expected, dict):
        assert set(actual) == set(expected), f"the keys are {sorted(actual)}, expected {sorted(expected)}"
        for key, value in expected.items():
            assert_close(actual[key], value, rtol=rtol, atol=atol)
    elif isinstance(expected, list | tuple) and not _is_shape(expected):
        assert len(actual) == len(expected), f"{len(actual)} of them, expected {len(expected)}"
        for x, y in zip(actual, expected, strict=True):
            assert_close(x, y, rtol=rtol, atol=atol)
    else:
        a, b = numpy_of(actual), numpy_of(expected)
        usual = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}.get(
            b.dtype.name, (0.0, 0.0)
        )
        rtol, atol = usual if rtol is None else (rtol, atol)
        if not np.array_equal(a, b, equal_nan=b.dtype.kind == "f") or a.dtype != b.dtype:
            assert_same(a, b, "assert_close", rtol=rtol, atol=atol, names=("actual", "expected"))


def _is_shape(x: Any) -> bool:
    return isinstance(x, tuple) and all(isinstance(n, int) for n in x)
