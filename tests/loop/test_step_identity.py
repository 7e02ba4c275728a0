"""Which settings make a step another one: every field of a run's config is decided here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml

from lmtx_ray.config.loading import Config, load_config
from lmtx_ray.corpus import stems
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.teacher import identity
from tests.loop.what_changes import FIRST_CHANGED, OTHERS, SAME
from tests.small_run import write, write_inputs


def leaves(kind: type[Config], prefix: str = "") -> Iterator[str]:
    """Dotted names of all fields that hold no section."""
    for name, field in kind.model_fields.items():
        options = [field.annotation, *get_args(field.annotation)]
        is_list = get_origin(field.annotation) is tuple
        sections = [] if is_list else options
        section = next((o for o in sections if isinstance(o, type) and issubclass(o, Config)), None)
        if section:
            yield from leaves(section, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    path = write_inputs(folder)
    values = yaml.safe_load(path.read_text())
    # of kind vllm all of a teacher's settings count
    values["judge"]["teacher"] = {"kind": "vllm", "model": "some/model", "prompt": "tag"}
    values["run"] = str(folder / "run")
    path.write_text(yaml.safe_dump(values))
    for name in ("documents", "labels", "test"):
        text = (folder / f"{name}.jsonl").read_text()
        (folder / f"other-{name}.jsonl").write_text(text.replace("heart", "kidney"))
    return path


def steps(config: Path, *overrides: str) -> dict[str, str]:
    steps = lay_out(load_config(RunConfig, str(config), overrides)).steps()
    return {name: step.fingerprint for name, step in steps}


def other_value(config: Path, field: str, default: Any) -> Any:
    if field in SAME:
        return SAME[field]
    if field in OTHERS:
        return OTHERS[field]
    if field == "corpus.gold":
        return str(config.parent / "test.jsonl")
    if field in ("evaluation.counts", "corpus.self_matches"):
        return str(config.parent / "test.jsonl")
    if field in ("corpus.labels", "corpus.test"):
        return str(config.parent / f"other-{field.split('.')[1]}.jsonl")
    if field == "corpus.documents":
        return [str(config.parent / "other-documents.jsonl")]
    if field == "encoder.model":
        return str(config.parent / "bert")
    return (
        default / 2
        if isinstance(default, float)
        else (default or 0) + 1
        if isinstance(default, int)
        else "other"
    )


def test_every_setting_is_decided() -> None:
    assert set(leaves(RunConfig)) == {"run"} | SAME.keys() | FIRST_CHANGED.keys()


@pytest.mark.parametrize("field", sorted(SAME))
def test_what_changes_no_result_leaves_every_step_as_it_is(config: Path, field: str) -> None:
    assert steps(config, f"{field}={yaml.safe_dump(SAME[field]).strip()}") == steps(config)


@pytest.mark.parametrize("field", sorted(FIRST_CHANGED))
def test_what_changes_a_result_begins_anew_at_its_step_and_not_before(
    config: Path, field: str
) -> None:
    before = steps(config)
    value: Any = load_config(RunConfig, str(config))
    for name in field.split("."):
        value = getattr(value, name)
    text = yaml.safe_dump(other_value(config, field, value), default_flow_style=True)
    after = steps(config, f"{field}={text.splitlines()[0]}")
    changed = [name for name in before if after.get(name) != before[name]]
    assert changed[0] == FIRST_CHANGED[field]
    only_evaluated = ("evaluation", "corpus.test", "corpus.gold", "corpus.columns.gold")
    only_evaluated += ("corpus.self_matches",)
    asked_for_it = ("judge.rerank", "judge.icxml", "judge.freq")
    assert "bundle" in changed or field.startswith((*only_evaluated, *asked_for_it))


@pytest.mark.parametrize(
    "evaluated",
    [
        ["evaluation.recall_at=[3]", "judge.rerank_k=2"],
        ["corpus.columns.gold=tags", "corpus.gold_separator=;"],
        ["corpus.gold=GOLD"],
        ["corpus.gold=GOLD", "corpus.test=null"],
    ],
)
def test_what_evaluation_reads_trains_nothing_again(config: Path, evaluated: list[str]) -> None:
    without = steps(config, "corpus.test=null")
    gold = str(config.parent / "other-test.jsonl")
    with_test = steps(config, *(one.replace("GOLD", gold) for one in evaluated))
    trained = [name for name in without if name != "evaluation"]
    assert {name: with_test[name] for name in trained} == {name: without[name] for name in trained}
    assert with_test["evaluation"] != without["evaluation"]
    assert "test gold" in with_test


def test_weights_changed_behind_one_name_are_noticed(config: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    write(model / "config.json", [{"layers": 1}])
    before = steps(config, f"judge.teacher.model={model}")
    write(model / "config.json", [{"layers": 2}])
    after = steps(config, f"judge.teacher.model={model}")
    assert before["verdicts 1"] != after["verdicts 1"]
    assert before["hybrid 0"] == after["hybrid 0"]


def test_words_found_by_other_rules_are_indexed_and_judged_anew(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = "judge.teacher={kind: lexical, prompt: tag}"
    before = steps(config), steps(config, rule)
    for module in (stems, identity):
        monkeypatch.setattr(module, "WORDS_VERSION", stems.WORDS_VERSION + 1)
    after = steps(config), steps(config, rule)
    changed = [name for name in before[0] if before[0][name] != after[0][name]]
    assert changed[0] == "lexical index"
    assert {"test lexical", "lexical", "hybrid 0", "bundle"} <= set(changed)
    assert before[1]["verdicts 1"] != after[1]["verdicts 1"]


@pytest.mark.parametrize("field", ["documents", "labels", "test"])
def test_files_of_a_manifest_in_another_order_are_another_input(
    config: Path, tmp_path: Path, field: str
) -> None:
    """Of two rows of one id the first stays, and gold may name labels by their places."""
    manifest = tmp_path / "all.manifest"
    names = [str(config.parent / f"{start}{field}.jsonl") for start in ("", "other-")]
    manifest.write_text("\n".join(names))
    before = steps(config, f"corpus.{field}={manifest}")
    manifest.write_text("\n".join(reversed(names)))
    after = steps(config, f"corpus.{field}={manifest}")
    changed = [name for name in before if after[name] != before[name]]
    assert changed[0] == FIRST_CHANGED[f"corpus.{field}"]
