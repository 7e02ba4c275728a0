"""A finished run as it lies in its folder, written on the spot: nothing is trained or asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.left_out import LEFT_OUT
from lmtx_ray.io.publish import Dataset
from tests.tiny import TOPICS
from tests.tiny_bundle import LABELS, labels_table

Pair = tuple[str, int]
Rankings = Mapping[str, Sequence[int]]


def documents_table(count: int) -> pa.Table:
    """Documents d0, d1, …, all held aside: "a study of <topic> pain, number <n>"."""
    numbers = range(count)
    return pa.table(
        {
            "doc_id": [f"d{n}" for n in numbers],
            "title": [f"About the {TOPICS[n % 8]}" for n in numbers],
            "text": [f"A study of {TOPICS[n % 8]} pain, number {n}" for n in numbers],
            "split": ["held_aside"] * count,
        }
    )


def finished_run(
    folder: Path,
    shipped: Rankings,
    untrained: Rankings,
    yes: set[Pair],
    *,
    teacher: str = "lexical",
    final: str = "cycle_1_hybrid",
    bundle: str | None = None,
    left_out: Sequence[int] = (),
) -> str:
    """A run of one cycle whose judge accepted the pairs `yes` among all first three labels of both
    rankings (doc_id -> label ids); returns its folder. `left_out` are rows of its labels' file that
    were no labels."""
    run = str(folder)
    judged = {(d, label) for side in (shipped, untrained) for d in side for label in side[d][:3]}
    tables = {
        "documents": (documents_table(len(shipped)), schemas.DOCUMENTS),
        "labels": (labels_table(), schemas.LABELS),
        "hybrid 0": (_rankings(untrained), schemas.RANKINGS),
        "hybrid 1": (_rankings(shipped), schemas.RANKINGS),
        "verdicts 1": (verdict_rows(sorted(judged), yes, teacher), schemas.VERDICTS),
        "selection 1": (schemas.VERDICTS.empty_table(), schemas.VERDICTS),
    }
    steps = {name: _publish(run, name, *table) for name, table in tables.items()}
    rejects = Dataset(f"{run}/label-rejects-abc123", "abc123")
    rejects.commit_table("00000", schemas.REJECTS.empty_table(), rows_in=0)
    rejects.publish(["00000"], about={LEFT_OUT: list(left_out)})
    steps["label rejects"] = "label-rejects-abc123"
    if bundle:
        steps["bundle"] = Path(bundle).name
    summary = {"final": final, "selection": {"0": {}, "1": {}}, "methods": {}}
    end = pa.table({"summary": [json.dumps(summary)]})
    steps["evaluation"] = _publish(run, "evaluation", end, None)
    record = {"config": _config(run), "ended": "2026-01-01", "steps": steps}
    (folder / "ended").mkdir()
    (folder / "ended" / "one.json").write_text(json.dumps(record))
    return run


def _publish(run: str, name: str, table: pa.Table, schema: pa.Schema | None) -> str:
    step = name.replace(" ", "-") + "-abc123"
    table = schemas.conform(table, schema) if schema else table
    Dataset(f"{run}/{step}", "abc123").publish_table(table, rows=1000)
    return step


def _rankings(side: Rankings) -> pa.Table:
    scores = [[-float(place) for place in range(len(ids))] for ids in side.values()]
    return pa.table({"doc_id": list(side), "label_ids": list(side.values()), "scores": scores})


def verdict_rows(pairs: Sequence[Pair], yes: set[Pair], teacher: str) -> pa.Table:
    """VERDICTS on pairs of document and label: yes to those in `yes`, no to the others."""
    rows = [
        {
            "doc_id": doc_id,
            "label_id": label,
            "answer": "yes" if (doc_id, label) in yes else "no",
            "p_yes": 0.9 if (doc_id, label) in yes else 0.1,
            "mass": 1.0,
            "raw": None,
            "prompt": "prompt1",
            "teacher": teacher,
            "cycle": 1,
            "rank": 0,
            "asked": True,
        }
        for doc_id, label in pairs
    ]
    return pa.Table.from_pylist(rows, schema=schemas.VERDICTS)


def _config(run: str) -> dict[str, object]:
    return {
        "run": run,
        "corpus": {"documents": [f"{run}/gone.jsonl"], "labels": f"{run}/gone-labels.jsonl"},
        "encoder": {"model": "some/encoder"},
        "judge": {"teacher": {"kind": "lexical", "prompt": "tag"}},
    }


def by_topic(count: int, *offsets: int) -> dict[str, list[int]]:
    """doc_id -> labels of its topic ("disease" 0, "pain" 1, of the next topic 2, …)."""
    return {
        f"d{n}": [(2 * (n % 8) + offset) % len(LABELS) for offset in offsets] for n in range(count)
    }
