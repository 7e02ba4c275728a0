"""Asks one fixed question where the judge will run, before anything long begins."""

from __future__ import annotations

import logging
from typing import Any

import pyarrow as pa
import ray

from lmtx_ray.config.resources import Resources
from lmtx_ray.corpus.text_keys import document_keys, text_key
from lmtx_ray.stages.budget import worker_budget
from lmtx_ray.stages.judge import Asking
from lmtx_ray.teacher.protocol import PLAIN_LABEL, PLAIN_TEXT, QUESTIONS
from lmtx_ray.teacher.registry import build_teacher
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.store import VerdictStore, as_stored

logger = logging.getLogger(__name__)
LABEL = {"text": PLAIN_LABEL, "description": None, "aliases": None}
SOURCE = "first question"
CHANGED = 0.2  # of P(yes): more than rounding explains


def ask_first(asking: Asking, resources: Resources) -> None:
    """Ask, keep the answer, and warn if a stored one on the same question was another.

    Raises:
        Interrupted: As the teacher raised it.
    """
    before = _stored(asking)
    if before is not None and asking.teacher.kind != "http":
        return
    here = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0)(_ask)
    answers = ray.get(here.remote(asking))
    row = answers.to_pylist()[0]
    logger.info(
        "the judge answers: %s, P(yes) %s, mass %s", row["answer"], row["p_yes"], row["mass"]
    )
    if before is None:
        prompt, teacher = asking.identity
        partition = VerdictStore(asking.store).partition(teacher, prompt)
        partition.append(as_stored([_key(asking)], answers, asking.identity, SOURCE), "first")
    elif _differs(before["p_yes"], row["p_yes"]):
        logger.warning(
            "the judge answered P(yes) %.2f before and %.2f now to the same question: if another "
            "model is behind this name, set judge.teacher.revision, so that its verdicts are kept "
            "apart",
            before["p_yes"],
            row["p_yes"],
        )


def _differs(before: float | None, now: float | None) -> bool:
    return before is not None and now is not None and abs(before - now) > CHANGED


def _question(asking: Asking) -> pa.Table:
    text = asking.prompt.label_text(LABEL)
    row = {"doc_id": "", "title": None, "text": PLAIN_TEXT, "label_ids": [0], "label_texts": [text]}
    return pa.Table.from_pylist([row], schema=QUESTIONS)


def _key(asking: Asking) -> tuple[bytes, bytes]:
    (document,) = document_keys(_question(asking))
    return document, text_key(asking.prompt.label_text(LABEL))


def _stored(asking: Asking) -> dict[str, Any] | None:
    document, label = _key(asking)
    rows = Lookup(asking.known).find([document]).to_pylist()
    return next((row for row in rows if row["label"] == label), None)


def _ask(asking: Asking) -> pa.Table:
    budget = worker_budget(asking.budget)
    try:
        return build_teacher(asking.teacher, asking.prompt, budget).judge(_question(asking))
    finally:
        if budget is not None:
            budget.close()
