"""See it: one HTML page made from a real run, on which gather and scatter-add are seen.

    python -m minigrad.explain "the cat saw the cat and the dog saw the cat"

writes explain.html; in code, and in a notebook where the page shows itself, `minigrad.explain(text)`. Beside it are
`minigrad.draw(loss)` and `minigrad.trace(loss)`, a graph as a picture and as text (graph.py), and plots (plots.py).
The engine knows nothing of all this.
"""

from __future__ import annotations

import sys
import types

from .graph import Drawing, draw, trace, watch
from .page import Page, explain

__all__ = ["Drawing", "draw", "explain", "Page", "trace", "watch"]


class _Callable(types.ModuleType):
    """This room is also its main function: `minigrad.explain("text")`."""

    __call__ = staticmethod(explain)


sys.modules[__name__].__class__ = _Callable
