"""Checkpoints of encoders whose state has one tensor under two names, as T5's embeddings are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from lmtx_ray.config.components import EncoderConfig, FitConfig
from lmtx_ray.io.publish import Dataset
from lmtx_ray.student import training
from lmtx_ray.student.any_model import load_model
from lmtx_ray.student.checkpoints import restore, save_checkpoint
from lmtx_ray.student.encoder import Encoder
from lmtx_ray.student.examples import example_units
from tests.student.workers import published
from tests.tiny import save_encoder

CONFIG = FitConfig(
    batch_size=16, passes=1, checkpoint_every=1, dtype="float32", threads=1, learning_rate=1e-2
)
TEXTS = ["a study of heart pain", "lung disease", "skin"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_encoder(tmp_path_factory.mktemp("tied"), "t5")


def test_tied_weights_are_the_same_after_a_restart_and_still_tied(
    encoder: str, tmp_path: Path
) -> None:
    before, after = (load_model(encoder, device="cpu") for _ in range(2))
    optimizers = [training.new_optimizer(one, CONFIG) for one in (before, after)]
    with torch.no_grad():
        before[0].auto_model.shared.weight.add_(1)
    save_checkpoint(before, optimizers[0], str(tmp_path), 3)
    assert restore(after, optimizers[1], str(tmp_path)) == 3
    found, wanted = after.state_dict(), before.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    tied = [name for name in found if name.endswith(("shared.weight", "embed_tokens.weight"))]
    assert len(tied) == 2
    assert len({found[name].data_ptr() for name in tied}) == 1


def test_an_encoder_with_tied_weights_is_trained_and_loads_anywhere(
    encoder: str, tmp_path: Path
) -> None:
    documents, labels, examples = published(tmp_path)
    output = Dataset(str(tmp_path / "trained"), "trained")
    units, work = example_units(documents, examples), str(tmp_path / "work")
    training.train(CONFIG, encoder, units, labels.files(), output, work, 0, 1, "cpu")
    own = EncoderConfig(model=output.folder(), dtype="float32", threads=1)
    vectors = Encoder(own).encode(TEXTS, "document")
    untrained = Encoder(own.model_copy(update={"model": encoder})).encode(TEXTS, "document")
    theirs = SentenceTransformer(output.folder(), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)
    assert np.abs(vectors - untrained).max() > 1e-3
