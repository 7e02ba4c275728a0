"""The service as its clients meet it: answers, promotion under load, refusals, the page."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from tests.serving.conftest import Running, lmtx
from tests.serving.fuzzing import fuzz

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]
CHUNK = 50


def expected_tags(bundle: str, documents: list[dict[str, str]], top_k: int) -> dict[str, list]:
    """id -> tags as batch tagging gives them."""
    ids, titles, texts = ([row[name] for row in documents] for name in ("id", "title", "text"))
    table = Tagger.load(bundle, threads=1).tag(texts, top_k, ids=ids, titles=titles)
    names = ("label_keys", "labels", "scores", "probabilities")
    return {
        row["doc_id"]: [
            dict(zip(("key", "label", "score", "probability"), values, strict=True))
            for values in zip(*(row[name] for name in names), strict=True)
        ]
        for row in table.to_pylist()
    }


def tag(url: str, documents: list[dict[str, str]], top_k: int = 5) -> httpx.Response:
    return httpx.post(f"{url}/v1/tag", json={"documents": documents, "top_k": top_k}, timeout=60)


def test_batch_and_online_answers_are_equal_over_500_documents(
    service: Running, bundle: str, documents: list[dict[str, str]]
) -> None:
    expected = expected_tags(bundle, documents, 4)
    one_by_one = [documents[place : place + 1] for place in range(0, 50)]
    in_chunks = [documents[place : place + CHUNK] for place in range(50, 500, CHUNK)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda part: tag(service.url, part, 4), one_by_one + in_chunks))
    assert {reply.status_code for reply in replies} == {200}
    online = {
        entry["id"]: [
            {name: tag[name] for name in ("key", "label", "score", "probability")}
            for tag in entry["tags"]
        ]
        for reply in replies
        for entry in reply.json()["results"]
    }
    assert online == expected
    assert len(online) == 500


def test_tags_can_be_filtered_and_explained(client: httpx.Client) -> None:
    body = {
        "documents": ["heart pain"],
        "top_k": 16,
        "allow": ["L0", "L1", "L5"],
        "deny": ["L5"],
        "explain": True,
    }
    (result,) = client.post("/v1/tag", json=body).json()["results"]
    tags = {tag["key"]: tag for tag in result["tags"]}
    assert set(tags) == {"L0", "L1"}
    assert tags["L1"]["parents"] == [{"key": "L0", "label": "heart disease"}]
    assert tags["L1"]["evidence"]["words"] == ["heart", "pain"]
    assert tags["L1"]["evidence"]["lexical_rank"] == 1


def test_each_document_has_its_own_filter_beside_that_of_the_request(client: httpx.Client) -> None:
    body = {
        "documents": [
            "heart pain",
            {"text": "heart pain", "allow": ["L3", "L9", "L2"]},
            {"text": "heart pain", "under": "L8", "deny": []},
            {"text": "heart pain", "allow": []},
        ],
        "top_k": 16,
        "under": ["L0", "L2", "L8"],
    }
    results = client.post("/v1/tag", json=body).json()["results"]
    keys = [{tag["key"] for tag in result["tags"]} for result in results]
    assert keys == [{"L1", "L3", "L9"}, {"L3", "L9"}, {"L9"}, set()]
    assert results[3]["reason"] == "allow is an empty list"


def test_a_key_that_no_label_has_is_refused_by_name(client: httpx.Client) -> None:
    documents: list[object] = ["heart pain"] * 40
    documents[37] = {"text": "heart", "deny": ["lung pain"]}  # asked in another chunk
    for body, loc, said in (
        ({"documents": ["heart"], "under": "L77"}, ["body", "under"], "'L77' (near: "),
        ({"documents": documents}, ["body", "documents", 37, "deny"], "'lung pain' (near: 'L3')"),
    ):
        reply = client.post("/v1/tag", json=body)
        assert (reply.status_code, reply.json()["error"]) == (422, "unknown_keys")
        (problem,) = reply.json()["detail"]
        assert problem["loc"] == loc
        assert f"not a key of this label set: {said}" in problem["msg"]


def test_a_response_tells_what_its_tags_had_to_fulfil(client: httpx.Client) -> None:
    body = {"documents": ["heart pain"], "min_probability": 0.25}
    reply = client.post("/v1/tag", json=body).json()
    assert reply["wanted"] == {"top_k": 5, "min_probability": 0.25}
    assert all(tag["probability"] >= 0.25 for tag in reply["results"][0]["tags"])


def test_labels_are_found_by_words_and_by_key(client: httpx.Client) -> None:
    found = client.get("/v1/labels", params={"q": "HEART", "limit": 1}).json()
    assert found["labels"] == [{"key": "L1", "label": "heart pain"}]
    assert found["count"] == 16
    one = client.get("/v1/labels/L3").json()
    assert (one["label"], one["parents"]) == ("lung pain", [{"key": "L2", "label": "lung disease"}])
    assert client.get("/v1/labels/absent").status_code == 404


def test_a_document_without_text_says_so(client: httpx.Client) -> None:
    (result,) = client.post("/v1/tag", json={"documents": [" \n"]}).json()["results"]
    assert (result["tags"], result["reason"]) == ([], "empty")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"documents": []},
        {"documents": [1]},
        {"documents": ["x"], "top_k": 0},
        {"documents": ["x"] * 129},
        {"documents": ["a\0b"], "top_k": 1},
        {"documents": [{"text": 1}]},
        {"documents": ["x"], "unknown": 1},
        {"documents": ["x"], "min_probability": 2},
        {"documents": ["x"], "top_k": True},
    ],
)
def test_bad_requests_are_refused_with_the_field(client: httpx.Client, body: dict) -> None:
    reply = client.post("/v1/tag", json=body)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"]


def test_health_readiness_and_metrics_tell_the_bundle(client: httpx.Client) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    ready = client.get("/readyz").json()
    assert ready["ready"] is True
    assert ready["defaults"] == {"top_k": 5, "min_probability": 0.0}
    assert client.post("/v1/tag", json={"documents": ["heart"]}).status_code == 200
    text = client.get("/metrics").text
    assert 'lmtx_bundle{bundle_id="bundle-' in text
    for name in ("lmtx_requests_total", "lmtx_stage_seconds_bucket", "lmtx_tokens_total"):
        assert name in text


def test_the_page_is_there(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert client.get("/docs").status_code == 200


@pytest.mark.parametrize("given", ["mine-1", "not harmless!", None])
def test_an_answer_has_one_request_id(client: httpx.Client, given: str | None) -> None:
    reply = client.head("/readyz", headers={"X-Request-ID": given} if given else {})
    (returned,) = reply.headers.get_list("X-Request-ID")
    assert (reply.status_code, returned == given) == (200, given == "mine-1")


def test_large_headers_reach_the_guard(client: httpx.Client) -> None:
    reply = client.get("/healthz", headers={"X-Much": "a" * 40_000})
    assert (reply.status_code, reply.json()["error"]) == (431, "headers_too_large")


def test_what_people_say_is_kept(service: Running, client: httpx.Client) -> None:
    document = {"id": "a", "text": "heart pain", "answers": [{"key": "L1", "answer": "yes"}]}
    reply = client.post("/v1/feedback", json={"documents": [document]}).json()
    assert reply["kept"]
    (file,) = service.feedback.iterdir()
    assert [json.loads(line) for line in file.read_text().splitlines()[-1:]] == reply["rows"]


def test_no_request_that_the_description_allows_makes_the_service_fail(service: Running) -> None:
    assert not fuzz(service.url, examples=5).failures


class Asking:
    """Asks the same document again and again while something else happens."""

    def __init__(self, ask: Callable[[], httpx.Response]) -> None:
        self.replies: list[httpx.Response] = []
        self._ask, self._stop = ask, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.replies.append(self._ask())

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_promotion_and_rollback_lose_no_request_and_mix_no_bundle(
    service: Running, bundle: str, other_bundle: str, documents: list[dict[str, str]]
) -> None:
    some = documents[:3]
    expected = {
        name: expected_tags(uri, some, 5)
        for name, uri in (("bundle-one", bundle), ("bundle-two", other_bundle))
    }
    with Asking(lambda: tag(service.url, some)) as asking:
        there = lmtx("promote", "--bundle", other_bundle, "--address", service.ray)
        assert there.returncode == 0, there.stderr
        back = lmtx("rollback", state=service.state)
        assert back.returncode == 0, back.stderr
    assert json.loads(there.stdout)["bundle_id"] == "bundle-two"
    for done, before in ((there, bundle), (back, other_bundle)):
        assert json.loads(done.stdout)["service"] == f"{service.url}/"
        assert f"the service at {service.url}/, which answers with {before}" in done.stderr
    assert {reply.status_code for reply in asking.replies} == {200}
    bodies = [reply.json() for reply in asking.replies]
    assert {body["bundle_id"] for body in bodies} == {"bundle-one", "bundle-two"}
    for body in bodies:
        for result in body["results"]:
            wanted = expected[body["bundle_id"]][result["id"]]
            given = [{name: tag[name] for name in wanted[0]} for tag in result["tags"]]
            assert given == wanted
    assert httpx.get(f"{service.url}/v1/labels").json()["bundle_id"] == "bundle-one"


def test_a_bundle_with_wrong_answers_is_refused_and_the_old_one_stays(
    service: Running, other_bundle: str, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    Dataset(other_bundle).download(tmp_path / "copy")
    canaries = json.loads((tmp_path / "copy/canaries.json").read_text())
    canaries["probabilities"][0][0] = 0.0 if canaries["probabilities"][0][0] > 0.5 else 1.0
    (tmp_path / "copy/canaries.json").write_text(json.dumps(canaries))
    Dataset(str(broken), "broken").publish_folder(
        lambda folder: storage.download_folder(str(tmp_path / "copy"), folder)
    )
    refused = lmtx("promote", "--bundle", str(broken), "--address", service.ray)
    assert refused.returncode == 1
    assert "canary" in refused.stderr
    reply = tag(service.url, [{"id": "a", "text": "heart pain"}])
    assert (reply.status_code, reply.json()["bundle_id"]) == (200, "bundle-one")


@pytest.mark.slow  # as above, refused by another check, which has tests of its own
def test_what_is_no_bundle_is_not_promoted(service: Running, tmp_path: Path) -> None:
    for place, told in ((tmp_path, "not a bundle"), (tmp_path / "x", "x: no such bundle")):
        refused = lmtx("promote", "--bundle", str(place), "--address", service.ray)
        assert refused.returncode == 1
        assert told in refused.stderr
