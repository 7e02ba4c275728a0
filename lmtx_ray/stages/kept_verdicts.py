"""What a judge said, kept in its part of a verdict store by who asks it, and found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.teacher.protocol import JudgeRefused
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.store import Partition, Snapshot

ROUNDS = 32  # questions one after the other on each connection, before answers are kept


def at_once(config: TeacherConfig) -> int | None:
    """Questions after whose answers these are kept, as a killed process loses what is not: so many
    that an endpoint is kept busy. None for an engine of ours, which is best asked all at once."""
    if any(judge.kind != "http" for judge in config.judges):
        return None
    return ROUNDS * max(judge.concurrency for judge in config.judges)


class KeptVerdicts:
    """Verdicts of one judge, found by `lookup`: those of a snapshot of its partition, and what is
    kept here. Several threads may find and keep."""

    def __init__(self, partition: Partition, snapshot: Snapshot) -> None:
        self._partition, self.lookup = partition, Lookup(snapshot)

    def keep(self, tables: Sequence[pa.Table]) -> None:
        """Append STORED_VERDICTS. They are named by the step that asked and their first pair, as
        another attempt at the unit names them too."""
        table = pa.concat_tables(tables) if tables else None
        if table is not None and table.num_rows:
            row = table.slice(0, 1).to_pylist()[0]
            name = f"{row['source']}-{row['document'].hex()[:12]}-{row['label'].hex()[:8]}"
            self._partition.append(table, name)
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
