"""Shards: the numbers of the one concatenated array, read only where asked, and what is damaged is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from helpers import as_shards, cases
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad.data import Shards, WindowDataset, sliding_windows

pytestmark = pytest.mark.cpu_only("files of tokens, which no device sees")

TOKENS = np.random.default_rng(0).integers(0, 50257, 23, dtype=np.uint16)
AGAIN = "To prepare it again: the same command of minigrad.data.prepare with --overwrite"


@pytest.fixture(scope="module", params=[1, 5, 23, 100])
def shards(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return as_shards(tmp_path_factory.mktemp("shards") / "out", TOKENS, request.param)


def test_what_they_are(shards: Shards) -> None:
    assert (len(shards), shards.documents, shards.vocab_size) == (23, 0, 50257)
    assert shards.dtype == np.uint16
    assert repr(shards).endswith(f"23 tokens, 0 documents, {len(list(shards.folder.glob('*.bin')))} shards")
    assert np.array_equal(np.asarray(shards), TOKENS) and np.asarray(shards, np.int64).dtype == np.int64
    assert list(shards) == TOKENS.tolist()
    shards.verify()


ends = st.none() | st.integers(-30, 30)


@cases(200)
@given(index=st.slices(23) | st.builds(slice, ends, ends, st.none() | st.sampled_from([-7, -2, -1, 1, 2, 5])))
def test_slices(shards: Shards, index: slice) -> None:
    found = shards[index]
    assert type(found) is np.ndarray and found.dtype == "<u2" and found.tolist() == TOKENS[index].tolist()


@cases(100)
@given(
    index=st.integers(-23, 22)
    | st.lists(st.integers(-23, 22))
    | st.lists(st.lists(st.integers(-23, 22), min_size=2, max_size=2), min_size=1).map(np.array)
    | st.lists(st.booleans(), min_size=23, max_size=23).map(np.array)
)
def test_places(shards: Shards, index: int | list[int] | np.ndarray) -> None:
    found, expected = (
        shards[index],
        TOKENS[np.array(index, int) if index == [] else index] if isinstance(index, list) else TOKENS[index],
    )
    if isinstance(index, int):
        assert type(found) is int and found == expected
    else:
        assert found.dtype == "<u2" and found.shape == expected.shape and found.tolist() == expected.tolist()


def test_places_that_are_none(shards: Shards) -> None:
    for index in (23, -24, [0, 23], np.array([[0], [-24]])):
        with pytest.raises(IndexError, match=r"index (23|-24) is out of bounds for 23 tokens"):
            shards[index]
    for index in (1.0, "a", None, [0.5], [True], (1.5, 2)):
        with pytest.raises(IndexError, match="the index of 23 tokens must be integers, a slice or a mask of 23, got"):
            shards[index]
    assert np.array_equal(shards[np.uint64(22)], TOKENS[22])


def test_nothing_is_written_to(shards: Shards) -> None:
    with pytest.raises(ValueError, match="read-only"):
        shards[:1][0] = 5


def test_windows_are_not_viewed(shards: Shards) -> None:
    with pytest.raises(TypeError, match="Shards are not one array to be viewed; use WindowDataset"):
        sliding_windows(shards, 4, 1)
    with pytest.raises(
        ValueError,
        match=r"23 tokens give no window of 23 inputs \+ 1 target \(need >= 24\); shorten max_length to <= 22",
    ):
        WindowDataset(shards, 23, 1)


def resident_kib(folder: Path) -> int:
    """How much of the mapped files of a folder is in this process's memory."""
    ours, kib = False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        key, _, value = line.partition(" ")
        if not key.endswith(":"):
            ours = str(folder) in line
        elif ours and key == "Rss:":
            kib += int(value.split()[0])
    return kib


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    per_shard, n = 30_000_000, 100_000_000
    as_shards(tmp_path / "out", np.zeros(4, np.uint16), 1)
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    index.update(tokens=n, options={"shard_tokens": per_shard})
    for i, shard in enumerate(index["shards"]):
        shard["tokens"] = min(per_shard, n - i * per_shard)
        os.truncate(tmp_path / "out" / shard["file"], 2 * shard["tokens"])  # holes, which take no space on the disk
    (tmp_path / "out" / "index.json").write_text(json.dumps(index))
    first, second = np.arange(1, 129, dtype="<u2"), np.arange(200, 329, dtype="<u2")
    with (tmp_path / "out" / "00000.bin").open("r+b") as f:
        f.seek(2 * (per_shard - 128))
        f.write(first.tobytes())
    with (tmp_path / "out" / "00001.bin").open("r+b") as f:
        f.write(second.tobytes())
    shards = Shards(tmp_path / "out")
    dataset = WindowDataset(shards, 256, 32)
    number = (per_shard - 128) // 32
    inputs, targets = dataset[[number, 0, len(dataset) - 1]]
    assert inputs.array[0].tolist() == [*first, *second[:-1]] and targets.array[0].tolist() == [*first[1:], *second]
    assert not inputs.array[1:].any()
    if os.path.exists("/proc/self/smaps"):
        assert 0 < resident_kib(tmp_path) < 10_000  # of 195,312


def test_damaged_shards(tmp_path: Path) -> None:
    out = tmp_path / "out"
    shards = as_shards(out, TOKENS, 5)
    content = (out / "00003.bin").read_bytes()
    flipped = bytes([content[0] ^ 1]) + content[1:]
    (out / "00003.bin").write_bytes(flipped)
    with pytest.raises(ValueError) as error:
        Shards(out).verify()
    said = str(error.value)
    assert said.startswith(f"{out / '00003.bin'} is damaged: its checksum is ") and said.endswith(AGAIN)
    (out / "00003.bin").write_bytes(content + b"x")
    with pytest.raises(ValueError) as error:
        Shards(out)
    assert str(error.value) == f"the shard {out / '00003.bin'} has 11 bytes, and index.json says 10. {AGAIN}"
    (out / "00003.bin").unlink()
    with pytest.raises(FileNotFoundError) as error:
        Shards(out)
    assert str(error.value) == f"the shard {out / '00003.bin'} is missing. {AGAIN}"
    (out / "00003.bin").write_bytes(content)
    assert np.array_equal(Shards(out)[:], shards[:])


def test_no_index_or_a_damaged_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for folder in (tmp_path, out):
        with pytest.raises(FileNotFoundError) as error:
            Shards(folder)
        assert str(error.value) == (
            f"there are no shards in {folder} (no index.json): python -m minigrad.data.prepare FILES --out {folder}"
        )
    as_shards(out, TOKENS, 5)
    good = json.loads((out / "index.json").read_text())
    renamed = [{**shard, "file": "../" + shard["file"]} for shard in good["shards"]]
    for index, why in (
        ("{", "Expecting property name"),
        ("[]", "list indices must be integers"),
        ({}, "no 'format'"),
        ({**good, "version": 2}, "format 'minigrad shards', version 2"),
        ({**good, "format": "x"}, "format 'x', version 1"),
        ({key: value for key, value in good.items() if key != "shards"}, "no 'shards'"),
        ({**good, "tokens": 24}, "its shards do not add up"),
        ({**good, "tokens": 20}, "its shards do not add up"),
        ({**good, "shards": good["shards"][1:]}, "its shards do not add up"),
        ({**good, "shards": renamed}, "its shards do not add up"),
        ({**good, "options": {"shard_tokens": 0}}, "integer division or modulo by zero"),
    ):
        (out / "index.json").write_text(index if isinstance(index, str) else json.dumps(index))
        with pytest.raises(ValueError, match="is not an index of minigrad shards, version 1, or damaged") as refused:
            Shards(out)
        assert why in str(refused.value)
    (out / "index.json").write_text(json.dumps({**good, "complete": False}))
    with pytest.raises(ValueError) as error:
        Shards(out)
    assert str(error.value) == (
        f"{out} is not prepared to the end, 23 tokens so far: run the same command of minigrad.data.prepare again, and it goes on"
    )


def test_a_batch_trains(tmp_path: Path) -> None:
    """Padded places give no gradient, as cross_entropy's default ignore_index is the padding's target."""
    shards = as_shards(tmp_path / "out", np.array([1, 2, 0, 3, 0], np.uint16), 2)
    inputs, targets = WindowDataset(shards, 4, 4, end_of_text=0)[:]
    table = minigrad.rand(5, 5, requires_grad=True)
    minigrad.nn.functional.cross_entropy(table[inputs].reshape(-1, 5), targets.reshape(-1)).backward()
    assert (table.grad.abs().sum(1) > 0).tolist() == [False, True, True, True, False]
