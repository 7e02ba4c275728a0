"""Trains the student on a cycle's examples: the loop of one worker, whoever runs it.

A step is a function of the weights, the seed and its number: data order and dropout are seeded by
step. So a run that is killed and started again from its last checkpoint ends with the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from lmtx_ray.config.components import FitConfig
from lmtx_ray.config.label_template import PLAIN
from lmtx_ray.io.publish import Dataset
from lmtx_ray.student import batching, contrast, losses, text_pairs, triplet
from lmtx_ray.student.any_model import load_model
from lmtx_ray.student.checkpoints import restore, save_checkpoint
from lmtx_ray.student.data_parallel import TextVectors, Workers, joined
from lmtx_ray.student.examples import ExampleReader, ExampleUnit, LabelTexts
from lmtx_ray.student.gradient_cache import learn
from lmtx_ray.student.model_card import base_of, model_card
from lmtx_ray.student.model_folder import model_folder
from lmtx_ray.student.order import Order
from lmtx_ray.student.saving import save_encoder
from lmtx_ray.student.sizes import total_steps
from lmtx_ray.student.telling import Progress, Report, Reports

ALONE = Workers()


@dataclass(frozen=True)
class Lengths:
    """Where the encoder cuts texts when it is used, in tokens; training may cut earlier. And what a
    label's text is made by."""

    document: int = 128
    label: int = 32
    label_template: str = PLAIN


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
    lengths: Lengths = Lengths(),
    report: Report | None = None,
) -> None:
    """One worker: resume, take its share of every batch, checkpoint and publish from rank 0.

    `units` hold the examples, `labels` are the URIs of the labels' fragments; `work` is where
    checkpoints and progress live. All workers call `report` after the same steps.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # all is written before it is read
    student = load_model(model, device=device).train()
    order = example_order(units, config)
    reader, names = ExampleReader(units, order), LabelTexts(labels, lengths.label_template)
    total = total_steps(order.steps, config)
    optimizer = new_optimizer(student, config)
    first = restore(student, optimizer, work, rank)
    workers = Workers(rank, world)
    vectors = joined(TextVectors(student, config), workers)
    progress = Progress(work, total) if rank == 0 else None
    reports = Reports(report, workers, student.device) if report else None
    values: dict[str, float] = {}
    for step, batch in batches(reader, names, config, range(first, total), total):
        last = step + 1 == total
        values = train_step(vectors, optimizer, batch, config, step, total, workers)
        if progress:
            progress.after(step, last, values["loss"])
        if reports:
            reports.after(step, last, len(batch.documents), values)
        if rank == 0 and (step + 1) % config.checkpoint_every == 0 and not last:
            save_checkpoint(student, optimizer, work, step + 1)
    if rank == 0 and not output.is_complete():
        counts = {
            "examples": sum(unit.size for unit in units),
            "labels": len(names),
            "steps": total,
        }
        publish(student.eval(), output, model, config, lengths, counts, values)


def batches(
    reader: ExampleReader, names: LabelTexts, config: FitConfig, steps: range, total: int
) -> Iterator[tuple[int, batching.Batch]]:
    """The batches of `steps` with their numbers; the next is read while one is learnt from."""

    def made(step: int) -> batching.Batch:
        return make_batch(reader.rows(step), names, config, step, total)

    with ThreadPoolExecutor(1) as ahead:
        waiting = ahead.submit(made, steps[0]) if steps else None
        for step in steps:
            assert waiting is not None
            batch = waiting.result()
            if step + 1 in steps:
                waiting = ahead.submit(made, step + 1)
            yield step, batch


def publish(
    student: SentenceTransformer,
    output: Dataset,
    model: str,
    config: FitConfig,
    lengths: Lengths,
    counts: Mapping[str, int],
    last: Mapping[str, float],
) -> None:
    """Publish the student with its card; `counts` and `last` are those of `model_card`."""
    pooling = [part.pooling_mode for part in student if hasattr(part, "pooling_mode")]
    card = model_card(
        base_of(model, model_folder(model)),
        config,
        lengths.document,
        lengths.label,
        lengths.label_template,
        int(student.get_embedding_dimension() or 0),
        str(pooling[0]) if pooling else None,
        counts,
        last,
    )
    output.publish_folder(lambda folder: save_encoder(student, folder, lengths.document, card))


def example_order(units: Sequence[ExampleUnit], config: FitConfig) -> Order:
    """The order in which the units' examples are trained on."""
    return Order(
        tuple(unit.size for unit in units),
        config.batch_size,
        config.shuffle_rows,
        config.seed,
        drop_last=config.drop_last,
    )


def new_optimizer(student: nn.Module, config: FitConfig) -> torch.optim.Optimizer:
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
) -> dict[str, float]:
    """One optimiser step of all workers on one batch; returns the batch's "loss", and as
    "precision_at_1" the share of its documents whose nearest label of the batch is one that the
    judge accepted, both before the step and the same at each worker."""
    seed = np.random.SeedSequence([config.seed, step, workers.rank]).generate_state(1)
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * rate(step, total, config.warmup, config.final_rate)
    optimizer.zero_grad(set_to_none=True)
    seen: list[torch.Tensor] = []

    def loss_of(vectors_TD: torch.Tensor) -> torch.Tensor:
        seen.append(vectors_TD.detach())
        return batch_loss(vectors_TD, batch, config)

    loss = learn(vectors, batch.documents, batch.labels, loss_of, int(seed[0]), workers)
    if config.clip:
        torch.nn.utils.clip_grad_norm_(vectors.parameters(), config.clip)
    optimizer.step()
    return {"loss": float(loss), "precision_at_1": precision_at_1(seen[0], batch)}


def precision_at_1(vectors_TD: torch.Tensor, batch: batching.Batch) -> float:
    """Share of the batch's documents whose nearest label of the batch was accepted."""
    documents_BD, labels_MD = vectors_TD.tensor_split([len(batch.documents)])
    nearest_B = (documents_BD @ labels_MD.T).argmax(dim=1).cpu()
    return float((batch.targets_BM[torch.arange(len(nearest_B)), nearest_B] > 0).float().mean())


def make_batch(
    rows: Sequence[batching.Row],
    names: LabelTexts | Sequence[str],
    config: FitConfig,
    step: int,
    total: int = 1,
) -> batching.Batch:
    """The batch of a step of `total`, by what the rows are and by the recipe."""
    if text_pairs.is_pair_row(rows[0]):
        return text_pairs.pair_batch(rows, names, config, step, total)
    hard = config.negatives if config.judged_negatives else 0
    if config.one_positive:
        return batching.one_positive_batch(rows, names, config.seed, step, hard)
    return batching.soft_batch(rows, names, hard)


def batch_loss(vectors_TD: torch.Tensor, batch: batching.Batch, config: FitConfig) -> torch.Tensor:
    """The loss on the vectors of the batch's documents and labels, in that order."""
    if isinstance(batch, text_pairs.PairBatch):
        return contrast.pair_loss(vectors_TD, batch, config.temperature)
    documents_BD, labels_MD = vectors_TD.tensor_split([len(batch.documents)])
    scores_BM = documents_BD @ labels_MD.T
    targets_BM = batch.targets_BM.to(scores_BM.device)
    judged_BM = batch.judged_BM.to(scores_BM.device)
    if config.unjudged_negatives:  # what was judged is never masked by its score
        judged_BM = torch.ones_like(judged_BM)
    if config.recipe == "paper":
        return triplet.paper_loss(scores_BM, targets_BM, judged_BM, config)
    if config.recipe == "maclr":
        return contrast.in_batch_contrast(scores_BM, targets_BM, config.temperature)
    return losses.multi_positive_info_nce(
        scores_BM, targets_BM, judged_BM, config.temperature, config.mask_share
    )


def rate(step: int, total: int, warmup: float, final: float = 0.0) -> float:
    """Linear warm-up, then linear to `final`; `warmup` is a share below 1 and steps from 1."""
    rising = warmup if warmup >= 1 else max(warmup * total, 1.0)
    falling = max(total - step, 0) / max(total - rising, 1.0)
    return min((step + 1) / rising, final + (1 - final) * falling)
