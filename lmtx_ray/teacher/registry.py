"""Teachers by name; an engine is imported when it is built, never before."""

from __future__ import annotations

from lmtx_ray.teacher.protocol import Teacher, TeacherConfig


def build_teacher(config: TeacherConfig) -> Teacher:
    """The configured teacher, loaded. Raises ConfigError for settings its kind cannot use."""
    if config.kind == "lexical":
        from lmtx_ray.teacher.lexical import LexicalTeacher

        return LexicalTeacher(config)
    if config.kind == "http":
        from lmtx_ray.teacher.http import HttpTeacher

        return HttpTeacher(config)
    from lmtx_ray.teacher.vllm import VllmTeacher

    return VllmTeacher(config)
