"""A store, and a run with prepared documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lmtx_ray.config.loading import load_config
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.prepare import prepare
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.verdicts.store import VerdictStore
from tests.verdicts.exchanging import HEX_ID


@pytest.fixture
def store(tmp_path: Path) -> VerdictStore:
    return VerdictStore(str(tmp_path / "store"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A run with prepared documents: d0 and d1 have one text, one id looks like a hash."""
    rows = [{"uid": f"d{n}", "title": "Study", "content": f"text {max(n, 1)}"} for n in range(6)]
    rows.append({"uid": HEX_ID, "title": None, "content": "text of hex"})
    labels = [{"uid": f"L{n}", "title": f"label {n}"} for n in range(3)]
    for name, part in (("documents", rows), ("labels", labels)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    values = {
        "run": str(tmp_path / "run"),
        "encoder": {"model": "some/encoder"},
        "corpus": {
            "documents": [str(tmp_path / "documents.jsonl")],
            "held_aside": 1,
            "labels": str(tmp_path / "labels.jsonl"),
        },
        "judge": {"teacher": {"kind": "lexical", "prompt": "tag"}},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    loaded = load_config(RunConfig, str(path))
    prepare(loaded, lay_out(loaded))
    return path
