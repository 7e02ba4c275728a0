"""`import lmtx_ray` as a program uses it: light, typed, and every example of the docs works."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

import lmtx_ray
from lmtx_ray.corpus import schemas
from lmtx_ray.io import storage
from tests.small_run import write_inputs
from tests.test_import_boundaries import HEAVY, loaded_by
from tests.tiny import TOPICS
from tests.tiny_bundle import labels_table, publish_bundle

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "library.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
WHOLE = next(n for n, block in enumerate(BLOCKS) if "import run\n" in block)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the examples name."""
    folder = tmp_path_factory.mktemp("library")
    config = yaml.safe_load(write_inputs(folder, documents=32).read_text())
    config |= {"run": "runs/unset", "unit_documents": 64}
    config["fit"]["passes"] = 1
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    publish_bundle(folder / "bundle", str(folder / "encoder"))
    rows = [{"id": f"a{n}", "text": f"{TOPICS[n]} disease"} for n in range(3)]
    lines = [*(json.dumps(row) for row in rows), "not JSON"]
    (folder / "abstracts.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def tagger(place: Path) -> lmtx_ray.Tagger:
    return lmtx_ray.Tagger.load(str(place / "bundle"))


@pytest.fixture(scope="module")
def names(place: Path) -> dict[str, object]:
    """What the examples left, but those that need a whole run."""
    names: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for block in BLOCKS[:WHOLE]:
            exec(compile(block, str(GUIDE), "exec"), names)
    return names


def test_the_examples_of_the_guide_work(names: dict[str, object]) -> None:
    assert len(BLOCKS) == 8
    assert names["counts"]["rejects"] == 1
    assert names["metrics"]["documents"] == 2
    assert len(names["metrics"]["thresholds"]) == 9


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_the_example_of_a_run_works(place: Path, names, monkeypatch) -> None:
    monkeypatch.chdir(place)
    for block in BLOCKS[WHOLE:]:
        exec(compile(block, str(GUIDE), "exec"), names)
    assert names["summary"]["run"] == str(place / "runs/first")
    assert lmtx_ray.run(names["config"]) == names["summary"]  # complete: nothing to do


def test_the_import_alone_loads_nothing_heavy() -> None:
    loaded = loaded_by("import lmtx_ray; dir(lmtx_ray)")
    assert not loaded & {*HEAVY, "pyarrow", "numpy", "scipy", "pydantic", "yaml", "httpx", "pandas"}


def test_every_name_is_there_and_told() -> None:
    for name in lmtx_ray.__all__:
        value = getattr(lmtx_ray, name)
        assert value.__doc__
        assert value.__name__ == name
        assert value.__module__ == f"lmtx_ray.{lmtx_ray._HOMES[name]}"
    assert set(lmtx_ray.__all__) <= set(dir(lmtx_ray))
    assert set(lmtx_ray.__all__) == set(lmtx_ray._HOMES)
    with pytest.raises(AttributeError, match="has no attribute 'taggers'"):
        _ = lmtx_ray.taggers


def test_type_checkers_see_the_names_where_they_are() -> None:
    source = Path(lmtx_ray.__file__).read_text(encoding="utf-8")
    told = re.findall(r"^    from lmtx_ray\.(\S+) import (.+)$", source, re.MULTILINE)
    assert {name: home for home, names in told for name in names.split(", ")} == lmtx_ray._HOMES


def test_texts_alone_are_tagged_and_numbered(tagger: lmtx_ray.Tagger) -> None:
    tags = tagger.tag(["heart disease", "lung pain", " "])
    assert tags.schema.equals(schemas.TAGS, check_metadata=True)
    assert tags["doc_id"].to_pylist() == ["0", "1", "2"]
    assert [len(keys) for keys in tags["label_keys"].to_pylist()] == [5, 5, 0]
    assert tagger.tag(["heart disease"], 2, ids=[7])["doc_id"].to_pylist() == ["7"]
    assert tagger.tag([]).num_rows == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"texts": "heart"}, TypeError, "a list of texts, not one text"),
        ({"texts": ["a", None]}, TypeError, "text 1 is NoneType"),
        ({"texts": ["a\ud800"]}, ValueError, "text 0 is not text at character 2"),
        ({"texts": ["a"], "titles": [float("nan")]}, TypeError, "title 0 is float, not a text"),
        ({"texts": ["a"], "allow": [7]}, TypeError, "allow: 7 is no label key"),
        ({"texts": ["a"], "deny": ["L1", None]}, TypeError, "deny: None is no label key"),
        ({"texts": ["a"], "under": "L\udcff"}, ValueError, "under: .* it is not UTF-8"),
        ({"texts": ["a"], "top_k": 2.5}, ValueError, "top_k is 2.5, a whole number is needed"),
        ({"texts": ["a"], "ids": ["1", "2"]}, ValueError, "1 texts, but 2 ids"),
        ({"texts": ["a"], "titles": []}, ValueError, "1 texts, but 0 titles"),
        ({"texts": ["a"], "top_k": 0}, ValueError, "top_k is 0"),
    ],
)
def test_a_wrong_call_is_told(tagger, arguments: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        tagger.tag(**arguments)


def test_more_tags_than_labels_take_no_memory_for_what_is_not_there(tagger) -> None:
    (all_keys,) = tagger.tag(["heart disease"], 10**13)["label_keys"].to_pylist()
    assert all_keys == tagger.tag(["heart disease"], 16)["label_keys"].to_pylist()[0]


def test_tags_meet_gold_by_keys_or_through_the_labels(tagger: lmtx_ray.Tagger, tmp_path) -> None:
    tags = tagger.tag(["heart disease", "lung pain"], 1)
    best = tags["label_keys"].to_pylist()
    right = lmtx_ray.evaluate(tags, {"doc_id": ["0", "1"], "label_keys": best})
    assert (right["P@1"], right["documents"]) == (1.0, 2)
    assert lmtx_ray.evaluate(tags, {"doc_id": ["0"], "label_keys": [["x"]]})["P@1"] == 0
    ids = [[int(key.removeprefix("L")) for key in keys] for keys in best]
    gold = schemas.conform(pa.table({"doc_id": ["0", "1"], "label_ids": ids}), schemas.GOLD)
    storage.write_table(str(tmp_path / "gold.parquet"), gold)
    by_ids = lmtx_ray.evaluate(tags, str(tmp_path / "gold.parquet"), labels_table())
    assert by_ids == right
    with pytest.raises(ValueError, match="answers have label_keys, gold have label_ids: give"):
        lmtx_ray.evaluate(tags, gold)
    with pytest.raises(ValueError, match="gold: doc_id and label_keys or label_ids are needed"):
        lmtx_ray.evaluate(tags, {"doc_id": ["0"], "keys": [["x"]]})


def test_a_label_counts_once_however_often_it_is_named() -> None:
    """L1 is there by its key, by its text and by its key again; gold may repeat itself too."""
    labels = {"label_id": [0, 1, 2], "label_key": ["L0", "L1", "L2"], "text": ["a", "b", "c"]}
    tags = {"label_keys": [["L1", "b", "L0", "L1"]], "probabilities": [[0.9, 0.8, 0.7, 0.6]]}
    gold = {"doc_id": ["d"], "label_keys": [["L1", "L2", "b"]]}
    found = lmtx_ray.evaluate({"doc_id": ["d"], **tags}, gold, labels)
    assert (found["P@1"], found["P@3"], found["R@10"]) == (1, pytest.approx(1 / 3, abs=1e-6), 0.5)
    assert (found["gold"]["labels"], found["most_tags"]) == (2, 2)
    at = {entry["threshold"]: entry for entry in found["thresholds"]}
    assert (at[0.5]["precision"], at[0.5]["recall"], at[0.8]["precision"]) == (0.5, 0.5, 1)
    with pytest.raises(ValueError, match="answers: label_keys needs lists, not text"):
        lmtx_ray.evaluate({"doc_id": ["d"], "label_keys": ["L1|L0"]}, gold)  # as in a CSV
    with pytest.raises(ValueError, match="answers: document 'd' is there twice"):
        lmtx_ray.evaluate({"doc_id": ["d", "d"], "label_keys": [["L0"], ["L1"]]}, gold)


@pytest.mark.parametrize("by", ["label_keys", "label_ids"])
def test_gold_in_memory_is_read_as_that_of_a_file(by: str, tmp_path: Path) -> None:
    labels = {"label_id": [0, 1], "label_key": ["L0", "L1"], "text": ["a", "b"]}
    lists = [["L0"], ["L1", "L9"], None] if by == "label_keys" else [[0], [1, 9], None]
    gold = pa.table({"doc_id": ["d", "d", "e"], by: lists})
    storage.write_table(str(tmp_path / "gold.parquet"), gold)
    tags = {"doc_id": ["d"], "label_keys": [["L0", "L1"]]}
    found, by_file = (
        lmtx_ray.evaluate(tags, one, labels) for one in (gold, str(tmp_path / "gold.parquet"))
    )
    assert (found["R@10"], found["gold"]["labels"], found["gold"]["rejected"]) == (1, 2, 1)
    for told in (found, by_file):
        told["gold"].pop("rejects")  # of which one names the file
    assert found == by_file


def test_indices_of_gold_mean_nothing_to_keys_without_the_labels(tmp_path: Path) -> None:
    """Tags name labels in the order in which they find them, which is not that of the set."""
    tags = {"doc_id": ["d"], "label_keys": [["L1", "L0"]]}
    labels = {"label_id": [0, 1], "label_key": ["L0", "L1"], "text": ["a", "b"]}
    (tmp_path / "gold.jsonl").write_text('{"doc_id": "d", "label_ids": [0]}\n')
    gold = str(tmp_path / "gold.jsonl")
    assert lmtx_ray.evaluate(tags, gold, labels)["P@1"] == 0
    with pytest.raises(ValueError, match="answers have label_keys, gold have label_ids: give"):
        lmtx_ray.evaluate(tags, gold)


@pytest.mark.parametrize("by", ["label_keys", "label_ids"])
def test_rare_labels_weigh_more_where_counts_are_given(by: str) -> None:
    rankings, truth = [[0, 2, 1], [1, 2, 0], [7, 3, 6]], [[0, 1], [2], [3, 4, 5, 6]]
    numbers = dict(enumerate((1, 10, 100, 3, 50, 2, 7, 400)))

    def column(lists: list[list[int]]) -> list[list[int]] | list[list[str]]:
        return lists if by == "label_ids" else [[f"L{n}" for n in labels] for labels in lists]

    answers, gold = ({"doc_id": ["a", "b", "c"], by: column(part)} for part in (rankings, truth))
    counts = numbers if by == "label_ids" else {f"L{n}": count for n, count in numbers.items()}
    found = lmtx_ray.evaluate(answers, gold, ks={"P": (1, 2, 3)}, counts=counts, counted=1000)
    values = [found[f"PSP@{k}"] for k in (1, 2, 3)]
    assert values == pytest.approx([0.473528, 0.595923, 0.784552], abs=1e-6)
    low, high = found["PSP@3_ci"]
    assert low <= found["PSP@3"] <= high
    with pytest.raises(ValueError, match="counts need `counted`"):
        lmtx_ray.evaluate(answers, gold, counts=counts)


def test_settings_come_from_a_file_a_dict_or_settings(place: Path) -> None:
    path = place / "config.yaml"
    values = yaml.safe_load(path.read_text())
    from_file = lmtx_ray.load_config(path, ["cycles.most=2"])
    assert lmtx_ray.load_config(values, ["cycles.most=2"]) == from_file
    assert lmtx_ray.load_config(from_file) == from_file
    assert lmtx_ray.load_config(from_file, ["cycles.most=1"]).cycles.most == 1
    assert values == yaml.safe_load(path.read_text())
    with pytest.raises(ValueError, match=r"settings: cycles\.mots: unknown key; did you mean most"):
        lmtx_ray.load_config({**values, "cycles": {"mots": 1}})
    with pytest.raises(ValueError, match=r"absent\.yaml"):
        lmtx_ray.plan("absent.yaml")
    with pytest.raises(ValueError, match="no step 'tran'"):
        lmtx_ray.run(path, until="tran")
