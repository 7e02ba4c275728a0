"""The label that a person means: by its key, or by its text."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

import pyarrow as pa

from lmtx_ray.corpus.lines import BadRow
from lmtx_ray.corpus.text_keys import squeezed
from lmtx_ray.io import storage

MOST_COMPARED = 20_000  # names an unknown one is compared with; of more, those that begin alike
MOST_HINTS = 200  # unknown names that get near matches; more are a wrong column or label set


def plain(name: str) -> str:
    """A name as it is compared: NFC, spaces squeezed. Case counts."""
    return unicodedata.normalize("NFC", squeezed(name))


class LabelNames:
    """Keys and texts of a label set. A label's id is its place."""

    def __init__(self, keys: Sequence[str], texts: Sequence[str]) -> None:
        self._keys, self._texts = keys, texts
        self._by_key = {plain(key): place for place, key in enumerate(keys)}
        self._by_text: dict[str, int] = {}
        self._shared: dict[str, list[int]] = {}  # texts that more than one label has
        for place, text in enumerate(map(plain, texts)):
            first = self._by_text.setdefault(text, place)
            if first != place:
                self._shared.setdefault(text, [first]).append(place)
        self._hints: dict[str, str] = {}

    @classmethod
    def of(cls, tables: Iterable[pa.Table]) -> LabelNames:
        """From tables with label_key and text, in the order of their label ids."""
        keys: list[str] = []
        texts: list[str] = []
        for table in tables:
            keys += table["label_key"].to_pylist()
            texts += table["text"].to_pylist()
        return cls(keys, texts)

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, label: int) -> str:
        """The key of a label id."""
        return self._keys[label]

    def text(self, label: int) -> str:
        """The text of a label id."""
        return self._texts[label]

    def knows(self, name: str) -> bool:
        """Whether it is a key, or the text of one label or more."""
        return plain(name) in self._by_key or plain(name) in self._by_text

    def resolve(self, name: str) -> int | BadRow:
        """The label id of a key, or else of a text; a BadRow that says what is wrong with the
        name: nobody's, with those it is like, or that of several labels."""
        name = plain(name)
        if name in self._by_key:
            return self._by_key[name]
        if name in self._shared:
            keys = [repr(self._keys[place]) for place in self._shared[name][:5]]
            return BadRow(f"{name!r} is the text of labels {', '.join(keys)}: give the key")
        if name in self._by_text:
            return self._by_text[name]
        hint = self._near(name)
        return BadRow(f"{name!r} is no key and no text of a label{hint and '; '}{hint}")

    def _near(self, name: str) -> str:
        if name not in self._hints:
            if len(self._hints) >= MOST_HINTS:
                return ""
            self._hints[name] = self._hint(name.casefold())
        return self._hints[name]

    def _hint(self, folded: str) -> str:
        names = [*self._by_key, *self._by_text]
        if len(names) > MOST_COMPARED:
            names = [name for name in names if name[:3].casefold() == folded[:3]]
        alike = {name.casefold(): name for name in names[:MOST_COMPARED]}
        near = [alike[match] for match in difflib.get_close_matches(folded, alike, n=3)]
        return f"did you mean {' or '.join(map(self._shown, near))}?" if near else ""

    def _shown(self, name: str) -> str:
        if name in self._by_key:
            return f"{name!r} ({self._texts[self._by_key[name]]})"
        return f"{name!r} ({self._keys[self._by_text[name]]})"


@lru_cache(maxsize=1)
def names_in(files: tuple[str, ...]) -> LabelNames:
    """Those of published label files; the last ones are kept by the process."""
    return LabelNames.of(storage.read_table(file, ["label_key", "text"]) for file in files)
