"""Why there are no tags: of each wish that may leave none, with keys that may have been meant."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lmtx_ray.bundle.tagger import Tagger
from serve_apps.generation import Generation, TagCall
from serve_apps.reasons import near_keys

DOCUMENT = ("a", None, "heart pain in the lung")


@pytest.fixture(scope="module")
def tagger(bundle: str) -> Tagger:
    return Tagger.load(bundle, threads=1)


def answer(tagger: Tagger, *documents: tuple[str, str | None, str], **wishes: Any) -> list[dict]:
    with ThreadPoolExecutor(1) as pool:
        call = TagCall(list(documents), wishes.pop("top_k", 5), **wishes)
        (found,) = asyncio.run(Generation(tagger, pool, None).answer([call]))
    return found.rows


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"min_probability": 1.0}, "no tag has a probability of 1 or more: the best has 0."),
        ({"allow": frozenset()}, "allow is an empty list"),
        ({"allow": frozenset({"heart pain"})}, "'heart pain' (near: 'L1')"),
        ({"allow": frozenset({"L99"})}, "not a key of this label set: 'L99' (near: 'L9'"),
        ({"allow": frozenset("!?+*")}, "'!'; '*'; '+'; and 1 more"),
        ({"deny": frozenset(f"L{n}" for n in range(16))}, "every candidate is in deny"),
    ],
)
def test_a_document_without_tags_has_a_reason(
    tagger: Tagger, wishes: dict[str, Any], said: str
) -> None:
    first, second = answer(tagger, ("b", None, " "), DOCUMENT, **wishes)
    assert (first["label_keys"], first["reason"]) == ([], "empty")
    assert (second["doc_id"], second["label_keys"]) == ("a", [])
    assert said in second["reason"]


def test_tags_need_no_reason_also_where_some_keys_are_unknown(tagger: Tagger) -> None:
    (row,) = answer(tagger, DOCUMENT, allow=frozenset({"L1", "L99"}))
    assert (row["label_keys"], row["reason"]) == (["L1"], "")


def test_the_key_of_a_label_that_is_called_so_is_nearest(tagger: Tagger) -> None:
    assert near_keys(tagger.labels, "lung disease") == ["L2"]
    assert near_keys(tagger.labels, "") == []
