"""Trains the student on a cycle's examples: the loop of one worker, whoever runs it.

A step is a function of the weights, the seed and its number: data order and dropout are seeded by
step. So a run that is killed and started again from its last checkpoint ends with the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from lmtx_ray.config.components import FitConfig
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.student import batching, losses
from lmtx_ray.student.any_model import load_model
from lmtx_ray.student.checkpoints import restore, save_checkpoint
from lmtx_ray.student.data_parallel import TextVectors, Workers, joined
from lmtx_ray.student.examples import ExampleReader, ExampleUnit, LabelTexts
from lmtx_ray.student.gradient_cache import learn
from lmtx_ray.student.order import Order

PROGRESS_SECONDS = 5.0
ALONE = Workers()


def train(
    config: FitConfig,
    model: str,
    units: Sequence[ExampleUnit],
    labels: Sequence[str],
    output: Dataset,
    work: str,
    rank: int,
    world: int,
    device: str,
) -> None:
    """One worker: resume, take its share of every batch, checkpoint and publish from rank 0.

    `units` hold the examples, `labels` are the URIs of the labels' fragments; `work` is where
    checkpoints and progress live.
    """
    if config.threads:
        torch.set_num_threads(max(config.threads // world, 1))
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # all is written before it is read
    student = load_model(model, device=device).train()
    order = example_order(units, config)
    reader, names = ExampleReader(units, order), LabelTexts(labels)
    total = order.steps * config.passes
    optimizer = new_optimizer(student, config)
    first = restore(student, optimizer, work, rank)
    workers = Workers(rank, world)
    vectors = joined(TextVectors(student, config), workers)
    told = time.monotonic()
    for step in range(first, total):
        batch = make_batch(reader.rows(step), names, config, step)
        loss = train_step(vectors, optimizer, batch, config, step, total, workers)
        last = step + 1 == total
        if rank == 0 and (last or time.monotonic() - told > PROGRESS_SECONDS):
            told = time.monotonic()
            progress = {"step": step + 1, "of": total, "loss": round(loss, 4)}
            storage.write_bytes(storage.join(work, "progress.json"), storage.to_json(progress))
        if rank == 0 and (step + 1) % config.checkpoint_every == 0 and not last:
            save_checkpoint(student, optimizer, work, step + 1)
    if rank == 0 and not output.is_complete():
        student.eval()
        output.publish_folder(lambda folder: student.save(str(folder)))


def example_order(units: Sequence[ExampleUnit], config: FitConfig) -> Order:
    """The order in which the units' examples are trained on."""
    return Order(
        tuple(unit.size for unit in units),
        config.batch_size,
        config.shuffle_rows,
        config.seed,
        drop_last=config.recipe == "paper",
    )


def new_optimizer(student: SentenceTransformer, config: FitConfig) -> torch.optim.Optimizer:
    """AdamW in one operation over each weight, which reads and writes it once."""
    return torch.optim.AdamW(
        student.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        eps=1e-6,
        fused=True,
    )


def train_step(
    vectors: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: batching.Batch,
    config: FitConfig,
    step: int,
    total: int,
    workers: Workers = ALONE,
) -> float:
    """One optimiser step of all workers on one batch; returns its loss, the same at each."""
    seed = np.random.SeedSequence([config.seed, step, workers.rank]).generate_state(1)
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * rate(step, total, config.warmup)
    optimizer.zero_grad(set_to_none=True)
    loss = learn(
        vectors,
        batch.documents,
        batch.labels,
        lambda vectors_TD: batch_loss(vectors_TD, batch, config),
        int(seed[0]),
        workers,
    )
    if config.recipe == "default":
        torch.nn.utils.clip_grad_norm_(vectors.parameters(), 1.0)
    optimizer.step()
    return float(loss)


def make_batch(
    rows: Sequence[batching.Row], names: batching.Names, config: FitConfig, step: int
) -> batching.Batch:
    """The recipe's batch of these rows."""
    if config.recipe == "paper":
        return batching.paper_batch(rows, names, config.seed, step)
    return batching.soft_batch(rows, names, config.negatives)


def batch_loss(vectors_TD: torch.Tensor, batch: batching.Batch, config: FitConfig) -> torch.Tensor:
    """The recipe's loss on the vectors of the batch's documents and labels, in that order."""
    documents_BD, labels_MD = vectors_TD.tensor_split([len(batch.documents)])
    scores_BM = documents_BD @ labels_MD.T
    targets_BM = batch.targets_BM.to(scores_BM.device)
    judged_BM = batch.judged_BM.to(scores_BM.device)
    if config.recipe == "paper":
        return losses.online_hard_negative_triplet(
            scores_BM, judged_BM, config.margin, config.negatives
        )
    return losses.multi_positive_info_nce(
        scores_BM, targets_BM, judged_BM, config.temperature, config.mask_share
    )


def rate(step: int, total: int, warmup: float) -> float:
    """Linear warm-up, then linear to 0; `warmup` is a share below 1 and steps from 1."""
    rising = warmup if warmup >= 1 else max(warmup * total, 1.0)
    return min((step + 1) / rising, max(total - step, 0) / max(total - rising, 1.0))
