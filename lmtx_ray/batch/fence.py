"""Which driver may commit: the one that began last.

With conditional writes a driver claims the next epoch, and an older one stops at its next commit,
when it finds the epoch after its own. A store that ignores the condition gets a lease instead: one
object with the holder's name and when it expires, renewed while the job runs. That is weaker (two
drivers that start within the settling time of a store, or a holder frozen for longer than the
lease), so the receipts and manifest still are looked at before they are written.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lmtx_ray import storage
from lmtx_ray.publish import PublishError

LEASE = "LEASE.json"
LEASE_SECONDS = 60.0
SETTLE_SECONDS = 1.0


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
            stale = read_lease(self.output).get("holder") != self.token
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


def _epoch_uri(output: str, epoch: int) -> str:
    return storage.join(output, "epochs", f"{epoch:06d}.json")


@contextmanager
def claimed(output: str, conditional: bool) -> Iterator[Fence]:
    """The right to commit for the length of the block."""
    token = uuid.uuid4().hex
    if conditional:
        yield Fence(output, token, _claim_epoch(output, token))
        return
    _claim_lease(output, token)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(output, token, ended), daemon=True)
    renewing.start()
    try:
        yield Fence(output, token, 0)
    finally:
        ended.set()
        renewing.join()
        if read_lease(output).get("holder") == token:
            _write_lease(output, token, 0.0)


def _claim_epoch(output: str, token: str) -> int:
    taken = storage.list_files(storage.join(output, "epochs"), ".json")
    epoch = int(taken[-1].rsplit("/", 1)[1].removesuffix(".json")) + 1 if taken else 1
    while not storage.put_if_absent(_epoch_uri(output, epoch), token.encode()):
        epoch += 1
    return epoch


def read_lease(output: str) -> dict:
    """Holder and expiry (seconds since 1970) of the lease; empty if there never was one."""
    uri = storage.join(output, LEASE)
    return storage.read_json(uri) if storage.stat(uri) else {}


def _write_lease(output: str, token: str, seconds: float) -> None:
    lease = {"holder": token, "expires": time.time() + seconds}
    storage.write_bytes(storage.join(output, LEASE), storage.to_json(lease))


def _claim_lease(output: str, token: str) -> None:
    left = read_lease(output).get("expires", 0.0) - time.time()
    if left > 0:
        raise StaleDriver(f"{output}: another driver holds it, for {left:.0f} more seconds")
    _write_lease(output, token, LEASE_SECONDS)
    time.sleep(SETTLE_SECONDS)
    if read_lease(output).get("holder") != token:
        raise StaleDriver(f"{output}: another driver took it at the same moment")


def _renew(output: str, token: str, ended: threading.Event) -> None:
    while not ended.wait(LEASE_SECONDS / 4):
        if read_lease(output).get("holder") != token:
            return
        _write_lease(output, token, LEASE_SECONDS)
