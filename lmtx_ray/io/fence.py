"""Which driver may commit: the one that began last.

With conditional writes a driver claims the next epoch, and an older one stops at its next commit,
when it finds the epoch after its own. A store that ignores the condition gets a lease instead: one
object with the holder's name and when it expires, renewed while the job runs. That is weaker (two
drivers that start within the settling time of a store, or a holder frozen for longer than the
lease), so the receipts and manifest still are looked at before they are written.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lmtx_ray.io import lease, storage
from lmtx_ray.io.receipts import PublishError

LEASE = "LEASE.json"


class StaleDriver(PublishError):
    """Another driver took over this output, or holds it."""


@dataclass(frozen=True)
class Fence:
    """One driver's right to commit under `output`; goes to the workers as it is."""

    output: str
    token: str
    epoch: int  # 0: by lease

    def check(self) -> None:
        """Raises StaleDriver when another driver may commit now."""
        if self.epoch:
            stale = storage.stat(_epoch_uri(self.output, self.epoch + 1)) is not None
        else:
            stale = lease.read_lease(lease_uri(self.output)).get("holder") != self.token
        if stale:
            raise StaleDriver(f"{self.output}: another driver took over; this one stops")

    def put_if_absent(self, uri: str, data: bytes) -> bool:
        """Whether `uri` now holds `data` by this driver's writing."""
        self.check()
        if self.epoch:
            return storage.put_if_absent(uri, data)
        if storage.stat(uri):
            return storage.read_bytes(uri) == data
        storage.write_bytes(uri, data)
        return True


def lease_uri(output: str) -> str:
    """Where the lease of an output is kept."""
    return storage.join(output, LEASE)


def _epoch_uri(output: str, epoch: int) -> str:
    return storage.join(output, "epochs", f"{epoch:06d}.json")


def by_lease(output: str, token: str) -> Fence | None:
    """The right of who holds the lease of `output` with this token; None where the store heeds
    put-if-absent and needs none."""
    return None if storage.put_is_conditional(output) else Fence(output, token, 0)


@contextmanager
def claimed(output: str, conditional: bool) -> Iterator[Fence]:
    """The right to commit for the length of the block."""
    if conditional:
        token = uuid.uuid4().hex
        yield Fence(output, token, _claim_epoch(output, token))
        return
    try:
        with lease.held(lease_uri(output)) as token:
            yield Fence(output, token, 0)
    except lease.Held as error:
        raise StaleDriver(str(error)) from None


def _claim_epoch(output: str, token: str) -> int:
    taken = storage.list_files(storage.join(output, "epochs"), ".json")
    epoch = int(taken[-1].rsplit("/", 1)[1].removesuffix(".json")) + 1 if taken else 1
    while not storage.put_if_absent(_epoch_uri(output, epoch), token.encode()):
        epoch += 1
    return epoch
