"""What each of minigrad's own CUDA kernels computes, in NumPy: the fake of CuPy runs these.

A RawKernel's function gets the kernel's arguments and writes to its outputs; an ElementwiseKernel's gets the inputs and
returns the output; a ReductionKernel's gets axis= and keepdims= as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def segment_sum(y: np.ndarray, order: np.ndarray, start: np.ndarray, out: np.ndarray, rows: Any, width: Any) -> None:
    """out[r] = y[order[start[r]]] + y[order[start[r] + 1]] + ..., one after another from +0."""
    assert order.dtype == start.dtype == np.int64 and out.dtype == y.dtype and len(start) == rows + 1
    out[...] = 0
    y, out = y.reshape(-1, int(width)), out.reshape(int(rows), int(width))
    for row in range(int(rows)):
        for k in order[start[row] : start[row + 1]]:
            out[row] += y[k]


KERNELS: dict[str, Callable[..., Any]] = {"minigrad_segment_sum": segment_sum}
