"""Training workers that need no Ray: one process each, joined by gloo.

    python -m tests.student.workers FOLDER JOBS

JOBS is a JSON list of {"name", "config", "works"}, with a worker for each of `works`, its folder
of checkpoints in FOLDER. Before the job, `copy` (if given) copies folders. A job's encoder is
published at FOLDER/NAME; FOLDER/NAME.txt gets the errors, a line for each worker that failed.

Plain gradient descent stands for AdamW, which would hide the scale of a gradient.
"""

from __future__ import annotations

import json
import shutil
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from lmtx_ray.config.components import FitConfig
from lmtx_ray.corpus import schemas
from lmtx_ray.io.publish import Dataset
from lmtx_ray.student import training
from lmtx_ray.student.examples import example_units
from tests.tiny import TOPICS

EXAMPLES = 49


def corpus() -> dict[str, pa.Table]:
    topics = [number % len(TOPICS) for number in range(EXAMPLES)]
    doc_ids = [f"d{number}" for number in range(EXAMPLES)]
    documents = {
        "doc_id": doc_ids,
        "title": [None] * EXAMPLES,
        "text": [f"a study of {TOPICS[t]} " + "pain " * (n % 9) for n, t in enumerate(topics)],
    }
    examples = {
        "doc_id": doc_ids,
        "positives": [[t, (t + 3) % len(TOPICS)] for t in topics],
        "targets": [[0.9, 0.6]] * EXAMPLES,
        "hard_negatives": [[(t + 1) % len(TOPICS)] for t in topics],
    }
    return {
        "documents": pa.table(documents),
        "labels": pa.table({"text": [f"{topic} disease" for topic in TOPICS]}),
        "examples": schemas.conform(pa.table(examples), schemas.EXAMPLES),
    }


def published(folder: Path) -> list[Dataset]:
    steps = []
    for name, table in corpus().items():
        steps.append(Dataset(str(folder / name), name))
        if not steps[-1].is_complete():
            steps[-1].publish_table(table, 20)
    return steps


def worker(folder: Path, encoder: str, job: dict[str, Any], rank: int) -> None:
    torch.set_num_threads(1)
    training.new_optimizer = lambda student, config: torch.optim.SGD(
        student.parameters(), lr=0.05, momentum=0.9
    )
    world = len(job["works"])
    meeting = f"file://{folder}/{job['name']}.meeting"
    torch.distributed.init_process_group("gloo", meeting, rank=rank, world_size=world)
    documents, labels, examples = published(folder)
    try:
        training.train(
            FitConfig(**job["config"]),
            encoder,
            example_units(documents, examples),
            labels.files(),
            Dataset(str(folder / job["name"]), job["name"]),
            str(folder / job["works"][rank]),
            rank=rank,
            world=world,
            device="cpu",
        )
    except Exception as error:
        with (folder / f"{job['name']}.txt").open("a") as file:
            file.write(f"{error}\n")
        raise


def main(folder: Path, jobs: list[dict[str, Any]]) -> None:
    published(folder)
    context = get_context("fork")
    for job in jobs:
        for source, target in job.get("copy", {}).items():
            shutil.copytree(folder / source, folder / target)
        processes = [
            context.Process(target=worker, args=(folder, str(folder / "start"), job, rank))
            for rank in range(len(job["works"]))
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
