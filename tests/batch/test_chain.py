"""`lmtx tag` by a chain of Ray Data stages: the bytes of workers that each hold the whole index."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lmtx_ray.batch.job import TagJob
from lmtx_ray.batch.outputs import read_tags
from lmtx_ray.cli.main import main
from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.io import storage
from lmtx_ray.io.receipts import Receipt
from lmtx_ray.loop import search_way
from lmtx_ray.loop.search_way import stages_of
from lmtx_ray.loop.tagging import tag_corpus
from lmtx_ray.stages import tag_chain
from lmtx_ray.stages.passed import Passed
from lmtx_ray.stages.tag_chain import WriteUnit
from tests.batch.tagging import document, lines
from tests.chaos.batch_runs import published, write_corpus


def write_inputs(folder: Path) -> None:
    """Rows with filters of their own, kept tags, without text, bad ones, and a repeat."""
    write_corpus(str(folder), 5)
    rows = [document(n, own=["L2"], allowed=[f"L{n % 3}", "L7", "L9"]) for n in range(90, 95)]
    rows += [document(96, denied="L1|L0"), {"id": "d97", "own": "L4"}, {"id": "d98"}]
    (folder / "own.jsonl").write_bytes(lines(*rows))
    (folder / "none.jsonl").write_bytes(b"{}\n")


def job(bundle: str, source: Path, output: Path) -> TagJob:
    return TagJob(
        bundle=bundle,
        source=DocumentsConfig(documents=(str(source),)),
        output=str(output),
        unit_bytes=340,
        keep_field="own",
        allow_column="allowed",
        deny_column="denied",
        deny=("L15",),
        pass_through=("own",),
    )


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_chain_publishes_the_bytes_of_the_replicated_way(bundle: str, tmp_path: Path) -> None:
    write_inputs(tmp_path / "in")
    whole, chain = (job(bundle, tmp_path / "in", tmp_path / name) for name in ("whole", "chain"))
    tag_corpus(whole, local=True)
    result = tag_corpus(chain, search="chain")
    assert published(chain.output) == published(whole.output)
    assert result["documents"] == read_tags(whole.output).num_rows == 27
    assert tag_corpus(chain, search="replicated", local=True)["tagged_now"] == 0


class DiesOnce(WriteUnit):
    """Its process ends after it committed a unit and before it told so."""

    def __call__(self, passed: Passed) -> Receipt:
        receipt = super().__call__(passed)
        try:
            Path(f"{self._work.job.output}.died").touch(exist_ok=False)
        except FileExistsError:
            return receipt
        os._exit(1)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_chain_that_broke_off_goes_on_to_the_bytes_of_the_replicated_way(
    bundle: str, tmp_path: Path
) -> None:
    write_inputs(tmp_path / "in")
    whole, chain = (job(bundle, tmp_path / "in", tmp_path / name) for name in ("whole", "chain"))
    tag_corpus(whole, local=True)
    hidden = tmp_path / "in" / "002.jsonl"

    def hide() -> None:
        hidden.rename(tmp_path / "002.jsonl")

    with pytest.raises(storage.StorageError, match=r"002\.jsonl: No such file"):
        tag_corpus(chain, search="chain", start=hide)
    assert not (tmp_path / "chain/MANIFEST.json").exists()
    (tmp_path / "002.jsonl").rename(hidden)
    assert tag_corpus(chain, search="chain")["documents"] == 27
    assert published(chain.output) == published(whole.output)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_stage_that_dies_is_started_again_and_loses_no_unit(
    bundle: str, tmp_path: Path, monkeypatch
) -> None:
    write_inputs(tmp_path / "in")
    whole, chain = (job(bundle, tmp_path / "in", tmp_path / name) for name in ("whole", "chain"))
    tag_corpus(whole, local=True)
    monkeypatch.setattr(tag_chain, "WriteUnit", DiesOnce)
    assert tag_corpus(chain, search="chain")["tagged_now"] == 28  # one of them repeated
    assert Path(f"{chain.output}.died").exists()
    assert published(chain.output) == published(whole.output)


def test_small_shards_share_a_stage() -> None:
    assert stages_of([9]) == [([0], 9)]
    assert stages_of([9, 9, 8, 2, 1, 1, 6]) == [
        ([0], 9),
        ([1], 9),
        ([2], 8),
        ([3, 4, 5], 4),
        ([6], 6),
    ]


def test_a_dry_run_says_how_it_would_search(
    bundle: str, tmp_path: Path, capsys, monkeypatch
) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines(document(1)))
    names = ["--bundle", bundle, "--input", f"{tmp_path}/in.jsonl", "--output", f"{tmp_path}/out"]

    def planned(*more: str) -> dict:
        assert main(["tag", *names, "--dry-run", *more, "--json"]) == 0
        return json.loads(capsys.readouterr().out)["search"]

    found = planned()
    assert found["way"] == "replicated"
    assert found["index_bytes"] == sum(f.stat().st_size for f in Path(bundle).rglob("shard-*"))
    assert "GiB in 2 shards; memory of this machine" in found["said"]
    monkeypatch.setattr(search_way, "SHARE", found["index_bytes"] / found["memory_bytes"] / 2)
    assert planned()["way"] == "chain"
    assert planned("--search", "replicated")["way"] == "replicated"
    monkeypatch.setattr(search_way, "MOST_UNIT", 9)
    assert planned()["way"] == "replicated"  # and a warning
    assert main(["tag", *names, "--dry-run", "--search", "chain"]) == 1
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="a chain needs Ray"):
        tag_corpus(job(bundle, tmp_path / "in.jsonl", tmp_path / "out"), local=True, search="chain")
