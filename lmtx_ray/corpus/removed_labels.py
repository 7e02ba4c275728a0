"""Labels that were removed from a bundle: their keys are remembered, with all that was known of
them and the day, so that whoever asks for one hears what became of it, and can bring it back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.schemas import LABELS
from lmtx_ray.io import storage

FILE = "removed_labels.parquet"
KNOWN = tuple(name for name in LABELS.names if name != "label_id")
SCHEMA = pa.schema([*(LABELS.field(name) for name in KNOWN), pa.field("removed", pa.string())])
NOTHING = SCHEMA.empty_table()


@dataclass(frozen=True)
class Removed:
    """A table of SCHEMA; `removed` is the day, as in 2026-01-31."""

    table: pa.Table = field(default_factory=lambda: NOTHING)

    @classmethod
    def load(cls, folder: str | Path) -> Removed:
        """Those of a bundle's folder; none where it says nothing of any."""
        file = Path(folder) / FILE
        return cls(storage.read_table(str(file)).cast(SCHEMA)) if file.exists() else cls()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def on(self, key: str) -> str | None:
        """The day on which a key was removed; None for one that was not."""
        try:
            place = pc.index(self.table["label_key"], key).as_py()
        except UnicodeEncodeError:  # half a surrogate pair, as JSON may have it, is in no table
            return None
        return None if place < 0 else str(self.table["removed"][place])

    def without(self, keys: pa.Array) -> Removed:
        """But for some keys, that are labels again."""
        back = pc.is_in(self.table["label_key"], value_set=keys)
        return Removed(self.table.filter(pc.invert(back)))

    def with_labels(self, labels: pa.Table, day: str) -> Removed:
        """With rows of a `labels` table that are removed on a day."""
        gone = labels.select(KNOWN).append_column("removed", pa.array([day] * len(labels)))
        return Removed(pa.concat_tables([self.table, gone.cast(SCHEMA)]).combine_chunks())

    def rows(self, keys: pa.Array) -> pa.Table:
        """What was known of those of some keys that were removed."""
        return self.table.filter(pc.is_in(self.table["label_key"], value_set=keys))
