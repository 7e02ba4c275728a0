"""The files of a job, each with an identity that changes when its content does.

In s3 that is the etag, which the listing gives for nothing. Of a local file it is a hash of its
content, remembered by size and time of change: those two alone say the wrong thing after a copy or
a checkout.
"""

from __future__ import annotations

import fnmatch
import glob
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import unquote

from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.corpus.naming import GLOB, document_name, root_of
from lmtx_ray.io import storage
from lmtx_ray.io.hashes import file_sha256
from lmtx_ray.io.locations import Entry, RefusedLocation
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import MANIFEST, PLAN

PARTITION = re.compile(r"[A-Za-z_][\w-]*=[^/]+")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # what Spark and Hive write for null
LEFTOVERS = ("thumbs.db", "desktop.ini", "~$")  # how names of what is no data begin


@dataclass(frozen=True)
class InputFile:
    """`identity` is "etag:…" or "sha256:…", empty where nobody asked for it; `name` the path below
    the place that was given."""

    uri: str
    size: int
    identity: str = ""
    name: str = ""

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


def folder_values(uri: str) -> dict[str, str | None]:
    """The columns that the `name=value` folders of a path hold, as Spark and Hive write them."""
    parts = (part for part in uri.split("/")[:-1] if PARTITION.fullmatch(part))
    pairs = (part.split("=", 1) for part in parts)
    return {name: None if value == NO_VALUE else unquote(value) for name, value in pairs}


def list_inputs(uris: Sequence[str], identify: bool = True) -> list[InputFile]:
    """Files, folders, globs and manifests as files, in the order given and by path inside one.

    In folders and globs, names that begin with "." or "_" are no data, nor is what Windows and its
    programs leave behind.

    Raises:
        CorpusError: Something is not there, or nothing is.
        StorageError: Something cannot be read.
    """
    entries: dict[str, Entry] = {}
    places = [storage.absolute(uri) for uri in uris]
    for place in places:
        entries |= {entry.uri: entry for entry in _expand(place)}
    if not entries:
        raise CorpusError(
            f"{', '.join(uris)}: no file to read is there (names with . or _ in front are no data)"
        )
    _refuse_odd_names(entries)
    root = root_of(places)
    files = [
        InputFile(entry.uri, entry.size, name=document_name(entry.uri, root))
        for entry in entries.values()
    ]
    return _identified(files, entries) if identify else files


def _refuse_odd_names(uris: Iterable[str]) -> None:
    """CorpusError for a name of a disk that is not UTF-8: no plan and no table can hold it."""
    for uri in uris:
        shown = uri.encode("utf-8", "backslashreplace").decode()
        if shown != uri:
            raise CorpusError(f"{shown}: its name is not UTF-8; rename it")


def content_hashes(uris: Sequence[str]) -> dict[str, str] | list[tuple[str, str]]:
    """What tells the files of inputs from others: their etags, or hashes of their content. In pairs
    where their order is not that of their URIs, as in a manifest: the first row of an id stays."""
    hashes = {file.uri: file.identity for file in list_inputs(uris)}
    return hashes if list(hashes) == sorted(hashes) else list(hashes.items())


def listed_in(uri: str, places: Sequence[str], written: Sequence[str] = ()) -> str | None:
    """The first of some inputs that would list a file of this name, were it written; or one of such
    names as are `written`, somewhere in the folder of this name."""
    name = _followed(uri)
    return next((place for place in places if _would_list(_followed(place), name, written)), None)


def _followed(uri: str) -> str:
    place = storage.absolute(uri)
    return place if storage.parse_uri(place).scheme == "s3" else os.path.realpath(place)


def _would_list(place: str, uri: str, written: Sequence[str]) -> bool:
    if GLOB.search(place) and not storage.exists(place):
        shown = _asks_for_hidden(place) or not _is_hidden(uri, _head(place))
        return shown and _fits(uri.split("/"), place.split("/"), written)
    inside = uri.startswith(f"{place.rstrip('/')}/") and not _is_hidden(uri, place)
    return uri == place or inside


def _identified(files: Sequence[InputFile], entries: Mapping[str, Entry]) -> list[InputFile]:
    def identify(file: InputFile) -> InputFile:
        etag = entries[file.uri].etag
        return replace(file, identity=f"etag:{etag}" if etag else identity_of(file.uri))

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(identify, files))


def identity_of(uri: str) -> str:
    """Of a local file, by its content; empty when it is gone, or is none that is read."""
    try:
        return f"sha256:{file_sha256(storage.local_path(uri))}" if storage.stat(uri) else ""
    except RefusedLocation:  # who reads it will say so
        return ""


def changed_since(inputs: Sequence[InputFile], began: float) -> list[str]:
    """URIs of files that are not what they were at `began` (seconds since 1970). Local ones have no
    version to ask for while reading: those changed since are hashed again."""
    return [file.uri for file in inputs if _is_changed(file, began)]


def _is_changed(file: InputFile, began: float) -> bool:
    if not file.identity.startswith("sha256:"):
        return False
    path = storage.local_path(file.uri)
    # not st_mtime, which a copy or a move brings along
    if path.exists() and path.stat().st_ctime < began - 1:
        return False
    return identity_of(file.uri) != file.identity


def _expand(uri: str) -> list[Entry]:
    if GLOB.search(uri) and not storage.exists(uri):
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
    return any(part.lower().startswith((".", "_", *LEFTOVERS)) for part in inside)


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
    head = _head(pattern)
    if "://" not in pattern:
        paths = sorted(glob.glob(pattern, recursive=True))
        found = [entry for entry in map(storage.stat, paths) if entry]
    else:
        parts = pattern.split("/")
        listed = storage.list_entries(head)
        found = [entry for entry in listed if _fits(entry.uri.split("/"), parts)]
    asked = _asks_for_hidden(pattern)
    return [entry for entry in found if asked or not _is_hidden(entry.uri, head)]


def _head(pattern: str) -> str:
    """The folders in front of its first sign."""
    return GLOB.split(pattern, maxsplit=1)[0].rpartition("/")[0]


def _asks_for_hidden(pattern: str) -> bool:
    return _is_hidden(pattern, _head(pattern))  # as "_x*" does


def _fits(names: Sequence[str], patterns: Sequence[str], written: Sequence[str] = ()) -> bool:
    """Whether the parts of a path fit those of a pattern; or whether, in that folder, a file with a
    name that is `written` may. As on a disk `**` is any number of folders, and may be none."""
    if not names and written:
        return any(fnmatch.fnmatchcase(name, last) for last in patterns[-1:] for name in written)
    if not patterns or not names:
        return not names and all(pattern == "**" for pattern in patterns)
    if patterns[0] == "**":
        return _fits(names, patterns[1:], written) or _fits(names[1:], patterns, written)
    fits = fnmatch.fnmatchcase(names[0], patterns[0])
    return fits and _fits(names[1:], patterns[1:], written)
