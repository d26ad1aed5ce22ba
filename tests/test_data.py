"""Text, windows and batches: against the tutorial's loops, torch's DataLoader, and files larger than they may seem."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from collections import namedtuple
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from pydoc_data import topics

import numpy as np
import pytest
import torch
import torch.utils.data
from helpers import as_shards, cases
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad import Generator, default_generator
from minigrad.data import (
    DataLoader,
    Dataset,
    GPTDatasetV1,
    GPTTokenizer,
    Shards,
    Subset,
    TensorDataset,
    WindowDataset,
    create_dataloader,
    create_dataloader_v1,
    default_collate,
    fetch_verdict_text,
    gpt2_tokenizer,
    offline_text,
    read_text,
    sliding_windows,
    text,
    windows,
)

# The story's first sentence, and what the tutorial prints for it.
SENTENCE = (
    "I HAD always thought Jack Gisburn rather a cheap genius--though a good fellow enough--so it was no great surprise "
    "to me to hear that, in"
)
INPUTS = [
    [40, 367, 2885, 1464],
    [1807, 3619, 402, 271],
    [10899, 2138, 257, 7026],
    [15632, 438, 2016, 257],
    [922, 5891, 1576, 438],
    [568, 340, 373, 645],
    [1049, 5975, 284, 502],
    [284, 3285, 326, 11],
]

few = cases(60)
integers = st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])


class TutorialDataset(torch.utils.data.Dataset):
    """What the tutorials build: two lists of tensors."""

    def __init__(self, token_ids, max_length, stride):
        starts = range(0, len(token_ids) - max_length, stride)
        self.inputs = [torch.tensor(token_ids[i : i + max_length]) for i in starts]
        self.targets = [torch.tensor(token_ids[i + 1 : i + max_length + 1]) for i in starts]

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, i):
        return self.inputs[i], self.targets[i]


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        return {"i": i, "square": float(i * i), "name": str(i)}


def same(ours, theirs):
    """The same nesting, types, shapes and values."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, minigrad.Tensor), type(ours)
        assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape)
        return ours.tolist() == theirs.tolist()
    assert type(ours) is type(theirs)
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(same(ours[k], theirs[k]) for k in theirs)
    if isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


# ------------------------------------------------------------------------------------------------------------ windows


@st.composite
def window_cases(draw):
    max_length = draw(st.integers(1, 9))
    n = draw(st.integers(max_length + 1, 60))
    tokens = np.array(draw(st.lists(st.integers(0, 255), min_size=n, max_size=n)), dtype=draw(integers))
    return tokens, max_length, draw(st.integers(1, 12))


@few
@given(window_cases())
def test_windows_are_the_tutorials(case):
    tokens, max_length, stride = case
    starts = range(0, len(tokens) - max_length, stride)
    inputs, targets = sliding_windows(tokens, max_length, stride)
    assert inputs.shape == targets.shape == (len(starts), max_length)
    assert inputs.tolist() == [tokens[i : i + max_length].tolist() for i in starts]
    assert targets.tolist() == [tokens[i + 1 : i + max_length + 1].tolist() for i in starts]
    for view in (inputs, targets):
        assert np.shares_memory(view, tokens) and not view.flags.writeable and view.dtype == tokens.dtype


@pytest.fixture(scope="module", params=["array", "memory map", "shards"])
def placed(request, tmp_path_factory):
    """Puts tokens where they shall be read from; in shards so small that most windows straddle."""
    folder, numbers = tmp_path_factory.mktemp("tokens"), itertools.count()

    def place(tokens):
        tokens = np.asarray(tokens)
        path = folder / str(next(numbers))
        if request.param == "array":
            return tokens
        if request.param == "shards":
            return as_shards(path, tokens, len(tokens) // 7 + 1)
        path.write_bytes(tokens.tobytes())
        return np.memmap(path, tokens.dtype, mode="r")

    return place


@few
@given(case=window_cases())
def test_samples_and_batches_are_the_tutorials(placed, case):
    tokens, max_length, stride = case
    ours, theirs = (
        WindowDataset(placed(tokens), max_length, stride),
        TutorialDataset(tokens.tolist(), max_length, stride),
    )
    assert len(ours) == len(theirs)
    assert all(same(list(ours[i]), list(theirs[i])) for i in range(-len(theirs), len(theirs)))
    assert all(map(same, DataLoader(ours, 3), torch.utils.data.DataLoader(theirs, 3)))
    every = [x.tolist() for x in ours[:]]
    odd = np.arange(len(ours)) % 2 == 1
    empty = np.array([], int)
    for index in (slice(1, None, 2), slice(None, None, -1), slice(5, 2), odd, np.flatnonzero(odd), [0, -1], empty):
        chosen = np.arange(len(ours))[index].tolist()
        assert [x.tolist() for x in ours[index]] == [[rows[i] for i in chosen] for rows in every]
    assert [tuple(x.shape) for x in ours[[]]] == [(0, max_length)] * 2
    assert list(ours.report().values()) == list(WindowDataset(tokens, max_length, stride).report().values())
    for wrong in (len(ours), -len(ours) - 1, [0, len(ours)]):
        with pytest.raises(IndexError, match="out of bounds"):
            ours[wrong]


@st.composite
def document_cases(draw):
    documents = draw(st.lists(st.lists(st.integers(1, 255), max_size=12), min_size=1, max_size=6))
    tokens = [token for document in documents for token in (*document, 0)]
    if len(tokens) > 1 and draw(st.booleans()):
        tokens = tokens[:-1]  # the last marker is missing
    dtype = draw(integers)
    return np.array(tokens, dtype), draw(st.integers(1, 9)), draw(st.integers(1, 12))


def windows_by_document(tokens, max_length, stride):
    """One document after another, one window after another, one token after another."""
    documents, rows = [[]], []
    for token in tokens:
        documents[-1].append(token)
        if token == 0:
            documents.append([])
    for document in documents:
        start = 0
        while start < len(document) - 1:
            places = range(start, start + max_length)
            inputs = [document[i] if i < len(document) else 0 for i in places]
            targets = [document[i + 1] if i + 1 < len(document) else -100 for i in places]
            rows.append((inputs, targets))
            if start + max_length >= len(document) - 1:
                break
            start += stride
    return documents, rows


@cases(200)
@given(case=document_cases(), block=st.integers(1, 20))
def test_windows_that_never_cross_documents(placed, case, block):
    tokens, max_length, stride = case
    documents, rows = windows_by_document(tokens.tolist(), max_length, stride)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "BLOCK", block)
        if not rows:
            with pytest.raises(
                ValueError, match=f"^{len(tokens)} tokens give no window: no document has an input and a target"
            ):
                WindowDataset(placed(tokens), max_length, stride, end_of_text=0)
            return
        ours = WindowDataset(placed(tokens), max_length, stride, end_of_text=0)
    assert len(ours) == len(rows)
    inputs, targets = ours[:]
    assert inputs.tolist() == [x for x, _ in rows] and targets.tolist() == [y for _, y in rows]
    assert [inputs.dtype, targets.dtype] == [minigrad.int64] * 2
    for i in range(-len(rows), len(rows)):
        x, y = ours[i]
        assert (x.tolist(), y.tolist()) == rows[i]
    batches = [(x.tolist(), y.tolist()) for x, y in DataLoader(ours, 3, collate_fn=None)]
    assert [row for x, y in batches for row in zip(x, y, strict=True)] == rows
    kept = sum(target != -100 for _, y in rows for target in y)
    if stride <= max_length:
        lengths = [len(document) for document in documents if len(document) > 1]
        assert len(rows) == sum(max(-((max_length - n + 1) // stride), 0) + 1 for n in lengths)
        if stride == max_length:
            assert kept == sum(n - 1 for n in lengths), "a token is lost, or read twice"
    # Which of the tokens are read: the same windows of a sequence in which every token is another one.
    edges = np.flatnonzero(tokens[:-1] == 0) + 1
    pairs, seen = set(), set()
    for document in np.split(np.arange(len(tokens)), edges):
        for start in range(0, len(document) - 1, stride):
            pairs |= set(document[start : start + max_length].tolist()) & set(document[:-1].tolist())
            if start + max_length >= len(document) - 1:
                break
    seen = pairs | {i + 1 for i in pairs}
    assert ours.report() == {
        "tokens": len(tokens),
        "never an input": len(tokens) - len(pairs),
        "never a target": len(tokens) - len(pairs),
        "never either": len(tokens) - len(seen),
        "windows": len(rows),
        "padded places": len(rows) * max_length - kept,
    }


def test_windows_by_document_are_as_small_as_they_look():
    tokens = np.array([7, 8, 9, 50256, 5, 50256, 50256, 1, 2], np.uint16)
    dataset = WindowDataset(tokens, 2, 2, end_of_text=50256)
    assert [(x.tolist(), y.tolist()) for x, y in (dataset[i] for i in range(4))] == [
        ([7, 8], [8, 9]),
        ([9, 50256], [50256, -100]),
        ([5, 50256], [50256, -100]),
        ([1, 2], [2, -100]),
    ]
    loss = minigrad.nn.functional.cross_entropy(minigrad.zeros(2, 60000, device="cpu"), dataset[1][1])
    assert loss.item() == pytest.approx(np.log(60000), rel=1e-6)  # the mean over the one target
    assert DataLoader(dataset, 3, drop_last=True).report() == {
        "tokens": 9,
        "never an input": 4,
        "never a target": 4,
        "never either": 1,
        "windows": 4,
        "padded places": 3,
        "of them dropped by drop_last, every pass": 1,
        "batches": 1,
    }
    for end_of_text in (50256.0, "x"):
        with pytest.raises(TypeError, match="end_of_text must be an integer, got"):
            WindowDataset(tokens, 2, 2, end_of_text=end_of_text)


@pytest.mark.parametrize("end_of_text", [None, 19])
@pytest.mark.parametrize("dtype", [np.uint16, np.int64])
def test_samples_and_batches_own_their_memory(placed, dtype, end_of_text):
    tokens = placed(np.arange(20, dtype=dtype))
    dataset = WindowDataset(tokens, 4, 2, end_of_text)
    for inputs, targets in (dataset[0], dataset[1:3], next(iter(DataLoader(dataset, 3)))):
        assert not np.shares_memory(inputs.array, targets.array)
        for x in (inputs, targets):
            assert x.array.flags.c_contiguous and x.array.flags.writeable
            assert isinstance(tokens, Shards) or not np.shares_memory(x.array, tokens)


@few
@given(window_cases(), st.integers(1, 5), st.booleans())
def test_report_counts_what_is_left_out(case, batch_size, drop_last):
    tokens, max_length, stride = case
    starts = range(0, len(tokens) - max_length, stride)
    inputs = {i + t for i in starts for t in range(max_length)}
    targets = {i + 1 for i in inputs}
    loader = DataLoader(WindowDataset(tokens, max_length, stride), batch_size, drop_last=drop_last)
    assert list(loader.report().values()) == [
        len(tokens),
        len(tokens) - len(inputs),
        len(tokens) - len(targets),
        len(tokens) - len(inputs | targets),
        len(starts),
        len(starts) - sum(len(x.tolist()) for x, _ in loader),
        sum(1 for _ in loader),
    ]


def test_report_reads_well():
    loader = DataLoader(WindowDataset(np.arange(5145), 4, 4), 8, drop_last=True)
    assert str(loader.report()).splitlines() == [
        "          5,145 tokens",
        "              1 never an input",
        "              1 never a target",
        "              0 never either",
        "          1,286 windows",
        "              6 of them dropped by drop_last, every pass",
        "            160 batches",
    ]
    assert DataLoader([1, 2, 3], 2).report() == {
        "samples": 3,
        "of them dropped by drop_last, every pass": 0,
        "batches": 2,
    }


def test_tokens_of_every_form():
    ids = [5, 4, 3, 2, 1]
    for form in (ids, tuple(ids), np.array(ids[::-1])[::-1], np.array(ids, np.uint16), minigrad.tensor(ids).cpu()):
        inputs, targets = sliding_windows(form, 3, 1)
        assert (inputs.tolist(), targets.tolist()) == ([[5, 4, 3], [4, 3, 2]], [[4, 3, 2], [3, 2, 1]])
    tensor = minigrad.tensor(ids, device="cpu")
    assert np.shares_memory(sliding_windows(tensor, 3, 1)[0], tensor.array)


def test_windows_refuse():
    too_short = r"3 tokens give no window of 4 inputs \+ 1 target \(need >= 5\); shorten max_length to <= 2 or add text"
    with pytest.raises(ValueError, match=too_short):
        sliding_windows([1, 2, 3], 4, 1)
    with pytest.raises(ValueError, match=r"4 tokens give .* shorten max_length to <= 3 or add text"):
        sliding_windows([1, 2, 3, 4], 4, 1)
    for tokens in ([], [1]):
        with pytest.raises(ValueError, match=rf"^{len(tokens)} tokens .*\(need >= 5\); add text$"):
            sliding_windows(tokens, 4, 1)
    for tokens in ([1.0, 2.0, 3.0], [True, False, True], "a text", np.array([1, 2, 3], object), {1, 2, 3}):
        with pytest.raises(TypeError, match="tokens must be integers"):
            sliding_windows(tokens, 1, 1)
    for tokens in ([[1, 2, 3], [4, 5, 6]], np.array(3), np.empty((0, 2), int)):
        with pytest.raises(ValueError, match="tokens must be one-dimensional, got shape"):
            sliding_windows(tokens, 1, 1)
    for arguments, error, message in (
        ((0, 1), ValueError, "max_length must be 1 or more, got 0"),
        ((1, 0), ValueError, "stride must be 1 or more, got 0"),
        ((1, -1), ValueError, "stride must be 1 or more, got -1"),
        ((2.0, 1), TypeError, "max_length must be an integer, got 2.0"),
        ((1, None), TypeError, "stride must be an integer, got None"),
    ):
        with pytest.raises(error, match=message):
            sliding_windows([1, 2, 3], *arguments)
    dataset = WindowDataset([1, 2, 3], 1, 1)
    for index in (2, -3, [0, 2]):
        with pytest.raises(IndexError, match="out of bounds"):
            dataset[index]


def resident_kib(file: Path) -> int:
    """How much of a mapped file is in this process's memory."""
    ours = False
    kib = 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        key, _, value = line.partition(" ")
        if not key.endswith(":"):
            ours = line.endswith(str(file))
        elif ours and key == "Rss:":
            kib += int(value.split()[0])
    return kib


def test_a_memory_map_is_not_read(tmp_path):
    file, n = tmp_path / "tokens.bin", 100_000_000
    with file.open("wb") as f:
        f.truncate(2 * n)  # a hole: the file takes no space on the disk either
    windows = (n - 256 + 255) // 256
    torch.manual_seed(1)
    first = [int(i) for _, i in zip(range(8), torch.utils.data.DataLoader(range(windows), shuffle=True), strict=False)]
    content = np.random.default_rng(0).integers(0, 50257, (8, 257), dtype=np.uint16)
    with file.open("r+b") as f:
        for i, row in zip(first, content, strict=True):
            f.seek(2 * 256 * i)
            f.write(row.tobytes())
    content = [np.fromfile(file, np.uint16, 257, offset=2 * 256 * i) for i in first]  # neighbours overlap by one token

    tokens = np.memmap(file, np.uint16, mode="r")
    loader = DataLoader(WindowDataset(tokens, 256, 256), 8, shuffle=True)
    assert len(loader) == -(-windows // 8)
    minigrad.manual_seed(1)
    inputs, targets = next(iter(loader))
    assert inputs.array.tolist() == [row[:-1].tolist() for row in content]
    assert targets.array.tolist() == [row[1:].tolist() for row in content]
    assert np.shares_memory(loader.dataset.windows, tokens)
    if os.path.exists("/proc/self/smaps"):
        assert 0 < resident_kib(file) < 20_000  # of 195,312


# ------------------------------------------------------------------------------------------------------------ loader


def same_state(ours: Generator, theirs: torch.Generator) -> bool:
    return ours.get_state().tobytes() == theirs.get_state().numpy().tobytes()


@few
@given(
    n=st.integers(1, 12),
    batch_size=st.integers(1, 6),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    own_generator=st.booleans(),
    seed=st.integers(0, 2**40),
    passes=st.lists(st.none() | st.integers(0, 4), min_size=1, max_size=3),
)
def test_order_and_stream_are_torchs(n, batch_size, shuffle, drop_last, own_generator, seed, passes):
    ours, theirs = default_generator, torch.default_generator
    options = {"shuffle": shuffle, "drop_last": drop_last}
    if own_generator:
        ours, theirs = Generator(), torch.Generator()
    our_loader = DataLoader(range(n), batch_size, **options, generator=ours if own_generator else None)
    options["generator"] = theirs if own_generator else None
    their_loader = torch.utils.data.DataLoader(range(n), batch_size, **options)
    assert len(our_loader) == len(their_loader)
    ours.manual_seed(seed)
    theirs.manual_seed(seed)
    for batches in passes:  # None: a whole pass; a number: broken off after so many batches, or at the end
        our_pass, their_pass = iter(our_loader), iter(their_loader)
        if batches is None:
            assert [x.tolist() for x in our_pass] == [x.tolist() for x in their_pass]
        else:
            for _ in range(batches):
                x, y = next(our_pass, None), next(their_pass, None)
                assert x.tolist() == y.tolist() if y is not None else x is None
                assert same_state(ours, theirs)
        assert same_state(ours, theirs)


def test_an_epoch_costs_four_words_and_making_a_loader_none():
    loader = DataLoader(range(1000), 10, shuffle=True)
    minigrad.manual_seed(123)
    words = np.random.RandomState(123).randint(0, 2**32, 5, dtype=np.uint32)
    list(loader)
    assert minigrad.rand(1).item() == (int(words[4]) & 0xFFFFFF) * 2.0**-24


def test_two_passes_at_once():
    minigrad.manual_seed(3)
    torch.manual_seed(3)
    ours, theirs = DataLoader(range(7), 2, shuffle=True), torch.utils.data.DataLoader(range(7), 2, shuffle=True)
    assert [(a.tolist(), b.tolist()) for a, b in zip(ours, ours, strict=True)] == [
        (a.tolist(), b.tolist()) for a, b in zip(theirs, theirs, strict=True)
    ]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_the_tutorials_loader(placed, shuffle, drop_last):
    story = offline_text()[:6000]
    ids = gpt2_tokenizer().encode(story)
    options = {"batch_size": 8, "shuffle": shuffle, "drop_last": drop_last}
    torch.manual_seed(123)
    minigrad.manual_seed(123)
    ours = create_dataloader(story, max_length=4, stride=3, **options)
    theirs = torch.utils.data.DataLoader(TutorialDataset(ids, 4, 3), **options)
    assert len(ours) == len(theirs) > 50
    for _ in range(2):
        for x, y in zip(ours, theirs, strict=True):
            assert same(x, y)
    torch.manual_seed(123)
    minigrad.manual_seed(123)
    ours = DataLoader(WindowDataset(placed(ids), 4, 3), **options)
    assert len(ours) == len(theirs) > 50
    for _ in range(2):
        for x, y in zip(ours, theirs, strict=True):
            assert same(x, y)


def test_the_tutorials_batch():
    loader = create_dataloader_v1(SENTENCE, batch_size=8, max_length=4, stride=4, shuffle=False)
    inputs, targets = next(iter(loader))
    assert inputs.tolist() == INPUTS
    assert [row[-1] for row in targets.tolist()] == [row[0] for row in INPUTS[1:]] + [287]
    assert [row[:-1] for row in targets.tolist()] == [row[1:] for row in INPUTS]
    for tokenizer in (GPTTokenizer(), gpt2_tokenizer()):
        assert GPTDatasetV1(SENTENCE, tokenizer, 4, 4)[:][0].tolist() == INPUTS


def test_create_dataloader():
    loader = create_dataloader("one<|endoftext|>two, " * 600)
    assert (loader.batch_size, loader.shuffle, loader.drop_last) == (4, True, True)
    assert (loader.dataset.max_length, loader.dataset.stride) == (256, 128)
    assert 50256 in loader.dataset.tokens
    with pytest.raises(TypeError, match=r"txt must be a str, got list; for ids: DataLoader\(WindowDataset"):
        create_dataloader([1, 2, 3])
    with pytest.raises(ValueError, match=r"1 tokens give no window of 256 inputs"):
        create_dataloader("one")
    with pytest.warns(UserWarning, match="2 windows make no full batch of 3: every pass is empty"):
        assert list(create_dataloader("one two three", 3, max_length=1, stride=1)) == []


def test_one_read_makes_the_batch_that_collating_makes(placed):
    window, rows = WindowDataset(placed(range(40)), 4, 3), TensorDataset(minigrad.arange(10), minigrad.rand(10, 2))
    by_document = WindowDataset(placed(range(40)), 4, 3, end_of_text=20)
    for dataset in (window, rows, by_document, Subset(window, [3, -1, 0, 3]), Subset(Subset(rows, range(5)), [4, 1])):
        assert dataset.collated is not None
        one_read = list(DataLoader(dataset, 3))
        one_by_one = list(DataLoader(dataset, 3, collate_fn=lambda batch: default_collate(batch)))
        for a, b in zip(one_read, one_by_one, strict=True):
            assert [(x.dtype, x.tolist()) for x in a] == [(x.dtype, x.tolist()) for x in b]
    assert list(DataLoader(window, 10, collate_fn=len)) == [10, 2]


def test_the_short_cut_never_passes_by_a_subclass(placed):
    class Negated(WindowDataset):
        def __getitem__(self, index):
            assert isinstance(index, int)
            inputs, targets = super().__getitem__(index)
            return -inputs, -targets

    negated = Negated(placed([1, 2, 3, 4]), 3, 1)
    for dataset in (negated, Subset(negated, [0])):
        assert [x.tolist() for x in next(iter(DataLoader(dataset)))] == [[[-1, -2, -3]], [[-2, -3, -4]]]


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64, 100, 201])
@pytest.mark.parametrize("order", ["shuffle", "in order", "longer", "replacement"])
@pytest.mark.parametrize("drop_last", [False, True])
def test_reading_ahead_changes_neither_batches_nor_the_random_stream(monkeypatch, batch_size, order, drop_last):
    """torch's batches, and after each of them torch's generators; pieces of the order end within batches."""
    monkeypatch.setattr(minigrad.data.samplers, "_PIECE", 70)
    tokens = list(range(403))
    samples = [(torch.tensor(tokens[i : i + 4]), torch.tensor(tokens[i + 1 : i + 5])) for i in range(0, 399, 2)]
    seen = []
    for L, dataset in ((minigrad, WindowDataset(tokens, 4, 2)), (torch, samples)):
        L.manual_seed(5)
        generator = L.Generator().manual_seed(6)
        more = {"longer": (False, 450), "replacement": (True, 450)}.get(order)
        options = {"sampler": L.utils.data.RandomSampler(dataset, *more, generator)} if more else {}
        options |= {"shuffle": True} if order == "shuffle" else {}
        loader = L.utils.data.DataLoader(dataset, batch_size, drop_last=drop_last, generator=generator, **options)
        assert L is torch or loader._reads_ahead()
        seen.append([])
        for _ in range(2):
            for x, y in loader:
                seen[-1].append(
                    (
                        x.tolist(),
                        y.tolist(),
                        [bytes(bytearray(g.get_state())) for g in (generator, L.default_generator)],
                    )
                )
            seen[-1].append([bytes(bytearray(g.get_state())) for g in (generator, L.default_generator)])
    assert len(samples) == len(dataset) == 200
    assert seen[0] == seen[1]


def test_batches_that_are_read_together_are_of_each_their_own(placed):
    """Contiguous, of one offset and no memory in common: what is written to one is seen nowhere else."""
    tokens = placed(range(300))
    batches = list(DataLoader(WindowDataset(tokens, 4, 1), 3))
    arrays = [x.numpy() for batch in batches for x in batch]
    assert all(x.is_contiguous() and x.dtype == minigrad.int64 for batch in batches for x in batch)
    before = [array.copy() for array in arrays]
    for i, array in enumerate(arrays):
        array[...] = -1
        np.testing.assert_array_equal(
            np.concatenate(arrays[i + 1 :] or [array]), np.concatenate(before[i + 1 :] or [array])
        )
    assert [int(t) for t in tokens] == list(range(300))


def test_a_subclass_that_collates_otherwise_is_not_read_ahead():
    class Ones(WindowDataset):
        def collated(self, indices):
            return len(indices)

    class Same(WindowDataset):
        pass

    assert Ones.arrays is None and list(DataLoader(Ones(list(range(9)), 2, 1), 3)) == [3, 3, 1]
    assert DataLoader(Same(list(range(9)), 2, 1))._reads_ahead()
    assert not DataLoader(Same(list(range(9)), 2, 1), sampler=[0, 1])._reads_ahead()


def test_datasets_of_ones_own():
    class TorchSquares(torch.utils.data.Dataset):
        __init__, __len__, __getitem__ = Squares.__init__, Squares.__len__, Squares.__getitem__

    class Many(list):
        def __getitems__(self, indices):
            return [-self[i] for i in indices]

    for ours, theirs in ((Squares(5), TorchSquares(5)), (Many([1, 2, 3]), Many([1, 2, 3])), ({0: "a", 1: "b"},) * 2):
        for options in ({}, {"sampler": [1, 0, 1]}, {"collate_fn": len}, {"collate_fn": None}, {"num_workers": 0}):
            a = list(DataLoader(ours, 2, **options))
            b = list(torch.utils.data.DataLoader(theirs, 2, **options))
            assert same(a, b)
    assert same(
        list(DataLoader(Subset(Squares(9), [5, 3, 1]), 2)),
        list(torch.utils.data.DataLoader(torch.utils.data.Subset(TorchSquares(9), [5, 3, 1]), 2)),
    )
    assert len(DataLoader(range(9), 2, sampler=[1, 2, 3])) == 2
    with pytest.raises(NotImplementedError, match="needs a __getitem__"):
        Dataset()[0]
    with pytest.raises(AssertionError, match=r"Size mismatch between tensors: TensorDataset got \[2, 3\] rows"):
        TensorDataset(minigrad.ones(2), minigrad.ones(3))


Point = namedtuple("Point", "x y")
BATCHES = [
    [1, 2],
    [1.5, 0.1],
    [True, False],
    ["a", "b"],
    [b"a"],
    [(1, "a"), (2, "b")],
    [[1, 2], [3, 4]],
    [{"a": 1, "b": (2.0, "x")}, {"a": 2, "b": (0.1, "y")}],
    [Point(1, 2), Point(3, 4)],
    [np.float32(1), np.float32(2)],
    [np.float64(0.1)],
    [np.bool_(True)],
    [np.uint16(3)],
    [np.ones(2), np.zeros(2)],
    [np.array([1, 2], np.uint16), np.array([3, 4], np.uint16)],
    [range(3), range(3)],
    # and what is refused
    [None],
    [{1}, {2}],
    [1 + 2j],
    [np.array("a")],
    [(1,), (1, 2)],
    [np.ones(2), np.ones(3)],
    [{"a": 1}, {"b": 2}],
]


@pytest.mark.parametrize("batch", BATCHES, ids=repr)
def test_collate_as_torch(batch):
    try:
        theirs = torch.utils.data.default_collate(batch)
    except Exception as error:
        with pytest.raises(type(error)):
            default_collate(batch)
    else:
        assert same(default_collate(batch), theirs)


def test_collate_tensors():
    ours = default_collate([(minigrad.arange(3), 0), (minigrad.ones(3, dtype=minigrad.int64), 1)])
    assert [x.tolist() for x in ours] == [[[0, 1, 2], [1, 1, 1]], [0, 1]]
    with pytest.raises(RuntimeError):
        default_collate([minigrad.ones(2), minigrad.ones(3)])


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": -1},
        {"batch_size": 2.0},
        {"batch_size": True},
        {"batch_size": "3"},
        {"drop_last": 1},
        {"num_workers": -1},
        {"timeout": -1},
        {"shuffle": True, "sampler": [1]},
        {"dataset": [], "shuffle": True},
        {"dataset": 5, "shuffle": True},
        {"generator": 5},
    ],
    ids=str,
)
def test_loader_refuses_as_torch(options):
    arguments = {"dataset": [1, 2, 3], **options}
    with pytest.raises(Exception) as theirs:
        list(torch.utils.data.DataLoader(**arguments))
    with pytest.raises(theirs.type):
        list(DataLoader(**arguments))


def test_an_empty_dataset_has_no_batches():
    assert list(DataLoader([])) == [] and len(DataLoader([])) == 0


# ------------------------------------------------------------------------------------------------------------------ text


STORY = b"A stand-in for the story: \xc3\xa9t\xc3\xa9.\n" * 40


@contextmanager
def server(status=200, body=STORY, length=None):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/the-verdict.txt"
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache, no network, and a stand-in that passes for the story."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("MINIGRAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(text, "VERDICT_URL", "http://127.0.0.1:9/the-verdict.txt")
    monkeypatch.setattr(text, "VERDICT_SHA256", hashlib.sha256(STORY).hexdigest())
    monkeypatch.setattr(text, "VERDICT_BYTES", len(STORY))
    return tmp_path / "cache"


def test_fetch_once(cache, monkeypatch, tmp_path):
    with server() as url:
        monkeypatch.setattr(text, "VERDICT_URL", url)
        assert fetch_verdict_text() == STORY.decode()
        assert fetch_verdict_text(tmp_path / "new" / "story.txt") == STORY.decode()
    assert [f.name for f in cache.iterdir()] == ["the-verdict.txt"]
    assert (cache / "the-verdict.txt").read_bytes() == STORY
    assert fetch_verdict_text() == STORY.decode()  # the server is gone
    assert fetch_verdict_text(str(tmp_path / "new" / "story.txt")) == STORY.decode()


def test_offline(cache):
    with pytest.raises(ConnectionError) as error:
        fetch_verdict_text()
    hints = ("--text FILE", "offline_text()", text.VERDICT_URL, text.VERDICT_SHA256)
    for part in (str(cache / "the-verdict.txt"), *hints):
        assert part in str(error.value)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (
            {"body": STORY[:-1] + b"?"},
            ValueError,
            r'not "The Verdict": 1,\d{3} bytes with sha256 [0-9a-f]{64}, expected',
        ),
        ({"body": b"<html>" * 10_000}, ValueError, "Nothing was written to"),
        ({"status": 404}, ConnectionError, "404"),
        ({"body": STORY[:100], "length": len(STORY)}, ValueError, "100 bytes"),
    ],
    ids=["one byte", "log in here", "not found", "cut off"],
)
def test_a_bad_download_leaves_nothing(cache, monkeypatch, answer, error, message):
    with server(**answer) as url:
        monkeypatch.setattr(text, "VERDICT_URL", url)
        with pytest.raises(error, match=message):
            fetch_verdict_text()
    assert not cache.exists()


def test_a_damaged_file_is_reported_and_left_alone(cache):
    cache.mkdir()
    (cache / "the-verdict.txt").write_bytes(STORY[:-7])
    with pytest.raises(ValueError, match="Remove it to have it downloaded again") as error:
        fetch_verdict_text()
    assert str(cache / "the-verdict.txt") in str(error.value)
    assert (cache / "the-verdict.txt").read_bytes() == STORY[:-7]


def test_the_file_appears_whole_or_not_at_all(cache, monkeypatch):
    def full_disk(*_paths):
        assert [f.read_bytes() for f in cache.iterdir()] == [STORY]  # complete before it gets its name
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full_disk)
    with server() as url:
        monkeypatch.setattr(text, "VERDICT_URL", url)
        with pytest.raises(OSError, match="disk full"):
            fetch_verdict_text()
    assert list(cache.iterdir()) == []


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("MINIGRAD_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert text.cache_dir() == Path("/own")
    monkeypatch.delenv("MINIGRAD_CACHE")
    assert text.cache_dir() == Path("/xdg/minigrad")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert text.cache_dir() == Path.home() / ".cache" / "minigrad"


def test_read_text(tmp_path):
    file = tmp_path / "story.txt"
    file.write_bytes("été\r\nhiver".encode())
    assert read_text(file) == read_text(str(file)) == "été\nhiver"
    file.write_bytes(b"caf\xe9 noir")
    with pytest.raises(ValueError, match=r"story\.txt is not UTF-8: byte 3 is 0xe9"):
        read_text(file)
    file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"story\.txt is empty"):
        read_text(file)
    with pytest.raises(IsADirectoryError, match="is a directory; name a text file in it"):
        read_text(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nothing\.txt"):
        read_text(tmp_path / "nothing.txt")


def test_offline_text(monkeypatch):
    everything = offline_text()
    assert all(topic in everything for topic in topics.topics.values())
    assert len(gpt2_tokenizer().encode(everything, disallowed_special=())) > 100_000
    monkeypatch.setattr(topics, "topics", {"while": "w", "assert": "a", "else": "e"})
    assert offline_text() == "a\n\ne\n\nw"
