"""A bundle without training: the packaged encoder as it is and the labels of the sample."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from lmtx_ray.bundle.folder import BundleParts, write_bundle
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.config.models import resolve_model
from lmtx_ray.config.search import FUSION_CONSTANT
from lmtx_ray.corpus import schemas
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.io.publish import Dataset
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.student.encoder import Encoder

SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "biomedical"
ENCODER = EncoderConfig(model="minilm", max_tokens=128, threads=2, token_budget=2048)
FUSION = {"dense": 1.0, "lexical": 1.0, "constant": float(FUSION_CONSTANT)}


def sample_rows(name: str) -> list[dict]:
    """Rows of a file of the sample."""
    with gzip.open(SAMPLE / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def sample_labels() -> pa.Table:
    """All 29,351 labels of the sample."""
    rows = sample_rows("labels")
    table = pa.table(
        {
            "label_id": range(len(rows)),
            "label_key": [row["uid"] for row in rows],
            "text": [row["title"] for row in rows],
        }
    )
    return schemas.conform(table, schemas.LABELS)


def publish_plain(
    folder: Path, shards: int = 1, fused: bool = False, most: int | None = None
) -> str:
    """Publish such a bundle, of the first `most` labels, at `folder` unless it is there already."""
    name = f"plain-{shards}-{'fused' if fused else 'dense'}"
    step = Dataset(str(folder), name)
    if not step.is_complete():
        labels = sample_labels().slice(0, most)
        vectors_LD = Encoder(ENCODER).encode(labels["text"].to_pylist(), "label")
        save = LabelIndex.build(vectors_LD, shards).save
        publish_labels(folder, name, labels, save, FUSION if fused else None)
    return step.uri


def publish_labels(
    folder: Path,
    name: str,
    labels: pa.Table,
    save_index: Callable[[Path], object],
    fusion: dict[str, float] | None = FUSION,
) -> str:
    """Publish a bundle of any labels, whose index is what `save_index` writes; its URI."""
    step = Dataset(str(folder), name)
    parts = BundleParts(
        step.fingerprint,
        resolve_model("minilm"),
        ENCODER,
        save_index,
        labels,
        depth=100,
        fusion=fusion,
        calibration=Calibration(("score",), (10.0,), (0.0,), (1.0,), -3.0),
    )
    step.publish_folder(lambda local: write_bundle(parts, local))
    return step.uri
