"""Debian's chromium, driven by selenium: apt install chromium chromium-driver, pip install -e '.[browser]'."""

from __future__ import annotations

import shutil
from typing import Any


def start() -> Any:
    """A headless browser (selenium's WebDriver) that keeps a log of its console and of what it asks of the network.

    Raises:
        ImportError, FileNotFoundError: selenium, or the browser, is not installed.
    """
    from selenium import webdriver

    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if missing := [name for name, path in programs.items() if not path]:
        raise FileNotFoundError(" and ".join(missing))
    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(programs["chromedriver"]))
