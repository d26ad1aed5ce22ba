"""Windows of a token sequence, each paired with itself one token later."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..ops.creation import from_numpy
from ..tensor import Tensor
from .datasets import Dataset
from .shards import Shards, places

IGNORED = -100  # cross_entropy leaves out such targets
BLOCK = 1 << 24  # tokens that are searched for document ends at a time


class Report(dict[str, float]):
    """Counts by what they count; prints one a line."""

    def __str__(self) -> str:
        return "\n".join(f"{count:>15,} {what}" for what, count in self.items())


def sliding_windows(tokens: Any, max_length: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """All windows of a token sequence, and the same one token later; nothing is copied or read.

    Window i is `tokens[i * stride : i * stride + max_length]`, as long as one more token follows it for the target.

    Args:
        tokens: N token ids: a list, or a one-dimensional array, memory map or tensor of any integer type.
        max_length: tokens a window.
        stride: tokens from the start of one window to the start of the next.

    Returns:
        inputs, targets: read-only views of shape (windows, max_length), with the type of the tokens.

    Raises:
        TypeError: the tokens, max_length or stride are not integers, or the tokens are Shards, which are not one array.
        ValueError: max_length or stride is below 1, tokens is not one-dimensional, or too short for a single window.
    """
    if isinstance(tokens, Shards):
        raise TypeError(
            "sliding_windows: Shards are not one array to be viewed; use WindowDataset, which reads from them"
        )
    windows = _windows(_token_array(tokens), max_length, stride)
    return windows[:, :-1], windows[:, 1:]


class WindowDataset(Dataset):
    """Sample i is window i of the tokens and its target: int64 CPU tensors of shape (max_length,); see sliding_windows.

    Nothing is copied before a sample or a batch is asked for, so a memory map or Shards of any size open at once.

    With `end_of_text` no window holds tokens of two documents. Each document, whose last token is end_of_text, is cut into
    windows from its first token on; the last one is filled up with end_of_text as inputs and -100 as targets, which
    cross_entropy ignores. Where stride <= max_length, every token but the first of a document is a target. The tokens are
    searched for document ends once, and two int64 a document are kept.

    Args:
        tokens: see sliding_windows; or Shards.
        max_length, stride: see sliding_windows.
        end_of_text: the token that ends a document, 50256 in GPT-2's vocabulary. Default: windows cross documents.

    Raises:
        TypeError, ValueError: see sliding_windows; or there is no document of two tokens.
    """

    def __init__(self, tokens: Any, max_length: int, stride: int, end_of_text: int | None = None):
        self.tokens = tokens if isinstance(tokens, Shards) else _token_array(tokens)
        self.max_length = max_length
        self.stride = stride
        self.end_of_text = end_of_text
        self.windows = _windows(self.tokens, max_length, stride, end_of_text)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        inputs, targets = WindowDataset.arrays(self, index)
        return from_numpy(inputs), from_numpy(targets)

    def collated(self, indices: list[int]) -> list[Tensor]:
        return list(self[indices])

    def arrays(self, index: Any) -> tuple[np.ndarray, np.ndarray]:
        if isinstance(self.windows, np.ndarray) and isinstance(index, np.ndarray):  # to read twice takes one copy less
            both = self.windows[:, :-1], self.windows[:, 1:]
            inputs, targets = (windows[index].astype(np.int64, copy=False) for windows in both)
        else:
            rows = self.windows[index]
            inputs, targets = rows[..., :-1].astype(np.int64), rows[..., 1:].astype(np.int64)
        if self.end_of_text is not None:
            inputs[inputs == IGNORED] = self.end_of_text
        return inputs, targets

    def report(self) -> Report:
        """Which tokens the windows miss: some at the ends, and those between windows where stride > max_length."""
        tokens, length, step = len(self.tokens), self.max_length, self.stride
        by_document = isinstance(self.windows, _DocumentWindows)
        # Of each stretch that is cut into windows: how many there are, and how long the last one is.
        windows, last = self.windows.stretches() if by_document else np.array([[len(self)], [length]])
        read = ((windows - 1) * min(length, step) + last).sum()  # as input; as target, one token later
        used = ((windows - 1) * min(length + 1, step) + last + 1).sum()
        report = Report(
            {
                "tokens": tokens,
                "never an input": tokens - int(read),
                "never a target": tokens - int(read),
                "never either": tokens - int(used),
                "windows": len(self),
            }
        )
        return Report(report | {"padded places": int((length - last).sum())}) if by_document else report


class GPTDatasetV1(WindowDataset):
    """WindowDataset of a text, as in S. Raschka, "Build a Large Language Model (From Scratch)", ch. 2."""

    def __init__(self, txt: str, tokenizer: Any, max_length: int, stride: int):
        super().__init__(tokenizer.encode(txt, allowed_special={"<|endoftext|>"}), max_length, stride)


def _token_array(tokens: Any) -> np.ndarray:
    array = np.asarray(tokens.numpy() if isinstance(tokens, Tensor) else tokens)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"tokens must be integers, got {type(tokens).__name__} of {array.dtype}; encode text first")
    if array.ndim != 1:
        raise ValueError(f"tokens must be one-dimensional, got shape {array.shape}")
    return array


def _windows(tokens: Any, max_length: int, stride: int, end_of_text: int | None = None) -> Any:
    """(windows, max_length + 1): input and target in one row, so that a batch is one read."""
    for name, value in (("max_length", max_length), ("stride", stride), ("end_of_text", end_of_text)):
        if not isinstance(value, int | np.integer) and (name != "end_of_text" or value is not None):
            raise TypeError(f"{name} must be an integer, got {value!r}")
    for name, value in (("max_length", max_length), ("stride", stride)):
        if value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
    if end_of_text is not None:
        return _DocumentWindows(tokens, max_length, stride, end_of_text)
    n = len(tokens)
    if n <= max_length:
        shorter = f"shorten max_length to <= {n - 1} or " if n > 1 else ""
        raise ValueError(
            f"{n} tokens give no window of {max_length} inputs + 1 target (need >= {max_length + 1}); {shorter}add text"
        )
    if isinstance(tokens, Shards):
        return _Windows(tokens, max_length, stride)
    return sliding_window_view(tokens, max_length + 1)[::stride]


class _Windows:
    """What sliding_window_view gives for one array, as far as indices go: rows that are read when they are asked for."""

    def __init__(self, tokens: Any, max_length: int, stride: int):
        self.tokens, self.max_length, self.stride = tokens, max_length, stride

    def __len__(self) -> int:
        return (len(self.tokens) - self.max_length - 1) // self.stride + 1

    def __getitem__(self, index: Any) -> np.ndarray:
        number = places(index, len(self), "windows")
        rows = np.full((*number.shape, self.max_length + 1), IGNORED)
        starts, stops = (bound.ravel().tolist() for bound in self.bounds(number))
        for row, start, stop in zip(rows.reshape(-1, self.max_length + 1), starts, stops, strict=True):
            row[: stop - start] = self.tokens[start:stop]
        return rows

    def bounds(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where in the tokens each window begins and ends."""
        return number * self.stride, number * self.stride + self.max_length + 1


class _DocumentWindows(_Windows):
    """Windows that end where their document ends; the rest of the row is IGNORED."""

    def __init__(self, tokens: Any, max_length: int, stride: int, end_of_text: int):
        super().__init__(tokens, max_length, stride)
        n = len(tokens)
        ends = [np.flatnonzero(tokens[i : i + BLOCK] == end_of_text) + (i + 1) for i in range(0, n, BLOCK)]
        self.starts = np.unique(np.concatenate([[0], *ends, [n]]))  # of the documents, and the end of the last
        self.first = np.cumsum(
            np.concatenate([[0], self._counts()])
        )  # the first window of each, and how many there are
        if not len(self):
            raise ValueError(f"{n} tokens give no window: no document has an input and a target; add text")

    def __len__(self) -> int:
        return int(self.first[-1])

    def bounds(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        document = np.searchsorted(self.first, number, side="right") - 1
        start = self.starts[document] + (number - self.first[document]) * self.stride
        return start, np.minimum(start + self.max_length + 1, self.starts[document + 1])

    def stretches(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each document that has any: how many windows, and how many targets the last of them has."""
        counts, pairs = np.diff(self.first), np.diff(self.starts) - 1
        counts, pairs = counts[counts > 0], pairs[counts > 0]
        return counts, np.minimum(pairs - (counts - 1) * self.stride, self.max_length)

    def _counts(self) -> np.ndarray:
        """How many windows each document has: as many as it takes to reach its end, and none without a target."""
        pairs = np.diff(self.starts) - 1  # of an input and its target
        overlap = max(self.max_length - self.stride, 0)
        return np.where(pairs > 0, np.maximum(-((overlap - pairs) // self.stride), 1), 0)
