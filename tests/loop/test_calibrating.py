"""What a bundle's probabilities are fitted on, and what it keeps of that."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from lmtx_ray.corpus import schemas
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.evaluation.kindness import AT_ITS_WORD
from lmtx_ray.evaluation.pair_features import DENSE, Known
from lmtx_ray.loop.bundling import _wrong
from lmtx_ray.loop.calibrating import (
    KEPT,
    WEIGHED,
    Held,
    Said,
    calibrate,
    held_of,
    held_pairs,
    judged_tags,
)

NAN = float("nan")


def documents(count: int = 2, labels: int = 30) -> list[tuple[str, Known]]:
    ids = np.arange(labels, dtype=np.int32)
    scores = np.linspace(0.9, 0.1, labels).astype(np.float32)
    return [(f"d{n}", Known((ids, scores), (ids, scores), None, labels)) for n in range(count)]


VERDICTS = {
    ("d0", 0): ("yes", 0.9),
    ("d0", 1): ("no", 0.2),
    ("d0", 25): ("unclear", None),
    ("d1", 2): ("yes", 0.6),
    ("other", 0): ("yes", 0.9),
}


KEYS = {f"d{n}": f"document {n:07d}".encode() for n in range(2)}
LABELS = [f"label {n:010d}".encode() for n in range(30)]


def gathered(reviews: dict[tuple[str, int], bool] | None = None) -> Held:
    return held_pairs(
        iter(documents()), DENSE, Said(VERDICTS, reviews or {}), KEYS, LABELS.__getitem__
    )


def test_each_candidate_has_what_was_said_of_it() -> None:
    held = gathered({("d1", 2): False})
    assert held.features_NF.shape == (60, len(DENSE))
    assert held.documents_N.tolist() == [KEYS["d0"]] * 30 + [KEYS["d1"]] * 30
    assert held.labels_N.tolist() == 2 * LABELS
    said = np.flatnonzero(~np.isnan(held.accepted_N)).tolist()
    assert said == [0, 1, 25, 32]
    assert held.accepted_N[said].tolist() == [1, 0, 0, 1]
    assert held.judged_N[[0, 1, 32]].tolist() == [0.9, 0.2, 0.6]
    assert np.isnan(held.judged_N[25])  # unclear: no target
    assert np.flatnonzero(~np.isnan(held.reviewed_N)).tolist() == [32]


def test_a_judge_that_gives_no_probabilities_is_fitted_by_its_words() -> None:
    words = {0: "yes", 1: "yes", 2: "yes", **dict.fromkeys(range(3, 20), "no")}
    said = {(f"d{n}", label): (answer, None) for n in range(2) for label, answer in words.items()}
    said["d0", 5] = "unclear", None
    held = held_pairs(iter(documents()), DENSE, Said(said, {}), KEYS, LABELS.__getitem__)
    assert held.judged_N[[2, 3]].tolist() == [1, 0]
    assert np.isnan(held.judged_N[[5, 25]]).all()
    stated = calibrate(held, DENSE).calibration.of(documents()[0][1])
    assert stated[0] > 0.7
    assert stated[10] < 0.1


def test_how_kind_such_a_judge_is_follows_from_its_words() -> None:
    words = SimpleNamespace(where=lambda _, ids, names: pa.table([ids, [[1]] * 61], names))
    columns = {
        "doc_id": pa.array([f"d{n}" for n in range(61)]),
        "label_id": [1] + [5] * 60,  # the first is one that words find
        "answer": ["yes", *["yes", "no", "no", "no"] * 15],
        "p_yes": pa.nulls(61, pa.float32()),
    }
    assert _wrong(SimpleNamespace(lexical=words), pa.table(columns)) == 0.25


def test_a_bundle_keeps_the_first_candidates_and_all_that_were_judged() -> None:
    held = gathered()
    table = judged_tags(held, calibrate(held, DENSE))
    assert table.schema.equals(schemas.JUDGED_TAGS, check_metadata=True)
    rows = table.to_pylist()
    assert len(rows) == 2 * KEPT + 1
    right = {(row["document"], row["place"]): row["right"] for row in rows}
    first, second = KEYS.values()
    assert right[first, 25] == 0  # unclear is no yes
    assert (right[first, 0], right[first, 1], right[second, 2], right[second, 0]) == (1, 0, 1, None)
    assert {row["reviewed"] for row in rows} == {None}
    probabilities = [row["probability"] for row in rows[:KEPT]]
    assert probabilities == sorted(probabilities, reverse=True)


def test_without_held_aside_documents_nothing_is_known() -> None:
    held = held_pairs(iter([]), DENSE, Said({}, {}), {}, LABELS.__getitem__)
    fitted = calibrate(held, DENSE)
    assert fitted.calibration.of(documents()[0][1]).tolist() == [0.5] * 30
    assert judged_tags(held, fitted).num_rows == 0


def overrating(pairs: int = 3000, seed: int = 0) -> tuple[Held, np.ndarray]:
    """A judge that says yes twice as often as it should, of pairs whose truth follows a feature."""
    generator = np.random.default_rng(seed)
    cosine_N = generator.normal(size=pairs)
    true_N = 1 / (1 + np.exp(-(1.5 * cosine_N - 1.5)))
    judged_N = 1 / (1 + np.exp(-(1.5 * cosine_N + 0.5)))
    right_N = (generator.random(pairs) < true_N).astype(float)
    numbers = np.arange(pairs)
    nobody = np.full(pairs, NAN)
    keys = np.array([f"{n:016d}".encode() for n in numbers], object)
    every = np.ones(pairs, bool)
    held = Held(keys, keys, numbers * 0, cosine_N[:, None], judged_N, nobody, nobody, every)
    return held, right_N


def test_reviews_correct_what_the_judge_gets_wrong() -> None:
    held, right_N = overrating()
    plain = calibrate(held, ("cosine",)).calibration.apply(held.features_NF)
    assert plain.mean() > right_N.mean() + 0.25
    reviewed_N = np.where(np.arange(3000) < 150, right_N, NAN)
    few = Held(**{**vars(held), "reviewed_N": reviewed_N})
    fitted = calibrate(few, ("cosine",))
    assert fitted.correction.pairs == 150
    assert fitted.calibration.apply(held.features_NF).mean() == pytest.approx(
        right_N.mean(), abs=0.06
    )
    assert fitted.right_N[:150].tolist() == right_N[:150].tolist()
    rows = judged_tags(few, fitted)
    assert len(rows) - rows["reviewed"].null_count == 150
    answers = zip(few.labels_N[:150], right_N[:150], strict=True)
    asked = held_of(rows, {(key, key): answer == 1 for key, answer in answers})
    assert calibrate(asked, ("cosine",)).calibration == fitted.calibration


def test_a_few_reviews_move_little() -> None:
    held, _ = overrating()
    reviewed_N = np.where(np.arange(3000) < 2, 0.0, NAN)
    two = calibrate(Held(**{**vars(held), "reviewed_N": reviewed_N}), ("cosine",))
    plain = calibrate(held, ("cosine",)).calibration.apply(held.features_NF)
    moved = two.calibration.apply(held.features_NF)
    assert 0 < plain.mean() - moved.mean() < 0.35


def test_a_pair_is_the_words_if_it_is_among_the_first_that_they_find() -> None:
    ids, scores = np.arange(6, dtype=np.int32), np.linspace(1, 0, 6).astype(np.float32)
    words = np.array([4, 0, 5, 1], np.int32), scores[:4]
    known = Known((ids, scores), (ids, scores), words, 6)
    held = held_pairs(iter([("d0", known)]), WEIGHED, Said(VERDICTS, {}), KEYS, LABELS.__getitem__)
    assert np.flatnonzero(held.by_words_N).tolist() == [0, 4, 5]
    assert gathered().by_words_N.all()  # no list of words is known


def favouring(pairs: int = 4000, seed: int = 0) -> Held:
    """Log-odds, and a judge that is right of what the words find and likes all else."""
    generator = np.random.default_rng(seed)
    score_N, by_words_N = generator.normal(size=pairs), np.arange(pairs) % 2 == 0
    judged_N = np.where(by_words_N, 1 / (1 + np.exp(-(2 * score_N - 1))), 0.9)
    nobody = np.full(pairs, NAN)
    keys = np.array([f"{n:016d}".encode() for n in range(pairs)], object)
    places = np.zeros(pairs, int)
    return Held(keys, keys, places, score_N[:, None], judged_N, nobody, nobody, by_words_N)


def test_scores_of_weighed_sides_are_fitted_on_what_the_judge_had_no_hand_in() -> None:
    held = favouring()
    fitted = calibrate(held, WEIGHED)
    odds = fitted.calibration.log_odds(np.array([[0.0], [1.0]]))
    assert odds == pytest.approx([-1, 1], abs=0.02)  # 2 * score - 1, as what the words found
    assert fitted.kindness == AT_ITS_WORD
    few = Held(**{name: values[:90] for name, values in vars(held).items()})  # 45 of the words'
    assert calibrate(few, WEIGHED).calibration == Calibration()


def test_how_kind_a_judge_is_is_taken_out_and_kept_through_a_bundle() -> None:
    held = favouring()
    seen_N = 0.3 + 0.6 * held.judged_N
    kind = Held(**{**vars(held), "judged_N": seen_N})
    fitted = calibrate(kind, WEIGHED, 0.3)
    assert (fitted.kindness.wrong, fitted.kindness.right) == (0.3, pytest.approx(0.9, abs=0.03))
    odds = fitted.calibration.log_odds(np.array([[0.0], [1.0]]))
    assert odds == pytest.approx([-1, 1], abs=0.15)
    again = calibrate(held_of(judged_tags(kind, fitted), {}), WEIGHED, fitted.kindness.wrong)
    assert again.calibration == fitted.calibration
    old = judged_tags(kind, fitted).drop_columns(["by_words"])  # of a bundle that does not tell
    assert not held_of(old, {}).by_words_N.any()


def test_people_move_the_scores_of_weighed_sides() -> None:
    held, right_N = overrating()
    reviewed_N = np.where(np.arange(3000) < 150, right_N, NAN)
    reviewed = calibrate(Held(**{**vars(held), "reviewed_N": reviewed_N}), WEIGHED)
    stated = reviewed.calibration.apply(held.features_NF).mean()
    assert stated == pytest.approx(right_N.mean(), abs=0.06)


@pytest.mark.parametrize("reviews", [1, 5, 20, 100])
def test_reviews_do_not_bring_back_what_the_judge_likes(reviews: int) -> None:
    off = []
    for seed in range(5):
        held, generator = favouring(seed=seed), np.random.default_rng(seed)
        kind_N = 0.3 + 0.6 * held.judged_N
        true_N = 1 / (1 + np.exp(-(2 * held.features_NF[:, 0] - 1)))
        reviewed_N = np.full(len(true_N), NAN)
        asked = generator.choice(len(true_N), reviews, False)
        reviewed_N[asked] = generator.random(reviews) < true_N[asked]
        said = Held(**{**vars(held), "judged_N": kind_N, "reviewed_N": reviewed_N})
        stated_N = calibrate(said, WEIGHED, 0.3).calibration.apply(held.features_NF)
        off.append(np.abs(stated_N - true_N).mean())
    assert np.mean(off) < 0.04
