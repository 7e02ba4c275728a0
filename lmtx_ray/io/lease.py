"""Who is at work on a folder: one object with the holder's name, renewed while it works.

A lease is for what two processes must not do at once although both could publish only once, such
as paying a judge. It is not a fence: see `io.fence` for that.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmtx_ray.io import storage
from lmtx_ray.io.receipts import PublishError

LEASE_SECONDS = 60.0
SETTLE_SECONDS = 1.0
LOOK_SECONDS = 2.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
logger = logging.getLogger(__name__)
_held: dict[str, dict[str, Any]] = {}  # what this process holds: URI -> holder
_lost: list[str] = []  # URIs of those among them that another driver took since
_waiting: list[Callable[[], object]] = []  # to be told of that


class Held(PublishError):
    """Another process holds the lease; the message says which."""


def read_lease(uri: str) -> dict[str, Any]:
    """Holder and expiry (seconds since 1970) of a lease; empty if there never was one."""
    return storage.read_json(uri) if storage.stat(uri) else {}


def me() -> dict[str, Any]:
    """What tells this process from others, and where to find it."""
    return {
        "holder": uuid.uuid4().hex,
        "host": socket.gethostname(),
        "process": os.getpid(),
        "machine": _machine(),
        "began": _began(os.getpid()),
    }


def _machine() -> str:
    """This boot of this machine, and which process ids are meant (a container has its own)."""
    try:
        return f"{BOOT_ID.read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _began(process: int) -> str:
    """When a process of this machine began, in the kernel's ticks; empty if there is none."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # a dead one may wait for its parent


def is_over(lease: dict[str, Any]) -> bool:
    """Whether nobody holds it: it ran out, was given back, or its process is gone from here."""
    return lease.get("expires", 0.0) <= time.time() or is_gone(lease)


def is_gone(process: dict[str, Any]) -> bool:
    """Whether a process that described itself with `me()` was of this machine and has ended."""
    return _is_here(process) and _began(process["process"]) != process["began"]


def is_running(process: dict[str, Any]) -> bool:
    """Whether a process that described itself with `me()` is of this machine and there still."""
    return _is_here(process) and not is_gone(process)


def _is_here(lease: dict[str, Any]) -> bool:
    return bool(lease.get("machine")) and lease["machine"] == _machine()


def write_lease(uri: str, holder: dict[str, Any], seconds: float) -> None:
    """Write, over whatever is there, that `holder` has it for so many seconds from now."""
    storage.write_bytes(uri, storage.to_json({**holder, "expires": time.time() + seconds}))


def claim(uri: str, holder: dict[str, Any], patient: bool = False) -> None:
    """Take the lease. `patient` waits whether a holder on another machine still renews it.

    Raises:
        Held: Somebody has it, or took it at the same moment.
    """
    lease = {**holder, "expires": time.time() + LEASE_SECONDS}
    if not storage.stat(uri) and storage.put_if_absent(uri, storage.to_json(lease)):
        if storage.put_is_conditional(uri.rsplit("/", 1)[0]):
            return
    else:
        if patient:
            _outlast(uri)
        refuse_held(uri)
        write_lease(uri, holder, LEASE_SECONDS)
    time.sleep(SETTLE_SECONDS)  # two may have found it free; the one that wrote last has it
    if read_lease(uri).get("holder") != holder["holder"]:
        refuse_held(uri)
        raise Held(f"{uri}: another driver took it at the same moment")


def _outlast(uri: str) -> None:
    """Wait until the lease is over, or is renewed: then its holder is at work."""
    first = lease = read_lease(uri)
    while not is_over(lease) and not _is_here(lease) and lease["expires"] == first["expires"]:
        if lease is first:
            logger.info(
                "waiting whether process %s on %s is still at work here",
                lease.get("process"),
                lease.get("host"),
            )
        time.sleep(LOOK_SECONDS)
        lease = read_lease(uri)


def refuse_held(uri: str) -> None:
    """Raises Held where somebody has the lease."""
    lease = read_lease(uri)
    if not is_over(lease):
        left = lease["expires"] - time.time()
        raise Held(
            f"{uri.rsplit('/', 1)[0]}: process {lease.get('process')} on {lease.get('host')} is at "
            f"work here; wait for its end, or for {left:.0f} seconds if it is lost"
        )


@contextmanager
def held(uri: str, patient: bool = False) -> Iterator[str]:
    """The lease for the length of the block, renewed by a thread; gives the holder's token."""
    holder = me()
    claim(uri, holder, patient)
    _held[uri] = holder
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(uri, holder, ended), daemon=True)
    renewing.start()
    try:
        yield holder["holder"]
    finally:
        ended.set()
        renewing.join()
        _held.pop(uri, None)
        if uri in _lost:
            _lost.remove(uri)
        _give_back(uri, holder)


def lost() -> str:
    """The lease that another driver took from this process, which still works; empty without."""
    return _lost[0] if _lost else ""


@contextmanager
def told_of_loss(tell: Callable[[], object]) -> Iterator[None]:
    """Have `tell` called, by another thread, once this process has `lost` a lease in the block; at
    once where it has already."""
    _waiting.append(tell)
    try:
        if _lost:
            tell()
        yield
    finally:
        _waiting.remove(tell)


def give_back_all() -> None:
    """Give back what this process holds; for one that ends without unwinding."""
    for uri, holder in list(_held.items()):
        _give_back(uri, holder)


def _give_back(uri: str, holder: dict[str, Any]) -> None:
    try:
        if read_lease(uri).get("holder") == holder["holder"]:
            write_lease(uri, holder, 0.0)
    except OSError as error:  # it runs out by itself; what the work came to is not lost with it
        logger.warning("%s: not given back: %s", uri, error)


def _renew(uri: str, holder: dict[str, Any], ended: threading.Event) -> None:
    while not ended.wait(LEASE_SECONDS / 4):
        try:
            if (now := read_lease(uri)) and now.get("holder") != holder["holder"]:
                logger.error("%s: another driver took over", uri)
                _lost.append(uri)
                for tell in list(_waiting):
                    tell()
                return
            write_lease(uri, holder, LEASE_SECONDS)
        except OSError as error:  # a passing fault of the store; the lease is good for a while
            logger.warning("%s: not renewed: %s", uri, error)
