"""Language models in `benchmarks.quality`: a judge that is a model, and the phrases of ICXML.

Both read prompts as the product renders them. The judge is the product's packed one where it can
be, else plain batches of transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.quality_judge import Judge, Pairs, reranked
from benchmarks.quality_methods import RERANKED, Row
from benchmarks.quality_sets import Document
from benchmarks.quality_states import DEPTH, ON_GPU, Bench, nearest
from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.search.candidates import PADDING, reciprocal_rank_fusion
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.student.encoder import Encoder
from lmtx_ray.teacher import generating
from lmtx_ray.teacher.prompts import Prompt, get_prompt
from lmtx_ray.teacher.protocol import QUESTIONS, Unlimited
from lmtx_ray.teacher.reading import from_log_probabilities
from lmtx_ray.teacher.rendering import Rendering
from lmtx_ray.teacher.spellings import answer_tokens

PHRASE_LABELS = 10  # that each phrase brings from either side, as in the product
DOCUMENT_TOKENS = 160
TOKENS = 1 << 16 if ON_GPU else 1 << 12  # of one batch


def model_judge(folder: str, prompt: str, labels: Sequence[str]) -> Judge:
    """Judges by a model's P(yes); where it answers neither it is 0."""
    ask = _asking(folder, prompt)

    def judge(pairs: Pairs) -> list[np.ndarray]:
        rows = [
            {
                "doc_id": document.doc_id,
                "title": document.title,
                "text": document.text,
                "label_ids": list(ids),
                "label_texts": [labels[label] for label in ids],
            }
            for document, ids in pairs
        ]
        p_yes_P = ask(pa.Table.from_pylist(rows, schema=QUESTIONS))
        return np.split(p_yes_P, np.cumsum([len(ids) for _, ids in pairs])[:-1])

    return judge


@cache
def _asking(folder: str, name: str) -> Callable[[pa.Table], np.ndarray]:
    config = TeacherConfig(model=folder, prompt=name, max_document_tokens=DOCUMENT_TOKENS)
    prompt = get_prompt(name)
    try:
        from lmtx_ray.teacher.packed import PackedTeacher

        teacher = PackedTeacher(config, prompt, Unlimited())
    except (ImportError, ConfigError):
        return _Plain(config, prompt).p_yes
    return lambda questions: _numbers(teacher.judge(questions)["p_yes"].to_pylist())


def _numbers(p_yes: Sequence[float | None]) -> np.ndarray:
    return np.array([p or 0.0 for p in p_yes], np.float64)


class _Plain:
    """A model by transformers alone, in padded batches of prompts of like length."""

    def __init__(self, config: TeacherConfig, prompt: Prompt) -> None:
        self._prompt, self._tokenizer = prompt, AutoTokenizer.from_pretrained(config.model)
        self.model: Any = AutoModelForCausalLM.from_pretrained(
            config.model, dtype=torch.bfloat16 if ON_GPU else torch.float32, use_safetensors=True
        )
        self.model = self.model.to("cuda" if ON_GPU else "cpu").eval()
        self._rendering = Rendering(self._tokenizer, prompt, config)
        self._config = config

    def prompts(self, questions: pa.Table) -> list[list[int]]:
        """Token ids of every pair."""
        rows = questions.to_pylist()
        texts = (row["label_texts"] for row in rows)
        return [
            prompt
            for row, labels in zip(rows, texts, strict=True)
            for prompt in self._rendering.questions(row["title"], row["text"], labels)
        ]

    def p_yes(self, questions: pa.Table) -> np.ndarray:
        """float64, of every pair."""
        prompts = self.prompts(questions)
        most = min(self.model.config.vocab_size, len(self._tokenizer))
        tokens = answer_tokens(self._rendering, self._prompt.answers, most, self._config.model)
        answers: list[float | None] = [None] * len(prompts)
        for places in _batches(prompts):
            ids_BW, mask_BW = _padded([prompts[place] for place in places], left=False)
            with torch.inference_mode():
                hidden_BWH = self.model.model(
                    input_ids=ids_BW.to(self.model.device),
                    attention_mask=mask_BW.to(self.model.device),
                ).last_hidden_state
                ends_B = mask_BW.sum(dim=1) - 1
                logits_BV = self.model.lm_head(hidden_BWH[torch.arange(len(places)), ends_B])
            said = logits_BV.float().log_softmax(-1)[:, list(tokens)].tolist()
            for place, row in zip(places, said, strict=True):
                given = zip(tokens.values(), row, strict=True)
                answers[place] = from_log_probabilities(given, self._prompt.answers, 0.0).p_yes
        return _numbers(answers)

    def write(self, questions: pa.Table) -> list[str]:
        """What it writes, likeliest tokens only."""
        prompts = self.prompts(questions)
        said = [""] * len(prompts)
        for places in _batches(prompts):
            ids_BW, mask_BW = _padded([prompts[place] for place in places], left=True)
            with torch.inference_mode():
                made = self.model.generate(
                    input_ids=ids_BW.to(self.model.device),
                    attention_mask=mask_BW.to(self.model.device),
                    max_new_tokens=generating.WRITTEN_TOKENS,
                    do_sample=False,
                    pad_token_id=0,
                )
            written = made[:, ids_BW.shape[1] :]
            texts = self._tokenizer.batch_decode(written, skip_special_tokens=True)
            for place, text in zip(places, texts, strict=True):
                said[place] = text
        return said


def _batches(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    order = sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))
    batches, first = [], 0
    while first < len(order):
        most = max(TOKENS // max(len(prompts[order[first]]), 1), 1)
        batches.append(order[first : first + most])
        first += most
    return batches


def _padded(prompts: Sequence[list[int]], left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """ids_BW, mask_BW."""
    width = max(map(len, prompts))
    ids_BW = torch.zeros(len(prompts), width, dtype=torch.int64)
    mask_BW = torch.zeros_like(ids_BW)
    for row, prompt in enumerate(prompts):
        own = slice(width - len(prompt), width) if left else slice(len(prompt))
        ids_BW[row, own], mask_BW[row, own] = torch.tensor(prompt), 1
    return ids_BW, mask_BW


def written(documents: Sequence[Document], writer: str) -> list[list[str]]:
    """The phrases that a model writes of each document."""
    config = TeacherConfig(model=writer, prompt="subject", max_document_tokens=DOCUMENT_TOKENS)
    model = _Plain(generating.writing(config), generating.PROMPT)
    rows = [
        {
            "doc_id": document.doc_id,
            "title": document.title,
            "text": document.text,
            "label_ids": [0],
            "label_texts": [""],
        }
        for document in documents
    ]
    replies = model.write(pa.Table.from_pylist(rows, schema=QUESTIONS))
    return [list(generating.phrases_of(reply)) for reply in replies]


def icxml(bench: Bench, judge: Judge, phrases: Sequence[Sequence[str]]) -> Row:
    """The labels that the phrases written of each test document lead to, the first of them in the
    judge's order."""
    documents = bench.documents("test")
    moved_BK, calls = reranked(judge, documents, _mapped(bench, phrases), RERANKED)
    return Row("icxml", moved_BK, calls_each=1 + calls / len(documents))


def _mapped(bench: Bench, phrases: Sequence[Sequence[str]]) -> np.ndarray:
    """ids_BK: the labels that a document's phrases lead to, by reciprocal ranks of them all."""
    flat = list(dict.fromkeys(phrase for own in phrases for phrase in own))
    place = {phrase: row for row, phrase in enumerate(flat)}
    vectors = Encoder(bench.encoder).encode(flat, "label")
    dense = nearest(vectors, bench.labels_LD)[0][:, :PHRASE_LABELS]
    lexical, _ = LexicalIndex.load(bench.lexical_index).search(flat, PHRASE_LABELS)
    found_BK = np.full((len(phrases), DEPTH), PADDING, np.int32)
    for row, own in enumerate(phrases):
        lists = [side[place[phrase]][None] for phrase in own for side in (dense, lexical)]
        if lists:
            found_BK[row] = reciprocal_rank_fusion(lists, DEPTH)[0][0]
    return found_BK
