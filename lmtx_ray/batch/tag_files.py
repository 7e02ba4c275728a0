"""Tags and rankings as they lie about: the output of `lmtx tag`, a step of a run, or one file with
a row for each document or for each tag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pyarrow as pa

from lmtx_ray.batch.formats import LISTS
from lmtx_ray.batch.outputs import read_manifests, read_tags
from lmtx_ray.corpus.cells import split_items
from lmtx_ray.corpus.columns import Wanted
from lmtx_ray.corpus.gold import DOCUMENTS
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row
from lmtx_ray.corpus.readers import How, columns_of, format_of, read_rows
from lmtx_ray.corpus.sparse_rows import is_sparse, read_sparse, row_id
from lmtx_ray.corpus.values import id_text
from lmtx_ray.io import storage
from lmtx_ray.io.published import PLAN, PublishedFolder

IDS = "label_ids"
ONE_TAG = {  # columns of a file with a row for each tag -> the lists they make
    "label_key": "label_keys",
    "label": "labels",
    "score": "scores",
    "probability": "probabilities",
}
MOST_INT = (1 << 63) - 1
MOST_SHOWN = 200  # characters of values that are wrong
OWN = {*LISTS, *ONE_TAG, IDS, "reason", "rank", "title", "text"}
KINDS: Mapping[str, pa.DataType] = {
    "label_keys": pa.list_(pa.string()),
    "labels": pa.list_(pa.string()),
    "scores": pa.list_(pa.float32()),
    "probabilities": pa.list_(pa.float32()),
    IDS: pa.list_(pa.int64()),
}


def is_tags_output(uri: str) -> bool:
    """Whether a folder is what `lmtx tag` published."""
    return bool(read_manifests(uri)) and bool(storage.stat(storage.join(uri, PLAN)))


def read_tag_file(
    uri: str, document: str | None = None, row_ids: Sequence[str] | None = None
) -> pa.Table:
    """A row for each document: doc_id, and as lists what there is of label_keys or label_ids,
    labels, scores and probabilities, best first.

    Args:
        document: The column of document ids; a usual name, or the one that is left, if None.
        row_ids: Ids of the rows of a sparse matrix (`sparse_rows`); their numbers from 0 if None.

    Raises:
        CorpusError: A file without ids or labels, or with a row that cannot be read.
        PublishError: A folder where nothing is published.
    """
    if not storage.exists(uri):
        raise CorpusError(f"no such file or folder: {uri}")
    if storage.stat(uri) is None:
        return read_tags(uri) if is_tags_output(uri) else PublishedFolder(uri).read()
    if is_sparse(uri):
        return _matrix(uri, row_ids)
    header = columns_of(uri, format_of(uri))
    column = _document_column(uri, header, document)
    rows = list(_good(uri, Wanted((column,), further=(*KINDS, *ONE_TAG))))
    if any(name in header for name in ("label_keys", IDS)):
        return _table(uri, _per_document(uri, rows, column))
    if any(name in header for name in ("label_key", "label")):
        return _table(uri, _gathered(uri, rows, column))
    there = ", ".join(map(repr, header)) or "nothing"
    raise CorpusError(
        f"{uri}: no column label_keys, label_ids, label_key or label; it has: {there}"
    )


def _matrix(uri: str, row_ids: Sequence[str] | None) -> pa.Table:
    rows = []
    for position, row in read_sparse(uri):
        if isinstance(row, BadRow):
            raise CorpusError(f"{uri} row {position}: {row.reason}")
        if doc_id := row_id(uri, position - 1, row_ids):
            rows.append({"doc_id": doc_id, **row})
    schema = pa.schema({"doc_id": pa.string(), IDS: KINDS[IDS], "scores": KINDS["scores"]})
    return pa.Table.from_pylist(rows, schema=schema)


def _good(uri: str, wanted: Wanted) -> Iterator[tuple[int, Row]]:
    for position, row in read_rows(uri, format_of(uri), how=How(wanted)):
        if isinstance(row, BadRow):
            raise CorpusError(f"{uri} row {position}: {row.reason}")
        yield position, row


def _document_column(uri: str, header: Sequence[str], wanted: str | None) -> str:
    if wanted:
        names = [wanted] if wanted in header else []
    else:
        others = [name for name in header if name not in OWN]
        names = [name for name in DOCUMENTS if name in others] or others
    if not names:
        there = ", ".join(map(repr, header)) or "nothing"
        raise CorpusError(f"{uri}: which column holds document ids? it has: {there}")
    return names[0]


@contextmanager
def _at(uri: str, position: int) -> Iterator[None]:
    """What is wrong with a value as what is wrong with its row."""
    try:
        yield
    except ValueError as error:
        raise CorpusError(f"{uri} row {position}: {error}") from None


def _per_document(
    uri: str, rows: Iterable[tuple[int, Row]], column: str
) -> Iterator[tuple[int, str, Row]]:
    for position, row in rows:
        with _at(uri, position):
            given = {name: row[name] for name in KINDS if row.get(name) is not None}
            lists = {name: _listed(name, value) for name, value in given.items()}
            doc_id = _id(row, column)
        yield position, doc_id, lists


def _id(row: Row, column: str) -> str:
    try:
        return id_text(row.get(column))
    except ValueError as error:
        raise ValueError(f"field {column!r} {error}") from None


def _listed(name: str, value: Any) -> list[Any]:
    if isinstance(value, str):
        return split_items(value)
    if not isinstance(value, list):
        raise ValueError(f"{name}: {value!r} is no list")
    return value


def _gathered(
    uri: str, rows: Sequence[tuple[int, Row]], column: str
) -> Iterator[tuple[int, str, Row]]:
    """Rows of one tag by their document, in the order they are in; a row without a label is a
    document without tags. What a row lacks and others have is null."""
    names = {one: many for one, many in ONE_TAG.items() if any(one in row for _, row in rows)}
    found: dict[str, tuple[int, Row]] = {}
    for position, row in rows:
        with _at(uri, position):
            doc_id = _id(row, column)
        _, lists = found.setdefault(doc_id, (position, {many: [] for many in names.values()}))
        if any(row.get(name) not in (None, "") for name in ("label_key", "label")):
            for one, many in names.items():
                lists[many].append(row.get(one))
    for doc_id, (position, lists) in found.items():
        yield position, doc_id, lists


def _table(uri: str, documents: Iterable[tuple[int, str, Row]]) -> pa.Table:
    rows: list[Row] = []
    seen: set[str] = set()
    for position, doc_id, lists in documents:
        with _at(uri, position):
            if doc_id in seen:
                raise ValueError(f"document {doc_id!r} is there twice")
            typed = {name: _typed(name, lists[name]) for name in lists}
            rows.append({"doc_id": doc_id, **_aligned(typed)})
        seen.add(doc_id)
    schema = {name: kind for name, kind in KINDS.items() if any(name in row for row in rows)}
    if "label_keys" not in schema and IDS not in schema and "labels" in schema:
        rows = [{**row, "label_keys": row.get("labels")} for row in rows]  # texts name labels too
        schema["label_keys"] = KINDS["label_keys"]
    return pa.Table.from_pylist(rows, schema=pa.schema({"doc_id": pa.string(), **schema}))


def _typed(name: str, values: list[Any]) -> list[Any]:
    if name in ("label_keys", "labels"):
        try:
            return [id_text(value) for value in values]
        except ValueError as error:
            raise ValueError(f"{name}: a value {error}") from None
    convert, kind = (_whole, "whole numbers") if name == IDS else (float, "numbers")
    try:
        return [None if value in (None, "") else convert(value) for value in values]
    except (TypeError, ValueError, ArithmeticError):
        raise ValueError(f"{name}: {str(values)[:MOST_SHOWN]} are no {kind}") from None


def _whole(value: Any) -> int:
    """A whole number that an int64 holds, to its last digit."""
    number = Decimal(id_text(value))
    if not -MOST_INT - 1 <= number <= MOST_INT or number % 1:
        raise ValueError
    return int(number)


def _aligned(lists: Row) -> Row:
    """Lists with a number for each label: of one label an empty cell is the null of it."""
    named = (lists.get(name) for name in ("label_keys", IDS, "labels"))
    labels: list[Any] = next((own for own in named if own), [])
    for name in (name for name in ("scores", "probabilities") if name in lists):
        numbers = lists[name] or [None] * len(labels)
        if len(numbers) != len(labels):
            raise ValueError(f"{name}: {len(numbers)} for {len(labels)} labels")
        lists = {**lists, name: numbers}
    return lists
