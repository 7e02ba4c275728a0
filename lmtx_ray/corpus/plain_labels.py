"""Label files that are plain, read by columns: a million rows in seconds.

Plain is a local CSV or TSV in UTF-8 without a quotation mark, or a Parquet file of texts, in which
every row is good as it stands. Whether it is is looked at here; any other file `labels` reads row
after row, and names what is wrong with one. Both give the same table.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.columns import (
    KEYS,
    LABEL_FURTHER,
    LABEL_TEXTS,
    check_columns,
    label_columns,
    names_in,
)
from lmtx_ray.corpus.delimited import delimiter_of
from lmtx_ray.corpus.lines import MAGIC, MOST_LINE, CorpusError
from lmtx_ray.corpus.parquet import column_names, open_parquet, read_batches
from lmtx_ray.corpus.readers import ENDINGS
from lmtx_ray.corpus.values import texts_of
from lmtx_ray.io import storage

LISTS = ("aliases", "parent_keys")
BLOCK = 1 << 22
BATCH_ROWS = 1 << 16
# spaces that would be squeezed, and signs that a table or a reader has trouble with
ODD = r"^\s|\s$|\s\s|[^\S ]|[\x00-\x1f\x7f-\x{a0}\x{ad}\x{34f}\x{61c}\x{1680}\x{180e}]|"
ODD += r"[\x{2000}-\x{200f}\x{2028}-\x{202f}\x{205f}-\x{206f}\x{3000}\x{fe00}-\x{fe0f}\x{feff}]"


def plain_labels(config: CorpusConfig) -> pa.Table | None:
    """The `labels` table of a plain file; None of one that has to be read row after row."""
    location = storage.parse_uri(config.labels)
    path = Path(location.path)
    ending = ENDINGS.get(path.suffix.lower())
    if location.scheme != "file" or config.format != "auto" or not path.is_file():
        return None
    with suppress(pa.ArrowException, CorpusError, OSError, UnicodeDecodeError):
        if ending == "parquet":
            table = _parquet(config)
            return None if table is None else _labels(table, config)
        if ending in {"csv", "tsv"} and _is_simple(path):
            return _labels(_delimited(path, ending), config)
    return None


def _parquet(config: CorpusConfig) -> pa.Table | None:
    """The columns that are needed, None without a row. ArrowInvalid where a text is not UTF-8."""
    with open_parquet(config.labels) as file:
        wanted = label_columns(config.columns).among(column_names(file))
    batches = list(read_batches(config.labels, wanted, rows=BATCH_ROWS))
    if not batches:
        return None
    table = pa.Table.from_batches(batches)
    table.validate(full=True)
    return table


def _is_simple(path: Path) -> bool:
    """Whether a text has no quotation mark, no NUL and no odd end of a line, and is not packed."""
    returns = both = 0
    with path.open("rb") as file:
        if any(file.read(4).startswith(magic) for magic in MAGIC.values()):
            return False
        file.seek(0)
        last = b""
        while block := file.read(BLOCK):
            if b'"' in block or b"\0" in block or b"\n" not in block:
                return False
            returns += block.count(b"\r")
            both += (last + block).count(b"\r\n")
            last = block[-1:] if block.endswith(b"\r") else b""
    return returns == both


def _delimited(path: Path, kind: str) -> pa.Table:
    with path.open(encoding="utf-8-sig") as file:
        first = next((line for line in file if line.strip("\r\n")), "")
    delimiter = "\t" if kind == "tsv" else delimiter_of(first.rstrip("\r\n"))
    header = first.rstrip("\r\n").split(delimiter)
    return pacsv.read_csv(
        path,
        pacsv.ReadOptions(block_size=max(BLOCK, MOST_LINE)),
        pacsv.ParseOptions(delimiter=delimiter, quote_char=False),
        pacsv.ConvertOptions(
            column_types={name: pa.string() for name in header}, strings_can_be_null=False
        ),
    )


def _labels(table: pa.Table, config: CorpusConfig) -> pa.Table | None:
    columns, header = config.columns, table.column_names
    check_columns(config.labels, header, label_columns(columns), line=False)
    key = columns.label_key or names_in(tuple(header), KEYS)[0]
    text = columns.label_text or names_in(tuple(header), LABEL_TEXTS)[0]
    found = {name: names_in(tuple(header), names) for name, names in LABEL_FURTHER.items()}
    if len(set(header)) < len(header) or any(len(own) > 1 for own in found.values()):
        return None  # which of two columns says it, each row decides
    further = {name: own[0] for name, own in found.items() if own}
    read = {name: table[name] for name in {key, text, *further.values()}}
    if not len(table) or not all(pa.types.is_string(one.type) for one in read.values()):
        return None
    if not (_are_keys(table[key]) and _are_texts(table[text])):
        return None
    if any(pc.any(pc.match_substring(table[own], "\0")).as_py() for own in further.values()):
        return None
    made = {
        "label_id": pa.array(np.arange(len(table), dtype=np.int32)),
        "label_key": table[key],
        "text": table[text],
        **{name: _further(name, table[own]) for name, own in further.items()},
    }
    return schemas.conform(pa.table(made), schemas.LABELS)


def _are_texts(column: pa.ChunkedArray) -> bool:
    """Whether all are texts that stay as they are."""
    if column.null_count or pc.any(pc.equal(column, "")).as_py():
        return False
    if pc.any(pc.match_substring_regex(column, ODD)).as_py():
        return False
    return bool(pc.all(pc.equal(pc.utf8_normalize(column, "NFC"), column)).as_py())


def _are_keys(column: pa.ChunkedArray) -> bool:
    """Whether all are keys that stay as they are, each once."""
    odd = column.null_count or pc.any(pc.equal(column, "")).as_py()
    odd = odd or pc.any(pc.match_substring_regex(column, ODD)).as_py()
    return not odd and pc.count_distinct(column).as_py() == len(column)


def _further(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """A description, or a list as `labels` reads one."""
    if name not in LISTS:
        return column
    items: Sequence[str | None] = column.to_pylist()
    return pa.array([texts_of(item) for item in items], pa.list_(pa.string()))
