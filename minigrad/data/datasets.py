"""Datasets: samples by number, or one after another; parts of them, and several in a row (torch.utils.data)."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..random import Generator, default_generator
from ..tensor import Tensor


class Dataset:
    """Samples by number (torch.utils.data.Dataset): a subclass writes `__getitem__(i)` and `__len__()`.

    Where one read can fetch a whole batch, it may write `collated(indices)` too: what default_collate would return. And
    where it can fetch several batches, `arrays(indices)`: the arrays of that, from whose rows a loader makes batches.
    """

    collated: Callable[[list[int]], Any] | None = None
    arrays: Callable[[np.ndarray], tuple[np.ndarray, ...]] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = vars(cls)  # an inherited shortcut would pass by them
        if "__getitem__" in own and "collated" not in own:
            cls.collated = None
        if ("__getitem__" in own or "collated" in own) and "arrays" not in own:
            cls.arrays = None

    def __class_getitem__(cls, _: Any) -> Any:  # Dataset[tuple[Tensor, Tensor]], as annotations write it
        return cls

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a __getitem__(index) that returns one sample")

    def __add__(self, other: Any) -> Dataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Samples one after another (torch.utils.data.IterableDataset): a subclass writes `__iter__()`."""

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{type(self).__name__} needs an __iter__() that yields samples")

    def __add__(self, other: Any) -> Dataset:
        return ChainDataset([self, other])


class TensorDataset(Dataset):
    """Sample i is the tuple of row i of every tensor (torch.utils.data.TensorDataset).

    Raises:
        AssertionError: the tensors do not have equally many rows.
    """

    def __init__(self, *tensors: Tensor):
        rows = [len(t) for t in tensors]
        if len(set(rows)) != 1:
            raise AssertionError(f"Size mismatch between tensors: TensorDataset got {rows} rows")
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def collated(self, indices: list[int]) -> list[Tensor]:
        return list(self[indices])


class Subset(Dataset):
    """The samples of a dataset at some indices, in that order (torch.utils.data.Subset)."""

    def __init__(self, dataset: Any, indices: Sequence[int]):
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    @property
    def collated(self) -> Callable[[list[int]], Any] | None:  # type: ignore[override]
        whole = getattr(self.dataset, "collated", None)
        return whole and (lambda indices: whole([self.indices[i] for i in indices]))


class ConcatDataset(Dataset):
    """The samples of several datasets, one dataset after another (torch.utils.data.ConcatDataset).

    Raises:
        AssertionError: no datasets, or one that has no numbers.
    """

    def __init__(self, datasets: Iterable[Any]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset: use ChainDataset")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if index < -len(self):
            raise ValueError(
                f"absolute value of index should not exceed dataset length: {index}, but there are {len(self)}"
            )
        if index < 0:
            index += len(self)
        i = bisect_right(self.cumulative_sizes, index)
        return self.datasets[i][index - (self.cumulative_sizes[i - 1] if i else 0)]


class ChainDataset(IterableDataset):
    """The samples of several iterable datasets, one dataset after another (torch.utils.data.ChainDataset)."""

    def __init__(self, datasets: Iterable[IterableDataset]):
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset: use ConcatDataset")
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)  # type: ignore[arg-type, misc]


def random_split(
    dataset: Any, lengths: Sequence[float], generator: Generator | None = default_generator
) -> list[Subset]:
    """Parts of a dataset, drawn at random, that have these many samples, or these fractions (torch.utils.data.random_split).

    Of fractions that do not come out even, the first parts get one sample more.

    Raises:
        ValueError: the lengths do not add up to the dataset's, or the fractions are not between 0 and 1.
    """
    n, sizes = len(dataset), list(lengths)
    if math.isclose(sum(sizes), 1) and sum(sizes) <= 1:
        for i, fraction in enumerate(sizes):
            if not 0 <= fraction <= 1:
                raise ValueError(f"Fraction at index {i} is not between 0 and 1: {fraction}")
        sizes = [math.floor(n * fraction) for fraction in sizes]
        rest = n - sum(sizes)
        sizes = [size + (rest + len(sizes) - 1 - i) // len(sizes) for i, size in enumerate(sizes)]
        for i, size in enumerate(sizes):
            if size == 0:
                warnings.warn(
                    f"Length of split at index {i} is 0. This might result in an empty dataset.", stacklevel=2
                )
    if sum(sizes) != n:
        raise ValueError(
            f"Sum of input lengths does not equal the length of the input dataset: {sizes} for {n} samples"
        )
    order = (generator or default_generator).randperm(n).tolist()
    ends = accumulate(sizes)
    return [Subset(dataset, order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
