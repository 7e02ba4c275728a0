"""A run whose labels are told apart by their parents and descriptions alone: encoder and judge read
them, in training, in the bundle, and of labels that come later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.bundle.editing import plan_changes
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.io import storage
from lmtx_ray.loop import running
from lmtx_ray.loop.finished_run import open_finished
from lmtx_ray.search.index import LabelIndex
from lmtx_ray.student.encoder import Encoder
from tests.small_run import write, write_inputs
from tests.tiny import TOPICS

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]
TEMPLATE = "{parents} {text}: {description} ({aliases})"
KINDS = {"care": "with pain", "trial": None}  # name of a label below each topic -> description


def label_rows() -> list[dict]:
    """Each topic, and below it "care" and "trial", which are called alike under all topics."""
    rows = [{"uid": f"P{n}", "title": topic} for n, topic in enumerate(TOPICS)]
    for n, topic in enumerate(TOPICS):
        for name, told in KINDS.items():
            row = {"uid": f"{name}{n}", "title": name, "parent_keys": [f"P{n}"]}
            rows.append({**row, "description": told, "aliases": [f"{topic} of patients"]})
    return rows


def put(topic: str, name: str) -> str:
    """What the encoder reads of a label below a topic."""
    told = KINDS[name]
    return f"{topic} {name}{f': {told}' if told else ''} ({topic} of patients)"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> str:
    folder = tmp_path_factory.mktemp("template")
    path = write_inputs(folder)
    write(folder / "labels.jsonl", label_rows())
    for name in ("documents", "test"):
        rows = [
            {
                "uid": f"{name}{n}",
                "title": f"{TOPICS[n % 8]} {list(KINDS)[n // 8 % 2]}",
                "content": f"a study of {TOPICS[n % 8]} with pain in patients",
                "target_ind": [n % 8, 8 + 2 * (n % 8) + n // 8 % 2],
            }
            for n in range(80 if name == "documents" else 40)
        ]
        write(folder / f"{name}.jsonl", rows)
    (folder / "above.yaml").write_text(
        'before: "Document: "\nlabel: "\\nLabel: {label}\\nBelow: {parents}"\nafter: "\\nFits?"\n'
    )
    config = yaml.safe_load(path.read_text())
    config["run"] = str(folder / "run")
    config["encoder"]["label_template"] = TEMPLATE
    config["judge"]["teacher"]["prompt"] = str(folder / "above.yaml")
    path.write_text(yaml.safe_dump(config))
    running.run(path)
    return str(folder / "run")


def nearest(bundle: str, texts: list[str]) -> tuple[list[int], np.ndarray]:
    """Of each text, as a label of the bundle is encoded: the nearest label's id, and the cosine."""
    folder = open_bundle(bundle).folder
    settings = storage.read_json(f"{folder}/bundle.json")["encoder"]
    assert settings["label_template"] == TEMPLATE
    encoder = Encoder(EncoderConfig(**settings), model=f"{folder}/encoder")
    ids_BK, scores_BK = LabelIndex.load(f"{folder}/index").search(encoder.encode(texts, "label"), 1)
    return ids_BK[:, 0].tolist(), scores_BK[:, 0]


def test_the_judge_sees_parents_and_only_those_fit(run: str) -> None:
    """The rule says yes where a document names most words of what it was shown of a label."""
    finished = open_finished(run)
    topics = {row["uid"]: row.get("parent_keys", [row["uid"]])[0] for row in label_rows()}
    keys = finished.steps["labels"].read()["label_key"].to_pylist()
    rows = finished.steps["verdicts 1"].read().to_pylist()
    below = [row for row in rows if not keys[row["label_id"]].startswith("P")]
    assert len(below) > 100
    yes = [row for row in below if row["answer"] == "yes"]
    assert len(yes) > 20
    for row in yes:
        own = int(row["doc_id"].removeprefix("documents").removeprefix("test")) % 8
        assert topics[keys[row["label_id"]]] == f"P{own}"


def test_labels_of_one_name_have_their_own_vectors(run: str) -> None:
    finished = open_finished(run)
    texts = [put(topic, name) for topic in TOPICS for name in KINDS]
    ids, cosines = nearest(finished.steps["bundle"].uri, texts)
    assert ids == list(range(8, 24))
    assert cosines.min() > 0.9999
    methods = finished.summary["methods"]
    assert methods["cycle_1"]["R@10"] > methods["encoder"]["R@10"]


def test_labels_that_come_later_and_new_names_of_parents_are_read_likewise(
    run: str, tmp_path: Path
) -> None:
    bundle = open_finished(run).steps["bundle"].uri
    write(
        tmp_path / "new.jsonl",
        [{"key": "N", "text": "trial", "parent_keys": ["P0"], "description": "with risk"}],
    )
    added = plan_changes(bundle, "add", str(tmp_path / "new.jsonl")).make()
    ids, cosines = nearest(added, ["heart trial: with risk", put("lung", "care")])
    assert Tagger.load(added).labels.keys_by_place[ids[0]] == "N"
    assert ids[1] == 10
    assert cosines.min() > 0.9999
    (tmp_path / "u.csv").write_text("key,text\nP1,risk\n")
    renamed = plan_changes(added, "update", str(tmp_path / "u.csv")).make()
    ids, cosines = nearest(renamed, ["risk care: with pain (lung of patients)", "risk"])
    assert cosines.min() > 0.9999
    assert ids == [10, 1]
    assert Tagger.load(renamed).check() == ""
