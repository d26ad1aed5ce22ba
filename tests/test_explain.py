"""The page of minigrad.explain without a browser: its numbers are recomputed with NumPy and with torch, its bytes read.

test_explain_browser.py looks at the same page in a browser.
"""

from __future__ import annotations

import functools
import html
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explain_numbers import BACK, Numbers, embedded

import minigrad as mg
from minigrad.data import WindowDataset, gpt2_tokenizer
from minigrad.explain import Page, explain
from minigrad.explain.__main__ import main
from minigrad.explain.page import MADE_BY
from minigrad.explain.run import (
    DEFAULT_TEXT,
    LINES,
    MOST_DIM,
    MOST_NUMBERS,
    MOST_POSITIONS,
    MOST_TOKENS,
    run,
)

pytestmark = pytest.mark.cpu_only("a page is made on the CPU")

VOCABULARY = 50257
REPEATS = "the the the the cat the the the the cat the"
PARTIAL = "क्षि 𓀀 ß 漢字 \N{FAMILY} né"  # of whose characters some take several tokens
LONG = (Path(mg.__file__).parent / "core.py").read_text()
RUNS: dict[str, dict[str, Any]] = {
    "default": {},
    "seed 7": {"seed": 7},
    "one window": {"batch": 1, "length": 5},
    "T = 1": {"length": 1, "batch": 4, "stride": 1},
    "B = T": {"length": 3, "batch": 3},
    "B > T": {"length": 2, "batch": 5},
    "dim 1": {"dim": 1},
    "dim 16": {"dim": 16},
    "gaps": {"length": 2, "stride": 4},
    "repeats": {"text": REPEATS},
    "partial": {"text": PARTIAL},
    "two tokens": {"text": "a b"},
    "long": {"text": LONG, "dim": 16, "length": MOST_POSITIONS, "batch": 1},
    "the last ids": {"text": "a<|endoftext|> b<|endoftext|>", "batch": 1, "length": 3},
}


@functools.cache
def made(name: str) -> Page:
    return explain(**RUNS[name])


@pytest.fixture(params=RUNS)
def page(request: pytest.FixtureRequest) -> Page:
    return made(request.param)


# ------------------------------------------------------------------------------------------------------------ the numbers


def test_the_run_is_embedded_whole(page: Page) -> None:
    """What the page's script reads is Page.run, but that JSON writes the keys of a dictionary as text."""
    assert embedded(page) == json.loads(json.dumps(page.run))


def test_tokens_and_windows(page: Page) -> None:
    n = Numbers(embedded(page))
    np.testing.assert_array_equal(n.inputs, [n.tokens[b * n.stride :][: n.T] for b in range(n.B)])
    np.testing.assert_array_equal(n.targets, [n.tokens[b * n.stride + 1 :][: n.T] for b in range(n.B)])
    assert n.report == dict(WindowDataset(n.tokens, n.T, n.stride).report())
    assert n.vocabulary == VOCABULARY
    bytes_of = {i: bytes.fromhex(spelt[1].replace(" ", "")) for i, spelt in n.spelling.items()}
    assert set(bytes_of) == {*n.tokens, *n.rows, *n.classes}
    for i, raw in bytes_of.items():
        assert raw == gpt2_tokenizer().decode_bytes([i])
        assert n.spelling[i][0] == raw.decode("utf-8", "replace")


def test_rows_in_play(page: Page) -> None:
    """Every row that was read, and up to four that were not; each in the order of the table."""
    n = Numbers(embedded(page))
    used = set(n.inputs.flat)
    assert n.rows == sorted(set(n.rows)) and used <= set(n.rows) and max(n.rows) < VOCABULARY
    assert 1 <= len(n.rows) - len(used) <= 4, "untouched rows are part of what the page shows"
    assert n.classes == sorted(used | set(n.targets.flat))
    assert n.run["rows_with_gradient"] == len(used)


def test_forward(page: Page) -> None:
    """A lookup copies and an addition rounds once: both exact. The loss is float32, recomputed here in float64."""
    n = Numbers(embedded(page))
    gathered = n.table[n.at(n.inputs)]
    np.testing.assert_array_equal(n.gathered, gathered)
    np.testing.assert_array_equal(n.product, gathered.reshape(-1, n.D))
    np.testing.assert_array_equal(n.x, gathered + n.positions)
    logits = n.x.astype(np.float64) @ n.head.T
    exp = np.exp(logits - logits.max(-1, keepdims=True))
    p = exp / exp.sum(-1, keepdims=True)
    losses = -np.log(np.take_along_axis(p, n.classes_of(n.targets)[..., None], -1))[..., 0]
    np.testing.assert_allclose(n.logits, logits, rtol=1e-6, atol=2e-6)
    np.testing.assert_allclose(n.probabilities, p, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(n.losses, losses, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(n.loss, losses.mean(), rtol=1e-6)


def test_the_wrong_axis(page: Page) -> None:
    n = Numbers(embedded(page))
    wrong, m = n.run["wrong_axis"], min(n.B, n.T)
    assert wrong["n"] == m
    square, places = n.gathered[:m, :m], n.positions[:m]
    np.testing.assert_array_equal(np.float32(wrong["right"]), square + places)
    np.testing.assert_array_equal(np.float32(wrong["wrong"]), square + places[:, None])
    try:
        shape = np.broadcast_shapes((n.B, n.T, n.D), (n.T, 1, n.D))
    except ValueError:
        with pytest.raises(RuntimeError):
            torch.empty(n.B, n.T, n.D) + torch.empty(n.T, 1, n.D)
        assert wrong["outcome"].startswith("RuntimeError: ") and f"axis -3 is {n.B} vs {n.T}" in wrong["outcome"]
    else:
        assert wrong["outcome"] == f"no error, and a result of shape {shape}"


def test_backward(page: Page) -> None:
    """g by the formula on the page; the tables' gradients exactly, in the order of the ids."""
    n = Numbers(embedded(page))
    onehot = np.eye(len(n.classes))[n.classes_of(n.targets)]
    g = (n.probabilities - onehot) / n.targets.size @ n.head.astype(np.float64)
    np.testing.assert_allclose(n.g, g, rtol=1e-5, atol=1e-7)

    flat, ids = n.g.reshape(-1, n.D), n.at(n.inputs).ravel()
    scattered, wrong = np.zeros_like(n.table), np.zeros_like(n.table)
    np.add.at(scattered, ids, flat)
    wrong[ids] += flat
    np.testing.assert_array_equal(n.table_grad, scattered)
    np.testing.assert_allclose(n.position_grad, n.g.astype(np.float64).sum(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(n.backward(n.B * n.T)["position_grad"], n.position_grad)
    unread = [i for i, row in enumerate(n.rows) if row not in n.inputs]
    assert not n.table_grad[unread].any()
    repeated = [i for i, row in enumerate(n.rows) if (n.inputs == row).sum() > 1]
    assert (wrong != scattered).any() == bool(repeated)
    X = np.eye(len(n.rows), dtype=np.float64)[ids]
    np.testing.assert_allclose(n.product_grad, X.T @ flat, rtol=1e-5, atol=1e-7)


def test_step(page: Page) -> None:
    n = Numbers(embedded(page))
    lr = np.float32(n.run["settings"]["lr"])
    np.testing.assert_array_equal(n.table_after, n.table - lr * n.table_grad)
    np.testing.assert_array_equal(n.positions_after, n.positions - lr * n.position_grad)
    x = n.table_after[n.at(n.inputs)].astype(np.float64) + n.positions_after
    logits = x @ n.head.T
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    loss = -np.take_along_axis(logits, n.classes_of(n.targets)[..., None], -1).mean()
    np.testing.assert_allclose(n.loss_after, loss, rtol=1e-6)
    assert n.loss_after != n.loss


def test_every_number_is_the_float32_itself(page: Page) -> None:
    """Few digits, but enough that each reads back as the float32 that it was."""
    run, n = embedded(page), Numbers(embedded(page))
    for name in ("table", "gathered", "positions", "x", "g", "table_grad", "logits", "loss"):
        as_text = np.asarray(run[name], dtype=np.float64).ravel()
        assert all(float(str(np.float32(x))) == x for x in as_text), name
    assert n.g.dtype == np.float32


def test_against_torch(page: Page) -> None:
    """The same program in torch, from the same seed, gives the same weights bit for bit and the same everything."""
    n = Numbers(embedded(page))
    torch.manual_seed(n.run["settings"]["seed"])
    token, position = torch.nn.Embedding(VOCABULARY, n.D), torch.nn.Embedding(n.T, n.D)
    head = torch.nn.Linear(n.D, len(n.classes), bias=False)
    for ours, theirs in ((n.table, token.weight[n.rows]), (n.positions, position.weight), (n.head, head.weight)):
        np.testing.assert_array_equal(ours, theirs.detach().numpy())

    def forward() -> tuple[torch.Tensor, ...]:
        gathered = token(torch.tensor(n.inputs))
        x = gathered + position(torch.arange(n.T))
        logits = head(x)
        targets = torch.tensor(n.classes_of(n.targets)).flatten()
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets, reduction="none")
        return gathered, x, logits, logits.softmax(-1), losses.reshape(n.B, n.T), losses.mean()

    values = forward()
    values[1].retain_grad()
    values[-1].backward()
    for name, theirs in zip(("gathered", "x", "logits", "probabilities", "losses", "loss"), values, strict=True):
        np.testing.assert_allclose(getattr(n, name), theirs.detach().numpy(), rtol=1e-5, atol=1e-6, err_msg=name)
    gradients = {"g": values[1].grad, "table_grad": token.weight.grad[n.rows], "position_grad": position.weight.grad}
    for name, theirs in gradients.items():
        np.testing.assert_allclose(getattr(n, name), theirs.numpy(), rtol=1e-5, atol=1e-7, err_msg=name)
    torch.optim.SGD([token.weight, position.weight], lr=n.run["settings"]["lr"]).step()
    np.testing.assert_allclose(n.table_after, token.weight[n.rows].detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(n.positions_after, position.weight.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(n.loss_after, forward()[-1].item(), rtol=1e-5)


# ------------------------------------------------------------------------------------------------------ the arguments


def settings_of(text: str, **given: Any) -> tuple[int, int, int, list[str]]:
    found = run(text, **given)
    return *(found["settings"][name] for name in ("length", "stride", "batch")), found["notes"]


def words(n: int) -> str:
    """A text of n tokens."""
    return "a" + " a" * (n - 1)


def test_defaults() -> None:
    found = run()
    assert found["settings"] == {
        "dim": 3, "length": 4, "stride": 2, "batch": 2, "seed": 0, "vocabulary": VOCABULARY, "lr": 1.0,
    }  # fmt: skip
    assert gpt2_tokenizer().decode(found["tokens"]) == DEFAULT_TEXT and found["notes"] == []


@pytest.mark.parametrize(
    "n, given, expected",
    [
        (7, {}, (4, 2, 2)),  # the shortest text of the usual windows: 2 + 4 < 7
        (6, {}, (4, 1, 2)),
        (5, {}, (3, 1, 2)),
        (4, {}, (2, 1, 2)),
        (2, {}, (1, 2, 1)),
        (6, {"stride": 2}, (3, 2, 2)),
        (6, {"length": 4}, (4, 1, 2)),
        (6, {"length": 5}, (5, 2, 1)),
        (6, {"length": 1, "stride": 2}, (1, 2, 2)),
        (9, {"batch": 3}, (4, 2, 3)),
        (8, {"batch": 3}, (4, 1, 3)),
        (7, {"stride": 10**30}, (4, 10**30, 1)),
    ],
)
def test_a_short_text_is_given_shorter_windows(n: int, given: dict[str, int], expected: tuple[int, ...]) -> None:
    *got, notes = settings_of(words(n), **given)
    assert tuple(got) == expected
    length, stride, batch = expected
    usual = (given.get("length", 4), given.get("stride", 2))
    said = [note for note in notes if "The text is short" in note]
    assert len(said) == ((length, stride) != usual)
    assert all(f"a length of {length} and a stride of {stride}." in note for note in said)
    asked = given.get("batch", 2)
    fewer = f"A batch of {asked} windows was asked for; the text has only {batch}."
    assert (fewer in notes) == (batch < asked)


def test_a_long_text_is_cut() -> None:
    found = run(words(MOST_TOKENS))
    assert len(found["tokens"]) == MOST_TOKENS and found["notes"] == []
    found = run(words(5_000))
    assert len(found["tokens"]) == MOST_TOKENS
    assert found["notes"] == [f"The text has 5,000 tokens; this page works with the first {MOST_TOKENS:,}."]


@pytest.mark.parametrize("name", ["dim", "length", "stride", "batch", "seed"])
@pytest.mark.parametrize("value", [True, False, 1.0, 2.5, "3", [3], float("nan"), np.float32(2), mg.tensor(3)], ids=str)
def test_sizes_are_ints(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^explain: {name} must be an int, got .*\({type(value).__name__}\)$"):
        explain(**{name: value})


@pytest.mark.parametrize("name", ["dim", "batch", "seed"])
def test_none_is_for_length_and_stride_only(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} must be an int, got None"):
        explain(**{name: None})
    assert explain(length=None, stride=None) == explain()


def test_numpys_ints_are_ints() -> None:
    numbers = {"dim": 3, "length": 4, "stride": 2, "batch": 2, "seed": 5}
    assert explain(**{name: np.int64(value) for name, value in numbers.items()}) == explain(**numbers)


@pytest.mark.parametrize("name", ["dim", "length", "stride", "batch"])
@pytest.mark.parametrize("value", [0, -1, -(10**30)])
def test_sizes_are_positive(name: str, value: int) -> None:
    with pytest.raises(ValueError) as error:
        explain(**{name: value})
    assert name in str(error.value) and str(value) in str(error.value)
    assert re.search("must be 1 or more|a dim of 1 to", str(error.value))


@pytest.mark.parametrize(
    "given, fact",
    [
        ({"dim": MOST_DIM + 1, "length": 1}, f"dim of 1 to {MOST_DIM}"),
        ({"dim": 10**30}, f"dim of 1 to {MOST_DIM}"),
        ({"batch": 10**9}, f"batch * length up to {MOST_POSITIONS}"),
        ({"batch": MOST_POSITIONS + 1, "length": 1}, f"batch * length up to {MOST_POSITIONS}"),
        ({"batch": 1, "length": MOST_POSITIONS + 1, "text": LONG}, f"batch * length up to {MOST_POSITIONS}"),
        ({"batch": 2, "length": 8, "dim": MOST_NUMBERS // 16 + 1}, f"batch * length * dim up to {MOST_NUMBERS}"),
        ({"length": 11}, "the text has 11 tokens, so length goes up to 10"),
        ({"length": 10**30}, "the text has 11 tokens, so length goes up to 10"),
        ({"text": ""}, "2 tokens, an input and a target; the text has 0"),
        ({"text": "a"}, "2 tokens, an input and a target; the text has 1"),
        ({"seed": 2**64}, "seed must be at least -2^63 and less than 2^64"),
    ],
)
def test_what_is_out_of_range(given: dict[str, Any], fact: str) -> None:
    with pytest.raises(ValueError) as error:
        explain(**given)
    assert fact in str(error.value)


@pytest.mark.parametrize("text", [None, 3, b"the cat", ["the", "cat"], Path("cat.txt")], ids=lambda x: type(x).__name__)
def test_text_is_a_str(text: Any) -> None:
    with pytest.raises(TypeError, match=f"^explain: text must be a str, got {type(text).__name__}$"):
        explain(text)


# ----------------------------------------------------------------------------------------------------------- the page


def expensive_text() -> str:
    """The tokens whose spelling takes most bytes of JSON."""
    tokenizer = gpt2_tokenizer()

    def size(i: int) -> int:
        raw = tokenizer.decode_bytes([i])
        return len(json.dumps(raw.decode("utf-8", "replace"))) + 3 * len(raw)

    return tokenizer.decode(sorted(range(VOCABULARY), key=size)[-2 * MOST_TOKENS :])


@pytest.mark.parametrize(
    "dim, length, batch",
    [
        (MOST_NUMBERS // MOST_POSITIONS, MOST_POSITIONS, 1),
        (MOST_NUMBERS // MOST_POSITIONS, 1, MOST_POSITIONS),
        (MOST_NUMBERS // MOST_POSITIONS, MOST_POSITIONS // 2, 2),
        (MOST_DIM, 1, MOST_NUMBERS // MOST_DIM),
        (MOST_DIM, MOST_NUMBERS // MOST_DIM, 1),
    ],
)
def test_a_page_is_below_300_kb(dim: int, length: int, batch: int) -> None:
    page = explain(expensive_text(), dim, length, stride=MOST_TOKENS // MOST_POSITIONS - 1, batch=batch)
    assert page.run["settings"]["batch"] == batch and len(page.run["tokens"]) == MOST_TOKENS
    assert len(page.run["classes"]) > batch * length, "no worst case: ids repeat"
    assert len(page.encode()) < 300_000


def test_the_same_bytes_twice() -> None:
    once = explain()
    mg.rand(3)
    assert explain() == once and explain(seed=1) != once and explain(seed=-1) != explain(seed=1)


def test_nothing_is_requested_from_anywhere(page: Page) -> None:
    """No address, nor a way of writing one, but SVG's name; and a policy that would forbid it."""
    outside = page.replace("http://www.w3.org/2000/svg", "")
    data = re.search(r'<script type="application/json" id="run">(.*?)</script>', outside, re.S)
    outside = outside.replace(data[1], "")
    for way in ("http:", "https:", "ftp:", "url(", "@import", "src=", "<link", "<img", "<iframe", "fetch(", "XMLHttp", "WebSocket",
                "sendBeacon", "import(", "localStorage", "document.cookie", "eval(", "innerHTML", "insertAdjacent",
                "document.write"):  # fmt: skip
        assert way not in outside, way
    assert not re.search(r"""["'`=(]\s*//""", outside), "an address without a scheme"
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    assert page.index("Content-Security-Policy") < page.index("<style>") < page.index("<script")


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script> the cat --> ]]> <![CDATA[ </SCRIPT >",
    "a\u2028b\u2029c",
    "\ud800 lone \udfff surrogates",
    "a\0b\x01\x1b[31m\x7f\x9f c",
    "/* page.js */ /* run */ /* page.css */",
    "\" ' ` \\ \\u003c ${alert(1)} &amp; &lt;b&gt;",
    "\u202eabc\u202c \u2066def\u2069 العربية \ufeff",
    "\N{PILE OF POO}\N{FAMILY}\u200d\N{BOY} 漢字",
    "{{ x }} __proto__ constructor toString",
    "\r\n\r\n\t\v\f a",
    "NaN Infinity -0 null",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_no_text_gets_out_of_the_json(text: str) -> None:
    page, usual = explain(text + " and more"), explain()
    json_of = r'(?s)<script type="application/json" id="run">.*?</script>'
    assert re.sub(json_of, "", page) == re.sub(json_of, "", usual), "the text changed more than the data"
    assert page.count("</script>") == usual.count("</script>") == 2
    data = re.search(json_of, page)[0].removesuffix("</script>").partition(">")[2]
    assert data.isascii() and data.isprintable() and "<" not in data
    spelt = b"".join(bytes.fromhex(embedded(page)["spelling"][str(i)][1]) for i in page.run["tokens"])
    assert spelt.decode() == (text + " and more").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_code_is_the_source_at_the_said_line() -> None:
    """Each excerpt equals its file from the line that it names; every panel has some."""
    code = embedded(explain())["code"]
    root = Path(mg.__file__).parents[1]
    assert list(code) == ["tape", "gather", "positions", "loss", "backward", "product", "sgd"]
    for panel, parts in code.items():
        assert [part["name"].split(".")[-1] for part in parts] == [
            inspect.unwrap(part).__name__ for part in LINES[panel]
        ]
        for part in parts:
            assert not Path(part["file"]).is_absolute() and part["file"].startswith("minigrad/")
            lines = (root / part["file"]).read_text().splitlines()[part["line"] - 1 :]
            source = part["source"].splitlines()
            indent = len(lines[0]) - len(lines[0].lstrip())
            assert [line[indent:] for line in lines[: len(source)]] == source
            first = next(line for line in source if not line.startswith(("@", "#")))
            assert re.match(rf"(def|class) {part['name'].split('.')[-1]}\b", first)


def test_the_programs_own_state_is_left_alone() -> None:
    mg.manual_seed(3)
    state, numpys = mg.get_rng_state(), np.random.get_state()[1].copy()
    explain(seed=9)
    assert (mg.get_rng_state() == state).all()
    np.testing.assert_array_equal(np.random.get_state()[1], numpys)
    assert mg.is_grad_enabled() and mg.get_default_dtype() is mg.float32
    with pytest.raises(ValueError):
        explain(dim=0)
    with pytest.raises(ValueError):
        explain(seed=2**64)
    assert (mg.get_rng_state() == state).all()


@pytest.mark.parametrize("mode", [mg.no_grad, mg.inference_mode])
def test_in_any_grad_mode(mode: Any) -> None:
    usual = explain()
    with mode():
        assert explain() == usual
        assert not mg.is_grad_enabled()


def test_with_any_default_dtype() -> None:
    usual = explain()
    mg.set_default_dtype(mg.float64)
    try:
        assert explain() == usual
        assert mg.get_default_dtype() is mg.float64
    finally:
        mg.set_default_dtype(mg.float32)


def test_a_page_in_a_notebook_is_a_frame_of_its_own() -> None:
    page = explain('"quotes" & <b>')
    frame = re.fullmatch(r'<iframe srcdoc="([^"]*)" (.*)></iframe>', page._repr_html_(), re.S)
    assert html.unescape(frame[1]).replace('\n<base href="about:srcdoc">', "", 1) == page
    assert 'sandbox="allow-scripts"' in frame[2] and 'title="' in frame[2]
    assert repr(page) == f"Page({len(page.encode()):,} bytes)"


def test_the_engine_does_not_import_it() -> None:
    program = """
import sys, minigrad
assert not [name for name in sys.modules if name.startswith("minigrad.explain")]
assert minigrad.explain is minigrad.explain and "explain" in dir(minigrad.explain)
page = minigrad.explain("the cat saw the cat", seed=4)
from minigrad.explain.page import explain
assert page == explain("the cat saw the cat", seed=4)
print(type(page).__name__, callable(minigrad.explain))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=BACK)
    assert (done.stdout, done.stderr) == ("Page True\n", "")


# ----------------------------------------------------------------------------------------------------------- the file


def test_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = explain()
    page.save()
    assert Path("explain.html").read_bytes() == page.encode()
    again = explain(seed=1, out="explain.html")  # in place of an earlier page
    assert Path("explain.html").read_bytes() == again.encode() != page.encode()
    explain(out=tmp_path / "path.html")
    explain(out=os.fsencode(tmp_path / "bytes.html"))
    assert sorted(os.listdir()) == ["bytes.html", "explain.html", "path.html"], "nothing else is left"


@pytest.mark.parametrize("content", [b"", b"mine", b"<!doctype html>\n" + b" " * 300 + MADE_BY.encode(), b"\xff\xfe\0"])
def test_a_file_of_somebody_elses_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.html"
    path.write_bytes(content)
    with pytest.raises(FileExistsError, match=r"mine\.html is there and is not a page of explain: choose another name"):
        explain(out=path)
    assert path.read_bytes() == content and os.listdir(tmp_path) == ["mine.html"]


def test_a_failed_save_leaves_the_earlier_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, page = tmp_path / "a.html", explain()
    page.save(path)
    monkeypatch.setattr(os, "fsync", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="the disk is full"):
        explain(seed=1, out=path)
    assert path.read_bytes() == page.encode() and os.listdir(tmp_path) == ["a.html"]


@pytest.mark.parametrize("out", [5, 1, True, 2.5, ["a.html"]], ids=str)
def test_out_is_a_path(out: Any) -> None:
    """Not the number of a file that is open already: 1 would be what the program prints to."""
    with pytest.raises(TypeError, match="PathLike"):
        explain(out=out)
    os.fstat(1)


@pytest.mark.parametrize("out", ["", ".", "no/such/folder/a.html"])
def test_where_nothing_can_be_written(out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError):
        explain(out=out)
    assert os.listdir() == []


# ------------------------------------------------------------------------------------------------------ the command


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "minigrad.explain", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.fspath(BACK)},
    )


def test_the_command(tmp_path: Path) -> None:
    done = command(cwd=tmp_path)
    page = explain()
    assert (tmp_path / "explain.html").read_bytes() == page.encode()
    said = f"wrote explain.html ({len(page.encode()) / 1000:.0f} kB): open it in a browser\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the command, in this process."""
    monkeypatch.setattr(sys, "argv", ["minigrad.explain", *arguments])
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0


def test_the_commands_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Every option reaches the run, and what there is to say is printed and stands on the page."""
    monkeypatch.chdir(tmp_path)
    options = ["--dim", "2", "--length", "3", "--stride", "1", "--batch", "3", "--seed", "5", "--out", "a.html"]
    assert run_main(monkeypatch, "a b c d e", *options) == 0
    expected = explain("a b c d e", dim=2, length=3, stride=1, batch=3, seed=5)
    assert Path("a.html").read_bytes() == expected.encode()
    assert expected.run["settings"]["batch"] == 2
    printed = capsys.readouterr()
    assert printed.out.splitlines()[:-1] == expected.run["notes"] and printed.err == ""
    assert expected.run["notes"] == ["A batch of 3 windows was asked for; the text has only 2."]


@pytest.mark.parametrize(
    "arguments, fact",
    [
        (["--dim", "2.5"], "argument --dim: invalid int value: '2.5'"),
        (["--dim", "0"], f"it takes a dim of 1 to {MOST_DIM}"),
        (["--length", "0"], "length must be 1 or more, got 0"),
        (["--stride", "-1"], "stride must be 1 or more, got -1"),
        (["--length", "50"], "the text has 11 tokens, so length goes up to 10"),
        (["--seed", str(2**64)], "seed must be at least"),
        (["a"], "the text has 1: write more"),
        ([""], "the text has 0: write more"),
        (["--width", "3"], "unrecognized arguments: --width"),
        (["--out", "mine.html"], "mine.html is there and is not a page of explain"),
        (["--out", "no/such/a.html"], "does not exist; make it first"),
        (["--out", "."], "directory"),
    ],
)
def test_the_commands_errors(
    arguments: list[str], fact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.html").write_text("mine")
    assert run_main(monkeypatch, *arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "Traceback" not in printed.err
    assert fact in printed.err and "python -m minigrad.explain: " in printed.err
    assert os.listdir() == ["mine.html"] and Path("mine.html").read_text() == "mine"


def test_the_command_takes_any_bytes_for_text(tmp_path: Path) -> None:
    """What is no UTF-8 reaches Python as lone surrogates."""
    text = b"caf\xe9 \xff and \xf0\x9f\x98\x80 more words"
    done = command(os.fsdecode(text), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert MADE_BY in (tmp_path / "explain.html").read_text(encoding="utf-8")


def test_the_lines_that_are_shown_are_the_lines_that_ran() -> None:
    entered = set()

    def note(frame: Any, event: str, argument: Any) -> None:
        entered.add(frame.f_code)

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    for panel, parts in LINES.items():
        for part in parts:
            functions = vars(part).values() if isinstance(part, type) else [inspect.unwrap(part)]
            codes = {inspect.unwrap(f).__code__ for f in functions if inspect.isfunction(f)}
            assert codes & entered, f"panel {panel} shows {part.__qualname__}, which did not run"


def test_a_text_of_one_token_has_a_loss_and_rows_that_move() -> None:
    found = run(" the the the the the the")
    assert len(found["classes"]) == 2 and found["loss"] > 0 and found["rows_with_gradient"] == 1


def test_out_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist; make it first"):
        explain(out=tmp_path / "nowhere" / "page.html")
    assert "dim" in inspect.signature(mg.explain).parameters and list(tmp_path.iterdir()) == []


def test_the_page_in_the_readme_is_of_today() -> None:
    """examples/explain.html is what `python tests/draw_explain.py` writes, but for the engine's lines, which move."""
    kept = (BACK / "examples" / "explain.html").read_text(encoding="utf-8")
    then, now = embedded(kept), embedded(explain())
    then.pop("code"), now.pop("code")
    number = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")  # whose last digits depend on the machine's BLAS
    assert number.sub("", str(then)) == number.sub("", str(now)), "run tests/draw_explain.py"
    floats = ([float(x) for x in number.findall(str(run))] for run in (then, now))
    np.testing.assert_allclose(*floats, rtol=1e-4, atol=1e-6)
    data = re.compile(r'(<script type="application/json" id="run">).*?(</script>)', re.S)
    assert data.sub(r"\1\2", kept) == data.sub(r"\1\2", explain()), "run tests/draw_explain.py"
