"""A filter: which labels may be tags, by their keys, and what is said of keys that no label has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lmtx_ray.corpus.label_set import LabelSet

MOST_KEYS_NAMED, LONGEST_KEY = 3, 64  # in one sentence, and of a key


class UnknownKeys(ValueError):
    """Keys of a filter that no label has; `said` tells them by the filter's field, with keys that
    may have been meant."""

    def __init__(self, said: Mapping[str, str]) -> None:
        super().__init__(said)
        self.said = said

    def __str__(self) -> str:
        return "; ".join(f"{name}: {said}" for name, said in self.said.items())

    @classmethod
    def of(cls, labels: LabelSet, keys: Mapping[str, Sequence[str]]) -> UnknownKeys:
        """Of the keys of each field."""
        return cls({name: unknown_in_words(labels, own) for name, own in keys.items()})


@dataclass(frozen=True)
class Filter:
    """Labels that alone may be tags: those of `allow` (all if None) that are not in `deny` and,
    where `under` names any, that are below one of these (`LabelSet.below`)."""

    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    under: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        allow: Collection[str] | None = None,
        deny: Collection[str] = (),
        under: str | Collection[str] | None = None,
    ) -> Filter:
        """TypeError for one text where several keys are wanted."""
        for name, keys in (("allow", allow), ("deny", deny)):
            if isinstance(keys, str):
                raise TypeError(f"{name} takes a list of label keys, not one text")
        above = [under] if isinstance(under, str) else under or ()
        allowed = None if allow is None else frozenset(allow)
        return cls(allowed, frozenset(deny), frozenset(above))

    def __bool__(self) -> bool:
        """Whether it leaves any label out."""
        return self != Filter()


def unknown_in_words(labels: LabelSet, keys: Sequence[str], near: bool = True) -> str:
    """That keys are not in the label set, and which may have been meant; with `near` false these
    are not looked for, which takes its time for each."""
    told = "; ".join(_named(labels, key, near) for key in keys[:MOST_KEYS_NAMED])
    more = len(keys) - MOST_KEYS_NAMED
    rest = f"; and {more:,} more" if more > 0 else ""
    return f"not a key of this label set: {told}{rest}"


def _named(labels: LabelSet, key: str, look: bool) -> str:
    if day := labels.removed.on(key):
        return f"{key!r} (removed on {day})"
    key = key if len(key) <= LONGEST_KEY else key[: LONGEST_KEY - 1] + "…"
    near = labels.near_keys(key) if look else []
    return f"{key!r}" + (f" (near: {', '.join(map(repr, near))})" if near else "")
