"""Teachers by name; an engine is imported when it is built, never before."""

from __future__ import annotations

from lmtx_ray.config import ConfigError, fingerprint
from lmtx_ray.model_files import model_identity
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import Teacher, TeacherConfig

NOT_IDENTITY = {"threads", "kv_cache_gib", "gpu_memory_share", "api_key_env", "concurrency",
                "model", "prompt", "max_num_batched_tokens"}  # fmt: skip


def build_teacher(config: TeacherConfig) -> Teacher:
    """The configured teacher, loaded. Raises ConfigError naming the extra a kind needs."""
    if config.kind == "lexical":
        from lmtx_ray.teacher.lexical import LexicalTeacher

        return LexicalTeacher(config)
    if config.kind == "http":
        from lmtx_ray.teacher.http import HttpTeacher

        return HttpTeacher(config)
    try:
        from lmtx_ray.teacher.vllm import VllmTeacher
    except ImportError as error:
        raise ConfigError(
            f"teacher.kind vllm needs the extra cpu or gpu: pip install 'lmtx_ray[cpu]' ({error})"
        ) from error
    return VllmTeacher(config)


def teacher_identity(config: TeacherConfig) -> tuple[str, str]:
    """(prompt, teacher) fingerprints of everything that changes an answer; loads no engine."""
    settings = config.model_dump(mode="json", exclude=NOT_IDENTITY)
    return get_prompt(config.prompt).fingerprint, fingerprint(
        settings, model_identity(config.model)
    )
