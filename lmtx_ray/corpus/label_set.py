"""A bundle's labels as a service needs them: by place, by key, by words, with their parents.

They are read from an Arrow file where it is mapped, so that all processes of a machine hold a
million texts once, and none has an object for each.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.words import search_key

MOST_PARENTS = 20  # a longer chain is a circle
FILE = "labels.arrow"
ROWS = 1 << 16  # folded at a time
SCHEMA = pa.schema(
    [
        ("key", pa.large_string()),
        ("text", pa.large_string()),
        ("parents", pa.large_list(pa.large_string())),
        ("searched", pa.large_string()),  # `search_key` of text and key
        ("by_key", pa.int32()),  # the labels' places in the order of their keys
    ]
)


@dataclass(frozen=True)
class Label:
    """What a user knows a label by."""

    key: str
    text: str


class Strings(Sequence[str]):
    """A column of strings; each is made when it is asked for."""

    def __init__(self, column: pa.LargeStringArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            texts: list[str] = self._column[place].to_pylist()
            return texts
        return str(self._column[int(place)].as_py())


class LabelSet(Mapping[str, str]):
    """Label texts by key; a label's place is its label_id."""

    def __init__(self, table: pa.Table) -> None:
        """`table` as `table_of` makes it, in one piece."""
        key, text, self._parents, self._searched, by_key = (
            column.combine_chunks() for column in table.columns
        )
        self.keys_by_place, self.texts, self._text = Strings(key), Strings(text), text
        self._by_key = by_key.to_numpy()

    @classmethod
    def of(cls, labels: pa.Table) -> LabelSet:
        """A `labels` table in memory."""
        return cls(table_of(labels))

    @classmethod
    def load(cls, folder: str | Path) -> LabelSet:
        """Map what `save_labels` wrote.

        Raises:
            ValueError: It is not such a file; the message names it.
        """
        file = Path(folder) / FILE
        try:
            with pa.ipc.open_file(pa.memory_map(str(file))) as reader:
                if not reader.schema.equals(SCHEMA):
                    raise ValueError(f"columns {reader.schema.names}")
                table = reader.read_all()
            table.validate(full=True)
        except (pa.ArrowException, ValueError) as error:
            raise ValueError(f"{file}: no file of labels ({error})") from error
        return cls(table)

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys_by_place)

    def __getitem__(self, key: str) -> str:
        return self.texts[self.place(key)]

    def place(self, key: str) -> int:
        """The label_id of a key; KeyError for one that is not in the set."""
        after = bisect_right(self._by_key, key, key=self.keys_by_place.__getitem__)
        place = int(self._by_key[after - 1]) if after else None
        if place is None or self.keys_by_place[place] != key:
            raise KeyError(key)
        return place

    def label(self, key: str) -> Label | None:
        """The label of a key, None for a key that is not in the set."""
        return Label(key, self[key]) if key in self else None

    def parents(self, key: str) -> list[Label]:
        """The way up from a label, nearest first, by each label's first parent that is known."""
        chain: list[Label] = []
        seen = {key}
        while len(chain) < MOST_PARENTS:
            parents = self._parents[self.place(key)].as_py() if key in self else None
            known = next((parent for parent in parents or () if parent in self), None)
            if known is None or known in seen:
                break
            key = known
            seen.add(key)
            chain.append(Label(key, self[key]))
        return chain

    def search(self, query: str, limit: int) -> list[Label]:
        """Labels whose text or key contains `query`, by `search_key`: those whose text begins
        with it first, then the shorter, then by place. An empty query finds none."""
        wanted = search_key(query).strip()
        if not wanted:
            return []
        found = np.flatnonzero(_bits(pc.match_substring(self._searched, wanted)))
        begins = _bits(pc.starts_with(self._searched, wanted))[found]
        if "\n" in wanted:  # which no text has: it is more than a text that this begins with
            begins[:] = False
        lengths = pc.utf8_length(self._text).to_numpy()[found]
        best = found[np.lexsort((found, lengths, ~begins))][:limit].tolist()
        return [Label(self.keys_by_place[place], self.texts[place]) for place in best]


def table_of(labels: pa.Table) -> pa.Table:
    """A `labels` table with what is looked up in it, in one piece."""
    columns = {
        "key": labels["label_key"],
        "text": labels["text"],
        "parents": labels["parent_keys"],
        "searched": pa.chunked_array(_folded(labels), pa.large_string()),
        "by_key": _order(labels["label_key"]),
    }
    return pa.table(columns).cast(SCHEMA).combine_chunks()


def _folded(labels: pa.Table) -> Iterator[pa.Array]:
    for batch in labels.select(["text", "label_key"]).to_batches(max_chunksize=ROWS):
        pairs = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        folded = [f"{search_key(text)}\n{search_key(key)}" for text, key in pairs]
        yield pa.array(folded, pa.large_string())


def _order(keys: pa.ChunkedArray) -> pa.Array:
    """Places in the order of keys, and of places where keys are equal."""
    table = pa.table({"key": keys, "place": np.arange(len(keys), dtype=np.int32)})
    return table.sort_by([("key", "ascending"), ("place", "ascending")])["place"]


def save_labels(labels: pa.Table, folder: Path) -> None:
    """Write a `labels` table as the uncompressed file that `LabelSet.load` maps."""
    table = table_of(labels)
    with pa.OSFile(str(folder / FILE), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_table(table, max_chunksize=max(len(table), 1))


def _bits(column: pa.BooleanArray) -> np.ndarray:
    bits_L: np.ndarray = column.to_numpy(zero_copy_only=False)
    return bits_L
