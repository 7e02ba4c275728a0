"""A label set from a mapped file: found by key and by words as a list of them would be."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.label_set import FILE, Label, LabelSet, save_labels

PARTS = ["ha", "Straße", "ÉT", "é", "", "heart", "Heart Failure", "ǰ", "İ", "𝄞x", "0"]


def labels_of(keys: list[str], texts: list[str], parents: list[list[str] | None]) -> pa.Table:
    table = {"label_key": keys, "text": texts, "parent_keys": parents}
    return schemas.conform(
        pa.table({**table, "label_id": range(len(keys))}, schema=None), schemas.LABELS
    )


@pytest.fixture(scope="module")
def made() -> pa.Table:
    """Four hundred labels with keys in no order, among them some beyond the first Unicode plane."""
    draw = random.Random(3)
    keys = [f"{draw.choice(PARTS)}{n}" for n in range(400)]
    draw.shuffle(keys)
    texts = [" ".join(draw.choices(PARTS, k=3)).strip() for _ in keys]
    parents = [draw.choice([None, [], draw.choices([*keys, "gone"], k=2)]) for _ in keys]
    return labels_of(keys, texts, parents)


@pytest.fixture(scope="module")
def mapped(made: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> LabelSet:
    folder = tmp_path_factory.mktemp("labels")
    save_labels(made, folder)
    return LabelSet.load(folder)


def test_every_key_is_found_at_its_place_and_no_other_key_is(
    made: pa.Table, mapped: LabelSet
) -> None:
    keys, texts = made["label_key"].to_pylist(), made["text"].to_pylist()
    assert [mapped.place(key) for key in keys] == list(range(len(keys)))
    assert (dict(mapped), list(mapped), mapped.texts[:]) == (
        dict(zip(keys, texts, strict=True)),
        keys,
        texts,
    )
    assert mapped.label(keys[7]) == Label(keys[7], texts[7])
    assert mapped.texts[::100] == texts[::100]
    for absent in ("", "h", keys[0] + "x", keys[0][:-1] + "\x00", "\U0010ffff", "\ud800"):
        assert absent not in mapped
        assert mapped.label(absent) is None
    with pytest.raises(KeyError):
        mapped.place("gone")


def test_the_way_up_goes_by_known_parents_and_ends_in_a_circle() -> None:
    labels = LabelSet.of(
        labels_of(list("abcd"), list("ABCD"), [["gone", "b"], ["c", "d"], ["a"], None])
    )
    assert [label.key for label in labels.parents("a")] == ["b", "c"]
    assert labels.parents("d") == labels.parents("gone") == []


def test_an_empty_set_finds_nothing(tmp_path: Path) -> None:
    save_labels(labels_of([], [], []), tmp_path)
    empty = LabelSet.load(tmp_path)
    assert len(empty) == 0
    assert (empty.search("a", 5), empty.label("a"), empty.parents("a")) == ([], None, [])


@pytest.mark.parametrize("damage", ["cut", "text", "columns"])
def test_a_file_that_holds_no_labels_is_refused_by_name(
    made: pa.Table, tmp_path: Path, damage: str
) -> None:
    save_labels(made, tmp_path)
    file = tmp_path / FILE
    if damage == "columns":
        with pa.ipc.new_file(str(file), made.schema) as writer:
            writer.write_table(made)
    else:
        file.write_bytes(file.read_bytes()[:-40] if damage == "cut" else b"no table at all")
    with pytest.raises(ValueError, match=r"labels.arrow: no file of labels"):
        LabelSet.load(tmp_path)
