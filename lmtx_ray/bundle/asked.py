"""What a tagger is asked about some documents, checked and made ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmtx_ray.bundle.searching import Selections
from lmtx_ray.config.defaults import Defaults
from lmtx_ray.corpus.filters import Filter


@dataclass(frozen=True)
class Asked:
    """N prepared texts (`document_text`) with their ids and filters, the labels that each may have,
    and what is wanted of all."""

    ids: Sequence[str]
    documents: list[str]
    filters: list[tuple[Filter, ...]]
    selections: Selections
    wanted: Defaults


def check_texts(texts: Sequence[str], beside: Mapping[str, Sequence[Any]]) -> None:
    """Look whether these are texts, with a value of each list `beside` them; a title may be None.

    Raises:
        TypeError: One text instead of a list of them, or something that is no text.
        ValueError: Lists of different lengths, or a text that UTF-8 cannot hold.
    """
    if isinstance(texts, str):
        raise TypeError("tag() takes a list of texts, not one text")
    for name, values in beside.items():
        if len(values) != len(texts):
            raise ValueError(f"{len(texts)} texts, but {len(values)} {name}")
    titles = beside.get("titles", ())
    for name, values in (("text", texts), ("title", titles)):
        for place, value in enumerate(values):
            if value is not None or name == "text":
                _check_text(f"{name} {place}", value)


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {type(value).__name__}, not a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        at = error.start + 1
        raise ValueError(f"{name} is not text at character {at}: a lone surrogate") from None
