"""What makes two teachers the same: everything that changes an answer, and nothing else."""

from __future__ import annotations

from lmtx_ray.config import fingerprint
from lmtx_ray.model_files import model_identity
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import TeacherConfig

NOT_IDENTITY = {"threads", "kv_cache_gib", "gpu_memory_share", "api_key_env", "concurrency",
                "model", "prompt", "max_num_batched_tokens"}  # fmt: skip


def teacher_identity(config: TeacherConfig) -> tuple[str, str]:
    """(prompt, teacher) fingerprints of everything that changes an answer; loads no engine."""
    settings = config.model_dump(mode="json", exclude=NOT_IDENTITY)
    return get_prompt(config.prompt).fingerprint, fingerprint(
        settings, model_identity(config.model)
    )
