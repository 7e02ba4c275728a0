"""A bundle's labels as a service needs them: by place, by key, by words, with their parents.

They are read from an Arrow file where it is mapped, so that all processes of a machine hold a
million texts once, and none has an object for each.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.hierarchy import Hierarchy
from lmtx_ray.corpus.label_words import FILE as WORDS_FILE
from lmtx_ray.corpus.label_words import LabelWords, index_table, save_words
from lmtx_ray.corpus.removed_labels import Removed
from lmtx_ray.corpus.strings import Strings

MOST_PARENTS = 20  # a longer chain is a circle
MANY_KEYS = 1000  # and more are looked up together, through a table of all
NEAR, MOST_COMPARED = 3, 400  # keys that are told and compared: more would take longer than tags
FILE = "labels.arrow"
LABEL_FILES = (FILE, WORDS_FILE)  # in a bundle
SCHEMA = pa.schema(
    [
        ("key", pa.large_string()),
        ("text", pa.large_string()),
        ("parents", pa.large_list(pa.large_string())),
        ("by_key", pa.int32()),  # the labels' places in the order of their keys
    ]
)


@dataclass(frozen=True)
class Label:
    """What a user knows a label by."""

    key: str
    text: str


class LabelSet(Mapping[str, str]):
    """Label texts by key; a label's place is its label_id."""

    def __init__(self, table: pa.Table, words: LabelWords | None = None) -> None:
        """`table` as `table_of` makes it, in one piece; without `words` they are indexed when the
        first search comes."""
        self._keys, text, self._parents, by_key = (
            table[name].combine_chunks() for name in SCHEMA.names
        )
        self.keys_by_place, self.texts = Strings(self._keys), Strings(text)
        self._by_key = by_key.to_numpy()
        self._words, self._indexing = words, Lock()
        self.removed = Removed()

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
                names = reader.schema.names
                if not set(SCHEMA.names) <= set(names):
                    raise ValueError(f"columns {names}")
                table = reader.read_all().select(SCHEMA.names)  # there were more in older bundles
            if not table.schema.equals(SCHEMA):
                raise ValueError(f"columns {table.schema}")
            table.validate(full=True)
        except (pa.ArrowException, ValueError) as error:
            raise ValueError(f"{file}: no file of labels ({error})") from error
        words = Path(folder) / WORDS_FILE  # which older bundles have not
        labels = cls(table, LabelWords.load(words) if words.exists() else None)
        labels.removed = Removed.load(folder)
        return labels

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

    def places(self, keys: Sequence[str]) -> np.ndarray:
        """The label_id of each key, int32; -1 for a key that is not in the set."""
        if len(keys) < MANY_KEYS:
            found = [self.place(key) if key in self else -1 for key in keys]
            return np.array(found, np.int32)
        asked = pa.array(keys, self._keys.type).dictionary_encode()
        found_L = pc.index_in(self._keys, value_set=asked.dictionary)  # a table of few, not of all
        labels = np.flatnonzero(found_L.is_valid().to_numpy(zero_copy_only=False))
        places = np.full(len(asked.dictionary), -1, np.int32)
        places[found_L.drop_null().to_numpy()] = labels
        of_keys: np.ndarray = places[asked.indices.to_numpy()]
        return of_keys

    @cached_property
    def _hierarchy(self) -> Hierarchy:
        return Hierarchy.of(self._keys, self._parents)

    def below(self, key: str) -> np.ndarray:
        """label_id of all labels that have a label among their parents, or parents' parents and so
        on, int32, ascending. KeyError for a key that is not in the set."""
        return self._hierarchy.below(self.place(key))

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
        """Labels by words of their text or key, see `LabelWords.search`; an empty query finds
        none."""
        places = self.words().search(query, limit, self.texts.__getitem__)
        return [Label(self.keys_by_place[place], self.texts[place]) for place in places]

    def words(self) -> LabelWords:
        """The index of their words."""
        with self._indexing:
            if self._words is None:
                self._words = LabelWords.of(index_table(self.texts.column, self._keys))
        return self._words

    def keys_beside(self, key: str, most: int) -> list[str]:
        """Up to `most` keys around the place where `key` would stand in their order, so those that
        begin most as it does."""
        after = bisect_left(self._by_key, key, key=self.keys_by_place.__getitem__)
        beside = self._by_key[max(after - most // 2, 0) : after + most // 2]
        return [self.keys_by_place[place] for place in beside]

    def near_keys(self, key: str) -> list[str]:
        """Up to NEAR keys that somebody may have meant by `key`: of the label that is called so,
        else keys written nearly so."""
        called = [label.key for label in self.search(key, NEAR)]
        return called or get_close_matches(key, self.keys_beside(key, MOST_COMPARED), NEAR)


def table_of(labels: pa.Table) -> pa.Table:
    """A `labels` table with what is looked up in it, in one piece."""
    columns = {
        "key": labels["label_key"],
        "text": labels["text"],
        "parents": labels["parent_keys"],
        "by_key": _order(labels["label_key"]),
    }
    return pa.table(columns).cast(SCHEMA).combine_chunks()


def _order(keys: pa.ChunkedArray) -> pa.Array:
    """Places in the order of keys, and of places where keys are equal."""
    table = pa.table({"key": keys, "place": np.arange(len(keys), dtype=np.int32)})
    return table.sort_by([("key", "ascending"), ("place", "ascending")])["place"]


def save_labels(labels: pa.Table, folder: Path, words: pa.Table | None = None) -> None:
    """Write a `labels` table as the uncompressed files that `LabelSet.load` maps; `words` is the
    index of their words, which is made where it is None."""
    table = table_of(labels)
    with pa.OSFile(str(folder / FILE), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_table(table, max_chunksize=max(len(table), 1))
    if words is None:
        words = index_table(*(table[name].combine_chunks() for name in ("text", "key")))
    save_words(words, folder)
