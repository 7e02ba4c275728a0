"""`lmtx judge-check`: what is asked, what the numbers say, and that the run finds the answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lmtx_ray.cli import main as cli
from lmtx_ray.config.judge import PriceConfig
from lmtx_ray.config.loading import ConfigError, load_config
from lmtx_ray.corpus import schemas
from lmtx_ray.loop.judge_check import EACH, RANDOM, _chosen, _expected
from lmtx_ray.loop.judge_numbers import conclude, cost_of, render
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.prepare import prepare
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.verdicts.reading import stats
from tests.small_run import write, write_inputs

RNG = np.random.default_rng(0)
RANKED = {f"d{n}": list(range(10)) for n in range(40)}  # labels 0 … 9 are its shortlist


def verdicts(p_yes: Any, labels: range = range(12)) -> pa.Table:
    """A verdict of `p_yes(document, label)` on each pair of RANKED's documents with the labels."""
    rows = [
        {
            "doc_id": f"d{n}",
            "label_id": label,
            "answer": "yes" if p > 0.5 else "no",
            "p_yes": p,
            "mass": 1.0,
            "raw": None,
            "prompt": "p",
            "teacher": "t",
            "cycle": 0,
            "rank": 0,
            "asked": True,
        }
        for n in range(40)
        for label in labels
        for p in [float(p_yes(n, label))]
    ]
    return pa.Table.from_pylist(rows, schema=schemas.VERDICTS)


def good(document: int, label: int) -> float:
    """Likes the first labels of a shortlist best."""
    return np.clip(0.9 - 0.1 * label + RNG.normal(0, 0.05), 0, 1)


def expected_of(accept: int, labels: range = range(10)) -> dict[str, dict[int, bool]]:
    return {doc_id: {label: label < accept for label in labels} for doc_id in RANKED}


def test_candidates_are_spread_over_the_shortlist_and_some_drawn_by_chance() -> None:
    chosen = _chosen({"a": list(range(100, 140)), "b": [7], "c": []}, 1000, {})
    near = [label for label in chosen["a"] if 100 <= label < 140]
    assert len(near) >= EACH
    assert (near[0], near[EACH - 1]) == (100, 139)
    assert len(chosen["a"]) <= EACH + RANDOM
    assert chosen["b"][0] == 7
    assert len(chosen["c"]) <= RANDOM
    assert all(len(set(ids)) == len(ids) for ids in chosen.values())
    assert _chosen({"a": [1]}, 9, {"a": {4: True, 5: False}}) == {"a": [4, 5]}


def test_expected_answers_are_read_by_keys_and_names_and_bad_rows_told(tmp_path, caplog) -> None:
    documents = pa.table({"doc_id": ["a", "b"]})
    labels = pa.table({"label_id": [0, 1], "label_key": ["L0", "L1"], "text": ["zero", "one"]})
    rows = [
        {"doc_id": "a", "label_key": "L1", "answer": "yes"},
        {"document": "b", "label_text": "zero", "answer": "NO "},
        {"doc_id": "z", "label_key": "L1", "answer": "yes"},
        {"doc_id": "a", "label_key": "L9", "answer": "yes"},
    ]
    path = tmp_path / "expected.jsonl"
    write(path, rows)
    assert _expected(str(path), documents, labels) == {"a": {1: True}, "b": {0: False}}
    assert "row 3: document 'z'" in caplog.text
    write(path, rows[2:])
    with pytest.raises(ConfigError, match=r"no row fits this run; row 1: document 'z'"):
        _expected(str(path), documents, labels)


@pytest.mark.parametrize(
    ("p_yes", "more", "name", "hint"),
    [
        (good, {}, "usable", "yes or no"),
        (lambda n, label: 0.1 + 0.02 * label, {}, "useless", "says no to every pair"),
        (lambda n, label: 0.001 * (1 + 9 * (label < 3)), {"by_order": True}, "usable", ""),
        (lambda n, label: RNG.uniform(), {}, "useless", "hardly tells shortlisted"),
        (good, {"given": expected_of(4)}, "weak", "not above that of the shortlist's own order"),
        (
            lambda n, label: RNG.uniform(),
            {"given": expected_of(4)},
            "useless",
            "AUC on the expected answers",
        ),
        (good, {"second": verdicts(lambda n, label: 0.1 * label)}, "weak", "under another prompt"),
    ],
)
def test_the_verdict_on_a_judge_says_why(p_yes, more: dict, name: str, hint: str) -> None:
    given = more.pop("given", {})
    labels = range(10) if given else range(12)
    result = conclude(verdicts(p_yes, labels), RANKED, given, more.pop("second", None), **more)
    assert result["verdict"] == name, result["why"]
    assert hint in result["why"]
    text = render({**result, "second_prompt": "other", "cost": {"asked": 0}})
    assert f"judge: {name}: " in text
    json.dumps(result, allow_nan=False)


def test_a_judge_better_than_the_shortlist_is_usable() -> None:
    given = {doc_id: {label: label % 3 == 1 for label in range(10)} for doc_id in RANKED}
    result = conclude(
        verdicts(lambda n, label: 0.1 + 0.8 * (label % 3 == 1), range(10)), RANKED, given, None
    )
    assert result["verdict"] == "usable"
    assert result["expected"] == {
        "pairs": 400,
        "precision": 1.0,
        "recall": 1.0,
        "auc": 1.0,
        "auc_of_shortlist_order": pytest.approx(0.5, abs=0.1),
    }


def test_few_pairs_and_none_conclude_nothing() -> None:
    few = verdicts(lambda n, label: RNG.uniform()).slice(0, 60)
    assert conclude(few, RANKED, {}, None)["verdict"] == "unknown"
    nothing = conclude(few.slice(0, 0), RANKED, {}, few.slice(0, 0))
    assert nothing["verdict"] == "unknown"
    assert nothing["auc_against_random_labels"] is None


def test_costs_are_those_of_a_thousand_judgements() -> None:
    usage = {"requests": 200, "prompt_tokens": 20_000, "answer_tokens": 200, "seconds": 4.0}
    cost = cost_of(PriceConfig(prompt=2.0, answer=10.0), usage, 9.0)
    assert cost["per_1000"] == {
        "prompt_tokens": 100_000,
        "answer_tokens": 1000,
        "seconds": 20.0,
        "money": pytest.approx(0.21),
    }
    assert cost_of(PriceConfig(), {**usage, "requests": 0}, 9.0) == {"asked": 0}


@pytest.mark.ray
def test_a_check_keeps_to_the_budget_of_its_run(ray_cluster, tmp_path: Path, caplog) -> None:
    path, run = str(write_inputs(tmp_path)), tmp_path / "run"
    given = ["--set", f"run={run}", "--set", "encoder.model=some/encoder"]
    limited = [*given, "--set", "judge.budget.requests=30"]
    assert cli.main(["judge-check", path, *limited, "--pairs", "160"]) == 1
    assert "judge.budget.requests: the 30 requests are used up" in caplog.text
    spent = [json.loads(file.read_text())["requests"] for file in (run / "spent").iterdir()]
    assert 0 < sum(spent) <= 30


@pytest.mark.ray
def test_a_check_asks_once_and_its_answers_are_the_runs(
    ray_cluster, tmp_path: Path, capsys
) -> None:
    path = str(write_inputs(tmp_path))
    given = ["--set", f"run={tmp_path / 'run'}", "--set", "encoder.model=some/encoder"]

    def check(*more: str) -> dict[str, Any]:
        assert cli.main(["judge-check", path, *given, *more]) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    first = check("--pairs", "160")
    assert first["verdict"] in {"usable", "weak"}, first["why"]
    assert first["health"]["pairs"] >= 100
    assert check("--pairs", "160")["cost"] == {"asked": 0}
    config = load_config(RunConfig, path, [f"run={tmp_path / 'run'}"])
    asked = {
        entry["about"]["prompt"]["name"]: entry["verdicts"] for entry in stats(config.verdict_store)
    }
    assert asked["tag"] == first["cost"]["asked"]

    config = load_config(RunConfig, path, given[1::2])
    prepare(config, lay_out(config))
    many = check("--pairs", str(EACH * 40))["health"]["pairs"]
    assert many >= 40 * config.judge.top_k  # of more documents than one unit has
    answers = [
        {"doc_id": f"d{n}", "label_key": f"L{3 * (n % 8) + m}", "answer": answer}
        for n in range(80)
        for m, answer in ((0, "yes"), (2, "no"))
    ]
    write(tmp_path / "expected.jsonl", answers)
    wrong = [{**row, "answer": "no" if row["answer"] == "yes" else "yes"} for row in answers]
    write(tmp_path / "people.jsonl", wrong)
    assert cli.main(["verdicts", "import", path, str(tmp_path / "people.jsonl"), *given]) == 0
    known = check("--expected", str(tmp_path / "expected.jsonl"))["expected"]
    assert known["pairs"] == len(answers)  # of all units; and not what people said of them
    assert known["auc"] == 1.0
