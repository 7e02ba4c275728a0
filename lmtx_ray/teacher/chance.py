"""Labels drawn by chance for a document: in a large label set they are wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import numpy as np

CHANCE = "chance"  # in a plan, in the place of a ranking's name
TRIES = 8  # for each label that is wanted


def drawn(doc_id: str, labels: int, found: Collection[int], k: int) -> list[int]:
    """k of so many labels, without those that any search `found`, which may be right. Fewer where
    nearly all are found. The same for a document of the same id, whatever else is asked."""
    seed = hashlib.blake2b(doc_id.encode(), digest_size=8, person=b"chance").digest()
    generator = np.random.default_rng(int.from_bytes(seed, "big"))
    tried = dict.fromkeys(generator.integers(0, labels, TRIES * k).tolist() if labels else ())
    return [label for label in tried if label not in found][:k]
