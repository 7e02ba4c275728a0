"""The vLLM teacher: one token for each pair, P(yes) from the two answers' log-probabilities.

A document's candidates go to the engine one after another and share the prefix up to the label.
Prompts are token ids put together from segments, each tokenised with control tokens split into
plain text, so nothing inside a document can close the prompt or speak for the model. The prefix
cache is emptied before each table: kernels round differently for other batches, and a table must
give the same bits whatever was judged before it.
"""

from __future__ import annotations

import logging
import os
from typing import Any

import pyarrow as pa
import torch

from lmtx_ray import hardware, storage
from lmtx_ray.config import ConfigError
from lmtx_ray.corpus import document_text
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.parsing import from_log_probabilities
from lmtx_ray.teacher.prompts import Prompt, get_prompt
from lmtx_ray.teacher.protocol import TeacherConfig, answers_table

LONGEST_LABEL = 64  # tokens
MANY = 10**9
SENTINEL = "\u2983document\u2984"  # never in a template; marks where the prompt goes

logger = logging.getLogger(__name__)


class Segments:
    """Token ids of a prompt's fixed parts, and the cutting of documents and labels."""

    def __init__(self, tokenizer: Any, prompt: Prompt, config: TeacherConfig) -> None:
        self._tokenizer = tokenizer
        self._cut = config.max_document_tokens
        before, after = _chat_frame(tokenizer, prompt, config)
        self._before = self._fixed(before) + self._part(prompt.before, prompt.control)
        self._between = self._part(prompt.between, prompt.control)
        self._after = self._part(prompt.after, prompt.control) + self._fixed(after)
        self.yes, self.no = (self._answer(word) for word in (prompt.yes, prompt.no))
        fixed = len(self._before) + len(self._between) + len(self._after)
        self.longest = fixed + self._cut + LONGEST_LABEL + 1

    def _fixed(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False) if text else []

    def _part(self, text: str, control: bool) -> list[int]:
        return self._fixed(text) if control else self.plain(text)

    def plain(self, text: str) -> list[int]:
        """Ids of user text: what looks like a control token is only letters here."""
        return self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def _answer(self, word: str) -> int:
        """The one token that says `word` right after the prompt."""
        for candidate in (word, word.strip()):
            ids = self.plain(candidate)
            if len(ids) == 1 and ids[0] != self._tokenizer.unk_token_id:
                return ids[0]
        raise ConfigError(f"teacher.model: its tokenizer has no single token for {word!r}")

    def prefix(self, title: str | None, text: str) -> list[int]:
        """A document's ids, cut once, up to where the label goes."""
        document = self.plain(document_text(title, text))[: self._cut]
        return self._before + document + self._between

    def question(self, prefix: list[int], label: str) -> list[int]:
        """The whole prompt of one pair."""
        return prefix + self.plain(label)[:LONGEST_LABEL] + self._after


def _chat_frame(tokenizer: Any, prompt: Prompt, config: TeacherConfig) -> tuple[str, str]:
    """What the chat template puts before and after a user message; nothing if it is not used."""
    templated = bool(getattr(tokenizer, "chat_template", None))
    wanted = config.chat == "always" or (config.chat == "auto" and prompt.instruct and templated)
    if not wanted:
        bos = getattr(tokenizer, "bos_token", None)
        adds_bos = bos and tokenizer.encode("x")[:1] == [tokenizer.bos_token_id]
        return (bos if adds_bos and not prompt.control else ""), ""
    if not templated:
        raise ConfigError("teacher.chat is 'always', but the model has no chat template")
    message = [{"role": "user", "content": SENTINEL}]
    rendered = tokenizer.apply_chat_template(
        message, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    before, _, after = rendered.partition(SENTINEL)
    return before, after


def load_engine(config: TeacherConfig, longest: int) -> Any:
    """An in-process vLLM engine. Environment first: vLLM reads it while it is imported."""
    settings: dict[str, Any] = {"dtype": config.dtype}
    if not torch.cuda.is_available():
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(config.kv_cache_gib))
        settings["enforce_eager"] = True
        # a prefix is shared in whole blocks; with the CPU's usual 128 tokens a third is not
        settings["block_size"] = 32
        if config.dtype == "auto" and not hardware.has_native_bfloat16():
            # emulated, bfloat16 is six times slower
            settings["dtype"] = "float32"
    else:
        settings["gpu_memory_utilization"] = config.gpu_memory_share
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        import vllm
    except ImportError as error:
        raise ConfigError(
            f"teacher.kind vllm needs the extra cpu or gpu: pip install 'lmtx_ray[cpu]' ({error})"
        ) from error
    if config.threads:
        torch.set_num_threads(config.threads)
    return vllm.LLM(
        model=storage.local_copy(config.model) if "://" in config.model else config.model,
        max_model_len=longest,
        tensor_parallel_size=config.tensor_parallel_size,
        max_num_batched_tokens=max(config.max_num_batched_tokens, longest),
        enable_prefix_caching=True,
        logprobs_mode="processed_logprobs",
        trust_remote_code=False,
        seed=0,
        disable_log_stats=True,
        **settings,
    )


class VllmTeacher:
    """A Teacher (see protocol) over one engine."""

    def __init__(self, config: TeacherConfig) -> None:
        from transformers import AutoTokenizer

        if not config.model:
            raise ConfigError("teacher.model: needs a model folder or hub id")
        self.prompt_fingerprint, self.fingerprint = teacher_identity(config)
        folder = storage.local_copy(config.model) if "://" in config.model else config.model
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, model_max_length=MANY  # documents are cut here
        )
        self._segments = Segments(tokenizer, get_prompt(config.prompt), config)
        self._engine = load_engine(config, self._segments.longest)
        self._sampling = self._answer_sampling()

    def _answer_sampling(self) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            max_tokens=1,
            temperature=0.0,
            logprobs=2,
            allowed_token_ids=[self._segments.yes, self._segments.no],
            detokenize=False,
        )

    def judge(self, questions: pa.Table) -> pa.Table:
        """ANSWERS for every pair of QUESTIONS, in order; bit-identical for the same table."""
        pairs, prompts = [], []
        for question in questions.to_pylist():
            prefix = self._segments.prefix(question["title"], question["text"])
            for label, text in zip(question["label_ids"], question["label_texts"], strict=True):
                pairs.append((question["doc_id"], label))
                prompts.append({"prompt_token_ids": self._segments.question(prefix, text)})
        self._engine.reset_prefix_cache()
        outputs = self._engine.generate(prompts, self._sampling, use_tqdm=False) if prompts else []
        answers = [self._read(output) for output in outputs]
        return answers_table([(*pair, *rest) for pair, rest in zip(pairs, answers, strict=True)])

    def _read(self, output: Any) -> tuple[str, float | None, str | None]:
        try:
            tokens = output.outputs[0].logprobs[0]
        except (IndexError, TypeError):
            return "unclear", None, "the engine returned no token"
        yes, no = (_value(tokens, token) for token in (self._segments.yes, self._segments.no))
        answer, p_yes = from_log_probabilities(yes, no)
        return answer, p_yes, None if p_yes is not None else f"log-probabilities {yes}, {no}"


def _value(tokens: Any, token: int) -> float | None:
    entry = tokens.get(token)
    return None if entry is None else float(entry.logprob)


