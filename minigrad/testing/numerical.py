"""Gradients against finite differences, and transposes against their definition: checks that need nothing but NumPy.

`gradcheck` walks from the inputs along one random direction u and looks at phi(t) = <g, f(x + t u)> with a random
cotangent g. Its slope at 0 is <u, gradient>, whatever f's size: a handful of evaluations instead of two per entry, and a backward
that is wrong anywhere is wrong along almost every direction. (Chainer's gradient_check does so too.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autograd import grad
from ..core import ops_behind
from ..dtypes import float64
from ..grad_mode import enable_grad
from ..ops.creation import from_numpy
from ..tensor import Tensor
from .compare import numpy_of

Function = Callable[..., Any]
Phi = Callable[[Sequence[np.ndarray]], tuple[float, float]]


def as_list(y: Any) -> list[Any]:
    """What a function took or returned, a tensor or several, as a list."""
    return list(y) if isinstance(y, list | tuple) else [y]


def differentiated(inputs: Sequence[Any]) -> list[bool]:
    """Which inputs a check differentiates by: those that require grad, or, if none does, all of floating dtype."""
    asked = [isinstance(x, Tensor) and x.requires_grad for x in inputs]
    return (
        asked if any(asked) else [isinstance(x, Tensor | np.ndarray) and numpy_of(x).dtype.kind == "f" for x in inputs]
    )


def gradcheck(
    f: Function,
    inputs: Any,
    order: int = 2,
    *,
    seed: int = 0,
    eps: float = 1e-3,
    rtol: float = 1e-5,
    atol: float = 1e-8,
) -> bool:
    """Is f's backward the derivative of f, and its backward's backward the derivative of that? (torch.autograd.gradcheck)

    Everything is computed in float64. Where the inputs lie on a kink (relu at 0, a tie of max) they are moved aside a little.

    Args:
        f: takes tensors as `inputs` has them, returns a tensor or several. Must give the same numbers each time.
        inputs: a tensor or array, or a sequence of those and of anything else f takes. Those that require grad are
            differentiated; if none does, all of floating dtype.
        order: 1 for gradients, 2 for gradients of gradients too, and so on.
        seed: of the direction and the cotangent.
        eps: the largest step.
        rtol, atol: how far the two slopes may be apart, relative to the sum of the slope's terms taken without sign.

    Returns:
        True.

    Raises:
        AssertionError: naming the ops, inputs, direction and cotangent, both numbers, and the entry that is most wrong.
        ValueError: there is nothing to differentiate, or no derivative to compare with: f gives nan or inf at the inputs, or
            changes from call to call.
    """
    given = as_list(inputs)
    chosen = differentiated(given)
    if not any(chosen):
        raise ValueError(
            "gradcheck: none of the inputs is a tensor or an array of floating dtype: nothing to differentiate"
        )
    if order < 1:
        raise ValueError(f"gradcheck: order must be 1 or more, got {order}")
    points = [np.array(numpy_of(x), np.float64) for x, is_chosen in zip(given, chosen, strict=True) if is_chosen]
    fixed = [None if is_chosen else x for x, is_chosen in zip(given, chosen, strict=True)]
    f_of_points = _with_fixed(f, fixed, chosen)
    check = _Check(_ops(f_of_points, points), np.random.default_rng(seed), eps, rtol, atol)
    check.gradients(f_of_points, points, order, 1)
    return True


def gradgradcheck(f: Function, inputs: Any, **options: Any) -> bool:
    """Are f's gradients of gradients right? The keywords are those of gradcheck (torch.autograd.gradgradcheck)."""
    return gradcheck(f, inputs, order=2, **options)


def _with_fixed(f: Function, fixed: list[Any], chosen: list[bool]) -> Function:
    """f as a function of what is differentiated only; the rest goes in as it was given, arrays as tensors."""
    rest = [from_numpy(x.copy()) if isinstance(x, np.ndarray) else x for x in fixed]

    def g(*xs: Tensor) -> Any:
        free = iter(xs)
        return f(*[next(free) if is_chosen else x for is_chosen, x in zip(chosen, rest, strict=True)])

    return g


# ------------------------------------------------------------------------------------------------------- one order of it


def _leaves(points: Sequence[np.ndarray]) -> list[Tensor]:
    return [from_numpy(np.array(x)).requires_grad_() for x in points]  # 0-d arithmetic gives no array


def _values(f: Function, xs: Sequence[Tensor]) -> list[Tensor]:
    """f's results that are floating: the others have no derivative."""
    with enable_grad():
        ys = as_list(f(*xs))
    for y in ys:
        if not isinstance(y, Tensor):
            raise TypeError(f"gradcheck: f must return a tensor or several, got {type(y).__name__}")
    return [y if y.dtype == float64 else y.double() for y in ys if y.is_floating_point()]


def _pulled(f: Function, xs: Sequence[Tensor], gs: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
    """The gradients of f's values at xs under the cotangents gs, zeros where f does not depend on an input."""
    pairs = [(y, g) for y, g in zip(_values(f, xs), gs, strict=True) if y.requires_grad]
    zeros = [from_numpy(np.zeros(tuple(x.shape))) for x in xs]
    if not pairs:
        return zeros
    ys, used = zip(*pairs, strict=True)
    found = grad(ys, xs, used, create_graph=create_graph, allow_unused=True)
    return [zero if g is None else g for g, zero in zip(found, zeros, strict=True)]


def _gradients(
    f: Function, points: Sequence[np.ndarray], cotangents: Sequence[np.ndarray], create_graph: bool
) -> list[np.ndarray]:
    gs = [from_numpy(np.array(g)) for g in cotangents]
    return [numpy_of(g) for g in _pulled(f, _leaves(points), gs, create_graph)]


class _Check(NamedTuple):
    """What all orders of a check share."""

    ops: str
    rng: np.random.Generator
    eps: float
    rtol: float
    atol: float

    def draw(self, like: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Random numbers of those shapes, none near zero."""
        return [self.rng.uniform(0.5, 1.5, a.shape) * self.rng.choice([-1, 1], a.shape) for a in like]

    def gradients(self, f: Function, points: list[np.ndarray], order: int, level: int) -> None:
        """Check f's gradients; then, with an order less, those of the function that gives these gradients."""
        values = _checked_values(f, points)
        cotangents, directions = self.draw(values), self.draw(points)

        def phi(moved: Sequence[np.ndarray]) -> tuple[float, float]:
            """<g, f(moved)>, and the sum of its terms without their signs."""
            products = [g * numpy_of(y) for g, y in zip(cotangents, _values(f, _leaves(moved)), strict=True)]
            return sum(float(p.sum()) for p in products), sum(float(np.abs(p).sum()) for p in products)

        points, (slope, noise) = self.settled(phi, points, directions)
        plain = _gradients(f, points, cotangents, create_graph=False)
        terms = [g * u for g, u in zip(plain, directions, strict=True)]
        ours = sum(float(t.sum()) for t in terms)
        scale = max(sum(float(np.abs(t).sum()) for t in terms), abs(slope))
        if not abs(ours - slope) <= self.atol + self.rtol * scale + noise:
            worst = _worst(phi, points, plain, self.eps)
            raise AssertionError(_report(self.ops, level, points, directions, cotangents, ours, slope, worst))
        if order == 1:
            return
        for i, (a, b) in enumerate(zip(plain, _gradients(f, points, cotangents, create_graph=True), strict=True)):
            if not np.allclose(a, b, rtol=self.rtol, atol=self.atol):
                raise AssertionError(
                    f"gradcheck: {self.ops}: the gradient of input {i} is right, but is another one with create_graph=True:\n"
                    f"{_shown('recorded nothing', a)}\n{_shown('create_graph=True', b)}"
                )
        count = len(points)

        def gradient(*both: Tensor) -> list[Tensor]:
            return _pulled(f, both[:count], both[count:], create_graph=True)

        self.gradients(gradient, points + cotangents, order - 1, level + 1)

    def settled(
        self, phi: Phi, points: list[np.ndarray], directions: list[np.ndarray]
    ) -> tuple[list[np.ndarray], tuple[float, float]]:
        """phi's slope and its rounding noise, and the points it was taken at: moved aside if they lie on a kink."""
        for nudge in (0.01, 0.02, 0.03, 0.0):
            if (slope := _slope(phi, points, directions, self.eps)) is not None:
                return points, slope
            points = [x + nudge * u for x, u in zip(points, self.draw(points), strict=True)]
        raise ValueError(
            "gradcheck: finite differences do not settle near these inputs: f jumps there, or is too steep, or is not smooth"
        )


def _checked_values(f: Function, points: list[np.ndarray]) -> list[np.ndarray]:
    """f's values, once it is known that they can be differentiated numerically."""
    xs = _leaves(points)
    ys = _values(f, xs)
    shown = [numpy_of(y) for y in ys]
    if any(x.array.tobytes() != p.tobytes() for x, p in zip(xs, points, strict=True)):
        raise AssertionError("gradcheck: f writes into its inputs")
    if any(a.tobytes() != numpy_of(b).tobytes() for a, b in zip(shown, _values(f, _leaves(points)), strict=True)):
        raise ValueError("gradcheck: f gives other numbers when it is called again: seed what is random inside f")
    if not all(np.isfinite(a).all() for a in shown):
        raise ValueError("gradcheck: f gives nan or inf at these inputs, where there is no derivative to compare with")
    narrow = [op for op in ops_behind([y for y in ys if y.requires_grad], None) if op.dtype in (np.float16, np.float32)]
    if narrow:
        raise ValueError(
            f"gradcheck: {narrow[-1].name} computes in {narrow[-1].dtype} inside f, too coarse for finite differences: take .to(x.dtype)"
        )
    return shown


def _slope(
    phi: Phi, points: Sequence[np.ndarray], directions: Sequence[np.ndarray], eps: float
) -> tuple[float, float] | None:
    """The derivative of phi along the direction and its rounding noise; None at a kink.

    Central differences of fourth order, (8 (phi(h) - phi(-h)) - (phi(2h) - phi(-2h))) / 12 h. A step h is right when those of second
    order agree with them, and the slope from the left with the slope from the right; else h is made smaller, until rounding drowns it.
    """

    def at(t: float) -> tuple[float, float]:
        return phi([x + t * u for x, u in zip(points, directions, strict=True)])

    here, size = at(0.0)
    h = eps
    while h > 1e-12:
        with np.errstate(all="ignore"):
            (p1, _), (m1, _), (p2, _), (m2, _) = at(h), at(-h), at(2 * h), at(-2 * h)
        second, fourth = (p1 - m1) / (2 * h), (8 * (p1 - m1) - (p2 - m2)) / (12 * h)
        right, left = (4 * p1 - 3 * here - p2) / (2 * h), (3 * here - 4 * m1 + m2) / (2 * h)
        noise, scale = 1e-15 * size / h, abs(fourth) + 1e-6 * size + 1e-12
        if noise > 1e-5 * scale:
            return None
        if abs(fourth - second) <= 1e-4 * scale and abs(right - left) <= 1e-3 * scale:
            return fourth, 10 * noise
        h /= 8
    return None


def _worst(
    phi: Phi, points: list[np.ndarray], gradients: list[np.ndarray], eps: float, at_most: int = 300
) -> tuple[int, list[int], float, float] | None:
    """Input, index, and both numbers of the entry whose partial derivative is most wrong, of the first `at_most`."""
    found: list[tuple[float, int, list[int], float, float]] = []
    entries = [(i, index) for i, x in enumerate(points) for index in np.ndindex(x.shape)]
    for i, index in entries[:at_most]:
        unit = [np.zeros_like(x) for x in points]
        unit[i][index] = 1.0
        if (slope := _slope(phi, points, unit, eps)) is not None:
            ours = float(gradients[i][index])
            gap = abs(ours - slope[0])
            found.append((np.inf if np.isnan(gap) else gap, i, list(index), ours, slope[0]))
    return max(found)[1:] if found else None


def _ops(f: Function, points: Sequence[np.ndarray]) -> str:
    """The ops that f is made of, in the order in which they run."""
    ops = reversed(ops_behind([y for y in _values(f, _leaves(points)) if y.requires_grad], None))
    return ", ".join(dict.fromkeys(op.name for op in ops)) or "f (which no op connects with its inputs)"


def _report(
    ops: str,
    level: int,
    points: Sequence[np.ndarray],
    directions: Sequence[np.ndarray],
    cotangents: Sequence[np.ndarray],
    ours: float,
    theirs: float,
    worst: tuple[int, list[int], float, float] | None,
) -> str:
    what = {1: "the gradient", 2: "the gradient of the gradient"}.get(level, f"the gradient of order {level}")
    lines = [
        f"gradcheck: {what} of {ops} is wrong",
        f"  along the direction below: backward says {ours:.9g}, finite differences say {theirs:.9g}",
    ]
    if worst is not None:
        i, index, a, b = worst
        lines.append(f"  worst entry, input {i} {index}: backward says {a:.9g}, finite differences say {b:.9g}")
    if level > 1:
        lines.append(
            "  (the inputs here are those of f and then the cotangents; is backward written in ops on tensors?)"
        )
    for name, arrays in (("inputs", points), ("direction", directions), ("cotangent", cotangents)):
        lines.extend(_shown(f"{name}[{i}]", a) for i, a in enumerate(arrays))
    return "\n".join(lines)


def _shown(name: str, a: np.ndarray) -> str:
    start = f"  {name} = "
    return start + np.array2string(a, precision=6, threshold=60, separator=", ", prefix=start)


# ------------------------------------------------------------------------------------------------------------ transposes


def check_adjoint(A: Function, At: Function, x: Any, y: Any) -> bool:
    """Is At the transpose of A: <A x, y> == <x, At y>?

    On integer-valued floats (strategy `integer_valued_floats`) both sides are exact, and must be equal without a tolerance;
    on others to within the roundings of the sums.

    Args:
        A: a linear function of one tensor.
        At: what should be its transpose: takes a tensor of A(x)'s shape, returns one of x's.
        x, y: tensors or arrays of floating dtype, of the shapes that A and At take.

    Returns:
        True.

    Raises:
        AssertionError: naming both inner products and, where one is found, an entry of At y that is wrong; or the shapes, if A(x)
            does not have y's, or At(y) not x's.
    """
    a, b = (np.array(numpy_of(v)) for v in (x, y))
    ax, aty = (numpy_of(F(from_numpy(v.copy()))) for F, v in ((A, a), (At, b)))
    if ax.shape != b.shape:
        raise AssertionError(f"check_adjoint: A takes x {a.shape} to {ax.shape}, but y has shape {b.shape}")
    if aty.shape != a.shape:
        raise AssertionError(f"check_adjoint: At takes y {b.shape} to {aty.shape}, but x has shape {a.shape}")
    left, right, allowed = _inner(ax, b, a, aty)
    if abs(left - right) <= allowed:
        return True
    text = f"check_adjoint: <A x, y> = {left:.17g}, but <x, At y> = {right:.17g}"
    for index in list(np.ndindex(a.shape))[:1000]:
        unit = np.zeros_like(a)
        unit[index] = 1
        column, entry, allowed = _inner(numpy_of(A(from_numpy(unit.copy()))), b, unit, aty)
        if abs(column - entry) > allowed:
            text += f"\n  (At y){list(index)} is {entry:.9g}, and should be <A e, y> = {column:.9g}, e being 1 there and 0 elsewhere"
            break
    named = (("x", a), ("y", b), ("A x", ax), ("At y", aty))
    raise AssertionError("\n".join([text, *(_shown(name, array) for name, array in named)]))


def _inner(ax: np.ndarray, y: np.ndarray, x: np.ndarray, aty: np.ndarray) -> tuple[float, float, float]:
    """<A x, y> and <x, At y> summed in float64, and how far apart rounding allows them to be: not at all on whole numbers."""
    eps = 0.0 if all((v == np.trunc(v)).all() for v in (ax, y, x, aty)) else float(np.finfo(np.result_type(ax, x)).eps)
    left, right = (np.multiply(u, v, dtype=np.float64) for u, v in ((ax, y), (x, aty)))
    terms = max(float(np.abs(left).sum()), float(np.abs(right).sum()))
    return float(left.sum()), float(right.sum()), 4 * eps * terms * max(ax.size, x.size, 1)
