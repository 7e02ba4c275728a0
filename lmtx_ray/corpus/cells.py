"""Several values in one field: a list, or a text with separators."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def join_items(items: Sequence[Any]) -> str:
    """A list as one CSV cell, joined by "|"; "|" and "\\" inside an item get a "\\" before them."""
    texts = ("" if item is None else str(item) for item in items)
    return "|".join(re.sub(r"([\\|])", r"\\\1", text) for text in texts)


def split_items(cell: str) -> list[str]:
    """The list that `join_items` wrote; an empty cell is an empty list."""
    if not cell:
        return []
    if "\\" not in cell:
        return cell.split("|")
    items = re.findall(r"(?:^|\|)((?:[^\\|]|\\.)*)", cell)
    return [re.sub(r"\\(.)", r"\1", item) for item in items]
