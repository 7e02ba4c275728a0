"""One unit of work: its rows tagged chunk by chunk, three files and a receipt committed.

Memory is that of a chunk. The files go to a local scratch folder first and appear under the output
whole; the receipt, put if absent, names them and makes them count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from lmtx_ray.batch.chunks import Chunk, passed_types, read_chunks
from lmtx_ray.batch.formats import LISTS, TagWriter
from lmtx_ray.batch.job import TagJob
from lmtx_ray.batch.row_filters import row_filter
from lmtx_ray.config.defaults import UNLIKELY
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.filters import Filter
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.corpus.lines import Tally
from lmtx_ray.corpus.settling import rejects_table
from lmtx_ray.corpus.to_tag import ToTag
from lmtx_ray.io import progress, storage
from lmtx_ray.io.publish import Dataset, new_attempt
from lmtx_ray.io.receipts import DATA, IDS, REJECTS, Receipt
from lmtx_ray.io.table_writer import TableWriter
from lmtx_ray.io.unique import key_hash
from lmtx_ray.io.units import Unit

ID_ROWS = pa.schema([("hash", pa.uint64()), ("part", pa.int32()), ("position", pa.int64())])


class Tags(Protocol):
    """What a unit needs of `tagger.Tagger`."""

    def tagged(self, given: ToTag) -> pa.Table:
        """TAGS of texts, one row each, in order."""


@dataclass(frozen=True)
class UnitWork:
    """How units of one plan are done, the same for all; goes to the workers as it is."""

    job: TagJob
    output: Dataset


def data_name(unit: Unit, kind: str, attempt: str, ending: str) -> str:
    """`<kind>/<partition>/<unit>-<attempt>.<ending>`, relative to the output."""
    parts = (kind, unit.partition, f"{unit.name}-{attempt}.{ending}")
    return "/".join(part for part in parts if part)


def run_unit(unit: Unit, work: UnitWork, tagger: Tags, labels: LabelSet) -> Receipt:
    """Tag a unit and commit it; returns the winning receipt, ours or an earlier one.

    Raises:
        StorageError: An input or the output failed; nothing is committed.
        StaleDriver: Another driver took over.
    """
    output, attempt = work.output, new_attempt()
    endings = {DATA: work.job.output_format, REJECTS: "parquet", IDS: "parquet"}
    with storage.scratch_folder() as folder:
        paths = {kind: Path(folder) / kind for kind in endings}
        counts = _write(unit, work.job, tagger, labels, paths)
        kinds = [kind for kind in endings if kind != REJECTS or counts["rejected"]]
        if output.fence:
            output.fence.check()
        files = {
            kind: output.put(paths[kind], data_name(unit, kind, attempt, endings[kind]))
            for kind in kinds
        }
    return output.commit(Receipt(unit.name, output.fingerprint, files, **counts))


def _write(
    unit: Unit, job: TagJob, tagger: Tags, labels: LabelSet, paths: Mapping[str, Path]
) -> dict[str, Any]:
    tallies: list[Tally] = []
    rows_in = rows_out = rejected = 0
    with ExitStack() as stack:
        files = {kind: stack.enter_context(path.open("wb")) for kind, path in paths.items()}
        tags = TagWriter(files["data"], job.output_format, passed_types(unit, job))
        ids, rejects = TableWriter(files["ids"]), TableWriter(files["rejects"])
        for chunk in read_chunks(unit, job, tallies):
            rows_in += len(chunk.documents) + len(chunk.rejects)
            rejected += len(chunk.rejects)
            progress.ahead(len(chunk.documents), all_of_it=False)
            if chunk.documents:
                table = tag_chunk(chunk, job, tagger, labels)
                assert table.num_rows == len(chunk.documents)  # the columns run along
                rows_out += table.num_rows
                tags.write(table, chunk.extras)
            ids.write(_id_rows(chunk))
            rejects.write(rejects_table(chunk.rejects))
        for writer in (tags, ids, rejects):
            writer.close()
    return {
        "rows_in": rows_in,
        "rows_out": rows_out,
        "rejected": rejected,
        "lines": tuple(tally.lines for tally in tallies),
    }


def _id_rows(chunk: Chunk) -> pa.Table:
    hashes = np.array([key_hash(row["doc_id"]) for row in chunk.documents], dtype=np.uint64)
    parts, positions = [place[0] for place in chunk.places], [place[1] for place in chunk.places]
    columns = [pa.array(hashes), pa.array(parts, pa.int32()), pa.array(positions, pa.int64())]
    return pa.table(columns, schema=ID_ROWS)


def own_filters(chunk: Chunk, job: TagJob, labels: LabelSet) -> list[tuple[Filter, str]]:
    """(filter, what is wrong with the columns that say it) of each document of a chunk."""
    return [
        row_filter(row["doc_id"], fields, job, labels)
        for row, fields in zip(chunk.documents, chunk.filters, strict=True)
    ]


def to_tag(chunk: Chunk, job: TagJob, own: Sequence[tuple[Filter, str]]) -> ToTag:
    """What a tagger is given of a chunk. Texts without content, which are here for their kept tags
    alone, are no work for it."""
    full = [
        (row, one)
        for row, (one, _) in zip(chunk.documents, own, strict=True)
        if row["title"] or row["text"]
    ]
    return ToTag(
        [row["text"] for row, _ in full],
        [row["doc_id"] for row, _ in full],
        [row["title"] for row, _ in full],
        [one for _, one in full],
        Filter.of(job.allow, job.deny, job.under),
        job.top_k,
        job.min_probability,
    )


def tag_chunk(chunk: Chunk, job: TagJob, tagger: Tags, labels: LabelSet) -> pa.Table:
    """`tags` of a chunk's documents, what a person set first."""
    own = own_filters(chunk, job, labels)
    given = to_tag(chunk, job, own)
    tags = tagger.tagged(given) if given.texts else schemas.TAGS.empty_table()
    if not any(chunk.kept) and not any(problem for _, problem in own):
        return tags
    assert job.top_k is not None  # settled before the plan was made
    found = iter(tags.to_pylist())
    rows = []
    for row, kept, (_, problem) in zip(chunk.documents, chunk.kept, own, strict=True):
        tagged = next(found) if row["title"] or row["text"] else empty(row)
        if problem and tagged["reason"] != schemas.EMPTY:  # that says more than nothing allowed
            tagged = {**tagged, "reason": problem}
        rows.append(keep(tagged, kept, labels, job.top_k) if kept else tagged)
    return schemas.conform(pa.Table.from_pylist(rows, schema=tags.schema), schemas.TAGS)


def empty(document: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a document without text."""
    lists: dict[str, list[Any]] = {name: [] for name in LISTS}
    return {"doc_id": document["doc_id"], **lists, "reason": schemas.EMPTY}


def keep(
    row: dict[str, Any], kept: Sequence[str], texts: Mapping[str, str], top_k: int
) -> dict[str, Any]:
    """A row of tags that begins with the kept keys, whatever their number; the model's own tags
    fill up to `top_k`. A kept tag has probability 1 and no score, as no model gave one."""
    rest = [n for n, key in enumerate(row["label_keys"]) if key not in set(kept)]
    rest = rest[: max(top_k - len(kept), 0)]
    unknown = [key for key in kept if key not in texts]
    said = "" if row["reason"].startswith(UNLIKELY) else row["reason"]  # there are tags now
    reasons = [said] if said else []
    reasons += [f"kept key {key!r} is not in the label set" for key in unknown]
    begin: dict[str, list[Any]] = {
        "label_keys": list(kept),
        "labels": [texts.get(key, key) for key in kept],
        "scores": [None] * len(kept),
        "probabilities": [1.0] * len(kept),
    }
    lists = {name: items + [row[name][n] for n in rest] for name, items in begin.items()}
    return {"doc_id": row["doc_id"], **lists, "reason": "; ".join(reasons)}
