"""An index built by workers from published vectors: the files that the whole matrix would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lmtx_ray.config.resources import Resources
from lmtx_ray.config.search import IndexConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.io.publish import Dataset
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.search.shard_file import shard_files
from lmtx_ray.search.threads import use_threads
from lmtx_ray.stages.index import build_index, build_lexical, build_shard, index_parts, shard_parts
from lmtx_ray.stages.shortlist import LexicalShortlist
from tests.published import is_whole
from tests.search.test_approximate import made

LABELS = 23


def published(folder: Path, vectors_LD: np.ndarray, unit: int = 10) -> Dataset:
    """Label vectors in units of so many rows."""
    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors_LD.ravel()), vectors_LD.shape[1])
    ids = [str(label) for label in range(len(vectors_LD))]
    table = pa.table({"id": ids, "vector": values})
    step = Dataset(str(folder), "vectors")
    step.publish_table(schemas.conform(table, schemas.vectors(vectors_LD.shape[1])), unit)
    return step


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(LABELS, 4)).astype(np.float32)


@pytest.mark.parametrize("shards", [1, 2, 3, 5, 40])
def test_shards_of_fragments_are_shards_of_the_whole(
    tmp_path: Path, vectors: np.ndarray, shards: int
) -> None:
    LabelIndex.build(vectors, shards).save(tmp_path / "whole")
    files = published(tmp_path / "vectors", vectors).files()
    (tmp_path / "built").mkdir()
    for part in shard_parts(list(zip(files, (10, 10, 3), strict=True)), shards):
        build_shard(tmp_path / "built", **part)
    built, whole = shard_files(tmp_path / "built"), shard_files(tmp_path / "whole")
    assert [file.read_bytes() for file in built] == [file.read_bytes() for file in whole]


@pytest.mark.parametrize("shards", [1, 2])
def test_a_shard_gets_an_index_of_the_kind_that_the_settings_say(
    tmp_path: Path, shards: int
) -> None:
    vectors, config = made(9_000, 1), IndexConfig(kind="ivf", recall=0.95, shards=shards)
    use_threads(1)
    for part in index_parts(
        [(published(tmp_path / "v", vectors, 9_000).files()[0], 9_000)], config
    ):
        said = build_shard(tmp_path, **part)
    assert ("finds 0.9" in said) == (shards == 1)
    shard = LabelIndex.load(tmp_path).shards[0]
    if shards == 1:
        assert shard.approximate is not None
        assert shard.approximate.kind == "ivf"
        assert shard.approximate.settled.wanted == 0.95
    else:  # too few rows to gain by it
        assert shard.approximate is None


@pytest.mark.parametrize(("kind", "expected"), [("auto", "exact"), ("hnsw", "hnsw")])
def test_auto_is_exact_where_that_is_little_to_read(
    tmp_path: Path, kind: Any, expected: str
) -> None:
    files = published(tmp_path / "v", made(9_000, 1), 9_000).files()
    (part,) = index_parts([(files[0], 9_000)], IndexConfig(kind=kind))
    assert part["kind"] == expected
    (part,) = index_parts([(files[0], 9_000)], IndexConfig(memory_gib=1e-5))
    assert part["kind"] == "ivf"


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_workers_build_an_index_and_what_a_killed_run_left_is_no_part_of_it(
    tmp_path: Path, vectors: np.ndarray
) -> None:
    step = published(tmp_path / "vectors", vectors)
    output = Dataset(str(tmp_path / "index"), "index")
    LabelIndex.build(vectors[:8], shards=4).save(f"{output.uri}/at-killed")
    build_index(
        step, output, IndexConfig(shards=2), Resources(actors=None, cpus=1, gpus=0), "index"
    )
    assert is_whole(output)
    loaded, whole = LabelIndex.load(output.folder()), LabelIndex.build(vectors)
    assert (len(loaded.shards), len(loaded)) == (2, LABELS)
    for found, expected in zip(loaded.search(vectors, 5), whole.search(vectors, 5), strict=True):
        assert np.array_equal(found, expected)

    vectors[17, 2] = np.inf
    broken = published(tmp_path / "broken", vectors)
    lost = Dataset(str(tmp_path / "lost"), "index")
    with pytest.raises(ValueError, match="the vector of label 17 is not finite"):
        build_index(
            broken, lost, IndexConfig(shards=2), Resources(actors=None, cpus=1, gpus=0), "index"
        )
    assert not lost.is_complete()


def test_the_words_of_all_fragments_are_one_index_with_aliases_and_languages(
    tmp_path: Path,
) -> None:
    rows = [("Krankenhaus", ["hospital"]), ("Garten", None), ("Schule", [])]
    keys = ("label_id", "label_key", "text", "aliases")
    labels = [dict(zip(keys, (n, str(n), *row), strict=True)) for n, row in enumerate(rows)]
    step = Dataset(str(tmp_path / "labels"), "labels")
    step.publish_table(pa.Table.from_pylist(labels, schema=schemas.LABELS), 2)
    index = Dataset(str(tmp_path / "index"), "index")
    index.publish_folder(lambda folder: build_lexical(folder, step.files(), ("de",)))
    documents = [
        {"doc_id": "a", "title": "Gärten", "text": "der Krankenhäuser", "split": "train"},
        {"doc_id": "b", "title": None, "text": "in a Hospital", "split": "train"},
    ]
    table = pa.Table.from_pylist(documents, schema=schemas.DOCUMENTS)
    found = LexicalShortlist(index.uri, 3)(table).to_pylist()
    assert {row["doc_id"]: sorted(row["label_ids"]) for row in found} == {"a": [0, 1], "b": [0]}
    assert LexicalIndex.load(index.folder()).words.languages == ("de",)
