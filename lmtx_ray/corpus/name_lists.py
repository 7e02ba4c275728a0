"""Names of labels in one field: a list, or a text that holds several."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from lmtx_ray.corpus.cells import split_items
from lmtx_ray.corpus.lines import BadRow
from lmtx_ray.corpus.values import id_text, is_missing

SEPARATORS = ("|", "\n", ";", "\t", ",")  # tried in this order where nobody names one


def pieces(cell: str, separator: str) -> list[str]:
    """What stands between the separators, without spaces around it and without empty pieces."""
    parts = split_items(cell) if separator == "|" else cell.split(separator)
    return [part.strip() for part in parts if part.strip()]


def names_of(
    value: Any, knows: Callable[[str], bool], separator: str | None = None
) -> list[str] | BadRow:
    """The names in a field: a list (also one written as JSON or by Python), a number, or a text.

    A text that is a name as a whole is one name, whatever stands in it. Otherwise it is cut at
    `separator`; where that is None, at the one that gives most names that are known.
    """
    if isinstance(value, str):
        listed = _listed(value)
        value = value if listed is not value and knows(value.strip()) else listed
    if isinstance(value, str):
        return _cut(value, knows, separator)
    items = value if isinstance(value, list) else [value]
    try:
        return [id_text(item).strip() for item in items if not is_missing(item) and item != ""]
    except ValueError as error:
        return BadRow(f"a list of labels is needed, and an item of it {error}")


def _listed(text: str) -> Any:
    """The list that a text is, or the text."""
    if not (text.lstrip().startswith("[") and text.rstrip().endswith("]")):
        return text
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return value if isinstance(value, list) else text
    return text


def _cut(cell: str, knows: Callable[[str], bool], separator: str | None) -> list[str]:
    whole = cell.strip()
    if not whole:
        return []
    if separator is not None:
        return pieces(cell, separator)
    if knows(whole):
        return [whole]
    best = max(SEPARATORS, key=lambda one: sum(map(knows, pieces(cell, one))))
    return pieces(cell, best) if any(map(knows, pieces(cell, best))) else [whole]


def usual_separator(cells: Iterable[Any], knows: Callable[[str], bool]) -> str | None:
    """The separator that a column most likely has: the one most cells are cut at into names that
    are known; without any, the first of "|" and ";" that is there. None: none."""
    votes: Counter[str] = Counter()
    seen: set[str] = set()
    for cell in cells:
        if not isinstance(cell, str) or knows(cell.strip()) or _listed(cell) is not cell:
            continue
        inside = [one for one in SEPARATORS if one in cell]
        seen.update(inside)
        votes.update(one for one in inside if any(map(knows, pieces(cell, one))))
    if votes:
        return max(SEPARATORS, key=lambda one: votes[one])
    return next((one for one in ("|", ";") if one in seen), None)
