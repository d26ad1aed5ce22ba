"""Gradients against finite differences, and transposes against their definition: checks that need nothing but NumPy.

`gradcheck` walks from the inputs along a random direction u and looks at phi(t) = <g, f(x + t u)> with a random
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
from ..tensor import Tensor
from .compare import numpy_of
from .devices import placed

Function = Callable[..., Any]


def as_list(y: Any) -> list[Any]:
    """What a function took or returned, a tensor or several, as a list."""
    return list(y) if isinstance(y, list | tuple) else [y]


def differentiated(inputs: Sequence[Any]) -> list[bool]:
    """Which inputs a check differentiates by: those that require grad, or, if none does, all of floating dtype."""
    asked = [isinstance(x, Tensor) and x.requires_grad for x in inputs]
    floating = [isinstance(x, Tensor | np.ndarray) and numpy_of(x).dtype.kind == "f" for x in inputs]
    return asked if any(asked) else floating


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
    What is not meant to be the derivative fails: the row of F.embedding's padding_idx, or what detach() cuts off.

    Args:
        f: takes tensors as `inputs` has them, returns a tensor or several. Must give the same numbers each time.
        inputs: a tensor or array, or a sequence of those and of anything else f takes. Those that require grad are
            differentiated; if none does, all of floating dtype.
        order: 1 for gradients, 2 for gradients of gradients too, and so on.
        seed: of the directions and the cotangents.
        eps: the largest step.
        rtol, atol: how far the two slopes may be apart: atol + rtol times the slope's terms summed without sign, f's values being
            scaled to be at most 1.

    Returns:
        True.

    Raises:
        AssertionError: naming the ops, inputs, direction and cotangent, both numbers, and an entry that is wrong.
        ValueError: there is nothing to differentiate, or no derivative to compare with: f gives nan or inf at the inputs, or
            changes from call to call.
    """
    given = [placed(x.copy()) if isinstance(x, np.ndarray) else x for x in as_list(inputs)]
    chosen = differentiated(given)
    if not any(chosen):
        raise ValueError(
            "gradcheck: none of the inputs is a tensor or an array of floating dtype: there is nothing to differentiate. "
            "Numbers in lists become one by minigrad.tensor(...)"
        )
    if order < 1:
        raise ValueError(f"gradcheck: order must be 1 or more, got {order}")
    if eps <= 0:
        raise ValueError(f"gradcheck: eps must be positive, got {eps}")
    points = [np.array(numpy_of(x), np.float64) for x, is_chosen in zip(given, chosen, strict=True) if is_chosen]
    names = [f"input {i}" for i, is_chosen in enumerate(chosen) if is_chosen]
    fixed = [
        None if is_chosen else x.clone() if isinstance(x, Tensor) else x
        for x, is_chosen in zip(given, chosen, strict=True)
    ]

    def f_of_points(*xs: Tensor) -> Any:
        free = iter(xs)
        return f(*[next(free) if is_chosen else x for is_chosen, x in zip(chosen, fixed, strict=True)])

    check = _Check(_ops(f_of_points, points), np.random.default_rng(seed), eps, rtol, atol)
    check.gradients(f_of_points, points, names, order, 1, 0.0)
    for i, (x, y) in enumerate(zip(given, fixed, strict=True)):
        if isinstance(y, Tensor) and numpy_of(y).tobytes() != numpy_of(x).tobytes():
            raise AssertionError(f"gradcheck: f writes into input {i}")
    return True


def gradgradcheck(f: Function, inputs: Any, **options: Any) -> bool:
    """Are f's gradients of gradients right? The keywords are those of gradcheck (torch.autograd.gradgradcheck)."""
    return gradcheck(f, inputs, order=2, **options)


# ------------------------------------------------------------------------------------------------------- one order of it


def _leaves(points: Sequence[np.ndarray]) -> list[Tensor]:
    return [placed(np.array(x)).requires_grad_() for x in points]  # 0-d arithmetic gives no array


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
    zeros = [placed(np.zeros(tuple(x.shape))) for x in xs]
    if not pairs:
        return zeros
    ys, used = zip(*pairs, strict=True)
    found = grad(ys, xs, used, create_graph=create_graph, allow_unused=True)
    return [zero if g is None else g for g, zero in zip(found, zeros, strict=True)]


def _gradients(
    f: Function, points: Sequence[np.ndarray], cotangents: Sequence[np.ndarray], create_graph: bool
) -> list[np.ndarray]:
    gs = [placed(np.array(g)) for g in cotangents]
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
        return [np.asarray(self.rng.uniform(0.5, 1.5, a.shape) * self.rng.choice([-1, 1], a.shape)) for a in like]

    def gradients(
        self, f: Function, points: list[np.ndarray], names: list[str], order: int, level: int, above: float
    ) -> None:
        """Check f's gradients by the inputs of these names; then, with an order less, those of the function that gives them.

        above: how large numbers were from which f's were computed: cancellation leaves noise of their size.
        """
        values = _checked_values(f, points)
        cotangents = self.draw(values)
        if level == 1:  # no value drowns another
            cotangents = [np.asarray(g / _size(y)) for g, y in zip(cotangents, values, strict=True)]
        size = above + sum(float(np.abs(g * y).sum()) for g, y in zip(cotangents, values, strict=True))

        def phi(moved: Sequence[np.ndarray]) -> float:
            """<g, f(moved)>."""
            ys = _values(f, _leaves(moved))
            return sum(float((g * numpy_of(y)).sum()) for g, y in zip(cotangents, ys, strict=True))

        slopes = _Slopes(phi, size, self.eps, self.atol)
        directions = self.draw(points)
        points = self.off_kinks(slopes, points, directions)
        plain = _gradients(f, points, cotangents, create_graph=False)
        alone = [[u if i == j else np.zeros_like(u) for i, u in enumerate(directions)] for j in range(len(points))]
        for along in [directions, *(alone if len(points) > 1 else [])]:  # what is large must not hide what is small
            if self.is_wrong(slopes, points, plain, along):
                raise AssertionError(self.report(slopes, level, names, points, along, cotangents, plain))
        if order == 1:
            return
        recorded = _gradients(f, points, cotangents, create_graph=True)
        for name, a, b in zip(names, plain, recorded, strict=True):
            if not np.allclose(a, b, rtol=self.rtol, atol=self.atol):
                raise AssertionError(
                    f"gradcheck: {self.ops}: the gradient of {name} is right, but is another one with create_graph=True:\n"
                    f"{_shown('recorded nothing', a)}\n{_shown('create_graph=True', b)}"
                )
        count = len(points)

        def gradient(*both: Tensor) -> list[Tensor]:
            return _pulled(f, both[:count], both[count:], create_graph=True)

        names = names + [f"cotangent {i}" for i in range(len(cotangents))]
        self.gradients(gradient, points + cotangents, names, order - 1, level + 1, size)

    def off_kinks(self, slopes: _Slopes, points: list[np.ndarray], directions: list[np.ndarray]) -> list[np.ndarray]:
        """The points, moved aside where f has a kink."""
        for nudge in (0.01, 0.02, 0.03, 0.0):
            if slopes.at(points, directions) is not None:
                return points
            points = [np.asarray(x + nudge * u) for x, u in zip(points, self.draw(points), strict=True)]
        raise ValueError(
            "gradcheck: finite differences do not settle near these inputs: f jumps there, or is too steep, or is not smooth"
        )

    def is_wrong(
        self, slopes: _Slopes, points: list[np.ndarray], gradients: list[np.ndarray], along: list[np.ndarray]
    ) -> bool:
        """Is <u, gradients> another number than phi's slope along u? If there is no slope, nobody knows."""
        if (found := slopes.at(points, along)) is None:
            return False
        slope, noise = found
        ours, terms = _product(gradients, along)
        return not np.isfinite(ours) or abs(ours - slope) > self.atol + self.rtol * max(terms, abs(slope)) + noise

    def report(
        self,
        slopes: _Slopes,
        level: int,
        names: list[str],
        points: list[np.ndarray],
        along: list[np.ndarray],
        cotangents: list[np.ndarray],
        gradients: list[np.ndarray],
    ) -> str:
        what = {1: "the gradient", 2: "the gradient of the gradient"}.get(level, f"the gradient of order {level}")
        slope = slopes.at(points, along)
        lines = [
            f"gradcheck: {what} of {self.ops} is wrong",
            f"  along the direction below: backward says {_product(gradients, along)[0]:.9g}, "
            f"finite differences say {slope[0] if slope else np.nan:.9g}",
        ]
        if (entry := self.wrong_entry(slopes, points, gradients, along)) is not None:
            i, index, ours, theirs = entry
            lines.append(
                f"  worst entry, {names[i]} {index}: backward says {ours:.9g}, finite differences say {theirs:.9g}"
            )
        if level > 1:
            lines.append("  (cotangents are inputs here too; is backward written in ops on tensors?)")
        lines.extend(_shown(name, a) for name, a in zip(names, points, strict=True))
        lines.extend(_shown(f"direction of {name}", a) for name, a in zip(names, along, strict=True))
        lines.extend(_shown(f"cotangent of value {i}", a) for i, a in enumerate(cotangents))
        return "\n".join(lines)

    def wrong_entry(
        self, slopes: _Slopes, points: list[np.ndarray], gradients: list[np.ndarray], along: list[np.ndarray]
    ) -> tuple[int, list[int], float, float] | None:
        """Input, index, and both numbers of an entry that is wrong: of the entries left, always the worse half, down to one."""
        left = [(i, index) for i, x in enumerate(points) for index in np.ndindex(x.shape) if along[i][index]]

        def gap(entries: list[tuple[int, Any]], weights: Sequence[np.ndarray]) -> tuple[float, float, float]:
            part = [np.zeros_like(x) for x in points]
            for i, index in entries:
                part[i][index] = weights[i][index]
            slope = (slopes.at(points, part) or (np.nan, 0.0))[0]
            ours = _product(gradients, part)[0]
            return float(np.nan_to_num(abs(ours - slope), nan=np.inf)), ours, slope

        while len(left) > 1:
            half = len(left) // 2
            left = max(left[:half], left[half:], key=lambda entries: gap(entries, along)[0])
        if not left:
            return None
        ones = [np.ones_like(x) for x in points]
        _, ours, slope = gap(left, ones)
        (i, index) = left[0]
        return i, list(index), ours, slope


def _size(y: np.ndarray) -> float:
    """The largest entry, or 1 for next to nothing, which may be what rounding left of larger numbers."""
    size = float(np.abs(y).max(initial=0.0))
    return size if size > 1e-12 else 1.0


def _product(gradients: Sequence[np.ndarray], along: Sequence[np.ndarray]) -> tuple[float, float]:
    """<u, gradients>, and the sum of its terms without their signs."""
    terms = [g[u != 0] * u[u != 0] for g, u in zip(gradients, along, strict=True)]
    return sum(float(t.sum()) for t in terms), sum(float(np.abs(t).sum()) for t in terms)


def _checked_values(f: Function, points: list[np.ndarray]) -> list[np.ndarray]:
    """f's values, once it is known that they can be differentiated numerically."""
    xs = _leaves(points)
    ys = _values(f, xs)
    shown = [numpy_of(y) for y in ys]
    if any(numpy_of(x).tobytes() != p.tobytes() for x, p in zip(xs, points, strict=True)):
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


class _Slopes(NamedTuple):
    """Derivatives of phi along directions, by central differences of fourth order.

    (8 (phi(h) - phi(-h)) - (phi(2h) - phi(-2h))) / 12 h. A step h is right when differences of second order agree with it, and the
    slope from the left with the slope from the right; else it is made smaller, until rounding drowns it.
    """

    phi: Callable[[Sequence[np.ndarray]], float]
    size: float
    eps: float
    atol: float

    def at(self, points: Sequence[np.ndarray], along: Sequence[np.ndarray]) -> tuple[float, float] | None:
        """The slope and its rounding noise; None at a kink."""

        def at(t: float) -> float:
            return self.phi([np.asarray(x + t * u) for x, u in zip(points, along, strict=True)])

        here, h = at(0.0), self.eps
        while h > 1e-12:
            with np.errstate(all="ignore"):
                p1, m1, p2, m2 = at(h), at(-h), at(2 * h), at(-2 * h)
            if not np.isfinite([p1, m1, p2, m2]).all():  # beyond the edge of where f is defined
                h /= 8
                continue
            second, fourth = (p1 - m1) / (2 * h), (8 * (p1 - m1) - (p2 - m2)) / (12 * h)
            right, left = (4 * p1 - 3 * here - p2) / (2 * h), (3 * here - 4 * m1 + m2) / (2 * h)
            noise = 1e-15 * (self.size + abs(here)) / h
            scale = (max(here, p1, m1, p2, m2) - min(here, p1, m1, p2, m2)) / h
            if noise > 1e-2 * scale + self.atol and h < self.eps:
                return None
            settled = abs(fourth - second) <= 1e-4 * scale + 10 * noise + 1e-3 * self.atol
            if settled and abs(right - left) <= 1e-3 * scale + 10 * noise + 1e-3 * self.atol:
                return fourth, 10 * noise
            h /= 8
        return None


def _ops(f: Function, points: Sequence[np.ndarray]) -> str:
    """The ops that f is made of, in the order in which they run."""
    ops = reversed(ops_behind([y for y in _values(f, _leaves(points)) if y.requires_grad], None))
    return ", ".join(dict.fromkeys(op.name for op in ops)) or "f (which no op connects with its inputs)"


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
    if a.dtype.kind != "f" or b.dtype.kind != "f":
        raise TypeError(f"check_adjoint: x and y must be of floating dtype, got {a.dtype} and {b.dtype}")
    ax, aty = (numpy_of(F(placed(v.copy()))) for F, v in ((A, a), (At, b)))
    if ax.shape != b.shape:
        raise AssertionError(f"check_adjoint: A takes x {a.shape} to {ax.shape}, but y has shape {b.shape}")
    if aty.shape != a.shape:
        raise AssertionError(f"check_adjoint: At takes y {b.shape} to {aty.shape}, but x has shape {a.shape}")
    left, right, allowed = _inner(ax, b, a, aty)
    if abs(left - right) <= allowed:
        return True
    text = f"check_adjoint: <A x, y> = {left:.17g}, but <x, At y> = {right:.17g}"
    if not np.allclose(2 * ax, numpy_of(A(placed(np.asarray(2 * a)))), rtol=1e-3):
        text += "\n  A is not linear: A(2 x) is not 2 A(x)"
    for index in list(np.ndindex(a.shape))[:1000]:
        unit = np.zeros_like(a)
        unit[index] = 1
        column, entry, allowed = _inner(numpy_of(A(placed(unit.copy()))), b, unit, aty)
        if abs(column - entry) > allowed:
            text += f"\n  (At y){list(index)} is {entry:.9g}, and should be <A e, y> = {column:.9g}, e being 1 there and 0 elsewhere"
            break
    named = (("x", a), ("y", b), ("A x", ax), ("At y", aty))
    raise AssertionError("\n".join([text, *(_shown(name, array) for name, array in named)]))


def _inner(ax: np.ndarray, y: np.ndarray, x: np.ndarray, aty: np.ndarray) -> tuple[float, float, float]:
    """<A x, y> and <x, At y> summed in float64, and how far apart rounding allows them to be: not at all on whole numbers."""
    eps = 0.0 if all((v == np.trunc(v)).all() for v in (ax, y, x, aty)) else float(np.finfo(np.result_type(ax, x)).eps)
    left, right = (np.multiply(u, v, dtype=np.float64) for u, v in ((ax, y), (x, aty)))
    terms = float(np.sqrt(max((left**2).sum(), (right**2).sum())))  # roundings are of either sign
    return float(left.sum()), float(right.sum()), 16 * eps * terms * max(ax.size, x.size, 1) ** 0.5
