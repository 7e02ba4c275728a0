"""Labels whose names differ in one letter of a long word: typing errors, perhaps.

Such names are equal but for one word, and its two spellings have the first or the last half in
common. So only names that share all other words and a half of this one are compared: few, whatever
the number of labels. A number is made for each of these, so that all of it is sorting of numbers.

Shapes: T texts, N words of all of them, V different words, M numbers of a kind of half.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.vocabularies.findings import Finding
from lmtx_ray.vocabularies.repeats import Names

SHORTEST = 5  # letters of a word in which one letter more or less is a typing error
MOST_COMPARED = 48  # names of a block that are compared with each other; of more, with neighbours
NEIGHBOURS = 4
MOST_DIFFERENT = 2  # letters that only one of two spellings has
Pairs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Cut:
    """Texts as numbers of their words. `text_N` and `place_N` say in which text a word stands, and
    as which of its words."""

    words: list[str]
    word_N: np.ndarray
    text_N: np.ndarray
    place_N: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[str]) -> Cut:
        """Cut at spaces."""
        lists = pc.split_pattern(pa.array(texts, pa.large_string()), " ")
        found = lists.flatten().dictionary_encode()
        starts_T = lists.offsets.to_numpy()
        text_N = np.repeat(np.arange(len(texts), dtype=np.int32), np.diff(starts_T))
        place_N = np.arange(len(text_N), dtype=np.int32) - starts_T[text_N]
        return cls(found.dictionary.to_pylist(), found.indices.to_numpy(), text_N, place_N)

    def others(self) -> np.ndarray:
        """uint64 [N]: a number of all other words of the text, of their places and of its own."""
        draw = np.random.default_rng(7)
        word_V = draw.integers(1 << 63, size=len(self.words), dtype=np.uint64)
        odd = draw.integers(
            1 << 63, size=(2, int(self.place_N.max(initial=0)) + 1), dtype=np.uint64
        )
        odd = odd << np.uint64(1) | np.uint64(1)
        own_N = word_V[self.word_N] * odd[0][self.place_N]
        starts_T = np.flatnonzero(self.place_N == 0)
        whole_T = np.add.reduceat(own_N, starts_T) if len(starts_T) else own_N
        others_N: np.ndarray = whole_T[self.text_N] - own_N + odd[1][self.place_N]
        return others_N


def one_letter_apart(names: Names) -> Iterator[Finding]:
    """Pairs of labels whose folded texts are a slip apart (`is_slip`), by the alphabet.

    Of very many that share a half of a word and all others, each is compared with its neighbours by
    the alphabet.
    """
    different: dict[str, int] = {}
    for place, text in enumerate(names.folded):
        if len(text) > SHORTEST:
            different.setdefault(text, place)
    texts = sorted(different)
    for one, other in slips(texts):
        pair = different[texts[one]], different[texts[other]]
        yield names.finding("one_letter_apart", pair, names.texts[pair[1]])


def slips(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Places of pairs of different texts that are a slip apart, given in the order of the alphabet:
    each pair once, the smaller place first, sorted."""
    cut = Cut.of(texts)
    others_N = cut.others()
    letters_V = _letters(cut.words)
    found: set[tuple[int, int]] = set()
    for first in (True, False):
        for ones, second in _compared(cut, others_N, first):
            one_M, other_M = cut.word_N[ones], cut.word_N[second]
            apart_M = np.bitwise_count(letters_V[one_M] ^ letters_V[other_M])
            near = np.flatnonzero((apart_M <= MOST_DIFFERENT) & (one_M != other_M))
            pairs = cut.text_N[ones[near]].tolist(), cut.text_N[second[near]].tolist()
            for pair in zip(*pairs, strict=True):
                if pair not in found and is_slip(texts[pair[0]], texts[pair[1]]):
                    found.add(pair)
    return sorted(found)


def _compared(cut: Cut, others_N: np.ndarray, first: bool) -> Iterator[Pairs]:
    """Places among N of the words that are compared with each other, text after text."""
    hashes, words = _halves(cut.words, first)
    by_word_V = np.searchsorted(words, np.arange(len(cut.words) + 1))  # two each, or none
    of_N = by_word_V[cut.word_N]
    at_M = np.repeat(np.flatnonzero(by_word_V[cut.word_N + 1] > of_N).astype(np.int32), 2)
    which_M = of_N[at_M]
    which_M[1::2] += 1
    keys_M = others_N[at_M] + hashes[which_M] * np.uint64(0x9E3779B97F4A7C15)
    order = np.argsort(keys_M, kind="stable")
    yield from _blocks(keys_M[order], at_M[order])


def _blocks(keys_M: np.ndarray, at_M: np.ndarray) -> Iterator[Pairs]:
    """Pairs of places with equal keys: all of small blocks, neighbours of large ones."""
    starts = np.flatnonzero(np.r_[True, keys_M[1:] != keys_M[:-1]][: len(keys_M)])
    sizes = np.diff(np.append(starts, len(keys_M)))
    behind_M = np.repeat(starts + sizes, sizes) - np.arange(len(keys_M)) - 1
    reach_M = np.repeat(np.where(sizes > MOST_COMPARED, NEIGHBOURS, MOST_COMPARED), sizes)
    reach_M = np.minimum(behind_M, reach_M)
    left = np.flatnonzero(reach_M)
    for step in range(1, MOST_COMPARED):
        left = left[reach_M[left] >= step]
        if not len(left):
            return
        yield at_M[left], at_M[left + step]


def _halves(words: Sequence[str], first: bool) -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64 [2W], words int64 [2W], ascending) of the first or the last halves of long
    words without digits. Words of odd and even length are cut as the shorter one of a pair would
    be, so each has two ways to be halved. Equal hashes of different halves cost a comparison and
    nothing else."""
    hashes, places = array("q"), array("q")
    for place, word in enumerate(words):
        size = len(word)
        if size < SHORTEST or any(map(str.isdigit, word)):
            continue
        for shorter in (size, size - 1):
            middle = shorter // 2
            half = word[:middle] if first else word[size - shorter + middle :]
            hashes.append(hash((shorter, half)))
            places.append(place)
    return np.frombuffer(hashes, np.int64).view(np.uint64), np.frombuffer(places, np.int64)


def _letters(words: Sequence[str]) -> np.ndarray:
    """uint64 [V], a bit for the letters of each word: of spellings one letter apart, two differ at
    most."""
    masks = array("Q")
    for word in words:
        mask = 0
        for letter in set(word):
            mask |= 1 << (ord(letter) & 63)
        masks.append(mask)
    return np.frombuffer(masks, np.uint64)


def is_slip(one: str, other: str) -> bool:
    """Whether two texts differ in one letter (another, one more or one less), or in two that
    changed places, of one long word without digits. Short words differ on purpose: hepatitis A
    and B."""
    if abs(len(one) - len(other)) > 1:
        return False
    first, second = one.split(), other.split()
    differing = [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]]
    if len(first) != len(second) or len(differing) != 1:
        return False
    short, long = sorted(differing[0], key=len)
    if len(short) < SHORTEST or any(map(str.isdigit, short + long)):
        return False
    return _is_one_edit(short, long)


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
