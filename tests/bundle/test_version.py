"""Bundles of other versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.io.receipts import PublishError


def test_a_bundle_of_another_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text(json.dumps({"version": 2, "bundle_id": "old"}))
    with pytest.raises(PublishError, match=r"a bundle of version 2, .*`lmtx run`"):
        Tagger(str(tmp_path))
