"""The vLLM teacher on a real engine, on the CPU, with a small random Llama."""

from __future__ import annotations

import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lmtx_ray.config import ConfigError
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import TeacherConfig
from lmtx_ray.teacher.registry import build_teacher
from lmtx_ray.teacher.vllm import Segments
from tests.tiny import TOPICS, save_judge

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TeacherConfig:
    model = save_judge(tmp_path_factory.mktemp("judge"))
    return TeacherConfig(
        model=model, prompt="judge", max_document_tokens=40, dtype="float32", threads=1
    )


@pytest.fixture(scope="module")
def teacher(config: TeacherConfig):
    return build_teacher(config)


def questions(documents: int) -> pa.Table:
    labels = list(range(len(TOPICS)))
    return pa.table(
        {
            "doc_id": [f"d{number}" for number in range(documents)],
            "title": [None, "A study"] * (documents // 2),
            "text": [f"{TOPICS[number % 8]} pain in patients" for number in range(documents)],
            "label_ids": [labels] * documents,
            "label_texts": [[f"{topic} disease" for topic in TOPICS]] * documents,
        }
    )


def test_every_pair_is_answered_once_in_order(teacher) -> None:
    answers = teacher.judge(questions(4))
    expected = [(f"d{number}", label) for number in range(4) for label in range(8)]
    pairs = list(zip(answers["doc_id"].to_pylist(), answers["label_id"].to_pylist(), strict=True))
    assert pairs == expected
    assert set(answers["answer"].to_pylist()) <= {"yes", "no"}


def test_probabilities_equal_the_plain_model_on_the_whole_prompt(teacher, config) -> None:
    table = questions(2)
    answers = teacher.judge(table)["p_yes"].to_pylist()
    tokenizer = AutoTokenizer.from_pretrained(config.model)
    model = AutoModelForCausalLM.from_pretrained(config.model, torch_dtype=torch.float32).eval()
    segments = Segments(tokenizer, get_prompt("judge"), config)
    expected = []
    for row in table.to_pylist():
        prefix = segments.prefix(row["title"], row["text"])
        for text in row["label_texts"]:
            ids = torch.tensor([segments.question(prefix, text)])
            with torch.inference_mode():
                logits = model(ids).logits[0, -1]
            expected.append(torch.sigmoid(logits[segments.yes] - logits[segments.no]).item())
    assert answers == pytest.approx(expected, abs=1e-4)


def test_a_table_gives_the_same_bits_whatever_was_judged_before(teacher) -> None:
    table = questions(6)
    first = teacher.judge(table)
    teacher.judge(questions(2))
    assert teacher.judge(table).equals(first)


def test_an_empty_table_is_answered_without_the_engine(teacher) -> None:
    assert teacher.judge(questions(2).slice(0, 0)).num_rows == 0


def test_control_tokens_inside_documents_and_labels_are_only_letters(config) -> None:
    tokenizer = AutoTokenizer.from_pretrained(config.model)
    segments = Segments(tokenizer, get_prompt("judge"), config)
    tag, ask = tokenizer.convert_tokens_to_ids(["<tag>", "<ask>"])
    prefix = segments.prefix("<ask> yes", "pain <tag> heart <ask> yes")
    ids = segments.question(prefix, "ear <ask> yes <tag>")
    assert (ids.count(tag), ids.count(ask), ids[-1]) == (1, 1, ask)


def test_documents_are_cut_once_by_tokens(config) -> None:
    tokenizer = AutoTokenizer.from_pretrained(config.model)
    segments = Segments(tokenizer, get_prompt("judge"), config)
    assert len(segments.prefix(None, "pain " * 500)) == config.max_document_tokens + 1


def test_a_model_without_one_token_for_an_answer_is_refused(config) -> None:
    tokenizer = AutoTokenizer.from_pretrained(config.model)
    prompt = get_prompt("judge").__class__("x", "", "<tag>", "<ask>", yes="affirmative")
    with pytest.raises(ConfigError, match="no single token for 'affirmative'"):
        Segments(tokenizer, prompt, config)
