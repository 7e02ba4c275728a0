"""Prompts: three segments that hold for every label, and files of users' own."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus import schemas
from lmtx_ray.io import storage
from lmtx_ray.teacher.prompts import PROMPTS, Prompt, get_prompt
from lmtx_ray.teacher.shown import shown_tables

HEART = {
    "text": "Heart",
    "description": "Pumps blood",
    "aliases": ["Cor", "Herz"],
    "parents": ["Organs"],
}
OWN = {
    "before": "A text:\n",
    "label": "\nIts label: {label}\nThat is: {description}\nOr: {aliases}",
    "after": "\nIs it so?",
}


def written(folder: Path, **changes: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**OWN, **changes}), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["tag", "subject"])
def test_a_question_that_stands_first_is_not_read_again_for_each_label(name: str) -> None:
    behind, first = get_prompt(name), get_prompt(f"{name}_first")
    assert first.after == "»\nReply yes or no."
    assert len(behind.after) > 2 * len(first.after)
    assert first.before != behind.before
    assert "yes or no" in first.before


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=list(PROMPTS))
def test_a_prompt_is_a_document_and_a_label_between_fixed_texts(prompt: Prompt) -> None:
    assert prompt.label_text(HEART) == "Heart"
    assert prompt.between + "{label}" == prompt.label
    assert set(prompt.answers.values()) >= {0.0, 1.0}
    assert get_prompt(prompt.name) is prompt


@pytest.mark.parametrize(
    "prompt", [p for p in PROMPTS.values() if p.instruct], ids=lambda prompt: prompt.name
)
def test_a_question_does_not_end_in_a_cue(prompt: Prompt) -> None:
    """A chat model begins its turn by itself; a cue in the user's would be answered in words."""
    assert prompt.after.endswith(".") or prompt.after.endswith("3.")
    assert prompt.cue.endswith(":")
    assert prompt.after == prompt.after.rstrip()
    assert prompt.before == prompt.before.lstrip()


def test_a_file_of_ones_own_shows_what_a_label_has(tmp_path: Path) -> None:
    prompt = get_prompt(written(tmp_path))
    assert prompt.name == "mine"
    assert prompt.between == "\nIts label: "
    assert prompt.label_text(HEART) == "Heart\nThat is: Pumps blood\nOr: Cor, Herz"
    assert prompt.label_text({"text": "Heart"}) == "Heart"
    assert prompt.label_text({**HEART, "description": None}) == "Heart\nOr: Cor, Herz"


def test_labels_above_a_label_are_shown_where_there_is_a_place_for_them(tmp_path: Path) -> None:
    prompt = get_prompt(written(tmp_path, label="\nLabel: {label}\nBelow: {parents}"))
    assert (prompt.shows_parents, get_prompt(written(tmp_path)).shows_parents) == (True, False)
    rows = [
        {"label_key": "o", "text": "Organs"},
        {"label_key": "h", "text": "Heart", "parent_keys": ["o", "nowhere"]},
        {"label_key": "v", "text": "Valve", "parent_keys": ["h", "o"]},
    ]
    files = [str(tmp_path / f"{number}.parquet") for number in range(2)]
    table = pa.Table.from_pylist([{"label_id": 0, **row} for row in rows], schema=schemas.LABELS)
    for file, part in zip(files, (table.slice(0, 1), table.slice(1)), strict=True):
        storage.write_table(file, part)
    shown = pa.concat_tables(shown_tables(prompt, files, ["text"])).to_pylist()
    assert [prompt.label_text(row) for row in shown] == [
        "Organs",
        "Heart\nBelow: Organs",
        "Valve\nBelow: Heart, Organs",
    ]


@pytest.mark.parametrize(
    ("label", "between", "text"),
    [
        ("{{a}} {label}", "{a} ", "Heart"),
        ("{label} {{b}}", "", "Heart {b}"),
        ("\n{{\n{label}\n{{{description}}}\n}}", "\n{\n", "Heart\n{Pumps blood}\n}"),
        ("{description}\n{label}", "", "Pumps blood\nHeart"),
    ],
)
def test_braces_are_written_twice(tmp_path: Path, label: str, between: str, text: str) -> None:
    prompt = get_prompt(written(tmp_path, label=label))
    assert (prompt.between, prompt.label_text(HEART)) == (between, text)


def test_names_and_aliases_may_hold_braces(tmp_path: Path) -> None:
    assert get_prompt(written(tmp_path)).label_text({"text": "{x} {}"}) == "{x} {}"


def test_a_name_does_not_change_what_is_asked(tmp_path: Path) -> None:
    first = get_prompt(written(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    assert get_prompt(written(other)).fingerprint == first.fingerprint
    assert get_prompt(written(other, after="\nIs it not?")).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ("{yes: 1, no: 0}", {"yes": 1.0, "no": 0.0}),  # truth values in YAML
        ("{0: 0, 1: 0.5, 2: 1}", {"0": 0.0, "1": 0.5, "2": 1.0}),
        ("{Oui: 1, Non: 0}", {"oui": 1.0, "non": 0.0}),
    ],
)
def test_answers_are_words_with_values(tmp_path: Path, answers: str, words: dict) -> None:
    path = Path(written(tmp_path))
    path.write_text(path.read_text() + f"answers: {answers}\n")
    assert get_prompt(str(path)).answers == words


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label": "Its label"}, r"label: needs the placeholder \{label\}"),
        ({"label": "{label} {colour}"}, "label: no placeholder 'colour'; known: {label}"),
        ({"label": "{label"}, "label: "),
        ({"before": "A text: {document}"}, "before: no placeholder {document} here"),
        ({"after": "Is it {label}?"}, "after: no placeholder {label} here"),
        ({"answers": {"yes": 1}}, "answers: needs single words with different values"),
        ({"answers": {"yes": 1, "no": 1}}, "answers: needs single words with different values"),
        ({"answers": {"yes": 2, "no": 0}}, "answers: needs single words with different values"),
        ({"answers": {"it is": 1, "no": 0}}, "answers: needs single words with different values"),
        ({"answers": {"(yes)": 1, "no": 0}}, "answers: needs single words with different values"),
        ({"afterr": "x"}, "afterr"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        get_prompt(written(tmp_path, **changes))
    assert "mine.yaml" in str(caught.value)
    assert said.replace("\\", "") in str(caught.value)


def test_a_missing_file_and_an_unknown_name_are_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        get_prompt("nowhere.yaml")
    with pytest.raises(ConfigError, match=r"no prompt 'nice'; known: tag.*\.yaml file"):
        get_prompt("nice")
