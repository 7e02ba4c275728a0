"""A rule as teacher: yes when the document names most words of the label. For tests and CI."""

from __future__ import annotations

import pyarrow as pa

from lmtx_ray.corpus import document_text
from lmtx_ray.lexical import words
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.protocol import TeacherConfig, answers_table


class LexicalTeacher:
    """P(yes) is the share of the label's words that the document names."""

    def __init__(self, config: TeacherConfig) -> None:
        self.prompt_fingerprint, self.fingerprint = teacher_identity(config)

    def judge(self, questions: pa.Table) -> pa.Table:
        rows = []
        for question in questions.to_pylist():
            named = set(words(document_text(question["title"], question["text"])))
            for label, text in zip(question["label_ids"], question["label_texts"], strict=True):
                wanted = set(words(text))
                p_yes = len(wanted & named) / len(wanted) if wanted else 0.0
                answer = "yes" if p_yes > 0.5 else "no"
                rows.append((question["doc_id"], label, answer, p_yes, None))
        return answers_table(rows)
