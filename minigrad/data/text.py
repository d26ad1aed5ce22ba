"""Text to train on: a short story from the network, a long manual from Python itself, or a file of yours."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ..files import replacing

VERDICT_URL = "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/main/ch02/01_main-chapter-code/the-verdict.txt"
VERDICT_SHA256 = "b41e41a68f0398a3154ae69e2e4c0e2694e17fe0d66730536837f1b01935b31f"
VERDICT_BYTES = 20_479


def cache_dir() -> Path:
    """Where fetched files are kept: $MINIGRAD_CACHE, else $XDG_CACHE_HOME/minigrad, else ~/.cache/minigrad."""
    own = os.environ.get("MINIGRAD_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minigrad"


def fetch_verdict_text(path: str | os.PathLike[str] | None = None) -> str:
    """Edith Wharton's "The Verdict" (1908, public domain): 20,479 characters, 5,145 GPT-2 tokens.

    It is the text of S. Raschka, "Build a Large Language Model (From Scratch)", ch. 2, and is read from there once.

    Args:
        path: where the file is, or shall be. Default: the-verdict.txt in `cache_dir()`.

    Raises:
        ConnectionError: the file is not there and cannot be downloaded.
        ValueError: the file, or what was downloaded, is not the story; nothing is overwritten or removed.
    """
    file = Path(path) if path is not None else cache_dir() / "the-verdict.txt"
    if file.exists():
        return _verified(file.read_bytes(), f"{file} is", "Remove it to have it downloaded again.").decode()
    content = _verified(_download(file), f"what {VERDICT_URL} sent is", f"Nothing was written to {file}.")
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as out:
        out.write(content)
    return content.decode()


def offline_text() -> str:
    """Python's language reference, which every CPython carries (pydoc_data.topics): about 139,000 GPT-2 tokens.

    The same text on every call, topics in alphabetical order; it differs a little between Python versions.
    """
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


def read_text(path: str | os.PathLike[str]) -> str:
    """The content of a UTF-8 text file; line ends become "\\n".

    Raises:
        FileNotFoundError, IsADirectoryError: there is no file of that name.
        ValueError: the file is empty or not UTF-8; the message names the first bad byte.
    """
    file = existing(path)
    text = decoded(file.read_bytes(), file)
    if not text:
        raise ValueError(f"{file} is empty; there is nothing to train on")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def existing(path: str | os.PathLike[str]) -> Path:
    """The path of a text file that is there, or an error that says what is there instead."""
    file = Path(path)
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a directory; name a text file in it")
    if not file.exists():
        raise FileNotFoundError(f"there is no file {file} (looked in {file.absolute().parent})")
    return file


def decoded(content: bytes, file: str | os.PathLike[str], start: int = 0) -> str:
    """The UTF-8 text that stands in the file from byte `start` on."""
    try:
        return content.decode()
    except UnicodeDecodeError as e:
        raise ValueError(
            f"{file} is not UTF-8: byte {start + e.start} is 0x{content[e.start]:02x} ({e.reason}); save it as UTF-8"
        ) from None


def _verified(content: bytes, what: str, remedy: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != VERDICT_SHA256:
        raise ValueError(
            f'{what} not "The Verdict": {len(content):,} bytes with sha256 {found}, '
            f"expected {VERDICT_BYTES:,} bytes with sha256 {VERDICT_SHA256}. {remedy}"
        )
    return content


def _download(file: Path) -> bytes:
    import http.client
    import urllib.request  # slow to import, and rarely needed

    try:
        with urllib.request.urlopen(VERDICT_URL, timeout=10) as response:
            return response.read(VERDICT_BYTES + 1)  # one byte too many is enough to refuse it
    except (OSError, http.client.HTTPException) as e:
        raise ConnectionError(
            f'"The Verdict" is not at {file} and could not be downloaded ({e}). '
            f"Put the file from {VERDICT_URL} there by hand (sha256 {VERDICT_SHA256}), "
            f"or do without a network: --text FILE, read_text(FILE) or offline_text()"
        ) from e
