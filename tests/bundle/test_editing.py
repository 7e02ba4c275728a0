"""Labels of a bundle added, changed and removed: another bundle, by difference."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from lmtx_ray.bundle.cache import published_bundle
from lmtx_ray.bundle.editing import plan_changes, plan_to
from lmtx_ray.bundle.remaking import description_of
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.cli.main import main
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.corpus.lines import CorpusError
from lmtx_ray.io import storage
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.search.memory import Remembered
from lmtx_ray.student.encoder import Encoder
from tests.tiny import save_encoder
from tests.tiny_bundle import LABELS, publish_bundle

TEXTS = ["heart pain in patients", "a study of the lung", "bone and skin care", "ear trial"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, encoder: str) -> str:
    return publish_bundle(tmp_path_factory.mktemp("made") / "bundle-one", encoder)


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def edited(bundle: str, kind: str, path: Path, text: str) -> str:
    return plan_changes(bundle, kind, written(path, text)).make()


def whole(folder: Path, encoder: str, texts: dict[str, str], monkeypatch) -> Tagger:
    """A bundle of these labels from the start."""
    monkeypatch.setattr("tests.tiny_bundle.LABELS", list(texts.values()))
    return Tagger.load(publish_bundle(folder, encoder, "whole"))


def answers(tagger: Tagger) -> list[list[tuple[str, float, float]]]:
    rows = tagger.tag(TEXTS, 12).to_pylist()
    return [list(zip(r["labels"], r["scores"], r["probabilities"], strict=True)) for r in rows]


def test_a_bundle_by_difference_tags_as_one_made_anew(
    bundle: str, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = edited(bundle, "add", tmp_path / "a.csv", "key,text\nN1,skin care\nN2,patients at risk\n")
    two = edited(one, "update", tmp_path / "u.csv", "key,text\nL3,lung trial\nN1,skin trial\n")
    three = edited(two, "remove", tmp_path / "r.txt", "L0\nL9\n")
    texts = {f"L{n}": text for n, text in enumerate(LABELS)}
    texts |= {"L3": "lung trial", "N1": "skin trial", "N2": "patients at risk"}
    texts = {key: text for key, text in texts.items() if key not in {"L0", "L9"}}
    now = Tagger.load(three)
    assert list(now.labels) == list(texts)
    assert now.labels.texts[:] == list(texts.values())
    assert now.check() == ""
    assert answers(now) == answers(whole(tmp_path / "whole", encoder, texts, monkeypatch))
    history = description_of(three)["edited"]
    assert history["of"] == description_of(two)["bundle_id"]
    assert history["first"] == "test-bundle"
    assert history["since_first"] == {"added": 2, "changed": 2, "removed": 2}


def test_what_was_accepted_of_a_label_goes_with_its_key(tmp_path: Path, encoder: str) -> None:
    """Documents that were judged lead to label 9 and to one that goes; ids move with the edit."""
    config = EncoderConfig(model=encoder, max_tokens=64, dtype="float32", threads=1)
    vectors = Encoder(config).encode(TEXTS, "document")
    judged = [(n, vector, [9, 2], [1.0, 1.0]) for n, vector in enumerate(vectors)]
    memory = Remembered.of(judged, np.full(16, 4.0), np.full(16, 2.0))
    learned = publish_bundle(tmp_path / "bundle-learned", encoder, remembered=memory)
    before = Tagger.load(learned).tag(TEXTS, 2)["label_keys"].to_pylist()
    assert {key for row in before for key in row} == {"L2", "L9"}
    made = edited(learned, "remove", tmp_path / "r.txt", "L2\nL0\n")
    made = edited(made, "add", tmp_path / "a.csv", "key,text\nN1,eye care\n")
    after = Tagger.load(made)
    assert [row[0] for row in after.tag(TEXTS, 1)["label_keys"].to_pylist()] == ["L9"] * len(TEXTS)
    assert after.check() == ""


def test_what_does_not_change_is_the_same_file(
    bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    encode = Encoder.encode
    monkeypatch.setattr(
        Encoder,
        "encode",
        lambda self, texts, kind: (
            seen.extend(texts if kind == "label" else ()) or encode(self, texts, kind)
        ),
    )
    made = edited(bundle, "add", tmp_path / "a.csv", "key,text,description\nN1,eye care,of eyes\n")
    assert seen == ["eye care"]
    old, new = published_bundle(bundle), published_bundle(made)
    same = {n for n in old.files if old.files[n].sha256 == new.files.get(n, old.files[n]).sha256}
    assert {"index/shard-00000.safetensors", "encoder/model.safetensors"} <= same
    for name in same:
        inodes = {os.stat(one.location(name)).st_ino for one in (old, new)}
        assert len(inodes) == 1, name
    table = storage.read_table(new.location("labels.parquet")).to_pylist()
    assert table[-1]["description"] == "of eyes"
    assert Tagger.load(bundle).check() == ""


def test_a_removed_key_is_remembered_and_comes_back(bundle: str, tmp_path: Path) -> None:
    without = edited(bundle, "remove", tmp_path / "r.csv", "key\nL4\n")
    labels = Tagger.load(without).labels
    assert "L4" not in labels
    day = labels.removed.on("L4")
    assert day
    with pytest.raises(CorpusError, match=rf"again.csv: .*row 2: key 'L4' was removed on {day}"):
        edited(without, "remove", tmp_path / "again.csv", "key\nL4\n")
    plan = plan_changes(without, "add", written(tmp_path / "back.csv", "key\nL4\n"))
    assert plan.edited.counts()["brought_back"] == 1
    back = Tagger.load(plan.make()).labels
    assert back["L4"] == LABELS[4]
    assert list(back)[-1] == "L4"
    assert back.removed.on("L4") is None


def test_a_whole_label_set_is_reached_by_difference(bundle: str, tmp_path: Path) -> None:
    rows = [f"L{n},{text}" for n, text in enumerate(LABELS) if n != 7]
    rows[2] = "L2,lung care"
    rows.insert(0, "N9,liver trial")
    file = written(tmp_path / "labels.csv", "\n".join(["key,text", *rows]) + "\n")
    plan = plan_to(bundle, file)
    assert plan.edited.counts() == {
        "added": 1, "brought_back": 0, "changed": 1, "removed": 1, "unchanged": 14
    }  # fmt: skip
    assert plan.edited.moves.fresh_L.sum() == 2
    parents = plan.edited.labels["parent_keys"].to_pylist()
    assert parents[1] == ["L0"]  # the file says nothing of parents
    labels = Tagger.load(plan.make()).labels
    assert dict(labels) == {**{f"L{n}": t for n, t in enumerate(LABELS) if n != 7},
                            "L2": "lung care", "N9": "liver trial"}  # fmt: skip


def test_a_label_set_may_be_that_of_another_bundle(bundle: str, tmp_path: Path) -> None:
    other = edited(bundle, "update", tmp_path / "u.csv", "key,text\nL2,lung care\n")
    plan = plan_to(bundle, other)
    assert plan.edited.counts()["changed"] == 1
    assert Tagger.load(plan.make()).labels["L2"] == "lung care"


def test_the_command_tells_first_and_stops_where_it_is_dry(
    bundle: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path / "u.csv", "key,text\nL1,heart trial\nL2,lung disease\n")
    place = str(tmp_path / "new")
    assert main(["labels", "update", bundle, file, place, "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "0 added, 1 changed, 0 removed, 15 unchanged" in err
    assert json.loads(out)["changed"] == 1
    assert not Path(place).exists()
    assert main(["labels", "update", bundle, file, place]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"] == place
    assert main(["labels", "update", place, "--to", f"{tmp_path}/u.csv", "--dry-run"]) == 0
    assert "2 unchanged" in capsys.readouterr().err
    assert main(["labels", "update", place, file]) == 0  # nothing is different any more
    assert json.loads(capsys.readouterr().out)["bundle"] == place


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("add", "key,text\nL3,lung\n", "row 2: key 'L3' is there already, as 'lung pain'"),
        ("add", "key,text\nN1,\n", "row 2: field 'text' needs a text, got ''"),
        ("add", "key\nN1\n", "row 2: new label 'N1' needs a text"),
        ("add", "key,text\nN1,a\nN2,b\nN1,c\n", "row 4: duplicate key 'N1', first in row 2"),
        ("update", "key,text\nL33,lung\n", "no label has the key 'L33'; did you mean 'L3'"),
        ("update", "key,text\nL3,   \n", "row 2: field 'text' needs a text"),
        ("update", "key,text\n,lung\n", "row 2: field 'key' needs a text"),
        ("remove", "key\nM1\nL1\n", "row 2: no label has the key 'M1'"),
        ("remove", "key\n" + "".join(f"L{n}\n" for n in range(16)), "at least one"),
        ("remove", "name,text\nL1,a\n", "no column 'uid'"),
    ],
)
def test_a_row_that_cannot_be_meant_changes_nothing(
    bundle: str, tmp_path: Path, kind: str, text: str, message: str
) -> None:
    beside = set(Path(bundle).parent.iterdir())
    with pytest.raises(ValueError, match=message.replace("(", r"\(")) as raised:
        edited(bundle, kind, tmp_path / "changes.csv", text)
    assert "changes.csv" in str(raised.value) or "at least one" in message
    assert set(Path(bundle).parent.iterdir()) == beside


def test_of_two_editors_one_is_told(bundle: str, tmp_path: Path) -> None:
    place = str(tmp_path / "new")
    plans = [
        plan_changes(bundle, "add", written(tmp_path / f"{n}.csv", f"key,text\nN{n},eye {n}\n"))
        for n in (1, 2)
    ]
    assert plans[0].make(place) == place
    with pytest.raises(PublishError, match="another edit came first"):
        plans[1].make(place)
    assert "N1" in Tagger.load(place).labels
    assert plans[0].make(place) == place  # the same edit again is the same bundle


def test_a_failed_edit_leaves_no_bundle(
    bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_changes(bundle, "add", written(tmp_path / "a.csv", "key,text\nN1,eye care\n"))

    def full(*_: object) -> None:
        raise storage.StorageError("no room left")

    monkeypatch.setattr(storage, "copy_file", full)
    with pytest.raises(storage.StorageError):
        plan.make(str(tmp_path / "new"))
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
