"""Where a model's files are, found before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from lmtx_ray.config.components import resolve_model
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.io import storage
from lmtx_ray.io.node_cache import node_copy


def require_model(model: str, option: str) -> None:
    """ConfigError naming `option` where `model` looks like a folder and holds no model: a hub would
    be asked for it, again and again, before anybody heard of the path."""
    place = resolve_model(model)
    if place.startswith("s3://"):
        there = bool(storage.list_files(place))
    elif Path(place).is_dir():
        there = any(Path(place).iterdir())
        if there and not (Path(place) / "config.json").is_file():
            there = (Path(place) / "modules.json").is_file()
            if not there:
                raise ConfigError(f"{option}: {model} holds no model, it has no config.json")
    else:
        there = not _is_path(model)
    if not there:
        empty = "is an empty folder" if Path(place).is_dir() else "there is no such folder"
        raise ConfigError(f"{option}: {model}: {empty}")


def _is_path(model: str) -> bool:
    """Whether a name cannot be a hub's id: those are NAME or OWNER/NAME."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or Path(model).is_file()


def model_folder(model: str) -> str:
    """A model's folder on this machine, or a hub's id as it is.

    Raises:
        ConfigError: What looks like a folder is none.
    """
    require_model(model, "encoder.model")
    model = resolve_model(model)
    return node_copy(model) if "://" in model else model
