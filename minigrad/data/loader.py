"""Batches in torch's order: the part of torch.utils.data.DataLoader that training a GPT uses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from ..ops.creation import as_tensor, from_numpy, tensor
from ..ops.shape import stack
from ..random import Generator, default_generator
from ..tensor import Tensor, wrap
from .datasets import IterableDataset
from .samplers import BatchSampler, RandomSampler, SequentialSampler
from .tokenizer import gpt2_tokenizer
from .windows import GPTDatasetV1, Report

_AHEAD = 1 << 8  # samples that are read at a time, where a dataset can


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples of one form as one sample with a new first dimension (torch.utils.data.default_collate).

    Tensors and arrays are stacked, ints become int64 and floats float64, strings stay as they are. Tuples, lists and
    mappings are collated part by part; a tuple comes out as a list, as in torch.

    Raises:
        TypeError: a sample is, or contains, something else.
        RuntimeError: the samples differ in size.
    """
    first = batch[0]
    match first:
        case Tensor():
            return stack(list(batch))
        case np.ndarray() if first.dtype.kind in "biuf":
            return as_tensor(stack([from_numpy(x) for x in batch]))
        case np.bool_() | np.number():
            return as_tensor(np.array(batch))
        case float():
            return as_tensor(np.array(batch, dtype=np.float64))
        case int():
            return tensor(batch)
        case str() | bytes():
            return batch
        case Mapping():
            return {key: default_collate([sample[key] for sample in batch]) for key in first}
        case Sequence():
            sizes = [len(sample) for sample in batch]
            if len(set(sizes)) != 1:
                raise RuntimeError(f"each element in list of batch should be of equal size, got {sizes}")
            parts = [default_collate(part) for part in zip(*batch, strict=True)]
            return type(first)(*parts) if hasattr(first, "_fields") else parts
    found = first.dtype if isinstance(first, np.ndarray) else type(first)
    raise TypeError(f"default_collate: a batch has tensors, numpy arrays, numbers, dicts or lists; found {found}")


def default_convert(data: Any) -> Any:
    """One sample with its arrays as tensors: what a loader makes of it where there are no batches (batch_size=None)."""
    match data:
        case np.ndarray() if data.dtype.kind in "biuf":
            return as_tensor(data)
        case np.bool_() | np.number():
            return as_tensor(np.array(data))
        case Mapping():
            return {key: default_convert(value) for key, value in data.items()}
        case tuple() if hasattr(data, "_fields"):
            return type(data)(*map(default_convert, data))
        case tuple() | list():
            return [default_convert(value) for value in data]
    return data


def get_worker_info() -> None:
    """None: there are no worker processes (torch.utils.data.get_worker_info in the main process)."""


class DataLoader:
    """Batches of a dataset, in torch's order, and leaving the random stream where torch leaves it.

    Where a dataset reads many samples at once (WindowDataset), the next few batches are read with the first of them.

    Every `iter(loader)` draws a number, which torch hands to its workers, even where nothing is shuffled. If `shuffle`,
    the first batch draws one more, which seeds the order of the pass; a `generator` draws that order itself.

    Args:
        dataset: anything with `__getitem__` and `__len__`, or an IterableDataset.
        batch_size: samples a batch; None: no batches, but sample by sample.
        shuffle: a new order on every pass.
        sampler: the indices of a pass, instead of all in order.
        batch_sampler: lists of indices, a batch each, instead of batch_size, shuffle, sampler and drop_last.
        collate_fn: makes a batch of a list of samples. Default: default_collate.
        drop_last: leave out the last batch where it is not full.
        generator: draws, instead of the default generator.
        num_workers, pin_memory, timeout, worker_init_fn, multiprocessing_context, prefetch_factor, persistent_workers,
            pin_memory_device, in_order: accepted, and of no effect: a batch is made when it is asked for.

    Raises:
        ValueError: batch_size is not a positive integer, options exclude each other, or there is nothing to shuffle.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ):
        if num_workers < 0 or timeout < 0 or (prefetch_factor or 0) < 0:
            raise ValueError(
                f"num_workers, timeout and prefetch_factor should be non-negative, got {num_workers}, {timeout} and {prefetch_factor}"
            )
        if not num_workers and (
            prefetch_factor is not None or persistent_workers or multiprocessing_context is not None
        ):
            raise ValueError("prefetch_factor, persistent_workers and multiprocessing_context need num_workers > 0")
        if isinstance(dataset, IterableDataset) and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader with IterableDataset: the dataset is the order; no shuffle, sampler or batch_sampler"
            )
        if shuffle and sampler is not None:
            raise ValueError("sampler option is mutually exclusive with shuffle: a sampler is the order")
        if shuffle and len(dataset) == 0:
            raise ValueError("shuffle=True needs at least one sample, but the dataset is empty")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
            )
        if batch_size is None and drop_last:
            raise ValueError("batch_size=None makes no batches, of which drop_last could leave out the last")
        if not isinstance(generator, Generator | None):
            raise TypeError(f"generator should be a minigrad Generator, got {type(generator).__name__}")
        if sampler is None and not isinstance(dataset, IterableDataset):
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(() if sampler is None else sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = bool(shuffle)
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.drop_last = drop_last
        self.generator = generator
        self.num_workers, self.pin_memory, self.timeout = num_workers, pin_memory, timeout
        self.worker_init_fn, self.multiprocessing_context = worker_init_fn, multiprocessing_context
        self.prefetch_factor, self.persistent_workers = prefetch_factor, persistent_workers

    def __len__(self) -> int:
        if self.sampler is not None or self.batch_size is None:
            indices = self.sampler if self.batch_sampler is None else self.batch_sampler
            return len(self.dataset if indices is None else indices)  # type: ignore[arg-type]
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def __iter__(self) -> Iterator[Any]:
        iterable = isinstance(self.dataset, IterableDataset)
        order = iter(() if iterable else self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
        (self.generator or default_generator).random((), dtype=np.int64)
        if iterable:
            return self._of_samples(iter(self.dataset))
        return self._of_arrays(self.batch_sampler) if self._reads_ahead() else map(self._batch, order)

    def report(self) -> Report:
        """What a pass uses and what it leaves out, in numbers that nothing has to be read for."""
        contents = self.dataset.report() if hasattr(self.dataset, "report") else Report(samples=len(self.dataset))
        dropped = len(self.sampler) % self.batch_size if self.drop_last else 0  # type: ignore[arg-type, operator]
        return Report(contents | {"of them dropped by drop_last, every pass": dropped, "batches": len(self)})

    def _of_samples(self, samples: Iterator[Any]) -> Iterator[Any]:
        if self.batch_size is None:
            yield from map(self.collate_fn, samples)
            return
        while batch := list(islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def _reads_ahead(self) -> bool:
        """The dataset reads any number of samples at once, and which come next is known."""
        by_rows = self.collate_fn is default_collate and getattr(self.dataset, "arrays", None)
        return bool(by_rows and type(b := self.batch_sampler) is BatchSampler and getattr(b.sampler, "pieces", None))

    def _of_arrays(self, batches: Any) -> Iterator[list[Tensor]]:
        """Several batches are one read: for NumPy, eight windows are hardly less work than thirty."""
        size = batches.batch_size
        for indices in batches.several(max(_AHEAD // size, 1) * size):
            arrays = self.dataset.arrays(indices)
            whole = len(indices) - len(indices) % size
            for batch in zip(*(a[:whole].reshape(-1, size, *a.shape[1:]) for a in arrays), strict=True):
                yield [*map(wrap, batch)]
            if whole < len(indices):
                yield [wrap(a[whole:]) for a in arrays]

    def _batch(self, indices: Any) -> Any:
        if self.batch_sampler is None:
            return self.collate_fn(self.dataset[indices])
        if self.collate_fn is default_collate and (collated := getattr(self.dataset, "collated", None)):
            return collated(indices)
        many = getattr(self.dataset, "__getitems__", None)
        return self.collate_fn(many(indices) if many else [self.dataset[i] for i in indices])


def create_dataloader(
    txt: str,
    batch_size: int = 4,
    max_length: int = 256,
    stride: int = 128,
    shuffle: bool = True,
    drop_last: bool = True,
    num_workers: int = 0,
) -> DataLoader:
    """Windows of a text, tokenised by GPT-2, in batches (S. Raschka, "Build a Large Language Model", ch. 2).

    <|endoftext|> in the text is the token of that name.

    Returns:
        a loader of inputs, targets: int64 tensors of shape (batch_size, max_length).

    Raises:
        TypeError: txt is not a str.
        ValueError: the text is too short for a window.
    """
    if not isinstance(txt, str):
        raise TypeError(f"txt must be a str, got {type(txt).__name__}; for ids: DataLoader(WindowDataset(ids, ...))")
    dataset = GPTDatasetV1(txt, gpt2_tokenizer(), max_length, stride)
    if drop_last and len(dataset) < batch_size:
        warnings.warn(f"{len(dataset)} windows make no full batch of {batch_size}: every pass is empty", stacklevel=2)
    return DataLoader(dataset, batch_size, shuffle, drop_last=drop_last, num_workers=num_workers)


create_dataloader_v1 = create_dataloader
