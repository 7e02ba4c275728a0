"""What stages ask Ray for."""

from __future__ import annotations

from pydantic import Field, field_validator

from lmtx_ray.config.loading import Config


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
