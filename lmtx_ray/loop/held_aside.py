"""The documents that only selection looks at, and what was said of them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from lmtx_ray.corpus.schemas import JUDGED
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.layout import Layout


def held_aside_ids(layout: Layout) -> pa.Array:
    """Ids of the documents that only selection may look at."""
    return held_aside_in(layout.documents)


def held_aside_in(documents: PublishedFolder) -> pa.Array:
    """The same, of a published step of documents."""
    held_aside = pa.array(["held_aside"], pa.string())
    return documents.where("split", held_aside, ["doc_id"])["doc_id"].combine_chunks()


def held_aside_verdicts(
    layout: Layout,
    cycles: int,
    doc_ids: pa.Array,
    columns: Sequence[str] = JUDGED,
    learned: int | None = None,
) -> pa.Table:
    """What was said of these documents in so many cycles: doc_id, label_id, answer, p_yes; with
    `learned`, without what was asked of weighed rankings after so many."""
    steps = verdict_steps(layout, cycles, learned)
    return pa.concat_tables([step.where("doc_id", doc_ids, columns) for step in steps])


def verdict_steps(layout: Layout, cycles: int, learned: int | None = None) -> list[Dataset]:
    """Every step that asked in so many cycles, oldest first, see `held_aside_verdicts`."""
    most = cycles if learned is None else learned
    return [
        step
        for cycle in layout.cycles[:cycles]
        for step in (cycle.asked or ())[: 3 if cycle.number <= most else 2]
    ]
