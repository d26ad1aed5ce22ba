"""Windows of a token sequence, each paired with itself one token later."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..ops.creation import from_numpy
from ..tensor import Tensor
from .datasets import Dataset


class Report(dict[str, int]):
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
        TypeError: the tokens, max_length or stride are not integers.
        ValueError: max_length or stride is below 1, tokens is not one-dimensional, or too short for a single window.
    """
    windows = _windows(_token_array(tokens), max_length, stride)
    return windows[:, :-1], windows[:, 1:]


class WindowDataset(Dataset):
    """Sample i is window i of the tokens and its target: int64 CPU tensors of shape (max_length,); see sliding_windows.

    Nothing is copied before a sample or a batch is asked for, so a memory map of any size opens at once.
    """

    def __init__(self, tokens: Any, max_length: int, stride: int):
        self.tokens = _token_array(tokens)
        self.max_length = max_length
        self.stride = stride
        self.windows = _windows(self.tokens, max_length, stride)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        rows = self.windows[index]
        return from_numpy(rows[..., :-1].astype(np.int64)), from_numpy(rows[..., 1:].astype(np.int64))

    def collated(self, indices: list[int]) -> list[Tensor]:
        return list(self[indices])

    def report(self) -> Report:
        """Which tokens the windows miss: some at the ends, and those between windows where stride > max_length."""
        tokens, windows, step = len(self.tokens), len(self), self.stride
        read = (windows - 1) * min(self.max_length, step) + self.max_length  # as input; as target, one token later
        used = (windows - 1) * min(self.max_length + 1, step) + self.max_length + 1
        return Report(
            {
                "tokens": tokens,
                "never an input": tokens - read,
                "never a target": tokens - read,
                "never either": tokens - used,
                "windows": windows,
            }
        )


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


def _windows(tokens: np.ndarray, max_length: int, stride: int) -> np.ndarray:
    """(windows, max_length + 1): input and target in one row, so that a batch is one read."""
    for name, value in (("max_length", max_length), ("stride", stride)):
        if not isinstance(value, int | np.integer):
            raise TypeError(f"{name} must be an integer, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be 1 or more, got {value}")
    n = len(tokens)
    if n <= max_length:
        shorter = f"shorten max_length to <= {n - 1} or " if n > 1 else ""
        raise ValueError(
            f"{n} tokens give no window of {max_length} inputs + 1 target (need >= {max_length + 1}); {shorter}add text"
        )
    return sliding_window_view(tokens, max_length + 1)[::stride]
