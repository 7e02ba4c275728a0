"""Refusing JSON that no application should meet, with the place of the fault.

Too deep, NaN and Infinity, NUL and lone surrogates. The common case is one pass of a Rust
parser; only a body that is suspect is walked to find out where.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pydantic_core import from_json

from serve_apps.guard.errors import Loc, Refusal
from serve_apps.guard.plain_text import COMPLAINT, NOT_PLAIN

MOST_PROBLEMS, LONGEST_INTEGER = 10, 4_000
SUSPECT = re.compile(rb"\\u0000|[eE]\+?[0-9]{3}|[0-9]{300}")
BRACKETS_ONLY = bytes(set(range(256)) - set(b'[]{}"'))
ONE_KIND = bytes.maketrans(b"{}", b"[]")


def parse_json(body: bytes, max_depth: int) -> Any:
    """The parsed body; Refusal 400 where it is not JSON or too deep, 422 where a value is bad."""
    if is_deep(body, max_depth):
        message = f"nested more than {max_depth} levels deep"
        raise Refusal(400, "too_deep", [(["body"], message)])
    if not SUSPECT.search(body):
        try:
            return from_json(body, allow_inf_nan=False)
        except ValueError:
            pass
    return _parse_slowly(body)


def is_deep(body: bytes, most: int) -> bool:
    """Whether brackets outside strings nest deeper than `most`; linear, without recursion."""
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = unescaped.translate(None, BRACKETS_ONLY).split(b'"')[::2]
    brackets = b"".join(outside).translate(ONE_KIND)
    for _ in range(most):
        brackets = brackets.replace(b"[]", b"")  # takes away the innermost level
    return b"[]" in brackets or brackets.count(b"[") > most


def _parse_slowly(body: bytes) -> Any:
    try:
        value = json.loads(body.decode(), parse_int=_integer)
    except UnicodeDecodeError as error:
        raise _not_json(error.start, "not UTF-8 at this byte") from None
    except json.JSONDecodeError as error:
        raise _not_json(error.pos, error.msg.partition(":")[0]) from None
    found = list(islice(_problems(value, ("body",)), MOST_PROBLEMS))
    if found:
        raise Refusal(422, "invalid", found)
    return value


def _not_json(position: int, message: str) -> Refusal:
    return Refusal(400, "bad_json", [(["body", position], f"not JSON: {message}")])


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else math.inf


def _problems(value: Any, loc: tuple[str | int, ...]) -> Iterator[tuple[Loc, str]]:
    if isinstance(value, str):
        if NOT_PLAIN.search(value):
            yield loc, COMPLAINT
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield loc, "not a finite number"
    elif isinstance(value, list):
        for position, entry in enumerate(value):
            yield from _problems(entry, (*loc, position))
    elif isinstance(value, dict):
        for name, entry in value.items():
            if NOT_PLAIN.search(name):
                yield loc, f"a name in it: {COMPLAINT}"
            yield from _problems(entry, (*loc, name))
