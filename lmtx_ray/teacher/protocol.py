"""What a teacher is: a table of documents with candidates in, one answer for each pair out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.schemas import VERDICTS
from lmtx_ray.teacher.reading import Reading

UNITS_AT_ONCE = 2  # of a judge: while one is in the engine, the next is read and rendered
QUESTIONS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("label_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("label_texts", pa.list_(pa.string()), nullable=False),
    ],
    metadata={b"lmtx.contract": b"questions/1"},
)
ANSWERS = pa.schema(
    [VERDICTS.field(name) for name in ("doc_id", "label_id", "answer", "p_yes", "mass", "raw")]
)
# a question whose answer is yes: asked of a judge before anything long begins
PLAIN_TEXT = "Beta blockers were given to patients after a heart attack; fewer of them died."
PLAIN_LABEL = "Heart attack"


@dataclass
class Usage:
    """What a teacher has used since it was built. Tokens are those of prompts and of answers, as
    counted by the engine or told by the server. `cached_tokens` are those of the prompts that an
    engine of ours need not compute, as another prompt began alike."""

    requests: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    seconds: float = 0.0
    cached_tokens: int = 0


class Budget(Protocol):
    """What may still be spent. Both calls may come from several threads."""

    def take(self, requests: int, tokens: int) -> None:
        """Reserve before asking; `tokens` is an upper bound. Raises BudgetReached."""

    def give_back(self, requests: int, tokens: int) -> None:
        """Return what was reserved and not used."""


class Unlimited:
    """No budget."""

    def take(self, requests: int, tokens: int) -> None:
        """Nothing to do."""

    def give_back(self, requests: int, tokens: int) -> None:
        """Nothing to do."""


class Interrupted(Exception):
    """Judging stopped before its end. `answers` (ANSWERS) are those that were paid for: whoever
    catches this keeps them."""

    answers: pa.Table | None = None


def paid_for(problem: Exception) -> pa.Table | None:
    """The answers that came before a failure of whatever kind; None where it tells none."""
    answers = getattr(problem, "answers", None)
    return answers if isinstance(answers, pa.Table) else None


def with_answers(problem: Exception, answers: pa.Table | None) -> Exception:
    """The failure, which tells now what was paid for before it."""
    problem.answers = answers  # type: ignore[attr-defined]
    return problem


class JudgeRefused(Interrupted, ConfigError):
    """What no repetition mends: a wrong key, model, URL or setting. Names what to change."""


class JudgeUnavailable(Interrupted, OSError):
    """Timeouts, broken replies, 429 and 5xx that went on for all tries."""


class BudgetReached(Interrupted, ConfigError):
    """The budget in requests or tokens is used up."""


class Halted(Interrupted):
    """Another worker of the step met what ends it."""


class EngineDied(RuntimeError):
    """An engine's own process is gone. What it was asked has no answer; the process that held it
    cannot ask another, and ends, so that a new one takes its place."""


class Teacher(Protocol):
    """Answers every pair of a QUESTIONS table, in order, as ANSWERS.

    What a judge said is an answer, unclear if need be; a call that failed is none and raises an
    Interrupted.
    """

    fingerprint: str
    prompt_fingerprint: str

    @property
    def commit(self) -> str:
        """That of a model from the hub, as loaded; else empty."""

    @property
    def usage(self) -> Usage:
        """What it has used since it was built."""

    def judge(self, questions: pa.Table) -> pa.Table:
        """ANSWERS, one row for each pair. Raises Interrupted, with the answers before it, or
        EngineDied."""


def answers_table(pairs: Sequence[tuple[str, int]], readings: Sequence[Reading]) -> pa.Table:
    """ANSWERS of (doc_id, label_id) pairs and what was said about each."""
    rows = [
        (doc_id, label_id, reading.answer, reading.p_yes, reading.mass, reading.raw)
        for (doc_id, label_id), reading in zip(pairs, readings, strict=True)
    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(ANSWERS)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ANSWERS, strict=True)]
    return pa.table(arrays, schema=ANSWERS)
