"""The header of a table of rows: which columns must be there, and which may be only once."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from lmtx_ray.corpus.lines import CorpusError

IDS, TITLES, TEXTS = ("uid", "doc_id", "id"), ("title",), ("content", "text")
KEYS, LABEL_TEXTS = ("uid", "label_key", "key", "id"), ("title", "text", "label", "name")
USUAL = (*IDS, *TEXTS, *TITLES)  # where a document is looked for, if nobody names the columns


def check_columns(uri: str, header: Sequence[str], required: Sequence[str]) -> None:
    """CorpusError naming the first absent or repeated column, with near matches.

    A column of a usual name must not be repeated either: one of the two would be read, and nobody
    told which.
    """
    for column in (*required, *USUAL):
        if list(header).count(column) > 1:
            raise CorpusError(f"{uri}: column {column!r} is there more than once")
    for column in required:
        if column not in header:
            hint = near_names([column], header) or f"it has: {', '.join(header)}"
            raise CorpusError(f"{uri}: no column {column!r}; {hint}")


def near_names(wanted: Sequence[str], header: Sequence[str]) -> str:
    """`did you mean …?` with the names most like one of `wanted`, whatever their case and spaces;
    empty if none is like one."""
    plain: dict[str, str] = {}
    for name in header:
        plain.setdefault(name.strip().casefold(), name)
    near = [
        plain[match]
        for name in wanted
        for match in difflib.get_close_matches(name.casefold(), plain, n=3)
    ]
    shown = (repr(name) if name != name.strip() else name for name in dict.fromkeys(near))
    return f"did you mean {' or '.join(shown)}?" if near else ""
