"""torch.amp's names, for scripts that switch mixed precision off on a CPU: here everything is computed in its own dtype."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .optim import Optimizer
from .tensor import Tensor


class autocast:
    """A context, or a decorator, in which nothing is cast (torch.amp.autocast).

    On "cuda" it switches itself off with a warning, as torch's does where there is no GPU.

    Raises:
        NotImplementedError: it is enabled on "cpu": NumPy has no bfloat16, which torch would compute in.
    """

    def __init__(self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True, cache_enabled: bool = True):
        if enabled and device_type == "cpu":
            raise NotImplementedError(
                "autocast: there is no mixed precision here (NumPy has no bfloat16); pass enabled=False for float32"
            )
        if enabled:
            warnings.warn("autocast: there is no mixed precision here; everything stays in its own dtype", stacklevel=2)

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return f


class GradScaler:
    """Scales by 1: float32 needs no loss scaling (torch.amp.GradScaler with enabled=False)."""

    def __init__(self, device: str = "cuda", enabled: bool = True, **options: Any):
        if enabled:
            warnings.warn("GradScaler: nothing is computed in float16 here, so nothing is scaled", stacklevel=2)

    def scale(self, outputs: Tensor) -> Tensor:
        """The outputs as they are."""
        return outputs

    def unscale_(self, optimizer: Optimizer) -> None:
        """Nothing to do."""

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step()."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Nothing to do."""

    def get_scale(self) -> float:
        """1.0."""
        return 1.0

    def is_enabled(self) -> bool:
        """False."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to take over."""


__all__ = ["GradScaler", "autocast"]
