"""Training on several processes and machines, over MPI; with torch.distributed's names beside it.

    world = minigrad.distributed.init()             # one process: nothing changes, and no MPI is needed
    sampler = DistributedSampler(dataset, world.world_size, world.rank, drop_last=True)
    world.broadcast(model)
    ...
    loss.backward()
    world.all_reduce(model.parameters(), count=targets.numel())
    optimizer.step()

started by `mpiexec -n 4 python -m mpi4py train.py`. A torch program with DistributedDataParallel runs by
`mpiexec -n 4 python -m mpi4py -m minigrad.as_torch train.py`: whatever backend it names, it gets MPI.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import backend
from ..data.samplers import DistributedSampler
from ..grad_mode import no_grad
from ..names import missing
from ..nn.module import Module
from ..ops.creation import from_numpy
from ..tensor import Tensor
from .gradients import Exchange
from .world import LAUNCH, World, init, launched

_world: World | None = None  # of torch's functions, from init_process_group on


def is_available() -> bool:
    """True if mpi4py runs this program (torch.distributed.is_available)."""
    return launched()


def is_initialized() -> bool:
    """True between init_process_group and destroy_process_group."""
    return _world is not None


def init_process_group(
    backend: Any = None,
    init_method: Any = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    **others: Any,
) -> None:
    """Meet the other ranks (torch.distributed.init_process_group): those that mpiexec started, whatever backend is named.

    Args:
        timeout: a timedelta; how long to wait for a rank that is late. Default: 10 minutes.
        world_size: how many there should be; by default as many as there are.

    Raises:
        RuntimeError: another number of processes has been started, or not with `python -m mpi4py`; ranks run different code.
    """
    global _world
    world = init() if timeout is None else init(timeout.total_seconds())
    wanted = world_size if world_size > 0 else int(os.environ.get("WORLD_SIZE", world.world_size))
    if wanted != world.world_size:
        raise RuntimeError(
            f"init_process_group: world_size is {wanted}, and MPI knows of {world.world_size}: start with "
            f"{LAUNCH.format(n=wanted, program='-m minigrad.as_torch train.py')}"
        )
    _world = world


def destroy_process_group() -> None:
    """From now on this is one process again (torch.distributed.destroy_process_group)."""
    global _world
    _world = None


def get_rank() -> int:
    """The number of this process; 0 before init_process_group (torch.distributed.get_rank)."""
    return _group().rank


def get_world_size() -> int:
    """How many processes there are; 1 before init_process_group (torch.distributed.get_world_size)."""
    return _group().world_size


def environment() -> dict[str, str]:
    """RANK, WORLD_SIZE and LOCAL_RANK, which programs that torch's launcher starts find in their environment."""
    world = init()
    return {"RANK": str(world.rank), "WORLD_SIZE": str(world.world_size), "LOCAL_RANK": str(world.local_rank)}


def barrier() -> None:
    """Wait until every rank is here (torch.distributed.barrier)."""
    _group().gather()


class ReduceOp:
    """What all_reduce makes of everybody's numbers (torch.distributed.ReduceOp)."""

    SUM, AVG, PRODUCT, MIN, MAX = "sum", "avg", "product", "min", "max"


def all_reduce(tensor: Tensor, op: str = ReduceOp.SUM) -> None:
    """Replace a tensor, in place, by the sum (or mean, product, least, greatest) over all ranks (torch.distributed.all_reduce)."""
    reduce: Any = {"sum": np.sum, "avg": np.mean, "product": np.prod, "min": np.min, "max": np.max}.get(op)
    if reduce is None:
        raise ValueError(f"all_reduce: op must be ReduceOp.SUM, AVG, PRODUCT, MIN or MAX, got {op!r}")
    _replace(tensor, lambda every: reduce(every, axis=0))


def broadcast(tensor: Tensor, src: int = 0) -> None:
    """Replace a tensor, in place, by that of rank `src` (torch.distributed.broadcast)."""
    if not 0 <= src < get_world_size():
        raise ValueError(f"broadcast: src must be one of the {get_world_size()} ranks, from 0 on; got {src}")
    _replace(tensor, lambda every: every[src])


def _replace(tensor: Tensor, choose: Callable[[np.ndarray], np.ndarray]) -> None:
    """Make of everybody's tensors, (world_size, ...), this one."""
    if (group := _group()).world_size > 1:
        every = group.concatenate(backend.to_numpy(tensor.array)[None])
        with no_grad():
            tensor.copy_(from_numpy(np.array(choose(every), every.dtype)).to(tensor.device))


def _group() -> World:
    return _world or World()


class DistributedDataParallel(Module):
    """A module whose gradients, after each backward, are the means of all ranks' (torch.nn.parallel.DistributedDataParallel).

    Rank 0's parameters and buffers are given to all at the start, and its buffers before every forward in training. As in
    torch, the mean is one of the ranks' means, every parameter must take part in every backward, and gradients are those of
    the rank alone within `no_sync()`, where several backwards are added up.

    Args:
        module: built the same way on every rank.
        others: torch's, accepted and of no effect.

    Raises:
        RuntimeError: before init_process_group; or, at a forward, if the backward before left out a parameter.
        NotImplementedError: find_unused_parameters=True.
    """

    def __init__(self, module: Module, *args: Any, find_unused_parameters: bool = False, **others: Any):
        super().__init__()
        if find_unused_parameters:
            raise NotImplementedError(
                "DistributedDataParallel: find_unused_parameters is not supported; call world.all_reduce(parameters) of "
                "minigrad.distributed.init() after backward instead: there, a parameter may be unused"
            )
        if _world is None:
            raise RuntimeError(
                "Default process group has not been initialized, please make sure to call init_process_group."
            )
        self.module, self.world, self.require_backward_grad_sync = module, _world, True
        self._learning = [p for p in module.parameters() if p.requires_grad]
        self._arrived = 0
        self.world.broadcast(module)
        for p in self._learning:
            p.register_post_accumulate_grad_hook(self._count)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        if 0 < self._arrived < len(self._learning):
            missing = [name for name, p in self.module.named_parameters() if p.requires_grad and p.grad is None]
            raise RuntimeError(
                f"Expected to have finished reduction in the prior iteration before starting a new one: {self._arrived} of "
                f"{len(self._learning)} parameters got a gradient, and so nothing was exchanged (without one: {missing[:5]})"
            )
        if self.training and self.require_backward_grad_sync:
            for buffer in self.module.buffers():
                broadcast(buffer)
        return self.module(*inputs, **options)

    def _count(self, parameter: Tensor) -> None:
        """Called for each gradient; the last of a backward begins the exchange."""
        self._arrived = (self._arrived + 1) % len(self._learning)
        if self._arrived == 0 and self.require_backward_grad_sync:
            self.world.all_reduce(self._learning, count=1)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within it, gradients are not exchanged, but added up until the next backward outside."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before


if not TYPE_CHECKING:
    __getattr__ = missing(__name__)
