"""What is said of a name that is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any


def hint(name: str, names: Iterable[str]) -> str:
    """Names that look like it, in a sentence."""
    shown = {n.lower(): n for n in names if not n.startswith("_")}
    near = [shown[n] for n in get_close_matches(name.lower(), shown, n=3)]
    return f"did you mean {' or '.join(near)}?" if near else "the README lists what is left out, and why"


def missing(module: str) -> Callable[[str], Any]:
    """A module's `__getattr__`: asked for what is not there, it says so, and names the nearest thing that is."""

    def __getattr__(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        about = f"{module}, of the part of torch that a GPT needs, has no {name!r}: {hint(name, public(module))}"
        raise AttributeError(about, name=name, obj=None)  # None, or Python adds a suggestion of its own

    return __getattr__


def public(module: str) -> list[str]:
    """The names that a module offers."""
    contents = vars(sys.modules[module])
    return list(contents.get("__all__", contents))
