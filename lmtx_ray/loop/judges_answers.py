"""What a run's judge itself said, whichever run asked it: looked up in the store by the texts.

A run's verdicts hold people's answers in the place of the judge's. To learn how often the judge is
right both are needed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lmtx_ray.io.published import PublishedFolder
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.teacher.priors import Calibration, document_key, priors_in, read
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.questions import Key, first_by_key
from lmtx_ray.teacher.shown import shown_table, shown_tables
from lmtx_ray.verdicts.lookup import Lookup

COLUMNS = ("label_id", "label_key", "text", "description", "aliases")


@dataclass(frozen=True)
class Own:
    """One answer of the judge: "yes", "no" or "unclear", and P(yes) where it is clear and known."""

    answer: str
    p_yes: float | None


@dataclass(frozen=True)
class ShownLabel:
    """A label by id, key and name, and what the judge sees of it. People see the name."""

    label_id: int
    label_key: str
    name: str
    seen: str


def judges_answers(
    config: RunConfig, judge: tuple[str, str], prompt: Prompt, documents: Collection[bytes]
) -> dict[Key, Own]:
    """(key of a document's text, key of what the judge sees of a label) -> its first answer.

    `judge` are the fingerprints of prompt and teacher. What counts as unclear is decided by the
    mass that the config asks for now.
    """
    asked_with, teacher = judge
    store = Lookup(config.verdict_store.partition(teacher, asked_with).snapshot())
    least, how = prompt.least_mass(config.judge.teacher.least_mass), _calibration(config, store)
    return {key: _own(row, least, how) for key, row in first_by_key(store.find(documents)).items()}


def _calibration(config: RunConfig, store: Lookup) -> Calibration:
    """How the run reads the P(yes) that a store has of its judge."""
    wanted = config.judge.calibration == "prior"
    priors = priors_in(store.find([document_key()])) if wanted else {}
    return Calibration(priors, config.judge.temperature)


def _own(row: Mapping[str, Any], least_mass: float, how: Calibration) -> Own:
    said = read(row, least_mass, how)
    return Own(said.answer, None if said.answer == "unclear" else said.p_yes)


def shown_labels(
    labels: PublishedFolder, prompt: Prompt, keys: Collection[str] | None = None
) -> Iterator[ShownLabel]:
    """All labels of a run, or those of these keys."""
    files = labels.files()
    tables: Iterable[pa.Table] = shown_tables(prompt, files, COLUMNS)
    if keys is not None:
        wanted = pa.array(sorted(keys), pa.string())
        table = labels.where("label_key", wanted, (*COLUMNS, "parent_keys"))
        tables = [shown_table(prompt, table, files)]
    for table in tables:
        for row in table.to_pylist():
            yield ShownLabel(row["label_id"], row["label_key"], row["text"], prompt.label_text(row))
