"""A causal language model of transformers that answers packed steps.

Any architecture whose attention transformers lets one choose can do it: Llama, Qwen, Mistral and
most others. That it does is not believed but tried once, on two prompts that begin alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AutoModelForCausalLM

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.search import hardware
from lmtx_ray.search.openmp import limit_threads
from lmtx_ray.teacher import packed_attention
from lmtx_ray.teacher.engines import EXTRA, step_tokens
from lmtx_ray.teacher.lean_llama import LeanLlama, is_lean
from lmtx_ray.teacher.model_files import check_reach, hub_revision, sentence, too_long
from lmtx_ray.teacher.packed_attention import Seen
from lmtx_ray.teacher.packing import Limits, Prompt, Shared, Step, pack, steps

LOGITS = 1 << 24  # of a step, at most: of each prompt's end there is one for each word piece
LEAST_PROMPTS = 16
MOVING = ("dynamic", "longrope")  # kinds of rotary positions that change with a prompt's length
STEPS = 4  # computed at once at most: a part of each is Python's, one after the other
MOST_APART = 0.05  # of two distributions over the next token that are the same but for rounding
INSTEAD = f"set judge.teacher.engine to vllm, {EXTRA}"


class CannotPack(ConfigError):
    """Another engine may run this model; says which setting takes it."""


@dataclass(frozen=True)
class Answers:
    """Of some prompts: the log-probabilities of each word's spellings together [prompts, words],
    and the likeliest token with its log-probability. `computed` tokens went through the model."""

    words_PW: list[list[float]]
    tops: list[tuple[int, float]]
    computed: int


def load_causal(config: TeacherConfig, folder: str) -> Any:
    """The judge's model, on the GPU if there is one. Raises ConfigError."""
    low = config.dtype == "auto" and hardware.has_native_bfloat16()
    dtype = torch.bfloat16 if low else getattr(torch, config.dtype, torch.float32)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            revision=hub_revision(config),
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except (OSError, ValueError) as error:
        said = sentence(error)
        raise ConfigError(f"judge.teacher.model {config.model!r}: {said}") from error
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _steady(config: Any, reach: int) -> int:
    """How many tokens a prompt may have before a model turns its positions otherwise, for all
    prompts of a step and of those computed beside it."""
    of_layers = getattr(config, "rope_parameters", None) or {}
    every = [of_layers, *(one for one in of_layers.values() if isinstance(one, dict))]
    moving = [one for one in every if one.get("rope_type") in MOVING]
    return min(
        (one.get("original_max_position_embeddings", reach) for one in moving), default=reach
    )


def spare_last_layer(model: Any) -> None:
    """Of the last layer's feed-forward part compute only the rows that answers follow: no other is
    looked at. Models without such a part stay as they are."""
    layers = getattr(model.base_model, "layers", None)
    part = getattr(layers[-1], "mlp", None) if layers else None
    if part is None:
        return
    whole = part.forward

    def forward(hidden_BTD: torch.Tensor) -> torch.Tensor:
        ends = packed_attention.CURRENT.get().ends
        out_BTD = torch.zeros_like(hidden_BTD)
        out_BTD[:, ends] = whole(hidden_BTD[:, ends])
        return out_BTD

    part.forward = forward


def step_threads(config: TeacherConfig) -> ThreadPoolExecutor:
    """Threads that compute a step each, on a CPU with an even share of its cores: in a product that
    is shared out all wait for the slowest, and a small model has many products. No other threads
    compute, as OpenMP has some of its own for each that does, and they wait in a busy loop."""
    if torch.cuda.is_available():
        return ThreadPoolExecutor(1, "judge")
    at_once, threads = shares(config.threads or torch.get_num_threads())
    return ThreadPoolExecutor(at_once, "judge", limit_threads, (threads,))


def shares(cores: int) -> tuple[int, int]:
    """How many steps are computed at once on so many cores, and each by how many threads."""
    threads = -(-cores // STEPS)
    return cores // threads, threads


class PackedModel:
    """A model and how its steps are cut. Several threads may have it answer.

    Raises:
        ConfigError: It cannot be loaded, is too short for `longest` tokens, or answers packed
            prompts otherwise than one by one (CannotPack, by `try_out`).
    """

    def __init__(self, config: TeacherConfig, folder: str, longest: int) -> None:
        self._made_of, self._longest = (config, folder, longest), longest
        self._model = load_causal(config, folder)
        text = self._model.config.get_text_config()
        reach = getattr(text, "max_position_embeddings", None)
        check_reach(config, longest, reach)
        if longest > (steady := _steady(text, reach or longest)):
            why = f"its positions change with prompts of more than {steady}: {INSTEAD}"
            raise CannotPack(str(too_long(config, longest, why)))
        self.vocabulary = int(self._model.get_output_embeddings().weight.shape[0])
        prompts = max(LOGITS // self.vocabulary, LEAST_PROMPTS)
        self._limits = Limits(step_tokens(config, longest), prompts)
        self._words: list[torch.Tensor] = []
        self._lean: LeanLlama | None = None

    def listen_for(self, words: Sequence[Sequence[int]]) -> None:
        """The tokens that spell each word."""
        device = self._model.device
        self._words = [torch.tensor([*tokens], device=device) for tokens in words]

    def try_out(self, prompts: Sequence[Prompt], name: str) -> None:
        """Answer from now on in packed steps. Raises ConfigError naming the model where the answers
        to these prompts, which should begin alike, would change with it; by more than rounding, for
        which a model in few bits is looked at in float32 again."""
        alone = torch.cat([self._alone(prompt) for prompt in prompts])
        try:
            self._pack()
            (parts,) = steps([prompts], Limits(sum(map(len, prompts)), len(prompts)))
            apart = (self._logits(pack(parts)).softmax(-1) - alone).abs().sum(-1).max().item() / 2
            if apart > MOST_APART and self._model.dtype != torch.float32:
                self._in_float32().try_out(prompts, name)
                return
            wrong = "" if apart <= MOST_APART else "they answer otherwise than one by one"
        except (packed_attention.NotPacked, TypeError) as error:
            wrong = str(error)
        if wrong:
            raise CannotPack(
                f"judge.teacher.model {name!r}: its prompts cannot be packed ({wrong}): {INSTEAD}"
            )

    def _in_float32(self) -> PackedModel:
        config, folder, longest = self._made_of
        return PackedModel(config.model_copy(update={"dtype": "float32"}), folder, longest)

    def _pack(self) -> None:
        if is_lean(self._model):
            self._lean = LeanLlama(self._model)
            self._model.model.layers = torch.nn.ModuleList()  # their memory is needed no more
            return
        self._model.set_attn_implementation(packed_attention.NAME)
        spare_last_layer(self._model)

    def _alone(self, prompt: Prompt) -> torch.Tensor:
        ids = torch.tensor([prompt], device=self._model.device)
        with torch.inference_mode():
            logits: torch.Tensor = self._model(input_ids=ids, use_cache=False).logits[:, -1]
        return logits.float().softmax(-1)

    def steps(self, documents: Sequence[Sequence[Prompt]]) -> Iterable[list[Shared]]:
        """Every document's prompts, in order, as they are to be answered."""
        return steps(documents, self._limits)

    def answer(self, parts: Sequence[Shared]) -> Answers:
        """Of one step's prompts."""
        step = pack(parts)
        return self._read(self._logits(step), len(step.tokens))

    def _logits(self, step: Step) -> torch.Tensor:
        """Of the token behind each prompt, float32 [prompts, vocabulary]."""
        device = self._model.device
        ids, positions = (
            torch.tensor(values, device=device) for values in (step.tokens, step.positions)
        )
        how = self._model.dtype, device, self._longest
        with torch.inference_mode(), packed_attention.step_of(step, *how) as seen:
            logits_PV = self._forward(ids, positions, seen)
        layers = self._model.config.get_text_config().num_hidden_layers
        if seen.layers != layers:
            raise packed_attention.NotPacked(f"{seen.layers} of its {layers} layers are attention")
        return logits_PV.float()

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor, seen: Seen) -> torch.Tensor:
        if self._lean:
            return self._lean.logits(ids, positions, seen)
        found = self._model(
            input_ids=ids[None],
            position_ids=positions[None],
            use_cache=False,
            logits_to_keep=seen.ends,
        )
        logits_PV: torch.Tensor = found.logits[0]
        return logits_PV

    def _read(self, logits_PV: torch.Tensor, computed: int) -> Answers:
        total_P = logits_PV.logsumexp(-1)
        words = [logits_PV[:, tokens].logsumexp(-1) - total_P for tokens in self._words]
        top_P, token_P = logits_PV.max(-1)
        tops = zip(token_P.tolist(), (top_P - total_P).tolist(), strict=True)
        return Answers(torch.stack(words, -1).tolist(), [*tops], computed)


AttentionInterface.register(packed_attention.NAME, packed_attention.attend)
