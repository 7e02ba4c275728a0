"""What an index keeps of the words of a label set, computed once.

Shapes: L labels, T texts of them, V words, N pairs of a text and one of its words.

How much a word tells (`idf`) and how long texts are in the mean is counted over labels' own texts
alone, so that one more alias of a label changes no score of another; of words that only aliases
have, over those.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from lmtx_ray.search.vocabulary import SortedWords

K1, B = 3.0, 1.0
MOST_LEVEL = (1 << 32) - 2  # of a bound: levels count down in the lower half of a key
SLACK = 1 + 1e-6  # more than sums of another order can differ by


@dataclass(frozen=True)
class Weights:
    """The score of a text, where A and S are sums over its words that a document names:
    scale_T · A · S², of idf_V times the word's weight in the document, and of idf_V.

    A key stands for a text that has a word: the word in its upper half, in the lower one how far
    from the best, `top`, the text's score can be at most if it has no rarer word in common with
    the document, and none weighs more than 1 in it. So a word's texts begin with the best.
    """

    words: SortedWords
    idf_V: np.ndarray  # float64
    rest_V: np.ndarray  # float64: the most that it and those after it in a text weigh
    firsts_V: np.ndarray  # int64, [V + 1]: where a word's keys begin
    keys_N: np.ndarray  # int64, ascending
    texts_N: np.ndarray  # int32, of the keys
    starts_T: np.ndarray  # int64, [T + 1]: where a text's words begin
    words_N: np.ndarray  # int32, the rarest of each text first
    scale_T: np.ndarray  # float64
    labels_T: np.ndarray  # int32, ascending: whose text it is
    lengths_T: np.ndarray  # int32: its words, repeated ones too
    own_T: np.ndarray  # uint8: 1 of a label's own text, 0 of an alias
    top: float
    labels: int  # L

    def arrays(self) -> dict[str, np.ndarray]:
        """As they are named in a file."""
        return {
            "words": self.words.bytes_N,
            "word_ends": self.words.ends_V,
            "top": np.array([self.top]),
            "count": np.array([self.labels]),
            **{name: getattr(self, name) for name in ARRAYS},
        }

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> Weights:
        """KeyError where one is missing, ValueError where they do not fit together."""
        earlier = "rest_V" not in arrays  # files had none, and it follows from the rest
        given = {"rest_V": arrays["idf_V"], **arrays} if earlier else arrays
        own = {name: given[name] for name in ARRAYS}
        words = SortedWords(arrays["words"], arrays["word_ends"])
        made = cls(words, **own, top=float(arrays["top"][0]), labels=int(arrays["count"][0]))
        made.check()
        if not earlier:
            return made
        rest_N = _rest(made.idf_V[made.words_N], made.starts_T)
        return replace(made, rest_V=_most(rest_N, made.words_N, len(words)))

    def check(self) -> None:
        """ValueError where a number points at nothing."""
        texts, words = len(self.scale_T), len(self.words)
        pairs = len(self.keys_N)
        fits = (
            _is_partition(np.r_[0, self.words.ends_V], words, len(self.words.bytes_N))
            and _is_partition(self.firsts_V, words, pairs)
            and _is_partition(self.starts_T, texts, len(self.words_N))
            and len(self.idf_V) == words == len(self.rest_V)
            and bool((self.rest_V * SLACK >= self.idf_V).all())
            and len(self.texts_N) == pairs == len(self.words_N)
            and len(self.labels_T) == len(self.lengths_T) == len(self.own_T) == texts
            and _within(self.texts_N, 0, texts)
            and _within(self.words_N, 0, words)
            and _within(self.labels_T, 0, self.labels)
        )
        if not fits:
            raise ValueError("its arrays do not fit together")


ARRAYS = tuple(one.name for one in fields(Weights) if one.type == "np.ndarray")


def _within(values: np.ndarray, least: int, end: int) -> bool:
    return not len(values) or bool(least <= values.min() and values.max() < end)


def _is_partition(starts: np.ndarray, parts: int, whole: int) -> bool:
    """Whether `starts` cuts `whole` things into so many parts, none of them empty."""
    ends = len(starts) == parts + 1 and starts[0] == 0 and starts[-1] == whole
    return bool(ends and (np.diff(starts) > 0).all())


@dataclass(frozen=True)
class Texts:
    """Texts as numbers of words, each word of a text once, label after label."""

    words_N: np.ndarray  # int32
    distinct_T: np.ndarray  # int32: how many of words_N are a text's
    lengths_T: np.ndarray  # int32: how many words it has, repeated ones too
    labels_T: np.ndarray  # int32
    own_T: np.ndarray  # uint8: 1 of a label's own text, 0 of an alias


def weights_of(vocabulary: list[str], texts: Texts, labels: int) -> Weights:
    """Weights of so many labels, whose words are numbered as in a sorted vocabulary."""
    words_N, distinct_T, lengths_T = texts.words_N, texts.distinct_T, texts.lengths_T
    labels_T, own = texts.labels_T, texts.own_T.astype(bool)
    idf_V = _idf(words_N, np.repeat(labels_T, distinct_T), np.repeat(own, distinct_T), labels)
    empty = labels - len(np.unique(labels_T[own]))  # a label without a word counts as one word long
    mean = (lengths_T[own].sum() + empty) / max(own.sum() + empty, 1)
    saturation_T = 1.0 / (1.0 + K1 * (1.0 - B + B * lengths_T / max(mean, 1e-9)))
    texts_N = np.repeat(np.arange(len(distinct_T), dtype=np.int32), distinct_T)
    words_N = words_N[np.lexsort((words_N, -idf_V[words_N], texts_N))]
    starts_T = np.concatenate([[0], np.cumsum(distinct_T, dtype=np.int64)])
    totals_T = np.add.reduceat(idf_V[words_N], starts_T[:-1]) if len(words_N) else np.zeros(0)
    scale_T = saturation_T / totals_T**2
    rest_N = _rest(idf_V[words_N], starts_T)
    bounds_N = rest_N**3 * scale_T[texts_N] * SLACK
    top = float(bounds_N.max(initial=1e-9))
    keys_N = key(words_N.astype(np.int64), level(bounds_N, top))
    order_N = np.argsort(keys_N, kind="stable")
    counts_V = np.bincount(words_N, minlength=len(vocabulary))
    return Weights(
        words=SortedWords.of(vocabulary),
        idf_V=idf_V,
        rest_V=_most(rest_N, words_N, len(vocabulary)),
        firsts_V=np.concatenate([[0], np.cumsum(counts_V, dtype=np.int64)]),
        keys_N=keys_N[order_N],
        texts_N=texts_N[order_N],
        starts_T=starts_T,
        words_N=words_N,
        scale_T=scale_T,
        labels_T=labels_T,
        lengths_T=lengths_T,
        own_T=texts.own_T,
        top=top,
        labels=labels,
    )


def _idf(words_N: np.ndarray, labels_N: np.ndarray, own_N: np.ndarray, labels: int) -> np.ndarray:
    """By the number of labels that have a word in their own text, else in an alias."""
    size = int(words_N.max(initial=-1)) + 1
    counts = []
    for chosen_N in (own_N, ~own_N):
        pairs = words_N[chosen_N].astype(np.int64) << 32 | labels_N[chosen_N]
        counts.append(np.bincount(np.unique(pairs) >> 32, minlength=size))
    own_V, aliases_V = counts
    return np.log1p(labels / np.where(own_V > 0, own_V, aliases_V))


def _rest(idf_N: np.ndarray, starts_T: np.ndarray) -> np.ndarray:
    """Of each word of a text what it and those after it weigh together."""
    before_N = np.concatenate([[0.0], np.cumsum(idf_N)])
    ends_N = np.repeat(starts_T[1:], np.diff(starts_T))
    rest_N: np.ndarray = before_N[ends_N] - before_N[:-1]
    return rest_N


def _most(values_N: np.ndarray, words_N: np.ndarray, words: int) -> np.ndarray:
    """float64: the greatest value of each word."""
    most_V = np.zeros(words)
    np.maximum.at(most_V, words_N, values_N)
    return most_V


def level(bounds: np.ndarray, top: float) -> np.ndarray:
    """Bounds in whole steps, never too low: int64, 0 to MOST_LEVEL."""
    return np.ceil(bounds / top * MOST_LEVEL).clip(0, MOST_LEVEL).astype(np.int64)


def key(words: np.ndarray, levels: np.ndarray | int) -> np.ndarray:
    """int64: ascending by word, then from the best level down."""
    return words << 32 | (MOST_LEVEL - levels)
