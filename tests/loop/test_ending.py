"""The end of a run whose steps are there: what ships, and what its summary says of it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.bundle.defaults import publish_with
from lmtx_ray.config.defaults import Defaults
from lmtx_ray.config.loading import load_config
from lmtx_ray.corpus import schemas
from lmtx_ray.io import storage
from lmtx_ray.io.accounts import FOLDER, Account
from lmtx_ray.io.latest import resolve
from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.cycle import RunResult, judge_states
from lmtx_ray.loop.ending import finish
from lmtx_ray.loop.finished_run import open_finished
from lmtx_ray.loop.judged import opinion_of
from lmtx_ray.loop.layout import Layout, lay_out
from lmtx_ray.loop.naming import make_newest
from lmtx_ray.loop.outcome import rerank
from lmtx_ray.loop.prepare import prepare
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.running import run
from tests.finished import verdict_rows
from tests.small_run import write_inputs
from tests.tiny_bundle import publish_bundle

UNTRAINED, TRAINED = [0, 1, 2], [3, 4, 5]  # first labels of each document


def publish(layout: Layout, step: Dataset, schema: pa.Schema, make) -> None:
    """A step with the documents' units; `make` gives a table for the ids of one."""
    for unit, uri in layout.documents.unit_files().items():
        ids = storage.read_table(uri, ["doc_id"])["doc_id"].to_pylist()
        table = schemas.conform(make(ids), schema)
        step.commit_table(unit, table, rows_in=table.num_rows)
    step.publish(list(layout.documents.unit_files()))


def rankings(labels: list[int]):
    scores = [0.3, 0.2, 0.1]
    return lambda ids: pa.table(
        {"doc_id": ids, "label_ids": [labels] * len(ids), "scores": [scores] * len(ids)}
    )


def ended(folder: Path, config: Path, accepted: dict[int, int], *more: str) -> dict:
    """The summary of a run of one cycle whose judge accepts the first label of `accepted[state]` of
    20 held-aside documents."""
    overrides = [f"run={folder}", "corpus.test=null", "shortlist.memory_documents=0", *more]
    settings = load_config(RunConfig, str(config), overrides)
    layout = lay_out(settings)
    prepare(settings, layout)
    for state, labels in zip(layout.states, (UNTRAINED, TRAINED), strict=True):
        for step in (state.corpus.dense, state.corpus.hybrid):
            publish(layout, step, schemas.RANKINGS, rankings(labels))
    aside = [row for row in layout.documents.read().to_pylist() if row["split"] == "held_aside"]
    firsts = ((0, UNTRAINED[0]), (1, TRAINED[0]))
    yes = {(row["doc_id"], label) for n, label in firsts for row in aside[: accepted[n]]}

    def said(labels: list[int]):
        return lambda ids: verdict_rows([(d, n) for d in ids for n in labels], yes, "lexical")

    publish(layout, layout.cycles[0].verdicts, schemas.VERDICTS, said(UNTRAINED))
    publish(layout, layout.cycles[0].selection, schemas.VERDICTS, said(TRAINED))
    bundle = layout.bundle
    publish_bundle(Path(bundle.uri), str(config.parent / "encoder"), bundle.fingerprint)
    account = Account(storage.join(settings.run, FOLDER))
    result = RunResult(layout, best=0, ran=1, opinions={}, account=account)
    judge_states(settings, layout, result)
    return finish(settings, result)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


def test_what_is_surely_better_ships_with_its_judges_opinion(tmp_path, config, capsys) -> None:
    summary = ended(tmp_path / "run", config, {0: 4, 1: 18})
    assert (summary["final"], summary["shipped"]["method"]) == ("cycle_1_hybrid",) * 2
    assert summary["shipped"]["gain"]["mean"] == pytest.approx(0.7)
    judged = summary["judged"]
    assert (judged["P@1"], judged["documents"], judged["judge"]) == (0.9, 20, "lexical")
    assert "reviewed" not in judged
    text = capsys.readouterr().out
    assert "cycle_1_hybrid ships: it beats the untrained hybrid by +70.0 points [" in text
    assert "by its judge's own opinion (no gold; lexical, 20 held-aside documents)" in text
    assert opinion_of(open_finished(str(tmp_path / "run"))) == judged


def test_what_may_be_chance_does_not_ship(tmp_path, config, capsys) -> None:
    summary = ended(tmp_path / "run", config, {0: 12, 1: 13})
    assert (summary["final"], summary["judged"]["P@1"]) == ("hybrid", 0.6)
    assert summary["shipped"]["best"] == "cycle_1_hybrid"
    text = capsys.readouterr().out
    assert "cycle_1_hybrid does not beat the untrained hybrid beyond chance: +5.0 points" in text
    assert "so the untrained hybrid ships" in text


def test_a_run_that_was_moved_names_its_bundle_where_it_is_now(tmp_path, config) -> None:
    before = ended(tmp_path / "run", config, {0: 4, 1: 18})
    (tmp_path / "run").rename(tmp_path / "moved")
    overrides = ["corpus.test=null", "shortlist.memory_documents=0"]
    settings = load_config(RunConfig, str(config), [f"run={tmp_path / 'moved'}", *overrides])
    now = run(settings)
    assert storage.exists(now["bundle"])
    there = {"run": settings.run, "bundle": lay_out(settings).bundle.uri}
    assert now == {**before, **there}


def test_a_run_that_is_evaluated_anew_leaves_the_bundle_with_a_threshold_the_newest(
    tmp_path, config
) -> None:
    place, accepted = str(tmp_path / "run"), {0: 4, 1: 18}
    own = ended(tmp_path / "run", config, accepted)["bundle"]
    assert resolve(place) == own
    stored = publish_with(own, Defaults(2, 0.5), {})
    assert make_newest(place, stored, own)
    again = ended(tmp_path / "run", config, accepted, "judge.frequent_share=0.5")
    assert again["bundle"] == own
    assert resolve(place) == stored
    other = ended(tmp_path / "run", config, accepted, "ship=dense")["bundle"]
    assert resolve(place) == other  # which was made now


def test_a_config_whose_bundle_is_not_the_newest_of_its_run_is_told_so(
    tmp_path, config, caplog
) -> None:
    """As where a setting was changed and is as it was again."""
    accepted = {0: 4, 1: 18}
    own = ended(tmp_path / "run", config, accepted)["bundle"]
    assert "the newest bundle" not in caplog.text
    other = ended(tmp_path / "run", config, accepted, "ship=dense")["bundle"]
    assert "the newest bundle" not in caplog.text
    overrides = [f"run={tmp_path / 'run'}", "corpus.test=null", "shortlist.memory_documents=0"]
    assert run(load_config(RunConfig, str(config), overrides))["bundle"] == own
    assert f"stays {Path(other).name}" in caplog.text
    assert f"what this config makes is {own}" in caplog.text


def test_a_judge_without_probabilities_puts_a_ranking_in_order_by_its_answers() -> None:
    said = {3: "no", 4: "unclear", 5: "yes"}
    judged = [
        {"doc_id": "d", "label_id": label, "answer": answer, "p_yes": None}
        for label, answer in said.items()
    ]
    ranking = schemas.conform(rankings(TRAINED)(["d"]), schemas.RANKINGS)
    (row,) = rerank(ranking, pa.Table.from_pylist(judged)).to_pylist()
    assert row["label_ids"] == [5, 4, 3]
    assert row["scores"] == [1.0, 0.5, 0.0]
