"""Documents that no label fits, and what they have in common."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.loop.gaps import telling_words
from tests.batch.tagging import lines
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

KINDS = ("liver risk trial", "eye care treatment")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("made")
    return publish_bundle(folder / "bundle", save_encoder(folder))


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Tags of 20 documents, of which 12 have no likely one and one has no text; and the texts."""
    documents, tags = [], []
    for n in range(20):
        kind = KINDS[n % 2] if n < 12 else "heart pain"
        documents.append({"id": f"d{n}", "title": f"=Of {kind}", "text": f"{kind} " * 4})
        tags.append({"doc_id": f"d{n}", "label_keys": ["L0"], "labels": ["heart disease"],
                     "probabilities": [0.2 if n < 12 else 0.8], "reason": ""})  # fmt: skip
    tags.append({"doc_id": "d20", "label_keys": [], "labels": [], "probabilities": [],
                 "reason": "empty"})  # fmt: skip
    (tmp_path / "documents.jsonl").write_bytes(lines(*documents))
    (tmp_path / "tags.jsonl").write_bytes(lines(*tags))
    return str(tmp_path / "tags.jsonl"), str(tmp_path / "documents.jsonl")


def test_they_are_told_in_clusters(
    bundle: str, files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "gaps.csv")
    asked = ["gaps", *files, "--bundle", bundle, "--clusters", "2", "--output", output]
    assert main(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["without_label"], found["documents"], found["threshold"]) == (12, 21, 0.5)
    assert [cluster["size"] for cluster in found["clusters"]] == [6, 6]
    by_word = {cluster["words"][0]: cluster for cluster in found["clusters"]}
    assert set(by_word) & {"liver", "risk", "trial"}
    assert set(by_word) & {"eye", "care", "treatment"}
    for cluster in found["clusters"]:
        assert len({example["title"] for example in cluster["examples"]}) == 1
        assert len(cluster["labels"]) == 3
    rows = list(csv.DictReader(io.StringIO(Path(output).read_text(encoding="utf-8-sig"))))
    assert [row["documents"] for row in rows] == ["6", "6"]
    assert rows[0]["examples"].startswith("'=Of")  # no formula to a spreadsheet


def test_a_lower_threshold_finds_none(
    bundle: str, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gaps", *files, "--bundle", bundle, "--threshold", "0.1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["without_label"], found["clusters"]) == (0, [])


def test_a_threshold_of_nothing_finds_documents_without_any_tag(
    bundle: str, files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    tags = Path(files[0])
    none = {"doc_id": "d0", "label_keys": [], "labels": [], "probabilities": [], "reason": ""}
    tags.write_bytes(lines(none) + b"\n".join(tags.read_bytes().splitlines()[1:]) + b"\n")
    assert main(["gaps", *files, "--bundle", bundle, "--threshold", "0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["without_label"], found["threshold"]) == (1, 0.0)


def test_tags_that_nobody_judged_tell_no_gap(
    bundle: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = {"doc_id": "d0", "label_keys": ["L0"], "labels": ["a"], "probabilities": [None]}
    (tmp_path / "tags.jsonl").write_bytes(lines(row))
    assert main(["gaps", f"{tmp_path}/tags.jsonl", "--bundle", bundle]) == 1
    assert "tags without probabilities" in caplog.text


def test_words_tell_a_cluster_from_the_others() -> None:
    one, other = ["solar panel study", "solar cells study"], ["wind farm study", "wind study 7"]
    assert telling_words([one, other])[0][:1] == ["solar"]
    assert "study" not in {own[0] for own in telling_words([one, other])}
