"""Training checkpoints: weights and AdamW state as safetensors in published folders of our own, so
that a new driver finds them as well as a restarted worker does."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.student.data_parallel import told_by_the_first

logger = logging.getLogger(__name__)
KEPT = 2


def save_checkpoint(
    student: torch.nn.Module, optimizer: torch.optim.Optimizer, work: str, step: int
) -> None:
    """Publish weights and AdamW state after `step` steps; keeps the newest few."""
    names = [name for name, _ in student.named_parameters()]

    def save(folder: Path) -> None:
        state, kept = student.state_dict(), set(_kept_names(student).values())
        weights = {name: state[name].contiguous() for name in state if name in kept}
        save_file(weights, folder / "model.safetensors")
        flat = {
            f"{kind}/{names[place]}": value.contiguous()
            for place, entry in optimizer.state_dict()["state"].items()
            for kind, value in entry.items()
        }
        save_file(flat, folder / "optimizer.safetensors")
        (folder / "step.json").write_text(json.dumps({"step": step}), encoding="utf-8")

    Dataset(_uri(work, step)).publish_folder(save)
    for old in checkpoints(work)[:-KEPT]:
        storage.remove_folder(old)


def _kept_names(student: torch.nn.Module) -> dict[str, str]:
    """Of each name in the student's state the one that its tensor is kept under: a tensor may have
    several, as T5's embeddings have, and safetensors takes each once."""
    first: dict[int, str] = {}
    state = student.state_dict(keep_vars=True)
    return {name: first.setdefault(id(value), name) for name, value in state.items()}


def _uri(work: str, step: int) -> str:
    return storage.join(work, f"checkpoint-{step:07d}")


def checkpoints(work: str) -> list[str]:
    """URIs of published checkpoints, oldest first."""
    manifests = storage.list_files(work, "/MANIFEST.json")
    return [uri.removesuffix("/MANIFEST.json") for uri in manifests]


def restore(
    student: torch.nn.Module, optimizer: torch.optim.Optimizer, work: str, rank: int = 0
) -> int:
    """Load the newest checkpoint that is whole for the first worker, at every worker; returns the
    step to go on with, 0 without one.

    Raises:
        StorageError: Another worker cannot read that checkpoint.
    """
    own = _newest(student, optimizer, work) if rank == 0 else 0
    step = told_by_the_first(own, next(student.parameters()).device)
    if rank and step:
        uri = _uri(work, step)
        try:
            _load(student, optimizer, uri)
        except (PublishError, OSError) as error:
            raise storage.StorageError(
                f"training: worker {rank} cannot read {uri}, with which worker 0 goes on; all "
                f"nodes must see the run's folder ({error})"
            ) from error
    return step


def _newest(student: torch.nn.Module, optimizer: torch.optim.Optimizer, work: str) -> int:
    for uri in reversed(checkpoints(work)):
        try:
            step = _load(student, optimizer, uri)
        except (PublishError, OSError) as error:
            logger.warning("checkpoint passed over: %s", error)
            continue
        logger.info("training goes on after step %d", step)
        return step
    return 0


def _load(student: torch.nn.Module, optimizer: torch.optim.Optimizer, uri: str) -> int:
    with storage.scratch_folder() as folder:
        Dataset(uri).download(folder)
        weights = load_file(f"{folder}/model.safetensors")
        flat = load_file(f"{folder}/optimizer.safetensors")
        step = json.loads(Path(folder, "step.json").read_text(encoding="utf-8"))["step"]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for place, (name, _) in enumerate(student.named_parameters()):
        entry = {
            key.split("/", 1)[0]: value
            for key, value in flat.items()
            if key.split("/", 1)[1] == name
        }
        if entry:
            state[place] = entry
    student.load_state_dict({name: weights[own] for name, own in _kept_names(student).items()})
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return step
