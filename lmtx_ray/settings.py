"""One run's settings: nests the components' own configs, adds nothing they already say.

Everything here loads in milliseconds, so that `lmtx plan` and `--dry-run` start no library.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from lmtx_ray import storage
from lmtx_ray.config import Config
from lmtx_ray.config_models import EncoderConfig, FitConfig, IndexConfig
from lmtx_ray.corpus import CorpusConfig
from lmtx_ray.pseudo_labels import PseudoLabelConfig
from lmtx_ray.teacher.budget import BudgetConfig
from lmtx_ray.teacher.protocol import TeacherConfig
from lmtx_ray.verdicts.store import VerdictStore


class Resources(Config):
    """What a stage asks Ray for, each actor or task.

    `actors` is the size of the pool, or an autoscaling range of two; None runs tasks in processes
    that are there already, which suits what is set up quickly and needs no GPU.
    """

    actors: int | tuple[int, int] | None = 1
    cpus: float = Field(1, gt=0)
    gpus: float = Field(0, ge=0)

    @field_validator("actors")
    @classmethod
    def _positive(cls, value: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
        if value is None:
            return None
        low, high = (value, value) if isinstance(value, int) else value
        if not 1 <= low <= high:
            raise ValueError(f"needs 1 <= least <= most, got {value}")
        return value


class FitResources(Config):
    """What a training worker asks for; the fit section says how many there are.

    `gpus` None means one if the cluster has any as training begins. An autoscaling cluster may
    have none just then: say 1 there.
    """

    cpus: float = Field(1, gt=0)
    gpus: float | None = Field(None, ge=0)


class StageResources(Config):
    """Hardware per stage."""

    fit: FitResources = FitResources()
    embed: Resources = Resources()
    shortlist: Resources = Resources(actors=None)
    judge: Resources = Resources()


class ShortlistConfig(Config):
    """Candidates: `depth` labels are kept per document from each side, then fused."""

    depth: int = Field(100, ge=1)
    dense_weight: float = Field(1.0, ge=0)
    lexical_weight: float = Field(1.0, ge=0)
    fusion_constant: int = Field(60, ge=1)


class PriceConfig(Config):
    """What a million tokens cost, in any currency, of prompts and of answers."""

    prompt: float = Field(0.0, ge=0)
    answer: float = Field(0.0, ge=0)


class JudgeConfig(Config):
    """Which candidates are worth a question: `top_k` of a training document, `select_k` of each
    ranking of a held-aside document, `rerank_k` of a test document (evaluation only; 0 = none).

    `store` is where verdicts are kept, a folder or an s3:// URI that any number of runs may share;
    without it they are kept inside the run. `check` asks one question before anything long, and
    stops where the first few hundred answers teach nothing.
    """

    teacher: TeacherConfig
    top_k: int = Field(20, ge=1)
    select_k: int = Field(3, ge=1)
    rerank_k: int = Field(0, ge=0)
    store: str = ""
    check: bool = True
    price: PriceConfig = PriceConfig()
    budget: BudgetConfig = BudgetConfig()

    @field_validator("store")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return storage.absolute(value) if value else ""


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
    judge: JudgeConfig
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
    def verdict_store(self) -> VerdictStore:
        """Where this run's verdicts are kept."""
        return VerdictStore(self.judge.store or storage.join(self.run, "verdict-store"))
