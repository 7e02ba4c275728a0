"""Training on real Ray Train workers: it learns, resumes to the same bits, and loads anywhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lmtx_ray import schemas, storage
from lmtx_ray.config_models import EncoderConfig, FitConfig, paper_fit
from lmtx_ray.encoder import Encoder
from lmtx_ray.publish import StepOutput
from lmtx_ray.stages import fit as fitting
from tests.tiny import TOPICS, save_encoder

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
LABELS = pa.table({"text": [f"{topic} disease" for topic in TOPICS]})
SMALL = {"passes": 3, "batch_size": 8, "learning_rate": 1e-3, "threads": 1, "checkpoint_every": 2}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_encoder(tmp_path_factory.mktemp("models"))


def corpus() -> tuple[pa.Table, pa.Table]:
    rows = [(f"d{number}", number % len(TOPICS)) for number in range(40)]
    documents = pa.table(
        {
            "doc_id": [doc_id for doc_id, _ in rows],
            "title": [None] * len(rows),
            "text": [f"a study of {TOPICS[topic]} pain in patients" for _, topic in rows],
        }
    )
    examples = pa.table(
        {
            "doc_id": [doc_id for doc_id, _ in rows],
            "positives": [[topic] for _, topic in rows],
            "targets": [[0.9]] * len(rows),
            "hard_negatives": [[(topic + 1) % len(TOPICS)] for _, topic in rows],
        }
    )
    return documents, schemas.conform(examples, schemas.EXAMPLES)


def train(folder: Path, encoder: str, config: FitConfig) -> StepOutput:
    documents, examples = corpus()
    output = StepOutput(str(folder / "encoder"), "f")
    fitting.fit(documents, LABELS, examples, encoder, config, output, str(folder / "work"))
    return output


def weights(output: StepOutput) -> str:
    (file,) = storage.list_files(output.uri, "model.safetensors")
    return hashlib.sha256(storage.read_bytes(file)).hexdigest()


def accuracy(model: str) -> float:
    documents, examples = corpus()
    encoder = Encoder(EncoderConfig(model=model, dtype="float32", threads=1))
    scores = (
        encoder.encode(documents["text"].to_pylist(), "document")
        @ encoder.encode(LABELS["text"].to_pylist(), "label").T
    )
    own = np.array([labels[0] for labels in examples["positives"].to_pylist()])
    return float((scores.argmax(axis=1) == own).mean())


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_student_learns_what_the_judge_accepted(
    tmp_path: Path, encoder: str, workers: int
) -> None:
    output = train(tmp_path, encoder, FitConfig(**{**SMALL, "passes": 6}, workers=workers))
    assert accuracy(output.uri) > max(accuracy(encoder), 0.9)
    from sentence_transformers import SentenceTransformer

    assert SentenceTransformer(output.uri, device="cpu").encode(["heart"]).shape == (1, 32)


def test_a_run_stopped_after_a_checkpoint_ends_with_the_same_bits(
    tmp_path: Path, encoder: str
) -> None:
    config = FitConfig(**SMALL)
    whole = train(tmp_path / "whole", encoder, config)
    first = train(tmp_path / "again", encoder, config)
    checkpoints = fitting.checkpoints(str(tmp_path / "again/work"))
    assert len(checkpoints) == fitting.KEPT
    storage.remove_folder(first.uri)  # as after a kill: checkpoints, no published encoder
    storage.remove_folder(checkpoints[-1])
    resumed = train(tmp_path / "again", encoder, config)
    assert weights(resumed) == weights(whole)


def test_the_paper_recipe_trains_from_the_same_examples(tmp_path: Path, encoder: str) -> None:
    config = paper_fit(batch_size=8, passes=4, warmup=2, learning_rate=1e-3, threads=1)
    output = train(tmp_path, encoder, config)
    assert weights(output) != hashlib.sha256(
        storage.read_bytes(f"{encoder}/model.safetensors")
    ).hexdigest()
    assert accuracy(output.uri) > accuracy(encoder)


def test_without_examples_there_is_a_clear_error(tmp_path: Path, encoder: str) -> None:
    documents, examples = corpus()
    output = StepOutput(str(tmp_path / "encoder"), "f")
    with pytest.raises(ValueError, match="the judge accepted no candidate"):
        fitting.fit(documents, LABELS, examples.slice(0, 0), encoder, FitConfig(), output,
                    str(tmp_path / "work"))  # fmt: skip
