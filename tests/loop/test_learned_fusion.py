"""Learned fusion over two cycles: what neighbours bring in is asked about, and nothing twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import lmtx_ray
from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.search.memory import VOTED, Memory, document_key
from lmtx_ray.stages.index import matrix
from tests.small_run import write_inputs


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> dict[str, Any]:
    """A run of two cycles, and its summary."""
    folder = tmp_path_factory.mktemp("learned")
    config = write_inputs(folder, documents=60)
    overrides = [f"run={folder / 'run'}", "cycles.most=2", "cycles.patience=2"]
    overrides += ["shortlist.depth=10"]  # of 24 labels: some are found by no search
    summary = lmtx_ray.run(config, [*overrides, "fit.passes=3"])
    return {"summary": summary, "folder": folder, "config": config, "overrides": overrides}


def step(run: dict[str, Any], name: str) -> PublishedFolder:
    """A published step by its name in the run."""
    settings = lmtx_ray.load_config(run["config"], [*run["overrides"], "fit.passes=3"])
    return PublishedFolder(dict(lay_out(settings).steps())[name].uri)


@pytest.mark.ray
@pytest.mark.slow  # the whole loop's own test does one cycle
def test_no_pair_is_asked_twice_and_weighed_firsts_are_judged(run: dict[str, Any]) -> None:
    names = ["verdicts", "selection", "learned selection"]
    steps = [step(run, f"{name} {number}") for number in (1, 2) for name in names]
    steps.append(step(run, "chance verdicts"))
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


@pytest.mark.ray
@pytest.mark.slow  # the whole loop's own test does one cycle
def test_a_document_s_own_labels_are_not_among_its_neighbours(run: dict[str, Any]) -> None:
    """In the second cycle training documents are asked what their neighbours' labels are."""
    votes = step(run, "votes 1").read().to_pylist()
    assert len(votes) == 60
    memory = Memory.load(step(run, "memory 1").folder())
    vectors = step(run, "vectors 1").read()
    keys = [document_key(doc_id) for doc_id in vectors["id"].to_pylist()]
    vectors_ND = matrix(vectors)
    without, _ = memory.search(vectors_ND, VOTED, keys)
    assert [row["label_ids"] for row in votes] == [ids[ids >= 0].tolist() for ids in without]
    assert not np.array_equal(memory.search(vectors_ND, VOTED)[0], without)
    asked = step(run, "verdicts 2").read(["doc_id", "label_id"]).num_rows
    assert asked > 0


@pytest.mark.ray
@pytest.mark.slow  # the whole loop's own test does one cycle
def test_held_aside_documents_are_asked_about_labels_that_no_search_finds(
    run: dict[str, Any],
) -> None:
    said = step(run, "chance verdicts").read(["doc_id", "label_id"]).to_pylist()
    documents = step(run, "documents").read(["doc_id", "split"]).to_pylist()
    aside = {row["doc_id"] for row in documents if row["split"] == "held_aside"}
    assert {row["doc_id"] for row in said} <= aside
    dense, words = (
        {row["doc_id"]: row["label_ids"] for row in step(run, name).read(columns).to_pylist()}
        for columns in [["doc_id", "label_ids"]]
        for name in ("dense 0", "lexical")
    )
    drawn = [row for row in said if row["label_id"] not in words[row["doc_id"]]]
    assert drawn
    assert not [row for row in drawn if row["label_id"] in dense[row["doc_id"]]]
    others = [row for row in said if row not in drawn]  # what words find first, and probabilities
    assert all(row["label_id"] in words[row["doc_id"]][:3] for row in others)


@pytest.mark.parametrize(
    "override",
    ["judge.chance_k=0", "ship=hybrid", "pseudo_labels.accept_deviations=1", "source=title"],
)
def test_chance_is_asked_only_where_it_tells_something(tmp_path: Path, override: str) -> None:
    config = write_inputs(tmp_path, documents=20)
    names = [
        {name for name, _ in lay_out(lmtx_ray.load_config(config, ["run=/r", *more])).steps()}
        for more in ([], [override])
    ]
    assert ["chance verdicts" in own for own in names] == [True, False]


def test_without_memory_nobody_pays_for_it(tmp_path: Path) -> None:
    config = write_inputs(tmp_path, documents=20)
    without = lay_out(lmtx_ray.load_config(config, ["run=/r", "shortlist.memory_documents=0"]))
    names = dict(without.steps())
    told = ("learned", "memory", "chance")
    assert not [name for name in names if any(word in name for word in told)]
    with_memory = dict(lay_out(lmtx_ray.load_config(config, ["run=/r"])).steps())
    encoder = "encoder 1"  # what is trained first does not depend on it
    assert names[encoder].fingerprint == with_memory[encoder].fingerprint
