"""Small verdicts for tests, by numbers of documents and labels."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.text_keys import text_key

Pair = tuple[int, int]


def stored(pairs: list[Pair], p_yes: float | None = 0.9, **more: Any) -> pa.Table:
    """A verdict on each (document, label); `more` are columns of all rows."""
    rows = [
        {
            "document": text_key(f"d{d}"),
            "label": text_key(f"l{n}"),
            "answer": "yes",
            "p_yes": p_yes,
            "mass": None if p_yes is None else 1.0,
            "raw": None,
            "prompt": "p",
            "teacher": "t",
            "source": "s",
            **more,
        }
        for d, n in pairs
    ]
    return pa.Table.from_pylist(rows, schema=schemas.STORED_VERDICTS)


def keys(pairs: list[Pair]) -> set[tuple[bytes, bytes]]:
    return {(text_key(f"d{d}"), text_key(f"l{n}")) for d, n in pairs}
