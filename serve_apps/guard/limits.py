"""What the guard allows. Each number can be set as `LMTX_GUARD_<NAME>`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from serve_apps.guard.binding import parse_networks
from serve_apps.guard.cors import check_origin
from serve_apps.guard.keys import ApiKey, load_keys

PREFIX = "LMTX_GUARD_"
OPEN_PATHS = ("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/favicon.ico")
STATIC_PREFIX = "/static/"


class GuardError(ValueError):
    """Settings of the guard to mend; the message names each."""


class GuardSettings(BaseModel):
    """Limits hold in each process: n replicas of the ingress allow n times as much."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    keys: tuple[ApiKey, ...] = ()
    host: str = Field("", description="where the service is bound; empty counts as open")
    metrics: Literal["loopback", "open", "key"] = "loopback"
    max_body_bytes: int = Field(2 * 1024 * 1024, ge=1)
    max_header_bytes: int = Field(16 * 1024, ge=1)
    max_depth: int = Field(16, ge=1, le=150)
    body_seconds: float = Field(10.0, gt=0)
    request_seconds: float = Field(30.0, gt=0)
    max_in_flight: int = Field(80, ge=1)  # under a second of work on two cores
    busy_status: Literal[429, 503] = 503
    requests_per_minute: int = Field(60_000, ge=0)  # above what a machine answers
    documents_per_minute: int = Field(600_000, ge=0)
    burst_seconds: float = Field(10.0, gt=0)
    max_buckets: int = Field(10_000, ge=1)
    count_addresses: bool = Field(True, description="whether addresses tell clients apart")
    forwarded_hops: int = Field(0, ge=0, description="proxies in front that add X-Forwarded-For")
    forwarded_from: tuple[str, ...] = Field(
        ("127.0.0.0/8", "::1"), description="networks whose X-Forwarded-For is believed"
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="origins whose pages may ask and read the answers, or *"
    )
    documents_field: str = "documents"

    @field_validator("forwarded_from", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        names = _listed(value)
        parse_networks(names)
        return names

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: Any) -> Any:
        return tuple(check_origin(one) for one in _listed(value))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **given: Any) -> GuardSettings:
        """Keys and numbers of the environment; what is given explicitly wins.

        Raises:
            GuardError: A setting that is unknown or wrong.
            KeysError: Keys that cannot be used.
        """
        found: dict[str, Any] = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(PREFIX)
        }
        if found.get("busy_status", "").isdecimal():
            found["busy_status"] = int(found["busy_status"])
        try:
            return cls(**{"keys": load_keys(environment), **found, **given})
        except ValidationError as error:
            problems = "; ".join(_told(problem, given) for problem in error.errors())
            raise GuardError(problems) from None


def _told(problem: Any, given: Mapping[str, Any]) -> str:
    """What is wrong, by the name under which it was set."""
    name = str(problem["loc"][0])
    where = f"guard.{name}" if name in given else f"{PREFIX}{name.upper()}"
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such setting"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"


def _listed(value: Any) -> tuple[str, ...]:
    """Also of one text with commas, as the environment has it."""
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(part.strip() for part in parts if part.strip())
