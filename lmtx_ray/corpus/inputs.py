"""The files of a job, each with an identity that changes when its content does.

In s3 that is the etag, which the listing gives for nothing. Of a local file it is a hash of its
content, remembered by size and time of change: those two alone say the wrong thing after a copy or
a checkout.
"""

from __future__ import annotations

import fnmatch
import glob
import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.io import storage
from lmtx_ray.io.hashes import file_sha256
from lmtx_ray.io.locations import Entry
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import MANIFEST

PLAN = "PLAN.json"
PARTITION = re.compile(r"[A-Za-z_][\w-]*=[^/]+")


@dataclass(frozen=True)
class InputFile:
    """`identity` is "etag:…" or "sha256:…", empty where nobody asked for it."""

    uri: str
    size: int
    identity: str = ""

    @property
    def etag(self) -> str:
        """The etag in `identity`; empty where it is none."""
        return self.identity.removeprefix("etag:") if self.identity.startswith("etag:") else ""

    @property
    def partition(self) -> str:
        """The `name=value` folders of its path, joined by slashes."""
        return "/".join(part for part in self.uri.split("/")[:-1] if PARTITION.fullmatch(part))

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a plan."""
        return asdict(self)


def list_inputs(uris: Sequence[str], identify: bool = True) -> list[InputFile]:
    """Files, folders, globs and manifests as files, in the order given and by path inside one.

    In folders, names that begin with "." or "_" are no data.

    Raises:
        CorpusError: Something is not there, or nothing is.
        StorageError: Something cannot be read.
    """
    entries: dict[str, Entry] = {}
    for uri in uris:
        entries |= {entry.uri: entry for entry in _expand(storage.absolute(uri))}
    if not entries:
        raise CorpusError(
            f"{', '.join(uris)}: no file to read is there (names with . or _ in front are no data)"
        )
    return (
        _identified(entries.values())
        if identify
        else [InputFile(entry.uri, entry.size) for entry in entries.values()]
    )


def _identified(entries: Iterable[Entry]) -> list[InputFile]:
    def identify(entry: Entry) -> InputFile:
        identity = f"etag:{entry.etag}" if entry.etag else identity_of(entry.uri)
        return InputFile(entry.uri, entry.size, identity)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(identify, entries))


def identity_of(uri: str) -> str:
    """Of a local file, by its content; empty when it is gone."""
    return f"sha256:{file_sha256(storage.local_path(uri))}" if storage.stat(uri) else ""


def _expand(uri: str) -> list[Entry]:
    if any(char in uri for char in "*[") and not storage.stat(uri):
        return _matching(uri)
    found = storage.stat(uri)
    if found:
        return _listed(uri) if _is_manifest(uri) else [found]
    if storage.stat(storage.join(uri, PLAN)):  # its generations are no step's units
        raise CorpusError(f"{uri}: the output of a batch job; name its files instead")
    if storage.stat(storage.join(uri, MANIFEST)):
        return [_must(file) for file in Dataset(uri, "").files()]
    inside = [entry for entry in storage.list_entries(uri) if not _is_hidden(entry.uri, uri)]
    if not inside and not storage.exists(uri):
        raise CorpusError(f"no such file or folder: {uri}")
    return inside


def _is_hidden(uri: str, folder: str) -> bool:
    inside = uri.removeprefix(folder).strip("/").split("/")
    return any(part.startswith((".", "_")) for part in inside)


def _is_manifest(uri: str) -> bool:
    return uri.endswith((".manifest", ".manifest.json", "manifest.txt", "manifest.json"))


def _listed(uri: str) -> list[Entry]:
    """A manifest is a JSON list of URIs, or one URI a line."""
    text = storage.read_bytes(uri).decode("utf-8-sig", "replace")
    try:
        names = json.loads(text)
    except ValueError:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CorpusError(f"{uri}: a manifest is a JSON list of URIs, or one URI a line")
    return [_must(storage.absolute(name)) for name in names]


def _must(uri: str) -> Entry:
    entry = storage.stat(uri)
    if entry is None:
        raise CorpusError(f"no such file: {uri}")
    return entry


def _matching(pattern: str) -> list[Entry]:
    if "://" not in pattern:
        found = (storage.stat(path) for path in sorted(glob.glob(pattern, recursive=True)))
        return [entry for entry in found if entry]
    head = re.split(r"[*\[]", pattern, maxsplit=1)[0].rsplit("/", 1)[0]
    depth = pattern.count("/")
    return [
        entry
        for entry in storage.list_entries(head)
        if fnmatch.fnmatchcase(entry.uri, pattern)
        and ("**" in pattern or entry.uri.count("/") == depth)
    ]
