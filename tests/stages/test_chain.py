"""A chain of shards: what it hands on, and that what it finds is what the whole index finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.bundle.searching import Search, searches
from lmtx_ray.config.resources import Resources
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.units import Part, Unit
from lmtx_ray.loop.judging import fragments
from lmtx_ray.loop.search_way import shard_sizes, stages_of
from lmtx_ray.search.index import IndexShard, LabelIndex
from lmtx_ray.search.selection import Selection
from lmtx_ray.stages import chain
from lmtx_ray.stages.chain import SearchShards
from lmtx_ray.stages.passed import PASSED, Passed, row_of
from lmtx_ray.stages.shortlist import DenseShortlist
from lmtx_ray.stages.shortlist_chain import rank_by_chain
from lmtx_ray.stages.units import Work, run_units
from tests.stages.test_index_files import published

UNIT = Unit("u-1", (Part("in.jsonl", "e", 3, 9),), "dt=1", 77)
MASKS = st.lists(st.lists(st.booleans(), min_size=40, max_size=40) | st.none(), max_size=5)


class Held(SearchShards):
    """The step of shards that are there already."""

    def __init__(self, *shards: IndexShard) -> None:
        self._shards = LabelIndex(shards)


def handed_on(passed: Passed) -> Passed:
    """As the next stage gets it."""
    (row,) = pa.Table.from_pylist([passed.to_row()], schema=PASSED).to_pylist()
    return Passed.of_row(row)


@settings(max_examples=60)
@given(
    labels=st.integers(1, 40),
    shards=st.integers(1, 45),
    k=st.integers(1, 50),
    values=st.integers(1, 3),
    masks=MASKS,
    most=st.sampled_from([1, 2, 512]),
)
def test_any_chain_finds_what_the_whole_index_finds(
    labels: int, shards: int, k: int, values: int, masks: list[list[bool] | None], most: int
) -> None:
    drawn = np.random.default_rng(labels)
    known = drawn.integers(-values, values + 1, (labels, 3)).astype(np.float32)  # so many are equal
    queries = drawn.normal(size=(len(masks), 3)).astype(np.float32)
    selections = [m and Selection(labels, np.flatnonzero(m[:labels])) for m in masks]
    asked = searches(selections, [k] * len(selections))
    passed = handed_on(Passed.of_row(row_of(UNIT, 3))).begun(queries, asked)
    for shard in LabelIndex.build(known, shards).shards:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chain, "QUERIES", most)
            passed = handed_on(Held(shard)(passed))
    assert (passed.unit, passed.target) == (UNIT, 3)
    assert list(passed.searches) == asked
    assert np.array_equal(passed.vectors_ND, queries)
    for one, found in zip(passed.searches, passed.found, strict=True):
        expected = LabelIndex.build(known).search(queries[one.places], one.k, one.selection)
        assert all(map(np.array_equal, found, expected))


def test_a_unit_without_documents_goes_through() -> None:
    begun = Passed.of_row(row_of(UNIT, 0)).begun(
        np.zeros((0, 3), np.float32), [Search([], 4, None)]
    )
    passed = handed_on(Held(IndexShard(np.ones((2, 3), np.float32)))(handed_on(begun)))
    assert passed.vectors_ND.shape == (0, 3)
    assert [len(one) for one in passed.found[0]] == [0, 0]


@pytest.mark.slow  # batch/test_chain sends documents through a chain on Ray, too
@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_run_ranks_the_same_by_a_chain(tmp_path: Path) -> None:
    drawn = np.random.default_rng(1).normal(size=(23, 4)).astype(np.float32)
    labels, documents = (published(tmp_path / name, drawn) for name in ("labels", "documents"))
    index = Dataset(str(tmp_path / "index"), "index")
    index.publish_folder(lambda folder: LabelIndex.build(drawn, 3).save(folder))
    whole, chained = (Dataset(str(tmp_path / way), "dense") for way in ("whole", "chain"))
    works = [[Work(output, fragments(documents), "doc_id")] for output in (whole, chained)]
    kwargs = {"index": index.uri, "depth": 5}
    run_units(works[0], DenseShortlist, kwargs, Resources(actors=None), "dense", local=True)
    shards = stages_of(shard_sizes(index.uri))
    assert [numbers for numbers, _ in shards] == [[0], [1], [2]]
    for _ in range(2):  # the second time nothing is left to do
        rank_by_chain(works[1], labels, index.uri, shards, 5, "dense")
    assert chained.read().num_rows == 23
    hashes = [[file.sha256 for file in one.manifest().stored()] for one in (whole, chained)]
    assert hashes[0] == hashes[1]
