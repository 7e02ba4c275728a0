"""After all units are done: duplicate ids and row numbers, which no unit can know on its own.

The first row of an id in input order stays, whatever order units finished in; later ones go to
rejects. The driver holds 8 bytes a row (a hash) while it looks for repeats; ids themselves are
read only where hashes repeat. A unit that changes is written anew under a name that depends on
its content alone, so drivers that settle the same units write the same files.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmtx_ray.batch.formats import TableWriter, copy_without, ids_at
from lmtx_ray.batch.job import OutputFormat
from lmtx_ray.batch.unit import data_name, rejects_table
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset, in_parallel
from lmtx_ray.io.receipts import DATA, IDS, REJECTS, Receipt
from lmtx_ray.io.unique import repeated
from lmtx_ray.io.units import Unit

BLOCK = 4096  # rejects written at once


@dataclass
class Done:
    """A unit with its winning receipt; `bases` are the rows before each part, in its file."""

    unit: Unit
    receipt: Receipt
    bases: list[int]
    repeated: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # place -> reject


def with_bases(units: Sequence[Unit], receipts: Sequence[Receipt]) -> list[Done]:
    """Units of one plan and their receipts, in order."""
    before: dict[str, int] = defaultdict(int)
    done = []
    for unit, receipt in zip(units, receipts, strict=True):
        bases = [before[part.uri] for part in unit.parts]
        for part, lines in zip(unit.parts, receipt.lines, strict=True):
            before[part.uri] += lines
        done.append(Done(unit, receipt, bases))
    return done


def settle(
    output: Dataset, kind: OutputFormat, earlier: Sequence[Done], now: Sequence[Done]
) -> list[Receipt]:
    """Final receipts of `now`: ids unique, also against `earlier` generations."""
    _find_repeated(output, kind, [*earlier, *now], first_new=len(earlier))
    return list(in_parallel(lambda done: _settled(output, kind, done), now))


def _settled(output: Dataset, kind: OutputFormat, done: Done) -> Receipt:
    """The final receipt of a unit: only what changes is written anew."""
    if not done.repeated and not (any(done.bases) and done.receipt.rejected):
        return done.receipt
    endings = {REJECTS: "parquet"}
    if done.repeated:
        endings |= {DATA: kind, IDS: "parquet"}
    with storage.scratch_folder() as folder:
        paths = {name: Path(folder) / name for name in endings}
        for name, path in paths.items():
            with path.open("wb") as file:
                _write_anew(output, name, endings[name], done, file)
        attempt = f"settled-{_hash_of(paths.values())}"
        files = {
            name: output.put(path, data_name(done.unit, name, attempt, endings[name]))
            for name, path in paths.items()
        }
    return replace(
        done.receipt,
        files={**done.receipt.files, **files},
        rows_out=done.receipt.rows_out - len(done.repeated),
        rejected=done.receipt.rejected + len(done.repeated),
    )


def _write_anew(output: Dataset, name: str, kind: str, done: Done, file: BinaryIO) -> None:
    if name == REJECTS:
        _merge_rejects(output, done, TableWriter(file))
    else:
        copy_without(output.uri_of(done.receipt.files[name]), kind, done.repeated, file)


def repeated_hashes(output: Dataset, done: Sequence[Done]) -> np.ndarray:
    """Sorted hashes that occur more than once."""
    hashes, place = np.empty(sum(one.receipt.rows_out for one in done), dtype=np.uint64), 0
    for part in in_parallel(lambda one: _ids(output, one, ["hash"])["hash"].to_numpy(), done):
        hashes[place : place + len(part)] = part
        place += len(part)
    return repeated(hashes)


def _ids(output: Dataset, done: Done, columns: list[str]) -> pa.Table:
    return storage.read_table(output.uri_of(done.receipt.files[IDS]), columns)


def _find_repeated(output: Dataset, kind: OutputFormat, done: list[Done], first_new: int) -> None:
    hashes = repeated_hashes(output, done)
    if not len(hashes):
        return
    seen: dict[str, str] = {}
    for number, one in enumerate(done):
        table = _ids(output, one, ["hash", "part", "position"])
        places = np.flatnonzero(np.isin(table["hash"].to_numpy(), hashes))
        if not len(places):
            continue
        ids = ids_at(output.uri_of(one.receipt.files[DATA]), kind, places)
        rows = table.select(["part", "position"]).take(places).to_pylist()
        for place, doc_id, row in zip(places.tolist(), ids, rows, strict=True):
            source = one.unit.parts[row["part"]].uri
            position = row["position"] + one.bases[row["part"]]
            if doc_id not in seen:
                seen[doc_id] = f"{source} row {position}"
            elif number >= first_new:
                reason = f"duplicate id {doc_id!r}, first in {seen[doc_id]}"
                one.repeated[place] = {
                    "part": row["part"],
                    "source": source,
                    "reason": reason,
                    "position": position,
                    "raw": "",
                }


def _hash_of(paths: Any) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def _merge_rejects(output: Dataset, done: Done, writer: TableWriter) -> None:
    rows = heapq.merge(
        _rejects(output, done),
        done.repeated.values(),
        key=lambda row: (row["part"], row["position"]),
    )
    writer.write(rejects_table([]))
    waiting: list[Mapping[str, Any]] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == BLOCK:
            writer.write(rejects_table(waiting))
            waiting = []
    writer.write(rejects_table(waiting))
    writer.close()


def _rejects(output: Dataset, done: Done) -> Iterator[dict[str, Any]]:
    if REJECTS not in done.receipt.files:
        return
    parts = {part.uri: number for number, part in enumerate(done.unit.parts)}
    with storage.open_input(output.uri_of(done.receipt.files[REJECTS])) as file:
        for batch in pq.ParquetFile(file).iter_batches(BLOCK):
            for row in batch.to_pylist():
                part = parts[row["source"]]
                yield {**row, "part": part, "position": row["position"] + done.bases[part]}
