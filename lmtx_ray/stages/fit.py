"""Trains the student on a cycle's examples with Ray Train.

A step is a function of the weights, the seed and its number: data order and dropout are seeded by
step. So a run that is killed and started again from its last checkpoint ends with the same bits.
Checkpoints are safetensors in our own published folders: a new driver finds them as well as a
restarted worker does.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from torch import distributed

from lmtx_ray import batching, losses, storage
from lmtx_ray.config_models import FitConfig
from lmtx_ray.corpus import document_text
from lmtx_ray.encoder import load_model
from lmtx_ray.publish import StepOutput

logger = logging.getLogger(__name__)
KEPT = 2  # checkpoints


def fit(
    documents: pa.Table, labels: pa.Table, examples: pa.Table, initial_model: str,
    config: FitConfig, output: StepOutput, work_uri: str,
) -> None:  # fmt: skip
    """Train and publish the encoder at `output`, a plain sentence-transformers folder.

    Args:
        documents, labels, examples: Tables of those contracts; only documents with an example and
            labels that occur are read from the first two.
        initial_model: Folder, URI or hub id to start from.
        work_uri: Where checkpoints live until the encoder is published.

    Raises:
        ValueError: There is no example to learn from.
    """
    if examples.num_rows == 0:
        raise ValueError("no example to train on: the judge accepted no candidate")
    wanted = set(examples["doc_id"].to_pylist())
    rows = documents.select(["doc_id", "title", "text"]).to_pylist()
    texts = {
        row["doc_id"]: document_text(row["title"], row["text"])
        for row in rows
        if row["doc_id"] in wanted
    }
    loop = {
        "config": config, "model": initial_model, "texts": texts, "examples": examples,
        "labels": labels["text"].to_pylist(), "output": output, "work": work_uri,
    }  # fmt: skip
    gpu = bool(ray.cluster_resources().get("GPU"))
    trainer = TorchTrainer(
        train_loop,
        train_loop_config=loop,
        scaling_config=ScalingConfig(num_workers=config.workers, use_gpu=gpu),
        run_config=RunConfig(
            name=f"fit-{output.fingerprint}",
            storage_path=storage.absolute(work_uri),
            failure_config=FailureConfig(max_failures=2),
        ),
    )
    trainer.fit()
    output.manifest()  # PublishError here would mean that no worker finished


def train_loop(loop: dict[str, Any]) -> None:
    """One worker: resume, take its share of every batch, checkpoint and publish from rank 0."""
    config: FitConfig = loop["config"]
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    if config.threads:
        torch.set_num_threads(max(config.threads // world, 1))
    torch.use_deterministic_algorithms(True, warn_only=True)
    student = load_model(loop["model"], device=str(get_device())).train()
    examples = batching.make_examples(
        loop["examples"], loop["texts"], loop["labels"], student.tokenizer,
        config.max_tokens, config.label_tokens,
    )  # fmt: skip
    per_pass = batching.steps_per_pass(
        len(examples), config.batch_size, drop_last=config.recipe == "paper"
    )
    total = per_pass * config.passes
    optimizer = torch.optim.AdamW(
        student.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay,
        eps=1e-6, foreach=False,
    )  # fmt: skip
    first = restore(student, optimizer, loop["work"])
    for step in range(first, total):
        rows = batching.batch_rows(len(examples), config.batch_size, per_pass, config.seed, step)
        loss = train_step(student, optimizer, examples, rows[rank::world], config, step, total)
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == total:
            if rank == 0 and step + 1 < total:
                save_checkpoint(student, optimizer, loop["work"], step + 1)
            if rank == 0:
                storage.write_bytes(
                    storage.join(loop["work"], "progress.json"),
                    storage.to_json({"step": step + 1, "of": total, "loss": round(loss, 4)}),
                )
            ray.train.report({"step": step + 1, "steps": total, "loss": loss})
    if rank == 0 and not loop["output"].is_complete():
        student.eval()
        loop["output"].publish_folder(lambda folder: student.save(str(folder)))


def train_step(
    student: SentenceTransformer, optimizer: torch.optim.Optimizer, examples: batching.Examples,
    rows: list[int], config: FitConfig, step: int, total: int,
) -> float:  # fmt: skip
    """One optimiser step, gradients averaged over workers; returns this worker's loss."""
    torch.manual_seed(config.seed * 1_000_003 + step)
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * rate(step, total, config.warmup)
    optimizer.zero_grad(set_to_none=True)
    loss = 0.0
    if rows:  # the last batch of a pass may leave a worker without one
        value = batch_loss(student, examples, rows, config, step)
        value.backward()
        loss = float(value.detach())
    average_gradients(student)
    if config.recipe == "default":
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0, foreach=False)
    optimizer.step()
    return loss


def batch_loss(
    student: SentenceTransformer, examples: batching.Examples, rows: list[int], config: FitConfig,
    step: int,
) -> torch.Tensor:  # fmt: skip
    """The recipe's loss on these rows."""
    if config.recipe == "paper":
        batch = batching.paper_batch(examples, rows, config.seed, step)
    else:
        batch = batching.soft_batch(examples, rows, config.negatives)
    scores_BM = embed(student, batch.documents) @ embed(student, batch.labels).T
    targets_BM = batch.targets_BM.to(scores_BM.device)
    judged_BM = batch.judged_BM.to(scores_BM.device)
    if config.recipe == "paper":
        return losses.online_hard_negative_triplet(
            scores_BM, judged_BM, config.margin, config.negatives
        )
    return losses.multi_positive_info_nce(
        scores_BM, targets_BM, judged_BM, config.temperature, config.mask_share
    )


def embed(student: SentenceTransformer, ids: list[list[int]]) -> torch.Tensor:
    """Unit vectors of token ids, padded to the longest."""
    padded = student.tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(student.device)
    return torch.nn.functional.normalize(student(dict(padded))["sentence_embedding"], dim=1)


def average_gradients(student: SentenceTransformer) -> None:
    """Mean gradient over workers. Two forward passes share one backward pass here, which
    DistributedDataParallel does not support, and one call at its end needs no hooks."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return
    parameters = [value for value in student.parameters() if value.requires_grad]
    grads = [torch.zeros_like(value) if value.grad is None else value.grad for value in parameters]
    flat = torch.cat([grad.reshape(-1) for grad in grads])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for value, part in zip(parameters, flat.split([grad.numel() for grad in grads]), strict=True):
        value.grad = part.view_as(value)


def rate(step: int, total: int, warmup: float) -> float:
    """Linear warm-up, then linear to 0; `warmup` is a share below 1 and steps from 1."""
    rising = warmup if warmup >= 1 else max(warmup * total, 1.0)
    return min((step + 1) / rising, max(total - step, 0) / max(total - rising, 1.0))


def save_checkpoint(
    student: SentenceTransformer, optimizer: torch.optim.Optimizer, work: str, step: int
) -> None:
    """Publish weights and AdamW state after `step` steps; keeps the newest few."""
    names = [name for name, _ in student.named_parameters()]

    def save(folder: Path) -> None:
        save_file({name: value.contiguous() for name, value in student.state_dict().items()},
                  folder / "model.safetensors")  # fmt: skip
        state = optimizer.state_dict()["state"]
        flat = {f"{kind}/{names[place]}": value.contiguous() for place, entry in state.items()
                for kind, value in entry.items()}  # fmt: skip
        save_file(flat, folder / "optimizer.safetensors")
        (folder / "step.json").write_text(json.dumps({"step": step}), encoding="utf-8")

    StepOutput(storage.join(work, f"checkpoint-{step:07d}"), "").publish_folder(save)
    for old in checkpoints(work)[:-KEPT]:
        storage.remove_folder(old)


def checkpoints(work: str) -> list[str]:
    """URIs of published checkpoints, oldest first."""
    manifests = storage.list_files(work, "/MANIFEST.json")
    return [uri.removesuffix("/MANIFEST.json") for uri in manifests]


def restore(student: SentenceTransformer, optimizer: torch.optim.Optimizer, work: str) -> int:
    """Load the newest checkpoint; returns the step to go on with, 0 without a checkpoint."""
    found = checkpoints(work)
    if not found:
        return 0
    StepOutput(found[-1], "").verify()
    with TemporaryDirectory() as folder:
        storage.download_folder(found[-1], folder)
        student.load_state_dict(load_file(f"{folder}/model.safetensors"))
        flat = load_file(f"{folder}/optimizer.safetensors")
        step = json.loads(Path(folder, "step.json").read_text(encoding="utf-8"))["step"]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for place, (name, _) in enumerate(student.named_parameters()):
        entry = {key.split("/", 1)[0]: value for key, value in flat.items()
                 if key.split("/", 1)[1] == name}  # fmt: skip
        if entry:
            state[place] = entry
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    logger.info("training goes on after step %d", step)
    return step


