"""The encoder: batches by token budget change nothing but speed."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from lmtx_ray.config.components import EncoderConfig, FitConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.config.models import resolve_model
from lmtx_ray.search.hardware import has_int8
from lmtx_ray.stages.embed import Embed
from lmtx_ray.student.any_model import load_model
from lmtx_ray.student.batching import packs
from lmtx_ray.student.data_parallel import TextVectors
from lmtx_ray.student.encoder import Encoder, Kind, equal_width_batches, padded
from tests.tiny import TOPICS, save_encoder

needs_int8 = pytest.mark.skipif(not has_int8(), reason="no int8 instructions on this CPU")
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


def test_a_text_without_a_token_is_the_zero_vector(model: str) -> None:
    vectors = encoder(model).encode(["heart", ""], "document")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize("kind", ["document", "label"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_text_has_the_same_bits_alone_and_in_any_company(
    model: str, dtype: str, kind: Kind
) -> None:
    any_company = Encoder(EncoderConfig(model=model, dtype=dtype, threads=1, token_budget=512))
    together = any_company.encode(TEXTS, kind)
    alone = [any_company.encode([text], kind)[0] for text in TEXTS]
    reversed_order = any_company.encode(TEXTS[::-1], kind)[::-1]
    assert np.array_equal(together, np.stack(alone))
    assert np.array_equal(together, reversed_order)


def in_int8(model: str, **settings: object) -> Encoder:
    return Encoder(EncoderConfig(model=model, threads=1, **settings), examples=TEXTS)


@needs_int8
def test_int8_vectors_are_close_to_those_of_float32(model: str) -> None:
    for name in (model, "minilm"):
        exact = encoder(name).encode(TEXTS, "document")
        close = in_int8(name).encode(TEXTS, "document")
        assert not np.array_equal(close, exact)  # it is int8
        assert ((close * exact).sum(axis=1) > 0.98).all()


@needs_int8
def test_an_int8_text_has_the_same_bits_in_any_company_and_with_any_threads(model: str) -> None:
    for name in (model, "minilm"):
        together = in_int8(name).encode(TEXTS, "document")
        any_company = Encoder(EncoderConfig(model=name, threads=2), examples=TEXTS)
        alone = [any_company.encode([text], "document")[0] for text in TEXTS]
        assert np.array_equal(together, np.stack(alone))
        assert np.array_equal(together, any_company.encode(TEXTS[::-1], "document")[::-1])


def learning_tensors() -> int:
    gc.collect()
    tensors = (each for each in gc.get_objects() if issubclass(type(each), torch.Tensor))
    return sum(tensor.requires_grad for tensor in tensors)  # also all that hold a graph


@pytest.mark.skipif(
    torch.cuda.is_available() or not hasattr(torch.ops.onednn, "qlinear_pointwise"),
    reason="torch has no int8 products here",
)
def test_an_int8_encoder_holds_no_graph_of_the_texts_that_set_its_ranges(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmtx_ray.student.encoder.has_int8", lambda: True)  # slow, but it computes
    before = learning_tensors()
    built = in_int8(model)
    assert learning_tensors() == before
    built.encode(TEXTS, "document")
    assert learning_tensors() == before


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_texts_longer_than_a_model_has_places_for_are_refused_as_it_is_loaded(
    tmp_path: Path, kind: str
) -> None:
    """Where a name of the hub told nothing before the run."""
    own = save_encoder(tmp_path, kind)
    most = 512 if kind == "bert" else 511
    longest = EncoderConfig(model=own, max_tokens=most, dtype="float32", threads=1)
    document = pa.table(
        {"doc_id": ["d"], "title": pa.nulls(1, pa.string()), "text": ["pain " * 600]}
    )
    assert Embed(longest, own)(document).num_rows == 1
    for field in ("max_tokens", "label_tokens"):
        with pytest.raises(ConfigError, match=rf"encoder\.{field}: 513 tokens.* can read {most}"):
            Embed(longest.model_copy(update={field: 513}), own)
        with pytest.raises(ConfigError, match=rf"fit\.{field}: 513 tokens.* can read {most}"):
            TextVectors(load_model(own, "cpu"), FitConfig(**{field: 513}))


@needs_int8
def test_int8_is_left_to_the_setting_auto_and_to_models_it_knows(model: str) -> None:
    exact = encoder(model).encode(TEXTS, "document")
    for dtype in ("float32", "bfloat16"):
        settings = EncoderConfig(model=model, dtype=dtype, threads=1)
        plain = Encoder(settings).encode(TEXTS, "document")
        assert np.array_equal(Encoder(settings, examples=TEXTS).encode(TEXTS, "document"), plain)
    assert not np.array_equal(in_int8(model).encode(TEXTS, "document"), exact)


@needs_int8
def test_texts_beyond_the_range_of_the_examples_and_without_a_token(model: str) -> None:
    narrow = Encoder(EncoderConfig(model=model, threads=1), examples=["heart"])
    vectors = narrow.encode([*TEXTS, ""], "document")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0] * len(TEXTS) + [0.0], abs=1e-5)


@given(st.lists(st.integers(0, 200), max_size=60), st.integers(1, 400))
def test_every_text_is_in_one_pack_in_order_of_length(lengths: list[int], budget: int) -> None:
    places = [place for pack in packs(lengths, budget) for place in pack]
    assert sorted(places) == [place for place, length in enumerate(lengths) if length]
    assert [lengths[place] for place in places] == sorted(filter(None, lengths), reverse=True)
    for pack in packs(lengths, budget):
        assert len(pack) == 1 or sum(lengths[place] for place in pack) <= budget


@given(st.lists(st.integers(0, 200), max_size=60), st.integers(1, 400), st.sampled_from([1, 8]))
def test_every_text_is_in_one_batch_of_its_own_width(
    lengths: list[int], budget: int, step: int
) -> None:
    batches = equal_width_batches(lengths, budget, step)
    some = [place for place, length in enumerate(lengths) if length]
    assert sorted(place for batch in batches for place in batch) == some
    for batch in batches:
        (width,) = {padded(lengths[place], step) for place in batch}
        assert len(batch) == 1 or len(batch) * width <= budget


def test_the_packaged_model_is_found_or_its_extra_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path(resolve_model("minilm"), "config.json").exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"lmtx_ray\[demo\]"):
        resolve_model("minilm")
