"""What tags of many documents say of a label set: what is never suggested, what comes together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.vocabularies.findings import Finding
from lmtx_ray.vocabularies.repeats import Names

LEAST = 5  # documents that labels have in common before that says anything


def odd_usage(labels: pa.Table, names: Names, tags: pa.Table) -> Iterator[Finding]:
    """Of a `labels` table in the order of `names`, and rows of tags with label_keys, label_ids or
    labels. Raises CorpusError where the tags name no label of the set."""
    documents_T, places_T, unknown = _tagged(labels, tags)
    for name in unknown:
        yield Finding("unknown_tag", name, "")
    count_L = np.bincount(places_T, minlength=len(names.keys))
    if len(places_T) == 0:
        raise CorpusError("--tags: none of these tags is a label of this set")
    for place in np.flatnonzero(count_L == 0).tolist():
        yield names.finding("never_suggested", (place,))
    yield from _together(documents_T, places_T, count_L, names)


def _tagged(labels: pa.Table, tags: pa.Table) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(document and label of each tag, once, as places int64 [T], names that are no label)."""
    columns = {"label_keys": "label_key", "label_ids": "label_id", "labels": "text"}
    column = next((name for name in columns if name in tags.column_names), None)
    if column is None:
        raise CorpusError(f"--tags: no column of labels; there are: {', '.join(tags.column_names)}")
    known = labels[columns[column]].combine_chunks()
    lists = tags[column].combine_chunks()
    named = pc.list_flatten(lists)
    own = pc.list_parent_indices(lists).to_numpy()
    places = pc.index_in(named.cast(known.type), value_set=known)
    if column == "label_keys":  # which a file of tags may fill with what labels are called
        texts = labels["text"].combine_chunks()
        places = pc.coalesce(places, pc.index_in(named.cast(texts.type), value_set=texts))
    there = pc.is_valid(places)
    unknown = pc.unique(named.filter(pc.invert(there))).to_pylist()
    places_T = places.filter(there).to_numpy().astype(np.int64)
    documents_T = own[there.to_numpy(zero_copy_only=False)].astype(np.int64)
    pairs_T = np.unique(documents_T << 32 | places_T)  # a label may be there twice
    return pairs_T >> 32, pairs_T & 0xFFFFFFFF, [str(one) for one in unknown]


def _together(
    documents_T: np.ndarray, places_T: np.ndarray, count_L: np.ndarray, names: Names
) -> Iterator[Finding]:
    """Groups of labels that all have the same documents: told by sums of random numbers, one of
    each document, which differ for different documents but once in 2^64 times."""
    if not len(documents_T):
        return
    random = np.random.default_rng(7).integers(1 << 63, size=int(documents_T.max()) + 1)
    sums_L = np.zeros(len(count_L), np.uint64)
    np.add.at(sums_L, places_T, random.astype(np.uint64)[documents_T])
    often = np.flatnonzero(count_L >= LEAST)
    often = often[np.lexsort((often, sums_L[often], count_L[often]))]
    keys = np.stack([count_L[often].astype(np.uint64), sums_L[often]])
    ends = np.flatnonzero((np.diff(keys) != 0).any(0)) + 1
    for group in np.split(often, ends):
        if len(group) > 1:
            detail = f"on {count_L[group[0]]:,} documents"
            yield names.finding("always_together", group.tolist(), detail)
