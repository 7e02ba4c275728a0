"""No verdict is paid for twice, and no failure is one: whole runs with a judge that counts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lmtx_ray.config.loading import load_config
from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.run_verdicts import resolver_for
from lmtx_ray.verdicts.exchange import import_rows
from tests.e2e.counted import asked, asked_first, at, go, lmtx
from tests.fake_llm import KEY, FakeJudge
from tests.published import read_published
from tests.small_run import write_inputs

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
UNTIL_JUDGE = "judge 1"


@pytest.fixture
def judge() -> Iterator[FakeJudge]:
    with FakeJudge() as served:
        yield served


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 documents, 24 labels, one cycle, a judge behind http."""
    folder = tmp_path_factory.mktemp("inputs")
    path = write_inputs(folder, documents=40)
    values = yaml.safe_load(path.read_text())
    values["corpus"]["held_aside"] = 8
    values["unit_documents"] = 10
    values["judge"] = {
        "teacher": {"kind": "http", "model": "ok", "prompt": "tag"},
        "top_k": 4,
        "select_k": 2,
        "rerank_k": 3,
    }
    values["fit"] |= {"passes": 1, "checkpoint_every": 50}
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def prepared(config: Path, ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run up to its first shortlists, to be copied."""
    run = tmp_path_factory.mktemp("runs") / "prepared"
    go(config, run, "judge.check=false", stop="shortlist 0")
    return run


@pytest.fixture
def run(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "run"))


OTHERS = [
    "index.shards=3",
    "unit_documents=7",
    "encoder.threads=2",
    "encoder.token_budget=512",
    "judge.rerank_k=2",
    "evaluation.recall_at=[5]",
    "fit.threads=2",
    "judge.teacher.concurrency=3",
]


def test_judging_asks_each_pair_once_and_with_other_settings_nothing(
    config: Path, run: Path, judge: FakeJudge
) -> None:
    go(config, run, at(judge), stop=UNTIL_JUDGE)
    pairs, before = asked(judge), len(judge.requests)
    assert pairs
    assert set(pairs.values()) == {1}
    go(config, run, at(judge), *OTHERS, stop=UNTIL_JUDGE)
    assert len(judge.requests) == before


@pytest.mark.slow  # the loop's own tests do so with another judge
def test_a_whole_run_asks_each_pair_once_and_other_settings_ask_nothing(
    config: Path, run: Path, judge: FakeJudge
) -> None:
    summary = go(config, run, at(judge))
    pairs = asked(judge)
    assert set(pairs.values()) == {1}
    assert summary["judge"]["asked"] == len(pairs)
    before = len(judge.requests)
    again = go(config, run, at(judge), *OTHERS)
    assert asked(judge) == pairs
    assert len(judge.requests) == before
    assert (again["bundle"], again["judge"]["unclear"]) == (summary["bundle"], 0)
    assert "R@5" in again["methods"]["encoder"]
    assert len(list(run.glob("encoder-1-*"))) == 1


def test_a_new_document_asks_only_its_own(
    config: Path, run: Path, judge: FakeJudge, tmp_path: Path
) -> None:
    go(config, run, at(judge), stop=UNTIL_JUDGE)
    before = asked(judge)
    more = tmp_path / "documents.jsonl"
    new = {"uid": "new", "title": "A late study", "content": "of liver disease and pain"}
    text = (config.parent / "documents.jsonl").read_text()
    more.write_text(json.dumps(new) + "\n" + text)  # first: every unit is another
    documents = f"corpus.documents=[{more}]"
    go(config, run, at(judge), documents, stop=UNTIL_JUDGE)
    fresh = asked(judge) - before
    assert fresh
    assert {document for document, _ in fresh} == {"A late study. of liver disease and pain"}
    assert set(asked(judge).values()) == {1}


def test_a_new_label_asks_only_the_pairs_it_enters(
    config: Path, run: Path, judge: FakeJudge, tmp_path: Path
) -> None:
    go(config, run, at(judge), stop=UNTIL_JUDGE)
    before = asked(judge)
    labels = tmp_path / "labels.jsonl"
    new = json.dumps({"uid": "N", "title": "cornea graft"})
    labels.write_text(new + "\n" + (config.parent / "labels.jsonl").read_text())
    overrides = [f"corpus.labels={labels}", "corpus.test=null"]
    go(config, run, at(judge), *overrides, stop=UNTIL_JUDGE)
    fresh = asked(judge) - before
    assert {label for _, label in fresh} == {"cornea graft"}
    assert set(asked(judge).values()) == {1}


def test_a_second_run_with_the_same_store_asks_nothing(
    config: Path, prepared: Path, run: Path, judge: FakeJudge, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(prepared, tmp_path / "other"))
    store = f"judge.store={tmp_path / 'store'}"
    go(config, run, at(judge), store, stop=UNTIL_JUDGE)
    before = asked(judge)
    go(config, other, at(judge), store, stop=UNTIL_JUDGE)
    assert asked(judge) == before
    (verdicts,) = other.glob("verdicts-1-*")
    assert not any(read_published(str(verdicts))["asked"].to_pylist())


@pytest.mark.slow  # two commands, each with a cluster that has the key of its environment
def test_a_wrong_key_stops_the_run_at_once_and_the_right_one_finishes_it(
    config: Path, run: Path, judge: FakeJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)  # its own cluster gets its environment
    overrides = [at(judge), "judge.teacher.model=keyed"]
    refused = lmtx(config, run, *overrides, OPENAI_API_KEY="sk-wrong-SECRET")
    out, err = refused.communicate(timeout=300)
    assert refused.returncode == 1
    assert "Incorrect API key provided" in err.splitlines()[-1]
    assert "OPENAI_API_KEY" in err.splitlines()[-1]
    assert len(judge.requests) == 1
    assert not list(run.glob("verdicts-1-*/MANIFEST.json"))
    done = lmtx(config, run, *overrides, OPENAI_API_KEY=KEY)
    out, err = done.communicate(timeout=300)
    assert done.returncode == 0, err[-2000:]
    accepted = Counter(
        r["body"]["messages"][-1]["content"] for r in judge.requests if r["key"].endswith(KEY)
    )
    assert set(accepted.values()) == {1}
    assert json.loads(out.splitlines()[-1])["reached"]
    files = [path for path in run.rglob("*") if path.is_file()]
    assert not [path for path in files if b"SECRET" in path.read_bytes()]
    assert "SECRET" not in err + out


def test_a_refusal_while_judging_publishes_nothing_and_keeps_what_was_answered(
    config: Path, run: Path, judge: FakeJudge
) -> None:
    judge.most = 30
    overrides = [at(judge), "judge.check=false", "judge.teacher.concurrency=2"]
    with pytest.raises(Exception, match="Incorrect API key"):
        go(config, run, *overrides, stop=UNTIL_JUDGE)
    assert not list(run.glob("verdicts-1-*/MANIFEST.json"))
    parts = [read_published(str(path)) for path in (run / "verdict-store").rglob("*.parquet")]
    kept = {(row["document"], row["label"]) for part in parts for row in part.to_pylist()}
    answered = {tuple(map(text_key, pair)) for pair in asked_first(judge, judge.most)}
    assert kept == answered
    judge.most = None
    go(config, run, *overrides, stop=UNTIL_JUDGE)
    times = {tuple(map(text_key, pair)): count for pair, count in asked(judge).items()}
    assert {times[pair] for pair in kept} == {1}


def test_a_budget_stops_cleanly_and_a_higher_one_goes_on(
    config: Path, run: Path, judge: FakeJudge
) -> None:
    with pytest.raises(Exception, match="the 50 requests are used up"):
        go(config, run, at(judge), "judge.budget.requests=50", stop=UNTIL_JUDGE)
    assert 0 < len(judge.requests) <= 50
    with pytest.raises(Exception, match="the 50 requests"):
        go(config, run, at(judge), "judge.budget.requests=50", stop=UNTIL_JUDGE)
    assert len(judge.requests) <= 50
    go(config, run, at(judge), "judge.budget.requests=5000", stop=UNTIL_JUDGE)
    assert set(asked(judge).values()) == {1}


@pytest.mark.slow
def test_the_same_run_started_twice_at_once_asks_each_pair_once(
    config: Path, run: Path, judge: FakeJudge, ray_address: str
) -> None:
    overrides = [at(judge), "judge.teacher.model=slow", "judge.teacher.concurrency=1"]
    both = [lmtx(config, run, *overrides, RAY_ADDRESS=ray_address) for _ in range(2)]
    ended = [(process.communicate(timeout=400)[1], process.returncode) for process in both]
    errors = [err for err, code in ended if code]
    assert sorted(code for _, code in ended) == [0, 1], errors
    (first,) = (p.pid for p, (_, code) in zip(both, ended, strict=True) if code == 0)
    assert f"process {first}" in errors[0].splitlines()[-1]
    assert "is at work here" in errors[0].splitlines()[-1]
    assert set(asked(judge).values()) == {1}


@pytest.mark.slow  # the loop's own test kills one with another judge
def test_a_killed_run_asks_again_only_what_was_under_way(
    config: Path, run: Path, judge: FakeJudge, ray_address: str
) -> None:
    overrides = [at(judge), "judge.teacher.model=slow", "judge.teacher.concurrency=2"]
    process = lmtx(config, run, *overrides, RAY_ADDRESS=ray_address)
    deadline = time.monotonic() + 200
    while not list(run.glob("verdicts-1-*/done/*.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)  # workers of a lost driver end what they are at, or are ended
    parts = [read_published(str(path)) for path in (run / "verdict-store").rglob("*.parquet")]
    kept = {(row["document"], row["label"]) for part in parts for row in part.to_pylist()}
    done = lmtx(config, run, *overrides, RAY_ADDRESS=ray_address)
    _, err = done.communicate(timeout=400)
    assert done.returncode == 0, err[-2000:]
    by_key = {tuple(map(text_key, pair)): count for pair, count in asked(judge).items()}
    assert len(kept & by_key.keys()) >= 10  # at least a unit
    assert {by_key[key] for key in kept & by_key.keys()} == {1}
    assert max(by_key.values()) <= 2


def test_answers_of_people_outrank_the_judge_and_are_not_asked(
    config: Path, run: Path, judge: FakeJudge, tmp_path: Path
) -> None:
    settings = load_config(RunConfig, str(config), [f"run={run}", at(judge)])
    answers = tmp_path / "answers.csv"
    answers.write_text("doc_id,label_key,answer\nd0,L0,no\nd0,L1,no\nnobody,L0,yes\n")
    counts, rejects = import_rows(
        settings.verdict_store, str(answers), resolver_for(settings, str(answers))
    )
    assert counts == {"human": 2}
    assert [(row["position"], row["reason"]) for row in rejects] == [
        (4, "no document 'nobody' (doc_id) in this run")
    ]
    go(config, run, at(judge), stop=UNTIL_JUDGE)
    pairs = {label for document, label in asked(judge) if document.endswith("in d0")}
    assert not pairs & {"heart disease", "heart pain"}
    (verdicts,) = run.glob("verdicts-1-*")
    rows = [row for row in read_published(str(verdicts)).to_pylist() if row["teacher"] == "human"]
    assert {(row["doc_id"], row["answer"]) for row in rows} == {("d0", "no")}


@pytest.fixture
def ray_address(ray_cluster: None) -> str:
    import ray

    return ray.get_runtime_context().gcs_address


def test_a_failed_step_is_named_by_its_error_not_published(
    config: Path, run: Path, judge: FakeJudge
) -> None:
    with pytest.raises(Exception, match="no answer to a request"):
        go(
            config,
            run,
            at(judge),
            "judge.teacher.tries=1",
            "judge.teacher.model=busy",
            "judge.check=false",
            stop=UNTIL_JUDGE,
        )
    assert not list(run.glob("verdicts-1-*/MANIFEST.json"))
    judge.requests.clear()
    go(config, run, at(judge), "judge.check=false", stop=UNTIL_JUDGE)
    assert set(asked(judge).values()) == {1}
