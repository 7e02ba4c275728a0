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
from itertools import chain, dropwhile

from lmtx_ray.corpus.columns import Wanted, check_columns
from lmtx_ray.corpus.lines import MOST_LINE, MOST_RAW, BadRow, CorpusError, Row

Line = tuple[int, str | BadRow]
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


def read_csv(
    uri: str, lines: Iterator[Line], wanted: Wanted, given: Collection[str] = ()
) -> Iterator[tuple[int, Row | BadRow]]:
    """Rows by the header; a row's position is that of its first line."""
    csv.field_size_limit(MOST_LINE)
    lines = dropwhile(lambda line: line[1] == "", lines)
    first = next(lines, (0, ""))
    delimiter = delimiter_of(first[1])
    record = _Record(chain([first] if first[0] else [], lines))
    reader = csv.reader(record, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        cells = record.begin() or _cells(reader, record, delimiter)
        if cells is None:
            break
        if not cells:  # a blank line is no row
            continue
        if header is None:
            header = _header(uri, cells, wanted, given)
        else:
            yield record.taken[0][0], _row(header, cells)
    if header is None:
        raise CorpusError(f"{uri}: no header line")


def delimiter_of(header: str | BadRow) -> str:
    """The delimiter of a CSV file: what cuts its header into most fields."""
    if isinstance(header, BadRow):
        return ","
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


def read_tsv(
    uri: str, lines: Iterator[Line], wanted: Wanted, given: Collection[str] = ()
) -> Iterator[tuple[int, Row | BadRow]]:
    """Rows by the header, each a line."""
    header: list[str] | None = None
    for number, line in lines:
        if not line:  # blank
            continue
        if header is None:
            header = _header(uri, _tabbed(line, 0), wanted, given)
        else:
            yield number, _row(header, _tabbed(line, len(header)))
    if header is None:
        raise CorpusError(f"{uri}: no header line")


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


def _header(
    uri: str, cells: list[str] | BadRow, wanted: Wanted, given: Collection[str]
) -> list[str]:
    if isinstance(cells, BadRow):
        raise CorpusError(f"{uri}: its header: {cells.reason}")
    check_columns(uri, cells, wanted, given)
    return cells


def _row(header: list[str], cells: list[str] | BadRow) -> Row | BadRow:
    if isinstance(cells, BadRow):
        return cells
    if len(cells) == len(header):
        return dict(zip(header, cells, strict=True))
    reason = f"{len(cells)} fields, the header has {len(header)}"
    return BadRow(reason, " | ".join(cells)[:MOST_RAW])
