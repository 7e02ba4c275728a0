"""Verdicts to and from files that people and other programs read."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.columns import Wanted, refuse_reviewed
from lmtx_ray.corpus.lines import BadRow, CorpusError
from lmtx_ray.corpus.readers import How, columns_of, format_of, read_rows
from lmtx_ray.corpus.text_keys import KEY_BYTES
from lmtx_ray.io import storage
from lmtx_ray.io.plain_json import json_text
from lmtx_ray.verdicts.store import VerdictStore, add_human

Row = dict[str, Any]
BATCH_ROWS = 10_000
FINGERPRINT = re.compile(r"\w+", re.ASCII)  # becomes the name of a folder
EXPORTED = pa.schema(
    [
        ("document", pa.string()),
        ("label", pa.string()),
        ("answer", pa.string()),
        ("p_yes", pa.float32()),
        ("mass", pa.float32()),
        ("raw", pa.string()),
        ("prompt", pa.string()),
        ("teacher", pa.string()),
        ("source", pa.string()),
        ("doc_id", pa.string()),
        ("label_key", pa.string()),
        ("document_text", pa.string()),
        ("label_text", pa.string()),
    ]
)


def rows_of(tables: Iterable[pa.Table]) -> Iterator[Row]:
    """Rows of STORED_VERDICTS with their keys in hexadecimal."""
    for table in tables:
        for row in table.to_pylist():
            yield {**row, "document": row["document"].hex(), "label": row["label"].hex()}


def write_rows(rows: Iterable[Row], path: str, columns: list[str]) -> int:
    """Write rows to a local Parquet, JSON lines or CSV file, as its name tells; returns how many.

    A file is there whole or not at all.
    """
    kind, target = format_of(path), storage.local_path(path)
    if kind not in {"parquet", "jsonl", "csv"} or target.suffix in {".gz", ".zst"}:
        raise CorpusError(f"{path}: verdicts are written as .parquet, .jsonl or .csv")
    draft = target.with_name(f".draft-{target.name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    try:
        with _writer(draft, kind, columns) as write:
            for batch in _batches(rows):
                write(batch)
                count += len(batch)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return count


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    yield batch


@contextmanager
def _writer(path: Path, kind: str, columns: list[str]) -> Iterator[Any]:
    if kind == "parquet":
        schema = pa.schema([EXPORTED.field(name) for name in columns])
        with pq.ParquetWriter(path, schema) as file:
            yield lambda rows: file.write_table(pa.Table.from_pylist(rows, schema=schema))
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if kind == "csv":
            table = csv.DictWriter(file, columns, extrasaction="ignore")
            table.writeheader()
            yield table.writerows
        else:
            yield lambda rows: file.writelines(
                json_text({name: row.get(name) for name in columns}) + "\n" for row in rows
            )


class Resolver:
    """Finds the texts' keys that a row of a file means. Without a run only hashes are understood.

    Args:
        documents: doc_id -> key of its text, of the ids that the file names.
        labels: label_key or name -> key of the label's name.
    """

    def __init__(self, documents: dict[str, bytes], labels: dict[str, bytes]) -> None:
        self._documents, self._labels = documents, labels

    def document(self, row: Row) -> bytes | BadRow:
        """The key of the row's document, by hash, id or key; a BadRow if it is unknown."""
        return self._key(row, "document", ("doc_id",), self._documents)

    def label(self, row: Row) -> bytes | BadRow:
        """The key of the row's label, by hash, key or text; a BadRow if it is unknown."""
        return self._key(row, "label", ("label_key", "label_text"), self._labels)

    def _key(
        self, row: Row, name: str, others: tuple[str, ...], known: dict[str, bytes]
    ) -> bytes | BadRow:
        """A document whose id looks like a hash is meant by its id."""
        value = str(row.get(name) or "")
        if key := known.get(value) or from_hex(value):
            return key
        for field in (*others, name):
            if (given := row.get(field)) not in (None, ""):
                key = known.get(str(given))
                return key or BadRow(
                    f"no {name} {str(given)!r} ({field}) in this run", json_text(row)
                )
        return BadRow(f"missing field {name!r} (or {' or '.join(others)})", json_text(row))


def from_hex(text: str) -> bytes | None:
    """A key in hexadecimal, None for any other text."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES and len(text) == 2 * KEY_BYTES else None


def read_file(path: str) -> Iterator[tuple[int, Row | BadRow]]:
    """(position, row) of a verdict file: Parquet, JSON lines, CSV or TSV."""
    wanted, kind = Wanted(("answer",), further=tuple(EXPORTED.names)), format_of(path)
    refuse_reviewed(path, columns_of(path, kind))
    return read_rows(path, kind, how=How(wanted))


def import_rows(
    store: VerdictStore, path: str, resolver: Resolver
) -> tuple[dict[str, int], list[Row]]:
    """Append a file's verdicts, see `take_rows`."""
    return take_rows(store, path, read_file(path), resolver)


def take_rows(
    store: VerdictStore,
    source: str,
    given_rows: Iterable[tuple[int, Row | BadRow]],
    resolver: Resolver,
) -> tuple[dict[str, int], list[Row]]:
    """Append verdicts; returns how many each judge got, and the rejects, by position in `source`.

    Rows with a teacher and a prompt go to that judge, those without a teacher are answers of
    people: of them it is told how many were new.
    """
    by_judge: dict[tuple[str, str], list[Row]] = {}
    rejects: list[Row] = []
    counts: dict[str, int] = {}
    for position, given in given_rows:
        row = given if isinstance(given, BadRow) else _stored_row(given, resolver)
        if isinstance(row, BadRow):
            rejects.append(row.reject(source, position, most=1000))
            continue
        judge = (row["teacher"], row["prompt"])
        by_judge.setdefault(judge, []).append(row)
        if judge[0] != schemas.HUMAN and len(by_judge[judge]) >= BATCH_ROWS:
            _append(store, judge, by_judge.pop(judge), counts)
    for judge, rows in by_judge.items():
        _append(store, judge, rows, counts)
    return counts, rejects


def _append(
    store: VerdictStore, judge: tuple[str, str], rows: list[Row], counts: dict[str, int]
) -> None:
    table = pa.Table.from_pylist(rows, schema=schemas.STORED_VERDICTS)
    count = len(rows)
    if judge[0] == schemas.HUMAN:
        count = add_human(store, table)
    else:
        store.partition(*judge).append(table, "import")
    counts[judge[0]] = counts.get(judge[0], 0) + count


def _stored_row(row: Row, resolver: Resolver) -> Row | BadRow:
    judge = _judge_of(row)
    if isinstance(judge, BadRow):
        return judge
    by_people = judge[0] == schemas.HUMAN
    answer = str(row.get("answer") or "").strip().lower()
    if answer not in ({"yes", "no"} if by_people else set(schemas.ANSWERS)):
        return BadRow(f"field 'answer' is {row.get('answer')!r}, not yes or no", json_text(row))
    document, label = resolver.document(row), resolver.label(row)
    for part in (document, label):
        if isinstance(part, BadRow):
            return part
    try:
        p_yes, mass = (_share(row.get(name)) for name in ("p_yes", "mass"))
    except ValueError as error:
        return BadRow(str(error), json_text(row))
    return {
        "document": document,
        "label": label,
        "answer": answer,
        "p_yes": None if by_people else p_yes,
        "mass": None if by_people else mass,
        "raw": _storable(row["raw"]) if row.get("raw") else None,
        "teacher": judge[0],
        "prompt": judge[1],
        "source": _storable(row.get("source") or "import"),
    }


def _judge_of(row: Row) -> tuple[str, str] | BadRow:
    """(teacher, prompt) of a row, of people's ("human", "")."""
    teacher, prompt = (str(row.get(name) or "") for name in ("teacher", "prompt"))
    if teacher in {"", schemas.HUMAN}:
        return schemas.HUMAN, ""
    for name, value in (("teacher", teacher), ("prompt", prompt)):
        if not FINGERPRINT.fullmatch(value):
            return BadRow(f"field {name!r} is {value!r}, not a fingerprint", json_text(row))
    return teacher, prompt


def _storable(value: Any) -> str:
    """As text; half a character, which JSON can name, becomes a question mark."""
    return str(value).encode("utf-8", "replace").decode()


def _share(value: Any) -> float | None:
    if value in (None, ""):
        return None
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"{value!r} is no number between 0 and 1")
    return share
