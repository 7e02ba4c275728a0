"""Learned fusion as steps of a run: what was judged is remembered, and all sides are weighed by
what the judge said of held-aside documents."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.evaluation.combining import SideLists, fit_combiners
from lmtx_ray.evaluation.pair_features import by_document
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.held_aside import held_aside_ids, held_aside_verdicts
from lmtx_ray.loop.judging import fragments
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.steps import Learned, State
from lmtx_ray.search.memory import Memory
from lmtx_ray.stages.files import build_files
from lmtx_ray.stages.memory import Combine, Vote, build_memory, write_combiners
from lmtx_ray.stages.units import Work, run_units
from lmtx_ray.student.pseudo_labels import probability, relative

logger = logging.getLogger(__name__)
RANKED = ("doc_id", "label_ids", "scores")


def memory_steps(
    config: RunConfig, layout: Layout, state: State, learned: Learned, said: Sequence[Dataset]
) -> None:
    """Remember what was said of the training documents, and let it vote."""
    number, pool = state.number, config.resources.shortlist
    steps = (layout.documents, state.corpus.vectors, *said)
    files = [step.unit_files() for step in steps]
    part = {
        "units": [[own[unit] for own in files] for unit in files[0]],
        "labels": layout.labels.rows(),
        "most": config.shortlist.memory_documents,
        "rules": config.pseudo_labels.model_dump(mode="json"),
    }
    build_files(learned.memory, build_memory, [part], pool, f"memory {number}")
    works = [Work(learned.corpus.voted, fragments(state.corpus.vectors), "doc_id")]
    if learned.test:
        works.append(Work(learned.test.voted, fragments(state.tested.vectors), "doc_id"))
    run_units(works, Vote, {"memory": learned.memory.uri}, pool, f"votes {number}")


def combine_steps(
    config: RunConfig, layout: Layout, state: State, learned: Learned, cycles: int
) -> None:
    """Fit the weights on what was said of held-aside documents, and weigh."""
    number, pool = state.number, config.resources.shortlist
    if not learned.combiner.is_complete():
        _fit(config, layout, state, learned, cycles)
    own = fragments(layout.documents, state.corpus.dense, layout.lexical, learned.corpus.voted)
    works = [Work(learned.corpus.ranked, own, "doc_id")]
    if layout.test and learned.test:
        test = layout.test.documents, state.tested.dense, layout.test.lexical, learned.test.voted
        works.append(Work(learned.test.ranked, fragments(*test), "doc_id"))
    kwargs = {
        "memory": learned.memory.uri,
        "combiner": learned.combiner.uri,
        "depth": config.shortlist.depth,
    }
    run_units(works, Combine, kwargs, pool, f"learned {number}")


def _fit(config: RunConfig, layout: Layout, state: State, learned: Learned, cycles: int) -> None:
    held_aside = held_aside_ids(layout)
    steps = (state.corpus.dense, layout.lexical, learned.corpus.voted)
    sides = [by_document(step.where("doc_id", held_aside, RANKED)) for step in steps]
    documents = [(doc_id, SideLists(*(side[doc_id] for side in sides))) for doc_id in sides[0]]
    said = held_aside_verdicts(layout, cycles, held_aside, learned=cycles - 1)
    judged = relative(said, config.pseudo_labels)
    verdicts = {
        (row["doc_id"], row["label_id"]): probability(row["answer"], row["p_yes"])
        for row in judged.to_pylist()
        if row["answer"] != "unclear"
    }
    files = open_bundle(learned.memory.uri)
    histories = Memory.load(files.folder).histories
    combiners = fit_combiners(documents, verdicts, histories, config.shortlist.depth)
    learned.combiner.publish_folder(lambda folder: write_combiners(folder, combiners))
    weights = zip(combiners.whole.features, combiners.whole.weights, strict=True)
    told = ", ".join(f"{name} {weight:.2f}" for name, weight in weights if np.abs(weight) > 0)
    logger.info("learned fusion %d, of %d verdicts: %s", state.number, len(verdicts), told)
