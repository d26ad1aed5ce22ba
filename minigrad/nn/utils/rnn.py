"""Sequences of uneven lengths as one tensor (torch.nn.utils.rnn)."""

from __future__ import annotations

from collections.abc import Sequence

from ...ops.creation import full
from ...ops.shape import cat, stack
from ...tensor import Tensor


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences (T, ...) of several T, filled up to the longest: (T, B, ...), or (B, T, ...) if batch_first.

    Raises:
        RuntimeError: no sequences, or padding_side is not "left" or "right".
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"padding_side should be either 'right' or 'left', got {padding_side!r}")
    if not len(sequences):
        raise RuntimeError("pad_sequence: expected at least one sequence")
    longest = max(len(x) for x in sequences)
    padded = []
    for x in sequences:
        filling = full((longest - len(x), *x.shape[1:]), padding_value, dtype=x.dtype, device=x.device)
        padded.append(cat([x, filling] if padding_side == "right" else [filling, x]))
    return stack(padded, dim=0 if batch_first else 1)


__all__ = ["pad_sequence"]
