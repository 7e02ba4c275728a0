"""How many tokens a judge's prompts have, from its own tokenizer on a sample of the corpus.

Without the tokenizer (of an endpoint's model, or one that is not on this machine yet) words are
counted instead. What is computed follows the engine: each document's beginning once and each
prompt's ending, or, with vLLM, all but whole blocks of its cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.config.models import config_of, reach_of
from lmtx_ray.corpus.lengths import count_words
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.corpus.words import document_words, words
from lmtx_ray.loop.corpus_sample import Sample
from lmtx_ray.teacher.engines import folder_here, has_gpu, packs, step_tokens
from lmtx_ray.teacher.model_files import check_reach, load_tokenizer
from lmtx_ray.teacher.packing import Limits, begins_alike, pack, steps
from lmtx_ray.teacher.prompts import Prompt, get_prompt
from lmtx_ray.teacher.rendering import Rendering

TOKENS_PER_WORD = 1.5  # word pieces of scientific English
BLOCK_TOKENS = {True: 16, False: 32}  # of vLLM's prefix cache, with a GPU and without
Prompts = list[list[int]]  # of one document


@dataclass(frozen=True)
class PromptTokens:
    """Of a pair on average, and what of them is computed: so many for each document and so many for
    each pair. `by` says what counted them."""

    pair: float
    computed_document: float
    computed_pair: float
    by: str

    def computed(self, documents: float, pairs: float) -> float:
        """Tokens that go through the model."""
        return documents * self.computed_document + pairs * self.computed_pair


def prompt_tokens(config: TeacherConfig, prompt: Prompt, sample: Sample) -> PromptTokens:
    """What this judge's prompts have on a sample of documents with labels; of an ensemble what all
    members' have together. Nothing is fetched, and no model loaded. Raises ConfigError where they
    may be longer than a packed model reads."""
    if config.kind == "ensemble":
        parts = [prompt_tokens(one, get_prompt(one.prompt), sample) for one in config.members]
        return _together(parts)
    if config.kind != "vllm":
        return _by_words(config, prompt, sample, "words")
    folder = folder_here(config.model, config.revision)
    if not folder:
        return _by_words(config, prompt, sample, "words, as the model is not on this machine yet")
    try:
        rendering = Rendering(load_tokenizer(folder, config.model), prompt, config)
    except (ConfigError, OSError) as error:
        why = f"words, as the tokenizer cannot be had here ({str(error)[:200]})"
        return _by_words(config, prompt, sample, why)
    if packs(config):
        check_reach(config, rendering.longest, reach_of(config_of(folder)))
    documents = [
        rendering.questions(title, text, labels)
        for title, text, labels in zip(sample.titles, sample.texts, sample.labels, strict=True)
    ]
    limits = Limits(step_tokens(config, rendering.longest), 1 << 30)
    if packs(config):
        document, pair = in_steps(documents, limits)
    else:
        document, pair = in_blocks(documents, BLOCK_TOKENS[has_gpu()])
    every = [len(one) for prompts in documents for one in prompts]
    return PromptTokens(float(np.mean(every)), document, pair, "tokenizer")


def _together(parts: Sequence[PromptTokens]) -> PromptTokens:
    return PromptTokens(
        sum(one.pair for one in parts),
        sum(one.computed_document for one in parts),
        sum(one.computed_pair for one in parts),
        "; ".join(dict.fromkeys(one.by for one in parts)),
    )


def in_steps(documents: Sequence[Prompts], limits: Limits) -> tuple[float, float]:
    """(tokens for each document, for each pair) that packed steps compute."""
    parts = [step for step in steps(documents, limits)]
    pairs = sum(len(prompts) for prompts in documents)
    endings = sum(len(ending) for step in parts for part in step for ending in part.endings)
    total = sum(len(pack(step).tokens) for step in parts)
    return (total - endings) / len(documents), endings / pairs


def in_blocks(documents: Sequence[Prompts], block: int) -> tuple[float, float]:
    """The same of a cache that keeps whole blocks of earlier prompts."""
    firsts: list[int] = []
    others: list[int] = []
    before: list[int] = []
    for prompts in documents:
        for place, prompt in enumerate(prompts):
            alike = min(len(begins_alike([before, prompt])), len(prompt) - 1)
            (others if place else firsts).append(len(prompt) - alike // block * block)
            before = prompt
    pair = float(np.mean(others or firsts))
    return max(float(np.mean(firsts)) - pair, 0.0), pair


def _by_words(config: TeacherConfig, prompt: Prompt, sample: Sample, by: str) -> PromptTokens:
    """By words; of the lexical judge, which has no prompt, by those that it counts itself."""
    if config.kind == "lexical":
        return _as_the_rule_counts(sample, by)
    rate, frame = TOKENS_PER_WORD, [prompt.system, prompt.before, prompt.between, prompt.after]
    around = sum(map(count_words, [*frame, prompt.cue]))
    documents = [
        min(count_words(document_text(title, text)), config.max_document_tokens)
        for title, text in zip(sample.titles, sample.texts, strict=True)
    ]
    most = config.max_label_tokens
    labels = [min(count_words(label), most) for labels in sample.labels for label in labels]
    document, label = rate * float(np.mean(documents)), rate * float(np.mean(labels))
    pair = document + label + rate * around
    return PromptTokens(pair, 0.0, pair, by)


def _as_the_rule_counts(sample: Sample, by: str) -> PromptTokens:
    texts = map(document_text, sample.titles, sample.texts)
    documents = [len(document_words(text)) for text in texts]
    labels = [len(set(words(label))) for labels in sample.labels for label in labels]
    pair = float(np.mean(documents)) + float(np.mean(labels))
    return PromptTokens(pair, 0.0, pair, by)
