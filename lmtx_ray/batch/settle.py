"""After all units are done: duplicate ids and row numbers, which no unit can know on its own.

A unit that changes is written anew under a name that depends on its content alone, so drivers that
settle the same units write the same files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from lmtx_ray.batch.formats import copy_without, ids_at
from lmtx_ray.batch.job import OutputFormat
from lmtx_ray.batch.unit import data_name
from lmtx_ray.corpus.settling import Done, find_repeated, write_rejects
from lmtx_ray.io import storage
from lmtx_ray.io.published import in_parallel
from lmtx_ray.io.receipts import DATA, IDS, REJECTS, Receipt


def settle(kind: OutputFormat, earlier: Sequence[Done], now: Sequence[Done]) -> list[Receipt]:
    """Final receipts of `now`: ids unique, also against `earlier` generations."""
    find_repeated(
        [*earlier, *now],
        len(earlier),
        lambda done, places: ids_at(done.dataset.uri_of(done.receipt.files[DATA]), kind, places),
    )
    return list(in_parallel(lambda done: _settled(kind, done), now))


def _settled(kind: OutputFormat, done: Done) -> Receipt:
    """The final receipt of a unit: only what changes is written anew."""
    if not done.repeated and not (any(done.bases) and done.receipt.rejected):
        return done.receipt
    endings: dict[str, OutputFormat] = {REJECTS: "parquet"}
    if done.repeated:
        endings |= {DATA: kind, IDS: "parquet"}
    with storage.scratch_folder() as folder:
        paths = {name: Path(folder) / name for name in endings}
        for name, path in paths.items():
            with path.open("wb") as file:
                _write_anew(name, endings[name], done, file)
        attempt = f"settled-{_hash_of(paths.values())}"
        files = {
            name: done.dataset.put(path, data_name(done.unit, name, attempt, endings[name]))
            for name, path in paths.items()
        }
    return replace(
        done.receipt,
        files={**done.receipt.files, **files},
        rows_out=done.receipt.rows_out - len(done.repeated),
        rejected=done.receipt.rejected + len(done.repeated),
    )


def _write_anew(name: str, kind: OutputFormat, done: Done, file: BinaryIO) -> None:
    if name == REJECTS:
        write_rejects(done, file)
    else:
        copy_without(done.dataset.uri_of(done.receipt.files[name]), kind, done.repeated, file)


def _hash_of(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
