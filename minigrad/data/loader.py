"""Batches in torch's order: the part of torch.utils.data.DataLoader that training a GPT uses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from ..ops.creation import from_numpy, tensor
from ..ops.shape import stack
from ..random import Generator, default_generator
from ..tensor import Tensor
from .tokenizer import gpt2_tokenizer
from .windows import GPTDatasetV1, Report


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
            return stack([from_numpy(x) for x in batch])
        case np.bool_() | np.number():
            return from_numpy(np.array(batch))
        case float():
            return from_numpy(np.array(batch, dtype=np.float64))
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


class DataLoader:
    """Batches of a dataset, in torch's order, and leaving the random stream where torch leaves it.

    Every `iter(loader)` draws a number, which torch hands to its workers, even where nothing is shuffled. If `shuffle`,
    the first batch draws one more, which seeds the order of the pass; a `generator` draws that order itself.

    Args:
        dataset: anything with `__getitem__` and `__len__`.
        batch_size: samples a batch.
        shuffle: a new order on every pass.
        sampler: the indices of a pass, instead of all in order.
        num_workers, pin_memory, timeout: accepted, and of no effect: a batch is made when it is asked for.
        collate_fn: makes a batch of a list of samples. Default: default_collate.
        drop_last: leave out the last batch where it is not full.
        generator: draws, instead of the default generator.

    Raises:
        ValueError: batch_size is not a positive integer, options exclude each other, or there is nothing to shuffle.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        sampler: Iterable[int] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        generator: Generator | None = None,
    ):
        if num_workers < 0 or timeout < 0:
            raise ValueError(f"num_workers and timeout should be non-negative, got {num_workers} and {timeout}")
        if type(batch_size) is not int or batch_size < 1:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size!r}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last!r}")
        if shuffle and sampler is not None:
            raise ValueError("sampler option is mutually exclusive with shuffle: a sampler is the order")
        if shuffle and len(dataset) == 0:
            raise ValueError("shuffle=True needs at least one sample, but the dataset is empty")
        if not isinstance(generator, Generator | None):
            raise TypeError(f"generator should be a minigrad Generator, got {type(generator).__name__}")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.sampler = sampler
        self.collate_fn = collate_fn or default_collate
        self.drop_last = drop_last
        self.generator = generator

    def __len__(self) -> int:
        full, rest = divmod(self._samples(), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def __iter__(self) -> Iterator[Any]:
        self._draw_seed()
        return self._batches()

    def report(self) -> Report:
        """What a pass uses and what it leaves out, in numbers that nothing has to be read for."""
        contents = self.dataset.report() if hasattr(self.dataset, "report") else Report(samples=len(self.dataset))
        dropped = self._samples() % self.batch_size if self.drop_last else 0
        return Report(contents | {"of them dropped by drop_last, every pass": dropped, "batches": len(self)})

    def _samples(self) -> int:
        return len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]

    def _draw_seed(self) -> int:
        return int((self.generator or default_generator).random((), dtype=np.int64))

    def _order(self) -> Iterator[int]:
        """The indices of a pass. Nothing is drawn before the first is asked for."""
        if self.sampler is not None:
            yield from self.sampler
            return
        n = len(self.dataset)
        if not self.shuffle:
            yield from range(n)
        elif self.generator is None:
            yield from map(int, Generator().manual_seed(self._draw_seed()).randperm(n))
        else:
            yield from map(int, self.generator.randperm(n))
            self.generator.randperm(n)  # torch's sampler begins a second order here and uses none of it

    def _batches(self) -> Iterator[Any]:
        order = self._order()
        while indices := list(islice(order, self.batch_size)):
            if len(indices) < self.batch_size and self.drop_last:
                return
            yield self._batch(indices)

    def _batch(self, indices: list[int]) -> Any:
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
