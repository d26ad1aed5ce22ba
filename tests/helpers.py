"""What the tests share: one function run in minigrad and in torch. The checks themselves are minigrad.testing's."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

import minigrad as mg
from minigrad import testing
from minigrad.data import Shards
from minigrad.testing.compare import assert_same, numpy_of
from minigrad.testing.devices import placed
from minigrad.testing.numerical import as_list

__all__ = [
    "CPU", "as_leaf", "as_list", "as_shards", "both", "cases", "check_against_torch", "check_same_error", "numpy_of", "same",
    "without_device",
]  # fmt: skip

CPU = mg.get_default_device().type == "cpu"
"""Whether the tensors of this run are NumPy's (--backend=numpy), and the order of every sum is known."""


def cases(count: int) -> settings:
    """Draw so many cases in a development run, where the usual number is 25; elsewhere as many times more or fewer."""
    return settings(max_examples=max(1, count * settings.default.max_examples // 25))


def both(array: np.ndarray, requires_grad: bool = False) -> tuple[mg.Tensor, torch.Tensor]:
    """The same numbers as a leaf of minigrad and of torch, in separate memory."""
    return (
        mg.tensor(array.copy(), requires_grad=requires_grad),
        torch.tensor(array.copy(), requires_grad=requires_grad),
    )


def same(ours: Any, theirs: Any, exact: bool = False, what: str = "value", **tolerance: Any) -> None:
    """Same shape, same dtype, and same numbers: bit for bit if exact, else to the dtype's precision."""
    assert_same(ours, theirs, what, exact=exact, **tolerance)


def as_leaf(library: Any, array: np.ndarray, requires_grad: bool = True) -> Any:
    """The array as a leaf: in minigrad with its strides, on the CPU in its memory; in torch a copy, where strides are positive."""
    x = placed(array) if library is mg else torch.from_numpy(np.array(array, order="C"))
    return x.requires_grad_() if requires_grad and array.dtype.kind == "f" else x


def check_against_torch(f: Callable[..., Any], inputs: Sequence[np.ndarray], **options: Any) -> bool:
    """f(library, *tensors) agrees in minigrad and torch: minigrad.testing.check_against_torch for code written once."""
    return testing.check_against_torch(lambda *xs: f(mg, *xs), lambda *xs: f(torch, *xs), list(inputs), **options)


def without_device(text: str) -> str:
    """What a tensor prints, to be compared with the CPU's: without the name of a GPU, and there without the line breaks."""
    return text if CPU else " ".join(re.sub(r",\s+device='cuda:\d+'", "", text).split())


def check_same_error(f: Callable[[Any], Any], fact: str) -> None:
    """f(library) raises in torch, and in minigrad the same class with a message that states the fact."""
    with pytest.raises(Exception) as theirs:
        f(torch)
    with pytest.raises(Exception) as ours:
        f(mg)
        mg.cuda.synchronize()  # where a GPU's errors show at the latest
    assert type(ours.value) is type(theirs.value), f"{ours.value!r} for torch's {theirs.value!r}"
    assert fact in str(ours.value)


def as_shards(folder: Path, tokens: np.ndarray, shard_tokens: int) -> Shards:
    """The tokens in a folder as minigrad.data.prepare writes them, so many in each shard."""
    folder.mkdir()
    shards = []
    for i, start in enumerate(range(0, len(tokens), shard_tokens)):
        content = np.asarray(tokens[start : start + shard_tokens], "<u2").tobytes()
        (folder / f"{i:05}.bin").write_bytes(content)
        shards.append({"file": f"{i:05}.bin", "tokens": len(content) // 2, "crc32": zlib.crc32(content)})
    index = {
        "format": "minigrad shards",
        "version": 1,
        "vocab_size": 50257,
        "complete": True,
        "tokens": len(tokens),
        "documents": int((np.asarray(tokens) == 50256).sum()),
        "options": {"shard_tokens": shard_tokens},
        "shards": shards,
    }
    (folder / "index.json").write_text(json.dumps(index))
    return Shards(folder)
