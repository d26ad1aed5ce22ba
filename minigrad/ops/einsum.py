"""einsum: sums of products, written as index letters. Built of permute, reshape and matmul, which bring the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ..tensor import Tensor, axis_of
from .arrange import diagonal
from .elementwise import mul
from .linalg import matmul
from .reduction import sum
from .shape import Permute, broadcast_to, named, reshape

Labels = list[str]


def einsum(equation: Any, *operands: Any) -> Tensor:
    """einsum("bid,bjd->bij", q, k): products, summed over the letters that the result does not name (torch.einsum).

    A letter that an operand repeats takes its diagonal; "..." stands for leading axes, which broadcast; without "->", the
    result has the letters that occur once, in alphabetical order, after the dots. The operands are contracted from left to right.

    Raises:
        RuntimeError: the letters do not fit the operands' dimensions, or their sizes do not broadcast.
    """
    if isinstance(equation, Tensor):  # torch's other form: einsum(x, [0, 1], y, [1, 2], [0, 2])
        equation, operands = _from_lists((equation, *operands))
    elif len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    inputs, output = _parse(equation, operands)
    sizes: dict[str, int] = {}
    for x, labels in zip(operands, inputs, strict=True):
        for label, n in zip(labels, x.array.shape, strict=True):
            if sizes.setdefault(label, n) != n and 1 not in (n, sizes[label]):
                raise RuntimeError(
                    f"einsum: {equation!r}: the sizes of {label!r} do not broadcast: {sizes[label]} and {n}, in operands of shape "
                    f"{', '.join(str(tuple(x.shape)) for x in operands)}"
                )
            sizes[label] = n if sizes[label] == 1 else sizes[label]
    terms = [_distinct(x, labels, sizes) for x, labels in zip(operands, inputs, strict=True)]
    y, have = terms[0]
    for i, (x, labels) in enumerate(terms[1:], 2):
        wanted = {*output, *(label for _, later in terms[i:] for label in later)}
        y, have = _contract(y, have, x, labels, wanted)
    y, have = _summed(y, have, set(output))
    return (
        y
        if have == output and (len(terms) > 1 or y is not terms[0][0])
        else Permute.apply(y, dims=tuple(map(have.index, output)))
    )


def tensordot(x: Tensor, y: Tensor, dims: Any = 2) -> Tensor:
    """x and y multiplied and summed over some of their axes (torch.tensordot).

    Args:
        dims: the last so many axes of x with the first of y; or a list of axes of x, and one of y.
    """
    if x.array.dtype != y.array.dtype:
        raise RuntimeError(f"tensordot: both inputs should have same dtype, got {x.dtype} and {y.dtype}")
    if isinstance(dims, int):
        if not 0 <= dims <= min(x.ndim, y.ndim):
            raise RuntimeError(f"tensordot: dims must be 0 to {min(x.ndim, y.ndim)} here, got {dims}")
        dims = list(range(x.ndim - dims, x.ndim)), list(range(dims))
    of_x, of_y = (
        [axis_of(z, d, "tensordot") for d in (ds if isinstance(ds, Sequence) else [ds])]
        for z, ds in zip((x, y), dims, strict=True)
    )
    if len(of_x) != len(of_y):
        raise RuntimeError(f"tensordot: both dimension lists should have same length, got {of_x} and {of_y}")
    for i, j in zip(of_x, of_y, strict=True):
        if x.array.shape[i] != y.array.shape[j]:
            raise RuntimeError(
                f"tensordot: contracted dimensions need to match, but first has size {x.array.shape[i]} in dim {i} and "
                f"second has size {y.array.shape[j]} in dim {j}"
            )
    paired = dict(zip(of_y, of_x, strict=True))
    of_y = [paired.get(j, x.ndim + j) for j in range(y.ndim)]
    left = [i for i in range(x.ndim) if i not in of_x] + [j for j in of_y if j >= x.ndim]
    return named("View", einsum(x, list(range(x.ndim)), y, of_y, left))


def _parse(equation: str, operands: Sequence[Any]) -> tuple[list[Labels], Labels]:
    """The labels of every operand's axes, and those of the result. The axes that "..." stands for are ".1", ".0" from the last."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not operands or len(terms) != len(operands):
        raise RuntimeError(f"einsum: {equation!r} names {len(terms)} operands, but {len(operands)} were given")
    for c in left + right:
        if not ((c.isascii() and c.isalpha()) or c in ".,"):
            raise RuntimeError(f"einsum: {equation!r}: labels are the letters a-z and A-Z, got {c!r}")
    inputs = [_expand(equation, term, x.ndim) for term, x in zip(terms, operands, strict=True)]
    dots = max(len([label for label in labels if label[0] == "."]) for labels in inputs)
    if arrow:
        output = _expand(equation, right, len(right.replace("...", "")) + dots * ("..." in right))
        for label in output:
            if output.count(label) > 1 or not any(label in labels for labels in inputs):
                why = "appears more than once" if output.count(label) > 1 else "is in no operand"
                raise RuntimeError(f"einsum: {equation!r}: the output's {label!r} {why}")
    else:
        letters = [label for labels in inputs for label in labels if label[0] != "."]
        output = [f".{i}" for i in reversed(range(dots))] + sorted(c for c in set(letters) if letters.count(c) == 1)
    return inputs, output


def _expand(equation: str, term: str, ndim: int) -> Labels:
    before, dots, after = term.partition("...")
    missing = ndim - len(before) - len(after)
    if "." in before + after or missing < 0 or (missing and not dots):
        raise RuntimeError(f"einsum: {equation!r}: {term!r} does not fit a tensor of {ndim} dimensions")
    return [*before, *(f".{i}" for i in reversed(range(missing))), *after]


def _from_lists(args: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    def term(labels: Sequence[Any]) -> str:
        return "".join("..." if i is Ellipsis else chr(ord("A") + i if i < 26 else ord("a") + i - 26) for i in labels)

    operands, lists = args[0 : len(args) // 2 * 2 : 2], args[1::2]
    equation = ",".join(map(term, lists))
    return (f"{equation}->{term(args[-1])}" if len(args) % 2 else equation), operands


def _distinct(x: Tensor, labels: Labels, sizes: dict[str, int]) -> tuple[Tensor, Labels]:
    """x with the diagonal taken of labels that repeat, and every axis of its label's size."""
    x = broadcast_to(x, tuple(sizes[label] for label in labels))
    while len(set(labels)) < len(labels):
        again = next(label for label in labels if labels.count(label) > 1)
        first, second = [i for i, label in enumerate(labels) if label == again][:2]
        x = diagonal(x, 0, first, second)
        labels = [label for i, label in enumerate(labels) if i not in (first, second)] + [again]
    return x, labels


def _summed(x: Tensor, labels: Labels, wanted: set[str]) -> tuple[Tensor, Labels]:
    """x summed over what nobody wants."""
    away = [i for i, label in enumerate(labels) if label not in wanted]
    return (sum(x, away) if away else x), [label for label in labels if label in wanted]


def _permuted(x: Tensor, have: Labels, want: Labels) -> Tensor:
    return x if have == want else Permute.apply(x, dims=tuple(map(have.index, want)))


def _contract(x: Tensor, a: Labels, y: Tensor, b: Labels, wanted: set[str]) -> tuple[Tensor, Labels]:
    """The product of two terms, summed over the labels that they share and nobody wants: a batch of matrix products."""
    x, a = _summed(x, a, wanted | set(b))
    y, b = _summed(y, b, wanted | set(a))
    batch = [label for label in a if label in b and label in wanted]
    inner = [label for label in a if label in b and label not in wanted]
    rows, columns = [label for label in a if label not in b], [label for label in b if label not in a]
    size = {**dict(zip(a, x.array.shape, strict=True)), **dict(zip(b, y.array.shape, strict=True))}
    lead, m, k, n = (tuple(size[label] for label in labels) for labels in (batch, rows, inner, columns))
    x = reshape(_permuted(x, a, [*batch, *rows, *inner]), *lead, prod(m), prod(k))
    y = reshape(_permuted(y, b, [*batch, *inner, *columns]), *lead, prod(k), prod(n))
    z = reshape(matmul(x, y) if inner else mul(x, y), *lead, *m, *n)
    return named("Mul" if not inner else "View", z), [*batch, *rows, *columns]
