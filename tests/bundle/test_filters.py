"""Filters of label keys, as a Tagger takes them."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pytest

from lmtx_ray.bundle.filters import Filters
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.filters import Filter, UnknownKeys
from lmtx_ray.corpus.label_set import LabelSet
from tests.tiny import save_encoder
from tests.tiny_bundle import LABELS, publish_bundle

TEXTS = ["heart pain in the lung", "a kidney disease"]
PARENTS = {  # a tree, a label with two parents, and a circle of x, y and z
    "a": [],
    "b": ["a"],
    "c": ["b"],
    "d": ["c", "e"],
    "e": ["absent"],
    "x": ["z"],
    "y": ["x"],
    "z": ["y"],
}


def label_set(parents: dict[str, list[str]]) -> LabelSet:
    table = pa.table(
        {
            "label_id": range(len(parents)),
            "label_key": list(parents),
            "text": [f"label {key}" for key in parents],
            "parent_keys": list(parents.values()),
        }
    )
    return LabelSet.of(schemas.conform(table, schemas.LABELS))


def keys_of(parents: dict[str, list[str]], *filters: Filter) -> str:
    selection = Filters(label_set(parents)).select(filters)
    assert selection is not None
    return "".join(list(parents)[place] for place in selection.mask_L.nonzero()[0])


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Tagger:
    folder = tmp_path_factory.mktemp("b")
    return Tagger.load(publish_bundle(folder / "one", save_encoder(folder / "model")), threads=1)


@pytest.mark.parametrize(
    ("key", "below"), [("a", "bcd"), ("b", "cd"), ("e", "d"), ("d", ""), ("x", "xyz")]
)
def test_under_a_key_is_all_that_is_below_it_also_in_a_circle(key: str, below: str) -> None:
    assert keys_of(PARENTS, Filter.of(under=key)) == below


def test_all_that_is_said_has_to_be_fulfilled() -> None:
    both = Filter.of(list("abcx"), ["b"])
    assert keys_of(PARENTS, both) == "acx"
    assert keys_of(PARENTS, both, Filter.of(under=["a", "e"])) == "c"
    assert keys_of(PARENTS, Filter.of(deny=["a"]), Filter.of(deny=["x"])) == "bcdeyz"
    assert Filters(label_set(PARENTS)).select([Filter(), Filter.of(None, [])]) is None


def test_many_keys_are_found_as_few_are() -> None:
    labels = label_set({f"k{n}": [] for n in range(5000)})
    keys = [f"k{n}" for n in range(4999, -1, -2)] + ["absent", "k7", "k7"]
    few = [int(labels.places([key])[0]) for key in keys]
    assert labels.places(keys).tolist() == few
    assert few[:2] == [4999, 4997]
    assert few[-3:] == [-1, 7, 7]


def test_unknown_keys_are_named_with_near_ones_also_in_another_process() -> None:
    labels = label_set({f"k{n}": [] for n in range(50)})
    wanted = Filter.of(["k1", "k 2", "none"], [f"u{n}" for n in range(9)], "k4444")
    with pytest.raises(UnknownKeys) as caught:
        Filters(labels).select([wanted])
    said = str(pickle.loads(pickle.dumps(caught.value)))
    assert "allow: not a key of this label set: 'k 2' (near: 'k2'" in said
    assert "deny: not a key of this label set: 'u0'" in said
    assert "; and 6 more" in said
    assert "under: not a key of this label set: 'k4444' (near: 'k44'" in said
    with pytest.raises(TypeError, match="allow takes a list of label keys"):
        Filter.of("k1")


def test_one_allowed_label_is_found_wherever_it_stands(tagger: Tagger) -> None:
    for key in ("L0", "L7", "L15"):
        rows = tagger.tag(TEXTS, allow=[key]).to_pylist()
        assert [row["label_keys"] for row in rows] == [[key], [key]]


def test_a_filtered_answer_is_the_whole_one_without_the_others(tagger: Tagger) -> None:
    """All 16 labels are candidates here, so fewer allowed ones keep their order on each side."""
    whole = tagger.tag(TEXTS, 16).to_pylist()
    odd = [f"L{n}" for n in range(1, 16, 2)]
    even = [f"L{n}" for n in range(0, 16, 2)]
    said = [
        tagger.tag(TEXTS, 16, allow=odd),
        tagger.tag(TEXTS, 16, deny=even),
        tagger.tag(TEXTS, 16, under=even),
        tagger.tag(TEXTS, 16, filters=[Filter.of(odd), Filter.of(deny=even)]),
    ]
    for found in said:
        assert found.equals(said[0])
        for row, before in zip(found.to_pylist(), whole, strict=True):
            assert sorted(row["label_keys"]) == sorted(odd)
            known = dict(zip(before["label_keys"], before["probabilities"], strict=True))
            own = dict(zip(row["label_keys"], row["probabilities"], strict=True))
            assert own == {key: known[key] for key in own}


def test_each_document_has_its_own_filter_beside_that_of_all(tagger: Tagger) -> None:
    filters = [Filter.of(["L1", "L3"]), None, Filter.of(deny=["L1"]), Filter.of(under="L4")]
    rows = tagger.tag(["heart pain"] * 4, 16, filters=filters, deny=["L3"]).to_pylist()
    everything = {f"L{n}" for n in range(len(LABELS))}
    expected = [{"L1"}, everything - {"L3"}, everything - {"L1", "L3"}, {"L5"}]
    assert [set(row["label_keys"]) for row in rows] == expected
    for place, one in enumerate(filters):
        alone = tagger.tag(["heart pain"], 16, filters=[one], deny=["L3"], ids=[str(place)])
        assert alone.to_pylist() == rows[place : place + 1]


def test_a_probability_that_no_tag_has_is_a_reason(tagger: Tagger) -> None:
    rows = tagger.tag(["heart pain", " "], min_probability=1.0, deny=["L3"])
    assert rows["label_keys"].to_pylist() == [[], []]
    unlikely, empty = rows["reason"].to_pylist()
    assert unlikely.startswith("no tag has a probability of 1 or more: the best has 0.")
    assert empty == "empty"
    assert tagger.tag(["heart pain"])["reason"].to_pylist() == [""]


def test_a_filter_that_leaves_no_label_is_a_reason(tagger: Tagger) -> None:
    nothing = [Filter.of([]), Filter.of(["L1"], ["L1"]), Filter.of(under="L1")]
    rows = tagger.tag(["heart pain", " ", "heart"], filters=nothing)
    assert rows["reason"].to_pylist() == [
        "allow is an empty list",
        "empty",
        "no label fulfils the filter: allow, deny and under leave none",
    ]
    with pytest.raises(UnknownKeys, match="'L99'"):
        tagger.tag(TEXTS, allow=["L99"])
    with pytest.raises(ValueError, match="2 texts, but 1 filters"):
        tagger.tag(TEXTS, filters=[None])
