"""A corpus larger than memory: the shards of tokens that minigrad.data.prepare writes, as one sequence.

A folder holds 00000.bin, 00001.bin, ...: token ids as little-endian uint16 and nothing else, the same number in each but
the last. index.json says what they are: how many tokens, their checksums, and the text that they were made of.
"""

from __future__ import annotations

import json
import os
import zlib
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

FORMAT, VERSION = "minigrad shards", 1
INDEX = "index.json"
TOKEN = np.dtype("<u2")
AGAIN = "To prepare it again: the same command of minigrad.data.prepare with --overwrite"


def shard_name(number: int) -> str:
    return f"{number:05}.bin"


def read_index(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What index.json in the folder says.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not an index of shards, or damaged.
    """
    file = Path(folder, INDEX)
    if not file.is_file():
        raise FileNotFoundError(
            f"there are no shards in {folder} (no {INDEX}): python -m minigrad.data.prepare FILES --out {folder}"
        )
    try:
        index = json.loads(file.read_text(encoding="utf-8", errors="surrogateescape"))
        if index["format"] != FORMAT or index["version"] != VERSION:
            raise ValueError(f"format {index['format']!r}, version {index['version']}")
        sizes = [shard["tokens"] for shard in index["shards"]]
        full, rest = divmod(index["tokens"], index["options"]["shard_tokens"])
        expected = [index["options"]["shard_tokens"]] * full + [rest] * (rest > 0)
        named = [shard["file"] for shard in index["shards"]] == [shard_name(i) for i in range(len(sizes))]
        if not named or sizes[: len(expected)] != expected or any(sizes[len(expected) :]):
            raise ValueError("its shards do not add up")
    except (ValueError, KeyError, TypeError, ArithmeticError) as e:
        why = f"no {e}" if isinstance(e, KeyError) else e
        raise ValueError(
            f"{file} is not an index of {FORMAT}, version {VERSION}, or damaged ({why}). Nothing was touched: "
            f"name another folder, or remove this one by hand"
        ) from None
    return index


class Shards:
    """The tokens of a folder that minigrad.data.prepare wrote, one after another; opens at once, whatever their size.

    `shards[i]` is an int, `shards[i:j]` an array, `shards[array]` an array of that shape, all uint16. Nothing is read
    before it is asked for: the files are mapped, and memory holds what was asked for.

    Attributes:
        folder: Path.
        documents: int, how many there are; each ends with token 50256.
        vocab_size: int, more than any token.
        checksum: int, CRC-32 of what the index says of all shards: equal for equal corpora.
        dtype: uint16, little-endian.

    Raises:
        FileNotFoundError: the folder has no index.json, or a shard is missing.
        ValueError: the preparation is not finished, or a shard has another size than the index says.
    """

    dtype = TOKEN

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        index = read_index(folder)
        if not index["complete"]:
            raise ValueError(
                f"{folder} is not prepared to the end, {index['tokens']:,} tokens so far: "
                f"run the same command of minigrad.data.prepare again, and it goes on"
            )
        self.documents: int = index["documents"]
        self.vocab_size: int = index["vocab_size"]
        self._shards: list[dict[str, Any]] = index["shards"]
        self.checksum = zlib.crc32(json.dumps(self._shards).encode())
        self._parts = [self._mapped(shard) for shard in self._shards]
        self._starts = [0, *accumulate(map(len, self._parts))]  # of the shards, and the end of the last

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice) and index.step in (None, 1):
            return self._between(*index.indices(len(self))[:2])
        tokens = self._at(places(index, len(self), "tokens"))
        return tokens if tokens.ndim else int(tokens)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self[:], dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Shards({str(self.folder)!r}): {len(self):,} tokens, {self.documents:,} documents, {len(self._parts)} shards"

    def verify(self) -> None:
        """Read all shards whole and compare their checksums.

        Raises:
            ValueError: a shard is not what was written; the message names it.
        """
        for shard, tokens in zip(self._shards, self._parts, strict=True):
            found, block = 0, 1 << 22
            for start in range(0, len(tokens), block):
                found = zlib.crc32(tokens[start : start + block].tobytes(), found)
            if found != shard["crc32"]:
                raise ValueError(
                    f"{self.folder / shard['file']} is damaged: its checksum is {found:08x}, "
                    f"and {INDEX} says {shard['crc32']:08x}. {AGAIN}"
                )

    def _mapped(self, shard: dict[str, Any]) -> np.ndarray:
        file, expected = self.folder / shard["file"], shard["tokens"] * TOKEN.itemsize
        if not file.is_file():
            raise FileNotFoundError(f"the shard {file} is missing. {AGAIN}")
        if (found := file.stat().st_size) != expected:
            raise ValueError(f"the shard {file} has {found:,} bytes, and {INDEX} says {expected:,}. {AGAIN}")
        return np.asarray(np.memmap(file, TOKEN, mode="r"))

    def _between(self, start: int, stop: int) -> np.ndarray:
        """A view where it lies in one shard, else a copy."""
        pieces, shard = [], bisect_right(self._starts, start) - 1
        while start < stop:
            first, last = self._starts[shard], min(self._starts[shard + 1], stop)
            pieces.append(self._parts[shard][start - first : last - first])
            start, shard = last, shard + 1
        return pieces[0] if len(pieces) == 1 else np.concatenate([*pieces, np.empty(0, TOKEN)])

    def _at(self, index: np.ndarray) -> np.ndarray:
        """One read for every shard that is touched."""
        shard = np.searchsorted(self._starts, index, side="right") - 1
        out = np.empty(index.shape, TOKEN)
        for i in np.unique(shard):
            here = shard == i
            out[here] = self._parts[i][index[here] - self._starts[i]]
        return out


def places(index: Any, n: int, what: str) -> np.ndarray:
    """Which of n things an index asks for, by NumPy's rules for one axis, counted from the front: an int, a slice, a mask, ints."""
    if isinstance(index, slice):
        return np.arange(*index.indices(n))
    array = np.asarray(index)
    if not array.size:
        return array.astype(np.int64)
    if array.dtype == bool and array.shape == (n,):
        return np.flatnonzero(array)
    if array.dtype.kind not in "iu":
        raise IndexError(f"the index of {n} {what} must be integers, a slice or a mask of {n}, got {index!r}")
    array = array.astype(np.int64)
    outside = array[(array < -n) | (array >= n)]
    if outside.size:
        raise IndexError(f"index {outside.flat[0]} is out of bounds for {n} {what}")
    return np.where(array < 0, array + n, array)
