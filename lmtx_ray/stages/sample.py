"""Asks about one sample of pairs where the judge will run."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import ray

from lmtx_ray.config.resources import Resources
from lmtx_ray.io.progress import working_on
from lmtx_ray.io.stage import Stage
from lmtx_ray.stages.board import Board, board_for, post_now, post_to
from lmtx_ray.stages.judge import Asking, AskTeacher

SAMPLE = "sample"  # what the one unit is called in progress


def ask_sample(
    asking: Asking,
    labels: list[str],
    documents: pa.Table,
    rankings: pa.Table,
    pool: Resources,
    price: Mapping[str, float],
) -> tuple[pa.Table, dict[str, Any]]:
    """(VERDICTS on every ranked label, what the judge used). Stored verdicts are not asked again.

    Raises:
        Interrupted: As the teacher raised it.
    """
    run = ray.remote(num_cpus=pool.cpus, num_gpus=pool.gpus, max_retries=0)(_ask)
    board = board_for(f"judge {asking.prompt.name} {uuid.uuid4().hex[:8]}")
    name = f"judge, {asking.prompt.name}"
    with Stage(name, {SAMPLE: 1.0}, board.look, "pairs", price=price) as stage:
        verdicts, usage = ray.get(run.remote(asking, labels, documents, rankings, board))
        stage.done(SAMPLE, verdicts.num_rows)
    board.close()
    return verdicts, usage


def _ask(
    asking: Asking, labels: list[str], documents: pa.Table, rankings: pa.Table, board: Board
) -> tuple[pa.Table, dict[str, Any]]:
    worker = AskTeacher(asking, labels)
    post_to(board)
    with working_on(SAMPLE):
        verdicts = worker(documents, rankings)
    post_now()
    return verdicts, asdict(worker.usage)
