"""Draws examples/explain.html and examples/explain.webp: the page of a default run, and its panel 5 halfway, for the README.

python tests/draw_explain.py        # needs chromium, chromedriver and: pip install -e '.[browser]'
"""

from __future__ import annotations

import base64
from pathlib import Path

import chromium

from minigrad.explain import explain

EXAMPLES = Path(__file__).parents[1] / "examples"
STEP = 5  # ␣saw gets its second contribution


def main() -> None:
    page, picture = EXAMPLES / "explain.html", EXAMPLES / "explain.webp"
    explain(out=page)
    driver = chromium.start()
    try:
        size = {"width": 1060, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get(page.as_uri())
        for _ in range(STEP):
            driver.execute_script("document.getElementById('next').click()")
        panel = driver.find_element("id", "backward").rect
        clip = {name: panel[name] for name in ("x", "y", "width")} | {"height": panel["height"] - 60, "scale": 1}
        shot = driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"format": "webp", "quality": 75, "captureBeyondViewport": True, "clip": clip}
        )
        picture.write_bytes(base64.b64decode(shot["data"]))
    finally:
        driver.quit()
    print(f"wrote {page.name} and {picture.name}")


if __name__ == "__main__":
    main()
