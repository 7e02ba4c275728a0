"""What stages ask Ray for."""

from __future__ import annotations

from pydantic import Field, field_validator

from lmtx_ray.config.loading import Config


def check_size(value: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
    """The size of a pool, or its range, as it is. Raises ValueError for one that none can have."""
    if value is None:
        return None
    low, high = (value, value) if isinstance(value, int) else value
    if not 1 <= low <= high:
        raise ValueError(f"needs 1 <= least <= most, got {value}")
    return value


class Resources(Config):
    """What a stage asks Ray for, each actor or task."""

    actors: int | tuple[int, int] | None = Field(
        1,
        description="Size of the pool, or a range [least, most] that grows as needed; none runs "
        "tasks in processes that are there already, which suits what is set up quickly and needs "
        "no GPU. One for each GPU, or for each few cores.",
    )
    cpus: float = Field(1, gt=0, description="Cores of each. As many as its threads.")
    gpus: float = Field(0, ge=0, description="GPUs of each; 1 on machines that have them.")

    _sized = field_validator("actors")(check_size)


class FitResources(Config):
    """What a training worker asks for; `fit.workers` says how many there are."""

    cpus: float = Field(1, gt=0, description="Cores of each worker. As many as its threads.")
    gpus: float | None = Field(
        None,
        ge=0,
        description="GPUs of each worker. Without it one if the cluster has any as training "
        "begins; an autoscaling cluster may have none just then: say 1 there.",
    )


class StageResources(Config):
    """Hardware per stage."""

    fit: FitResources = Field(FitResources(), description="Training.")
    embed: Resources = Field(Resources(), description="Encoders.")
    shortlist: Resources = Field(Resources(actors=None), description="Search, on CPUs.")
    judge: Resources = Field(Resources(), description="Judges.")
