"""Why a document with text has no tags: which of a request's wishes left none."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from lmtx_ray.bundle.tagger import Ranked, Tagger
from lmtx_ray.corpus.label_set import LabelSet

if TYPE_CHECKING:
    from serve_apps.generation import TagCall

MOST_KEYS_NAMED, NEAR = 3, 3
MOST_COMPARED = 20_000  # keys: in a larger set only those with the same beginning are


def why_none(tagger: Tagger, call: TagCall, document: str, ranked: Ranked, place: int) -> str:
    """The reason for the document at `place`, in words; its answer has no tags."""
    own = _only(ranked, place)
    kept = tagger.answers([""], [document], own, 1, 0.0, call.allow, call.deny)[0]
    if kept["label_keys"]:
        return (
            f"no tag has a probability of {call.min_probability:g} or more: the best has "
            f"{kept['probabilities'][0]:.2f}"
        )
    if call.allow is not None:
        return _about_allowed(tagger.labels, call.allow)
    found = tagger.answers([""], [document], own, 1)[0]
    return "every candidate is in deny" if found["label_keys"] else "no label was found"


def _only(ranked: Ranked, place: int) -> Ranked:
    span = slice(place, place + 1)
    lexical_1K = None if ranked.lexical_BK is None else ranked.lexical_BK[span]
    dense = ranked.dense[0][span], ranked.dense[1][span]
    return replace(
        ranked,
        ids_BK=ranked.ids_BK[span],
        scores_BK=ranked.scores_BK[span],
        dense=dense,
        lexical_BK=lexical_1K,
    )


def _about_allowed(labels: LabelSet, allow: Collection[str]) -> str:
    if not allow:
        return "allow is an empty list"
    unknown = sorted(key for key in allow if key not in labels)
    if not unknown:
        return "no label of allow is among the document's candidates"
    told = "; ".join(_unknown(labels, key) for key in unknown[:MOST_KEYS_NAMED])
    more = len(unknown) - MOST_KEYS_NAMED
    rest = "" if len(unknown) == len(allow) else ", and none of the others is a candidate"
    return f"not a key of this label set: {told}{f'; and {more} more' if more > 0 else ''}{rest}"


def _unknown(labels: LabelSet, key: str) -> str:
    near = near_keys(labels, key)
    return f"{key!r}" + (f" (near: {', '.join(map(repr, near))})" if near else "")


def near_keys(labels: LabelSet, key: str) -> list[str]:
    """Up to NEAR keys of the label set that somebody may have meant by `key`: of the label that is
    called so, else keys written nearly so."""
    called = [label.key for label in labels.search(key, NEAR)]
    return called or get_close_matches(key, labels.keys_from(key[:1], MOST_COMPARED), NEAR)
