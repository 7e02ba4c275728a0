"""Two runs, or two outputs of tags, on the same documents: paired differences, and where they are.

With gold, metrics against it; without, of two runs that asked the same judge, its own opinion of
what each ships on the held-aside documents that both have.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.batch.tag_files import IDS
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.gold import GoldSource
from lmtx_ray.corpus.lines import UTF8, CorpusError
from lmtx_ray.evaluation import evaluation
from lmtx_ray.evaluation.differences import Differences
from lmtx_ray.evaluation.thresholds import counted
from lmtx_ray.loop.compared_pairs import Never, left_out
from lmtx_ray.loop.held_aside import held_aside_in
from lmtx_ray.loop.judged import JudgedRun, shipped_rankings
from lmtx_ray.loop.label_sources import label_names
from lmtx_ray.loop.matching import (
    Given,
    Numbering,
    as_table,
    gold_given,
    has_probabilities,
)
from lmtx_ray.loop.self_matching import rows_of_gold
from lmtx_ray.loop.sides import Side, known_by, side_of, together
from lmtx_ray.loop.texts import texts_of_run, texts_of_tags

TOP = 5  # tags of a document that examples show
EXAMPLES = 10
MOST_TITLE = 90  # characters of a title
AT = 0.5  # probability from which tags are kept for F1
logger = logging.getLogger(__name__)


def compare(
    first: str,
    second: str,
    gold: Given | GoldSource = None,
    labels: Given = None,
    documents: Sequence[str] = (),
    self_matches: str | None = None,
    row_ids: Sequence[str] | None = None,
    encoding: str = UTF8,
) -> dict[str, Any]:
    """What changes from the first to the second: `a`, `b`, `by` ("gold", or the judge that both
    asked), `documents`, `metrics` (see `Differences.told`) and `examples`, documents that differ
    most with their tags gained and lost.

    Args:
        gold: As `evaluate` takes it; of two runs with test documents their own gold, if None.
        labels: The label set; those of the runs and what the tags name, if None.
        documents: Files with the documents' titles, where tags do not tell what was tagged.
        self_matches: A file of pairs that count on no side, as `evaluate` takes it, with rows of
            `labels`, or of a run's label set. Of two runs with their own gold, what their
            `corpus.self_matches` say, if None.
        row_ids: The document id of each row that is counted there and in matrices of tags; by
            default the rows of the gold, or of the first run's test documents.
        encoding: Of lines of `documents` that are not UTF-8.

    Raises:
        ConfigError: A run that is not finished; tags without gold; runs that asked other judges,
            or read their answers otherwise; self-matches without gold.
        ValueError: No document is on all sides; self-matches, and labels without rows; keys meet
            ids and there are no `labels`.
    """
    sides = (side_of(first, row_ids), side_of(second, row_ids))
    own = _own_gold(sides) if gold is None else None
    gold = own if gold is None else gold
    names = label_names(labels) if labels is not None else together(sides)
    by = known_by(sides) if labels is None else None
    numbering = Numbering(names, strict=labels is not None, by=by)
    filtered: dict[str, Any] = {}
    if gold is not None:
        if self_matches is not None and row_ids is None and own is None:
            row_ids = rows_of_gold(gold)
        never = Never(self_matches, row_ids, own is not None)
        found, filtered = _by_gold(sides, numbering, gold_given(gold), never)
        by = "gold"
    elif self_matches is not None:
        raise ConfigError("self-matches count rows of gold, and a judge has none: give --gold")
    else:
        by, found = _by_judge(sides, numbering)
    most = found.most(EXAMPLES)
    titles = _titles(sides, most, documents, encoding)
    return {
        "a": sides[0].name,
        "b": sides[1].name,
        "by": by,
        "documents": len(found.doc_ids),
        **filtered,
        "metrics": found.told(),
        "examples": [_example(found, numbering, doc_id, titles.get(doc_id)) for doc_id in most],
    }


def _own_gold(sides: Sequence[Side]) -> pa.Table | None:
    """The first run's gold of its test documents, where both are runs that have some."""
    runs = [side.run for side in sides if side.run and side.run.has("test gold")]
    return sides[0].by_keys(runs[0].steps["test gold"].read()) if len(runs) == 2 else None


def _by_gold(
    sides: Sequence[Side], numbering: Numbering, truth: pa.Table | GoldSource, given: Never
) -> tuple[Differences, dict[str, Any]]:
    gold = numbering.gold(truth).labels
    wanted = pa.array([doc_id for doc_id, labels in gold.items() if labels], pa.string())
    ranked = [numbering.table(side.place, side.answers(wanted)) for side in sides]
    never = given.pairs(sides, numbering)
    gold, ranked, told = left_out(never, gold, ranked)
    wanted = pa.array([doc_id for doc_id, labels in gold.items() if labels], pa.string())
    both = _on_all_sides(sides, ranked, wanted)
    right = as_table({doc_id: gold[doc_id] for doc_id in both})
    columns = [_metrics(table, right) for table in ranked]
    if all(map(has_probabilities, ranked)):
        for column, table in zip(columns, ranked, strict=True):
            column[f"F1 from {AT:g}"] = _f1(table, right)
    truths = {doc_id: set(gold[doc_id]) for doc_id in both}
    first, second = (np.stack(list(column.values()), axis=1) for column in columns)
    tops = [_tops(table, both) for table in ranked]
    found = Differences(
        doc_ids=both,
        metrics=list(columns[0]),
        first_BM=first,
        second_BM=second,
        first_tops=tops[0],
        second_tops=tops[1],
        is_right=lambda doc_id, label: label in truths[doc_id],
    )
    return found, told


def _on_all_sides(sides: Sequence[Side], ranked: Sequence[pa.Table], gold: pa.Array) -> list[str]:
    for table in ranked:
        gold = gold.filter(pc.is_in(gold, value_set=table["doc_id"].combine_chunks()))
    if not len(gold):
        said = [
            f"{side.place} has {table['doc_id'].slice(0, 3).to_pylist()}"
            for side, table in zip(sides, ranked, strict=True)
        ]
        raise CorpusError(f"no document is on both sides and in the gold: {', '.join(said)}")
    both: list[str] = gold.to_pylist()
    return both


def _metrics(ranked: pa.Table, right: pa.Table) -> dict[str, np.ndarray]:
    """metric -> float64 [B], in the order of `right`."""
    rows = evaluation.evaluate(ranked, right)
    names = pc.unique(rows["metric"]).to_pylist()
    return {name: rows.filter(pc.equal(rows["metric"], name))["value"].to_numpy() for name in names}


def _f1(ranked: pa.Table, right: pa.Table) -> np.ndarray:
    """F1 of each document if tags of the probability AT and more are kept."""
    hits_B1, kept_B1, true_B = counted(ranked, right, [AT])
    f1_B: np.ndarray = 2 * hits_B1[:, 0] / (kept_B1[:, 0] + true_B)
    return f1_B


def _tops(ranked: pa.Table, doc_ids: Sequence[str]) -> dict[str, list[int]]:
    rows = ranked.filter(pc.is_in(ranked["doc_id"], value_set=pa.array(doc_ids, pa.string())))
    return {row["doc_id"]: row[IDS][:TOP] for row in rows.select(["doc_id", IDS]).to_pylist()}


def _by_judge(sides: Sequence[Side], numbering: Numbering) -> tuple[str, Differences]:
    """By the opinion of the judge that both runs asked, on documents both held aside."""
    runs = [JudgedRun.of_finished(side.run) for side in sides if side.run]
    if len(runs) < 2:
        raise ConfigError("tags have no judge's opinion: give --gold, or compare two runs")
    if runs[0].judge() != runs[1].judge():
        raise ConfigError(
            f"the runs asked different judges ({runs[0].name}, {runs[1].name}, or other prompts or "
            "settings): their opinions are no common measure; give --gold"
        )
    if runs[0].reading() != runs[1].reading():
        raise ConfigError(
            "the runs read their judge's answers in different ways (judge.teacher.least_mass, "
            "judge.calibration or pseudo_labels.accept_deviations): their opinions are no common "
            "measure; give --gold"
        )
    first, second = (held_aside_in(run.documents) for run in runs)
    both = first.filter(pc.is_in(first, value_set=second))
    if not len(both):
        raise CorpusError("the runs held no document aside that both have; give --gold")
    said = _said(sides, runs, both, numbering)
    cuts = sorted({1, min(run.config.judge.select_k for run in runs)})
    doc_ids: list[str] = both.to_pylist()
    tops, values = [], []
    for side in sides:
        assert side.run is not None
        rows = shipped_rankings(side.run).where("doc_id", both, ["doc_id", IDS])
        tops.append(top := _tops(numbering.table(side.place, side.by_keys(rows)), doc_ids))
        yes = [[said.get((doc_id, label), False) for label in top[doc_id]] for doc_id in doc_ids]
        shares = [[sum(row[:k]) / k for k in cuts] for row in yes]
        values.append(np.array(shares, np.float64))
    names = [f"judged P@{k}" for k in cuts]
    by = f"the opinion of the judge {runs[0].name} itself, no gold"
    return by, Differences(
        doc_ids=doc_ids,
        metrics=names,
        first_BM=values[0],
        second_BM=values[1],
        first_tops=tops[0],
        second_tops=tops[1],
        is_right=lambda doc_id, label: said.get((doc_id, label)),
    )


def _said(
    sides: Sequence[Side], runs: Sequence[JudgedRun], doc_ids: pa.Array, numbering: Numbering
) -> dict[tuple[str, int], bool]:
    """(doc_id, number of a label) -> whether the judge accepted it, in either run."""
    said: dict[tuple[str, int], bool] = {}
    for side, run in zip(sides, runs, strict=True):
        for row in run.said(doc_ids).select(["doc_id", "label_id", "answer"]).to_pylist():
            label = numbering.number(side.names.key(row["label_id"]))
            said[row["doc_id"], label] = row["answer"] == "yes"
    return said


def _titles(
    sides: Sequence[Side], doc_ids: Sequence[str], documents: Sequence[str], encoding: str
) -> dict[str, str]:
    """Title of each document, or the beginning of its text; of those that can be found."""
    for side in sides:
        try:
            if side.run:
                found = texts_of_run(side.run, doc_ids)
            else:
                found = texts_of_tags(side.place, doc_ids, documents, encoding=encoding)
        except (ValueError, OSError) as error:  # titles are a help, not the result
            logger.info("no titles: %s", error)
            continue
        if found:
            return {doc_id: (one.title or one.whole)[:MOST_TITLE] for doc_id, one in found.items()}
    return {}


def _example(
    found: Differences, numbering: Numbering, doc_id: str, title: str | None
) -> dict[str, Any]:
    def shown(labels: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {
                "key": numbering.key(label),
                "label": numbering.text(label),
                "right": found.is_right(doc_id, label),
            }
            for label in labels
        ]

    first, second = found.first_tops.get(doc_id, []), found.second_tops.get(doc_id, [])
    return {
        "doc_id": doc_id,
        "title": title,
        "first": [next(iter(shown(top[:1])), None) for top in (first, second)],
        "gained": shown([label for label in second if label not in first]),
        "lost": shown([label for label in first if label not in second]),
    }
