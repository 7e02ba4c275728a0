"""Batch tagging by a chain: a Tagger without an index at both ends, shards between them.

The first stage encodes a unit's documents, and the last reads them again to rank what was found by
all the rest that a bundle holds: words, judged documents, probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lmtx_ray.batch.chunks import read_chunks
from lmtx_ray.batch.job import TagJob
from lmtx_ray.batch.unit import UnitWork, own_filters, run_unit, to_tag
from lmtx_ray.bundle.cache import INDEX, open_bundle
from lmtx_ray.bundle.searching import part_of
from lmtx_ray.corpus.to_tag import ToTag
from lmtx_ray.io import progress
from lmtx_ray.io.receipts import PublishError, Receipt
from lmtx_ray.io.units import Unit
from lmtx_ray.search.selection import Selection
from lmtx_ray.stages.board import Board
from lmtx_ray.stages.chain import SearchShards, Stage, in_chain, stream_chain
from lmtx_ray.stages.passed import Passed
from lmtx_ray.stages.tag import size_of
from lmtx_ray.stages.workers import key_of

if TYPE_CHECKING:
    from lmtx_ray.bundle.tagger import Tagger


class AskUnit:
    """Step: vectors of a unit's documents, and what has to be searched for them."""

    def __init__(self, job: TagJob) -> None:
        self._job, self._tagger = job, _without_index(job.bundle)

    def __call__(self, passed: Passed) -> Passed:
        """Before the first shard."""
        job, tagger = self._job, self._tagger
        vectors: list[np.ndarray] = []
        selections: list[Selection | None] = []
        for chunk in read_chunks(passed.unit, job, []):
            given = to_tag(chunk, job, own_filters(chunk, job, tagger.labels))
            if given.texts:
                asked = tagger.ask(given)
                vectors.append(tagger.encode(asked.documents))
                selections += asked.selections
        assert job.top_k is not None  # settled before the plan was made
        depths = [tagger.depth(job.top_k)] * len(selections)
        vectors_ND = np.concatenate(vectors) if vectors else passed.vectors_ND
        return passed.begun(vectors_ND, tagger.searches(selections, depths))


class WriteUnit:
    """Step: a unit's tags of what all shards found, committed."""

    def __init__(self, work: UnitWork) -> None:
        self._work, self._tagger = work, _without_index(work.job.bundle)

    def __call__(self, passed: Passed) -> Receipt:
        """The receipt that counts, be it of this attempt or of an earlier one."""
        with progress.working_on(key_of(passed.unit, passed.target), passed.unit.size):
            tags = _Found(self._tagger, passed)
            return run_unit(passed.unit, self._work, tags, self._tagger.labels)


class _Found:
    """`Tags` of a unit's documents, chunk after chunk, of what was found before."""

    def __init__(self, tagger: Tagger, passed: Passed) -> None:
        self._tagger, self._passed, self._at = tagger, passed, 0

    def tagged(self, given: ToTag) -> pa.Table:
        """TAGS of the next texts. Raises PublishError where there are more than there were."""
        span = range(self._at, self._at + len(given.texts))
        self._at = span.stop
        if span.stop > len(self._passed.vectors_ND):
            raise PublishError(f"{self._passed.unit.uris[0]}: it was changed since the job began")
        asked = self._tagger.ask(given)
        searched, found = part_of(self._passed.searches, self._passed.found, span)
        vectors_BD = self._passed.vectors_ND[span.start : span.stop]
        tags = self._tagger.table(asked, vectors_BD, searched, found)
        progress.advance(len(given.texts))
        return tags


def _without_index(bundle: str) -> Tagger:
    from lmtx_ray.bundle.tagger import Tagger  # takes seconds, and the driver needs none

    held = open_bundle(bundle, lambda name: not name.startswith(INDEX))
    return Tagger(held.folder, with_index=False, held=held)


def tag_by_chain(
    units: Sequence[Unit],
    work: UnitWork,
    shards: Sequence[tuple[Sequence[int], int]],
    actors: int | None,
    board: Board,
) -> Iterator[tuple[str, Receipt]]:
    """Receipts of the units as they are done, by their keys. Raises what a stage met.

    Args:
        shards: Of each stage that searches: the numbers of its shards, and their bytes.
        actors: Most of a stage; as many as the cluster has GPUs or CPUs if None.
    """
    searching = [
        Stage(SearchShards, {"bundle": work.job.bundle, "numbers": numbers}, memory=memory)
        for numbers, memory in shards
    ]
    first, last = Stage(AskUnit, {"job": work.job}), Stage(WriteUnit, {"work": work})
    stages = in_chain(first, searching, last, size_of(actors, len(units)))
    yield from stream_chain([(unit, 0) for unit in units], stages, board)
