"""`lmtx labels check`: what is odd in a label set, and how bad that is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.io.latest import write_about
from tests.small_run import write
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

FINE = [
    {"uid": "a", "title": "heart disease"},
    {"uid": "b", "title": "lung disease", "parent_keys": ["a"]},
    {"uid": "c", "title": "hepatitis A"},
    {"uid": "d", "title": "hepatitis B"},
]
ODD = [
    *FINE,
    {"uid": "e", "title": "Heart Diseases!"},
    {"uid": "f", "title": "lung disease", "aliases": ["Hepatitis, B"]},
    {"uid": "g", "title": "disease of the heart", "parent_keys": ["nowhere"]},
    {"uid": "h", "title": "radiocarbon", "parent_keys": ["i"]},
    {"uid": "i", "title": "radiocarbn", "parent_keys": ["j", "a"]},
    {"uid": "j", "title": "x" * 70, "parent_keys": ["h"]},
    {"uid": "k", "title": "own", "parent_keys": ["k"]},
    {"uid": "a", "title": "again"},
    {"uid": "", "title": "keyless"},
]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def run(rows: list[dict] | str, *more: str) -> tuple[int, dict, str]:
        """(exit code, result, what people read)."""
        place = str(tmp_path / "labels.jsonl")
        if isinstance(rows, str):
            place = rows
        else:
            write(Path(place), rows)
        options = ["--model", "none", "--tokens", "3"] if isinstance(rows, list) else []
        code = main(["labels", "check", place, *options, *more])
        shown = capsys.readouterr()
        return code, json.loads(shown.out.splitlines()[-1]), shown.err

    return run


def test_a_label_set_with_nothing_odd_passes(check) -> None:
    code, told, said = check(FINE)
    assert (code, told["findings"]) == (0, {})
    assert said.splitlines()[-1] == "errors: 0, warnings: 0, notes: 0"


def test_each_kind_is_found_and_told(check, tmp_path: Path) -> None:
    output = tmp_path / "odd.csv"
    code, told, said = check(ODD, "--output", str(output))
    assert code == 1
    with output.open(newline="") as file:
        found = list(csv.DictReader(file))
    by_kind = {(row["kind"], row["label_key"]): (row["others"], row["detail"]) for row in found}
    assert set(by_kind) == {
        ("not_a_label", "labels.jsonl row 12"),
        ("not_a_label", "labels.jsonl row 13"),
        ("circle", "h"),
        ("circle", "k"),
        ("unknown_parent", "g"),
        ("same_text", "b"),
        ("nearly_same_text", "a"),
        ("same_words", "a"),
        ("taken_alias", "f"),
        ("one_letter_apart", "i"),
        ("long_text", "g"),
    }
    assert by_kind["circle", "h"] == ("i|j", "h > i > j > h")
    assert by_kind["same_text", "b"][0] == "f"
    assert by_kind["nearly_same_text", "a"] == ("e", "heart disease / Heart Diseases!")
    assert by_kind["same_words", "a"][0] == "e|g"
    assert by_kind["long_text", "g"][1] == "4, and 3 are read"
    assert "duplicate key 'a'" in by_kind["not_a_label", "labels.jsonl row 12"][1]
    assert (told["errors"], told["warnings"], told["notes"]) == (4, 5, 2)
    assert "error: circles in the hierarchy: 2" in said


def test_warnings_fail_where_they_are_asked_to(check) -> None:
    rows = [*FINE, {"uid": "e", "title": "heart disease"}]
    assert check(rows)[0] == 0
    assert check(rows, "--strict")[0] == 1


def test_tags_tell_what_is_never_suggested_and_what_comes_together(check, tmp_path: Path) -> None:
    tags = tmp_path / "tags.jsonl"
    rows = [{"doc_id": f"d{n}", "label_keys": ["a", "c"]} for n in range(6)]
    rows += [{"doc_id": "z", "label_keys": ["b", "gone"]}, {"doc_id": "y", "label_keys": ["b"]}]
    write(tags, rows)
    code, told, said = check(FINE, "--tags", str(tags))
    assert (code, told["findings"]) == (
        0,
        {"unknown_tag": 1, "never_suggested": 1, "always_together": 1},
    )
    assert told["first"]["never_suggested"][0]["label_key"] == "d"
    together = told["first"]["always_together"][0]
    assert (together["label_key"], together["others"]) == ("a", ["c"])
    assert together["detail"] == "on 6 documents"
    assert "gone" in said


def test_tags_may_name_labels_by_text_and_count_once(check, tmp_path: Path) -> None:
    tags = tmp_path / "tags.csv"
    rows = [f"d{n},heart disease\nd{n},heart disease\nd{n},hepatitis A\n" for n in range(6)]
    tags.write_text("id,label\n" + "".join(rows))
    _, told, _ = check(FINE, "--tags", str(tags))
    assert told["findings"] == {"never_suggested": 2, "always_together": 1}
    assert told["first"]["always_together"][0]["detail"] == "on 6 documents"


def test_a_bundle_is_checked_as_its_file_is(check, tmp_path: Path) -> None:
    bundle = publish_bundle(tmp_path / "bundle", save_encoder(tmp_path))
    code, told, said = check(bundle)
    assert (code, told["findings"]) == (0, {})
    assert "looked at names, aliases, parents, lengths in tokens" in said
    assert check(bundle, "--tokens", "1")[1]["findings"] == {"long_text": told["labels"]}
    write_about(bundle, str(tmp_path), {})
    assert check(str(tmp_path / "latest"))[1] == told  # as the newest bundle of its run


def test_tokens_are_those_of_the_encoder(tmp_path: Path, capsys) -> None:
    write(tmp_path / "l.jsonl", [{"uid": "z", "title": "unhyphenated " * 12}, FINE[0]])
    assert main(["labels", "check", str(tmp_path / "l.jsonl"), "--tokens", "20"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["findings"] == {"long_text": 1}
    assert "lengths in tokens" in shown.err
