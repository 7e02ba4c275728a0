"""Another bundle of the same files but for a few: a published bundle never changes.

The new one lies beside the first, under a name and an id of its own. Whoever resumes, promotes or
caches by a bundle's name or hash therefore sees a change as what it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lmtx_ray.bundle.cache import DESCRIPTION, Published, published_bundle
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset, new_attempt
from lmtx_ray.io.receipts import StoredFile


def description_of(uri: str) -> dict[str, Any]:
    """The bundle.json of a published bundle, local or s3.

    Raises:
        PublishError: Not a published bundle.
    """
    described: dict[str, Any] = storage.read_json(published_bundle(uri).location(DESCRIPTION))
    return described


def dump(description: Mapping[str, Any]) -> bytes:
    """The content of a bundle.json."""
    return (json.dumps(description, indent=1, sort_keys=True) + "\n").encode()


def remade(uri: str, bundle_id: str, output: str | None = None) -> Dataset:
    """The data set of a bundle made of the one at `uri`: `bundle-<id>` beside it, or `output`."""
    beside = storage.absolute(uri).rstrip("/").rsplit("/", 1)[0]
    place = storage.absolute(output) if output else storage.join(beside, f"bundle-{bundle_id}")
    return Dataset(place, bundle_id)


def publish_changed(uri: str, new: Dataset, changed: Mapping[str, bytes]) -> str:
    """Publish the bundle at `uri` as `new`, with other content of some files; returns where. Files
    on one disk are shared, those in s3 copied there. What is published already stays.

    Raises:
        PublishError: Not a published bundle, or `new` holds something else.
    """
    if not new.is_complete():
        _publish(published_bundle(storage.absolute(uri)), new, changed)
    return new.uri


def _publish(published: Published, new: Dataset, changed: Mapping[str, bytes]) -> None:
    attempt = f"at-{new_attempt()}"
    files = {}
    for name, file in published.files.items():
        target = storage.join(new.uri, attempt, name)
        if name in changed:
            storage.write_bytes(target, changed[name])
            files[name] = StoredFile(f"{attempt}/{name}", storage.sha256_of(target))
        else:
            storage.copy_file(published.location(name), target)
            files[name] = StoredFile(f"{attempt}/{name}", file.sha256)
    if new.publish_files(files).files != files:  # another process's equal files count
        storage.remove_folder(storage.join(new.uri, attempt))
