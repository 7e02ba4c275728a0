"""The page of a bundle that has a number and a least probability of its own."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By

from lmtx_ray.config.defaults import Defaults
from tests.serving.browsing import NEEDS_BROWSER, one, shown_tags, tag_and_wait, text, wait
from tests.serving.contract_app import contract_app, serving

pytestmark = NEEDS_BROWSER
PLAIN = ["5 tags", "10 tags", "20 tags", "50 tags", "100 tags"]


@pytest.mark.parametrize(
    ("top_k", "choices"),
    [
        (3, ["3 tags, this bundle's own", *PLAIN]),
        (10, [PLAIN[0], "10 tags, this bundle's own", *PLAIN[2:]]),
        (1, ["1 tag, this bundle's own", *PLAIN]),
    ],
)
def test_it_begins_with_them_and_says_whose_they_are(browser, top_k: int, choices: list) -> None:
    with serving(contract_app(defaults=Defaults(top_k, 0.61))) as url:
        browser.get(f"{url}/")
        wait(browser, lambda: text(browser, "#threshold-value") == "61%")
        options = browser.find_elements(By.CSS_SELECTOR, "#top-k option")
        assert [option.text for option in options] == choices
        assert one(browser, "#top-k").get_attribute("value") == str(top_k)
        assert text(browser, "#threshold-own") == "61% is this bundle's own"
        assert len(tag_and_wait(browser)) == min(top_k, 2)  # of 0.94, 0.71, 0.33, …
        browser.execute_script(
            "const slider = document.getElementById('threshold');"
            "slider.value = 10; slider.dispatchEvent(new Event('input'));"
        )
        assert len(shown_tags(browser)) == min(top_k, 4)
        assert text(browser, "#threshold-own") == "61% is this bundle's own"


def test_one_without_says_nothing_of_them(page) -> None:
    options = page.find_elements(By.CSS_SELECTOR, "#top-k option")
    assert [option.text for option in options] == PLAIN
    assert not one(page, "#threshold-own").is_displayed()
