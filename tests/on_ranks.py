"""What minigrad.distributed says, tried on ranks; test_distributed.py starts this file, and so does

    CI=true mpiexec -n 3 python -m mpi4py -m pytest -x -p no:cacheprovider tests/on_ranks.py

All ranks run the same tests in the same order, and draw the same cases: each knows the whole batch, and takes its part of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import CPU, numpy_of
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad.distributed as dist
from minigrad import backend
from minigrad.distributed import World, gradients
from minigrad.distributed import world as world_module
from minigrad.nn import functional as F

# No shrinking: it would run the cases of the rank that failed again, and the others would not come.
alike = settings(
    max_examples=min(12, settings.default.max_examples),
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
)
seeds = st.integers(0, 2**31)
FLOATS = ("float32", "float64", "float16")


@pytest.fixture(scope="session")
def world() -> World:
    return dist.init(timeout=40)


@pytest.fixture
def group(world: World) -> Iterator[World]:
    """torch's process group."""
    dist.init_process_group("nccl")
    yield world
    dist.destroy_process_group()


@pytest.fixture(autouse=True)
def together(world: World) -> Iterator[None]:
    """A rank begins a test when all have ended the one before."""
    world.gather()
    yield
    world.gather()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long this rank would have slept before it raised; it does not sleep."""
    naps: list[float] = []
    sleep = lambda seconds: naps.append(seconds) if seconds >= 1 else time.sleep(seconds)  # noqa: E731
    monkeypatch.setattr(world_module, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    return naps


def part(world: World, n: int, rng: np.random.Generator) -> slice:
    """This rank's part of n things: the ranks' parts follow one another, and some may be empty."""
    cuts = [0, *sorted(rng.integers(0, n + 1, world.world_size - 1).tolist()), n]
    return slice(cuts[world.rank], cuts[world.rank + 1])


def whole_numbers(rng: np.random.Generator, *shape: int, dtype: str = "float32") -> np.ndarray:
    return rng.integers(-4, 5, shape).astype(dtype)


def bits(x: Any) -> tuple[str, tuple[int, ...], bytes]:
    array = numpy_of(x)
    return str(array.dtype), array.shape, (array + 0).tobytes()  # -0 is 0


def looked_up(ids: Any, table: Any, sparse: bool = False) -> Any:
    """A lookup whose gradient is rows: on a GPU it is so only where the user asks for it."""
    return F.embedding(mg.tensor(ids), table, sparse=sparse or not CPU)


def dense(g: Any) -> np.ndarray:
    return numpy_of(g.to_dense() if g.is_sparse else g)


def set_gradient(p: Any, g: np.ndarray | None) -> None:
    p.grad = None if g is None else mg.tensor(g)


def parameter(array: np.ndarray) -> Any:
    return mg.tensor(array, requires_grad=True)


# ----------------------------------------------------------------------------------------------------------------- numbers


def test_gather_mean_any(world: World) -> None:
    n, r = world.world_size, world.rank
    table = world.gather([r, 10.5 * r, -1])
    assert table.dtype == np.float64 and table.tolist() == [[k, 10.5 * k, -1] for k in range(n)]
    assert world.gather().shape == (n, 0) and world.gather(2**53 - 1 - r)[:, 0].tolist() == [
        2**53 - 1 - k for k in range(n)
    ]
    assert world.mean(r, r + 1) == pytest.approx(
        sum(k * (k + 1) for k in range(n)) / sum(k + 1 for k in range(n)), 1e-15
    )
    assert world.mean(float(r)) == (n - 1) / 2
    assert world.mean(7.0 if r == n - 1 else float("nan"), float(r == n - 1)) == 7.0  # a mean over nothing is left out
    assert [world.any(r == k) for k in range(n + 1)] == [True] * n + [False]
    assert repr(world) == f"World(rank={r}, world_size={n})" and 0 <= world.local_rank < n == len(world.hosts)


@alike
@given(seeds, st.sampled_from([*FLOATS, "int64", "uint16", "bool"]), st.sampled_from([(), (3,), (2, 0), (2, 5)]))
def test_concatenate(world: World, seed: int, dtype: str, row: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 5, world.world_size)
    everybody = [rng.integers(0, 99, (n, *row)).astype(dtype) for n in lengths]
    mine = everybody[world.rank]
    if seed % 2 and mine.ndim > 1:  # in another order in memory
        mine = np.asfortranarray(mine)
    assert bits(world.concatenate(mine)) == bits(np.concatenate(everybody))


@alike
@given(seeds, st.sampled_from([*FLOATS, "int64", "bool"]), st.sampled_from([(), (0,), (4,), (2, 3)]))
def test_from_first(world: World, seed: int, dtype: str, shape: tuple[int, ...]) -> None:
    everybody = [np.random.default_rng([seed, k]).integers(0, 99, shape).astype(dtype) for k in range(world.world_size)]
    mine = everybody[world.rank].T.copy().T
    kept = mine.copy()
    got = world.from_first(mine)
    assert bits(got) == bits(everybody[0]) and bits(mine) == bits(kept) and not np.shares_memory(got, mine)
    content = [bytes(range(k, 3 * k + 5)) for k in range(world.world_size)]
    assert world.bytes_from_first(content[world.rank]) == content[0]
    assert world.bytes_from_first(b"" if world.rank == 0 else b"not this") == b""


def test_add_up(world: World) -> None:
    n = world.world_size
    one, two = np.arange(5.0) + world.rank, np.full(3, 2**world.rank)
    finish = world.add_up(one), world.add_up(two)  # both are on their way
    finish[1]()
    finish[0]()
    assert one.tolist() == [n * i + n * (n - 1) / 2 for i in range(5)] and two.tolist() == [2**n - 1] * 3
    rest = np.random.default_rng(world.rank).standard_normal(1000).astype(np.float32)
    world.add_up(rest)()
    assert bits(world.from_first(rest)) == bits(rest)


# --------------------------------------------------------------------------------------------------------------- gradients


@alike
@given(
    seeds,
    st.integers(1, 40),
    st.integers(1, 4),
    st.integers(0, 30),
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
    st.sampled_from(["alone", "tied", "seen"]),
)
def test_lookups_of_parts_come_to_the_gradient_of_the_whole(
    world: World, seed: int, V: int, D: int, n: int, dtype: str, skip_empty: bool, use: str
) -> None:
    rng = np.random.default_rng(seed)
    ids, cotangent, table = rng.integers(0, V, n), whole_numbers(rng, n, D, dtype=dtype), np.ones((V, D), dtype)

    def lookup(these: slice) -> Any:
        p = parameter(table)
        if skip_empty and these.start == these.stop:
            return p
        loss = (looked_up(ids[these], p, use == "seen") * mg.tensor(cotangent[these])).sum()
        if use == "tied":
            loss = loss + 3 * p.sum() if these.start == 0 and these.stop else loss + 0 * p.sum()
        loss.backward()
        return p

    mine = part(world, n, rng)
    lengths = world.gather(mine.stop - mine.start)[:, 0]
    first = world.gather([float(mine.start == 0 and mine.stop > 0)]).sum()
    distinct = world.gather(len(set(ids[mine].tolist())))[:, 0]
    p, whole = lookup(mine), lookup(slice(0, n))
    if use == "tied" and first > 1:  # an empty part at the start would add its 3 too
        return
    done = world.all_reduce([p])
    if skip_empty and not lengths.any():
        assert done == dist.Exchange([None], 0) and p.grad is None
        return
    row = 8 + D * np.dtype(dtype).itemsize
    as_rows = use != "tied" and distinct.sum() * row < V * D * np.dtype(dtype).itemsize
    assert done.how == ["rows" if as_rows else "dense"]
    assert done.bytes == (distinct[world.rank] * row if as_rows else V * D * np.dtype(dtype).itemsize)
    if (use == "seen" or not CPU) and as_rows:
        assert p.grad.is_sparse and p.grad.is_coalesced()
        assert len(set(numpy_of(p.grad.indices())[0].tolist())) == len(numpy_of(p.grad.values()))
    else:
        assert not p.grad.is_sparse
    assert bits(dense(p.grad)) == bits(dense(whole.grad))


def test_a_sparse_embedding_stays_sparse(world: World) -> None:
    table = mg.nn.Embedding(1000, 4, sparse=True)
    world.broadcast(table)
    table(mg.tensor([world.rank, 7, 7])).sum().backward()
    done = world.all_reduce(table.parameters())
    assert done.how == ["rows"] and done.bytes == 2 * 24
    g = table.weight.grad
    assert g.is_sparse and sorted(numpy_of(g.indices())[0].tolist()) == [*range(world.world_size), 7]
    assert numpy_of(g.to_dense())[7].tolist() == [2.0 * world.world_size] * 4
    mg.optim.SparseAdam([table.weight], lr=0.1).step()
    world.check(table)


@alike
@given(seeds, st.integers(1, 12), st.sampled_from(["some", "one rank has none"]))
def test_means_over_uneven_parts(world: World, seed: int, rows: int, parts: str) -> None:
    rng = np.random.default_rng(seed)
    n, N = rows * world.world_size, world.world_size
    x, y, w = rng.standard_normal((n, 5)), rng.integers(0, 4, n), rng.standard_normal((5, 4))
    y[rng.random(n) < 0.4] = -100
    y[N - 1] = 1
    if parts == "one rank has none" and N > 1:
        y[0::N] = -100  # those of rank 0: its mean is over nothing, not a number

    def gradient(these: slice) -> Any:
        p = parameter(w)
        F.cross_entropy(mg.tensor(x[these]) @ p, mg.tensor(y[these])).backward()
        return p

    p, whole = gradient(slice(world.rank, None, N)), gradient(slice(None))
    count = int((y[world.rank :: N] != -100).sum())
    world.all_reduce([p], count)
    np.testing.assert_allclose(numpy_of(p.grad), numpy_of(whole.grad), rtol=0, atol=1e-12)
    assert bits(world.from_first(numpy_of(p.grad))) == bits(p.grad)
    loss = float(F.cross_entropy(mg.tensor(x[world.rank :: N] @ w), mg.tensor(y[world.rank :: N])).item())
    assert world.mean(loss, count) == pytest.approx(F.cross_entropy(mg.tensor(x @ w), mg.tensor(y)).item(), abs=1e-12)


def test_the_mean_of_means_is_another_number(world: World) -> None:
    p = parameter(np.zeros(1))
    p.grad = mg.tensor([float(world.rank)], dtype=mg.float64)
    world.all_reduce([p], count=world.rank + 1)
    N = world.world_size
    assert p.grad.item() == pytest.approx(sum(r * (r + 1) for r in range(N)) / (N * (N + 1) / 2), rel=1e-15, abs=0)
    assert N == 1 or p.grad.item() > (N - 1) / 2 + 0.1


def test_counts_of_rows(world: World) -> None:
    """Rows too are weighted by the counts."""
    N, p = world.world_size, parameter(np.zeros((1000, 2)))
    (looked_up([5, world.rank], p) * (world.rank + 1.0)).sum().backward()
    assert world.all_reduce([p], count=2 * world.rank + 1).how == ["rows"]
    g, counts = dense(p.grad), [2 * r + 1 for r in range(N)]
    expected = np.zeros((1000, 2))
    for r, count in enumerate(counts):
        expected[[5, r]] += (r + 1) * count / sum(counts)
    np.testing.assert_allclose(g, expected, rtol=1e-14, atol=0)


def test_a_mean_over_nothing_adds_nothing(world: World) -> None:
    if world.world_size == 1:
        return
    p, table = parameter(np.zeros(2)), parameter(np.zeros((50, 2)))
    set_gradient(p, np.full(2, np.nan if world.rank == 0 else 3.0))
    (looked_up([7], table) * (np.nan if world.rank == 0 else 3.0)).sum().backward()
    assert world.all_reduce([p, table], count=5 * min(world.rank, 1)).how == ["dense", "rows"]
    np.testing.assert_allclose([numpy_of(p.grad), dense(table.grad)[7]], np.full((2, 2), 3.0), rtol=1e-14)


@pytest.mark.parametrize("case", ["all 0", "negative", "not a number", "infinite", "one gives none"])
def test_wrong_counts(world: World, naps: list[float], case: str) -> None:
    if case == "one gives none" and world.world_size == 1:
        return
    p = parameter(np.ones(2))
    p.grad = mg.ones(2, dtype=mg.float64)
    last = world.rank == world.world_size - 1
    count = {
        "all 0": 0,
        "negative": -3 if last else 5,
        "not a number": np.nan,
        "infinite": np.inf if last else 1,
        "one gives none": None if last else 4,
    }[case]
    with pytest.raises(
        ValueError,
        match=r"all_reduce: counts of targets must be finite, 0 or more, and not all 0, or none on every rank: got ",
    ):
        world.all_reduce([p], count)
    assert naps == ([] if world.rank == 0 else [3])


def test_a_parameter_without_a_gradient(world: World) -> None:
    N, last = world.world_size, world.world_size - 1
    some, none, fixed, frozen = (parameter(np.full(3, 2.0)) for _ in range(4))
    fixed.requires_grad_(False)
    set_gradient(some, np.full(3, 5.0) if world.rank == last else None)
    set_gradient(frozen, np.full(3, float(world.rank)))
    frozen.requires_grad_(False)
    done = world.all_reduce(p for p in (some, none, fixed, frozen))  # an iterator is as good as a list
    assert done.how == ["dense", None] and numpy_of(some.grad).tolist() == [5.0] * 3
    assert none.grad is None and fixed.grad is None and numpy_of(frozen.grad).tolist() == [float(world.rank)] * 3
    assert world.all_reduce([]) == dist.Exchange([], 0)
    table = parameter(np.zeros((100, 2)))
    if world.rank == last:
        looked_up([4, 4], table).sum().backward()
    done = world.all_reduce([table], count=3)
    assert done.how == ["rows"] and done.bytes == (24 if world.rank == last else 0)
    assert dense(table.grad)[4].tolist() == [2 / N] * 2


@pytest.mark.parametrize("case", ["one more", "shape", "dtype", "order", "frozen"])
def test_parameters_that_differ(world: World, naps: list[float], case: str) -> None:
    a, b = parameter(np.zeros((2, 3))), parameter(np.zeros(3))
    if world.world_size == 1:
        return
    odd = {
        "one more": [a, b, b.detach().clone().requires_grad_()],
        "shape": [parameter(np.zeros((3, 2))), b],
        "dtype": [parameter(np.zeros((2, 3), np.float32)), b],
        "order": [b, a],
        "frozen": [a.requires_grad_(world.rank == 0), b],
    }[case]
    with pytest.raises(RuntimeError, match="the ranks do not have the same parameters"):
        world.all_reduce([a, b] if world.rank == 0 else odd)
    assert naps == ([] if world.rank == 0 else [3])


def test_a_parameter_named_twice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "BUCKET", 4)
    p = parameter(np.zeros(9))
    set_gradient(p, np.ones(9))
    world.all_reduce([p, p])
    assert numpy_of(p.grad).tolist() == [float(world.world_size)] * 9


@alike
@given(
    seeds,
    st.lists(st.tuples(st.sampled_from(FLOATS), st.lists(st.integers(0, 5), max_size=3), st.booleans()), max_size=8),
    st.sampled_from([1, 7, 100]),
    st.booleans(),
)
def test_buckets(
    world: World, seed: int, kinds: list[tuple[str, list[int], bool]], bucket: int, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    everybody = [
        [whole_numbers(rng, *shape, dtype=dtype) for dtype, shape, _ in kinds] for _ in range(world.world_size)
    ]
    parameters = [parameter(np.zeros(shape, dtype)) for dtype, shape, _ in kinds]
    for p, g, (_, _, turned) in zip(parameters, everybody[world.rank], kinds, strict=True):
        p.grad = mg.tensor(np.array(g.T, order="C")).permute(tuple(range(g.ndim))[::-1]) if turned else mg.tensor(g)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradients, "BUCKET", bucket)
        # Weights are 1/N: exact for 1, 2 and 4 ranks
        done = world.all_reduce(parameters, 3 if weighted and world.world_size != 3 else None)
    assert done.how == ["dense"] * len(kinds)
    for i, p in enumerate(parameters):
        total = sum(theirs[i].astype(np.float64) for theirs in everybody)
        expected = total / world.world_size if weighted and world.world_size != 3 else total
        assert bits(p.grad) == bits(np.asarray(expected).astype(kinds[i][0]))
    for i, p in enumerate(parameters):
        for q in parameters[:i]:
            assert not backend.shares_memory(p.grad.array, q.grad.array)
        assert not backend.shares_memory(p.grad.array, p.array)


def test_what_all_ranks_have_is_the_same_to_the_last_bit(world: World) -> None:
    p, table = parameter(np.zeros(5000, np.float32)), parameter(np.zeros((5000, 3), np.float32))
    rng = np.random.default_rng(world.rank)
    set_gradient(p, rng.standard_normal(5000).astype(np.float32))
    scale = mg.tensor(rng.standard_normal((90, 3)).astype(np.float32))
    (looked_up(rng.integers(0, 20, 90), table) * scale).sum().backward()
    assert world.all_reduce([p, table], count=world.rank + 1).how == ["dense", "rows"]
    for g in (p.grad, table.grad):
        assert bits(world.from_first(dense(g))) == bits(dense(g))


# ---------------------------------------------------------------------------------------------------------------- training


class Tied(mg.nn.Module):
    def __init__(self, p: float = 0.0):
        super().__init__()
        self.table = mg.nn.Embedding(11, 8, dtype=mg.float64)
        self.hidden = mg.nn.Linear(8, 8, dtype=mg.float64)
        self.norm = mg.nn.LayerNorm(8, dtype=mg.float64)
        self.dropout = mg.nn.Dropout(p)

    def forward(self, ids: Any) -> Any:
        x = self.dropout(self.table(ids))
        scores = (x @ x.transpose(1, 2) / 8**0.5).softmax(-1)
        x = self.norm(x + F.gelu(self.hidden(self.dropout(scores @ x))))
        return x @ self.table.weight.T


def train(world: World, whole: bool, steps: int, p: float = 0.0) -> tuple[Tied, list[float]]:
    """The same 12 windows a step, on this rank alone or one part on each; what is counted is uneven."""
    mg.manual_seed(3)
    model, rng = Tied(p), np.random.default_rng(5)
    rank, ranks = (0, 1) if whole else (world.rank, world.world_size)
    mg.default_generator.share = (rank, ranks, 12 // ranks) if p else None
    optimizer, losses = mg.optim.AdamW(model.parameters(), lr=1e-2), []
    for _ in range(steps):
        x, y = rng.integers(0, 11, (2, 12, 5))
        y[rng.random((12, 5)) < 0.3] = -100
        x, y = x[rank::ranks], y[rank::ranks]
        loss = F.cross_entropy(model(mg.tensor(x)).flatten(0, 1), mg.tensor(y).flatten())
        optimizer.zero_grad()
        loss.backward()
        count = int((y != -100).sum())
        if not whole:
            assert world.all_reduce(model.parameters(), count).how[0] == "dense"  # the table is a matrix too
        losses.append(loss.item() if whole else world.mean(loss.item(), count))
        optimizer.step()
    mg.default_generator.share = None
    return model, losses


@pytest.mark.parametrize("p", [0.0, 0.3])
def test_ranks_train_as_one_process(world: World, p: float) -> None:
    steps = 5 if p or not CPU else 200 if world.world_size == 2 else 40
    one, losses = train(world, True, steps, p)
    state = bytes(numpy_of(mg.get_rng_state()))
    many, theirs = train(world, False, steps, p)
    assert bytes(numpy_of(mg.get_rng_state())) == state
    np.testing.assert_allclose(theirs, losses, rtol=0, atol=1e-12)
    for a, b in zip(one.parameters(), many.parameters(), strict=True):
        np.testing.assert_allclose(numpy_of(b), numpy_of(a), rtol=0, atol=1e-12)
    world.check(many)


# ------------------------------------------------------------------------------------------------------------- of one mind


def flip(t: Any) -> None:
    array = numpy_of(t).copy()
    array.reshape(-1).view(np.uint8)[-1] ^= 1
    with mg.no_grad():
        t.copy_(mg.tensor(array))


def normed() -> Any:
    return mg.nn.Sequential(mg.nn.Linear(3, 2), mg.nn.BatchNorm1d(2))


def test_check_finds_one_bit(world: World, naps: list[float]) -> None:
    mg.manual_seed(world.rank)
    model = normed()
    world.broadcast(model)
    world.check(model)
    for name in ("0.weight", "1.bias", "1.running_var", "1.num_batches_tracked"):
        tensor = {**dict(model.named_parameters()), **dict(model.named_buffers())}[name]
        if world.world_size == 1:
            return
        if world.rank == world.world_size - 1:
            flip(tensor)
        with pytest.raises(
            RuntimeError, match=rf"{re.escape(name)} on rank {world.world_size - 1} \(.*\) is not what it is on rank 0"
        ):
            world.check(model)
        world.broadcast(model)
        world.check(model)
    assert naps == ([] if world.rank == 0 else [3] * 4)


def test_broadcast_gives_what_rank_0_has(world: World) -> None:
    mg.manual_seed(100 + world.rank)
    mine = normed()
    mine.register_buffer("turned", mg.tensor(np.arange(6.0).reshape(2, 3) + world.rank).T)
    mg.manual_seed(100)
    first = normed()
    leaves = list(mine.parameters())
    world.broadcast(mine)
    assert [bits(p) for p in mine.parameters()] == [bits(p) for p in first.parameters()]
    assert all(a is b and a.is_leaf and a.requires_grad for a, b in zip(leaves, mine.parameters(), strict=True))
    assert numpy_of(mine.turned).tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize("case", ["shape", "name", "dtype", "missing"])
def test_modules_that_differ_are_refused(world: World, naps: list[float], case: str) -> None:
    if world.world_size == 1:
        return
    module = mg.nn.Linear(3, 2)
    if world.rank == 1:
        module = {
            "shape": lambda: mg.nn.Linear(4, 2),
            "name": lambda: mg.nn.Sequential(module),
            "dtype": lambda: mg.nn.Linear(3, 2, dtype=mg.float64),
            "missing": lambda: mg.nn.Linear(3, 2, bias=False),
        }[case]()
    before = [bits(p) for p in module.parameters()]
    fact = (
        {
            "shape": r"weight: '(2, 3) .*float32' on rank 0 .* '(2, 4) .*float32' on rank 1 ",
            "name": "0.weight: None on rank 0 .* '(2, 3) .*float32' on rank 1 ",
            "dtype": "bias: '(2,) .*float32' on rank 0 .* '(2,) .*float64' on rank 1 ",
            "missing": "bias: '(2,) .*float32' on rank 0 .* None on rank 1 ",
        }[case]
        .replace("(", r"\(")
        .replace(")", r"\)")
    )
    with pytest.raises(RuntimeError, match=fact):
        world.broadcast(module)
    assert [bits(p) for p in module.parameters()] == before and naps == ([] if world.rank == 0 else [3])


def test_facts_that_differ(world: World, naps: list[float]) -> None:
    world.same({"seed": 3, "text": "abc", "nothing": None})
    if world.world_size == 1:
        return
    with pytest.raises(RuntimeError) as caught:
        world.same({"seed": 3, **{f"fact {i}": i * world.rank for i in range(9)}})
    lines = str(caught.value).splitlines()
    assert "the ranks differ" in lines[0] and "seed" not in str(caught.value)
    assert lines[1].startswith("  fact 1: 0 on rank 0 (") and ", 1 on rank 1 (" in lines[1]
    assert lines[-1] == f"  and {8 * (world.world_size - 1) - 5} more" and len(lines) == 7


def test_a_rank_that_is_late_is_named(world: World, naps: list[float]) -> None:
    if world.world_size == 1:
        return
    impatient, late = World(world.comm.Dup(), 0.3), world.world_size - 1
    if world.rank != late:
        with pytest.raises(TimeoutError, match=rf"^rank {late} \(.*\) did not come within 0.3 s"):
            impatient.gather()
        assert naps == ([] if world.rank == 0 else [3])
    assert len(world.gather()) == world.world_size  # what the impatient ones said hangs on in their own communicator


def test_time_waited_is_counted(world: World) -> None:
    before = world.waited
    if world.rank == world.world_size - 1:
        time.sleep(0.2)
    world.gather()
    if world.rank < world.world_size - 1:
        assert world.waited - before > 0.1


# ----------------------------------------------------------------------------------------------------------- torch's names


def test_torchs_functions(group: World) -> None:
    N, r = group.world_size, group.rank
    assert (dist.get_rank(), dist.get_world_size(), dist.is_initialized(), dist.is_available()) == (r, N, True, True)
    assert dist.environment() == {"RANK": str(r), "WORLD_SIZE": str(N), "LOCAL_RANK": str(group.local_rank)}
    values = [[float(k + 1), -2.0 * k] for k in range(N)]
    for op, f in (("SUM", np.sum), ("AVG", np.mean), ("PRODUCT", np.prod), ("MIN", np.min), ("MAX", np.max)):
        t = mg.tensor(values[r])
        assert dist.all_reduce(t, op=getattr(dist.ReduceOp, op)) is None
        np.testing.assert_allclose(numpy_of(t), f(values, axis=0), rtol=1e-7, err_msg=op)
    counts = mg.tensor([r, 1])
    dist.all_reduce(counts)
    assert counts.dtype == mg.int64 and counts.tolist() == [N * (N - 1) // 2, N]
    for src in range(N):
        t, scalar = mg.tensor(values[r]), mg.tensor(r)
        view = mg.zeros(2, 2)[:, 1].copy_(t)
        for x in (t, scalar, view):
            dist.broadcast(x, src)
        assert t.tolist() == view.tolist() == values[src] and scalar.item() == src
    p = parameter(np.full(2, float(r)))
    dist.broadcast(p)
    assert p.tolist() == [0.0, 0.0] and p.is_leaf and p.requires_grad
    dist.barrier()
    dist.destroy_process_group()
    assert (dist.get_rank(), dist.get_world_size(), dist.is_initialized()) == (0, 1, False)
    t = mg.tensor(values[r])
    dist.all_reduce(t)
    assert t.tolist() == values[r]


@pytest.mark.parametrize("mistake", ["op", "src", "negative src"])
def test_torchs_functions_refuse(group: World, mistake: str) -> None:
    t = mg.zeros(2)
    with pytest.raises(ValueError, match="ReduceOp" if mistake == "op" else f"src must be .* {group.world_size} ranks"):
        if mistake == "op":
            dist.all_reduce(t, op="median")
        else:
            dist.broadcast(t, group.world_size if mistake == "src" else -1)


def test_another_world_size_is_refused(world: World) -> None:
    with pytest.raises(RuntimeError, match=rf"world_size is 9, and MPI knows of {world.world_size}: .*mpiexec -n 9 "):
        dist.init_process_group(world_size=9)
    assert not dist.is_initialized()


def test_ddp_means_over_ranks(group: World) -> None:
    mg.manual_seed(group.rank)
    ddp = dist.DistributedDataParallel(mg.nn.Linear(3, 1, dtype=mg.float64))
    group.check(ddp)
    x = np.random.default_rng(0).standard_normal((group.world_size, 4, 3))
    w = ddp.module.weight
    ddp(mg.tensor(x[group.rank])).sum().backward()
    expected = x.sum(1).mean(0)
    np.testing.assert_allclose(numpy_of(w.grad)[0], expected, rtol=1e-13)
    with ddp.no_sync():
        ddp(mg.tensor(x[group.rank])).sum().backward()
    np.testing.assert_allclose(numpy_of(w.grad)[0], expected + x[group.rank].sum(0), rtol=1e-13)
    ddp.require_backward_grad_sync = False
    ddp(mg.tensor(x[group.rank])).sum().backward()
    np.testing.assert_allclose(numpy_of(w.grad)[0], expected + 2 * x[group.rank].sum(0), rtol=1e-13)
    ddp.require_backward_grad_sync = True
    ddp(mg.tensor(x[group.rank])).sum().backward()
    np.testing.assert_allclose(numpy_of(w.grad)[0], 4 * expected, rtol=1e-12)
    assert isinstance(ddp, mg.nn.Module) and list(ddp.state_dict()) == ["module.weight", "module.bias"]
    assert not ddp.eval().module.training and len(list(ddp.parameters())) == 2


def test_ddp_tells_of_a_parameter_left_out(group: World) -> None:
    model = mg.nn.ModuleDict({"used": mg.nn.Linear(2, 1), "left_out": mg.nn.Linear(2, 1)})
    model.forward = lambda x: model["used"](x)  # type: ignore[method-assign]
    ddp = dist.DistributedDataParallel(model)
    ddp(mg.ones(1, 2)).sum().backward()
    with pytest.raises(RuntimeError, match=r"Expected to have finished reduction .* 2 of 4 .*left_out\.weight"):
        ddp(mg.ones(1, 2))
    with pytest.raises(NotImplementedError, match=r"world\.all_reduce"):
        dist.DistributedDataParallel(model, find_unused_parameters=True)
    dist.destroy_process_group()
    with pytest.raises(RuntimeError, match="init_process_group"):
        dist.DistributedDataParallel(model)


def test_ddp_takes_buffers_from_rank_0(group: World) -> None:
    mg.manual_seed(1)
    ddp, alone = dist.DistributedDataParallel(normed()), normed()
    alone.load_state_dict(ddp.module.state_dict())
    x = np.random.default_rng(0).standard_normal((2, group.world_size, 6, 3)).astype(np.float32)
    for batch in x:
        ddp(mg.tensor(batch[group.rank])).sum().backward()
        alone(mg.tensor(batch[0]))  # what rank 0 sees
    ddp.eval()
    mean = numpy_of(ddp.module[1].running_mean)
    assert group.world_size == 1 or bool((group.concatenate(mean[None]) != mean).any())  # of each rank's second batch
    ddp.train()
    ddp(mg.tensor(x[0, 0]))  # all see the same from here
    alone(mg.tensor(x[0, 0]))
    for a, b in zip(ddp.module.buffers(), alone.buffers(), strict=True):
        assert bits(a) == bits(b)


def test_arrays_that_do_not_fit_are_refused(world: World, naps: list[float]) -> None:
    if world.world_size == 1:
        return
    last = world.rank == world.world_size - 1
    for array in (np.ones((2, 3 if last else 4)), np.ones(2, np.int32 if last else np.float32)):
        with pytest.raises(RuntimeError, match="the ranks' arrays differ in shape or dtype"):
            world.concatenate(array)
    world.gather()
