"""The index of label words brought to an edited label set: the same table as one made anew, of the
changed labels alone. Shapes: L labels now and L0 before, V words, P pairs of word and label.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.corpus.label_moves import GONE, Moves
from lmtx_ray.corpus.label_words import LabelWords, joined, table_of_columns, words_of

Found = Callable[[int], str]  # of a place


def moved(
    old: LabelWords, moves: Moves, texts: pa.LargeStringArray, text_of: Found, key_of: Found
) -> pa.Table:
    """The index of labels as they are now, as `label_words.index_table` makes it.

    Args:
        texts: All texts now, by place.
        text_of: The same, one by one.
        key_of: A label's key now.
    """
    places_L = np.argsort(pc.utf8_length(texts).to_numpy(), kind="stable").astype(np.int32)
    ranks_L = np.empty(len(places_L), np.int32)
    ranks_L[places_L] = np.arange(len(places_L), dtype=np.int32)
    reused_L0 = moves.reused()[old.places_L]  # by rank, as all is here
    now_L0 = np.append(ranks_L, np.int32(GONE))[reused_L0]  # the last entry is what GONE finds
    fresh = {int(ranks_L[place]): int(place) for place in moves.fresh().tolist()}
    own = _words_of(fresh, text_of, key_of)
    words, ends_V, ranks_P = _pairs(old, now_L0, own, len(places_L))
    by_text_L = _by_text(old, now_L0, list(fresh), lambda rank: text_of(int(places_L[rank])))
    return table_of_columns([words, ends_V, ranks_P, places_L, by_text_L])


def _words_of(fresh: Mapping[int, int], text_of: Found, key_of: Found) -> dict[int, set[str]]:
    """The words of fresh labels, by rank."""
    return {
        rank: {*words_of(text_of(place)), *words_of(key_of(place))} for rank, place in fresh.items()
    }


def _pairs(
    old: LabelWords, now_L0: np.ndarray, fresh: Mapping[int, set[str]], labels: int
) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """(words, where each one's pairs end, ranks of the labels that have it)."""
    words_P = np.repeat(np.arange(len(old.words)), np.diff(old.ends_V, prepend=0))
    ranks_P = now_L0[old.ranks_P]
    kept_P = ranks_P != GONE
    words_P, ranks_P = words_P[kept_P], ranks_P[kept_P]
    words, places_V, place_of = _vocabulary(old, words_P, fresh)
    fresh_words = [place_of[word] for own in fresh.values() for word in own]
    fresh_ranks = np.repeat(list(fresh), [len(own) for own in fresh.values()]).astype(np.int32)
    words_P = np.concatenate([places_V[words_P], np.array(fresh_words, np.int64)])
    ranks_P = np.concatenate([ranks_P, fresh_ranks])
    order_P = np.argsort(words_P * labels + ranks_P, kind="stable")
    ends_V = np.cumsum(np.bincount(words_P, minlength=len(words)), dtype=np.int64)
    return words, ends_V, ranks_P[order_P]


def _vocabulary(
    old: LabelWords, words_P: np.ndarray, fresh: Mapping[int, set[str]]
) -> tuple[pa.Array, np.ndarray, dict[str, int]]:
    """The words there are now in order, the place of each earlier one, and those of fresh ones."""
    used_V = np.bincount(words_P, minlength=len(old.words)) > 0
    kept = old.words.filter(pa.array(used_V))
    known = sorted({word for own in fresh.values() for word in own})
    added = pa.array(known, pa.large_string())
    both = pa.concat_arrays([kept, added.filter(pc.invert(pc.is_in(added, value_set=kept)))])
    words = both.take(pc.sort_indices(both))
    places_V = np.full(len(old.words), GONE, np.int64)
    places_V[used_V] = pc.index_in(kept, value_set=words).to_numpy()
    found = pc.index_in(added, value_set=words).to_pylist()
    return words, places_V, dict(zip(known, found, strict=True))


def _by_text(
    old: LabelWords, now_L0: np.ndarray, fresh: Sequence[int], text_of: Found
) -> np.ndarray:
    """Ranks in the order of their texts' words; `text_of` a rank. Those that stay keep their order,
    and each fresh one is put where it belongs."""

    def order(rank: int) -> tuple[str, int]:
        return joined(text_of(int(rank))), int(rank)

    kept = now_L0[old.by_text_L]
    kept = kept[kept != GONE]
    own = sorted(map(order, fresh))
    places = [bisect_right(kept, one, key=order) for one in own]
    ranks_L: np.ndarray = np.insert(kept, places, [rank for _, rank in own]).astype(np.int32)
    return ranks_L
