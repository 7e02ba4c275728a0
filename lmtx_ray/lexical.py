"""Labels whose words a document names: BM25 over label texts, documents as queries.

Label texts are short and documents are long queries, so a query term counts once, and BM25's
length normalisation does the rest: a label scores by the share of its words that are named.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np

from lmtx_ray.candidates import PADDING, top_k

WORD = re.compile(r"[a-z0-9]+")
STOPWORDS = frozenset(
    "a an and are as at be been between both but by for from had has have in into is it its of on "
    "or that the their there these this those to was were which who with without not no".split()
)
K1, B = 1.2, 0.75


def words(text: str) -> list[str]:
    """Lower-cased words without accents and stopwords, plurals folded to the singular."""
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return [_singular(word) for word in WORD.findall(plain) if word not in STOPWORDS]


def _singular(word: str) -> str:
    if len(word) <= 3 or word.endswith(("ss", "us", "is")) or not word.endswith("s"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1]


class LexicalIndex:
    """BM25 over label texts. Ids are positions in the label table."""

    def __init__(self, index: bm25s.BM25, size: int) -> None:
        self._index, self._size = index, size

    @classmethod
    def build(cls, texts: Sequence[str]) -> LexicalIndex:
        """Index label texts, [L]. A text without a word is never found."""
        index = bm25s.BM25(k1=K1, b=B)
        corpus = [words(text) for text in texts]
        if not any(corpus):
            corpus = [["\x00"], *corpus[1:]]  # bm25s refuses an empty vocabulary
        index.index(corpus, show_progress=False)
        return cls(index, len(texts))

    def search(self, texts: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best labels for each document: ids_BK int32, scores_BK float32 (> 0 only)."""
        ids_BK = np.full((len(texts), k), PADDING, dtype=np.int32)
        scores_BK = np.full((len(texts), k), -np.inf, dtype=np.float32)
        known = self._index.vocab_dict
        for row, text in enumerate(texts):
            query = [word for word in dict.fromkeys(words(text)) if word in known]
            if not query:
                continue
            scores_L = self._index.get_scores(query)[: self._size]
            found = np.flatnonzero(scores_L > 0)
            if len(found) > 4 * k:  # all ties of the k-th score stay, for an order by id
                least = np.partition(scores_L[found], -k)[-k]
                found = found[scores_L[found] >= least]
            ids, scores = top_k(found[None], scores_L[found][None], k)
            ids_BK[row], scores_BK[row] = ids[0], scores[0]
        return ids_BK, scores_BK

    def save(self, folder: str | Path) -> None:
        """Write plain arrays and JSON, nothing pickled."""
        self._index.save(str(folder), show_progress=False)

    @classmethod
    def load(cls, folder: str | Path) -> LexicalIndex:
        index = bm25s.BM25.load(str(folder), load_corpus=False, allow_pickle=False)
        return cls(index, index.scores["num_docs"])
