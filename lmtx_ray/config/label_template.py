"""How what is known of a label becomes the one text that the encoder reads."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, replace

FIELDS = ("text", "description", "aliases", "parents")
PLAIN = "{text}"  # the label's text alone
CLOSING = re.compile(r"[)\]}»”’\"']+")


@dataclass(frozen=True)
class Part:
    """A field, with what stands before it and the brackets or quotes that close behind it."""

    field: str
    before: str
    closing: str


class LabelTemplate:
    """A template such as "{text}: {description}" whose fields may be missing.

    What stands before a missing field goes with it, and so does what closes behind it, so that no
    sign is left over; what would begin the whole, because all before it is missing, goes too.
    """

    def __init__(self, template: str) -> None:
        """Raises ValueError, saying what is wrong with it."""
        try:
            pieces = list(string.Formatter().parse(template))
        except ValueError as error:
            raise ValueError(f"{template!r}: {error}") from None
        fields = [name for _, name, _, _ in pieces if name is not None]
        if wrong := [name for name in fields if name not in FIELDS]:
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise ValueError(f"no field {{{wrong[0]}}}; known: {known}")
        if "text" not in fields or len(set(fields)) < len(fields):
            raise ValueError(f"{template!r} needs {{text}}, and each field at most once")
        if any(spec or conversion for _, _, spec, conversion in pieces):
            raise ValueError(f"{template!r}: a field is only its name in braces")
        self.fields = tuple(fields)
        self._parts = _parts([(text, name) for text, name, _, _ in pieces])

    def render(self, values: Mapping[str, str]) -> str:
        """The text of a label whose fields are "" where they are missing; text is not."""
        made = ""
        for place, part in enumerate(self._parts):
            if not (value := values[part.field]):
                continue
            alone = place > 0 and not made
            made += value if alone else f"{part.before}{value}{part.closing}"
        return made


def _parts(pieces: list[tuple[str, str | None]]) -> list[Part]:
    parts: list[Part] = []
    before = ""
    for text, name in pieces:  # a brace that is written twice ends a piece without a field
        before += text
        if name is not None:
            parts, before = _closed(parts, before)
            parts.append(Part(name, before, ""))
            before = ""
    *others, last = parts
    return [*others, replace(last, closing=before)]  # the end belongs to the last field


def _closed(parts: list[Part], between: str) -> tuple[list[Part], str]:
    """The parts, the last with what closes behind it, and the rest of what stands between."""
    found = CLOSING.match(between)
    if not parts or not found:
        return parts, between
    *others, last = parts
    return [*others, replace(last, closing=found[0])], between[found.end() :]
