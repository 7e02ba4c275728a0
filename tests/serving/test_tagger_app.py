"""The parts of the service that need no cluster: bundles that change, chunks, missing shards."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lmtx_ray.bundle.cache import published_bundle
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.corpus.filters import Filter
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.io import storage
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.search.candidates import Candidates
from serve_apps.api import tag_in_chunks
from serve_apps.application import TaggerArgs, app
from serve_apps.bundles import BundleConfig, BundleError, Bundles
from serve_apps.generation import Answer, Generation, TagCall, merge_shards
from serve_apps.guard import BindingError, GuardSettings, Refusal, new_key, parse_keys
from serve_apps.ingress import bound
from serve_apps.shard import load_held


class Held:
    """A loaded bundle that is only a name."""

    def __init__(self, bundle_id: str) -> None:
        self.bundle_id = bundle_id


def bundles(wrong: set[str] = frozenset()) -> Bundles[Held]:
    async def load(uri: str) -> Held:
        if uri == "absent":
            raise FileNotFoundError(uri)
        return Held(uri)

    async def check(held: Held) -> str:
        return "wrong answers" if held.bundle_id in wrong else ""

    return Bundles(load, check)


async def change(held: Bundles[Held], **config: str) -> None:
    await held.apply(BundleConfig(**config))
    while held.promotion == "loading":
        await asyncio.sleep(0)


def test_a_bundle_takes_over_and_the_standby_stays_until_it_is_let_go() -> None:
    async def scenario() -> None:
        held = bundles()
        await change(held, bundle="a")
        await change(held, bundle="b", standby="a")
        assert (held.active.bundle_id, held.promotion) == ("b", "")
        assert held.get("a") is not None
        await change(held, bundle="b", rollback="a")
        assert held.get("a") is None

    asyncio.run(scenario())


@pytest.mark.parametrize("bad", ["wrong", "absent"])
def test_a_bundle_that_fails_leaves_the_old_one_answering(bad: str) -> None:
    async def scenario() -> None:
        held = bundles(wrong={"wrong"})
        await change(held, bundle="a")
        await change(held, bundle=bad, standby="a")
        assert held.active.bundle_id == "a"
        assert bad in held.promotion
        assert held.get(bad) is None

    asyncio.run(scenario())


def test_a_fresh_replica_falls_back_to_the_standby_or_does_not_start() -> None:
    async def scenario() -> None:
        held = bundles(wrong={"wrong"})
        await held.apply(BundleConfig(bundle="wrong", standby="a"))
        assert held.active.bundle_id == "a"
        with pytest.raises(BundleError, match="wrong answers"):
            await bundles(wrong={"wrong"}).apply(BundleConfig(bundle="wrong"))

    asyncio.run(scenario())


class Changing:
    """A backend whose replicas answer for the bundles of `turns`, one a call."""

    def __init__(self, turns: list[str], gone: set[str] = frozenset()) -> None:
        self._turns, self._gone = turns, gone

    async def tag(self, call: TagCall) -> Answer:
        if call.bundle_id:
            return Answer("" if call.bundle_id in self._gone else call.bundle_id)
        return Answer(self._turns.pop(0))


@pytest.mark.parametrize(
    ("turns", "gone", "expected"),
    [(["a", "a"], set(), "a"), (["a", "b"], set(), "a"), (["a", "b", "b", "b"], {"a"}, "b")],
)
def test_the_chunks_of_a_request_are_of_one_bundle(
    turns: list[str], gone: set[str], expected: str
) -> None:
    calls = [TagCall([("", None, "x")], 1), TagCall([("", None, "y")], 1)]
    answers = asyncio.run(tag_in_chunks(Changing(turns, gone), calls))
    assert [answer.bundle_id for answer in answers] == [expected, expected]


def test_a_bundle_that_changes_with_every_try_is_refused() -> None:
    calls = [TagCall([("", None, "x")], 1), TagCall([("", None, "y")], 1)]
    with pytest.raises(Refusal, match="bundle_changing"):
        asyncio.run(tag_in_chunks(Changing(["a", "b"] * 3, {"a"}), calls))


@pytest.mark.parametrize("deployments", [1, 2, 3, 5])
def test_any_number_of_shard_deployments_answers_like_the_index(
    other_bundle: str, deployments: int
) -> None:
    tagger = Tagger.load(other_bundle, threads=1)
    vectors = tagger.encode(["heart pain", "a study of the lung", "ear"])
    parts: list[Candidates | None] = []
    for number in range(deployments):
        held = load_held(other_bundle, number, deployments)
        assert held.bundle_id == "bundle-two"
        if held.shards:
            parts.append(held.search(vectors, 16))
    found = merge_shards(parts, 16)
    for merged, whole in zip(found.dense, tagger.search(vectors, 16), strict=True):
        assert np.array_equal(merged, whole)
    assert not found.partial


def test_a_missing_shard_makes_the_answer_partial(other_bundle: str) -> None:
    tagger = Tagger.load(other_bundle, threads=1)
    vectors = tagger.encode(["heart pain"])
    there = load_held(other_bundle, 0, 3).search(vectors, 4)
    found = merge_shards([there, None, None], 4)
    assert found.partial
    assert np.array_equal(found.dense[0], there[0])


def test_a_changed_bundle_is_not_loaded(bundle: str, tmp_path: Path) -> None:
    storage.download_folder(bundle, tmp_path / "copy")
    storage.write_bytes(published_bundle(f"{tmp_path}/copy").location("bundle.json"), b"{}")
    with pytest.raises(PublishError, match=r"bundle\.json is not the file"):
        Tagger.load(str(tmp_path / "copy"))


def test_a_bundle_answers_its_own_canaries(bundle: str) -> None:
    assert Tagger.load(bundle, threads=1).check() == ""


def test_an_open_address_needs_keys(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMTX_API_KEYS", raising=False)
    monkeypatch.delenv("LMTX_API_KEYS_FILE", raising=False)
    with pytest.raises(BindingError, match="without API keys"):
        app(TaggerArgs(bundle=bundle, host="0.0.0.0"))


def test_what_serve_is_bound_to_counts_and_not_what_the_application_was_told() -> None:
    told = GuardSettings(host="127.0.0.1")
    with pytest.raises(BindingError, match="without API keys"):
        bound(told, "0.0.0.0", insecure=False)
    assert bound(told, "0.0.0.0", insecure=True).host == "0.0.0.0"
    keys = parse_keys([new_key("anna")[1]], "test")
    assert bound(GuardSettings(host="127.0.0.1", keys=keys), "10.0.0.5", False).host == "10.0.0.5"
    assert bound(told, "::1", insecure=False).host == "::1"
    behind = GuardSettings(host="0.0.0.0", keys=keys)  # a proxy of this machine answers the network
    assert bound(behind, "127.0.0.1", insecure=False).host == "0.0.0.0"


def test_a_title_counts_in_the_size_of_a_pass_as_a_text_does() -> None:
    words = "word " * 100
    titled = [("", words, ""), ("", words, words), ("", words * 10, words * 10)]
    plain = [("", None, words), ("", None, words * 2), ("", "", words * 20)]
    assert TagCall(titled).tokens(1000) == TagCall(plain).tokens(1000)


def test_of_many_wrong_keys_only_the_first_are_looked_for_among_the_others(
    bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes its time, and the thread is the one that tags; but each of them is counted."""
    looked: list[str] = []
    find = LabelSet.near_keys

    def near_keys(labels: LabelSet, key: str) -> list[str]:
        looked.append(key)
        return find(labels, key)

    monkeypatch.setattr(LabelSet, "near_keys", near_keys)
    keys = [
        [f"L {field} {n} {number}" for number in range(3)] for field in "123" for n in range(32)
    ]
    wrong = [Filter.of(*(keys[n + 32 * field] for field in range(3))) for n in range(32)]
    call = TagCall([("", None, "x")] * 32, filters=tuple(wrong))
    with ThreadPoolExecutor(1) as executor:
        generation = Generation(Tagger.load(bundle, threads=1), executor, None)
        (answer,) = asyncio.run(generation.answer([call]))
    assert (answer.error, len(answer.problems)) == ("unknown_keys", 3 * 32)
    assert len(looked) < 8
    place, said = answer.problems[0]
    assert place == ("body", "documents", 0, "allow")
    assert said.startswith("not a key of this label set: 'L 1 0 0' (near: 'L1")
    last = "not a key of this label set: 'L 3 31 0'; 'L 3 31 1'; 'L 3 31 2'"
    assert answer.problems[-1][1] == last
