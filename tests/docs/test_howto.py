"""The how-to pages of the endpoint and of S3: what they show is done, with a served judge and a
served store."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from lmtx_ray.batch.outputs import published_files, read_tags
from lmtx_ray.io import storage
from lmtx_ray.io.s3_client import client
from tests.docs.shell import ROOT, environment, indented_blocks, walk
from tests.fake_llm import KEY, FakeJudge
from tests.lake import upload
from tests.small_run import write_inputs
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

ENDPOINT, NIGHTLY = "docs/howto/endpoint.md", "docs/howto/nightly.md"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.ray
def test_an_endpoint_judges_as_its_page_shows(tmp_path: Path, judge: FakeJudge) -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", (ROOT / ENDPOINT).read_text(), re.DOTALL)
    there = shown.replace("http://127.0.0.1:8001/v1", judge.url).replace("my-model", "keyed")
    config = yaml.safe_load(write_inputs(tmp_path, documents=40).read_text())
    config |= {"run": "runs/my", **yaml.safe_load(there)}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(config))
    *_, commands = indented_blocks(ENDPOINT)  # what is above is of the settings
    done = walk(commands, tmp_path, environment(tmp_path, MY_KEY=KEY))
    assert "cost" in done.stderr
    assert {request["key"] for request in judge.requests} == {f"Bearer {KEY}"}
    kept = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if f"Bearer {KEY}".encode() in path.read_bytes()]


def drop(name: str, *ids: str) -> None:
    rows = [json.dumps({"id": one, "text": f"heart pain of {one}"}) for one in ids]
    storage.write_bytes(f"s3://lake/drop/{name}", "\n".join(rows).encode())


def tagged() -> list[str]:
    return read_tags("s3://lake/tagged")["doc_id"].to_pylist()


def test_a_nightly_drop_is_tagged_as_its_page_shows(tmp_path: Path, server: str) -> None:
    bundle = publish_bundle(tmp_path / "bundle", save_encoder(tmp_path / "model"))
    client().create_bucket(Bucket="models")
    upload(bundle, "s3://models/subjects")
    (command,) = indented_blocks(NIGHTLY)
    given = environment(tmp_path)
    drop("dt=2026-11-25/a.jsonl", "a1", "a2")
    walk(command, tmp_path, given)
    drop("dt=2026-11-26/b.jsonl", "b1", "a1")
    walk(command, tmp_path, given)
    last = json.loads(walk(command, tmp_path, given).stdout.splitlines()[-1])
    assert last["tagged_now"] == 0
    found = {
        storage.read_table(uri)["doc_id"].to_pylist()[0]: uri.split("/dt=")[1].split("/")[0]
        for uri in published_files("s3://lake/tagged")
    }
    assert found == {"a1": "2026-11-25", "b1": "2026-11-26"}
    assert sorted(tagged()) == ["a1", "a2", "b1"]
    walk("lmtx sweep s3://lake/tagged/", tmp_path, given)
    assert sorted(tagged()) == ["a1", "a2", "b1"]
