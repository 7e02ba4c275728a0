"""Training of `benchmarks.ablation`: the product's step with losses and averages that it lacks.

Shapes: B documents, M labels of the batch, T texts (documents, then labels), D dimensions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.ablation_towers import Towers, label_tower, save
from benchmarks.quality_judge import Verdicts
from benchmarks.quality_states import ON_GPU, Bench
from lmtx_ray.config.components import FitConfig, PseudoLabelConfig
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.student.any_model import load_model
from lmtx_ray.student.batching import Batch, Row
from lmtx_ray.student.data_parallel import TextVectors, Workers
from lmtx_ray.student.gradient_cache import learn
from lmtx_ray.student.losses import multi_positive_info_nce, suspicious
from lmtx_ray.student.order import Order
from lmtx_ray.student.pseudo_labels import build_examples
from lmtx_ray.student.sizes import total_steps
from lmtx_ray.student.training import new_optimizer, rate

BIAS = -8.0  # of the log-odds of a label of which nothing is known, in `cross_entropy`
BCE_SHARE = 0.1  # brings its gradient near InfoNCE's
MARGIN = 0.05  # cosine for each unit of the judge's log-odds, in `margin_mse`
UNSURE = 1e-4, 0.02  # P(yes) that log-odds are cut at, in `divergence` and in `margin_mse`
FIRST_STEPS = 10  # over which the average of weights still forgets quickly


@dataclass(frozen=True)
class Change:
    """How a training differs from the product's, beside its settings.

    `losses` are weights by name; `random_labels` are drawn for each step to stand against all of
    its documents; `average` is the share of the averaged weights kept at each step, 0 for none.
    With `towers` labels have an encoder of their own.
    """

    losses: Mapping[str, float]
    random_labels: int = 0
    average: float = 0.0
    soft: bool = True
    towers: bool = False


@dataclass(frozen=True)
class GradedBatch(Batch):
    """`judged_BM` holds all that was asked, and `p_yes_BM` what was said of it, 0 elsewhere."""

    p_yes_BM: torch.Tensor


Loss = Callable[[torch.Tensor, GradedBatch, FitConfig], torch.Tensor]


def contrast(scores_BM: torch.Tensor, batch: GradedBatch, config: FitConfig) -> torch.Tensor:
    """The product's loss."""
    return multi_positive_info_nce(
        scores_BM, batch.targets_BM, batch.judged_BM, config.temperature, config.mask_share
    )


def cross_entropy(scores_BM: torch.Tensor, batch: GradedBatch, config: FitConfig) -> torch.Tensor:
    """Of each label by itself: P(yes) where asked, else no, but for suspicious ones."""
    left_out = suspicious(scores_BM, batch.targets_BM, batch.judged_BM, config.mask_share)
    log_odds_BM = scores_BM / config.temperature + BIAS
    losses_BM = nn.functional.binary_cross_entropy_with_logits(
        log_odds_BM, batch.p_yes_BM, reduction="none"
    )
    return BCE_SHARE * losses_BM.masked_fill(left_out, 0.0).sum(dim=1).mean()


def divergence(scores_BM: torch.Tensor, batch: GradedBatch, config: FitConfig) -> torch.Tensor:
    """Cross-entropy of the student's softmax over a document's judged labels under the judge's."""
    judged_BM, least = batch.judged_BM, UNSURE[0]
    log_odds_BM = torch.logit(batch.p_yes_BM.clamp(least, 1 - least))
    wanted_BM = log_odds_BM.masked_fill(~judged_BM, -torch.inf).softmax(dim=1)
    logits_BM = (scores_BM / config.temperature).masked_fill(~judged_BM, -1e4)
    return -(wanted_BM * logits_BM.log_softmax(dim=1)).sum(dim=1).mean()


def margin_mse(scores_BM: torch.Tensor, batch: GradedBatch, config: FitConfig) -> torch.Tensor:
    """Squared error of each judged label's distance from the likeliest one, in cosine, from the
    same distance in the judge's log-odds."""
    judged_BM, least = batch.judged_BM, UNSURE[1]
    log_odds_BM = torch.logit(batch.p_yes_BM.clamp(least, 1 - least))
    best_B1 = log_odds_BM.masked_fill(~judged_BM, -torch.inf).argmax(dim=1, keepdim=True)
    own_BM = scores_BM.gather(1, best_B1) - scores_BM
    wanted_BM = MARGIN * (log_odds_BM.gather(1, best_B1) - log_odds_BM)
    return ((own_BM - wanted_BM) ** 2)[judged_BM].mean()


LOSSES: Mapping[str, Loss] = {
    "contrast": contrast,
    "cross_entropy": cross_entropy,
    "divergence": divergence,
    "margin_mse": margin_mse,
}


def loss_of(
    vectors_TD: torch.Tensor, batch: GradedBatch, config: FitConfig, weights: Mapping[str, float]
) -> torch.Tensor:
    """The weighted sum of losses on a batch's vectors."""
    documents_BD, labels_MD = vectors_TD.tensor_split([len(batch.documents)])
    scores_BM = documents_BD @ labels_MD.T
    tensors = {k: v.to(scores_BM.device) for k, v in vars(batch).items() if torch.is_tensor(v)}
    there = GradedBatch(batch.documents, batch.labels, **tensors)
    parts = [weight * LOSSES[name](scores_BM, there, config) for name, weight in weights.items()]
    return torch.stack(parts).sum()


def graded(
    rows: Sequence[Row], labels: Sequence[str], negatives: int, extra: Sequence[int] = ()
) -> GradedBatch:
    """All positives of the rows, up to `negatives` refused labels of each, and `extra` ones, with
    all that was said ("said": label -> P(yes)) of pairs of these."""
    wanted = {label for row in rows for label in row["positives"]} | set(extra)
    wanted |= {label for row in rows for label in row["hard_negatives"][:negatives]}
    columns = {label: column for column, label in enumerate(sorted(wanted))}
    targets_BM, p_yes_BM = torch.zeros(2, len(rows), len(columns))
    judged_BM = torch.zeros(len(rows), len(columns), dtype=torch.bool)
    for line, row in enumerate(rows):
        for label, target in zip(row["positives"], row["targets"], strict=True):
            targets_BM[line, columns[label]] = target
        for label in row["said"].keys() & columns:
            judged_BM[line, columns[label]] = True
            p_yes_BM[line, columns[label]] = row["said"][label]
    texts = [document_text(row["title"], row["text"]) for row in rows]
    return GradedBatch(texts, [labels[label] for label in columns], targets_BM, judged_BM, p_yes_BM)


class Average:
    """A moving average of a model's weights."""

    def __init__(self, model: nn.Module, kept: float) -> None:
        self._model, self._kept = model, kept
        self._mean = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def after(self, step: int) -> None:
        """Take in the weights after a step; early ones are soon forgotten."""
        kept = min(self._kept, (step + 2) / (step + 1 + FIRST_STEPS))
        for name, weights in self._model.state_dict().items():
            if weights.dtype.is_floating_point:
                self._mean[name].lerp_(weights, 1 - kept)

    def load(self) -> None:
        """Make the average the model's weights."""
        self._model.load_state_dict(self._mean)


def rows_of(bench: Bench, asked: Verdicts, config: FitConfig, soft: bool) -> list[dict[str, Any]]:
    """Training rows of the judged documents, with texts and all that was said."""
    rules = PseudoLabelConfig(negatives=config.negatives, soft=soft)
    own = {doc.doc_id: {"title": doc.title, "text": doc.text} for doc in bench.texts.train}
    return [
        {**row, **own[row["doc_id"]], "said": asked.said[row["doc_id"]]}
        for row in build_examples(asked.table(), rules, config.seed).to_pylist()
    ]


def trained(
    bench: Bench, start: str, asked: Verdicts, config: FitConfig, change: Change, folder: str
) -> str:
    """The folder of an encoder that has learned from what was said; `start` without examples."""
    rows = rows_of(bench, asked, config, change.soft)
    if not rows:
        return start
    started = time.monotonic()
    vectors = learned(start, rows, bench.texts.labels, config, change).eval()
    bench.seconds += time.monotonic() - started
    save(vectors, folder)
    return folder


def learned(
    start: str, rows: Sequence[Row], labels: Sequence[str], config: FitConfig, change: Change
) -> TextVectors:
    """What was trained: `quality_states.learned` with a changed step."""
    vectors = vectors_of(start, config, change).train()
    order = Order((len(rows),), config.batch_size, config.shuffle_rows, config.seed)
    total = total_steps(order.steps, config)
    optimizer = new_optimizer(vectors, config)
    average = Average(vectors, change.average) if change.average else None
    for step in range(total):
        own = [rows[place] for part in order.parts(step) for place in part.rows]
        draws = np.random.default_rng([config.seed, step])
        extra = draws.integers(len(labels), size=change.random_labels).tolist()
        batch = graded(own, labels, config.negatives, extra)
        one_step(vectors, optimizer, batch, config, change.losses, step, total)
        if average:
            average.after(step)
    if average:
        average.load()
    return vectors


def vectors_of(start: str, config: FitConfig, change: Change) -> TextVectors:
    """What is trained, from a folder of `trained` or of an untouched encoder."""
    device = "cuda" if ON_GPU else "cpu"
    student = load_model(start, device=device)
    if not change.towers:
        return TextVectors(student, config)
    return Towers(student, load_model(label_tower(start), device=device), config)


def one_step(
    vectors: TextVectors,
    optimizer: torch.optim.Optimizer,
    batch: GradedBatch,
    config: FitConfig,
    weights: Mapping[str, float],
    step: int,
    total: int,
) -> float:
    """`train_step` of the product by other losses; returns the loss."""
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * rate(step, total, config.warmup, config.final_rate)
    optimizer.zero_grad(set_to_none=True)
    seed = int(np.random.SeedSequence([config.seed, step, 0]).generate_state(1)[0])
    loss = learn(
        vectors,
        batch.documents,
        batch.labels,
        lambda vectors_TD: loss_of(vectors_TD, batch, config, weights),
        seed,
        Workers(),
    )
    torch.nn.utils.clip_grad_norm_(vectors.parameters(), config.clip)
    optimizer.step()
    return float(loss)
