"""Time, tokens and money, step by step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmtx_ray.config.judge import PriceConfig
from lmtx_ray.io.accounts import Spent
from lmtx_ray.reporting.judging import Asked


@dataclass(frozen=True)
class StepCost:
    """A step of the run. `asked` and `pairs` are None for steps that ask about no pair; tokens and
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
    names = dict.fromkeys([*seconds, *spent])
    questions = _questions(asked, names)
    names |= dict.fromkeys(questions)  # a step that the store answered spent nothing
    priced = bool(price.prompt or price.answer)
    steps = tuple(
        _step(
            name,
            spent.get(name, {}).get("wall_seconds", seconds.get(name)),
            questions.get(name),
            spent.get(name, {}),
            price if priced else None,
        )
        for name in names
    )
    return Costs(steps, _total(steps), bool(spent), priced)


def _questions(asked: Sequence[Asked], names: Collection[str]) -> dict[str, tuple[int, int]]:
    """Driver's name of a step -> (pairs, asked): test documents are judged with the first cycle, or
    by themselves, where that is among `names`."""
    found: dict[str, tuple[int, int]] = {}
    own = {
        "test verdicts": "judge test" if "judge test" in names else "judge 1",
        "test icxml verdicts": "icxml judge",
        "chance verdicts": "judge by chance",
    }
    kinds = {"verdicts": "judge", "selection": "select", "learned selection": "select learned"}
    for step in asked:
        kind, _, number = step.name.rpartition(" ")
        name = own.get(step.name) or f"{kinds[kind]} {number}"
        pairs, now = found.get(name, (0, 0))
        found[name] = pairs + step.pairs, now + step.asked
    return found


def _step(
    name: str,
    seconds: float | None,
    questions: tuple[int, int] | None,
    spent: Mapping[str, float],
    price: PriceConfig | None,
) -> StepCost:
    pairs, asked = questions or (None, None)
    if "requests" not in spent and asked != 0:
        return StepCost(name, seconds, pairs, asked)
    prompt, answer = (int(spent.get(kind, 0)) for kind in ("prompt_tokens", "answer_tokens"))
    requests = int(spent.get("requests", 0))
    money = price.of(prompt, answer) if price else None
    return StepCost(name, seconds, pairs, asked, requests, prompt, answer, money)


def _total(steps: Sequence[StepCost]) -> StepCost:
    """Sums; of what the judge used None where that of a step that asked it is not known."""
    judged = [step for step in steps if step.pairs is not None]
    asking = [step for step in steps if step.pairs is not None or step.requests is not None]

    def total(name: str, over: Sequence[StepCost] = asking) -> Any:
        values = [getattr(step, name) for step in over]
        return None if None in values or not values else sum(values)

    return StepCost(
        "all",
        sum(step.seconds or 0.0 for step in steps),
        pairs=total("pairs", judged),
        asked=total("asked", judged),
        requests=total("requests"),
        prompt_tokens=total("prompt_tokens"),
        answer_tokens=total("answer_tokens"),
        money=total("money"),
    )
