"""One gradient from the gradients of all ranks: dense ones summed in buckets, rows of tables gathered as rows."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend
from ..sparse import RowSparse
from ..tensor import Tensor, wrap

if TYPE_CHECKING:
    from .world import World

BUCKET = 1 << 20  # numbers that travel together: 4 MB, which stay in the cache
_SUM = -np.inf  # in the place of a count
_NONE, _DENSE = -1, -2  # what a rank has for a parameter; rows are told by their number


@dataclass
class Exchange:
    """How gradients travelled.

    Attributes:
        how: for each parameter "dense", "rows", or None where no rank had a gradient.
        bytes: that this rank contributed.
    """

    how: list[str | None] = field(default_factory=list)
    bytes: int = 0


def exchange(world: World, parameters: list[Tensor], count: float | None = None) -> Exchange:
    """Replace each `.grad` by the sum over all ranks or, with a count, by the gradient of the mean over all ranks' targets.

    A rank's loss is usually the mean over its own targets, and ranks may have different numbers of them, so that the mean of
    the ranks' means would be another number. With `count` targets on each rank the gradient becomes Σ count·grad / Σ count.

    A gradient that is rows of a table is sent as ids and rows, each id once, where that is less than the whole table; a
    table that is used as a matrix too (tied weights) has a dense gradient. A rank without a gradient for a parameter
    contributes zeros. The result has the same bits on every rank. (Rows they are as long as nobody has looked at `.grad`; on a
    GPU only with Embedding(sparse=True).)

    Args:
        count: how many targets this rank's loss is the mean of. None: the gradients are of sums, and are summed.

    Raises:
        RuntimeError: the ranks do not have the same parameters.
        ValueError: a count is negative or infinite, or no rank has any targets.
        TimeoutError: a rank did not come.
    """
    parameters = [p for p in dict.fromkeys(parameters) if p.requires_grad]  # one named twice would be summed twice
    shapes = zlib.crc32(repr([(tuple(p.shape), str(p.dtype)) for p in parameters]).encode())
    if (world.gather([shapes]) != shapes).any():
        world.fail(
            RuntimeError(
                f"all_reduce: the ranks do not have the same parameters ({len(parameters)} on rank {world.rank})"
            )
        )
    for p in parameters if count == 0 else ():
        p._grad = None  # of a mean over nothing, which is not a number
    gradients = [p._grad.summed() if isinstance(p._grad, RowSparse) else p._grad for p in parameters]
    table = world.gather([_SUM if count is None else count, *map(_kind, gradients)])
    counts, kinds = table[:, 0], table[:, 1:].T.tolist()
    if not (counts == _SUM).all() and not ((counts >= 0).all() and 0 < counts.sum() < np.inf):
        told = ["none" if c == _SUM else f"{c:g}" for c in counts]
        world.fail(
            ValueError(
                f"all_reduce: counts of targets must be finite, 0 or more, and not all 0, or none on every rank: "
                f"got {', '.join(told)}, rank by rank"
            )
        )
    weight = 1.0 if count is None else float(counts[world.rank] / counts.sum())

    done, dense = Exchange(), []
    for p, g, theirs in zip(parameters, gradients, kinds, strict=True):
        size, row_size = p.array.nbytes, 8 + p.array.nbytes // max(len(p.array), 1) if p.ndim else 0
        rows = [max(int(kind), 0) // 2 for kind in theirs]
        if max(theirs) == min(theirs) == _NONE:
            done.how.append(None)
        elif _DENSE not in theirs and sum(rows) * row_size < size:
            done.how.append("rows")
            done.bytes += rows[world.rank] * row_size
            p._grad = _all_rows(world, p, g, weight, visible=max(theirs) % 2 == 1)
        else:
            done.how.append("dense")
            done.bytes += size
            p._grad = _owned(p, g)
            dense.append(p._grad.array.reshape(-1))
    _sum_dense(world, dense, weight)
    return done


def _kind(g: Any) -> int:
    """What a rank has for a parameter, as one number: nothing, a dense gradient, or so many rows (and whether users see rows)."""
    if g is None:
        return _NONE
    return 2 * len(g.index) + g.visible if isinstance(g, RowSparse) else _DENSE


def _owned(p: Tensor, g: Any) -> Tensor:
    """The dense gradient, in memory in index order, to be written into."""
    if g is None:
        return wrap(backend.namespace(p.array).zeros(p.array.shape, p.array.dtype))
    g = g.to_dense() if isinstance(g, RowSparse) else g.contiguous()
    g.writable("all_reduce")
    return g


def _all_rows(world: World, p: Tensor, g: RowSparse | None, weight: float, visible: bool) -> RowSparse:
    """The rows of all ranks, rank after rank, so that each id is summed in the same order everywhere."""
    if g is None:
        index, rows = np.empty(0, np.int64), np.empty((0, *p.shape[1:]), p.array.dtype)
    else:
        index, rows = backend.to_numpy(g.index).astype(np.int64), backend.to_numpy(g.rows)
    index, rows = world.concatenate(index), world.concatenate(rows if weight == 1 else rows * rows.dtype.type(weight))
    index, rows = (backend.asarray(a, like=p.array) for a in (index, rows))
    return RowSparse(index, rows, p.shape, visible).summed()


def _sum_dense(world: World, gradients: list[Any], weight: float) -> None:
    """Add up flat gradients over all ranks, end to end through buckets: while one is on its way, the next is filled."""
    if world.world_size == 1:
        return
    for kind in sorted({g.dtype for g in gradients}, key=str):
        travels = np.promote_types(kind, np.float32)  # MPI has no float16
        same = [g for g in gradients if g.dtype == kind]
        buffers = world.kept_buffer(2 * BUCKET, travels, like=same[0]).reshape(2, BUCKET)
        arrived: Callable[[], None] = lambda: None  # noqa: E731
        for i, pieces in enumerate(_buckets(same)):
            buffer = buffers[i % 2][: sum(len(piece) for piece in pieces)]
            for piece, part in _side_by_side(pieces, buffer):
                backend.copy_across(piece, part)
            if weight != 1:
                buffer *= travels.type(weight)
            sent = world.add_up(buffer)
            arrived()
            arrived = _arrival(sent, pieces, buffer)
        arrived()


def _arrival(wait: Callable[[], None], pieces: list[Any], buffer: np.ndarray) -> Callable[[], None]:
    def take() -> None:
        wait()
        for piece, part in _side_by_side(pieces, buffer):
            backend.copy_across(part, piece)

    return take


def _side_by_side(pieces: list[Any], buffer: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
    """Each piece with its part of the buffer."""
    start = 0
    for piece in pieces:
        yield piece, buffer[start : start + len(piece)]
        start += len(piece)


def _buckets(gradients: list[Any]) -> Iterator[list[Any]]:
    """The gradients, end to end, cut into lists of views of BUCKET numbers together."""
    bucket, room = [], BUCKET
    for g in gradients:
        while len(g):
            bucket.append(g[:room])
            g, room = g[room:], room - len(bucket[-1])
            if room == 0:
                yield bucket
                bucket, room = [], BUCKET
    if bucket:
        yield bucket
