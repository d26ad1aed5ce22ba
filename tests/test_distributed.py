"""minigrad.distributed without MPI, and on_ranks.py on one to four ranks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.data.distributed as torchs
from helpers import numpy_of
from hypothesis import example, given
from hypothesis import strategies as st

import minigrad as mg
import minigrad.distributed as dist
from minigrad.data.samplers import DistributedSampler
from minigrad.distributed import World
from minigrad.random import Generator

ROOT = Path(__file__).parents[1]


def run(command: list[str], seconds: float, **variables: str) -> tuple[int, str]:
    """The exit status and what was printed. At the end of its time a process is ended with all it has started."""
    variables = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1", **variables}
    with subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:  # fmt: skip
        try:
            said = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return -signal.SIGKILL, f"still running after {seconds} s:\n{process.communicate()[0]}"
    return process.returncode, said


# ------------------------------------------------------------------------------------------------------------- on ranks


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_on_ranks(mpiexec: list[str], request: pytest.FixtureRequest, n: int) -> None:
    if n != 2 and request.config.getoption("--backend") != "numpy":
        pytest.skip("on a stand-in for a GPU two ranks are enough: what another number changes is not on the device")
    backend = f"--backend={request.config.getoption('--backend')}"
    pytest_on_ranks = [sys.executable, "-m", "mpi4py", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", backend]
    profile = os.environ.get("HYPOTHESIS_PROFILE") or "ci"
    status, said = run(
        [*mpiexec, "-n", str(n), *pytest_on_ranks, "tests/on_ranks.py"], 300, CI="true", HYPOTHESIS_PROFILE=profile
    )
    assert status == 0 and "[100%]" in said, said
    assert "skipped" not in said


STARTED = """
import sys
import minigrad.distributed as dist
print("mpi4py" in sys.modules)
world = dist.init()
print(world, "mpi4py" in sys.modules)
"""


@pytest.mark.cpu_only("a program of its own")
def test_one_process_needs_no_mpi(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(STARTED)
    quiet = dict.fromkeys(("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"), "1")
    said = run([sys.executable, str(tmp_path / "train.py")], 60, **quiet)
    assert said == (0, "False\nWorld(rank=0, world_size=1) False\n")


@pytest.mark.cpu_only("a program of its own")
@pytest.mark.parametrize("variable", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_started_without_mpi4py(tmp_path: Path, variable: str) -> None:
    (tmp_path / "train.py").write_text(STARTED)
    status, said = run([sys.executable, str(tmp_path / "train.py")], 60, **{variable: "2"})
    assert status == 1 and "RuntimeError: mpiexec has started 2 of these" in said
    assert "\n    mpiexec -n 2 python -m mpi4py train.py\n" in said and "pip install -e '.[mpi]'" in said


# ---------------------------------------------------------------------------------------------------------- one process


def test_a_world_of_one() -> None:
    world, model = World(), mg.nn.Embedding(100, 3, sparse=True)
    assert (world.rank, world.world_size, world.local_rank, len(world.hosts)) == (0, 1, 0, 1)
    assert world.gather([1, 2]).tolist() == [[1, 2]] and world.any(True) and not world.any(False)
    assert world.mean(3.5, 7) == 3.5 and world.concatenate(np.arange(3)).tolist() == [0, 1, 2]
    assert world.from_first(np.arange(3)).tolist() == [0, 1, 2] and world.bytes_from_first(b"abc") == b"abc"
    array = np.arange(3.0)
    world.add_up(array)()
    assert array.tolist() == [0, 1, 2]
    world.broadcast(model)
    world.check(model)
    world.same({"a": 1})
    model(mg.tensor([4, 4, 9])).sum().backward()
    assert world.all_reduce(model.parameters(), count=3).how == ["rows"]
    assert {i: row for i, row in enumerate(numpy_of(model.weight.grad.to_dense()).tolist()) if any(row)} == {
        4: [2] * 3,
        9: [1] * 3,
    }
    for count in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="counts of targets"):
            world.all_reduce(model.parameters(), count=count)
    for timeout in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="timeout must be positive, in seconds"):
            World(timeout=timeout)


def test_torchs_functions_before_init_process_group() -> None:
    t = mg.tensor([1.0, 2.0])
    dist.all_reduce(t)
    dist.broadcast(t)
    dist.barrier()
    assert t.tolist() == [1.0, 2.0] and (dist.get_rank(), dist.get_world_size(), dist.is_initialized()) == (0, 1, False)
    with pytest.raises(RuntimeError, match="make sure to call init_process_group"):
        dist.DistributedDataParallel(mg.nn.Linear(1, 1))


# --------------------------------------------------------------------------------------------------------------- sampler


@given(
    st.integers(0, 70), st.integers(1, 9), st.booleans(), st.booleans(), st.integers(0, 2**31),
    st.lists(st.integers(0, 50), min_size=1, max_size=2), st.data(),
)  # fmt: skip
def test_the_samplers_order_is_torchs(
    n: int, replicas: int, shuffle: bool, drop_last: bool, seed: int, epochs: list[int], data: Any
) -> None:
    everybody = []
    for rank in range(replicas):
        options = {"num_replicas": replicas, "rank": rank, "shuffle": shuffle, "seed": seed, "drop_last": drop_last}
        ours, theirs = DistributedSampler(range(n), **options), torchs.DistributedSampler(range(n), **options)
        assert (len(ours), ours.total_size) == (len(theirs), theirs.total_size)
        for epoch in epochs:
            ours.set_epoch(epoch)
            theirs.set_epoch(epoch)
            order = list(ours)
            assert order == list(theirs) == list(ours) and all(type(i) is int for i in order)
        everybody.append(order)
    seen = [i for step in zip(*everybody, strict=True) for i in step]
    assert drop_last or set(seen) == set(range(n))
    assert not drop_last or len(set(seen)) == len(seen) == n // replicas * replicas
    whole = DistributedSampler(range(n), 1, 0, shuffle, seed)
    whole.set_epoch(epochs[-1])
    assert seen[:n] == list(whole)[: len(seen)]  # batch by batch what one process would see
    for rank in (-1, replicas, replicas + data.draw(st.integers(0, 5))):
        for sampler in (DistributedSampler, torchs.DistributedSampler):
            with pytest.raises(
                ValueError, match=rf"Invalid rank {rank}, rank should be in the interval \[0, {replicas - 1}\]"
            ):
                sampler(range(n), replicas, rank)


def test_the_sampler_of_one_process() -> None:
    sampler = DistributedSampler(range(100_000))
    assert (sampler.num_replicas, sampler.rank) == (1, 0)
    assert list(sampler) == list(torchs.DistributedSampler(range(100_000), 1, 0))
    loader = mg.utils.data.DataLoader(range(10), 3, sampler=DistributedSampler(range(10), 2, 1))
    theirs = torch.utils.data.DataLoader(range(10), 3, sampler=torchs.DistributedSampler(range(10), 2, 1))
    assert [x.tolist() for x in loader] == [x.tolist() for x in theirs]


# --------------------------------------------------------------------------------------------------------------- dropout


@example(1, 3, [(2, 5)], 0.5)
@given(
    st.integers(0, 2**31),
    st.sampled_from([1, 2, 3, 4, 6, 12]),
    st.lists(st.sampled_from([(), (3,), (2, 5), (0,), (700,)]), min_size=1, max_size=3),
    st.floats(0, 1),
)
def test_ranks_draw_together_what_one_draws(seed: int, ranks: int, rows: list[tuple[int, ...]], p: float) -> None:
    B, generators = 12, [Generator().manual_seed(seed) for _ in range(ranks + 1)]
    one, *many = generators
    one.share = 0, 1, B
    for rank, generator in enumerate(many):
        generator.share = rank, ranks, B // ranks
    for row in rows:
        whole, parts = one.bernoulli((B, *row), p), [g.bernoulli((B // ranks, *row), p) for g in many]
        for rank, part in enumerate(parts):
            assert part.tolist() == whole[rank::ranks].tolist()
        assert len({g.get_state().tobytes() for g in generators}) == 1
    # Rows of rows, as of (B·T, D): each window's together.
    whole, parts = one.bernoulli((B * 5, 2), p), [g.bernoulli((B // ranks * 5, 2), p) for g in many]
    for rank, part in enumerate(parts):
        assert part.reshape(-1, 5, 2).tolist() == whole.reshape(B, 5, 2)[rank::ranks].tolist()
    # What does not have that many rows is the same for all.
    if B // ranks > 1:
        assert len({g.bernoulli((B // ranks * 3 + 1,), p).tobytes() for g in many}) == 1
    assert len({g.bernoulli((), p).tobytes() for g in many}) == 1
    assert len({g.get_state().tobytes() for g in many}) == 1


def test_rows_of_a_shared_batch_are_independent() -> None:
    generator = Generator().manual_seed(1)
    generator.share = 1, 2, 50
    masks = np.stack([generator.bernoulli((50, 400), 0.3) for _ in range(4)]).reshape(200, 400)
    assert len({row.tobytes() for row in masks}) == 200 and abs(masks.mean() - 0.3) < 0.01
    correlation = np.corrcoef(masks)[~np.eye(200, dtype=bool)]
    assert abs(correlation).max() < 6 / 400**0.5 and abs(correlation.mean()) < 0.002


def test_without_a_share_masks_are_torchs() -> None:
    generator = Generator().manual_seed(3)
    theirs = torch.empty(3, 50).bernoulli_(0.3, generator=torch.Generator().manual_seed(3))
    assert generator.share is None and generator.bernoulli((3, 50), 0.3).tolist() == theirs.bool().tolist()
