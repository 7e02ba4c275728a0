"""A run with a vector for each alias, ranked by a chain: its bundle finds keys by their aliases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.loop import running
from lmtx_ray.search.row_labels import load_row_labels
from tests.small_run import write, write_inputs

ALIASES = {4: ["zebra trial"], 9: ["okapi in patients", "quagga"]}


@pytest.mark.slow
@pytest.mark.ray
def test_a_run_finds_keys_by_the_meaning_of_aliases(tmp_path: Path, ray_cluster: None) -> None:
    path = write_inputs(tmp_path, documents=40)
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    write(
        tmp_path / "labels.jsonl",
        [{**row, "aliases": ALIASES.get(place, [])} for place, row in enumerate(rows)],
    )
    values = yaml.safe_load(path.read_text())
    del values["judge"], values["corpus"]["held_aside"]
    values["encoder"]["label_vectors"] = "aliases"
    values |= {"index": {"shards": 3, "search": "chain"}, "run": str(tmp_path / "run")}
    values["shortlist"]["lexical_weight"] = 0
    path.write_text(yaml.safe_dump(values))
    summary = running.run(path)
    tagger = Tagger.load(summary["bundle"])
    labels_R = load_row_labels(f"{tagger.folder}/index")
    assert labels_R is not None
    assert labels_R.tolist() == sorted([*range(24), 4, 9, 9])
    found = tagger.tag([text for texts in ALIASES.values() for text in texts], 24)
    assert [keys[0] for keys in found["label_keys"].to_pylist()] == ["L4", "L9", "L9"]
    assert all(len(set(keys)) == 24 for keys in found["label_keys"].to_pylist())
