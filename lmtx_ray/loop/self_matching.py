"""Pairs of a document and a label that count on no side of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
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
from lmtx_ray.loop.matching import Given, Matched, gold_given

if TYPE_CHECKING:
    from lmtx_ray.loop.layout import Layout


def without_pairs(
    found: Matched, never: str, doc_ids: Sequence[str]
) -> tuple[Matched, dict[str, Any]]:
    """Both sides without the pairs of the file `never`, and {"filtered": {"pairs": all of the
    file, "answers", "gold": how many each side had}}. A document may be left without gold.

    Raises:
        CorpusError: A file that cannot be read, or is of other documents or labels.
        ValueError: Labels are known by keys, and it is not known in which rows they are.
    """
    names = found.numbering.names
    if not found.numbering.strict and len(names) + len(found.numbering.further):
        raise ValueError(f"{never} counts rows of the label set: give the labels")
    pairs = read_pairs(never, doc_ids, LabelRows(len(names)))
    ranked = without(found.ranked, pairs)
    gold = {
        doc_id: [label for label in labels if label not in pairs.get(doc_id, ())]
        for doc_id, labels in found.gold.labels.items()
    }
    counts = {
        "pairs": sum(map(len, pairs.values())),
        "answers": _labels(found.ranked) - _labels(ranked),
        "gold": found.gold.pairs() - sum(map(len, gold.values())),
    }
    left = replace(found.gold, labels=gold)
    return replace(found, ranked=ranked, gold=left), {"filtered": counts}


def _labels(table: pa.Table) -> int:
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


def pairs_of_run(config: CorpusConfig, layout: Layout) -> Pairs:
    """The pairs of `corpus.self_matches`, none where it is not set. Raises as `read_pairs`."""
    if config.self_matches is None:
        return {}
    assert config.test is not None  # without is refused
    left_out = tuple(layout.label_rejects.manifest().about[LEFT_OUT])
    rows = LabelRows(layout.labels.rows(), left_out)
    return read_pairs(config.self_matches, row_ids([config.test], config), rows)
