"""The encoder: batches by token budget change nothing but speed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from lmtx_ray.config import ConfigError
from lmtx_ray.config_models import EncoderConfig, resolve_model
from lmtx_ray.encoder import Encoder, equal_width_batches, padded
from tests.tiny import TOPICS, save_encoder

TEXTS = [f"a study of {TOPICS[n % 8]} disease " + "pain " * (n * 7 % 23) for n in range(40)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_encoder(tmp_path_factory.mktemp("models"))


def encoder(model: str, **settings: object) -> Encoder:
    return Encoder(EncoderConfig(model=model, dtype="float32", threads=1, **settings))


def test_vectors_are_those_of_sentence_transformers_in_the_order_of_the_texts(model: str) -> None:
    plain = SentenceTransformer(model, device="cpu")
    plain.max_seq_length = 128
    expected = plain.encode(TEXTS, normalize_embeddings=True)
    vectors = encoder(model, token_budget=64).encode(TEXTS, "document")
    assert np.allclose(vectors, expected, atol=1e-5)
    assert np.allclose(encoder(model).encode(TEXTS, "document"), expected, atol=1e-5)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_documents_and_labels_are_cut_to_their_own_lengths(model: str) -> None:
    short = encoder(model, max_tokens=12, label_tokens=6)
    long_text, cut = "heart pain " * 50, "heart pain " * 6
    kept = short.encode([long_text, cut], "document")
    assert np.allclose(kept[0], kept[1], atol=1e-6)
    assert not np.allclose(short.encode([long_text], "label"), kept[:1], atol=1e-4)


def test_no_text_gives_no_vector(model: str) -> None:
    assert encoder(model).encode([], "label").shape == (0, 32)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_text_has_the_same_bits_alone_and_in_any_company(model: str, dtype: str) -> None:
    any_company = Encoder(EncoderConfig(model=model, dtype=dtype, threads=1, token_budget=512))
    together = any_company.encode(TEXTS, "document")
    alone = [any_company.encode([text], "document")[0] for text in TEXTS]
    reversed_order = any_company.encode(TEXTS[::-1], "document")[::-1]
    assert np.array_equal(together, np.stack(alone))
    assert np.array_equal(together, reversed_order)


@given(st.lists(st.integers(0, 200), max_size=60), st.integers(1, 400))
def test_every_text_is_in_one_batch_of_its_own_width(lengths: list[int], budget: int) -> None:
    batches = equal_width_batches(lengths, budget)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        (width,) = {padded(lengths[place]) for place in batch}
        assert len(batch) == 1 or len(batch) * width <= budget


def test_the_packaged_model_is_found_or_its_extra_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path(resolve_model("minilm"), "config.json").exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"lmtx_ray\[demo\]"):
        resolve_model("minilm")
