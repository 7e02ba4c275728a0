"""What a teacher is: a table of documents with candidates in, one answer for each pair out."""

from __future__ import annotations

from typing import Literal, Protocol

import pyarrow as pa
from pydantic import Field

from lmtx_ray.config import Config
from lmtx_ray.schemas import VERDICTS

QUESTIONS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("label_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("label_texts", pa.list_(pa.string()), nullable=False),
    ],
    metadata={b"lmtx.contract": b"questions/1"},
)
ANSWERS = pa.schema(
    [VERDICTS.field(name) for name in ("doc_id", "label_id", "answer", "p_yes", "raw")]
)


class TeacherConfig(Config):
    """Which judge, and how it is asked.

    `model` is a local folder, an s3:// folder or a hub id (vllm), or the served name (http).
    `chat` wraps the prompt in the model's chat template: "auto" does if the model has one and the
    prompt is for instruct models. `url` and `api_key_env` are for http; the key is only read from
    that environment variable.
    """

    kind: Literal["vllm", "http", "lexical"] = "vllm"
    model: str = ""
    prompt: str = "subject"
    chat: Literal["auto", "always", "never"] = "auto"
    max_document_tokens: int = Field(430, ge=1)
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    threads: int | None = Field(None, ge=1)
    kv_cache_gib: int = Field(1, ge=1)
    gpu_memory_share: float = Field(0.9, gt=0, le=1)
    tensor_parallel_size: int = Field(1, ge=1)
    max_num_batched_tokens: int = Field(8192, ge=256)
    url: str = ""
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = Field(16, ge=1)


class Teacher(Protocol):
    """Answers every pair of a QUESTIONS table, in order, as ANSWERS; a failure is `unclear`."""

    fingerprint: str
    prompt_fingerprint: str

    def judge(self, questions: pa.Table) -> pa.Table: ...


def answers_table(rows: list[tuple[str, int, str, float | None, str | None]]) -> pa.Table:
    """ANSWERS from (doc_id, label_id, answer, p_yes, raw) tuples."""
    columns = list(zip(*rows, strict=True)) if rows else [[]] * len(ANSWERS)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, ANSWERS, strict=True)]
    return pa.table(arrays, schema=ANSWERS)
