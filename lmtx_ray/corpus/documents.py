"""Raw corpora to the documents, labels, gold and rejects tables.

Every row read is kept or rejected with a reason. Labels are different: a label's id is its place
in the file, so a bad label row would shift the meaning of every gold index after it, and is an
error of the whole file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lmtx_ray.config.corpus import ColumnMap, CorpusConfig, DocumentsConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.columns import IDS, TEXTS, TITLES, near_names
from lmtx_ray.corpus.lines import MOST_RAW, BadRow, CorpusError, Row
from lmtx_ray.corpus.readers import format_of, read_rows
from lmtx_ray.corpus.text_keys import SPACES, document_text, text_key
from lmtx_ray.io import storage

SURROGATES = re.compile(r"[\ud800-\udfff]")
TRAINING_FIELDS = {"documents", "limit", "held_aside", "seed"}  # what makes the documents


@dataclass(frozen=True)
class TestCorpus:
    """Documents with gold labels: what only evaluation reads."""

    __test__ = False  # no test, whatever pytest thinks of its name

    documents: pa.Table
    gold: pa.Table
    rejects: pa.Table


@dataclass(frozen=True)
class Corpus:
    """The prepared tables, each conforming to its contract."""

    documents: pa.Table
    labels: pa.Table
    rejects: pa.Table
    test: TestCorpus | None


@dataclass
class _Collected:
    documents: list[Row] = field(default_factory=list)
    gold: list[Row] = field(default_factory=list)
    rejects: list[Row] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)

    def reject(self, source: str, position: int, bad: BadRow) -> None:
        raw = bad.raw[:MOST_RAW].encode("utf-8", "replace").decode()
        self.rejects.append(
            {"source": source, "position": position, "reason": bad.reason, "raw": raw}
        )


def prepare_corpus(config: CorpusConfig) -> Corpus:
    """Read everything a run needs.

    Raises:
        CorpusError: A missing file or column, a bad label file, or no readable document.
    """
    labels = read_labels(config)
    collected = _Collected()
    for uri in _files(config.documents):
        _read_documents(uri, config, collected, None)
    if not collected.documents:
        raise CorpusError(f"{', '.join(config.documents)}: no readable document")
    _hold_aside(collected.documents, config)
    return Corpus(
        _table(_equal_texts_together(collected.documents), schemas.DOCUMENTS),
        labels,
        _table(collected.rejects, schemas.REJECTS),
        _read_test(config, labels.num_rows, collected.seen),
    )


def _read_test(config: CorpusConfig, labels: int, seen: dict[str, str]) -> TestCorpus | None:
    """`seen` are the ids of training documents: a test document must be none of them."""
    if not config.test:
        return None
    collected = _Collected(seen=dict(seen))
    for uri in _files([config.test]):
        _read_documents(uri, config, collected, labels)
    if not collected.documents:
        first = next(iter(collected.rejects), {"reason": "it is empty", "position": 0})
        raise CorpusError(
            f"{config.test}: no readable document with gold labels; row {first['position']}: "
            f"{first['reason']}"
        )
    return TestCorpus(
        _table(_equal_texts_together(collected.documents), schemas.DOCUMENTS),
        _table(collected.gold, schemas.GOLD),
        _table(collected.rejects, schemas.REJECTS),
    )


def _equal_texts_together(documents: list[Row]) -> list[Row]:
    """In the order given, but documents of one text behind the first of them."""
    first: dict[bytes, int] = {}
    places = [
        first.setdefault(text_key(document_text(row["title"], row["text"])), place)
        for place, row in enumerate(documents)
    ]
    order = sorted(range(len(documents)), key=lambda place: (places[place], place))
    return [documents[place] for place in order]


def _table(rows: list[Row], schema: pa.Schema) -> pa.Table:
    return schemas.conform(pa.Table.from_pylist(rows, schema=schema), schema)


def _files(uris: Sequence[str]) -> list[str]:
    files: list[str] = []
    for uri in uris:
        inside = storage.list_files(uri)
        if not inside and not storage.exists(uri):
            raise CorpusError(f"no such file or folder: {uri}")
        files += inside or [uri]
    return files


def kind_of(uri: str, config: DocumentsConfig) -> str:
    if config.format == "xmc":
        return "jsonl"
    return format_of(uri) if config.format == "auto" else config.format


def _read_documents(
    uri: str, config: DocumentsConfig, collected: _Collected, labels: int | None
) -> None:
    """Add a file's rows; `labels` is the size of the label set for files with gold, else None."""
    columns = config.columns
    required = [name for name in (columns.doc_id, columns.text) if name]
    required += [columns.gold] if labels is not None else []
    for position, row in read_rows(uri, kind_of(uri, config), required):
        if labels is None and config.limit and len(collected.documents) >= config.limit:
            return
        document = row if isinstance(row, BadRow) else to_document(row, columns)
        gold = _gold(row, columns, labels) if isinstance(document, dict) else None
        problem = next((part for part in (document, gold) if isinstance(part, BadRow)), None)
        if problem is None and document["doc_id"] in collected.seen:
            first = collected.seen[document["doc_id"]]
            problem = BadRow(f"duplicate id {document['doc_id']!r}, first in {first}")
        if problem is not None:
            collected.reject(uri, position, problem)
            continue
        collected.seen[document["doc_id"]] = f"{uri} row {position}"
        split = "train" if labels is None else "test"
        collected.documents.append({**document, "split": split})
        if labels is not None:
            collected.gold.append({"doc_id": document["doc_id"], "label_ids": gold})


def first_field(row: Row, wanted: str | None, usual: Sequence[str]) -> tuple[str, Any]:
    names = [wanted] if wanted else usual
    present = (name for name in names if row.get(name) is not None)
    name = next(present, names[0])
    return name, row.get(name)


def to_document(row: Row, columns: ColumnMap) -> Row | BadRow:
    """doc_id, title and text of a raw row, or what is wrong with it."""
    id_name, doc_id = first_field(row, columns.doc_id, IDS)
    text_name, text = first_field(row, columns.text, TEXTS)
    _, title = first_field(row, columns.title, TITLES)
    if isinstance(doc_id, int) and not isinstance(doc_id, bool):
        doc_id = str(doc_id)
    if doc_id is None or doc_id == "":
        return _missing(row, id_name, IDS)
    text = "" if text is None and isinstance(title, str) else text
    for name, value in ((id_name, doc_id), (text_name, text), ("title", title or "")):
        if value is None:
            return _missing(row, name, TEXTS)
        if not isinstance(value, str):
            return BadRow(f"field {name!r} is {type(value).__name__}, not text", str(row))
        if "\0" in value:
            return BadRow(f"NUL character in field {name!r}", str(row))
        if SURROGATES.search(value):
            return BadRow(f"lone surrogate in field {name!r}", str(row))
    if not document_text(title, text):
        return BadRow("empty text", str(row))
    return {"doc_id": doc_id, "title": title, "text": text or title}


def _missing(row: Row, name: str, usual: Sequence[str]) -> BadRow:
    """A row without `name`, with the fields that may be meant: no field has a name of `usual`."""
    near = "" if name in row else near_names([name] if name not in usual else usual, list(row))
    return BadRow(f"missing field {name!r}{near and '; '}{near}", str(row))


def _gold(row: Row, columns: ColumnMap, labels: int | None) -> list[int] | BadRow | None:
    if labels is None:
        return None
    values = row.get(columns.gold)
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        return BadRow(f"field {columns.gold!r} needs a list of label indices", str(row))
    outside = [value for value in values if not 0 <= value < labels]
    if outside:
        return BadRow(f"{columns.gold!r}: label index {outside[0]} of {labels} labels", str(row))
    return sorted(set(values))


def _hold_aside(documents: list[Row], config: CorpusConfig) -> None:
    """Moves the training documents with the smallest hashes of (seed, id) aside."""
    train = [row for row in documents if row["split"] == "train"]
    if config.held_aside and config.held_aside >= len(train):
        raise CorpusError(
            f"corpus.held_aside is {config.held_aside}, of only {len(train)} documents"
        )
    train.sort(key=lambda row: hashlib.sha256(f"{config.seed}/{row['doc_id']}".encode()).digest())
    for row in train[: config.held_aside]:
        row["split"] = "held_aside"


def read_labels(config: CorpusConfig) -> pa.Table:
    """The labels table; label_id is the place in the file, from 0.

    Raises:
        CorpusError: A bad row, an empty text, a repeated key or an empty file.
    """
    uri, columns = config.labels, config.columns
    required = [name for name in (columns.label_key, columns.label_text) if name]
    if not storage.exists(uri):
        raise CorpusError(f"no such file: {uri}")
    rows: list[Row] = []
    seen: set[str] = set()
    for position, row in read_rows(uri, kind_of(uri, config), required):
        label = row if isinstance(row, BadRow) else _label(row, columns)
        if isinstance(label, BadRow):
            raise CorpusError(f"{uri} row {position}: {label.reason}")
        if label["label_key"] in seen:
            raise CorpusError(f"{uri} row {position}: duplicate key {label['label_key']!r}")
        seen.add(label["label_key"])
        rows.append({**label, "label_id": len(rows)})
    if not rows:
        raise CorpusError(f"{uri}: no labels")
    return _table(rows, schemas.LABELS)


def _label(row: Row, columns: ColumnMap) -> Row | BadRow:
    key_name, key = first_field(row, columns.label_key, ("uid", "label_key", "key", "id"))
    text_name, text = first_field(row, columns.label_text, ("title", "text", "label", "name"))
    key = str(key) if isinstance(key, int) else key
    for name, value in ((key_name, key), (text_name, text)):
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            return BadRow(f"field {name!r} needs a text, got {value!r}")
    extra = {name: row.get(name) for name in ("description", "aliases", "parent_keys")}
    return {"label_key": key, "text": SPACES.sub(" ", text).strip(), **extra}
