"""Runs that learn from the documents alone: no judge, no probability, and gold is never read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.cli.main import main
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.loop import running
from lmtx_ray.loop.layout import lay_out
from tests.small_run import write, write_inputs

ray_test = pytest.mark.ray
SOURCES = ("title", "segment")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config that names no judge and no test documents."""
    folder = tmp_path_factory.mktemp("inputs")
    path = write_inputs(folder, documents=40)
    values = yaml.safe_load(path.read_text())
    del values["judge"], values["corpus"]["held_aside"], values["corpus"]["test"]
    values["fit"] |= {"passes": 2, "batch_size": 16, "clusters": [2, 8], "segment_words": [3, 5]}
    values["run"] = str(folder / "run")
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.slow) for name in SOURCES]
)
def summary(config: Path, ray_cluster: None, request: pytest.FixtureRequest) -> dict:
    with_gold = [f"corpus.test={config.parent / 'test.jsonl'}"] if request.param == "title" else []
    return running.run(config, [f"source={request.param}", *with_gold])


@ray_test
def test_the_last_state_ships_and_nobody_judged_it(summary: dict) -> None:
    last = 2 if summary["source"] == "title" else 1
    assert (summary["final"], summary["cycles"]) == (f"cycle_{last}_hybrid", last)
    assert summary["untrained"] is False
    assert summary["judge"]["asked"] == 0
    assert "nobody judged" in summary["shipped"]["words"]
    about = Tagger.load(f"{summary['run']}/latest").about
    assert about["cycles"] == last


@ray_test
def test_no_probability_is_made_up(summary: dict, capsys) -> None:
    (row,) = Tagger.load(summary["bundle"]).tag(["patients with heart pain"]).to_pylist()
    assert row["probabilities"] == [None] * 5
    assert main(["tag-text", "--bundle", summary["bundle"], "patients with heart pain"]) == 0
    assert "without a judge" in capsys.readouterr().err


@ray_test
def test_the_encoder_learned_something(config: Path, summary: dict) -> None:
    layout = lay_out(running.load_config(config, [f"source={summary['source']}"]))
    before, after = layout.states[0].labels, layout.states[1].labels
    assert before.read()["vector"].to_pylist() != after.read()["vector"].to_pylist()


@ray_test
def test_the_report_of_such_a_run_says_what_it_is(summary: dict, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert main(["report", summary["run"], "--output", str(page)]) == 0
    text = page.read_text()
    assert "student of cycle" in text
    if "methods" not in summary:
        assert "learned from the documents’ own texts" in text


@ray_test
def test_each_source_learns_from_rows_of_its_own(config: Path, summary: dict) -> None:
    layout = lay_out(running.load_config(config, [f"source={summary['source']}"]))
    first = layout.cycles[0].examples.read()
    train = layout.documents.rows() - 8
    if summary["source"] == "segment":
        assert first.column_names == ["doc_id", "slot"]
        assert first.num_rows > train
        return
    assert first.column_names == ["doc_id", "clusters"]
    assert {len(own) for own in first["clusters"].to_pylist()} == {2}
    own = layout.cycles[1].examples.read()
    dense, words = (
        {row["doc_id"]: row["label_ids"][:1] for row in step.read(columns).to_pylist()}
        for columns in [["doc_id", "label_ids"]]
        for step in (layout.states[1].corpus.dense, layout.lexical)
    )
    assert own.num_rows == train
    for row in own.to_pylist():
        firsts = [*dense[row["doc_id"]], *words[row["doc_id"]]]
        assert row["positives"] == list(dict.fromkeys(firsts))


@pytest.mark.parametrize("source", SOURCES)
def test_gold_changes_nothing_that_is_trained(config: Path, source: str) -> None:
    test = str(config.parent / "test.jsonl")
    plain = dict(lay_out(running.load_config(config, [f"source={source}"])).steps())
    with_gold = running.load_config(config, [f"source={source}", f"corpus.test={test}"])
    tested = dict(lay_out(with_gold).steps())
    assert {name: tested[name].uri for name in plain if name != "evaluation"} == {
        name: step.uri for name, step in plain.items() if name != "evaluation"
    }


def test_a_corpus_without_titles_is_told_what_to_do(config: Path, tmp_path: Path) -> None:
    write(tmp_path / "plain.jsonl", [{"uid": f"d{n}", "content": f"text {n}"} for n in range(20)])
    plain = [f"corpus.documents={tmp_path / 'plain.jsonl'}"]
    with pytest.raises(CorpusError, match=r"corpus\.columns\.title.*source: segment"):
        running.plan(config, [*plain, "source=title"])
    assert running.plan(config, [*plain, "source=segment"])["training"]["cycles"]


@pytest.mark.parametrize(("recipe", "source"), [("maclr", "title"), ("rts", "segment")])
def test_a_plan_says_what_the_published_sizes_come_to(
    config: Path, capsys, recipe: str, source: str
) -> None:
    values = yaml.safe_load(config.read_text())
    values["fit"] = {"recipe": recipe}
    path = config.parent / f"{recipe}.yaml"
    path.write_text(yaml.safe_dump(values))
    assert main(["plan", str(path), "--set", f"source={source}"]) == 0
    shown = capsys.readouterr()
    plan = json.loads(shown.out.splitlines()[-1])
    steps = [cycle["steps_at_most"] for cycle in plan["training"]["cycles"]]
    assert steps == ([100_000, 100_000] if recipe == "maclr" else [10])
    assert f"recipe {recipe}" in shown.out + shown.err
    assert ("passes over 32 examples" in str(plan["training"]["warnings"])) == (recipe == "maclr")


def test_a_recipe_belongs_to_a_source(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"fit\.recipe maclr is of source: title"):
        running.load_config(config, ["fit.recipe=maclr"])


def test_what_a_source_does_not_ask_cannot_be_waited_for(config: Path) -> None:
    with pytest.raises(ValueError, match="asks no judge"):
        running.run(config, ["source=title"], until="judge")


def test_the_published_recipe_of_the_judge_warns_of_its_warm_up(config: Path) -> None:
    values = yaml.safe_load(config.read_text())
    values["fit"] = {"recipe": "paper"}
    values["judge"] = {"teacher": {"kind": "lexical"}}
    told = running.plan(values, [])["training"]
    (warning, *_) = told["warnings"]
    assert "inside its warm-up" in warning
    mended = running.plan(values, ["fit.warmup=0.1", "fit.batch_size=8"])["training"]
    assert mended["warnings"] == []
