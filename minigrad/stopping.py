"""Ctrl-C and polite kills, answered at a moment that suits the program."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from typing import Any


class Stop:
    """Within the block it becomes true at the first Ctrl-C or SIGTERM; the second one interrupts as usual.

    Args:
        tell: called at the first one, to say so.
    """

    def __init__(self, tell: Callable[[], Any] = lambda: None):
        self.tell, self.asked = tell, False
        self.before: dict[Any, Any] = {}

    def __enter__(self) -> Stop:
        with contextlib.suppress(ValueError):  # not in the main thread, where no signals arrive
            self.before = {name: signal.signal(name, self._ask) for name in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception: Any) -> None:
        for name, handler in self.before.items():
            signal.signal(name, handler)

    def _ask(self, number: int, frame: Any) -> None:
        self.asked = True
        self.tell()
        for name in self.before:
            signal.signal(name, signal.default_int_handler)

    def __bool__(self) -> bool:
        return self.asked
