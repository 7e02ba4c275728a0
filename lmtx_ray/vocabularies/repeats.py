"""Labels that are called alike: in the same letters, or in the same words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.words import search_key, words
from lmtx_ray.vocabularies.findings import Finding

MOST_OTHERS = 20  # keys told of one finding
MOST_PARTS = 1 << 19  # parts of texts whose words are remembered


class Names:
    """Keys and texts of a label set, with its texts as they are compared."""

    def __init__(self, keys: Sequence[str], texts: Sequence[str]) -> None:
        self.keys, self.texts = keys, texts
        self._fold = Folding()
        self.folded = [self.fold(text) for text in texts]

    def fold(self, text: str) -> str:
        """A text as it is compared."""
        return self._fold.text(text)

    def finding(self, kind: str, places: Sequence[int], detail: str = "") -> Finding:
        """About the label of the first place, and those of the others."""
        first, *others = places
        told = tuple(self.keys[place] for place in others[:MOST_OTHERS])
        return Finding(kind, self.keys[first], self.texts[first], told, detail)


class Folding(dict[str, str]):
    """What stands between the spaces of texts -> its words as they are compared, remembered: most
    labels are made of few words."""

    def __missing__(self, part: str) -> str:
        if len(self) >= MOST_PARTS:
            self.clear()
        self[part] = made = " ".join(words(part))
        return made

    def text(self, text: str) -> str:
        """Words without case, accents, plural and signs; of a text without words its letters."""
        parts = map(self.__getitem__, text.split())
        return " ".join(filter(None, parts)) or search_key(text)


def same_names(names: Names) -> Iterator[Finding]:
    """One finding for each group of labels that are called alike, by the nearest likeness."""
    exact = groups(names.texts)
    yield from (names.finding("same_text", group) for group in exact)
    known = {frozenset(group) for group in exact}
    for kind, texts in (
        ("nearly_same_text", names.folded),
        ("same_words", [" ".join(sorted(text.split())) for text in names.folded]),
    ):
        for group in groups(texts):
            if frozenset(group) not in known:
                known.add(frozenset(group))
                shown = dict.fromkeys(names.texts[place] for place in group[:MOST_OTHERS])
                yield names.finding(kind, group, " / ".join(shown))


def groups(texts: Sequence[str]) -> list[list[int]]:
    """Places of equal texts that are there more than once, in order."""
    codes_L = pa.array(texts, pa.large_string()).dictionary_encode().indices.to_numpy()
    places = np.flatnonzero(np.bincount(codes_L)[codes_L] > 1)
    places = places[np.argsort(codes_L[places], kind="stable")]
    ends = np.flatnonzero(np.diff(codes_L[places])) + 1
    return [group.tolist() for group in np.split(places, ends)] if len(places) else []


def taken_aliases(names: Names, aliases: pa.Array) -> Iterator[Finding]:
    """Aliases that are called as another label is, of the lists of aliases of each label."""
    flat = pc.list_flatten(aliases).to_pylist()
    if not flat:
        return
    owners: dict[str, int] = {}
    for place, text in enumerate(names.folded):
        owners.setdefault(text, place)
    for place, alias in zip(pc.list_parent_indices(aliases).to_pylist(), flat, strict=True):
        owner = owners.get(names.fold(alias), place)
        if owner != place and names.folded[owner] != names.folded[place]:
            yield names.finding("taken_alias", (place, owner), alias)
