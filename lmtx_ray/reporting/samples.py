"""The documents that the report looks at closely, with the tags that the run would give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.io import storage
from lmtx_ray.loop.finished_run import FinishedRun, verdict_names
from lmtx_ray.reporting.pairs import DEEP, Pairs, against_gold, against_judge, flatten
from lmtx_ray.reporting.stated import stated_probabilities
from lmtx_ray.student.pseudo_labels import relative

MOST_DOCUMENTS = 5000
GOLD = ("doc_id", "label_ids")
JUDGED = ("doc_id", "label_id", "answer", "p_yes")


@dataclass(frozen=True)
class Sample:
    """Documents, tagged by what ships. `total` is how many there are of which these were taken;
    `units` the units that they are in, empty for all; `gold` their right labels, None without."""

    pairs: Pairs
    total: int
    units: tuple[str, ...] = ()
    gold: Mapping[str, set[int]] | None = None


def shipped(run: FinishedRun) -> tuple[int, str]:
    """(state, "dense" or "hybrid") of what the bundle holds."""
    final = str(run.summary["final"])
    if not final.startswith("cycle_"):
        return 0, "hybrid" if final == "hybrid" else "dense"
    _, number, *fused = final.split("_")
    return int(number), "hybrid" if fused else "dense"


def test_sample(run: FinishedRun) -> Sample | None:
    """Test documents with gold, evenly over their units; None without any."""
    if not run.has("test gold"):
        return None
    units = _spread(run, "test documents")
    parts = [(unit, _ranked(run, "test ", unit)) for unit in units]
    doc_ids = pa.concat_tables([ranked.select(["doc_id"]) for _, ranked in parts])["doc_id"]
    labelled = run.steps["test gold"].where("doc_id", doc_ids.combine_chunks(), GOLD)
    rows = zip(labelled["doc_id"].to_pylist(), labelled["label_ids"].to_pylist(), strict=True)
    gold = {doc_id: set(labels) for doc_id, labels in rows if labels}
    with_gold = pa.array(list(gold), pa.string())
    parts = [
        (unit, ranked.filter(pc.is_in(ranked["doc_id"], value_set=with_gold)))
        for unit, ranked in parts
    ]
    pairs = _flat(run, "test ", parts)
    total = run.steps["test gold"].rows()
    return Sample(against_gold(pairs, gold), total, units, gold) if gold else None


def held_aside_sample(run: FinishedRun) -> Sample | None:
    """Documents that were held aside, with what the judge said of their first tags; None where it
    was never asked."""
    if not run.ran:
        return None
    aside = pa.array(["held_aside"], pa.string())
    doc_ids = run.steps["documents"].where("split", aside, ["doc_id"])["doc_id"].combine_chunks()
    doc_ids = doc_ids[:MOST_DOCUMENTS]
    if not len(doc_ids):
        return None
    state, kind = shipped(run)

    def rankings(name: str) -> pa.Table:
        step = run.steps["lexical" if name == "lexical" else f"{name} {state}"]
        return step.where("doc_id", doc_ids, ["doc_id", "label_ids", "scores"])

    ranked = rankings(kind)
    stated = stated_probabilities(run.steps["bundle"], ranked, rankings)
    pairs = flatten(ranked["doc_id"].to_pylist(), ranked["label_ids"].to_pylist(), stated)
    return Sample(against_judge(pairs, judged_answers(run, doc_ids)), len(doc_ids))


def judged_answers(run: FinishedRun, doc_ids: pa.Array) -> dict[tuple[str, int], str]:
    """What the judge answered about pairs of some documents, as selection reads it."""
    steps = [run.steps[name] for name in verdict_names(run)]
    verdicts = pa.concat_tables([step.where("doc_id", doc_ids, JUDGED) for step in steps])
    rows = relative(verdicts, run.config.pseudo_labels).to_pylist()
    return {(row["doc_id"], row["label_id"]): row["answer"] for row in rows}


def _spread(run: FinishedRun, name: str) -> tuple[str, ...]:
    """Units of a step, evenly spread, that hold about MOST_DOCUMENTS rows."""
    units = [unit.unit for unit in run.steps[name].manifest().units]
    rows = max(run.steps[name].rows(), 1)
    wanted = min(len(units), max(len(units) * MOST_DOCUMENTS // rows, 1))
    places = np.unique(np.linspace(0, len(units) - 1, wanted).astype(int)) if units else []
    return tuple(units[place] for place in places)


def _ranked(run: FinishedRun, side: str, unit: str, name: str = "") -> pa.Table:
    """Rankings of a unit: those that ship, or others of the same state."""
    state, kind = shipped(run)
    name = name or kind
    step = f"{side}lexical" if name == "lexical" else f"{side}{name} {state}"
    return storage.read_table(run.steps[step].unit_files()[unit])


def _flat(run: FinishedRun, side: str, parts: list[tuple[str, pa.Table]]) -> Pairs:
    doc_ids: list[str] = []
    labels: list[list[int]] = []
    stated: list[np.ndarray] = []
    for unit, ranked in parts:

        def rankings(name: str, unit: str = unit) -> pa.Table:
            return _ranked(run, side, unit, name)

        doc_ids += ranked["doc_id"].to_pylist()
        labels += ranked["label_ids"].to_pylist()
        known = stated_probabilities(run.steps["bundle"], ranked, rankings) if run.ran else []
        stated += [p[:DEEP] for p in known]
    return flatten(doc_ids, labels, stated if run.ran else None)
