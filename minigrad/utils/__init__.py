"""torch.utils' names."""

from typing import TYPE_CHECKING

from ..names import missing
from . import checkpoint, data

__all__ = ["checkpoint", "data"]

if not TYPE_CHECKING:
    __getattr__ = missing(__name__)
