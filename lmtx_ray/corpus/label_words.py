"""Labels by the beginnings of their words, from an index that is made once and mapped.

A label set of a million is searched with every key that a person presses, so nothing here looks at
all labels: words are found by binary search, and a word's labels lie together. Only where no word
begins as asked are the distinct words looked through, of which there are far fewer.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.words import search_key
from lmtx_ray.io.spans import ranges

FILE = "label_words.arrow"
MOST_TOKENS = 16  # of a query; more tell no labels apart
LABELS_AT_ONCE = 1 << 16  # when the index is made
MOST_INNER = 4096  # words that hold a token somewhere inside
# letters and digits, and the vowel signs of scripts that write them as marks
WORD = re.compile(r"(?:[^\W_]|[\u0900-\u109f\u1780-\u17ff])+")
ASCII_WORD = re.compile(r"[a-z0-9]+")
LAST = "\U0010ffff"
# one row, so that columns may differ in length: V words, P pairs of word and label, L labels
Spans = tuple[np.ndarray, np.ndarray]  # S beginnings and ends among the pairs
SCHEMA = pa.schema(
    [
        ("words", pa.large_list(pa.large_string())),  # V, in the order of their code points
        ("ends", pa.large_list(pa.int64())),  # V: where a word's pairs end
        ("ranks", pa.large_list(pa.int32())),  # P: the ranks of a word's labels, ascending
        ("places", pa.large_list(pa.int32())),  # L: the place of the label of each rank
        ("by_text", pa.large_list(pa.int32())),  # L: ranks in the order of their words
    ]
)


def words_of(text: str) -> list[str]:
    """The folded words of a text, in order."""
    folded = search_key(text)
    return (ASCII_WORD if folded.isascii() else WORD).findall(folded)


def joined(text: str) -> str:
    """What a text is sorted by: its words with one space between."""
    return " ".join(words_of(text))


@dataclass(frozen=True)
class LabelWords:
    """The index. A label's rank is its place among all by length of the text, then by place."""

    words: pa.LargeStringArray
    ends_V: np.ndarray
    ranks_P: np.ndarray
    places_L: np.ndarray
    by_text_L: np.ndarray

    @classmethod
    def of(cls, table: pa.Table) -> LabelWords:
        """Of what `index_table` made; ValueError where its parts do not belong together."""
        words, *numbers = (column.chunk(0).values for column in table.columns)
        made = cls(words, *(column.to_numpy() for column in numbers))
        labels, pairs = len(made.places_L), len(made.ranks_P)
        starts_V1 = made._starts_V1
        right = len(words) == len(made.ends_V) and starts_V1[-1] == pairs
        right = right and len(made.by_text_L) == labels and bool((np.diff(starts_V1) >= 0).all())
        for column in (made.ranks_P, made.places_L, made.by_text_L):
            right = right and (not len(column) or 0 <= column.min() <= column.max() < labels)
        if not right:
            raise ValueError("its columns do not belong together")
        return made

    @cached_property
    def _starts_V1(self) -> np.ndarray:
        """Where each word's pairs begin, and at last where all end."""
        return np.concatenate([np.zeros(1, np.int64), self.ends_V])

    @classmethod
    def load(cls, file: Path) -> LabelWords:
        """Map what `save_words` wrote.

        Raises:
            FileNotFoundError: There is none.
            ValueError: It is not such a file; the message names it.
        """
        try:
            with pa.ipc.open_file(pa.memory_map(str(file))) as reader:
                if not reader.schema.equals(SCHEMA):
                    raise ValueError(f"columns {reader.schema.names}")
                table = reader.read_all()
            table.validate(full=True)
            return cls.of(table)
        except (pa.ArrowException, ValueError) as error:
            raise ValueError(f"{file}: no file of words ({error})") from error

    def search(self, query: str, limit: int, text_of: Callable[[int], str]) -> list[int]:
        """Places of up to `limit` labels that have a word beginning with each word of `query`:
        those first whose text begins as the query does, then the shorter, then by place. Where
        there is none, a word may also hold the query's inside. `text_of` a place is its text.
        """
        tokens = words_of(query)[:MOST_TOKENS]
        if not tokens or limit < 1:
            return []
        found = self._beginning(" ".join(tokens), limit, text_of)
        if len(found) < limit:
            known = set(found)
            more = self._with_all([self._spans_beginning(token) for token in tokens])
            found += islice((rank for rank in more if rank not in known), limit - len(found))
        if not found:
            found += islice(self._with_all([self._spans_holding(one) for one in tokens]), limit)
        return [int(self.places_L[rank]) for rank in found]

    def _beginning(self, start: str, limit: int, text_of: Callable[[int], str]) -> list[int]:
        def text(rank: int) -> str:
            return joined(text_of(int(self.places_L[rank])))

        first, end = (
            bisect_left(self.by_text_L, bound, key=text) for bound in (start, start + LAST)
        )
        ranks_F = self.by_text_L[first:end]
        if len(ranks_F) > limit:
            ranks_F = np.partition(ranks_F, limit - 1)[:limit]
        return [int(rank) for rank in np.sort(ranks_F)]

    def _spans_beginning(self, token: str) -> Spans:
        """Where the pairs of all words with this beginning lie: in one piece."""
        first, end = (
            bisect_left(range(len(self.words)), bound, key=lambda place: self.words[place].as_py())
            for bound in (token, token + LAST)
        )
        starts_V1 = self._starts_V1
        return starts_V1[first : first + 1], starts_V1[end : end + 1]

    def _spans_holding(self, token: str) -> Spans:
        held_V = pc.match_substring(self.words, token).to_numpy(zero_copy_only=False)
        held_S = np.flatnonzero(held_V)[:MOST_INNER]
        return self._starts_V1[held_S], self._starts_V1[held_S + 1]

    def _with_all(self, spans_of_tokens: list[Spans]) -> Iterator[int]:
        """Ranks of the labels that are in some span of each token, ascending."""
        hits_L = np.ones(len(self.places_L), bool)
        for starts_S, ends_S in spans_of_tokens:
            named_L = np.zeros(len(hits_L), bool)
            named_L[self.ranks_P[_within(starts_S, ends_S)]] = True
            hits_L &= named_L
        return map(int, np.flatnonzero(hits_L))


def _within(starts_S: np.ndarray, ends_S: np.ndarray) -> slice | np.ndarray:
    """All places in some spans."""
    if len(starts_S) == 1:
        return slice(int(starts_S[0]), int(ends_S[0]))
    return ranges(starts_S, ends_S - starts_S)


def index_table(texts: pa.LargeStringArray, keys: pa.LargeStringArray) -> pa.Table:
    """The index of label texts and keys, in the order of their places, as a table of SCHEMA. Few
    labels at a time are Python objects."""
    places_L = np.argsort(pc.utf8_length(texts).to_numpy(), kind="stable").astype(np.int32)
    words, ranks, sorted_by = [], [], []
    for first in range(0, max(len(places_L), 1), LABELS_AT_ONCE):
        places = places_L[first : first + LABELS_AT_ONCE]
        own = [words_of(text) for text in texts.take(places).to_pylist()]
        named = [words_of(key) for key in keys.take(places).to_pylist()]
        pairs = [{*own_words, *more} for own_words, more in zip(own, named, strict=True)]
        words.append(pa.array([word for some in pairs for word in some], pa.large_string()))
        counts = [len(some) for some in pairs]
        ranks.append(np.repeat(np.arange(first, first + len(places), dtype=np.int32), counts))
        sorted_by.append(pa.array([" ".join(some) for some in own], pa.large_string()))
    by_text_L = pc.sort_indices(pa.chunked_array(sorted_by)).to_numpy().astype(np.int32)
    distinct, words_P = _numbered(pa.chunked_array(words))
    ranks_P = np.concatenate(ranks)[np.argsort(words_P, kind="stable")]
    ends_V = np.cumsum(np.bincount(words_P, minlength=len(distinct)), dtype=np.int64)
    return table_of_columns([distinct, ends_V, ranks_P, places_L, by_text_L])


def _numbered(words: pa.ChunkedArray) -> tuple[pa.LargeStringArray, np.ndarray]:
    """The distinct words in order, and for each word its place among them."""
    encoded = words.combine_chunks().dictionary_encode()
    order_V = pc.sort_indices(encoded.dictionary)
    places_V = np.empty(len(order_V), np.int32)
    places_V[order_V.to_numpy()] = np.arange(len(order_V), dtype=np.int32)
    return encoded.dictionary.take(order_V), places_V[encoded.indices.to_numpy()]


def table_of_columns(columns: Sequence[Any]) -> pa.Table:
    """Columns of different lengths as the one row of a table of SCHEMA."""
    lists = [
        pa.LargeListArray.from_arrays([0, len(column)], pa.array(column, field.type.value_type))
        for column, field in zip(columns, SCHEMA, strict=True)
    ]
    return pa.table(lists, schema=SCHEMA)


def save_words(table: pa.Table, folder: Path) -> None:
    """Write what `index_table` made as the uncompressed file that `LabelWords.load` maps."""
    with pa.OSFile(str(folder / FILE), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_table(table)
