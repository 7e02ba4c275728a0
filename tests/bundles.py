"""A small real bundle for tests: a two-layer encoder, its index, a lexical index, 16 labels."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from lmtx_ray import schemas, storage
from lmtx_ray.calibration import Calibration
from lmtx_ray.config_models import EncoderConfig
from lmtx_ray.encoder import Encoder
from lmtx_ray.index import LabelIndex
from lmtx_ray.lexical import LexicalIndex
from lmtx_ray.publish import StepOutput
from tests.tiny import TOPICS, save_encoder

LABELS = [f"{topic} {word}" for topic in TOPICS for word in ("disease", "pain")]


def save_bundle(folder: Path) -> str:
    """Publish the bundle under `folder`; returns where. Keys are L0 to L15."""
    encoder = save_encoder(folder / "model")
    settings = {"max_tokens": 64, "dtype": "float32"}
    vectors = Encoder(EncoderConfig(**settings, threads=1), encoder).encode(LABELS, "label")
    labels = pa.table({"label_id": range(len(LABELS)), "text": LABELS,
                       "label_key": [f"L{n}" for n in range(len(LABELS))]})  # fmt: skip
    description = {
        "version": 1, "bundle_id": "test-bundle", "depth": 16, "encoder": settings,
        "fusion": {"dense": 1.0, "lexical": 1.0, "constant": 60},
        "calibration": Calibration(1.0, 0.0, 0.0, 0.01).to_dict(),
    }  # fmt: skip

    def save(place: Path) -> None:
        storage.download_folder(encoder, place / "encoder")
        LabelIndex.build(vectors, 2).save(place / "index")
        LexicalIndex.build(LABELS).save(place / "lexical")
        storage.write_table(str(place / "labels.parquet"), schemas.conform(labels, schemas.LABELS))
        (place / "bundle.json").write_text(json.dumps(description))

    step = StepOutput(str(folder / "bundle"), "b")
    step.publish_folder(save)
    return step.uri
