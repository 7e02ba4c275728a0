"""Columns of many strings, without an object for each, and where a string stands in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import overload

import numpy as np
import pyarrow as pa

AT_ONCE = 1 << 16  # strings that are objects at the same time


class Strings(Sequence[str]):
    """A column of strings; each is made when it is asked for."""

    def __init__(self, column: pa.LargeStringArray) -> None:
        self.column = column

    @classmethod
    def of(cls, given: Sequence[str] | pa.ChunkedArray) -> Strings:
        """Any strings as a column of them."""
        if isinstance(given, Strings):
            return cls(given.column)
        if isinstance(given, pa.ChunkedArray):
            return cls(given.cast(pa.large_string()).combine_chunks())
        return cls(pa.array(given, pa.large_string()))

    def __len__(self) -> int:
        return len(self.column)

    def __iter__(self) -> Iterator[str]:
        parts = (self[start : start + AT_ONCE] for start in range(0, len(self), AT_ONCE))
        return chain.from_iterable(parts)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            texts: list[str] = self.column[place].to_pylist()
            return texts
        return str(self.column[int(place)].as_py())


class Places:
    """Where a string stands in a column: by hashes of 64 bits, 12 bytes a string. They are of this
    process alone."""

    def __init__(self, strings: Strings, form: Callable[[str], str] = str) -> None:
        """`form`: as what two strings are the same."""
        self._strings, self._form = strings, form
        hashes_N = np.fromiter((hash(form(one)) for one in strings), np.int64, len(strings))
        self._order_N = np.argsort(hashes_N, kind="stable").astype(np.int32)
        self._hashes_N = hashes_N[self._order_N]

    def of(self, string: str) -> Iterator[int]:
        """The places that have it, ascending."""
        own = self._form(string)
        first = np.searchsorted(self._hashes_N, hash(own))
        after = np.searchsorted(self._hashes_N, hash(own), "right")
        for place in map(int, self._order_N[first:after]):
            if self._form(self._strings[place]) == own:
                yield place

    def first(self, string: str) -> int | None:
        """The first of them, None where it stands nowhere."""
        return next(self.of(string), None)
