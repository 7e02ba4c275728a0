"""What the encoder reads of a label: a template whose missing fields leave nothing behind."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.config.label_template import LabelTemplate
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.label_texts import encoder_texts

WHOLE = "{parents} > {text} ({aliases}): {description}."
ROWS = [
    {"label_key": "a", "text": "Vessels"},
    {"label_key": "b", "text": "Pots", "aliases": ["jars", "jugs"], "parent_keys": ["a", "no"]},
    {"label_key": "c", "text": "Pans", "description": "Flat ones", "parent_keys": ["b", "a"]},
]


def labels(rows: list[dict]) -> pa.Table:
    numbered = [{"label_id": place, **row} for place, row in enumerate(rows)]
    return pa.Table.from_pylist(numbered, schema=schemas.LABELS)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{text}", ["Vessels", "Pots", "Pans"]),
        (WHOLE, ["Vessels", "Vessels > Pots (jars, jugs)", "Pots, Vessels > Pans: Flat ones."]),
        ("A tag: {text}", ["A tag: Vessels", "A tag: Pots", "A tag: Pans"]),
        ("({parents}) {text}", ["Vessels", "(Vessels) Pots", "(Pots, Vessels) Pans"]),
        ("{description} ({text})", ["Vessels", "Pots", "Flat ones (Pans)"]),
        ("{{{text}}}", ["{Vessels}", "{Pots}", "{Pans}"]),
    ],
)
def test_a_missing_field_leaves_no_sign_behind(template: str, expected: list[str]) -> None:
    assert encoder_texts(labels(ROWS), template) == expected


def test_a_part_of_a_label_set_finds_its_parents_in_the_whole() -> None:
    whole = labels(ROWS)
    assert encoder_texts(whole.slice(1), WHOLE, whole) == encoder_texts(whole, WHOLE)[1:]
    assert encoder_texts(whole.slice(1, 1), "{parents}: {text}") == ["Pots"]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{description}", "needs {text}, and each field at most once"),
        ("{text} {text}", "each field at most once"),
        ("{text} {synonyms}", "no field {synonyms}; known: {text}, {description}, {aliases}"),
        ("{text!r}", "a field is only its name in braces"),
        ("{text", "'{text'"),
        ("{}{text}", "no field {}"),
    ],
)
def test_a_template_that_cannot_be_is_refused_where_it_is_set(template: str, said: str) -> None:
    with pytest.raises(ValueError, match="label_template") as error:
        EncoderConfig(label_template=template)
    assert said in str(error.value)
    assert LabelTemplate("{text}: {description}").fields == ("text", "description")
