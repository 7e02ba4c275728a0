"""The prompts of a table's pairs, as far as the budget goes: the same for all own engines."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from lmtx_ray.teacher.protocol import Budget, BudgetReached
from lmtx_ray.teacher.rendering import Rendering


@dataclass
class Granted:
    """(doc_id, label_id) pairs and, by documents, their prompts; `stopped` where the budget ended
    before the table did."""

    pairs: list[tuple[str, int]] = field(default_factory=list)
    documents: list[list[list[int]]] = field(default_factory=list)
    stopped: BudgetReached | None = None

    @property
    def prompts(self) -> list[list[int]]:
        """All of them, one for each pair."""
        return [prompt for document in self.documents for prompt in document]

    @property
    def tokens(self) -> int:
        """Of all prompts."""
        return sum(map(len, self.prompts))


def grant(rendering: Rendering, budget: Budget, questions: pa.Table, answer_tokens: int) -> Granted:
    """Take from the budget, in order, what each pair of QUESTIONS may use at most."""
    granted = Granted()
    for question in questions.to_pylist():
        texts = question["label_texts"]
        asked = rendering.questions(question["title"], question["text"], texts)
        granted.documents.append([])
        for label, prompt in zip(question["label_ids"], asked, strict=True):
            try:
                budget.take(1, len(prompt) + answer_tokens)
            except BudgetReached as reached:
                granted.stopped = reached
                return granted
            granted.pairs.append((question["doc_id"], label))
            granted.documents[-1].append(prompt)
    return granted
