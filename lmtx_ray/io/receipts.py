"""What is written down about published files: receipts of units, and the manifest that counts.

In JSON a kind of file is a pair of fields: `<kind>` with its name and `<kind>_sha256`; the main one
is `file` and `sha256`. Names are relative to the data set's folder and carry their attempt.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lmtx_ray.io.locations import is_outside

DATA, REJECTS, IDS = "data", "rejects", "ids"
KINDS = (DATA, REJECTS, IDS)


class PublishError(ValueError):
    """An output that must not be published or read; the message names what is wrong with it."""


@dataclass(frozen=True)
class StoredFile:
    """A file that counts. `sha256` is empty where an old manifest did not keep it."""

    name: str
    sha256: str = ""


@dataclass(frozen=True)
class Receipt:
    """A unit that is done: its files by kind, and its rows, in = out + rejected.

    `lines` are the lines of each part of its input (of text files), `keys` 64-bit hashes of its key
    column, so that uniqueness needs no second look at the data; the manifest leaves them out.
    """

    unit: str
    fingerprint: str
    files: Mapping[str, StoredFile]
    rows_in: int
    rows_out: int
    rejected: int = 0
    lines: tuple[int, ...] = ()
    keys: bytes = b""

    @property
    def file(self) -> str:
        """Name of the main file."""
        return self.files[DATA].name

    def name(self, kind: str) -> str | None:
        """Name of a kind of file, None where the unit has none."""
        return self.files[kind].name if kind in self.files else None

    def key_hashes(self) -> np.ndarray:
        """uint64 [rows_out], in the order of the rows."""
        return np.frombuffer(self.keys, dtype="<u8")

    def without_keys(self) -> Receipt:
        """The same for a manifest, where keys would only take room."""
        return replace(self, keys=b"")

    def to_dict(self) -> dict[str, Any]:
        """As JSON; what is empty is left out."""
        values: dict[str, Any] = {
            "unit": self.unit,
            "fingerprint": self.fingerprint,
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "rejected": self.rejected,
        }
        if self.lines:
            values["lines"] = list(self.lines)
        if self.keys:
            values["keys"] = base64.b64encode(self.keys).decode()
        for kind, file in self.files.items():
            name, digest = _fields(kind)
            values |= {name: file.name, digest: file.sha256}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Receipt:
        """What `to_dict` gave. KeyError where something is missing."""
        files = {}
        for kind in KINDS:
            name, digest = _fields(kind)
            if values.get(name):
                files[kind] = StoredFile(values[name], values.get(digest, ""))
        return cls(
            values["unit"],
            values["fingerprint"],
            files,
            values["rows_in"],
            values["rows_out"],
            values["rejected"],
            tuple(values.get("lines", ())),
            base64.b64decode(values.get("keys", "")),
        )


def _fields(kind: str) -> tuple[str, str]:
    return ("file", "sha256") if kind == DATA else (kind, f"{kind}_sha256")


@dataclass(frozen=True)
class Manifest:
    """What is published: units in reading order, or a folder's files by the names that its readers
    know. `about` is what else a publisher wanted to be known."""

    fingerprint: str
    units: tuple[Receipt, ...] = ()
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def stored(self) -> Iterator[StoredFile]:
        """Every file that counts."""
        yield from self.files.values()
        for unit in self.units:
            yield from unit.files.values()

    def rows(self) -> int:
        """Rows of all units."""
        return sum(unit.rows_out for unit in self.units)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        values: dict[str, Any] = {**self.about, "fingerprint": self.fingerprint}
        if self.files:
            values["files"] = {
                name: {"name": file.name, "sha256": file.sha256}
                for name, file in self.files.items()
            }
        else:
            values["units"] = [unit.without_keys().to_dict() for unit in self.units]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        """Also of the form before files had attempts: `sha256` by name. Raises
        PublishError for a name that leads out of the folder."""
        about = {k: v for k, v in values.items() if k not in ("fingerprint", "units", "files")}
        files = {name: StoredFile(**file) for name, file in values.get("files", {}).items()}
        if not files and isinstance(values.get("sha256"), Mapping):
            hashes = about.pop("sha256")
            files = {name: StoredFile(name, digest) for name, digest in hashes.items()}
        units = tuple(Receipt.from_dict(unit) for unit in values.get("units", ()))
        manifest = cls(values["fingerprint"], units, files, about)
        for name in [*files, *(file.name for file in manifest.stored())]:
            if is_outside(name):
                raise PublishError(f"a manifest names {name!r}, outside of its folder")
        return manifest
