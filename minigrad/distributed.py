"""torch.distributed's names, for scripts that ask whether they run on several machines: they do not."""

from __future__ import annotations

from typing import Any, NoReturn


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def get_rank() -> int:
    """0: there is one process."""
    return 0


def get_world_size() -> int:
    """1: there is one process."""
    return 1


def _refused(what: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"{what}: minigrad trains in one process; run the script without its launcher")

    refuse.__name__ = refuse.__qualname__ = what
    refuse.__doc__ = "Raises NotImplementedError: minigrad trains in one process."
    return refuse


init_process_group = _refused("init_process_group")
destroy_process_group = _refused("destroy_process_group")
barrier = _refused("barrier")
all_reduce = _refused("all_reduce")


class DistributedDataParallel:
    """Raises NotImplementedError: minigrad trains in one process. A class, since programs ask isinstance(model, DDP)."""

    __init__ = _refused("DistributedDataParallel")
