"""Asks the teacher about shortlisted labels, and never about a pair it has already judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import pyarrow as pa

from lmtx_ray import asks, storage
from lmtx_ray.teacher.protocol import TeacherConfig
from lmtx_ray.teacher.registry import build_teacher


class AskTeacher:
    """Worker: fragments of the same documents in (documents, one ranking for each name in
    `rankings`, earlier verdicts), one verdict for each pair not judged before out.

    `plan` maps a split to the (ranking name, k) whose top candidates are worth a question.
    """

    expands: ClassVar[bool] = True

    def __init__(
        self,
        teacher: TeacherConfig,
        labels: Sequence[str],
        rankings: Sequence[str],
        plan: Mapping[str, Sequence[tuple[str, int]]],
        cycle: int,
    ) -> None:
        self._labels = [
            text for uri in labels for text in storage.read_table(uri)["text"].to_pylist()
        ]
        self._rankings, self._plan, self._cycle = list(rankings), dict(plan), cycle
        self._config, self._teacher = teacher, None

    def __call__(self, documents: pa.Table, *fragments: pa.Table) -> pa.Table:
        count = len(self._rankings)
        rankings = dict(zip(self._rankings, fragments[:count], strict=True))
        wanted = asks.wanted_candidates(documents, rankings, self._plan)
        asked = asks.without_judged(wanted, fragments[count:])
        verdicts = self._judge(documents, asked)
        return asks.conform_verdicts(verdicts, wanted, self._identity(), self._cycle)

    def _judge(self, documents: pa.Table, asked: Mapping[str, list[int]]) -> pa.Table:
        questions = asks.build_questions(documents, asked, self._labels)
        if questions.num_rows == 0:
            return asks.EMPTY_ANSWERS
        if self._teacher is None:  # an engine takes a while to start: only when there is a question
            self._teacher = build_teacher(self._config)
        answers = self._teacher.judge(questions)
        expected = [(doc_id, label) for doc_id, labels in asked.items() for label in labels]
        if list(asks.pairs_of(answers)) != expected:
            raise RuntimeError("the teacher did not answer each question once, in order")
        return answers

    def _identity(self) -> tuple[str, str]:
        if self._teacher is None:
            return "", ""
        return self._teacher.prompt_fingerprint, self._teacher.fingerprint
