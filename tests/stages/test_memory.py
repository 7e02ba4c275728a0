"""The memory of judged documents, built from published fragments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lmtx_ray.config.components import PseudoLabelConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.evaluation.combining import FOLDS, Combiners
from lmtx_ray.evaluation.pair_features import LEARNED
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.search.candidates import to_rankings
from lmtx_ray.search.memory import Memory, Remembered, document_key
from lmtx_ray.stages import memory as stage
from lmtx_ray.stages.memory import Combine, build_memory, write_combiners

LABELS = 5


def verdict(doc_id: str, label: int, p_yes: float | None, answer: str) -> dict:
    """A row of VERDICTS."""
    row = {"doc_id": doc_id, "label_id": label, "answer": answer, "p_yes": p_yes, "mass": 1.0}
    return row | {"raw": "", "prompt": "p", "teacher": "t", "cycle": 1, "rank": 0, "asked": True}


def write_unit(folder: Path, number: int, splits: list[str]) -> list[str]:
    """URIs of the documents d<number>0, d<number>1, … with their vectors and verdicts."""
    ids = [f"d{number}{place}" for place in range(len(splits))]
    documents = pa.table({"doc_id": ids, "title": [None] * len(ids), "text": ids, "split": splits})
    turned = np.eye(4, dtype=np.float32)[: len(ids)]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(turned.ravel()), 4)
    rows = [
        row
        for doc_id in ids
        for row in (
            verdict(doc_id, 1, 0.9, "yes"),
            verdict(doc_id, 2, 0.2, "no"),
            verdict(doc_id, 3, 0.5, "unclear"),
        )
    ]
    tables = {
        "documents": schemas.conform(documents, schemas.DOCUMENTS),
        "vectors": pa.table({"id": ids, "vector": vectors}),
        "verdicts": pa.Table.from_pylist(rows, schema=schemas.VERDICTS),
    }
    uris = [str(folder / f"{name}-{number}.parquet") for name in tables]
    for uri, table in zip(uris, tables.values(), strict=True):
        storage.write_table(uri, table)
    return uris


@pytest.mark.parametrize("most", [100, 3, 1])
def test_it_remembers_so_many_training_documents_whatever_their_units(
    tmp_path: Path, most: int
) -> None:
    units = [write_unit(tmp_path, n, ["train", "held_aside", "train"]) for n in range(4)]
    rules = PseudoLabelConfig().model_dump(mode="json")
    made = []
    for name, order in (("a", units), ("b", units[::-1])):
        (tmp_path / name).mkdir()
        build_memory(tmp_path / name, order, LABELS, most, rules)
        made.append((tmp_path / name / "memory.safetensors").read_bytes())
    assert made[0] == made[1]
    memory = Memory.load(tmp_path / "a")
    trained = [f"d{n}{place}" for n in range(4) for place in (0, 2)]
    assert len(memory) == min(most, len(trained))
    nearest = np.eye(4, dtype=np.float32)[:1]
    ids, _ = memory.search(nearest, 5)
    assert ids[0].tolist() == [1, -1, -1, -1, -1]  # refused and unclear labels have no vote
    keys = [document_key(doc_id) for doc_id in trained]
    assert len(set(keys)) == len(trained)
    asked, yes = len(trained), 0.9 * len(trained)  # of a refused label no P(yes) counts
    odds = (yes + 0.5) / (asked - yes + 1.5), 0.5 / (asked + 1.5), 0.5 / 1.5
    # unclear is as if it had not been asked
    assert memory.histories(np.array([1, 2, 3])) == pytest.approx(np.log(odds), abs=1e-5)


def weight_of(feature: str) -> Calibration:
    """All the weight on one of the features of learned fusion."""
    weights = tuple(float(name == feature) for name in LEARNED)
    return Calibration(LEARNED, weights, (0.0,) * len(weights), (1.0,) * len(weights))


def rankings(doc_ids: list[str], labels: list[int]) -> pa.Table:
    """The same labels for every document, best first."""
    scores = np.arange(len(labels), 0, -1, np.float32)
    ids_BK, scores_BK = (np.stack([row] * len(doc_ids)) for row in (np.array(labels), scores))
    return to_rankings(doc_ids, ids_BK, scores_BK)


def test_a_held_aside_document_is_weighed_by_its_fold_and_each_by_its_own_rankings(
    tmp_path: Path,
) -> None:
    memory, combiner = (Dataset(str(tmp_path / name), name) for name in ("memory", "combiner"))
    memory.publish_folder(Remembered.of([], np.zeros(LABELS), np.zeros(LABELS)).save)
    combiners = Combiners(weight_of("dense_place"), (weight_of("lexical_place"),) * FOLDS)
    combiner.publish_folder(lambda folder: write_combiners(folder, combiners))
    combine = Combine(memory.uri, combiner.uri, 3)
    ids = ["a", "b"]
    documents = pa.table({"doc_id": ids, "split": ["train", "held_aside"]})
    sides = [rankings(ids, labels) for labels in ([2, 1, 0], [0, 1, 2], [1])]
    found = combine(documents, *sides)
    assert found["doc_id"].to_pylist() == ids
    assert found["label_ids"].to_pylist() == [[2, 1, 0], [0, 1, 2]]
    with pytest.raises(ValueError, match="rankings of other documents"):
        combine(documents, *sides[:2], rankings(ids[::-1], [1]))


def test_what_is_kept_of_a_unit_holds_nothing_else_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else some documents of every unit would keep the vectors of the whole corpus."""
    waiting: list[int] = []
    least = stage._least

    def seen(found: list, most: int) -> list:
        waiting.append(len(found))
        assert all(vector_D.base is None for _, vector_D, _, _ in found)
        return least(found, most)

    monkeypatch.setattr(stage, "_least", seen)
    units = [write_unit(tmp_path, n, ["train"] * 4) for n in range(12)]
    build_memory(tmp_path, units, LABELS, 8, PseudoLabelConfig().model_dump(mode="json"))
    assert max(waiting) <= 8 + 1 + 4
