"""Random programs: whole graphs, written as Python source and run in both libraries.

A program is a list of lines in which `lib` is minigrad or torch. Every value that a line makes, every gradient of a leaf after
every backward, every updated weight, and whatever is alive at the end is compared, in float64. A program that fails prints as
a script that runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from helpers import numpy_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import minigrad as mg

HEADER = """\
import numpy as np
import minigrad as lib  # or: import torch as lib


def numbers(shape, seed):
    return lib.tensor(np.random.default_rng(seed).uniform(-1, 1, shape))


F = lib.nn.functional
"""

SETTINGS = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


# --------------------------------------------------------------------------------------------------------- running a program


class Script(list):
    """Lines of source, shown as a script."""

    def __repr__(self) -> str:
        return "\n" + HEADER + "\n" + "\n".join(self) + "\n"


def snapshot(x: Any) -> np.ndarray:
    return np.array(numpy_of(x))


def run(script: list[str], lib: Any) -> list[tuple[str, np.ndarray]]:
    """What every line made, by name and in order."""
    scope: dict[str, Any] = {
        "lib": lib,
        "F": lib.nn.functional,
        "numbers": lambda shape, seed: lib.tensor(np.random.default_rng(seed).uniform(-1, 1, shape)),
    }
    seen: list[tuple[str, np.ndarray]] = []

    def see(when: str, names: Any) -> None:
        for name in names:
            x = scope[name]
            seen.append((f"{name} after: {when}", snapshot(x)))
            if name[0] == "w":
                nothing = x.grad is None
                seen.append((f"{name}.grad after: {when}", np.zeros(0) if nothing else snapshot(x.grad)))

    def tensors(prefix: str) -> list[str]:
        return sorted(n for n in scope if n[0] in prefix and n[1:].isdigit())

    for line in script:
        before = set(scope)
        exec(line, scope)
        made = [n for n in tensors("vw") if n not in before]
        see(line, tensors("w") if "backward" in line or "step" in line else made)
    see("the end", tensors("vw"))
    return seen


def compare(script: list[str]) -> None:
    """The same names, shapes and numbers, to twelve digits of the largest."""
    with np.errstate(all="ignore"):
        ours, theirs = run(script, mg), run(script, torch)
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    for (name, a), (_, b) in zip(ours, theirs, strict=True):
        assert a.shape == b.shape, f"{name}: shape {a.shape}, torch has {b.shape}"
        assert a.dtype == b.dtype, f"{name}: {a.dtype}, torch has {b.dtype}"
        scale = float(np.abs(b).max(initial=1.0))
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12 * scale, err_msg=name)


# --------------------------------------------------------------------------------------------------------- writing a program


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
    careful: bool = True  # no in-place change of what was saved, no use of a view whose base was changed
    lines: Script = field(default_factory=Script)
    pool: list[Variable] = field(default_factory=list)
    saved: set[int] = field(default_factory=set)
    count: int = 0

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def pick(self, where: Callable[[Variable], bool] = lambda v: True) -> Variable | None:
        candidates = [v for v in self.pool if where(v)]
        return self.draw(st.sampled_from(candidates)) if candidates else None

    def fresh(self) -> int:
        self.count += 1
        return self.count

    def leaf(self, shape: tuple[int, ...]) -> None:
        n = self.fresh()
        self.lines.append(f"w{n} = numbers({shape}, {n}).requires_grad_()")
        self.pool.append(Variable(f"w{n}", shape, n, 1.0, frozenset([f"w{n}"]), leaf=True))
        self.saved.add(n)

    def make(
        self, code: str, shape: Any, inputs: list[Variable], bound: float, saves: bool = True, view: bool = False
    ) -> Variable:
        """v = code, sometimes under no_grad, squashed where numbers would grow."""
        n = self.fresh()
        if bound > 30:
            code, bound, saves, view = f"lib.tanh({code})", 1.0, True, False
        quiet = self.number(0, 11) == 0
        memory = inputs[0].memory if view else n
        leaves = frozenset[str]() if quiet else frozenset[str]().union(*(x.leaves for x in inputs))
        if saves and leaves:
            self.saved |= {memory, *(x.memory for x in inputs)}
        self.lines.append(f"with lib.no_grad(): v{n} = {code}" if quiet else f"v{n} = {code}")
        self.pool.append(Variable(f"v{n}", tuple(shape), memory, bound, leaves))
        return self.pool[-1]

    def changed(self, x: Variable, y: Variable | None, code: str, bound: float, saves: bool = False) -> None:
        """x was changed in place, reading y: its views and bases, in careful programs, are not used any more."""
        quiet = x.leaf or self.number(0, 7) == 0
        self.lines.append(f"with lib.no_grad(): {code}" if quiet else code)
        now = x if quiet else replace(x, leaves=x.leaves | (y.leaves if y else frozenset()))
        if self.careful:
            self.pool = [v for v in self.pool if v.memory != x.memory]
            if saves:
                self.saved |= {x.memory, *([y.memory] if y else [])}
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
    x = w.pick()
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
                ("lib.where({0} > 0, {0}, {0} * 0.1)", x.bound, True),
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
    x = w.pick()
    y = w.pick(lambda v: broadcasts(x.shape, v.shape) is not None)
    code, bound, saves = w.draw(
        st.sampled_from(
            [
                ("{} + {}", x.bound + y.bound, False),
                ("{} - {}", x.bound + y.bound, False),
                ("{} * {}", x.bound * y.bound, True),
                ("{0} / ({1} * {1} + 0.5)", 2 * x.bound, True),
                ("lib.maximum({}, {})", x.bound + y.bound, True),
                ("lib.where({0} > {1}, {0}, {1})", x.bound + y.bound, True),
            ]
        )
    )
    w.make(code.format(x.name, y.name), broadcasts(x.shape, y.shape), [x, y], bound, saves)


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
    weight = x and w.pick(lambda v: len(v.shape) == 2 and v.shape[1] == x.shape[-1] and v.size > 0)
    if not weight:
        return
    bias = w.pick(lambda v: v.shape == weight.shape[:1])
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
    tensor = f"lib.tensor({ids.tolist()}, dtype=lib.int64)"
    code = w.draw(st.sampled_from(["F.embedding({i}, {t})", "{t}[{i}]", "F.embedding({i}, {t}, padding_idx=0)"]))
    if code.startswith("{t}") and ids.ndim == 1 and w.number(0, 1):
        code = "lib.index_select({t}, 0, {i})"
    w.make(code.format(i=tensor, t=table.name), (*shape, table.shape[1]), [table], table.bound, saves=False)


@rule(4)
def movement(w: Writer) -> None:
    x = w.pick()
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

    y, z = w.pick(fits), w.pick(fits)
    size = x.shape[axis] + y.shape[axis] + z.shape[axis]
    if size <= 8:
        names = f"[{x.name}, {y.name}, {z.name}]"
        w.make(
            f"lib.cat({names}, {axis})",
            (*x.shape[:axis], size, *x.shape[axis + 1 :]),
            [x, y, z],
            max(x.bound, y.bound, z.bound),
            False,
        )


@rule(2)
def stack(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) < 3)
    y = x and w.pick(lambda v: v.shape == x.shape)
    if y:
        w.make(f"lib.stack([{x.name}, {y.name}])", (2, *x.shape), [x, y], max(x.bound, y.bound), False)


@rule(2)
def pieces(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) >= 1 and v.shape[-1] >= 2)
    if x is None:
        return
    a, rest = w.fresh(), x.shape[-1] - 1
    w.lines.append(f"v{a}, v{a}0000 = {x.name}.split([1, {rest}], dim=-1)")
    for name, size in ((f"v{a}", 1), (f"v{a}0000", rest)):
        w.pool.append(Variable(name, (*x.shape[:-1], size), x.memory, x.bound, x.leaves))
    w.saved.add(x.memory)  # torch forbids changing one of several views in place


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
    w.make(f"lib.{kind}({x.name}, {axis})", x.shape, [x], 1.0 if kind == "softmax" else 5 + 2 * x.bound)


@rule(2)
def loss(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) == 2 and v.size > 0)
    if x is None:
        return
    ids = [w.number(0, x.shape[1] - 1) for _ in range(x.shape[0])]
    reduction = w.draw(st.sampled_from(["mean", "sum", "none"]))
    code = f"F.cross_entropy({x.name}, lib.tensor({ids}), reduction={reduction!r})"
    w.make(code, x.shape[:1] if reduction == "none" else (), [x], 5 + 2 * x.bound)


@rule(1)
def masked_attention(w: Writer) -> None:
    x = w.pick(lambda v: len(v.shape) in (2, 3) and v.size > 0)
    if x is None:
        return
    t = x.shape[-2]
    y = w.make(f"{x.name} @ {x.name}.transpose(-2, -1)", (*x.shape[:-1], t), [x], x.shape[-1] * x.bound**2)
    mask = f"lib.triu(lib.ones({t}, {t}), diagonal=1).bool()"
    z = w.make(f"lib.softmax({y.name}.masked_fill({mask}, -float('inf')), -1)", y.shape, [y], 1.0)
    w.make(f"{z.name} @ {x.name}", x.shape, [z, x], x.bound)


@rule(1)
def detach(w: Writer) -> None:
    x = w.pick()
    y = w.make(f"{x.name}.detach()", x.shape, [x], x.bound, False, view=True)
    w.pool[-1] = replace(y, leaves=frozenset())


@rule(5)
def in_place(w: Writer) -> None:
    x = w.pick(lambda v: not v.leaf and v.size > 0 and (not w.careful or v.memory not in w.saved))
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
    if y and not w.careful:
        reading += [("{x} *= {y}", x.bound * y.bound), ("{x}.tanh_()", 1.0)]
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
    w.lines.append(f"with lib.no_grad(): {x.name} *= 0.9")
    w.forget_graph()


@rule(3)
def backward(w: Writer) -> None:
    x = w.pick(lambda v: bool(v.leaves) and not v.leaf)
    if x is None:
        return
    retain = w.draw(st.booleans())
    w.lines.append(f"{x.name}.backward(numbers({x.shape}, {w.fresh()}){', retain_graph=True' if retain else ''})")
    if not retain:
        w.forget_graph()


@rule(2)
def gradient_of_gradient(w: Writer) -> None:
    x = w.pick(lambda v: bool(v.leaves) and not v.leaf)
    if x is None:
        return
    leaf = w.pick(lambda v: v.leaf and v.name in x.leaves)
    code = f"lib.autograd.grad({x.name}, [{leaf.name}], numbers({x.shape}, {w.fresh()}), create_graph=True)[0].tanh() * {leaf.name}"
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


@st.composite
def programs(draw: Any, careful: bool = True) -> Script:
    """Leaves (a table among them, and perhaps what is multiplied with it), an optimizer, 5 to 30 lines, and a last backward."""
    w = Writer(draw, careful)
    width = w.number(1, 3)
    w.leaf((w.number(1, 4), width))
    w.leaf((width,))
    for _ in range(w.number(0, 2)):
        w.leaf(draw(st.sampled_from([(), (2, 3), (width, width), (2, 2, width), (width, 3)])))
    options = draw(st.sampled_from(["lr=0.1", "lr=0.1, momentum=0.9", "lr=0.1, weight_decay=0.01"]))
    w.lines.append(f"opt = lib.optim.SGD([{', '.join(v.name for v in w.pool)}], {options})")
    for _ in range(w.number(5, 30)):
        draw(st.sampled_from(RULES))(w)
    if x := w.pick(lambda v: bool(v.leaves) and not v.leaf):
        w.lines.append(f"{x.name}.backward(numbers({x.shape}, {w.fresh()}))")
        w.lines.append("opt.step()")
    return w.lines


# ------------------------------------------------------------------------------------------------------------------ the tests


@given(programs())
@SETTINGS
def test_random_programs(script):
    compare(script)


@given(programs(careful=False))
@SETTINGS
def test_random_programs_that_write_anywhere(script):
    """In place into views, bases and saved tensors: where both libraries give numbers, they are the same."""
    for lib in (torch, mg):
        try:
            run(script, lib)
        except RuntimeError:
            return
    compare(script)


def test_programs_are_various():
    """The generator reaches every rule, and its programs do go backward and come to the end."""
    words = [
        "backward",
        "opt.step",
        "no_grad",
        "detach",
        "embedding",
        "cat",
        "softmax",
        "cross_entropy",
        "create_graph",
        "+=",
        "@",
        "split",
    ]
    count = dict.fromkeys(words, 0)
    lengths: list[int] = []

    @given(programs())
    @settings(SETTINGS, max_examples=100)
    def look(script):
        source = "\n".join(script)
        lengths.append(len(script))
        for word in words:
            count[word] += word in source

    look()
    assert min(count.values()) >= 5, count
    assert np.mean(lengths) > 8
