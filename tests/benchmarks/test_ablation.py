"""The losses and rankings that the ablation tries, on a few made-up labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import ablation_rankings, ablation_runs
from benchmarks.ablation import arguments, keep, kept, variants
from benchmarks.ablation_rankings import hubs_lowered, means_of, prototypes, scorers, untouched
from benchmarks.ablation_runs import Variant
from benchmarks.ablation_table import by_set, table
from benchmarks.ablation_training import LOSSES, Average, graded, loss_of
from benchmarks.quality_judge import SimulatedJudge, Verdicts
from benchmarks.quality_sets import Document, Texts
from benchmarks.quality_states import PARTS, Bench, nearest
from lmtx_ray.config.components import EncoderConfig, FitConfig

LABELS = [f"label {n}" for n in range(9)]
ROW: dict[str, Any] = {
    **{"doc_id": "d0", "title": None, "text": "a text"},
    **{"positives": [4], "targets": [0.9], "hard_negatives": [7, 2]},
    "said": {4: 0.9, 7: 0.2, 2: 0.1, 5: 0.4},
}
OTHER = {**ROW, "positives": [5], "targets": [0.8], "hard_negatives": [], "said": {5: 0.8}}
BATCH = graded([ROW, OTHER], LABELS, negatives=1, extra=[0])


def test_a_batch_tells_of_each_pair_what_was_said_of_it() -> None:
    assert BATCH.labels == ["label 0", "label 4", "label 5", "label 7"]  # one negative, one extra
    said = [[0, 0.9, 0.4, 0.2], [0, 0, 0.8, 0]]
    assert torch.allclose(BATCH.p_yes_BM, torch.tensor(said))
    assert BATCH.judged_BM.tolist() == [[False, True, True, True], [False, False, True, False]]
    assert (BATCH.targets_BM > 0).sum() == 2


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_prefers_the_judges_order(name: str) -> None:
    right = torch.tensor([[0.0, 0.9, 0.5, 0.2], [0.1, 0.0, 0.9, 0.1]])
    wrong = right.flip(1)
    config = FitConfig()
    assert LOSSES[name](right, BATCH, config) < LOSSES[name](wrong, BATCH, config)


def test_losses_are_summed_with_their_weights_and_have_a_gradient() -> None:
    vectors = nn.functional.normalize(torch.randn(6, 4), dim=1).requires_grad_()
    one, two = (
        loss_of(vectors, BATCH, FitConfig(), {"contrast": 1.0, "margin_mse": weight})
        for weight in (0.0, 2.0)
    )
    margin = loss_of(vectors, BATCH, FitConfig(), {"margin_mse": 1.0})
    assert torch.allclose(two, one + 2 * margin)
    two.backward()
    assert vectors.grad is not None
    assert bool(vectors.grad.abs().sum() > 0)


def test_the_average_lies_between_first_and_last_weights() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = Average(model, 0.5)
    with torch.no_grad():
        model.weight.fill_(1.0)
    average.after(100)
    average.load()
    assert float(model.weight.detach()) == pytest.approx(0.5)


def test_a_label_moves_to_its_accepted_documents_the_more_there_are() -> None:
    vectors = np.array([[0, 1], [0, 1], [1, 0]], np.float32)
    asked = Verdicts([Document(f"d{n}", None, "") for n in range(3)])
    asked.said = {"d0": {0: 0.9, 1: 0.9}, "d1": {0: 0.9}, "d2": {2: 0.1}}
    means, counts = means_of(asked, vectors, 3)
    assert means.tolist() == [[0, 1], [0, 1], [0, 0]]
    labels = np.tile(np.array([1, 0], np.float32), (3, 1))
    for _, moved in prototypes(means, labels, counts):
        assert moved[0, 1] > moved[1, 1] > moved[2, 1] == 0


def test_both_combiners_learn_what_speaks_for_a_label() -> None:
    draws = np.random.default_rng(1).normal(size=(400, 2))
    accepted = 1 / (1 + np.exp(-3 * draws[:, 0]))
    found = dict(scorers(draws, accepted, ("cosine", "lexical")))
    assert set(found) == {"learned", "trees"}
    for score in found.values():
        low, high = score(np.array([[-1.0, 0.0], [1.0, 0.0]]))
        assert low < high


def test_results_are_means_over_seeds_in_the_order_of_the_variants() -> None:
    runs = [
        {
            **{"set": "debtags", "seed": seed, "variant": name, "documents": 5},
            **{"judged_pairs": 10, "training_seconds": 1.0},
            "rows": {"dense 2": {"P@1": 10.0 * seed + less, "R@10": 4.0}},
        }
        for name, seed, less in (("more", 1, 0), ("more", 2, 0), ("base", 2, -3), ("base", 1, -1))
    ]
    found = by_set(runs, ["base", "more"])["debtags"]
    assert list(found) == ["base", "more"]
    assert found["more"]["rows"]["dense 2"]["P@1"] == 15.0
    assert found["base"]["apart"] == {"dense 2": {"P@1": [-1.0, -3.0], "R@10": [0.0, 0.0]}}
    lines = table("debtags", found)
    assert "| base | 13.0 / 4.0 | – | – | -2.0 ± 1.0 / +0.0 ± 0.0 | – | – |" in lines
    assert "| more | 15.0 / 4.0 | – | – | – | – | – |" in lines


def test_each_variant_is_made_of_known_settings() -> None:
    for variant in variants().values():
        if variant is not None:
            FitConfig.model_validate(variant.fit)
            assert variant.change.losses.keys() <= LOSSES.keys()


def test_a_run_gives_all_rows_and_asks_about_the_neighbours_labels_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench = _bench(tmp_path)
    monkeypatch.setitem(ablation_rankings.TREES, "max_iter", 2)
    monkeypatch.setattr(ablation_runs, "trained", lambda *given: "trained")
    monkeypatch.setattr(ablation_runs, "ranked", lambda bench, model: untouched(bench))
    gold = {doc.doc_id: frozenset({int(doc.doc_id[1:]) % 9}) for doc in EVERY}
    judge = SimulatedJudge(gold, 1)
    found = {}
    for neighbours in (False, True):
        variant = Variant(top_k=(3, 2), neighbours=neighbours)
        rows = list(ablation_runs.rankings(bench, judge, variant, FitConfig()))
        names = [name for name, _, _ in rows]
        assert {"bm25", "hybrid 0", "judge re-ranking", "dense 2", "learned 1"} < set(names)
        assert {"trees without memory 2", "prototypes 0.5 hybrid 1"} < set(names)
        assert len(set(names)) == len(names)
        assert {len(ids_BK) for _, ids_BK, _ in rows} == {20}
        found[neighbours] = rows[-1][2]
    assert found[True] == found[False] + 2 * 60  # where nothing moves, only these ask anew


def test_a_part_of_the_documents_is_asked_about_and_more_of_those_with_most_yes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench = _bench(tmp_path)
    monkeypatch.setitem(ablation_rankings.TREES, "max_iter", 2)
    monkeypatch.setattr(ablation_runs, "ranked", lambda bench, model: untouched(bench))
    seen: list[dict[str, dict[int, float]]] = []
    monkeypatch.setattr(ablation_runs, "trained", lambda *given: seen.append(given[2].said))
    gold = {doc.doc_id: frozenset({0, 1}) for doc in EVERY}
    judge = SimulatedJudge(gold, 1)
    for variant in (Variant(part=0.5, top_k=(3,)), Variant(top_k=(4,), further=2)):
        rows = list(ablation_runs.rankings(bench, judge, replace(variant, cycles=1), FitConfig()))
        assert rows[-1][2] == sum(map(len, seen[-1].values())) + 30 * 9  # of those held aside
    half, deeper = ({name: len(said) for name, said in one.items()} for one in seen)
    assert half == {f"d{n}": 3 for n in range(30)}
    assert sorted(deeper.values()) == [4] * 45 + [6] * 15
    lists = untouched(bench).sides["train"].fused_BK[:, :4].tolist()
    yes = {
        f"d{n}": sum(seen[1][f"d{n}"][label] > 0.5 for label in row) for n, row in enumerate(lists)
    }
    least = min(yes[name] for name, asked in deeper.items() if asked == 6)
    assert least >= max(yes[name] for name, asked in deeper.items() if asked == 4)


def test_a_label_near_to_all_documents_stands_back() -> None:
    labels = np.array([[1, 0], [0.8, 0.6]], np.float32)
    train = np.tile(np.array([1, 0], np.float32), (12, 1))
    found = nearest(np.array([[0.95, 0.31]], np.float32), labels)
    assert found[0][0, :2].tolist() == [0, 1]
    assert hubs_lowered(found, labels, train)[0, :2].tolist() == [1, 0]


EVERY = [Document(f"d{n}", None, "") for n in range(110)]


def _bench(folder: Path) -> Bench:
    """Random vectors and lists of 60, 30 and 20 documents."""
    draws = np.random.default_rng(3)
    texts = Texts(LABELS, EVERY[:60], EVERY[60:90], EVERY[90:])

    def vectors(rows: int) -> np.ndarray:
        made = draws.normal(size=(rows, 4)).astype(np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    own = {part: vectors(len(getattr(texts, part))) for part in PARTS}
    lexical = {part: nearest(vectors(len(own[part])), vectors(9)) for part in PARTS}
    encoder = EncoderConfig(model="untouched")
    return Bench(texts, encoder, folder, vectors(9), own, lexical, folder)


def test_runs_that_ended_are_kept_and_no_others_are_taken_for_them(tmp_path: Path) -> None:
    asked = ["--data", "D", "--keep", str(tmp_path / "runs.jsonl"), "--documents", "9"]
    given = arguments(asked)
    assert kept(given) == []
    ended = [{"set": "debtags", "seed": seed, "variant": "more", "rows": {}} for seed in (1, 2)]
    for one in ended:
        keep(given, one)
    assert kept(arguments([*asked, "--seeds", "3", "--workers", "2"])) == ended
    with pytest.raises(SystemExit, match="other options"):
        kept(arguments([*asked, "--labels", "50"]))
