"""Training rows, read as they are needed: a worker's memory does not grow with the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.config.label_template import PLAIN
from lmtx_ray.corpus.label_texts import encoder_texts_of
from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.student.order import Order


@dataclass(frozen=True)
class ExampleUnit:
    """URIs of a unit's examples and of the documents that they are of; `size` examples."""

    documents: str
    examples: str
    size: int


def example_units(documents: Dataset, examples: Dataset) -> list[ExampleUnit]:
    """The units that hold an example.

    Raises:
        ValueError: A unit of the examples is none of the documents.
    """
    texts, files = documents.unit_files(), examples.unit_files()
    sizes = {unit.unit: unit.rows_out for unit in examples.manifest().units}
    for name in files:
        if name not in texts:
            raise ValueError(f"{examples.uri}: unit {name} is none of {documents.uri}")
    return [ExampleUnit(texts[name], files[name], sizes[name]) for name in files if sizes[name]]


class ExampleReader:
    """The rows of any step: columns of EXAMPLES, and `title` and `text` of the document.

    Of the units only those are in memory whose windows the last step that was asked for needs.
    """

    def __init__(self, units: Sequence[ExampleUnit], order: Order) -> None:
        self._units, self._order = units, order
        self._windows: dict[tuple[int, ...], pa.Table] = {}

    def rows(self, step: int) -> list[dict[str, Any]]:
        """Raises ValueError when an example's document is missing."""
        parts = self._order.parts(step)
        self._windows = {part.units: self._window(part.units) for part in parts}
        tables = [self._windows[part.units].take(part.rows) for part in parts]
        return [row for table in tables for row in table.to_pylist()]

    def _window(self, units: tuple[int, ...]) -> pa.Table:
        if units in self._windows:
            return self._windows[units]
        return pa.concat_tables([read_unit(self._units[unit]) for unit in units]).combine_chunks()


def read_unit(unit: ExampleUnit) -> pa.Table:
    """The examples of a unit with `title` and `text` of their documents."""
    examples, documents = storage.read_table(unit.examples), storage.read_table(unit.documents)
    known = documents["doc_id"].combine_chunks()
    places = pc.index_in(examples["doc_id"], value_set=known)
    if places.null_count:
        missing = examples["doc_id"].filter(pc.is_null(places))[0]
        raise ValueError(f"{unit.examples}: document {missing} is not in {unit.documents}")
    for name in ("title", "text"):
        examples = examples.append_column(name, documents[name].take(places))
    return examples


class LabelTexts:
    """What the encoder reads of each label, by its id, in a mapped file of this machine and not in
    memory."""

    def __init__(self, files: Sequence[str], template: str = PLAIN) -> None:
        with storage.scratch_folder() as folder:  # a mapping outlives its file's name
            path = f"{folder}/labels.arrow"
            schema = pa.schema([("text", pa.string())])
            with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                for uri in files:
                    texts = encoder_texts_of(storage.read_table(uri), template, files)
                    writer.write_table(pa.table({"text": texts}, schema=schema))
            self._texts = pa.ipc.open_file(pa.memory_map(path)).read_all()["text"]

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, label: int) -> str:
        return self._texts[label].as_py()
