"""Labels whose words a document names: BM25 over label texts, documents as queries.

Documents are long queries here and labels very short texts, the reverse of what BM25's usual
settings and libraries assume. Three things follow, each worth points of P@1 on labelled abstracts
outside every sample and test set: full length normalisation (b = 1) with a large k1, query terms
weighted by 1 + ln(count), and a factor for the share of a label's words (by idf) that the document
names, squared. With query terms counted once and k1 = 1.2, b = 0.75, P@1 was 28 instead of 78.

A label may have several texts, its own and aliases: the best of them is its score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from lmtx_ray.corpus.stems import Words
from lmtx_ray.search.candidates import PADDING
from lmtx_ray.search.lexical_best import Asker
from lmtx_ray.search.lexical_texts import Label, moved, weigh
from lmtx_ray.search.lexical_weights import Weights
from lmtx_ray.search.tensor_file import open_tensors, write_tensors
from lmtx_ray.search.vocabulary import finder

FILE = "lexical.safetensors"
LEXICAL_VERSION = 1  # of how labels are scored and what is kept for it


class LexicalIndex:
    """Scores labels by the words of a document. Ids are positions in the label table.

    Shapes: B documents, L labels, W words of a document. `words` is the rule that cuts them.
    """

    def __init__(self, weights: Weights, words: Words) -> None:
        self._weights, self.words = weights, words
        self._place = finder(weights.words)

    @classmethod
    def build(
        cls, labels: Iterable[str | Sequence[str]], languages: Sequence[str] = ()
    ) -> LexicalIndex:
        """Index labels, [L]: the text of each, or a list of its own text and its aliases. A label
        without a word is never found.

        Args:
            languages: Codes of the languages whose stems words are brought to; without any,
                English plurals are folded.

        Raises:
            ValueError: An unknown language.
        """
        words = Words(languages)
        return cls(weigh(_cut(label, words) for label in labels), words)

    def moved(
        self, now_L0: np.ndarray, fresh: Mapping[int, str | Sequence[str]], labels: int
    ) -> LexicalIndex:
        """The index of an edited label set of `labels` labels, as `build` makes it, but that only
        fresh texts are read.

        Args:
            now_L0: int32, the place of each label now; PADDING where it is no more, or its text or
                aliases are others now.
            fresh: Place of each other label -> its texts, as `build` takes them.
        """
        cut = ((place, _cut(label, self.words)) for place, label in fresh.items())
        return LexicalIndex(moved(self._weights, now_L0, cut, labels), self.words)

    def search(
        self, texts: Sequence[str], k: int, allowed_L: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best labels for each document: ids_BK int32, scores_BK float32, all above 0.

        Args:
            allowed_L: bool, the labels that may be found; all if None.
        """
        ids_BK = np.full((len(texts), k), PADDING, dtype=np.int32)
        scores_BK = np.full((len(texts), k), -np.inf, dtype=np.float32)
        asker = Asker(self._weights, k, allowed_L)
        for row, text in enumerate(texts):
            ids, scores = asker.best(*self._counts(text))
            ids_BK[row, : len(ids)], scores_BK[row, : len(ids)] = ids, scores
        return ids_BK, scores_BK

    def named(self, text: str, label: int) -> list[str]:
        """The words, as they are compared, that a document shares with the one of a label's texts
        that it shares most with, in alphabetical order."""
        weights = self._weights
        words_W, _ = self._counts(text)
        own = range(*np.searchsorted(weights.labels_T, [label, label + 1]).tolist())
        shared = (
            np.intersect1d(
                weights.words_N[weights.starts_T[one] : weights.starts_T[one + 1]], words_W
            )
            for one in own
        )
        most = max(shared, key=lambda found_W: weights.idf_V[found_W].sum(), default=())
        return [weights.words[int(place)].decode() for place in most]

    def _counts(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Places of the words that are known, and how often each is there."""
        counts = Counter(self.words.document(text))
        places = map(self._place, counts)
        known = [pair for pair in zip(places, counts.values(), strict=True) if pair[0] is not None]
        words_W, counts_W = zip(*known, strict=True) if known else ((), ())
        return np.array(words_W, np.int64), np.array(counts_W, np.int64)

    def save(self, folder: str | Path) -> None:
        """Write one file of plain arrays."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        rule = {"languages": " ".join(self.words.languages), "rule": _rule(self.words)}
        told = {name: np.frombuffer(text.encode(), np.uint8) for name, text in rule.items()}
        write_tensors(Path(folder) / FILE, {**self._weights.arrays(), **told})

    @classmethod
    def load(cls, folder: str | Path) -> LexicalIndex:
        """Map a saved index, which says itself of which languages it is.

        Raises:
            FileNotFoundError: The folder holds none.
            ValueError: Its file is not what `save` writes; the message names it.
        """
        file = Path(folder) / FILE
        try:
            arrays = open_tensors(file).arrays
            languages, rule = (arrays[name].tobytes().decode() for name in ("languages", "rule"))
            words = Words(languages.split())
            if rule != _rule(words):
                raise ValueError(f"its words are by rule {rule!r}, not {_rule(words)!r}")
            return cls(Weights.of_arrays(arrays), words)
        except KeyError as error:
            raise ValueError(f"{file}: holds no {error}") from error
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error


def rule_of(languages: Sequence[str]) -> str:
    """What an index of these languages is made and searched by: another one gives other answers."""
    return _rule(Words(languages))


def _rule(words: Words) -> str:
    return f"{LEXICAL_VERSION}/{words.identity}"


def _cut(label: str | Sequence[str], words: Words) -> Label:
    if isinstance(label, str):
        return words.label(label), ()
    own = words.label(label[0])
    further = {tuple(sorted(cut)): cut for text in label[1:] for cut in words.label(text)}
    for cut in own:
        further.pop(tuple(sorted(cut)), None)
    return own, list(further.values())
