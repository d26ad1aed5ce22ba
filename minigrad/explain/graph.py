"""The graph behind a tensor: what is known of it, as boxes and arrows (draw) or as lines of text (trace).

Nothing is recorded for this while the engine runs, so only what the engine keeps anyway can be shown. Ops know their
parents and the shape of their result for as long as the graph lives; a value in between is known while some op keeps it
for backward, or while somebody holds the tensor. What is drawn is text: it keeps no tensor and no op alive.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import printing
from ..autograd import Call
from ..backend import to_numpy
from ..core import Handle, Op, Patch, ops_behind
from ..dtypes import default_float, ours
from ..files import replacing
from ..nn.module import Module, Parameter
from ..sparse import RowSparse
from ..tensor import Tensor, clock
from .boxes import Group, clean, svg_of, width

SMALL = 32
"""Tensors of at most so many elements are shown in numbers."""
DEEPEST = 20
"""Modules that lie deeper in modules than this are shown as part of the one around them."""


@dataclass
class Node:
    """An op or a leaf of the graph, in words."""

    number: int
    name: str
    what: str
    """op, parameter or leaf."""
    shape: str
    parents: list[int]
    """By number, in the order of the op's arguments; those that need no gradient are not in the graph."""
    facts: dict[str, str] = field(default_factory=dict)
    """value, grad and ids, as they print."""
    label: str = ""
    """As grad_fn prints."""
    group: Group | None = None

    @property
    def title(self) -> str:
        return f"{self.number} {self.name}"


class Text(str):
    """Text that a terminal or notebook shows as its lines, not in quotes."""

    def __repr__(self) -> str:
        return str(self)


class Drawing:
    """The drawn graph. In a notebook it shows itself.

    Attributes:
        svg: the picture, complete in itself: it asks for no file, and follows light and dark.
        text: the same for a terminal, as `trace` prints it.
    """

    def __init__(self, svg: str, text: Text, summary: str) -> None:
        self.svg, self.text, self._summary = svg, text, summary

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file that a browser opens, say "loss.svg". It is there completely or not at all.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        with replacing(path) as file:
            file.write(self.svg.encode())

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        # Notebooks show an SVG as an image, in which nothing can be clicked
        return f'<div style="overflow:auto;max-height:90vh">{self.svg}</div>'

    def __str__(self) -> str:
        return str(self.text)

    def __repr__(self) -> str:
        return f"<Drawing: {self._summary}>"


class watch:
    """Which ops each module runs, for `draw`: `with watch(model) as seen: loss = model.loss(...)`, then draw(loss, seen).

    Of a call only its place in the order of all ops is noted: no tensor is kept, and nothing is slower afterwards.

    Raises:
        TypeError: not a module.
    """

    def __init__(self, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"watch: expected a Module, got {type(module).__name__}")
        self.module = module
        self.spans: list[tuple[str, int, int]] = []
        """The dotted name of a module that was called, and the serials around the ops of that call."""

    def __enter__(self) -> watch:
        running: list[tuple[str, int]] = []
        paths = {module: path for path, module in self.module.named_modules()}

        def begin(module: Module, args: Any) -> None:
            running.append((paths[module], next(clock)))

        def end(module: Module, args: Any, result: Any) -> None:
            path, first = running.pop()
            while path != paths[module]:  # its forward raised, and somebody caught that
                path, first = running.pop()
            self.spans.append((path, first, next(clock)))

        self._handles: list[Handle] = []
        for module in paths:
            self._handles += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()


def draw(
    y: Tensor,
    params: Module | Mapping[str, Tensor] | watch | None = None,
    *,
    collapsed: bool | None = None,
    limit: int = 3000,
) -> Drawing:
    """The graph that y was computed by, as a picture: y on top, below each box what went into it.

    A box is an op (rounded) or a leaf (square; a parameter with a thick border), numbered in the order in which they came
    about. Beside an arrow stands the shape of what flows along it. Tensors of at most 32 elements are shown in numbers:
    leaves, y, whatever an op keeps for backward, and tensors named in `params`. After backward the ops keep nothing, so
    the numbers in between are gone; there are `.grad` of the leaves, and of tensors that called retain_grad() and are alive.

    Modules are boxes around their ops, opened and closed by a click, Enter or Space. From the graph alone, a module's ops
    are those from the first that touches its parameters to the last, and on until only one result of theirs is used
    further. That is a guess: it misses reshapes at the start, dropout at the end, and modules without parameters.
    To see calls as they were, run the forward pass under `watch`.

    Args:
        params: what names the leaves: a module (names as in its state_dict), what `watch` gave, or a dict of names and tensors
            such as dict(model.named_parameters()). Tensors in between may be named, too.
        collapsed: whether modules are closed at first. By default they are where there are more than 60 boxes.
        limit: draw so many ops at most, the youngest. The picture says how many it leaves out.

    Raises:
        TypeError: y is not a tensor, or params none of the above.
        ValueError: a limit below 1.
    """
    nodes, groups, notes = _read("draw", y, params, limit)
    summary = notes[0]
    return Drawing(svg_of(nodes, groups, notes, collapsed), _lines(nodes, notes), summary)


def trace(y: Tensor, params: Module | Mapping[str, Tensor] | watch | None = None, *, limit: int = 3000) -> Text:
    """The graph that y was computed by, as text: print(trace(loss)).

    A line tells an op's number, name, the shape of its result, the numbers of what went into it, and what is known of its
    value and gradient; below it come the ops that made its inputs. One op after another stands in one column; where ways
    part, the shorter ones are indented. Every op is told once, below the first op that took it; others refer to its
    number. Arguments and errors as for `draw`.

    minigrad.trace does this for a scalar, and is torch.trace for a matrix, the sum of its diagonal.
    """
    nodes, _, notes = _read("trace", y, params, limit)
    return _lines(nodes, notes)


# ------------------------------------------------------------------------------------------------------ reading the graph


def _read(what: str, y: Tensor, params: Any, limit: int) -> tuple[list[Node], list[Group], list[str]]:
    """The nodes, oldest first; the groups, outer before inner; and sentences about the whole, the first a summary."""
    if not isinstance(y, Tensor):
        got = type(y).__name__
        raise TypeError(f"{what}: expected a tensor, say a loss, got {'torch.Tensor' if got == 'Tensor' else got}")
    if not isinstance(limit, int) or limit < 1:
        raise ValueError(f"{what}: limit is how many ops are shown at most, at least 1, got {limit!r}")
    names = _names(what, params)
    ops = ops_behind([y], None)[::-1]
    order: dict[Op | Tensor, int] = {}
    for op in ops:
        for p in op.parents:
            if isinstance(p, Tensor):
                order.setdefault(p, len(order) + 1)
        order[op] = len(order) + 1
    if not ops:
        order[y] = 1
    shown = set(ops[-limit:])
    kept = {p for op in shown for p in op.parents if isinstance(p, Tensor)} | shown | ({y} if not ops else set())
    values = _values(y, ops, names)
    nodes = [_node(slot, order, names, values) for slot in order if slot in kept]
    spans = params.spans if isinstance(params, watch) else _spans(y, ops, names)
    groups = _grouped(nodes, [slot for slot in order if slot in kept], spans, params)

    count = {"op": len(ops), "leaf": len(order) - len(ops)}
    notes = [
        f"{count['op']} op{'s' * (count['op'] != 1)}, {count['leaf']} {'leaf' if count['leaf'] == 1 else 'leaves'}"
    ]
    if not ops:
        notes.append(
            "A leaf: no recorded op made it."
            if y.requires_grad
            else "No graph: no op on a tensor that requires grad made this, or it ran under no_grad() or was detached."
        )
    if y.op is not None and not _current(y):
        notes.append("This tensor's memory was changed in place since, so its value is not what these ops gave.")
    if left_out := len(order) - len(nodes):
        notes.append(f"{left_out} older ops and leaves are left out (limit={limit}).")
    if any(op.freed for op in shown):
        notes.append("backward() has freed what ops kept: values in between are gone.")
    return nodes, groups, notes


def _names(what: str, params: Any) -> dict[Tensor, str]:
    module = params.module if isinstance(params, watch) else params
    if module is None:
        return {}
    if isinstance(module, Module):
        pairs: Any = module.named_parameters(remove_duplicate=False)
    elif isinstance(module, Mapping):
        pairs = module.items()
    else:
        raise TypeError(
            f"{what}: params must be a Module, what watch() gave, or a dict of names and tensors such as "
            f"dict(model.named_parameters()), got {type(module).__name__}"
        )
    names: dict[Tensor, list[str]] = {}
    for name, x in pairs:
        if not isinstance(name, str) or not isinstance(x, Tensor):
            raise TypeError(f"{what}: params[{name!r}] must be a tensor under a string, got {type(x).__name__}")
        names.setdefault(x, []).append(name)
    return {x: " = ".join(tied) for x, tied in names.items()}


def _current(x: Tensor) -> bool:
    """Whether x's memory holds what x's op gave."""
    return x._version is None or x._epoch == x._version.rewrites


def _values(y: Tensor, ops: list[Op], names: Mapping[Tensor, str]) -> dict[Op, Any]:
    """The small arrays that ops gave, as far as anybody still has them unchanged."""
    found: dict[Op, Any] = {}

    def see(op: Op | Tensor | None, array: Any) -> None:
        if isinstance(op, Op) and array.size <= SMALL and array.shape == op.shape:
            found.setdefault(op, array)

    for x in (y, *names):
        if _current(x):
            see(x.op, x.array)
    for op in ops:
        had = op.__dict__  # not op.inputs, which refuses where one of them was changed
        for p, x in zip(op.parents, had.get("_inputs") or (), strict=False):
            if isinstance(x, Tensor) and (x._version is None or x._version.memory.written < op.serial):
                see(p, x.array)
        if had.get("_output") and had["_output"][1].memory.written < op.serial:
            see(op, had["_output"][0])
        if op.retained is not None and (keeper := op.retained()) is not None and _current(keeper):
            see(op, keeper.array)
    return found


def _node(slot: Op | Tensor, order: dict[Op | Tensor, int], names: Mapping[Tensor, str], values: dict[Op, Any]) -> Node:
    """What there is to say of an op or leaf."""
    facts: dict[str, str] = {}
    holder: Any
    if isinstance(slot, Op):
        array, holder = values.get(slot), slot.retained() if slot.retained is not None else None
        made = type(slot).__name__
        label = slot.name if isinstance(slot, Call) or made == slot.name else f"{made} ({slot.name})"
        label = next((f"{name}: {label}" for x, name in names.items() if x.op is slot), label)
        node = Node(order[slot], label, "op", _shape(slot), [order[p] for p in slot.parents if p is not None], facts)
        node.label = slot.label
    else:
        array, holder = (slot.array if slot.array.size <= SMALL else None), slot
        what = "parameter" if slot in names or isinstance(slot, Parameter) else "leaf"
        node = Node(order[slot], names.get(slot, what), what, _shape(slot.array), [], facts)
        if not slot.requires_grad:
            node.name = names.get(slot, "tensor")
    if array is not None:
        facts["value"] = _numbers(array)
    if holder is not None and holder._grad is not None:  # not holder.grad, which makes rows dense for good
        facts["grad"] = _gradient(holder._grad)
    if isinstance(slot, Op):
        had = slot.__dict__
        for x in had.get("_saved") or ():
            if (
                isinstance(x, Tensor)
                and x.array.dtype.kind in "iu"
                and (not x._version or x._version.memory.written < slot.serial)
            ):
                facts["ids"] = _numbers(x.array) if x.array.size <= SMALL else _shape(x.array)
    return node


def _shape(x: Any) -> str:
    told = tuple(int(n) for n in x.shape)
    return f"{told}" if x.dtype == default_float() else f"{told} {ours(x.dtype)}".replace("torch.", "")


def _numbers(array: Any) -> str:
    with printing.printoptions(**{**printing.get_printoptions(), "linewidth": 60}):
        return printing._brackets(to_numpy(array), 0)


def _gradient(g: Any) -> str:
    if isinstance(g, RowSparse) and len(g.index) <= SMALL:
        ids = sorted(set(to_numpy(g.index).tolist()))
        where = f"zero but in rows {', '.join(map(str, ids))}" if ids else "zero"
    else:
        where = _shape(g)
    if math.prod(g.shape) > SMALL:
        return where
    return _numbers((g.to_dense() if isinstance(g, Patch) else g).array)


# --------------------------------------------------------------------------------------------------- ops and their modules


def _spans(y: Tensor, ops: list[Op], names: Mapping[Tensor, str]) -> list[tuple[str, int, int]]:
    """For each run of ops that touch a module's parameters, and no other's in between: its name, first and last serial.

    A module gives one result, so a run reaches on to the next op after which only one of its results is still used: the
    addition of a Linear's bias, or that at the end of a residual block.
    """
    runs: list[tuple[str, int, int, int]] = []  # the last two: of its last touch, and of the touch that ended it
    opened: list[tuple[str, int]] = []
    last = 0
    for i, op in enumerate(ops):
        touched = {p: names[p].split(" = ")[0] for p in op.parents if isinstance(p, Tensor) and p in names}
        if not touched:
            continue
        owner = _common([name.split(".")[:-1] for name in touched.values()])
        paths = [".".join(owner[: k + 1]) for k in range(min(len(owner), DEEPEST))]
        while opened and opened[-1][0] not in paths:
            runs.append((*opened.pop(), last, i))
        opened += [(path, i) for path in paths[len(opened) :]]
        last = i
    runs += [(*run, last, len(ops)) for run in opened]

    used = {p: i for i, op in enumerate(ops) for p in op.parents}  # by which op last
    if y.op is not None:
        used[y.op] = len(ops)
    spans = []
    for path, first, last, end in runs:
        results: set[Op] = set()
        reached = last
        for i in range(first, end):
            results.difference_update([p for p in ops[i].parents if p is not None and used[p] <= i])
            results.add(ops[i])
            if i >= last and len(results) == 1:
                reached = i
                break
        spans.append((path, ops[first].serial, ops[reached].serial))
    return spans


def _common(paths: list[list[str]]) -> list[str]:
    """What they all begin with."""
    return [names[0] for names in itertools.takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))]


def _grouped(
    nodes: list[Node], slots: list[Op | Tensor], spans: list[tuple[str, int, int]], params: Any
) -> list[Group]:
    """Put every node into the innermost span around it, a leaf into that of the first op that takes it."""
    module = params.module if isinstance(params, watch) else params
    kinds = dict(module.named_modules()) if isinstance(module, Module) else {}
    containers = {path for path, m in kinds.items() if type(m).forward is Module.forward}
    spans = sorted((s for s in spans if s[0] and s[0] not in containers), key=lambda s: (s[1], -s[2], len(s[0])))
    opened: list[Group] = []
    groups: list[Group] = []
    waiting = iter(spans)
    span = next(waiting, None)
    leaves: list[Node] = []
    for node, slot in zip(nodes, slots, strict=True):
        if isinstance(slot, Tensor):
            leaves.append(node)  # it stands before the op that takes it first
            continue
        while span is not None and span[1] <= slot.serial:
            path, _, last = span
            while opened and opened[-1].last < span[1]:
                opened.pop()
            if len(opened) < DEEPEST:
                kind = f": {type(kinds[path]).__name__}" if path in kinds else ""
                last = min(last, opened[-1].last) if opened else last
                opened.append(Group(clean(path + kind), last, opened[-1] if opened else None))
                groups.append(opened[-1])
            span = next(waiting, None)
        while opened and opened[-1].last < slot.serial:
            opened.pop()
        for member in (node, *leaves):
            member.group = opened[-1] if opened else None
        leaves = []
    return _worth_a_box(nodes, groups)


def _worth_a_box(nodes: list[Node], groups: list[Group]) -> list[Group]:
    """The groups, without those around a single node, and those that hold nothing but one other group."""
    for node in nodes:
        group = node.group
        while group is not None:
            group.ops += node.what == "op"
            group.leaves += node.what != "op"
            group = group.outer
    size = {id(g): g.ops + g.leaves for g in groups}
    dropped = {id(g) for g in groups if size[id(g)] < 2}
    dropped |= {id(g.outer) for g in groups if g.outer and id(g) not in dropped and size[id(g.outer)] == size[id(g)]}

    def around(group: Group | None) -> Group | None:
        while group is not None and id(group) in dropped:
            group = group.outer
        return group

    for node in nodes:
        node.group = around(node.group)
    for group in groups:
        group.outer = around(group.outer)
    return [g for g in groups if id(g) not in dropped]


# ------------------------------------------------------------------------------------------------------------------ text


def _lines(nodes: list[Node], notes: list[str]) -> Text:
    return Text("\n".join([*_tree(nodes), *notes]))


def _tree(nodes: list[Node]) -> Iterator[str]:
    by_number = {node.number: node for node in nodes}
    below: dict[int, list[int]] = {}  # each node stands once, below the first op that took it
    deep: dict[int, int] = {}
    placed: set[int] = set()
    for node in nodes:
        below[node.number] = new = [p for p in dict.fromkeys(node.parents) if p in by_number and p not in placed]
        placed.update(new)
        deep[node.number] = 1 + max((deep[p] for p in new), default=0)
    digits = len(str(nodes[-1].number))
    waiting = [(nodes[-1].number, 0)]
    while waiting:
        number, indent = waiting.pop()
        yield from _told(by_number[number], "  " * indent + str(number).rjust(digits))
        leaves = [p for p in below[number] if by_number[p].what != "op"]
        ops = sorted((p for p in below[number] if by_number[p].what == "op"), key=lambda p: deep[p])
        waiting += [(p, indent) for p in ops[-1:]]  # the longest way goes on in this column, so that columns stay few
        waiting += [(p, indent + 1) for p in [*ops[:-1], *reversed(leaves)]]


def _told(node: Node, start: str) -> Iterator[str]:
    what = f" {node.what}" if node.what != "op" and node.name != node.what else ""
    line = f"{start} {clean(node.name)}{what} {node.shape}"
    if node.parents:
        line += f" of {', '.join(map(str, node.parents))}"
    if node.group is not None and node.what == "op":
        line += f" in {node.group.name}"
    long = []
    for fact, text in node.facts.items():
        told = f" = {text}" if fact == "value" else f"  {fact} {text}"
        if "\n" in told or width(line + told) > 100:
            long.append((fact, text))
        else:
            line += told
    yield line
    for fact, text in long:
        first, *rest = text.split("\n")
        yield f"{' ' * len(start)}   {fact.rjust(5)} {first}"
        for more in rest:
            if more:
                yield f"{' ' * len(start)}         {more}"
