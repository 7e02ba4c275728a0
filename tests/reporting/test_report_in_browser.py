"""The report in a real browser: nothing is loaded or refused, and a phone shows all of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from lmtx_ray.reporting.writing import write_report
from tests.reporting.made_run import MadeRun

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run".split()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Chromium and its driver"),
]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def test_a_phone_shows_it_without_scrolling_sideways(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    run = MadeRun(tmp_path / "run")
    size = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(Path(write_report(str(run.folder)).uri).as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('figure > svg')].map(one => one.clientHeight)"
    )
    assert len(drawn) == 6
    assert min(drawn) > 50
    loaded = browser.execute_script("return performance.getEntriesByType('resource').length")
    assert loaded == 0
    assert browser.get_log("browser") == []
