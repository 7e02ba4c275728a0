"""Where a run's steps live, and what lies beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lmtx_ray.io import storage
from lmtx_ray.io.accounts import FOLDER
from lmtx_ray.io.fence import Fence
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.io.latest import STARTED
from lmtx_ray.io.publish import Dataset

ENDED = "ended"
RECORDS = STARTED, ENDED  # what only a run's folder has; they hold its config


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

    @property
    def accounts(self) -> str:
        """What is spent, told by each process."""
        return storage.join(self.root, FOLDER)

    @property
    def spent(self) -> str:
        """What of the judge's budget is gone."""
        return storage.join(self.root, "spent")

    @property
    def started(self) -> str:
        """A record of each config, packages and code that the run was started with."""
        return storage.join(self.root, STARTED)

    @property
    def ended(self) -> str:
        """A record of each end, by the evaluation's fingerprint."""
        return storage.join(self.root, ENDED)

    def work(self, name: str) -> str:
        """A folder of what is removed when a step is done."""
        return storage.join(self.root, "work", name)
