"""The files of a bundle, written in one place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lmtx_ray.bundle import canary
from lmtx_ray.bundle.cache import DESCRIPTION, JUDGED, LABELS
from lmtx_ray.bundle.remaking import dump
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.label_set import save_labels
from lmtx_ray.corpus.label_texts import label_texts
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.evaluation.kindness import Kindness
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import MANIFEST
from lmtx_ray.search.index import shard_rows
from lmtx_ray.search.lexical import LexicalIndex


@dataclass(frozen=True)
class BundleParts:
    """What a bundle is made of.

    `model` is a sentence-transformers folder, local or s3; `save_index` writes the label index's
    shards into a folder, and `save_lexical` the lexical one, which is built from the labels where
    it is None; `fusion` holds the weights "dense" and "lexical" and the "constant" of
    reciprocal rank fusion, None for the dense ranking alone; `learned`, where all sides are weighed
    instead, writes the memory of judged documents and holds the weights; `depth` is the candidates
    a document gets from each side; `languages` are those of the lexical index, where it is built
    here. `calibration` is None where nothing is known to make
    probabilities of.
    `judged` is what is known of held-aside tags (JUDGED_TAGS), to choose a threshold by, and
    `kindness` is how its judge was read.
    """

    bundle_id: str
    model: str
    encoder: EncoderConfig
    save_index: Callable[[Path], object]
    labels: pa.Table
    depth: int
    fusion: dict[str, float] | None
    calibration: Calibration | None
    save_lexical: Callable[[Path], object] | None = None
    judged: pa.Table | None = None
    learned: tuple[Callable[[Path], object], Calibration] | None = None
    languages: tuple[str, ...] = ()
    kindness: Kindness | None = None

    def description(self, index_rows: list[int]) -> dict[str, Any]:
        """The content of bundle.json; `index_rows` are the rows of each shard of the index, so that
        whoever loads one needs none of the others."""
        return {
            "version": schemas.BUNDLE_VERSION,
            "bundle_id": self.bundle_id,
            "depth": self.depth,
            "encoder": self.encoder.model_dump(mode="json", exclude={"model", "threads"}),
            "fusion": self.fusion,
            "combiner": self.learned and self.learned[1].to_dict(),
            "index_rows": index_rows,
            "calibration": self.calibration and self.calibration.to_dict(),
            "kindness": self.kindness and asdict(self.kindness),
        }


def write_bundle(parts: BundleParts, folder: Path) -> None:
    """Write everything a Tagger loads, then ask it the canaries and keep its answers."""
    _copy_model(parts.model, folder / "encoder")
    (folder / "index").mkdir()
    parts.save_index(folder / "index")
    storage.write_table(str(folder / LABELS), parts.labels)  # for other programs
    save_labels(parts.labels, folder)
    if parts.fusion:
        (folder / "lexical").mkdir()
        save = parts.save_lexical or _built(parts).save
        save(folder / "lexical")
    if parts.learned:
        (folder / "memory").mkdir()
        parts.learned[0](folder / "memory")
    if parts.judged is not None:
        storage.write_table(str(folder / JUDGED), parts.judged)
    description = parts.description(shard_rows(folder / "index"))
    (folder / DESCRIPTION).write_bytes(dump(description))
    tagger = Tagger(str(folder), parts.encoder.threads)
    canary.make(tagger.labels.texts, tagger.tag).save(folder)


def _built(parts: BundleParts) -> LexicalIndex:
    return LexicalIndex.build(label_texts([parts.labels]), parts.languages)


def _copy_model(model: str, folder: Path) -> None:
    if storage.exists(storage.join(model, MANIFEST)):
        Dataset(model).download(folder)
    else:
        storage.download_folder(model, folder)
    shutil.rmtree(folder / "onnx", ignore_errors=True)
