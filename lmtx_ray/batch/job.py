"""What to tag and how: everything that changes the result of a batch job."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.config.defaults import check_probability
from lmtx_ray.config.loading import Config

OutputFormat = Literal["parquet", "jsonl", "csv"]


class TagJob(Config):
    """`output` is a folder of its own for one such job; what is appended to it later included.

    `keep_field` names a column with label keys that a person set; `pass_through` columns are
    copied. `top_k` and `min_probability` are the bundle's defaults where they are None. A unit of
    work holds about `unit_bytes` of input (more when there would be too many).
    """

    bundle: str
    source: DocumentsConfig
    output: str
    top_k: int | None = Field(None, ge=1)
    min_probability: float | None = None
    output_format: OutputFormat = "parquet"
    keep_field: str | None = None
    pass_through: tuple[str, ...] = ()
    unit_bytes: int = Field(4 << 20, ge=1)

    @field_validator("min_probability")
    @classmethod
    def _possible(cls, value: float | None) -> float | None:
        if value is not None:
            check_probability(value)
        return value

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
