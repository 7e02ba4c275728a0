"""Why a document with text has no tags: which of a request's wishes left none."""

from __future__ import annotations

from lmtx_ray.bundle.ranking import Ranked
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.config.defaults import UNLIKELY, Defaults


def why_none(tagger: Tagger, ranked: Ranked, document: str, place: int, wanted: Defaults) -> str:
    """The reason for the document at `place`, in words; its answer has no tags, though its filters
    leave labels."""
    (likeliest,) = tagger.answers([""], [document], ranked.only(place), Defaults(ranked.width))
    if likeliest["label_keys"]:
        best, least = max(likeliest["probabilities"]), wanted.min_probability
        return f"{UNLIKELY} {least:g} or more: the best has {best:.2f}"
    return "no label was found"
