"""Which label each row of an index leads to, where that is not the row's own number.

A bundle whose labels were edited keeps the shards that it had: rows of labels that are gone or have
another text stay where they are and lead nowhere, and what was encoded anew stands in further rows.
Where aliases are encoded too, several rows lead to a label: the best of them counts.
Shapes: R rows, L rows of a shard, B queries, K found.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lmtx_ray.search.candidates import PADDING, Candidates, top_labels
from lmtx_ray.search.tensor_file import open_tensors, write_tensors

FILE = "row_labels.safetensors"
NAME = "labels"
SPARE = 8  # rows found beyond k, for those that lead nowhere


def save_row_labels(folder: str | Path, labels_R: np.ndarray) -> None:
    """Write int32 label ids by row, PADDING for a row that leads nowhere."""
    write_tensors(Path(folder) / FILE, {NAME: labels_R.astype(np.int32)})


def load_row_labels(folder: str | Path) -> np.ndarray | None:
    """What `save_row_labels` wrote, mapped; None where each row is its own label.

    Raises:
        ValueError: It is not such a file; the message names it.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return None
    labels_R = open_tensors(path).arrays.get(NAME)
    if labels_R is None or labels_R.ndim != 1 or labels_R.dtype != np.int32:
        raise ValueError(f"{path}: holds no list of int32 named {NAME!r}")
    return labels_R


def search_labels(
    search: Callable[[np.ndarray, int], Candidates],
    labels_L: np.ndarray,
    queries_BD: np.ndarray,
    k: int,
    most: int,
) -> Candidates:
    """The k best labels, by a `search` of `most` rows that is asked for more until it is sure: of
    rows that lead nowhere none is given, and of equal scores the lower label comes first."""
    ids_BK = np.full((len(queries_BD), k), PADDING, np.int32)
    scores_BK = np.full((len(queries_BD), k), -np.inf, np.float32)
    waiting, width = np.arange(len(queries_BD) if most else 0), min(k + SPARE, most)
    while len(waiting):
        rows_BW, row_scores_BW = search(queries_BD[waiting], width)
        labels_BW = np.where(rows_BW == PADDING, PADDING, labels_L[rows_BW])
        ids, scores = top_labels(labels_BW, row_scores_BW, k)
        sure = (ids[:, -1] != PADDING) & (row_scores_BW[:, -1] < scores[:, -1])
        sure |= width >= most
        ids_BK[waiting[sure]], scores_BK[waiting[sure]] = ids[sure], scores[sure]
        waiting, width = waiting[~sure], min(2 * width, most)
    return ids_BK, scores_BK
