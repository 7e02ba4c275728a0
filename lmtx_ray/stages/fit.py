"""Runs the training loop on Ray Train workers.

The loop itself is in `training`, which a worker imports: the driver and Ray's controller need none
of it, and start faster without.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import ray.train
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device

from lmtx_ray.config.components import EncoderConfig, FitConfig
from lmtx_ray.config.resources import FitResources
from lmtx_ray.io import storage
from lmtx_ray.io.progress import Snapshot
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.stage import Stage
from lmtx_ray.student.examples import example_units

LOOK_SECONDS = 3.0
RETRIES, WHERE_MACHINES_GO = 2, 100  # an error of the training itself is met again at once
# Each starts a process of its own, which takes seconds: one deals out data sets, of which the
# trainer gets none; one waits for a detached controller's death, and ours goes with its driver.
SPARED = {"DatasetsCallback", "PlacementGroupCleanerCallback"}


def fit(
    documents: Dataset,
    labels: Dataset,
    examples: Dataset,
    initial_model: str,
    config: FitConfig,
    output: Dataset,
    work_uri: str,
    resources: FitResources | None = None,
    encoder: EncoderConfig | None = None,
) -> None:
    """Train and publish the encoder at `output`, a plain sentence-transformers folder.

    Args:
        documents, labels, examples: Published steps; the units of the examples are among those
            of the documents. Workers read them on their own, a window of units at a time.
        initial_model: Folder, URI or hub id to start from.
        work_uri: Where checkpoints live until the encoder is published; removed then.
        resources: What each worker asks for.
        encoder: How the encoder is used; its folder says where texts are cut.

    Raises:
        ValueError: There is no example to learn from, or a unit of them without its documents.
    """
    if not examples.rows():
        raise ValueError("no example to train on: the judge accepted no candidate")
    used = encoder or EncoderConfig()
    loop = {
        "config": config,
        "model": initial_model,
        "output": output,
        "work": work_uri,
        "units": example_units(documents, examples),
        "labels": labels.files(),
        "reading": (used.max_tokens, used.label_tokens, used.label_template),
    }
    trainer = _Trainer(
        train_loop,
        train_loop_config=loop,
        scaling_config=_scaling(config.workers, resources or FitResources()),
        run_config=RunConfig(
            name=f"fit-{output.fingerprint}",
            storage_path=storage.absolute(work_uri),
            failure_config=FailureConfig(
                max_failures=RETRIES if isinstance(config.workers, int) else WHERE_MACHINES_GO
            ),
        ),
    )
    with shown_steps(storage.join(work_uri, "progress.json")):
        trainer.fit()
    output.manifest()  # PublishError here would mean that no worker finished
    storage.remove_folder(work_uri)


class _Trainer(TorchTrainer):
    """Ray's own would take Ctrl-C for itself, and keep it after the training."""

    def _register_sigint_handler(self, controller: Any) -> None:
        pass

    def _create_default_callbacks(self) -> list[Any]:
        """Without those of `SPARED`."""
        given: list[Any] = super()._create_default_callbacks()
        return [one for one in given if type(one).__name__ not in SPARED]


def _scaling(workers: int | tuple[int, int], resources: FitResources) -> ScalingConfig:
    gpus = resources.gpus
    if gpus is None:
        gpus = float(bool(ray.cluster_resources().get("GPU")))
    asked = {"CPU": resources.cpus} | ({"GPU": gpus} if gpus else {})
    return ScalingConfig(num_workers=workers, use_gpu=gpus > 0, resources_per_worker=asked)


def shown_steps(uri: str) -> Stage:
    """The stage of a training whose first worker writes at `uri` how far it is."""
    last: dict[str, Any] = {}
    looked = 0.0

    def look() -> Snapshot:
        nonlocal last, looked
        if time.monotonic() - looked >= LOOK_SECONDS:
            looked = time.monotonic()
            with suppress(storage.StorageError):
                last = storage.read_json(uri) if storage.exists(uri) else last
        done = last.get("step", 0)
        return Snapshot({"": (done, done / last["of"] if last else 0.0)})

    def note() -> str:
        return f"of {last['of']}, loss {last['loss']}" if last else "starting"

    return Stage("fit", {"": 1.0}, look, "steps", note)


def train_loop(loop: dict[str, Any]) -> None:
    """One worker's part."""
    from lmtx_ray.student.training import Lengths, train

    context = ray.train.get_context()
    train(
        **{name: value for name, value in loop.items() if name != "reading"},
        lengths=Lengths(*loop["reading"]),
        report=ray.train.report,
        rank=context.get_world_rank(),
        world=context.get_world_size(),
        device=str(get_device()),
    )
