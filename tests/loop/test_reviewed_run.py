"""From a finished run to a reviewed one: a sample of its tags, people's answers, and what they do
to the judge's own opinion."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.corpus.text_keys import document_keys, text_key
from lmtx_ray.loop.finished_run import open_finished
from lmtx_ray.loop.judged import JudgedRun, judged_summary, shipped_rankings
from lmtx_ray.loop.review_score import score
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.verdicts.store import add_human, as_stored
from tests.finished import by_topic, documents_table, finished_run
from tests.tiny import save_encoder
from tests.tiny_bundle import labels_table, publish_bundle

COUNT = 24


@pytest.fixture
def run(tmp_path: Path) -> str:
    """A run whose judge accepts all first labels but four; the store has its answers on all labels
    of all documents, for those that tagging finds."""
    folder = tmp_path / "run"
    shipped, untrained = by_topic(COUNT, 1, 0, 2), by_topic(COUNT, 2, 1, 0)
    yes = {(doc_id, labels[0]) for doc_id, labels in list(shipped.items())[4:]}
    bundle = str(folder / "bundle-abc123")
    save_encoder(tmp_path)
    publish_bundle(folder / "bundle-abc123", str(tmp_path / "encoder"), "abc123")
    finished_run(folder, shipped, untrained, yes, bundle=bundle)
    config = open_finished(str(folder)).config
    seen = [text_key(get_prompt("tag").label_text(row)) for row in labels_table().to_pylist()]
    keys = [(key, label) for key in document_keys(documents_table(COUNT)) for label in seen]
    answers = [
        "yes" if place % 16 == (place // 16 % 8) * 2 + 1 else "no" for place in range(len(keys))
    ]
    table = pa.table(
        {
            "answer": answers,
            "p_yes": pa.array([0.8 if one == "yes" else 0.2 for one in answers], pa.float32()),
            "mass": pa.nulls(len(keys), pa.float32()),
            "raw": pa.nulls(len(keys), pa.string()),
        }
    )
    stored = as_stored(keys, table, ("prompt1", "lexical"), "test")
    config.verdict_store.partition("lexical", "prompt1").append(stored, "all")
    return str(folder)


def opinion(place: str) -> dict:
    run = open_finished(place)
    return judged_summary(JudgedRun.of_finished(run), shipped_rankings(run), run.summary["final"])


def test_people_correct_what_the_judge_thinks_of_its_run(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = opinion(run)
    assert before["P@1"] == pytest.approx(20 / 24, abs=1e-6)
    assert (before["judge"], before["documents"], before["by_people"]) == ("lexical", COUNT, 0)
    assert "corrected" not in before
    out = tmp_path / "review.csv"
    assert (
        main(["sample-for-review", run, "--output", str(out), "--size", "60", "--top-k", "4"]) == 0
    )
    told = capsys.readouterr()
    assert f"then: lmtx review-score {out} --run {run}\n" in told.err  # else nothing keeps them
    written = json.loads(told.out)
    assert (written["tags"], written["of"], written["judged"]) == (60, 4 * COUNT, 60)
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8-sig"))))
    assert {row["judge_answer"] for row in rows} == {"yes", "no"}
    assert all(row["title"].startswith("About the ") for row in rows)
    accepted = [row for row in rows if row["judge_answer"] == "yes"]
    for place, row in enumerate(accepted):  # people think that half of what it accepts is wrong
        row["correct"] = "yes" if place % 2 else "no"
    for row in rows:
        row["correct"] = row["correct"] or "no"
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = score(str(out), store=open_finished(run).config.verdict_store)
    judge = found["judge"]
    assert (judge["pairs"], judge["refused_and_right"]) == (60, 0)
    assert judge["accepted_and_right"] == len(accepted) // 2
    assert 0 < judge["kappa"] < 1
    after = opinion(run)
    assert after["reviewed"]["pairs"] == 60
    assert after["P@1"] == before["P@1"]  # its own opinion stays what it is
    shipped = by_topic(COUNT, 1, 0, 2)
    firsts = {(doc_id, f"L{labels[0]}") for doc_id, labels in shipped.items()}
    said = {(row["doc_id"], row["label_key"]): row["correct"] for row in rows}
    right = sum(said.get(first) == "yes" for first in firsts)
    refused = {"d0", "d1", "d2", "d3"}
    unseen = sum(first not in said and first[0] not in refused for first in firsts)
    assert after["corrected"]["P@1"] == pytest.approx((right + unseen / 2) / COUNT, abs=1e-6)
    low, high = after["corrected"]["P@1_ci"]
    assert low < after["corrected"]["P@1"] < high


def test_a_tag_that_people_saw_counts_as_they_say(run: str) -> None:
    """However wrong the judge is about others: all first tags are right here, and no second one."""
    texts = labels_table()["text"].to_pylist()
    keys = document_keys(documents_table(COUNT))
    said = [
        (document, labels[place], "yes" if place == 0 else "no")
        for document, labels in zip(keys, by_topic(COUNT, 1, 0, 2).values(), strict=True)
        for place in (0, 1, 2)
    ]
    answers = {
        "document": pa.array([document for document, _, _ in said], pa.binary(16)),
        "label": pa.array([text_key(texts[label]) for _, label, _ in said], pa.binary(16)),
        "answer": [answer for _, _, answer in said],
    }
    add_human(open_finished(run).config.verdict_store, pa.table(answers))
    told = opinion(run)
    assert told["P@1"] == pytest.approx(20 / 24, abs=1e-6)
    assert told["corrected"]["P@1"] == 1
    assert told["corrected"]["P@3"] == pytest.approx(1 / 3, abs=1e-6)
