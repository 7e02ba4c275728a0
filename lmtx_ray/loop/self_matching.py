"""Pairs of a document and a label that count on no side of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmtx_ray.batch.tag_files import IDS
from lmtx_ray.bundle.cache import open_bundle, require_bundle
from lmtx_ray.config.corpus import CorpusConfig, DocumentsConfig
from lmtx_ray.corpus.gold import GoldSource, LabelRows, gold_row_ids
from lmtx_ray.corpus.label_set import FILE, LabelSet
from lmtx_ray.corpus.left_out import LEFT_OUT
from lmtx_ray.corpus.self_matches import Pairs, read_pairs, row_ids, without
from lmtx_ray.io import storage
from lmtx_ray.io.latest import resolve
from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.matching import Given, Matched, Numbering, gold_given

if TYPE_CHECKING:
    from lmtx_ray.loop.finished_run import FinishedRun


def without_pairs(
    found: Matched, never: str, doc_ids: Sequence[str]
) -> tuple[Matched, dict[str, Any]]:
    """Both sides without the pairs of the file `never`, and {"filtered": {"pairs": all of the
    file, "answers", "gold": how many each side had}}. A document may be left without gold.

    Raises:
        CorpusError: A file that cannot be read, or is of other documents or labels.
        ValueError: Labels are known by keys, and it is not known in which rows they are.
    """
    pairs = numbered_pairs(found.numbering, never, doc_ids)
    ranked, gold = without(found.ranked, pairs), gold_without(found.gold.labels, pairs)
    counts = {
        "pairs": sum(map(len, pairs.values())),
        "answers": count_labels_of(found.ranked) - count_labels_of(ranked),
        "gold": found.gold.pairs() - sum(map(len, gold.values())),
    }
    left = replace(found.gold, labels=gold)
    return replace(found, ranked=ranked, gold=left), {"filtered": counts}


def numbered_pairs(numbering: Numbering, never: str, doc_ids: Sequence[str]) -> Pairs:
    """The pairs of the file `never`, which counts rows of the label set that labels are numbered
    by. Raises as `without_pairs`."""
    names = numbering.names
    if not numbering.strict and len(names) + len(numbering.further):
        raise ValueError(f"{never} counts rows of the label set: give the labels")
    return read_pairs(never, doc_ids, LabelRows(len(names), names.left_out))


def gold_without(gold: Mapping[str, Sequence[int]], pairs: Pairs) -> dict[str, list[int]]:
    """Label ids by document without the pairs."""
    return {
        doc_id: [label for label in labels if label not in pairs.get(doc_id, ())]
        for doc_id, labels in gold.items()
    }


def count_labels_of(table: pa.Table) -> int:
    """How many labels all rows of a table with label_ids have."""
    return sum(map(len, table[IDS].to_pylist()))


def rows_of_gold(gold: Given | GoldSource) -> list[str]:
    """The document of each row of gold. Raises CorpusError where rows are pairs."""
    given = gold_given(gold)
    if isinstance(given, GoldSource):
        return gold_row_ids(given)
    return [str(doc_id) for doc_id in given["doc_id"].to_pylist()]


def keys_of_inputs(never: str, source: DocumentsConfig, bundle: str) -> dict[str, tuple[str, ...]]:
    """The label keys of a bundle that may not be tags of the documents of some files, by document.

    Raises:
        CorpusError: See `read_pairs`.
        PublishError: There is no bundle.
    """
    place = resolve(storage.absolute(bundle))
    require_bundle(place)
    labels = LabelSet.load(open_bundle(place, lambda name: name == FILE).folder)
    pairs = read_pairs(never, row_ids(source.documents, source), LabelRows(len(labels)))
    return {
        doc_id: tuple(labels.keys_by_place[label] for label in sorted(own))
        for doc_id, own in pairs.items()
    }


def pairs_of_run(
    config: CorpusConfig, labels: PublishedFolder, rejects: PublishedFolder | None
) -> Pairs:
    """The pairs of `corpus.self_matches` by the run's label ids, none where it is not set;
    `rejects` are those of the labels. Raises as `read_pairs`."""
    if config.self_matches is None:
        return {}
    assert config.test is not None  # without is refused
    doc_ids = row_ids([config.test], config)
    return read_pairs(config.self_matches, doc_ids, rows_of_labels(labels, rejects))


def rows_of_labels(labels: PublishedFolder, rejects: PublishedFolder | None) -> LabelRows:
    """What label indices count in a run, whose labels' `rejects` these are."""
    left_out = tuple(rejects.manifest().about[LEFT_OUT]) if rejects else ()
    return LabelRows(labels.rows(), left_out)


def pairs_of_finished(
    run: FinishedRun, never: str | None = None, doc_ids: Sequence[str] | None = None
) -> Pairs:
    """The pairs of a finished run by its label ids: of `corpus.self_matches`, or of the file
    `never`, by rows of its label set and of its test documents, or of `doc_ids`.

    Raises:
        CorpusError: See `read_pairs`.
        ValueError: A run without test documents, and no `doc_ids`.
    """
    corpus, labels, rejects = run.config.corpus, run.steps["labels"], run.steps.get("label rejects")
    if never is None:
        return pairs_of_run(corpus, labels, rejects)
    if doc_ids is None and corpus.test is None:
        raise ValueError(f"{run.uri}: no test documents whose rows {never} could count")
    ids = doc_ids or row_ids([corpus.test or ""], corpus)
    return read_pairs(never, ids, rows_of_labels(labels, rejects))
