"""Samplers: in which order a loader takes samples, and which make a batch; torch's orders, from torch's random stream.

`generator`: draws, instead of the default generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..ops.creation import as_tensor
from ..random import Generator, default_generator

_PIECE = 1 << 16  # indices: as Python ints all of them would take four times the memory of their array, or more


def _in_pieces(order: np.ndarray) -> Iterator[np.ndarray]:
    return (order[i : i + _PIECE] for i in range(0, len(order), _PIECE))


def _integers(pieces: Iterable[np.ndarray]) -> Iterator[int]:
    return chain.from_iterable(piece.tolist() for piece in pieces)


class Sampler:
    """Base of the samplers (torch.utils.data.Sampler): a subclass writes `__iter__()`, which yields indices.

    A sampler that knows its order beforehand may have `pieces()` too: the same indices, many at a time, as int64 arrays.
    """

    pieces: Callable[[], Iterator[np.ndarray]] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__iter__" in vars(cls) and "pieces" not in vars(cls):
            cls.pieces = None  # an inherited shortcut would pass by the new __iter__

    def __init__(self, data_source: Any = None):
        pass

    def __class_getitem__(cls, _: Any) -> Any:  # Sampler[int], as annotations write it
        return cls

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} needs an __iter__() that yields indices")


class SequentialSampler(Sampler):
    """0, 1, 2, ... (torch.utils.data.SequentialSampler)."""

    def __init__(self, data_source: Any):
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def pieces(self) -> Iterator[np.ndarray]:
        n = len(self.data_source)
        return (np.arange(i, min(i + _PIECE, n)) for i in range(0, n, _PIECE))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """A new order on every pass; or, with replacement, indices drawn one by one (torch.utils.data.RandomSampler).

    Without a generator of its own, every pass draws one number, which seeds its order.

    Args:
        num_samples: indices a pass. Default: as many as there are samples.

    Raises:
        TypeError: replacement is not a bool.
        ValueError: num_samples is not a positive integer.
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ):
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = num_samples
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={self.num_samples}")

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        return _integers(self.pieces())

    def pieces(self) -> Iterator[np.ndarray]:
        n, generator = len(self.data_source), self.generator
        if generator is None:
            generator = Generator().manual_seed(int(default_generator.random((), dtype=np.int64)))
        if self.replacement:
            for start in range(0, self.num_samples + 1, 32):
                yield generator.randint(0, n, min(32, self.num_samples - start))
            return
        for _ in range(self.num_samples // n):
            yield from _in_pieces(generator.randperm(n))
        if rest := self.num_samples % n:
            yield from _in_pieces(generator.randperm(n)[:rest])
        elif self.generator is not None:
            generator.skip(n - 1)  # torch shuffles once more, for none of it

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """Some indices, in a new order on every pass (torch.utils.data.SubsetRandomSampler)."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None):
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        order = (self.generator or default_generator).randperm(len(self.indices))
        yield from (self.indices[i] for i in _integers(_in_pieces(order)))

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """num_samples indices, drawn with probabilities in proportion to weights (torch.utils.data.WeightedRandomSampler).

    Raises:
        ValueError: num_samples is not a positive integer, replacement not a bool, or weights are not one row of numbers.
    """

    def __init__(self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None):
        if type(num_samples) is not int or num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.weights = as_tensor(weights, dtype=np.float64)
        if self.weights.ndim != 1:
            raise ValueError(f"weights should be a 1d sequence but have shape {tuple(self.weights.shape)}")
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        draw = (self.generator or default_generator).multinomial
        yield from draw(to_numpy(self.weights.array), self.num_samples, self.replacement).tolist()

    def __len__(self) -> int:
        return self.num_samples


class DistributedSampler(Sampler):
    """Every num_replicas-th sample of an order that all ranks share (torch.utils.data.distributed.DistributedSampler).

    Batch k of all ranks together is batch k of one process whose batches are num_replicas times as large. No sample comes
    twice in a pass if drop_last; else up to num_replicas - 1 do, so that all ranks have equally many.

    Args:
        num_replicas: ranks; world_size of minigrad.distributed.init(). Default: of torch's process group, 1 without one.
        rank: which of them this is.
        shuffle: another order in every pass, as `set_epoch` counts them: of the seed seed + epoch.
        seed: the same on all ranks.
        drop_last: leave out the samples at the end for which there are not enough ranks.

    Raises:
        ValueError: the rank is not one of num_replicas.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ):
        from .. import distributed

        self.dataset, self.shuffle, self.seed, self.drop_last, self.epoch = dataset, shuffle, seed, drop_last, 0
        self.num_replicas = distributed.get_world_size() if num_replicas is None else num_replicas
        self.rank = distributed.get_rank() if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(f"Invalid rank {self.rank}, rank should be in the interval [0, {self.num_replicas - 1}]")
        n, replicas = len(dataset), self.num_replicas
        self.num_samples = n // replicas if drop_last else -(-n // replicas)
        self.total_size = self.num_samples * replicas

    def __iter__(self) -> Iterator[int]:
        return _integers(self.pieces())

    def pieces(self) -> Iterator[np.ndarray]:
        n = len(self.dataset)
        order = Generator().manual_seed(self.seed + self.epoch).randperm(n) if self.shuffle else np.arange(n)
        order = np.resize(order, self.total_size)[self.rank :: self.num_replicas]  # the first ones again, or not all
        return _in_pieces(order)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Number the next pass, on all ranks alike: a sampler does not count for itself."""
        self.epoch = epoch


class BatchSampler(Sampler):
    """Lists of batch_size indices; drop_last leaves out the last one if it is short (torch.utils.data.BatchSampler).

    Raises:
        ValueError: batch_size is not a positive integer, or drop_last not a bool.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool):
        if type(batch_size) is not int or batch_size < 1:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size!r}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last!r}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        order = iter(self.sampler)
        while batch := list(islice(order, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def several(self, size: int) -> Iterator[np.ndarray]:
        """The same indices, some batches at a time: arrays of `size` (a multiple of batch_size) or fewer, of whole batches."""
        rest = np.empty(0, np.int64)
        for piece in self.sampler.pieces():  # type: ignore[attr-defined]
            piece = np.concatenate([rest, piece]) if len(rest) else piece
            whole = len(piece) - len(piece) % self.batch_size
            yield from (piece[i : min(i + size, whole)] for i in range(0, whole, size))
            rest = piece[whole:]
        if len(rest) and not self.drop_last:
            yield rest

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full if self.drop_last or not rest else full + 1
