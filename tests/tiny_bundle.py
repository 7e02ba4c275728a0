"""A small real bundle, made on the spot: a random encoder, sixteen labels, both sides fused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from lmtx_ray.bundle.folder import BundleParts, write_bundle
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.config.label_template import PLAIN
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.label_texts import encoder_texts
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.evaluation.pair_features import DENSE, FUSED, LEARNED
from lmtx_ray.io.publish import Dataset
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.memory import Remembered
from lmtx_ray.student.encoder import Encoder
from tests.tiny import TOPICS

LABELS = [f"{topic} {word}" for topic in TOPICS for word in ("disease", "pain")]
FUSION = {"dense": 1.0, "lexical": 1.0, "constant": 60}


def labels_table() -> pa.Table:
    """Keys L0, L1, …; each odd label ("… pain") is the child of the one before it."""
    numbers = range(len(LABELS))
    table = pa.table(
        {
            "label_id": numbers,
            "label_key": [f"L{n}" for n in numbers],
            "text": LABELS,
            "parent_keys": [[f"L{n - 1}"] if n % 2 else None for n in numbers],
        }
    )
    return schemas.conform(table, schemas.LABELS)


def calibration_of(fusion: dict[str, float] | None, slope: float) -> Calibration:
    """One that looks at everything there is."""
    features = FUSED if fusion else DENSE
    ones = (1.0,) * len(features)
    return Calibration(features, tuple(slope / 4 for _ in ones), (0.0,) * len(ones), ones, 2.0)


def learned_weights() -> Calibration:
    """Weights of all sides, of which votes count most."""
    zeros, ones = (0.0,) * len(LEARNED), (1.0,) * len(LEARNED)
    weights = tuple(3.0 if name == "votes" else 0.2 for name in LEARNED)
    return Calibration(LEARNED, weights, zeros, ones, -1.0)


def publish_bundle(
    folder: Path,
    encoder: str,
    bundle_id: str = "test-bundle",
    shards: int = 2,
    fusion: dict[str, float] | None = FUSION,
    slope: float | None = 1.0,
    depth: int = 16,
    judged: pa.Table | None = None,
    remembered: Remembered | None = None,
    template: str = PLAIN,
) -> str:
    """A published bundle at `folder`; other `slope`s give other probabilities, and None gives none.
    With a memory of judged documents all sides are weighed."""
    settings = EncoderConfig(
        model=encoder, max_tokens=64, dtype="float32", threads=1, label_template=template
    )
    vectors = Encoder(settings).encode(encoder_texts(labels_table(), template), "label")
    parts = BundleParts(
        bundle_id,
        encoder,
        settings,
        LabelIndex.build(vectors, shards).save,
        labels_table(),
        depth=depth,
        fusion=fusion,
        calibration=None if slope is None else calibration_of(fusion, slope),
        judged=judged,
        learned=remembered and (remembered.save, learned_weights()),
    )
    Dataset(str(folder), bundle_id).publish_folder(lambda local: write_bundle(parts, local))
    return str(folder)
