"""Names that are not there: some are imported when they are first asked for, and of the others something is said."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any


def hint(name: str, names: Iterable[str]) -> str:
    """Names that look like it, in a sentence."""
    from difflib import get_close_matches  # only who misspells pays for it

    shown = {n.lower(): n for n in names if not n.startswith("_")}
    near = [shown[n] for n in get_close_matches(name.lower(), shown, n=3)]
    return f"did you mean {' or '.join(near)}?" if near else "the README lists what is left out, and why"


def missing(module: str, later: Mapping[str, Sequence[str]] | None = None) -> Callable[[str], Any]:
    """A module's `__getattr__`: asked for what is not there, it says so, and names the nearest thing that is.

    Args:
        later: rooms of this module that are imported when they, or names of theirs that belong here too, are asked for:
            what a program does not use costs it no time.
    """
    rooms = {name: room for room, names in (later or {}).items() for name in (room, *names)}

    def __getattr__(name: str) -> Any:
        if name in rooms:
            room = import_module(f"{module}.{rooms[name]}")
            return vars(sys.modules[module]).setdefault(name, room if name == rooms[name] else getattr(room, name))
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        about = f"{module}, of the part of torch that a GPT needs, has no {name!r}: {hint(name, public(module))}"
        raise AttributeError(about, name=name, obj=None)  # None, or Python adds a suggestion of its own

    return __getattr__


def public(module: str) -> list[str]:
    """The names that a module offers."""
    contents = vars(sys.modules[module])
    return list(contents.get("__all__", contents))
