"""One side of `benchmarks/train.py`, in its own process: `python benchmarks/train_side.py JOB`.

JOB is JSON: {"side", "data", "output", "steps", "batch", "tokens", "threads", "every", "fit",
"rank", "world", "meeting"}. It imports whatever `lmtx_ray` PYTHONPATH leads to, so an older one can
be measured by the same code. The result is written as JSON to "output".
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

Row = dict[str, Any]
FIRST = 2  # steps that are not counted: what is loaded and compiled on first use
RATE, WARMUP, DECAY, TEMPERATURE = 1e-4, 0.1, 0.01, 0.05


class Course:
    """Seconds and losses of a training, without the time that looking took."""

    def __init__(self, job: dict[str, Any], model: SentenceTransformer, rows: list[Row]) -> None:
        self._job, self._model, self._rows = job, model, rows
        self._clocks = (time.monotonic, time.process_time)
        self._began, self._looking = [clock() for clock in self._clocks], [0.0, 0.0]
        self.steps: list[list[float]] = []  # wall and CPU seconds until the end of each
        self.losses: list[tuple[int, float]] = []

    def after(self, step: int) -> None:
        """A step, from 0, is done."""
        now = [clock() for clock in self._clocks]
        pairs = zip(now, self._began, self._looking, strict=True)
        self.steps.append([end - began - looked for end, began, looked in pairs])
        if self._job["every"] and (step + 1) % self._job["every"] == 0:
            self.losses.append((step, held_aside_loss(self._model, self._rows)))
        clocks = zip(self._clocks, now, self._looking, strict=True)
        self._looking = [looked + clock() - end for clock, end, looked in clocks]

    def result(self) -> dict[str, Any]:
        """Per second of wall and CPU time, after the first steps."""
        counted = len(self.steps) - FIRST
        wall, cpu = (self.steps[-1][i] - self.steps[FIRST - 1][i] for i in (0, 1))
        examples = counted * self._job["batch"]
        return {
            "examples_per_second": round(examples / wall, 2),
            "examples_per_cpu_second": round(examples / cpu, 2),
            "wall_seconds": round(wall, 1),
            "cpu_seconds": round(cpu, 1),
            "peak_mib": peak_mib(),
            "losses": [
                {"step": step + 1, "cpu_seconds": round(self.steps[step][1], 1), "loss": loss}
                for step, loss in self.losses
            ],
        }


def peak_mib() -> int:
    """Of this process, by the kernel."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024


@torch.no_grad()
def held_aside_loss(model: SentenceTransformer, rows: list[Row]) -> float:
    """InfoNCE of documents that are not trained on, of each against the labels of all."""
    names = list(dict.fromkeys(name for row in rows for name in row["labels"]))
    place = {name: column for column, name in enumerate(names)}
    kept, random = model.training, torch.get_rng_state()
    model.eval()
    options: dict[str, Any] = {"convert_to_tensor": True, "normalize_embeddings": True}
    documents = model.encode([row["document"] for row in rows], **options)
    logits = documents @ model.encode(names, **options).T / TEMPERATURE
    right = torch.tensor([place[row["labels"][0]] for row in rows])
    model.train(kept)
    torch.set_rng_state(random)
    return round(float(torch.nn.functional.cross_entropy(logits, right)), 4)


def ours(job: dict[str, Any], rows: list[Row], aside: list[Row]) -> dict[str, Any]:
    """The steps of `lmtx_ray`, this one's or an older one's."""
    from lmtx_ray.config.components import FitConfig
    from lmtx_ray.student import training
    from lmtx_ray.student.any_model import load_model
    from lmtx_ray.student.data_parallel import TextVectors, Workers, joined

    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    config = FitConfig(
        batch_size=job["batch"],
        max_tokens=job["tokens"],
        learning_rate=RATE,
        warmup=WARMUP,
        weight_decay=DECAY,
        temperature=TEMPERATURE,
        mask_share=1.0,
        **job["fit"],
    )
    names = list(dict.fromkeys(name for row in rows for name in row["labels"]))
    ids = {name: place for place, name in enumerate(names)}
    examples = [
        {
            "title": None,
            "text": row["document"],
            "positives": [ids[row["labels"][0]]],
            "targets": [1.0],
            "hard_negatives": [ids[name] for name in row["labels"][1:]],
        }
        for row in rows
    ]
    workers = Workers(job["rank"], job["world"])
    if workers.world > 1:
        torch.distributed.init_process_group(
            "gloo", f"file://{job['meeting']}", rank=workers.rank, world_size=workers.world
        )
    student = load_model("minilm", device="cpu").train()
    student.max_seq_length = job["tokens"]
    optimizer = training.new_optimizer(student, config)
    vectors = joined(TextVectors(student, config), workers)
    course = Course(job, student, aside)
    for step in range(job["steps"]):
        start = step * job["batch"] % len(examples)
        batch = training.make_batch(examples[start : start + job["batch"]], names, config, step)
        training.train_step(vectors, optimizer, batch, config, step, job["steps"], workers)
        course.after(step)
    return course.result()


def theirs(job: dict[str, Any], rows: list[Row], aside: list[Row]) -> dict[str, Any]:
    """sentence-transformers' own trainer with its loss of one positive and named negatives."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer import losses
    from transformers import TrainerCallback

    from lmtx_ray.search.hardware import uses_bfloat16
    from lmtx_ray.student.any_model import load_model

    model = load_model("minilm", device="cpu")
    model.max_seq_length = job["tokens"]
    course = Course(job, model, aside)

    class Look(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            course._began = [clock() for clock in course._clocks]

        def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            course.after(state.global_step - 1)

    columns = {"anchor": [row["document"] for row in rows]}
    columns |= {
        f"label{n}": [row["labels"][n] for row in rows] for n in range(len(aside[0]["labels"]))
    }
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            max_steps=job["steps"],
            per_device_train_batch_size=job["batch"],
            learning_rate=RATE,
            warmup_steps=WARMUP,
            weight_decay=DECAY,
            use_cpu=True,
            bf16=uses_bfloat16("auto"),
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            seed=13,
        )
        SentenceTransformerTrainer(
            model,
            arguments,
            train_dataset=Dataset.from_dict(columns),
            loss=losses.MultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE),
            callbacks=[Look()],
        ).train()
    return course.result()


def main() -> None:
    job = json.loads(sys.argv[1])
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(job["threads"])
    rows = json.loads(Path(job["data"]).read_text(encoding="utf-8"))
    side = theirs if job["side"] == "sentence-transformers" else ours
    result = side(job, rows["train"], rows["aside"])
    Path(job["output"]).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
