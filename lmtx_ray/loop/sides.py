"""What is measured or compared: tags wherever they lie, or what a finished run ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from lmtx_ray.batch.tag_files import IDS, read_tag_file
from lmtx_ray.corpus.label_names import LabelNames
from lmtx_ray.loop.finished_run import FinishedRun, open_finished
from lmtx_ray.loop.judged import shipped_rankings
from lmtx_ray.loop.matching import KEYS, kind_of, own_names
from lmtx_ray.loop.self_matching import rows_of_labels
from lmtx_ray.loop.texts import is_run

NO_LABELS = LabelNames([], [])


@dataclass(frozen=True)
class Side:
    """One of two things to compare: a finished run with its label set, or a table of tags."""

    place: str
    run: FinishedRun | None = None
    tags: pa.Table | None = None
    names: LabelNames = NO_LABELS

    @property
    def name(self) -> str:
        """What it is called, with what a run ships."""
        return f"{self.place} ({self.run.summary['final']})" if self.run else self.place

    def answers(self, wanted: pa.Array | None = None) -> pa.Table:
        """Tags, or what a run ships by label keys, of these documents or more; of all if None."""
        if self.tags is not None:
            return self.tags
        assert self.run is not None
        parts = ["", "test "] if self.run.has("test documents") else [""]
        steps = [shipped_rankings(self.run, part) for part in parts]
        columns = ["doc_id", IDS]
        tables = [
            step.read(columns) if wanted is None else step.where("doc_id", wanted, columns)
            for step in steps
        ]
        return self.by_keys(pa.concat_tables(tables))

    def by_keys(self, table: pa.Table) -> pa.Table:
        """doc_id and label_keys of a table with label_ids of this run."""
        lists = [[self.names.key(label) for label in ids] for ids in table[IDS].to_pylist()]
        keys = pa.array(lists, pa.list_(pa.string()))
        return pa.table({"doc_id": table["doc_id"], KEYS: keys})


def side_of(place: str, row_ids: Sequence[str] | None = None) -> Side:
    """A finished run, or tags wherever they lie; `row_ids` are those of the rows of a matrix.
    Raises as `compare`."""
    if not is_run(place):
        tags = read_tag_file(place, row_ids=row_ids)
        return Side(place, tags=tags, names=own_names(tags))
    run = open_finished(place)
    return Side(place, run, names=names_of_run(run))


def names_of_run(run: FinishedRun) -> LabelNames:
    """The label set of a run, with the rows that it left out."""
    labels = run.steps["labels"]
    rows = rows_of_labels(labels, run.steps.get("label rejects"))
    return LabelNames.of([labels.read(["label_key", "text"])], rows.left_out)


def together(sides: Sequence[Side]) -> LabelNames:
    """The labels of both; a key is one label, with the text of the first that has it."""
    texts: dict[str, str] = {}
    for names in (side.names for side in sides):
        for label in range(len(names)):
            texts.setdefault(names.key(label), names.text(label))
    left_out = next((side.names.left_out for side in sides if len(side.names)), ())
    return LabelNames(list(texts), list(texts.values()), left_out)


def known_by(sides: Sequence[Side]) -> str | None:
    """What labels are known by, KEYS or IDS, if nobody gives them; None where the labels of
    `together` begin with those of a run, whose ids theirs are then."""
    first = next((side for side in sides if len(side.names)), sides[0])
    return None if first.tags is None else kind_of(first.place, first.tags)
