"""Units of work: what one worker reads to write one unit of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Part:
    """A file, or some of it: [start, stop) are bytes of JSONL or row groups of Parquet; None is
    to the end. `first_row` counts the rows before it, where the plan knows them; `name` is the
    id of a document that is the whole file."""

    uri: str
    etag: str = ""
    start: int = 0
    stop: int | None = None
    first_row: int = 0
    name: str = ""


@dataclass(frozen=True)
class Unit:
    """A name and what is read for it, the main part first. `size` is in bytes, where it is known;
    `partition` the `name=value` folders that its files are written under."""

    name: str
    parts: tuple[Part, ...]
    partition: str = ""
    size: int = 0

    @classmethod
    def of(cls, name: str, *uris: str) -> Unit:
        """A unit of whole files."""
        return cls(name, tuple(Part(uri) for uri in uris))

    @property
    def uris(self) -> tuple[str, ...]:
        """Where its parts lie."""
        return tuple(part.uri for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Unit:
        """What `to_dict` gave."""
        parts = tuple(Part(**part) for part in values["parts"])
        return cls(**{**values, "parts": parts})
