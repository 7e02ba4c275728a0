"""Freezes the best encoder, its index, the labels and the calibration into a servable folder."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from lmtx_ray.config.components import PseudoLabelConfig
from lmtx_ray.evaluation import calibration
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.cycle import RunResult
from lmtx_ray.loop.held_aside import held_aside_ids, held_aside_verdicts
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.student.pseudo_labels import relative


def bundle_step(config: RunConfig, result: RunResult, fused: bool) -> None:
    """Publish the bundle of the winning state; a published bundle is left alone."""
    layout = result.layout
    if layout.bundle.is_complete():
        return
    from lmtx_ray.bundle.folder import BundleParts, write_bundle  # takes seconds to import

    state = layout.states[result.best]
    rankings = state.corpus.hybrid if fused else state.corpus.dense

    parts = BundleParts(
        bundle_id=layout.bundle.fingerprint,
        model=state.encoder.uri if state.encoder else layout.pretrained,
        encoder=config.encoder,
        save_index=state.index.download,
        save_lexical=layout.lexical_index.download,
        labels=layout.labels.read(),
        depth=config.shortlist.depth,
        fusion=_fusion(config) if fused else None,
        # nobody said of any tag whether it is right: no probability is made up
        calibration=fit_calibration(rankings, result, config.pseudo_labels) if result.ran else None,
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
    rankings: Dataset, result: RunResult, rules: PseudoLabelConfig
) -> calibration.Calibration:
    """score -> probability that the judge says yes, from held-aside documents.

    The scores are those of `rankings`, the targets the judge's P(yes); unclear pairs are left out.
    """
    held_aside = held_aside_ids(result.layout)
    judged = relative(held_aside_verdicts(result.layout, result.ran, held_aside), rules)
    judged = judged.filter(pc.is_valid(judged["p_yes"]))
    p_yes = {
        (row["doc_id"], row["label_id"]): row["p_yes"]
        for row in judged.select(["doc_id", "label_id", "p_yes"]).to_pylist()
    }
    scores, targets = [], []
    ranked = rankings.where("doc_id", held_aside, ["doc_id", "label_ids", "scores"])
    for row in ranked.to_pylist():
        for label, score in zip(row["label_ids"], row["scores"], strict=True):
            if (row["doc_id"], label) in p_yes:
                scores.append(score)
                targets.append(p_yes[row["doc_id"], label])
    return calibration.fit(np.array(scores, dtype=np.float64), np.array(targets, dtype=np.float64))
