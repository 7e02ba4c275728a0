"""Files of changes to a label set: rows to add, to update and to remove, by key.

A file is refused as a whole where a row of it cannot be meant: nothing is half done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.columns import KEYS, LABEL_FURTHER, LABEL_TEXTS, Wanted, label_further
from lmtx_ray.corpus.documents import first_field
from lmtx_ray.corpus.label_edits import Wishes
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.corpus.labels import checked_label
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row, read_text_lines
from lmtx_ray.corpus.readers import How, format_of, read_rows
from lmtx_ray.corpus.reasons import Reasons
from lmtx_ray.corpus.text_keys import is_blank

NEAR = 3


@dataclass(frozen=True)
class Change:
    """What is said of one key: the fields that are given, under their names in a `labels` table;
    `place` is where it is said, for people."""

    place: str
    key: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Fields:
    """Columns of a file; without a name the usual ones are looked for."""

    key: str | None = None
    text: str | None = None
    encoding: str = "utf-8"


USUAL = Fields()


class Mistakes(CorpusError):
    """Rows that cannot be meant; the message names the first of them."""


@dataclass
class _Refusing:
    """Bad rows of one file, which is refused at its end."""

    source: str
    reasons: Reasons = field(default_factory=Reasons)

    def add(self, place: str, reason: str) -> None:
        self.reasons.count += 1
        if len(self.reasons.first) < NEAR:
            self.reasons.first.append(f"{place}: {reason}")

    def end(self) -> None:
        """Raises Mistakes if there was a bad row."""
        if self.reasons.count:
            raise Mistakes(f"{self.source}: {self.reasons}; nothing was changed")


def read_changes(uri: str, fields: Fields = USUAL, names_only: bool = False) -> list[Change]:
    """All rows of a file of changes, in order.

    Args:
        names_only: Keys alone are asked for: of a plain text each line is one, and else only the
            column of keys is read.

    Raises:
        Mistakes: A row that cannot be read, has no key or one that was there before, or a field
            that is none.
        CorpusError: The file cannot be read as a whole.
    """
    refusing, changes = _Refusing(uri), []
    seen: dict[str, str] = {}
    for position, row in _rows(uri, fields, names_only):
        place = f"row {position}"
        change = row if isinstance(row, BadRow) else change_of(place, row, fields, names_only)
        if isinstance(change, BadRow):
            refusing.add(place, change.reason)
            continue
        first = seen.setdefault(change.key, place)
        if first != place:
            refusing.add(place, f"duplicate key {change.key!r}, first in {first}")
        changes.append(change)
    refusing.end()
    if not changes:
        raise CorpusError(f"{uri}: no row to change anything by")
    return changes


def _rows(uri: str, fields: Fields, names_only: bool) -> Iterator[tuple[int, Row | BadRow]]:
    kind = format_of(uri)
    if kind == "text":  # a list: each line is a key, and a text that is called so
        for number, line in read_text_lines(uri, encoding=fields.encoding):
            if isinstance(line, BadRow):
                yield number, line
            elif not is_blank(line):
                yield (
                    number,
                    {fields.key or "key": line}
                    | ({} if names_only else {fields.text or "text": line}),
                )
        return
    named = tuple(name for name in (fields.key, None if names_only else fields.text) if name)
    groups = () if fields.key else (("--key-field", KEYS),)
    further = () if names_only else label_further()
    texts = () if names_only or fields.text else LABEL_TEXTS
    wanted = Wanted(named, groups, (*texts, *further))
    yield from read_rows(uri, kind, how=How(wanted, fields.encoding))


def change_of(
    place: str, row: Row, fields: Fields = USUAL, names_only: bool = False
) -> Change | BadRow:
    """What one row says, or what is wrong with it."""
    found = {"label_key": first_field(row, fields.key, KEYS)}
    if not names_only:
        found |= _given(row, fields)
    label = checked_label(row, found)
    return label if isinstance(label, BadRow) else Change(place, label.pop("label_key"), label)


def _given(row: Row, fields: Fields) -> dict[str, tuple[str, Any]]:
    """The fields that a row has; a field of a table that is there and empty empties it."""
    found = {
        "text": first_field(row, fields.text, LABEL_TEXTS),
        **{name: first_field(row, None, names) for name, names in LABEL_FURTHER.items()},
    }
    return {role: (name, value) for role, (name, value) in found.items() if name in row}


def to_add(changes: Iterable[Change], labels: LabelSet, source: str) -> Wishes:
    """Labels to add. One that was removed before needs no field but its key: it comes back as it
    was, but for what is given.

    Raises:
        Mistakes: A key that is there, or a new one without a text.
    """
    refusing, rows = _Refusing(source), []
    for change in changes:
        if (known := labels.label(change.key)) is not None:
            reason = f"key {change.key!r} is there already, as {known.text!r}: that is an update"
            refusing.add(change.place, reason)
            continue
        row = _was(labels, change.key) | {**change.fields, "label_key": change.key}
        if not row.get("text"):
            refusing.add(change.place, f"new label {change.key!r} needs a text")
        rows.append(row)
    refusing.end()
    return Wishes(added=_table(rows))


def _was(labels: LabelSet, key: str) -> Row:
    rows = labels.removed.rows(pa.array([key])).to_pylist()
    return {name: value for name, value in rows[0].items() if name != "removed"} if rows else {}


def to_update(changes: Iterable[Change], labels: LabelSet, table: pa.Table, source: str) -> Wishes:
    """Labels of which some fields become others; `table` is the `labels` table of `labels`. What
    would stay as it is is left out.

    Raises:
        Mistakes: A key that is not there, told with those that are written nearly so.
    """
    refusing, rows = _Refusing(source), []
    for change in changes:
        if change.key not in labels:
            refusing.add(change.place, unknown(labels, change.key))
            continue
        (before,) = table.slice(labels.place(change.key), 1).to_pylist()
        row = before | change.fields
        if any((row[name] or None) != (before[name] or None) for name in change.fields):
            rows.append(row)
    refusing.end()
    return Wishes(changed=_table(rows))


def to_remove(changes: Iterable[Change], labels: LabelSet, source: str) -> Wishes:
    """Labels to remove.

    Raises:
        Mistakes: A key that is not there, told with those that are written nearly so.
    """
    refusing, gone = _Refusing(source), []
    for change in changes:
        if change.key not in labels:
            refusing.add(change.place, unknown(labels, change.key))
        gone.append(change.key)
    refusing.end()
    return Wishes(gone=gone)


def to_put(changes: Iterable[Change], labels: LabelSet, table: pa.Table, source: str) -> Wishes:
    """Labels to add where their keys are not there, and to update where they are. Raises as
    `to_add`."""
    asked = list(changes)
    new = [change for change in asked if change.key not in labels]
    known = [change for change in asked if change.key in labels]
    added = to_add(new, labels, source).added
    return Wishes(added, to_update(known, labels, table, source).changed)


def unknown(labels: LabelSet, key: str) -> str:
    """What is wrong with a key that no label has."""
    if day := labels.removed.on(key):
        return f"key {key!r} was removed on {day}"
    near = " or ".join(map(repr, labels.near_keys(key)))
    return f"no label has the key {key!r}{f'; did you mean {near}?' if near else ''}"


def _table(rows: list[Row]) -> pa.Table:
    for row in rows:
        row["label_id"] = 0
    return schemas.conform(pa.Table.from_pylist(rows, schema=schemas.LABELS), schemas.LABELS)
