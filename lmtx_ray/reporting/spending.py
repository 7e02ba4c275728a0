"""Time, tokens and money, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmtx_ray.config.judge import PriceConfig
from lmtx_ray.io.accounts import Spent
from lmtx_ray.reporting.judging import Asked


@dataclass(frozen=True)
class StepCost:
    """A step of the run. `asked` and `pairs` are None for steps that ask nobody; tokens and
    `requests` where nothing was written down; `money` where no price is set either."""

    name: str
    seconds: float | None
    pairs: int | None = None
    asked: int | None = None
    requests: int | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    money: float | None = None


@dataclass(frozen=True)
class Costs:
    """All steps and their sums. `complete`: all starts of the run are counted, not only the last;
    `priced`: a price is set in the config."""

    steps: tuple[StepCost, ...]
    total: StepCost
    complete: bool
    priced: bool


def costs_of(
    seconds: Mapping[str, float], spent: Spent, asked: Sequence[Asked], price: PriceConfig
) -> Costs:
    """What each step took: of all starts if that was written down, else of the last one."""
    questions = _questions(asked)
    names = dict.fromkeys([*seconds, *spent])
    priced = bool(price.prompt or price.answer)
    steps = tuple(
        _step(
            name,
            spent.get(name, {}).get("wall_seconds", seconds.get(name)),
            questions.get(name),
            spent.get(name),
            price if priced else None,
        )
        for name in names
    )
    return Costs(steps, _total(steps), bool(spent), priced)


def _questions(asked: Sequence[Asked]) -> dict[str, tuple[int, int]]:
    """Driver's name of a step -> (pairs, asked): test documents are judged with the first cycle."""
    found: dict[str, tuple[int, int]] = {}
    for step in asked:
        kind, _, number = step.name.partition(" ")
        *_, number = number.split()  # of "learned selection 2" the name goes on
        by_chance = step.name == "chance verdicts"
        told = {"verdicts": "judge", "selection": "select", "learned": "select learned"}
        name = f"{told[kind]} {number}" if kind in told else "judge 1"
        name = "judge by chance" if by_chance else name
        pairs, now = found.get(name, (0, 0))
        found[name] = pairs + step.pairs, now + step.asked
    return found


def _step(
    name: str,
    seconds: float | None,
    questions: tuple[int, int] | None,
    spent: Mapping[str, float] | None,
    price: PriceConfig | None,
) -> StepCost:
    if questions is None:
        return StepCost(name, seconds)
    pairs, asked = questions
    if spent is None or ("requests" not in spent and asked):
        return StepCost(name, seconds, pairs, asked)
    prompt, answer = (int(spent.get(kind, 0)) for kind in ("prompt_tokens", "answer_tokens"))
    requests = int(spent.get("requests", 0))
    money = (prompt * price.prompt + answer * price.answer) / 1e6 if price else None
    return StepCost(name, seconds, pairs, asked, requests, prompt, answer, money)


def _total(steps: Sequence[StepCost]) -> StepCost:
    """Sums; of what the judge used None where that of a step that asked it is not known."""
    asking = [step for step in steps if step.pairs is not None]

    def total(name: str) -> Any:
        values = [getattr(step, name) for step in asking]
        return None if None in values or not values else sum(values)

    return StepCost(
        "all",
        sum(step.seconds or 0.0 for step in steps),
        pairs=total("pairs"),
        asked=total("asked"),
        requests=total("requests"),
        prompt_tokens=total("prompt_tokens"),
        answer_tokens=total("answer_tokens"),
        money=total("money"),
    )
