"""Words in one array of bytes, sorted, so that a mapped file is a dictionary as it lies."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np

BEGINNING = 8  # bytes of a word that are compared as one number
REMEMBERED = 1 << 16  # words looked up before; most of a text's words are among few


class SortedWords(Sequence[bytes]):
    """Word w is the UTF-8 before ends_V[w] and after the end of the word before it."""

    def __init__(self, bytes_N: np.ndarray, ends_V: np.ndarray) -> None:
        self.bytes_N, self.ends_V = bytes_N, ends_V

    @classmethod
    def of(cls, words: Sequence[str]) -> SortedWords:
        """Words in the order of their code points, which is that of their bytes."""
        encoded = [word.encode() for word in words]
        ends_V = np.cumsum([len(word) for word in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends_V)

    def __len__(self) -> int:
        return len(self.ends_V)

    def __getitem__(self, place: int) -> bytes:  # type: ignore[override]
        start = self.ends_V[place - 1] if place else 0
        return self.bytes_N[start : self.ends_V[place]].tobytes()


def finder(words: SortedWords) -> Callable[[str], int | None]:
    """A function from a word to its place, None for a word that is not there."""
    return lru_cache(REMEMBERED)(partial(_find, words, _beginnings(words)))


def _beginnings(words: SortedWords) -> np.ndarray:
    """The first 8 bytes of each word as uint64 of the same order, [V]; shorter words end in 0."""
    starts_V = words.ends_V - np.diff(words.ends_V, prepend=0)
    beginnings_V = np.zeros(len(words), np.uint64)
    for place in range(BEGINNING):
        at_V = starts_V + place
        inside_V = at_V < words.ends_V
        beginnings_V <<= np.uint64(8)
        beginnings_V[inside_V] |= words.bytes_N[at_V[inside_V]]
    return beginnings_V


def _find(words: SortedWords, beginnings_V: np.ndarray, word: str) -> int | None:
    wanted = word.encode()
    first = np.uint64(int.from_bytes(wanted[:BEGINNING].ljust(BEGINNING, b"\0"), "big"))
    start = int(beginnings_V.searchsorted(first))
    if start == len(words) or beginnings_V[start] != first:
        return None
    end = int(beginnings_V.searchsorted(first, "right"))
    place = bisect_left(words, wanted, start, end)
    return place if place < end and words[place] == wanted else None
