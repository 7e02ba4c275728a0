"""Freezes the best encoder, its index, the labels and the calibration into a servable folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray import calibration, storage
from lmtx_ray.cycle import RunResult, held_aside_ids, model_of, verdict_steps
from lmtx_ray.lexical import LexicalIndex
from lmtx_ray.publish import StepOutput
from lmtx_ray.settings import RunConfig

VERSION = 1


def bundle_step(config: RunConfig, result: RunResult, fused: bool) -> None:
    """Publish the bundle of the winning state; a published bundle is left alone."""
    layout = result.layout
    if layout.bundle.is_complete():
        return
    state = layout.states[result.best]
    rankings = (state.hybrid if fused else state.dense).read()
    description = {
        "version": VERSION,
        "bundle_id": layout.bundle.fingerprint,
        "state": result.best,
        "encoder": config.encoder.model_dump(mode="json", exclude={"model"}),
        "fusion": _fusion(config) if fused else None,
        "depth": config.shortlist.depth,
        "calibration": fit_calibration(rankings, result).to_dict(),
    }

    def save(folder: Path) -> None:
        _copy_model(model_of(layout, state), folder / "encoder")
        storage.download_folder(state.index.uri, str(folder / "index"))
        (folder / "index" / "MANIFEST.json").unlink()
        labels = layout.labels.read()
        storage.write_table(str(folder / "labels.parquet"), labels)
        if fused:
            LexicalIndex.build(labels["text"].to_pylist()).save(folder / "lexical")
        text = json.dumps(description, indent=1, sort_keys=True)
        (folder / "bundle.json").write_text(text + "\n", encoding="utf-8")

    layout.bundle.publish_folder(save)


def _fusion(config: RunConfig) -> dict[str, Any]:
    shortlist = config.shortlist
    return {
        "dense": shortlist.dense_weight,
        "lexical": shortlist.lexical_weight,
        "constant": shortlist.fusion_constant,
    }


def _copy_model(model: str, folder: Path) -> None:
    if storage.exists(storage.join(model, "MANIFEST.json")):
        StepOutput(model, "").verify()
    storage.download_folder(model, str(folder))
    (folder / "MANIFEST.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "onnx", ignore_errors=True)


def fit_calibration(rankings: pa.Table, result: RunResult) -> calibration.Calibration:
    """score -> probability that the judge says yes, from held-aside documents.

    The scores are those of `rankings`, the targets the judge's P(yes); unclear pairs are left out.
    """
    judged = pa.concat_tables([step.read() for step in verdict_steps(result.layout, result.ran)])
    held_aside = held_aside_ids(result.layout)
    judged = judged.filter(pc.is_valid(judged["p_yes"]))
    p_yes = {
        (row["doc_id"], row["label_id"]): row["p_yes"]
        for row in judged.select(["doc_id", "label_id", "p_yes"]).to_pylist()
        if row["doc_id"] in held_aside
    }
    scores, targets = [], []
    for row in rankings.to_pylist():
        for label, score in zip(row["label_ids"], row["scores"], strict=True):
            if (row["doc_id"], label) in p_yes:
                scores.append(score)
                targets.append(p_yes[row["doc_id"], label])
    return calibration.fit(np.array(scores, dtype=np.float64), np.array(targets, dtype=np.float64))
