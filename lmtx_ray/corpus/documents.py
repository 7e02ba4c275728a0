"""One raw row to a document, or to what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lmtx_ray.config.corpus import ColumnMap, DocumentsConfig
from lmtx_ray.corpus.columns import IDS, TEXTS, TITLES, near_names
from lmtx_ray.corpus.lines import BadRow, Row
from lmtx_ray.corpus.readers import format_of
from lmtx_ray.corpus.text_keys import document_text

SURROGATES = re.compile(r"[\ud800-\udfff]")


def kind_of(uri: str, config: DocumentsConfig) -> str:
    """The format a file is read as. Raises CorpusError where neither config nor name tells."""
    if config.format == "xmc":
        return "jsonl"
    return format_of(uri) if config.format == "auto" else config.format


def first_field(row: Row, wanted: str | None, usual: Sequence[str]) -> tuple[str, Any]:
    """(name, value) of the wanted field, or of the first usual one that is there."""
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
