"""torch.utils.checkpoint's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:
    """function(*args), with torch's numbers. What backward needs is kept, and not computed a second time to save memory."""
    kwargs.pop("preserve_rng_state", None)
    return function(*args, **kwargs)


__all__ = ["checkpoint"]
