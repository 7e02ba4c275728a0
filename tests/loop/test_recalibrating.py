"""A bundle made truer by reviews, without its run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lmtx_ray.bundle.cache import published_bundle
from lmtx_ray.bundle.defaults import publish_with, read_defaults
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.cli.main import main
from lmtx_ray.config.defaults import Defaults
from lmtx_ray.evaluation.pair_features import FUSED
from lmtx_ray.io import storage
from lmtx_ray.io.latest import resolve
from lmtx_ray.loop.calibrating import Held, calibrate, judged_tags
from lmtx_ray.verdicts.store import VerdictStore, add_human
from tests.tiny import save_encoder
from tests.tiny_bundle import publish_bundle

DOCUMENTS, EACH = 60, 4


def keys(kind: str) -> list[bytes]:
    return [f"{kind}{n:015d}".encode() for n in range(DOCUMENTS * EACH)]


def held() -> Held:
    """The judge says yes to nearly everything."""
    generator = np.random.default_rng(0)
    size = DOCUMENTS * EACH
    documents = np.array([keys("d")[n // EACH] for n in range(size)], object)
    features = generator.normal(size=(size, len(FUSED)))
    judged = generator.uniform(0.85, 0.95, size)
    nobody = np.full(size, np.nan)
    places = np.tile(np.arange(EACH), DOCUMENTS)
    labels = np.array(keys("l"), object)
    every = np.ones(size, bool)
    return Held(documents, labels, places, features, judged, np.ones(size), nobody, every)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    table = judged_tags(held(), calibrate(held(), FUSED))
    publish_bundle(folder / "bundle-one", save_encoder(folder), judged=table)
    return folder


def review(store: str, count: int) -> None:
    """People find that a quarter is right."""
    rows = {
        "document": pa.array([keys("d")[n // EACH] for n in range(count)], pa.binary(16)),
        "label": pa.array(keys("l")[:count], pa.binary(16)),
        "answer": ["no" if n % 4 else "yes" for n in range(count)],
    }
    add_human(VerdictStore(store), pa.table(rows))


def test_reviews_make_another_bundle_that_states_less(run, tmp_path, capsys) -> None:
    store = str(tmp_path / "store")
    review(store, 120)
    assert main(["recalibrate", str(run), "--verdicts", store]) == 0
    assert resolve(str(run)) != f"{run}/bundle-one"  # what a run's name means from now on
    out, err = capsys.readouterr()
    result = json.loads(out.splitlines()[-1])
    assert "120 reviewed pairs: first tags were stated to be right in 89.7%" in err
    assert result["before"] == pytest.approx(0.9, abs=0.03)
    assert result["now"] == pytest.approx(0.25, abs=0.12)
    assert Tagger.load(result["bundle"]).check() == ""  # canaries of its own
    old, new = (published_bundle(one) for one in (f"{run}/bundle-one", result["bundle"]))
    changed = {name for name in old.files if old.files[name].sha256 != new.files[name].sha256}
    assert changed == {"bundle.json", "judged.parquet", "canaries.json"}
    assert main(["recalibrate", f"{run}/bundle-one", "--verdicts", store]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["bundle"] == result["bundle"]
    assert main(["optimize", result["bundle"]]) == 0
    chosen = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert chosen["reviewed"] == 120
    assert max(cell["precision"] for cell in chosen["cells"] if cell["tags"] > 100) < 0.5


def test_other_probabilities_leave_the_old_threshold_behind(run, tmp_path, capsys) -> None:
    store = str(tmp_path / "store")
    review(store, 40)
    bundle = publish_with(f"{run}/bundle-one", Defaults(2, 0.9), {}, str(tmp_path / "b"))
    assert main(["recalibrate", bundle, "--verdicts", store, "--output", f"{tmp_path}/c"]) == 0
    assert read_defaults(f"{tmp_path}/c") == Defaults()
    said = capsys.readouterr().err
    assert "the stored choice (--min-probability 0.9 --top-k 2) was left behind" in said
    assert "lmtx optimize" in said
    assert main(["recalibrate", f"{run}/bundle-one", "--verdicts", store]) == 0
    assert "left behind" not in capsys.readouterr().err
    stored = publish_with(f"{tmp_path}/c", Defaults(2, 0.5), {})
    other = publish_with(f"{run}/bundle-one", Defaults(2, 0.5), {})
    ids = [storage.read_json(published_bundle(u).location("bundle.json")) for u in (stored, other)]
    assert ids[0]["bundle_id"] != ids[1]["bundle_id"]


def test_a_threshold_is_chosen_on_the_newest_probabilities_of_a_run(run, tmp_path, capsys) -> None:
    store = str(tmp_path / "store")
    review(store, 120)
    assert main(["recalibrate", str(run), "--verdicts", store]) == 0
    newest = json.loads(capsys.readouterr().out.splitlines()[-1])["bundle"]
    for named in (run, run / "latest"):
        assert main(["optimize", str(named), "--precision", "0.2", "--store"]) == 0
        chosen = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert chosen["reviewed"] == 120
        assert resolve(str(run)) == chosen["stored"]
        described = storage.read_json(published_bundle(chosen["stored"]).location("bundle.json"))
        assert described["base"] == Path(newest).name.removeprefix("bundle-")
        assert main(["recalibrate", str(named), "--verdicts", store]) == 0  # nothing new was said
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["bundle"] == newest


def test_a_run_that_keeps_its_verdicts_elsewhere_is_recalibrated_by_those(run, capsys) -> None:
    store = f"{run.parent}/shared"
    review(store, 120)
    config = {"config": {"judge": {"store": store}}}
    storage.write_bytes(f"{run}/started/one.json", json.dumps(config).encode())
    assert main(["recalibrate", str(run)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["reviewed"] == 120


def test_a_store_without_answers_is_told(run, tmp_path, caplog) -> None:
    assert main(["recalibrate", str(run), "--verdicts", str(tmp_path / "none")]) == 1
    assert "no answer of a person on the 240 held-aside pairs of" in caplog.text


def test_a_bundle_that_nobody_judged_is_not_sent_to_a_run_that_is_over(tmp_path, caplog) -> None:
    publish_bundle(tmp_path / "bundle-one", save_encoder(tmp_path), slope=None)
    store = str(tmp_path / "store")
    assert main(["recalibrate", str(tmp_path / "bundle-one"), "--verdicts", store]) == 1
    assert "nobody judged it" in caplog.text
    assert "run its config again" not in caplog.text
