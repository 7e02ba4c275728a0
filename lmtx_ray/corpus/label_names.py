"""The label that a person means: by its key, or by its text."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, islice

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.lines import BadRow
from lmtx_ray.corpus.strings import Places, Strings
from lmtx_ray.corpus.text_keys import squeezed
from lmtx_ray.io import storage

MOST_COMPARED = 20_000  # names an unknown one is compared with; of more, those that begin alike
ALIKE = 3  # characters
MOST_HINTS = 200  # unknown names that get near matches; more are a wrong column or label set
MOST_TOLD = 5  # keys of labels that have the same text
MOST_FOUND = 1 << 16  # names that are remembered: gold names the same few again and again
NAMED = pa.schema([("label_key", pa.string()), ("text", pa.string())])


def plain(name: str) -> str:
    """A name as it is compared: NFC, spaces squeezed. Case counts."""
    return unicodedata.normalize("NFC", squeezed(name))


class LabelNames:
    """Keys and texts of a label set. A label's id is its place; `left_out` are the places of rows
    of its files that are no labels, ascending, as label indices count all rows."""

    def __init__(
        self,
        keys: Sequence[str] | pa.ChunkedArray,
        texts: Sequence[str] | pa.ChunkedArray,
        left_out: Sequence[int] = (),
    ) -> None:
        self.left_out = tuple(left_out)
        self._keys, self._texts = Strings.of(keys), Strings.of(texts)
        self._by_key, self._by_text = Places(self._keys, plain), Places(self._texts, plain)
        self._found = lru_cache(MOST_FOUND)(self._find)
        self._hints: dict[str, str] = {}

    @classmethod
    def of(cls, tables: Iterable[pa.Table], left_out: Sequence[int] = ()) -> LabelNames:
        """From tables with label_key and text, in the order of their label ids."""
        named = [NAMED.empty_table(), *(table.select(NAMED.names) for table in tables)]
        table = pa.concat_tables(named, promote_options="permissive")
        return cls(table["label_key"], table["text"], left_out)

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
        return bool(self._found(plain(name)))

    def resolve(self, name: str) -> int | BadRow:
        """The label id of a key, or else of a text; a BadRow that says what is wrong with the
        name: nobody's, with those it is like, or that of several labels."""
        name = plain(name)
        found = self._found(name)
        if len(found) > 1:
            keys = [repr(self._keys[place]) for place in found]
            return BadRow(f"{name!r} is the text of labels {', '.join(keys)}: give the key")
        if found:
            return found[0]
        hint = self._near(name)
        return BadRow(f"{name!r} is no key and no text of a label{hint and '; '}{hint}")

    def _find(self, name: str) -> list[int]:
        """The label that has it as its key, or else the first that have it as their text."""
        place = self._by_key.first(name)
        return list(islice(self._by_text.of(name), MOST_TOLD)) if place is None else [place]

    def _near(self, name: str) -> str:
        if name not in self._hints:
            if len(self._hints) >= MOST_HINTS:
                return ""
            self._hints[name] = self._hint(name.casefold())
        return self._hints[name]

    def _hint(self, folded: str) -> str:
        names = map(
            plain, chain(self._beginning(self._keys, folded), self._beginning(self._texts, folded))
        )
        alike = {name.casefold(): name for name in islice(names, MOST_COMPARED)}
        near = [alike[match] for match in difflib.get_close_matches(folded, alike, n=3)]
        return f"did you mean {' or '.join(map(self._shown, near))}?" if near else ""

    def _beginning(self, names: Strings, folded: str) -> Strings:
        """All names, or of many those that begin alike."""
        if len(self) * 2 <= MOST_COMPARED:
            return names
        begin = pc.utf8_lower(pc.utf8_slice_codeunits(names.column, 0, ALIKE))
        return Strings(names.column.filter(pc.equal(begin, folded[:ALIKE])))

    def _shown(self, name: str) -> str:
        (place,) = self._found(name)[:1]
        is_key = plain(self._keys[place]) == name
        return f"{name!r} ({self._texts[place] if is_key else self._keys[place]})"


@lru_cache(maxsize=1)
def names_in(files: tuple[str, ...]) -> LabelNames:
    """Those of published label files; the last ones are kept by the process."""
    return LabelNames.of(storage.read_table(file, ["label_key", "text"]) for file in files)
