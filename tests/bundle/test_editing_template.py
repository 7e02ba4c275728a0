"""Labels of a bundle whose encoder reads more of them than their names: edits read it too."""

from __future__ import annotations

import json
from pathlib import Path

from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.bundle.editing import plan_changes
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.cli.main import main
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.io import storage
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.student.encoder import Encoder
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

TEMPLATE = "{parents} {text}: {description} ({aliases})"


def found(bundle: str, texts: list[str]) -> list[str]:
    """Keys of the labels whose vectors are those of these texts."""
    folder = open_bundle(bundle).folder
    settings = storage.read_json(f"{folder}/bundle.json")["encoder"]
    encoder = Encoder(EncoderConfig(**settings), model=f"{folder}/encoder")
    ids_BK, scores_BK = LabelIndex.load(f"{folder}/index").search(encoder.encode(texts, "label"), 1)
    assert scores_BK.min() > 0.9999
    keys = Tagger.load(bundle).labels.keys_by_place
    return [keys[label] for label in ids_BK[:, 0].tolist()]


def test_labels_that_come_and_new_names_of_parents_are_read_by_the_template(tmp_path: Path) -> None:
    bundle = publish_bundle(tmp_path / "one", save_encoder(tmp_path), template=TEMPLATE)
    assert found(bundle, ["heart disease heart pain", "lung disease"]) == ["L1", "L2"]
    new = {"key": "N", "text": "care", "parent_keys": ["L0"], "description": "no risk"}
    rows = [new, {"key": "M", "text": "care", "aliases": ["trial", "ask"]}]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    added = plan_changes(bundle, "add", str(tmp_path / "new.jsonl")).make()
    texts = ["heart disease care: no risk", "care (trial, ask)", "heart disease heart pain"]
    assert found(added, texts) == ["N", "M", "L1"]
    (tmp_path / "u.csv").write_text("key,text\nL0,yes\n")
    renamed = plan_changes(added, "update", str(tmp_path / "u.csv")).make()
    assert found(renamed, ["yes care: no risk", "yes heart pain", "yes"]) == ["N", "L1", "L0"]
    (tmp_path / "gone.txt").write_text("L0\n")
    removed = plan_changes(renamed, "remove", str(tmp_path / "gone.txt")).make()
    assert found(removed, ["care: no risk", "heart pain"]) == ["N", "L1"]


def test_lengths_are_those_of_what_the_encoder_reads(tmp_path: Path, capsys) -> None:
    bundle = publish_bundle(tmp_path / "one", save_encoder(tmp_path), template=TEMPLATE)
    assert main(["labels", "check", bundle, "--tokens", "3"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["findings"] == {"long_text": 8}  # those below another, of four words
