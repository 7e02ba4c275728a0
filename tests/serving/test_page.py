"""The page in a real browser: what a person with a keyboard or a screen reader meets."""

from __future__ import annotations

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.serving.browsing import (
    NEEDS_BROWSER,
    SECRET,
    one,
    shown_tags,
    tag_and_wait,
    tag_by_keyboard,
    text,
    wait,
)

pytestmark = NEEDS_BROWSER


def test_text_is_tagged_with_the_keyboard_alone(page: webdriver.Chrome) -> None:
    for _ in range(12):
        if page.switch_to.active_element.get_attribute("id") == "text":
            break
        page.switch_to.active_element.send_keys(Keys.TAB)
    page.switch_to.active_element.send_keys("chest pain" + Keys.TAB)
    active = page.switch_to.active_element
    assert active.get_attribute("id") == "submit"
    outline = active.value_of_css_property("outline-style")
    active.send_keys(Keys.ENTER)
    wait(page, lambda: shown_tags(page))
    assert outline == "solid"


def test_tags_are_shown_with_probability_and_parents(page: webdriver.Chrome) -> None:
    first = tag_and_wait(page)[0]
    assert "Myocardial Infarction" in first.text
    assert "94%" in first.text
    crumbs = first.find_element(By.CSS_SELECTOR, ".crumbs").text
    assert crumbs == "in Cardiovascular Diseases › Heart Diseases"
    bar = first.find_element(By.CSS_SELECTOR, "progress")
    assert float(bar.get_attribute("value")) == pytest.approx(0.94)
    assert text(page, "#identity code") == "bundle-7f3a"
    assert text(page, "#summary") == "5 tags"
    assert one(page, "#summary").get_attribute("aria-live") == "polite"


def test_slider_filters_without_another_request(page: webdriver.Chrome) -> None:
    tag_and_wait(page)
    requests = "return performance.getEntriesByType('resource').length"
    before = page.execute_script(requests)
    one(page, "#threshold").send_keys(Keys.HOME + Keys.ARROW_RIGHT * 34)
    assert text(page, "#threshold-value") == "34%"
    assert len(shown_tags(page)) == 2
    assert text(page, "#summary") == "2 of 5 tags"
    one(page, "#threshold").send_keys(Keys.END)
    assert shown_tags(page) == []
    assert "No tag has a probability of 100%" in text(page, "#empty")
    assert page.execute_script(requests) == before


def test_label_text_is_never_markup(page: webdriver.Chrome) -> None:
    assert any("<img src=x onerror=alert(1)>" in item.text for item in tag_and_wait(page))
    assert page.find_elements(By.CSS_SELECTOR, "#tags img, #labels img") == []


def test_labels_are_found_by_name(page: webdriver.Chrome) -> None:
    one(page, "#query").send_keys("heart" + Keys.ENTER)
    wait(page, lambda: text(page, "#label-count"))
    assert text(page, "#label-count") == "1 label found"
    assert "Heart Diseases" in text(page, "#labels")


def test_missing_text_is_announced_and_focused(page: webdriver.Chrome) -> None:
    one(page, "#submit").send_keys(Keys.ENTER)
    assert text(page, "#error[role=alert]") == "Enter a text first."
    assert page.switch_to.active_element.get_attribute("id") == "text"


@pytest.mark.parametrize(
    ("words", "said"),
    [("make a fault", "The service has a fault"), ("be unavailable", "Try again in 2 s.")],
)
def test_error_of_the_service_is_announced_in_words(
    browser: webdriver.Chrome, url: str, words: str, said: str
) -> None:
    browser.get(f"{url}/")
    tag_by_keyboard(browser, words)
    wait(browser, lambda: text(browser, "#error"))
    assert said in text(browser, "#error[role=alert]")
    assert one(browser, "#submit").text == "Tag"


def test_tags_of_an_earlier_text_do_not_stay_beside_an_error(
    browser: webdriver.Chrome, url: str
) -> None:
    browser.get(f"{url}/")
    tag_and_wait(browser)
    tag_by_keyboard(browser, "; make a fault")
    wait(browser, lambda: text(browser, "#error"))
    assert shown_tags(browser) == []
    assert text(browser, "#summary") == ""


def test_key_is_asked_for_only_after_a_401(browser: webdriver.Chrome, locked_url: str) -> None:
    browser.get(f"{locked_url}/")
    assert not one(browser, "#key").is_displayed()
    tag_by_keyboard(browser, "chest pain")
    wait(browser, lambda: one(browser, "#key").is_displayed())
    assert "needs an API key" in text(browser, "#error")
    assert browser.switch_to.active_element.get_attribute("id") == "key"
    one(browser, "#key").send_keys(SECRET + Keys.ENTER)
    wait(browser, lambda: shown_tags(browser))
    kept = "return JSON.stringify([localStorage, sessionStorage, document.cookie])"
    assert browser.execute_script(kept) == '[{},{},""]'


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_page_has_names_and_landmarks(browser: webdriver.Chrome, url: str, path: str) -> None:
    browser.get(f"{url}{path}")
    assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1
    for landmark in ("main", "header", "nav[aria-label]"):
        assert len(browser.find_elements(By.CSS_SELECTOR, landmark)) == 1
    assert one(browser, "html").get_attribute("lang") == "en"
    for control in browser.find_elements(By.CSS_SELECTOR, "input, textarea, select, button"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
    assert one(browser, "main").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_text_has_contrast(browser: webdriver.Chrome, url: str, scheme: str, path: str) -> None:
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    browser.get(f"{url}{path}")
    if path == "/":
        tag_and_wait(browser)
    else:
        wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ".operation"))
    faint = browser.execute_script(FAINT_TEXT)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert faint == []


FAINT_TEXT = """
const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (colour) => {
  const [r, g, b] = channels(colour).slice(0, 3).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor;
    const alpha = channels(colour)[3];
    if (alpha === undefined || alpha === 1) return colour;
  }
  return "rgb(255, 255, 255)";
};
const faint = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !node.checkVisibility()) continue;
  const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) faint.push(`${node.outerHTML.slice(0, 80)}: ${ratio.toFixed(2)}`);
}
return faint;
"""


def test_description_lists_operations_with_examples(browser: webdriver.Chrome, url: str) -> None:
    browser.get_log("browser")
    browser.get(f"{url}/docs")
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ".operation"))
    shown = text(browser, "main")
    assert "/v1/tag" in shown
    assert "Beta blockers after myocardial infarction" in shown
    assert browser.execute_script("return window.violations") == []
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
