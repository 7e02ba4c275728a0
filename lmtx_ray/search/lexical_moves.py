"""A lexical index brought to an edited label set: the same bytes as of one that is built anew, of
the changed texts alone.

Every weight depends on how many labels there are and on their mean length, so all are computed
again, by arrays; what takes long is cutting texts into words, and only fresh texts are cut.
Shapes: L labels now and L0 before, V words, N pairs of label and word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lmtx_ray.corpus.label_moves import GONE, Moves
from lmtx_ray.search.lexical_weights import K1, B, Weights, weights_of

MOST_OFF = 1e-6  # of a mean length, told from weights


class NotTold(ValueError):
    """Weights that do not tell how long labels are; the index has to be built anew."""


def moved(
    old: Weights,
    moves: Moves,
    fresh_texts: Sequence[str],
    text_before: Callable[[int], str],
    words: Callable[[str], Sequence[str]],
) -> Weights:
    """Weights of the labels as they are now.

    Args:
        fresh_texts: Of the fresh labels, in their order.
        text_before: Text of a place in the label set before; asked for one.
        words: What cut the texts of `old`.

    Raises:
        NotTold: `old` was not made by `lexical_weights`.
    """
    reused_L0 = moves.reused()
    lengths_L = _lengths_now(moves, lengths_of(old, text_before, words))
    own = [words(text) for text in fresh_texts]
    lengths_L[moves.fresh()] = [max(len(label), 1) for label in own]
    kept_N = reused_L0[old.labels_N] != GONE
    words_N = np.repeat(np.arange(len(old.words)), np.diff(old.starts_V))[kept_N]
    labels_N = reused_L0[old.labels_N][kept_N]
    vocabulary, places_V, fresh_places = _vocabulary(old, words_N, own)
    fresh_words = [fresh_places[word] for label in own for word in set(label)]
    fresh_labels = np.repeat(moves.fresh(), [len(set(label)) for label in own])
    words_N = np.concatenate([places_V[words_N], np.array(fresh_words, np.int32)])
    labels_N = np.concatenate([labels_N, fresh_labels.astype(np.int32)])
    order_N = np.argsort(words_N.astype(np.int64) * len(lengths_L) + labels_N, kind="stable")
    return weights_of(vocabulary, words_N[order_N], labels_N[order_N], lengths_L)


def _vocabulary(
    old: Weights, words_N: np.ndarray, own: Sequence[Sequence[str]]
) -> tuple[list[str], np.ndarray, dict[str, int]]:
    """The words there are now, the place of each earlier one in them, and that of fresh ones."""
    used_V = np.bincount(words_N, minlength=len(old.words)) > 0
    kept = [old.words[place].decode() for place in np.flatnonzero(used_V).tolist()]
    fresh = {word for label in own for word in label}
    vocabulary = sorted(fresh.union(kept))
    places = {word: place for place, word in enumerate(vocabulary)}
    places_V = np.full(len(old.words), GONE, np.int32)
    places_V[used_V] = [places[word] for word in kept]
    return vocabulary, places_V, {word: places[word] for word in fresh}


def _lengths_now(moves: Moves, lengths_L0: np.ndarray) -> np.ndarray:
    known_L = moves.before_L != GONE
    lengths_L = np.ones(len(known_L))
    lengths_L[known_L] = lengths_L0[moves.before_L[known_L]]
    return lengths_L


def lengths_of(
    old: Weights, text_before: Callable[[int], str], words: Callable[[str], Sequence[str]]
) -> np.ndarray:
    """Words of each label, float64 [L0], as weights tell them: what BM25 made of a word besides its
    rarity is a label's length by the mean, and one label that is counted tells the mean.

    Raises:
        NotTold: They are no whole numbers of that mean.
    """
    lengths_L0 = np.ones(old.labels)
    if not len(old.labels_N):
        return lengths_L0
    frequencies_V = np.diff(old.starts_V)
    idf_N = np.repeat(np.log1p(old.labels / frequencies_V), frequencies_V)
    ratios_N = ((idf_N / old.bm25_N - 1.0) / K1 - (1.0 - B)) / B
    known = int(old.labels_N[0])
    mean = max(len(words(text_before(known))), 1) / float(ratios_N[0])
    lengths_L0[old.labels_N] = ratios_N * mean
    whole_L0 = np.rint(lengths_L0)
    if np.abs(lengths_L0 - whole_L0).max() > 0.1 or abs(whole_L0.mean() / mean - 1.0) > MOST_OFF:
        raise NotTold("lengths of labels are not told by these weights")
    return whole_L0
