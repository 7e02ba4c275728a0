"""Where a run's steps live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lmtx_ray.io import storage
from lmtx_ray.io.fence import Fence
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.io.publish import Dataset


@dataclass(frozen=True)
class RunLayout:
    """A run's root folder, and the right to write in it where a lease decides that."""

    root: str
    fence: Fence | None = None

    def step(self, name: str, *identity: Any) -> Dataset:
        """The step `<root>/<name>-<fingerprint of identity>`."""
        identity_hash = fingerprint(name, *identity)
        uri = storage.join(self.root, f"{name}-{identity_hash}")
        return Dataset(uri, identity_hash, fence=self.fence)
