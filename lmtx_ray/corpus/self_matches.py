"""Pairs of a document and a label that must not count: where labels are documents themselves, a
document would find itself. The repository of extreme classification keeps them as
`filter_labels_test.txt`: on each line the row of a test document and the row of a label, from 0.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

import pyarrow as pa

from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.corpus.columns import IDS, document_columns
from lmtx_ray.corpus.documents import first_field, kind_of
from lmtx_ray.corpus.gold import LabelRows
from lmtx_ray.corpus.inputs import list_inputs
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row, read_text_lines
from lmtx_ray.corpus.readers import How, read_rows
from lmtx_ray.corpus.values import id_text
from lmtx_ray.io import storage

Pairs = Mapping[str, frozenset[int]]  # doc_id -> label ids


def read_pairs(uri: str, doc_ids: Sequence[str], rows: LabelRows) -> dict[str, frozenset[int]]:
    """The label ids that do not count for a document.

    Args:
        doc_ids: The id of each row of the documents; "" for a row that is none.
        rows: What label rows count.

    Raises:
        CorpusError: No such file, a line that is no pair, or a row that is not there; the message
            names the line.
    """
    if not storage.exists(uri):
        raise CorpusError(f"no such file: {uri}")
    found: dict[str, set[int]] = {}
    for number, document, label in _pairs(uri):
        if document >= len(doc_ids):
            said = f"row {document} of {len(doc_ids)} documents"
            raise CorpusError(f"{uri} line {number}: {said}: is it the filter of other documents?")
        if rows.labels and label >= rows.count:
            raise CorpusError(f"{uri} line {number}: row {label} of {rows.count} labels")
        own, doc_id = rows.label_at(label), doc_ids[document]
        if own is not None and doc_id:
            found.setdefault(doc_id, set()).add(own)
    return {doc_id: frozenset(labels) for doc_id, labels in found.items()}


def _pairs(uri: str) -> Iterator[tuple[int, int, int]]:
    for number, line in read_text_lines(uri):
        cells = [] if isinstance(line, BadRow) else line.replace(",", " ").split()
        if isinstance(line, str) and not cells:
            continue
        try:
            document, label = map(_row, cells)
        except ValueError:
            document = label = -1
        if min(document, label) < 0:
            shown = line.reason if isinstance(line, BadRow) else repr(line[:60])
            raise CorpusError(f"{uri} line {number}: no rows of a document and a label: {shown}")
        yield number, document, label


def _row(cell: str) -> int:
    """A row's number, also as 1.0 or 1e0, which array programs write. ValueError for no number."""
    number = float(cell)
    if not number.is_integer():
        raise ValueError(cell)
    return int(number)


def row_ids(
    uris: Sequence[str],
    source: DocumentsConfig,
    rejected: Container[tuple[str, int]] = frozenset(),
) -> list[str]:
    """The document id of each row of some files, "" for a row without, for those that were
    `rejected`, (file, position) of each, and for what repeats an earlier one's id."""
    wanted = document_columns(source.columns)
    ids: list[str] = []
    seen: set[str] = set()
    for file in list_inputs(uris, identify=False):
        how = How(wanted, source.encoding, file.name)
        for position, row in read_rows(file.uri, kind_of(file.uri, source), how=how):
            if isinstance(row, BadRow) or (file.uri, position) in rejected:
                doc_id = ""
            else:
                doc_id = _id(row, source)
            ids.append("" if doc_id in seen else doc_id)
            seen.add(doc_id)
    return ids


def _id(row: Row, source: DocumentsConfig) -> str:
    _, value = first_field(row, source.columns.doc_id, IDS)
    try:
        return "" if value is None else id_text(value)
    except ValueError:
        return ""


def without(table: pa.Table, pairs: Pairs) -> pa.Table:
    """A table with doc_id and lists that run along with its label_ids, without the pairs."""
    lists = [field.name for field in table.schema if pa.types.is_list(field.type)]
    rows = []
    for row in table.to_pylist():
        never = pairs.get(row["doc_id"], frozenset())
        if never and row["label_ids"]:
            kept = [place for place, label in enumerate(row["label_ids"]) if label not in never]
            own = {name: row[name] and [row[name][place] for place in kept] for name in lists}
            row = {**row, **own}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=table.schema)
