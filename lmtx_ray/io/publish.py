"""How a data set comes to exist: units, then one manifest, written last.

A unit of work writes its files, whose names carry its attempt, and then, if no attempt did before,
its receipt `done/<unit>.json`; the first receipt wins and names the files that count. The manifest
lists the winning files; readers read nothing else. Every write that decides something goes through
`Dataset.decide`, so any number of workers and drivers may race, on any store.

    MANIFEST.json, MANIFEST-001.json   the published generations
    data/…, rejects/…, ids/…           files of units, `<unit>-<attempt>.<ending>`
    done/<unit>.json                   receipts
    at-<attempt>/…                     the files of a published folder
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.io import storage
from lmtx_ray.io.fence import Fence
from lmtx_ray.io.published import PublishedFolder, in_parallel
from lmtx_ray.io.receipts import DATA, KINDS, Manifest, PublishError, Receipt, StoredFile
from lmtx_ray.io.unique import hash_keys, refuse_repeats

Settle = Callable[[Sequence[Receipt]], Sequence[Receipt]]


def new_attempt() -> str:
    """What tells one attempt's files from another's."""
    return uuid.uuid4().hex[:8]


@dataclass(frozen=True)
class Dataset(PublishedFolder):
    """A folder whose content is published once. `fence` is the right to write in it, where a store
    does not heed put-if-absent or drivers replace each other."""

    fence: Fence | None = None

    def decide(self, uri: str, data: bytes) -> bool:
        """Write unless something is there; whether `uri` now holds `data`."""
        put = self.fence.put_if_absent if self.fence else storage.put_if_absent
        return put(uri, data)

    # --- units

    def done_units(self) -> set[str]:
        """Units with a receipt."""
        receipts = storage.list_files(storage.join(self.uri, "done"), ".json")
        return {uri.rsplit("/", 1)[1].removesuffix(".json") for uri in receipts}

    def put(self, path: str | Path, name: str) -> StoredFile:
        """A local file's content as `name` under the folder."""
        storage.put_file(path, storage.join(self.uri, name))
        return StoredFile(name, storage.sha256_of(str(path)))

    def commit(self, receipt: Receipt) -> Receipt:
        """Make a unit's files count; returns the winning receipt, this or an earlier one.

        Raises:
            PublishError: The unit was written for another identity.
            StaleDriver: Another driver took over.
        """
        if self.decide(self._receipt_uri(receipt.unit), storage.to_json(receipt.to_dict())):
            return receipt
        return self.receipt(receipt.unit)

    def forget(self, units: Sequence[str]) -> None:
        """Have units that are not published done anew. Raises StaleDriver: see `commit`."""
        if self.fence:
            self.fence.check()
        for unit in units:
            storage.remove_file(self._receipt_uri(unit))

    def commit_table(
        self,
        unit: str,
        table: pa.Table,
        rows_in: int,
        rejected: int = 0,
        key: str | None = None,
    ) -> Receipt:
        """Write a unit's rows as Parquet and commit it. `key` names the column whose values are to
        be unique over the data set."""
        name = f"{DATA}/{unit}-{new_attempt()}.parquet"
        digest = storage.write_table(storage.join(self.uri, name), table)
        keys = hash_keys(table[key]) if key else b""
        files = {DATA: StoredFile(name, digest)}
        rows = rows_in, table.num_rows, rejected
        return self.commit(Receipt(unit, self.fingerprint, files, *rows, keys=keys))

    def _receipt_uri(self, unit: str) -> str:
        return storage.join(self.uri, "done", f"{unit}.json")

    def receipt(self, unit: str) -> Receipt:
        """A unit's winning receipt; PublishError where it is of another identity."""
        receipt = Receipt.from_dict(storage.read_json(self._receipt_uri(unit)))
        if receipt.fingerprint != self.fingerprint:
            raise PublishError(
                f"{self.uri}: unit {unit} was written for other inputs or settings; "
                "use another folder"
            )
        return receipt

    def receipts(self, units: Sequence[str]) -> list[Receipt]:
        """The receipts of all units, in their order.

        Raises:
            PublishError: A unit is not done.
        """
        if missing := sorted(set(units) - self.done_units()):
            raise PublishError(f"{self.uri}: units not done: {', '.join(missing[:5])}")
        return list(in_parallel(self.receipt, units))

    def publish(
        self,
        units: Sequence[str],
        key: str | None = None,
        settle: Settle | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Check the units and write the manifest.

        Args:
            units: All units, in reading order.
            key: Column that must not repeat over the whole data set, or None.
            settle: Makes the final receipts of those of the units, where units cannot know alone
                what counts.
            about: More fields of the manifest.

        Raises:
            PublishError: A unit or file is missing, rows were lost, a key repeats, or another
                driver published something else.
        """
        receipts = self.receipts(units)
        if self.fence:
            self.fence.check()
        receipts = list(settle(receipts)) if settle else receipts
        for receipt in receipts:
            _refuse_lost_rows(self.uri, receipt)
        if key is not None:
            refuse_repeats(self.uri, receipts, key)
        manifest = Manifest(self.fingerprint, tuple(receipts), about=about or {})
        self._refuse_missing(manifest)
        return self._publish(manifest)

    def _refuse_missing(self, manifest: Manifest) -> None:
        there = {uri for kind in KINDS for uri in storage.list_files(storage.join(self.uri, kind))}
        names = {self.uri_of(file) for file in manifest.stored()}
        if absent := sorted(names - there):
            raise PublishError(f"{self.uri}: file {absent[0]} is missing")

    def _publish(self, manifest: Manifest) -> Manifest:
        if self.decide(self.manifest_uri, storage.to_json(manifest.to_dict())):
            return manifest
        published = self.manifest()
        if _content(published) != _content(manifest):
            raise PublishError(f"{self.uri}: another driver published a different output")
        return published

    def publish_table(
        self, table: pa.Table, rows: int, key: str | None = None, groups: Sequence[Any] = ()
    ) -> Manifest:
        """Publish a table in units of `rows` rows; an empty table is one empty unit.

        Neighbours with equal `groups` (one value for each row, if given) stay in one unit.
        """
        starts = cut(table.num_rows, rows, groups)
        ends = [*starts[1:], table.num_rows]
        # the size is in the name: another size, after a kill, must not mix with what is there
        units = {
            f"{n:05d}-{rows}": table.slice(start, end - start)
            for n, (start, end) in enumerate(zip(starts, ends, strict=True))
        }
        for unit, part in units.items():
            self.commit_table(unit, part, rows_in=part.num_rows, key=key)
        return self.publish(list(units), key=key)

    # --- folders

    def publish_folder(self, save: Callable[[Path], object]) -> Manifest:
        """Publish what `save(folder)` writes into a local folder; what is published stays.

        Raises:
            PublishError: It wrote nothing, or another driver published something else.
        """
        if self.is_complete():
            return self.manifest()

        def put(attempt: str) -> dict[str, StoredFile]:
            with storage.scratch_folder() as local:
                save(Path(local))
                paths = sorted(path for path in Path(local).rglob("*") if path.is_file())
                names = {path.relative_to(local).as_posix(): path for path in paths}
                return {name: self.put(path, f"{attempt}/{name}") for name, path in names.items()}

        return self.publish_attempt(put)

    def publish_attempt(self, put: Callable[[str], Mapping[str, StoredFile]]) -> Manifest:
        """Publish the files that `put(folder)` puts into a folder of this data set, a new one for
        each attempt, by the names that their readers know. What does not count is removed.

        Raises:
            PublishError: There is no file, or another driver published something else.
        """
        attempt = f"at-{new_attempt()}"
        try:
            files = dict(sorted(put(attempt).items()))
        except BaseException:
            self._drop(attempt)
            raise
        try:
            manifest = self.publish_files(files)
        except PublishError:  # after any other error the manifest may have arrived
            self._drop(attempt)
            raise
        if manifest.files != files:  # another driver's equal files count
            self._drop(attempt)
        return manifest

    def _drop(self, attempt: str) -> None:
        with suppress(storage.StorageError):  # what is left counts for nothing
            storage.remove_folder(storage.join(self.uri, attempt))

    def publish_files(self, files: Mapping[str, StoredFile]) -> Manifest:
        """Publish files that are there, by the names that their readers know.

        Raises:
            PublishError: There is none, or another driver published something else.
        """
        if not files:
            raise PublishError(f"{self.uri}: there is no file to publish")
        return self._publish(Manifest(self.fingerprint, files=files))


def cut(total: int, rows: int, groups: Sequence[Any] | np.ndarray = ()) -> list[int]:
    """Where units of `rows` rows begin; neighbours with equal `groups` stay together."""
    starts = [0]
    for start in range(rows, total, rows):
        start = max(start, starts[-1] + 1)
        while len(groups) and start < total and groups[start] == groups[start - 1]:
            start += 1
        starts += [start] if start < total else []
    return starts


def _content(manifest: Manifest) -> object:
    """What two manifests must have in common to be one output."""
    if manifest.files:
        return {name: file.sha256 for name, file in manifest.files.items()}
    return [unit.without_keys() for unit in manifest.units]


def _refuse_lost_rows(uri: str, receipt: Receipt) -> None:
    if receipt.rows_in != receipt.rows_out + receipt.rejected:
        raise PublishError(
            f"{uri}: unit {receipt.unit} read {receipt.rows_in} rows but wrote "
            f"{receipt.rows_out} and rejected {receipt.rejected}"
        )
