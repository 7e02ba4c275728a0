"""Bundles by name: the newest of a run, and what people know a bundle by.

`RUN/latest` is a small file that names the newest bundle of a run; it is read wherever a bundle is
asked for, as `RUN/latest` or just `RUN`. `ABOUT.json` lies in a bundle's folder beside its
manifest, which does not list it: it holds a date, and no part of a bundle's identity may.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from lmtx_ray.io import storage
from lmtx_ray.io.locations import is_outside
from lmtx_ray.io.plain_json import finite
from lmtx_ray.io.published import MANIFEST
from lmtx_ray.io.receipts import PublishError

LATEST, ABOUT = "latest", "ABOUT.json"
STARTED = "started"  # a run's folder has one, also without a bundle
MOST_BYTES = 64 << 10
MOST_TEXT = 200  # characters of a value that are shown

About = dict[str, Any]


def resolve(uri: str) -> str:
    """The folder of a bundle: `uri` itself, or the newest one of the run that it names.

    Raises:
        PublishError: The run has no bundle yet, or its pointer names none.
        StorageError: A location that cannot be read.
    """
    if storage.stat(storage.join(uri, MANIFEST)):
        return uri
    for pointer in (uri, storage.join(uri, LATEST)):
        if pointer.endswith(f"/{LATEST}") and storage.stat(pointer):
            return _named(pointer)
    if uri.endswith(f"/{LATEST}") or storage.exists(storage.join(uri, STARTED)):
        raise PublishError(f"{uri}: this run has no bundle yet; finish it with lmtx run")
    return uri


def _named(pointer: str) -> str:
    name = read_small(pointer).get("bundle")
    if not isinstance(name, str) or not name or is_outside(name) or "/" in name:
        raise PublishError(f"{pointer}: names no bundle beside it")
    return storage.join(pointer.rsplit("/", 1)[0], name)


def read_small(uri: str) -> About:
    """A small JSON object; empty where there is none that can be read."""
    try:
        entry = storage.stat(uri)
        value = storage.read_json(uri) if entry and entry.size <= MOST_BYTES else {}
    except storage.StorageError:
        return {}
    return value if isinstance(value, dict) else {}


def read_about(bundle: str) -> About:
    """What a bundle is known by; empty for one that says nothing. Anybody who may write in its
    folder may have written it: long texts are cut, and nothing may depend on it."""
    shown = ("name", "created", "labels", "documents", "cycles", "untrained", "quality")
    about = read_small(storage.join(bundle, ABOUT))
    return {name: _plain(about[name]) for name in shown if name in about}


def _plain(value: Any) -> Any:
    if isinstance(value, str):  # a lone surrogate and NaN are in no JSON that others read
        return value[:MOST_TEXT].encode("utf-8", "replace").decode()
    return finite(value) if isinstance(value, int | float | bool) else None


def write_about(bundle: str, run: str, about: Mapping[str, Any], if_new: bool = False) -> About:
    """Keep what a bundle is known by, and make it the newest of its run; returns what was kept. The
    date is that of the first time. `if_new`: one that was the newest before and is not any more
    stays behind the one that took its place."""
    uri, name = storage.join(bundle, ABOUT), bundle.rstrip("/").rsplit("/", 1)[1]
    created = read_small(uri).get("created")
    kept = {**about, "created": created or now()}
    if not (if_new and created and another_newest(run, name)):
        pointer = {**kept, "bundle": name}
        storage.write_bytes(storage.join(run, LATEST), storage.to_json(pointer))
    storage.write_bytes(uri, storage.to_json(kept))  # last: without it the pointer is written anew
    return kept


def another_newest(run: str, name: str) -> str:
    """The name of the newest bundle of a run, where it is another than `name` and is there."""
    newest = read_small(storage.join(run, LATEST)).get("bundle")
    if not isinstance(newest, str) or newest == name:
        return ""
    return newest if storage.stat(storage.join(run, newest, MANIFEST)) else ""


def write_own_about(bundle: str, about: Mapping[str, Any]) -> None:
    """Keep what a bundle is known by that no run made, so that it is nobody's newest."""
    storage.write_bytes(storage.join(bundle, ABOUT), storage.to_json({**about, "created": now()}))


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
