"""Batch and online tagging of one bundle: the same answers, and clear refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lmtx_ray import schemas, storage
from lmtx_ray.calibration import Calibration
from lmtx_ray.config_models import EncoderConfig
from lmtx_ray.corpus import ColumnMap, DocumentsConfig
from lmtx_ray.encoder import Encoder
from lmtx_ray.index import LabelIndex
from lmtx_ray.lexical import LexicalIndex
from lmtx_ray.publish import PublishError, StepOutput, read_published
from lmtx_ray.tagger import Tagger
from lmtx_ray.tagging import TagJob, plan_tags, tag_corpus
from tests.tiny import TOPICS, save_encoder

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
PORT = 8123
LABELS = [f"{topic} {word}" for topic in TOPICS for word in ("disease", "pain")]
DOCUMENTS = [
    {"id": f"d{n}", "title": f"A trial of {TOPICS[n % 8]}", "text": "pain in care " * (n % 5 + 1)}
    for n in range(40)
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    import pyarrow as pa

    models = tmp_path_factory.mktemp("models")
    encoder = save_encoder(models)
    settings = {"max_tokens": 64, "dtype": "float32"}
    vectors = Encoder(EncoderConfig(**settings, threads=1), encoder).encode(LABELS, "label")
    numbers = range(len(LABELS))
    labels = pa.table({"label_id": numbers, "label_key": [f"L{n}" for n in numbers],
                       "text": LABELS})  # fmt: skip
    description = {
        "version": 1, "bundle_id": "test-bundle", "depth": 16, "encoder": settings,
        "fusion": {"dense": 1.0, "lexical": 1.0, "constant": 60},
        "calibration": Calibration(1.0, 0.0, 0.0, 0.01).to_dict(),
    }  # fmt: skip

    def save(folder: Path) -> None:
        storage.download_folder(encoder, folder / "encoder")
        LabelIndex.build(vectors, 2).save(folder / "index")
        LexicalIndex.build(LABELS).save(folder / "lexical")
        storage.write_table(str(folder / "labels.parquet"), schemas.conform(labels, schemas.LABELS))
        (folder / "bundle.json").write_text(json.dumps(description))

    step = StepOutput(str(tmp_path_factory.mktemp("bundles") / "bundle"), "b")
    step.publish_folder(save)
    return step.uri


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
    job = TagJob(bundle, DocumentsConfig(documents=(str(source),)), str(tmp_path / "out"), top_k=4)
    result = tag_corpus(job)
    batch = {row["doc_id"]: row for row in read_published(result["tags"]).to_pylist()}
    for entry in reply["results"]:
        row = batch[entry["id"]]
        tags = [
            {"key": k, "label": t, "score": s, "probability": p}
            for k, t, s, p in zip(row["label_keys"], row["labels"], row["scores"],
                                  row["probabilities"], strict=True)
        ]  # fmt: skip
        assert entry["tags"] == tags
    assert len(batch) == len(DOCUMENTS)


def test_tagging_again_changes_nothing_and_other_input_needs_another_folder(
    bundle: str, tmp_path: Path
) -> None:
    source = tmp_path / "documents.csv"
    source.write_text("key,body\na,heart pain\nb,\nc,ear\na,again\n")
    columns = ColumnMap(doc_id="key", text="body")
    documents = DocumentsConfig(documents=(str(source),), columns=columns)
    job = TagJob(bundle, documents, str(tmp_path / "out"))
    first = tag_corpus(job)
    assert (first["documents"], first["rejects"]) == (2, 2)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert tag_corpus(job) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    assert plan_tags(job)["complete"]
    source.write_text("key,body\na,lung pain\nc,ear\n")
    with pytest.raises(PublishError, match="use another folder"):
        tag_corpus(job)


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
