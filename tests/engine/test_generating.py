"""Phrases from a real engine: a tiny judge that always says the same, and a real chat model."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.teacher import generating
from lmtx_ray.teacher.protocol import BudgetReached
from lmtx_ray.teacher.registry import build_generator
from tests import instruct
from tests.tiny import save_chat, save_judge

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(1500)]
SMALL = {"max_document_tokens": 40, "dtype": "float32", "threads": 1}
TEXTS = ["heart pain in patients", "lung pain " * 60, "brain"]
DOCUMENTS = pa.table({"doc_id": ["a", "b", "c"], "title": [None, "A study", None], "text": TEXTS})


class Few:
    def __init__(self, requests: int) -> None:
        self.left, self.tokens = requests, 0

    def take(self, requests: int, tokens: int) -> None:
        if requests > self.left:
            raise BudgetReached("enough")
        self.left -= requests
        self.tokens += tokens

    def give_back(self, requests: int, tokens: int) -> None:
        self.tokens -= tokens


def test_an_engine_writes_what_its_model_says(tmp_path: Path) -> None:
    folder = save_chat(tmp_path, "chatml", {"\n": " heart", " heart": "\n"})
    generator = build_generator(TeacherConfig(model=folder, **SMALL, thinking_tokens=4))
    table = generator.generate(DOCUMENTS)
    assert table.schema.equals(schemas.PHRASES)
    assert table["phrases"].to_pylist() == [["heart"]] * 3
    assert generator.usage.requests == 3
    assert generator.usage.answer_tokens == 3 * generating.WRITTEN_TOKENS


def test_a_judge_that_was_trained_for_one_word_writes_the_same_again(tmp_path: Path) -> None:
    few = Few(5)
    generator = build_generator(TeacherConfig(model=save_judge(tmp_path), **SMALL), few)
    table = generator.generate(DOCUMENTS)
    assert table["doc_id"].to_pylist() == ["a", "b", "c"]
    with pytest.raises(BudgetReached) as stopped:
        generator.generate(DOCUMENTS)
    assert stopped.value.answers.equals(table.slice(0, 2))


@pytest.mark.skipif(not instruct.is_installed(), reason=instruct.HOW)
def test_a_real_chat_model_writes_words_of_the_document(tmp_path: Path) -> None:
    folder = instruct.save_instruct(tmp_path)
    generator = build_generator(TeacherConfig(model=folder, dtype="float32", threads=1))
    documents = instruct.sample_questions(6, 2, 60).select(["doc_id", "title", "text"])
    rows = zip(generator.generate(documents).to_pylist(), documents.to_pylist(), strict=True)
    said = [(row["phrases"], f"{document['title']} {document['text']}") for row, document in rows]
    print(f"\n{[phrases for phrases, _ in said]}")
    flat = [(phrase, text.lower()) for phrases, text in said for phrase in phrases]
    assert flat  # so small a model does not always find words
    assert any(word in text for phrase, text in flat for word in phrase.lower().split())
