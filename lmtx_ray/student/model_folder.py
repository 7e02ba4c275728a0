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
    if problem := _problem(model, resolve_model(model)):
        raise ConfigError(f"{option}: {model}: {problem}")


def _problem(model: str, place: str) -> str:
    if place.startswith("s3://"):
        return "" if storage.list_files(place) else "nothing is there"
    folder = Path(place)
    if not folder.is_dir():
        return "there is no such folder" if _is_path(model) else ""
    if not any(folder.iterdir()):
        return "it is an empty folder"
    known = any((folder / name).is_file() for name in ("config.json", "modules.json"))
    return "" if known else "no model is in it: it has no config.json"


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
