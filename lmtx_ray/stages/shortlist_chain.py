"""Dense rankings of a run by a chain: vectors in, the nearest labels of all shards out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lmtx_ray.bundle.searching import Search
from lmtx_ray.bundle.shards import load_index_shards
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import Receipt
from lmtx_ray.search import candidates
from lmtx_ray.stages.board import Board
from lmtx_ray.stages.chain import SearchShards, Stage, in_chain, stream_chain
from lmtx_ray.stages.index import fragments_of, matrix, shard_parts
from lmtx_ray.stages.passed import Passed
from lmtx_ray.stages.tag import size_of
from lmtx_ray.stages.units import Waiting, Work, run_flow
from lmtx_ray.stages.workers import Target


class TakeVectors:
    """Step: a fragment of document vectors, to be searched for `depth` labels each."""

    def __init__(self, depth: int) -> None:
        self._depth = depth

    def __call__(self, passed: Passed) -> Passed:
        """Before the first shard."""
        vectors_ND = matrix(storage.read_table(passed.unit.uris[0], ["vector"]))
        return passed.begun(vectors_ND, [Search(list(range(len(vectors_ND))), self._depth, None)])


class SearchIndex(SearchShards):
    """Step: the best labels so far, and of some shards of an index that is in no bundle yet."""

    def __init__(self, index: str, numbers: Sequence[int], starts: Sequence[int]) -> None:
        self._shards = load_index_shards(index, dict(zip(numbers, starts, strict=True)))


class WriteRankings:
    """Step: RANKINGS by cosine, one row for each vector, in order, committed."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = targets

    def __call__(self, passed: Passed) -> Receipt:
        """The receipt that counts, be it of this attempt or of an earlier one."""
        output, key = self._targets[passed.target]
        ids = storage.read_table(passed.unit.uris[0], ["id"])["id"].to_pylist()
        rankings = candidates.to_rankings(ids, *passed.found[0])
        return output.commit_table(passed.unit.name, rankings, rows_in=len(ids), key=key)


def rank_by_chain(
    works: Sequence[Work],
    labels: Dataset,
    index: str,
    shards: Sequence[tuple[Sequence[int], int]],
    depth: int,
    name: str,
) -> None:
    """Run and publish the dense rankings of fragments of vectors, as `run_units` does.

    Args:
        labels: The vectors that the index was made of, in even shards.
        shards: Of each stage that searches: the numbers of its shards, and their bytes.
    """
    count = sum(len(numbers) for numbers, _ in shards)
    starts = [int(part["start"]) for part in shard_parts(fragments_of(labels), count)]
    searching = []
    for numbers, memory in shards:
        own = {"index": index, "numbers": numbers, "starts": [starts[n] for n in numbers]}
        searching.append(Stage(SearchIndex, own, memory=memory))

    def flow(
        waiting: Waiting, targets: Sequence[Target], board: Board
    ) -> Iterator[tuple[str, Receipt]]:
        first = Stage(TakeVectors, {"depth": depth})
        last = Stage(WriteRankings, {"targets": tuple(targets)})
        stages = in_chain(first, searching, last, size_of(None, len(waiting)))
        return stream_chain(waiting, stages, board)

    run_flow(works, flow, name)
