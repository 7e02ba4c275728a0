"""API keys: made here, kept as SHA-256 hashes, compared in constant time.

A key is 256 random bits, so nothing can be guessed from its hash and a slow password hash
would add nothing but 50 ms to each request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

LABELS_RIGHT = "labels"  # to add, change and remove labels
RIGHTS = (LABELS_RIGHT,)  # beyond asking, which every key may
KEYS_VARIABLE, FILE_VARIABLE = "LMTX_API_KEYS", "LMTX_API_KEYS_FILE"
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
HASH = re.compile(r"[0-9a-f]{64}")
LONGEST_SECRET = 512


class KeysError(ValueError):
    """A list of keys that cannot be used; names its place, never its content."""


class ApiKey(BaseModel):
    """The name that logs and rate limits use, the hash of the secret, and what its user may do
    beyond asking, of RIGHTS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    rights: tuple[str, ...] = ()


def new_key(name: str, rights: Iterable[str] = ()) -> tuple[str, str]:
    """A fresh secret for its user, and the line for the list of keys: `name:sha256`, and of a key
    with rights `name:sha256:right+right`."""
    if not NAME.fullmatch(name):
        raise KeysError("a key's name has 1 to 64 letters, digits, dots, dashes and underscores")
    secret = "lmtx_" + secrets.token_urlsafe(32)
    entry = (name, hashlib.sha256(secret.encode()).hexdigest(), "+".join(rights))
    return secret, ":".join(filter(None, entry))


def load_keys(environment: Mapping[str, str]) -> tuple[ApiKey, ...]:
    """Keys of the variable and of the file; a file without any is an error, not an open door."""
    found = parse_keys(environment.get(KEYS_VARIABLE, "").split(","), KEYS_VARIABLE)
    if path := environment.get(FILE_VARIABLE, ""):
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise KeysError(f"{FILE_VARIABLE}: cannot read {path}: {error}") from error
        in_file = parse_keys(lines, path)
        if not in_file:
            raise KeysError(f"{path}: no keys in it")
        found += in_file
    return found


def parse_keys(entries: Iterable[str], source: str) -> tuple[ApiKey, ...]:
    """`name:sha256` or `name:sha256:rights` entries; empty ones and `#` comments are skipped.

    Two keys may share a name, for a change of keys without a gap.
    """
    keys = []
    for number, entry in enumerate(entries, 1):
        entry = entry.strip()
        if not entry or entry.startswith("#"):
            continue
        name, _, rest = entry.partition(":")
        digest, _, given = rest.partition(":")
        if not NAME.fullmatch(name) or not HASH.fullmatch(digest.lower()):
            raise KeysError(f"{source}: entry {number} is not name:sha256 (64 hex digits)")
        rights = tuple(right.strip() for right in given.split("+") if right.strip())
        if set(rights) - set(RIGHTS):
            known = ", ".join(RIGHTS)
            raise KeysError(f"{source}: entry {number} has a right that is none of: {known}")
        keys.append(ApiKey(name=name, sha256=digest.lower(), rights=rights))
    return tuple(keys)


def find_key(keys: Iterable[ApiKey], secret: bytes) -> ApiKey | None:
    """The key of a secret; every key is compared, whether or not one fitted before."""
    digest = hashlib.sha256(secret[:LONGEST_SECRET]).hexdigest()
    found = None
    for key in keys:
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found


def presented(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The secret of `Authorization: Bearer …`, else of `X-API-Key`."""
    scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and secret.strip():
        return secret.strip()
    return headers.get(b"x-api-key", b"").strip() or None
