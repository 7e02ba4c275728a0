"""The documents that the report looks at closely, with the tags that the run would give them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.self_matches import Pairs as SelfMatches
from lmtx_ray.corpus.self_matches import without
from lmtx_ray.io import storage
from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.finished_run import FinishedRun
from lmtx_ray.loop.judged import JudgedRun
from lmtx_ray.loop.self_matching import pairs_of_finished
from lmtx_ray.loop.shipping import state_of
from lmtx_ray.reporting.pairs import Pairs, against_gold, against_judge, flatten
from lmtx_ray.reporting.stated import stated_probabilities

MOST_DOCUMENTS = 5000
GOLD = ("doc_id", "label_ids")
STATED = "stated"  # a column of the probabilities of a row's labels
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """Documents, tagged by what ships. `total` is how many there are of which these were taken;
    `units` the units that they are in, empty for all; `gold` their right labels, None without;
    `never` pairs that count on no side."""

    pairs: Pairs
    total: int
    units: tuple[str, ...] = ()
    gold: Mapping[str, set[int]] | None = None
    never: SelfMatches = field(default_factory=dict)


def shipped(run: FinishedRun) -> tuple[int, str]:
    """(state, "dense", "hybrid" or "learned") of what the bundle holds."""
    return state_of(str(run.summary["final"]))


def test_sample(run: FinishedRun) -> Sample | None:
    """Test documents with gold, evenly over their units; None without any."""
    if not run.has("test gold"):
        return None
    units = _spread(run.steps["test documents"])
    shipping = _Shipping(run)
    parts = [(unit, shipping.rankings(unit)) for unit in units]
    doc_ids = pa.concat_tables([ranked.select(["doc_id"]) for _, ranked in parts])["doc_id"]
    labelled = run.steps["test gold"].where("doc_id", doc_ids.combine_chunks(), GOLD)
    never = _never(run)
    labelled = without(labelled, never)
    rows = zip(labelled["doc_id"].to_pylist(), labelled["label_ids"].to_pylist(), strict=True)
    gold = {doc_id: set(labels) for doc_id, labels in rows if labels}
    if not gold:
        return None
    with_gold = pa.array(list(gold), pa.string())
    kept = [(unit, t.filter(pc.is_in(t["doc_id"], value_set=with_gold))) for unit, t in parts]
    pairs = against_gold(shipping.flat(kept, never), gold)
    return Sample(pairs, run.steps["test gold"].rows(), units, gold, never)


def _never(run: FinishedRun) -> SelfMatches:
    """Pairs that count on no side, as in the run's own evaluation."""
    try:
        return pairs_of_finished(run)
    except (ValueError, OSError) as error:  # the file may have gone since the run ended
        logger.warning("self-matches count in this report: %s", error)
        return {}


def held_aside_sample(run: FinishedRun) -> Sample | None:
    """Documents that were held aside, with what the judge said of their first tags; None where it
    was never asked."""
    if not run.is_judged:
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
    rows = JudgedRun.of_finished(run).said(doc_ids).to_pylist()
    return {(row["doc_id"], row["label_id"]): row["answer"] for row in rows}


def _spread(step: PublishedFolder) -> tuple[str, ...]:
    """Units of a step, evenly spread, that hold about MOST_DOCUMENTS rows."""
    manifest = step.manifest()
    units = [unit.unit for unit in manifest.units]
    wanted = max(len(units) * MOST_DOCUMENTS // max(manifest.rows(), 1), 1)
    places = np.linspace(0, len(units) - 1, min(len(units), wanted)).astype(int)
    return tuple(units[place] for place in np.unique(places))


class _Shipping:
    """What ships, on test documents, unit by unit; each manifest is read once."""

    def __init__(self, run: FinishedRun) -> None:
        self._run, self._files = run, dict[str, dict[str, str]]()
        self._state, self._kind = shipped(run)

    def rankings(self, unit: str, kind: str = "") -> pa.Table:
        """Those that ship, or others of the same state."""
        kind = kind or self._kind
        name = "test lexical" if kind == "lexical" else f"test {kind} {self._state}"
        if name not in self._files:
            self._files[name] = self._run.steps[name].unit_files()
        return storage.read_table(self._files[name][unit])

    def flat(self, parts: Sequence[tuple[str, pa.Table]], never: SelfMatches) -> Pairs:
        """Rankings of units as pairs but those that never count, with the probabilities that the
        bundle states, if any."""
        ranked = pa.concat_tables([table for _, table in parts])
        stated = None
        if self._run.is_judged:
            bundle = self._run.steps["bundle"]
            by_unit = [
                stated_probabilities(bundle, table, partial(self.rankings, unit))
                for unit, table in parts
            ]
            stated = [p for probabilities in by_unit for p in probabilities]
            ranked = _with(ranked, stated)
        if never:
            ranked = without(ranked, never)
        if stated is not None:
            stated = [np.array(p, np.float64) for p in ranked[STATED].to_pylist()]
        return flatten(ranked["doc_id"].to_pylist(), ranked["label_ids"].to_pylist(), stated)


def _with(ranked: pa.Table, stated: Sequence[np.ndarray]) -> pa.Table:
    lists = pa.array([p.tolist() for p in stated], pa.list_(pa.float64()))
    return ranked.append_column(STATED, lists)
