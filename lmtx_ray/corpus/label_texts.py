"""All texts that lead to a label, of tables of labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa


def label_texts(tables: Iterable[pa.Table]) -> Iterator[list[str]]:
    """Of each label, in order: its own text, then its aliases."""
    for table in tables:
        own, aliases = table["text"].to_pylist(), table["aliases"].to_pylist()
        for text, further in zip(own, aliases, strict=True):
            yield [text, *(further or ())]
