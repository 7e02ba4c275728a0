"""Why a tag: what each side of the ranking saw in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def evidence(
    label_id: int,
    dense: tuple[np.ndarray, np.ndarray],
    lexical_K: np.ndarray | None,
    words: Sequence[str],
) -> dict[str, Any]:
    """cosine and place in the dense list, place in the lexical list (None where it is in neither),
    and the label's words that the document names. Places count from 1.

    Args:
        dense: ids_K and scores_K of this document.
        lexical_K: ids_K, None for a bundle without a lexical side.
        words: Those that label and document share, in alphabetical order.
    """
    dense_rank = _place(dense[0], label_id)
    return {
        "cosine": None if dense_rank is None else float(dense[1][dense_rank - 1]),
        "dense_rank": dense_rank,
        "lexical_rank": None if lexical_K is None else _place(lexical_K, label_id),
        "words": list(words),
    }


def _place(ids_K: np.ndarray, label_id: int) -> int | None:
    found = np.flatnonzero(ids_K == label_id)
    return int(found[0]) + 1 if len(found) else None
