"""Trains the student on a cycle's examples with Ray Train.

A step is a function of the weights, the seed and its number: data order and dropout are seeded by
step. So a run that is killed and started again from its last checkpoint ends with the same bits.
Checkpoints are safetensors in our own published folders: a new driver finds them as well as a
restarted worker does.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
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
from lmtx_ray.encoder import load_model, token_budget_batches
from lmtx_ray.hardware import uses_bfloat16
from lmtx_ray.publish import StepOutput

logger = logging.getLogger(__name__)
KEPT = 2  # checkpoints
PROGRESS, PROGRESS_SECONDS = "progress.json", 5.0


def fit(
    documents: StepOutput, labels: StepOutput, examples: StepOutput, initial_model: str,
    config: FitConfig, output: StepOutput, work_uri: str,
) -> None:  # fmt: skip
    """Train and publish the encoder at `output`, a plain sentence-transformers folder.

    Args:
        documents, labels, examples: Published steps. Workers read them on their own; only
            documents with an example and labels that occur are kept in memory.
        initial_model: Folder, URI or hub id to start from.
        work_uri: Where checkpoints live until the encoder is published; removed then.

    Raises:
        ValueError: There is no example to learn from.
    """
    if not examples.rows():
        raise ValueError("no example to train on: the judge accepted no candidate")
    loop = {
        "config": config, "model": initial_model, "output": output, "work": work_uri,
        "documents": documents.files(), "labels": labels.files(), "examples": examples.files(),
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
    with reported_progress(storage.join(work_uri, PROGRESS)):
        trainer.fit()
    output.manifest()  # PublishError here would mean that no worker finished
    storage.remove_folder(work_uri)


@contextmanager
def reported_progress(uri: str) -> Iterator[None]:
    """Logs what the first worker writes at `uri`, as long as the block runs."""
    ended = threading.Event()

    def watch() -> None:
        last = b""
        while not ended.wait(PROGRESS_SECONDS):
            with suppress(storage.StorageError):
                if storage.exists(uri) and (data := storage.read_bytes(uri)) != last:
                    last = data
                    logger.info("fit: step {step}/{of}, loss {loss}".format(**json.loads(data)))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def train_loop(loop: dict[str, Any]) -> None:
    """One worker: resume, take its share of every batch, checkpoint and publish from rank 0."""
    config: FitConfig = loop["config"]
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    if config.threads:
        torch.set_num_threads(max(config.threads // world, 1))
    torch.use_deterministic_algorithms(True, warn_only=True)
    student = load_model(loop["model"], device=str(get_device())).train()
    examples = read_examples(loop, student.tokenizer)
    per_pass = batching.steps_per_pass(
        len(examples), config.batch_size, drop_last=config.recipe == "paper"
    )
    total = per_pass * config.passes
    optimizer = new_optimizer(student, config)
    first = restore(student, optimizer, loop["work"])
    told = time.monotonic()
    for step in range(first, total):
        rows = batching.batch_rows(len(examples), config.batch_size, per_pass, config.seed, step)
        loss = train_step(student, optimizer, examples, rows[rank::world], config, step, total)
        last = step + 1 == total
        if rank == 0 and (last or time.monotonic() - told > PROGRESS_SECONDS):
            told = time.monotonic()
            progress = {"step": step + 1, "of": total, "loss": round(loss, 4)}
            storage.write_bytes(storage.join(loop["work"], PROGRESS), storage.to_json(progress))
        if rank == 0 and (step + 1) % config.checkpoint_every == 0 and not last:
            save_checkpoint(student, optimizer, loop["work"], step + 1)
    if rank == 0 and not loop["output"].is_complete():
        student.eval()
        loop["output"].publish_folder(lambda folder: student.save(str(folder)))


def read_examples(loop: dict[str, Any], tokenizer: Any) -> batching.Examples:
    """The examples with the texts of their documents and labels, tokenised."""
    config: FitConfig = loop["config"]
    table = pa.concat_tables([storage.read_table(uri) for uri in loop["examples"]])
    wanted = pa.array(table["doc_id"].to_pylist(), pa.string())
    texts: dict[str, str] = {}
    for uri in loop["documents"]:
        rows = storage.read_table(uri).select(["doc_id", "title", "text"])
        for row in rows.filter(pc.is_in(rows["doc_id"], value_set=wanted)).to_pylist():
            texts[row["doc_id"]] = document_text(row["title"], row["text"])
    labels = pa.concat_tables([storage.read_table(uri) for uri in loop["labels"]])["text"]
    return batching.make_examples(
        table, texts, labels.to_pylist(), tokenizer, config.max_tokens, config.label_tokens
    )


def new_optimizer(student: SentenceTransformer, config: FitConfig) -> torch.optim.Optimizer:
    """AdamW; single-tensor updates, as the fused ones differ in the last bit by device."""
    return torch.optim.AdamW(
        student.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay,
        eps=1e-6, foreach=False,
    )  # fmt: skip


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
    budget, narrow = config.token_budget, uses_bfloat16(config.dtype)
    with torch.autocast(student.device.type, torch.bfloat16, enabled=narrow):
        documents_BD, labels_MD = (
            embed(student, ids, budget) for ids in (batch.documents, batch.labels)
        )
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


def embed(student: SentenceTransformer, ids: list[list[int]], budget: int) -> torch.Tensor:
    """Unit vectors of token ids, float32 in their order, in passes of texts of like length."""
    batches = token_budget_batches([len(row) for row in ids], budget)
    parts = []
    for places in batches:
        texts = {"input_ids": [ids[place] for place in places]}
        padded = student.tokenizer.pad(texts, return_tensors="pt").to(student.device)
        parts.append(student(dict(padded))["sentence_embedding"].float())
    order = torch.tensor([place for places in batches for place in places])
    return torch.nn.functional.normalize(torch.cat(parts)[order.argsort()], dim=1)


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
