"""Gold labels as people have them: a row for each document with its labels, or a row for each
pair, in CSV, TSV, JSON lines or Parquet, by label key, label text or label index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.columns import Wanted, near_or_all, refuse_reviewed, usual_name
from lmtx_ray.corpus.inputs import list_inputs
from lmtx_ray.corpus.label_names import LabelNames, plain
from lmtx_ray.corpus.left_out import label_at
from lmtx_ray.corpus.lines import UTF8, BadRow, CorpusError, Row
from lmtx_ray.corpus.name_lists import names_of, usual_separator
from lmtx_ray.corpus.readers import How, columns_of, format_of, read_rows
from lmtx_ray.corpus.sparse_rows import is_sparse, read_sparse, row_id
from lmtx_ray.corpus.values import id_text, is_missing
from lmtx_ray.io.plain_json import json_text

DOCUMENTS = ("doc_id", "document_id", "docid", "uid", "id", "document", "doc")
INDICES = ("label_ids", "target_ind")  # label indices, from 0
NO_DOCUMENT = BadRow("its row is no document")
NAMES = (
    *("label_keys", "gold", "gold_labels", "labels", "tags", "keywords", "subjects", "categories"),
    *("label_key", "label", "label_text", "tag", "keyword", "subject", "category", "key"),
)


@dataclass(frozen=True)
class GoldSource:
    """Where gold is: files, the columns of document ids and of labels (None: a usual name, or of
    two columns the other one), what separates several labels in one cell (None: what gives known
    labels), and whether they are indices (None: in columns of INDICES). The rows of a sparse matrix
    (`sparse_rows`) have the ids of `row_ids`, or their numbers from 0."""

    files: tuple[str, ...]
    document: str | None = None
    labels: str | None = None
    separator: str | None = None
    index: bool | None = None
    encoding: str = UTF8
    row_ids: tuple[str, ...] | None = None


@dataclass(frozen=True)
class LabelRows:
    """What label indices count: all rows of the label set's files, `labels` good ones and those
    `left_out`, by their places, ascending. 0 labels: it is not known how many."""

    labels: int
    left_out: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """All rows."""
        return self.labels + len(self.left_out)

    def label_at(self, row: int) -> int | None:
        """The label id of a row from 0; None where it was left out."""
        return label_at(row, self.left_out)


@dataclass
class Gold:
    """`labels` are the label ids of each document, sorted; a document without any has none.
    `rejects` are rows of the `rejects` contract, `rows` all that were read."""

    labels: dict[str, list[int]] = field(default_factory=dict)
    rejects: list[Row] = field(default_factory=list)
    rows: int = 0

    def pairs(self) -> int:
        """How many labels all documents have together."""
        return sum(map(len, self.labels.values()))


def gold_table(gold: Gold) -> pa.Table:
    """Gold as a table of the `gold` contract."""
    lists = pa.array(gold.labels.values(), pa.list_(pa.int32()))
    table = pa.table({"doc_id": pa.array(gold.labels, pa.string()), "label_ids": lists})
    return schemas.conform(table, schemas.GOLD)


def refuse_no_pairs(gold: Gold, name: str) -> None:
    """CorpusError where no document has a label, with the first thing that is wrong."""
    if not gold.pairs():
        first = next((f"; row {bad['position']}: {bad['reason']}" for bad in gold.rejects), "")
        raise CorpusError(f"{name}: no gold label in {gold.rows} rows{first}")


def is_index(column: str) -> bool:
    """Whether a column of this name holds label indices and not keys or texts."""
    return usual_name(column) in INDICES


def gold_column(header: Sequence[str]) -> str | None:
    """The column of a documents' file that holds its gold, None without any of a usual name."""
    return _usual(header, (*INDICES, *NAMES))


def read_gold(
    source: GoldSource,
    names: LabelNames,
    strict: bool = True,
    further: dict[str, int] | None = None,
    rows: LabelRows | None = None,
) -> Gold:
    """All gold of some files. A name that no label has is a reject, also where others of its row
    are good; without `strict` it is numbered in `further`, from `len(names)` on. `rows` is what
    label indices count, those of `names` if None.

    Raises:
        CorpusError: A file that cannot be read as a whole, or has no column for ids or labels.
    """
    gold, further = Gold(), {} if further is None else further
    rows = rows or LabelRows(len(names), names.left_out)
    cells = list(_cells(source))
    separator = source.separator
    if separator is None and not strict:
        values = (cell.value for cell in cells if not cell.index)
        separator = usual_separator(values, names.knows)
    for cell in cells:
        gold.rows += 1
        if isinstance(cell.doc_id, BadRow):
            gold.rejects.append(cell.reject(cell.doc_id))
            continue
        if cell.index:
            found, problems = index_ids(cell.value, rows, separator)
        else:
            others = None if strict else further
            found, problems = name_ids(cell.value, names, separator, others)
        gold.rejects += map(cell.reject, problems)
        gold.labels[cell.doc_id] = sorted({*gold.labels.get(cell.doc_id, ()), *found})
    return gold


def check_gold(source: GoldSource) -> bool:
    """Look at the first good row: whether it names labels by indices. Raises as `read_gold`."""
    return next((one.index for one in _cells(source) if isinstance(one.doc_id, str)), False)


def index_ids(
    value: Any, rows: LabelRows, separator: str | None = None
) -> tuple[list[int], list[BadRow]]:
    """(label ids, sorted, what is wrong with others) of a field of label indices."""
    found, problems, left_out = set[int](), [], 0
    given = names_of(value, str.isdecimal, separator)
    if isinstance(given, BadRow):
        return [], [given]
    for name in given:
        if not name.isdecimal():
            problems.append(BadRow(f"{name!r} is no label index"))
        elif rows.labels and int(name) >= rows.count:
            problems.append(BadRow(f"label index {name} of {rows.count} labels"))
        elif (label := rows.label_at(int(name))) is None:
            left_out += 1
        else:
            found.add(label)
    if left_out and not found and not problems:
        problems.append(BadRow("all its labels were left out"))
    return sorted(found), problems


def name_ids(
    value: Any,
    names: LabelNames,
    separator: str | None = None,
    further: dict[str, int] | None = None,
) -> tuple[list[int], list[BadRow]]:
    """The same of a field of keys and texts. Names that no label has are numbered in `further`,
    where that is given."""
    given = names_of(value, names.knows, separator)
    if isinstance(given, BadRow):
        return [], [given]
    found, problems = set[int](), []
    for name in given:
        label = names.resolve(name)
        if isinstance(label, BadRow) and further is not None and not names.knows(name):
            label = further.setdefault(plain(name), len(names) + len(further))
        if isinstance(label, BadRow):
            problems.append(label)
        else:
            found.add(label)
    return sorted(found), problems


@dataclass(frozen=True)
class _Cell:
    """A row of a gold file: its document, or what is wrong with it, and its field of labels.
    `index` says whether that holds label indices."""

    source: str
    position: int
    doc_id: str | BadRow
    value: Any = None
    index: bool = False

    def reject(self, bad: BadRow) -> Row:
        bad = replace(bad, raw=bad.raw or str(self.value))
        return bad.reject(self.source, self.position)


def _cells(source: GoldSource) -> Iterator[_Cell]:
    absent, header = {name for name in (source.document, source.labels) if name}, list[str]()
    for file in list_inputs(source.files, identify=False):
        if is_sparse(file.uri):
            yield from _matrix(file.uri, source)
            absent.clear()
            continue
        kind = format_of(file.uri)
        header = columns_of(file.uri, kind, source.encoding) or header
        first = columns_of(file.uri, kind, source.encoding, rows=1)
        columns = _columns(file.uri, first, header, source) if header else ("", "")
        index = is_index(columns[1]) if source.index is None else source.index
        if kind in {"csv", "tsv", "parquet"}:
            absent.difference_update(header)
        for position, row in read_rows(file.uri, kind, how=How(Wanted(columns), source.encoding)):
            if isinstance(row, BadRow):
                yield _Cell(file.uri, position, row)
                continue
            absent.difference_update(row)
            yield _Cell(file.uri, position, _doc_id(row, columns[0]), row.get(columns[1]), index)
    if header and absent:  # of JSON
        hint = near_or_all([name := min(absent)], header)
        raise CorpusError(f"{', '.join(source.files)}: no row has a field {name!r}; {hint}")


def _matrix(uri: str, source: GoldSource) -> Iterator[_Cell]:
    for position, row in read_sparse(uri):
        doc_id = row_id(uri, position - 1, source.row_ids)
        if isinstance(row, BadRow):
            yield _Cell(uri, position, row)
        else:
            yield _Cell(uri, position, doc_id or NO_DOCUMENT, row["label_ids"], index=True)


def gold_row_ids(source: GoldSource) -> list[str]:
    """The document id of each row of gold, "" for a row without. Raises CorpusError where a row is
    not a document but a pair, and as `read_gold`."""
    cells = _cells(source)
    ids = ["" if isinstance(cell.doc_id, BadRow) else cell.doc_id for cell in cells]
    if again := repeated_id(ids):
        raise CorpusError(
            f"{source.files[0]}: {again!r} is there twice, so its rows are no documents: name the "
            "file of the documents that rows are counted in"
        )
    return ids


def repeated_id(ids: Sequence[str]) -> str | None:
    """An id that is there more than once; None without one."""
    counts = Counter(one for one in ids if one)
    return next((one for one, count in counts.items() if count > 1), None)


def _doc_id(row: Row, column: str) -> str | BadRow:
    value = row.get(column)
    if is_missing(value) or value == "":
        return BadRow(f"missing field {column!r}", json_text(row))
    try:
        return id_text(value)
    except ValueError as error:
        return BadRow(f"field {column!r} {error}", json_text(row))


def _columns(
    uri: str, first: Sequence[str], header: Sequence[str], source: GoldSource
) -> tuple[str, str]:
    """(column of document ids, column of labels) of a file. What the `first` row has goes before
    what later ones of JSON have."""
    refuse_reviewed(uri, header)
    document = source.document or _usual(first, DOCUMENTS) or _usual(header, DOCUMENTS)
    beside = [[name for name in names if name != document] for names in (first, header)]
    usual = (gold_column(names) for names in beside)
    only = (names[0] for names in beside if document and len(names) == 1)
    labels = source.labels or next((name for name in (*usual, *only) if name), None)
    return (
        _needed(uri, header, document, ("document ids", "gold_id or --gold-id"), DOCUMENTS),
        _needed(uri, header, labels, ("labels", "gold or --gold-labels"), (*INDICES, *NAMES)),
    )


def _needed(
    uri: str, header: Sequence[str], name: str | None, what: tuple[str, str], usual: Sequence[str]
) -> str:
    if name is None:
        asked = f"which column holds {what[0]}? {near_or_all(usual, header)}"
        raise CorpusError(f"{uri}: {asked}; set corpus.columns.{what[1]}")
    return name


def _usual(header: Sequence[str], usual: Sequence[str]) -> str | None:
    own = {usual_name(name): name for name in reversed(header)}
    return next((own[name] for name in usual if name in own), None)
