"""Words in one array of bytes, sorted, so that a mapped file is a dictionary as it lies."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np

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
    return lru_cache(REMEMBERED)(partial(_find, words))


def _find(words: SortedWords, word: str) -> int | None:
    wanted = word.encode()
    place = bisect_left(words, wanted)
    return place if place < len(words) and words[place] == wanted else None
