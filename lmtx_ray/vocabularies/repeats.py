"""Labels that are called alike: in the same letters, the same words, or but for one letter."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from lmtx_ray.corpus.words import search_key, words
from lmtx_ray.vocabularies.findings import Finding

MOST_OTHERS = 20  # keys told of one finding
SHORTEST = 5  # letters of a word in which one letter more or less is a typing error
MOST_COMPARED = 48  # texts of a block that are compared with each other; of more, with neighbours
NEIGHBOURS = 4


class Names:
    """Keys and texts of a label set, with its texts as they are compared."""

    def __init__(self, keys: Sequence[str], texts: Sequence[str]) -> None:
        self.keys, self.texts = keys, texts
        self.folded = [_folded(text) for text in texts]

    def finding(self, kind: str, places: Sequence[int], detail: str = "") -> Finding:
        """About the label of the first place, and those of the others."""
        first, *others = places
        told = tuple(self.keys[place] for place in others[:MOST_OTHERS])
        return Finding(kind, self.keys[first], self.texts[first], told, detail)


def _folded(text: str) -> str:
    """Words without case, accents, plural and signs; of a text without words its letters."""
    return " ".join(words(text)) or search_key(text)


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
    by_text: dict[str, int | list[int]] = {}
    for place, text in enumerate(texts):
        first = by_text.setdefault(text, place)
        if isinstance(first, list):
            first.append(place)
        elif first != place:
            by_text[text] = [first, place]
    return [group for group in by_text.values() if isinstance(group, list)]


def taken_aliases(names: Names, aliases: Iterable[Sequence[str] | None]) -> Iterator[Finding]:
    """Aliases that are called as another label is, of the aliases of each label."""
    owners: dict[str, int] = {}
    for place, text in enumerate(names.folded):
        owners.setdefault(text, place)
    for place, own in enumerate(aliases):
        for alias in own or ():
            owner = owners.get(_folded(alias), place)
            if owner != place and names.folded[owner] != names.folded[place]:
                yield names.finding("taken_alias", (place, owner), alias)


def one_letter_apart(names: Names) -> Iterator[Finding]:
    """Pairs of labels whose folded texts differ in one letter of a long word.

    Two such texts have the first or the last half in common, so only texts that share a half are
    compared: a million labels take some seconds. In a block of very many texts each is compared
    with its neighbours by the alphabet.
    """
    different = {text: place for place, text in reversed(list(enumerate(names.folded)))}
    texts = sorted(text for text in different if len(text) > SHORTEST)
    found: set[tuple[int, int]] = set()
    for block in _blocks(texts):
        wide = len(block) > MOST_COMPARED
        for place, one in enumerate(block):
            for other in block[place + 1 : place + 1 + NEIGHBOURS] if wide else block[place + 1 :]:
                if is_slip(texts[one], texts[other]) and (one, other) not in found:
                    found.add((one, other))
                    pair = different[texts[one]], different[texts[other]]
                    yield names.finding("one_letter_apart", pair, names.texts[pair[1]])


def _blocks(texts: Sequence[str]) -> Iterator[list[int]]:
    """Places of texts with a half in common. Texts of odd and even length are cut as the shorter
    one of a pair would be, so each has two ways to be halved."""
    for first in (True, False):
        hashes, places = _halves(texts, first)
        order = np.argsort(hashes, kind="stable")
        hashes, places = hashes[order], places[order]
        starts = np.flatnonzero(np.diff(hashes, prepend=hashes[:1] - 1))
        ends = np.append(starts[1:], len(hashes))
        several = ends - starts > 1
        for start, end in zip(starts[several].tolist(), ends[several].tolist(), strict=True):
            block = np.unique(places[start:end]).tolist()
            if len(block) > 1:
                yield block


def _halves(texts: Sequence[str], first: bool) -> tuple[np.ndarray, np.ndarray]:
    """(hashes int64 [M], places int64 [M]) of the first or the last halves. Equal hashes of
    different halves cost a comparison and nothing else."""
    hashes, places = array("q"), array("q")
    for place, text in enumerate(texts):
        size = len(text)
        for shorter in (size, size - 1):
            middle = shorter // 2
            half = text[:middle] if first else text[size - shorter + middle :]
            hashes.append(hash((shorter, half)))
            places.append(place)
    return np.frombuffer(hashes, np.int64), np.frombuffer(places, np.int64)


def is_slip(one: str, other: str) -> bool:
    """Whether two texts differ in one letter (another, one more or one less), or in two that
    changed places, of one long word without digits. Short words differ on purpose: hepatitis A
    and B."""
    if abs(len(one) - len(other)) > 1 or not _may_be_slip(one, other):
        return False
    first, second = one.split(), other.split()
    differing = [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]]
    if len(first) != len(second) or len(differing) != 1:
        return False
    short, long = sorted(differing[0], key=len)
    if len(short) < SHORTEST or any(map(str.isdigit, short + long)):
        return False
    return _is_one_edit(short, long)


def _may_be_slip(one: str, other: str) -> bool:
    """Whether all is equal but for a quarter at one end, or both ends are: of a slip one of these
    is so, and of few other pairs, so that most are passed over quickly."""
    size = min(len(one), len(other))
    quarter = size // 4
    most = size - quarter - 2
    if quarter == 0 or most <= 0:
        return True
    return (
        (one[:quarter] == other[:quarter] and one[-quarter:] == other[-quarter:])
        or one[:most] == other[:most]
        or one[-most:] == other[-most:]
    )


def _is_one_edit(short: str, long: str) -> bool:
    start = next((n for n, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), None)
    if start is None or len(long) - len(short) > 1:
        return start is None and len(long) - len(short) == 1
    if len(long) > len(short):
        return short[start:] == long[start + 1 :]
    swapped = short[start : start + 2] == long[start : start + 2][::-1]
    return short[start + 1 :] == long[start + 1 :] or (
        swapped and short[start + 2 :] == long[start + 2 :]
    )
