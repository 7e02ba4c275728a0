"""Settings of search: the index over labels, and how what its sides find becomes candidates."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from lmtx_ray.config.languages import checked
from lmtx_ray.config.loading import Config

SearchWay = Literal["auto", "replicated", "chain"]
FUSION_CONSTANT = 10  # chosen on halves of three sets: docs/concepts/fusion.md


class IndexConfig(Config):
    """The index over label vectors."""

    shards: int = Field(
        1,
        ge=1,
        description="Equal parts of the index; answers of exact search do not depend on it. More "
        "where it is too large for one machine of the service (some millions of labels).",
    )
    search: SearchWay = Field(
        "auto",
        description="replicated: each worker of the shortlist maps the whole index; chain: each "
        "stage of a chain a part of it; auto: a chain where half of a node's memory is too little "
        "for the index. The answers do not depend on it.",
    )
    kind: Literal["auto", "exact", "ivf", "hnsw"] = Field(
        "auto",
        description="exact looks at all labels; ivf (lists) and hnsw (a graph) at those near a "
        "query. auto is exact as long as that reads at most 128 MiB a query (87,000 labels of 384 "
        "dimensions, 349,000 where the processor multiplies 8-bit integers; with GPUs what fits "
        "in index.memory_gib), then ivf. Filters are exact with all of them.",
    )
    recall: float = Field(
        0.99,
        gt=0,
        le=1,
        description="The share of the 100 nearest labels that an approximate index has to find, "
        "measured where it is built; exact search where it does not. auto is exact for 1.",
    )
    memory_gib: float = Field(
        6.0,
        gt=0,
        description="Of auto: an exact search that would read more memory than this is not used.",
    )

    def rule(self) -> dict[str, Any]:
        """What changes the answers and is not the default: steps of a run without it stay those
        that they were."""
        default = IndexConfig()
        counts = ["kind", "recall", "memory_gib"]
        counts += ["shards"] if self.kind in ("ivf", "hnsw") else []
        ours = {name: getattr(self, name) for name in counts}
        return {name: value for name, value in ours.items() if value != getattr(default, name)}


class ShortlistConfig(Config):
    """Candidates: what each side finds, and how both are fused."""

    depth: int = Field(
        100,
        ge=1,
        description="Labels kept of a document from each side. Not fewer than the judge is asked "
        "about.",
    )
    dense_weight: float = Field(
        1.0, ge=0, description="Weight of the encoder's ranking; 0 leaves it out."
    )
    lexical_weight: float = Field(
        1.0, ge=0, description="Weight of the ranking by words; 0 leaves it out."
    )
    fusion_constant: int = Field(
        FUSION_CONSTANT,
        ge=1,
        description="Of reciprocal rank fusion: lower trusts first places more.",
    )
    languages: tuple[str, ...] = Field(
        (),
        description="ISO 639-1 codes of the languages of labels and documents, such as [de, en]: "
        "words are compared by their stems in each of them, without function words. Without any, "
        "English plurals are folded. zh, ja, ko and th have no stems: they need nothing.",
    )
    memory_documents: int = Field(
        100_000,
        ge=0,
        description="Judged documents that are remembered at most, drawn by their ids: labels "
        "accepted on the nearest of them, and how often each label is accepted, are weighed with "
        "the other sides as the judge's answers on held-aside documents say (learned fusion). The "
        "judge is asked about some more pairs for it; 0 leaves it out. Each takes four bytes for "
        "each dimension of the encoder.",
    )

    @model_validator(mode="after")
    def _finds_something(self) -> ShortlistConfig:
        if not self.dense_weight + self.lexical_weight:
            raise ValueError("dense_weight and lexical_weight are both 0: no label would be found")
        return self

    @field_validator("languages", mode="before")
    @classmethod
    def _norwegian(cls, value: Any) -> Any:
        """YAML reads `no` as false."""
        codes = value if isinstance(value, list | tuple) else [value]
        return tuple("no" if code is False else code for code in codes)

    @field_validator("languages")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return checked(value)
