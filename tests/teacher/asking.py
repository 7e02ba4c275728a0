"""Questions to a judge behind HTTP."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.teacher.http import HttpTeacher
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import (
    QUESTIONS,
    Unlimited,
)
from tests.fake_llm import FakeJudge


def teacher(judge: FakeJudge, model: str = "ok", budget: Any = None, **more: Any) -> HttpTeacher:
    prompt = get_prompt(more.pop("prompt", "tag"))
    config = TeacherConfig(kind="http", model=model, **{"url": judge.url, **more})
    return HttpTeacher(config, prompt, budget or Unlimited())


def asked(*labels: str, text: str = "the heart and the ear") -> pa.Table:
    row = {
        "doc_id": "a",
        "title": None,
        "text": text,
        "label_ids": list(range(len(labels))),
        "label_texts": list(labels),
    }
    return pa.Table.from_pylist([row], schema=QUESTIONS)


def answers(table: pa.Table) -> list[str]:
    return table["answer"].to_pylist()
