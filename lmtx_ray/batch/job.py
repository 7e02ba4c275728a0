"""What to tag and how: everything that changes the result of a batch job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from lmtx_ray.config.corpus import DocumentsConfig
from lmtx_ray.config.defaults import check_probability
from lmtx_ray.config.loading import Config
from lmtx_ray.corpus.filters import Filter

OutputFormat = Literal["parquet", "jsonl", "csv"]
FILTERS = ("allow", "deny", "under", "allow_column", "deny_column", "self_matches")


class TagJob(Config):
    """`output` is a folder of its own for one such job; what is appended to it later included.

    `keep_field` names a column with label keys that a person set; `pass_through` columns are
    copied. `top_k` and `min_probability` are the bundle's defaults where they are None. A unit of
    work holds about `unit_bytes` of input (more when there would be too many).

    `allow`, `deny` and `under` are label keys as `Tagger.tag` takes them. `allow_column` and
    `deny_column` name columns with such keys for each row; what a row says holds beside what is
    said of all. `self_matches` are keys that may not be a document's tags, by its id.
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
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    under: tuple[str, ...] = ()
    allow_column: str | None = None
    deny_column: str | None = None
    self_matches: dict[str, tuple[str, ...]] = Field(default_factory=dict)

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
        settings = self.model_dump(mode="json", exclude={"bundle", "output", *FILTERS})
        settings["source"].pop("documents")
        settings["source"].pop("limit")
        return {**settings, **self._filters()}

    def filter(self) -> Filter:
        """What holds for all rows."""
        return Filter.of(self.allow, self.deny, self.under)

    def filter_columns(self) -> dict[str, str]:
        """allow, deny → the columns that hold them for each row."""
        columns = {"allow": self.allow_column, "deny": self.deny_column}
        return {name: column for name, column in columns.items() if column}

    def _filters(self) -> dict[str, Any]:
        """Filters that are there: the keys by a hash, as a million would be in every message."""
        given = {name: getattr(self, name) for name in FILTERS}
        return {
            name: value if isinstance(value, str) else _keys(value)
            for name, value in given.items()
            if value is not None and (name == "allow" or value)
        }


def _keys(keys: Collection[str] | Mapping[str, Collection[str]]) -> dict[str, Any]:
    what: list[Any] = sorted(set(keys))
    if isinstance(keys, Mapping):
        what = [[doc_id, *sorted(keys[doc_id])] for doc_id in what]
    text = json.dumps(what)
    return {"keys": len(what), "sha256": hashlib.sha256(text.encode()).hexdigest()}
