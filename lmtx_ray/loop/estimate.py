"""What a run would do: steps complete or to do, and what the judge is asked and costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from lmtx_ray.corpus.counting import Counts, count_corpus
from lmtx_ray.loop.bill import StoredPairs, add_up, prior_bills, step_bills
from lmtx_ray.loop.corpus_sample import Sample, labels_in_use, sample_corpus
from lmtx_ray.loop.judge_rate import known_rate, measured_rate
from lmtx_ray.loop.layout import Layout, lay_out
from lmtx_ray.loop.preflight import check
from lmtx_ray.loop.prompt_tokens import prompt_tokens
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.training_plan import training, training_told
from lmtx_ray.teacher.priors import asked_alone, document_key
from lmtx_ray.teacher.questions import first_by_key
from lmtx_ray.verdicts.lookup import Lookup

TO_DO = "to do"
NOBODY = {"calls_at_most": 0, "prompt_tokens_at_most": 0}
UNTRAINED = (
    "judge: none; what ships is the untrained hybrid search, whose tags nobody has judged; "
    "`--set source=title` or `source=segment` trains on the documents alone"
)
ASKS_NOBODY = (
    "judge: none is asked; what ships is trained on the documents' own texts, and nobody judges it"
)


def describe(config: RunConfig, measure: bool = False) -> dict[str, Any]:
    """Validated inputs, every step's state, and the bill of the teacher's work.

    Reads the corpus (once, as long as its files stay as they are); loads no model and starts no
    cluster, but with `measure` asks the judge about a few pairs. Raises what a run would raise for
    bad inputs.
    """
    check(config)
    layout = lay_out(config)
    counts = count_corpus(config.corpus)
    is_over = layout.evaluation.is_complete()  # cycles that it did without are not run any more
    left = "not needed" if is_over else TO_DO
    steps = {name: "complete" if s.is_complete() else left for name, s in layout.steps()}
    trained = training(config, counts)
    return {
        "run": config.run,
        "documents": _splits(counts),
        "labels": counts.labels,
        "gold": counts.test,
        "rejects": counts.rejects,
        "first_rejects": list(counts.reasons),
        "steps": steps,
        "untrained": config.rounds == 0,
        "training": trained,
        "judge": _judge(config, counts, steps, layout, measure),
    }


def _splits(counts: Counts) -> dict[str, int]:
    splits = {
        "train": counts.documents - counts.held_aside,
        "held_aside": counts.held_aside,
        "test": counts.test,
    }
    return {name: count for name, count in splits.items() if count}


def _judge(
    config: RunConfig, counts: Counts, states: dict[str, str], layout: Layout, measure: bool
) -> dict[str, Any]:
    if not config.has_judge:
        return dict(NOBODY)
    cycles = config.rounds if config.learns_from_judge else 0
    weighed = config.shortlist.memory_documents > 0
    to_do = {name for name, state in states.items() if state == TO_DO}
    sample = sample_corpus(config, layout.prompt)
    held = _held(config, layout, sample)
    steps = step_bills(config.judge, _splits(counts), cycles, to_do, held, weighed)
    steps += prior_bills(config.judge, steps, counts.labels, held)
    if not steps:
        return dict(NOBODY)
    tokens = prompt_tokens(config.judge.teacher, layout.prompt, sample)
    bill = add_up(steps, tokens, config.judge)
    known = measured_rate(config, layout, sample) if measure else known_rate(config, layout)
    return {
        "calls_at_most": bill.pairs_at_most,
        "prompt_tokens_at_most": bill.tokens_at_most,
        "money_at_most": round(bill.money_at_most, 2),
        "expected": {
            "pairs": bill.pairs,
            "new_pairs": bill.new_pairs,
            "prompt_tokens": bill.tokens,
            "computed_tokens": bill.computed,
            "cached_tokens": bill.cached,
            "money": round(bill.money, 2),
            "hours": round(bill.new_pairs / known.pairs_a_second / 3600, 3) if known else None,
        },
        "tokens_counted_by": tokens.by,
        "rate": asdict(known) if known else {},
    }


def _held(config: RunConfig, layout: Layout, sample: Sample) -> StoredPairs:
    """How much the store has from this judge on labels that are still in use: pairs of each
    document of the sample, and priors."""
    prompt, teacher = layout.judge
    snapshot = config.verdict_store.partition(teacher, prompt).snapshot()
    if not snapshot.layers and not snapshot.parts:
        return StoredPairs([])
    lookup = Lookup(snapshot)
    pairs = first_by_key(lookup.find(set(sample.keys)))
    priors = asked_alone(lookup.find([document_key()]))
    in_use = labels_in_use(config, layout.prompt, {label for _, label in pairs} | priors)
    found = Counter(document for document, label in pairs if label in in_use)
    return StoredPairs([found[key] for key in sample.keys], len(priors & in_use))


def render_plan(plan: dict[str, Any]) -> str:
    """The plan for a terminal."""
    documents = ", ".join(f"{count:,} {split}" for split, count in plan["documents"].items())
    judge, told = plan["judge"], training_told(plan["training"])
    if plan["untrained"]:
        asks = UNTRAINED
    elif judge["calls_at_most"] or not plan["training"]["asks_nobody"]:
        asks = _bill_told(judge)
    else:
        asks = ASKS_NOBODY
    steps = "\n".join(f"  {state:10} {name}" for name, state in plan["steps"].items())
    rejects = "".join(f"  {line}\n" for line in plan["first_rejects"])
    return (
        f"run {plan['run']}\n"
        f"documents: {documents}; labels: {plan['labels']:,}; "
        f"gold: {plan['gold']:,}; rejected rows: {plan['rejects']:,}\n"
        f"{rejects}"
        f"{steps}\n{told}{asks}"
    )


def _bill_told(judge: dict[str, Any]) -> str:
    if not judge["calls_at_most"]:
        return "judge: nothing left to ask"
    expected, rate = judge["expected"], judge["rate"]
    known = expected["pairs"] - expected["new_pairs"]
    lines = [
        f"judge: about {expected['new_pairs']:,} new pairs"
        + (f" ({known:,} more are in the store)" if known else "")
        + f", at most {judge['calls_at_most']:,}",
        f"  about {expected['prompt_tokens']:,} prompt tokens (counted by "
        f"{judge['tokens_counted_by']}), of which {expected['computed_tokens']:,} are computed and "
        f"{expected['cached_tokens']:,} shared; at most {judge['prompt_tokens_at_most']:,}",
    ]
    if rate:
        lines.append(
            f"  about {expected['hours']:,} hours at {rate['pairs_a_second']:,.1f} pairs a second, "
            f"{rate['told_by']}"
        )
    else:
        lines.append("  how long that takes is not known yet: lmtx plan --measure asks a few pairs")
    if judge["money_at_most"]:
        lines.append(f"  about {expected['money']:,}, at most {judge['money_at_most']:,} in money")
    return "\n".join(lines)
