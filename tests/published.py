"""What lies in a published folder, as a test looks at it."""

from __future__ import annotations

import pyarrow as pa

from lmtx_ray.io import storage
from lmtx_ray.io.published import PublishedFolder


def read_published(uri: str) -> pa.Table:
    """A Parquet file, or all rows of a published data set."""
    return storage.read_table(uri) if uri.endswith(".parquet") else PublishedFolder(uri).read()


def is_whole(step: PublishedFolder) -> bool:
    """Whether every file has the content that was published."""
    stored = step.manifest().stored()
    return all(storage.sha256_of(step.uri_of(file)) == file.sha256 for file in stored)
