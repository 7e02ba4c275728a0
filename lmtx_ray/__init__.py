"""LMTX on Ray: tag documents with labels from a large closed label set, without annotations.

What a program needs is here, see `docs/library.md`; each name is imported when it is used first.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmtx_ray.batch.job import TagJob
    from lmtx_ray.batch.outputs import published_files, read_rejects, read_tags
    from lmtx_ray.bundle.tagger import Tagger
    from lmtx_ray.corpus.filters import Filter
    from lmtx_ray.corpus.gold import GoldSource
    from lmtx_ray.loop.comparing import compare
    from lmtx_ray.loop.evaluating import evaluate
    from lmtx_ray.loop.run_config import RunConfig
    from lmtx_ray.loop.running import load_config, plan, run, tag_corpus
    from lmtx_ray.reporting.writing import write_report

__version__ = "0.1.0"
__all__ = [
    "Filter",
    "GoldSource",
    "RunConfig",
    "TagJob",
    "Tagger",
    "compare",
    "evaluate",
    "load_config",
    "plan",
    "published_files",
    "read_rejects",
    "read_tags",
    "run",
    "tag_corpus",
    "write_report",
]
_HOMES = {
    "Filter": "corpus.filters",
    "GoldSource": "corpus.gold",
    "RunConfig": "loop.run_config",
    "TagJob": "batch.job",
    "Tagger": "bundle.tagger",
    "compare": "loop.comparing",
    "evaluate": "loop.evaluating",
    "load_config": "loop.running",
    "plan": "loop.running",
    "published_files": "batch.outputs",
    "read_rejects": "batch.outputs",
    "read_tags": "batch.outputs",
    "run": "loop.running",
    "tag_corpus": "loop.running",
    "write_report": "reporting.writing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
