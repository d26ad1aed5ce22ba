"""Modules of a drawn graph open and close in a browser: by mouse and by keyboard, in a file and inside a page."""

from __future__ import annotations

import json

import pytest

import minigrad as mg
from minigrad.explain.graph import draw, watch
from minigrad.gpt import GPT, GPTConfig

pytestmark = pytest.mark.cpu_only("a picture is the same wherever the numbers come from")
ENTER = "\ue007"  # as WebDriver names the key

STATE = """
const boxes=[...document.querySelectorAll('.n.op,.n.leaf,.n.parameter,.n.module')]
  .filter(e=>e.getBoundingClientRect().height&&!e.parentElement.closest('.closed'));
const rect=e=>{const b=[...e.children].find(c=>c.tagName=='rect').getBoundingClientRect();return [b.left,b.top,b.right,b.bottom]};
return {rects:boxes.map(e=>[e.dataset.number||'module',...rect(e),boxes.filter(f=>f!=e&&f.contains(e)).map(f=>boxes.indexOf(f))]),
  height:+document.querySelector('svg.mg').getAttribute('height')};
"""


@pytest.fixture
def browser(chromium):
    chromium.get("about:blank")
    chromium.get_log("browser")
    return chromium


@pytest.fixture(scope="module")
def drawings():
    mg.manual_seed(0)
    model, ids = GPT(GPTConfig(20, 8, 8, 2, 1, 0.0)), mg.tensor([[1, 2, 1]])
    with watch(model) as seen:
        loss = model.loss(ids, ids)
    return draw(loss, seen, collapsed=True), draw(loss, seen, collapsed=False)


def state(browser):
    """Which boxes are seen, and how high the picture is. No two boxes overlap, but those in a module lie inside it."""
    now = browser.execute_script(STATE)
    rects = now["rects"]
    for i, (name, left, top, right, bottom, around) in enumerate(rects):
        for j, (other, left2, top2, right2, bottom2, around2) in enumerate(rects):
            if j in around:
                assert left2 <= left and right <= right2 and top2 <= top and bottom <= bottom2, (name, other)
            elif i < j and i not in around2:
                assert right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top, (name, other)
    return sorted(name for name, *_ in rects), now["height"]


@pytest.mark.parametrize("place", ["file", "page"])
def test_open_and_close(browser, drawings, tmp_path, place):
    closed, opened = drawings
    for drawing, name in ((closed, "closed"), (opened, "opened")):
        drawing.save(tmp_path / f"{name}.svg")
        inserted = f"<script>document.body.innerHTML={json.dumps(drawing._repr_html_())}</script>"  # as notebooks do
        (tmp_path / f"{name}.html").write_text(f"<!doctype html><meta charset=utf-8><body>{inserted}")
    end = "svg" if place == "file" else "html"
    browser.get(f"file://{tmp_path}/opened.{end}")
    everything = state(browser)
    browser.get(f"file://{tmp_path}/closed.{end}")
    nothing = state(browser)
    assert len(nothing[0]) < 20 < len(everything[0])
    assert nothing[1] < everything[1] / 3

    bar = next(b for b in browser.find_elements("css selector", ".bar") if "blocks.0: Block" in b.text)
    bar.click()
    one = state(browser)
    assert len(nothing[0]) < len(one[0]) < len(everything[0])
    assert bar.get_attribute("aria-expanded") == "true"
    bar.send_keys(ENTER)
    assert state(browser) == nothing
    assert bar.get_attribute("aria-expanded") == "false"
    bar.send_keys(" ")
    assert state(browser) == one
    bar.send_keys("x")
    assert state(browser) == one
    opening, closing = browser.find_elements("css selector", ".all")
    opening.click()
    assert state(browser) == everything
    closing.send_keys(ENTER)
    assert state(browser) == nothing
    assert browser.get_log("browser") == []
    asked = browser.execute_script("return performance.getEntriesByType('resource').length")
    assert asked == 0, "the picture asked for something"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(browser, drawings, tmp_path, scheme):
    """Every text stands out from what is behind it by the contrast that WCAG asks of small text, 4.5."""
    drawings[1].save(tmp_path / "graph.svg")
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(f"file://{tmp_path}/graph.svg")
    pairs = browser.execute_script(
        "return [...document.querySelectorAll('text')].map(t=>[getComputedStyle(t).fill,"
        "getComputedStyle([...t.parentNode.children].find(c=>c.tagName=='rect')||document.querySelector('rect')).fill])"
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def light(color: str) -> float:
        parts = [int(p) / 255 for p in color.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert (light(pairs[0][1]) < 0.5) == (scheme == "dark")
    for ink, paper in {tuple(p) for p in pairs}:
        low, high = sorted((light(ink), light(paper)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)
