"""The probabilities that a bundle states: the one place where the report asks for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.io import storage
from lmtx_ray.io.published import PublishedFolder

Rankings = Callable[
    [str], pa.Table
]  # "dense", "lexical" or "hybrid" -> those of the same documents


def stated_probabilities(
    bundle: PublishedFolder, ranked: pa.Table, rankings: Rankings
) -> list[np.ndarray]:
    """What the bundle would state of every pair of `ranked`, as `lmtx tag` does: float [K] for each
    row, in its order.

    Args:
        bundle: A published bundle.
        ranked: RANKINGS of the state and kind that the bundle holds.
        rankings: Gives the rankings that `ranked` was made from, where more than its scores counts.
    """
    description = storage.read_json(storage.join(bundle.folder(), "bundle.json"))
    calibration = Calibration.from_dict(description["calibration"])
    return [calibration.apply(np.array(scores)) for scores in ranked["scores"].to_pylist()]
