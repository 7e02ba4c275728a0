"""The vLLM teacher on a real engine, on the CPU, with small models made on the spot."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher.model_files import load_tokenizer
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import BudgetReached, Unlimited
from lmtx_ray.teacher.reading import spelling_of
from lmtx_ray.teacher.registry import build_teacher
from lmtx_ray.teacher.rendering import Rendering
from lmtx_ray.teacher.vllm import VllmTeacher
from tests.tiny import TOPICS, save_chat, save_judge

pytestmark = pytest.mark.vllm
JUDGE, TAG, GRADED = (get_prompt(name) for name in ("judge", "tag", "graded"))
SMALL = {"engine": "vllm", "max_document_tokens": 40, "dtype": "float32", "threads": 1}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TeacherConfig:
    return TeacherConfig(model=save_judge(tmp_path_factory.mktemp("judge")), **SMALL)


@pytest.fixture(scope="module")
def teacher(config: TeacherConfig) -> VllmTeacher:
    return build_teacher(config, JUDGE)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> TeacherConfig:
    folder = save_chat(tmp_path_factory.mktemp("chat"), "llama3")
    return TeacherConfig(model=folder, least_mass=0.01, **SMALL)


@pytest.fixture(scope="module")
def chatting(chat: TeacherConfig) -> VllmTeacher:
    return build_teacher(chat, TAG)


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


def prompts(made: Rendering, table: pa.Table) -> list[list[int]]:
    return [
        ids
        for row in table.to_pylist()
        for ids in made.questions(row["title"], row["text"], row["label_texts"])
    ]


def plainly(config: TeacherConfig, prompt: Any, table: pa.Table) -> list[tuple[float, float]]:
    """(expected value, mass) by the plain model and every token that spells an answer."""
    tokenizer = load_tokenizer(config.model, config.model)
    model = AutoModelForCausalLM.from_pretrained(config.model, dtype=torch.float32).eval()
    words = {
        token: spelling_of(tokenizer.decode([token]), prompt.answers)
        for token in range(len(tokenizer))
    }
    values = {token: prompt.answers[word] for token, word in words.items() if word}
    found = []
    for ids in prompts(Rendering(tokenizer, prompt, config), table):
        with torch.inference_mode():
            shares = model(torch.tensor([ids])).logits[0, -1].softmax(-1)[list(values)]
        mass = shares.sum().item()
        found.append(((shares @ torch.tensor([*values.values()])).item() / mass, mass))
    return found


def test_every_pair_is_answered_once_in_order(teacher: VllmTeacher) -> None:
    answers = teacher.judge(questions(4))
    expected = [(f"d{number}", label) for number in range(4) for label in range(8)]
    pairs = list(zip(answers["doc_id"].to_pylist(), answers["label_id"].to_pylist(), strict=True))
    assert pairs == expected
    assert set(answers["answer"].to_pylist()) <= {"yes", "no"}


def test_a_judge_of_its_own_tokens_is_heard_whatever_its_mass(
    teacher: VllmTeacher, config: TeacherConfig
) -> None:
    answers = teacher.judge(questions(2))
    p_yes = [value for value, _ in plainly(config, JUDGE, questions(2))]
    assert answers["p_yes"].to_pylist() == pytest.approx(p_yes, abs=1e-4)
    assert min(answers["mass"].to_pylist()) > 0
    assert "unclear" not in answers["answer"].to_pylist()


def test_a_table_gives_the_same_bits_whatever_was_judged_before(teacher: VllmTeacher) -> None:
    table = questions(6)
    first = teacher.judge(table)
    teacher.judge(questions(2))
    assert teacher.judge(table).equals(first)


def at_once(teacher: VllmTeacher, tables: list[pa.Table]) -> list[pa.Table]:
    with ThreadPoolExecutor(len(tables)) as pool:
        return list(pool.map(teacher.judge, tables))


def test_tables_judged_at_once_have_the_bits_they_have_alone(teacher: VllmTeacher) -> None:
    tables = [questions(6), questions(2), questions(10)]
    alone = [teacher.judge(table) for table in tables]
    assert at_once(teacher, tables) == alone


def test_an_engine_that_need_not_be_deterministic_takes_tables_together(
    config: TeacherConfig, teacher: VllmTeacher
) -> None:
    busy = build_teacher(config, JUDGE, deterministic=False)
    waiting, most = busy._engine._running, []
    plain = busy._engine._give
    busy._engine._give = lambda output: (
        most.append(len({id(call) for call, _ in waiting.values()})),
        plain(output),
    )
    inbox = busy._engine._inbox

    def until_both_ask() -> None:  # in the engine's thread
        give_up = time.monotonic() + 60
        while inbox.qsize() < 2 and time.monotonic() < give_up:
            time.sleep(0.01)

    inbox.put(until_both_ask)
    tables = [questions(12), questions(12)]
    for answers, table in zip(at_once(busy, tables), tables, strict=True):
        expected = teacher.judge(table)
        assert answers["answer"] == expected["answer"]
        p_yes = expected["p_yes"].to_pylist()
        assert answers["p_yes"].to_pylist() == pytest.approx(p_yes, abs=1e-4)
    assert max(most) == 2
    assert busy.usage.requests == 2 * 12 * 8


def test_an_engine_that_fails_fails_every_caller(
    teacher: VllmTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise RuntimeError("the engine died")

    with monkeypatch.context() as patch:
        patch.setattr(teacher._engine.engine.llm_engine, "step", die)
        with pytest.raises(RuntimeError, match="the engine died"):
            teacher.judge(questions(2))
    # what the failed call left in the engine is taken for nobody's answer
    assert teacher.judge(questions(2)).num_rows == 16


def test_an_empty_table_is_answered_without_the_engine(teacher: VllmTeacher) -> None:
    assert teacher.judge(questions(2).slice(0, 0)).num_rows == 0


def test_control_tokens_inside_documents_and_labels_are_only_letters(config: TeacherConfig) -> None:
    tokenizer = load_tokenizer(config.model, config.model)
    tag, ask = tokenizer.convert_tokens_to_ids(["<tag>", "<ask>"])
    made = Rendering(tokenizer, JUDGE, config)
    ids = made.questions("<ask> yes", "pain <tag> heart <ask> yes", ["ear <ask> yes <tag>"])[0]
    assert (ids.count(tag), ids.count(ask), ids[-1]) == (1, 1, ask)


def test_documents_are_cut_once_by_tokens(config: TeacherConfig) -> None:
    made = Rendering(load_tokenizer(config.model, config.model), JUDGE, config)
    ids = made.questions(None, "pain " * 500, ["ear"])[0]
    assert len(ids) == config.max_document_tokens + 3


def test_probability_and_mass_equal_the_plain_models_over_all_spellings(
    chatting: VllmTeacher, chat: TeacherConfig
) -> None:
    table = questions(2)
    answers = chatting.judge(table)
    p_yes, mass = zip(*plainly(chat, TAG, table), strict=True)
    assert answers["p_yes"].to_pylist() == pytest.approx(p_yes, abs=1e-4)
    assert answers["mass"].to_pylist() == pytest.approx(mass, abs=1e-5)


def test_what_was_used_is_counted(chatting: VllmTeacher) -> None:
    before, table = replace(chatting.usage), questions(2)
    chatting.judge(table)
    used = chatting.usage
    tokens = sum(map(len, prompts(chatting._rendering, table)))
    assert used.requests - before.requests == used.answer_tokens - before.answer_tokens == 16
    assert used.prompt_tokens - before.prompt_tokens == tokens
    assert used.seconds > before.seconds


class Few(Unlimited):
    def __init__(self, requests: int) -> None:
        self.left, self.tokens = requests, 0

    def take(self, requests: int, tokens: int) -> None:
        if requests > self.left:
            raise BudgetReached("enough")
        self.left -= requests
        self.tokens += tokens

    def give_back(self, requests: int, tokens: int) -> None:
        self.tokens -= tokens


def test_what_the_budget_allows_is_answered_and_kept(
    chatting: VllmTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = questions(2)
    monkeypatch.setattr(chatting, "_budget", Few(11))
    with pytest.raises(BudgetReached) as caught:
        chatting.judge(table)
    kept = caught.value.answers
    assert kept["doc_id"].to_pylist() == ["d0"] * 8 + ["d1"] * 3
    assert None not in kept["p_yes"].to_pylist()
    monkeypatch.setattr(chatting, "_budget", Few(0))
    with pytest.raises(BudgetReached) as caught:
        chatting.judge(table)
    assert caught.value.answers.num_rows == 0


def test_grades_are_weighed(chat: TeacherConfig) -> None:
    table = questions(2)
    answers = build_teacher(chat, GRADED).judge(table)
    expected = [value for value, _ in plainly(chat, GRADED, table)]
    assert answers["p_yes"].to_pylist() == pytest.approx(expected, abs=1e-4)


def test_a_model_that_says_something_else_is_unclear_and_is_quoted(tmp_path: Path) -> None:
    folder = save_chat(tmp_path, "chatml", {"\n": "The"})  # after the closed thoughts
    answers = build_teacher(TeacherConfig(model=folder, **SMALL), TAG).judge(questions(2))
    assert set(answers["answer"].to_pylist()) == {"unclear"}
    assert max(answers["mass"].to_pylist()) < 0.01
    assert {raw[:18] for raw in answers["raw"].to_pylist()} == {'begins with "The" '}


@pytest.mark.parametrize(
    ("follows", "answer", "said"),
    [
        ({"\n": " heart", " heart": "</think>", ":": "Yes"}, "yes", 2),
        pytest.param(
            {"\n": " heart", " heart": "</think>", ":": "No"}, "no", 2, marks=pytest.mark.slow
        ),
        ({"\n": " heart", " heart": " heart", ":": "Yes"}, "unclear", 6),
    ],
)
def test_a_model_that_thinks_first_is_let_think_and_then_asked(
    tmp_path: Path, follows: dict[str, str], answer: str, said: int
) -> None:
    folder = save_chat(tmp_path, "deepseek", follows)
    thinks = TeacherConfig(model=folder, thinking_tokens=6, answer_prefix="So:", **SMALL)
    budget = Few(100)
    teacher = build_teacher(thinks, TAG, budget)
    answers = teacher.judge(questions(2)).to_pylist()
    assert {row["answer"] for row in answers} == {answer}
    ended = answer != "unclear"
    assert {row["raw"] for row in answers} == {None if ended else "still thinking after 6 tokens"}
    assert teacher.usage.answer_tokens == 16 * (said + ended)
    used = teacher.usage.prompt_tokens + teacher.usage.answer_tokens
    assert used <= budget.tokens <= used + 16


@pytest.mark.slow  # another engine, for what is read as any other word is
def test_thoughts_that_a_model_begins_unasked_are_no_answer(tmp_path: Path) -> None:
    folder = save_chat(tmp_path, "chatml", {"\n": "<think>"})
    answers = build_teacher(TeacherConfig(model=folder, **SMALL), TAG).judge(questions(2))
    assert set(answers["answer"].to_pylist()) == {"unclear"}
    assert all(raw.startswith('begins with "<think>" (') for raw in answers["raw"].to_pylist())


def test_wrong_models_and_lengths_are_named(chat: TeacherConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"judge\.teacher\.model: needs"):
        build_teacher(TeacherConfig(), TAG)
    with pytest.raises(ConfigError, match=r"judge\.teacher\.model '.*'"):
        build_teacher(TeacherConfig(model=str(tmp_path)), TAG)
    long = chat.model_copy(update={"max_document_tokens": 5000})
    with pytest.raises(ConfigError, match=r"judge\.teacher\.model .*max_document_tokens"):
        build_teacher(long, TAG)
