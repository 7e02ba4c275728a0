"""The id of a document that is a file of its own: its path below the place that was given.

With several places it is the path below the folder that all of them lie in, so that files of one
name in different folders have different ids.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from lmtx_ray.io import storage

GLOB = re.compile(r"[*\[]")


def root_of(places: Sequence[str]) -> str:
    """The folder that ids are seen from, of absolute places (files, folders, globs); empty where
    there is none, as for two buckets."""
    try:
        root = os.path.commonpath([_folder(place) for place in places])
    except ValueError:  # on S3 and on a disk
        return ""
    return root.replace("s3:/", "s3://", 1) if root != "s3:" else ""


def _folder(place: str) -> str:
    if storage.stat(place):
        return place.rpartition("/")[0]
    head = GLOB.split(place, maxsplit=1)[0]
    is_folder = head == place or storage.exists(place)
    return place.rstrip("/") if is_folder else head.rpartition("/")[0]


def document_name(uri: str, root: str) -> str:
    """A file's path below `root`; the whole of it where it lies elsewhere, as what a manifest lists
    may."""
    return uri[len(root) + 1 :] if root and uri.startswith(f"{root}/") else uri
