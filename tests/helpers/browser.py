"""A headless Chromium, where this machine has one with its driver: it shows a page as a user sees it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Selenium's driver of a headless Chromium; the test skips where there is none."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (the extra dev)")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next((path for name in names if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("no Chromium with chromedriver on this machine")
    options = selenium.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    shown = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    try:
        yield shown
    finally:
        shown.quit()


def open_page(browser: Any, path: Path, width: int) -> None:
    """Shows the file in a window of that many pixels, a telephone's when it is narrow."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.resolve().as_uri())
