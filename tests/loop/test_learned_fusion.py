"""Learned fusion in a whole run: what ships answers as the run ranked, nothing is asked twice."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

import lmtx_ray
from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.layout import lay_out
from tests.small_run import write_inputs

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]
DEPTH = 24


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run of two cycles, that ships all sides weighed, and its summary."""
    folder = tmp_path_factory.mktemp("learned")
    config = write_inputs(folder, documents=60)
    overrides = [f"run={folder / 'run'}", "cycles.most=2", "cycles.patience=2", "ship=learned"]
    overrides.append("shortlist.memory_documents=1000")
    summary = lmtx_ray.run(config, [*overrides, "fit.passes=3"])
    return {"summary": summary, "folder": folder, "config": config, "overrides": overrides}


def step(run: dict[str, Any], name: str) -> PublishedFolder:
    """A published step by its name in the run."""
    settings = lmtx_ray.load_config(run["config"], [*run["overrides"], "fit.passes=3"])
    return PublishedFolder(dict(lay_out(settings).steps())[name].uri)


def test_the_bundle_answers_as_the_run_ranked(run: dict[str, Any]) -> None:
    summary = run["summary"]
    assert summary["final"].endswith("_learned")
    number = summary["final"].split("_")[1]
    rows = [json.loads(line) for line in (run["folder"] / "test.jsonl").read_text().splitlines()]
    tagger = lmtx_ray.Tagger.load(summary["bundle"])
    tags = tagger.tag(
        [row["content"] for row in rows],
        DEPTH,
        titles=[row["title"] for row in rows],
        ids=[row["uid"] for row in rows],
    )
    ranked = step(run, f"test learned {number}").read().to_pylist()
    wanted = {row["doc_id"]: (row["label_ids"], row["scores"]) for row in ranked}
    for row in tags.to_pylist():
        ids, scores = wanted[row["doc_id"]]
        assert row["label_keys"] == [f"L{label}" for label in ids]
        assert row["scores"] == scores
        assert row["probabilities"] == sorted(row["probabilities"], reverse=True)
    assert tagger.check() == ""


def test_no_pair_is_asked_twice_and_weighed_firsts_are_judged(run: dict[str, Any]) -> None:
    names = ["verdicts", "selection", "learned selection"]
    steps = [step(run, f"{name} {number}") for number in (1, 2) for name in names]
    columns = ["doc_id", "label_id", "asked"]
    said = pa.concat_tables([one.read(columns) for one in steps]).to_pylist()
    asked = [(row["doc_id"], row["label_id"]) for row in said if row["asked"]]
    assert len(asked) == len(set(asked)) == run["summary"]["judge"]["asked"] - 40 * 6  # of test
    pairs = {(row["doc_id"], row["label_id"]) for row in said}
    documents = step(run, "documents").read(["doc_id", "split"]).to_pylist()
    aside = {row["doc_id"] for row in documents if row["split"] == "held_aside"}
    for row in step(run, "learned 2").read().to_pylist():
        if row["doc_id"] in aside:
            assert {(row["doc_id"], label) for label in row["label_ids"][:3]} <= pairs


def test_a_document_s_own_labels_are_not_among_its_neighbours(run: dict[str, Any]) -> None:
    """In the second cycle training documents are asked what their neighbours' labels are."""
    votes = step(run, "votes 1").read().to_pylist()
    assert len(votes) == 60
    assert all(row["label_ids"] for row in votes)
    asked = step(run, "verdicts 2").read(["doc_id", "label_id"]).num_rows
    assert asked > 0


def test_nobody_pays_for_it_unasked(run: dict[str, Any]) -> None:
    names = dict(lay_out(lmtx_ray.load_config(run["config"], ["run=/r"])).steps())
    assert not [name for name in names if "learned" in name or "memory" in name]
    asked_for = ["run=/r", "shortlist.memory_documents=9"]
    with_memory = lay_out(lmtx_ray.load_config(run["config"], asked_for))
    encoder = "encoder 1"  # what is trained first does not depend on it
    assert names[encoder].fingerprint == dict(with_memory.steps())[encoder].fingerprint
