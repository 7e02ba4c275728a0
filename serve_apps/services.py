"""The services that `lmtx serve` runs on this machine, by a small file that each keeps while it
runs: `lmtx promote` acts on one of these, or on what it was told, never on a Ray found by chance.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmtx_ray.io import disk, lease

STATE_VARIABLE = "LMTX_STATE_DIR"


class AddressError(ValueError):
    """No service, or more than one, is meant; the message says what to do."""


@dataclass(frozen=True)
class LocalService:
    """A service of this machine: where it is bound, the Ray it runs on and its first bundle."""

    host: str
    port: int
    ray: str
    bundle: str

    @property
    def url(self) -> str:
        """Where it answers, as a browser wants it."""
        return http_url(self.host, self.port)


def http_url(host: str, port: int) -> str:
    """The URL of what is bound to a host, with brackets around an IPv6 address."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """LMTX_STATE_DIR, else lmtx_ray in the user's folder for what outlives a command."""
    if given := environment.get(STATE_VARIABLE):
        return Path(given)
    home = environment.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(home) / "lmtx_ray/services"


@contextlib.contextmanager
def announced(service: LocalService) -> Iterator[None]:
    """Keep the service's file while the block runs. A folder that cannot be written only means that
    `promote` has to be told the address."""
    path = state_folder() / f"{os.getpid()}.json"
    entry = json.dumps({"service": asdict(service), "process": lease.me()})
    with contextlib.suppress(OSError):
        disk.replace(path, lambda file: file.write(entry.encode()))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def running_services() -> list[LocalService]:
    """Those that run now, by port; files of processes that were killed are removed."""
    found = []
    for path in sorted(state_folder().glob("*.json")):
        service, process = _read(path)
        if service is not None and lease.is_running(process):
            found.append(service)
        elif lease.is_gone(process):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    return sorted(found, key=lambda one: one.port)


def _read(path: Path) -> tuple[LocalService | None, dict[str, Any]]:
    """(service, process) of a file; (None, {}) of one that is something else."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        return LocalService(**entry["service"]), dict(entry["process"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, {}


def choose(
    address: str | None, services: list[LocalService], environment: Mapping[str, str] = os.environ
) -> tuple[str, LocalService | None]:
    """(Ray's address, the service of this machine it belongs to or None) that a command means:
    `address` (of a Ray cluster, or a service's URL), else RAY_ADDRESS, else the one that runs here.

    Raises:
        AddressError: None of these, more than one, or "auto", which takes any Ray that is there.
    """
    ours = f" Running here: {_listed(services)}." if services else ""
    told = address or environment.get("RAY_ADDRESS")
    if told == "auto":
        raise AddressError(f"auto would take any Ray there is: say --address of one.{ours}")
    if told:
        known = next((one for one in services if told.rstrip("/") in _names(one)), None)
        if known is None and told.startswith(("http://", "https://")):
            raise AddressError(
                f"{told} is no service that lmtx serve runs here: another --address.{ours}"
            )
        if known is None and not address and services:
            raise AddressError(
                f"RAY_ADDRESS is {told}, but that is not a service of this machine.{ours} "
                "Say which with --address"
            )
        return (known.ray if known else told), known
    if len(services) == 1:
        return services[0].ray, services[0]
    if services:
        raise AddressError(f"{len(services)} services run here: say which with --address.{ours}")
    raise AddressError(
        "no service that lmtx serve started runs on this machine: say --address, the Ray address "
        "of the service's cluster (on the cluster's head and in its jobs RAY_ADDRESS tells it)"
    )


def _names(service: LocalService) -> set[str]:
    return {service.ray, service.url.rstrip("/")}


def _listed(services: list[LocalService]) -> str:
    return "; ".join(f"--address {one.ray} is {one.url} with {one.bundle}" for one in services)
