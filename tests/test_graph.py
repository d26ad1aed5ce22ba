"""The drawn graph holds what the engine's graph holds: ops, arrows, shapes, values and gradients, and keeps none of it."""

from __future__ import annotations

import gc
import itertools
import re
import time
import weakref
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from helpers import cases, same
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.core import Op, ops_behind
from minigrad.explain.graph import draw, trace, watch
from minigrad.gpt import GPT, GPTConfig
from minigrad.testing import programs
from minigrad.testing.random_programs import DEFINITIONS

# ---------------------------------------------------------------------------------------------- a picture, read back


class Picture:
    """Boxes by number, with what stands in them; arrows, from the pieces that are drawn; and modules, with the numbers inside."""

    def __init__(self, svg: str) -> None:
        self.root = ElementTree.fromstring(svg)
        self.boxes: dict[int, ElementTree.Element] = {}
        self.modules: dict[str, set[int]] = {}
        self.arrows: set[tuple[int, int]] = set()
        for g in self.root.iter():
            kind = g.get("class", "").split()
            if "data-number" in g.attrib:
                assert int(g.attrib["data-number"]) not in self.boxes, "drawn twice"
                self.boxes[int(g.attrib["data-number"])] = g
            elif "module" in kind:
                name = texts(next(x for x in g if x.get("class") == "bar"))[-1].rpartition(" (")[0]
                while name in self.modules:
                    name += "'"
                self.modules[name] = {int(x.attrib["data-number"]) for x in g.iter() if "data-number" in x.attrib}
            elif kind == ["w"]:
                self.arrows |= {(int(g.attrib["data-from"]), int(to)) for to in g.attrib["data-to"].split()}

    def of(self, number: int) -> list[int]:
        return [int(x) for x in self.boxes[number].attrib["data-of"].split()]

    def fact(self, number: int, what: str) -> str:
        """The lines of a box from the one that starts with `what` on, without its spaces."""
        lines = texts(self.boxes[number])[1:]
        lines = lines[: len(lines) - sum(x.get("class") == "s" for x in self.boxes[number])]
        found: list[str] = []
        for line in lines:
            word = line.split()[0]
            if word in ("=", "grad", "ids"):
                inside = word == what
                line = line[len(word) :]
            if inside:
                found += line.split()
        return "".join(found)


def texts(g: ElementTree.Element) -> list[str]:
    return [x.text or "" for x in g if x.tag.endswith("text")]


def printed(x: Any) -> str:
    """The numbers of a tensor as it prints, without spaces."""
    text = repr(x).replace("Parameter containing:\n", "").removeprefix("tensor(")
    text = re.split(r",\s+(?:device|dtype|grad_fn|requires_grad)=", text)[0]
    return "".join(text.removesuffix(")").split())


def numbered(y: mg.Tensor) -> dict[Any, int]:
    """Ops and leaves by age, a leaf right before the first op that takes it."""
    number: dict[Any, int] = {}
    for op in reversed(ops_behind([y], None)):
        for p in (*[p for p in op.parents if isinstance(p, mg.Tensor)], op):
            number.setdefault(p, len(number) + 1)
    return number or {y: 1}


def check(y: mg.Tensor, params: Any = None, **options: Any) -> Picture:
    """What is drawn is the graph, node by node."""
    number = numbered(y)
    drawing = draw(y, params, **options)
    picture = Picture(drawing.svg)
    assert set(picture.boxes) == set(number.values())
    arrows = set()
    for slot, n in number.items():
        box = picture.boxes[n]
        is_op = isinstance(slot, Op)
        assert ("op" in box.attrib["class"].split()) == is_op
        parents = [number[p] for p in slot.parents if p is not None] if is_op else []
        assert picture.of(n) == parents
        arrows |= {(p, n) for p in parents}
        shape = slot.shape if is_op else tuple(slot.shape)
        assert box.attrib["data-shape"].startswith(str(tuple(shape)))
        if is_op:
            assert box.attrib["data-label"] == slot.label
        else:
            assert picture.fact(n, "=") == (printed(slot) if slot.numel() <= 32 else "")
            if slot._grad is None:
                assert picture.fact(n, "grad") == ""
            elif slot.numel() <= 32:
                assert picture.fact(n, "grad") == printed(slot.grad)
    assert picture.arrows - {(n, m) for n, m in picture.arrows if n == m} == arrows
    told = [int(line.split()[0]) for line in drawing.text.split("\n") if re.match(r" *\d+ \S+.* \(", line)]
    assert sorted(told) == sorted(number.values())
    return picture


def small() -> tuple[nn.Module, mg.Tensor]:
    mg.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    return model, nn.functional.cross_entropy(model(mg.randn(2, 3)), mg.tensor([0, 1]))


def gpt(layers: int = 2, positions: str = "learned") -> tuple[GPT, mg.Tensor]:
    mg.manual_seed(0)
    return GPT(GPTConfig(20, 8, 8, 2, layers, 0.1, positions=positions)), mg.tensor([[1, 2, 1, 3]])


# ------------------------------------------------------------------------------------------------------------ what is drawn


def test_every_op_arrow_shape_value_and_gradient():
    model, loss = small()
    before = check(loss, model)
    number = numbered(loss)
    tanh = next(op for op in number if isinstance(op, Op) and op.name == "Tanh")
    assert before.fact(number[tanh], "=") == printed(tanh.output)
    assert before.fact(number[loss.op], "=") == printed(loss)
    names = {number[p]: name for name, p in model.named_parameters()}
    for n, name in names.items():
        assert texts(before.boxes[n])[0] == f"{n} {name}"
        assert before.boxes[n].attrib["class"] == "n parameter"
        assert before.fact(n, "grad") == ""
    loss.backward()
    after = check(loss, model)
    for name, p in model.named_parameters():
        assert after.fact(number[p], "grad") == printed(p.grad), name
    assert after.fact(number[tanh], "=") == ""
    assert "backward() has freed what ops kept" in "".join(after.root.itertext())


def test_what_somebody_holds_is_shown_after_backward():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    h, k = x.exp(), x.sin()
    h.retain_grad()
    y = (h * k).sum()
    n, m = numbered(y)[h.op], numbered(y)[k.op]
    y.backward()
    picture = check(y, {"middle": k})
    assert picture.fact(n, "=") == printed(h)
    assert picture.fact(n, "grad") == printed(h.grad)
    assert picture.fact(m, "=") == printed(k)
    assert texts(picture.boxes[m])[0] == f"{m} middle: Sin"
    assert check(y).fact(m, "=") == ""


def test_what_was_changed_in_place_is_not_shown_as_it_was():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    h = x * 1
    y = (h * h).sum()
    n = numbered(y)[h.op]
    assert check(y).fact(n, "=") == "[1.,2.]"
    with mg.no_grad():
        h.add_(5)
    assert check(y).fact(n, "=") == ""
    a = x * 1
    a[:1].mul_(2)
    assert set(check(a).boxes) == {1, 2}
    assert "changed in place since, so its value is not what these ops gave" in str(trace(a))
    assert check(a).fact(2, "=") == ""


def test_ids_and_rows():
    table = nn.Embedding(40, 3)
    loss = table(mg.tensor([5, 7, 5])).sum()
    picture = check(loss, table)
    number = numbered(loss)
    embedding = min(n for slot, n in number.items() if isinstance(slot, Op))
    assert picture.fact(embedding, "ids") == "[5,7,5]"
    loss.backward()
    rows_before = type(table.weight._grad)
    picture = check(loss, table)
    if rows_before is not mg.Tensor:
        assert picture.fact(number[table.weight], "grad") == "zerobutinrows5,7"
    assert type(table.weight._grad) is rows_before, "drawing made the gradient dense"


def test_an_input_taken_twice_and_one_that_needs_no_gradient():
    x = mg.tensor([3.0], requires_grad=True)
    assert check(x * x).of(2) == [1, 1]
    assert check(x * mg.ones(1)).of(2) == [1]


@pytest.mark.parametrize("dtype", [mg.float16, mg.float64])
def test_another_dtype_is_told(dtype):
    x = mg.ones(2, 3, dtype=dtype, requires_grad=True)
    picture = check(x.exp())
    assert picture.boxes[2].attrib["data-shape"] == f"(2, 3) {str(dtype).removeprefix('torch.')}"
    labels = [t.text for t in picture.root.iter() if t.get("class") == "s"]
    assert labels == [picture.boxes[2].attrib["data-shape"]] * 2


def test_without_a_graph():
    for x, said in (
        (mg.ones(2, requires_grad=True), "A leaf: no recorded op made it."),
        (mg.ones(2), "No graph"),
        (nn.Parameter(mg.ones(2)).detach(), "No graph"),
    ):
        picture = check(x)
        assert list(picture.boxes) == [1]
        assert said in str(trace(x))
        assert picture.fact(1, "=") == "[1.,1.]"


@given(programs(max_ops=25))
@cases(25)
def test_random_programs_are_drawn_as_they_are(program):
    scope: dict[str, Any] = {"torch": mg, "np": np}
    exec(DEFINITIONS, scope)
    for line in program:
        made = set(scope)
        exec(line, scope)
        for name in sorted(set(scope) - made):
            if name[0] == "v" and name[1:].isdigit() and scope[name].op is not None and not scope[name].op.freed:
                last = name
                check(scope[name], {n: x for n, x in scope.items() if n[0] == "w" and n[1:].isdigit()})
    if "last" in locals():
        check(scope[last])
    scope.clear()


# --------------------------------------------------------------------------------------------------------------- modules


def test_modules_from_calls():
    model, ids = gpt()
    with watch(model) as seen:
        loss = model.loss(ids, ids)
    assert not any(m._hooks or m._pre_hooks for m in model.modules())
    picture = check(loss, seen, collapsed=True)
    number = numbered(loss)
    called = {f"{path}: {type(m).__name__}" for path, m in model.named_modules()}
    assert set(picture.modules) <= called
    inside = ("Block", ".attention: CausalSelfAttention", ".mlp: Sequential", ".mlp.2: Linear")
    assert {f"blocks.{i}{x}".replace("Block", ": Block") for i in (0, 1) for x in inside} <= set(picture.modules)
    for name, p in model.named_parameters():
        owner = model.get_submodule(name.rpartition(".")[0])
        title = f"{name.rpartition('.')[0]}: {type(owner).__name__}"
        assert number[p] in picture.modules[title], name
    start, end = next((a, b) for path, a, b in seen.spans if path == "blocks.1.mlp")
    ours = {n for slot, n in number.items() if isinstance(slot, Op) and start < slot.serial < end}
    drawn = picture.modules["blocks.1.mlp: Sequential"]
    assert {n for n in drawn if "op" in picture.boxes[n].attrib["class"]} == ours
    assert "closed" in next(g for g in picture.root.iter() if "module" in g.get("class", "")).attrib["class"]
    loss.backward()
    assert check(loss, seen).modules == picture.modules


def test_modules_from_the_graph_alone_are_nearly_those_called():
    model, ids = gpt()
    with watch(model) as seen:
        loss = model.loss(ids, ids)
    calls, guess = check(loss, seen).modules, check(loss, model).modules
    assert set(guess) == set(calls)
    assert check(loss, dict(model.named_parameters())).modules.keys() >= {"blocks.0.mlp.0", "norm", "blocks.0"}
    assert guess["blocks.0: Block"] == calls["blocks.0: Block"]
    assert guess["embedding: TokenAndPositionEmbedding"] == calls["embedding: TokenAndPositionEmbedding"]
    for name in calls:
        assert guess[name] <= calls[name] and len(calls[name] - guess[name]) <= 3, name
    _, loss = small()
    linear = check(loss, small()[0]).modules
    assert linear == {}, "another model's parameters name nothing"


def test_a_module_called_twice_is_two_boxes():
    layer = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    with watch(nn.ModuleList([layer])) as seen:
        y = layer(layer(mg.ones(1, 2)).exp())
    assert set(check(y, seen).modules) >= {"0: Sequential", "0: Sequential'"}


def test_a_forward_that_raised_and_was_caught():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError

    class Tries(nn.Module):
        def __init__(self):
            super().__init__()
            self.fails, self.layer = Fails(), nn.Linear(2, 2)

        def forward(self, x):
            try:
                return self.fails(x)
            except ValueError:
                return self.layer(x).exp()

    outer = nn.Sequential(Tries())
    with watch(outer) as seen:
        y = outer(mg.ones(1, 2))
    assert set(check(y, seen).modules) == {"0: Tries", "0.layer: Linear"}


def test_tied_parameters_have_both_names():
    model = nn.Module()
    model.a, model.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    model.b.weight = model.a.weight
    assert "a.weight = b.weight parameter (2, 2)" in str(trace(model.b(mg.ones(1, 2)).sum(), model))


# ------------------------------------------------------------------------------------------------------------------- large


def test_3000_nodes_in_seconds():
    model, ids = gpt(layers=97)
    with watch(model) as seen:
        loss = model.loss(ids, ids)
    assert len(numbered(loss)) > 3000
    for params in (seen, model, None):
        start = time.perf_counter()
        drawing = draw(loss, params)
        assert time.perf_counter() - start < 10  # one second here
        assert len(drawing.svg) < 4_000_000
    assert check(loss, seen).modules.keys() >= {"blocks.96.mlp: Sequential"}


def test_a_deep_chain_and_what_is_left_out():
    x = mg.tensor([1.0], requires_grad=True)
    y = x
    for i in range(5000):
        y = y * 1.0 if i % 50 else y + x
    drawing = draw(y)
    picture = Picture(drawing.svg)
    assert set(picture.boxes) == {1, *range(2002, 5002)}
    left_out = "2000 older ops and leaves are left out (limit=3000)."
    assert left_out in drawing.text and left_out in "".join(picture.root.itertext())
    assert (2001, 2002) in picture.arrows
    assert "2001, not drawn" in [t for g in picture.root.iter() for t in texts(g)]
    assert len(check(y, limit=10_000).boxes) == 5001
    assert max(map(len, drawing.text.split("\n"))) < 100, "a chain stands in one column"
    y.backward()


def test_many_arrows_that_pass_many_rows():
    x = mg.tensor([1.0], requires_grad=True)
    held = [x * i for i in range(60)]
    y = held[0]
    for h in itertools.chain(held, reversed(held)):
        y = y + h
    check(y)


# ------------------------------------------------------------------------------------------------------------------ hygiene


def test_nothing_is_kept_or_changed():
    model, loss = small()
    op = weakref.ref(loss.op)
    gc.collect()
    gc.disable()
    try:
        drawing, text = draw(loss, model), trace(loss, model)
        again = draw(loss, model)
        assert drawing.svg == again.svg and drawing.text == again.text == text
        loss.backward()
        after = draw(loss, model)
        del loss
        assert op() is None, "the drawing, or a cycle, keeps the graph"
    finally:
        gc.enable()
    other, loss = small()
    loss.backward()
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        same(p.grad, q.grad.numpy(force=True), exact=True)
    assert after.svg != drawing.svg


HOSTILE = [
    '<script>alert("1")</script>',
    "a & b",
    "'\"",
    "]]>",
    "\x00\x1b[31m\n",
    "\u202eevil",
    "🙂" * 40,
    "a" * 500,
    "",
]


@pytest.mark.parametrize("name", [*HOSTILE, "\ud800"])
def test_hostile_names_are_text(name):
    x = mg.tensor([1.0], requires_grad=True)
    drawing = draw(x * 2, {name: x, f"{name}.{name}": mg.ones(1, requires_grad=True)})
    picture = Picture(drawing.svg)
    assert not [g for g in picture.root.iter() if g.tag.endswith("script")]
    shown = texts(picture.boxes[1])[0]
    assert shown.startswith("1 ") and shown.isprintable() and len(shown) <= 64
    assert all(line.isprintable() for line in drawing.text.split("\n"))
    drawing.svg.encode(), drawing.text.encode()


@given(st.text(max_size=20))
@settings(max_examples=50)
def test_any_name_parses(name):
    x = mg.tensor([1.0], requires_grad=True)
    model = nn.Module()
    if name and "." not in name and not hasattr(model, name):
        model.register_parameter(name, nn.Parameter(mg.ones(1)))
        assert len(Picture(draw(getattr(model, name) * x, model).svg).boxes) == 3


# --------------------------------------------------------------------------------------------------------------------- text


def test_trace():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    w = mg.tensor([0.0, 0.5], requires_grad=True)
    h = x * w
    y = (h.exp() + h).sum()
    assert (
        repr(trace(y, {"w": w}))
        == str(trace(y, {"w": w}))
        == (
            "6 Sum () of 5 = 4.7183\n"
            "5 Add (2,) of 4, 3\n"
            "4 Exp (2,) of 3 = [1.0000, 2.7183]\n"
            "3 Mul (2,) of 1, 2\n"
            "  1 leaf (2,) = [1., 2.]\n"
            "  2 w parameter (2,) = [0.0000, 0.5000]\n"
            "4 ops, 2 leaves"
        )
    )
    y.backward()
    assert "2 w parameter (2,) = [0.0000, 0.5000]  grad [" in trace(y, {"w": w})


def test_trace_of_a_matrix_is_torchs():
    array = np.random.default_rng(0).normal(size=(3, 5))
    ours, theirs = mg.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    y, z = mg.trace(ours), torch.trace(theirs)
    same(y, z)
    (y * 3).backward()
    (z * 3).backward()
    same(ours.grad, theirs.grad)
    assert "1 leaf (3, 5)" in draw(ours).text
    assert "1 w parameter (3, 5)" in str(mg.trace(ours, {"w": ours}))
    loss = (ours * 2).sum()
    assert mg.trace(loss) == trace(loss) == mg.draw(loss).text and isinstance(trace(ours), str)
    with pytest.raises(RuntimeError, match="expected a matrix"):
        mg.trace(ours[0])


# -------------------------------------------------------------------------------------------------------- files and errors


def test_a_drawing_is_saved_and_shown(tmp_path):
    _, loss = small()
    drawing = draw(loss)
    drawing.save(tmp_path / "loss.svg")
    assert (tmp_path / "loss.svg").read_text(encoding="utf-8") == drawing.svg == drawing._repr_svg_()
    assert drawing.svg in drawing._repr_html_()
    assert [p.name for p in tmp_path.iterdir()] == ["loss.svg"]
    assert str(drawing) == drawing.text
    assert repr(drawing) == "<Drawing: 7 ops, 4 leaves>"
    assert "http" not in drawing.svg.replace("http://www.w3.org/2000/svg", "")
    with pytest.raises(FileNotFoundError, match=r"the folder .*missing does not exist; make it first"):
        drawing.save(tmp_path / "missing" / "loss.svg")


@pytest.mark.parametrize("f", [draw, trace])
def test_errors(f):
    x = mg.ones(2, requires_grad=True)
    name = f.__name__
    kinds = {"float": 3.0, "NoneType": None, "ndarray": np.ones(2), "list": [x], "torch.Tensor": torch.ones(2)}
    for kind, wrong in kinds.items():
        with pytest.raises(TypeError, match=f"^{name}: expected a tensor, say a loss, got {kind}"):
            f(wrong)
    with pytest.raises(TypeError, match=rf"^{name}: params must be a Module, .* a dict of .*, got list"):
        f(x, [x])
    with pytest.raises(TypeError, match=rf"^{name}: params\['w'\] must be a tensor under a string, got float"):
        f(x, {"w": 1.0})
    with pytest.raises(TypeError, match=rf"^{name}: params\[1\] must be a tensor under a string"):
        f(x, {1: x})
    with pytest.raises(ValueError, match=f"^{name}: limit is how many ops are shown at most, at least 1, got 0"):
        f(x, limit=0)
    with pytest.raises(TypeError, match=r"^watch: expected a Module, got Tensor"):
        watch(x)
