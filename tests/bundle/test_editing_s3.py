"""Labels of a bundle on S3: unchanged files never leave the store, nor are fetched twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmtx_ray.bundle.cache import open_bundle, published_bundle
from lmtx_ray.bundle.editing import plan_changes
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.io import storage
from tests.lake import upload
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

UNCHANGED = {"index/shard-00000.safetensors", "encoder/model.safetensors"}


def noted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """The places that calls of a function of `storage` name."""
    seen: list[str] = []
    function = getattr(storage, name)

    def note(*arguments: object, **more: object) -> object:
        seen.append(" ".join(map(str, arguments)))
        return function(*arguments, **more)

    monkeypatch.setattr(storage, name, note)
    return seen


def test_what_does_not_change_stays_in_the_store(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMTX_CACHE_DIR", str(tmp_path / "cache"))
    upload(publish_bundle(tmp_path / "made", save_encoder(tmp_path)), "s3://lake/bundles/one")
    before = open_bundle("s3://lake/bundles/one")
    put, got = noted(monkeypatch, "put_file"), noted(monkeypatch, "download_file")
    (tmp_path / "new.csv").write_text("key,text\nN1,eye care\n")
    plan = plan_changes("s3://lake/bundles/one", "add", str(tmp_path / "new.csv"))
    made = plan.make()
    assert made.startswith("s3://lake/bundles/bundle-")
    assert put
    assert not [one for one in put if any(name in one for name in UNCHANGED)]
    assert not got
    after = open_bundle(made)
    assert got
    assert not [one for one in got if any(name in one for name in UNCHANGED)]
    for name in UNCHANGED:
        assert published_bundle(made).files[name].sha256 == before.published.files[name].sha256
        assert Path(after.folder, name).samefile(Path(before.folder, name))
    tagger = Tagger(after.folder, held=after)
    assert tagger.check() == ""
    assert tagger.labels["N1"] == "eye care"
