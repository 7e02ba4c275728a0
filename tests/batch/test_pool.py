"""The same job in a pool of Ray actors: equal bytes, and errors as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmtx_ray.batch.job import TagJob
from lmtx_ray.batch.outputs import read_rejects, read_tags
from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.io import storage
from lmtx_ray.loop.tagging import tag_corpus
from tests.chaos.batch_runs import published, write_corpus

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]


def job(bundle: str, source: str, output: str) -> TagJob:
    documents = DocumentsConfig(documents=(source,))
    return TagJob(bundle=bundle, source=documents, output=output, unit_bytes=340)


def test_two_actors_publish_the_bytes_of_one_process(bundle: str, tmp_path: Path) -> None:
    source = str(tmp_path / "in")
    write_corpus(source, 8)
    alone, pool = (job(bundle, source, str(tmp_path / name)) for name in ("alone", "pool"))
    tag_corpus(alone, local=True)
    result = tag_corpus(pool, actors=2, local=False)
    assert (result["documents"], result["units"]) == (32, 8)
    assert published(pool.output) == published(alone.output)


@pytest.mark.slow
def test_an_input_that_vanishes_is_named_and_the_next_run_goes_on(
    bundle: str, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    write_corpus(str(source), 4)
    hidden = source / "002.jsonl"
    this = job(bundle, str(source), str(tmp_path / "out"))

    def hide() -> None:
        hidden.rename(tmp_path / "002.jsonl")

    with pytest.raises(storage.StorageError, match=r"002\.jsonl: No such file"):
        tag_corpus(this, actors=1, local=False, start=hide)
    assert not (tmp_path / "out/MANIFEST.json").exists()
    (tmp_path / "002.jsonl").rename(hidden)
    assert tag_corpus(this, actors=1, local=False)["documents"] == 16
    rejects = read_rejects(this.output)["reason"].to_pylist()
    assert json.dumps(rejects).count("missing field") == 1
    assert read_tags(this.output)["doc_id"].to_pylist() == [f"d{n}" for n in range(16)]
