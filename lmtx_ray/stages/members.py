"""A member of an ensemble in a run: what it said is kept as its own, and never paid for twice.

It may have judged alone before, or in another ensemble: its verdicts are known by the same keys.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus.text_keys import document_keys, text_key
from lmtx_ray.stages.kept_verdicts import KeptVerdicts, at_once
from lmtx_ray.stages.starting import engine_starting
from lmtx_ray.teacher.identity import describe, teacher_identity
from lmtx_ray.teacher.priors import read
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import (
    QUESTIONS,
    Budget,
    JudgeRefused,
    Teacher,
    Usage,
    answers_table,
    paid_for,
)
from lmtx_ray.teacher.questions import Key, first_by_key, pairs_of
from lmtx_ray.teacher.registry import build_teacher
from lmtx_ray.verdicts.store import VerdictStore, as_stored

SOURCE = "ensemble"
Pair = tuple[str, int]


class KeptMember:
    """A Teacher (see protocol) that asks `config`'s judge for what its part of a store lacks, and
    builds it when that is something. Several threads may call it."""

    def __init__(
        self, config: TeacherConfig, store: str, budget: Budget | None, deterministic: bool | None
    ) -> None:
        self._config, self._prompt = config, get_prompt(config.prompt)
        self._budget, self._deterministic = budget, deterministic
        self.prompt_fingerprint, self.fingerprint = teacher_identity(config, self._prompt)
        partition = VerdictStore(store).partition(self.fingerprint, self.prompt_fingerprint)
        self._kept = KeptVerdicts(partition, partition.snapshot())
        self._least_mass = self._prompt.least_mass(config.least_mass)
        self._teacher: Teacher | None = None
        self._starting = threading.Lock()

    @property
    def commit(self) -> str:
        """Its model's, once it was asked."""
        return self._teacher.commit if self._teacher else ""

    @property
    def usage(self) -> Usage:
        """What it used in this process."""
        return self._teacher.usage if self._teacher else Usage()

    def judge(self, questions: pa.Table) -> pa.Table:
        """ANSWERS, one row for each pair. Raises what the judge raised, with what was
        answered kept."""
        keys = _keys_of(questions)
        known = first_by_key(self._kept.lookup.find({document for document, _ in keys.values()}))
        for missing in _parts(_without(questions, keys, known), at_once(self._config)):
            table = pa.Table.from_pylist(missing, schema=QUESTIONS)
            try:
                answers = self._started().judge(table)
            except Exception as stop:
                if (said := paid_for(stop)) is not None:
                    self._keep(said, keys)
                raise
            known |= first_by_key(self._keep(answers, keys))
        return answers_table(
            list(keys), [read(known[key], self._least_mass) for key in keys.values()]
        )

    def _started(self) -> Teacher:
        with self._starting:
            if self._teacher is None:
                self._teacher = self._start()
            return self._teacher

    def _start(self) -> Teacher:
        how = self._budget, self._deterministic
        with engine_starting():
            teacher = build_teacher(self._config, self._prompt, *how)
        if teacher.fingerprint != self.fingerprint:
            raise JudgeRefused(f"judge.teacher.members: {self._config.model}: its files changed")
        about = describe(self._config, self._prompt)
        settings = "judge.teacher.members", "its revision"
        self._kept.describe(about, teacher.commit, *settings)
        return teacher

    def _keep(self, answers: pa.Table, keys: Mapping[Pair, Key]) -> pa.Table:
        given = [keys[pair] for pair in pairs_of(answers)]
        identity = self.prompt_fingerprint, self.fingerprint
        table = as_stored(given, answers, identity, SOURCE)
        self._kept.keep([table])
        return table


def kept_members(
    config: TeacherConfig, store: str, budget: Budget | None, deterministic: bool | None
) -> Sequence[Teacher] | None:
    """The members of an ensemble; None for any other judge."""
    if config.kind != "ensemble":
        return None
    return [KeptMember(one, store, budget, deterministic) for one in config.members]


def _keys_of(questions: pa.Table) -> dict[Pair, Key]:
    """Of each pair the keys of its texts, in order."""
    return {
        (row["doc_id"], label): (document, text_key(text))
        for document, row in zip(document_keys(questions), questions.to_pylist(), strict=True)
        for label, text in zip(row["label_ids"], row["label_texts"], strict=True)
    }


def _without(
    questions: pa.Table, keys: Mapping[Pair, Key], known: Mapping[Key, Any]
) -> list[dict[str, Any]]:
    """The rows of QUESTIONS with those labels that nothing is known of; each question once."""
    rows, seen = [], set(known)
    for row in questions.to_pylist():
        left = []
        for label, text in zip(row["label_ids"], row["label_texts"], strict=True):
            if (key := keys[row["doc_id"], label]) not in seen:
                seen.add(key)
                left.append((label, text))
        if left:
            ids, texts = zip(*left, strict=True)
            rows.append({**row, "label_ids": list(ids), "label_texts": list(texts)})
    return rows


def _parts(rows: list[dict[str, Any]], most: int | None) -> Iterator[list[dict[str, Any]]]:
    """The same rows of QUESTIONS in parts of at most so many pairs; None: all in one."""
    pairs = [(row, place) for row in rows for place in range(len(row["label_ids"]))]
    size = most or max(len(pairs), 1)
    for first in range(0, len(pairs), size):
        by_document = groupby(pairs[first : first + size], key=lambda pair: str(pair[0]["doc_id"]))
        yield [_row_of(list(own)) for _, own in by_document]


def _row_of(pairs: Sequence[tuple[dict[str, Any], int]]) -> dict[str, Any]:
    """A row of QUESTIONS with those labels that are at these places in it."""
    row = pairs[0][0]
    chosen = {name: [row[name][n] for _, n in pairs] for name in ("label_ids", "label_texts")}
    return {**row, **chosen}
