"""The published steps of a run, by what they belong to: a state, a cycle, the test documents."""

from __future__ import annotations

from dataclasses import dataclass

from lmtx_ray.io.publish import Dataset


@dataclass(frozen=True)
class Rankings:
    """What one encoder makes of some documents."""

    vectors: Dataset
    dense: Dataset
    hybrid: Dataset


@dataclass(frozen=True)
class Votes:
    """What the memory of judged documents makes of some documents: its own ranking, and that of all
    sides weighed."""

    voted: Dataset
    ranked: Dataset


@dataclass(frozen=True)
class Learned:
    """Learned fusion of a state: judged documents, the weights of all sides, and what comes of
    them for the corpus (its held-aside documents) and the test documents."""

    memory: Dataset
    combiner: Dataset
    corpus: Votes
    test: Votes | None


@dataclass(frozen=True)
class State:
    """An encoder (after `number` cycles) and everything computed with it."""

    number: int
    encoder: Dataset | None  # None: the pretrained encoder
    labels: Dataset  # vectors
    index: Dataset
    corpus: Rankings
    test: Rankings | None
    learned: Learned | None = None  # of a state that the judge has taught

    @property
    def rankings(self) -> dict[str, Dataset]:
        """Name -> ranking of the corpus, of all that may ship."""
        own = {"dense": self.corpus.dense, "hybrid": self.corpus.hybrid}
        return own | ({"learned": self.learned.corpus.ranked} if self.learned else {})

    @property
    def test_rankings(self) -> dict[str, Dataset]:
        """The same of the test documents."""
        own = {"dense": self.tested.dense, "hybrid": self.tested.hybrid}
        test = self.learned.test if self.learned else None
        return own | ({"learned": test.ranked} if test else {})

    @property
    def candidates(self) -> dict[str, Dataset]:
        """Name -> ranking of the corpus, of those whose labels the judge is asked about."""
        own = {"dense": self.corpus.dense, "hybrid": self.corpus.hybrid}
        return own | ({"votes": self.learned.corpus.voted} if self.learned else {})

    @property
    def tested(self) -> Rankings:
        """`test`, of a run that has test documents."""
        assert self.test is not None
        return self.test


@dataclass(frozen=True)
class Cycle:
    """One round: from the state before it to the encoder after it."""

    number: int
    examples: Dataset
    encoder: Dataset
    # verdicts, selection and, where fusion is learned, selection of that; None: nobody was asked
    asked: tuple[Dataset, ...] | None = None
    clusters: Dataset | None = None  # of the documents, where they are learned from
    read: tuple[Dataset, ...] = ()  # beside the documents, for examples that nobody was asked for

    @property
    def verdicts(self) -> Dataset:
        """What the judge said of the state before, of a cycle that asked."""
        assert self.asked is not None
        return self.asked[0]

    @property
    def selection(self) -> Dataset:
        """What it said of the state after, of a cycle that asked."""
        assert self.asked is not None
        return self.asked[1]


@dataclass(frozen=True)
class Icxml:
    """What the judge makes of test documents on its own: phrases, labels found by them, verdicts
    on the first of those."""

    phrases: Dataset
    mapped: Dataset
    verdicts: Dataset


@dataclass(frozen=True)
class Test:
    """What only evaluation reads."""

    documents: Dataset
    gold: Dataset
    rejects: Dataset
    lexical: Dataset
    verdicts: Dataset | None  # the judge at inference; None where it is not asked
    icxml: Icxml | None = None
