"""A rule as teacher: yes when the document names most words of the label. For tests and CI."""

from __future__ import annotations

import pyarrow as pa

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.corpus.words import document_words, words
from lmtx_ray.io import progress
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.protocol import Budget, Interrupted, Usage, answers_table
from lmtx_ray.teacher.reading import Reading


class LexicalTeacher:
    """P(yes) is the share of the label's words that the document names; a word is a token."""

    def __init__(self, config: TeacherConfig, prompt: Prompt, budget: Budget) -> None:
        self.prompt_fingerprint, self.fingerprint = teacher_identity(config, prompt)
        self.commit, self.usage, self._budget = "", Usage(), budget

    def judge(self, questions: pa.Table) -> pa.Table:
        """ANSWERS, one row for each pair. Raises Interrupted, with the answers before it."""
        pairs: list[tuple[str, int]] = []
        readings: list[Reading] = []
        tell = progress.teller()
        for question in questions.to_pylist():
            document = document_words(document_text(question["title"], question["text"]))
            named = set(document)
            for label, text in zip(question["label_ids"], question["label_texts"], strict=True):
                wanted = set(words(text))
                try:
                    self._spend(len(document) + len(wanted))
                except Interrupted as stop:
                    stop.answers = answers_table(pairs, readings)
                    raise
                p_yes = len(wanted & named) / len(wanted) if wanted else 0.0
                pairs.append((question["doc_id"], label))
                readings.append(Reading("yes" if p_yes > 0.5 else "no", p_yes, 1.0))
                tell(1)
        return answers_table(pairs, readings)

    def _spend(self, tokens: int) -> None:
        self._budget.take(1, tokens)
        self.usage.requests += 1
        self.usage.prompt_tokens += tokens
        progress.count(pairs=1, prompt_tokens=tokens)
