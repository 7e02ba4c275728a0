"""Which settings make a step another one: every field of a run's config is decided here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml

from lmtx_ray.config.loading import Config, load_config
from lmtx_ray.loop import layout
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.teacher import identity
from tests.small_run import write, write_inputs

# What only changes how something is computed or laid out, or who may do it: no step is another.
SAME = {
    "unit_documents": 7,
    "unit_labels": 5,
    "encoder.threads": 2,
    "encoder.token_budget": 512,
    "index.shards": 3,
    "judge.store": "/elsewhere",
    "judge.check": False,
    "judge.deterministic": True,
    "judge.price.prompt": 1.0,
    "judge.price.answer": 2.0,
    "judge.budget.requests": 10,
    "judge.budget.tokens": 10,
    "judge.teacher.engine": "packed",
    "judge.teacher.threads": 2,
    "judge.teacher.kv_cache_gib": 2,
    "judge.teacher.gpu_memory_share": 0.5,
    "judge.teacher.tensor_parallel_size": 2,
    "judge.teacher.max_num_batched_tokens": 512,
    "judge.teacher.url": "http://127.0.0.1:1",
    "judge.teacher.api_key_env": "KEY",
    "judge.teacher.concurrency": 3,
    "judge.teacher.top_logprobs": 5,
    "judge.teacher.tries": 2,
    "judge.teacher.timeout_seconds": 5.0,
    "judge.teacher.members": [{"kind": "lexical"}],  # of an ensemble only
    "fit.threads": 2,
    "fit.token_budget": 512,
    "fit.checkpoint_every": 7,
    "resources.fit.cpus": 2,
    "resources.fit.gpus": 0,
    **{
        f"resources.{stage}.{name}": value
        for stage in ("embed", "shortlist", "judge")
        for name, value in (("actors", 2), ("cpus", 2), ("gpus", 1))
    },
}
# What changes a result, and the first step in running order whose result it is.
FIRST_CHANGED = {
    "corpus.documents": "documents",
    "corpus.limit": "documents",
    "corpus.held_aside": "documents",
    "corpus.seed": "documents",
    "corpus.format": "documents",
    "corpus.encoding": "documents",
    "corpus.labels": "labels",
    "corpus.bad_labels": "labels",
    **{
        f"corpus.columns.{name}": "documents"
        for name in ("doc_id", "title", "text", "label_key", "label_text")
    },
    "corpus.columns.gold": "test documents",
    "corpus.columns.gold_id": "test documents",
    "corpus.gold": "test documents",
    "corpus.gold_by": "test documents",
    "corpus.gold_separator": "test documents",
    "corpus.test": "test documents",
    "encoder.model": "label vectors 0",
    "encoder.max_tokens": "label vectors 0",
    "encoder.label_tokens": "label vectors 0",
    "encoder.dtype": "label vectors 0",
    "shortlist.depth": "test lexical",
    "shortlist.dense_weight": "hybrid 0",
    "shortlist.lexical_weight": "hybrid 0",
    "shortlist.fusion_constant": "hybrid 0",
    "shortlist.memory_documents": "memory 1",
    **{
        f"judge.teacher.{name}": "verdicts 1"
        for name in (
            "kind",
            "model",
            "revision",
            "prompt",
            "chat",
            "answer_prefix",
            "thinking_tokens",
            "max_document_tokens",
            "max_label_tokens",
            "least_mass",
            "dtype",
        )
    },
    "judge.calibration": "verdicts 1",
    "judge.temperature": "verdicts 1",
    "judge.top_k": "verdicts 1",
    "judge.select_k": "verdicts 1",
    "judge.rerank_k": "test verdicts",
    "judge.icxml_k": "evaluation",
    **{
        f"pseudo_labels.{name}": "examples 1"
        for name in (
            "accept",
            "max_positives",
            "negatives",
            "negative_below",
            "soft",
            "accept_deviations",
            "own_labels",
            "own_ranking",
        )
    },
    "source": "verdicts 1",
    "fit.seed": "examples 1",
    "fit.recipe": "examples 1",
    **{
        f"fit.{name}": "encoder 1"
        for name in (
            "init",
            "passes",
            "steps",
            "final_rate",
            "clip",
            "one_positive",
            "judged_negatives",
            "unjudged_negatives",
            "weight_gradient",
            "inactive_weight",
            "mean_over_all",
            "drop_last",
            "label_draws",
            "keep_title",
            "clusters",
            "segment_words",
            "batch_size",
            "shuffle_rows",
            "learning_rate",
            "warmup",
            "weight_decay",
            "temperature",
            "margin",
            "negatives",
            "mask_share",
            "max_tokens",
            "label_tokens",
            "workers",
            "dtype",
            "dropout",
        )
    },
    "judge.frequent_share": "evaluation",
    "cycles.most": "bundle",
    "cycles.patience": "bundle",
    "ship": "bundle",
    **{
        f"evaluation.{name}": "evaluation"
        for name in (
            "precision_at",
            "recall_at",
            "ndcg_at",
            "exclude_keys",
            "counts",
            "propensity",
            "seed",
        )
    },
}
OTHERS = {
    "corpus.format": "jsonl",
    "corpus.encoding": "cp1252",
    "corpus.limit": 50,
    "corpus.bad_labels": "leave_out",
    "corpus.held_aside": 10,
    "corpus.seed": 1,
    "corpus.gold_by": "name",
    "encoder.dtype": "bfloat16",
    "judge.teacher.kind": "http",
    "judge.teacher.chat": "never",
    "judge.calibration": "prior",
    "judge.teacher.dtype": "float32",
    "judge.teacher.prompt": "wiki_tag",
    "pseudo_labels.soft": False,
    "pseudo_labels.accept_deviations": 1.0,
    "pseudo_labels.own_ranking": "hybrid",
    "source": "segment",
    "fit.steps": 3,
    "fit.final_rate": 0.1,
    "fit.judged_negatives": False,
    "fit.clusters": [3],
    "fit.segment_words": [3, 5],
    "fit.recipe": "paper",
    "fit.init": "pretrained",
    "fit.dtype": "bfloat16",
    "fit.dropout": 0.2,
    "cycles.most": 2,
    "ship": "dense",
    "evaluation.precision_at": [1],
    "evaluation.recall_at": [5],
    "evaluation.ndcg_at": [3],
    "evaluation.exclude_keys": ["L1"],
    "evaluation.propensity": [0.5, 0.4],
    "judge.teacher.model": "another",
}


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
    if field == "evaluation.counts":
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
    for module in (layout, identity):
        monkeypatch.setattr(module, "WORDS_VERSION", layout.WORDS_VERSION + 1)
    after = steps(config), steps(config, rule)
    changed = [name for name in before[0] if before[0][name] != after[0][name]]
    assert changed[0] == "lexical index"
    assert {"test lexical", "lexical", "hybrid 0", "bundle"} <= set(changed)
    assert before[1]["verdicts 1"] != after[1]["verdicts 1"]
