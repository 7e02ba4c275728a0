"""Which kind of index `auto` means."""

from __future__ import annotations

import pytest

from lmtx_ray.search.index_choice import bytes_of, choose, factory_of, kind_of

GIB = 1 << 30


@pytest.mark.parametrize(
    ("labels", "int8", "chosen"),
    [
        (16, False, "exact"),
        (78_741, False, "exact"),  # reads 115 MiB a query
        (100_000, False, "IVF4096,PQ192x4fs"),
        (100_000, True, "exact"),  # reads 37 MiB
        (300_000, True, "exact"),
        (1_000_000, True, "IVF65536,PQ192x4fs"),
        (3_000_000, False, "IVF131072,PQ192x4fs"),
    ],
)
def test_exact_is_chosen_as_far_as_it_goes(labels: int, int8: bool, chosen: str) -> None:
    assert choose(labels, 384, 6 * GIB, 0.99, int8) == chosen
    assert choose(labels, 384, 6 * GIB, 1.0, int8) == "exact"  # nothing else finds all


def test_gpus_multiply_exactly_what_fits_them() -> None:
    assert choose(3_000_000, 384, 6 * GIB, 0.99, False, has_gpu=True) == "exact"
    assert choose(8_000_000, 384, 6 * GIB, 0.99, False, has_gpu=True) == "IVF524288,PQ192x4fs"


def test_an_exact_search_that_reads_more_than_the_budget_is_not_chosen() -> None:
    assert choose(50_000, 384, 0.01 * GIB, 0.99, False) == "IVF2048,PQ192x4fs"
    assert choose(8_000, 384, 1, 0.99, False) == "exact"  # few labels are no index


def test_names_are_those_of_faiss_and_few_rows_are_exact() -> None:
    assert factory_of("hnsw", 10_000, 384) == "HNSW32,SQ8"
    assert factory_of("ivf", 10_000, 31) == "IVF512,PQ31x4fs"
    assert {factory_of(kind, 8_191, 384) for kind in ("exact", "ivf", "hnsw")} == {"exact"}
    names = [factory_of(kind, 10_000, 384) for kind in ("exact", "ivf", "hnsw")]
    assert [kind_of(name) for name in names] == ["exact", "ivf", "hnsw"]


def test_three_million_labels_take_less_in_lists_than_in_a_graph() -> None:
    lists, graph = (
        bytes_of(factory_of(kind, 3_000_000, 384), 3_000_000, 384) for kind in ("ivf", "hnsw")
    )
    assert lists < GIB < graph < 2 * GIB
