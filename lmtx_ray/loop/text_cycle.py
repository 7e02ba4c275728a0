"""Cycles that ask nobody: what they learn from is made of the documents themselves (`source`)."""

from __future__ import annotations

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.judging import fragments
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.steps import Cycle
from lmtx_ray.search.clustering import MOST_SAMPLED
from lmtx_ray.stages.files import build_files
from lmtx_ray.stages.text_examples import (
    OwnExamples,
    SegmentExamples,
    TitleExamples,
    build_centres,
)
from lmtx_ray.stages.units import Work, run_units

NOTHING = {
    "title": "source: title: no document to train on has both a title and a text; see "
    "corpus.columns.title, or take source: segment, which needs no titles",
    "segment": "source: segment: no document to train on has a text",
}


def text_examples_step(config: RunConfig, layout: Layout, cycle: Cycle) -> None:
    """A cycle's examples: pairs of texts, or the own labels of the state before.

    Raises:
        ConfigError: No document can be learned from.
    """
    pool = config.resources.shortlist
    if cycle.clusters is not None:
        _clusters_step(config, layout, cycle.clusters)
    if cycle.number > 1:
        rules = config.pseudo_labels
        firsts = rules.own_labels, rules.own_words
        _run(config, layout, cycle, OwnExamples, {"firsts": firsts})
    elif config.source == "title":
        centres = cycle.clusters.uri if cycle.clusters else None
        _run(config, layout, cycle, TitleExamples, {"centres": centres})
    else:
        work = Work(cycle.examples, fragments(layout.documents))
        run_units([work], SegmentExamples, {"words": config.fit.segment_words}, pool, "examples")
    if not cycle.examples.rows():
        raise ConfigError(NOTHING[config.source])


def _run(
    config: RunConfig, layout: Layout, cycle: Cycle, worker: type, kwargs: dict[str, object]
) -> None:
    work = Work(cycle.examples, fragments(layout.documents, *cycle.read), "doc_id")
    run_units([work], worker, kwargs, config.resources.shortlist, "examples")


def _clusters_step(config: RunConfig, layout: Layout, output: Dataset) -> None:
    numbers, vectors = config.fit.clusters, layout.states[0].corpus.vectors
    wanted = MOST_SAMPLED * max(numbers)
    part = {
        "fragments": [unit.uris for unit in fragments(layout.documents, vectors)],
        "numbers": numbers,
        "share": min(1.0, wanted / max(layout.documents.rows(), 1)),
        "seed": config.fit.seed,
    }
    build_files(output, build_centres, [part], config.resources.shortlist, "clusters")
