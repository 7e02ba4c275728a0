"""One run's settings: nests the components' own configs, adds nothing they already say.

Everything here loads in milliseconds, so that `lmtx plan` and `--dry-run` start no library.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from lmtx_ray.config.components import (
    EncoderConfig,
    FitConfig,
    PseudoLabelConfig,
)
from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.config.judge import JudgeConfig, TeacherConfig
from lmtx_ray.config.loading import Config
from lmtx_ray.config.recipes import OF_SOURCE
from lmtx_ray.config.resources import StageResources
from lmtx_ray.config.search import IndexConfig, ShortlistConfig
from lmtx_ray.io import storage
from lmtx_ray.verdicts.store import VerdictStore, own_store

ROUNDS = {"title": 2, "segment": 1}  # cycles of the sources that ask nobody


class CyclesConfig(Config):
    """How often judge and student take turns."""

    most: int = Field(
        3,
        ge=1,
        description="Cycles at most, of source teacher. The first brings most; each asks about "
        "what is new in its shortlists.",
    )
    patience: int = Field(
        1, ge=1, description="Stop after so many cycles without a better judged P@1."
    )


class EvaluationConfig(Config):
    """What is measured on test documents; nothing of it is part of what is trained."""

    precision_at: tuple[int, ...] = Field(
        (1, 3, 5),
        min_length=1,
        description="Cut-offs of P@k, beside P@1. Gains are told for the first of these and of "
        "recall_at.",
    )
    recall_at: tuple[int, ...] = Field((10, 100), min_length=1, description="Cut-offs of R@k.")
    ndcg_at: tuple[int, ...] = Field((5,), description="Cut-offs of nDCG@k.")
    exclude_keys: tuple[str, ...] = Field(
        (),
        description="Keys of labels left out of a second, stricter reading of the same rankings, "
        "such as standing labels that no text names.",
    )
    counts: str | None = Field(
        None,
        description="File of annotated documents, as `corpus.gold` is, to count labels in: PSP@k "
        "and slices by label frequency go by it. Without it they go by the gold of the test "
        "documents.",
    )
    propensity: tuple[float, float] = Field(
        (0.55, 1.5),
        description="A and B of PSP@k (Jain et al. 2016): 0.5 and 0.4 for Wikipedia's sets, 0.6 "
        "and 2.6 for Amazon's.",
    )
    seed: int = Field(13, ge=0, description="Of resampling.")

    @field_validator("precision_at", "recall_at", "ndcg_at")
    @classmethod
    def _count_something(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(k < 1 for k in value):
            raise ValueError("needs cut-offs of at least 1")
        return value

    @field_validator("propensity")
    @classmethod
    def _weighs_all(cls, value: tuple[float, float]) -> tuple[float, float]:
        """With another B a label that was never counted would weigh infinitely much."""
        a, b = value
        if a < 0 or b <= 0:
            raise ValueError("needs A of at least 0 and B of more than 0")
        return value


class RunConfig(Config):
    """A whole run: where its artefacts live and how each step is done."""

    run: str = Field(
        description="Folder of everything this run makes, local or s3://. A killed run goes on "
        "from what is there, and settings that change a result lead to new folders in it."
    )
    source: Literal["teacher", "title", "segment"] = Field(
        "teacher",
        description="What the student learns from. teacher: the judge's answers. title: titles and "
        "their texts, then its own first labels (MACLR). segment: pieces of the same text (RTS). "
        "title and segment need no judge and ask none; nobody then says how right the tags are.",
    )
    unit_documents: int = Field(
        128,
        ge=1,
        description="Documents in a unit of work: what one worker does at once and a killed run "
        "does again. More for large corpora; several units for each worker.",
    )
    unit_labels: int = Field(4096, ge=1, description="Labels in a unit of work.")
    ship: Literal["auto", "dense", "hybrid", "learned"] = Field(
        "auto",
        description="Which ranking tags: the encoder's alone (dense), fused with words (hybrid), "
        "or weighed with them and judged documents (learned). auto is learned, or hybrid where no "
        "document is remembered, unless the judge finds a simpler one better beyond its interval.",
    )
    corpus: CorpusConfig = Field(description="Documents and labels.")
    encoder: EncoderConfig = Field(EncoderConfig(), description="The student before training.")
    index: IndexConfig = Field(IndexConfig(), description="The index over labels.")
    shortlist: ShortlistConfig = Field(ShortlistConfig(), description="Candidates.")
    judge: JudgeConfig = Field(
        JudgeConfig(teacher=TeacherConfig(kind="none")),
        description="Who says which tags are right; without this section nobody does, and what "
        "ships is the untrained hybrid search.",
    )
    pseudo_labels: PseudoLabelConfig = Field(PseudoLabelConfig(), description="Examples.")
    fit: FitConfig = Field(FitConfig(), description="Training.")
    cycles: CyclesConfig = Field(CyclesConfig(), description="How often.")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="On test documents.")
    resources: StageResources = Field(StageResources(), description="Hardware of each stage.")

    @model_validator(mode="before")
    @classmethod
    def _texts_that_differ(cls, values: Any) -> Any:
        """A text that stands in a batch twice has one vector without dropout, and teaches nothing
        by it."""
        if not isinstance(values, dict) or values.get("source", "teacher") == "teacher":
            return values
        fit = values.get("fit") or {}
        return {**values, "fit": {"dropout": None, **fit}} if isinstance(fit, dict) else values

    @field_validator("run")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return storage.usable(value)

    @model_validator(mode="after")
    def _recipe_of_source(self) -> RunConfig:
        wanted = OF_SOURCE.get(self.fit.recipe, self.source)
        if wanted != self.source:
            raise ValueError(f"fit.recipe {self.fit.recipe} is of source: {wanted}")
        return self

    @property
    def has_judge(self) -> bool:
        """Whether anybody can be asked."""
        return self.judge.teacher.kind != "none"

    @property
    def learns_from_judge(self) -> bool:
        """Whether what is learned is what a judge said."""
        return self.source == "teacher" and self.has_judge

    @property
    def rounds(self) -> int:
        """Most cycles of this run: none where there is nothing to learn from, and the untrained
        hybrid ships."""
        if self.source in ROUNDS:
            return ROUNDS[self.source]
        return self.cycles.most if self.has_judge else 0

    @property
    def verdict_store(self) -> VerdictStore:
        """Where this run's verdicts are kept."""
        return VerdictStore(self.judge.store or own_store(self.run))
