"""minigrad.draw and minigrad.trace: the picture and the text are the graph, before and after backward, and change nothing."""

from __future__ import annotations

import gc
import re
import weakref
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.core import Op, ops_behind
from minigrad.explain import Drawing, draw, trace, watch
from minigrad.gpt import GPT, GPTConfig

SVG = "{http://www.w3.org/2000/svg}"


class Seen:
    """What an SVG shows: the nodes by number, with their kind, title, lines and shape, and the edges with repeats."""

    def __init__(self, drawing: Drawing):
        self.root = ET.fromstring(drawing.svg)
        self.nodes: dict[int, ET.Element] = {}
        for g in self.root.iter(f"{SVG}g"):
            if "data-number" in g.attrib:
                assert int(g.attrib["data-number"]) not in self.nodes, "a node is drawn twice"
                self.nodes[int(g.attrib["data-number"])] = g
        self.kinds = Counter(g.attrib["class"].split()[1] for g in self.nodes.values())
        self.parents = {n: [int(p) for p in g.attrib["data-of"].split()] for n, g in self.nodes.items()}
        self.notes = [t.text for t in self.root.iter(f"{SVG}text") if t.attrib.get("class") == "note"]

    def lines(self, number: int) -> list[str]:
        """The text in a box, as it is read."""
        texts = (
            t.text or "" for t in self.nodes[number].findall(f"{SVG}text") if t.attrib.get("class") in (None, "name")
        )
        return [line.replace("\u00a0", " ") for line in texts]

    def wires(self) -> set[tuple[int, int]]:
        """Who gives to whom, from the curves that are drawn."""
        found = set()
        for path in self.root.iter(f"{SVG}path"):
            if path.attrib.get("class") == "w" and path.attrib["data-to"]:
                found |= {(int(path.attrib["data-from"]), int(to)) for to in path.attrib["data-to"].split()}
        return found


def the_graph(y: mg.Tensor) -> tuple[list[Op], int, Counter[tuple[str, tuple[int, ...]]]]:
    """The ops, how many leaves, and the edges as (op's label, its shape), counted, from the engine."""
    ops = ops_behind([y], None)
    leaves = {id(p) for op in ops for p in op.parents if isinstance(p, mg.Tensor)}
    return ops, len(leaves), Counter((op.label, tuple(op.shape)) for op in ops)


def check(y: mg.Tensor, drawing: Drawing) -> Seen:
    """Every op and leaf stands there once, with its shape, and the edges are the graph's."""
    seen = Seen(drawing)
    ops, leaves, labels = the_graph(y)
    assert seen.kinds["op"] == len(ops) and sum(seen.kinds.values()) == len(ops) + leaves
    drawn = Counter(
        (g.attrib["data-label"], tuple(int(n) for n in re.findall(r"\d+", g.attrib["data-shape"].split(")")[0])))
        for g in seen.nodes.values()
        if g.attrib["class"].split()[1] == "op"
    )
    assert drawn == labels
    edges = {(p, n) for n, parents in seen.parents.items() for p in parents}
    assert len(edges) == len({(id(p), id(op)) for op in ops for p in op.parents if p is not None})
    assert seen.wires() == edges, "the curves are not the graph's edges"
    assert all(p < n for p, n in edges), "an op comes after what it takes"
    for number in seen.nodes:
        assert re.search(rf"^ *{number} ", drawing.text, re.M), f"node {number} is not in the text"
    return seen


def mlp() -> tuple[nn.Module, mg.Tensor]:
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    return model, nn.functional.cross_entropy(model(mg.randn(2, 3)), mg.tensor([0, 1]))


def test_values_before_and_gradients_after_backward():
    model, loss = mlp()
    before = check(loss, draw(loss, model))
    last = max(before.nodes)
    assert before.lines(last) == [f"{last} Div (NllLoss)", f"= {loss.item():.4f}"]
    by_title = {before.lines(n)[0].split(" ", 1)[1]: n for n in before.nodes}
    assert {"0.weight", "0.bias", "2.weight", "2.bias"} <= set(by_title)
    bias = model[2].bias
    assert before.lines(by_title["2.bias"])[1:] == [f"= {repr(bias.detach())[7:-1]}"]
    relu = next(n for n in before.nodes if "Relu" in before.lines(n)[0])
    assert len(before.lines(relu)) > 1, "what the next op keeps for backward is shown"
    assert "grad" not in draw(loss, model).text

    loss.backward()
    drawing = draw(loss, model)
    after = check(loss, drawing)
    assert after.lines(by_title["2.bias"])[2] == f"grad {repr(bias.grad)[7:-1]}"
    assert any("freed" in note for note in after.notes)
    assert f"grad {repr(bias.grad)[7:-1]}" in drawing.text
    assert len(after.lines(relu)) == 1, "backward freed the values in between, and the picture does not invent them"


def test_a_table_with_repeated_ids():
    table = nn.Parameter(mg.arange(12.0).reshape(4, 3))
    y = table[mg.tensor([2, 0, 2])]
    text = str(trace(y.sum()))
    assert "ids [2, 0, 2]" in text and "parameter (4, 3)" in text
    y.backward(mg.ones(3, 3))
    told = draw(y).text
    assert re.search(r"grad \[\[1\., 1\., 1\.\],\s+\[0\., 0\., 0\.\],\s+\[2\., 2\., 2\.\],\s+\[0\., 0\., 0\.\]\]", told)


def test_large_tables_say_which_rows_have_a_gradient_and_stay_rows():
    table = nn.Parameter(mg.zeros(1000, 8))
    (table[mg.tensor([7, 3, 7])] * 2).sum().backward()
    y = table.sum()
    assert "zero but in rows 3, 7" in draw(y).text
    assert isinstance(table._grad, mg.RowSparse), "drawing made the rows dense"


def test_retained_gradients_and_named_tensors_in_between():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    h = x * 3
    h.retain_grad()
    y = (h * h).sum()
    y.backward()
    text = draw(y, {"x": x, "hidden": h}).text
    assert "hidden: Mul" in text and "grad [ 6., 12.]" in text and "grad [18., 36.]" in text


def test_a_leaf_and_what_was_not_recorded():
    leaf = mg.ones(2, requires_grad=True)
    seen = Seen(draw(leaf))
    assert len(seen.nodes) == 1 and any("no recorded op" in note for note in seen.notes)
    with mg.no_grad():
        y = leaf * 2
    assert "No graph" in draw(y).text


def test_shared_nodes_are_told_once_and_both_inputs_of_a_product():
    x = mg.tensor(2.0, requires_grad=True)
    y = x * x
    z = y + y
    seen = check(z, draw(z))
    assert seen.parents == {1: [], 2: [1, 1], 3: [2, 2]}
    assert draw(z).text.count("Mul") == 1


def test_nothing_is_changed_or_kept_alive():
    model, loss = mlp()
    value, state = loss.item(), {name: x.clone() for name, x in model.state_dict().items()}
    gone = weakref.ref(loss.op)
    drawing = draw(loss, model)
    loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    again_model, again = mlp()
    again.backward()
    assert loss.item() == value
    for name, p in again_model.named_parameters():
        np.testing.assert_array_equal(p.grad.cpu().numpy(), expected[name].cpu().numpy())
        np.testing.assert_array_equal(state[name].cpu().numpy(), p.detach().cpu().numpy())
    gc.collect()
    gc.disable()
    try:
        del loss
        assert gone() is None, "the drawing keeps the graph alive, or made a cycle"
    finally:
        gc.enable()
    assert "CrossEntropy" in drawing.svg


def test_deep_and_wide_graphs():
    y = mg.ones(2, requires_grad=True)
    for _ in range(5000):
        y = y * 1.0
    y = y.sum()
    drawing = draw(y)
    seen = Seen(drawing)
    assert seen.kinds["op"] == 3000 and any("2002 older" in note for note in seen.notes), seen.notes
    assert Seen(draw(y, limit=10_000)).kinds["op"] == 5001
    leaves = [mg.ones((), requires_grad=True) for _ in range(1200)]
    wide = mg.stack([x * 2 for x in leaves]).sum()
    drawing = draw(wide)
    check(wide, drawing)
    assert len(drawing.svg) < 4_000_000


def gpt() -> tuple[GPT, mg.Tensor]:
    mg.manual_seed(0)
    model = GPT(GPTConfig(50, context_length=8, emb_dim=8, n_heads=2, n_layers=2, drop_rate=0.0))
    return model, mg.randint(0, 50, (2, 9))


def titles(drawing: Drawing) -> list[str]:
    bars = [g for g in ET.fromstring(drawing.svg).iter(f"{SVG}g") if g.attrib.get("class") == "bar"]
    return [bar.findall(f"{SVG}text")[2].text or "" for bar in bars]


def test_modules_are_boxes_that_open_and_close():
    model, ids = gpt()
    loss = model.loss(ids[:, :-1], ids[:, 1:])
    drawing = draw(loss, model)
    check(loss, drawing)
    assert any(title.startswith("blocks.0: Block (") for title in titles(drawing))
    groups = [g for g in ET.fromstring(drawing.svg).iter(f"{SVG}g") if "module" in g.attrib.get("class", "")]
    assert groups and all("closed" in g.attrib["class"].split() for g in groups), "a large graph starts closed"
    opened = ET.fromstring(draw(loss, model, collapsed=False).svg)
    assert not any("closed" in g.attrib.get("class", "").split() for g in opened.iter(f"{SVG}g"))
    for bar in (g for g in opened.iter(f"{SVG}g") if g.attrib.get("class") == "bar"):
        assert bar.attrib["role"] == "button" and bar.attrib["tabindex"] == "0"
        assert bar.attrib["aria-expanded"] == "true"


def test_watch_sees_the_calls_as_they_were():
    model, ids = gpt()
    with watch(model) as seen:
        loss = model.loss(ids[:, :-1], ids[:, 1:])
    assert not any(m._hooks or m._pre_hooks for m in model.modules()), "the hooks stayed"
    drawing = draw(loss, seen)
    check(loss, drawing)
    assert any(title.startswith("blocks.1: Block (37 ops") for title in titles(drawing))

    plain = nn.Sequential(nn.Sequential(nn.Tanh(), nn.Sigmoid()), nn.Linear(3, 2))
    with watch(plain) as seen:
        y = plain(mg.ones(1, 3, requires_grad=True)).sum()
    assert "0: Sequential (2 ops, 1 leaf)" in titles(draw(y, seen))
    assert not any("0: Sequential" in title for title in titles(draw(y, plain))), "no parameter tells of it"
    with pytest.raises(TypeError, match="expected a Module, got list"):
        watch([])


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a & b", '"quoted"', "\x00\x1b", "\u202e", "名前", "x" * 500]
)
def test_hostile_names(name):
    x = mg.ones(2, requires_grad=True)
    y = (x * 2).sum()
    drawing = draw(y, {name: x})
    seen = check(y, drawing)
    assert "script" not in {e.tag.rpartition("}")[2] for e in seen.root.iter()}
    assert "\x1b" not in drawing.text and "\u202e" not in drawing.text


def test_no_request_and_no_dependency():
    _, loss = mlp()
    svg = draw(loss).svg
    assert set(re.findall(r"https?://[^\"' <]*", svg)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in svg and "@import" not in svg and "href" not in svg


def test_files_and_notebooks(tmp_path: Path):
    _, loss = mlp()
    drawing = draw(loss)
    drawing.save(tmp_path / "loss.svg")
    assert (tmp_path / "loss.svg").read_text(encoding="utf-8") == drawing.svg
    assert drawing.svg in drawing._repr_html_() and drawing._repr_svg_() == drawing.svg
    assert "op" in repr(drawing) and str(drawing) == str(drawing.text)
    assert repr(trace(loss)) == str(trace(loss)), "a notebook shows lines, not quotes"
    with pytest.raises(FileNotFoundError, match="make it first"):
        drawing.save(tmp_path / "nowhere" / "loss.svg")


def test_minigrad_trace_is_torchs_for_a_matrix():
    m = mg.arange(6.0).reshape(2, 3)
    assert mg.trace(m).item() == 4.0
    loss = (m.requires_grad_() * 2).sum()
    assert mg.trace(loss) == trace(loss) == draw(loss).text and "Sum" in mg.trace(loss)
    assert mg.trace(m * 2).item() == 8.0 and "Mul" in mg.trace(m * 2, {"m": m})
    with pytest.raises(RuntimeError, match="expected a matrix"):
        mg.trace(mg.ones(3))


def test_wrong_arguments():
    loss = mg.ones(1, requires_grad=True).sum()
    for wrong in (3, None, "loss", np.ones(2)):
        with pytest.raises(TypeError, match="expected a tensor, say a loss"):
            draw(wrong)
        with pytest.raises(TypeError, match="expected a tensor, say a loss"):
            mg.trace(wrong)
    with pytest.raises(TypeError, match=r"params must be a Module.*got list"):
        draw(loss, [1])
    with pytest.raises(TypeError, match=r"params\['a'\] must be a tensor"):
        draw(loss, {"a": 1})
    for limit in (0, -1, "many"):
        with pytest.raises(ValueError, match="at least 1"):
            draw(loss, limit=limit)


@st.composite
def graphs(draw_: st.DrawFn) -> mg.Tensor:
    """A scalar, of a random graph: shared, unused and chained parts, products, lookups, views."""
    values = [mg.randn(3, 3).requires_grad_() for _ in range(draw_(st.integers(1, 3)))]
    for _ in range(draw_(st.integers(0, 25))):
        x, y = (values[draw_(st.integers(0, len(values) - 1))] for _ in range(2))
        op = draw_(st.sampled_from(["add", "mul", "matmul", "t", "index", "exp", "slice", "cat"]))
        values.append(
            {
                "add": lambda x=x, y=y: x + y,
                "mul": lambda x=x, y=y: x * y * 0.1,
                "matmul": lambda x=x, y=y: x @ y * 0.1,
                "t": lambda x=x: x.T,
                "index": lambda x=x: x[mg.tensor([2, 0, 2])],
                "exp": lambda x=x: x.tanh(),
                "slice": lambda x=x: x[:, [0, 1, 1]],
                "cat": lambda x=x, y=y: mg.cat([x[:1], y[1:]]),
            }[op]()
        )
    return mg.stack([values[-1].sum(), values[0].mean()]).sum()


@given(graphs(), st.booleans())
def test_random_graphs(y, backward):
    check(y, draw(y))
    if backward:
        y.backward()
        check(y, draw(y))
    small = draw(y, limit=3)
    assert Seen(small).kinds["op"] == min(3, len(ops_behind([y], None)))
