"""The command line without a cluster: plans, dry runs, evaluation, and errors a user can mend."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from lmtx_ray.cli.main import main
from lmtx_ray.cli.messages import is_users_to_mend
from lmtx_ray.corpus import schemas
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset


@pytest.fixture
def config(tmp_path: Path) -> dict:
    rows = [{"uid": f"d{n}", "title": "A title", "content": f"text {n}"} for n in range(30)]
    labels = [{"uid": f"L{n}", "title": f"label {n}"} for n in range(5)]
    test = [{**row, "uid": f"t{n}", "target_ind": [n % 5]} for n, row in enumerate(rows[:6])]
    for name, part in (("documents", rows), ("labels", labels), ("test", test)):
        lines = "".join(json.dumps(row) + "\n" for row in part)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    return {
        "run": str(tmp_path / "run"),
        "corpus": {
            "documents": [str(tmp_path / "documents.jsonl")],
            "held_aside": 10,
            "labels": str(tmp_path / "labels.jsonl"),
            "test": str(tmp_path / "test.jsonl"),
        },
        "encoder": {"model": "some/encoder"},
        "judge": {"teacher": {"kind": "lexical", "prompt": "tag"}, "top_k": 4, "select_k": 2},
        "cycles": {"most": 2},
    }


def lmtx(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    return code, capsys.readouterr().out


def write(tmp_path: Path, config: dict) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return str(path)


def test_a_plan_counts_inputs_steps_and_judge_calls(tmp_path, capsys, config) -> None:
    code, out = lmtx(capsys, "plan", write(tmp_path, config))
    plan = json.loads(out.splitlines()[-1])
    assert code == 0
    assert plan["documents"] == {"train": 20, "held_aside": 10, "test": 6}
    # 20 documents x 4, in the second cycle 2 more, of neighbours; held aside 2 of 2 rankings, and
    # after each cycle 2 of these, of the neighbours and of all sides weighed; 2 drawn by chance and
    # the first 3 by words
    trained, aside = 20 * 4 + 20 * (4 + 2), 10 * 2 * 2 + 2 * 10 * 4 * 2 + 10 * (2 + 3)
    assert plan["judge"]["calls_at_most"] == trained + aside
    assert set(plan["steps"].values()) == {"to do"}
    config = {**config, "shortlist": {"memory_documents": 0}}
    plan = json.loads(lmtx(capsys, "plan", write(tmp_path, config))[1].splitlines()[-1])
    # both cycles: 20 documents x 4; held aside: 2 rankings x 2 for states 0, 1 and 2
    assert plan["judge"]["calls_at_most"] == 2 * 20 * 4 + 3 * 10 * 2 * 2
    assert not (tmp_path / "run").exists()


def test_a_dry_run_is_a_plan_with_overrides(tmp_path, capsys, config) -> None:
    path = write(tmp_path, config)
    code, out = lmtx(capsys, "run", path, "--dry-run", "--set", "cycles.most=1")
    steps = json.loads(out.splitlines()[-1])["steps"]
    assert code == 0
    assert "encoder 1" in steps
    assert "encoder 2" not in steps


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        (["--cycle", "2"], "--cycle needs --until"),
        (["--until", "judge", "--cycle", "9"], "--cycle 9: judge has 1 to 2 (cycles.most)"),
        (["--until", "prepare", "--cycle", "1"], "--cycle: prepare is done once"),
    ],
)
def test_a_dry_run_refuses_a_stop_that_the_run_would_refuse(
    tmp_path, capsys, caplog, config, stop: list[str], message: str
) -> None:
    code, out = lmtx(capsys, "run", write(tmp_path, config), "--dry-run", *stop)
    assert (code, out) == (1, "")
    assert message in caplog.text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("judge.topk=3", "judge.topk: unknown key; did you mean top_k"),
        ("fit.passes=0", "fit.passes"),
        ("cycles.most", "needs the form section.field=value"),
        ("corpus.labels=absent.jsonl", "absent.jsonl"),
        ("judge.teacher.prompt=nice", "no prompt 'nice'"),
        ("corpus.held_aside=30", "held_aside is 30, of only 30 documents"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(
    tmp_path, caplog, config, override: str, message: str
) -> None:
    assert main(["plan", write(tmp_path, config), "--set", override]) == 1
    assert message in caplog.text
    assert not (tmp_path / "run").exists()


def test_rankings_are_evaluated_against_gold(tmp_path, capsys) -> None:
    rankings = pa.table(
        {"doc_id": ["a", "b"], "label_ids": [[1, 2], [3, 4]], "scores": [[0.9, 0.1], [0.8, 0.2]]}
    )
    gold = pa.table({"doc_id": ["a", "b"], "label_ids": [[1], [4, 9]]})
    storage.write_table(str(tmp_path / "r.parquet"), schemas.conform(rankings, schemas.RANKINGS))
    step = Dataset(str(tmp_path / "gold"), "g")
    step.publish_table(schemas.conform(gold, schemas.GOLD), rows=1, key="doc_id")
    code, out = lmtx(
        capsys, "evaluate", "--rankings", str(tmp_path / "r.parquet"), "--gold", step.uri
    )
    metrics = json.loads(out)
    assert code == 0
    assert (metrics["P@1"], metrics["R@10"], metrics["documents"]) == (0.5, 0.75, 2)


@pytest.mark.parametrize("verb", ["tag", "tag-text"])
def test_a_folder_that_is_no_bundle_is_refused(tmp_path, caplog, verb: str) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "a", "text": "x"}\n')
    more = ["--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out")]
    more = more if verb == "tag" else ["a text"]
    assert main([verb, "--bundle", str(tmp_path), *more]) == 1
    assert str(tmp_path) in caplog.text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [[], ["tog"], ["tag-text"], ["tag-text", "--top-k", "0"]])
def test_bad_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("raised", "mendable"),
    [
        ("lmtx_ray.teacher.health.JudgeUseless: judge: useless here", True),
        ("lmtx_ray.teacher.protocol.BudgetReached: judge.budget.requests: used up", True),
        ("KeyError: 'choices'", False),
    ],
)
def test_what_a_worker_raises_for_a_user_to_mend_is_told_without_its_trace(
    raised: str, mendable: bool
) -> None:
    kind = type("UserCodeException", (Exception,), {"__module__": "ray.data.exceptions"})
    assert is_users_to_mend(kind(f"Traceback:\n  File x\n{raised}\n")) is mendable
