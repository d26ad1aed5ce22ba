"""The page of minigrad.explain in a real browser: what stands in every cell, in every state that the controls can make."""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explain_numbers import Numbers, embedded, expected_cells, shown, spelt

from minigrad.data import DataLoader, WindowDataset, gpt2_tokenizer
from minigrad.explain import explain
from minigrad.explain.run import MOST_DIM, MOST_NUMBERS, MOST_POSITIONS, MOST_TOKENS

pytestmark = pytest.mark.cpu_only("a page is made on the CPU")

SCRIPT = "<script>alert(1)</script> \"quotes\" 'single' &amp; &lt;b&gt; <img src=x onerror=alert(2)> `${alert(3)}`"
UNICODE = "\N{GRINNING FACE} \N{WOMAN}\u200d\N{ROCKET} क्षि 漢字 العربية \u202eabc\u202c \u2066d\u2069 \0\x1b a\u00a0b\u2028c\r\n\td"
RUNS: dict[str, dict[str, Any]] = {
    "default": {},
    "one window": {"batch": 1, "length": 5, "stride": 3},
    "B = T": {"length": 3, "batch": 3, "seed": 2},
    "B > T": {"length": 2, "batch": 5, "stride": 1},
    "T = 1": {"length": 1, "batch": 4, "stride": 1},
    "one token": {"text": "a b"},
    "dim 1": {"dim": 1},
    "dim 16": {"dim": 16},
    "most numbers": {"dim": MOST_DIM, "length": 2, "batch": MOST_NUMBERS // MOST_DIM // 2},
    "most places": {"text": "the cat and the dog " * 20, "dim": 16, "length": MOST_POSITIONS // 2},
    "gaps": {"length": 2, "stride": 4},
    "repeats": {"text": "the the the the cat the the the the cat the"},
    "script": {"text": SCRIPT, "length": 12, "batch": 2, "stride": 12},
    "unicode": {"text": UNICODE, "length": 12, "batch": 2, "stride": 12},
    "low ids": {"text": '!"#!"#$%!"'},  # 0, 1, 2, ...: the numbers of rows, too
    "long": {"text": "one two three and " * 1_250 + "end", "dim": 4},
}


@functools.cache
def run_of(name: str) -> dict[str, Any]:
    return embedded(explain(**RUNS[name]))


TAB, ENTER, BACKSPACE, SPACE, CONTROL, RELEASE = "\ue004", "\ue007", "\ue003", " ", "\ue009", "\ue000"
LEFT, RIGHT, UP, DOWN, HOME, END = "\ue012", "\ue014", "\ue013", "\ue015", "\ue011", "\ue010"


class Browser:
    """A chromium with a page in it, and what these tests ask it."""

    def __init__(self, driver: Any, folder: Path):
        self.driver, self.folder = driver, folder
        self.js = driver.execute_script
        self.cdp = driver.execute_cdp_cmd

    def open(self, name: str = "default", width: int = 1280, phone: bool = False, **media: str) -> dict[str, Any]:
        """Load a page of RUNS afresh; media: features, say prefers_color_scheme="dark". Returns its run."""
        path = self.folder / f"{list(RUNS).index(name)}.html"
        if not path.exists():
            explain(**RUNS[name], out=path)
        self.address = path.as_uri()
        media = {"prefers_reduced_motion": "reduce"} | media  # a click waits for no scrolling
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.cdp("Emulation.setEmulatedMedia", {"media": "", "features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": phone}
        self.cdp("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")
        self.log("browser"), self.log("performance")
        self.driver.get(self.address)
        return run_of(name)

    def log(self, name: str) -> list[dict[str, Any]]:
        return self.driver.get_log(name)

    def id(self, name: str) -> Any:
        return self.driver.find_element("id", name)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return self.js("return document.querySelector(arguments[0]).textContent", selector)

    def cells(self, prefix: str = "") -> dict[str, str]:
        """The text of every cell, by its name; none may be there twice."""
        pairs = self.js(
            "return [...document.querySelectorAll('[data-cell]')].map((e) => [e.dataset.cell, e.textContent])"
        )
        assert len(dict(pairs)) == len(pairs), "two cells of one name"
        return {name: text for name, text in pairs if name.startswith(prefix)}

    def check(self, run: dict[str, Any], **state: Any) -> None:
        """All cells but the tape's are those of that state, no more and no fewer."""
        found = {name: text for name, text in self.cells().items() if not name.startswith("tape/")}
        columns = sum(name.startswith(f"gather/table/{run['rows'][0]}.") for name in found)
        D = run["settings"]["dim"]
        assert columns == D or (
            columns >= 4 and f"Of the {D} numbers in a row the first {columns}" in self.text("header")
        )
        assert found == expected_cells(run, columns, **state)

    def press(self, *keys: str) -> None:
        """Keys to whatever has the focus."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def point(self, element: Any) -> None:
        from selenium.webdriver import ActionChains

        self.js("arguments[0].scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'})", element)
        ActionChains(self.driver, duration=0).move_to_element(element).perform()

    def focused(self) -> str:
        return self.js("return document.activeElement.id || document.activeElement.tagName.toLowerCase()")

    def enter(self, id: str, value: str) -> None:
        """Write into a number field, as by hand."""
        self.id(id).send_keys(CONTROL + "a" + RELEASE + BACKSPACE, value, ENTER)


@pytest.fixture(scope="module")
def pages(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(chromium, tmp_path_factory.mktemp("pages"))


@pytest.fixture
def browser(pages: Browser) -> Iterator[Browser]:
    """The browser; whatever a test does, nothing reaches the console and nothing is asked of a network."""
    pages.address = ""
    yield pages
    assert pages.log("browser") == [], "the console"
    events = [json.loads(entry["message"])["message"] for entry in pages.log("performance")]
    asked = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert {address.partition("#")[0] for address in asked} <= {pages.address, "about:blank"}
    assert not [e for e in events if e["method"].startswith("Network.webSocket")]


every_run = pytest.mark.parametrize("name", RUNS)


# ---------------------------------------------------------------------------------------------------------- the cells


@every_run
def test_every_cell_in_every_state(browser: Browser, name: str) -> None:
    """Backward forth and back, then with the wrong +=, then with the wrong axis: all as NumPy computes it from the JSON."""
    run = browser.open(name)
    last = len(run["inputs"]) * len(run["inputs"][0])
    few = range(last + 1) if last <= 8 else [0, 1, last // 2, last - 1, last]
    browser.check(run)
    for step in few:
        if step in (0, last):
            browser.js("document.getElementById(arguments[0]).click()", "last" if step else "first")
        else:
            set_step(browser, step)
        browser.check(run, step=step)
    for step in range(last - 1, max(last - 4, -1), -1):
        browser.id("back").click()
        browser.check(run, step=step)
    browser.id("lossy").click()
    for step in reversed(few):
        set_step(browser, step)
        browser.check(run, step=step, lossy=True)
    browser.js("document.getElementById('last').click()")
    browser.id("wrong-axis").click()
    browser.check(run, step=last, lossy=True, wrong=True)
    browser.id("lossy").click()
    browser.id("wrong-axis").click()
    browser.check(run, step=last)


def set_step(browser: Browser, step: int) -> None:
    """As dragging the slider does it."""
    browser.js(
        "const s = document.getElementById('step'); s.value = arguments[0]; s.dispatchEvent(new Event('input', {bubbles: true}))",
        step,
    )


@pytest.mark.parametrize("name", ["default", "one window", "T = 1", "repeats", "low ids", "most places", "dim 16"])
def test_words_of_backward(browser: Browser, name: str) -> None:
    """Where each contribution goes, which it is, and what the wrong += has lost by then."""
    run = browser.open(name)
    n = Numbers(run)
    ids = n.inputs.ravel().tolist()
    steps = range(1, len(ids) + 1) if len(ids) <= 8 else [1, len(ids) // 2, len(ids)]
    for lossy in (False, True):
        if lossy:
            browser.id("lossy").click()
        for step in steps:
            set_step(browser, step)
            now = ids[step - 1]
            said = browser.text("#backward-status")
            assert said.startswith(f"Step {step} of {len(ids)}.") and f"row {now} " in said
            assert f"g[{(step - 1) // n.T}, {(step - 1) % n.T}]" in said
            nth, table = ids[:step].count(now), n.backward(step, lossy)
            if lossy and nth > 1:
                assert "overwrites" in said
            else:
                assert f"contribution {nth} of {ids.count(now)}" in said
                if nth > 1:
                    row = n.rows.index(now)
                    sums = (
                        n.backward(step - 1)["table_grad"][row, 0],
                        n.g.reshape(-1, n.D)[step - 1, 0],
                        table["table_grad"][row, 0],
                    )
                    assert "{} + {} = {}".format(*map(shown, sums)) in said
            lost = int(np.count_nonzero(table["lost"]))
            wrong = f"{lost:,} number{'s' * (lost != 1)} {'is' if lost == 1 else 'are'} wrong"
            end = " so far." if step < len(ids) else ", and nothing complained."
            assert said.endswith(wrong + end) if lossy else "wrong" not in said
            marks = browser.js(
                'return [...document.querySelectorAll(\'#backward-view [data-cell^="backward/table_grad"][data-cell$=".0"]\')]'
                ".map((e) => [Number(e.closest('tr').dataset.id), e.closest('tr').lastChild.textContent])"
            )
            assert [row for row, _ in marks] == n.rows
            for row, mark in marks:
                so, all_ = ids[:step].count(row), ids.count(row)
                told = f"1 of {so} kept" if lossy and so > 1 else f"{so} of {all_}"
                assert mark == (told if all_ else "none")
            differ = browser.js("return document.querySelectorAll('#backward-view td.differs').length")
            assert differ == 0 if not lossy else differ <= lost


@pytest.mark.parametrize("name", ["default", "one window", "B = T", "T = 1", "unicode"])
def test_words_of_the_other_panels(browser: Browser, name: str) -> None:
    run = browser.open(name)
    n = Numbers(run)
    assert all(note in browser.text("header") for note in run["notes"])
    moved = browser.text("#sgd-status")
    assert f"{len(set(n.inputs.flat))} row" in moved and "of 50,257 moved" in moved
    browser.id("wrong-axis").click()
    said = browser.text("#positions-status")
    assert run["wrong_axis"]["outcome"] in said and f"{n.T} position" in said and f"{n.B} sequence" in said
    wrong, right = (np.array(run["wrong_axis"][key]) for key in ("wrong", "right"))
    differing = {
        f"positions/x/{b}.{t}.{j}"
        for b, t, j in np.argwhere(wrong != right)
        if f"positions/x/{b}.{t}.{j}" in browser.cells()
    }
    shown = browser.js("return [...document.querySelectorAll('#positions-view .differs')].map((e) => e.dataset.cell)")
    assert set(shown) == differing and bool(differing) == (min(n.B, n.T) > 1)
    codes = browser.js(
        "return [...document.querySelectorAll('details.code')].map((e) => [e.closest('section').id, e.textContent])"
    )
    assert [panel for panel, _ in codes] == list(run["code"])
    for panel, text in codes:
        for part in run["code"][panel]:
            assert f"{part['name']} in {part['file']}, line {part['line']}{part['source']}" in text
    answers = browser.text("#check")
    assert all(str(i) in answers for i in set(n.inputs.flat))
    if name == "default":
        assert "262 ␣the" in answers and "g[0, 0]" not in answers


# ----------------------------------------------------------------------------------------------------------- the tape


def counts(n: int, length: int, stride: int, batch: int, drop_last: bool) -> tuple[list[int], list[int], int, int]:
    """How often each of n tokens is an input and a target, by minigrad's own loader; windows; batches."""
    loader = DataLoader(WindowDataset(np.arange(n), length, stride), batch_size=batch, drop_last=drop_last)
    inputs, targets, windows, batches = np.zeros(n, int), np.zeros(n, int), 0, 0
    for x, y in loader:
        np.add.at(inputs, x.numpy(), 1)
        np.add.at(targets, y.numpy(), 1)
        windows, batches = windows + len(x), batches + 1
    return inputs.tolist(), targets.tolist(), windows, batches


def check_tape(
    browser: Browser, run: dict[str, Any], length: int, stride: int, drop_last: bool, first: int = 0
) -> None:
    n, B = len(run["tokens"]), run["settings"]["batch"]
    inputs, targets, windows, batches = counts(n, length, stride, B, drop_last)
    drawn = range(first, min(first + 120, n))
    expected = {f"tape/id/{i}": str(run["tokens"][i]) for i in drawn}
    expected |= {f"tape/input/{i}": str(inputs[i]) for i in drawn}
    expected |= {f"tape/target/{i}": str(targets[i]) for i in drawn}
    assert browser.cells("tape/") == expected
    said = browser.text("#tape-status")
    assert said.startswith(f"{n:,} tokens, {windows:,} window{'s' * (windows != 1)} in {batches:,} batch")
    assert f"never an input: {inputs.count(0)}; never a target: {targets.count(0)};" in said
    unused = [i for i in range(n) if not inputs[i] and not targets[i]]
    assert f"never either: {len(unused)}" in said
    marked = browser.js(
        "return [...document.querySelectorAll('.chip.unused')].map((e) => [e.querySelector('[data-cell^=\"tape/id\"]')"
        ".dataset.cell, e.textContent.endsWith('unused')])"
    )
    assert marked == [[f"tape/id/{i}", True] for i in unused if i in drawn]
    report = dict(WindowDataset(np.arange(n), length, stride).report())
    if not drop_last:
        assert (report["never an input"], report["never either"]) == (inputs.count(0), len(unused))
    dropped = browser.js(
        "return [...document.querySelectorAll('.bar.dropped')].every((e) => e.textContent.includes('dropped'))"
    )
    assert dropped


@pytest.mark.parametrize("name", ["default", "B > T"])
def test_tape_over_a_grid(browser: Browser, name: str) -> None:
    """Counts as minigrad's own dataset and loader make them."""
    run = browser.open(name)
    settings = run["settings"]
    check_tape(browser, run, settings["length"], settings["stride"], False)
    for length in (1, 2, 5, len(run["tokens"]) - 1):
        browser.enter("length", str(length))
        for stride in (1, 3, len(run["tokens"]) - 1):
            browser.enter("stride", str(stride))
            for drop_last in (True, False):
                browser.id("drop-last").click()
                check_tape(browser, run, length, stride, drop_last)
    browser.id("as-run").click()
    check_tape(browser, run, settings["length"], settings["stride"], False)


def test_what_is_no_size_becomes_the_nearest(browser: Browser) -> None:
    run = browser.open()
    for written, becomes in (("-3", 1), ("0", 1), ("", 1), ("2.6", 3), ("1e9", 10), ("99", 10)):
        browser.enter("length", written)
        assert browser.id("length").get_property("value") == str(becomes), written
        check_tape(browser, run, becomes, 2, False)


def test_a_long_tape_is_drawn_in_parts(browser: Browser) -> None:
    """5,000 tokens, of which the page takes the first; usable."""
    run = browser.open("long")
    assert len(run["tokens"]) == MOST_TOKENS
    browser.driver.set_script_timeout(5)
    for button, first in (("", 0), ("later", 120), ("later", 240), ("earlier", 120), ("earlier", 0)):
        if button:
            browser.id(button).click()
        check_tape(browser, run, 4, 2, False, first)
        assert f"tokens {first} to {first + 119} of {MOST_TOKENS:,}" in browser.text("#tape-view")
    spent = browser.js(
        "const t = performance.now(); document.getElementById('next').click(); return performance.now() - t"
    )
    assert spent < 5_000
    loaded = browser.js("return performance.getEntriesByType('navigation')[0].domComplete")
    assert loaded < 5_000


# ------------------------------------------------------------------------------------------------ pointing and keyboard


def lit(browser: Browser) -> set[int]:
    """The ids that are lit; whatever belongs to a lit id must be lit, everywhere."""
    found = browser.js(
        "return [...document.querySelectorAll('[data-id]')].map((e) => [Number(e.dataset.id), e.classList.contains('lit')])"
    )
    ids = {i for i, is_lit in found if is_lit}
    assert all(is_lit for i, is_lit in found if i in ids), "not every copy is lit"
    return ids


@pytest.mark.parametrize("name", ["default", "B = T", "low ids"])
def test_pointing_lights_an_id_everywhere(browser: Browser, name: str) -> None:
    run = browser.open(name)
    n = Numbers(run)
    at = {i: [f"[{k // n.T}, {k % n.T}]" for k in np.flatnonzero(n.inputs.ravel() == i)] for i in n.rows}
    flat = n.inputs.ravel().tolist()
    first = next(i for k, i in enumerate(flat) if i in flat[:k])
    assert lit(browser) == {first}, "at first, an id that repeats"
    for where in (
        "#gather-view tr[data-row='{}'] th",
        "#backward-view tr[data-row='{}'] th",
        "#sgd-view tr[data-row='{}'] th",
    ):
        for i in n.rows:
            browser.point(browser.all(where.format(i))[0])
            assert lit(browser) == {i}
            said = browser.text("#gather-status")
            assert said.startswith(f"id {i} {spelt(n.spelling[i][0])} ")
            where_at = (", " if len(at[i]) > 2 else " and ").join(at[i])
            copies = f"stands at {where_at}: {len(at[i])} cop{'y' if len(at[i]) == 1 else 'ies'} of row {i}."
            assert said.endswith(copies if at[i] else "is not in this batch: its row is not copied.")
            arrows = browser.js("return document.querySelectorAll('#gather-view svg.arrows path').length")
            assert arrows == 2 * len(at[i])
    browser.point(browser.all("h1")[0])
    assert lit(browser) == {first}
    other = next(i for i in flat if i != first)
    browser.all(f"button.id[data-id='{other}']")[0].click()
    browser.point(browser.all("h1")[0])
    assert lit(browser) == {other}, "an id that is chosen stays"
    pressed = browser.all("button.id[aria-pressed=true]")
    assert {int(b.get_attribute("data-id")) for b in pressed} == {other} and len(pressed) == len(at[other])


FOCUS = """
const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
return [e === document.body ? null : [...document.querySelectorAll("*")].indexOf(e), style.outlineStyle,
  parseFloat(style.outlineWidth), box.bottom > 0 && box.top < innerHeight]
"""


@pytest.mark.parametrize("name", ["default", "long"])
def test_tab_reaches_every_control_in_order(browser: Browser, name: str) -> None:
    """And each shows that it has the focus, on the screen."""
    browser.open(name, prefers_reduced_motion="reduce")
    wanted = browser.js(
        "const all = [...document.querySelectorAll('*')]; return all.filter((e) => e.matches('a[href], button, input, "
        "summary, [tabindex]') && !e.disabled && e.checkVisibility()).map((e) => all.indexOf(e))"
    )
    # of what is there: links, fields, buttons, ids, code, questions
    assert len(wanted) > 8 + 4 + 2 + len(run_of(name)["inputs"]) + 7 + 4
    reached = []
    for _ in range(len(wanted) + 20):
        browser.press(TAB)
        index, style, width, visible = browser.js(FOCUS)
        if index is None:
            break
        reached.append(index)
        assert style != "none" and width >= 1 and visible, browser.js("return document.activeElement.outerHTML")
    assert [index for index in reached if index in wanted] == wanted
    others = browser.js(
        "const all = [...document.querySelectorAll('*')]; return arguments[0].map((i) => all[i].className)",
        [index for index in reached if index not in wanted],
    )
    assert set(others) <= {"view", "view flow"}, "only what scrolls"
    browser.js("document.activeElement.blur?.()")


def test_backward_by_keyboard_alone(browser: Browser) -> None:
    """The focus is never lost: where a button is disabled, its neighbour has it."""
    run = browser.open()
    browser.js("document.getElementById('next').focus()")
    for step in range(1, 9):
        assert browser.focused() == "next"
        browser.press(SPACE if step % 2 else ENTER)
        browser.check(run, step=step)
        assert step == 8 or lit(browser) == {np.ravel(run["inputs"])[step - 1]}
    assert not browser.id("next").is_enabled() and not browser.id("last").is_enabled()
    for step in range(7, -1, -1):
        assert browser.focused() == "back"
        browser.press(ENTER if step % 2 else SPACE)
        browser.check(run, step=step)
    assert not browser.id("back").is_enabled() and browser.focused() == "next"
    browser.js("document.getElementById('last').focus()")
    browser.press(ENTER)
    browser.check(run, step=8)
    assert browser.focused() in ("back", "first")
    browser.js("document.getElementById('first').focus()")
    browser.press(ENTER)
    browser.check(run, step=0)
    assert browser.focused() in ("next", "last")
    browser.js("document.getElementById('step').focus()")
    for key, step in ((RIGHT, 1), (UP, 2), (END, 8), (LEFT, 7), (DOWN, 6), (HOME, 0), (LEFT, 0)):
        browser.press(key)
        browser.check(run, step=step)
        assert browser.focused() == "step"
    assert browser.id("step").get_attribute("aria-valuetext") == "0 of 8"


def test_the_other_controls_by_keyboard(browser: Browser) -> None:
    run = browser.open()
    for id, state in (("lossy", {"lossy": True}), ("wrong-axis", {"wrong": True})):
        browser.js("document.getElementById(arguments[0]).focus()", id)
        for key, on in ((SPACE, True), (ENTER, False)):
            browser.press(key)
            assert browser.id(id).get_attribute("aria-pressed") == str(on).lower() and browser.focused() == id
            browser.check(run, **(state if on else {}))
    browser.js("document.getElementById('length').focus()")
    browser.press(DOWN)
    check_tape(browser, run, 3, 2, False)
    browser.press(TAB, UP)
    check_tape(browser, run, 3, 3, False)
    browser.press(TAB, SPACE)
    check_tape(browser, run, 3, 3, True)
    browser.press(TAB, ENTER)
    check_tape(browser, run, 4, 2, False)
    assert browser.focused() == "as-run"
    button = browser.all("button.id")[1]
    browser.js("arguments[0].focus()", button)
    assert lit(browser) == {run["inputs"][0][1]}
    browser.press(ENTER)
    assert button.get_attribute("aria-pressed") == "true"
    summaries = browser.all("summary")
    for summary in summaries:
        browser.js("arguments[0].focus()", summary)
        browser.press(SPACE)
    assert browser.js("return [...document.querySelectorAll('details')].every((d) => d.open)")


def test_a_long_tape_by_keyboard(browser: Browser) -> None:
    run = browser.open("long")
    browser.js("document.getElementById('later').focus()")
    last = (len(run["tokens"]) - 1) // 120 * 120
    for first in range(120, last + 1, 120):
        assert browser.focused() == "later"
        browser.press(ENTER)
        if first in (120, last):
            check_tape(browser, run, 4, 2, False, first)
    assert not browser.id("later").is_enabled() and browser.focused() == "earlier"
    for _ in range(last // 120):
        browser.press(ENTER)
    assert browser.focused() == "later" and not browser.id("earlier").is_enabled()
    check_tape(browser, run, 4, 2, False)


# ---------------------------------------------------------------------------------------------------- how it is drawn


def exercise(browser: Browser) -> None:
    """Everything once."""
    for id in ("last", "lossy", "wrong-axis", "drop-last"):
        browser.id(id).click()
    browser.enter("stride", "5")
    browser.js("for (const d of document.querySelectorAll('details')) d.open = true")


SHIFTS = """
const done = arguments[0];
const shifts = (list) => done(list.getEntries().filter((e) => !e.hadRecentInput).map((e) => e.value));
new PerformanceObserver(shifts).observe({type: "layout-shift", buffered: true});
setTimeout(() => done([]), 150);
"""


@pytest.mark.parametrize("name", ["default", "dim 16", "long", "unicode"])
@pytest.mark.parametrize("width", [360, 1280])
def test_no_layout_shift(browser: Browser, name: str, width: int) -> None:
    """Not at load, nor when pointing, nor from step to step, which move nothing outside their view."""
    run = browser.open(name, width, phone=width < 500)
    assert browser.driver.execute_async_script(SHIFTS) == []
    where = (
        "return [...document.querySelectorAll('section, .controls, .controls *')].map((e) => { const b = e.getBoundingClientRect(); "
        "return [e.id || e.tagName, ...[b.left, b.top + scrollY, b.right].map(Math.round)] })"
    )
    before = browser.js(where)
    for i in run["rows"][:3]:
        browser.point(browser.all(f"#sgd-view tr[data-row='{i}'] th")[0])
    assert browser.js(where) == before
    for step in range(min(9, np.size(run["inputs"]) + 1)):
        set_step(browser, step)
        assert browser.js(where) == before, f"step {step} moves the page"
    set_step(browser, 0)
    browser.id("lossy").click()
    for step in range(1, 4):
        set_step(browser, step)
        now = browser.js(where)
        if step == 1:
            before = now  # here is one table more
        assert now == before, f"step {step} moves the page"
    assert browser.driver.execute_async_script(SHIFTS) == []


@pytest.mark.parametrize("name", ["default", "B > T", "one token", "most places", "script", "unicode", "long"])
@pytest.mark.parametrize("width", [360, 1280])
def test_no_overflow(browser: Browser, name: str, width: int) -> None:
    """The document never scrolls sideways; a view may, within itself."""
    browser.open(name, width, phone=width < 500)
    for _ in range(2):
        wide = browser.js(
            "return [document.documentElement.scrollWidth, innerWidth, document.documentElement.clientWidth, "
            "[...document.querySelectorAll('body *')].filter((e) => !e.closest('.view, pre, svg') "
            "&& e.getBoundingClientRect().right > document.documentElement.clientWidth + .5).map((e) => e.outerHTML.slice(0, 90))]"
        )
        assert wide[0] <= wide[1] and wide[2] <= width and wide[3] == []
        exercise(browser)


CONTRAST = """
const parse = (s) => { const [r, g, b, a = 1] = s.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
const light = (c) => { const [r, g, b] = c.map((x) => (x /= 255) <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b; };
const back = (e) => { const layers = []; for (; e; e = e.parentElement) layers.unshift(parse(getComputedStyle(e).backgroundColor));
  return layers.reduce((below, layer) => over(layer, below), [255, 255, 255, 1]); };
const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest("script, style, button:disabled")) continue;
  let opacity = 1; for (let p = e; p; p = p.parentElement) opacity *= getComputedStyle(p).opacity;
  const b = back(e), color = parse(getComputedStyle(e).color), f = over([...color.slice(0, 3), color[3] * opacity], b);
  const [x, y] = [light(f), light(b)], ratio = (Math.max(x, y) + .05) / (Math.min(x, y) + .05);
  found.push([ratio, walker.currentNode.data.slice(0, 30), e.outerHTML.slice(0, 80)]);
}
return found
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Browser, scheme: str) -> None:
    """4.5 : 1 (WCAG 2.2, 1.4.3) for every text, in every state; and the two schemes differ."""
    media = {"prefers_color_scheme": scheme, "prefers_reduced_motion": "reduce"}
    browser.open("gaps", **media)
    for step in range(3):
        if step == 1:
            exercise(browser)
        elif step == 2:
            browser.id("as-run").click()
            browser.point(browser.all("#gather-view tr th")[0])
        found = browser.js(CONTRAST)
        assert len(found) > 200
        assert [text for text in found if text[0] < 4.5] == []
    paper = browser.js("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) > 382) == (scheme == "light")


def test_reduced_motion(browser: Browser) -> None:
    moving = (
        "return [...document.querySelectorAll('*')].filter((e) => { const s = getComputedStyle(e); return s.animationName !== "
        "'none' || s.transitionDuration.split(',').some((t) => parseFloat(t)) || s.scrollBehavior === 'smooth' }).length"
    )
    browser.open(prefers_reduced_motion="no-preference")
    assert browser.js(moving) > 0
    browser.open(prefers_reduced_motion="reduce")
    exercise(browser)
    assert browser.js(moving) == 0
    browser.point(browser.all("#gather-view tr th")[0])
    assert browser.js("return document.getAnimations().length") == 0


@pytest.mark.parametrize("name", ["default", "long", "most places"])
def test_print(browser: Browser, name: str) -> None:
    """On paper the last step is shown and no control; afterwards the page stands where it stood."""
    run = browser.open(name)
    last = np.size(run["inputs"])
    browser.id("next").click()
    browser.js(
        "addEventListener('beforeprint', () => { window.printed = Object.fromEntries("
        "[...document.querySelectorAll('[data-cell]')].map((e) => [e.dataset.cell, e.textContent])) })"
    )
    pdf = base64.b64decode(browser.cdp("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 10_000
    printed = browser.js("return window.printed")
    columns = sum(key.startswith(f"gather/table/{run['rows'][0]}.") for key in printed)
    printed = {key: text for key, text in printed.items() if not key.startswith("tape/")}
    assert printed == expected_cells(run, columns, step=last)
    browser.check(run, step=1)
    browser.cdp("Emulation.setEmulatedMedia", {"media": "print"})
    assert (
        browser.js(
            "return [...document.querySelectorAll('button:not(.id), input, nav')].filter((e) => e.checkVisibility())"
        )
        == []
    )
    assert browser.js(
        "return [...document.querySelectorAll('.view')].every((e) => getComputedStyle(e).overflowX === 'visible')"
    )


def test_no_state_is_told_by_colour_alone(browser: Browser) -> None:
    """Each has a word, a sign or a frame beside its colour."""
    browser.open("gaps")
    unused = browser.all(".chip.unused")
    assert unused and all(chip.text.endswith("unused") for chip in unused)
    browser.open()
    exercise(browser)
    style = "return [...document.querySelectorAll(arguments[0])].map((e) => getComputedStyle(e, arguments[1])[arguments[2]])"
    for selector, pseudo, sign in (("td.differs", "::after", "≠"), ("tr.now > th:first-child", "::before", "▶"),
                                   ("button[aria-pressed=true]:not(.id)", "::before", "✓")):  # fmt: skip
        signs = browser.js(style, selector, pseudo, "content")
        assert signs and all(sign in content for content in signs), selector
    for selector, property, value in (("tr.lit > th:first-child", "fontWeight", "700"),
                                      (".bar.target", "borderTopStyle", "dashed"),
                                      (".ghost td:not(.mark)", "borderTopStyle", "dashed"),
                                      ("td.target", "outlineStyle", "solid"),
                                      ("button.id[aria-pressed=true]", "fontWeight", "700")):  # fmt: skip
        values = browser.js(style, selector, None, property)
        assert values and set(values) == {value}, selector
    assert all(re.match(r"(… )?(input|target) \d+", bar.text) for bar in browser.all(".bar"))
    coloured = browser.js(
        "return [...document.querySelectorAll('.c0, .c1, .c2, .c3, .c4, .c5, .c6')].map((e) => e.textContent)"
    )
    assert coloured and all(re.search(r"\d", text) for text in coloured), "a colour without its id"


# -------------------------------------------------------------------------------------------------------- who reads it


def test_what_a_screen_reader_is_told(browser: Browser) -> None:
    browser.open("long")
    assert browser.js("return document.documentElement.lang") == "en" and browser.driver.title
    headings = browser.js("return [...document.querySelectorAll('h1, h2, h3, h4')].map((e) => Number(e.tagName[1]))")
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))
    assert browser.js("return document.querySelectorAll('main').length") == 1
    sections = browser.js(
        "return [...document.querySelectorAll('nav a')].map((a) => document.querySelector(a.hash)?.tagName)"
    )
    assert sections == ["SECTION"] * 8
    exercise(browser)
    bare = browser.js(
        "return [...document.querySelectorAll('table.matrix')].filter((t) => !t.caption?.textContent).length"
    )
    assert bare == 0
    assert browser.js("return [...document.querySelectorAll('th')].every((t) => t.scope)")
    for id in ("tape", "positions", "backward"):  # of two that change at once one would be heard
        assert browser.id(f"{id}-status").get_attribute("role") == "status"
    assert browser.js("return [...document.querySelectorAll('svg')].every((s) => s.ariaHidden === 'true')")
    ids = browser.js("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(set(ids)) == len(ids)
    tree = browser.cdp("Accessibility.getFullAXTree", {})["nodes"]
    seen: dict[str, list[str]] = {}
    for node in tree:
        if not node["ignored"]:
            seen.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("button", "spinbutton", "checkbox", "slider", "link", "table", "heading", "DisclosureTriangle"):
        assert seen.get(role) and all(name.strip() for name in seen[role]), (role, seen.get(role))
    assert {"length", "stride"} == set(seen["spinbutton"]) and seen["slider"] == ["step"]
    assert {"‹ back", "next ›", "‹ earlier tokens"} <= set(seen["button"])


def test_nothing_is_kept(browser: Browser) -> None:
    browser.open()
    exercise(browser)
    assert browser.driver.get_cookies() == []
    assert browser.js("return [document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]
    names = browser.js("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert names == []


# -------------------------------------------------------------------------------------------------------- hostile text


@pytest.mark.parametrize("name", ["script", "unicode", "low ids"])
def test_text_is_shown_as_text(browser: Browser, name: str) -> None:
    """No element comes of it, no markup is read, and what would not show is written out."""
    usual = browser.open() and tags(browser)
    run = browser.open(name)
    exercise(browser)
    assert tags(browser) <= usual | {"svg", "path"}
    assert browser.js("return document.scripts.length") == 2
    chips = browser.js("return [...document.querySelectorAll('.chip > b')].map((e) => e.textContent)")
    assert chips == [spelt(run["spelling"][str(i)][0]) for i in run["tokens"]]
    if name == "script":
        assert "".join(chips).replace("␣", " ") == SCRIPT
    if name == "unicode":
        assert "�" in "".join(chips), "a token that is no whole character"
        assert {r"\u{0}", r"\u{1b}", r"\u{a0}", "⏎", "⇥"} <= set(re.findall(r"\\u\{\w+\}|⏎|⇥", "".join(chips)))
    raw = b"".join(
        bytes.fromhex(text)
        for text in browser.js("return [...document.querySelectorAll('[title=bytes]')].map((e) => e.textContent)")
    )
    assert raw.decode() == RUNS[name]["text"] == gpt2_tokenizer().decode(run["tokens"])
    isolated = browser.js("return [...document.querySelectorAll('.text')].every((e) => e.tagName === 'BDI')")
    assert isolated


def tags(browser: Browser) -> set[str]:
    return set(browser.js("return [...document.querySelectorAll('*')].map((e) => e.localName)"))


# --------------------------------------------------------------------------------------------------------- a notebook


def test_in_a_notebook(browser: Browser, tmp_path: Path) -> None:
    """In its frame the page works, and its links stay in it."""
    page = explain()
    path = tmp_path / "notebook.html"
    path.write_text(
        f'<!doctype html><meta charset="utf-8"><title>notebook</title>{page._repr_html_()}', encoding="utf-8"
    )
    browser.address = path.as_uri()
    browser.driver.get(browser.address)
    frame = browser.all("iframe")[0]
    browser.driver.switch_to.frame(frame)
    try:
        browser.js("document.documentElement.style.scrollBehavior = 'auto'")
        browser.check(page.run)
        browser.id("next").click()
        browser.check(page.run, step=1)
        browser.all("nav a[href='#backward']")[0].click()
        browser.check(page.run, step=1)
        assert browser.js(
            "return document.querySelector('h1') && Math.abs(document.getElementById('backward').getBoundingClientRect().top) < 900"
        )
    finally:
        browser.driver.switch_to.default_content()
    assert browser.driver.title == "notebook"
