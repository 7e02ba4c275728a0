"""A bundle tags by the languages and aliases of its own index."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lmtx_ray.bundle.folder import BundleParts, write_bundle
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.student.encoder import Encoder
from tests.tiny import save_encoder

ROWS = [
    {"label_key": "a", "text": "Krankenhaus", "aliases": ["hospital", "сердечная недостаточность"]},
    {"label_key": "b", "text": "Garten"},
    {"label_key": "c", "text": "Schule", "aliases": []},
]
WORDS_ALONE = {"dense": 0.0, "lexical": 1.0, "constant": 60}


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Tagger:
    folder = tmp_path_factory.mktemp("bundle")
    encoder = EncoderConfig(model=save_encoder(folder), dtype="float32", threads=1)
    rows = [{"label_id": n, **row} for n, row in enumerate(ROWS)]
    vectors = Encoder(encoder).encode([row["text"] for row in ROWS], "label")
    parts = BundleParts(
        "id",
        encoder.model,
        encoder,
        LabelIndex.build(vectors, 1).save,
        pa.Table.from_pylist(rows, schema=schemas.LABELS),
        depth=3,
        fusion=WORDS_ALONE,
        calibration=None,
        languages=("de", "ru"),
    )
    made = folder / "made"
    made.mkdir()
    write_bundle(parts, made)
    return Tagger(str(made), threads=1)


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        ("Die Krankenhäuser im Land", ["a"], ["krankenhaus"]),
        ("при острой сердечной недостаточности", ["a"], ["недостаточн", "сердечн"]),
        ("in the hospital gardens", ["a"], ["hospital"]),
        ("Gärten und Schulen", ["b", "c"], ["gart"]),
    ],
)
def test_inflected_words_and_aliases_find_their_label(
    tagger: Tagger, text: str, keys: list[str], words: list[str]
) -> None:
    assert sorted(tagger.tag([text], 3)["label_keys"].to_pylist()[0]) == keys
    vectors_BD = tagger.encode([text])
    asked = tagger.searches([None], [3])
    found = [tagger.search(vectors_BD, search.k) for search in asked]
    ranked = tagger.rank([text], vectors_BD, asked, found, [None], 3)
    evidence = tagger.explain(text, ranked, 0, keys[0])
    assert (evidence["lexical_rank"], evidence["words"]) == (1, words)
