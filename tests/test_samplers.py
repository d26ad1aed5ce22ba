"""Datasets, samplers and what a loader takes of them: torch's samples in torch's order, from the same random stream."""

from __future__ import annotations

import warnings
from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.data
from helpers import check_same_error, same
from hypothesis import assume, given
from hypothesis import strategies as st

import minigrad as mg
import minigrad.utils.data

LIBRARIES = (mg, torch)


def plain(x: Any) -> Any:
    """Tensors as lists with their dtype, so that samples of both libraries compare equal."""
    if isinstance(x, mg.Tensor | torch.Tensor):
        return str(x.dtype), x.tolist()
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return type(x).__name__, [plain(v) for v in x]
    return x


def state(generator: Any) -> bytes:
    return bytes(np.asarray(generator.get_state()).tobytes())


def agree(make: Callable[[Any, Any], Any], seed: int = 0, own: bool = False, passes: int = 2) -> list[Any]:
    """The same passes, and after each the same random state: of the default generator, and of one that make may use."""
    results = []
    for L in LIBRARIES:
        L.manual_seed(seed)
        generator = L.Generator().manual_seed(seed + 1) if own else None
        iterable, seen = make(L, generator), []
        for _ in range(passes):
            seen.append([plain(x) for x in iterable])
            seen += [state(L.default_generator), own and state(generator), L.rand(1).item()]
        try:
            seen.append(len(iterable))
        except TypeError:
            seen.append("no length")
        results.append(seen)
    assert results[0] == results[1]
    return results[0]


# ---------------------------------------------------------------------------------------------------------------- datasets


class Letters(list):  # type: ignore[type-arg]
    pass


def counting(L: Any, n: int, with_length: bool = False) -> Any:
    class Counting(L.utils.data.IterableDataset):  # type: ignore[name-defined, misc]
        def __iter__(self) -> Iterator[Any]:
            assert L.utils.data.get_worker_info() is None
            for i in range(n):
                yield np.float32(i), {"i": i}

    class Sized(Counting):  # type: ignore[misc, valid-type]
        def __len__(self) -> int:
            return n

    return Sized() if with_length else Counting()


@given(
    st.integers(0, 40),
    st.lists(st.integers(0, 15), min_size=1, max_size=4) | st.lists(st.floats(0, 1), min_size=1, max_size=4),
    st.booleans(),
)
def test_random_split(n: int, lengths: list[float], own: bool) -> None:
    if all(isinstance(x, int) for x in lengths):
        n = int(sum(lengths))
    else:
        assume(sum(lengths))  # of nothing, torch too slices by floats
        lengths = [x / sum(lengths) for x in lengths]
    seen = []
    for L in LIBRARIES:
        L.manual_seed(3)
        options = {"generator": L.Generator().manual_seed(7)} if own else {}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                parts = L.utils.data.random_split(range(n), lengths, **options)
                seen.append(([(list(p.indices), list(p), p.dataset) for p in parts], L.rand(1).item()))
            except ValueError as error:
                seen.append((str(error)[:12], 0))
        seen[-1] = (*seen[-1], sum("Length of split" in str(w.message) for w in caught))
    assert seen[0] == seen[1]


def test_the_usual_splits() -> None:
    for L in LIBRARIES:
        parts = L.utils.data.random_split(list("abcdefghij"), [0.7, 0.2, 0.1], L.Generator().manual_seed(42))
        assert [len(p) for p in parts] == [7, 2, 1] and sorted(x for p in parts for x in p) == list("abcdefghij")
        assert [len(p) for p in L.utils.data.random_split(range(10), [1 / 3, 1 / 3, 1 / 3])] == [4, 3, 3]


def test_several_datasets_in_a_row() -> None:
    for L in LIBRARIES:
        d = L.utils.data
        tensors = d.TensorDataset(L.arange(3))
        both = d.ConcatDataset([range(10, 14), Letters("ab"), [], tensors])
        assert both.cumulative_sizes == [4, 6, 6, 9] and len(both) == 9
        assert [both[i] for i in (0, 3, 4, 5, -9, -4)] == [10, 13, "a", "b", 10, "b"]
        assert both[6][0].item() == 0 and both[-1][0].item() == 2
        with pytest.raises(IndexError):
            both[9]
        summed = tensors + tensors
        assert isinstance(summed, d.ConcatDataset) and len(summed) == 6
        chain = counting(L, 2) + counting(L, 1)
        assert isinstance(chain, d.ChainDataset) and [s[1]["i"] for s in chain] == [0, 1, 0]
        assert len(d.ChainDataset([counting(L, 2, True), counting(L, 3, True)])) == 5
        subset = d.Subset(both, [4, 0])
        assert subset.dataset is both and subset.indices == [4, 0] and list(subset) == ["a", 10]
        assert d.Subset(L.arange(5) * 2, [4, 0])[[1, 0]].tolist() == [0, 8]
        assert isinstance(d.Dataset[int], object) and isinstance(d.Sampler[int], object)


# ---------------------------------------------------------------------------------------------------------------- samplers

sizes = st.integers(1, 70)


@given(sizes, st.booleans(), st.none() | st.integers(1, 150), st.booleans(), st.integers(0, 2**40))
def test_random_sampler(n: int, replacement: bool, num_samples: int | None, own: bool, seed: int) -> None:
    agree(lambda L, g: L.utils.data.RandomSampler(range(n), replacement, num_samples, generator=g), seed, own)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.integers(1, 40), st.booleans(), st.booleans())
def test_weighted_random_sampler(weights: list[float], num_samples: int, replacement: bool, own: bool) -> None:
    if not replacement:
        weights = [w + 0.1 for w in weights]
        num_samples = min(num_samples, len(weights))
    if sum(weights) < 1e-3:
        weights[0] = 1.0
    agree(lambda L, g: L.utils.data.WeightedRandomSampler(weights, num_samples, replacement, g), own=own)


@given(sizes, st.integers(1, 9), st.booleans(), st.booleans())
def test_other_samplers(n: int, batch_size: int, drop_last: bool, own: bool) -> None:
    indices = [3 * i for i in range(n)]
    agree(lambda L, g: L.utils.data.SubsetRandomSampler(indices, g), own=own)
    agree(lambda L, g: L.utils.data.SequentialSampler(indices))
    agree(
        lambda L, g: L.utils.data.BatchSampler(L.utils.data.SubsetRandomSampler(indices, g), batch_size, drop_last),
        own=own,
    )
    agree(lambda L, g: L.utils.data.BatchSampler(indices, batch_size, drop_last))


# ------------------------------------------------------------------------------------------------------------------ loader


@given(
    st.integers(1, 20),
    st.none() | st.integers(1, 6),
    st.sampled_from(["none", "shuffle", "random", "replacement", "subset", "weighted", "list", "batches"]),
    st.booleans(),
    st.booleans(),
)
def test_loader_with_samplers(n: int, batch_size: int | None, kind: str, drop_last: bool, own: bool) -> None:
    def make(L: Any, generator: Any) -> Any:
        d = L.utils.data
        options: dict[str, Any] = {"batch_size": batch_size, "drop_last": drop_last and batch_size is not None}
        samplers = {
            "random": lambda: d.RandomSampler(range(n), generator=generator),
            "replacement": lambda: d.RandomSampler(range(n), True, 2 * n + 1),
            "subset": lambda: d.SubsetRandomSampler(range(0, n, 2), generator),
            "weighted": lambda: d.WeightedRandomSampler(np.arange(1, n + 1), n),
            "list": lambda: [0, n - 1, 0],
        }
        if kind == "batches":
            options = {"batch_sampler": d.BatchSampler(d.RandomSampler(range(n)), batch_size or 1, drop_last)}
        elif kind == "shuffle":
            options["shuffle"] = True
        elif kind != "none":
            options["sampler"] = samplers[kind]()
        dataset = d.TensorDataset(L.arange(n), L.arange(2.0 * n).reshape(n, 2))
        return d.DataLoader(dataset, generator=generator, **options)

    agree(make, own=own)


@pytest.mark.parametrize("options", [{}, {"batch_size": 3}, {"batch_size": 3, "drop_last": True}, {"batch_size": None}])
@pytest.mark.parametrize("n", [0, 1, 6, 7])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("length", [False, True])
def test_loader_of_an_iterable_dataset(options: dict[str, Any], n: int, own: bool, length: bool) -> None:
    agree(lambda L, g: L.utils.data.DataLoader(counting(L, n, length), generator=g, **options), own=own)


class Eager:
    """A sampler that draws when iter() is called, as those that return iter(a list) do."""

    def __init__(self, L: Any, batches: bool):
        self.L, self.batches = L, batches

    def __iter__(self) -> Iterator[Any]:
        order = self.L.randperm(6).tolist()
        return iter([order[:3], order[3:]] if self.batches else order)

    def __len__(self) -> int:
        return 2 if self.batches else 6


@pytest.mark.parametrize("name", ["sampler", "batch_sampler"])
@pytest.mark.parametrize("batch_size", [1, None, 4])
def test_who_draws_first(name: str, batch_size: int | None) -> None:
    options: dict[str, Any] = {} if name == "batch_sampler" else {"batch_size": batch_size}
    agree(lambda L, g: L.utils.data.DataLoader(range(6), **{name: Eager(L, name == "batch_sampler")}, **options))


Point = namedtuple("Point", "x y")
SAMPLES = [
    1, 2.5, "text", b"bytes", None, np.ones(2), np.float32(1.5), np.int16(3), [np.ones(1), "a"], (1, np.zeros(2)),
    {"a": np.ones(1), "b": [1, 2]}, Point(np.ones(1), 2), np.array("a"), {1, 2},
]  # fmt: skip


@pytest.mark.parametrize("sample", SAMPLES, ids=repr)
def test_what_becomes_of_a_sample_without_batches(sample: Any) -> None:
    ours, theirs = (L.utils.data.default_convert(sample) for L in LIBRARIES)
    assert repr(plain(ours)) == repr(plain(theirs))
    agree(lambda L, g: L.utils.data.DataLoader([(sample,)], batch_size=None)) if not isinstance(sample, set) else None


def test_options_of_workers_are_accepted() -> None:
    options: dict[str, Any] = {
        "num_workers": 2, "prefetch_factor": 4, "persistent_workers": True, "pin_memory": True, "pin_memory_device": "",
        "worker_init_fn": print, "multiprocessing_context": "fork", "in_order": True, "timeout": 3,
    }  # fmt: skip
    loader = mg.utils.data.DataLoader(range(5), 2, **options)
    assert [x.tolist() for x in loader] == [[0, 1], [2, 3], [4]]
    assert (loader.num_workers, loader.prefetch_factor, loader.batch_sampler.batch_size) == (2, 4, 2)
    torch.utils.data.DataLoader(range(5), 2, **options)


def test_the_loader_knows_its_samplers() -> None:
    for L in LIBRARIES:
        d = L.utils.data
        loader = d.DataLoader(range(5), 2, True, drop_last=True)
        assert isinstance(loader.sampler, d.RandomSampler) and isinstance(loader.batch_sampler, d.BatchSampler)
        assert loader.batch_sampler.sampler is loader.sampler and loader.batch_sampler.drop_last
        loader = d.DataLoader(range(5), batch_sampler=[[1, 2], [0]])
        assert loader.batch_size is None and len(loader) == 2 and [x.tolist() for x in loader] == [[1, 2], [0]]
        assert len(d.DataLoader(counting(L, 7, True), 3)) == 3
        assert isinstance(d.DataLoader(range(5)).sampler, d.SequentialSampler)


def loader(dataset: Any = (1, 2), **options: Any) -> Callable[[Any], Any]:
    return lambda L: list(L.utils.data.DataLoader(dataset, **options))


MISTAKES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "batch_size with batches": (loader(batch_sampler=[[0]], batch_size=2), "mutually exclusive"),
    "shuffle with batches": (loader(batch_sampler=[[0]], shuffle=True), "mutually exclusive"),
    "drop_last with batches": (loader(batch_sampler=[[0]], drop_last=True), "mutually exclusive"),
    "drop_last without batches": (loader(batch_size=None, drop_last=True), "drop_last"),
    "prefetch without workers": (loader(prefetch_factor=2), "num_workers > 0"),
    "persistent without workers": (loader(persistent_workers=True), "num_workers > 0"),
    "context without workers": (loader(multiprocessing_context="fork"), "num_workers > 0"),
    "prefetch": (loader(num_workers=1, prefetch_factor=-1), "non-negative"),
    "shuffle of an iterable": (lambda L: L.utils.data.DataLoader(counting(L, 3), shuffle=True), "IterableDataset"),
    "sampler of an iterable": (lambda L: L.utils.data.DataLoader(counting(L, 3), sampler=[1]), "IterableDataset"),
    "batches of an iterable": (lambda L: L.utils.data.DataLoader(counting(L, 3), batch_sampler=[[1]]), "IterableDataset"),
    "length of an iterable": (lambda L: len(L.utils.data.DataLoader(counting(L, 3))), "len"),
    "no iter": (lambda L: iter(L.utils.data.IterableDataset()), ""),
    "no samples": (lambda L: L.utils.data.RandomSampler([]), "num_samples=0"),
    "num_samples": (lambda L: L.utils.data.RandomSampler([1], num_samples=2.5), "num_samples=2.5"),
    "replacement": (lambda L: L.utils.data.RandomSampler([1], 3), "replacement=3"),
    "weights": (lambda L: L.utils.data.WeightedRandomSampler([[1.0]], 1), "(1, 1)"),
    "weighted num_samples": (lambda L: L.utils.data.WeightedRandomSampler([1.0], True), "num_samples=True"),
    "weighted replacement": (lambda L: L.utils.data.WeightedRandomSampler([1.0], 1, 0), "replacement=0"),
    "more than there are": (lambda L: list(L.utils.data.WeightedRandomSampler([1.0, 2.0], 3, False)), "3"),
    "batch_size": (lambda L: L.utils.data.BatchSampler([1], 0, False), "batch_size=0"),
    "drop_last": (lambda L: L.utils.data.BatchSampler([1], 1, 0), "drop_last=0"),
    "split": (lambda L: L.utils.data.random_split(range(5), [2, 2]), "does not equal"),
    "fractions": (lambda L: L.utils.data.random_split(range(5), [1.5, -0.5]), "Fraction at index 0"),
    "nothing in a row": (lambda L: L.utils.data.ConcatDataset([]), "empty"),
    "an iterable in a row": (lambda L: L.utils.data.ConcatDataset([counting(L, 3)]), "IterableDataset"),
    "numbers in a chain": (lambda L: list(L.utils.data.ChainDataset([range(3)])), "IterableDataset"),
    "before the first": (lambda L: L.utils.data.ConcatDataset([[1]])[-2], "absolute value"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_torchs_error(name: str) -> None:
    check_same_error(*MISTAKES[name])


def test_the_random_state_is_a_tensor_that_goes_back_and_forth() -> None:
    for L in LIBRARIES:
        L.manual_seed(11)
        L.randn(3)
        kept = L.get_rng_state()
        assert kept.dtype is L.uint8 and tuple(kept.shape) == (5056,)
        first = L.rand(4).tolist(), L.randn(3).tolist()
        L.set_rng_state(kept)
        assert first == (L.rand(4).tolist(), L.randn(3).tolist())
    mg.manual_seed(5)
    torch.manual_seed(5)
    same(mg.get_rng_state(), torch.get_rng_state(), exact=True)
