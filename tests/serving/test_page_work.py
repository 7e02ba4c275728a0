"""The page at work: many documents from files, tags to copy, answers to save, errors in view."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lmtx_ray.corpus.text_keys import text_key
from tests.serving.browsing import (
    NEEDS_BROWSER,
    SECRET,
    one,
    tag_and_wait,
    tag_by_keyboard,
    text,
    wait,
)
from tests.serving.contract_app import BUNDLE, CANNED, LABELS

pytestmark = NEEDS_BROWSER
PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
IN_VIEW = """
const box = arguments[0].getBoundingClientRect();
return box.top >= 0 && box.top < window.innerHeight * 0.8 && box.bottom <= window.innerHeight + 1;
"""
KEEP_COPIES = """
window.copied = [];
Object.defineProperty(navigator, "clipboard",
  { configurable: true, value: { writeText: async (text) => { window.copied.push(text); } } });
"""


@pytest.fixture
def phone(page: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    yield page
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def choose(browser: webdriver.Chrome, *files: Path) -> None:
    one(browser, "#files").send_keys("\n".join(map(str, files)))


def documents(browser: webdriver.Chrome, number: int) -> list[str]:
    def items() -> list[str]:
        found = browser.find_elements(By.CSS_SELECTOR, "#documents > li")
        return [item.text for item in found]

    wait(browser, lambda: len(items()) == number)
    wait(browser, lambda: one(browser, "#submit").text == "Tag")
    return items()


SEMICOLONS = 'ID;Title;Abstract\r\na;"Pain; after";"one\r\n""two"" three"\r\nb;;chest\r\n'


@pytest.mark.parametrize(
    ("name", "content", "ids"),
    [
        ("a.csv", "uid,text\n7,chest pain\n8,nothing fits\n", ["7", "8"]),
        ("a.csv", SEMICOLONS, ["a", "b"]),
        ("a.tsv", "name\tcontent\nA\tchest\n", ["1"]),
        ("a.jsonl", '{"id": 7, "text": "chest"}\n\n{"title": "pain"}\n"bare"\n', ["7", "2", "3"]),
        ("a.json", '[{"doc_id": "x", "abstract": "chest"}]', ["x"]),
        ("notes.txt", "chest\npain", ["notes.txt"]),
    ],
)
def test_files_are_tagged_document_by_document(
    page: webdriver.Chrome, tmp_path: Path, name: str, content: str, ids: list[str]
) -> None:
    (tmp_path / name).write_text(content, newline="")
    choose(page, tmp_path / name)
    shown = documents(page, len(ids))
    assert [item.split()[0] for item in shown] == ids
    assert "Myocardial Infarction" in shown[0]
    assert ("No tags: no label was found." in shown[-1]) == ("nothing fits" in content)
    assert text(page, "#summary").startswith(f"{len(ids)} documents")


def test_many_documents_go_in_parts_and_open_to_their_tags(
    page: webdriver.Chrome, tmp_path: Path
) -> None:
    rows = "".join(f"d{number},chest pain {number}\n" for number in range(70))
    (tmp_path / "many.csv").write_text("id,text\n" + rows)
    choose(page, tmp_path / "many.csv")
    documents(page, 70)
    sent = "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('v1/tag'))"
    assert len(page.execute_script(sent)) == 3
    page.find_elements(By.CSS_SELECTOR, "#documents summary")[69].click()
    wait(page, lambda: page.find_elements(By.CSS_SELECTOR, "#documents .tag"))
    assert page.execute_script("return document.getAnimations()") == []  # less motion is asked for
    assert (
        one(page, "#documents .tag .crumbs").text == "in Cardiovascular Diseases › Heart Diseases"
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"ref,words\n1,chest\n", "no field of text. It has “ref”, “words”"),
        ("a.csv", b'text\n"chest\n', "quotation mark in row 2 is never closed"),
        ("a.jsonl", b'{"text": "a"}\nno\n', "line 2 is not JSON"),
        ("a.txt", b"caf\xe9", "is not UTF-8 text"),
        ("a.pdf", b"%PDF", "only CSV, TSV, JSONL, JSON and TXT"),
        ("a.txt", b" ", "no document in this"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_where(
    page: webdriver.Chrome, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    choose(page, tmp_path / name)
    wait(page, lambda: text(page, "#error"))
    assert said in text(page, "#error")
    assert one(page, "#submit").text == "Tag"


def copied(browser: webdriver.Chrome, kind: str) -> str:
    browser.execute_script(KEEP_COPIES)
    one(browser, f"[data-copy={kind}]").click()
    wait(browser, lambda: "Copied as" in text(browser, "#copied"))
    return browser.execute_script("return window.copied.at(-1)")


def test_tags_are_copied_as_a_table_of_what_is_shown(page: webdriver.Chrome) -> None:
    tag_and_wait(page)
    one(page, "#threshold").send_keys(Keys.HOME + Keys.ARROW_RIGHT * 34)
    rows = list(csv.DictReader(copied(page, "csv").splitlines()))
    assert [(row["id"], row["label_key"]) for row in rows] == [
        ("1", "C14.280.647"),
        ("1", "C14.280"),
    ]
    assert rows[0] == {
        "id": "1",
        "label_key": "C14.280.647",
        "label": "Myocardial Infarction",
        "probability": "0.94",
    }


def test_tags_are_copied_as_json(page: webdriver.Chrome) -> None:
    tag_and_wait(page)
    (result,) = json.loads(copied(page, "json"))
    assert [tag["key"] for tag in result["tags"]] == [key for key, _ in CANNED]


def test_the_request_is_copied_as_a_program_that_runs(page: webdriver.Chrome, url: str) -> None:
    tag_by_keyboard(page, 'it\'s "chest" \\ pain')
    wait(page, lambda: page.find_elements(By.CSS_SELECTOR, "#tags > li"))
    shell = subprocess.run(["bash", "-c", copied(page, "curl")], capture_output=True, check=True)
    assert json.loads(shell.stdout)["bundle_id"] == BUNDLE
    ran = subprocess.run(
        [sys.executable, "-c", copied(page, "python")], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[0].split("\t")[1:3] == ["C14.280.647", "Myocardial Infarction"]


def test_answers_are_saved_as_verdicts(
    browser: webdriver.Chrome, page: webdriver.Chrome, tmp_path: Path
) -> None:
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    tag_and_wait(page)
    assert not one(page, "#save").is_displayed()
    for selector in (".verdict.yes", ".verdict.no", "#tags > li:nth-child(3) .verdict.no"):
        one(page, selector).click()
    pressed = page.find_elements(By.CSS_SELECTOR, ".verdict[aria-pressed=true]")
    assert [one.accessible_name for one in pressed] == [
        "Wrong: Myocardial Infarction",
        "Wrong: Therapeutics",
    ]
    assert one(page, "#save").text == "Save 2 answers"
    one(page, "#save").click()
    wait(page, lambda: (tmp_path / "feedback.jsonl").exists())
    rows = [json.loads(line) for line in (tmp_path / "feedback.jsonl").read_text().splitlines()]
    assert [(row["label_key"], row["answer"]) for row in rows] == [
        ("C14.280.647", "no"),
        ("E02", "no"),
    ]
    assert rows[0]["label"] == text_key(LABELS["C14.280.647"]).hex()
    assert "lmtx verdicts import" in text(page, "#copied")


def test_answers_are_about_the_tags_as_they_were_shown(
    browser: webdriver.Chrome,
    page: webdriver.Chrome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another bundle answers by now: one label has another text, and one is gone."""
    downloads = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
    tag_and_wait(page)
    shown = {key: LABELS[key] for key in ("C14.280.647", "C14.280")}
    monkeypatch.setitem(LABELS, "C14.280.647", "Another Text")
    monkeypatch.delitem(LABELS, "C14.280")
    for place in (1, 2):
        one(page, f"#tags > li:nth-child({place}) .verdict.no").click()
    one(page, "#save").click()
    wait(page, lambda: (tmp_path / "feedback.jsonl").exists())
    rows = [json.loads(line) for line in (tmp_path / "feedback.jsonl").read_text().splitlines()]
    assert {row["label_key"]: row["label_text"] for row in rows} == shown


def test_an_answer_can_be_taken_back(page: webdriver.Chrome) -> None:
    tag_and_wait(page)
    for _ in range(2):
        one(page, ".verdict.yes").click()
    assert page.find_elements(By.CSS_SELECTOR, ".verdict[aria-pressed=true]") == []
    assert not one(page, "#save").is_displayed()


def test_no_label_found_is_said(page: webdriver.Chrome) -> None:
    one(page, "#query").send_keys("xylophone" + Keys.ENTER)
    wait(page, lambda: text(page, "#label-empty"))
    assert "None of the 7 labels has words like “xylophone”" in text(page, "#label-empty")
    one(page, "#query").clear()
    one(page, "#query").send_keys("HEÁRT" + Keys.ENTER)
    wait(page, lambda: text(page, "#labels"))
    assert not one(page, "#label-empty").is_displayed()


def test_tags_come_into_view_on_a_phone(phone: webdriver.Chrome) -> None:
    tag_and_wait(phone)
    wait(phone, lambda: phone.execute_script(IN_VIEW, one(phone, "#result-heading")))
    assert phone.execute_script("return document.documentElement.scrollWidth") <= 360


def test_an_error_is_in_view_on_a_phone(browser: webdriver.Chrome, url: str) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    browser.get(f"{url}/")
    tag_by_keyboard(browser, "make a fault")
    wait(browser, lambda: text(browser, "#error"))
    seen = browser.execute_script(IN_VIEW.replace("* 0.8", ""), one(browser, "#error"))
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert seen


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_fit_a_phone(browser: webdriver.Chrome, url: str, tmp_path: Path, path: str) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    browser.get(f"{url}{path}")
    if path == "/":
        (tmp_path / "a.csv").write_text("id,text\n" + "x" * 90 + ",chest " + "y" * 200 + "\n")
        choose(browser, tmp_path / "a.csv")
        documents(browser, 1)
        one(browser, "#documents summary").click()
    else:
        wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ".try-it"))
        one(browser, ".try-it summary").click()
    width = browser.execute_script("return document.documentElement.scrollWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= 360


def test_an_endpoint_is_tried_with_the_key(browser: webdriver.Chrome, locked_url: str) -> None:
    browser.get(f"{locked_url}/docs")
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ".try-it"))
    form = next(
        one
        for one in browser.find_elements(By.CSS_SELECTOR, ".operation")
        if "/v1/labels" in one.text and "{key}" not in one.text
    )
    form.find_element(By.CSS_SELECTOR, ".try-it summary").click()
    form.find_element(By.CSS_SELECTOR, "input[name=q]").send_keys("heart")
    answer = form.find_element(By.CSS_SELECTOR, ".answer")
    form.find_element(By.CSS_SELECTOR, ".try button").click()
    wait(browser, lambda: "401" in answer.text)
    one(browser, "#key").send_keys(SECRET)
    form.find_element(By.CSS_SELECTOR, ".try button").click()
    wait(browser, lambda: "200" in answer.text)
    assert '"Heart Diseases"' in answer.text
    assert "request " in answer.text
    assert browser.execute_script("return window.violations") == []
