"""Where a run's steps live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lmtx_ray.io import storage
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.io.publish import StepOutput


@dataclass(frozen=True)
class RunLayout:
    """A run's root folder."""

    root: str

    def step(self, name: str, *identity: Any) -> StepOutput:
        """The step `<root>/<name>-<fingerprint of identity>`."""
        identity_hash = fingerprint(name, *identity)
        return StepOutput(storage.join(self.root, f"{name}-{identity_hash}"), identity_hash)
