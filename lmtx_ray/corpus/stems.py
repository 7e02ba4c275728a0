"""One rule that cuts labels and documents into the words an index knows, by their languages.

Words are stemmed as they are written, with accents, which the stemmers go by, and folded then. Of
several languages each makes a text of its own of a label, and all of their stems are words of a
document: which language a document is in, need not be known.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from importlib.metadata import version

from lmtx_ray.config.languages import STEMMERS, checked
from lmtx_ray.corpus.stopwords import stopwords
from lmtx_ray.corpus.words import (
    WORDS_VERSION,
    document_pairs,
    document_words,
    folded,
    pairs,
    words,
    written,
)

REMEMBERED = 1 << 16  # words whose stems are known; most of a text's words are among few
PACKAGE = "snowballstemmer"


class Words:
    """Cuts texts; without languages by the rule for English plurals.

    `languages` are codes, in order; `identity` is another one where words may come out otherwise.
    """

    def __init__(self, languages: Sequence[str] = ()) -> None:
        """ValueError for a language that `config.languages.checked` does not know."""
        self.languages = checked(languages)
        self.identity = identity_of(self.languages)
        self._stems = [lru_cache(REMEMBERED)(_stemmed(code)) for code in self.languages]
        self._all = lru_cache(REMEMBERED)(self._of_all)

    def label(self, text: str) -> list[list[str]]:
        """A label's text as lists of words, one for each language, equal ones once."""
        if not self.languages:
            return [words(text)]
        pieces = list(written(text))
        cut = (
            [word for piece, paired in pieces for word in (pairs(piece) if paired else stem(piece))]
            for stem in self._stems
        )
        return [list(one) for one in dict.fromkeys(map(tuple, cut))]

    def document(self, text: str) -> list[str]:
        """The words of a document that is searched with; a written word may give several."""
        if not self.languages:
            return document_words(text)
        return [
            word
            for piece, paired in written(text)
            for word in (document_pairs(piece) if paired else self._all(piece))
        ]

    def _of_all(self, word: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(found for stem in self._stems for found in stem(word)))


def identity_of(languages: Sequence[str]) -> str:
    """What tells rules apart. Another version of the stemmers may give other stems."""
    if not languages:
        return str(WORDS_VERSION)
    return f"{WORDS_VERSION} {' '.join(languages)} {PACKAGE} {version(PACKAGE)}"


def _stemmed(code: str) -> Callable[[str], tuple[str, ...]]:
    return partial(_stem, _stemmer(code), stopwords(code))


def _stem(stem: Callable[[str], str], unwanted: frozenset[str], word: str) -> tuple[str, ...]:
    """A written word's stem, nothing of a stopword."""
    if folded(word) in unwanted:
        return ()
    found = folded(stem(word))
    return (found,) if found else ()


def _stemmer(code: str) -> Callable[[str], str]:
    if code not in STEMMERS:
        return str
    name = STEMMERS[code]
    # the package's own entry point takes PyStemmer where it is installed, of any version
    module = importlib.import_module(f"{PACKAGE}.{name}_stemmer")
    kind = getattr(module, f"{name.title()}Stemmer")
    return lambda word: kind().stemWord(word)  # a new one each time, as they are not for threads
