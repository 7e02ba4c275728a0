"""Small facts that are dear to find out, kept on this machine by name: hashes of files, counts.

What cannot be kept or read is found out again.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

from lmtx_ray.io import disk


def recall(kind: str, name: str) -> Any:
    """What was kept of a kind under a name; None if nothing, or nothing whole, is there."""
    try:
        return json.loads((disk.cache(kind) / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None


def keep(kind: str, name: str, fact: Any) -> None:
    """Keep it, if there is a place."""
    path = disk.cache(kind) / f"{name}.json"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{name}.{os.getpid()}")
        draft.write_text(json.dumps(fact))
        draft.replace(path)
