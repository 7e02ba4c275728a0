"""A bundle by the name of its run, on a disk and on S3; what it is known by changes no identity."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmtx_ray.bundle.cache import published_bundle
from lmtx_ray.io import latest, storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.loop import runs


@pytest.fixture
def run(place: str) -> str:
    """The root of a run."""
    return f"{place}/runs/news"


def publish(run: str, name: str) -> str:
    """A bundle with one file."""
    uri = f"{run}/{name}"
    Dataset(uri, "f").publish_folder(lambda folder: (folder / "bundle.json").write_text(name))
    return uri


ABOUT = {"documents": 300, "labels": 640, "cycles": 2, "untrained": False, "quality": "P@1 0.7"}


def test_a_run_stands_for_its_newest_bundle(run: str) -> None:
    old, new = publish(run, "bundle-old"), publish(run, "bundle-new")
    for bundle in (old, new):
        latest.write_about(bundle, run, ABOUT)
    for name in (run, f"{run}/latest", new):
        assert latest.resolve(name) == new
        assert published_bundle(name).uri == new
    assert latest.resolve(old) == old


def test_what_it_is_known_by_is_no_part_of_it(run: str) -> None:
    uri = publish(run, "bundle-a")
    before = published_bundle(uri)
    kept = latest.write_about(uri, run, ABOUT)
    assert published_bundle(uri) == before
    assert latest.read_about(uri) == kept
    assert kept["labels"] == 640


def test_a_bundle_keeps_the_date_of_its_first_end(run: str, monkeypatch) -> None:
    uri = publish(run, "bundle-a")
    first = latest.write_about(uri, run, ABOUT)
    monkeypatch.setattr(latest, "now", lambda: "2030-01-01T00:00:00Z")
    again = latest.write_about(uri, run, {**ABOUT, "quality": "P@1 0.8"})
    assert (again["created"], again["quality"]) == (first["created"], "P@1 0.8")


def test_a_run_without_a_bundle_says_so(run: str) -> None:
    storage.write_bytes(f"{run}/started/a.json", b"{}")
    for name in (run, f"{run}/latest"):
        with pytest.raises(PublishError, match="no bundle yet; finish it with lmtx run"):
            latest.resolve(name)


@pytest.mark.parametrize("name", ["../other", "/etc", "", 7, "a/b"])
def test_a_pointer_leads_nowhere_else(tmp_path: Path, name: object) -> None:
    (tmp_path / "latest").write_text(json.dumps({"bundle": name}))
    with pytest.raises(PublishError, match="names no bundle beside it"):
        latest.resolve(str(tmp_path))


@pytest.mark.parametrize("text", ["no json", "[1]", "x" * 100_000, '{"quality": {"a": 1}}'])
def test_what_anybody_may_have_written_is_no_reason_to_stop(tmp_path: Path, text: str) -> None:
    (tmp_path / "ABOUT.json").write_text(text)
    assert not any(latest.read_about(str(tmp_path)).values())


def test_what_anybody_may_have_written_fits_into_strict_json(tmp_path: Path) -> None:
    written = '{"name": "news \\ud800", "documents": NaN, "labels": Infinity, "cycles": 2}'
    (tmp_path / "ABOUT.json").write_text(written)
    about = latest.read_about(str(tmp_path))
    assert about == {"name": "news ?", "labels": None, "documents": None, "cycles": 2}
    json.dumps(about, ensure_ascii=False, allow_nan=False).encode()


def test_runs_are_listed_newest_first(run: str, monkeypatch) -> None:
    folder = run.rsplit("/", 1)[0]
    for name, when in (("old", "2026-01-01T00:00:00Z"), ("news", "2026-02-01T00:00:00Z")):
        monkeypatch.setattr(latest, "now", lambda when=when: when)
        storage.write_bytes(f"{folder}/{name}/started/a.json", b"{}")
        uri = publish(f"{folder}/{name}", "bundle-0123456789ab")
        latest.write_about(uri, f"{folder}/{name}", ABOUT)
    storage.write_bytes(f"{folder}/begun/started/a.json", b"{}")
    for name, when in (("a", "2026-01-15T00:00:00Z"), ("b", "2026-01-10T00:00:00Z")):
        storage.write_bytes(
            f"{folder}/going/started/{name}.json", f'{{"began": "{when}"}}'.encode()
        )
    storage.write_bytes(f"{folder}/no-run/file", b"")
    found = runs.list_runs(folder)
    assert [one.name for one in found] == ["news", "going", "old", "begun"]
    assert found.pop(1).date == "2026-01-15T00:00:00Z"
    assert (found[0].documents, found[0].labels, found[0].state) == (300, 640, "finished")
    assert (found[2].documents, found[2].state) == (None, "stopped")
    assert "P@1 0.7" in runs.table(found)
    assert [one.name for one in runs.list_runs(f"{folder}/news")] == ["news"]
