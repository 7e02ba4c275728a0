"""Where a model's files are, found before anything is loaded."""

from __future__ import annotations

from lmtx_ray.config.components import resolve_model
from lmtx_ray.config.models import check_model
from lmtx_ray.io.node_cache import node_copy


def model_folder(model: str) -> str:
    """A model's folder on this machine, or a hub's id as it is.

    Raises:
        ConfigError: What looks like a folder holds no whole model.
    """
    place = resolve_model(model)
    check_model("encoder.model", place)
    return node_copy(place) if "://" in place else place
