"""The rules by which random programs are written: each adds a line that torch accepts, or none.

The writer keeps account of shapes, of which variables share memory, of what backward will read, and of how large numbers may
be, so that a program that is drawn is a program that runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .strategies import st


@dataclass(frozen=True)
class Variable:
    name: str
    shape: tuple[int, ...]
    memory: int  # views have their base's
    bound: float  # |x| is about at most this
    leaves: frozenset[str] = frozenset()  # those that a gradient would reach
    leaf: bool = False

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


@dataclass
class Writer:
    """Draws lines that torch accepts: it keeps account of shapes, of who shares memory, and of what backward will read."""

    draw: Callable[..., Any]
    careful: bool  # no in-place change of what was saved, no use of a view whose base was changed
    lines: list[str] = field(default_factory=list)
    pool: list[Variable] = field(default_factory=list)
    saved: set[int] = field(default_factory=set)  # memories that backward reads
    pieces: set[str] = field(default_factory=set)  # of a split, which torch forbids to change in place
    count: int = 0

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def pick(self, where: Callable[[Variable], bool] = lambda v: True) -> Variable | None:
        candidates = [v for v in self.pool if where(v)]
        return self.draw(st.sampled_from(candidates)) if candidates else None

    def any(self) -> Variable:
        return self.draw(st.sampled_from(self.pool))  # which always has the leaves

    def root(self) -> Variable | None:
        """What backward can be called on."""
        return self.pick(lambda v: bool(v.leaves) and not v.leaf)

    def fresh(self) -> int:
        """A number that no name has yet."""
        self.count += 1
        return self.count

    def leaf(self, shape: tuple[int, ...]) -> None:
        n = self.fresh()
        self.lines.append(f"w{n} = numbers({shape}, {n}).requires_grad_()")
        self.pool.append(Variable(f"w{n}", shape, n, 1.0, frozenset([f"w{n}"]), leaf=True))
        self.saved.add(n)

    def optimizer(self) -> None:
        """Of all leaves so far. Adam's eps is large: with a small one rounding noise in a gradient becomes a full step."""
        kinds = ["SGD({}, lr=0.1)", "SGD({}, lr=0.1, momentum=0.9)", "SGD({}, lr=0.1, weight_decay=0.01)"]
        kinds += ["Adam({}, lr=0.1, eps=0.1)", "AdamW({}, lr=0.1, eps=0.1, weight_decay=0.1)"]
        kinds += ["SGD({}, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)"]
        leaves = ", ".join(v.name for v in self.pool)
        self.lines.append(f"opt = torch.optim.{self.draw(st.sampled_from(kinds)).format(f'[{leaves}]')}")

    def make(
        self, code: str, shape: Any, inputs: list[Variable], bound: float, saves: bool = True, view: bool = False
    ) -> Variable:
        """v = code, sometimes under no_grad, squashed where numbers would grow."""
        n = self.fresh()
        if bound > 30:
            code, bound, saves, view = f"torch.tanh({code})", 1.0, True, False
        quiet = (self.careful or not view) and self.number(0, 11) == 11  # torch is wary of views without a history
        memory = inputs[0].memory if view else n
        leaves = frozenset[str]() if quiet else frozenset[str]().union(*(x.leaves for x in inputs))
        if saves and leaves:
            self.saved |= {memory, *(x.memory for x in inputs)}
        self.lines.append(f"with torch.no_grad(): v{n} = {code}" if quiet else f"v{n} = {code}")
        self.pool.append(Variable(f"v{n}", tuple(shape), memory, bound, leaves))
        if view and quiet:  # torch forbids changing it in place later on
            self.saved.add(memory)
        return self.pool[-1]

    def changed(self, x: Variable, y: Variable | None, code: str, bound: float) -> None:
        """x was changed in place, reading y: its views and bases, in careful programs, are not used any more."""
        quiet = x.leaf or self.number(0, 7) == 7
        self.lines.append(f"with torch.no_grad(): {code}" if quiet else code)
        now = x if quiet else replace(x, leaves=x.leaves | (y.leaves if y else frozenset()))
        if self.careful:
            self.pool = [v for v in self.pool if v.memory != x.memory]
        else:
            self.pool.remove(x)
        self.pool.append(replace(now, bound=bound))

    def forget_graph(self) -> None:
        self.pool = [v for v in self.pool if v.leaf]


Rule = Callable[[Writer], Any]
RULES: list[Rule] = []


def rule(weight: int) -> Callable[[Rule], Rule]:
    def add(f: Rule) -> Rule:
        RULES.extend([f] * weight)
        return f

    return add


@rule(3)
def of_one_number(w: Writer) -> None:
    x = w.any()
    code, bound, saves = w.draw(
        st.sampled_from(
            [
                ("{}.tanh()", 1.0, True),
                ("{}.sigmoid()", 1.0, True),
                ("({} * 0.5).tanh().exp()", 3.0, True),
                ("({0} * {0} + 1).log()", 1 + x.bound, True),
                ("({0} * {0} + 0.5).sqrt()", 1 + x.bound, True),
                ("{} ** 2", x.bound**2, True),
                ("{} ** 3", x.bound**3, True),
                ("{}.relu()", x.bound, True),
                ("{}.abs()", x.bound, True),
                ("{}.sin()", 1.0, True),
                ("{}.clamp(-0.4, 0.6)", 0.6, True),
                ("{0}.masked_fill({0} > 0.3, -0.5)", x.bound, True),
                ("torch.where({0} > 0, {0}, {0} * 0.1)", x.bound, True),
                ("-{}", x.bound, False),
                ("{} * 2.5", x.bound * 2.5, False),
                ("1 - {}", x.bound + 1, False),
                ("0.5 / ({0} * {0} + 1)", 1.0, True),
                ("{}.clone()", x.bound, False),
                ("{}.float().double()", x.bound, False),
            ]
        )
    )
    if code != "{}.float().double()":  # rounding differs only where it is not asked for
        w.make(code.format(x.name), x.shape, [x], bound, saves)


def broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        return None


@rule(5)
def of_two(w: Writer) -> None:
    x = w.any()
    y = w.pick(lambda v: broadcasts(x.shape, v.shape) is not None) or x
    code, bound, saves = w.draw(
        st.sampled_from(
            [
                ("{} + {}", x.bound + y.bound, False),
                ("{} - {}", x.bound + y.bound, False),
                ("{} * {}", x.bound * y.bound, True),
                ("{0} / ({1} * {1} + 0.5)", 2 * x.bound, True),
                ("torch.maximum({}, {})", x.bound + y.bound, True),
                ("torch.where({0} > {1}, {0}, {1})", x.bound + y.bound, True),
            ]
        )
    )
    w.make(code.format(x.name, y.name), np.broadcast_shapes(x.shape, y.shape), [x, y], bound, saves)


@rule(4)
def matrix_product(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) >= 1 and v.size > 0)
    if x is None:
        return
    k = x.shape[-1]
    if y := w.pick(lambda v: len(v.shape) == 2 and v.shape[0] == k):
        w.make(f"{x.name} @ {y.name}", (*x.shape[:-1], y.shape[1]), [x, y], k * x.bound * y.bound)
    if len(x.shape) >= 2 and (y := w.pick(lambda v: len(v.shape) == 2 and v.shape[1] == k)):
        w.make(f"{x.name} @ {y.name}.T", (*x.shape[:-1], y.shape[0]), [x, y], k * x.bound * y.bound)


@rule(3)
def linear(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) >= 1 and v.size > 0)
    if x is None:
        return
    k = x.shape[-1]
    weight = w.pick(lambda v: len(v.shape) == 2 and v.shape[1] == k and v.size > 0)
    if weight is None:
        return
    rows = weight.shape[:1]
    bias = w.pick(lambda v: v.shape == rows)
    names = ", ".join(v.name for v in (x, weight, bias) if v)
    bound = x.shape[-1] * x.bound * weight.bound + (bias.bound if bias else 0)
    w.make(f"F.linear({names})", (*x.shape[:-1], weight.shape[0]), [v for v in (x, weight, bias) if v], bound)


@rule(4)
def lookup(w: Writer) -> None:
    table = w.pick(lambda v: len(v.shape) == 2 and v.shape[0] > 0)
    if table is None:
        return
    shape = w.draw(st.sampled_from([(0,), (1,), (3,), (2, 2), (2, 3)]))
    ids = np.array([w.number(0, table.shape[0] - 1) for _ in range(int(np.prod(shape)))], dtype=int).reshape(shape)
    tensor = f"torch.tensor({ids.tolist()}, dtype=torch.int64)"
    code = w.draw(st.sampled_from(["F.embedding({i}, {t})", "{t}[{i}]", "F.embedding({i}, {t}, padding_idx=0)"]))
    if code.startswith("{t}") and ids.ndim == 1 and w.number(0, 1):
        code = "torch.index_select({t}, 0, {i})"
    w.make(code.format(i=tensor, t=table.name), (*shape, table.shape[1]), [table], table.bound, saves=False)


@rule(2)
def tied_weights(w: Writer) -> None:
    """A table read at the input and, transposed, at the output."""
    table = w.pick(lambda v: v.leaf and len(v.shape) == 2 and v.size > 0)
    if table is None:
        return
    rows, width = table.shape
    ids = [w.number(0, rows - 1) for _ in range(w.number(1, 4))]
    x = w.make(f"F.embedding(torch.tensor({ids}), {table.name})", (len(ids), width), [table], table.bound, saves=False)
    y = w.make(f"{x.name} @ {table.name}.T", (len(ids), rows), [x, table], width * x.bound * table.bound)
    w.make(f"F.cross_entropy({y.name}, torch.tensor({ids[::-1]}))", (), [y], 5 + 2 * y.bound)


@rule(4)
def movement(w: Writer) -> None:
    x = w.any()
    n = len(x.shape)
    kinds = ["reshape", "unsqueeze", "whole"] + (["permute", "slice", "row", "flip", "expand"] if n else [])
    kind = w.draw(st.sampled_from(kinds))
    if kind == "reshape":
        to = w.draw(st.permutations(x.shape)) if w.number(0, 1) else [x.size]
        w.make(f"{x.name}.reshape({tuple(to)})", to, [x], x.bound, False, view=True)
    elif kind == "unsqueeze":
        at = w.number(0, n)
        w.make(f"{x.name}.unsqueeze({at})", (*x.shape[:at], 1, *x.shape[at:]), [x], x.bound, False, view=True)
    elif kind == "whole":
        w.make(f"{x.name}[...]", x.shape, [x], x.bound, False, view=True)
    elif kind == "permute":
        dims = w.draw(st.permutations(range(n)))
        w.make(f"{x.name}.permute({tuple(dims)})", [x.shape[d] for d in dims], [x], x.bound, False, view=True)
    elif kind == "slice":
        axis, step = w.number(0, n - 1), w.number(1, 2)
        start = w.number(0, x.shape[axis])
        size = len(range(start, x.shape[axis], step))
        key = ", ".join([":"] * axis + [f"{start}::{step}"])
        w.make(f"{x.name}[{key}]", (*x.shape[:axis], size, *x.shape[axis + 1 :]), [x], x.bound, False, view=True)
    elif kind == "row" and x.shape[0]:
        w.make(f"{x.name}[{w.number(-x.shape[0], x.shape[0] - 1)}]", x.shape[1:], [x], x.bound, False, view=True)
    elif kind == "flip" and x.shape[0]:
        ids = list(range(x.shape[0]))[::-1]
        w.make(f"{x.name}[{ids}]", x.shape, [x], x.bound, False)
    elif kind == "expand":
        y = w.make(f"{x.name}.expand({(2, *x.shape)})", (2, *x.shape), [x], x.bound, False, view=True)
        w.saved.add(y.memory)  # an element in two places is not to be changed


@rule(3)
def join(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) >= 1)
    if x is None:
        return
    axis = w.number(0, len(x.shape) - 1)

    def fits(v: Variable) -> bool:
        return len(v.shape) == len(x.shape) and all(
            i == axis or a == b for i, (a, b) in enumerate(zip(v.shape, x.shape, strict=True))
        )

    y, z = w.pick(fits) or x, w.pick(fits) or x
    size = x.shape[axis] + y.shape[axis] + z.shape[axis]
    if size <= 8:
        names = f"[{x.name}, {y.name}, {z.name}]"
        w.make(
            f"torch.cat({names}, {axis})",
            (*x.shape[:axis], size, *x.shape[axis + 1 :]),
            [x, y, z],
            max(x.bound, y.bound, z.bound),
            False,
        )


@rule(2)
def stack(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) < 3)
    if x is not None:
        shape = x.shape
        y = w.pick(lambda v: v.shape == shape) or x
        w.make(f"torch.stack([{x.name}, {y.name}])", (2, *x.shape), [x, y], max(x.bound, y.bound), False)


@rule(2)
def pieces(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) >= 1 and v.shape[-1] >= 2)
    if x is None:
        return
    a, rest = w.fresh(), x.shape[-1] - 1
    w.lines.append(f"v{a}, v{a}0000 = {x.name}.split([1, {rest}], dim=-1)")
    for name, size in ((f"v{a}", 1), (f"v{a}0000", rest)):
        w.pool.append(Variable(name, (*x.shape[:-1], size), x.memory, x.bound, x.leaves))
        w.pieces.add(name)
    w.saved.add(x.memory)


@rule(3)
def reduction(w: Writer) -> None:
    x = w.pick(lambda v: v.size > 0)
    if x is None:
        return
    n = len(x.shape)
    kind = w.draw(st.sampled_from(["sum", "mean", "amax", "var"]))
    keep = w.draw(st.booleans())
    if n == 0 or w.number(0, 2) == 0:
        axes, dims = tuple(range(n)), ""
    else:
        axes = (w.number(0, n - 1),)
        dims = f"{axes[0]}, keepdim={keep}"
    shape = tuple(
        1 if i in axes and dims and keep else s for i, s in enumerate(x.shape) if i not in axes or (dims and keep)
    )
    count = int(np.prod([x.shape[i] for i in axes]))
    if kind == "var" and count < 2:
        kind = "mean"
    bound = {"sum": count * x.bound, "var": 4 * x.bound**2}.get(kind, x.bound)
    w.make(f"{x.name}.{kind}({dims})", shape, [x], bound, saves=kind in ("amax", "var"))


@rule(3)
def normalized(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) >= 1 and v.size > 0)
    if x is None:
        return
    axis = w.number(0, len(x.shape) - 1)
    kind = w.draw(st.sampled_from(["softmax", "log_softmax"]))
    w.make(f"torch.{kind}({x.name}, {axis})", x.shape, [x], 1.0 if kind == "softmax" else 5 + 2 * x.bound)


@rule(2)
def loss(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) == 2 and v.size > 0)
    if x is None:
        return
    ids = [w.number(0, x.shape[1] - 1) for _ in range(x.shape[0])]
    reduction = w.draw(st.sampled_from(["mean", "sum", "none"]))
    code = f"F.cross_entropy({x.name}, torch.tensor({ids}), reduction={reduction!r})"
    w.make(code, x.shape[:1] if reduction == "none" else (), [x], 5 + 2 * x.bound)


@rule(1)
def masked_attention(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) in (2, 3) and v.size > 0)
    if x is None:
        return
    t = x.shape[-2]
    y = w.make(f"{x.name} @ {x.name}.transpose(-2, -1)", (*x.shape[:-1], t), [x], x.shape[-1] * x.bound**2)
    mask = f"torch.triu(torch.ones({t}, {t}), diagonal=1).bool()"
    z = w.make(f"torch.softmax({y.name}.masked_fill({mask}, -float('inf')), -1)", y.shape, [y], 1.0)
    w.make(f"{z.name} @ {x.name}", x.shape, [z, x], x.bound)


@rule(1)
def detach(w: Writer) -> None:
    x = w.any()
    y = w.make(f"{x.name}.detach()", x.shape, [x], x.bound, False, view=True)
    w.pool[-1] = replace(y, leaves=frozenset())


@rule(5)
def in_place(w: Writer) -> None:
    x = w.pick(
        lambda v: not v.leaf and v.size > 0 and v.name not in w.pieces and not (w.careful and v.memory in w.saved)
    )
    if x is None:
        return
    y = w.pick(lambda v: broadcasts(x.shape, v.shape) == x.shape and (not w.careful or v.memory != x.memory))
    plain = [
        ("{x} += 0.5", x.bound + 1),
        ("{x}.mul_(-1.5)", x.bound * 1.5),
        ("{x}.masked_fill_({x} > 0.2, 0.1)", x.bound + 1),
        ("{x}.fill_(0.5)", 1.0),
    ]
    if x.shape:
        plain += [("{x}[0] = 0.7", x.bound + 1), ("{x}[..., -1] *= 0.5", x.bound), ("{x}[{x} < 0] = 0.25", x.bound + 1)]
    reading = (
        [
            ("{x} += {y}", x.bound + y.bound),
            ("{x}.sub_({y})", x.bound + y.bound),
            ("{x}.copy_({y})", y.bound),
            ("{x}[...] = {y}", y.bound),
        ]
        if y
        else []
    )
    if y and x.shape and broadcasts(x.shape[1:], y.shape) == x.shape[1:]:
        reading += [("{x}[-1] = {y}", x.bound + y.bound), ("{x}[0] += {y}", x.bound + y.bound)]
    if (
        y and not w.careful
    ):  # without tanh_: changed again, torch refuses it, and minigrad, which kept its own copy, does not
        reading += [("{x} *= {y}", x.bound * y.bound), ("{x}.copy_({x}.tanh())", 1.0)]
    if y and w.number(0, 2):
        code, bound = w.draw(st.sampled_from(reading))
    else:
        (code, bound), y = w.draw(st.sampled_from(plain)), None
    if bound <= 30:
        w.changed(x, y, code.format(x=x.name, y=y.name if y else ""), bound)


@rule(1)
def leaf_in_place(w: Writer) -> None:
    """An update by hand; what was computed from the old values is forgotten, as after an optimizer's step."""
    x = w.pick(lambda v: v.leaf and v.size > 0)
    if x is None:
        return
    w.lines.append(f"with torch.no_grad(): {x.name} *= 0.9")
    w.forget_graph()


@rule(3)
def backward(w: Writer) -> None:
    x = w.root()
    if x is None:
        return
    retain, again = w.draw(st.booleans()), w.number(0, 2) == 2
    w.lines.append(f"{x.name}.backward(numbers({x.shape}, {w.fresh()}){', retain_graph=True' if retain else ''})")
    if not retain:
        if again:  # where it is refused, torch may have come half way: the gradients are dropped
            w.lines.append(
                f"r{w.fresh()} = attempt(lambda: {x.name}.backward(numbers({x.shape}, {w.count}))); opt.zero_grad()"
            )
        w.forget_graph()


@rule(2)
def gradient_of_gradient(w: Writer) -> None:
    x = w.root()
    if x is None:
        return
    name = w.draw(st.sampled_from(sorted(x.leaves)))
    leaf = next(v for v in w.pool if v.name == name)
    code = f"torch.autograd.grad({x.name}, [{leaf.name}], numbers({x.shape}, {w.fresh()}), create_graph=True)[0].tanh() * {leaf.name}"
    # whether the gradient itself has a history, the ops decide; times the leaf it has
    n = w.fresh()
    w.lines.append(f"v{n} = {code}")
    w.saved |= {v.memory for v in w.pool} | {n}
    w.pool.append(Variable(f"v{n}", leaf.shape, n, 1.0, frozenset([leaf.name])))


@rule(2)
def step(w: Writer) -> None:
    code = w.draw(
        st.sampled_from(
            ["opt.step()", "opt.step(); opt.zero_grad()", "opt.zero_grad()", "opt.zero_grad(set_to_none=False)"]
        )
    )
    w.lines.append(code)
    if "step" in code:
        w.forget_graph()
