"""The simulated judge and what methods are given, on made-up data."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality_judge import SimulatedJudge, Verdicts, reranked
from benchmarks.quality_sets import Document, Sizes, frequency_of, gold_of, texts_of
from lmtx_ray.loop.run_config import RunConfig

LABELS = 500
DOCUMENTS = [Document(f"d{n}", None, f"text {n}") for n in range(200)]
GOLD = {doc.doc_id: frozenset(range(n, n + 100)) for n, doc in enumerate(DOCUMENTS)}
JUDGE = SimulatedJudge(GOLD, seed=1, true_yes=0.8, false_yes=0.1)


def test_the_simulated_judge_errs_as_often_as_it_is_told() -> None:
    said = np.stack(JUDGE([(document, range(LABELS)) for document in DOCUMENTS]))
    right = np.array([[n <= label < n + 100 for label in range(LABELS)] for n in range(200)])
    assert abs((said[right] > 0.5).mean() - 0.8) < 0.02
    assert abs((said[~right] > 0.5).mean() - 0.1) < 0.01


def test_it_says_the_same_of_a_pair_whoever_asks_and_whenever() -> None:
    (alone,) = JUDGE([(DOCUMENTS[3], [7])])
    among = JUDGE([(DOCUMENTS[2], [7, 8]), (DOCUMENTS[3], [9, 7])])
    assert alone[0] == among[1][1]
    assert alone[0] != among[0][0]
    assert alone[0] != SimulatedJudge(GOLD, 2, 0.8, 0.1)([(DOCUMENTS[3], [7])])[0][0]


def test_no_pair_is_asked_about_twice_and_a_budget_is_kept_exactly() -> None:
    verdicts = Verdicts(DOCUMENTS[:3])
    verdicts.ask(JUDGE, [[1, 2], [1, -1], [5, 5]])
    assert verdicts.calls == 4
    verdicts.ask(JUDGE, [[1, 2, 3, 4]] * 3, budget=5)
    assert verdicts.calls == 9
    assert [*verdicts.said["d0"]] == [1, 2, 3, 4]
    assert [*verdicts.said["d2"]] == [5, 1]


def test_reranking_moves_the_first_labels_only() -> None:
    ids = np.array([[400, 0, 401, 1, 402, -1]], np.int32)
    sure = SimulatedJudge(GOLD, 1, true_yes=0.999999, false_yes=0.000001)
    moved, calls = reranked(sure, DOCUMENTS[:1], ids, 3)
    assert moved[0, 0] == 0
    assert moved[0, 3:].tolist() == [1, 402, -1]
    assert calls == 3


def test_documents_are_trained_on_held_aside_or_tested_on_and_carry_no_gold(tmp_path: Path) -> None:
    _write(tmp_path / "labels.jsonl.gz", [{"uid": "L", "title": f"label {n}"} for n in range(9)])
    rows = [{"uid": f"d{n}", "title": "", "content": "x", "target_ind": [n % 9]} for n in range(50)]
    _write(tmp_path / "test.jsonl.gz", rows)
    texts = texts_of(tmp_path, 1, Sizes(documents=0, held_aside=6))
    parts = texts.train, texts.held, texts.test
    assert [len(part) for part in parts] == [24, 6, 20]
    assert len({document.doc_id for part in parts for document in part}) == 50
    assert texts_of(tmp_path, 2, Sizes(0, 6)).test == texts.test
    assert gold_of(tmp_path)["d3"] == {3}
    assert not any(hasattr(document, "target_ind") for part in parts for document in part)


def test_a_smaller_label_set_keeps_all_right_labels_by_their_own_texts(tmp_path: Path) -> None:
    _write(tmp_path / "labels.jsonl.gz", [{"uid": "L", "title": f"label {n}"} for n in range(40)])
    rows = [{"uid": f"d{n}", "title": "", "content": "x", "target_ind": [3 * n]} for n in range(9)]
    _write(tmp_path / "test.jsonl.gz", rows)
    sizes = Sizes(documents=0, held_aside=1, labels=20)
    labels, gold = texts_of(tmp_path, 1, sizes).labels, gold_of(tmp_path, sizes.labels)
    assert len(labels) == 20
    named = {doc_id: {labels[label] for label in own} for doc_id, own in gold.items()}
    assert named == {f"d{n}": {f"label {3 * n}"} for n in range(9)}
    texts = texts_of(tmp_path, 1, sizes)
    pool = {document.doc_id for document in (*texts.train, *texts.held)}
    counted = np.flatnonzero(frequency_of(tmp_path, sizes.labels).counts_L)
    assert {labels[label] for label in counted} == {x for doc_id in pool for x in named[doc_id]}
    assert gold_of(tmp_path)["d8"] == {24}


def test_the_product_has_no_simulated_judge() -> None:
    with pytest.raises(ValueError, match="kind"):
        RunConfig.model_validate(
            {
                "run": "x",
                "corpus": {"documents": ["d"], "labels": "l"},
                "judge": {"teacher": {"kind": "simulated"}},
            }
        )


def _write(file: Path, rows: list[dict]) -> None:
    with gzip.open(file, "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
