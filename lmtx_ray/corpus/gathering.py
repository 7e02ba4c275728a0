"""Raw units to the documents that count, in their final order and units.

What is decided here needs all units: repeated ids, the limit, who is held aside, and which
documents have one text (they are one question to the judge, so one unit asks it). It takes numbers
only, some 40 bytes a document; the documents themselves are read by who writes the final units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.raw import aside_number
from lmtx_ray.corpus.settling import PLACE, Done, find_repeated, joined
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset, cut
from lmtx_ray.io.receipts import DATA, Receipt
from lmtx_ray.io.units import Part, Unit

COLUMNS = {"documents": schemas.DOCUMENTS, "gold": schemas.GOLD}


@dataclass(frozen=True)
class Gathered:
    """The documents that count. `order` int64 are numbers of raw rows over all units, in the final
    order; `texts` uint64 of the same length is equal for equal texts. `last` is the place of the
    last raw row that was looked at, by number of the unit, where not all were."""

    done: Sequence[Done]
    order: np.ndarray
    texts: np.ndarray
    last: dict[int, tuple[int, int]]

    def __len__(self) -> int:
        return len(self.order)

    def counted(self) -> list[Done]:
        """The units with only the rows that were looked at."""
        if not self.last:
            return list(self.done)
        most = int(self.order.max())
        starts = _starts(self.done)
        rows = [
            max(min(most + 1 - int(start), one.rows), 0)
            for start, one in zip(starts, self.done, strict=False)
        ]
        return [replace(one, counted=few) for one, few in zip(self.done, rows, strict=True)]


def gather(done: Sequence[Done], earlier: Sequence[Done], limit: int | None) -> Gathered:
    """Decide on read units; an id that one of `earlier` has is repeated too."""
    find_repeated([*earlier, *done], len(earlier), _ids_at)
    counts = np.ones(sum(one.rows for one in done), dtype=bool)
    for start, one in zip(_starts(done), done, strict=False):
        counts[start + np.fromiter(one.repeated, np.int64, len(one.repeated))] = False
    rows, last = np.flatnonzero(counts), {}
    if limit is not None and len(rows) >= limit:
        rows = rows[:limit]
        last = _last_places(done, int(rows[-1]))
    texts = joined(done, "same_text")[rows] if len(rows) else np.array([], np.uint64)
    order, groups = _equal_texts_together(texts)
    return Gathered(done, rows[order], groups, last)


def hold_aside(gathered: Gathered, count: int) -> int:
    """The largest `aside` number of the `count` documents with the smallest ones; -1 for none."""
    if not count:
        return -1
    numbers = joined(gathered.done, "aside")[gathered.order]
    return int(np.partition(numbers, count - 1)[count - 1])


def _starts(done: Sequence[Done]) -> np.ndarray:
    """Number of each unit's first raw row; one more at the end."""
    return np.cumsum([0, *(one.rows for one in done)])


def _last_places(done: Sequence[Done], row: int) -> dict[int, tuple[int, int]]:
    """Where reading ends after a raw row: in its unit there; later ones have no row at all."""
    starts = _starts(done)
    unit = int(np.searchsorted(starts, row, side="right")) - 1
    ids = done[unit].ids(*PLACE).slice(row - int(starts[unit]), 1).to_pylist()[0]
    place = ids["part"], ids["position"] + done[unit].bases[ids["part"]]
    return {unit: place} | {later: (-1, -1) for later in range(unit + 1, len(done))}


def _equal_texts_together(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(order, groups): rows in the order given, but those of one text behind the first of them."""
    _, first, place = np.unique(texts, return_index=True, return_inverse=True)
    groups = first[place] if len(texts) else texts
    order = np.argsort(groups, kind="stable")
    return order, groups[order]


def _ids_at(done: Done, places: np.ndarray) -> list[str]:
    table = storage.read_table(done.dataset.uri_of(done.receipt.files[DATA]), ["doc_id"])
    ids: list[str] = table["doc_id"].take(places).to_pylist()
    return ids


def final_units(gathered: Gathered, rows: int) -> Iterator[Unit]:
    """Units of `rows` documents; parts are spans of rows of raw files, in their order."""
    starts, total = _starts(gathered.done), len(gathered)
    begins = cut(total, rows, gathered.texts)
    for number, (begin, end) in enumerate(zip(begins, [*begins[1:], total], strict=True)):
        # the size is in the name: another size, after a kill, must not mix with what is there
        parts = tuple(_spans(gathered, starts, gathered.order[begin:end]))
        yield Unit(f"{number:05d}-{rows}", parts)


def _spans(gathered: Gathered, starts: np.ndarray, rows: np.ndarray) -> Iterator[Part]:
    units = np.searchsorted(starts, rows, side="right") - 1
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(units) != 0)) + 1
    for span in np.split(np.arange(len(rows)), breaks):
        if len(span):
            unit, first = int(units[span[0]]), int(rows[span[0]])
            done, start = gathered.done[unit], first - int(starts[unit])
            uri = done.dataset.uri_of(done.receipt.files[DATA])
            yield Part(uri, start=start, stop=start + len(span))


@dataclass(frozen=True)
class Assembling:
    """How final units are written: `table` is "documents" or "gold", `split` that of documents that
    are not held aside."""

    table: str
    split: str
    seed: int = 0
    held_aside: int = -1


def assemble_unit(unit: Unit, how: Assembling, output: Dataset) -> Receipt:
    """Write a final unit from the raw rows that its parts name, and commit it."""
    schema = COLUMNS[how.table]
    wanted = ["doc_id", "title", "text"] if how.table == "documents" else ["doc_id", "label_ids"]
    tables = [_read_span(part, wanted) for part in unit.parts]
    table = pa.concat_tables(tables) if tables else schema.empty_table().select(wanted)
    if how.table == "documents":
        table = table.append_column("split", pa.array(_splits(table, how), pa.string()))
    return output.commit_table(
        unit.name, schemas.conform(table, schema), rows_in=table.num_rows, key="doc_id"
    )


def _splits(table: pa.Table, how: Assembling) -> list[str]:
    if how.held_aside < 0:
        return [how.split] * table.num_rows
    numbers = (aside_number(how.seed, doc_id) for doc_id in table["doc_id"].to_pylist())
    return ["held_aside" if number <= how.held_aside else how.split for number in numbers]


def _read_span(part: Part, columns: Sequence[str]) -> pa.Table:
    """Rows [start, stop) of a Parquet file; only the row groups that hold them are read."""
    assert part.stop is not None  # `_spans` tells it
    with storage.open_input(part.uri) as source:
        file = pq.ParquetFile(source)
        sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        first = int(np.searchsorted(ends, part.start, side="right"))
        final = int(np.searchsorted(ends, part.stop, side="left"))
        table = file.read_row_groups(list(range(first, final + 1)), columns=list(columns))
    return table.slice(part.start - int(ends[first] - sizes[first]), part.stop - part.start)
