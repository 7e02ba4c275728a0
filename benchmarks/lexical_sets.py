"""What the untouched encoder, words, and both fused by reciprocal ranks find on labelled sets, and
by which constant they are fused best: chosen on one half of the documents, measured on the other.

Shapes: B documents, K candidates, L labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality_sets import Sizes, gold_of, texts_of
from lmtx_ray.config.search import FUSION_CONSTANT
from lmtx_ray.evaluation.metrics import bootstrap_difference, recall_at_k
from lmtx_ray.search.candidates import reciprocal_rank_fusion
from lmtx_ray.search.lexical import LexicalIndex

DEPTH, CUTS, SHORTLIST = 100, (10, 100), 20  # SHORTLIST: labels that a judge is asked about
QUICK = {"documents": 150, "labels": 4_000}
FULL = {"documents": 600, "labels": 0}
BEFORE = 60  # the constant of Cormack 2009
CONSTANTS = (1, 2, 3, 5, 8, 10, 15, 20, 30, BEFORE)
FUSED = "fused over the better of both"
Values = Mapping[str, np.ndarray]  # metric -> of each document, in points of 100


@dataclass(frozen=True)
class Found:
    """Values of a set's documents: of each side alone, and fused by each constant."""

    labels: int
    named: float  # labels that words find of a document
    sides: Mapping[str, Values]
    fused: Mapping[int, Values]


def chosen(texts_L: list[str], truth: list[frozenset[int]], most: int) -> tuple[list[str], list]:
    """The labels of gold and a sample of the others, `most` together, with the gold's new places;
    all of them where `most` is 0."""
    if not 0 < most < len(texts_L):
        return texts_L, truth
    gold = np.array(sorted(set().union(*truth)))
    others = np.setdiff1d(np.arange(len(texts_L)), gold)
    drawn = np.random.default_rng(0).permutation(others)[: max(most - len(gold), 0)]
    kept = np.sort(np.concatenate([gold, drawn]))
    return [texts_L[place] for place in kept], [
        frozenset(np.searchsorted(kept, sorted(own)).tolist()) for own in truth
    ]


def look(folder: Path, documents: int, labels: int) -> Found:
    """Search a set; each text is encoded once."""
    from benchmarks.quality_states import nearest, vectors_of
    from lmtx_ray.config.components import EncoderConfig
    from lmtx_ray.student.encoder import Encoder

    asked = texts_of(folder, 0, Sizes(test=documents))
    gold = gold_of(folder)
    own, truth = chosen(asked.labels, [gold[one.doc_id] for one in asked.test], labels)
    encoder = Encoder(EncoderConfig())
    dense_BK = nearest(vectors_of(encoder, asked.test), encoder.encode(own, "label"))[0]
    lexical_BK, _ = LexicalIndex.build(own).search([one.whole for one in asked.test], DEPTH)
    return compared(dense_BK, lexical_BK, truth, len(own))


def compared(
    dense_BK: np.ndarray, lexical_BK: np.ndarray, truth: Sequence[frozenset[int]], labels: int
) -> Found:
    """Values of both sides' lists, and fused by each constant."""
    sides = [dense_BK, lexical_BK]
    fused = {
        constant: values_of(reciprocal_rank_fusion(sides, DEPTH, constant=constant)[0], truth)
        for constant in CONSTANTS
    }
    named = float((lexical_BK >= 0).sum(axis=1).mean())
    alone = {"dense": values_of(dense_BK, truth), "lexical": values_of(lexical_BK, truth)}
    return Found(labels, named, alone, fused)


def values_of(ids_BK: np.ndarray, truth: Sequence[frozenset[int]]) -> dict[str, np.ndarray]:
    """P@1, and recall at the cuts and of the shortlist, in points of 100."""
    first_B = [float(row[0] in own) for row, own in zip(ids_BK.tolist(), truth, strict=True)]
    found = {f"R@{k}": 100 * recall_at_k(ids_BK, truth, k) for k in sorted({SHORTLIST, *CUTS})}
    return {"P@1": 100 * np.array(first_B), **found}


def told(found: Found) -> dict[str, Any]:
    """Means, and paired differences with 95 % bootstrap intervals: of fused over the better side
    alone, and over the constant of before."""
    fused = found.fused[FUSION_CONSTANT]
    count = len(fused["P@1"])
    result: dict[str, Any] = {"documents": count, "labels": found.labels}
    result["named"] = round(found.named, 1)
    result |= {name: means(values) for name, values in found.sides.items()}
    result["fused"] = means(fused)
    result |= {f"fused, constant {c}": means(values) for c, values in found.fused.items()}
    for metric in fused:
        better_B = better(found.sides, metric)
        result[f"{FUSED}, {metric}"] = difference(fused[metric], better_B)
        before_B = found.fused[BEFORE][metric]
        result[f"fused over constant {BEFORE}, {metric}"] = difference(fused[metric], before_B)
    return result


def means(values: Values) -> dict[str, float]:
    """Rounded."""
    return {name: round(float(value_B.mean()), 2) for name, value_B in values.items()}


def better(sides: Mapping[str, Values], metric: str) -> np.ndarray:
    """The values of the side whose mean is higher."""
    return max((values[metric] for values in sides.values()), key=lambda value_B: value_B.mean())


def difference(first_B: np.ndarray, second_B: np.ndarray) -> list[float]:
    """[mean, low, high] of the paired difference."""
    return [round(value, 2) for value in bootstrap_difference(first_B, second_B, seed=7)]


def by_halves(sets: Mapping[str, Found]) -> Iterator[dict[str, Any]]:
    """The constant of the most R@10, in the mean of all sets, on every second document, and what it
    finds on the others; then the other way round."""
    for here, there in ((0, 1), (1, 0)):
        means_C = {
            c: np.mean([found.fused[c]["R@10"][here::2].mean() for found in sets.values()])
            for c in CONSTANTS
        }
        best = max(CONSTANTS, key=lambda c: (means_C[c], -c))
        yield {"chosen": best, "on the other half": _halved(sets, best, there)}


def _halved(sets: Mapping[str, Found], constant: int, half: int) -> dict[str, Any]:
    result = {}
    for name, found in sets.items():
        sides = {
            side: {metric: value_B[half::2] for metric, value_B in values.items()}
            for side, values in found.sides.items()
        }
        result[name] = {
            metric: {
                "over the better of both": difference(value_B[half::2], better(sides, metric)),
                f"over constant {BEFORE}": difference(
                    value_B[half::2], found.fused[BEFORE][metric][half::2]
                ),
            }
            for metric, value_B in found.fused[constant].items()
        }
    return result
