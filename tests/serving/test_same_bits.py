"""Where the index lies, and in which company a document is asked, changes no bit of an answer."""

from __future__ import annotations

import asyncio
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.config.defaults import Defaults
from lmtx_ray.corpus.filters import Filter
from lmtx_ray.search.selection import Selection
from serve_apps.generation import Answer, Found, Generation, TagCall, merge_shards
from serve_apps.shard import load_held
from tests.tiny import TOPICS
from tests.tiny_bundle import publish_bundle

TEXTS = [f"patients {n} with {TOPICS[n % 8]} pain, {TOPICS[n % 3]} trial" for n in range(24)]


@pytest.fixture(scope="module", params=["fused", "dense"])
def bundle(request: pytest.FixtureRequest, encoder: str, tmp_path_factory) -> str:
    fusion = {"dense": 1.0, "lexical": 1.0, "constant": 60} if request.param == "fused" else None
    return publish_bundle(tmp_path_factory.mktemp("b") / "one", encoder, shards=3, fusion=fusion)


def sharded(bundle: str, executor: ThreadPoolExecutor) -> Generation:
    parts = [load_held(bundle, number, 2) for number in range(2)]

    async def search(
        bundle_id: str, vectors_BD: np.ndarray, k: int, selection: Selection | None
    ) -> Found:
        sent = pickle.loads(pickle.dumps(selection))  # as Ray sends it
        return merge_shards([part.search(vectors_BD, k, sent) for part in parts], k)

    held = open_bundle(bundle)
    return Generation(Tagger(held.folder, 1, with_index=False, held=held), executor, search)


def calls() -> list[TagCall]:
    """Requests of different sizes and depths, gathered in one pass."""
    cuts = [(0, 1, 3), (1, 9, None), (9, 10, 40), (10, 24, 1)]
    return [
        TagCall([(str(n), None, TEXTS[n]) for n in range(start, end)], top_k)
        for start, end, top_k in cuts
    ]


def test_a_sharded_service_answers_as_batch_does(bundle: str) -> None:
    tagger = Tagger.load(bundle, threads=1)
    with ThreadPoolExecutor(1) as executor:
        answers: list[Answer] = asyncio.run(sharded(bundle, executor).answer(calls()))
    for call, answer in zip(calls(), answers, strict=True):
        ids, texts = [row[0] for row in call.documents], [row[2] for row in call.documents]
        expected = tagger.tag(texts, call.top_k, ids=ids).to_pylist()
        assert answer.rows == expected
        assert answer.wanted == Defaults(call.top_k or 5, 0.0)


def test_each_request_of_a_pass_has_its_own_filters(bundle: str) -> None:
    """Of all documents, of one, of few labels and of most; sharded, as in batch."""
    filters = [
        Filter.of(["L1", "L5", "L8", "L13"]),
        Filter(),
        Filter.of(deny=["L2"]),
        Filter.of(under=["L0", "L4", "L6"]),
    ]
    own = [Filter.of(deny=["L5"]), Filter(), Filter.of(under="L4"), Filter.of([])]
    asked = [
        replace(
            call,
            filter=one,
            filters=tuple(own[n % 4] for n in range(len(call.documents))) if one else (),
        )
        for call, one in zip(calls(), filters, strict=True)
    ]
    tagger = Tagger.load(bundle, threads=1)
    with ThreadPoolExecutor(1) as executor:
        whole = asyncio.run(Generation(tagger, executor, None).answer(asked))
        answers = asyncio.run(sharded(bundle, executor).answer(asked))
    for call, one, answer, same in zip(asked, filters, answers, whole, strict=True):
        ids, texts = [row[0] for row in call.documents], [row[2] for row in call.documents]
        said = {"allow": one.allow, "deny": one.deny, "under": one.under}
        expected = tagger.tag(texts, call.top_k, ids=ids, filters=call.filters or None, **said)
        assert answer.rows == same.rows
        assert [{**row, "reason": ""} for row in answer.rows] == [
            {**row, "reason": ""} for row in expected.to_pylist()
        ]


def test_a_probability_does_not_depend_on_how_many_tags_are_asked_for(encoder, tmp_path) -> None:
    """Beyond a bundle's depth a longer list is searched; what a pair is known by is not more."""
    tagger = Tagger.load(publish_bundle(tmp_path / "one", encoder, fusion=None, depth=4), threads=1)
    few, many = (tagger.tag(TEXTS, k).to_pylist() for k in (3, 12))
    for one, other in zip(few, many, strict=True):
        assert other["label_keys"][:3] == one["label_keys"]
        assert other["probabilities"][:3] == one["probabilities"]
