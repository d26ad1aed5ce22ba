"""torch's switches of backends it has and minigrad has not: scripts read and set them, and nothing depends on them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from . import backend, cpu

mps = SimpleNamespace(is_available=lambda: False, is_built=lambda: False)
"""Apple's GPUs: not available."""
cudnn = SimpleNamespace(
    enabled=False,
    benchmark=False,
    deterministic=True,
    allow_tf32=False,
    is_available=lambda: False,
    version=lambda: None,
)
cuda = SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False), is_built=lambda: False)
mkldnn = SimpleNamespace(is_available=lambda: False)
mkl = SimpleNamespace(is_available=lambda: False)
openmp = SimpleNamespace(is_available=lambda: False)

jit = SimpleNamespace(script=lambda f: f, is_scripting=lambda: False, is_tracing=lambda: False)
"""torch.jit: a function is left as it is."""
xpu = SimpleNamespace(is_available=lambda: False)
version = SimpleNamespace(cuda=None, hip=None, git_version="")
"""torch.version: what torch was built for."""

_precision = "highest"


def compile(model: Any = None, **options: Any) -> Any:
    """The model or function as it is: there is nothing to compile to (torch.compile). Also a decorator."""
    return model if model is not None else lambda f: f


def set_float32_matmul_precision(precision: str) -> None:
    """Kept for get_float32_matmul_precision: float32 products are always computed in float32.

    Raises:
        ValueError: not "highest", "high" or "medium".
    """
    global _precision
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"precision must be 'highest', 'high' or 'medium', got {precision!r}")
    _precision = precision


def get_float32_matmul_precision() -> str:
    """What was set; "highest" at first."""
    return _precision


def set_num_threads(threads: int) -> None:
    """Accepted, of no effect: NumPy's BLAS reads OMP_NUM_THREADS when it is imported."""
    if not isinstance(threads, int) or threads < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {threads!r}")


set_num_interop_threads = set_num_threads


def get_num_threads() -> int:
    """How many threads share the work on large arrays: OMP_NUM_THREADS, or the number of cores."""
    return cpu.threads()


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Whether sums of rows on a GPU are made in a fixed order (torch.use_deterministic_algorithms; here True at first).

    False lets the gradient of a lookup use atomic additions (cupy.add.at). They suit a row that very many ids name, which
    in order is one long sum, but come in any order, so that the last bits change from run to run. On the CPU every
    algorithm is deterministic either way.
    """
    backend.deterministic = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """What use_deterministic_algorithms set."""
    return backend.deterministic
