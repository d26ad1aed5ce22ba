"""How a tensor looks: the same characters as torch.

A tensor's text is its numbers in nested brackets, and behind them whatever the numbers do not tell: `device`, `size`,
`dtype`, `grad_fn`. One format and one width serve all numbers of a tensor, so that columns align. Of a large tensor
only the corners are read, so the embedding table of GPT-2 prints as fast as a small matrix.

Host arrays come in and strings go out; what a tensor is, this file does not know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

# ---- options


class Options(NamedTuple):
    precision: int = 4  # digits after the point
    threshold: float = 1000  # a tensor of more elements shows its corners only
    edgeitems: int = 3  # how far a corner reaches, along each axis
    linewidth: int = 80
    sci_mode: bool | None = None  # None: the numbers decide


PROFILES = {"default": Options(), "short": Options(precision=2, edgeitems=2), "full": Options(threshold=math.inf)}

_options = Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print, as `torch.set_printoptions`.

    `profile` ("default", "short" or "full") sets the first four together, and each of them given beside it wins; what
    is None stays as it was. Two surprises are torch's own: a call without `sci_mode` sets it back to None, and a
    profile of another name is ignored.
    """
    global _options
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    _options = PROFILES.get(profile or "", _options)._replace(**chosen, sci_mode=sci_mode)


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keywords for `set_printoptions`."""
    return _options._asdict()


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """`set_printoptions` for the length of a `with` block."""
    global _options
    before = _options
    set_printoptions(**options)
    try:
        yield
    finally:
        _options = before


# ---- the numbers


def _float_spec(values: np.ndarray) -> str:
    """The format for these nonzero finite floats: `#.0f` if they are integers ("2."), else `.4f` or `.4e`."""
    if not values.size:
        return "#.0f"
    magnitude = np.abs(values)
    low, high = float(magnitude.min()), float(magnitude.max())  # Python's floats: their ratio overflows in silence
    scientific = _options.sci_mode
    if scientific is None:
        scientific = high / low > 1e3 or high > 1e8 or low < 1e-4
    if scientific:
        return f".{_options.precision}e"
    return "#.0f" if (values == np.ceil(values)).all() else f".{_options.precision}f"


def _cells(array: np.ndarray) -> tuple[Any, int]:
    """Each element as text, in nested lists, and the width of a column.

    Zeros, infinities and nan have no say in the width, so a negative zero may stick out of its column: torch's way.
    """
    floating = array.dtype.kind == "f"
    telling = array[np.isfinite(array) & (array != 0)] if floating else array
    spec = _float_spec(telling) if floating else ""
    width = max((len(format(value, spec)) for value in telling.ravel().tolist()), default=1)
    cells = [format(value, spec).rjust(width) for value in array.ravel().tolist()]
    return np.array(cells, dtype=object).reshape(array.shape).tolist(), width


def _brackets(array: np.ndarray, indent: int) -> str:
    """The elements in nested brackets, of which the first stands in column `indent`."""
    if not array.size:
        return "[]"
    edge = _options.edgeitems if array.size > _options.threshold else array.size
    corners = np.ix_(*(range(n) if n <= 2 * edge else [*range(edge), *range(n - edge, n)] for n in array.shape))
    cells, width = _cells(np.asarray(array[corners]))

    def block(cells: Any, shape: tuple[int, ...], indent: int) -> str:
        if not shape:
            return cells
        innermost = len(shape) == 1
        items = [block(cell, shape[1:], indent + 1) for cell in cells]
        if shape[0] > 2 * edge:
            items.insert(edge, " ..." if innermost and edge else "...")
        if innermost:
            per_line = max(1, (_options.linewidth - indent) // (width + 2))
            items = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        newlines = "\n" * max(1, len(shape) - 1)
        return "[" + f",{newlines}{' ' * (indent + 1)}".join(items) + "]"

    return block(cells, array.shape, indent)


# ---- what stands behind them


def _dtype(array: np.ndarray, *implied: str) -> str | None:
    return None if array.dtype.name in implied else f"torch.{array.dtype.name}"


def _closed(text: str, indent: int, facts: Mapping[str, object], *, on_new_line: bool = False) -> str:
    """`text`, then each fact that is not None, on a new line where the line would grow too long; then the bracket."""
    # The line that `text` leaves open counts as two longer than it is: torch's count, and it decides where lines break.
    column = math.inf if on_new_line else len(text) - text.rfind("\n") + 1
    for fact in (f"{name}={value}" for name, value in facts.items() if value is not None):
        too_long = column + len(", " + fact) > _options.linewidth
        text += (",\n" + " " * indent if too_long else ", ") + fact
        column = len(fact) + (indent if too_long else column + 2)
    return text + ")"


# ---- tensors


def tensor_repr(
    array: np.ndarray,
    *,
    prefix: str = "tensor(",
    device: str = "cpu",
    requires_grad: bool = False,
    grad_fn: str | None = None,
    default_dtype: DTypeLike = np.float32,
) -> str:
    """What torch prints for a tensor of these numbers: `tensor([0.5000, 2.0000], grad_fn=<AddBackward0>)`.

    array: any shape and memory layout; bool, integer or floating. device: as "cuda:0"; "cpu" goes without saying.
    grad_fn: the name of the op that made the tensor, printed in place of `requires_grad`. default_dtype: the dtype
    that goes without saying; so do int64 and bool, where there are elements to know them by.
    """
    default = np.dtype(default_dtype).name
    shape_is_seen = array.shape == (0,) or (array.size and _options.edgeitems)
    facts = {
        "device": None if device == "cpu" else repr(device),
        "size": None if shape_is_seen else array.shape,
        "dtype": _dtype(array, default, "int64", "bool") if array.size else _dtype(array, default),
        "grad_fn": f"<{grad_fn}>" if grad_fn else None,
        "requires_grad": True if requires_grad and not grad_fn else None,
    }
    return _closed(prefix + _brackets(array, len(prefix)), len(prefix), facts)


def parameter_repr(array: np.ndarray, *, requires_grad: bool = True, **told: Any) -> str:
    """What torch prints for an `nn.Parameter`. `told`: the other keywords of `tensor_repr`."""
    return "Parameter containing:\n" + tensor_repr(array, requires_grad=requires_grad, **told)


def sparse_repr(
    indices: np.ndarray,
    values: np.ndarray,
    size: tuple[int, ...],
    *,
    device: str = "cpu",
    default_dtype: DTypeLike = np.float32,
) -> str:
    """What torch prints for a `torch.sparse_coo` tensor, such as the gradient of `Embedding(sparse=True)`.

    indices: (sparse dims, nnz). values: (nnz, dense dims...). size: the shape of the dense tensor they stand for.
    """
    indent = len("tensor(")

    def part(name: str, array: np.ndarray) -> str:
        head = f"{name}=tensor("
        return head + _brackets(array, indent + len(head)) + ("" if array.size else f", size={array.shape}") + ")"

    text = "tensor(" + part("indices", indices) + ",\n" + " " * indent + part("values", values)
    facts = {
        "device": None if device == "cpu" else repr(device),
        "size": size,
        "nnz": indices.shape[1],
        "dtype": _dtype(values, np.dtype(default_dtype).name, "int64", "bool"),
        "layout": "torch.sparse_coo",
    }
    return _closed(text, indent, facts, on_new_line=True)


def format_tensor(array: np.ndarray, spec: str, text: Callable[[], str]) -> str:
    """What `f"{tensor:spec}"` says: a 0-d tensor formats as its number, any other as its `text()`.

    Raises TypeError for a `spec` that has no single number to format, as torch does even for shape (1,).
    """
    if not array.ndim:
        return format(array.item(), spec)
    if spec:
        raise TypeError(f"cannot format a tensor of shape {array.shape} as {spec!r}: only a 0-d tensor is one number")
    return text()
