"""The bundled sample: inside an installed package, or beside it in a checkout."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

PLACE = "examples/biomedical"  # in a checkout, and in the paths of its config


def sample_folder() -> Path:
    """The folder with demo.yaml, its data and its judge.

    Raises:
        FileNotFoundError: The package was installed without them.
    """
    package = Path(str(resources.files("lmtx_ray")))
    for folder in (package / "sample", package.parent / PLACE):
        if (folder / "demo.yaml").is_file():
            return folder
    raise FileNotFoundError(f"{package}: installed without the sample of the demo")


def demo_settings() -> dict[str, Any]:
    """The demo's config. Its paths stay as they are where they lead to the sample, in the root of a
    checkout (so that a run goes on there that a job began), and are absolute anywhere else."""
    import yaml

    folder = sample_folder()
    text = (folder / "demo.yaml").read_text(encoding="utf-8")
    here = Path(PLACE)
    moved = not here.is_dir() or not here.samefile(folder)
    settings: dict[str, Any] = _placed(yaml.safe_load(text), folder if moved else here)
    return settings


def _placed(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _placed(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_placed(item, folder) for item in value]
    if isinstance(value, str) and value.startswith(f"{PLACE}/"):
        return str(folder / value.removeprefix(f"{PLACE}/"))
    return value
