"""Filters of a batch job, looked at before anything is tagged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from lmtx_ray.batch.job import TagJob
from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.bundle.filters import Filters, why_none
from lmtx_ray.corpus.columns import near_names
from lmtx_ray.corpus.inputs import InputFile
from lmtx_ray.corpus.label_set import LABEL_FILES, LabelSet
from lmtx_ray.corpus.lines import CorpusError, Row, Tally
from lmtx_ray.corpus.rows import Reading, part_rows
from lmtx_ray.io.units import Part

LOOKED_AT = 512  # rows: of these one has to have a column that filters


def check_filter(job: TagJob) -> None:
    """Whether the filter of all rows leaves a label of the job's bundle.

    Raises:
        ValueError: It leaves none. Its subclass UnknownKeys: of keys that are not in the label set.
    """
    wanted = job.filter()
    if wanted:
        folder = open_bundle(job.bundle, lambda name: name in LABEL_FILES).folder
        selection = Filters(LabelSet.load(folder)).select([wanted])
        if selection is not None and not len(selection):
            raise ValueError(why_none([wanted]))


def check_columns(job: TagJob, inputs: Sequence[InputFile]) -> None:
    """CorpusError for a column that filters and that no row has at the beginning of the inputs: a
    row of JSON may be without, but where all are, its name is mistyped and nothing would be left
    out."""
    columns = job.filter_columns().values()
    seen: set[str] = set()
    for row in islice(_rows(job, inputs), LOOKED_AT if columns else 0):
        seen |= row.keys()
    for column in columns:
        if seen and column not in seen:
            hint = near_names([column], list(seen)) or f"there are: {', '.join(sorted(seen))}"
            raise CorpusError(f"{inputs[0].uri}: no field {column!r} in the first rows; {hint}")


def _rows(job: TagJob, inputs: Sequence[InputFile]) -> Iterator[Row]:
    reading = Reading(job.source, tuple(job.filter_columns().values()))
    for file in inputs:
        for _, row, _ in part_rows(Part(file.uri, file.etag, name=file.name), reading, Tally()):
            if isinstance(row, dict):
                yield row
