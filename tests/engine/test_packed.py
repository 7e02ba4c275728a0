"""The packed teacher on real models: what it answers is what pairs one by one are answered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.lean_llama import LeanLlama, is_lean
from lmtx_ray.teacher.model_files import load_tokenizer
from lmtx_ray.teacher.packed import PackedTeacher
from lmtx_ray.teacher.packed_attention import step_of
from lmtx_ray.teacher.packing import pack, shared
from lmtx_ray.teacher.prompts import Prompt, get_prompt
from lmtx_ray.teacher.protocol import QUESTIONS, BudgetReached, Unlimited
from lmtx_ray.teacher.reading import spelling_of
from lmtx_ray.teacher.registry import build_teacher
from lmtx_ray.teacher.rendering import Rendering
from tests.instruct import SAMPLE, sample_questions
from tests.tiny import TOPICS, save_chat, save_judge, tokenizer

JUDGE, TAG, GRADED = (get_prompt(name) for name in ("judge", "tag", "graded"))
SMALL = {"engine": "packed", "max_document_tokens": 40, "dtype": "float32", "threads": 1}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TeacherConfig:
    return TeacherConfig(model=save_judge(tmp_path_factory.mktemp("judge")), **SMALL)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> TeacherConfig:
    folder = save_chat(tmp_path_factory.mktemp("chat"), "llama3")
    return TeacherConfig(model=folder, least_mass=0.01, **SMALL)


def teacher_of(config: TeacherConfig, prompt: Prompt = JUDGE, budget: Any = None) -> PackedTeacher:
    return PackedTeacher(config, prompt, budget or Unlimited())


def question(doc_id: str, text: str, labels: list[str]) -> dict[str, Any]:
    ids = list(range(len(labels)))
    return {
        "doc_id": doc_id,
        "title": None,
        "text": text,
        "label_ids": ids,
        "label_texts": labels,
    }


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist([*rows], schema=QUESTIONS)


MIXED = table(
    question("many", "a study of heart disease in patients", [f"{t} disease" for t in TOPICS] * 4),
    question("one", "lung pain", ["lung"]),
    question("none", "a trial of the skin", []),
    question("long", "bone pain and risk of disease . " * 60, ["bone", "ear " * 90, "eye"]),
    question("same", "a study", ["liver", "liver", "liver of the patients with pain"]),
    question("", "", ["brain"]),
)


def one_by_one(config: TeacherConfig, prompt: Prompt, asked: pa.Table) -> list[tuple[float, float]]:
    """(P(yes), mass) of each pair by the plain model, which sees one prompt at a time."""
    words = load_tokenizer(config.model, config.model)
    model = AutoModelForCausalLM.from_pretrained(config.model, dtype=torch.float32).eval()
    spelt = {
        token: prompt.answers[word]
        for token in range(len(words))
        if (word := spelling_of(words.decode([token]), prompt.answers))
    }
    rendering, found = Rendering(words, prompt, config), []
    for row in asked.to_pylist():
        for ids in rendering.questions(row["title"], row["text"], row["label_texts"]):
            with torch.inference_mode():
                shares = model(torch.tensor([ids])).logits[0, -1].softmax(-1)[list(spelt)]
            mass = shares.sum().item()
            found.append(((shares @ torch.tensor([*spelt.values()])).item() / mass, mass))
    return found


def check_equal(config: TeacherConfig, prompt: Prompt, asked: pa.Table) -> None:
    answers = teacher_of(config, prompt).judge(asked)
    expected = one_by_one(config, prompt, asked)
    assert answers["mass"].to_pylist() == pytest.approx([mass for _, mass in expected], abs=1e-5)
    assert answers["p_yes"].to_pylist() == pytest.approx([p for p, _ in expected], abs=1e-4)


@pytest.mark.parametrize("tokens", [256, 8192])
def test_it_answers_what_pairs_one_by_one_are_answered(config: TeacherConfig, tokens: int) -> None:
    check_equal(config.model_copy(update={"max_num_batched_tokens": tokens}), JUDGE, MIXED)


@pytest.mark.parametrize("prompt", [TAG, GRADED], ids=lambda prompt: prompt.name)
def test_a_chat_model_is_asked_in_its_template(chat: TeacherConfig, prompt: Prompt) -> None:
    check_equal(chat, prompt, MIXED)


def test_every_pair_is_answered_once_in_order(config: TeacherConfig) -> None:
    answers = teacher_of(config).judge(MIXED)
    pairs = [(row["doc_id"], label) for row in MIXED.to_pylist() for label in row["label_ids"]]
    found = zip(answers["doc_id"].to_pylist(), answers["label_id"].to_pylist(), strict=True)
    assert list(found) == pairs


def test_tables_without_a_pair_have_no_answer(config: TeacherConfig) -> None:
    teacher = teacher_of(config)
    assert teacher.judge(MIXED.slice(0, 0)).num_rows == 0
    assert teacher.judge(table(question("none", "a study", []))).num_rows == 0


def test_a_table_gives_the_same_bits_whatever_is_judged_beside_it(config: TeacherConfig) -> None:
    teacher = teacher_of(config)
    first = teacher.judge(MIXED)
    with ThreadPoolExecutor(2) as pool:
        *_, last = pool.map(teacher.judge, [MIXED.slice(1), MIXED.slice(2), MIXED])
    assert last.equals(first)


def test_what_documents_share_is_computed_once(config: TeacherConfig) -> None:
    teacher = teacher_of(config)
    teacher.judge(MIXED.slice(0, 1))
    used = teacher.usage
    assert used.requests == used.answer_tokens == 32
    # each prompt is seven words of the document, a mark, two words of the label and a mark
    assert used.prompt_tokens == 32 * (8 + 3)
    assert used.prompt_tokens - used.cached_tokens == 8 + 32 * 3
    assert used.seconds > 0


class Purse:
    def __init__(self, requests: int) -> None:
        self.left, self.tokens = requests, 0

    def take(self, requests: int, tokens: int) -> None:
        if self.left < requests:
            raise BudgetReached("used up")
        self.left, self.tokens = self.left - requests, self.tokens + tokens

    def give_back(self, requests: int, tokens: int) -> None:
        raise AssertionError("nothing is left over")


def test_at_the_end_of_the_budget_what_was_paid_for_is_kept(config: TeacherConfig) -> None:
    purse = Purse(34)
    teacher = teacher_of(config, budget=purse)
    with pytest.raises(BudgetReached) as stopped:
        teacher.judge(MIXED)
    kept, whole = stopped.value.answers, teacher_of(config).judge(MIXED).slice(0, 34)
    for name in ("p_yes", "mass"):  # steps of other lengths may be rounded otherwise
        assert kept[name].to_pylist() == pytest.approx(whole[name].to_pylist(), rel=1e-5)
    assert kept.drop(["p_yes", "mass"]).equals(whole.drop(["p_yes", "mass"]))
    assert purse.tokens == teacher.usage.prompt_tokens + teacher.usage.answer_tokens


def test_what_fails_in_the_engine_reaches_the_caller_and_the_next_table_is_judged(
    config: TeacherConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = teacher_of(config)
    with monkeypatch.context() as broken:
        broken.setattr(teacher._model, "_read", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            teacher.judge(MIXED)
    assert teacher.judge(MIXED).num_rows == 40


def saved(model: Any, folder: Path) -> TeacherConfig:
    words = tokenizer()
    words.add_special_tokens({"additional_special_tokens": ["<tag>", "<ask>"]})
    model.save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)
    return TeacherConfig(model=str(folder), **SMALL)


TINY = {
    "vocab_size": len(tokenizer()) + 2,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (Qwen3ForCausalLM, Qwen3Config(**TINY)),
        (MistralForCausalLM, MistralConfig(**TINY, sliding_window=400)),
        (LlamaForCausalLM, LlamaConfig(**TINY, attention_bias=True, mlp_bias=True)),
    ],
    ids=["norms of queries", "a wide window", "biases everywhere"],
)
def test_other_architectures_are_packed_too(tmp_path: Path, kind: Any, settings: Any) -> None:
    torch.manual_seed(0)
    model = kind(settings)
    for name, weight in model.named_parameters():
        if weight.ndim == 1:  # biases and norms begin as 0 and 1
            torch.nn.init.uniform_(weight, 0.5, 1.5) if "norm" in name else weight.data.normal_()
    check_equal(saved(model, tmp_path), JUDGE, MIXED)


def test_the_biases_of_queries_and_keys_are_added(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**TINY)).eval()
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            weight.data.normal_()
    prompts = [[5, 6, 7, 8], [5, 6, 9], [5, 6, 7, 10, 11]]
    step = pack(shared(prompts, 100))
    assert is_lean(model)
    with torch.inference_mode(), step_of(step, torch.float32, torch.device("cpu")) as seen:
        ids, positions = torch.tensor(step.tokens), torch.tensor(step.positions)
        found = LeanLlama(model).logits(ids, positions, seen)
        alone = torch.stack([model(torch.tensor([ids])).logits[0, -1] for ids in prompts])
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-4)


def test_a_window_that_is_too_small_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    for size in (8, 80):  # what is tried has less than 80 tokens, and a long document more
        model = Gemma3ForCausalLM(Gemma3TextConfig(**TINY, sliding_window=size))
        said = rf"sees {size} tokens.*judge\.teacher\.engine to vllm"
        with pytest.raises(ConfigError, match=said):
            teacher_of(saved(model, tmp_path / str(size)))
    large = Gemma3ForCausalLM(Gemma3TextConfig(**TINY, sliding_window=256))
    check_equal(saved(large, tmp_path / "large"), JUDGE, MIXED)


def test_a_model_without_attention_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": TINY["vocab_size"], "hidden_size": 32, "num_hidden_layers": 2}
    config = saved(MambaForCausalLM(MambaConfig(**sizes)), tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be packed.*judge\.teacher\.engine to vllm"):
        teacher_of(config)


def test_settings_it_cannot_use_are_refused(config: TeacherConfig) -> None:
    with pytest.raises(ConfigError, match=r"thinking_tokens.*engine to vllm"):
        teacher_of(config.model_copy(update={"thinking_tokens": 5}))
    with pytest.raises(ConfigError, match=r"was made for 512"):
        teacher_of(config.model_copy(update={"max_document_tokens": 600}))


def test_its_verdicts_are_those_of_the_same_judge(config: TeacherConfig) -> None:
    other = config.model_copy(update={"engine": "vllm"})
    assert teacher_identity(config, JUDGE) == teacher_identity(other, JUDGE)
    teacher = build_teacher(config, JUDGE)
    assert isinstance(teacher, PackedTeacher)
    assert (teacher.prompt_fingerprint, teacher.fingerprint) == teacher_identity(config, JUDGE)


@pytest.mark.slow
def test_the_stand_in_judge_decides_as_it_does_one_by_one() -> None:
    settings = {**SMALL, "max_document_tokens": 160, "threads": None}
    config = TeacherConfig(model=str(SAMPLE / "judge"), **settings)
    asked = sample_questions(6, 16, 10**9)
    answers = teacher_of(config).judge(asked)
    expected = one_by_one(config, JUDGE, asked)
    equal = [
        (said == "yes") == (p_yes > 0.5)
        for said, (p_yes, _) in zip(answers["answer"].to_pylist(), expected, strict=True)
    ]
    assert sum(equal) / len(equal) >= 0.995
