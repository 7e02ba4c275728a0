"""ICXML on test documents, by a served judge: phrases, labels found by them, and the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.io import storage
from lmtx_ray.io.accounts import Account
from lmtx_ray.loop import running
from lmtx_ray.loop.cycle import RunResult
from lmtx_ray.loop.ending import evaluate_methods
from lmtx_ray.loop.icxml import icxml_steps
from lmtx_ray.loop.judging import judge_test_step
from lmtx_ray.loop.layout import Layout, lay_out
from lmtx_ray.loop.method_table import metric_names
from lmtx_ray.loop.outcome import judge_summary, tables
from lmtx_ray.loop.run_config import RunConfig
from tests.fake_llm import WRITE, FakeJudge
from tests.small_run import write_inputs

TESTED = 40


@pytest.fixture(scope="module")
def served() -> Iterator[FakeJudge]:
    with FakeJudge() as judge:
        yield judge


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, served: FakeJudge) -> RunConfig:
    folder = tmp_path_factory.mktemp("inputs")
    values = yaml.safe_load(write_inputs(folder, documents=40).read_text())
    teacher = {"kind": "http", "model": "ok", "url": served.url, "prompt": "tag"}
    values["judge"] = {"teacher": teacher, "rerank_k": 2, "icxml_k": 3, "check": False}
    values |= {"run": str(folder / "run"), "source": "segment"}
    return running.load_config(values)


@pytest.fixture(scope="module")
def layout(config: RunConfig, ray_cluster: None, served: FakeJudge) -> Layout:
    """Prepared and ranked by the untouched encoder, then stopped by a budget on its way, then
    gone on: nothing is trained."""
    running.run(config, until="shortlist")
    made = lay_out(config)
    assert made.test is not None
    assert made.test.icxml is not None
    few = running.load_config(config, ["judge.budget.requests=20"])
    with pytest.raises(Exception, match=r"judge\.budget\.requests"):
        icxml_steps(few, made, made.test.icxml)
    assert not made.test.icxml.phrases.is_complete()
    icxml_steps(config, made, made.test.icxml)
    judge_test_step(config, made)
    return made


@pytest.mark.ray
def test_a_document_is_written_about_once_though_the_run_was_stopped(
    layout: Layout, served: FakeJudge
) -> None:
    asked = [request["body"]["messages"][0]["content"] for request in served.requests]
    written = [prompt for prompt in asked if WRITE in prompt]
    assert len(written) == len(set(written)) == TESTED
    assert len(asked) == len(set(asked))  # what both rows want to know is asked once, too


@pytest.mark.ray
def test_phrases_lead_to_labels(layout: Layout) -> None:
    steps = layout.tested.icxml
    assert steps is not None
    phrases = steps.phrases.read()["phrases"].to_pylist()
    assert all(len(said) == 2 for said in phrases)  # "… disease" and "… pain"
    names = layout.labels.read(["text"])["text"].to_pylist()
    ranked = steps.mapped.read()["label_ids"].to_pylist()
    found = [{names[label] for label in labels[:4]} for labels in ranked]
    assert all(set(said) <= own for said, own in zip(phrases, found, strict=True))


@pytest.mark.ray
def test_the_table_has_a_row_with_its_calls(config: RunConfig, layout: Layout) -> None:
    account = Account(storage.join(config.run, "costs"))
    summary = evaluate_methods(config, RunResult(layout, 0, 0, {}, account), "hybrid")
    calls = {name: own.get("calls_per_document") for name, own in summary["methods"].items()}
    assert calls == {"bm25": None, "encoder": None, "hybrid": None, "judge_rerank": 2, "icxml": 4}
    own = summary["methods"]["icxml"]
    assert own["P@1"] > 0.9
    text = tables(summary, metric_names(config.evaluation))
    assert "calls/document" in text
    (line,) = [line for line in text.splitlines() if line.startswith("icxml")]
    assert line.split()[-1] == "4"


@pytest.mark.ray
def test_the_first_label_is_measured_beside_what_is_asked(
    config: RunConfig, layout: Layout
) -> None:
    account = Account(storage.join(config.run, "costs"))
    asked = running.load_config(config, ["evaluation.precision_at=[5]"])
    summary = evaluate_methods(asked, RunResult(layout, 0, 0, {}, account), "hybrid")
    text = tables(summary, metric_names(asked.evaluation))
    (line,) = [line for line in text.splitlines() if line.startswith("hybrid *")]
    low, high = summary["methods"]["hybrid"]["P@1_ci"]
    assert f"[{100 * low:.1f}, {100 * high:.1f}]" in line
    assert "P@5" in summary["gain"]


@pytest.mark.ray
def test_a_run_ends_though_no_gold_is_left_without_the_excluded_labels(
    config: RunConfig, layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    account = Account(storage.join(config.run, "costs"))
    keys = layout.labels.read(["label_key"])["label_key"].to_pylist()
    asked = running.load_config(config, [f"evaluation.exclude_keys={json.dumps(keys)}"])
    summary = evaluate_methods(asked, RunResult(layout, 0, 0, {}, account), "hybrid")
    assert ("methods" in summary, "methods_excluding" in summary) == (True, False)
    assert "no gold label is left" in caplog.text
    assert "hybrid" in tables(summary, metric_names(asked.evaluation))


@pytest.mark.ray
def test_what_the_judge_said_is_summed_up_though_the_cycle_asked_nobody(
    config: RunConfig, layout: Layout
) -> None:
    summary = judge_summary(config, layout, ran=1)
    assert summary["asked"] + summary["saved"] == TESTED * (2 + 3)
    assert summary["frequent"] == []  # told of documents that are learned from alone
    assert 0 <= summary["recall"] <= 1


@pytest.mark.ray
def test_rare_and_frequent_labels_stand_in_summary_and_table(
    config: RunConfig, layout: Layout, tmp_path: Path
) -> None:
    account = Account(storage.join(config.run, "costs"))
    annotated = tmp_path / "annotated.csv"
    annotated.write_text("id,labels\n" + "".join(f"x{n},L{n % 3}\n" for n in range(9)))
    counted = running.load_config(config, [f"evaluation.counts={annotated}"])
    summary = evaluate_methods(counted, RunResult(layout, 0, 0, {}, account), "hybrid")
    assert summary["frequency"]["documents"] == 9
    assert summary["frequency"]["labels"] == {
        **dict.fromkeys(("1", "6–20", "21–100", "over 100"), 0),
        "0": 21,
        "2–5": 3,
    }
    sliced = summary["methods"]["bm25"]["by_frequency"]
    assert {name: own["pairs"] for name, own in sliced.items()} == {"0": 70, "2–5": 10}
    assert 0 < summary["methods"]["bm25"]["PSP@5"] <= 1
    text = tables(summary, metric_names(counted.evaluation))
    assert "PSP@5" in text
    assert "R@10 of icxml" in text
    plain = evaluate_methods(config, RunResult(layout, 0, 0, {}, account), "hybrid")
    assert plain["frequency"]["counted_in"] == "the test documents' own gold"


@pytest.mark.parametrize("kind", ["lexical", "none"])
def test_a_judge_that_cannot_write_is_refused(config: RunConfig, kind: str) -> None:
    with pytest.raises(ConfigError, match=r"judge\.icxml_k"):
        running.plan(config, [f"judge.teacher.kind={kind}"])


def test_a_plan_counts_its_questions(config: RunConfig, tmp_path: Path) -> None:
    elsewhere = [f"run={tmp_path / 'run'}"]
    with_phrases = running.plan(config, elsewhere)["judge"]["calls_at_most"]
    without = running.plan(config, [*elsewhere, "judge.icxml_k=0"])["judge"]["calls_at_most"]
    assert with_phrases - without == TESTED * 4
    assert without == TESTED * 2
