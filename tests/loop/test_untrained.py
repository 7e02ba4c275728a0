"""A run without a judge: everyone gets tags, and nobody is told that they were judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lmtx_ray.bundle.tagger import NO_PROBABILITIES, Tagger
from lmtx_ray.cli.main import main
from lmtx_ray.loop import running
from tests.small_run import write_inputs

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config that names no judge at all."""
    folder = tmp_path_factory.mktemp("inputs")
    path = write_inputs(folder, documents=40)
    values = yaml.safe_load(path.read_text())
    del values["judge"], values["corpus"]["held_aside"]
    values["run"] = str(folder / "run")
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def summary(config: Path, ray_cluster: None) -> dict:
    return running.run(config)


def test_the_hybrid_ships_and_is_called_untrained(summary: dict) -> None:
    assert summary["untrained"] is True
    assert summary["final"] == "hybrid"
    assert summary["judge"]["asked"] == 0
    assert set(summary["methods"]) == {"bm25", "encoder", "hybrid"}


def test_no_probability_is_made_up(summary: dict) -> None:
    (row,) = Tagger.load(summary["bundle"]).tag(["patients with heart pain"]).to_pylist()
    assert len(row["labels"]) == 5
    assert row["labels"][0].startswith("heart")
    assert row["probabilities"] == [None] * 5


def test_its_canaries_are_right(summary: dict) -> None:
    assert Tagger.load(summary["bundle"]).check() == ""


def test_a_threshold_says_why_it_leaves_nothing(summary: dict) -> None:
    tagger = Tagger.load(summary["bundle"])
    (row,) = tagger.tag(["patients with heart pain"], min_probability=0.5).to_pylist()
    assert (row["labels"], row["reason"]) == ([], NO_PROBABILITIES)


def test_a_tagged_text_is_told_to_be_untrained(summary: dict, capsys) -> None:
    assert main(["tag-text", "--bundle", summary["bundle"], "patients with heart pain"]) == 0
    shown = capsys.readouterr()
    tags = json.loads(shown.out)["tags"]
    assert "heart" in tags[0]["label"]
    assert {tag["probability"] for tag in tags} == {None}
    assert "untrained" in shown.err


def test_a_judge_that_comes_later_finds_the_work_done(config: Path, summary: dict) -> None:
    later = ["judge={teacher: {kind: lexical, prompt: tag}}", "cycles.most=1"]
    steps = running.plan(config, later)["steps"]
    done = [name for name, state in steps.items() if state == "complete"]
    assert {"documents", "labels", "hybrid 0", "test hybrid 0"} <= set(done)
    assert steps["verdicts 1"] == "to do"


def test_a_plan_asks_nobody(config: Path, summary: dict) -> None:
    plan = running.plan(config, [f"run={config.parent / 'other'}"])
    assert plan["judge"]["calls_at_most"] == 0
    assert plan["documents"]["held_aside"] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["judge-check"], "judge.teacher.kind is none"),
        (["run", "--until", "judge"], "judge.teacher.kind"),
    ],
)
def test_what_needs_a_judge_names_the_setting(config, caplog, arguments, message) -> None:
    assert main([arguments[0], str(config), *arguments[1:]]) == 1
    assert message in caplog.text


def test_batch_tags_have_no_probabilities(summary: dict, tmp_path: Path, capsys) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": "a", "text": "brain trial"}) + "\n")
    options = ["--input", str(tmp_path / "in.jsonl"), "--output-format", "jsonl", "--local"]
    out = tmp_path / "out"
    assert main(["tag", "--bundle", summary["bundle"], *options, "--output", str(out)]) == 0
    (file,) = out.rglob("data/*.jsonl")
    row = json.loads(file.read_text())
    assert row["labels"]
    assert set(row["probabilities"]) == {None}


def test_a_threshold_for_many_is_refused_before_any_is_tagged(
    summary: dict, tmp_path: Path, caplog
) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": "a", "text": "brain trial"}) + "\n")
    options = ["--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out")]
    assert main(["tag", "--bundle", summary["run"], *options, "--min-probability", "0.5"]) == 1
    assert "so none has a probability" in caplog.text
    assert not (tmp_path / "out").exists()


def test_its_run_is_its_name(summary: dict, capsys) -> None:
    tagger = Tagger.load(f"{summary['run']}/latest")
    assert tagger.bundle_id in summary["bundle"]
    assert (tagger.about["name"], tagger.about["labels"]) == ("run", 24)
    assert tagger.about["untrained"] is True
    assert "against gold" in tagger.about["quality"]
    assert main(["runs", summary["run"]]) == 0
    (row,) = json.loads(capsys.readouterr().out.splitlines()[-1])["runs"]
    assert (row["state"], row["documents"], row["cycles"]) == ("finished", 40, 0)


def test_pairs_that_are_one_and_the_same_count_on_no_side(config: Path, summary: dict) -> None:
    """All gold of three test documents is taken away; nothing but the evaluation is done anew."""
    pairs = config.parent / "filter_labels_test.txt"
    gold = [json.loads(line)["target_ind"] for line in (config.parent / "test.jsonl").open()]
    pairs.write_text("".join(f"{n} {label}\n" for n in (0, 5, 9) for label in gold[n]))
    found = running.run(config, [f"corpus.self_matches={pairs}"])
    before, after = (one["methods"]["hybrid"] for one in (summary, found))
    assert (before["documents"], after["documents"]) == (40, 37)
    assert found["bundle"] == summary["bundle"]
    pairs.write_text("".join(f"{n} 0\n" for n in range(40)))  # label 0 is gold of every eighth
    found = running.run(config, [f"corpus.self_matches={pairs}"])
    assert found["methods"]["hybrid"]["documents"] == 40
    assert found["methods"]["hybrid"]["P@1"] != before["P@1"]
