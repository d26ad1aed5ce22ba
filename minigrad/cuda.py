"""torch.cuda's names: is there a GPU, and if not, why."""

from __future__ import annotations

from . import backend
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


def synchronize() -> None:
    """Wait until the GPU has done what it was asked to (torch.cuda.synchronize)."""
    if is_available():
        backend.module_for(device("cuda")).cuda.Device().synchronize()


def manual_seed_all(seed: int) -> None:
    """Nothing to do: random numbers are drawn on the host for every device, from minigrad.manual_seed's stream."""


manual_seed = manual_seed_all
