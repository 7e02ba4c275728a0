"""The verdict store: what was answered is found again, whoever appends and merges meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.teacher.questions import first_by_key
from lmtx_ray.verdicts import layers
from lmtx_ray.verdicts.layers import merge, merge_if_due
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.reading import read_all
from lmtx_ray.verdicts.store import Partition, VerdictStore, add_human
from tests.verdicts.rows import Pair, keys, stored


def found(partition: Partition, documents: range) -> set[tuple[bytes, bytes]]:
    table = Lookup(partition.snapshot()).find([text_key(f"d{d}") for d in documents])
    return set(zip(table["document"].to_pylist(), table["label"].to_pylist(), strict=True))


@pytest.fixture
def partition(tmp_path: Path) -> Partition:
    return VerdictStore(str(tmp_path / "store")).partition("t", "p")


def test_what_was_appended_is_found_by_document_and_nothing_else(partition: Partition) -> None:
    partition.append(stored([(1, 1), (1, 2), (2, 1)]), "a")
    partition.append(stored([(3, 1)]), "b")
    assert found(partition, range(1, 2)) == keys([(1, 1), (1, 2)])
    assert found(partition, range(2, 9)) == keys([(2, 1), (3, 1)])
    assert found(partition, range(50, 60)) == set()


def test_an_empty_store_has_no_verdicts_and_the_same_part_twice_is_one(
    partition: Partition,
) -> None:
    assert found(partition, range(5)) == set()
    for _ in range(2):
        partition.append(stored([(1, 1)]), "unit")
    assert len(partition.part_names()) == 1


@settings(max_examples=25, deadline=None)
@given(
    parts=st.lists(
        st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), min_size=1, max_size=20),
        min_size=1,
        max_size=6,
    ),
    merges=st.sets(st.integers(0, 5)),
    group=st.sampled_from([1, 2, 7]),
    runs=st.sampled_from([2, 3, 64]),
)
def test_merging_loses_nothing_and_the_first_answer_stays(
    tmp_path_factory, parts: list[list[Pair]], merges: set[int], group: int, runs: int
) -> None:
    partition = Partition(str(tmp_path_factory.mktemp("store")))
    first: dict[Pair, float] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "GROUP_ROWS", group)
        patch.setattr(layers, "MERGED_ROWS", 8)
        patch.setattr(layers, "FILE_ROWS", 10)
        patch.setattr(layers, "MOST_RUNS", runs)
        for place, pairs in enumerate(parts):
            p_yes = (place + 1) / 10
            partition.append(stored(list(dict.fromkeys(pairs)), p_yes), f"{place:03d}")
            first |= {pair: p_yes for pair in pairs if pair not in first}
            if place in merges:
                merge(partition)
        table = Lookup(partition.snapshot()).find([text_key(f"d{d}") for d in range(13)])
    got: dict[tuple[bytes, bytes], float] = {}
    for row in table.to_pylist():
        got.setdefault((row["document"], row["label"]), row["p_yes"])
    assert got == {
        (text_key(f"d{d}"), text_key(f"l{n}")): pytest.approx(p) for (d, n), p in first.items()
    }


def test_merging_all_leaves_each_pair_once_sorted_and_few_layers(partition: Partition) -> None:
    for part in range(40):
        partition.append(stored([(part * 3 + d, n) for d in range(3) for n in range(4)]), f"{part}")
        if part % 4 == 3:
            assert merge(partition)
    snapshot = partition.snapshot()
    assert snapshot.parts == ()
    assert snapshot.rows_in_layers == 480
    assert len(snapshot.layers) <= 4
    assert len(found(partition, range(120))) == 480


def test_what_is_exported_is_what_a_run_is_told(partition: Partition) -> None:
    partition.append(stored([(1, 1)], 0.9), "b")
    merge(partition)
    partition.append(stored([(1, 1), (1, 2)], 0.2), "a")  # as of two runs that asked at once
    exported = pa.concat_tables(list(read_all(partition)))
    told = first_by_key(Lookup(partition.snapshot()).find([text_key("d1")]))
    assert exported.num_rows == 2
    assert first_by_key(exported) == told
    assert told[text_key("d1"), text_key("l1")]["p_yes"] == pytest.approx(0.9)


def test_what_a_merge_holds_does_not_grow_with_what_it_merges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"MERGED_ROWS": 64, "GROUP_ROWS": 4, "GROUPS_AT_ONCE": 2, "MOST_RUNS": 4}
    for name, value in sizes.items():
        monkeypatch.setattr(layers, name, value)
    held: list[int] = []
    merged = layers._first_of_each
    monkeypatch.setattr(layers, "_first_of_each", lambda t: held.append(len(t)) or merged(t))
    for parts in (20, 160):
        partition = Partition(str(tmp_path / str(parts)))
        for part in range(parts):
            partition.append(stored([(part * 20 + d, 1) for d in range(20)]), f"{part:03d}")
        assert merge(partition)
        assert partition.snapshot().rows_in_layers == parts * 20
    assert max(held) <= 2 * 64


def test_parts_are_merged_only_when_there_are_many(partition: Partition) -> None:
    partition.append(stored([(1, 1)]), "a")
    assert not merge_if_due(partition, many=2)
    partition.append(stored([(2, 1)]), "b")
    assert merge_if_due(partition, many=2)
    assert not merge(partition)


def test_a_reader_of_an_older_snapshot_still_finds_everything(partition: Partition) -> None:
    partition.append(stored([(1, 1)]), "a")
    before = partition.snapshot()
    merge(partition)
    partition.append(stored([(2, 1)]), "b")
    middle = partition.snapshot()
    merge(partition)
    assert Lookup(before).find([text_key("d1")]).num_rows == 1
    assert Lookup(middle).find([text_key("d1"), text_key("d2")]).num_rows == 2


def test_files_that_no_longer_count_are_removed_a_day_later(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "KEPT_SECONDS", 0.0)
    for name in "abc":
        partition.append(stored([(ord(name), 1)]), name)
        merge(partition)
    assert len(partition.part_names()) == 1
    names = {Path(partition.uri, "layers", f.name) for y in partition.snapshot().layers for f in y}
    assert names <= set(Path(partition.uri, "layers").glob("*.parquet"))
    assert len(found(partition, range(200))) == 3


def test_a_part_that_is_removed_while_a_reader_looks_is_not_asked_for(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "KEPT_SECONDS", 0.0)
    partition.append(stored([(1, 1)]), "a")
    merge(partition)
    partition.append(stored([(2, 1)]), "b")
    plain = Partition.part_names

    def overtaken(self: Partition) -> list[str]:
        names = plain(self)
        monkeypatch.setattr(Partition, "part_names", plain)
        assert merge(self)  # which removes the part that was merged before
        return names

    monkeypatch.setattr(Partition, "part_names", overtaken)
    assert found(partition, range(5)) == keys([(1, 1), (2, 1)])


def test_appending_and_merging_at_once_loses_nothing(partition: Partition) -> None:
    def work(worker: int) -> None:
        for step in range(12):
            partition.append(stored([(worker, step)]), f"{worker}-{step}")
            if step % 3 == worker % 3:
                merge(partition)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert found(partition, range(6)) == keys([(w, s) for w in range(6) for s in range(12)])
    merge(partition)
    assert found(partition, range(6)) == keys([(w, s) for w in range(6) for s in range(12)])


def test_what_this_process_asked_lately_is_found_without_a_new_snapshot(
    partition: Partition,
) -> None:
    lookup = Lookup(partition.snapshot())
    lookup.add(stored([(7, 1)]))
    assert lookup.find([text_key("d7")]).num_rows == 1


def test_answers_of_people_are_numbered_and_the_same_file_counts_once(tmp_path: Path) -> None:
    store = VerdictStore(str(tmp_path))
    assert store.human_identity() == ""
    table = stored([(1, 1)]).select(["document", "label", "answer"])
    assert (add_human(store, table), add_human(store, table)) == (1, 0)
    first = store.human_identity()
    both = stored([(4, 1), (3, 1)]).select(["document", "label", "answer"])
    assert (add_human(store, both), add_human(store, both.take([1, 0]))) == (2, 0)
    other = stored([(2, 1)]).select(["document", "label", "answer"])
    add_human(store, other)
    add_human(store, table)  # a person came back to it: newest again
    assert store.human_identity() != first
    assert len(store.human().part_names()) == 4
    assert store.judges() == ["human"]
