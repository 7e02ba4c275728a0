"""The texts that the measurement of scale is made of."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from benchmarks.scale import letters, words
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.corpus.stems import Words
from lmtx_ray.student.encoder import Encoder
from tests.tiny import save_encoder


def test_a_number_is_one_word_and_a_word_one_number() -> None:
    assert [letters(number) for number in (1, 26, 27, 702)] == ["ax", "zx", "aax", "zzx"]
    made = [letters(number) for number in range(1, 20_001)]
    cut = Words(()).label(" ".join(made))
    assert [word for words in cut for word in words] == made
    assert len(set(made)) == 20_000


def test_the_encoder_tells_generated_texts_apart(tmp_path: Path) -> None:
    draw = random.Random(1)
    texts = list({words(draw, 3) for _ in range(50)})
    encoder = Encoder(EncoderConfig(model=str(save_encoder(tmp_path)), threads=1))
    vectors_BD = encoder.encode(texts, "label")
    assert len(np.unique(vectors_BD.round(4), axis=0)) == len(texts)
