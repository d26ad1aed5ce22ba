"""torch.utils' names."""

from . import checkpoint, data

__all__ = ["checkpoint", "data"]
