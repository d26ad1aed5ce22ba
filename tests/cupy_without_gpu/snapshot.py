"""Writes cupy_api.json: what the installed CuPy offers, and how it is called. It needs CuPy's wheel, but no GPU.

One line per name: "(a, axis=, *, keepdims=)" for what is called (a trailing "=": has a default), "ufunc 1 1 e->e f->f"
with the numbers of inputs and outputs and the loops in the order in which CuPy tries them, or "class", "module", "value".
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import types
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("cupy_api.json")
MODULES = [
    "cupy",
    "cupy.cuda",
    "cupy.cuda.runtime",
    "cupy.lib",
    "cupy.lib.stride_tricks",
    "cupy.linalg",
    "cupyx",
    "cupyx.scipy.special",
]


def parameters(f: Any) -> str:
    """The parameters of a function, without the values of defaults: those of compiled code stand in its docstring."""
    try:
        parts = str(inspect.signature(f))
    except (TypeError, ValueError):
        found = re.match(r"[\w.]+(\(.*?\))(?: ->|$|\n)", (f.__doc__ or "").strip(), re.DOTALL)
        parts = found[1] if found else "(*args, **kwargs)"
    parts = re.sub(r"\s*->.*", "", parts)
    names = []
    for part in _split(parts[1:-1]):
        name, default, _ = re.split(r"(=|$)", part.strip(), maxsplit=1)
        name = name.split(":")[0].split()[-1]  # Cython writes the type first, Python last
        if name and name != "self":
            names.append(name + default)
    return f"({', '.join(names)})"


def _split(text: str) -> list[str]:
    """text at its commas, except those inside brackets."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [p for p in parts if p.strip()]


def describe(x: Any) -> str:
    """One line about a name of a module or class."""
    if type(x).__name__ == "ufunc":
        # E is bfloat16, which CuPy has where the package ml_dtypes is installed
        types = [t for t in x.types if "E" not in t]
        return f"ufunc {x.nin} {x.nout} {' '.join(types)}"
    if inspect.isclass(x):
        return "class"
    if inspect.ismodule(x):
        return "module"
    return parameters(x) if callable(x) else "value"


def snapshot() -> dict[str, str]:
    """Every public name of MODULES, and every member of cupy.ndarray, with one line about it."""
    api = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for n in dir(module):
            x = getattr(module, n)
            foreign = inspect.ismodule(x) and f"{name}.{n}" not in MODULES
            if not n.startswith("_") and not foreign and not isinstance(x, types.GenericAlias) and n != "annotations":
                api[f"{name}.{n}"] = describe(x)
    import cupy

    for n in dir(cupy.ndarray):
        inherited = hasattr(object, n) and getattr(cupy.ndarray, n) is getattr(object, n)
        if not inherited and (n.startswith("__") or not n.startswith("_")) and n not in ("__pyx_vtable__", "__doc__"):
            member = getattr(cupy.ndarray, n)
            api[f"cupy.ndarray.{n}"] = parameters(member) if callable(member) else "value"
    return {"__version__": cupy.__version__, **dict(sorted(api.items()))}


def text() -> str:
    """The snapshot as JSON, one line per name."""
    return json.dumps(snapshot(), indent=0) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
