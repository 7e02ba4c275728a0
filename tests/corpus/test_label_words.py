"""Labels are found by words as people type them, and as a walk over all of them would find them."""

from __future__ import annotations

import random
import tracemalloc
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.corpus import label_words
from lmtx_ray.corpus.label_set import FILE as LABELS_FILE
from lmtx_ray.corpus.label_set import Label, LabelSet, save_labels
from lmtx_ray.corpus.label_words import FILE, index_table, joined, words_of
from tests.corpus.test_label_set import PARTS, labels_of

TEXTS = [
    "Münzfunde",
    "Céramique antique",
    "Heart Failure",
    "heart",
    "Beta-blockers",
    "Straße",
    "Сердечная недостаточность",
    "心臓病",
    "हृदय रोग",
    "داءُ القلب",
    "Congestive heart failure",
]
KEYS = [f"D{n:03}" for n in range(len(TEXTS) - 1)] + ["C14.280.434"]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> LabelSet:
    folder = tmp_path_factory.mktemp("words")
    save_labels(labels_of(KEYS, TEXTS, [None] * len(KEYS)), folder)
    return LabelSet.load(folder)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("münz", "Münzfunde"),
        ("MUNZFUNDE", "Münzfunde"),
        ("céramique", "Céramique antique"),
        ("antique ceram", "Céramique antique"),
        ("strasse", "Straße"),
        ("beta blockers", "Beta-blockers"),
        ("недост", "Сердечная недостаточность"),
        ("臓", "心臓病"),
        ("रोग", "हृदय रोग"),
        ("القلب", "داءُ القلب"),
        ("funde", "Münzfunde"),  # inside a word, where no word begins so
        ("c14.280", "Congestive heart failure"),
        ("D004", "Beta-blockers"),
    ],
)
def test_a_label_is_found_however_it_is_typed(
    labels: LabelSet, query: str, found: str, form: str
) -> None:
    texts = [label.text for label in labels.search(unicodedata.normalize(form, query), 5)]
    assert texts == [found]


def test_decomposed_labels_are_found_too() -> None:
    texts = [unicodedata.normalize("NFD", text) for text in TEXTS]
    labels = LabelSet.of(labels_of(KEYS, texts, [None] * len(KEYS)))
    assert labels.search("céramique", 5) == [Label("D001", texts[1])]


def test_what_begins_so_is_first_then_the_shorter(labels: LabelSet) -> None:
    found = [label.text for label in labels.search("heart", 5)]
    assert found == ["heart", "Heart Failure", "Congestive heart failure"]
    assert [label.text for label in labels.search("heart", 1)] == ["heart"]


@pytest.mark.parametrize("query", ["", " ", "?!", "\n", "heart absent", "\u0301"])
def test_what_names_no_word_of_a_label_finds_none(labels: LabelSet, query: str) -> None:
    assert labels.search(query, 5) == []


def test_a_bundle_without_the_index_is_searched_all_the_same(tmp_path: Path) -> None:
    save_labels(labels_of(KEYS, TEXTS, [None] * len(KEYS)), tmp_path)
    (tmp_path / FILE).unlink()
    with pa.ipc.open_file(str(tmp_path / LABELS_FILE)) as reader:
        table = reader.read_all()
    older = table.append_column("searched", table["text"])
    with pa.ipc.new_file(str(tmp_path / LABELS_FILE), older.schema) as writer:
        writer.write_table(older)
    assert LabelSet.load(tmp_path).search("münz", 5) == [Label("D000", "Münzfunde")]


def naive(labels: LabelSet, query: str) -> list[Label]:
    """The same by looking at every label: words that begin so, else those that hold it."""
    tokens = words_of(query)
    if not tokens:
        return []
    begun: dict[int, tuple] = {}
    held: dict[int, tuple] = {}
    for place, (key, text) in enumerate(labels.items()):
        own = words_of(text) + words_of(key)
        begins = all(any(word.startswith(token) for word in own) for token in tokens)
        holds = all(any(token in word for word in own) for token in tokens)
        first = joined(text).startswith(" ".join(tokens))
        if first or begins:
            begun[place] = (not first, len(text), place)
        if holds:
            held[place] = (len(text), place)
    found = begun or held
    return [
        Label(labels.keys_by_place[place], labels.texts[place])
        for place in sorted(found, key=found.__getitem__)
    ]


@pytest.fixture(scope="module")
def many() -> LabelSet:
    draw = random.Random(3)
    keys = [f"{draw.choice(PARTS)}{n}" for n in range(400)]
    draw.shuffle(keys)
    texts = [" ".join(draw.choices(PARTS, k=3)).strip() for _ in keys]
    return LabelSet.of(labels_of(keys, texts, [None] * len(keys)))


@settings(deadline=None, max_examples=60)
@given(
    query=st.one_of(st.sampled_from(PARTS), st.text("haeStrßéEİ 0\n.%_", max_size=4)),
    limit=st.integers(1, 500),
)
def test_a_search_finds_what_a_walk_would(many: LabelSet, query: str, limit: int) -> None:
    assert many.search(query, limit) == naive(many, query)[:limit]


def test_the_index_is_the_same_however_many_labels_are_read_at_once(
    many: LabelSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = [pa.array(list(part), pa.large_string()) for part in zip(*many.items(), strict=True)]
    whole = index_table(columns[1], columns[0])
    monkeypatch.setattr(label_words, "LABELS_AT_ONCE", 7)
    assert index_table(columns[1], columns[0]).equals(whole)


def test_no_label_is_an_object_for_long_while_the_index_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A million labels took a gigabyte so."""
    texts, keys = (
        pa.array([f"{kind}{n} label" for n in range(20_000)], pa.large_string()) for kind in "tk"
    )
    monkeypatch.setattr(label_words, "LABELS_AT_ONCE", 500)
    tracemalloc.start()
    try:
        index_table(texts, keys)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 200 * len(texts)  # bytes of a label with its three words: numbers alone


@pytest.mark.parametrize("damage", ["cut", "text", "columns", "order"])
def test_a_file_that_is_no_index_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    save_labels(labels_of(KEYS, TEXTS, [None] * len(KEYS)), tmp_path)
    file = tmp_path / FILE
    if damage in {"columns", "order"}:
        with pa.ipc.open_file(str(file)) as reader:
            table = reader.read_all()
        places = [[n + 1 for n in range(len(KEYS))]] if damage == "order" else [[1.5]]
        kind = table.schema.field("places").type if damage == "order" else None
        table = table.set_column(3, "places", pa.array(places, kind))
        with pa.ipc.new_file(str(file), table.schema) as writer:
            writer.write_table(table)
    else:
        file.write_bytes(file.read_bytes()[:-40] if damage == "cut" else b"no table at all")
    with pytest.raises(ValueError, match=r"label_words.arrow: no file of words"):
        LabelSet.load(tmp_path)
