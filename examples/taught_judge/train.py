"""Teach a small chat model to answer whether a label describes a document.

    python train.py --base FOLDER --data DATA --out OUT --cache CACHE

FOLDER is a chat model of transformers, such as SmolLM2-135M-Instruct. Low-rank adapters (LoRA, Hu
et al. 2021, by peft) are trained on all of its layers and nothing else. The questions are the
product's: its rendering with the model's own chat template, the text of `question.yaml`, all
questions of a document in one sequence whose attention is that of the packed judge. What is taught
is the whole answer: that one of the spellings of the right word comes next, out of all tokens.

OUT/adapter holds the adapters, OUT/judge the merged model, ready for `judge.teacher.model`. A
stopped run goes on from its last checkpoint in OUT.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fields import DOCUMENT_TOKENS, QUESTION, Field, draw, load_field
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import AutoModelForCausalLM, AutoTokenizer

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.student.pseudo_labels import area_under_curve
from lmtx_ray.teacher import packed_attention
from lmtx_ray.teacher.packed_model import load_causal
from lmtx_ray.teacher.packing import pack, shared
from lmtx_ray.teacher.prompts import Prompt, get_prompt
from lmtx_ray.teacher.rendering import Rendering
from lmtx_ray.teacher.spellings import answer_tokens

MOST_TOKENS = 4096  # of a document and its questions
LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ASIDE = 48  # documents of each field that are never trained on
SHORTLIST = 16  # of an aside document
log = logging.getLogger("train")


@dataclass
class Taught:
    """The model, how it is asked, and the tokens that spell no and yes."""

    model: Any
    rendering: Rendering
    words: list[list[int]]

    @classmethod
    def of(cls, base: str, rank: int) -> Taught:
        prompt: Prompt = get_prompt(QUESTION)
        config = TeacherConfig(model=base, max_document_tokens=DOCUMENT_TOKENS)
        tokenizer = AutoTokenizer.from_pretrained(base)
        rendering = Rendering(tokenizer, prompt, config)
        model = load_causal(config, base)
        tokens = answer_tokens(rendering, prompt.answers, model.config.vocab_size, base)
        words = [[token for token, said in tokens.items() if said == w] for w in ("no", "yes")]
        model.set_attn_implementation(packed_attention.NAME)
        lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=LAYERS)
        return cls(get_peft_model(model, lora), rendering, words)

    def answers(self, row: dict[str, Any], labels: list[str]) -> torch.Tensor:
        """Log-probabilities of no and of yes, float32 [labels, 2]."""
        prompts = self.rendering.questions(row["title"], row["content"] or "", labels)
        step = pack(shared(prompts, MOST_TOKENS))
        ids, positions = torch.tensor(step.tokens)[None], torch.tensor(step.positions)[None]
        dtype = self.model.dtype
        with (
            torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16),
            packed_attention.step_of(step, dtype, ids.device) as seen,
        ):
            found = self.model(
                input_ids=ids, position_ids=positions, use_cache=False, logits_to_keep=seen.ends
            )
        said_PV = found.logits[0].float().log_softmax(-1)
        return torch.stack([said_PV[:, tokens].logsumexp(-1) for tokens in self.words], 1)


def loss_of(taught: Taught, field: Field, place: int, frequent: list[int], rng: Any) -> Any:
    """Mean negative log-probability of the right answers; those that are yes count as much as those
    that are no."""
    drawn = draw(field, place, frequent, rng)
    answers_P2 = taught.answers(field.rows[place], [field.labels[x] for x in drawn["labels"]])
    right_P = torch.tensor(drawn["right"])
    losses_P = -answers_P2[torch.arange(len(right_P)), right_P.long()]
    sides = [losses_P[side].mean() for side in (right_P, ~right_P) if side.any()]
    return torch.stack(sides).mean()


def evaluate(taught: Taught, field: Field, places: range) -> dict[str, float]:
    """AUC of P(yes) inside shortlists, beside that of the shortlist's own order."""
    odds, orders, truth, mass = [], [], [], []
    for place in places:
        asked = field.shortlist(place, SHORTLIST)
        with torch.inference_mode():
            said_P2 = taught.answers(field.rows[place], [field.labels[x] for x in asked])
        odds.append((said_P2[:, 1] - said_P2[:, 0]).numpy())
        mass.append(said_P2.exp().sum(1).numpy())
        orders.append(-np.arange(len(asked)))
        truth.append(np.isin(asked, list(field.gold[place])))
    odds_P, orders_P, truth_P = (np.concatenate(part) for part in (odds, orders, truth))
    yes_P = odds_P > 0
    found = {
        "auc": area_under_curve(odds_P, truth_P),
        "order_auc": area_under_curve(orders_P, truth_P),
        "right": truth_P.mean(),
        "precision": truth_P[yes_P].mean() if yes_P.any() else 0.0,
        "recall": yes_P[truth_P].mean(),
        "mass": np.concatenate(mass).mean(),
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def plan(fields: list[Field], seed: int, each: int) -> list[list[tuple[int, int]]]:
    """Batches of (field, document), all documents once, fields mixed evenly."""
    pairs = [(n, p) for n, field in enumerate(fields) for p in range(ASIDE, len(field.rows))]
    order = np.random.default_rng(seed).permutation(len(pairs))
    return [[pairs[x] for x in order[i : i + each]] for i in range(0, len(order), each)]


class Checkpoint:
    """Adapters and optimizer of a run that may be stopped; `settings` are all that changes it."""

    def __init__(
        self, out: Path, settings: str, taught: Taught, optimizer: torch.optim.Optimizer
    ) -> None:
        self._file, self._settings = out / "state.pt", settings
        self._taught, self._optimizer = taught, optimizer

    def load(self) -> int:
        """The next step. Ends the program where the checkpoint is of other settings."""
        if not self._file.exists():
            return 0
        settings, step, adapters, moments = torch.load(self._file, weights_only=True)
        if settings != self._settings:
            raise SystemExit(f"{self._file}: of {settings}, not of {self._settings}; other --out")
        set_peft_model_state_dict(self._taught.model, adapters)
        self._optimizer.load_state_dict(moments)
        return step

    def save(self, step: int) -> None:
        adapters = get_peft_model_state_dict(self._taught.model)
        part = self._file.with_suffix(".part")
        torch.save((self._settings, step, adapters, self._optimizer.state_dict()), part)
        part.replace(self._file)


def settings_of(args: argparse.Namespace) -> str:
    """All that changes what is taught."""
    changing = ("base", "data", "fields", "documents", "rank", "rate", "batch", "seed")
    return json.dumps({name: str(getattr(args, name)) for name in changing})


def train(args: argparse.Namespace) -> Taught:
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    count = args.documents + ASIDE
    fields = [load_field(args.data / f, "judge", count, 0, args.cache) for f in args.fields]
    frequent = [[label for own in field.gold[ASIDE:] for label in own] for field in fields]
    taught = Taught.of(args.base, args.rank)
    trained = [weight for weight in taught.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.rate, weight_decay=0.0, fused=True)
    checkpoint = Checkpoint(args.out, settings_of(args), taught, optimizer)
    batches = plan(fields, args.seed, args.batch)
    first = checkpoint.load()
    log.info(
        "%d weights trained, %d documents, step %d of %d",
        sum(weight.numel() for weight in trained),
        sum(map(len, batches)),
        first,
        len(batches),
    )
    losses: list[float] = []
    began = time.monotonic()
    for step in range(first, len(batches)):
        for group in optimizer.param_groups:
            group["lr"] = args.rate * schedule(step / len(batches))
        for number, place in batches[step]:
            rng = np.random.default_rng([args.seed, number, place])
            loss = loss_of(taught, fields[number], place, frequent[number], rng)
            (loss / len(batches[step])).backward()
            losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 10 == 9:
            each = (time.monotonic() - began) / (step + 1 - first)
            left = each * (len(batches) - step - 1) / 60
            log.info("step %d, loss %.4f, %.0f min left", step + 1, np.mean(losses[-160:]), left)
            checkpoint.save(step + 1)
        if step % args.validate == args.validate - 1:
            for field in fields:
                log.info("%s %s", field.name, json.dumps(evaluate(taught, field, range(ASIDE))))
    save(taught, args.base, args.out)
    for field in fields:
        log.info("%s %s", field.name, json.dumps(evaluate(taught, field, range(ASIDE))))
    return taught


def schedule(done: float) -> float:
    return min(1.0, done / 0.03) * (0.5 + 0.5 * math.cos(math.pi * done))


def save(taught: Taught, base: str, out: Path) -> None:
    """The adapters, and a copy of the model with them merged: in float32, so that no weight is
    rounded twice."""
    taught.model.save_pretrained(out / "adapter")
    whole = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    merged = get_peft_model(whole, taught.model.peft_config["default"])
    set_peft_model_state_dict(merged, get_peft_model_state_dict(taught.model))
    merged.merge_and_unload().to(torch.bfloat16).save_pretrained(out / "judge")
    AutoTokenizer.from_pretrained(base).save_pretrained(out / "judge")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--base", required=True, help="folder of a chat model")
    add("--data", type=Path, required=True, help="folder of the fields' folders")
    add("--fields", nargs="+", default=["mesh-reviews", "tib-gnd-core"])
    add("--out", type=Path, required=True)
    add("--cache", type=Path, required=True, help="folder of candidates that were found")
    add("--documents", type=int, default=1500, help="of each field")
    numbers = {"rank": 8, "rate": 1e-3, "batch": 8, "seed": 0, "threads": 2, "validate": 100}
    for name, value in numbers.items():
        add(f"--{name}", type=type(value), default=value)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
