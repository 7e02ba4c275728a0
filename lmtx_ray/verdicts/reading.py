"""Reading a whole partition, in order and each pair once, with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.io import storage
from lmtx_ray.verdicts.layers import merged_tables
from lmtx_ray.verdicts.store import Partition, VerdictStore


def read_all(partition: Partition) -> Iterator[pa.Table]:
    """STORED_VERDICTS sorted by document and label, the first answer on each pair."""
    with storage.scratch_folder() as scratch:
        yield from merged_tables(partition, Path(scratch))


def stats(store: VerdictStore) -> list[dict[str, Any]]:
    """One entry for each judge: what it is, verdicts, answers by kind, mean mass."""
    found = []
    for name in store.judges():
        partition = Partition(storage.join(store.uri, "judges", name))
        counts = {"verdicts": 0, "yes": 0, "no": 0, "unclear": 0}
        mass, weighed = 0.0, 0
        for table in read_all(partition):
            counts["verdicts"] += table.num_rows
            for entry in pc.value_counts(table["answer"]).to_pylist():
                counts[entry["values"]] += entry["counts"]
            mass += pc.sum(table["mass"]).as_py() or 0.0
            weighed += table.num_rows - table["mass"].null_count
        about = storage.join(partition.uri, "JUDGE.json")
        found.append(
            {
                "judge": name,
                **counts,
                "mass": round(mass / weighed, 4) if weighed else None,
                "about": storage.read_json(about) if storage.exists(about) else {},
            }
        )
    return found
