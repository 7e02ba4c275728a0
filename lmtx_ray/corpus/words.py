"""The words of a text in any script, and texts as they are compared in a search.

Composed and decomposed forms of a text give the same. Of ASCII letters and digits each run is a
word. Accents are left out, as are the vowel points of Arabic and Hebrew; signs that make another
letter (vowels of Hindi, the voicing of kana) stay. Scripts that put no spaces between words, and
Korean, which glues particles to them, are cut into pairs of neighbouring letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import pairwise

WORDS_VERSION = 2  # of these rules: what was indexed by others is not searched by these
STOPWORDS = frozenset(
    "a an and are as at be been between both but by for from had has have in into is it its of on "
    "or that the their there these this those to was were which who with without not no".split()
)
ASCII_WORD = re.compile(r"[a-z0-9]+")
LATIN = "a-z0-9\u00df-\u02af\u1d00-\u1dbf\u1e00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff\uab30-\uab6f"
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf"
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3041-\u312f\u31a0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U000323af"
)
PAIRED = UNSPACED + "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # and Korean
PIECE = re.compile(f"([{LATIN}]+)|([{PAIRED}]+)|[^{LATIN}{PAIRED}]+")
LETTERS = {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l"}
LETTERS |= {"þ": "th", "ŧ": "t", "ŋ": "ng", "ʼ": " ", "ʻ": " ", "\u0640": ""}
APART = "™℠\u200b"  # would be letters, or nothing, of the word before


def words(text: str) -> list[str]:
    """Case-folded words without accents and stopwords, English plurals folded to the singular."""
    return _words(text, _pairs)


def document_words(text: str) -> list[str]:
    """The words of a text that is searched by, or in, for those of labels: where words are pairs of
    letters, single letters too, which a label of one letter is."""
    return _words(text, _with_letters)


def written(text: str) -> Iterator[tuple[str, bool]]:
    """The words of a text in small letters, with their accents, as stemmers want them, and whether
    each is a run of letters of which pairs are the words."""
    composed = unicodedata.normalize("NFC", text).translate(_WRITTEN)
    for part in unicodedata.normalize("NFC", composed).split():
        for piece in PIECE.finditer(part):
            if any(map(str.isalnum, piece[0])):
                yield piece[0], piece[2] is not None


def folded(word: str) -> str:
    """A written word as `words` has it, before plurals."""
    if word.isascii():
        return word
    return unicodedata.normalize("NFC", word.translate(_SPACED)).replace(" ", "")


def pairs(run: str) -> list[str]:
    """Neighbouring letters of a run that `written` gave, or the one letter that it is."""
    return _pairs(folded(run))


def document_pairs(run: str) -> list[str]:
    """The same of a document, and its single letters."""
    return _with_letters(folded(run))


def search_key(text: str) -> str:
    """A text as a part of it is looked for: without case and accents, with its punctuation."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text.translate(_PLAIN))


def _words(text: str, paired: Callable[[str], list[str]]) -> list[str]:
    if text.isascii():
        found = ASCII_WORD.findall(text.lower())
    else:
        plain = unicodedata.normalize("NFC", text.translate(_SPACED))
        found = [word for part in plain.split() for word in _pieces(part, paired)]
    return [_singular(word) if word[-1] == "s" else word for word in found if word not in STOPWORDS]


def _pieces(part: str, paired: Callable[[str], list[str]]) -> Iterator[str]:
    """Cut where the script changes: "TNFα" names TNF."""
    for piece in PIECE.finditer(part):
        if piece[2]:
            yield from paired(piece[2])
        elif any(map(str.isalnum, piece[0])):  # marks alone are no word
            yield piece[0]


def _pairs(run: str) -> list[str]:
    letters = _clusters(run)
    return [first + second for first, second in pairwise(letters)] or letters


def _with_letters(run: str) -> list[str]:
    return [*_pairs(run), *(_clusters(run) if len(run) > 1 else ())]


def _clusters(run: str) -> list[str]:
    """Letters, each with the marks on it."""
    letters: list[str] = []
    for char in run:
        if letters and unicodedata.category(char)[0] == "M":
            letters[-1] += char
        else:
            letters.append(char)
    return letters


def _singular(word: str) -> str:
    """Of a word that ends with an s."""
    if len(word) <= 3 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1]


class _Folding(dict[int, str]):
    """What a character becomes, remembered; for str.translate."""

    def __init__(self, finish: Callable[[str], str], apart: str = "") -> None:
        super().__init__()
        self._finish, self._apart = finish, apart

    def __missing__(self, code: int) -> str:
        folded = unicodedata.normalize("NFKD", chr(code)).casefold()
        plain = (LETTERS.get(char, char) for char in unicodedata.normalize("NFKD", folded))
        whole = " " if chr(code) in self._apart else "".join(plain)
        self[code] = "".join(map(self._finish, whole))
        return self[code]


def _letter(char: str) -> str:
    """What a word keeps of a character; a space for what separates words."""
    kind = unicodedata.category(char)
    if kind == "Nd":
        return str(unicodedata.decimal(char))
    if kind[0] in "LN":
        return char
    return _mark(char) if kind[0] == "M" else "" if kind == "Cf" else " "


def _mark(char: str) -> str:
    """Marks by their combining class: accents above, below and through a letter, and points, go."""
    kind = unicodedata.combining(char)
    accent = kind == 1 or 10 <= kind <= 36 or kind >= 200
    selector = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    return "" if accent or selector or unicodedata.category(char) == "Me" else char


def _plain(char: str) -> str:
    kind = unicodedata.category(char)
    return _mark(char) if kind[0] == "M" else "" if kind == "Cf" else char


class _Writing(dict[int, str]):
    """A character in small letters, with its accent; what separates words and digits as folded."""

    def __missing__(self, code: int) -> str:
        plain = _SPACED[code]
        if plain and " " not in plain and not plain.isdecimal():
            small = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", chr(code)).lower())
            plain = "".join(_mark(char) if _is_mark(char) else char for char in small)
        self[code] = plain
        return plain


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"


_SPACED, _PLAIN, _WRITTEN = _Folding(_letter, APART), _Folding(_plain), _Writing()
