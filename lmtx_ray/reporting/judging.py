"""What the judge was asked and said, step by step, and how often it accepted each label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.loop.finished_run import FinishedRun, verdict_names

COLUMNS = ("label_id", "answer", "mass", "asked", "teacher")


@dataclass(frozen=True)
class Asked:
    """Pairs of a step: `asked` now, the others were in the store or answered by people (`human`).

    `mass` is the mean probability of all words that count as an answer; None where it is not kept.
    """

    name: str
    pairs: int
    yes: int
    no: int
    unclear: int
    asked: int
    human: int
    mass: float | None

    @property
    def yes_rate(self) -> float | None:
        """Of the clear answers."""
        clear = self.yes + self.no
        return self.yes / clear if clear else None

    @property
    def unclear_rate(self) -> float | None:
        """Of all answers."""
        return self.unclear / self.pairs if self.pairs else None


def step_names(run: FinishedRun) -> Iterator[str]:
    """Every step that asked: of the cycles, of the test documents, and of labels by chance."""
    yield from verdict_names(run)
    if run.ran and run.has("test verdicts"):
        yield "test verdicts"
    yield from (name for name in ("chance verdicts", "test icxml verdicts") if run.has(name))


def asked_by_step(run: FinishedRun) -> tuple[list[Asked], np.ndarray]:
    """Each step's answers, and int64 [L] how often each label was accepted on documents to learn
    from. One unit is in memory."""
    accepted_L = np.zeros(run.steps["labels"].rows(), np.int64)
    found = []
    for name in step_names(run):
        step, learned_L = _asked(run, name, len(accepted_L))
        found.append(step)
        if not name.startswith(("test ", "chance ")):
            accepted_L += learned_L
    return found, accepted_L


def _asked(run: FinishedRun, name: str, labels: int) -> tuple[Asked, np.ndarray]:
    accepted_L = np.zeros(labels, np.int64)
    answers = dict.fromkeys(("yes", "no", "unclear"), 0)
    asked = human = masses = 0
    mass = 0.0
    for table in run.steps[name].tables(COLUMNS):
        for answer in answers:
            answers[answer] += pc.sum(pc.equal(table["answer"], answer)).as_py() or 0
        asked += pc.sum(table["asked"]).as_py() or 0
        human += pc.sum(pc.equal(table["teacher"], HUMAN)).as_py() or 0
        masses += table.num_rows - table["mass"].null_count
        mass += pc.sum(table["mass"]).as_py() or 0.0
        yes = table.filter(pc.equal(table["answer"], "yes"))["label_id"].to_numpy()
        accepted_L += np.bincount(yes, minlength=labels)
    pairs = sum(answers.values())
    step = Asked(
        name,
        pairs,
        answers["yes"],
        answers["no"],
        answers["unclear"],
        asked,
        human,
        mass / masses if masses else None,
    )
    return step, accepted_L
