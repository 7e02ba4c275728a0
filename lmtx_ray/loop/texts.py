"""Titles and texts of documents that somebody wants to look at, from where they were read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from lmtx_ray.batch.plan import read_plans
from lmtx_ray.config.corpus import ColumnMap, DocumentsConfig
from lmtx_ray.config.loading import is_yaml_file
from lmtx_ray.corpus.documents import to_document
from lmtx_ray.corpus.inputs import list_inputs
from lmtx_ray.corpus.lines import UTF8, BadRow, CorpusError, Tally
from lmtx_ray.corpus.rows import Reading, part_rows
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.io import storage
from lmtx_ray.io.units import Part
from lmtx_ray.loop.finished_run import FinishedRun
from lmtx_ray.loop.run_folder import RECORDS


@dataclass(frozen=True)
class Shown:
    """A document as it was written."""

    title: str | None
    text: str

    @property
    def whole(self) -> str:
        """Title and text, as every component sees them."""
        return document_text(self.title, self.text)


def is_run(place: str) -> bool:
    """Whether it is a run's YAML file or folder."""
    if is_yaml_file(place):
        return True
    return any(storage.list_entries(storage.join(place, name)) for name in RECORDS)


def texts_of_run(run: FinishedRun, doc_ids: Collection[str]) -> dict[str, Shown]:
    """Of a run's documents, and test documents, that have these ids."""
    found: dict[str, Shown] = {}
    wanted = pa.array(sorted(doc_ids), pa.string())
    for name in ("documents", "test documents"):
        if run.has(name):
            rows = run.steps[name].where("doc_id", wanted, ["doc_id", "title", "text"])
            found |= {row["doc_id"]: Shown(row["title"], row["text"]) for row in rows.to_pylist()}
    return found


def texts_of_tags(
    place: str,
    doc_ids: Collection[str],
    documents: Sequence[str] = (),
    columns: ColumnMap | None = None,
    encoding: str = UTF8,
) -> dict[str, Shown]:
    """Of the files that were tagged, or of `documents`, where those are named, with their columns
    and the encoding of their lines that are not UTF-8.

    Raises:
        CorpusError: The tags do not tell what was tagged, or it is not there any more, or cannot be
            read.
    """
    wanted = set(doc_ids)
    if documents:
        how = {"columns": columns or ColumnMap(), "encoding": encoding}
        return _named(DocumentsConfig(documents=tuple(documents), **how), wanted)
    plans = read_plans(place) if storage.stat(place) is None else []
    if not plans:
        raise CorpusError(
            f"{place} does not tell which documents were tagged: give --documents, and to lmtx "
            "gaps their files behind the tags"
        )
    found: dict[str, Shown] = {}
    for plan in plans:
        source = DocumentsConfig(documents=("-",), **plan["settings"]["source"])
        files = [file["uri"] for file in plan["inputs"]]
        for doc_id, shown in _read(files, source, wanted):
            found.setdefault(doc_id, shown)  # the first row of an id was tagged
    return found


def _named(source: DocumentsConfig, wanted: set[str]) -> dict[str, Shown]:
    """Of files that somebody names. Where none is found, the first bad row may be why."""
    bad: list[str] = []
    files = [file.uri for file in list_inputs(source.documents, False)]
    found = dict(_read(files, source, wanted, bad))
    if bad and not found:
        raise CorpusError(bad[0])
    return found


def _read(
    files: Sequence[str], source: DocumentsConfig, wanted: set[str], bad: list[str] | None = None
) -> Iterator[tuple[str, Shown]]:
    """Documents by their ids; `bad` is told the first row that is none."""
    seen: set[str] = set()
    for uri in files:
        for position, row, _ in part_rows(Part(uri), Reading(source), Tally()):
            document = row if isinstance(row, BadRow) else to_document(row, source.columns)
            if isinstance(document, BadRow):
                if bad == []:
                    place = f"{uri} row {position}" if position else uri
                    bad.append(f"{place}: {document.reason}")
                continue
            if document["doc_id"] not in wanted - seen:
                continue
            seen.add(document["doc_id"])
            yield document["doc_id"], Shown(document["title"], document["text"])
        if len(seen) == len(wanted):
            return
