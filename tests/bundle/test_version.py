"""Bundles of other versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import PublishError
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle


def test_a_bundle_of_another_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text(json.dumps({"version": 3, "bundle_id": "old"}))
    with pytest.raises(PublishError, match=r"a bundle of version 3, .* version 6; .*`lmtx run`"):
        Tagger(str(tmp_path))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    bundle = publish_bundle(folder / "bundle", save_encoder(folder))
    return Path(Dataset(bundle).folder())


def changed(files: Path, folder: Path, **values: object) -> str:
    shutil.copytree(files, folder)
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return str(folder)


def test_one_of_a_later_version_names_what_is_not_known(files: Path, tmp_path: Path) -> None:
    later = {"features": ["colour"], "weights": [1.0], "centres": [0.0], "scales": [1.0]}
    with pytest.raises(PublishError, match=r"bundle.json: calibration: unknown feature 'colour'"):
        Tagger(changed(files, tmp_path / "later", calibration=later))
