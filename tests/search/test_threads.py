"""Queries are shared out to threads, each of which keeps to its share of the cores."""

from __future__ import annotations

import subprocess
import sys
import threading

import faiss
import numpy as np
import pytest
import torch

from lmtx_ray.search.index import IndexShard
from lmtx_ray.search.selection import Selection
from lmtx_ray.search.threads import LEAST_SHARED, in_threads, use_threads


@pytest.fixture
def four_threads() -> object:
    use_threads(4)
    yield
    use_threads(1)


@pytest.mark.parametrize(
    ("queries", "parts"), [(0, 1), (1, 1), (31, 1), (32, 2), (63, 2), (64, 4), (1000, 4)]
)
@pytest.mark.usefixtures("four_threads")
def test_every_query_is_asked_once_and_in_order(queries: int, parts: int) -> None:
    spans = in_threads(lambda span: list(range(queries))[span], queries)
    assert [place for span in spans for place in span] == list(range(queries))
    assert len(spans) == parts
    assert max(map(len, spans)) - min(map(len, spans)) <= 1


@pytest.mark.usefixtures("four_threads")
def test_each_thread_has_its_share_and_the_caller_keeps_all() -> None:
    before = torch.get_num_threads()

    def told(span: slice) -> tuple[str, int, int]:
        name = threading.current_thread().name
        return name, faiss.omp_get_max_threads(), torch.get_num_threads()

    for queries, share in ((4 * LEAST_SHARED, 1), (2 * LEAST_SHARED, 2)):
        for name, of_faiss, of_torch in in_threads(told, queries):
            assert name.startswith("search")
            assert of_faiss == of_torch == share
    assert (faiss.omp_get_max_threads(), torch.get_num_threads()) == (4, before)


@pytest.mark.usefixtures("four_threads")
def test_what_goes_wrong_in_a_thread_reaches_the_caller() -> None:
    def broken(span: slice) -> None:
        if span.start:
            raise ValueError("this part")

    with pytest.raises(ValueError, match="this part"):
        in_threads(broken, 100)
    assert in_threads(lambda span: 1, 100) == [1] * 4


def test_a_forked_process_has_threads_of_its_own() -> None:
    script = """
import os, sys
from lmtx_ray.search.threads import in_threads, use_threads
use_threads(2)
assert in_threads(lambda span: 1, 100) == [1, 1]
child = os.fork()
if not child:
    os._exit(in_threads(lambda span: 1, 100) != [1, 1])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
def test_threads_change_no_answer(share: float) -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(6000, 16)).astype(np.float32)
    shard, queries = IndexShard(vectors), draw.normal(size=(150, 16)).astype(np.float32)
    kept = np.flatnonzero(draw.random(6000) <= share)
    selection = Selection(6000, kept)
    answers = []
    for threads in (1, 3, 4):
        use_threads(threads)
        answers.append(shard.search(queries, 7, selection))
    use_threads(1)
    for ids, scores in answers[1:]:
        assert np.array_equal(ids, answers[0][0])
        assert np.array_equal(scores, answers[0][1])
    exact = np.argsort(-(queries.astype(float) @ vectors[kept].T), axis=1, kind="stable")[:, :7]
    assert np.array_equal(answers[0][0], kept[exact])
