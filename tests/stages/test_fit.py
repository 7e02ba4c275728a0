"""Training on real Ray Train workers: it learns, resumes to the same bits, and loads anywhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from lmtx_ray.config.components import EncoderConfig, FitConfig
from lmtx_ray.config.resources import FitResources
from lmtx_ray.corpus import schemas
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.stages.fit import fit
from lmtx_ray.student import checkpoints, training
from lmtx_ray.student.any_model import load_model
from lmtx_ray.student.data_parallel import TextVectors
from lmtx_ray.student.encoder import Encoder
from lmtx_ray.student.examples import ExampleReader, LabelTexts, example_units
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


def published(folder: Path, name: str, table: pa.Table) -> Dataset:
    step = Dataset(str(folder / name), name)
    if not step.is_complete():
        half = table.num_rows // 2
        step.commit_table("0", table.slice(0, half), rows_in=half)
        step.commit_table("1", table.slice(half), rows_in=table.num_rows - half)
        step.publish(["0", "1"])
    return step


def inputs(folder: Path, rows: int = 40) -> list[Dataset]:
    documents, examples = corpus()
    tables = {"documents": documents, "labels": LABELS, "examples": examples.slice(0, rows)}
    return [published(folder, name, table) for name, table in tables.items()]


def train(
    folder: Path, encoder: str, config: FitConfig, rows: int = 40, cpus: float = 1
) -> Dataset:
    """The trained encoder."""
    steps, output = inputs(folder, rows), Dataset(str(folder / "encoder"), "f")
    fit(*steps, encoder, config, output, str(folder / "work"), FitResources(cpus=cpus))
    return output


def weights(output: Dataset) -> str:
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


# four share the two cores; of one to four it takes the two that fit. One worker is trained in e2e,
# two in e2e/test_loop, and that both learn the same is in student/test_workers
@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "cpus"),
    [
        (1, 1),
        (2, 1),
        (4, 0.5),
        ((1, 4), 1),
    ],
)
def test_the_student_learns_what_the_judge_accepted(
    tmp_path: Path, encoder: str, workers: int | tuple[int, int], cpus: float
) -> None:
    config = FitConfig(**{**SMALL, "passes": 10}, workers=workers)
    output = train(tmp_path, encoder, config, cpus=cpus)
    assert accuracy(output.uri) > max(accuracy(encoder), 0.9)
    assert not (tmp_path / "work").exists()  # nothing is left of the checkpoints
    from sentence_transformers import SentenceTransformer

    assert SentenceTransformer(output.folder(), device="cpu").encode(["heart"]).shape == (1, 32)


def test_training_goes_on_from_a_checkpoint_to_the_same_bits(tmp_path: Path, encoder: str) -> None:
    config, work = FitConfig(**SMALL, dtype="float32"), str(tmp_path / "work")
    documents, labels, examples = inputs(tmp_path)
    units = example_units(documents, examples)

    def learn(stop: int) -> dict[str, torch.Tensor]:
        student = load_model(encoder, device="cpu").train()
        reader = ExampleReader(units, training.example_order(units, config))
        names = LabelTexts(labels.files())
        optimizer = training.new_optimizer(student, config)
        vectors = TextVectors(student, config)
        for step in range(checkpoints.restore(student, optimizer, work), stop):
            batch = training.make_batch(reader.rows(step), names, config, step)
            training.train_step(vectors, optimizer, batch, config, step, total=15)
        if stop < 15:
            checkpoints.save_checkpoint(student, optimizer, work, stop)
        return student.state_dict()

    whole = learn(15)
    learn(3)
    learn(7)
    learn(9)
    assert len(checkpoints.checkpoints(work)) == checkpoints.KEPT
    newest = checkpoints.checkpoints(work)[-1]  # damaged, it is passed over for the one before
    storage.write_bytes(f"{newest}/model.safetensors", b"cut short")
    resumed = learn(15)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_the_paper_recipe_trains_from_the_same_examples(tmp_path: Path, encoder: str) -> None:
    given = {"batch_size": 8, "passes": 4, "warmup": 2, "learning_rate": 1e-3, "threads": 1}
    config = FitConfig(recipe="paper", **given)
    assert (config.init, config.max_tokens) == ("pretrained", 450)  # as published, unless given
    documents, labels, examples = inputs(tmp_path)
    output = Dataset(str(tmp_path / "encoder"), "f")
    training.train(
        config,
        encoder,
        example_units(documents, examples),
        labels.files(),
        output,
        str(tmp_path / "work"),
        rank=0,
        world=1,
        device="cpu",
    )
    assert (
        weights(output)
        != hashlib.sha256(storage.read_bytes(f"{encoder}/model.safetensors")).hexdigest()
    )
    assert accuracy(output.uri) > accuracy(encoder)


def test_without_examples_there_is_a_clear_error(tmp_path: Path, encoder: str) -> None:
    with pytest.raises(ValueError, match="the judge accepted no candidate"):
        train(tmp_path, encoder, FitConfig(), rows=0)
