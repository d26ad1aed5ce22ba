"""What minigrad does on the CPU to be fast: pieces and threads change nothing that is computed, and memory is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import cpu
from minigrad.nn import functional as F

pytestmark = pytest.mark.cpu_only("pieces and threads are the CPU's")


@pytest.fixture(params=[1, 2, 3])
def threads(request, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", str(request.param))
    return request.param


@given(n=st.integers(0, 300), width=st.sampled_from([0, 1, 100, 5000, 40_000, 200_000]), share=st.booleans())
def test_pieces_make_up_the_range(n: int, width: int, share: bool) -> None:
    seen: list[tuple[int, int]] = []
    cpu.in_pieces(lambda start, stop: seen.append((start, stop)), n, width, share)
    assert [i for start, stop in sorted(seen) for i in range(start, stop)] == list(range(n))
    assert all(0 < stop - start <= cpu.rows_apiece(width) * cpu.LARGER for start, stop in seen)


def test_pieces_run_on_as_many_threads_as_asked(threads: int) -> None:
    together = threading.Barrier(threads, timeout=30)  # is passed only if that many threads wait at once
    cpu.in_pieces(lambda start, stop: together.wait() and None, threads, share=True, step=1)


def test_an_error_in_a_piece_is_raised(threads: int) -> None:
    def run(start: int, stop: int) -> None:
        if start == 5:
            raise KeyError("piece 5")

    with pytest.raises(KeyError, match="piece 5"):
        cpu.in_pieces(run, 7, share=True, step=1)
    done: list[int] = []
    cpu.in_pieces(lambda start, stop: done.append(start), 7, share=True, step=1)
    assert sorted(done) == list(range(7))


def bits_of_a_step() -> list[np.ndarray]:
    """Every function that is computed in pieces, on arrays of several, forward and backward."""
    mg.manual_seed(0)
    x = mg.randn(600, 300, requires_grad=True)
    table = mg.randn(1000, 300, requires_grad=True)
    w, b = mg.randn(300, requires_grad=True), mg.randn(300, requires_grad=True)
    ids = mg.randint(0, 1000, (600,))
    y = F.layer_norm(x, (300,), w, b) + F.gelu(x) + F.gelu(x, approximate="tanh") + F.silu(x) + F.embedding(ids, table)
    loss = F.cross_entropy(y, ids % 300) + (F.softmax(x, -1) * F.log_softmax(x, -1)).sum()
    loss.backward()
    optimizer = mg.optim.AdamW([x, table, w, b], lr=0.1)
    optimizer.step()
    return [t.detach().numpy() for t in (loss, x, table, w, b, x.grad, table.grad, w.grad, b.grad)]


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "WORTH_SHARING", 1)
    monkeypatch.setattr(cpu, "MUCH", 1)
    results = []
    for threads in "1", "2", "3":
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        results.append(bits_of_a_step())
    for other in results[1:]:
        for x, y in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(x, y)


def test_threads_are_as_quiet_as_the_main_one(threads: int) -> None:
    x = mg.full((600, 300), -np.inf)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert F.softmax(x, -1).isnan().all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    program = (
        "import os, numpy as np; from minigrad import cpu\n"
        "count = lambda: (s := [], cpu.in_pieces(lambda a, b: s.append(a), 9, 1, True, 1))[0]\n"
        "count(); pid = os.fork()\n"
        "ok = len(count()) == 9\n"
        "os._exit(not ok) if pid == 0 else print(ok, os.waitpid(pid, 0)[1])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert run.stdout.split() == ["True", "0"], run.stderr


FAULTS = """
import resource, minigrad, numpy as np
x = np.ones(5_000_000, np.float32); y = x + x; del y
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    y = x + x; del y
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the setting is glibc's")
def test_memory_is_kept_unless_the_environment_says_otherwise() -> None:
    def faults(**env: str) -> int:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        run = subprocess.run(
            [sys.executable, "-c", FAULTS], capture_output=True, text=True, timeout=60, env={**clean, **env}, check=True
        )
        return int(run.stdout)

    kept, given_back = faults(), faults(MALLOC_MMAP_THRESHOLD_="131072")
    assert kept < 10 < given_back  # a page fault for every piece of memory that is fresh


def test_rows_of_a_table_that_is_not_contiguous() -> None:
    table = np.arange(12.0).reshape(3, 4).T
    ids = np.array([[3, 0], [1, 1]])
    np.testing.assert_array_equal(cpu.gather(table, ids), table[ids])
    np.testing.assert_array_equal(cpu.gather_and_add(table, ids, np.ones((2, 3))), table[ids] + 1)
    rows = np.broadcast_to(np.array([1.0, 2.0]), (5, 2))
    index, sums = cpu.coalesce(np.array([2, 0, 2, 2, 0]), rows, 3)
    np.testing.assert_array_equal(index, [0, 2])
    np.testing.assert_array_equal(sums, [[2, 4], [3, 6]])


@given(
    st.integers(1, 300),
    st.integers(1, 6),
    st.sampled_from([1, 3, 70]),
    st.sampled_from([64, 1 << 15]),
    st.booleans(),
)
def test_scatter_add_is_the_loop(n: int, rows: int, width: int, block: int, share: bool) -> None:
    """Bit for bit, the zeros' signs too; also where an id occurs so often that it is summed by itself, in several pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "BLOCK", block)
        patch.setattr(cpu, "MUCH", 0 if share else 1 << 40)
        random = np.random.default_rng(n)
        ids = random.integers(0, rows, n)
        y = random.choice([-0.0, 1, 3, -3], (n, width)).astype(np.float32) * random.random(width, np.float32)
        index, sums = cpu.coalesce(ids, y, rows)
    wanted = np.zeros((rows, width), np.float32)
    for i, row in zip(ids, y, strict=True):
        wanted[i] += row
    np.testing.assert_array_equal(index, np.unique(ids))
    np.testing.assert_array_equal(sums.view(np.int32), wanted[index].view(np.int32))


@given(
    st.integers(0, 4),
    st.integers(0, 40),
    st.sampled_from([1, 3, 70]),
    st.sampled_from([64, 1 << 15]),
    st.booleans(),
)
def test_gather_and_add_is_both(batch: int, length: int, width: int, block: int, share: bool) -> None:
    """Bit for bit, where a piece is several sequences and where it is a part of one."""
    random = np.random.default_rng(length)
    table, positions = random.normal(size=(9, width)), random.normal(size=(length, width))
    ids = random.integers(0, 9, (batch, length))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "BLOCK", block)
        patch.setattr(cpu, "MUCH", 0 if share else 1 << 40)
        y = cpu.gather_and_add(table, ids, positions)
    np.testing.assert_array_equal(y, table[ids] + positions)


@given(st.integers(1, 40), st.sampled_from([1, 1 << 16, (1 << 16) + 1, 1 << 31, 1 << 40]))
def test_ids_are_sorted_as_by_numpy(n: int, rows: int) -> None:
    few = np.random.default_rng(n).integers(0, rows, 1 + n // 2)
    ids = np.random.default_rng(n).choice([*few, rows - 1], n)
    np.testing.assert_array_equal(cpu.sorted_by_id(ids, rows), ids.argsort(kind="stable"))
    if rows <= 1 << 16:
        ids = ids.astype(np.uint16)
        np.testing.assert_array_equal(cpu.sorted_by_id(ids, rows), ids.argsort(kind="stable"))
