"""The reranker as teacher: a model that scores a label against a document, for whom no LLM is near.

A cross-encoder has one logit, whose sigmoid is P(yes), or two, a no and a yes. A causal reranker is
asked for yes or no, in vLLM where that is installed. Cross-encoders run in torch everywhere: vLLM's
pooling is slower than that on a CPU, and such small models need no prefix cache.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import torch

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.config.models import CAUSAL, places_of, why_no_reranker
from lmtx_ray.io import progress
from lmtx_ray.search import hardware
from lmtx_ray.teacher.engines import has_vllm
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.model_files import (
    commit_of,
    hub_revision,
    load_tokenizer,
    local_files,
    sentence,
)
from lmtx_ray.teacher.pairs import Encoded, PairTokens, QueryFirst
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.protocol import Budget, BudgetReached, Teacher, Usage, answers_table
from lmtx_ray.teacher.reading import Reading, decide, from_log_probabilities
from lmtx_ray.teacher.spellings import answer_tokens
from lmtx_ray.teacher.vllm import VllmTeacher

LONGEST = 8192  # of a model that does not say how much it reads
YES_NAMES = {"yes", "true", "relevant", "positive", "1"}


def build_reranker(
    config: TeacherConfig, prompt: Prompt, budget: Budget, deterministic: bool | None
) -> Teacher:
    """The teacher for the model's kind, loaded. Raises ConfigError for a model that is none."""
    folder = local_files(config)
    settings = _settings(config, folder)
    if _architecture(settings).endswith(CAUSAL) and has_vllm():
        return VllmTeacher(config, prompt, budget, deterministic)
    return RerankerTeacher(config, prompt, budget, folder, settings)


def _settings(config: TeacherConfig, folder: str) -> Any:
    from transformers import AutoConfig

    try:
        settings = AutoConfig.from_pretrained(
            folder, revision=hub_revision(config), trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise ConfigError(_refusal(config, sentence(error))) from error
    architecture = _architecture(settings) or "a model without a name"
    if why := why_no_reranker(architecture, settings.num_labels):
        raise ConfigError(_refusal(config, why))
    return settings


def _architecture(settings: Any) -> str:
    return next(iter(settings.architectures or ()), "")


def _refusal(config: TeacherConfig, what: str) -> str:
    return f"judge.teacher.model {config.model!r}: {what}"


class RerankerTeacher:
    """A Teacher (see protocol) over one model in torch, on a GPU where there is one.

    A table's pairs are batched by their length, so that the same table gives the same bits.
    """

    def __init__(
        self, config: TeacherConfig, prompt: Prompt, budget: Budget, folder: str, settings: Any
    ) -> None:
        """`folder` is where the files are, or a hub id; `settings` are the model's own."""
        self.prompt_fingerprint, self.fingerprint = teacher_identity(config, prompt)
        self.usage = Usage()
        self._config, self._budget = config, budget
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        if config.threads:
            torch.set_num_threads(config.threads)
        tokenizer = load_tokenizer(folder, config.model, hub_revision(config))
        is_causal = _architecture(settings).endswith(CAUSAL)
        kind = _Causal if is_causal else _Pairs
        self._scorer = kind(tokenizer, prompt, config, settings)
        self._model = self._load(folder, is_causal)
        self.commit = commit_of(config)
        self._turn = threading.Lock()

    def _load(self, folder: str, is_causal: bool) -> Any:
        from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

        kind = AutoModelForCausalLM if is_causal else AutoModelForSequenceClassification
        try:
            model = kind.from_pretrained(
                folder,
                revision=hub_revision(self._config),
                trust_remote_code=False,
                use_safetensors=True,
                dtype=_dtype(self._config),
            )
        except (OSError, ValueError) as error:
            raise ConfigError(_refusal(self._config, sentence(error))) from error
        return model.to(self._device).eval()

    def judge(self, questions: pa.Table) -> pa.Table:
        """ANSWERS for every pair of QUESTIONS, in order; the same bits for the same table. Several
        threads may call it."""
        with self._turn:
            begun = time.monotonic()
            pairs, asked, stopped = self._granted(questions)
            answers = answers_table(pairs, self._read_all(asked))
            tokens = sum(len(one.ids) for one in asked)
            self.usage.requests += len(asked)
            self.usage.prompt_tokens += tokens
            self.usage.seconds += time.monotonic() - begun
        progress.count(prompt_tokens=tokens)
        if stopped:
            stopped.answers = answers
            raise stopped
        return answers

    def _granted(
        self, questions: pa.Table
    ) -> tuple[list[tuple[str, int]], list[Encoded], BudgetReached | None]:
        """(doc_id, label_id) pairs and their tokens, as far as the budget goes."""
        pairs: list[tuple[str, int]] = []
        asked: list[Encoded] = []
        for question in questions.to_pylist():
            texts = question["label_texts"]
            made = self._scorer.questions(question["title"], question["text"], texts)
            for label, one in zip(question["label_ids"], made, strict=True):
                try:
                    self._budget.take(1, len(one.ids))
                except BudgetReached as reached:
                    return pairs, asked, reached
                pairs.append((question["doc_id"], label))
                asked.append(one)
        return pairs, asked, None

    def _read_all(self, asked: Sequence[Encoded]) -> list[Reading]:
        readings: dict[int, Reading] = {}
        tell = progress.teller()
        for places in _batches(asked, self._config.max_num_batched_tokens):
            batch = [asked[place] for place in places]
            with torch.inference_mode():
                logits = self._scorer.logits(self._model, batch).float().cpu()
            readings |= dict(zip(places, map(self._scorer.read, logits), strict=True))
            tell(len(places))
            progress.count(pairs=len(places))
        return [readings[place] for place in range(len(asked))]


def _dtype(config: TeacherConfig) -> Any:
    """bfloat16 where the hardware has it and nothing else is asked for."""
    if config.dtype == "auto":
        return torch.bfloat16 if hardware.has_native_bfloat16() else torch.float32
    return getattr(torch, config.dtype)


def _batches(asked: Sequence[Encoded], budget: int) -> Iterator[list[int]]:
    """Places of pairs of like length, the longest first, with at most `budget` tokens together."""
    order = sorted(range(len(asked)), key=lambda place: -len(asked[place].ids))
    while order:
        rows = max(budget // max(len(asked[order[0]].ids), 1), 1)
        yield order[:rows]
        order = order[rows:]


def _padded(batch: Sequence[Encoded], filler: int, left: bool) -> dict[str, torch.Tensor]:
    """input_ids, attention_mask and token_type_ids, int64 [B, T]."""
    width = max(len(one.ids) for one in batch)
    shape = len(batch), width
    ids_BT, mask_BT = torch.full(shape, filler), torch.zeros(shape, dtype=torch.int64)
    types_BT = torch.zeros(shape, dtype=torch.int64)
    for row, one in enumerate(batch):
        here = slice(width - len(one.ids), width) if left else slice(len(one.ids))
        ids_BT[row, here], mask_BT[row, here] = torch.tensor(one.ids), 1
        types_BT[row, here] = torch.tensor(one.types)
    return {"input_ids": ids_BT, "attention_mask": mask_BT, "token_type_ids": types_BT}


class _Pairs:
    """How a cross-encoder is asked and read."""

    def __init__(self, tokenizer: Any, prompt: Prompt, config: TeacherConfig, own: Any) -> None:
        self.questions = PairTokens(tokenizer, config, _longest(own)).questions
        self._filler = tokenizer.pad_token_id or 0
        self._types = "token_type_ids" in tokenizer.model_input_names
        self._yes = _yes_place(own)

    def logits(self, model: Any, batch: Sequence[Encoded]) -> torch.Tensor:
        """float [B, 1 or 2]."""
        inputs = _padded(batch, self._filler, left=False)
        if not self._types:
            del inputs["token_type_ids"]
        scores: torch.Tensor = model(**_on(model, inputs)).logits
        return scores

    def read(self, logits: torch.Tensor) -> Reading:
        """P(yes) of one pair."""
        values = logits.tolist()
        odds = values[0] if len(values) == 1 else values[self._yes] - values[1 - self._yes]
        if math.isnan(odds):  # half precision that ran over; by comparisons it would be a sure no
            return Reading("unclear", raw="its score is no number; try dtype float32")
        p_yes = 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0
        return Reading(decide(p_yes, None, 0.0), p_yes)


class _Causal:
    """How a causal reranker is asked and read without vLLM: as there, by all spellings."""

    def __init__(self, tokenizer: Any, prompt: Prompt, config: TeacherConfig, own: Any) -> None:
        self._rendering = QueryFirst(tokenizer, prompt, config)
        self._tokens = answer_tokens(self._rendering, prompt.answers, len(tokenizer), config.model)
        self._prompt, self._least_mass = prompt, prompt.least_mass(config.least_mass)
        self._filler = tokenizer.pad_token_id or 0

    def questions(self, title: str | None, text: str, labels: Sequence[str]) -> list[Encoded]:
        """The prompt of each label of a document."""
        made = self._rendering.questions(title, text, labels)
        return [Encoded(ids, [0] * len(ids)) for ids in made]

    def logits(self, model: Any, batch: Sequence[Encoded]) -> torch.Tensor:
        """Log-probabilities of the spellings that come next, float [B, spellings]."""
        inputs = _padded(batch, self._filler, left=True)
        del inputs["token_type_ids"]
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
        last_BV = model(**_on(model, inputs), logits_to_keep=1).logits[:, -1].float()
        return torch.log_softmax(last_BV, -1)[:, list(self._tokens)]

    def read(self, logits: torch.Tensor) -> Reading:
        """The answer of one pair."""
        given = zip(self._tokens.values(), logits.tolist(), strict=True)
        return from_log_probabilities(given, self._prompt.answers, self._least_mass)


def _on(model: Any, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.to(model.device) for name, tensor in inputs.items()}


def _longest(own: Any) -> int:
    """Tokens that a cross-encoder reads at most."""
    most = places_of(own.to_dict()) or getattr(own, "max_position_embeddings", None)
    return int(most or LONGEST)


def _yes_place(own: Any) -> int:
    """Which of two logits is the yes: the one that is called so, else the second."""
    names = {place: str(name).lower() for place, name in own.id2label.items()}
    return next((int(place) for place, name in names.items() if name in YES_NAMES), 1)
