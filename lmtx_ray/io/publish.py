"""How a step's output comes to exist: units, then one manifest, written last.

A unit of work writes `data/<unit>-<attempt>.parquet` and then, if no attempt did before, its
receipt `done/<unit>.json`; the first receipt wins and names the file that counts. The manifest
lists the winning files; readers read nothing else. Every write that decides something is a
put-if-absent, so any number of workers and drivers may race.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lmtx_ray.io import storage

MANIFEST = "MANIFEST.json"


class PublishError(ValueError):
    """An output that must not be published or read; the message names what is wrong with it."""


@dataclass(frozen=True)
class StepOutput:
    """One step's folder. `fingerprint` is the identity it was computed for."""

    uri: str
    fingerprint: str

    def is_complete(self) -> bool:
        """Whether the manifest is there.

        Raises:
            PublishError: It is there for another identity.
        """
        if not storage.exists(storage.join(self.uri, MANIFEST)):
            return False
        self.manifest()
        return True

    def manifest(self) -> dict[str, Any]:
        """The published manifest; PublishError if there is none, or one of another identity."""
        uri = storage.join(self.uri, MANIFEST)
        if not storage.exists(uri):
            raise PublishError(f"{self.uri}: not published yet")
        manifest = storage.read_json(uri)
        if self.fingerprint and manifest["fingerprint"] != self.fingerprint:
            raise PublishError(
                f"{self.uri}: holds the output of other inputs or settings "
                f"({manifest['fingerprint']}, not {self.fingerprint}); use another folder"
            )
        return manifest

    def done_units(self) -> set[str]:
        """Units with a receipt."""
        receipts = storage.list_files(storage.join(self.uri, "done"), ".json")
        return {uri.rsplit("/", 1)[1].removesuffix(".json") for uri in receipts}

    def commit_unit(
        self, unit: str, table: pa.Table, rows_in: int, rejected: int = 0
    ) -> dict[str, Any]:
        """Write a unit's rows and its receipt; returns the winning receipt, ours or an earlier."""
        data = storage.table_bytes(table)
        name = f"data/{unit}-{uuid.uuid4().hex[:8]}.parquet"
        storage.write_bytes(storage.join(self.uri, name), data)
        receipt = {
            "unit": unit,
            "file": name,
            "fingerprint": self.fingerprint,
            "rows_in": rows_in,
            "rows_out": table.num_rows,
            "rejected": rejected,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        if storage.put_if_absent(self._receipt_uri(unit), storage.to_json(receipt)):
            return receipt
        return self._receipt(unit)

    def _receipt_uri(self, unit: str) -> str:
        return storage.join(self.uri, "done", f"{unit}.json")

    def _receipt(self, unit: str) -> dict[str, Any]:
        receipt = storage.read_json(self._receipt_uri(unit))
        if receipt["fingerprint"] != self.fingerprint:
            raise PublishError(
                f"{self.uri}: unit {unit} was written for other inputs or settings; "
                "use another folder"
            )
        return receipt

    def publish(self, units: Sequence[str], key: str | None = None) -> dict[str, Any]:
        """Check the units and write the manifest.

        Args:
            units: All units of the step, in reading order.
            key: Column that must not repeat over the whole step, or None.

        Raises:
            PublishError: A unit is missing, lost rows or repeats a key, or another driver
                published something else.
        """
        missing = sorted(set(units) - self.done_units())
        if missing:
            raise PublishError(f"{self.uri}: units not done: {', '.join(missing[:5])}")
        receipts = [self._receipt(unit) for unit in units]
        for receipt in receipts:
            if receipt["rows_in"] != receipt["rows_out"] + receipt["rejected"]:
                raise PublishError(
                    f"{self.uri}: unit {receipt['unit']} read {receipt['rows_in']} rows but wrote "
                    f"{receipt['rows_out']} and rejected {receipt['rejected']}"
                )
        if key is not None:
            self._check_unique(receipts, key)
        return self._publish({"units": receipts})

    def publish_table(
        self, table: pa.Table, rows: int, key: str | None = None, groups: Sequence[Any] = ()
    ) -> None:
        """Publish a table in units of `rows` rows; an empty table is one empty unit.

        Neighbours with equal `groups` (one value for each row, if given) stay in one unit.
        """
        starts = [0]
        for start in range(rows, table.num_rows, rows):
            start = max(start, starts[-1] + 1)
            while groups and start < table.num_rows and groups[start] == groups[start - 1]:
                start += 1
            starts += [start] if start < table.num_rows else []
        ends = [*starts[1:], table.num_rows]
        # the size is in the name: another size, after a kill, must not mix with what is there
        units = {
            f"{n:05d}-{rows}": table.slice(start, end - start)
            for n, (start, end) in enumerate(zip(starts, ends, strict=True))
        }
        for unit, part in units.items():
            self.commit_unit(unit, part, rows_in=part.num_rows)
        self.publish(list(units), key=key)

    def rows(self) -> int:
        """Number of published rows, from the manifest."""
        return sum(unit["rows_out"] for unit in self.manifest()["units"])

    def _check_unique(self, receipts: Sequence[Mapping[str, Any]], key: str) -> None:
        seen: set[Any] = set()
        for receipt in receipts:
            uri = storage.join(self.uri, receipt["file"])
            for value in storage.read_table(uri)[key].to_pylist():
                if value in seen:
                    raise PublishError(f"{self.uri}: {key} {value!r} is there twice")
                seen.add(value)

    def publish_files(
        self, files: Mapping[str, str], extra: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Publish a folder of files: name -> SHA-256, all of which must be there."""
        absent = [name for name in files if not storage.exists(storage.join(self.uri, name))]
        if absent:
            raise PublishError(f"{self.uri}: file {absent[0]} is missing")
        return self._publish({"sha256": dict(files), **(extra or {})})

    def publish_folder(self, save: Callable[[Path], object]) -> dict[str, Any]:
        """Publish what `save(folder)` writes into a local folder; what is published stays.

        Raises:
            PublishError: It wrote nothing.
        """
        if self.is_complete():
            return self.manifest()
        with storage.scratch_folder() as local:
            save(Path(local))
            storage.upload_folder(local, self.uri)
            files = sorted(path for path in Path(local).rglob("*") if path.is_file())
            names = [path.relative_to(local).as_posix() for path in files]
            if not names:
                raise PublishError(f"{self.uri}: there is no file to publish")
            hashes = {name: storage.sha256_of(f"{local}/{name}") for name in names}
            return self.publish_files(hashes)

    def _publish(self, content: dict[str, Any]) -> dict[str, Any]:
        manifest = {"fingerprint": self.fingerprint, **content}
        uri = storage.join(self.uri, MANIFEST)
        if not storage.put_if_absent(uri, storage.to_json(manifest)):
            published = self.manifest()
            if published != manifest:
                raise PublishError(f"{self.uri}: another driver published a different output")
        return manifest

    def unit_files(self) -> dict[str, str]:
        """Unit -> URI of its winning file, in reading order."""
        units = self.manifest()["units"]
        return {unit["unit"]: storage.join(self.uri, unit["file"]) for unit in units}

    def files(self) -> list[str]:
        """URIs of the winning files, in reading order."""
        return list(self.unit_files().values())

    def read(self) -> pa.Table:
        """All rows, in unit order."""
        tables = [storage.read_table(uri) for uri in self.files()]
        return pa.concat_tables(tables)

    def verify(self) -> None:
        """Hash every published file again; PublishError names the first that differs."""
        manifest = self.manifest()
        hashes = manifest.get("sha256") or {
            unit["file"]: unit["sha256"] for unit in manifest["units"]
        }
        for name, expected in hashes.items():
            if storage.sha256_of(storage.join(self.uri, name)) != expected:
                raise PublishError(f"{self.uri}: {name} is not the file that was published")


def read_published(uri: str) -> pa.Table:
    """A Parquet file, or all rows of a published step's folder."""
    return storage.read_table(uri) if uri.endswith(".parquet") else StepOutput(uri, "").read()
