"""torch.cuda's names: is there a GPU, and if not, why."""

from __future__ import annotations

from typing import Any

from . import backend, dtypes
from .dtypes import device


def status() -> str:
    """One sentence: CuPy and a GPU are usable, or what is missing and how to get it."""
    try:
        gpu = backend.module_for(device("cuda"))
    except backend.BackendUnavailable as error:
        return str(error)
    return f"CuPy {gpu.__version__} on {gpu.cuda.runtime.getDeviceCount()} GPU(s)"


def is_available() -> bool:
    """True if tensors can live on the device "cuda" (torch.cuda.is_available)."""
    try:
        backend.module_for(device("cuda"))
    except backend.BackendUnavailable:
        return False
    return True


def device_count() -> int:
    """The number of GPUs (torch.cuda.device_count)."""
    return backend.module_for(device("cuda")).cuda.runtime.getDeviceCount() if is_available() else 0


def current_device() -> int:
    """The index of the GPU in use (torch.cuda.current_device)."""
    return backend.module_for(device("cuda")).cuda.Device().id


def set_device(device: Any) -> None:
    """Use this GPU from now on: "cuda:1", or 1 (torch.cuda.set_device)."""
    where = dtypes.device(device)
    backend.module_for(where).cuda.Device(where.index or 0).use()


def get_device_name(device: Any = None) -> str:
    """The GPU's name (torch.cuda.get_device_name)."""
    runtime = backend.module_for(dtypes.device("cuda")).cuda.runtime
    index = current_device() if device is None else dtypes.device(device).index or 0
    return runtime.getDeviceProperties(index)["name"].decode()


def is_bf16_supported() -> bool:
    """False: neither NumPy nor CuPy has bfloat16."""
    return False


def empty_cache() -> None:
    """Give memory that is not in use back to the GPU (torch.cuda.empty_cache)."""
    if is_available():
        backend.module_for(device("cuda")).get_default_memory_pool().free_all_blocks()


def memory_allocated() -> int:
    """Bytes of GPU memory in use; 0 without a GPU (torch.cuda.memory_allocated)."""
    return backend.module_for(device("cuda")).get_default_memory_pool().used_bytes() if is_available() else 0


def max_memory_allocated() -> int:
    """Bytes of GPU memory that CuPy holds, in use or not: it keeps no peak (torch.cuda.max_memory_allocated)."""
    return backend.module_for(device("cuda")).get_default_memory_pool().total_bytes() if is_available() else 0


def reset_peak_memory_stats() -> None:
    """Nothing to do: there is no peak to reset."""


def synchronize() -> None:
    """Wait until the GPU has done what it was asked to (torch.cuda.synchronize).

    Raises:
        IndexError: ids that were used on the GPU were out of range.
    """
    backend.settle()
    if is_available():
        backend.module_for(device("cuda")).cuda.Device().synchronize()


def manual_seed_all(seed: int) -> None:
    """Nothing to do: random numbers are drawn on the host for every device, from minigrad.manual_seed's stream."""


manual_seed = manual_seed_all


class accelerator:
    """torch.accelerator's names: the GPU, if there is one."""

    is_available = staticmethod(is_available)
    device_count = staticmethod(device_count)
    synchronize = staticmethod(synchronize)

    @staticmethod
    def current_accelerator(check_available: bool = False) -> device | None:
        """device("cuda"), or None."""
        return device("cuda") if is_available() else None
