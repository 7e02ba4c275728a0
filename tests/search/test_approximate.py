"""Approximate indexes: good enough by their own measure, the same for one query as for many, exact
where that is promised, and refused where their file says something that cannot be."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from pathlib import Path

import faiss
import numpy as np
import pytest

from lmtx_ray.search import approximate, inverted_lists
from lmtx_ray.search.approximate import Approximate, narrowest, settle
from lmtx_ray.search.approximate_file import KINDS, Settled, approximate_name, wish_of
from lmtx_ray.search.index import LabelIndex, load_shard
from lmtx_ray.search.row_labels import save_row_labels
from lmtx_ray.search.selection import Selection
from lmtx_ray.search.shard_file import shard_name
from lmtx_ray.search.tensor_file import open_tensors, write_tensors
from lmtx_ray.search.threads import use_threads

ROWS, DIMENSIONS, WANTED = 9_000, 24, 0.98


def made(rows: int, seed: int) -> np.ndarray:
    """Unit vectors in groups, as labels are."""
    draw = np.random.default_rng(seed)
    middles = np.random.default_rng(0).normal(size=(200, DIMENSIONS))
    found = middles[draw.integers(0, 200, rows)] + 0.6 * draw.normal(size=(rows, DIMENSIONS))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


KNOWN, QUERIES = made(ROWS, 1), made(70, 2)
EXACT_INDEX = LabelIndex.build(KNOWN)


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    use_threads(1)
    made_in = tmp_path_factory.mktemp(request.param)
    LabelIndex.build(KNOWN).save(made_in)
    settled = settle(made_in, 0, request.param, WANTED)
    assert settled is not None
    assert settled.found >= WANTED
    return made_in


def copied(folder: Path, to: Path, **changed: np.ndarray) -> Path:
    """An index's folder with other arrays in its approximate index."""
    for name in ("shard-00000.safetensors", approximate_name(0)):
        (to / name).write_bytes((folder / name).read_bytes())
    arrays = dict(open_tensors(folder / approximate_name(0)).arrays)
    write_tensors(to / approximate_name(0), {**arrays, **changed})
    return to


def test_nearly_all_nearest_are_found_with_the_scores_of_exact_search(folder: Path) -> None:
    index = LabelIndex.load(folder)
    assert index.shards[0].approximate is not None
    ids, scores = index.search(QUERIES, 100)
    true_ids, true_scores = EXACT_INDEX.search(QUERIES, 100)
    found = [np.isin(true, own).mean() for true, own in zip(true_ids, ids, strict=True)]
    assert np.mean(found) >= WANTED
    for row in range(len(QUERIES)):
        _, own, true = np.intersect1d(ids[row], true_ids[row], return_indices=True)
        assert np.array_equal(scores[row][own], true_scores[row][true])
        assert np.array_equal(np.lexsort((ids[row], -scores[row])), np.arange(100))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_query_alone_is_answered_as_among_others(folder: Path, threads: int) -> None:
    use_threads(threads)
    index = LabelIndex.load(folder)
    ids, scores = index.search(QUERIES, 20)
    for step in (1, 3, 64):
        parts = [index.search(QUERIES[at : at + step], 20) for at in range(0, 70, step)]
        assert np.array_equal(np.concatenate([part[0] for part in parts]), ids)
        assert np.array_equal(np.concatenate([part[1] for part in parts]), scores)
    use_threads(1)


def test_no_queries_find_nothing(folder: Path) -> None:
    ids, scores = LabelIndex.load(folder).search(QUERIES[:0], 20)
    assert ids.shape == scores.shape == (0, 20)


def test_many_nearest_and_some_labels_are_searched_exactly(folder: Path) -> None:
    index = LabelIndex.load(folder)
    for k, selection in ((700, None), (30, Selection(ROWS, np.arange(0, ROWS, 3)))):
        found, true = (one.search(QUERIES, k, selection) for one in (index, EXACT_INDEX))
        assert all(map(np.array_equal, found, true))
    broken = QUERIES[:3].copy()
    broken[1, 2] = np.nan
    found, true = (one.search(broken, 30) for one in (index, EXACT_INDEX))
    assert np.array_equal(found[0][1], true[0][1])


def test_rows_that_lead_nowhere_are_not_found(folder: Path, tmp_path: Path) -> None:
    copied(folder, tmp_path)
    labels = np.arange(ROWS, dtype=np.int32)
    gone = np.unique(EXACT_INDEX.search(QUERIES, 5)[0])
    labels[gone] = -1
    save_row_labels(tmp_path, labels)
    ids, _ = load_shard(tmp_path, 0).search(QUERIES, 50)
    assert not np.isin(ids, gone).any()
    assert (ids >= 0).all()


def test_the_same_vectors_have_the_same_file(folder: Path, tmp_path: Path) -> None:
    (kind,) = (kind for kind in KINDS if kind in open_tensors(folder / approximate_name(0)).arrays)
    LabelIndex.build(KNOWN).save(tmp_path)
    settle(tmp_path, 0, kind, WANTED)
    name = approximate_name(0)
    assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_where_too_little_is_found_it_says_so_and_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(approximate, "share", lambda found, nearest: 0.5)
    LabelIndex.build(KNOWN).save(tmp_path)
    with caplog.at_level(logging.WARNING):
        settled = settle(tmp_path, 0, "ivf", WANTED)
    assert settled is not None
    assert (settled.width, settled.found) == (0, 0.5)
    assert "it is searched exactly" in caplog.text
    index = LabelIndex.load(tmp_path)
    assert index.shards[0].approximate is None
    assert wish_of(tmp_path, 1) == ("ivf", WANTED)
    assert (tmp_path / approximate_name(0)).stat().st_size < 1000


def test_where_codes_tell_too_little_more_rows_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inverted_lists, "WIDE", 2)
    LabelIndex.build(KNOWN).save(tmp_path)
    settled = settle(tmp_path, 0, "ivf", WANTED)
    assert settled is not None
    assert settled.times > 1
    assert f"of {settled.times} times the rows" in settled.told(0)
    ids, _ = LabelIndex.load(tmp_path).search(QUERIES, 100)
    pairs = zip(ids, EXACT_INDEX.search(QUERIES, 100)[0], strict=True)
    assert np.mean([np.isin(own, true).mean() for own, true in pairs]) >= WANTED


class Blind:
    """Finds nothing, and notes what it was asked."""

    most = 1000

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def search(self, queries_BD: np.ndarray, k: int, width: int) -> np.ndarray:
        self.asked.append((k, width))
        return np.full((len(queries_BD), k), -1)


@pytest.mark.parametrize(("best", "least"), [(0.99, 21), (0.981, 10)])
def test_more_than_is_wanted_is_aimed_at_and_not_insisted_on(
    monkeypatch: pytest.MonkeyPatch, best: float, least: int
) -> None:
    blind = Blind()

    def share(*_: object) -> float:
        """What was wanted from a width of 10 on, and the best there is from 21 on."""
        width = blind.asked[-1][1]
        return best if width > 20 else WANTED if width > 9 else 0.0

    monkeypatch.setattr(approximate, "share", share)
    settled = narrowest(blind, KNOWN, WANTED, (0.5, 1.0))
    assert (settled.width >= least, settled.width < 2 * least) == (True, True)
    assert settled.times == 1
    assert set(Counter(blind.asked).values()) == {2}  # of near samples and far ones, once each


def test_what_would_look_more_widely_than_is_worth_it_is_exact() -> None:
    blind = Blind()
    index = Approximate("ivf", blind, Settled(400, 0.99, 0.99), 100_000)
    assert index.search(QUERIES[:2], 100) == [None, None]
    assert blind.asked[-1][1] == 400
    assert index.search(QUERIES[:2], 300) == [None, None]
    assert len(blind.asked) == 1


def test_few_labels_have_no_approximate_index(tmp_path: Path) -> None:
    LabelIndex.build(KNOWN[:100]).save(tmp_path)
    assert settle(tmp_path, 0, "ivf", WANTED) is None
    assert not (tmp_path / approximate_name(0)).exists()
    assert wish_of(tmp_path, 1) == ("exact", 1.0)


def refused(folder: Path, tmp_path: Path, **changed: np.ndarray) -> str:
    copied(folder, tmp_path, **changed)
    with pytest.raises(ValueError, match=approximate_name(0)) as error:
        LabelIndex.load(tmp_path)
    return str(error.value)


def places_of_row(sizes: np.ndarray, lists: np.ndarray, row: int) -> list[int]:
    """Where the row's number stands, in bytes."""
    found, start = [], 0
    for size in sizes.tolist():
        room = -(-size // 32) * 32
        ids = lists[start + room * (DIMENSIONS // 4) :][: 8 * size].view(np.int64)
        found += [start + room * (DIMENSIONS // 4) + 8 * at for at in np.flatnonzero(ids == row)]
        start += room * (DIMENSIONS // 4 + 8)
    return found


def test_an_index_of_another_version_is_searched_exactly(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (kind,) = (kind for kind in KINDS if kind in open_tensors(folder / approximate_name(0)).arrays)
    copied(folder, tmp_path, **{kind: np.zeros(1, np.int64)})
    with caplog.at_level(logging.WARNING):
        index = LabelIndex.load(tmp_path)
    assert "of another version: its labels are searched exactly" in caplog.text
    assert all(map(np.array_equal, index.search(QUERIES, 20), EXACT_INDEX.search(QUERIES, 20)))
    assert wish_of(tmp_path, 1) == (kind, WANTED)


def test_a_graph_is_settled_by_samples_that_are_farther_from_labels(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = wish_of(folder, 1)[0]
    seen: list[list[float]] = []

    def noted(searcher: object, vectors_LD: np.ndarray, recall: float, noises: list) -> Settled:
        places = np.linspace(0, ROWS - 1, approximate.SAMPLES).astype(np.int64)
        moved = [approximate.samples(vectors_LD, noise) for noise in noises]
        unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in moved]
        seen.append([float((one * vectors_LD[places]).sum(axis=1).mean()) for one in unit])
        return Settled(9, recall, 1.0)

    monkeypatch.setattr(approximate, "narrowest", noted)
    shutil.copy(folder / shard_name(0), tmp_path)
    settle(tmp_path, 0, kind, WANTED)
    assert seen == [pytest.approx([0.9, 0.7 if kind == "ivf" else 0.5], abs=0.03)]


@pytest.mark.parametrize("folder", ["ivf"], indirect=True)
def test_lists_of_other_rows_are_refused(folder: Path, tmp_path: Path) -> None:
    arrays = open_tensors(folder / approximate_name(0)).arrays
    sizes, lists = arrays["sizes"].copy(), arrays["lists"].view(np.uint8).copy()
    far, places = lists.copy(), places_of_row(sizes, lists, 5)
    assert len(places) == 2
    for wrong, told in ((ROWS, f"to {ROWS}"), (-1, "rows -1"), (6, "row 5 is in no list")):
        for place in places:
            far[place : place + 8] = np.array([wrong], np.int64).view(np.uint8)
        assert told in refused(folder, tmp_path, lists=far.view(np.int64))
    sizes[0] += 64
    assert "rows" in refused(folder, tmp_path, sizes=sizes)
    assert "bytes" in refused(folder, tmp_path, lists=arrays["lists"][:-4])
    assert "finite" in refused(folder, tmp_path, books=arrays["books"] * np.float32(np.nan))
    refused(folder, tmp_path, books=arrays["books"][:-1])
    refused(folder, tmp_path, books=arrays["books"][:0], sizes=sizes[:0])
    refused(folder, tmp_path, levels=arrays["levels"][:-1])
    assert "links to rows" in refused(folder, tmp_path, links=arrays["links"] + len(sizes))
    assert "a scale of" in refused(folder, tmp_path, scale=np.array([np.nan], np.float32))
    for settled in ([-3.0, 1.0, 1.0, 1.0], [4.0, np.nan, 1.0, 1.0], [4.0, 1.5, 1.0, 1.0]):
        assert "a width of" in refused(folder, tmp_path, settled=np.array(settled))


@pytest.mark.parametrize("folder", ["hnsw"], indirect=True)
def test_links_that_lead_elsewhere_are_refused(folder: Path, tmp_path: Path) -> None:
    arrays = open_tensors(folder / approximate_name(0)).arrays
    links, levels = arrays["links"].copy(), arrays["levels"].copy()
    for wrong in (ROWS, -2):
        links[5] = wrong
        assert "links to rows" in refused(folder, tmp_path, links=links)
    low = int(np.flatnonzero(levels == 1)[0])
    (high,) = np.flatnonzero(levels > 1)[:1]
    links[5] = arrays["links"][5]
    links[int((levels[:high] - 1).sum() * 32 + high * 64 + 64)] = low
    assert "on level 1" in refused(folder, tmp_path, links=links)
    assert "entry" in refused(folder, tmp_path, entry=np.array([low], np.int32))
    assert "links" in refused(folder, tmp_path, links=arrays["links"][:-64])
    levels[low] = 0
    assert "levels" in refused(folder, tmp_path, levels=levels)
    refused(folder, tmp_path, codes=arrays["codes"][:-1].copy())


def test_faiss_multiplies_what_it_is_asked_for_alone() -> None:
    """What the same answers rest on: a product by ids has the bits of its two vectors."""
    rows = np.arange(10, dtype=np.int64)[None]
    alone, among = np.empty((1, 10), np.float32), np.empty((4, 10), np.float32)
    for out in (alone, among):
        queries = QUERIES[: len(out)].copy()
        ids = np.repeat(rows, len(out), 0)
        faiss.fvec_inner_products_by_idx(
            *map(faiss.swig_ptr, (out, queries, KNOWN, ids)), DIMENSIONS, *out.shape
        )
    assert np.array_equal(alone[0], among[0])
