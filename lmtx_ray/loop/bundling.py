"""Freezes the best encoder, its index, the labels and the calibration into a servable folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.bundle.cache import local_folder
from lmtx_ray.config.components import PseudoLabelConfig
from lmtx_ray.evaluation import calibration
from lmtx_ray.loop.cycle import RunResult, held_aside_ids, model_of, verdict_steps
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.search.lexical import FILE
from lmtx_ray.search.shard_file import shard_files
from lmtx_ray.student.pseudo_labels import relative


def bundle_step(config: RunConfig, result: RunResult, fused: bool) -> None:
    """Publish the bundle of the winning state; a published bundle is left alone."""
    layout = result.layout
    if layout.bundle.is_complete():
        return
    from lmtx_ray.bundle.folder import BundleParts, write_bundle  # takes seconds to import

    state = layout.states[result.best]
    rankings = (state.corpus.hybrid if fused else state.corpus.dense).read()

    def save_index(folder: Path) -> None:
        for file in shard_files(local_folder(state.index.uri)):
            shutil.copyfile(file, folder / file.name)

    def save_lexical(folder: Path) -> None:
        shutil.copyfile(Path(local_folder(layout.lexical_index.uri)) / FILE, folder / FILE)

    parts = BundleParts(
        bundle_id=layout.bundle.fingerprint,
        model=model_of(layout, state),
        encoder=config.encoder,
        save_index=save_index,
        save_lexical=save_lexical,
        labels=layout.labels.read(),
        depth=config.shortlist.depth,
        fusion=_fusion(config) if fused else None,
        calibration=fit_calibration(rankings, result, config.pseudo_labels),
    )
    layout.bundle.publish_folder(lambda folder: write_bundle(parts, folder))


def _fusion(config: RunConfig) -> dict[str, float]:
    shortlist = config.shortlist
    return {
        "dense": shortlist.dense_weight,
        "lexical": shortlist.lexical_weight,
        "constant": shortlist.fusion_constant,
    }


def fit_calibration(
    rankings: pa.Table, result: RunResult, rules: PseudoLabelConfig
) -> calibration.Calibration:
    """score -> probability that the judge says yes, from held-aside documents.

    The scores are those of `rankings`, the targets the judge's P(yes); unclear pairs are left out.
    """
    judged = pa.concat_tables([step.read() for step in verdict_steps(result.layout, result.ran)])
    held_aside = held_aside_ids(result.layout)
    judged = relative(judged, rules)
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
