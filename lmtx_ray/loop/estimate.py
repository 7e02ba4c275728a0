"""What a run would do: steps complete or to do, and how many judge calls and tokens at most."""

from __future__ import annotations

from typing import Any

from lmtx_ray.corpus.counting import Counts, count_corpus
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.preflight import check
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.training_plan import training, training_told
from lmtx_ray.teacher.questions import Plan, judge_asks, learned_asks, select_asks

TOKENS_PER_WORD = 1.5  # word pieces of scientific English; an estimate until a tokenizer is loaded
UNTRAINED = (
    "judge: none; what ships is the untrained hybrid search, whose tags nobody has judged; "
    "`--set source=title` or `source=segment` trains on the documents alone"
)
ASKS_NOBODY = (
    "judge: none is asked; what ships is trained on the documents' own texts, and nobody judges it"
)
QUESTION_TOKENS = 8  # a label and the words around it


def describe(config: RunConfig) -> dict[str, Any]:
    """Validated inputs, every step's state, and upper bounds of the teacher's work.

    Reads the corpus (once, as long as its files stay as they are); loads no model and starts no
    cluster. Raises what a run would raise for bad inputs.
    """
    check(config)
    layout = lay_out(config)
    counts = count_corpus(config.corpus)
    steps = {name: step.is_complete() for name, step in layout.steps()}
    trained = training(config, counts)
    return {
        "run": config.run,
        "documents": _splits(counts),
        "labels": counts.labels,
        "gold": counts.test,
        "rejects": counts.rejects,
        "first_rejects": list(counts.reasons),
        "steps": {name: "complete" if done else "to do" for name, done in steps.items()},
        "untrained": config.rounds == 0,
        "training": trained,
        "judge": _judge_bounds(config, counts, steps),
    }


def _splits(counts: Counts) -> dict[str, int]:
    splits = {
        "train": counts.documents - counts.held_aside,
        "held_aside": counts.held_aside,
        "test": counts.test,
    }
    return {name: count for name, count in splits.items() if count}


def _judge_bounds(
    config: RunConfig, counts: Counts, complete: dict[str, bool]
) -> dict[str, int | float]:
    splits, judge = _splits(counts), config.judge
    calls, weighed = 0, config.shortlist.memory_documents > 0
    for number in range(1, config.rounds + 1) if config.learns_from_judge else ():
        if not complete[f"verdicts {number}"]:
            calls += _asked(splits, judge_asks(judge, number == 1, weighed and number > 1))
        if not complete[f"selection {number}"]:
            calls += _asked(splits, select_asks(judge, weighed))
        if not complete.get(f"learned selection {number}", True):
            calls += _asked(splits, learned_asks(judge))
    if not complete.get("test verdicts", True):
        calls += splits["test"] * judge.rerank_k
    if not complete.get("test icxml verdicts", True):
        calls += splits["test"] * (judge.icxml_k + (not complete["test phrases"]))
    document = min(judge.teacher.max_document_tokens, TOKENS_PER_WORD * counts.words)
    per_document = document / max(judge.top_k, 1)
    return {
        "calls_at_most": calls,
        "prompt_tokens_at_most": round(calls * (document + QUESTION_TOKENS)),
        "computed_tokens_with_shared_prefix": round(calls * (per_document + QUESTION_TOKENS)),
    }


def _asked(splits: dict[str, int], plan: Plan) -> int:
    """Most questions of a plan about documents to learn from."""
    return sum(
        splits.get(split, 0) * sum(k for _, k in asks)
        for split, asks in plan.items()
        if split != "test"
    )


def render_plan(plan: dict[str, Any]) -> str:
    """The plan for a terminal."""
    documents = ", ".join(f"{count:,} {split}" for split, count in plan["documents"].items())
    judge, told = plan["judge"], training_told(plan["training"])
    if plan["untrained"]:
        asks = UNTRAINED
    elif judge["calls_at_most"] or not plan["training"]["asks_nobody"]:
        asks = _bounds_told(judge)
    else:
        asks = ASKS_NOBODY
    steps = "\n".join(f"  {state:9} {name}" for name, state in plan["steps"].items())
    rejects = "".join(f"  {line}\n" for line in plan["first_rejects"])
    return (
        f"run {plan['run']}\n"
        f"documents: {documents}; labels: {plan['labels']:,}; "
        f"gold: {plan['gold']:,}; rejected rows: {plan['rejects']:,}\n"
        f"{rejects}"
        f"{steps}\n{told}{asks}"
    )


def _bounds_told(judge: dict[str, int]) -> str:
    return (
        f"judge: at most {judge['calls_at_most']:,} calls, {judge['prompt_tokens_at_most']:,} "
        f"prompt tokens, of which about {judge['computed_tokens_with_shared_prefix']:,} are "
        "computed when a document's candidates share its prefix"
    )
