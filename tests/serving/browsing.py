"""A real browser on the page, for the tests of what a person meets there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from serve_apps.guard import GuardSettings, new_key, parse_keys
from tests.serving.contract_app import contract_app, serving

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
NEEDS_BROWSER = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs Chromium: apt-get install chromium chromium-driver"
)
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage --window-size=1200,900 "
    # What is still fading in counts as hidden, so its text is read as empty on a busy machine.
    "--force-prefers-reduced-motion"
).split()
VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.violations.push(event.violatedDirective + " " + event.blockedURI));
"""
SECRET, LINE = new_key("anna")


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The base URL of the service under test."""
    settings = GuardSettings(requests_per_minute=0, documents_per_minute=0)
    with serving(contract_app(settings)) as base:
        yield base


@pytest.fixture(scope="session")
def locked_url() -> Iterator[str]:
    with serving(contract_app(GuardSettings(keys=parse_keys([LINE], "test")))) as base:
        yield base


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    profile: Path = tmp_path_factory.mktemp("profile")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": VIOLATIONS})
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: webdriver.Chrome, url: str) -> Iterator[webdriver.Chrome]:
    """The page, freshly loaded; afterwards nothing has broken the policy or failed in it."""
    browser.get_log("browser")
    browser.get(f"{url}/")
    wait(browser, lambda: "Bundle" in text(browser, "#identity"))
    yield browser
    assert browser.execute_script("return window.violations") == []
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


def wait(browser: webdriver.Chrome, condition: Any) -> None:
    WebDriverWait(browser, 10, poll_frequency=0.05).until(lambda _: condition())


def one(browser: webdriver.Chrome, selector: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, selector)


def text(browser: webdriver.Chrome, selector: str) -> str:
    return one(browser, selector).text


def shown_tags(browser: webdriver.Chrome) -> list[Any]:
    items = browser.find_elements(By.CSS_SELECTOR, "#tags > li")
    return [item for item in items if item.is_displayed()]


def tag_by_keyboard(browser: webdriver.Chrome, words: str) -> None:
    one(browser, "#text").send_keys(words + Keys.CONTROL + Keys.ENTER)


def tag_and_wait(browser: webdriver.Chrome) -> list[Any]:
    tag_by_keyboard(browser, "chest pain after exercise")
    wait(browser, lambda: shown_tags(browser))
    return shown_tags(browser)
