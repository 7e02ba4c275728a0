"""Freezes the best encoder, its index, the labels and the calibration into a servable folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.corpus.schemas import JUDGED
from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.evaluation.kindness import wrong_of
from lmtx_ray.loop.calibrating import (
    Fitted,
    Held,
    Said,
    Sides,
    calibrate,
    held_pairs,
    judged_tags,
)
from lmtx_ray.loop.cycle import RunResult
from lmtx_ray.loop.held_aside import held_aside_ids, held_aside_verdicts
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.reviewed import judges_own, keys_of, reviews_of
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.steps import State
from lmtx_ray.stages.memory import read_combiners
from lmtx_ray.student.pseudo_labels import relative, target

ASKED = (*JUDGED, "teacher")
logger = logging.getLogger(__name__)


def bundle_step(config: RunConfig, result: RunResult, ranking: str) -> None:
    """Publish the bundle of the winning state, which tags by its `ranking`; a published bundle is
    left alone."""
    layout = result.layout
    if layout.bundle.is_complete():
        return
    from lmtx_ray.bundle.folder import BundleParts, write_bundle  # takes seconds to import

    state = layout.states[result.best]
    known = fit_calibration(config, result, ranking) if result.opinions else None
    parts = BundleParts(
        bundle_id=layout.bundle.fingerprint,
        model=state.encoder.uri if state.encoder else layout.pretrained,
        encoder=config.encoder,
        save_index=state.index.download,
        save_lexical=layout.lexical_index.download,
        labels=layout.labels.read(),
        depth=config.shortlist.depth,
        fusion=None if ranking == "dense" else _fusion(config),
        learned=_learned(state) if ranking == "learned" else None,
        # where nobody said of any tag whether it is right, no probability is made up
        calibration=known[1].calibration if known else None,
        judged=judged_tags(*known) if known else None,
        kindness=known[1].kindness if known else None,
    )
    layout.bundle.publish_folder(lambda folder: write_bundle(parts, folder))


def _learned(state: State) -> tuple[Callable[[Path], object], Calibration]:
    """What writes the memory into a folder, and the weights of all sides."""
    assert state.learned is not None
    files = open_bundle(state.learned.combiner.uri)
    return state.learned.memory.download, read_combiners(files.folder).whole


def _fusion(config: RunConfig) -> dict[str, float]:
    shortlist = config.shortlist
    return {
        "dense": shortlist.dense_weight,
        "lexical": shortlist.lexical_weight,
        "constant": shortlist.fusion_constant,
    }


def fit_calibration(config: RunConfig, result: RunResult, ranking: str) -> tuple[Held, Fitted]:
    """Probabilities from what was said of the held-aside documents' candidates."""
    layout = result.layout
    state = layout.states[result.best]
    lexical = None if ranking == "dense" else layout.lexical
    learned = ranking == "learned"
    ranked, depth = state.rankings[ranking], config.shortlist.depth
    sides = Sides(ranked, state.corpus.dense, lexical, depth, weighed=learned)
    doc_ids = held_aside_ids(layout)
    answers = held_aside_verdicts(layout, result.ran, doc_ids, ASKED)
    wrong = None
    if learned and layout.chance is not None:
        beside = layout.chance.read(ASKED)
        answers = pa.concat_tables([answers, beside])
        wrong = _wrong(layout, judges_own(config, layout, beside))
    judged = relative(judges_own(config, layout, answers), config.pseudo_labels)
    verdicts = {
        (row["doc_id"], row["label_id"]): (row["answer"], row["p_yes"])
        for row in judged.to_pylist()
    }
    said = Said(verdicts, reviews_of(config.verdict_store, layout, doc_ids))
    keys = keys_of(layout, doc_ids)
    texts = layout.labels.read(["text"])["text"]

    def key_of(label: int) -> bytes:
        return text_key(texts[label].as_py())

    held = held_pairs(sides.known(doc_ids), sides.features, said, keys, key_of)
    fitted = calibrate(held, sides.features, wrong)
    logger.info(
        "probabilities: from %d judged pairs and %d reviewed ones; the judge is taken to accept "
        "%.0f %% of wrong labels and %.0f %% of right ones",
        (~np.isnan(held.judged_N)).sum(),
        (~np.isnan(held.reviewed_N)).sum(),
        100 * fitted.kindness.wrong,
        100 * fitted.kindness.right,
    )
    return held, fitted


def _wrong(layout: Layout, said: pa.Table) -> float | None:
    """The judge's mean P(yes) of the labels that were drawn by chance, which no word finds."""
    words = layout.lexical.where("doc_id", said["doc_id"].combine_chunks(), ["doc_id", "label_ids"])
    found = dict(zip(words["doc_id"].to_pylist(), words["label_ids"].to_pylist(), strict=True))
    drawn = [row for row in said.to_pylist() if row["label_id"] not in found[row["doc_id"]]]
    p_yes = [target(row["answer"], row["p_yes"]) for row in drawn]
    return wrong_of(np.array(p_yes, np.float64))  # a None is nan
