"""Another bundle of the same files but for a few: a published bundle never changes.

The new one lies beside the first, under a name and an id of its own. Whoever resumes, promotes or
caches by a bundle's name or hash therefore sees a change as what it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmtx_ray.bundle.cache import DESCRIPTION, Published, published_bundle
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
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
    """Publish the bundle at `uri` as `new`, with other content of some files; returns where. What
    is published already stays.

    Raises:
        PublishError: Not a published bundle, or `new` holds something else.
    """
    if not new.is_complete():
        published = published_bundle(storage.absolute(uri))
        kept = {name: name for name in published.files if name not in changed}
        with storage.scratch_folder() as folder:
            written = {name: Path(folder, str(place)) for place, name in enumerate(changed)}
            for name, path in written.items():
                path.write_bytes(changed[name])
            publish_mixed(published, new, kept, written)
    return new.uri


def publish_mixed(
    published: Published, new: Dataset, kept: Mapping[str, str], written: Mapping[str, Path]
) -> None:
    """Publish a bundle of files of another one and of local ones, by the names that readers know.
    Files on one disk are shared, those in s3 copied there; the manifest comes last.

    Args:
        kept: New name -> name in `published`.
        written: New name -> a file on this machine.

    Raises:
        PublishError: `new` holds something else.
        StorageError: A file cannot be read or written; nothing is left of the attempt then.
    """

    def put(attempt: str) -> dict[str, StoredFile]:
        files = {name: new.put(path, f"{attempt}/{name}") for name, path in written.items()}
        for name, old in kept.items():
            storage.copy_file(published.location(old), storage.join(new.uri, attempt, name))
            files[name] = StoredFile(f"{attempt}/{name}", published.files[old].sha256)
        return files

    new.publish_attempt(put)
