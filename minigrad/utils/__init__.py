"""torch.utils' names; the loader itself is minigrad.data."""

from .. import data

__all__ = ["data"]
