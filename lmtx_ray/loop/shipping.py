"""Which ranking of which state ships, and in words why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lmtx_ray.evaluation.opinion import Accepted, Gain, Opinion, gain_over, to_ship

UNTRAINED = "hybrid"  # the untouched encoder and the lexical side, fused


@dataclass(frozen=True)
class Choice:
    """`ranking` ("dense", "hybrid" or "learned") of the state `number` ships. `best` is the row of
    what the judge liked most, and `gain` what it is better by than the untrained hybrid; None if it
    is that itself."""

    number: int
    ranking: str
    best: str
    gain: Gain | None
    words: str

    @property
    def method(self) -> str:
        """The row that ships."""
        return final_method(self.number, self.ranking)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a run's summary."""
        gain = None if self.gain is None else {**asdict(self.gain), "sure": self.gain.is_sure}
        return {"method": self.method, "best": self.best, "gain": gain, "words": self.words}


def state_of(method: str) -> tuple[int, str]:
    """(state, ranking) of a row, what `final_method` gave it its name for."""
    if not method.startswith("cycle_"):
        return 0, "hybrid" if method == UNTRAINED else "dense"
    _, number, *ranking = method.split("_")
    return int(number), ranking[0] if ranking else "dense"


def final_method(number: int, ranking: str) -> str:
    """The row of a state's `ranking`, "dense", "hybrid" or "learned"."""
    if number == 0:
        return UNTRAINED if ranking == "hybrid" else "encoder"
    return f"cycle_{number}" if ranking == "dense" else f"cycle_{number}_{ranking}"


def choose(
    best: int,
    opinions: Mapping[int, Mapping[str, Opinion]],
    accepted: Mapping[int, Mapping[str, Accepted]],
    ship: str,
) -> Choice:
    """The best state's ranking (`to_ship`). But what is not better than the untrained hybrid
    beyond chance, by the judge on the same held-aside documents, gives way to it, unless `ship`
    names a ranking. Without any opinion, of a run that asked nobody, the last state ships, which is
    the untrained one where there was nothing to learn from."""
    if not opinions:
        only = "dense" if ship == "dense" else "hybrid"
        name = final_method(best, only)
        how = "trained on the documents' own texts" if best else "untrained"
        return Choice(best, only, name, None, f"nobody judged: {name} ships, {how}")
    ranking = to_ship(opinions[best], ship)
    name = final_method(best, ranking)
    if name == UNTRAINED:
        words = "no cycle is better than the untrained hybrid, which ships"
        return Choice(0, "hybrid", name, None, words)
    gain = gain_over(accepted[best][ranking], accepted[0]["hybrid"])
    if gain.is_sure:
        words = f"{name} ships: it beats the untrained hybrid by {gain}"
        return Choice(best, ranking, name, gain, words)
    words = f"{name} does not beat the untrained hybrid beyond chance: {gain}"
    if ship == "auto":
        return Choice(0, "hybrid", name, gain, f"{words}; so the untrained hybrid ships")
    return Choice(best, ranking, name, gain, f"{words}; it ships as `ship: {ship}` says")
