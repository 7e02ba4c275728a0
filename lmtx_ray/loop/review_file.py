"""The CSV that people fill in: written once, read back with all its spellings of yes and no."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.io import storage

YES = frozenset("yes y true t 1 right correct ja j richtig wahr".split())
NO = frozenset("no n false f 0 wrong incorrect nein falsch".split())
OPEN = frozenset(["", "?"])  # not reviewed
COLUMNS = (
    *("correct", "label", "title", "text", "probability", "judge_p_yes", "judge_answer"),
    *("doc_id", "label_key", "band", "band_tags", "document_hash", "label_hash"),
)
NEEDED = ("correct", "label", "band", "band_tags", "document_hash", "label_hash")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute
SEEN = ("label", "title", "text")  # columns that nobody reads back


@dataclass(frozen=True)
class Answer:
    """A reviewed or open row: whether the tag is right, None while nobody said."""

    row: int
    right: bool | None
    fields: dict[str, str]


def refuse_filled(uri: str) -> None:
    """CorpusError where a file has answers already, or is something else."""
    if not storage.exists(uri):
        return
    filled = sum(answer.right is not None for answer in read_answers(uri))
    if filled:
        raise CorpusError(
            f"{uri} has {filled} answers: it is not overwritten; give another --output, or "
            "`lmtx review-score` it first and move it away"
        )


def write_sample(uri: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows with COLUMNS; what a spreadsheet would take for a formula gets a quote before it.
    The file begins with a byte order mark, as spreadsheets take it for another encoding without."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(name, row.get(name)) for name in COLUMNS})
    storage.write_bytes(uri, text.getvalue().encode("utf-8-sig"))


def _cell(name: str, value: Any) -> Any:
    if name in SEEN and isinstance(value, str):
        return no_formula(value)
    return round(value, 4) if isinstance(value, float) else value


def no_formula(cell: str) -> str:
    """A cell of a CSV, with a quote before what a spreadsheet would compute."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def read_answers(uri: str) -> list[Answer]:
    """All rows, numbered as a spreadsheet does, with the header as row 1.

    Raises:
        CorpusError: No such file, one that `sample-for-review` did not write, or a word that is
            neither yes nor no: it names row and value.
    """
    answers, problems = [], []
    for number, row in _rows(uri):
        said = row["correct"].strip().casefold()
        if said not in YES | NO | OPEN:
            problems.append(f"row {number}: correct is {row['correct']!r}")
            continue
        answers.append(Answer(number, None if said in OPEN else said in YES, row))
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CorpusError(
            f"{uri}: {'; '.join(problems[:3])}{more}; write yes or no, or leave it empty"
        )
    return answers


def _rows(uri: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows as they are saved by spreadsheets too: separated by commas, semicolons or tabs."""
    try:
        text = storage.read_bytes(uri).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{uri}: no UTF-8 at byte {error.start}; save it as CSV UTF-8") from None
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = [name.strip() for name in next(records, [])]
    if missing := [name for name in NEEDED if name not in header]:
        raise CorpusError(
            f"{uri}: no column {missing[0]!r}: not a file of `lmtx sample-for-review`, or a column "
            "was removed"
        )
    for number, cells in enumerate(records, start=2):
        if any(cell.strip() for cell in cells):
            cells += [""] * (len(header) - len(cells))
            yield number, dict(zip(header, cells, strict=False))
