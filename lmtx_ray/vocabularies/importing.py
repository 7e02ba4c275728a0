"""From a vocabulary to a clean file of labels, and a file of what was no label, with reasons."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from lmtx_ray.corpus.columns import LABEL_FURTHER
from lmtx_ray.corpus.lines import LOST, BadRow, CorpusError, Row
from lmtx_ray.corpus.reasons import Reasons
from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.io import storage
from lmtx_ray.io.plain_json import json_text
from lmtx_ray.vocabularies.asked import Asked, Vocabulary
from lmtx_ray.vocabularies.sources import open_vocabulary
from lmtx_ray.vocabularies.writing import output_kind, write_labels


@dataclass
class Imported:
    """What became of a vocabulary: how many labels have each further field (`filled`), and how many
    are shown in each language (`shown_in`)."""

    source: Vocabulary
    output: str
    labels: int = 0
    filled: Counter[str] = field(default_factory=Counter)
    shown_in: Counter[str] = field(default_factory=Counter)
    reasons: Reasons = field(default_factory=Reasons)
    rejects: str = ""  # where they are; "" without any

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "output": self.output,
            "format": self.source.kind,
            "labels": self.labels,
            **{f"with_{name}": self.filled[name] for name in LABEL_FURTHER},
            "rejected": self.reasons.count,
            "rejects": self.rejects or None,
            "columns": dict(self.source.columns),
            "languages": list(self.source.languages),
            "shown_in": dict(self.shown_in.most_common()),
        }


def import_labels(source: str, output: str, asked: Asked, overwrite: bool = False) -> Imported:
    """Read a vocabulary and write its labels; what is no label goes to OUTPUT's name with
    `.rejects.jsonl`, a line for each with source, position, reason and raw.

    Raises:
        CorpusError: The source cannot be read to its end, or has no label, or the output's name
            tells no format.
        ConfigError: What was asked for does not fit the source.
        FileExistsError: The output is there.
    """
    output_kind(output)
    if storage.exists(output) and not overwrite:
        raise FileExistsError(f"{output} is there already and stays as it is; see --overwrite")
    made = Imported(open_vocabulary(source, asked), output)
    rejects = rejects_of(output)
    with storage.scratch_folder() as folder:
        draft = Path(folder, "rejects")
        # half a surrogate pair, which is why a row may be here, has no bytes
        with draft.open("w", encoding="utf-8", errors="replace") as file:
            made.labels = write_labels(_good(made, file), output)
        if made.reasons.count:
            storage.put_file(draft, rejects)
            made.rejects = rejects
        elif storage.exists(rejects):  # of an import before this one
            storage.remove_file(rejects)
    if not made.labels:
        raise CorpusError(f"{source}: no labels; {made.reasons}")
    return made


def rejects_of(output: str) -> str:
    """Where the rejects of an output are."""
    folder, slash, name = output.rpartition("/")
    return f"{folder}{slash}{name.rpartition('.')[0]}.rejects.jsonl"


def _good(made: Imported, rejects: TextIO) -> Iterator[Row]:
    """The labels, each key once: the first. Others are written to `rejects`."""
    firsts = _Firsts()
    for uri, position, label in made.source.found:
        bad = label if isinstance(label, BadRow) else firsts.repeated(label, uri, position)
        if bad is None and not isinstance(label, BadRow):
            made.filled.update(name for name in LABEL_FURTHER if label[name])
            made.shown_in.update([language] if (language := label.pop("shown_in")) else [])
            yield label
        elif bad is not None:
            if LOST in bad.reason:  # half a vocabulary looks like a whole one
                raise CorpusError(f"{uri} row {position}: {bad.reason}")
            made.reasons.add(uri, position, bad.reason)
            rejects.write(json_text(bad.reject(uri, position)) + "\n")


class _Firsts:
    """Where each key was first, 16 bytes a label beside the hash of its key."""

    def __init__(self) -> None:
        self._place: dict[bytes, int] = {}
        self._files: list[str] = []
        self._file_L, self._position_L = array("l"), array("q")

    def repeated(self, label: Row, uri: str, position: int) -> BadRow | None:
        """What is wrong with a label whose key was there; any other key is there from now on."""
        key = text_key(label["label_key"])
        if (place := self._place.get(key)) is not None:
            file = self._files[self._file_L[place]]
            where = f"{'' if file == uri else f'{file} '}row {self._position_L[place]}"
            return BadRow(f"duplicate key {label['label_key']!r}, first in {where}", label["text"])
        self._place[key] = len(self._position_L)
        if self._files[-1:] != [uri]:
            self._files.append(uri)
        self._file_L.append(len(self._files) - 1)
        self._position_L.append(position)
        return None
