"""minigrad.data.prepare: the tokens of the whole text whatever the pieces, stopped and killed at any moment, and what is refused."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import cases
from hypothesis import given
from hypothesis import strategies as st

from minigrad.data import Shards, gpt2_tokenizer, offline_text, prepare
from minigrad.data.prepare import MARKER, Position, Report, pieces_of, tokens_of

pytestmark = pytest.mark.cpu_only("files of tokens, which no device sees")

ROOT = Path(__file__).parents[1]
EOT = 50256
M = MARKER.decode()
# Everything that GPT-2's pattern or Python's idea of white space treats in its own way.
ODD = " \t\r\n\x0b\x0c\x1c\x1f\x85\xa0\u1680\u2003\u2028\u202f\u3000\ufeff\u200b'aéß漢1٣.,🙂\u0301"
PARTS = st.sampled_from(["  ", "\r\n", "'ll", "'s", " 've", " ", "\n", "a", "\xa0", "12", M, M, "<|endof", *ODD])
TEXTS = st.lists(PARTS, max_size=30).map("".join)


def encoded(*documents: str) -> list[int]:
    ids = []
    for text in documents:
        ids += [*gpt2_tokenizer().encode(text, disallowed_special=()), EOT]
    return ids


def written(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def lines(*texts: Any, field: str = "text") -> str:
    return "".join(json.dumps({"n": 1, field: text}) + "\n" for text in texts)


def put(folder: Path, name: str, text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(folder / name)


def ids_of(folder: Path) -> list[int]:
    return Shards(folder)[:].tolist()


# ------------------------------------------------------------------------------------------------------------- the pieces


def in_pieces(file: str, size: int, endoftext: str) -> tuple[list[bytes], list[int]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "PIECE", size)
        pieces = list(pieces_of(file, Position()))
    where = 0
    for piece in pieces:
        assert piece.byte == where
        where = piece.after.byte
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    ids = [i for piece in pieces for i in tokens_of(piece, "text", endoftext)[0].tolist()]
    return [piece.data for piece in pieces], ids


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text") / "text.txt"


@cases(400)
@given(TEXTS.filter(bool), st.integers(1, 9))
def test_tokens_of_the_pieces_are_those_of_the_whole(file: Path, text: str, size: int) -> None:
    file.write_bytes(text.encode())
    data, ids = in_pieces(str(file), size, "text")
    assert b"".join(data) == text.encode()
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    assert ids == encoded(plain)
    _, ids = in_pieces(str(file), size, "boundary")
    marked = gpt2_tokenizer().encode(plain, allowed_special="all")
    marked += [EOT] * (marked[-1] != EOT)
    assert ids == [i for k, i in enumerate(marked) if not (i == EOT and (k == 0 or marked[k - 1] == EOT))]


def test_it_would_be_seen_if_pieces_were_cut_elsewhere(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tokens(text: str, cut: bytes | None = None) -> bool:
        file.write_bytes(text.encode())
        with monkeypatch.context() as patch:
            if cut is not None:
                patch.setattr(prepare, "CUT", re.compile(cut))
            return in_pieces(str(file), 1, "text")[1] == encoded(text)

    for text in ("a\n\n\nb", "a\xa0 b", "a\u3000\n\nb", "it's \n 12 34", "a\x1c b"):
        assert tokens(text)
    assert not tokens("a\n\n\nb", rb"(?s).+(?=[ \t\r\n])")  # at any white space
    assert not tokens("ab 12", rb"(?s).+")  # anywhere


def test_pieces_are_as_long_as_asked(file: Path) -> None:
    text = offline_text()[:100_000]
    file.write_text(text)
    data, _ = in_pieces(str(file), 1000, "text")
    assert 95 <= len(data) <= 105 and max(map(len, data)) < 2500


# -------------------------------------------------------------------------------------------------------------- documents


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(("piece", "shard"), [(1, 3), (40, 1000), (1 << 20, 7)])
def test_every_form_of_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, piece: int, shard: int
) -> None:
    monkeypatch.setattr(prepare, "PIECE", piece)
    texts = ["One fish,\ntwo  fish.", "été \r\n漢字 🙂\u2028!", "", "a\u00a0 b "]
    plain = put(tmp_path, "plain.txt" + suffix, "\ufeffOne\r\ntwo\rthree\n\nfour ")
    rows = put(tmp_path, "rows.jsonl" + suffix, lines(*texts).replace("\n", "\r\n\n"))  # and empty lines
    report = prepare.prepare([plain, rows], tmp_path / "out", workers=1, shard_tokens=shard)
    expected = encoded("\ufeffOne\ntwo\nthree\n\nfour ", *(text for text in texts if text))
    shards = Shards(tmp_path / "out")
    assert shards[:].tolist() == expected and shards[:].dtype == "<u2" and shards.documents == 4
    size = len("".join(texts).encode()) + len("\ufeffOne\ntwo\nthree\n\nfour ".encode())
    assert {key: report[key] for key in list(report)[:-1]} == {
        "documents": 4,
        "empty documents left out": 1,
        "tokens": len(expected),
        "bytes of text a token": round(size / len(expected), 2),
        "shards": -(-len(expected) // shard),
    }
    assert report["tokens a second"] > 0 and isinstance(report, Report)
    raw = b"".join((tmp_path / "out" / f"{i:05}.bin").read_bytes() for i in range(int(report["shards"])))
    assert raw == np.array(expected, "<u2").tobytes()
    shards.verify()


@pytest.mark.parametrize(
    ("text", "documents", "empty"),
    [
        ("a", ["a"], 0),
        (f"one two{M}three", ["one two", "three"], 0),
        (f"one{M}\nthree{M}", ["one", "\nthree"], 0),
        (f"one{M}{M}three", ["one", "three"], 1),
        (f"{M}one {M} {M}", ["one ", " "], 1),
        (f"{M}{M}{M}a b c", ["a b c"], 3),
        (f"a {M}\n{M}{M}\n\nb", ["a ", "\n", "\n\nb"], 1),
    ],
)
@pytest.mark.parametrize("piece", [1, 5, 1000])
def test_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, documents: list[str], empty: int, piece: int
) -> None:
    monkeypatch.setattr(prepare, "PIECE", piece)
    files = [put(tmp_path, "a.txt", text), put(tmp_path, "b.txt", text)]
    report = prepare.prepare(files, tmp_path / "out", workers=1, endoftext="boundary")
    assert ids_of(tmp_path / "out") == 2 * encoded(*documents)
    assert (report["documents"], report["empty documents left out"]) == (2 * len(documents), 2 * empty)
    prepare.prepare(files, tmp_path / "text", workers=1, endoftext="text")
    assert ids_of(tmp_path / "text") == encoded(text, text)


def test_markers_in_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = put(tmp_path, "a.jsonl", lines(f"a{M}b", f"c{M}", "", f"{M}d") + '{"text": "\\u003c|endoftext|>e\\ud800"}\n')
    for piece in (10, 10_000):
        monkeypatch.setattr(prepare, "PIECE", piece)
        out = tmp_path / f"boundary{piece}"
        report = prepare.prepare([rows], out, workers=1, endoftext="boundary")
        assert ids_of(out) == encoded("a", "b", "c", "d", "e\ufffd") and report["empty documents left out"] == 3
        prepare.prepare([rows], tmp_path / f"text{piece}", workers=1, endoftext="text")
        assert ids_of(tmp_path / f"text{piece}") == encoded(f"a{M}b", f"c{M}", f"{M}d", f"{M}e\ufffd")


def test_another_field(tmp_path: Path) -> None:
    rows = put(tmp_path, "a.jsonl.gz", lines("a", "b", field="content"))
    prepare.prepare([rows], tmp_path / "out", field="content", workers=1)
    assert ids_of(tmp_path / "out") == encoded("a", "b")


# ----------------------------------------------------------------------------------------------------------- what is refused


def refused(files: Sequence[Any], out: Path, **options: Any) -> tuple[type, str]:
    with pytest.raises(Exception) as error:
        prepare.prepare(files, out, **{"workers": 1, **options})
    return error.type, str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "1 documents, and all are empty; there is nothing to train on"),
        ("a.txt.gz", b"", "1 documents, and all are empty; there is nothing to train on"),
        ("a.jsonl", b"", "0 documents, and all are empty; there is nothing to train on"),
        ("a.txt", b"caf\xc3\xa9 one two\xff three", "{file} is not UTF-8: byte 13 is 0xff (invalid start byte); save it as UTF-8"),
        ("a.txt.gz", b"caf\xc3\xa9 \xc3", "{file} is not UTF-8: byte 6 is 0xc3 (unexpected end of data); save it as UTF-8"),
        ("a.txt", b"one two " + MARKER, "{file}: byte 8 has <|endoftext|>: --endoftext boundary if a document ends there, "
         "--endoftext text if it is text like any other"),
        ("a.jsonl", lines("a", "b" + M), "{file}, line 2 has <|endoftext|>: --endoftext boundary if a document ends there, "
         "--endoftext text if it is text like any other"),
        ("a.jsonl", b'{"text": "a"}\n\nOnce upon\n', "{file}, line 3 is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "b', "{file}, line 2 is not JSON: "
         "Unterminated string starting at: line 1 column 10 (char 9)"),
        ("a.jsonl", b"[" * 100_000, "{file}, line 1 is not JSON: "
         "maximum recursion depth exceeded while decoding a JSON array from a unicode string"),
        ("a.jsonl", b'["a"]\n', '{file}, line 1 is not a JSON object with a field "text", but ["a"]'),
        ("a.jsonl", lines("a", field="content"), '{file}, line 1 has no field "text"; '
         'its fields are "n", "content": name one with --field'),
        ("a.jsonl", b"{}", '{file}, line 1 has no field "text"; its fields are none: name one with --field'),
        ("a.jsonl", lines("a", "b", None), '{file}, line 3: the field "text" is not a string, but null'),
        ("a.jsonl", lines(""), "1 documents, and all are empty; there is nothing to train on"),
        ("a.txt", b"x" * 5000, "{file} has 4,000 bytes from byte 0 on without white space to cut at: is it text?"),
        ("a.txt", b"y z " + b"\n" * 5000, "{file} has 4,005 bytes from byte 3 on without white space to cut at: is it text?"),
        ("a.jsonl", b"{}" * 2500, "{file} has 4,000 bytes from byte 0 on without a line end: is it one JSON object a line?"),
    ],
)  # fmt: skip
def test_bad_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: Any, message: str) -> None:
    if name == "a.jsonl" and content[:1] == b"[" and len(content) > 5000:
        monkeypatch.setattr(prepare, "PIECE", 1 << 20)
    else:
        monkeypatch.setattr(prepare, "PIECE", 8)
        monkeypatch.setattr(prepare, "LONGEST", 4000)
    file = put(tmp_path, name, content)
    error, said = refused([file], tmp_path / "out")
    assert error is ValueError and said == message.replace("{file}", file)


def test_bad_gzip(tmp_path: Path) -> None:
    whole = gzip.compress(offline_text()[:100_000].encode())
    for name, content, why in (
        ("cut.txt.gz", whole[:-100], "Compressed file ended before the end-of-stream marker was reached"),
        ("none.txt.gz", b"no gzip", "Not a gzipped file (b'no')"),
        ("flipped.txt.gz", whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:], ""),
    ):
        (tmp_path / name).write_bytes(content)
        error, said = refused([tmp_path / name], tmp_path / "out")
        assert error is ValueError and said.startswith(f"{tmp_path / name} is not a whole gzip file: {why}"), said


def test_bad_arguments(tmp_path: Path) -> None:
    good = put(tmp_path, "a.txt", "a")
    for files, out, options, error, message in (
        ([], "out", {}, ValueError, "no files: name at least one text file"),
        ([tmp_path / "no.txt"], "out", {}, FileNotFoundError, f"there is no file {tmp_path}/no.txt (looked in {tmp_path})"),
        ([tmp_path], "out", {}, IsADirectoryError, f"{tmp_path} is a directory; name a text file in it"),
        ([good], "a.txt", {}, NotADirectoryError, f"{tmp_path}/a.txt is a file; the shards need a folder of their own"),
        ([good], "out", {"workers": 0}, ValueError, "workers must be an integer of 1 or more, got 0"),
        ([good], "out", {"shard_tokens": -1}, ValueError, "shard_tokens must be an integer of 1 or more, got -1"),
        ([good], "out", {"shard_tokens": 1e6}, ValueError, "shard_tokens must be an integer of 1 or more, got 1000000.0"),
        ([good], "out", {"endoftext": "end"}, ValueError, 'endoftext must be "boundary", "text" or None, got \'end\''),
        (good, "out", {}, TypeError, "files must be a list of paths, got one; write [path]"),
    ):  # fmt: skip
        assert refused(files, tmp_path / out, **options) == (error, message)
        assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------------------------ another time


def test_what_is_complete_is_left_alone_and_other_shards_too(tmp_path: Path) -> None:
    file, other = put(tmp_path, "a.txt", "one two three four"), put(tmp_path, "b.txt", "b")
    out = tmp_path / "out"
    prepare.prepare([file], out, workers=1, shard_tokens=2)
    before = written(out)
    assert sorted(before) == ["00000.bin", "00001.bin", "00002.bin", "index.json"]
    report = prepare.prepare([file], out, workers=1, shard_tokens=2)
    assert report["tokens"] == 5 and "tokens a second" not in report
    for files, options, why in (
        ([file], {"shard_tokens": 3}, "shard_tokens 2 then, 3 now"),
        ([file], {"endoftext": "text", "field": "x"}, "field 'text' then, 'x' now; endoftext None then, 'text' now"),
        ([other], {}, f"{other} is new; {file} is not named"),
        ([file, other], {}, f"{other} is new"),
    ):
        error, said = refused(files, out, **{"shard_tokens": 2, **options})
        remedy = "choose another --out, or --overwrite removes them and starts anew"
        assert (error, said) == (ValueError, f"{out} has shards of something else ({why}): {remedy}")
    both = tmp_path / "both"
    prepare.prepare([file, other], both, workers=1)
    assert "(the files in another order)" in refused([other, file], both)[1]
    link = tmp_path / "link.txt"
    link.symlink_to(file)
    assert refused([file, other, link], out) == (
        ValueError,
        f"{file}, {link}: named more than once, and would be trained on more than once",
    )
    os.utime(file, (1, 1))
    assert f"({file} has changed since then)" in refused([file], out, shard_tokens=2)[1]
    assert written(out) == before
    (out / "notes.txt").write_text("mine")
    (out / "00007.bin").write_text("mine too")
    prepare.prepare([other], out, workers=1, overwrite=True)
    assert sorted(written(out)) == ["00000.bin", "00007.bin", "index.json", "notes.txt"]
    assert ids_of(out) == encoded("b") and (out / "00007.bin").read_text() == "mine too"


def test_an_empty_file_among_others_is_an_empty_document(tmp_path: Path) -> None:
    files = [put(tmp_path, name, text) for name, text in (("a.txt", "one"), ("b.txt", ""), ("c.txt", "two"))]
    report = prepare.prepare(files, tmp_path / "out", workers=1)
    assert report["documents"] == 2 and report["empty documents left out"] == 1
    assert ids_of(tmp_path / "out") == encoded("one") + encoded("two")


def test_names_in_capitals_and_a_byte_order_mark(tmp_path: Path) -> None:
    put(tmp_path, "A.JSONL", b"\xef\xbb\xbf" + b'{"text": "one"}\n{"text": "two"}\n')
    prepare.prepare([tmp_path / "A.JSONL"], tmp_path / "out", workers=1)
    assert ids_of(tmp_path / "out") == encoded("one") + encoded("two")


def test_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    file, out = put(tmp_path, "a.txt", "one two three"), tmp_path / "out"
    out.mkdir()
    (out / "00001.bin").write_text("mine")
    error, said = refused([file], out, shard_tokens=2)
    assert error is FileExistsError and f"{out / '00001.bin'} is there already" in said
    assert (out / "00001.bin").read_text() == "mine"
    (out / "index.json").write_text('{"format": "another"}')
    for overwrite in (False, True):
        error, said = refused([file], out, overwrite=overwrite)
        assert error is ValueError and "is not an index of minigrad shards, version 1" in said
    assert (out / "index.json").read_text() == '{"format": "another"}'


def test_killed_while_it_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index never calls complete what is half removed, and never forgets a file that is its own."""
    old, new, out = put(tmp_path, "a.txt", "one two three"), put(tmp_path, "b.txt", "one"), tmp_path / "out"
    prepare.prepare([old], out, workers=1, shard_tokens=1)

    def interrupted(self: Any) -> None:
        (out / "00000.bin").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare.Corpus, "_take_back", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare.prepare([new], out, workers=1, overwrite=True)
    with pytest.raises(ValueError, match="is not prepared to the end, 0 tokens so far"):
        Shards(out)
    prepare.prepare([new], out, workers=1)  # nothing is left that --overwrite would be needed for
    assert sorted(written(out)) == ["00000.bin", "index.json"] and ids_of(out) == encoded("one")


def test_names_that_are_not_utf8_and_files_that_are_none(tmp_path: Path) -> None:
    name = put(tmp_path, os.fsdecode(b"caf\xe9 \xc3\xa9.txt"), "a b")
    assert prepare.prepare([name], tmp_path / "out", workers=1)["tokens"] == 3
    assert "tokens a second" not in prepare.prepare([name], tmp_path / "out", workers=1)
    os.mkfifo(tmp_path / "pipe")
    message = f"{tmp_path}/pipe is not a regular file, and could not be gone on from; write it to a file first"
    assert refused([tmp_path / "pipe"], tmp_path / "x") == (ValueError, message)


def test_two_at_once(tmp_path: Path) -> None:
    file, out = put(tmp_path, "a.txt", "one"), tmp_path / "out"
    out.mkdir()
    held = os.open(out, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    message = f"another process is writing shards into {out}; let it finish, or stop it first"
    assert refused([file], out) == (BlockingIOError, message)
    os.close(held)
    prepare.prepare([file], out, workers=1)


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(tmp_path, "a.txt", "one two three")

    def meddling(piece: Any, **options: Any) -> Any:
        if piece.byte == 0:
            with open(file, "a") as f:
                f.write(" four")
        return tokens_of(piece, **options)

    monkeypatch.setattr(prepare, "PIECE", 4)
    monkeypatch.setattr(prepare, "tokens_of", meddling)
    assert refused([file], tmp_path / "out")[1] == f"{file} was changed while it was read; start anew with --overwrite"


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz", ".jsonl.gz"])
def test_broken_off_after_every_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """Also where a shard is named in the index, but not written to, or written to further than the index knows."""
    monkeypatch.setattr(prepare, "PIECE", 40)
    text = f"One fish, two fish{M}{M}, red fish,\nblue fish. " * 9
    files = [put(tmp_path, n + suffix, lines(*[text] * 12) if "json" in suffix else text) for n in "ab"]
    arguments: dict[str, Any] = {"workers": 1, "shard_tokens": 13, "endoftext": "boundary"}
    prepare.prepare(files, tmp_path / "whole", **arguments)
    out, done = tmp_path / "out", 0
    append, taken = prepare.Corpus.append, []

    def broken(self: Any, *arguments: Any) -> None:
        if len(taken) == 2:  # the second piece of this call is written, but may not be recorded
            raise KeyboardInterrupt
        taken.append(append(self, *arguments))

    for attempt in range(1000):
        monkeypatch.setattr(prepare, "RECORD_EVERY", 0.0 if attempt % 2 else 1e9)
        with monkeypatch.context() as patch:
            patch.setattr(prepare.Corpus, "append", broken)
            taken.clear()
            try:
                prepare.prepare(files, out, **arguments)
                break
            except KeyboardInterrupt:
                now = json.loads((out / "index.json").read_text())["tokens"]
                assert now >= done
                done = now
    assert attempt > 8
    assert written(out) == written(tmp_path / "whole")


def test_a_shard_that_lost_its_end_cannot_be_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = put(tmp_path, "a.txt", "one two three four five six"), tmp_path / "out"
    prepare.prepare([file], out, workers=1)
    index = json.loads((out / "index.json").read_text())
    index.update(complete=False, position={"source": 1, "byte": 0, "line": 1})
    (out / "index.json").write_text(json.dumps(index))
    os.truncate(out / "00000.bin", 12)
    said = refused([file], out)[1]
    assert said.endswith(
        "00000.bin has 12 bytes, and index.json says 14: it cannot be gone on from; --overwrite starts anew"
    )
    prepare.prepare([file], out, workers=1, overwrite=True)
    Shards(out).verify()


# -------------------------------------------------------------------------------------------------- processes of their own

DRIVER = """
import os, resource, sys, time
from minigrad.data import prepare
prepare.PIECE, prepare.RECORD_EVERY = 3000, 0.0
{more}
if __name__ == "__main__":
    prepare.main(sys.argv[1:])
"""


SLOW = """
quick = prepare.tokens_of
def slow(*arguments, **options):
    time.sleep(0.02)
    return quick(*arguments, **options)
prepare.tokens_of = slow
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def command(folder: Path, *arguments: str, more: str = "") -> list[str]:
    driver = folder / "driver.py"
    driver.write_text(DRIVER.format(more=more))
    return [sys.executable, str(driver), *arguments]


def run(folder: Path, *arguments: str, more: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments, more=more),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pids: list[int], seconds: float = 10) -> bool:
    """Whether all of the processes end in time; one that nobody waited for counts as ended."""

    def alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    until = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    return not any(map(alive, pids))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two texts, their shards in whole/, and the command's options."""
    folder = tmp_path_factory.mktemp("prepare")
    text = offline_text()
    put(folder, "a.txt", text[:200_000])
    put(folder, "b.jsonl.gz", lines(*text[200_000:300_000].split("\n\n")))
    done = run(folder, *COMMAND, "--out", "whole", "--workers", "1")
    assert done.returncode == 0 and done.stdout.endswith("prepared whole\n") and done.stderr == ""
    return folder


COMMAND = ["a.txt", "b.jsonl.gz", "--shard-tokens", "5000"]


def started(folder: Path, out: str, *more: str, slow: str = "") -> subprocess.Popen[str]:
    """The command, once it has recorded some tokens."""
    index = folder / out / "index.json"

    def tokens() -> int:
        return json.loads(index.read_text())["tokens"] if index.exists() else 0

    before = tokens()
    process = subprocess.Popen(
        command(folder, *COMMAND, "--out", out, *more, more=slow),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and tokens() == before:
        time.sleep(0.001)
    return process


def test_the_module_as_a_command(
    whole: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = [sys.executable, "-m", "minigrad.data.prepare"]
    code += [*COMMAND, "--out", "two", "--workers", "2", "--verify"]
    done = subprocess.run(code, cwd=whole, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert written(whole / "two") == written(whole / "whole")
    told = done.stdout.splitlines()
    assert told[2].endswith(f"{len(Shards(whole / 'two')):,} tokens") and told[-2] == "prepared two"
    assert told[-1].startswith("Shards('two'): ") and told[-1].endswith(", all as they were written")
    monkeypatch.chdir(whole)
    prepare.main([*COMMAND, "--out", "two"])
    assert capsys.readouterr().out.endswith("two was complete already; nothing was done\n")
    shard = bytearray(Path("two/00001.bin").read_bytes())
    shard[17] ^= 1
    Path("two/00001.bin").write_bytes(shard)
    for arguments, fact in (
        (["--out", "two", "--verify"], "two/00001.bin is damaged: its checksum is"),
        (["--out", "x"], "name at least one FILE, or --verify"),
        (["--out", "x", "--verify"], "there are no shards in x (no index.json)"),
        (["no.txt", "--out", "x"], "there is no file no.txt"),
        (["a.txt", "--out", "x", "--workers", "0"], "workers must be an integer of 1 or more, got 0"),
    ):
        with pytest.raises(SystemExit) as ended:
            prepare.main(arguments)
        assert ended.value.code == 2 and fact in capsys.readouterr().err
    assert not Path("x").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_killed_at_any_moment_the_same_command_goes_on(whole: Path, workers: str) -> None:
    out, rng, tokens, orphans = f"killed{workers}", np.random.default_rng(0), [0], []
    for _ in range(5 if workers == "1" else 2):
        process = started(whole, out, "--workers", workers, slow=SLOW)
        time.sleep(rng.uniform(0, 0.1))
        orphans += children(process.pid)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode == -signal.SIGKILL, said
        tokens.append(json.loads((whole / out / "index.json").read_text())["tokens"])
    assert tokens == sorted(tokens) and len(set(tokens)) == len(tokens)
    assert gone(orphans) and (len(orphans) >= 2 or workers == "1")
    done = run(whole, *COMMAND, "--out", out, "--workers", "1")
    assert done.returncode == 0, done.stderr
    kept = {name: content for name, content in written(whole / out).items() if name != ".index.json.saving"}
    assert kept == written(whole / "whole")


@pytest.mark.parametrize(("sent", "workers"), [(signal.SIGINT, "1"), (signal.SIGINT, "2"), (signal.SIGTERM, "2")])
def test_stopped_it_says_one_line_and_goes_on(whole: Path, sent: signal.Signals, workers: str) -> None:
    out = f"stopped-{sent.name}-{workers}"
    process = started(whole, out, "--workers", workers, slow=SLOW)
    os.killpg(process.pid, sent)  # as a terminal does: the workers get it too
    said = process.communicate(timeout=20)
    assert (process.returncode, *said) == (130, "", "stopped; the same command goes on from here\n")
    index = json.loads((whole / out / "index.json").read_text())
    assert not index["complete"] and index["tokens"] > 0
    with pytest.raises(ValueError, match=r"is not prepared to the end, .* run the same command"):
        Shards(whole / out)
    done = run(whole, *COMMAND, "--out", out, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert written(whole / out) == written(whole / "whole")


def test_a_worker_that_is_killed_raises(whole: Path) -> None:
    process = started(whole, "worker", "--workers", "2", slow=SLOW)
    workers = [pid for pid in children(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    out, said = process.communicate(timeout=20)
    assert process.returncode == 2 and out == "" and "Traceback" not in said
    assert re.search(
        r"a worker process was ended .* [\d,]+ tokens are safe, and the same command, without --overwrite, goes on from there",
        said,
    )
    done = run(whole, *COMMAND, "--out", "worker", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert written(whole / "worker") == written(whole / "whole")


def test_bad_text_in_a_worker(whole: Path) -> None:
    put(whole, "bad.txt", offline_text()[:20_000].encode() + b"\xff" + b" and more" * 5000)
    done = run(whole, "bad.txt", "--out", "bad", "--workers", "2")
    assert done.returncode == 2 and "bad.txt is not UTF-8: byte" in done.stderr and "Traceback" not in done.stderr


def test_no_room_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = put(tmp_path, "a.txt", "one"), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "replacing", lambda path: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        said = refused([file], out)
    message = f"[Errno 28] {out} could not be written, No space left on device: 0 tokens are safe, "
    assert said == (OSError, message + "and the same command, without --overwrite, goes on from there")
    prepare.prepare([file], out, workers=1)


def test_a_full_disk(whole: Path) -> None:
    """The system refuses to let any file grow beyond 8,000 bytes: the first shard, of 10,000, is in the middle."""
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))"
    full = run(whole, *COMMAND, "--out", "full", "--workers", "1", more=limit)
    assert full.returncode == 2 and "Traceback" not in full.stderr
    assert re.search(
        r"full could not be written, File too large: [\d,]+ tokens are safe, and the same command", full.stderr
    )
    done = run(whole, *COMMAND, "--out", "full", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert written(whole / "full") == written(whole / "whole")


def test_memory_does_not_grow_with_the_text(whole: Path) -> None:
    tell = """import atexit
def peak():
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
atexit.register(peak)
"""

    def kib(size: int, piece: int) -> int:
        put(whole, "long.txt", (offline_text() * 8)[:size])
        more = f"{tell}prepare.PIECE, prepare.RECORD_EVERY = {piece}, 10"
        done = run(whole, "long.txt", "--out", f"long-{size}-{piece}", "--workers", "1", more=more)
        assert done.returncode == 0, done.stderr
        return int(done.stdout.split()[-1])

    few = kib(400_000, 30_000)
    assert kib(4_000_000, 30_000) - few < 4_000
    assert kib(4_000_000, 1 << 30) - few > 12_000, "this test could not have failed"
