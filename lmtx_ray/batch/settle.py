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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lmtx_ray.batch.formats import TableWriter, copy_without, ids_at
from lmtx_ray.batch.job import OutputFormat
from lmtx_ray.batch.plan import Unit
from lmtx_ray.batch.unit import data_name, put, rejects_table
from lmtx_ray.io import storage

Receipt = dict[str, Any]
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
        for part, lines in zip(unit.parts, receipt["lines"], strict=True):
            before[part.uri] += lines
        done.append(Done(unit, receipt, bases))
    return done


def settle(
    output: str, kind: OutputFormat, earlier: Sequence[Done], now: Sequence[Done]
) -> list[Receipt]:
    """Final receipts of `now`: ids unique, also against `earlier` generations."""
    _find_repeated(output, kind, [*earlier, *now], first_new=len(earlier))
    return [
        _rewrite(output, kind, done)
        if done.repeated or (any(done.bases) and done.receipt["rejected"])
        else done.receipt
        for done in now
    ]


def repeated_hashes(output: str, done: Sequence[Done]) -> np.ndarray:
    """Sorted hashes that occur more than once."""
    total = sum(one.receipt["rows_out"] for one in done)
    hashes, place = np.empty(total, dtype=np.uint64), 0
    for one in done:
        part = _ids(output, one, ["hash"])["hash"].to_numpy()
        hashes[place : place + len(part)] = part
        place += len(part)
    hashes.sort()
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


def _ids(output: str, done: Done, columns: list[str]) -> Any:
    with storage.open_input(storage.join(output, done.receipt["ids"])) as file:
        return pq.read_table(file, columns=columns)


def _find_repeated(output: str, kind: OutputFormat, done: list[Done], first_new: int) -> None:
    hashes = repeated_hashes(output, done)
    if not len(hashes):
        return
    seen: dict[str, str] = {}
    for number, one in enumerate(done):
        table = _ids(output, one, ["hash", "part", "position"])
        places = np.flatnonzero(np.isin(table["hash"].to_numpy(), hashes))
        if not len(places):
            continue
        ids = ids_at(storage.join(output, one.receipt["file"]), kind, places)
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


def _rewrite(output: str, kind: OutputFormat, done: Done) -> Receipt:
    receipt, unit = done.receipt, done.unit
    with storage.scratch_folder() as folder:
        paths = {name: Path(folder) / name for name in ("data", "rejects", "ids")}
        with paths["data"].open("wb") as file:
            copy_without(storage.join(output, receipt["file"]), kind, done.repeated, file)
        with paths["ids"].open("wb") as file:
            copy_without(storage.join(output, receipt["ids"]), "parquet", done.repeated, file)
        with paths["rejects"].open("wb") as file:
            _merge_rejects(output, done, TableWriter(file))
        attempt = f"settled-{_hash_of(paths.values())}"
        endings = {"data": kind, "rejects": "parquet", "ids": "parquet"}
        files = {name: data_name(unit, name, attempt, endings[name]) for name in endings}
        hashes = {name: put(paths[name], output, files[name]) for name in endings}
    return {
        **receipt,
        "file": files["data"],
        "rejects": files["rejects"],
        "ids": files["ids"],
        "rows_out": receipt["rows_out"] - len(done.repeated),
        "rejected": receipt["rejected"] + len(done.repeated),
        "sha256": hashes["data"],
    }


def _hash_of(paths: Any) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def _merge_rejects(output: str, done: Done, writer: TableWriter) -> None:
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


def _rejects(output: str, done: Done) -> Iterator[dict[str, Any]]:
    if not done.receipt["rejects"]:
        return
    parts = {part.uri: number for number, part in enumerate(done.unit.parts)}
    with storage.open_input(storage.join(output, done.receipt["rejects"])) as file:
        for batch in pq.ParquetFile(file).iter_batches(BLOCK):
            for row in batch.to_pylist():
                part = parts[row["source"]]
                yield {**row, "part": part, "position": row["position"] + done.bases[part]}
