"""Label frequencies of a run's evaluation: where they are counted, and what each method makes of
them. Gold is read here, after training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.corpus.gold import LabelRows, read_gold
from lmtx_ray.corpus.gold_reader import source_of
from lmtx_ray.corpus.label_names import names_in
from lmtx_ray.corpus.left_out import LEFT_OUT
from lmtx_ray.evaluation.frequency import Frequency, Sums, summary_of, sums_of
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import EvaluationConfig, RunConfig

OF_TEST = "the test documents' own gold"
ReadUnit = Callable[[str], tuple[pa.Table, pa.Table]]  # unit -> its rankings and its gold


def frequency_of(config: RunConfig, layout: Layout) -> tuple[Frequency, dict[str, Any]]:
    """(the counts, how they came about: counted_in, documents, labels of each slice).

    Counted in `evaluation.counts`, or else in the gold that is evaluated with: rare then means rare
    in a sample.

    Raises:
        CorpusError: The file is not there, or is no gold of this label set.
    """
    settings, labels = config.evaluation, layout.labels.rows()
    if settings.counts:
        lists: Iterable[list[int]] = _counted_in(config, layout, settings.counts)
    else:
        gold = layout.tested.gold.read(["label_ids"])["label_ids"]
        lists = gold.to_pylist()
    counts_L, documents = np.zeros(labels, np.int64), 0
    for own in lists:
        counts_L[list(set(own))] += 1
        documents += 1
    found = Frequency(counts_L, documents, *settings.propensity)
    about = {"counted_in": settings.counts or OF_TEST, "documents": documents}
    return found, {**about, "labels": found.sizes()}


def _counted_in(config: RunConfig, layout: Layout, uri: str) -> list[list[int]]:
    """The gold of each document of an annotated file, read as `corpus.gold` is."""
    source = source_of(config.corpus.model_copy(update={"gold": uri}))
    left_out = tuple(layout.label_rejects.manifest().about[LEFT_OUT])
    rows = LabelRows(layout.labels.rows(), left_out)
    gold = read_gold(source, names_in(tuple(layout.labels.files())), rows=rows)
    return [list(own) for own in gold.labels.values()]


def by_frequency(
    units: Mapping[str, ReadUnit],
    names: Iterable[str],
    frequency: Frequency,
    settings: EvaluationConfig,
    exclude: frozenset[int] = frozenset(),
) -> dict[str, dict[str, Any]]:
    """Method -> `frequency.summary_of`. One unit of a ranking is in memory.

    Args:
        units: Method -> what reads one of its units.
        names: Units.
    """
    at, recall = settings.precision_at, settings.recall_at[0]

    def sums(read: ReadUnit, unit: str) -> Sums:
        return sums_of(*read(unit), frequency, at, recall, exclude)

    names = list(names)
    return {
        method: summary_of([sums(read, unit) for unit in names], at, recall, settings.seed)
        for method, read in units.items()
    }
