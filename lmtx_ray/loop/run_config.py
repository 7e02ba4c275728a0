"""One run's settings: nests the components' own configs, adds nothing they already say.

Everything here loads in milliseconds, so that `lmtx plan` and `--dry-run` start no library.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from lmtx_ray.config.components import (
    EncoderConfig,
    FitConfig,
    IndexConfig,
    PseudoLabelConfig,
    ShortlistConfig,
)
from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.config.judge import JudgeConfig, TeacherConfig
from lmtx_ray.config.loading import Config
from lmtx_ray.config.resources import StageResources
from lmtx_ray.io import storage
from lmtx_ray.verdicts.store import VerdictStore


class CyclesConfig(Config):
    """At most `most` cycles; stop after `patience` cycles without a better judged P@1."""

    most: int = Field(3, ge=1)
    patience: int = Field(1, ge=1)


class EvaluationConfig(Config):
    """Cut-offs, and label keys left out of the second, stricter reading of the same rankings. Gains
    are told for the first cut-off of precision and of recall."""

    precision_at: tuple[int, ...] = Field((1, 3, 5), min_length=1)
    recall_at: tuple[int, ...] = Field((10, 100), min_length=1)
    ndcg_at: tuple[int, ...] = (5,)
    exclude_keys: tuple[str, ...] = ()
    seed: int = 13


class RunConfig(Config):
    """A whole run: where its artefacts live and how each step is done."""

    run: str
    unit_documents: int = Field(128, ge=1)
    unit_labels: int = Field(4096, ge=1)
    corpus: CorpusConfig
    encoder: EncoderConfig = EncoderConfig()
    index: IndexConfig = IndexConfig()
    shortlist: ShortlistConfig = ShortlistConfig()
    judge: JudgeConfig = JudgeConfig(teacher=TeacherConfig(kind="none"))
    pseudo_labels: PseudoLabelConfig = PseudoLabelConfig()
    fit: FitConfig = FitConfig()
    cycles: CyclesConfig = CyclesConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    resources: StageResources = StageResources()
    ship: Literal["auto", "dense", "hybrid"] = "auto"

    @field_validator("run")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return storage.absolute(value)

    @property
    def has_judge(self) -> bool:
        """Whether anybody is asked; without, the run ships the untrained hybrid."""
        return self.judge.teacher.kind != "none"

    @property
    def rounds(self) -> int:
        """Most cycles of this run: none where there is nobody to learn from."""
        return self.cycles.most if self.has_judge else 0

    @property
    def verdict_store(self) -> VerdictStore:
        """Where this run's verdicts are kept."""
        return VerdictStore(self.judge.store or storage.join(self.run, "verdict-store"))
