"""Several judges as one teacher: the mean of their log-odds, and how much they agree.

A member that is unclear about a pair has no say on it. One that states its answer without a
probability counts as sure to nine in ten. What each one said stands in `raw`, so that agreement can
be told from verdicts alone.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.priors import log_odds, sigmoid
from lmtx_ray.teacher.prompts import Prompt, get_prompt
from lmtx_ray.teacher.protocol import Teacher, Usage, answers_table, with_answers
from lmtx_ray.teacher.reading import Reading, decide

STATED = 0.9  # P of an answer that came without a probability
SURE = 1e-6  # nearer to 0 or 1 than this, one judge would outvote all others
BETWEEN = " | "
SHOWN = {
    "text": "a label",
    "description": "what it means",
    "aliases": ["another name"],
    "parents": ["what is above it"],
}


class EnsembleTeacher:
    """A Teacher (see protocol) over others, which are asked one after the other.

    Raises:
        ConfigError: See `check_prompts`.
    """

    def __init__(self, config: TeacherConfig, prompt: Prompt, members: Sequence[Teacher]) -> None:
        check_prompts(config, prompt)
        self.prompt_fingerprint, self.fingerprint = teacher_identity(config, prompt)
        self._members = members

    @property
    def commit(self) -> str:
        """The members' commits, where they have some."""
        return " ".join(member.commit for member in self._members if member.commit)

    @property
    def usage(self) -> Usage:
        """What all members used together."""
        used = [member.usage for member in self._members]
        return Usage(
            sum(one.requests for one in used),
            sum(one.prompt_tokens for one in used),
            sum(one.answer_tokens for one in used),
            sum(one.seconds for one in used),
        )

    def judge(self, questions: pa.Table) -> pa.Table:
        """ANSWERS, one row for each pair. Raises Interrupted, as a member raised it: the answers of
        one member alone are no answers of the ensemble."""
        try:
            said = [member.judge(questions).to_pylist() for member in self._members]
        except Exception as stop:
            with_answers(stop, None)
            raise
        pairs = [(row["doc_id"], row["label_id"]) for row in said[0]]
        return answers_table(pairs, [combined(rows) for rows in zip(*said, strict=True)])


def check_prompts(config: TeacherConfig, prompt: Prompt) -> None:
    """Refuse members whose prompts show another part of a label than the ensemble's own prompt,
    which says what all see of it. Raises ConfigError."""
    wanted = prompt.label_text(SHOWN)
    for place, member in enumerate(config.members):
        if get_prompt(member.prompt).label_text(SHOWN) != wanted:
            raise ConfigError(
                f"judge.teacher.members.{place}.prompt: {member.prompt} shows another part of a "
                f"label than judge.teacher.prompt {prompt.name}; give the ensemble and its members "
                "prompts with the same placeholders"
            )


def combined(rows: Sequence[dict[str, Any]]) -> Reading:
    """What several judges' answers about one pair say together."""
    raw = BETWEEN.join(map(_told, rows))
    odds = [_log_odds(row) for row in rows if row["answer"] != "unclear"]
    if not odds:
        return Reading("unclear", raw=raw)
    p_yes = sigmoid(sum(odds) / len(odds))
    return Reading(decide(p_yes, None, 0.0), p_yes, raw=raw)


def _told(row: dict[str, Any]) -> str:
    known = row["answer"] != "unclear" and row["p_yes"] is not None
    return f"{row['answer']} {row['p_yes']:.4f}" if known else str(row["answer"])


def _log_odds(row: dict[str, Any]) -> float:
    p_yes = row["p_yes"]
    if p_yes is None:
        p_yes = STATED if row["answer"] == "yes" else 1 - STATED
    return log_odds(p_yes, SURE)


def agreement(raws: Iterable[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each two members how they agree, from the `raw` of verdicts: `members`, `pairs` that both
    answered clearly, the share of `equal` answers and Cohen's `kappa`, which is 0 where they agree
    no more than by chance and 1 where always (None where both always say the same word)."""
    both: dict[tuple[int, int], Counter[tuple[str, str]]] = {
        pair: Counter() for pair in itertools.combinations(range(len(names)), 2)
    }
    for raw, times in Counter(map(_words, raws)).items():
        for (a, b), counts in both.items():
            if len(raw) == len(names) and "unclear" not in (raw[a], raw[b]):
                counts[raw[a], raw[b]] += times
    return [
        {"members": [names[a], names[b]], **_agreement(counts)} for (a, b), counts in both.items()
    ]


def _words(raw: str) -> tuple[str, ...]:
    return tuple(said.split(" ", 1)[0] for said in raw.split(BETWEEN))


def _agreement(counts: Counter[tuple[str, str]]) -> dict[str, Any]:
    pairs = counts.total()
    if not pairs:
        return {"pairs": 0, "equal": None, "kappa": None}
    equal = (counts["yes", "yes"] + counts["no", "no"]) / pairs
    first, second = (
        sum(n for words, n in counts.items() if words[place] == "yes") / pairs for place in (0, 1)
    )
    chance = first * second + (1 - first) * (1 - second)
    kappa = None if chance == 1 else round((equal - chance) / (1 - chance), 4)
    return {"pairs": pairs, "equal": round(equal, 4), "kappa": kappa}


def names_of(config: TeacherConfig) -> list[str]:
    """What people call the members: their models, with a number where two are called the same."""
    plain = [one.model.rstrip("/").rsplit("/", 1)[-1] or one.kind for one in config.members]
    return [
        name if plain.count(name) == 1 else f"{name} ({place})"
        for place, name in enumerate(plain, 1)
    ]
