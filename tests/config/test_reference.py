"""The page, the schema and the defaults are what the models say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lmtx_ray.cli.main import main
from lmtx_ray.config.loading import load_config
from lmtx_ray.loop import reference
from lmtx_ray.loop.run_config import RunConfig

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [ROOT / "examples/biomedical/demo.yaml", *(ROOT / "jobs/configs").glob("*.yaml")]


def test_every_setting_says_what_it_means() -> None:
    assert [one.name for one in reference.settings() if len(one.meaning) < 10] == []


def test_the_defaults_are_a_config_once_the_rest_is_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["config", "--defaults"]) == 0
    values = yaml.safe_load(capsys.readouterr().out)
    values["run"] = "r"
    values["corpus"] |= {"documents": "d.csv", "labels": "l.csv"}
    given = {"run": "r", "corpus": {"documents": "d.csv", "labels": "l.csv"}}
    plain = load_config(RunConfig, given)
    assert load_config(RunConfig, values).model_dump() == plain.model_dump()


def test_the_schema_knows_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    for setting in reference.settings():
        assert described(schema, setting.name.split(".")), setting.name


def described(schema: dict, path: list[str]) -> str:
    """The description of a dotted field in a schema."""
    node: dict = schema
    for name in path:
        reference_ = node.get("$ref") or next(iter(node.get("allOf", [{}])), {}).get("$ref")
        if reference_:
            node = schema["$defs"][reference_.rsplit("/", 1)[1]]
        node = node["properties"][name]
    return str(node.get("description", ""))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_schema_accepts_the_configs_there_are(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(yaml.safe_load(path.read_text()), reference.schema())


@pytest.mark.parametrize(
    ("section", "value", "read"),
    [
        ({"documents": "a.csv"}, "documents", ("a.csv",)),
        ({"documents": ["a.csv", "b.csv"]}, "documents", ("a.csv", "b.csv")),
    ],
)
def test_one_file_is_a_list_of_one(section: dict, value: str, read: tuple) -> None:
    config = load_config(RunConfig, {"run": "r", "corpus": {"labels": "l.csv", **section}})
    assert getattr(config.corpus, value) == read


@pytest.mark.parametrize("override", ["evaluation.exclude_keys=K1", "evaluation.precision_at=3"])
def test_so_is_any_other_single_value(override: str) -> None:
    given = {"run": "r", "corpus": {"documents": "d.csv", "labels": "l.csv"}}
    config = load_config(RunConfig, given, [override])
    name = override.split("=")[0].split(".")[1]
    assert getattr(config.evaluation, name) in (("K1",), (3,))


@pytest.mark.parametrize(("documents", "aside"), [(10_000, 250), (300, 60), (5, 1), (1, 0)])
def test_the_smaller_of_250_and_a_fifth_is_held_aside(documents: int, aside: int) -> None:
    given = {"run": "r", "corpus": {"documents": "d.csv", "labels": "l.csv"}}
    assert load_config(RunConfig, given).corpus.aside_of(documents) == aside
    assert load_config(RunConfig, given, ["corpus.held_aside=7"]).corpus.aside_of(documents) == 7
