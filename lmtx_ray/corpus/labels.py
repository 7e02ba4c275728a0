"""The label set: files of labels to units of the `labels` table.

A label's id is its place among the good rows. Gold may name labels by their place in the file, so a
bad row is an error of the whole set, unless `bad_labels` says that such rows are left out: then
they are rejects, and gold indices are counted anew. What cannot be read at all is an error either
way, as nobody knows how many rows it was. Of rows with one key the first stays.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.config.corpus import ColumnMap, CorpusConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.columns import KEYS, LABEL_FURTHER, LABEL_TEXTS, label_columns
from lmtx_ray.corpus.documents import first_field, kind_of, text_problem
from lmtx_ray.corpus.inputs import list_inputs
from lmtx_ray.corpus.left_out import LEFT_OUT, LeftOut
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row
from lmtx_ray.corpus.readers import How, read_rows
from lmtx_ray.corpus.reasons import Reasons
from lmtx_ray.corpus.text_keys import is_blank, squeezed
from lmtx_ray.corpus.values import id_text, is_missing, plain_text, texts_of
from lmtx_ray.io.plain_json import json_text
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.unique import hash_keys, key_hash, repeated

NONE_AGAIN = np.array([], np.uint64)
MEND = (
    "mend them, or set corpus.bad_labels: leave_out, and such rows become rejects; without a "
    "config `lmtx labels import` writes the good rows to a new file"
)


def publish_labels(config: CorpusConfig, output: Dataset, rejects: Dataset, rows: int) -> None:
    """Publish the label set in units of `rows` rows, of which one is in memory, and its rejects.

    Raises:
        CorpusError: An empty file, or a bad row or a repeated key where none is left out.
    """
    units, left_out = [], LeftOut()
    for number, table in enumerate(label_tables(config, rows, left_out)):
        # the size is in the name: another size, after a kill, must not mix with what is there
        units.append(f"{number:05d}-{rows}")
        if not output.is_complete():
            output.commit_table(units[-1], table, rows_in=table.num_rows, key="label_key")
    table = pa.Table.from_pylist(left_out.rejects, schema=schemas.REJECTS)
    rejects.commit_table("00000", table, rows_in=table.num_rows)
    rejects.publish(["00000"], about={LEFT_OUT: left_out.places})
    if not output.is_complete():
        output.publish(units, key="label_key")


def label_tables(
    config: CorpusConfig, rows: int, left_out: LeftOut | None = None
) -> Iterator[pa.Table]:
    """The label set in tables of `rows` rows; label_id is the place among the good rows, from 0.
    `left_out` is told the others. Raises as `publish_labels`."""
    waiting: list[Row] = []
    hashes: list[np.ndarray] = []
    total = 0

    def flush() -> pa.Table:
        table = schemas.conform(
            pa.Table.from_pylist(waiting, schema=schemas.LABELS), schemas.LABELS
        )
        hashes.append(np.frombuffer(hash_keys(table["label_key"]), np.uint64))
        waiting.clear()
        return table

    left_out = left_out or LeftOut()
    again = _repeated(config) if config.bad_labels == "leave_out" else NONE_AGAIN
    for *_, label in _labels(config, left_out, again):
        waiting.append({**label, "label_id": total})
        total += 1
        if len(waiting) == rows:
            yield flush()
    if waiting:
        yield flush()
    if not total:
        raise CorpusError(f"{config.labels}: no labels; {left_out.reasons()}")
    if len(repeated(np.concatenate(hashes))):
        _refuse_repeated(config, again)


def all_labels(config: CorpusConfig, rows: int) -> tuple[pa.Table, LeftOut]:
    """(the label set, what is left out of it) as `label_tables` gives them in tables of `rows` rows
    where bad rows are left out, but all in memory and read once: which keys repeat is seen at the
    end. Of a row whose key was there, the reject tells nothing but that.

    Raises:
        CorpusError: There is no label, or a file that cannot be read.
    """
    left_out = LeftOut()
    places = _Places()
    tables, waiting = [], []
    for uri, position, label in _labels(config, left_out):
        waiting.append({**label, "label_id": len(places)})
        places.add(uri, position, len(places) + len(left_out.places))
        if len(waiting) == rows:
            tables.append(pa.Table.from_pylist(waiting, schema=schemas.LABELS))
            waiting.clear()
    if not len(places):
        raise CorpusError(f"{config.labels}: no labels; {left_out.reasons()}")
    tables.append(pa.Table.from_pylist(waiting, schema=schemas.LABELS))
    return _once_each(pa.concat_tables(tables), places, left_out)


class _Places:
    """Where good rows are, 24 bytes each: in which file, at which position, and which of all rows
    they are."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._file_L, self._position_L, self.row_L = array("q"), array("q"), array("q")

    def __len__(self) -> int:
        return len(self.row_L)

    def add(self, uri: str, position: int, row: int) -> None:
        self._file_L.append(self._files.setdefault(uri, len(self._files)))
        self._position_L.append(position)
        self.row_L.append(row)

    def of(self, label: int) -> tuple[str, int]:
        return list(self._files)[self._file_L[label]], self._position_L[label]


def _once_each(table: pa.Table, places: _Places, left_out: LeftOut) -> tuple[pa.Table, LeftOut]:
    """The first row of each key, and what is left out with the others in their places."""
    codes_L = table["label_key"].combine_chunks().dictionary_encode().indices.to_numpy()
    _, firsts = np.unique(codes_L, return_index=True)
    is_first_L = np.zeros(len(codes_L), bool)
    is_first_L[firsts] = True
    found = list(zip(left_out.places, left_out.rejects, strict=True))
    for label in np.flatnonzero(~is_first_L).tolist():
        first = "{} row {}".format(*places.of(int(firsts[codes_L[label]])))
        again = BadRow(_again({"label_key": table["label_key"][label].as_py()}, first), "")
        found.append((places.row_L[label], again.reject(*places.of(label))))
    found.sort(key=lambda one: one[0])
    kept = table.filter(pa.array(is_first_L))
    ids = pa.array(np.arange(len(kept), dtype=np.int32))
    kept = kept.set_column(kept.column_names.index("label_id"), "label_id", ids)
    kept = schemas.conform(kept, schemas.LABELS)
    return kept, LeftOut([reject for _, reject in found], [place for place, _ in found])


def _repeated(config: CorpusConfig) -> np.ndarray:
    """Hashes of keys of good rows that are there more than once, found before any row is given:
    8 bytes a row are held, and later the keys of these hashes only."""
    labels = _labels(config, LeftOut())
    return repeated(np.array([key_hash(label["label_key"]) for *_, label in labels], np.uint64))


def _refuse_repeated(config: CorpusConfig, again: np.ndarray) -> None:
    """Reads the files again, to name the row; equal hashes of different keys are fine."""
    seen: dict[str, str] = {}
    for uri, position, label in _labels(config, LeftOut(), again):
        place = f"{uri} row {position}"
        first = seen.setdefault(label["label_key"], place)
        if first != place:
            raise CorpusError(f"{place}: {_again(label, first)}; {MEND}")


def _again(label: Row, first: str) -> str:
    return f"duplicate key {label['label_key']!r}, first in {first}"


def _labels(
    config: CorpusConfig, left_out: LeftOut, again: np.ndarray = NONE_AGAIN
) -> Iterator[tuple[str, int, Row]]:
    """(file, position, label) of the good rows. Raises CorpusError for bad ones, once it is known
    how many there are, if they are not left out; so is a later row whose key has a hash in
    `again` and was there."""
    reasons, firsts = Reasons(), _Firsts(again)
    for place, (uri, position, row) in enumerate(_rows(config)):
        if isinstance(row, BadRow):
            raise CorpusError(f"{uri} row {position}: {row.reason}")
        label = firsts.checked(_label(row, config.columns), row, f"{uri} row {position}")
        if isinstance(label, BadRow):
            reasons.add(uri, position, label.reason)
            if config.bad_labels == "leave_out":
                left_out.places.append(place)
                left_out.rejects.append(label.reject(uri, position))
        elif not reasons.count or config.bad_labels == "leave_out":
            yield uri, position, label
    if reasons.count and config.bad_labels == "refuse":
        raise CorpusError(f"{config.labels}: {reasons}; {MEND}")


class _Firsts:
    """Where keys were first, of those whose hashes are there again."""

    def __init__(self, again: np.ndarray) -> None:
        self._again = frozenset(again.tolist())
        self._seen: dict[str, str] = {}

    def checked(self, label: Row | BadRow, row: Row, place: str) -> Row | BadRow:
        """The label, or that its key was there before."""
        if isinstance(label, BadRow) or not self._again:
            return label
        key = label["label_key"]
        if key_hash(key) not in self._again:
            return label
        first = self._seen.setdefault(key, place)
        return label if first == place else BadRow(_again(label, first), json_text(row))


def _rows(config: CorpusConfig) -> Iterator[tuple[str, int, Row | BadRow]]:
    how = How(label_columns(config.columns), config.encoding)
    for file in list_inputs([config.labels], identify=False):
        for position, row in read_rows(file.uri, kind_of(file.uri, config), how=how):
            yield file.uri, position, row


def _label(row: Row, columns: ColumnMap) -> Row | BadRow:
    """One row of the label set, or what is wrong with it, with the field."""
    fields = {
        "label_key": first_field(row, columns.label_key, KEYS),
        "text": first_field(row, columns.label_text, LABEL_TEXTS),
        **{name: first_field(row, None, names) for name, names in LABEL_FURTHER.items()},
    }
    for setting, field in (("label_key", "label_key"), ("label_text", "text")):
        if fields[field][0] not in row:
            return BadRow(_absent(row, setting, fields[field][0]), json_text(row))
    return checked_label(row, fields)


def checked_label(row: Row, fields: Mapping[str, tuple[str, Any]]) -> Row | BadRow:
    """A label of the `labels` contract but its id, or what is wrong with it.

    Args:
        row: As it was read, for the reject.
        fields: label_key, text, description, aliases and parent_keys -> (what the row calls it,
            the value).
    """
    values: dict[str, Any] = {}
    for role, (name, value) in fields.items():
        check = _needed if role in ("label_key", "text") else _further
        values[role] = made = check(role, name, value)
        if isinstance(made, BadRow):
            return BadRow(made.reason, json_text(row))
    return values


def _absent(row: Row, setting: str, name: str) -> str:
    has = ", ".join(map(str, row))
    return f"missing field {name!r}: set corpus.columns.{setting}; the file has {has}"


def _needed(role: str, name: str, value: Any) -> str | BadRow:
    if type(value) is str and value.isascii() and value.isprintable():  # most: nothing to look for
        plain = value.strip() if role == "label_key" else squeezed(value)
        if plain:
            return plain
    try:
        text = "" if value is None else (id_text if role == "label_key" else plain_text)(value)
    except ValueError as error:
        return BadRow(f"field {name!r} {error}")
    if problem := text_problem(text):
        return BadRow(f"{problem} in field {name!r}")
    if is_blank(text):
        return BadRow(f"field {name!r} needs a text, got {value!r}")
    return text.strip() if role == "label_key" else tidy(text)


def tidy(text: str) -> str:
    """A label's text as it is kept: NFC, spaces squeezed."""
    text = squeezed(text)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _further(role: str, name: str, value: Any) -> Any:
    """A description, or a list of aliases or parents: a list, or a text with "|" between them."""
    if value is None or is_missing(value):
        return None
    try:
        found = plain_text(value) if role == "description" else texts_of(value)
    except ValueError as error:
        inside = "an item " if isinstance(value, list) else ""
        return BadRow(f"field {name!r}: {inside}{error}")
    for text in (found,) if isinstance(found, str) else found or ():
        if problem := text_problem(text):
            return BadRow(f"{problem} in field {name!r}")
    return found
