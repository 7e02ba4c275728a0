"""What a step trains on: found by its number alone, and read as it is needed."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.stages.embed import Embed
from lmtx_ray.student.encoder import Encoder
from lmtx_ray.student.examples import ExampleReader, LabelTexts, example_units
from lmtx_ray.student.order import Order
from tests.tiny import save_encoder

SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any)


def taught(order: Order, number: int) -> list[list[tuple[int, int]]]:
    """(unit, row of the unit) of every step of a pass."""
    batches = []
    for step in range(number * order.steps, (number + 1) * order.steps):
        batches.append([])
        for part in order.parts(step):
            rows = [(unit, row) for unit in part.units for row in range(order.sizes[unit])]
            batches[-1] += [rows[place] for place in part.rows]
    return batches


@given(SIZES, st.integers(2, 8), st.integers(1, 30), st.integers(0, 3))
def test_a_pass_visits_every_example_once(
    sizes: list[int], batch: int, window: int, number: int
) -> None:
    batches = taught(Order(tuple(sizes), batch, window, seed=1), number)
    rows = [row for rows in batches for row in rows]
    assert sorted(rows) == [(unit, row) for unit, size in enumerate(sizes) for row in range(size)]
    assert all(len(rows) == batch for rows in batches[:-1])


@given(SIZES, st.integers(2, 8), st.integers(1, 30))
def test_a_window_holds_no_more_than_asked_for_or_one_unit(
    sizes: list[int], batch: int, window: int
) -> None:
    order = Order(tuple(sizes), batch, window, seed=1)
    parts = [part for step in range(order.steps) for part in order.parts(step)]
    for units in {part.units for part in parts}:
        some = [sizes[unit] for unit in units if sizes[unit]]
        assert sum(some) <= window or len(some) == 1


def test_each_pass_has_an_order_of_its_own_over_all_units_of_a_small_corpus() -> None:
    order = Order((20, 20, 20), 30, window=60, seed=1)
    first, second = taught(order, 0), taught(order, 1)
    assert first != second
    for rows in (first[0], second[0]):  # half of a pass meets all units, in no order
        assert {unit for unit, _ in rows} == {0, 1, 2}
        assert rows != sorted(rows)
    assert taught(order, 0) == first
    assert taught(Order((20, 20, 20), 30, 60, seed=2), 0) != first


def test_the_paper_recipe_drops_a_last_short_batch_unless_it_is_the_only_one() -> None:
    assert Order((10,), 4, 60, seed=1).steps == 3
    assert Order((10,), 4, 60, seed=1, drop_last=True).steps == 2
    assert Order((3,), 4, 60, seed=1, drop_last=True).steps == 1


def published(folder: Path, units: int, rows: int = 50) -> tuple[Dataset, Dataset]:
    """Documents, and examples of all but each unit's first."""
    ids = [f"d{number}" for number in range(units * rows)]
    documents = {"doc_id": ids, "title": ids, "text": [f"{doc_id} " * 50 for doc_id in ids]}
    examples = {
        "doc_id": ids,
        "positives": [[number % 7] for number in range(len(ids))],
        "targets": [[1.0]] * len(ids),
        "hard_negatives": [[]] * len(ids),
    }
    steps = Dataset(str(folder / "documents"), "d"), Dataset(str(folder / "examples"), "e")
    tables = pa.table(documents), schemas.conform(pa.table(examples), schemas.EXAMPLES)
    for step, table, skipped in zip(steps, tables, (0, 1), strict=True):
        for unit in range(units):
            part = table.slice(unit * rows + skipped, rows - skipped)
            step.commit_table(str(unit), part, rows_in=part.num_rows)
        step.publish([str(unit) for unit in range(units)])
    return steps


def reader(
    steps: tuple[Dataset, Dataset], window: int, batch: int = 10
) -> tuple[ExampleReader, Order]:
    units = example_units(*steps)
    order = Order(tuple(unit.size for unit in units), batch, window, seed=1)
    return ExampleReader(units, order), order


def test_every_example_comes_with_its_document(tmp_path: Path) -> None:
    read, order = reader(published(tmp_path, units=5), window=100)
    rows = [row for step in range(order.steps) for row in read.rows(step)]
    assert len({row["doc_id"] for row in rows}) == len(rows) == 5 * 49
    for row in rows:
        assert row["title"] == row["doc_id"]
        assert row["positives"] == [int(row["doc_id"][1:]) % 7]


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    def most_bytes(units: int) -> int:
        read, order = reader(published(tmp_path / str(units), units), window=150)
        gc.collect()
        before = pa.total_allocated_bytes()
        held = []
        for step in range(order.steps):
            read.rows(step)
            held.append(pa.total_allocated_bytes() - before)
        return max(held)

    assert most_bytes(48) < 3 * most_bytes(8)  # some buffers of the last reads may be left


def test_a_step_is_found_without_reading_what_was_before(tmp_path: Path) -> None:
    steps = published(tmp_path, units=12)
    read, order = reader(steps, window=100)
    expected = read.rows(40)
    needed = {unit for part in order.parts(40) for unit in part.units}
    assert len(needed) < 5
    for step in steps:
        for place, file in enumerate(step.files()):
            if place not in needed:
                Path(file).unlink()
    assert reader(steps, window=100)[0].rows(40) == expected


def test_an_example_without_its_document_is_named(tmp_path: Path) -> None:
    documents, examples = published(tmp_path, units=2)
    uri = documents.files()[1]
    storage.write_table(uri, storage.read_table(uri).slice(0, 20))
    with pytest.raises(ValueError, match=r"document d70 is not in .*documents/data/1-"):
        reader((documents, examples), window=100)[0].rows(0)
    other = published(tmp_path / "other", units=1)[0]
    with pytest.raises(ValueError, match=r"examples: unit 1 is none of .*other/documents"):
        example_units(other, examples)


def test_label_texts_are_found_by_id_over_all_files(tmp_path: Path) -> None:
    files = [str(tmp_path / f"{number}.parquet") for number in range(3)]
    for number, file in enumerate(files):
        storage.write_table(file, pa.table({"text": [f"label {number}{n}" for n in range(4)]}))
    names = LabelTexts(files)
    assert [names[label] for label in (0, 5, 11)] == ["label 00", "label 11", "label 23"]


def test_training_reads_of_a_label_what_its_vector_is_made_of(tmp_path: Path) -> None:
    """By one template, with parents from another file of the label set."""
    rows = [{"label_key": f"k{n}", "text": f"label {n}"} for n in range(4)]
    rows[3] |= {"parent_keys": ["k0"], "description": "the last"}
    table = pa.Table.from_pylist([{"label_id": 0, **row} for row in rows], schema=schemas.LABELS)
    files = [str(tmp_path / f"{number}.parquet") for number in range(2)]
    storage.write_table(files[0], table.slice(0, 2))
    storage.write_table(files[1], table.slice(2))
    template = "{parents}: {text} ({description})"
    config = EncoderConfig(
        model=save_encoder(tmp_path), dtype="float32", label_template=template, threads=1
    )
    names = LabelTexts(files, template)
    assert [names[2], names[3]] == ["label 2", "label 0: label 3 (the last)"]
    vectors = Embed(config, config.model, files)(table.slice(2))["vector"].to_pylist()
    expected = Encoder(config).encode([names[2], names[3]], "label")
    assert np.array_equal(np.array(vectors, np.float32), expected)
