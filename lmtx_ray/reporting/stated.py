"""The probabilities that a bundle states: the one place where the report asks for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from lmtx_ray.bundle.cache import DESCRIPTION
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.evaluation.pair_features import Known, by_document
from lmtx_ray.io import storage
from lmtx_ray.io.published import PublishedFolder

Rankings = Callable[
    [str], pa.Table
]  # "dense", "lexical" or another's name -> those of the same documents


def stated_probabilities(
    bundle: PublishedFolder, ranked: pa.Table, rankings: Rankings
) -> list[np.ndarray]:
    """What the bundle would state of every pair of `ranked`, as `lmtx tag` does: float [K] for each
    row, in its order; nan of an untrained bundle.

    Args:
        bundle: A published bundle.
        ranked: RANKINGS of the state and kind that the bundle holds.
        rankings: Gives the rankings that `ranked` was made from, where more than its scores counts.
    """
    description = storage.read_json(storage.join(bundle.folder(), DESCRIPTION))
    own = by_document(ranked)
    if description["calibration"] is None:  # untrained: nothing is stated
        return [np.full(len(ids_K), np.nan) for ids_K, _ in own.values()]
    calibration = Calibration.from_dict(description["calibration"])
    dense = by_document(rankings("dense"))
    sided = description["fusion"] and not description["combiner"]
    lexical = by_document(rankings("lexical")) if sided else {}
    return [
        calibration.of(Known(own[doc_id], dense[doc_id], lexical.get(doc_id), description["depth"]))
        for doc_id in own
    ]
