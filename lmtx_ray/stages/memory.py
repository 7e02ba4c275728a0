"""The memory of judged documents: built from published fragments, searched and weighed by units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.config.components import PseudoLabelConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.evaluation.combining import Combiners, Sides, weighed
from lmtx_ray.io import storage
from lmtx_ray.search import candidates
from lmtx_ray.search.memory import VOTED, Judged, Memory, Remembered, document_key
from lmtx_ray.stages.index import matrix
from lmtx_ray.student.pseudo_labels import relative

COMBINER = "combiner.json"
SPARE = 8  # one in so many documents more than are kept waits for the next sorting


def build_memory(
    folder: Path, units: Sequence[Sequence[str]], labels: int, most: int, rules: dict[str, Any]
) -> None:
    """Write the memory of the training documents with an accepted label, of the `most` whose keys
    are least.

    Args:
        units: Of each unit the URIs of its documents, its vectors and all its verdicts.
        rules: A PseudoLabelConfig as plain values.
    """
    config = PseudoLabelConfig(**rules)
    asked_L, accepted_L = np.zeros(labels), np.zeros(labels)
    found: list[Judged] = []
    for documents, vectors, *verdicts in units:
        judged = _judged(documents, verdicts, config)
        label_N, p_yes_N = judged["label_id"].to_numpy(), judged["p_yes"].to_numpy()
        np.add.at(asked_L, label_N, 1.0)
        accepted_N = p_yes_N >= config.accept
        np.add.at(accepted_L, label_N, p_yes_N * accepted_N)
        found += _remembered(judged.filter(pa.array(accepted_N)), storage.read_table(vectors))
        if len(found) > most + most // SPARE:  # seldom, as each time all are sorted
            found = _least(found, most)
    Remembered.of(_least(found, most), asked_L, accepted_L).save(folder)


def _least(found: list[Judged], most: int) -> list[Judged]:
    return sorted(found, key=lambda one: one[0])[:most]


def _judged(documents: str, verdicts: Sequence[str], config: PseudoLabelConfig) -> pa.Table:
    """doc_id, label_id and P(yes) of the training documents of a unit; an answer that was unclear
    is none."""
    table = storage.read_table(documents, ["doc_id", "split"])
    train = table.filter(pa.compute.equal(table["split"], "train"))["doc_id"].combine_chunks()
    said = pa.concat_tables([storage.read_table(uri, schemas.JUDGED) for uri in verdicts])
    said = relative(said.filter(pa.compute.is_in(said["doc_id"], value_set=train)), config)
    said = said.filter(pa.compute.not_equal(said["answer"], "unclear"))
    plain = pa.compute.cast(pa.compute.equal(said["answer"], "yes"), pa.float32())
    p_yes = pa.compute.coalesce(said["p_yes"], plain)
    return pa.table({"doc_id": said["doc_id"], "label_id": said["label_id"], "p_yes": p_yes})


def _remembered(accepted: pa.Table, vectors: pa.Table) -> list[Judged]:
    doc_ids, vectors_ND = vectors["id"].to_pylist(), matrix(vectors)
    place = {doc_id: number for number, doc_id in enumerate(doc_ids)}
    rows_P = np.array([place[doc_id] for doc_id in accepted["doc_id"].to_pylist()], np.int64)
    labels_P, p_yes_P = accepted["label_id"].to_numpy(), accepted["p_yes"].to_numpy()
    order = np.lexsort((labels_P, rows_P))
    rows, starts = np.unique(rows_P[order], return_index=True)
    spans = np.split(order, starts[1:]) if len(rows) else []
    return [  # copied, as a row of a matrix would keep the whole of it
        (document_key(doc_ids[row]), vectors_ND[row].copy(), labels_P[span], p_yes_P[span])
        for row, span in zip(rows.tolist(), spans, strict=True)
    ]


class Vote:
    """Worker: a fragment of document vectors in, the labels of their neighbours out."""

    expands: ClassVar[bool] = False

    def __init__(self, memory: str) -> None:
        self._files = open_bundle(memory)  # held: what is mapped must not go
        self._memory = Memory.load(self._files.folder)

    def __call__(self, vectors: pa.Table) -> pa.Table:
        """RANKINGS by votes, one row for each vector, in order; of a remembered document without
        its own."""
        doc_ids = vectors["id"].to_pylist()
        keys = [document_key(doc_id) for doc_id in doc_ids]
        return candidates.to_rankings(doc_ids, *self._memory.search(matrix(vectors), VOTED, keys))


class Combine:
    """Worker: a fragment of documents and their dense, lexical and voted rankings in, all of them
    weighed out."""

    expands: ClassVar[bool] = False

    def __init__(self, memory: str, combiner: str, depth: int) -> None:
        self._files = open_bundle(memory), open_bundle(combiner)
        memory_files, combiner_files = self._files
        self._memory = Memory.load(memory_files.folder)
        self._combiners = read_combiners(combiner_files.folder)
        self._depth = depth

    def __call__(self, documents: pa.Table, *rankings: pa.Table) -> pa.Table:
        """RANKINGS by log-odds; a held-aside document's by weights that do not know it. Raises
        ValueError where a ranking is not of the documents in their order."""
        doc_ids, splits = documents["doc_id"].to_pylist(), documents["split"].to_pylist()
        if any(table["doc_id"].to_pylist() != doc_ids for table in rankings):
            raise ValueError("rankings of other documents than these; re-run the step")
        widths = self._depth, self._depth, VOTED
        sides = map(candidates.rankings_arrays, rankings, widths)
        combiners, histories = self._combiners, self._memory.histories
        held_aside = [split == "held_aside" for split in splits]
        which_B = np.array(list(map(combiners.number, doc_ids, held_aside)), np.int64)
        found = weighed(Sides(*sides), combiners.every, which_B, histories, self._depth)
        return candidates.to_rankings(doc_ids, *found)


def read_combiners(folder: str) -> Combiners:
    """What `write_combiners` wrote."""
    return Combiners.from_dict(storage.read_json(f"{folder}/{COMBINER}"))


def write_combiners(folder: Path, combiners: Combiners) -> None:
    """One file of plain numbers."""
    (folder / COMBINER).write_bytes(storage.to_json(combiners.to_dict()))
