"""What a judge said, kept in its part of a verdict store by who asks it, and found again."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.teacher.protocol import JudgeRefused
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.store import Partition, Snapshot

DIGITS = 12  # of a document's key, in the name of a part
ROUNDS = 32  # questions one after the other on each connection, before answers are kept


def at_once(config: TeacherConfig) -> int | None:
    """Questions after whose answers these are kept, as a killed process loses what is not: so many
    that an endpoint is kept busy. None for an engine of ours, which is best asked all at once."""
    if any(judge.kind != "http" for judge in config.judges):
        return None
    return ROUNDS * max(judge.concurrency for judge in config.judges)


class KeptVerdicts:
    """Verdicts of one judge, found by `lookup`: those of a snapshot of its partition, what is kept
    here, and what was seen of others since. Several threads may find, keep and look.

    `own` are the marks of the questions of who asks.
    """

    def __init__(self, partition: Partition, snapshot: Snapshot, own: Collection[str] = ()) -> None:
        self._partition, self.lookup = partition, Lookup(snapshot)
        self._own = tuple(f"{mark}-" for mark in own)
        self._snapshot, self._seen = snapshot, set(snapshot.parts)
        self._looking, self._looked, self._news = threading.Lock(), False, 0

    def look_again(self, documents: Collection[bytes]) -> int:
        """Have found what others appended since; returns how many parts that ever were. Two runs
        that ask about the same texts at the same time pay twice for what both ask right now only.

        Of the parts of who asks those alone are read that begin with one of the `documents` (keys):
        an attempt at the same unit, in a process that has died, kept them.
        """
        ours = {document.hex()[:DIGITS] for document in documents}
        with self._looking:
            if not self._looked:
                self._seen |= self._partition.absorbed(self._snapshot.generation)
                self._looked = True
            names = {*self._partition.part_names()} - self._seen  # merged ones stay for a day
            news = sorted(
                name
                for name in names
                if not name.startswith(self._own) or name.rsplit("-", 3)[1] in ours
            )
            for name in news:
                self.lookup.add(self._partition.read_part(name), own=False)
            self._seen.update(news)
            self._news += len(news)
            return self._news

    def keep(self, tables: Sequence[pa.Table]) -> None:
        """Append STORED_VERDICTS. They are named by the step that asked and their first pair, as
        another attempt at the unit names them too."""
        table = pa.concat_tables(tables) if tables else None
        if table is not None and table.num_rows:
            row = table.slice(0, 1).to_pylist()[0]
            name = f"{row['source']}-{row['document'].hex()[:DIGITS]}-{row['label'].hex()[:8]}"
            self._seen.add(self._partition.append(table, name))
            self.lookup.add(table)

    def describe(self, about: Mapping[str, Any], commit: str, setting: str, revision: str) -> None:
        """Keep what the judge is. Raises JudgeRefused, naming its `setting` and what to set as its
        `revision`, where its name meant another commit before: verdicts must not be mixed."""
        kept = self._partition.describe({**about, "commit": commit})
        if commit and kept.get("commit") not in (None, "", commit):
            raise JudgeRefused(
                f"{setting}: {about.get('model')} is commit {commit} now, and its verdicts in the "
                f"store are of commit {kept['commit']}: set {revision} to the one that is meant"
            )
