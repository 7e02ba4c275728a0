"""What a Tagger is made of besides encoder and index, read from a bundle's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmtx_ray.bundle.cache import DESCRIPTION, EXAMPLES
from lmtx_ray.bundle.ranking import Ranker
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.evaluation.calibration import Calibration
from lmtx_ray.io import storage
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.search.memory import Memory

MOST_EXAMPLES = 256  # labels that show the encoder the values it works with


def examples_of(folder: str, labels: LabelSet) -> list[str]:
    """Texts that show the encoder the values it works with: those that the bundle names, as one
    whose labels were edited does, so that its documents' vectors stay the same; else of its
    labels."""
    file = Path(folder, EXAMPLES)
    if file.exists():
        return [str(text) for text in storage.read_json(str(file))]
    step = max(len(labels) // MOST_EXAMPLES, 1)
    return labels.texts[::step][:MOST_EXAMPLES]


def calibration_of(
    folder: str, description: dict[str, Any], name: str = "calibration"
) -> Calibration | None:
    """The one in a bundle.json, None of an untrained one, or what else has its form; PublishError
    where this version cannot read it."""
    try:
        fitted = description[name]
        return None if fitted is None else Calibration.from_dict(fitted)
    except (KeyError, TypeError, ValueError) as error:
        raise PublishError(f"{folder}/{DESCRIPTION}: {name}: {error}") from error


def ranker_of(folder: str, description: dict[str, Any]) -> Ranker:
    """What ranks the candidates of a bundle in a folder, by its bundle.json."""
    fusion, combiner = description["fusion"], calibration_of(folder, description, "combiner")
    return Ranker(
        LexicalIndex.load(f"{folder}/lexical") if fusion else None,
        fusion or {},
        combiner,
        Memory.load(f"{folder}/memory") if combiner else None,
        description["depth"],
    )
