"""What makes NumPy fast on a CPU: memory that is kept, pieces that fit into a core's cache, and threads that share them."""

from __future__ import annotations

import contextvars
import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

BLOCK = 1 << 15  # elements: what a formula of ten steps reads and writes stays in a core's cache
LARGER = 4  # times so large are the pieces that threads share
WORTH_SHARING = 1 << 17  # elements of a formula: less is done before another thread has woken up
MUCH = 1 << 20  # elements that are only moved: fewer are in the caches, where one thread is fast enough


def keep_memory() -> None:
    """Let freed memory be kept for the next array. A fresh 100 MB array costs more in page faults than the sum of two.

    This is a setting of glibc, and of the whole process. Elsewhere, and where a MALLOC_ variable of the environment says what
    is wanted, nothing is set.
    """
    mallopt = getattr(ctypes.CDLL(None) if os.name == "posix" else None, "mallopt", None)
    if mallopt is None or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mmap_max, trim_threshold, top_pad = -4, -1, -2  # malloc.h
    mallopt(mmap_max, 0)  # large arrays too come from the heap, which is not given back piece by piece
    mallopt(trim_threshold, -1)  # nor at its end
    mallopt(top_pad, 1 << 26)


def threads() -> int:
    """How many threads share the work on large arrays: OMP_NUM_THREADS, which BLAS reads too, or the number of cores."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) else _cores()


@cache
def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(workers: int) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(workers, thread_name_prefix="minigrad")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child process has none of its parent's threads


def rows_apiece(width: int) -> int:
    """How many rows of that width make a piece."""
    return max(1, BLOCK // max(width, 1))


def in_pieces(
    run: Callable[[int, int], None], n: int, width: int = 1, share: bool | None = None, step: int | None = None
) -> None:
    """run(start, stop) for pieces that make up range(n), of whose items each has `width` elements.

    NumPy lets threads run side by side. Between two of its functions, though, they wait for each other, so what threads share is
    cut into fewer and larger pieces; `run` must write to its own places only, and compute the same however range(n) is cut.

    Args:
        share: on several threads; by default if there is enough to do.
        step: items a piece.
    """
    if n * width <= BLOCK and step is None:  # the common case needs no more than this
        return run(0, n) if n else None
    share = n * width >= WORTH_SHARING if share is None else share
    step = step or rows_apiece(width) * (LARGER if share and threads() > 1 else 1)
    workers = min(threads(), -(-n // step)) if share else 1

    def every(first: int, by: int) -> None:
        for start in range(first * step, n, by * step):
            run(start, min(start + step, n))

    if workers < 2:
        return every(0, 1)
    # The others see this thread's context, in which NumPy's warnings are switched off
    others = [_pool(workers - 1).submit(contextvars.copy_context().run, every, i, workers) for i in range(1, workers)]
    try:
        every(0, workers)
    finally:
        for other in others:
            other.result()


# ------------------------------------------------------------------------------------------------------- rows of a table


def gather(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """y[i] = table[index[i]], for ids that are in range."""
    if not table.flags.c_contiguous:  # of which `take` would make a whole copy
        return table[index]
    y = np.empty((*index.shape, *table.shape[1:]), table.dtype)
    ids, rows = index.reshape(-1), y.reshape(index.size, *table.shape[1:])

    def piece(i: int, j: int) -> None:
        # 'clip' skips a second bounds check, and with it a buffer
        table.take(ids[i:j], axis=0, out=rows[i:j], mode="clip")

    in_pieces(piece, index.size, y.size // (index.size or 1), y.size > MUCH)
    return y


def gather_and_add(table: np.ndarray, index: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """y[..., t, :] = table[index[..., t]] + positions[t], for ids that are in range."""
    if not table.flags.c_contiguous:
        return table[index] + positions
    length, width = positions.shape
    y = np.empty((*index.shape, width), table.dtype)
    batch = index.size // (length or 1)
    ids, sequences = index.reshape(batch, length), y.reshape(batch, length, width)
    long = LARGER * rows_apiece(width)

    def piece(i: int, j: int) -> None:
        for t in range(0, length, long):  # what is looked up is still in the cache when a position is added
            part = sequences[i:j, t : t + long]
            table.take(ids[i:j, t : t + long], axis=0, out=part, mode="clip")
            part += positions[t : t + long]

    whole = length * width
    in_pieces(piece, batch, whole, y.size > MUCH, step=rows_apiece(whole))
    return y


def add_to_rows(x: np.ndarray, index: np.ndarray, y: np.ndarray, factor: float) -> None:
    """x[index[i]] += factor y[i], in place, for ids that do not repeat."""

    def piece(i: int, j: int) -> None:
        x[index[i:j]] += factor * y[i:j]

    in_pieces(piece, len(index), y.size // (len(index) or 1), y.size > MUCH)


def sorted_by_id(index: np.ndarray, rows: int) -> np.ndarray:
    """index.argsort(kind="stable"). NumPy sorts 16-bit integers by radix, others in five times the time: so first the lowest bits."""
    order = index.astype(np.uint16).argsort(kind="stable")
    for shift in range(16, (rows - 1).bit_length(), 16):
        order = order[(index >> shift).astype(np.uint16)[order].argsort(kind="stable")]
    return order


def coalesce(index: np.ndarray, y: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ids, ascending, and for each the sum of its rows of y (N, ...), in their order, from +0.

    What np.add.at does in twenty times the time, as it adds number by number.
    """
    if not len(index):
        return index, y.copy()
    y = np.ascontiguousarray(y)  # of which `take` makes no copy
    order = sorted_by_id(index, rows)
    in_order = index[order]
    changes = np.empty(len(index), dtype=bool)
    changes[0] = True
    np.not_equal(in_order[1:], in_order[:-1], out=changes[1:])
    start = changes.nonzero()[0]  # of each id's occurrences in `order`
    first = order[start]
    sums = np.empty((len(start), *y.shape[1:]), y.dtype)

    def piece(i: int, j: int) -> None:
        part = sums[i:j]
        y.take(first[i:j], axis=0, out=part, mode="clip")
        part += 0  # -0 becomes +0, as in a sum that starts from zero

    in_pieces(piece, len(start), sums[0].size, y.size > 4 * MUCH)
    if len(start) < len(index):
        _add_the_others(sums, y, order, start)
    return in_order[start], sums


def _add_the_others(sums: np.ndarray, y: np.ndarray, order: np.ndarray, start: np.ndarray) -> None:
    """sums[k] += y[order[i]] for start[k] < i < start[k + 1], one after another."""
    times = np.empty_like(start)  # so often does each id occur
    np.subtract(start[1:], start[:-1], out=times[:-1])
    times[-1] = len(order) - start[-1]
    ids = (times > 1).nonzero()[0]
    ids = ids[(-times[ids]).argsort(kind="stable")]  # the most frequent first
    start, times = start[ids], times[ids]
    width = sums[0].size
    # As many ids as there are layers for the others; of one number a row, NumPy would sum in pairs, not in order
    often = int((times > np.arange(len(times))).sum()) if width > 1 else 0
    step = LARGER * rows_apiece(width)

    def one_by_one(i: int, j: int) -> None:
        for k, a, n in zip(ids[i:j].tolist(), start[i:j].tolist(), times[i:j].tolist(), strict=True):
            total: Any = 0
            for b in range(a, a + n, step):
                part = y.take(order[b : min(b + step, a + n)], axis=0, mode="clip")
                part[0] += total
                total = np.add.reduce(part, axis=0)
            sums[k] = total

    def in_layers(i: int, j: int) -> None:
        """Layer r adds the r-th occurrence of every id that has one: of the ids in front, as they are sorted by that."""
        some, begin, fewer = (a[often + i : often + j] for a in (ids, start, -times))
        part = sums[some]
        for r in range(1, -fewer[0]):
            k = fewer.searchsorted(-r)  # how many occur more than r times
            part[:k] += y.take(order[begin[:k] + r], axis=0, mode="clip")
        sums[some] = part

    in_pieces(one_by_one, often, share=y.size > 4 * MUCH, step=1)
    in_pieces(in_layers, len(ids) - often, width, y.size > 4 * MUCH)
