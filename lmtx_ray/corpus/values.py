"""Values of any reader as ids, texts and lists, by one rule each."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from lmtx_ray.corpus.cells import split_items

TEXTS, FRACTIONS = (str, bytes), (float, Decimal)  # not made anew for each of a million values
EXACT = 1 << 53  # beyond this a float is no longer one whole number


def is_missing(value: Any) -> bool:
    """Whether a field holds nothing: null, or the NaN that pandas writes for it."""
    return value is None or (isinstance(value, FRACTIONS) and value != value)


def id_text(value: Any) -> str:
    """An id as text: texts as they are, bytes as UTF-8, numbers as their digits (7, 7.0 and
    Decimal("7.00") are "7").

    Raises:
        ValueError: It says what the value is, where no text is surely the same id.
    """
    if isinstance(value, TEXTS):
        return plain_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite():
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    number = f" {value}" if isinstance(value, float | Decimal) else ""
    raise ValueError(f"is {type(value).__name__}{number}, not text or a whole number")


def plain_text(value: Any) -> str:
    """A text, or bytes that are UTF-8. Raises ValueError saying what it is instead."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            message = f"is bytes that are not UTF-8 (at byte {error.start})"
            raise ValueError(message) from None
    raise ValueError(f"is {type(value).__name__}, not text")


def texts_of(value: Any) -> list[str] | None:
    """Several texts or ids of one field: a list, a text with "|" between them, or a single number.

    None where there is none. Raises ValueError saying what it is instead.
    """
    if is_missing(value):
        return None
    if isinstance(value, str):
        texts = [item.strip() for item in split_items(value)]
    else:
        items = value if isinstance(value, list) else [value]
        texts = [id_text(item).strip() for item in items if not is_missing(item)]
    return [text for text in texts if text]
