"""Rows of CSV and TSV, line by line: a quotation mark out of place costs its own line alone.

CSV is RFC 4180, and a field in quotation marks may span lines; its delimiter is the one of comma,
semicolon, tab and | that cuts the header into most fields. TSV has one row a line and knows no
quoting: a quotation mark is a character like any other. Only a field that stands in quotation marks
as a whole, as R, pandas and spreadsheets write them, is taken out of them.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Collection, Iterator
from itertools import chain

from lmtx_ray.corpus.columns import Wanted, check_columns
from lmtx_ray.corpus.lines import MOST_LINE, MOST_RAW, BadRow, CorpusError, Row

Line = tuple[int, str | BadRow]
Record = tuple[int, list[str] | BadRow]  # number of its first line, its fields
DELIMITERS = ",;\t|"  # in this order where two cut alike
WRAPPED = re.compile(r'"(?:[^"]|"")*"')
LONE_RETURN = "a carriage return that ends no line"


class _Record:
    """The lines that a CSV reader asks for, kept until its record is whole.

    Iterating ends, for this record alone, at a line that cannot be read: no quote spans one.
    """

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._again: deque[Line] = deque()
        self.taken: list[Line] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, line = self._again.popleft() if self._again else next(self._lines)
        if isinstance(line, BadRow):
            self._again.appendleft((number, line))
            raise StopIteration
        self.taken.append((number, line))
        return line + "\n"

    def begin(self) -> BadRow | None:
        """Forget the last record; a line that cannot be read, if that comes next, is returned."""
        self.taken = []
        if not self._again and (line := next(self._lines, None)):
            self._again.append(line)
        if self._again and isinstance(bad := self._again[0][1], BadRow):
            self.taken = [self._again.popleft()]
            return bad
        return None

    def give_back(self) -> str:
        """Read all but the first line again; returns that one."""
        self._again.extendleft(reversed(self.taken[1:]))
        line = self.taken[0][1]
        assert isinstance(line, str)  # a record began with it
        return line


def read_delimited(
    uri: str, kind: str, lines: Iterator[Line], wanted: Wanted, given: Collection[str] = ()
) -> Iterator[tuple[int, Row | BadRow]]:
    """Rows of a csv or tsv by its header; a row's position is that of its first line."""
    records = records_of(kind, lines)
    header = _first(uri, records)
    check_columns(uri, header, wanted, given)
    for number, cells in records:
        yield number, _row(header, cells)


def read_headless(uri: str, kind: str, lines: Iterator[Line]) -> Iterator[tuple[int, Row | BadRow]]:
    """Rows of a table without a header, whose columns are called 1, 2, 3, …: as many as the first
    good row has. Raises CorpusError where there is none."""
    names: list[str] = []
    for number, cells in records_of(kind, lines):
        if not names and not isinstance(cells, BadRow):
            names = [str(place + 1) for place in range(len(cells))]
        yield number, _row(names, cells, "the first row")
    if not names:
        raise CorpusError(f"{uri}: there is no row")


def records_of(kind: str, lines: Iterator[Line]) -> Iterator[Record]:
    """The fields of all rows of a csv or tsv, also those of a header."""
    return _csv_records(lines) if kind == "csv" else _tsv_records(lines)


def header_of(uri: str, kind: str, lines: Iterator[Line]) -> list[str]:
    """The first row of a csv or tsv. Raises CorpusError where there is none that can be read."""
    return _first(uri, records_of(kind, lines))


def _first(uri: str, records: Iterator[Record]) -> list[str]:
    _, cells = next(records, (0, None))
    if cells is None:
        raise CorpusError(f"{uri}: no header line")
    if isinstance(cells, BadRow):
        raise CorpusError(f"{uri}: its header: {cells.reason}")
    return cells


def _csv_records(lines: Iterator[Line]) -> Iterator[Record]:
    """Fields of CSV; blank lines are no rows. The first line that can be read tells what is between
    two fields."""
    csv.field_size_limit(MOST_LINE)
    for number, line in lines:
        if isinstance(line, BadRow):
            yield number, line
        elif line:
            yield from _separated(delimiter_of(line), chain([(number, line)], lines))


def _separated(delimiter: str, lines: Iterator[Line]) -> Iterator[Record]:
    record = _Record(lines)
    reader = csv.reader(record, delimiter=delimiter, strict=True)
    while True:
        cells = record.begin() or _cells(reader, record, delimiter)
        if cells is None:
            return
        if cells:
            yield record.taken[0][0], cells


def delimiter_of(header: str) -> str:
    """The delimiter of a CSV file: what cuts its header into most fields."""
    return max(DELIMITERS, key=lambda delimiter: _fields(header, delimiter))


def _fields(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:
        return 0


def _cells(
    reader: Iterator[list[str]], record: _Record, delimiter: str
) -> list[str] | BadRow | None:
    """The next record's; None at the end."""
    try:
        return next(reader, None)
    except csv.Error as error:
        line = record.give_back()
        return BadRow(f"not {delimiter!r}-separated: {_said(error)}", line[:MOST_RAW])


def _said(error: csv.Error) -> str:
    if "new-line" in str(error):
        return LONE_RETURN
    return "a quotation mark is never closed" if "unexpected end" in str(error) else str(error)


def _tsv_records(lines: Iterator[Line]) -> Iterator[Record]:
    """Fields of TSV, of which a line has as many as the first one that can be read; blank lines are
    no rows."""
    fields = 0
    for number, line in lines:
        if not line:
            continue
        cells = _tabbed(line, fields)
        if not fields and not isinstance(cells, BadRow):
            fields = len(cells)
        yield number, cells


def _tabbed(line: str | BadRow, fields: int) -> list[str] | BadRow:
    """A line's fields; tabs inside quotation marks separate nothing if that gives the number of
    fields that is wanted."""
    if isinstance(line, BadRow):
        return line
    if "\r" in line:
        return BadRow(f"not '\\t'-separated: {LONE_RETURN}", line[:MOST_RAW])
    cells = line.split("\t")
    if '"' not in line:
        return cells
    quoted = _quoted(line) if fields and len(cells) > fields else []
    return quoted if len(quoted) == fields > 0 else [_unwrapped(cell) for cell in cells]


def _quoted(line: str) -> list[str]:
    csv.field_size_limit(MOST_LINE)
    try:
        return next(csv.reader([line], delimiter="\t", strict=True))
    except csv.Error:
        return []


def _unwrapped(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if WRAPPED.fullmatch(cell) else cell


def _row(names: list[str], cells: list[str] | BadRow, by: str = "the header") -> Row | BadRow:
    if isinstance(cells, BadRow):
        return cells
    if len(cells) == len(names):
        return dict(zip(names, cells, strict=True))
    return BadRow(f"{len(cells)} fields, {by} has {len(names)}", " | ".join(cells)[:MOST_RAW])
