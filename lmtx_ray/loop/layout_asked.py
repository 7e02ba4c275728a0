"""The steps of a state that follow from what the judge was asked: memory, weights, selection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from lmtx_ray.io.publish import Dataset
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.steps import Cycle, Learned, State, Votes

LEARNING = 3  # the way in which sides are weighed: another one makes other rankings


@dataclass(frozen=True)
class Asked:
    """Lays out what comes after a state's rankings. `step` makes a step of its name and what it
    depends on; `test` says whether there are test documents."""

    config: RunConfig
    step: Callable[..., Dataset]
    test: bool

    def after(self, cycle: Cycle, state: State) -> tuple[Cycle, State]:
        """Both with their selection and, where judged documents are remembered, `learned`."""
        number, judge = cycle.number, self.config.judge
        hybrid, verdicts = state.corpus.hybrid.fingerprint, cycle.verdicts.fingerprint
        if not self.config.shortlist.memory_documents:
            selection = self.step(f"selection-{number}", verdicts, hybrid, judge.select_k)
            return replace(cycle, asked=(cycle.verdicts, selection)), state
        vectors = state.corpus.vectors.fingerprint
        rules = self.config.pseudo_labels.model_dump(
            mode="json", include={"accept", "accept_deviations"}
        )
        most = self.config.shortlist.memory_documents
        memory = self.step(f"memory-{number}", vectors, verdicts, rules, most, LEARNING)
        voted = self._voted("", memory, vectors, number)
        asked_of = hybrid, voted.fingerprint, judge.select_k
        selection = self.step(f"selection-{number}", verdicts, *asked_of)
        combiner = self.step(f"combiner-{number}", selection.fingerprint, rules, LEARNING)
        corpus = Votes(voted, self._ranked("", combiner, voted, number))
        test = None
        if self.test:
            voted = self._voted("test-", memory, state.tested.vectors.fingerprint, number)
            test = Votes(voted, self._ranked("test-", combiner, voted, number))
        identity = corpus.ranked.fingerprint, judge.select_k
        second = self.step(f"learned-selection-{number}", *identity)
        asked = (cycle.verdicts, selection, second)
        learned = Learned(memory, combiner, corpus, test)
        return replace(cycle, asked=asked), replace(state, learned=learned)

    def by_chance(
        self, first: State, cycles: Sequence[Cycle], asked: list[object]
    ) -> Dataset | None:
        """What the judge says of labels drawn by chance, beside what `cycles` ask: where learned
        fusion may ship, and where an answer's worth is not its place among others. `asked` is what
        asking depends on."""
        config, found = self.config, (first.corpus.dense, first.corpus.hybrid)
        weighed = config.learns_from_judge and config.shortlist.memory_documents > 0
        by_order = config.pseudo_labels.accept_deviations is not None
        unweighed = config.ship not in {"auto", "learned"}
        if not weighed or by_order or unweighed or not config.judge.chance_k:
            return None
        steps = [*found, *(cycle.asked[-1] for cycle in cycles if cycle.asked)]
        return self.step("chance-verdicts", [step.fingerprint for step in steps], asked)

    def _voted(self, kind: str, memory: Dataset, vectors: str, number: int) -> Dataset:
        return self.step(f"{kind}votes-{number}", memory.fingerprint, vectors)

    def _ranked(self, kind: str, combiner: Dataset, voted: Dataset, number: int) -> Dataset:
        return self.step(f"{kind}learned-{number}", combiner.fingerprint, voted.fingerprint)


def _learned_steps(learned: Learned, number: int) -> Iterator[tuple[str, Dataset]]:
    yield f"memory {number}", learned.memory
    for kind, votes in (("", learned.corpus), ("test ", learned.test)):
        if votes:
            yield f"{kind}votes {number}", votes.voted
    yield f"combiner {number}", learned.combiner
    for kind, votes in (("", learned.corpus), ("test ", learned.test)):
        if votes:
            yield f"{kind}learned {number}", votes.ranked


def state_steps(state: State) -> Iterator[tuple[str, Dataset]]:
    """(name, step) of what is computed with one encoder, in running order."""
    yield f"label vectors {state.number}", state.labels
    yield f"index {state.number}", state.index
    for kind, rankings in (("", state.corpus), ("test ", state.test)):
        for name in ("vectors", "dense", "hybrid") if rankings else ():
            yield f"{kind}{name} {state.number}", getattr(rankings, name)
    if state.learned:
        yield from _learned_steps(state.learned, state.number)
