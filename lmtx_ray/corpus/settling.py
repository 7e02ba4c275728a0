"""What no unit of read documents can know on its own: numbers of rows in whole files, and ids that
other units hold too.

The first row of an id in input order stays, whatever order units finished in; later ones are
rejected. 8 bytes a row (a hash) are held while repeats are looked for; ids themselves are read only
where hashes repeat.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmtx_ray.corpus import schemas
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import in_parallel
from lmtx_ray.io.receipts import IDS, REJECTS, Receipt
from lmtx_ray.io.table_writer import TableWriter
from lmtx_ray.io.unique import repeated
from lmtx_ray.io.units import Unit

BLOCK = 4096  # rejects written at once
PLACE = ("part", "position")  # of a row: its file among the unit's parts, its number in it


@dataclass
class Done:
    """A unit of read documents. `bases` are the rows before each part, in its file; `repeated` maps
    places of rows to the rejects that they become; `counted` is how many rows count, None for all.
    """

    dataset: Dataset
    unit: Unit
    receipt: Receipt
    bases: list[int]
    repeated: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    counted: int | None = None

    @property
    def rows(self) -> int:
        """How many of its documents count."""
        return self.receipt.rows_out if self.counted is None else self.counted

    def ids(self, *columns: str) -> pa.Table:
        """Columns of what is kept of its rows: hash, part, position, …"""
        table = storage.read_table(self.dataset.uri_of(self.receipt.files[IDS]), columns)
        return table.slice(0, self.rows)


def with_bases(dataset: Dataset, units: Sequence[Unit], receipts: Sequence[Receipt]) -> list[Done]:
    """Units of one plan and their receipts, in order."""
    before: dict[str, int] = defaultdict(int)
    done = []
    for unit, receipt in zip(units, receipts, strict=True):
        bases = [before[part.uri] for part in unit.parts]
        for part, lines in zip(unit.parts, receipt.lines, strict=True):
            before[part.uri] += lines
        done.append(Done(dataset, unit, receipt, bases))
    return done


def joined(done: Sequence[Done], column: str) -> np.ndarray:
    """One column of whole numbers of all rows, in order."""
    values, place = np.empty(sum(one.rows for one in done), dtype=np.uint64), 0
    for part in in_parallel(lambda one: one.ids(column)[column].to_numpy(), done):
        values[place : place + len(part)] = part
        place += len(part)
    return values


def find_repeated(
    done: Sequence[Done], first_new: int, ids_at: Callable[[Done, np.ndarray], list[str]]
) -> None:
    """Fill `repeated` of the units from `first_new` on; `ids_at` reads ids at places of a unit."""
    hashes = repeated(joined(done, "hash"))
    if not len(hashes):
        return
    seen: dict[str, str] = {}
    for number, one in enumerate(done):
        table = one.ids("hash", *PLACE)
        places = np.flatnonzero(np.isin(table["hash"].to_numpy(), hashes))
        if not len(places):
            continue
        rows = table.select(PLACE).take(places).to_pylist()
        for place, doc_id, row in zip(places.tolist(), ids_at(one, places), rows, strict=True):
            where = {
                "part": row["part"],
                "source": one.unit.parts[row["part"]].uri,
                "position": row["position"] + one.bases[row["part"]],
            }
            if doc_id not in seen:
                seen[doc_id] = f"{where['source']} row {where['position']}"
            elif number >= first_new:
                reason = f"duplicate id {doc_id!r}, first in {seen[doc_id]}"
                one.repeated[place] = {**where, "reason": reason, "raw": ""}


def write_rejects(done: Done, file: BinaryIO, last: tuple[int, int] | None = None) -> int:
    """A unit's rejected and repeated rows as Parquet, numbered by their files, in order; how many.

    `last` is the place of the last row that counts, where not all do.
    """
    writer, count = TableWriter(file), 0
    writer.write(rejects_table([]))
    waiting: list[Mapping[str, Any]] = []
    for row in heapq.merge(_rejects(done), done.repeated.values(), key=_place):
        if last is not None and _place(row) > last:
            break
        waiting.append(row)
        count += 1
        if len(waiting) == BLOCK:
            writer.write(rejects_table(waiting))
            waiting = []
    writer.write(rejects_table(waiting))
    writer.close()
    return count


def _place(row: Mapping[str, Any]) -> tuple[int, int]:
    return row["part"], row["position"]


def _rejects(done: Done) -> Iterator[dict[str, Any]]:
    if REJECTS not in done.receipt.files:
        return
    parts = {part.uri: number for number, part in enumerate(done.unit.parts)}
    with storage.open_input(done.dataset.uri_of(done.receipt.files[REJECTS])) as file:
        for batch in pq.ParquetFile(file).iter_batches(BLOCK):
            for row in batch.to_pylist():
                part = parts[row["source"]]
                yield {**row, "part": part, "position": row["position"] + done.bases[part]}


def rejects_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """`rejects` of rows that may have further fields."""
    plain = [{name: row[name] for name in schemas.REJECTS.names} for row in rows]
    return pa.Table.from_pylist(plain, schema=schemas.REJECTS)
