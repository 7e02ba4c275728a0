"""A BERT without transformers: the bits of transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.config.models import resolve_model
from lmtx_ray.student import bert, encoder
from lmtx_ray.student.any_model import AnyModel
from lmtx_ray.student.encoder import Encoder
from tests.tiny import TOPICS, save_encoder

TEXTS = [
    *(f"a study of {TOPICS[n % 8]} disease " + "pain " * (n * 7 % 23) for n in range(12)),
    "Naïve café, ÉTUDE",
    "心臓 病 and ﬁne ligatures",
    "[SEP] [CLS] [MASK] in a text",
    "tabs\tand\nlines\u00a0and \u200bzero widths \x07",
    "x" * 150,
    "é" * 30 + " " + "́" * 3,
    "",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_encoder(tmp_path_factory.mktemp("models"))


def vectors(monkeypatch: pytest.MonkeyPatch, name: str, plain: bool, **settings: object) -> bytes:
    with monkeypatch.context() as patch:
        patch.setattr(bert, "is_known", lambda folder: plain)
        config = EncoderConfig(model=name, threads=1, **{"dtype": "float32", **settings})
        built = Encoder(config, examples=TEXTS[:8] if settings.get("dtype") == "auto" else ())
    assert isinstance(built._model, bert.PlainBert if plain else AnyModel)
    found = built.encode(TEXTS, "document"), built.encode(TEXTS, "label")
    return np.concatenate(found).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "auto"])
@pytest.mark.parametrize("name", ["tiny", "minilm"])
def test_vectors_have_the_bits_of_the_library(
    monkeypatch: pytest.MonkeyPatch, model: str, name: str, dtype: str
) -> None:
    folder = model if name == "tiny" else resolve_model(name)
    assert bert.is_known(folder)
    if dtype == "auto":  # in int8, whether it is fast here or not
        monkeypatch.setattr(encoder, "has_int8", lambda: True)
    plain = vectors(monkeypatch, folder, True, dtype=dtype)
    assert plain == vectors(monkeypatch, folder, False, dtype=dtype)


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("config.json", "model_type", "roberta"),
        ("config.json", "hidden_act", "relu"),
        ("1_Pooling/config.json", "pooling_mode", "cls"),
        ("tokenizer.json", "normalizer", None),
    ],
)
def test_what_it_does_not_know_is_left_to_the_library(
    model: str, tmp_path: Path, file: str, name: str, value: object
) -> None:
    folder = shutil.copytree(model, tmp_path / "other")
    settings = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**settings, name: value}))
    assert not bert.is_known(str(folder))


def test_a_name_of_a_hub_is_left_to_the_library() -> None:
    assert not bert.is_known("some/model")
