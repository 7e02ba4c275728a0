"""Batch and online tagging of one bundle: the same answers, and clear refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lmtx_ray import storage
from lmtx_ray.batch.outputs import read_tags
from lmtx_ray.corpus import DocumentsConfig
from lmtx_ray.publish import PublishError
from lmtx_ray.tagger import Tagger
from lmtx_ray.tagging import TagJob, tag_corpus
from tests.tiny import TOPICS, save_encoder
from tests.tiny_bundle import publish_bundle

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
PORT = 8123
DOCUMENTS = [
    {"id": f"d{n}", "title": f"A trial of {TOPICS[n % 8]}", "text": "pain in care " * (n % 5 + 1)}
    for n in range(40)
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bundles")
    return publish_bundle(folder / "bundle", save_encoder(folder / "model"))


@pytest.fixture(scope="module")
def service(bundle: str) -> Iterator[httpx.Client]:
    from ray import serve

    from serve_apps.tagger import TaggerArgs, app

    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(app(TaggerArgs(bundle=bundle)), name="tagger")
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60) as client:
        yield client
    serve.shutdown()


def test_batch_and_online_answers_are_equal(
    bundle: str, service: httpx.Client, tmp_path: Path
) -> None:
    reply = service.post("/v1/tag", json={"documents": DOCUMENTS, "top_k": 4}).json()
    assert reply["bundle_id"] == "test-bundle"
    source = tmp_path / "documents.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in DOCUMENTS))
    job = TagJob(bundle=bundle, source=DocumentsConfig(documents=(str(source),)),
                 output=str(tmp_path / "out"), top_k=4)  # fmt: skip
    result = tag_corpus(job, local=False)
    batch = {row["doc_id"]: row for row in read_tags(result["tags"]).to_pylist()}
    for entry in reply["results"]:
        row = batch[entry["id"]]
        tags = [
            {"key": k, "label": t, "score": s, "probability": p}
            for k, t, s, p in zip(row["label_keys"], row["labels"], row["scores"],
                                  row["probabilities"], strict=True)
        ]  # fmt: skip
        assert entry["tags"] == tags
    assert len(batch) == len(DOCUMENTS)


def test_every_tag_is_in_the_label_set_and_filters_hold(service: httpx.Client) -> None:
    body = {"documents": ["heart pain"], "top_k": 16, "allow": ["L0", "L1", "L5"], "deny": ["L5"]}
    (result,) = service.post("/v1/tag", json=body).json()["results"]
    assert {tag["key"] for tag in result["tags"]} == {"L0", "L1"}


def test_a_document_without_text_says_so(service: httpx.Client) -> None:
    (result,) = service.post("/v1/tag", json={"documents": [" \n"]}).json()["results"]
    assert (result["tags"], result["reason"]) == ([], "empty")


@pytest.mark.parametrize(
    "body",
    [{}, {"documents": []}, {"documents": [1]}, {"documents": ["x"], "top_k": 0},
     {"documents": ["x"] * 129}, {"documents": ["a\0b"], "top_k": 1},
     {"documents": [{"text": "a\0b"}]}, {"documents": ["x"], "unknown": 1},
     {"documents": ["x"], "min_probability": 2}],
)  # fmt: skip
def test_bad_requests_are_refused_with_the_field(service: httpx.Client, body: dict) -> None:
    reply = service.post("/v1/tag", json=body)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"]


def test_health_names_the_bundle(service: httpx.Client) -> None:
    assert service.get("/healthz").json() == {"status": "ok", "bundle_id": "test-bundle"}


def test_a_changed_bundle_is_not_loaded(bundle: str, tmp_path: Path) -> None:
    storage.download_folder(bundle, tmp_path / "copy")
    (tmp_path / "copy/bundle.json").write_text("{}")
    with pytest.raises(PublishError, match=r"bundle\.json is not the file"):
        Tagger.load(str(tmp_path / "copy"))
