"""Shards of the service over a bundle with approximate indexes: they fetch theirs, and answer as
batch does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.search.approximate import settle
from lmtx_ray.search.candidates import merge_top_k
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.search.selection import Selection
from lmtx_ray.search.threads import use_threads
from serve_apps.shard import load_held
from tests.search.test_approximate import made


def test_shards_answer_as_the_whole_does(tmp_path: Path) -> None:
    use_threads(1)
    known, queries = made(18_000, 1), made(20, 2)

    def save(folder: Path) -> None:
        LabelIndex.build(known, 2).save(folder / "index")
        settle(folder / "index", 0, "ivf", 0.95)
        settle(folder / "index", 1, "hnsw", 0.95)
        described = {"bundle_id": "some", "index_rows": [9_000, 9_000]}
        storage.write_bytes(f"{folder}/bundle.json", storage.to_json(described))

    Dataset(str(tmp_path / "bundle"), "some").publish_folder(save)
    parts = [load_held(str(tmp_path / "bundle"), number, 2) for number in range(2)]
    kinds = [part.shards[0].approximate.kind for part in parts if part.shards[0].approximate]
    assert kinds == ["ivf", "hnsw"]
    whole = LabelIndex.load(f"{parts[0].held.folder}/index")
    for selection in (None, Selection(18_000, np.arange(0, 18_000, 7))):
        found = merge_top_k([part.search(queries, 30, selection) for part in parts], 30)
        for own, expected in zip(found, whole.search(queries, 30, selection), strict=True):
            assert np.array_equal(own, expected)
