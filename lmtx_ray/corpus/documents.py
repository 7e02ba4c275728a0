"""One raw row to a document, or to what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from lmtx_ray.config.corpus import ColumnMap, DocumentsConfig
from lmtx_ray.corpus.columns import IDS, TEXTS, TITLES, names_in, near_names
from lmtx_ray.corpus.lines import BadRow, Row
from lmtx_ray.corpus.readers import format_of
from lmtx_ray.corpus.text_keys import is_blank
from lmtx_ray.corpus.values import id_text, is_missing, plain_text
from lmtx_ray.io.plain_json import json_text

SURROGATES = re.compile(r"[\ud800-\udfff]")


def kind_of(uri: str, config: DocumentsConfig) -> str:
    """The format a file is read as. Raises CorpusError where neither config nor name tells."""
    if config.format == "xmc":
        return "jsonl"
    return format_of(uri) if config.format == "auto" else config.format


def first_field(row: Row, wanted: str | None, usual: Sequence[str]) -> tuple[str, Any]:
    """(name, value) of the wanted field, or of the first usual one that is there and holds
    something: an empty text only where no other does. None for a value where none does."""
    names = (wanted,) if wanted else names_in(tuple(row), tuple(usual))
    empty: tuple[str, Any] | None = None
    for name in names:
        if is_missing(value := row.get(name)):
            continue
        if len(names) == 1 or not _is_empty(value):
            return name, value
        empty = empty or (name, value)
    return empty or ((*names, *usual)[0], None)


def _is_empty(value: Any) -> bool:
    return is_blank(value) if isinstance(value, str) else value == b""


def to_document(row: Row, columns: ColumnMap, may_be_empty: bool = False) -> Row | BadRow:
    """doc_id, title and text of a raw row, or what is wrong with it: also that it has no text,
    unless it `may_be_empty`."""
    id_name, doc_id = first_field(row, columns.doc_id, IDS)
    text_name, text = first_field(row, columns.text, TEXTS)
    title_name, title = first_field(row, columns.title, TITLES)
    if doc_id is None or doc_id == "":
        return _missing(row, id_name, IDS)
    if text is None and title is None and not may_be_empty:
        return _missing(row, text_name, TEXTS)
    fields = ((id_name, doc_id, id_text), (text_name, text, plain_text))
    read: list[str | None] = []
    for name, value, convert in (*fields, (title_name, title, plain_text)):
        value = None if value is None else _field(row, name, value, convert)
        if isinstance(value, BadRow):
            return value
        read.append(value)
    doc_id, text, title = read
    if is_blank(title) and is_blank(text):
        empty = {"doc_id": doc_id, "title": None, "text": ""}
        return empty if may_be_empty else BadRow("empty text", json_text(row))
    return {"doc_id": doc_id, "title": title, "text": text or title}


def _field(row: Row, name: str, value: Any, convert: Callable[[Any], str]) -> str | BadRow:
    try:
        text = convert(value)
    except ValueError as error:
        return BadRow(f"field {name!r} {error}", json_text(row))
    if problem := text_problem(text):
        return BadRow(f"{problem} in field {name!r}", json_text(row))
    return text


def text_problem(text: str) -> str:
    """What a text holds that no table or UTF-8 can; empty for nothing."""
    if "\0" in text:
        return "NUL character"
    return "" if text.isascii() or not SURROGATES.search(text) else "lone surrogate"


def _missing(row: Row, name: str, usual: Sequence[str]) -> BadRow:
    """A row without `name`, with the fields that may be meant: no field has a name of `usual`."""
    if name in row:
        return BadRow(f"field {name!r} is empty", json_text(row))
    near = near_names([name] if name not in usual else usual, list(row))
    return BadRow(f"missing field {name!r}{near and '; '}{near}", json_text(row))
