"""A trained encoder's folder: others load it and get our vectors, and its card says what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from sentence_transformers import SentenceTransformer

from lmtx_ray.config.components import EncoderConfig, FitConfig
from lmtx_ray.config.models import resolve_model
from lmtx_ray.io.publish import Dataset
from lmtx_ray.student import training
from lmtx_ray.student.any_model import load_model
from lmtx_ray.student.bert import is_known
from lmtx_ray.student.encoder import Encoder
from lmtx_ray.student.model_card import Base, base_of
from tests.tiny import save_encoder

TEXTS = ["a study of heart pain", "lung disease", "skin " * 40]
COUNTS, LAST = {"examples": 1200, "labels": 8, "steps": 50}, {"loss": 0.5, "precision_at_1": 0.25}
WITH_VLLM = """
import json, os, sys
os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
               "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
from vllm import LLM
engine = LLM(sys.argv[1], runner="pooling", dtype="float32", enforce_eager=True)
texts = json.loads(sys.argv[2])
found = engine.embed(texts, tokenization_kwargs={"truncate_prompt_tokens": -1}, use_tqdm=False)
print(json.dumps([row.outputs.embedding for row in found]))
"""


def published(folder: Path, model: str, name: str, lengths: training.Lengths) -> str:
    """The folder of an encoder as a training publishes it."""
    output = Dataset(str(folder / name), name)
    student = load_model(model, device="cpu").eval()
    training.publish(student, output, model, FitConfig(), lengths, COUNTS, LAST)
    return output.folder()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("saved")
    return published(folder, save_encoder(folder), "one", training.Lengths(16, 8))


def ours(folder: str, tokens: int) -> np.ndarray:
    config = EncoderConfig(model=folder, max_tokens=tokens, dtype="float32", threads=1)
    return Encoder(config).encode(TEXTS, "document")


def cosines(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Of vectors that must have length 1."""
    np.testing.assert_allclose(np.linalg.norm(two, axis=1), 1, atol=1e-3)
    return (one * two).sum(axis=1)


def test_sentence_transformers_gives_the_same_vectors(saved: str) -> None:
    theirs = SentenceTransformer(saved, device="cpu")
    for found in (theirs.encode(TEXTS), theirs.encode_document(TEXTS), theirs.encode_query(TEXTS)):
        assert cosines(ours(saved, 16), found).min() > 0.9999
    assert theirs.max_seq_length == 16  # the last text is longer


def test_it_stays_a_folder_that_loads_fast_and_can_be_trained_again(
    saved: str, tmp_path: Path
) -> None:
    assert is_known(saved)
    again = published(tmp_path, saved, "two", training.Lengths(32, 8))
    assert SentenceTransformer(again, device="cpu").max_seq_length == 32
    kinds = [module["type"] for module in json.loads(Path(again, "modules.json").read_text())]
    names = ("Transformer", "Pooling", "Normalize")  # one that normalises, not two
    assert kinds == [f"sentence_transformers.models.{name}" for name in names]


def head(folder: str) -> dict:
    return yaml.safe_load(Path(folder, "README.md").read_text().split("---")[1])


def test_the_card_says_what_it_was_made_from_and_how(saved: str) -> None:
    text = Path(saved, "README.md").read_text()
    for said in ("1,200 documents", "| learning_rate | 5e-05 |", "loss 0.5000, and for 25 %"):
        assert said in text
    assert head(saved)["license"] == "unknown"
    assert "Its card does not say" in text
    assert str(Path(saved).parent) not in text  # the same training has the same card anywhere


def test_the_licence_is_that_of_the_model_at_the_start_of_the_line(tmp_path: Path) -> None:
    given = tmp_path / "given"
    save_encoder(tmp_path)
    (tmp_path / "encoder").rename(given)
    (given / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# A model\n")
    one = published(tmp_path, str(given), "one", training.Lengths())
    two = published(tmp_path, one, "two", training.Lengths())
    for folder in (one, two):
        assert (head(folder)["license"], head(folder)["base_model"]) == ("cc-by-4.0", "given")
    minilm = resolve_model("minilm")
    assert base_of("minilm", minilm).license == "apache-2.0"
    assert base_of("minilm", minilm).name == "sentence-transformers/all-MiniLM-L6-v2"


def test_a_model_of_a_hub_keeps_its_name() -> None:
    assert base_of("some/model", "some/model") == Base("some/model", "unknown")


@pytest.mark.parametrize("card", ["", "no head", "---\n- a\n---", "---\na: [\n---", "---"])
def test_a_broken_card_of_a_base_is_no_reason_to_fail(tmp_path: Path, card: str) -> None:
    (tmp_path / "README.md").write_text(card)
    assert base_of(str(tmp_path), str(tmp_path)).license == "unknown"


@pytest.mark.slow
def test_vllm_gives_the_same_vectors(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    folder = published(tmp_path, "minilm", "one", training.Lengths(24, 8))
    command = [sys.executable, "-c", WITH_VLLM, folder, json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    found = np.array(json.loads(done.stdout.splitlines()[-1]))
    assert cosines(ours(folder, 24), found).min() >= 0.999
