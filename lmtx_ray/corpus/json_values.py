"""JSON files that are no JSON lines: one array, or objects over several lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lmtx_ray.corpus.lines import (
    LOST,
    MOST_LINE,
    MOST_RAW,
    UTF16_MARKS,
    BadRow,
    Damaged,
    packed_as,
    read_text,
)
from lmtx_ray.io import storage

MOST_DEPTH = 200  # levels of a value: what walks through one goes a few calls deeper at each
HEAD = 64 << 10  # characters that tell how a file is written
ARRAY = re.compile(r"\s*\[\s*(\{|\]|$)")
BETWEEN = re.compile(r"[\s,\[\]]*")
LINES_ENDINGS = (".jsonl", ".ndjson")


def may_be_values(uri: str) -> bool:
    """Whether the name leaves it open: .jsonl and .ndjson always are lines."""
    name = uri.lower().removesuffix(".gz").removesuffix(".zst")
    return not name.endswith(LINES_ENDINGS)


def is_in_lines(uri: str, etag: str) -> bool:
    """Whether a file that is not compressed can be cut at its lines, by its first bytes."""
    head = storage.read_start(uri, HEAD, etag)
    if packed_as("", head) or head.startswith(UTF16_MARKS):
        return False
    text = head.decode("utf-8-sig", "replace")  # brackets are the same in any encoding
    return not (may_be_values(uri) and are_values(text, whole=False))


def are_values(head: str, whole: bool) -> bool:
    """Whether a file that begins so is an array of objects, or has objects over several lines, or
    a single one; `whole` says that this is all of it."""
    if ARRAY.match(head):
        return True
    lines = [line.strip() for line in head.split("\n") if line.strip()]
    if not lines or not lines[0].startswith("{"):
        return False
    if len(lines) == 1:
        return whole
    return not lines[1].startswith("{") and not _is_object(lines[0])


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def is_deep(value: Any) -> bool:
    """Whether lists and objects lie in one another on more than MOST_DEPTH levels."""
    level = [value]
    for _ in range(MOST_DEPTH):
        inside = (one.values() if isinstance(one, dict) else one for one in level)
        level = [item for items in inside for item in items if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def read_head(uri: str, etag: str, encoding: str) -> tuple[str, bool]:
    """(the first HEAD characters or a little more, whether that is all of the file)."""
    head = ""
    try:
        for piece in read_text(uri, etag, encoding):
            head += piece
            if len(head) >= HEAD:
                return head, False
    except Damaged:
        return head, False
    return head, True


def read_values(uri: str, etag: str, encoding: str) -> Iterator[tuple[int, Any | BadRow]]:
    """(number from 1, value) of an array's items, or of values one after another. Behind what is
    no JSON nothing more is found: that is the last, and bad, as is the end of a file whose array
    has none."""
    number, rest, tried, ended = 0, "", 0, False
    first = last = ""  # character of what was read
    pieces = read_text(uri, etag, encoding)
    while not ended and len(rest) <= MOST_LINE:
        try:
            piece = next(pieces, None)
        except Damaged as damage:
            yield number + 1, BadRow(str(damage), rest[:MOST_RAW])
            return
        ended, rest = piece is None, rest + (piece or "")
        if not ended and len(rest) < 2 * tried:  # else a long value is tried at every piece
            continue
        values, place = _values(rest, ended)
        done, rest = rest[:place].strip(), rest[place:]
        first, last, tried = first or done[:1], done[-1:] or last, len(rest)
        yield from enumerate(values, start=number + 1)
        number += len(values)
    if rest:
        yield number + 1, BadRow(f"not JSON, {LOST}: {_wrong(rest)}", rest[:MOST_RAW])
    elif first == "[" and last != "]":
        yield number + 1, BadRow("the array has no end: the file is cut off")


def _values(text: str, ended: bool) -> tuple[list[Any], int]:
    """The whole values that a text begins with, and the place behind them."""
    decoder, found, place = json.JSONDecoder(), list[Any](), _behind(text, 0)
    while place < len(text):
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            break
        if end == len(text) and not ended:  # 12 may go on as 123
            break
        found.append(value)
        place = _behind(text, end)
    return found, place


def _behind(text: str, place: int) -> int:
    """Where the next value begins."""
    between = BETWEEN.match(text, place)
    return between.end() if between else place


def _wrong(text: str) -> str:
    if len(text) > MOST_LINE:
        return f"a value of more than {MOST_LINE} characters"
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return "a value that is cut off"
