"""Text of any size becomes GPT-2 tokens in shards: a folder that `minigrad.data.Shards` opens as one corpus.

python -m minigrad.data.prepare book.txt more.txt.gz web.jsonl.gz --out corpus
python -m minigrad.data.prepare stories.txt --out corpus --endoftext boundary   # <|endoftext|> stands between documents
python -m minigrad.data.prepare --verify --out corpus                           # are the shards still what was written?

A plain file is one document, and so is every line of a .jsonl; .gz is unpacked on the way. Each document ends with token 50256.
Stop it with Ctrl-C whenever you like: the same command goes on, also after a power cut, and the shards come out the same.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import multiprocessing
import os
import re
import signal
import stat
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..files import replacing
from ..stopping import Stop
from .shards import FORMAT, INDEX, TOKEN, VERSION, Shards, read_index, shard_name
from .text import decoded, existing
from .tokenizer import END_OF_TEXT, gpt2_tokenizer
from .windows import Report

PIECE = 1 << 20  # bytes of text that a worker tokenizes at a time
LONGEST = 64 << 20  # bytes that are looked through for a place to cut
AHEAD = 3  # pieces under way for each worker
RECORD_EVERY = 10.0  # seconds: so much work is done again after a power cut
MARKER = END_OF_TEXT.encode()
SPACES = [character.encode() for character in map(chr, range(0x3001)) if character.isspace()]
# A token of GPT-2 is white space, or has none but a space at its start; and its pattern does not look back. So where white
# space follows something else a token ends, whatever comes later, and the tokens from there on do not depend on what came
# before. The last such place of a block, searched in bytes, for a block may end within a character.
CUT = re.compile(rb"(?s).+(?=[ \t\r\n])" + b"".join(b"(?<!%s)" % re.escape(space) for space in SPACES))


@dataclass
class Position:
    """How far the input has been read."""

    source: int = 0  # which of the files
    byte: int = 0  # of its text, unpacked
    line: int = 1


@dataclass
class Piece:
    """A stretch of a text file; its tokens are the same whatever comes before and after."""

    file: str
    data: bytes
    after: Position
    last: bool  # the file ends here
    read: int  # bytes of the file so far, as they are on the disk

    @property
    def byte(self) -> int:
        return self.after.byte - len(self.data)

    @property
    def line(self) -> int:
        return self.after.line - self.data.count(b"\n")


# -------------------------------------------------------------------------------------------------------------- reading


def is_jsonl(file: str) -> bool:
    return file.lower().removesuffix(".gz").endswith(".jsonl")


def pieces_of(file: str, at: Position) -> Iterator[Piece]:
    """The text of a file from a position on, in pieces of about PIECE bytes."""
    byte, line, rest = at.byte, at.line, b""
    for block, read in _blocks(file, byte):
        data = rest + block
        if not block:
            cut = len(data)
        elif is_jsonl(file):
            cut = data.rfind(b"\n", len(rest)) + 1
        else:
            found = CUT.match(data, max(len(rest) - 1, 0))
            cut = found.end() if found else 0
        if not cut and len(data) >= LONGEST:
            what = (
                "a line end: is it one JSON object a line?" if is_jsonl(file) else "white space to cut at: is it text?"
            )
            raise ValueError(f"{file} has {len(data):,} bytes from byte {byte:,} on without {what}")
        data, rest = data[:cut], data[cut:]
        if cut or not block:
            byte, line = byte + len(data), line + data.count(b"\n")
            yield Piece(file, data, Position(at.source, byte, line), not block, read)


def _blocks(file: str, byte: int) -> Iterator[tuple[bytes, int]]:
    """The text from a byte on, an empty block at its end; and how much of the file that took."""
    with open(file, "rb") as raw:
        text: Any = gzip.GzipFile(fileobj=raw) if file.lower().endswith(".gz") else raw
        try:
            text.seek(byte)
            while block := text.read(PIECE):
                yield block, raw.tell()
            yield b"", raw.tell()
        except (EOFError, gzip.BadGzipFile, zlib.error) as e:
            raise ValueError(f"{file} is not a whole gzip file: {e}") from None


def tokens_of(piece: Piece, field: str, endoftext: str | None) -> tuple[np.ndarray, dict[str, int]]:
    """What a worker makes of a piece.

    Returns:
        tokens: uint16, with 50256 after every document that ends in it; empty ones are left out.
        how many documents end in it, how many were empty, and the bytes of text.
    """
    encoding = gpt2_tokenizer()
    allowed = {END_OF_TEXT} if endoftext == "boundary" else set()
    jsonl = is_jsonl(piece.file)
    if endoftext is None and not jsonl and (found := piece.data.find(MARKER)) >= 0:
        raise _undecided(f"{piece.file}: byte {piece.byte + found}")
    content = decoded(piece.data, piece.file, piece.byte)
    documents = (
        _texts(content.removeprefix("\ufeff" * (piece.byte == 0)), piece, field, endoftext)
        if jsonl
        else [content.replace("\r\n", "\n").replace("\r", "\n")]
    )
    parts, size = [], 0
    for text in documents:
        try:
            ids = encoding.encode_to_numpy(text, allowed_special=allowed, disallowed_special=())
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell, becomes U+FFFD as in Encoding.encode
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            ids = encoding.encode_to_numpy(text, allowed_special=allowed, disallowed_special=())
        size += len(text.encode())
        parts.append(ids)
        if (jsonl or piece.last) and not (ids.size and ids[-1] == encoding.eot_token):
            parts.append(np.array([encoding.eot_token], np.uint32))
    tokens = np.concatenate([*parts, np.empty(0, np.uint32)]).astype(TOKEN)
    ends = tokens == encoding.eot_token
    # An end after an end, or before anything else: only a file's first piece can begin with the marker, which is no space.
    empty = ends & np.r_[True, ends][:-1]
    counts = {"documents": int((ends & ~empty).sum()), "empty": int(empty.sum()), "bytes": size}
    return tokens[~empty], counts


def _texts(content: str, piece: Piece, field: str, endoftext: str | None) -> Iterator[str]:
    for number, line in enumerate(content.split("\n"), piece.line):
        if not line.strip():
            continue
        where = f"{piece.file}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as e:
            raise ValueError(f"{where} is not JSON: {e}") from None
        if not isinstance(row, dict):
            raise ValueError(f'{where} is not a JSON object with a field "{field}", but {line.strip()[:60]}')
        if field not in row:
            there = ", ".join(f'"{name}"' for name in row) or "none"
            raise ValueError(f'{where} has no field "{field}"; its fields are {there}: name one with --field')
        if not isinstance(row[field], str):
            raise ValueError(f'{where}: the field "{field}" is not a string, but {json.dumps(row[field])[:60]}')
        if endoftext is None and END_OF_TEXT in row[field]:
            raise _undecided(where)
        yield row[field]


def _undecided(where: str) -> ValueError:
    return ValueError(
        f"{where} has {END_OF_TEXT}: --endoftext boundary if a document ends there, --endoftext text if it is text like any other"
    )


# -------------------------------------------------------------------------------------------------------------- workers


def _begin_working() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the main process decides
    gpt2_tokenizer()
    main = multiprocessing.parent_process()
    assert main is not None

    def end_with_main() -> None:  # it may be killed, and nobody else would tell
        main.join()
        os._exit(1)

    threading.Thread(target=end_with_main, daemon=True).start()


def in_order(
    work: Callable[[Piece], Any], pieces: Iterable[Piece], workers: int
) -> Generator[tuple[Piece, Any], None, None]:
    """Each piece with what `work` makes of it, in order; a few are under way at a time, so memory stays flat."""
    if workers == 1:
        for piece in pieces:
            yield piece, work(piece)
        return
    # Spawned: a fork would copy locks that some thread may hold.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin_working)
    try:
        under_way: deque[tuple[Piece, Future[Any]]] = deque()
        for piece in pieces:
            under_way.append((piece, _submit(pool, work, piece)))
            if len(under_way) >= AHEAD * workers:
                first, made = under_way.popleft()
                yield first, made.result()
        for first, made in under_way:
            yield first, made.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, work: Callable[[Piece], Any], piece: Piece) -> Future[Any]:
    """The first call starts the workers; they inherit that Ctrl-C is blocked, where it waits for us only."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        return pool.submit(work, piece)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(work, piece)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# -------------------------------------------------------------------------------------------------------------- writing


class Corpus:
    """The shards so far, and index.json: it always tells of tokens that are on the disk, and where in the input they end.

    A file is named there before it is made, so nothing is ever left that --overwrite would not remove.
    """

    def __init__(self, folder: Path, index: dict[str, Any]):
        self.folder, self.index = folder, index
        self.file: BinaryIO | None = None
        self.open_number = -1
        self.full: int = index["options"]["shard_tokens"]
        self.recorded = time.monotonic()
        if not index["tokens"]:
            self.record()  # before anything is removed
        self._take_back()

    def append(self, tokens: np.ndarray, after: Position, counts: dict[str, int]) -> None:
        """More tokens, which end where the input has been read to."""
        index = self.index
        self._name_shards(index["tokens"] + len(tokens))
        with self._full_disk():
            while len(tokens):
                number, filled = divmod(index["tokens"], self.full)
                part, tokens = np.split(tokens, [self.full - filled])
                data, shard = part.tobytes(), index["shards"][number]
                self._open(number).write(data)
                shard.update(tokens=filled + len(part), crc32=zlib.crc32(data, shard["crc32"]))
                index["tokens"] += len(part)
        index["position"] = asdict(after)
        for name, count in counts.items():
            index[name] += count
        if time.monotonic() - self.recorded > RECORD_EVERY:
            self.record()

    def record(self, complete: bool = False) -> None:
        if complete:
            self.index.update(complete=True, position=None)
        with self._full_disk():
            self._sync()
            with replacing(self.folder / INDEX) as out:
                out.write(_readable(self.index).encode(errors="surrogateescape"))  # as the system's own file names
        self.recorded = time.monotonic()

    def kept(self) -> str:
        """What a later call can go on from; the disk is asked, as memory may be ahead of it."""
        tokens = read_index(self.folder)["tokens"] if (self.folder / INDEX).exists() else 0
        return f"{tokens:,} tokens are safe, and the same command, without --overwrite, goes on from there"

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk fails once more; what was not recorded is taken back anyway
            if self.file is not None:
                self.file.close()

    def _name_shards(self, tokens: int) -> None:
        shards = self.index["shards"]
        new = [shard_name(i) for i in range(len(shards), -(-tokens // self.full))]
        for name in new:
            if (self.folder / name).exists():
                raise FileExistsError(
                    f"{self.folder / name} is there already, and not of this preparation: choose another --out"
                )
            shards.append({"file": name, "tokens": 0, "crc32": 0})
        if new:
            self.record()

    def _open(self, number: int) -> BinaryIO:
        if number != self.open_number:
            self._sync()
            self.close()
            path = self.folder / shard_name(number)
            self.file, self.open_number = open(path, "ab"), number  # noqa: SIM115  # closed by close()
        assert self.file is not None
        return self.file

    def _sync(self) -> None:
        if self.file is not None and not self.file.closed:
            self.file.flush()
            os.fsync(self.file.fileno())

    @contextlib.contextmanager
    def _full_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(
                error.errno, f"{self.folder} could not be written, {error.strerror or error}: {self.kept()}"
            ) from error

    def _take_back(self) -> None:
        """Remove what was written after the last record."""
        for shard in self.index["shards"]:
            path, expected = self.folder / shard["file"], shard["tokens"] * TOKEN.itemsize
            if not shard["tokens"]:
                path.unlink(missing_ok=True)
                continue
            found = path.stat().st_size if path.is_file() else 0
            if found < expected:
                raise ValueError(
                    f"{path} has {found:,} bytes, and {INDEX} says {expected:,}: it cannot be gone on from; --overwrite starts anew"
                )
            if found > expected:
                os.truncate(path, expected)
        self.index["shards"] = [shard for shard in self.index["shards"] if shard["tokens"]]


def _readable(index: dict[str, Any]) -> str:
    """JSON with one line for each fact, file and shard."""

    def value(x: Any) -> str:
        rows = ",\n    ".join(json.dumps(row, ensure_ascii=False) for row in x) if isinstance(x, list) and x else None
        return f"[\n    {rows}\n  ]" if rows else json.dumps(x, ensure_ascii=False)

    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {value(x)}" for key, x in index.items()) + "\n}\n"


# ----------------------------------------------------------------------------------------------------------- the command


def prepare(
    files: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    field: str = "text",
    workers: int | None = None,
    shard_tokens: int = 100_000_000,
    endoftext: str | None = None,
    overwrite: bool = False,
) -> Report:
    """Write the GPT-2 tokens of text files as shards, or go on where an earlier call with the same arguments stopped.

    The files are UTF-8 text, or JSON lines where the name ends with .jsonl; either may be packed, .gz. Line ends of text become
    "\\n". Memory does not grow with the text. With more than one worker the calling program is imported by each of them:
    it must be a file whose own work stands under `if __name__ == "__main__":`.

    Args:
        files: each is one document, or one a line of a .jsonl.
        out: a folder; made if there is none.
        field: where the text is in a line of a .jsonl.
        workers: processes that tokenize. Default: one a core.
        shard_tokens: tokens in each shard but the last.
        endoftext: what <|endoftext|> in the text is: "boundary", the end of a document, or "text", tokens like any other.
            Default: it is not expected, and refused.
        overwrite: remove the shards that are in the folder, and start anew.

    Returns:
        the counts of documents and tokens.

    Raises:
        FileNotFoundError, IsADirectoryError, NotADirectoryError: a file is missing, or what is there is something else.
        ValueError: the text cannot be read, the message says where; or the folder holds shards of something else.
        OSError: the disk is full. RuntimeError: a worker was killed. The same call goes on from the last record.
        BlockingIOError: another process is writing into the folder.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the same call goes on.
    """
    for name, number in (("workers", workers), ("shard_tokens", shard_tokens)):
        if number is not None and (not isinstance(number, int) or number < 1):
            raise ValueError(f"{name} must be an integer of 1 or more, got {number!r}")
    if endoftext not in (None, "boundary", "text"):
        raise ValueError(f'endoftext must be "boundary", "text" or None, got {endoftext!r}')
    if isinstance(files, str | os.PathLike):
        raise TypeError("files must be a list of paths, got one; write [path]")
    folder, names = Path(out), [os.fspath(existing(file)) for file in files]
    if not names:
        raise ValueError("no files: name at least one text file")
    if twice := {name for name in names if [os.path.realpath(n) for n in names].count(os.path.realpath(name)) > 1}:
        raise ValueError(f"{', '.join(sorted(twice))}: named more than once, and would be trained on more than once")
    sources = [_source(name) for name in names]
    options = {"field": field, "endoftext": endoftext, "shard_tokens": shard_tokens}
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; the shards need a folder of their own")
    folder.mkdir(parents=True, exist_ok=True)
    with _alone_in(folder), Stop() as stop:
        index = _index(folder, sources, options, overwrite)
        began, before = time.perf_counter(), index["tokens"]
        if not index["complete"]:
            _fill(Corpus(folder, index), workers or _cores(), stop)
        seconds = time.perf_counter() - began
    report = Report(
        {
            "documents": index["documents"],
            "empty documents left out": index["empty"],
            "tokens": index["tokens"],
            "bytes of text a token": round(index["bytes"] / index["tokens"], 2),
            "shards": len(index["shards"]),
        }
    )
    if index["tokens"] > before:
        report["tokens a second"] = round((index["tokens"] - before) / seconds)
    return report


def _fill(corpus: Corpus, workers: int, stop: Stop) -> None:
    from tqdm import tqdm  # type: ignore[import-untyped]  # who reads shards does without it

    index, sources = corpus.index, corpus.index["sources"]
    start = Position(**index["position"])
    gpt2_tokenizer()  # or an error, before there are workers that would end without it
    sizes = np.cumsum([0] + [source["bytes"] for source in sources]).tolist()
    work = partial(tokens_of, field=index["options"]["field"], endoftext=index["options"]["endoftext"])
    bar = tqdm(total=sizes[-1], initial=sizes[start.source], unit="B", unit_scale=True, disable=None)
    with bar, contextlib.closing(corpus), contextlib.closing(in_order(work, _pieces(sources, start), workers)) as done:
        try:
            for piece, (tokens, counts) in done:
                corpus.append(tokens, Position(piece.after.source + 1) if piece.last else piece.after, counts)
                bar.update(sizes[piece.after.source] + piece.read - bar.n)
                if stop:
                    corpus.record()
                    raise KeyboardInterrupt
        except BrokenProcessPool:
            corpus.record()
            if stop:  # who asked us to end asked the workers too
                raise KeyboardInterrupt from None
            raise RuntimeError(
                f"a worker process was ended before its work was done (out of memory? --workers 1 takes least): {corpus.kept()}"
            ) from None
        if not index["tokens"]:
            raise ValueError(f"{index['empty']:,} documents, and all are empty; there is nothing to train on")
        corpus.record(complete=True)


def _pieces(sources: list[dict[str, Any]], start: Position) -> Iterator[Piece]:
    for number, source in enumerate(sources[start.source :], start.source):
        yield from pieces_of(source["name"], start if number == start.source else Position(number))
        if _source(source["name"]) != source:
            raise ValueError(f"{source['name']} was changed while it was read; start anew with --overwrite")


def _source(name: str) -> dict[str, Any]:
    status = os.stat(name)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{name} is not a regular file, and could not be gone on from; write it to a file first")
    return {"name": name, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _index(folder: Path, sources: list[dict[str, Any]], options: dict[str, Any], overwrite: bool) -> dict[str, Any]:
    """What the folder's index says if it is of the same text and options, else a new one."""
    old = read_index(folder) if (folder / INDEX).exists() else None
    if old is not None and old["tokens"] and not overwrite:
        differ = [
            f"{name} {old['options'].get(name)!r} then, {now!r} now"
            for name, now in options.items()
            if old["options"].get(name) != now
        ]
        then = {source["name"]: source for source in old["sources"]}
        differ += [
            f"{source['name']} has changed since then" if source["name"] in then else f"{source['name']} is new"
            for source in sources
            if then.get(source["name"]) != source
        ]
        differ += [f"{name} is not named" for name in then if name not in {source["name"] for source in sources}]
        if not differ and old["sources"] != sources:
            differ = ["the files in another order"]
        if differ:
            raise ValueError(
                f"{folder} has shards of something else ({'; '.join(differ)}): "
                f"choose another --out, or --overwrite removes them and starts anew"
            )
        return old
    return {
        "format": FORMAT,
        "version": VERSION,
        "tokenizer": "gpt2",
        "vocab_size": 50257,
        "dtype": "uint16",
        "byte_order": "little",
        "complete": False,
        "tokens": 0,
        "documents": 0,
        "empty": 0,
        "bytes": 0,
        "position": asdict(Position()),
        "options": options,
        "sources": sources,
        # Named until they are removed, also if we are killed before.
        "shards": [{**shard, "tokens": 0, "crc32": 0} for shard in old["shards"]] if old else [],
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Refuse to write into a folder that another process writes into; the lock ends with the process, however that ends."""
    descriptor = None
    try:
        with contextlib.suppress(ImportError):  # not on Windows
            import fcntl

            descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)  # type: ignore[arg-type]
        raise BlockingIOError(
            f"another process is writing shards into {folder}; let it finish, or stop it first"
        ) from None
    except OSError:  # not on every network file system
        pass
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.data.prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="UTF-8 text, or JSON lines if named .jsonl; or .gz of these"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder for the shards")
    parser.add_argument("--field", default="text", help="where the text is in a line of a .jsonl (default text)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that tokenize (default: one a core)")
    parser.add_argument(
        "--shard-tokens", type=int, default=100_000_000, metavar="N", help="tokens a shard (default 100 million)"
    )
    parser.add_argument(
        "--endoftext", choices=["boundary", "text"],
        help=f"what {END_OF_TEXT} in the text is: the end of a document, or text like any other (default: refused)",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="remove the shards that are in DIR, and start anew")
    parser.add_argument(
        "--verify", action="store_true", help="read the shards of DIR again and compare their checksums"
    )
    options = vars(parser.parse_args(arguments))
    verify, out = options.pop("verify"), options["out"]
    if not options["files"] and not verify:
        parser.error("name at least one FILE, or --verify")
    try:
        if options["files"]:
            report = prepare(**options)
            print(report)
            print(f"prepared {out}" if "tokens a second" in report else f"{out} was complete already; nothing was done")
        if verify:
            shards = Shards(out)
            shards.verify()
            print(f"{shards}, all as they were written")
    except (OSError, ValueError, RuntimeError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(
            130, f"stopped; the same command{', without --overwrite,' * options['overwrite']} goes on from here\n"
        )


if __name__ == "__main__":
    main()
