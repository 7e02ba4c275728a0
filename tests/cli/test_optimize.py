"""`lmtx optimize` as a user runs it: the table, the choice, what is stored, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lmtx_ray.bundle.defaults import read_defaults
from lmtx_ray.cli.main import main
from lmtx_ray.config.defaults import Defaults
from lmtx_ray.corpus import schemas
from lmtx_ray.io import storage
from lmtx_ray.io.latest import resolve
from tests.tiny import TOPICS, save_encoder
from tests.tiny_bundle import publish_bundle

DOCUMENTS, EACH = 200, 6


def judged(reviewed: int = 0) -> pa.Table:
    """Candidates that are right as often as their probability says; the last of each unjudged."""
    generator = np.random.default_rng(0)
    probabilities = np.sort(generator.random((DOCUMENTS, EACH)), axis=1)[:, ::-1].ravel()
    right = (generator.random(len(probabilities)) < probabilities).astype(np.float32)
    places = np.tile(np.arange(EACH), DOCUMENTS)
    table = pa.table(
        {
            "document": [f"{n // EACH:016d}".encode() for n in range(len(places))],
            "label": [f"{n:016d}".encode() for n in range(len(places))],
            "place": places.astype(np.int32),
            "features": [[float(p)] for p in probabilities],
            "reviewed": pa.array(right == 1, mask=np.arange(len(places)) >= reviewed),
            "by_words": places == 0,
            "right": pa.array(right, mask=places == EACH - 1),
            "probability": probabilities.astype(np.float32),
        }
    )
    return schemas.conform(table, schemas.JUDGED_TAGS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with one bundle."""
    folder = tmp_path_factory.mktemp("run")
    publish_bundle(folder / "bundle-one", save_encoder(folder), judged=judged())
    return folder


def optimize(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[dict[str, Any], str]:
    assert main(["optimize", *options]) == 0
    out, err = capsys.readouterr()
    return json.loads(out.splitlines()[-1]), err


def test_the_table_shows_thresholds_and_limits_by_the_judge(run, capsys) -> None:
    result, table = optimize(capsys, str(run))
    assert result["bundle"] == str(run / "bundle-one")
    assert result["by"] == "the judge's verdicts on held-aside documents"
    assert (result["documents"], result["reviewed"]) == (DOCUMENTS, 0)
    assert {cell["limit"] for cell in result["cells"]} == {1, 2, 3, 5, 10}
    assert "by the judge's verdicts on held-aside documents, 200 documents" in table
    cells = {(cell["limit"], cell["threshold"]): cell for cell in result["cells"]}
    rows = judged().to_pylist()
    tagged = [row for row in rows if row["probability"] >= 0.5 and row["place"] < 3]
    cell = cells[3, 0.5]
    assert cell["tags"] == len(tagged)
    assert cell["precision"] == pytest.approx(np.mean([r["right"] for r in tagged]), abs=1e-4)
    assert cell["precision_ci"][0] < cell["precision"] < cell["precision_ci"][1]
    assert cells[10, 0.0]["known"] == pytest.approx((EACH - 1) / EACH, abs=1e-4)


def test_a_precision_picks_and_stores_what_tags_then_use(run, tmp_path, capsys) -> None:
    run = shutil.copytree(run, tmp_path / "run")
    bundle = str(run / "bundle-one")
    chosen, said = optimize(capsys, bundle, "--precision", "0.9")
    cell = chosen["chosen"]
    assert cell["precision"] >= 0.9
    assert f"--min-probability {cell['threshold']:g} --top-k {cell['limit']}" in said
    sure, _ = optimize(capsys, bundle, "--precision", "0.9", "--confident", "--limits", "1,3")
    assert sure["chosen"]["precision_ci"][0] >= 0.9
    assert sure["chosen"]["limit"] in {1, 3}
    stored, said = optimize(capsys, bundle, "--precision", "0.9", "--store")
    assert read_defaults(stored["stored"]) == Defaults(cell["limit"], cell["threshold"])
    assert f"lmtx tag --bundle {stored['stored']}" in said
    again, _ = optimize(capsys, str(run), "--precision", "0.9", "--store")  # the run's own bundle
    assert again["stored"] == stored["stored"]
    assert resolve(str(run)) == again["stored"]  # `lmtx tag --bundle RUN` tags so
    description = storage.read_json(f"{_files(stored['stored'])}/bundle.json")
    assert description["chosen"]["asked_precision"] == 0.9
    assert description["chosen"]["by"] == chosen["by"]


def _files(bundle: str) -> str:
    return str(next(Path(bundle).glob("at-*")))


def test_what_nothing_reaches_is_told_and_not_stored(run, capsys, caplog) -> None:
    unreachable = ["--precision", "1", "--confident"]
    result, said = optimize(capsys, str(run), *unreachable)
    assert result["chosen"] is None
    assert "precision 1 with confidence: nothing reaches it; the nearest is" in said
    assert main(["optimize", str(run), *unreachable, "--store"]) == 1
    assert "nothing stored: precision 1 with confidence" in caplog.text


def test_reviewed_pairs_are_told(tmp_path, capsys) -> None:
    bundle = publish_bundle(tmp_path / "b", save_encoder(tmp_path), judged=judged(reviewed=7))
    result, said = optimize(capsys, bundle)
    assert result["reviewed"] == 7
    assert "corrected by reviewed pairs" in said


@pytest.fixture
def gold(run, tmp_path) -> tuple[str, list[str]]:
    """Tags of eight documents by the bundle, and the options that name them and their gold."""
    rows = [{"id": f"d{n}", "text": f"{topic} pain"} for n, topic in enumerate(TOPICS)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys = [[f"L{2 * n + 1}", f"L{2 * n}"] for n in range(len(TOPICS))]
    table = pa.table(
        {"doc_id": [*(f"d{n}" for n in range(8)), "untagged"], "label_keys": [*keys, ["L0"]]}
    )
    storage.write_table(str(tmp_path / "gold.parquet"), table)
    out = str(tmp_path / "out")
    return out, ["--gold", str(tmp_path / "gold.parquet"), "--tags", out]


def tag(run: Path, out: str, *more: str) -> None:
    source = str(Path(out).parent / "in.jsonl")
    options = ["--top-k", "10", "--min-probability", "0", *more]
    bundle = str(run / "bundle-one")
    assert main(["tag", "--bundle", bundle, "--input", source, "--output", out, *options]) == 0


def test_gold_decides_where_it_is_given(run, gold, capsys) -> None:
    out, options = gold
    tag(run, out)
    capsys.readouterr()
    result, said = optimize(capsys, str(run / "bundle-one"), *options)
    assert "by gold, 8 documents" in said
    (first,) = [c for c in result["cells"] if (c["limit"], c["threshold"]) == (1, 0.0)]
    assert (first["precision"], first["recall"]) == (1.0, 0.5)
    ids = pa.table({"doc_id": ["d1"], "label_ids": pa.array([[3]], pa.list_(pa.int32()))})
    storage.write_table(str(Path(out).parent / "ids.parquet"), ids)  # as a run's own gold
    options[1] = str(Path(out).parent / "ids.parquet")
    result, _ = optimize(capsys, str(run / "bundle-one"), *options)
    (first,) = [c for c in result["cells"] if (c["limit"], c["threshold"]) == (1, 0.0)]
    assert (result["documents"], first["recall"]) == (1, 1.0)


def test_gold_is_read_by_the_columns_that_are_named(run, gold, capsys) -> None:
    out, (_, place, *tags) = gold
    tag(run, out)
    capsys.readouterr()
    usual, _ = optimize(capsys, str(run / "bundle-one"), "--gold", place, *tags)
    table = storage.read_table(place)
    other = str(Path(place).with_name("other.parquet"))
    storage.write_table(other, table.rename_columns(["Nr", "Was"]))
    named = ["--gold", other, *tags, "--gold-id", "Nr", "--gold-labels", "Was"]
    found, _ = optimize(capsys, str(run / "bundle-one"), *named)
    assert found["cells"] == usual["cells"]


def test_self_matches_count_on_no_side(run, gold, capsys) -> None:
    """Of the first two documents the label that comes first is taken away, of both sides."""
    out, options = gold
    tag(run, out)
    capsys.readouterr()
    never = Path(out).parent / "filter_labels_test.txt"
    never.write_text("0 1\n1 3\n")
    result, _ = optimize(capsys, str(run / "bundle-one"), *options, "--self-matches", str(never))
    (cell,) = [c for c in result["cells"] if (c["limit"], c["threshold"]) == (10, 0.0)]
    assert cell["tags"] == 8 * 10 - 2
    assert cell["recall"] == 1.0
    (Path(out).parent / "rows.jsonl").write_text('{"id": "d1"}\n{"id": "d0"}\n')  # the other way
    rows = ["--rows-of", str(Path(out).parent / "rows.jsonl")]
    never.write_text("1 1\n0 3\n")
    again, _ = optimize(
        capsys, str(run / "bundle-one"), *options, "--self-matches", str(never), *rows
    )
    assert again["cells"] == result["cells"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gold", "g"], "--gold and --tags go together: lmtx tag --bundle"),
        (["--store"], "--store needs --precision"),
        (["--self-matches", "f"], "--self-matches count rows of gold: give --gold and --tags"),
        (["--confident"], "--confident needs --precision"),
        (["--precision", "0.9", "--output", "x"], "--output needs --store"),
        (["--gold", "g", "--tags", "nowhere"], "nowhere: not an output of lmtx tag"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run, caplog, options, message) -> None:
    assert main(["optimize", str(run), *options]) == 1
    assert message in caplog.text


def test_tags_that_say_too_little_are_refused(run, gold, caplog) -> None:
    out, options = gold
    tag(run, out, "--min-probability", "0.5")
    assert main(["optimize", str(run / "bundle-one"), *options]) == 1
    assert "tags under 0.5 are left out; use --min-probability 0" in caplog.text


def test_a_bundle_that_nobody_judged_has_nothing_to_choose(gold, tmp_path, caplog) -> None:
    out, options = gold
    publish_bundle(tmp_path / "bundle-one", save_encoder(tmp_path), slope=None)
    tag(tmp_path, out)
    for more in ([], options):
        caplog.clear()
        assert main(["optimize", str(tmp_path / "bundle-one"), *more]) == 1
        assert "tags have no probabilities: nobody judged" in caplog.text


def test_a_place_without_bundle_or_verdicts_is_told(tmp_path, caplog) -> None:
    assert main(["optimize", str(tmp_path)]) == 1
    assert "neither a bundle nor a run with one" in caplog.text
    bundle = publish_bundle(tmp_path / "b", save_encoder(tmp_path))
    assert main(["optimize", bundle]) == 1
    assert "holds no verdicts to choose by" in caplog.text


@pytest.mark.parametrize("value", ["90", "x"])
def test_a_precision_outside_0_to_1_is_refused(value, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["optimize", "b", "--precision", value])
    assert f"--precision: needs a number from 0 to 1, got '{value}'" in capsys.readouterr().err
