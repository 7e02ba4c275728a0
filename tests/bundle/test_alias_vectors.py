"""Vectors of aliases: a document near any of a label's texts finds its key, also after edits."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.bundle.editing import plan_changes
from lmtx_ray.bundle.folder import BundleParts, write_bundle
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.search.row_labels import load_row_labels
from lmtx_ray.stages.embed import Embed
from lmtx_ray.stages.index import build_part, shard_parts
from tests.tiny import save_encoder
from tests.tiny_bundle import LABELS, labels_table

ALIASES = {2: ["zebra trial", LABELS[2], "zebra trial"], 9: ["giraffe in patients"]}


def labels_with(aliases: dict[int, list[str]], texts: list[str] = LABELS) -> pa.Table:
    rows = [{**row, "aliases": None} for row in labels_table().to_pylist()]
    rows = [{**row, "text": texts[n], "aliases": aliases.get(n)} for n, row in enumerate(rows)]
    return pa.Table.from_pylist(rows, schema=schemas.LABELS)


def published(folder: Path, encoder: str, labels: pa.Table) -> str:
    """A dense bundle as a run makes it: vectors in units of 5 labels, an index in 3 shards."""
    how = {"max_tokens": 64, "dtype": "float32", "threads": 1, "label_vectors": "aliases"}
    config = EncoderConfig(model=encoder, **how)
    embed = Embed(config, encoder)
    files, rows = [], []
    for start in range(0, len(labels), 5):
        made = embed(labels.slice(start, 5))
        files.append(str(folder / f"vectors-{start:02}.parquet"))
        rows.append(made.num_rows)
        storage.write_table(files[-1], made)

    def save(index: Path) -> None:
        for part in [*shard_parts(list(zip(files, rows, strict=True)), 3), {"vectors": files}]:
            build_part(index, **part)

    parts = BundleParts("aliases", encoder, config, save, labels, 16, fusion=None, calibration=None)
    step = Dataset(str(folder / "bundle-aliases"), "aliases")
    step.publish_folder(lambda local: write_bundle(parts, local))
    return step.uri


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


def answers(bundle: str, texts: list[str]) -> list[dict]:
    rows = Tagger.load(bundle).tag(texts, 16).to_pylist()
    return [{key: row[key] for key in ("label_keys", "labels", "scores")} for row in rows]


def test_a_label_is_found_by_each_of_its_texts_and_once(encoder: str, tmp_path: Path) -> None:
    bundle = published(tmp_path, encoder, labels_with(ALIASES))
    rows = load_row_labels(f"{Tagger.load(bundle).folder}/index")
    assert rows is not None
    assert rows.tolist() == sorted([*range(16), 2, 9])  # one is its own text
    asked = [*ALIASES[2][:2], ALIASES[9][0], LABELS[2], LABELS[9]]
    found = answers(bundle, asked)
    assert [row["label_keys"][0] for row in found] == ["L2", "L2", "L9", "L2", "L9"]
    assert all(sorted(row["label_keys"]) == sorted(f"L{n}" for n in range(16)) for row in found)
    assert all(row["scores"][0] == pytest.approx(1, abs=1e-5) for row in found)


def test_edits_of_aliases_give_the_answers_of_a_bundle_made_anew(
    encoder: str, tmp_path: Path
) -> None:
    before = published(tmp_path, encoder, labels_with(ALIASES))
    file = tmp_path / "update.csv"
    file.write_text(f"key,text,aliases\nL2,zebra,lung disease|okapi\nL7,{LABELS[7]},quagga study\n")
    rows = {2: ["lung disease", "okapi"], 7: ["quagga study"], 9: ALIASES[9]}
    after = plan_changes(before, "update", str(file)).make()
    texts = ["zebra" if n == 2 else text for n, text in enumerate(LABELS)]
    anew = published(tmp_path / "anew", encoder, labels_with(rows, texts))
    asked = ["okapi", "quagga study", "zebra trial", "zebra", *LABELS[:4]]
    assert answers(after, asked) == answers(anew, asked)
    assert Tagger.load(after).check() == ""
    assert [row["label_keys"][0] for row in answers(after, asked)[:2]] == ["L2", "L7"]
