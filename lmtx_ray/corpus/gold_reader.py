"""Gold of the test documents of a run, row by row: from a column beside their texts, or from a file
of its own that was read before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.corpus.documents import kind_of
from lmtx_ray.corpus.gold import (
    INDICES,
    NAMES,
    GoldSource,
    LabelRows,
    gold_column,
    index_ids,
    is_index,
    name_ids,
)
from lmtx_ray.corpus.inputs import content_hashes, list_inputs
from lmtx_ray.corpus.label_names import LabelNames, names_in
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row
from lmtx_ray.corpus.readers import columns_of
from lmtx_ray.corpus.self_matches import row_ids
from lmtx_ray.corpus.sparse_rows import is_sparse
from lmtx_ray.io import storage

GOLD_COLUMNS = ("gold", "gold_id")  # of a column map


@dataclass(frozen=True)
class GoldReading:
    """How gold is read where documents are: goes to workers. `column` holds it, None where it is in
    the published table `table`; of documents that this does not have `others` are left out without
    a word, as they are no test documents. `label_files` are those of the label set, `rows` its
    rows as they were written."""

    rows: LabelRows
    column: str | None = None
    index: bool = False
    separator: str | None = None
    label_files: tuple[str, ...] = ()
    table: str | None = None
    others: bool = False

    def reader(self) -> GoldReader:
        """What reads rows; kept by the process for the next unit."""
        if self.table is not None:
            return GoldReader(self, by_document=_by_document(self.table))
        names = None if self.index else names_in(self.label_files)
        return GoldReader(self, names)


@lru_cache(maxsize=1)
def _by_document(uri: str) -> dict[str, list[int]]:
    table = storage.read_table(uri)
    return dict(zip(table["doc_id"].to_pylist(), table["label_ids"].to_pylist(), strict=True))


@dataclass(frozen=True)
class GoldReader:
    """Finds the gold labels of a raw row."""

    how: GoldReading
    names: LabelNames | None = None
    by_document: Mapping[str, list[int]] | None = None

    def of(self, row: Row, doc_id: str) -> tuple[list[int] | None, list[BadRow]]:
        """(label ids, sorted, or None for what is no test document; what is wrong with labels)."""
        if self.by_document is None:
            return self._in_column(row)
        found = self.by_document.get(doc_id)
        if found is None and not self.how.others:
            return None, [BadRow(f"no gold for document {doc_id!r}", str(row))]
        return found, []

    def _in_column(self, row: Row) -> tuple[list[int] | None, list[BadRow]]:
        column = self.how.column
        assert column is not None
        value, raw = row.get(column), str(row)
        what = "label indices" if self.how.index else "labels"
        said = f"field {column!r} needs a list of {what}"
        if value is None:
            return None, [BadRow(said, raw)]
        if self.names is None:
            found, problems = index_ids(value, self.how.rows, self.how.separator)
        else:
            found, problems = name_ids(value, self.names, self.how.separator)
        bad = [BadRow(f"{said}: {problem.reason}", raw) for problem in problems]
        return (None if bad and not found else found), bad


def gold_files(config: CorpusConfig) -> list[str]:
    """The files that hold test documents: those of `test`, or all, where only gold is given."""
    return [config.test] if config.test else list(config.documents)


def source_of(config: CorpusConfig) -> GoldSource:
    """The gold file of a run."""
    assert config.gold is not None
    columns = config.columns
    index = None if config.gold_by == "auto" else config.gold_by == "index"
    named = columns.gold_id, columns.gold, config.gold_separator
    return GoldSource((config.gold,), *named, index, config.encoding)


def run_gold(config: CorpusConfig) -> GoldSource:
    """The same where it is read for a run's own documents: rows of a sparse matrix are theirs."""
    source = source_of(config)
    if not is_sparse(source.files[0]):
        return source
    return replace(source, row_ids=tuple(row_ids(gold_files(config), config)))


def column_reading(
    config: CorpusConfig, rows: LabelRows, label_files: tuple[str, ...] = ()
) -> GoldReading:
    """How the column beside the test documents is read; its name is looked for in the first file.

    Raises:
        CorpusError: There is none of a usual name.
    """
    column = config.columns.gold or _found_column(config)
    index = is_index(column) if config.gold_by == "auto" else config.gold_by == "index"
    return GoldReading(rows, column, index, config.gold_separator, label_files)


def _found_column(config: CorpusConfig) -> str:
    (file, *_) = list_inputs(gold_files(config), identify=False)
    kind = kind_of(file.uri, config)
    first = columns_of(file.uri, kind, config.encoding, rows=1)
    header = columns_of(file.uri, kind, config.encoding)
    column = gold_column(first) or gold_column(header)
    if column is None:
        usual = ", ".join((*INDICES, *NAMES))
        raise CorpusError(
            f"{file.uri}: which column holds gold labels? set corpus.columns.gold, or name it "
            f"one of {usual}; it has: {', '.join(map(repr, header)) or 'nothing'}"
        )
    return column


def without_gold(columns: Mapping[str, object]) -> dict[str, object]:
    """A column map without what only evaluation reads."""
    return {name: value for name, value in columns.items() if name not in GOLD_COLUMNS}


def gold_identity(config: CorpusConfig) -> list[object]:
    """What makes the test documents and their gold, beside the corpus: contents of the files, and
    the settings by which gold is read. Raises CorpusError for a file that is not there."""
    columns = config.columns.model_dump(mode="json", include=set(GOLD_COLUMNS))
    settings = config.model_dump(mode="json", include={"gold_by", "gold_separator"})
    files = (content_hashes([file]) if file else {} for file in (config.test, config.gold))
    return [*files, columns, settings]
