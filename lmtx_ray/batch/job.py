"""What to tag and how: everything that changes the result of a batch job."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.config.loading import Config

OutputFormat = Literal["parquet", "jsonl", "csv"]


class TagJob(Config):
    """`output` is a folder of its own for one such job; what is appended to it later included.

    `keep_field` names a column with label keys that a person set; `pass_through` columns are
    copied. A unit of work holds about `unit_bytes` of input (more when there would be too many).
    """

    bundle: str
    source: DocumentsConfig
    output: str
    top_k: int = Field(5, ge=1)
    min_probability: float = Field(0.0, ge=0, le=1)
    output_format: OutputFormat = "parquet"
    keep_field: str | None = None
    pass_through: tuple[str, ...] = ()
    unit_bytes: int = Field(4 << 20, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> TagJob:
        if self.source.limit:
            raise ValueError("a limit is for training runs; a batch job reads everything")
        taken = {"doc_id", "label_keys", "labels", "scores", "probabilities", "reason"}
        if clash := sorted(taken & set(self.pass_through)):
            raise ValueError(f"pass_through: {clash[0]!r} is a column of the tags themselves")
        return self

    def result_settings(self) -> dict[str, Any]:
        """The settings that change the published rows."""
        settings = self.model_dump(mode="json", exclude={"bundle", "output"})
        settings["source"].pop("documents")
        settings["source"].pop("limit")
        return settings
