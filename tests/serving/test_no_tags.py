"""Why there are no tags: of each wish that may leave none, with keys that may have been meant."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.corpus.filters import Filter
from serve_apps.generation import UNKNOWN_KEYS, Generation, TagCall

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
        ({"filter": Filter.of([])}, "allow is an empty list"),
        ({"filter": Filter.of(deny=[f"L{n}" for n in range(16)])}, "no label fulfils the filter"),
        ({"filter": Filter.of(["L1"]), "min_probability": 1.0}, "probability of 1 or more"),
    ],
)
def test_a_document_without_tags_has_a_reason(
    tagger: Tagger, wishes: dict[str, Any], said: str
) -> None:
    first, second = answer(tagger, ("b", None, " "), DOCUMENT, **wishes)
    assert (first["label_keys"], first["reason"]) == ([], "empty")
    assert (second["doc_id"], second["label_keys"]) == ("a", [])
    assert said in second["reason"]


def test_unknown_keys_refuse_one_request_and_no_other(tagger: Tagger) -> None:
    """Each is named where it stands; requests that share the pass have their answers."""
    own = (Filter(), Filter.of(["L1", "heart pain"]))
    calls = [
        TagCall([DOCUMENT]),
        TagCall([DOCUMENT, DOCUMENT], filter=Filter.of(deny=list("!?+*")), filters=own, first=32),
        TagCall([DOCUMENT], filter=Filter.of(["L9"])),
    ]
    with ThreadPoolExecutor(1) as pool:
        first, wrong, last = asyncio.run(Generation(tagger, pool, None).answer(calls))
    assert (wrong.error, wrong.rows) == (UNKNOWN_KEYS, [])
    said = dict(wrong.problems)
    assert list(said) == [("body", "deny"), ("body", "documents", 33, "allow")]
    assert "'!'; '*'; '+'; and 1 more" in said["body", "deny"]
    assert "'heart pain' (near: 'L1')" in said["body", "documents", 33, "allow"]
    assert (len(first.rows[0]["label_keys"]), last.rows[0]["label_keys"]) == (5, ["L9"])
    assert not first.error + last.error


def test_the_key_of_a_label_that_is_called_so_is_nearest(tagger: Tagger) -> None:
    assert tagger.labels.near_keys("lung disease") == ["L2"]
    assert tagger.labels.near_keys("") == []
