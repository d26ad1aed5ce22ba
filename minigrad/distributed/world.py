"""The ranks of a run: several processes, on one machine or many, that run the same program on parts of every batch.

    mpiexec -n 4 python -m mpi4py train.py

starts train.py four times. What the ranks tell each other goes through MPI (mpi4py); a run of one process needs neither.
`python -m mpi4py` matters: an error on one rank then ends all of them, where plain python would leave the others waiting.
"""

from __future__ import annotations

import faulthandler
import json
import os
import platform
import sys
import time
import zlib
from collections.abc import Callable, Iterable
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .. import backend
from ..grad_mode import no_grad
from ..nn.module import Module
from ..ops.creation import from_numpy
from ..tensor import Tensor
from .gradients import Exchange, exchange

LAUNCH = "mpiexec -n {n} python -m mpi4py {program}"
_QUIETLY = 30.0  # seconds a rank waits for others before it says so


class World:
    """The processes that run this program together. `World()` is one process alone.

    All methods are collective: every rank calls them, in the same order. Where all ranks find the same fault, one of them
    says so and ends the others. CuPy arrays travel through the host: the MPI of the package index knows no GPUs.

    Args:
        comm: an mpi4py communicator of these processes; `init()` passes MPI's COMM_WORLD.
        timeout: seconds to wait for a rank that is late, before giving up.

    Attributes:
        rank: the number of this process, 0 <= rank < world_size.
        world_size: how many there are.
        local_rank: the number of this process on its machine: which GPU is its own.
        waited: seconds that this rank has waited for others so far.
    """

    def __init__(self, comm: Any = None, timeout: float = 600.0):
        if not timeout > 0:
            raise ValueError(f"World: timeout must be positive, in seconds; got {timeout}")
        self.comm, self.timeout, self.waited = comm, timeout, 0.0
        self._kept: dict[Any, np.ndarray] = {}
        self.rank, self.world_size, self.local_rank, self.hosts = 0, 1, 0, [platform.node()]
        if comm is not None:
            self.rank, self.world_size = comm.Get_rank(), comm.Get_size()
            self.hosts = comm.allgather(platform.node())
            self.local_rank = self.hosts[: self.rank].count(platform.node())

    def __repr__(self) -> str:
        return f"World(rank={self.rank}, world_size={self.world_size})"

    # ------------------------------------------------------------------------------------------------------------- numbers

    def gather(self, numbers: Any = ()) -> np.ndarray:
        """Everybody's numbers, (k,) on each rank: (world_size, k) float64, row r from rank r.

        Sent one by one, so that a rank that does not come is known by name. `gather()` is a barrier.

        Raises:
            TimeoutError: a rank is not here after `timeout` seconds.
        """
        mine = np.asarray(numbers, dtype=np.float64).reshape(-1)
        table = np.empty((self.world_size, len(mine)))
        table[self.rank] = mine
        others = [r for r in range(self.world_size) if r != self.rank]
        sent = [(r, self.comm.Isend(mine, r)) for r in others]
        self._wait([(r, self.comm.Irecv(table[r], r)) for r in others] + sent)
        return table

    def mean(self, value: float, count: float = 1) -> float:
        """The mean over all ranks' `count` things, of each of which `value` is the mean over its own: Σ count·value / Σ count."""
        values, counts = self.gather([value, count]).T
        return float((values * counts)[counts > 0].sum() / counts.sum())

    def any(self, flag: bool) -> bool:
        """True on all ranks if the flag is set on one."""
        return bool(self.gather([flag]).any())

    def add_up(self, array: np.ndarray) -> Callable[[], None]:
        """Begin to add up an array over all ranks, in place, with the same bits everywhere; call what is returned to wait for it."""
        if self.world_size == 1:
            return lambda: None
        request = self.comm.Iallreduce(_mpi().IN_PLACE, array)
        return lambda: self._wait([(-1, request)])

    def kept_buffer(self, n: int, dtype: Any, like: Any) -> np.ndarray:
        """Host memory for n numbers that go to and from the device of `like`, the same at every call: what MPI has used before is
        ten times as fast as fresh memory."""
        key = n, np.dtype(dtype), backend.namespace(like)
        if key not in self._kept:
            self._kept[key] = backend.host_buffer(n, dtype, like)
        return self._kept[key]

    def concatenate(self, array: np.ndarray) -> np.ndarray:
        """Everybody's rows, rank after rank: (n_r, ...) on rank r to (Σ n_r, ...)."""
        table = self.gather([len(array), zlib.crc32(repr((array.shape[1:], array.dtype.str)).encode())])
        if (table[:, 1] != table[0, 1]).any():
            self.fail(
                RuntimeError(
                    f"the ranks' arrays differ in shape or dtype: {array.shape}, {array.dtype} on rank {self.rank}"
                )
            )
        if self.world_size == 1:
            return array
        lengths = table[:, 0].astype(int)
        out = np.empty((lengths.sum(), *array.shape[1:]), array.dtype)
        row = out.itemsize * prod(out.shape[1:])
        self._wait([(-1, self.comm.Iallgatherv(_bytes(array), (_bytes(out), lengths * row)))])
        return out

    def from_first(self, array: np.ndarray) -> np.ndarray:
        """Rank 0's array, on every rank; the others' have its shape and dtype."""
        out = np.array(array, order="C")
        self.gather()
        if self.world_size > 1:
            self._wait([(-1, self.comm.Ibcast(_bytes(out), 0))])
        return out

    def bytes_from_first(self, content: bytes) -> memoryview:
        """Rank 0's bytes, on every rank."""
        size = int(self.gather([len(content)])[0, 0])
        mine = np.frombuffer(content, np.uint8) if self.rank == 0 else np.empty(size, np.uint8)
        return self.from_first(mine).data

    def _wait(self, requests: list[tuple[int, Any]]) -> None:
        """Until all requests are done; those that wait for one rank come with its number, others with -1."""
        began, told = time.monotonic(), False
        while requests := [(r, request) for r, request in requests if not request.Test()]:
            waiting = time.monotonic() - began
            late = {r for r, _ in requests}
            if waiting > self.timeout:
                self.fail(
                    TimeoutError(
                        f"{self._names(late)} did not come within {self.timeout:g} s: slow, stuck, or at another place of the program"
                    ),
                    speaker=min(set(range(self.world_size)) - late),
                )
            if not told and waiting > _QUIETLY:
                told = True
                print(
                    f"rank {self.rank} has waited {waiting:.0f} s for {self._names(late)}", file=sys.stderr, flush=True
                )
            if -1 not in late and waiting > 0.005:
                time.sleep(0.0005)  # leaves the core to a rank that has work
        self.waited += time.monotonic() - began

    def _names(self, ranks: Iterable[int]) -> str:
        return ", ".join("another rank" if r < 0 else f"rank {r} ({self.hosts[r]})" for r in sorted(ranks))

    def fail(self, error: Exception, speaker: int = 0) -> NoReturn:
        """Raise what several ranks know."""
        self.let_speak(speaker)
        raise error

    def let_speak(self, speaker: int) -> None:
        """Before an error that all ranks may have: one says it, and has then ended the others before they say it too."""
        if self.rank != speaker:
            time.sleep(3)

    # --------------------------------------------------------------------------------------------------- being of one mind

    def same(self, facts: dict[str, Any]) -> None:
        """Make sure that these facts, by name, are the same on all ranks.

        Raises:
            RuntimeError: they are not; says which, where, and what they are there.
        """
        if self.world_size == 1:
            return
        mine = np.frombuffer(json.dumps({name: repr(fact) for name, fact in facts.items()}).encode(), np.uint8)
        ends = np.cumsum(self.gather([len(mine)])[:, 0].astype(int))
        texts = np.split(self.concatenate(mine), ends[:-1])
        everybody = [json.loads(text.tobytes()) for text in texts]
        differ = [
            f"{name}: {everybody[0].get(name)} on rank 0 ({self.hosts[0]}), {theirs.get(name)} on rank {r} ({self.hosts[r]})"
            for r, theirs in enumerate(everybody)
            for name in {**everybody[0], **theirs}
            if theirs.get(name) != everybody[0].get(name)
        ]
        if differ:
            more = [f"and {len(differ) - 5} more"] if len(differ) > 5 else []
            self.fail(
                RuntimeError("the ranks differ, and would not train one model:\n  " + "\n  ".join(differ[:5] + more))
            )

    def broadcast(self, module: Module) -> None:
        """Give every rank rank 0's parameters and buffers.

        Raises:
            RuntimeError: the modules differ in names, shapes or dtypes.
        """
        tensors = _tensors(module)
        self.same({name: f"{tuple(t.shape)} {t.dtype}" for name, t in tensors.items()})
        with no_grad():
            for t in tensors.values():
                sent = self.from_first(backend.to_numpy(t.array))
                if self.rank > 0:
                    t.copy_(from_numpy(sent).to(t.device))

    def check(self, module: Module) -> None:
        """Make sure that parameters and buffers are the same on all ranks, to the last bit, by comparing CRC-32 checksums.

        Raises:
            RuntimeError: one is not; says which, and on which ranks.
        """
        tensors = _tensors(module)
        table = self.gather([zlib.crc32(_bytes(backend.to_numpy(t.array)).data) for t in tensors.values()])
        for name, sums in zip(tensors, table.T, strict=True):
            if odd := [r for r in range(self.world_size) if sums[r] != sums[0]]:
                self.fail(
                    RuntimeError(
                        f"the ranks no longer have the same model: {name} on {self._names(odd)} is not what it is on rank 0. "
                        f"A rank has done other arithmetic, or memory has failed: go on from the last checkpoint"
                    )
                )

    # ------------------------------------------------------------------------------------------------------------ gradients

    def all_reduce(self, parameters: Iterable[Tensor], count: float | None = None) -> Exchange:
        """Replace each `.grad` by what all ranks' gradients come to together; see gradients.exchange."""
        return exchange(self, list(parameters), count)


def _bytes(array: np.ndarray) -> np.ndarray:
    """The memory of an array: MPI need not know the dtype of what it only carries."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _tensors(module: Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _mpi() -> Any:
    from mpi4py import MPI  # starts MPI: only where there are ranks

    return MPI


# --------------------------------------------------------------------------------------------------------------- the launch


def launched() -> bool:
    """True if `python -m mpi4py` runs this program.

    Raises:
        RuntimeError: mpiexec has started it several times, but without `-m mpi4py`.
    """
    if "mpi4py.run" in sys.modules:
        return True
    sizes = (os.environ.get(name, "1") for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"))
    n = max(int(size) for size in sizes)
    if n > 1:
        raise RuntimeError(
            f"mpiexec has started {n} of these, but an error on one would leave the others waiting: start with\n"
            f"    {LAUNCH.format(n=n, program=os.path.basename(sys.argv[0]) or 'train.py')}\n"
            f"(pip install -e '.[mpi]' brings mpi4py)"
        )
    return False


def init(timeout: float = 600.0) -> World:
    """The world of this program: its ranks if `mpiexec -n N python -m mpi4py` started it, else one process.

    Raises:
        RuntimeError: started by mpiexec without `-m mpi4py`; or the ranks run other programs, or other versions of Python,
            NumPy or minigrad.
    """
    if not launched():
        return World(timeout=timeout)
    faulthandler.dump_traceback_later(timeout, exit=True)  # MPI itself would wait without end, and not let Python speak
    try:
        world = wait_until_all_ranks_have_started(timeout)
    finally:
        faulthandler.cancel_dump_traceback_later()
    program = sys.modules["__main__"].__dict__.get("__file__") or sys.argv[0]
    world.same(
        {
            "Python": platform.python_version(),
            "NumPy": np.__version__,
            "checksum of minigrad's code": _checksum(sorted(Path(__file__).parents[1].rglob("*.py"))),
            "checksum of the program": _checksum([Path(program)]),
        }
    )
    return world


def wait_until_all_ranks_have_started(timeout: float) -> World:
    """Its name is what a rank says that waits in vain for one that never came so far."""
    return World(_mpi().COMM_WORLD.Dup(), timeout)


def _checksum(files: list[Path]) -> int:
    total = 0
    for file in files:
        total = zlib.crc32(file.read_bytes() if file.is_file() else b"", total)
    return total
