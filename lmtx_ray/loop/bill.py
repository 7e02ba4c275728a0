"""What a run will ask its judge, and what that costs: at most, and as is to be expected.

At most is every question that may be worth asking, and answers as long as they may be. Expected is
a forecast for a run that is not stopped early: the first cycle asks about all its candidates, and a
later one about those that the trained student brought in. How many that are is not known before, so
the shares of the biomedical sample are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lmtx_ray.config.judge import JudgeConfig
from lmtx_ray.loop.prompt_tokens import PromptTokens
from lmtx_ray.teacher.adapting import answer_limit
from lmtx_ray.teacher.generating import WRITTEN_TOKENS
from lmtx_ray.teacher.questions import FIRST_WORDS, votes_asked

BOTH_RANKINGS = 0.75  # of two rankings' first labels, those that are different ones
NEW_CANDIDATES = 0.37  # of a later cycle's candidates, those that no cycle before had
NEW_VOTES = 0.5  # of the labels of neighbours, those that were not asked about
NEW_WEIGHED = 0.15  # of the first labels of all sides weighed, likewise
WORDS_UNASKED = 0.3  # of the first labels by words, those that no other ranking has in front
NEW_FIRSTS = 0.24  # of the first labels after a cycle, those that were not asked about
PHRASES = "test phrases"  # the step that asks about documents and not about pairs


@dataclass(frozen=True)
class StepBill:
    """Pairs of one step: `at_most`, `wanted` as expected, and `new`, those of them that the store
    does not hold. `documents` are those asked about."""

    name: str
    documents: int
    at_most: int
    wanted: float
    new: float


@dataclass(frozen=True)
class StoredPairs:
    """Pairs that the store has of this judge, by documents of the sample, and the number of labels
    that it has `priors` of."""

    pairs: Sequence[int]
    priors: int = 0

    def share(self, before: float, wanted: float) -> float:
        """Of `wanted` pairs a document, asked about after `before` others, what is held."""
        if not self.pairs or wanted <= 0:
            return 0.0
        return float(np.clip((np.array(self.pairs) - before) / wanted, 0.0, 1.0).mean())


def step_bills(
    judge: JudgeConfig,
    splits: Mapping[str, int],
    cycles: int,
    to_do: set[str],
    held: StoredPairs,
    weighed: bool = False,
) -> list[StepBill]:
    """Every step that is to do (names as in `Layout.steps`) and asks, in order. `weighed` says that
    judged documents vote."""
    bills = []
    train, aside = (splits.get(name, 0) for name in ("train", "held_aside"))
    firsts, votes = 2 * judge.select_k, votes_asked(judge) if weighed else 0
    asked = 0.0  # of a training document, in the cycles before
    for number in range(1, cycles + 1):
        first = number == 1
        most = judge.top_k + (0 if first else votes)
        wanted = judge.top_k if first else NEW_CANDIDATES * judge.top_k + NEW_VOTES * votes
        new = 1 - held.share(asked, wanted)
        asked += wanted
        if (name := f"verdicts {number}") in to_do:
            bills.append(_bill(name, train, most, wanted, new))
            if first:
                both = BOTH_RANKINGS * firsts
                bills.append(_bill(name, aside, firsts, both, 1 - held.share(0, both)))
        if (name := f"selection {number}") in to_do:
            asked_of = (3 if votes else 2) * judge.select_k
            bills.append(_bill(name, aside, asked_of, NEW_FIRSTS * asked_of, new))
        if (name := f"learned selection {number}") in to_do:
            k = judge.select_k
            bills.append(_bill(name, aside, k, NEW_WEIGHED * k, new))
    if (name := "chance verdicts") in to_do and judge.chance_k:
        wanted = judge.chance_k + WORDS_UNASKED * FIRST_WORDS
        most, new = judge.chance_k + FIRST_WORDS, 1 - held.share(0, wanted)
        bills.append(_bill(name, aside, most, wanted, new))
    return [bill for bill in [*bills, *_test_bills(judge, splits, to_do, held)] if bill.at_most]


def _test_bills(
    judge: JudgeConfig, splits: Mapping[str, int], to_do: set[str], held: StoredPairs
) -> list[StepBill]:
    test, bills = splits.get("test", 0), []
    for name, k in (("test verdicts", judge.rerank_k), ("test icxml verdicts", judge.icxml_k)):
        if name in to_do:
            bills.append(_bill(name, test, k, k, 1 - held.share(0, k)))
    if PHRASES in to_do:
        bills.append(_bill(PHRASES, test, 1, 1, 1.0))
    return bills


def _bill(name: str, documents: int, most: int, wanted: float, new: float) -> StepBill:
    return StepBill(name, documents, documents * most, documents * wanted, documents * wanted * new)


def prior_bills(
    judge: JudgeConfig, steps: Sequence[StepBill], labels: int, held: StoredPairs
) -> list[StepBill]:
    """One question more about each label that `steps` ask about, where the judge is calibrated."""
    asking = [step for step in steps if step.name != PHRASES]
    if judge.calibration != "prior" or not asking:
        return []
    most = min(labels, sum(step.at_most for step in asking))
    wanted = min(labels, sum(step.wanted for step in asking))
    return [StepBill("label priors", 1, most, wanted, max(wanted - held.priors, 0))]


@dataclass(frozen=True)
class Bill:
    """The sums of some steps' bills. A pair counts once for each judge that is asked, so for each
    member of an ensemble. Of tokens, `computed` go through the model and the rest is
    shared among prompts; where the engine is elsewhere nothing is taken to be shared."""

    pairs_at_most: int
    tokens_at_most: int
    pairs: int
    new_pairs: int
    tokens: int
    computed: int
    money: float
    money_at_most: float

    @property
    def cached(self) -> int:
        """Prompt tokens that need not be computed."""
        return self.tokens - self.computed


def add_up(steps: Sequence[StepBill], tokens: PromptTokens, judge: JudgeConfig) -> Bill:
    """The bill of a run. `tokens` are those of a pair for all judges together."""
    judges, price = len(judge.teacher.judges), judge.price
    most, new = sum(step.at_most for step in steps), sum(step.new for step in steps)
    # a document of which less than a pair is new is asked about as often less
    documents = sum(min(step.documents, step.new) for step in steps)
    answers = sum(step.at_most * _longest_answer(step, judge) for step in steps)
    return Bill(
        pairs_at_most=most * judges,
        tokens_at_most=round(most * tokens.pair),
        pairs=round(sum(step.wanted for step in steps) * judges),
        new_pairs=round(new * judges),
        tokens=round(new * tokens.pair),
        computed=round(tokens.computed(documents, new)),
        money=new * price.of(tokens.pair, judges),
        money_at_most=price.of(most * tokens.pair, answers),
    )


def _longest_answer(step: StepBill, judge: JudgeConfig) -> int:
    """Tokens that all judges may answer to one question of a step, thoughts included."""
    if step.name == PHRASES:
        return WRITTEN_TOKENS
    return sum(map(answer_limit, judge.teacher.judges))
