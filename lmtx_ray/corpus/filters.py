"""A filter: which labels may be tags, by their keys, and what is said of keys that no label has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lmtx_ray.corpus.label_set import LabelSet

MOST_KEYS_NAMED, LONGEST_KEY = 3, 64  # in one sentence, and of a key


class UnknownKeys(ValueError):
    """Keys of a filter that no label has, by the filter's field. What is said of them names keys
    that may have been meant, which are looked for when it is asked for: that takes its time."""

    def __init__(self, labels: LabelSet, keys: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self._labels, self._keys = labels, keys

    def __reduce__(self) -> tuple[type[ValueError], tuple[str]]:
        return ValueError, (str(self),)  # a label set goes to no other process

    def __str__(self) -> str:
        return "; ".join(f"{name}: {said}" for name, said in self.said.items())

    @cached_property
    def said(self) -> dict[str, str]:
        """What is wrong, by field."""
        return {name: unknown_in_words(self._labels, own) for name, own in self._keys.items()}


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
        """Of keys in any order.

        Raises:
            TypeError: One text where several keys are wanted, or a key that is no text.
            ValueError: A key that UTF-8 cannot hold.
        """
        for name, keys in (("allow", allow), ("deny", deny)):
            if isinstance(keys, str):
                raise TypeError(f"{name} takes a list of label keys, not one text")
        above = [under] if isinstance(under, str) else under or ()
        allowed = None if allow is None else frozenset(allow)
        made = cls(allowed, frozenset(deny), frozenset(above))
        for name, keys in vars(made).items():
            for key in keys or ():
                _check_key(name, key)
        return made

    def __bool__(self) -> bool:
        """Whether it leaves any label out."""
        return self != Filter()


def _check_key(name: str, key: object) -> None:
    if not isinstance(key, str):
        raise TypeError(f"{name}: {key!r} is no label key: a key is a text")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}: {key!r} is no label key: it is not UTF-8") from None


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
