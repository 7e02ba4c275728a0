"""Several texts that lead to one label."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.label_texts import label_texts
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.lexical import LexicalIndex

LABELS = [
    ["Myocardial Infarction", "Heart Attack", "Herzinfarkt"],
    ["Heart"],
    ["Stroke", "Apoplexy"],
]


def test_a_label_is_found_by_any_of_its_texts_once() -> None:
    index = LexicalIndex.build(LABELS)
    asked = [
        "a heart attack",
        "nach dem Herzinfarkt",
        "apoplexy or stroke",
        "infarction myocardial",
    ]
    ids_BK, _ = index.search(asked, 3)
    assert ids_BK.tolist() == [
        [0, 1, PADDING],
        [0, PADDING, PADDING],
        [2, PADDING, PADDING],
        [0, PADDING, PADDING],
    ]


def test_a_label_scores_as_the_best_of_its_texts() -> None:
    index = LexicalIndex.build([["alpha beta", "gamma"], ["gamma delta"]])
    (both,) = index.search(["alpha gamma"], 2)[1]
    (alone,) = index.search(["gamma"], 2)[1]
    assert both[0] == alone[0] > index.search(["alpha"], 2)[1][0, 0]


def test_the_words_that_are_named_are_of_the_best_text() -> None:
    index = LexicalIndex.build(LABELS)
    assert index.named("attacks on the heart, an infarction", 0) == ["attack", "heart"]
    assert index.named("myocardial infarction", 0) == ["infarction", "myocardial"]
    assert index.named("nothing", 0) == index.named("heart", 2) == []
    german = LexicalIndex.build(["Herzkrankheiten"], ["de"])
    assert german.named("eine Herzkrankheit", 0) == ["herzkrank"]


def test_aliases_that_say_the_same_change_nothing() -> None:
    plain = LexicalIndex.build(["heart failure", "heart"])
    again = LexicalIndex.build([["heart failure", "Failure, Heart", "the heart failures"], "heart"])
    for found, expected in zip(
        again.search(["heart failure"], 2), plain.search(["heart failure"], 2), strict=True
    ):
        assert np.array_equal(found, expected)


def test_texts_of_a_table_are_the_own_one_first() -> None:
    rows = [
        {"label_id": 0, "label_key": "a", "text": "one", "aliases": ["two", "three"]},
        {"label_id": 1, "label_key": "b", "text": "four"},
    ]
    table = pa.Table.from_pylist(rows, schema=schemas.LABELS)
    assert list(label_texts([table, table.slice(1)])) == [
        ["one", "two", "three"],
        ["four"],
        ["four"],
    ]


WORD = st.sampled_from([f"w{n}" for n in range(12)])
TEXT = st.lists(WORD, min_size=1, max_size=4).map(" ".join)


@settings(max_examples=80, deadline=None)
@given(st.lists(TEXT, min_size=2, max_size=12), st.data())
def test_an_alias_never_lowers_its_labels_own_rank(texts: list[str], data: st.DataObject) -> None:
    """Of words that labels have in texts of their own, or none has: counted over those alone."""
    aliases = data.draw(
        st.lists(st.lists(TEXT, max_size=2), min_size=len(texts), max_size=len(texts))
    )
    own = {word for text in texts for word in text.split()}
    kept = [[t for t in one if set(t.split()) <= own] for one in aliases]
    before = [[text, *further] for text, further in zip(texts, kept, strict=True)]
    changed = data.draw(st.integers(0, len(texts) - 1))
    alias = data.draw(st.lists(st.sampled_from([*sorted(own), "new"]), min_size=1, max_size=4))
    after = [[*one, " ".join(alias)] if n == changed else one for n, one in enumerate(before)]
    document = data.draw(st.lists(WORD | st.just("new"), min_size=1, max_size=8).map(" ".join))
    places = []
    for labels in (before, after):
        ids = LexicalIndex.build(labels).search([document], len(labels))[0][0].tolist()
        places.append(ids.index(changed) if changed in ids else len(labels))
    assert places[1] <= places[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(TEXT | st.just("the"), min_size=1, max_size=3), max_size=8), st.data())
def test_an_edited_index_is_that_of_the_edited_labels(
    before: list[list[str]], data: st.DataObject
) -> None:
    places = st.sampled_from(range(len(before))) if before else st.nothing()
    kept = data.draw(st.lists(places, unique=True))
    fresh = data.draw(st.lists(st.lists(TEXT, min_size=1, max_size=3), max_size=4))
    after = [(place, before[place]) for place in sorted(kept)] + [(-1, label) for label in fresh]
    after = data.draw(st.permutations(after))
    now_L0 = np.full(len(before), PADDING, np.int32)
    for place, (earlier, _) in enumerate(after):
        if earlier >= 0:
            now_L0[earlier] = place
    others = {place: label for place, (earlier, label) in enumerate(after) if earlier < 0}
    found = LexicalIndex.build(before).moved(now_L0, others, len(after))
    expected = LexicalIndex.build([label for _, label in after])
    for name, values in expected._weights.arrays().items():
        assert np.array_equal(found._weights.arrays()[name], values), name
