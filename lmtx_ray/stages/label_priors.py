"""Asks what a judge thinks of labels on a document that says nothing, each label once, and keeps it
in the verdict store like any other answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from lmtx_ray.teacher.priors import asked_alone, document_key, priors_in, questions_about
from lmtx_ray.teacher.protocol import Teacher, paid_for
from lmtx_ray.verdicts.store import Partition, as_stored

PRIOR = "prior"  # what such answers are marked with


class Priors:
    """P(yes) of labels alone, by the label's key, in `known`: what `stored` has of them
    (STORED_VERDICTS), and what is learned here. Several threads may learn.

    `alone` says that each label is asked by itself, so that its answer has the same bits whatever
    else a unit asks; `at_once` after how many answers these are kept, None for all. What other
    workers have learned meanwhile is read before anything is asked, so one label is asked twice at
    the same moment only.
    """

    def __init__(
        self,
        stored: pa.Table,
        partition: Partition,
        identity: tuple[str, str],
        started: Callable[[], Teacher],
        keep: Callable[[Sequence[pa.Table]], None],
        alone: bool,
        at_once: int | None = None,
    ) -> None:
        """`identity` is (prompt, teacher) fingerprints, `started` gives the judge, `keep` appends
        STORED_VERDICTS to the store."""
        self.known = priors_in(stored)
        self._partition, self._read = partition, set[str]()
        self._identity, self._started, self._keep = identity, started, keep
        self._alone, self._at_once = alone, at_once
        self._asked = asked_alone(stored)  # an unclear answer is none, and not asked again
        self._lock = threading.Lock()

    def learn(self, labels: Mapping[bytes, str]) -> None:
        """Ask about those labels (key -> text) that are not known. Raises what the
        judge raised, with what was answered kept."""
        with self._lock:
            if not self._new(labels):
                return
            self._read_others()
            new = self._new(labels)
            most = self._at_once or max(len(new), 1)
            for first in range(0, len(new), most):
                self._learn(new[first : first + most], labels)

    def _learn(self, keys: Sequence[bytes], labels: Mapping[bytes, str]) -> None:
        size = 1 if self._alone else max(len(keys), 1)
        tables: list[pa.Table] = []
        try:
            for first in range(0, len(keys), size):
                some = keys[first : first + size]
                tables.append(self._ask(some, [labels[key] for key in some]))
        except Exception as stop:
            if (said := paid_for(stop)) is not None:
                tables.append(self._rows(said, some))
            raise
        finally:
            self._keep(tables)
        self._asked |= set(keys)
        for table in tables:
            self.known |= priors_in(table)

    def _new(self, labels: Mapping[bytes, str]) -> list[bytes]:
        return [key for key in labels if key not in self.known and key not in self._asked]

    def _read_others(self) -> None:
        """What was appended since, by this worker and others."""
        names = {name for name in self._partition.part_names() if name.startswith(f"{PRIOR}-")}
        for name in sorted(names - self._read):
            table = self._partition.read_part(name)  # merged ones stay for a day
            self._asked |= asked_alone(table)
            self.known = priors_in(table) | self.known
        self._read |= names

    def _ask(self, keys: Sequence[bytes], texts: Sequence[str]) -> pa.Table:
        return self._rows(self._started().judge(questions_about(texts)), keys)

    def _rows(self, answers: pa.Table, keys: Sequence[bytes]) -> pa.Table:
        given = [(document_key(), keys[place]) for place in answers["label_id"].to_pylist()]
        return as_stored(given, answers, self._identity, PRIOR)
