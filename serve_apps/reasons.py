"""Why a document with text has no tags: which of a request's wishes left none."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lmtx_ray.bundle.tagger import Ranked, Tagger
from lmtx_ray.config.defaults import Defaults
from lmtx_ray.corpus.label_set import LabelSet

if TYPE_CHECKING:
    from serve_apps.generation import TagCall

MOST_KEYS_NAMED, NEAR = 3, 3
LONGEST_KEY = 64  # that is compared and told
MOST_COMPARED = 400  # keys: more would take longer than the tags


class Reasons:
    """The reasons of one request's documents; what all of them share is found out once."""

    def __init__(self, tagger: Tagger, call: TagCall, ranked: Ranked, least: float) -> None:
        """`least` is the probability that tags had to have."""
        self._tagger, self._call, self._ranked, self._least = tagger, call, ranked, least

    def why_none(self, document: str, place: int) -> str:
        """The reason for the document at `place`, in words; its answer has no tags."""
        call = self._call
        kept = self._first(document, place, call.allow, call.deny)
        if kept["label_keys"]:
            return (
                f"no tag has a probability of {self._least:g} or more: the best has "
                f"{kept['probabilities'][0]:.2f}"
            )
        if call.allow is not None:
            return self._about_allowed
        found = self._first(document, place, None, ())
        return "every candidate is in deny" if found["label_keys"] else "no label was found"

    def _first(
        self, document: str, place: int, allow: Collection[str] | None, deny: Collection[str]
    ) -> dict[str, Any]:
        own = _only(self._ranked, place)
        return self._tagger.answers([""], [document], own, Defaults(1), allow, deny)[0]

    @cached_property
    def _about_allowed(self) -> str:
        return _about_allowed(self._tagger.labels, self._call.allow or ())


def _only(ranked: Ranked, place: int) -> Ranked:
    span = slice(place, place + 1)
    dense = ranked.dense[0][span], ranked.dense[1][span]
    lexical = ranked.lexical and (ranked.lexical[0][span], ranked.lexical[1][span])
    return replace(
        ranked,
        ids_BK=ranked.ids_BK[span],
        scores_BK=ranked.scores_BK[span],
        dense=dense,
        lexical=lexical,
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
    if day := labels.removed.on(key):
        return f"{key!r} (removed on {day})"
    key = key if len(key) <= LONGEST_KEY else key[: LONGEST_KEY - 1] + "…"
    near = near_keys(labels, key)
    return f"{key!r}" + (f" (near: {', '.join(map(repr, near))})" if near else "")


def near_keys(labels: LabelSet, key: str) -> list[str]:
    """Up to NEAR keys of the label set that somebody may have meant by `key`: of the label that is
    called so, else keys written nearly so."""
    called = [label.key for label in labels.search(key, NEAR)]
    return called or get_close_matches(key, labels.keys_beside(key, MOST_COMPARED), NEAR)
