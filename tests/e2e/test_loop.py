"""The whole loop as a user runs it: `lmtx run` in its own process, killed and started again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from lmtx_ray.bundle.cache import published_bundle
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.corpus.text_keys import document_keys
from lmtx_ray.io import storage
from lmtx_ray.io.accounts import read_accounts
from lmtx_ray.loop.calibrating import KEPT
from lmtx_ray.loop.finished_run import open_finished
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.running import load_config, plan
from lmtx_ray.reporting.contents import gather
from lmtx_ray.reporting.page import render
from lmtx_ray.teacher.questions import pairs_of
from tests.e2e.counted import go
from tests.e2e.runs import TIMEOUT_SECONDS, finish, hashes, judged, kill_when, start, up_to_judging
from tests.published import read_published
from tests.small_run import write_inputs

DEPTH = 24
pytestmark = [pytest.mark.ray, pytest.mark.timeout(2 * TIMEOUT_SECONDS)]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpus, labels, encoder and a config with the rule-based teacher and two training workers."""
    config = write_inputs(tmp_path_factory.mktemp("inputs"))
    settings = yaml.safe_load(config.read_text())
    settings["ship"], settings["fit"]["workers"] = "learned", 2
    config.write_text(yaml.safe_dump(settings))
    return config.parent


@pytest.fixture(autouse=True, scope="module")
def cluster(ray_cluster: None) -> Iterator[None]:
    """Drivers join the tests' cluster, which outlives a killed one, as a job's driver does."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
        yield


def gold_files(config: Path, run: Path) -> list[Path]:
    """Where a run keeps what only evaluation may read."""
    test = lay_out(load_config(str(config), [f"run={run}"])).test
    assert test is not None
    return [Path(file) for file in test.gold.files()]


@pytest.fixture(scope="module")
def undisturbed(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A run and its summary. Its gold cannot be read until an encoder is trained and chosen, which
    shows that neither opens it, and evaluation does."""
    run, config = tmp_path_factory.mktemp("runs") / "whole", inputs / "config.yaml"
    go(config, run, stop="prepare")
    gold = {file: file.read_bytes() for file in gold_files(config, run)}
    for file in gold:
        file.write_bytes(b"nobody may read this")
    go(config, run, stop="select 1")
    assert list(run.glob("encoder-1-*/MANIFEST.json"))
    assert list(run.glob("selection-1-*/MANIFEST.json"))
    with pytest.raises(Exception, match=r"(?i)parquet|magic"):
        go(config, run)
    for file, content in gold.items():
        file.write_bytes(content)
    return run, finish(start(inputs, run))


def test_the_loop_learns_and_reports(undisturbed: tuple[Path, dict]) -> None:
    run, summary = undisturbed
    names = ["bm25", "encoder", "hybrid", "judge_rerank", "cycle_1", "cycle_1_hybrid"]
    names.append("cycle_1_learned")
    assert list(summary["methods"]) == names
    encoder, student = (summary["methods"][name]["P@1"] for name in ("encoder", "cycle_1"))
    assert student > encoder + 0.1
    assert summary["judge"]["saved"] > 0
    assert summary["judge"]["unclear"] == 0
    assert Path(summary["bundle"]).is_relative_to(run)


def test_a_run_asks_what_its_bill_said(inputs: Path, undisturbed: tuple[Path, dict]) -> None:
    run = undisturbed[0]
    fresh = plan(str(inputs / "config.yaml"), [f"run={run.with_name('fresh')}"])["judge"]
    spent = [step for step in read_accounts(f"{run}/costs").values() if "requests" in step]
    asked, tokens = (sum(step[name] for step in spent) for name in ("requests", "prompt_tokens"))
    assert fresh["expected"]["new_pairs"] == pytest.approx(asked, rel=0.15)
    assert fresh["expected"]["prompt_tokens"] == pytest.approx(tokens, rel=0.15)
    assert fresh["calls_at_most"] >= asked
    left = plan(str(inputs / "config.yaml"), [f"run={run}"])["judge"]
    assert left["calls_at_most"] == 0
    again = [f"run={run.with_name('fresh')}", f"judge.store={run}/verdict-store"]
    known = plan(str(inputs / "config.yaml"), again)["judge"]["expected"]
    assert known["new_pairs"] < 0.2 * known["pairs"]


def test_a_run_ends_with_its_report(inputs: Path, undisturbed: tuple[Path, dict]) -> None:
    run, summary = undisturbed
    assert summary["report"]["report"] == str(run / "report.html")
    report = gather(open_finished(str(run)))
    assert report.methods == summary["methods"]
    asking = [step for step in report.costs.steps if step.pairs]
    assert sum(step.asked or 0 for step in asking) == summary["judge"]["asked"]
    assert report.costs.total.requests == summary["judge"]["asked"]  # of the rule, one a pair
    assert {step.name for step in report.costs.steps} == set(summary["seconds"])
    assert all(step.seconds is not None for step in report.costs.steps)
    assert render(report).encode() == (run / "report.html").read_bytes()


def test_a_bundle_knows_of_held_aside_documents_what_its_tagger_says(
    inputs: Path, undisturbed: tuple[Path, dict], tmp_path: Path
) -> None:
    """Probabilities are fitted on what the published rankings know, and given by what a tagger
    finds: to the last bit the same. (Weights of all sides know no held-aside document's own.)"""
    run = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    summary = go(inputs / "config.yaml", run, "ship=hybrid")
    bundle = published_bundle(summary["bundle"])
    rows = storage.read_table(bundle.location("judged.parquet")).to_pylist()
    (documents,) = run.glob("documents-*")
    held = [r for r in read_published(str(documents)).to_pylist() if r["split"] == "held_aside"]
    texts, titles = [row["text"] for row in held], [row["title"] for row in held]
    tags = Tagger.load(summary["bundle"], threads=1).tag(texts, KEPT, titles=titles)
    told: dict[bytes, list[float]] = {}
    for row in rows:
        if row["place"] < KEPT:
            told.setdefault(row["document"], []).append(row["probability"])
    keys = document_keys(pa.Table.from_pylist(held))
    assert [told[key] for key in keys] == tags["probabilities"].to_pylist()
    assert sum(row["right"] is not None for row in rows) >= 3 * len(held)


def test_the_bundle_answers_as_the_run_ranked(inputs: Path, undisturbed: tuple[Path, dict]) -> None:
    run, summary = undisturbed
    assert summary["final"] == "cycle_1_learned"
    rows = [json.loads(line) for line in (inputs / "test.jsonl").read_text().splitlines()]
    texts, titles, ids = ([row[name] for row in rows] for name in ("content", "title", "uid"))
    tagger = Tagger.load(summary["bundle"])
    tags = tagger.tag(texts, DEPTH, titles=titles, ids=ids).to_pylist()
    (ranked,) = run.glob("test-learned-1-*")
    wanted = {row["doc_id"]: row for row in read_published(str(ranked)).to_pylist()}
    for row in tags:
        ranking = wanted[row["doc_id"]]
        assert row["label_keys"] == [f"L{label}" for label in ranking["label_ids"]]
        assert row["scores"] == ranking["scores"]
        assert row["probabilities"] == sorted(row["probabilities"], reverse=True)
    assert tagger.check() == ""


def test_no_pair_is_judged_twice(undisturbed: tuple[Path, dict]) -> None:
    run, summary = undisturbed
    pairs = [pair for step in judged(run) for pair in pairs_of(read_published(str(step)))]
    assert len(judged(run)) == 5
    assert len(pairs) == len(set(pairs)) == summary["judge"]["asked"]


def test_held_aside_documents_teach_nothing_and_what_their_words_find_first_is_judged(
    undisturbed: tuple[Path, dict],
) -> None:
    run, _ = undisturbed
    documents, words, examples = (
        read_published(str(path))
        for name in ("documents", "lexical", "examples-1")
        for path in run.glob(f"{name}-*")
        if not path.name.startswith("lexical-index")
    )
    splits = dict(zip(*(documents[name].to_pylist() for name in ("doc_id", "split")), strict=True))
    assert {splits[doc_id] for doc_id in examples["doc_id"].to_pylist()} == {"train"}
    asked = {pair for step in judged(run) for pair in pairs_of(read_published(str(step)))}
    first = {
        (row["doc_id"], label)
        for row in words.to_pylist()
        if splits[row["doc_id"]] == "held_aside"
        for label in row["label_ids"][:3]
    }
    assert first
    assert first <= asked


def test_a_second_run_finds_everything_complete(
    inputs: Path, undisturbed: tuple[Path, dict]
) -> None:
    run, summary = undisturbed
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    again = finish(start(inputs, run))
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    assert again["methods"] == summary["methods"]
    assert after == before


def test_killed_while_judging_it_judges_on_to_the_same_verdicts(
    inputs: Path, undisturbed: tuple[Path, dict], tmp_path: Path
) -> None:
    run, whole = tmp_path / "killed", undisturbed[0]
    up_to_judging(whole, run)
    kill_when(start(inputs, run), lambda: any(run.glob("verdicts-1-*/done/*.json")))
    assert not list(run.glob("verdicts-1-*/MANIFEST.json"))
    go(inputs / "config.yaml", run, stop="judge 1")
    for name in ("verdicts", "test-verdicts"):
        assert hashes(run, name) == hashes(whole, name)
        assert hashes(run, name)


@pytest.mark.slow  # the stage's own test goes on from a checkpoint to the same bits
def test_killed_while_judging_and_while_training_ends_with_the_same_tables(
    inputs: Path, undisturbed: tuple[Path, dict], tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    up_to_judging(undisturbed[0], run)
    kill_when(start(inputs, run), lambda: any(run.glob("verdicts-1-*/done/*.json")))
    assert not list(run.glob("verdicts-1-*/MANIFEST.json"))
    kill_when(start(inputs, run), lambda: any(run.glob("work/*/checkpoint-*/MANIFEST.json")))
    assert not list(run.glob("encoder-1-*/MANIFEST.json"))
    summary = go(inputs / "config.yaml", run)
    whole, expected = undisturbed
    names = ("verdicts", "test-verdicts", "selection", "dense", "hybrid", "examples", "encoder")
    for name in names:
        assert hashes(run, name) == hashes(whole, name)
        assert hashes(run, name)
    pairs = [pair for step in judged(run) for pair in pairs_of(read_published(str(step)))]
    assert len(pairs) == len(set(pairs)) == summary["judge"]["asked"]
    assert summary["methods"] == expected["methods"]


def test_a_changed_setting_reuses_only_what_it_does_not_touch(
    inputs: Path, undisturbed: tuple[Path, dict]
) -> None:
    process = start(inputs, undisturbed[0], "--dry-run", "--set", "fit.seed=99")
    steps = finish(process)["steps"]
    assert steps["verdicts 1"] == "complete"
    assert steps["encoder 1"] == steps["selection 1"] == steps["bundle"] == "to do"


def test_settings_that_change_no_answer_ask_and_train_nothing(
    inputs: Path, undisturbed: tuple[Path, dict], tmp_path: Path
) -> None:
    whole, summary = undisturbed
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    stored = sorted((run / "verdict-store").rglob("*.parquet"))
    others = ["index.shards=3", "unit_documents=7", "encoder.token_budget=512", "fit.threads=2"]
    again = go(inputs / "config.yaml", run, *others, "evaluation.recall_at=[5]")
    assert sorted((run / "verdict-store").rglob("*.parquet")) == stored
    assert Path(again["bundle"]).name == Path(summary["bundle"]).name
    assert len(list(run.glob("encoder-1-*"))) == 1
    assert "R@5" in again["methods"]["encoder"]


@pytest.mark.slow
def test_a_second_cycle_goes_on_from_the_first(
    inputs: Path, undisturbed: tuple[Path, dict]
) -> None:
    run, first = undisturbed
    before = judged(run)
    summary = finish(start(inputs, run, "--set", "cycles.most=2", "--set", "cycles.patience=2"))
    assert list(summary["methods"])[-3:] == ["cycle_2", "cycle_2_hybrid", "cycle_2_learned"]
    assert summary["methods"]["cycle_1"] == first["methods"]["cycle_1"]
    # labels by chance are drawn beside what a run has judged, so another run has a view of its own
    steps = [p for p in judged(run) if p not in before or not p.name.startswith("chance")]
    pairs = [pair for step in steps for pair in pairs_of(read_published(str(step)))]
    assert len(steps) == 8
    assert len(pairs) == len(set(pairs))
    assert first["judge"]["asked"] < summary["judge"]["asked"] <= len(pairs)
