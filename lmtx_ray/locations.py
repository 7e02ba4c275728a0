"""User-given URIs, parsed before they reach any library: only file paths and s3:// are accepted,
without credentials, queries or parent steps."""

from __future__ import annotations

from dataclasses import dataclass


class StorageError(OSError):
    """A location that cannot be used; the message names it."""


@dataclass(frozen=True)
class Location:
    """A parsed URI: an absolute or relative path (file), or bucket and key (s3)."""

    scheme: str
    bucket: str
    path: str


def parse_uri(uri: str) -> Location:
    """Parse and allow-list a user-given URI.

    Raises:
        StorageError: Another scheme, or anything that could redirect a request: user info, query,
            fragment, parent steps, control characters.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        scheme, rest = "file", uri
    if scheme not in {"file", "s3"}:
        raise StorageError(f"{uri!r}: only file paths and s3:// are supported")
    if not rest or any(ord(char) < 32 for char in rest):
        raise StorageError(f"{uri!r}: empty path or control characters")
    if scheme == "file":
        return Location("file", "", rest)
    bucket, _, key = rest.partition("/")
    if not bucket or any(char in rest for char in "?#@") or ":" in bucket:
        raise StorageError(f"{uri!r}: needs the form s3://bucket/key without user, port or query")
    if ".." in key.split("/"):
        raise StorageError(f"{uri!r}: '..' is not allowed")
    return Location("s3", bucket, key.rstrip("/"))
