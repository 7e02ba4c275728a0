"""Refused in milliseconds, by the name of the setting: what a run would have failed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lmtx_ray.cli.main import main
from lmtx_ray.config.models import kind_of_judge
from lmtx_ray.loop import preflight, running
from lmtx_ray.loop.judge_choice import choose
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.teacher import engines
from tests.own_files import write_documents, write_tags

WEIGHTS = b"x" * 2048


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A config that is right, without a judge."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    write_documents(tmp_path / "docs.csv")
    write_tags(tmp_path / "tags.csv")
    model(tmp_path / "encoder")
    return {
        "run": str(tmp_path / "run"),
        "corpus": {
            "documents": str(tmp_path / "docs.csv"),
            "labels": str(tmp_path / "tags.csv"),
            "columns": {
                "doc_id": "Nr.",
                "text": "Beschreibung",
                "label_key": "Tag-ID",
                "label_text": "Bezeichnung",
            },
        },
        "encoder": {"model": str(tmp_path / "encoder")},
    }


def model(folder: Path, **files: bytes) -> Path:
    """A folder with the files that a model needs; a file of no bytes is left out."""
    wanted = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": WEIGHTS}
    folder.mkdir()
    for name, data in {**wanted, **{n.replace("__", "."): d for n, d in files.items()}}.items():
        if data:
            (folder / name).write_bytes(data)
    return folder


def refusal(settings: dict[str, Any], *overrides: str) -> str:
    """What both `lmtx plan` and `lmtx run` say; nothing is written."""
    said = []
    for call in (running.plan, running.run):
        with pytest.raises((ValueError, OSError)) as raised:
            call(settings, list(overrides))
        said.append(str(raised.value))
    assert said[0] == said[1]
    assert not Path(settings["run"]).is_dir()
    return said[0]


BERT = json.dumps({"model_type": "bert", "max_position_embeddings": 512}).encode()
ROBERTA = {"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}


@pytest.mark.parametrize("config", [BERT, json.dumps(ROBERTA).encode()], ids=["bert", "roberta"])
def test_a_text_longer_than_the_encoder_has_places_for_is_refused(
    settings: dict[str, Any], tmp_path: Path, config: bytes
) -> None:
    encoder = f"encoder.model={model(tmp_path / 'short', config__json=config)}"
    asked = "judge={teacher: {kind: lexical, prompt: tag}}"
    for field in ("encoder.max_tokens", "encoder.label_tokens", "fit.max_tokens"):
        said = refusal(settings, encoder, asked, f"{field}=513")
        assert f"{field}: 513 tokens of a text" in said
        assert "512" in said
    running.plan(settings, [encoder, asked, "encoder.max_tokens=512", "fit.max_tokens=512"])
    running.plan(settings, [encoder, "fit.max_tokens=513"])  # nobody is asked, nothing is trained


def test_a_model_without_a_table_of_places_reads_any_length(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    rotary = json.dumps({"model_type": "modernbert", "max_position_embeddings": 512}).encode()
    encoder = f"encoder.model={model(tmp_path / 'rotary', config__json=rotary)}"
    running.plan(settings, [encoder, "encoder.max_tokens=1024"])


def test_what_is_right_is_planned(settings: dict[str, Any]) -> None:
    assert running.plan(settings)["documents"] == {"train": 32, "held_aside": 8}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["corpus.documents=absent.csv"], "corpus.documents: no such file or folder"),
        (["corpus.labels=absent.csv"], "corpus.labels: no such file or folder"),
        (["corpus.test=absent.csv"], "corpus.test: no such file or folder"),
        (["evaluation.counts=absent.csv"], "evaluation.counts: no such file or folder"),
        (["corpus.columns.label_key=null"], "set corpus.columns.label_key; the file has Tag-ID"),
        (["corpus.columns.label_text=null"], "set corpus.columns.label_text; the file has Tag-ID"),
        (["corpus.columns.doc_id=null"], "set corpus.columns.doc_id; the file has Nr."),
        (["corpus.columns.text=null"], "set corpus.columns.text; the file has Nr."),
        (["corpus.columns.text=beschreibung"], "did you mean Beschreibung"),
        (["judge={teacher: {kind: http, model: m}}"], "judge.teacher.url"),
        (["judge={teacher: {kind: http, url: 'http://h'}}"], "judge.teacher.model"),
        (["judge={teacher: {kind: vllm}}"], "judge.teacher.model: kind vllm needs a model"),
        (["judge={teacher: {model: /absent}}"], "judge.teacher.model: no such folder: /absent"),
        (["encoder.model=/absent/model"], "encoder.model: no such folder: /absent/model"),
        (["encoder.model=./absent"], "encoder.model: no such folder:"),
        (["encoder.model=a b"], "encoder.model: 'a b' is neither a folder nor a hub id"),
        (
            ["judge={teacher: {kind: lexical, prompt: tag}}", "corpus.held_aside=0"],
            "corpus.held_aside is 0",
        ),
        (
            [
                "judge={teacher: {kind: lexical, prompt: tag}}",
                "ship=learned",
                "shortlist.memory_documents=0",
            ],
            "shortlist.memory_documents must not be 0",
        ),
        (["ship=learned"], "ship: learned weighs what a judge said"),
        (["run=/proc/nothing"], "run: no permission"),
        (
            ["judge={teacher: {kind: lexical, prompt: tag}, top_k: 200}"],
            "judge.top_k asks about 200 candidates of a document, and shortlist.depth keeps 100",
        ),
    ],
)
def test_a_mistake_names_the_setting(
    settings: dict[str, Any], overrides: list[str], message: str
) -> None:
    assert message in refusal(settings, *overrides)


def test_a_file_to_count_labels_in_is_looked_at_before_hours_of_training(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    said = refusal(settings, f"evaluation.counts={tmp_path / 'tags.csv'}")
    assert said.startswith(f"evaluation.counts: {tmp_path / 'tags.csv'}: which column holds")


def test_a_run_in_a_file_or_an_input_is_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file, not a folder" in refusal(settings, f"run={tmp_path / 'file' / 'run'}")
    said = refusal(settings, f"corpus.documents={tmp_path}")
    assert said.startswith(f"run: {tmp_path}/run lies in the input {tmp_path}")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config__json": b""}, "it has no config.json"),
        ({"config__json": b"", "adapter_config__json": b"{}"}, "merge it into its model first"),
        ({"model__safetensors": b""}, "it has no weights (*.safetensors)"),
        ({"model__safetensors": b"", "pytorch_model__bin": WEIGHTS}, "only pytorch_model.bin"),
        ({"tokenizer__json": b""}, "it has no tokenizer"),
        ({"model__safetensors": b"version https://x\n"}, "is a Git LFS pointer"),
        (
            {
                "model__safetensors__index__json": json.dumps(
                    {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
                ).encode()
            },
            "1 of 2 files of weights are missing: model-2.safetensors",
        ),
    ],
)
def test_an_incomplete_folder_says_what_is_missing(
    settings: dict[str, Any], tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    folder = model(tmp_path / "half", **files)
    for field in ("encoder.model={}", "judge={{teacher: {{model: {}}}}}"):
        said = refusal(settings, field.format(folder))
        assert str(folder) in said
        assert message in said
        assert said.startswith(("encoder.model: ", "judge.teacher.model: "))


def test_a_hub_id_that_nobody_has_is_refused_before_anything_starts(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match=r"encoder\.model: 'no/such-model': no folder"):
        running.run(settings, ["encoder.model=no/such-model"])


def test_a_slip_in_a_path_is_not_taken_for_a_hub_id(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    said = refusal(settings, "encoder.model=models/encodr")
    assert said.startswith("encoder.model: 'models/encodr': no folder of that name here")


@pytest.mark.parametrize("setting", ["engine: vllm", "thinking_tokens: 64"])
def test_what_needs_vllm_is_refused_without_it(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setattr(engines, "has_vllm", lambda: False)
    judge = model(tmp_path / "judge")
    said = refusal(settings, f"judge={{teacher: {{model: {judge}, {setting}}}}}")
    assert said.startswith(f"judge.teacher.{setting.split(':')[0]}")
    assert "pip install 'lmtx_ray[cpu]'" in said


def test_a_model_is_judged_with_where_there_is_no_vllm(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "has_vllm", lambda: False)
    judge = model(tmp_path / "judge")
    plan = running.plan(settings, [f"judge={{teacher: {{model: {judge}}}}}"])
    assert plan["judge"]["calls_at_most"] > 0


CROSS = b'{"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}'


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (CROSS, ""),
        (CROSS.replace(b"ForSequenceClassification", b"ForCausalLM"), ""),
        (CROSS.replace(b"ForSequenceClassification", b"Model"), "BertModel scores no pairs"),
        (CROSS.replace(b'"0"', b'"0": "a", "1": "b", "2"'), "it tells 3 classes apart"),
        (b"", "no config.json"),
    ],
)
def test_a_reranker_is_looked_at_and_a_wrong_one_refused(
    settings: dict[str, Any], tmp_path: Path, config: bytes, message: str
) -> None:
    folder = model(tmp_path / "reranker", config__json=config)
    teacher = {"kind": "reranker", "model": str(folder)}
    ensemble = {"kind": "ensemble", "members": [{"kind": "lexical"}, teacher]}
    for judge, field in ((teacher, "model"), (ensemble, "members.1.model")):
        override = yaml.safe_dump({"teacher": judge}, default_flow_style=True, width=9999)
        if not message:
            assert running.plan(settings, [f"judge={override}"])["untrained"] is False
            continue
        said = refusal(settings, f"judge={override}")
        assert said.startswith(f"judge.teacher.{field}: ")
        assert message in said


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"kind": "reranker"}, "judge.teacher.model: kind reranker needs a model folder"),
        (
            {"kind": "ensemble", "members": [{"kind": "lexical"}, {"kind": "http", "model": "m"}]},
            "judge.teacher.url: needs the form http://host:port",
        ),
        ({"kind": "ensemble", "members": [{"kind": "lexical"}]}, "needs two members or more"),
        (
            {"kind": "ensemble", "members": [{"kind": "lexical"}, {"kind": "reranker"}]},
            "judge.teacher.members.1.model: kind reranker needs",
        ),
    ],
)
def test_judges_that_cannot_be_asked_are_refused(
    settings: dict[str, Any], teacher: dict[str, Any], message: str
) -> None:
    override = yaml.safe_dump({"teacher": teacher}, default_flow_style=True, width=9999)
    assert message in refusal(settings, f"judge={override}")


def test_a_judge_that_somebody_names_is_of_the_kind_that_fits_its_model(tmp_path: Path) -> None:
    folder = model(tmp_path / "reranker", config__json=CROSS)
    assert choose(str(folder), None, "").teacher["kind"] == "reranker"
    assert "as a reranker here" in choose(str(folder), None, "").about
    assert kind_of_judge("BAAI/bge-reranker-v2-m3") == "reranker"
    assert kind_of_judge("cross-encoder/ms-marco-MiniLM-L6-v2") == "reranker"
    assert kind_of_judge("Qwen/Qwen3-8B") == "vllm"
    assert kind_of_judge(str(model(tmp_path / "other"))) == "vllm"


def test_a_cluster_may_hold_what_this_machine_lacks(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    values = {**settings, "judge": {"teacher": {"model": "/on/all/nodes"}}}
    preflight.check_judge(RunConfig.model_validate(values))


def test_the_command_line_says_it_in_one_line(
    settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump({**settings, "encoder": {"model": "/absent/model"}}))
    assert main(["run", str(path)]) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "lmtx run: encoder.model: no such folder: /absent/model"
    ]
