"""User-given URIs, parsed before they reach any library: only file paths and s3:// are accepted,
without credentials, queries or parent steps, and inside what the operator allows."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

ALLOWED = "LMTX_S3_ALLOW"  # s3://bucket/prefix, separated by commas; unset allows every bucket
ONE_SLASH = re.compile(r"[A-Za-z][\w+.-]+:/")  # what a path library makes of s3://


class StorageError(OSError):
    """A location that cannot be used; the message names it."""


class RefusedLocation(StorageError):
    """A name that is not even looked for, wherever it is."""


@dataclass(frozen=True)
class Location:
    """A parsed URI: an absolute or relative path (file), or bucket and key (s3)."""

    scheme: str
    bucket: str
    path: str


@dataclass(frozen=True)
class Entry:
    """A file found by a listing. `etag` is empty on a local disk."""

    uri: str
    size: int
    etag: str = ""


def parse_uri(uri: str) -> Location:
    """Parse and allow-list a user-given URI.

    A key may hold any sign, as it goes to the store as it is, but no step that leads elsewhere.

    Raises:
        RefusedLocation: Another scheme, one with a single slash, or anything that could redirect a
            request: user info or a port at the bucket, parent steps, control characters.
        StorageError: A place outside LMTX_S3_ALLOW.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        scheme, rest = "file", uri
    if not separator and ONE_SLASH.match(uri):
        raise RefusedLocation(f"{uri!r}: a scheme has two slashes behind it, as in s3://bucket/key")
    if scheme not in {"file", "s3"}:
        raise RefusedLocation(f"{uri!r}: only file paths and s3:// are supported")
    if not rest or any(ord(char) < 32 for char in rest):
        raise RefusedLocation(f"{uri!r}: empty path or control characters")
    if scheme == "file":
        return Location("file", "", rest)
    bucket, _, key = rest.partition("/")
    if not bucket or any(char in bucket for char in "?#@:"):
        raise RefusedLocation(
            f"{uri!r}: needs the form s3://bucket/key without user, port or query"
        )
    if {".", ".."} & set(key.split("/")):
        raise RefusedLocation(f"{uri!r}: '.' and '..' are not allowed in a key")
    location = Location("s3", bucket, key.rstrip("/"))
    if not _is_allowed(location):
        raise StorageError(f"{uri!r}: not among the places that {ALLOWED} allows")
    return location


def _is_allowed(location: Location) -> bool:
    allowed = [part.strip() for part in os.environ.get(ALLOWED, "").split(",") if part.strip()]
    if not allowed:
        return True
    for place in allowed:
        bucket, _, prefix = place.removeprefix("s3://").rstrip("/").partition("/")
        inside = not prefix or f"{location.path}/".startswith(f"{prefix}/")
        if location.bucket == bucket and inside:
            return True
    return False


def join(uri: str, *parts: str) -> str:
    """`uri` with parts appended, separated by single slashes."""
    return "/".join([uri.rstrip("/") or "/", *parts])


def is_outside(name: str) -> bool:
    """Whether a relative name leads out of its folder."""
    return name.startswith("/") or ".." in name.split("/")


def within(folder: str, uri: str) -> str:
    """A file's path in the folder that it is listed in. Raises StorageError where that leads out of
    it."""
    name = uri.removeprefix(f"{folder.rstrip('/')}/")
    if is_outside(name):
        raise StorageError(f"{uri}: leads out of its folder")
    return name
