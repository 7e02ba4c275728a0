"""What a tagger is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmtx_ray.corpus.filters import Filter


@dataclass(frozen=True)
class ToTag:
    """Texts with id, title and own filter of each, the filter of all, and how many tags are wanted
    and how likely ones; None: as the bundle says."""

    texts: Sequence[str]
    ids: Sequence[str]
    titles: Sequence[str | None]
    filters: Sequence[Filter | None]
    general: Filter
    top_k: int | None
    min_probability: float | None
