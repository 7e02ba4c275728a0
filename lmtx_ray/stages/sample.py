"""Asks about one sample of pairs where the judge will run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pyarrow as pa
import ray

from lmtx_ray.config.resources import Resources
from lmtx_ray.stages.judge import Asking, AskTeacher


def ask_sample(
    asking: Asking, labels: list[str], documents: pa.Table, rankings: pa.Table, pool: Resources
) -> tuple[pa.Table, dict[str, Any]]:
    """(VERDICTS on every ranked label, what the judge used). Stored verdicts are not asked again.

    Raises:
        Interrupted: As the teacher raised it.
    """
    run = ray.remote(num_cpus=pool.cpus, num_gpus=pool.gpus, max_retries=0)(_ask)
    return ray.get(run.remote(asking, labels, documents, rankings))


def _ask(
    asking: Asking, labels: list[str], documents: pa.Table, rankings: pa.Table
) -> tuple[pa.Table, dict[str, Any]]:
    worker = AskTeacher(asking, labels)
    return worker(documents, rankings), asdict(worker.usage)
