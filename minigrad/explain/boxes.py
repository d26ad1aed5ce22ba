"""Boxes and arrows as SVG: in layers, modules as boxes around boxes that open and close, without any other program.

Every module's inside is a drawing of its own, in rows: a box stands below all that takes its result (longest path), rows
are ordered by the mean place of their neighbours, and what passes several rows is led through each. A wire that crosses
a module's border meets it at a port. So across, nothing depends on what is open; opening a module only moves rows down, which
a few lines in the picture itself do.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from .graph import Node

CHAR, LINE = 7.3, 16
"""Pixels of a character and of a line."""
GAP, BESIDE, BAR, FOOT, PAD = 34, 22, 26, 10, 14
"""Pixels between rows, between boxes of a row, of a module's title, of an arrow, and from a module's border to what is inside."""
FAR = 24
"""What passes more rows than this is not drawn through: the number of where it comes from stands in its place."""
OPEN = 60
"""Up to so many boxes, all modules are open at first."""


@dataclass
class Group:
    """A call of a module: a box around the ops that it ran."""

    name: str
    last: int
    """The serial of its last op."""
    outer: Group | None
    ops: int = 0
    leaves: int = 0

    def chain(self) -> list[Group]:
        """This group and those around it, the outermost first."""
        chain = [self]
        while chain[-1].outer is not None:
            chain.append(chain[-1].outer)
        return chain[::-1]


def clean(text: str) -> str:
    """Text that XML and terminals show as it is: what does not print is written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def width(text: str) -> int:
    """Columns of a terminal: some characters take two, or none."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def cut(text: str, columns: int) -> str:
    """The text, shortened in its middle."""
    half = columns // 2 - 1
    return text if len(text) <= columns else f"{text[:half]} … {text[-half:]}"


# ---------------------------------------------------------------------------------------------------------------- layout


@dataclass(eq=False)
class Item:
    """What stands in a row: a box, a module, a reference to a box elsewhere, or a point that wires pass (kind "")."""

    kind: str
    w: float = 0
    h: float = 0
    text: list[str] = field(default_factory=list)
    node: Node | None = None
    group: Group | None = None
    inside: Level | None = None
    x: float = 0
    order: float = 0
    wires: list[Wire] = field(default_factory=list)
    """Those that come from it, to the row above."""
    ends: list[Wire] = field(default_factory=list)
    """Those that come to it, from the row below."""

    @cached_property
    def meets(self) -> dict[Wire, float]:
        """Where these meet it, to the right of its middle, once everything has its place."""
        if self.kind in ("", "module"):
            return {w: w.at(self) for w in self.ends}
        ends = sorted(self.ends, key=lambda w: w.low.x + w.at(w.low))
        step = min(14.0, (self.w - 12) / len(ends)) if ends else 0.0
        return {w: (i - (len(ends) - 1) / 2) * step for i, w in enumerate(ends)}


@dataclass(eq=False)
class Wire:
    """A piece of what node `number` gives to other nodes, from one row to the next."""

    number: int
    to: set[int]
    low: Item
    high: Item

    def at(self, item: Item) -> float:
        """Where it meets the item, to the right of the item's middle."""
        if item.inside is None:
            return 0.0
        ports = item.inside.ins if item is self.high else item.inside.outs
        return PAD + ports[self.number].x - item.w / 2


class Level:
    """The inside of a module, or the whole: rows of items, the top one first."""

    def __init__(self) -> None:
        self.items: dict[Any, Item] = {}
        self.links: dict[Any, dict[Any, set[int]]] = defaultdict(lambda: defaultdict(set))
        self.far: dict[Any, dict[Any, set[int]]] = defaultdict(lambda: defaultdict(set))
        self.ins: dict[int, Item] = {}
        self.outs: dict[int, Item] = {}
        self.rows: list[list[Item]] = []
        self.w = 0.0

    def port(self, side: dict[int, Item], number: int) -> Item:
        return side.setdefault(number, Item(""))

    def link(self, number: int, low: Item, high: Item, to: int) -> None:
        """Node `number`, which is or comes from `low`, gives to node `to`, which is or lies behind `high`."""
        self.links[number, low][high].add(to)

    def arrange(self, titles: dict[int, str]) -> None:
        """Rows, order and places. The levels inside were arranged before."""
        layer = self._layers()
        self._route(layer, titles)
        for i, item in enumerate(item for row in self.rows for item in row):
            item.order = i
        for sweep in range(6):
            for row in self.rows[1:] if sweep % 2 == 0 else self.rows[-2::-1]:
                around = [
                    (_mean([x.order for x in _beside(item, sweep % 2 == 0)], item.order), _side(item), i)
                    for i, item in enumerate(row)
                ]
                row[:] = [row[i] for _, _, i in sorted(around)]
                for i, item in enumerate(row):
                    item.order = (i + 0.5) / len(row)
        for row in self.rows:
            _settle(row, [0.0] * len(row))
        for sweep in range(8):
            up = sweep % 2 == 0
            for row in self.rows[1:] if up else self.rows[-2::-1]:
                wanted = []
                for item in row:
                    beside = [(w, w.high) for w in item.wires] if up else [(w, w.low) for w in item.ends]
                    places = [other.x + w.at(other) - w.at(item) for w, other in beside]
                    wanted.append(_mean(places, item.x))
                _settle(row, wanted)
        everything = [item for row in self.rows for item in row]
        left = min((item.x - item.w / 2 for item in everything), default=0)
        for item in everything:
            item.x -= left
        self.w = max((item.x + item.w / 2 for item in everything), default=0)

    def _layers(self) -> dict[Item, int]:
        """How many boxes lie above, at most, on a way to the top."""
        layer: dict[Item, int] = dict.fromkeys(self.outs.values(), 0)
        above: dict[Item, list[Item]] = defaultdict(list)
        for (_, low), highs in self.links.items():
            above[low] += highs
        for item in self.items.values():  # the youngest first: what takes a result is younger than what gave it
            layer[item] = 1 + max((layer[high] for high in above[item]), default=0)
        bottom = 1 + max(layer.values(), default=0)
        return layer | dict.fromkeys(self.ins.values(), bottom)

    def _route(self, layer: dict[Item, int], titles: dict[int, str]) -> None:
        """Fill the rows, with points where wires pass and references where they would pass too many."""
        far = FAR
        spans = [layer[low] - layer[high] for (_, low), highs in self.links.items() for high in highs]
        while far > 1 and sum(s for s in spans if s <= far) > 6 * len(layer) + 1000:
            far //= 2
        self.rows = [[] for _ in range(1 + max(layer.values(), default=0))]
        for item, i in layer.items():
            self.rows[i].append(item)

        def wire(number: int, low: Item, high: Item, to: set[int]) -> None:
            w = Wire(number, to, low, high)
            low.wires.append(w)
            high.ends.append(w)

        def reference(number: int, high: Item, to: set[int]) -> None:
            text = cut(titles[number], 24)
            item = Item("ref", width(text) * CHAR + 16, LINE + 6, [text])
            if layer[high] + 1 == len(self.rows):
                self.rows.append([])
            self.rows[layer[high] + 1].append(item)
            wire(number, item, high, to)

        for (number, low), highs in self.links.items():
            near = {high: to for high, to in highs.items() if layer[low] - layer[high] <= far}
            for high in highs:
                if high not in near:
                    reference(number, high, highs[high])
            at = low
            for i in range(layer[low] - 1, min((layer[high] for high in near), default=layer[low]) - 1, -1):
                for high, to in near.items():
                    if layer[high] == i:
                        wire(number, at, high, to)
                beyond = set().union(*(to for high, to in near.items() if layer[high] < i))
                if beyond:
                    point = Item("")
                    self.rows[i].append(point)
                    wire(number, at, point, beyond)
                    at = point
        for number, highs in self.far.items():
            for high, to in highs.items():
                reference(number, high, to)


def _beside(item: Item, above: bool) -> list[Item]:
    return [w.high for w in item.wires] if above else [w.low for w in item.ends]


def _side(item: Item) -> int:
    """Leaves stand on either side of what passes, so that the main way stays in the middle."""
    return 0 if item.node is None or item.node.what == "op" else 1 - 2 * (item.node.number % 2)


def _mean(xs: Sequence[float], otherwise: float) -> float:
    return sum(xs) / len(xs) if xs else otherwise


def _settle(row: list[Item], wanted: list[float]) -> None:
    """The places nearest to those wanted that keep the order and the distances (isotonic regression by pooling)."""
    offset, offsets = 0.0, []
    for i, item in enumerate(row):
        if i:
            offset += (row[i - 1].w + item.w) / 2 + (BESIDE if item.w or row[i - 1].w else BESIDE / 2)
        offsets.append(offset)
    pools: list[list[float]] = []  # the sum of what is wanted, the weight, and how many
    for want, off, item in zip(wanted, offsets, row, strict=True):
        weight = 1.0 if item.w else 4.0  # wires that pass shall be straight
        pools.append([(want - off) * weight, weight, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    places = (total / weight for total, weight, n in pools for _ in range(int(n)))
    for item, place, off in zip(row, places, offsets, strict=True):
        item.x = place + off


def _levels(nodes: list[Node], groups: list[Group]) -> Level:
    """The whole, of levels in levels, arranged."""
    root = Level()
    level_of: dict[int, Level] = {id(g): Level() for g in groups}
    chains = {id(g): g.chain() for g in groups}
    titles = {node.number: f"{node.number} {clean(node.name)}" for node in nodes}

    def way(node: Node) -> list[Group]:
        return chains[id(node.group)] if node.group is not None else []

    def level(group: Group | None) -> Level:
        return root if group is None else level_of[id(group)]

    def lifted(node: Node, depth: int) -> Item:
        """What stands for the node in a level so deep."""
        path = way(node)
        home = level(path[depth - 1] if depth else None)
        if len(path) == depth:
            return home.items[node.number]
        return home.items[id(path[depth])]

    for node in reversed(nodes):  # the youngest first, for _layers
        around: Group | None = None
        for group in way(node):
            item = level(around).items.setdefault(id(group), Item("module", group=group))
            item.inside = level(group)
            around = group
        level(around).items[node.number] = _box(node)

    by_number = {node.number: node for node in nodes}
    for high in nodes:
        for number in dict.fromkeys(high.parents):
            ways = way(high)
            if (low := by_number.get(number)) is None:
                home = level(high.group)
                home.far[number][home.items[high.number]].add(high.number)
                titles.setdefault(number, f"{number}, not drawn")
                continue
            common = 0
            for a, b in zip(way(low), ways, strict=False):
                if a is not b:
                    break
                common += 1
            for depth in range(len(way(low)), common, -1):
                inner = level(way(low)[depth - 1])
                inner.link(number, lifted(low, depth), inner.port(inner.outs, number), high.number)
            for depth in range(common + 1, len(ways) + 1):
                inner = level(ways[depth - 1])
                inner.link(number, inner.port(inner.ins, number), lifted(high, depth), high.number)
            meeting = level(ways[common - 1] if common else None)
            meeting.link(number, lifted(low, common), lifted(high, common), high.number)

    top = nodes[-1]
    for depth in range(len(way(top)), -1, -1):
        home = level(way(top)[depth - 1] if depth else None)
        home.links[top.number, lifted(top, depth)][home.port(home.outs, top.number)] |= set()
    for group in reversed(groups):
        level(group).arrange(titles)
        item = level(group.outer).items[id(group)]
        item.text = [_title(group)]
        item.w = max(level(group).w + 2 * PAD, (width(item.text[0]) + 5) * CHAR)
    root.arrange(titles)
    return root


def _title(group: Group) -> str:
    many = f"{group.ops} op{'s' * (group.ops != 1)}"
    if group.leaves:
        many += f", {group.leaves} {'leaf' if group.leaves == 1 else 'leaves'}"
    return f"{cut(group.name, 60)} ({many})"


def _box(node: Node) -> Item:
    lines = [cut(f"{node.number} {clean(node.name)}", 60)]
    for fact, text in node.facts.items():
        start = "= " if fact == "value" else f"{fact} "
        for line in text.split("\n"):
            if line:
                lines.append(start + line)
                start = " " * len(start)
    return Item(node.what, max(map(width, lines)) * CHAR + 20, len(lines) * LINE + 12, lines, node=node)


# ------------------------------------------------------------------------------------------------------------------- SVG


def _file(name: str) -> str:
    """A file of this folder, on one line."""
    return " ".join(files(__package__).joinpath(name).read_text(encoding="utf-8").split())


def svg_of(nodes: list[Node], groups: list[Group], notes: list[str], collapsed: bool | None) -> str:
    """The picture. `collapsed`: whether modules are closed at first; None lets the size decide."""
    root = _levels(nodes, groups)
    closed = len(nodes) > OPEN if collapsed is None else collapsed
    head = [
        *notes,
        "Arrows point to what is computed; numbers tell in which order. Rounded: op. Square: leaf; thick border: parameter.",
    ]
    buttons = 2 * LINE + 8 if groups else 0
    top = 12 + len(head) * LINE + buttons
    body: list[str] = []
    rest = top + PAD
    across = max(root.w + 2 * PAD, *(width(line) * CHAR + 2 * PAD for line in head))
    height = rest + _level(root, closed, {node.number: node.shape for node in nodes}, body)
    script = _file("graph.js").replace("BAR", str(BAR)).replace("FOOT", str(FOOT)).replace("GAP", str(GAP))
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mg" role="group" aria-label={quoteattr("graph: " + notes[0])} '
        f'width="{across:.0f}" height="{height:.0f}" viewBox="0 0 {across:.0f} {height:.0f}" data-rest="{rest}" '
        f"onclick={quoteattr(script)} onkeydown={quoteattr(script)}>",
        f"<style>{escape(_file('graph.css'))}</style>",
        '<rect width="100%" height="100%" style="stroke:none"/>',
    ]
    for i, line in enumerate(head):
        out.append(f'<text class="note" x="{PAD}" y="{20 + i * LINE}">{escape(line)}</text>')
    if groups:
        for i, (text, close) in enumerate((("open all modules", 0), ("close all modules", 1))):
            out.append(
                f'<g class="all" role="button" tabindex="0" data-close="{close}" '
                f'transform="translate({PAD + i * 160},{20 + len(head) * LINE})">'
                f'<rect width="150" height="24" y="-10" rx="4"/>'
                f'<text x="75" y="6" text-anchor="middle">{text}</text></g>'
            )
    out += [f'<g transform="translate({(across - root.w) / 2:.1f},{top})"><g class="graph">', *body, "</g></g></svg>\n"]
    return "\n".join(out)


def _level(level: Level, closed: bool, shapes: dict[int, str], out: list[str]) -> float:
    """Write the level's rows; returns its height."""
    y = 0.0
    for row in level.rows:
        drawn: list[list[str]] = []
        for item in row:
            inside: list[str] = []
            if item.inside is not None:
                tall = _level(item.inside, closed, shapes, inside)
                item.h = BAR + (0 if closed else tall)
            drawn.append(inside)
        high = max((item.h + FOOT for item in row if item.h), default=0.0)
        out.append(f'<g class="row" transform="translate(0,{y:.0f})">')
        for item in row:
            out += _wires(item)
        for item, inside in zip(row, drawn, strict=True):
            out += _item(item, inside, high, closed, shapes)
        out.append("</g>")
        y += high + GAP
    return y - GAP


def _wires(item: Item) -> list[str]:
    """What goes from the item to the row above."""
    out = []
    for w in item.wires:
        x, to = item.x + w.at(item), w.high.x + w.high.meets[w]
        out.append(
            f'<path class="w" data-from="{w.number}" data-to="{" ".join(map(str, sorted(w.to)))}" '
            f'd="M{x:.1f} 0C{x:.1f} {-GAP / 2:.0f} {to:.1f} {-GAP / 2:.0f} {to:.1f} {-GAP}"/>'
        )
    return out


def _item(item: Item, inside: list[str], high: float, closed: bool, shapes: dict[int, str]) -> list[str]:
    out: list[str] = []
    node, half = item.node, item.w / 2
    about = ""
    if node is not None:
        told = " ".join(map(str, node.parents))
        about = f' data-number="{node.number}" data-label={quoteattr(node.label)} data-of="{told}" data-shape="{node.shape}"'
    kinds = f"n {item.kind}".strip() + (" closed" * (item.inside is not None and closed))
    out.append(f'<g class="{kinds}" data-h="{item.h:.0f}"{about} transform="translate({item.x - half:.1f},0)">')
    if node is not None:
        out.append(f"<title>{escape(_hint(node))}</title>")
    if item.inside is not None:
        out += [
            f'<rect class="box" width="{item.w:.1f}" height="{item.h:.0f}" rx="8"/>',
            f'<g class="inside" transform="translate({PAD},{BAR})">',
            *inside,
            "</g>",
            f'<g class="bar" role="button" tabindex="0" aria-expanded="{str(not closed).lower()}">'
            f'<rect width="{item.w:.1f}" height="{BAR}" rx="8"/><text class="plus" x="10" y="17">+</text>'
            f'<text class="minus" x="10" y="17">−</text><text x="26" y="17">{escape(item.text[0])}</text></g>',
        ]
    elif item.kind:
        out.append(f'<rect width="{item.w:.1f}" height="{item.h}" rx="{9 if item.kind == "op" else 0}"/>')
        name = ' class="name"'
        for i, line in enumerate(item.text):
            out.append(
                f'<text{"" if i else name} x="10" y="{LINE * (i + 1) + 2}">{escape(line.replace(" ", chr(160)) if i else line)}</text>'
            )
    for number, wires in _by_number(item.wires).items():
        if item.kind in ("", "ref"):
            continue
        x = half + wires[0].at(item)
        leans = sum(w.high.x + w.high.meets[w] - item.x - wires[0].at(item) for w in wires)
        place = f'x="{x - 5:.1f}" text-anchor="end"' if leans > 1 else f'x="{x + 5:.1f}"'
        out.append(f'<text class="s" {place} y="-6">{shapes[number]}</text>')
    meets = sorted({half + x for x in item.meets.values()})
    heads = "".join(f"M{x:.1f} 0l-4 7h8z" for x in meets) if item.kind else ""
    lines = "".join(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{high - item.h:.0f}"/>' for x in meets)
    out.append(f'<g class="foot" transform="translate(0,{item.h:.0f})">{lines}<path class="a" d="{heads}"/></g></g>')
    return out


def _by_number(wires: list[Wire]) -> dict[int, list[Wire]]:
    found: dict[int, list[Wire]] = {}
    for w in wires:
        found.setdefault(w.number, []).append(w)
    return found


def _hint(node: Node) -> str:
    """What shows when the pointer rests on a box."""
    text = f"{node.number} {clean(node.name)} {node.shape}"
    if node.label:
        text += f", prints as <{clean(node.label)}>"
    return text + (f", of {', '.join(map(str, node.parents))}" if node.parents else "")
