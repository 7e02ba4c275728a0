"""Labels with all that a prompt shows of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from lmtx_ray.corpus.label_texts import PARENTS, known_labels, with_parents
from lmtx_ray.io import storage
from lmtx_ray.teacher.prompts import Prompt


def shown_tables(
    prompt: Prompt, files: Sequence[str], columns: Sequence[str]
) -> Iterator[pa.Table]:
    """`columns` of each file of a label set, with `parents` too where the prompt shows them."""
    own = [*columns, PARENTS] if prompt.shows_parents else list(columns)
    needed = list(dict.fromkeys([*columns, "parent_keys"])) if prompt.shows_parents else own
    for file in files:
        table = storage.read_table(file, needed)
        yield shown_table(prompt, table, files).select(own)


def shown_table(prompt: Prompt, labels: pa.Table, files: Sequence[str]) -> pa.Table:
    """A part of the label set in `files`, with `parents` where the prompt shows them."""
    return with_parents(labels, known_labels(tuple(files))) if prompt.shows_parents else labels
