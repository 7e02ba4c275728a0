"""The texts of labels as the encoder and the search by words read them: the one place where they
are made, for label vectors and for training, in runs, in bundles and for labels that come later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.config.label_template import PLAIN, LabelTemplate
from lmtx_ray.io import storage

PARENTS = "parents"  # the column of the parents' texts
BETWEEN = ", "  # of several aliases or parents


def label_texts(tables: Iterable[pa.Table]) -> Iterator[list[str]]:
    """Of each label of `labels` tables, in order, what words are searched in: its own text, then
    its aliases."""
    for table in tables:
        own, aliases = table["text"].to_pylist(), table["aliases"].to_pylist()
        for text, further in zip(own, aliases, strict=True):
            yield [text, *(further or ())]


def encoder_texts(labels: pa.Table, template: str, known: pa.Table | None = None) -> list[str]:
    """The text of each row of a `labels` table.

    Args:
        template: Of `encoder.label_template`.
        known: Where parents are looked up: a table with label_key and text, `labels` itself if not
            given.

    Raises:
        ValueError: No such template.
    """
    if template == PLAIN:
        texts: list[str] = labels["text"].to_pylist()
        return texts
    how = LabelTemplate(template)
    if PARENTS in how.fields:
        labels = with_parents(labels, labels if known is None else known)
    rows = labels.select(how.fields).to_pylist()
    return [how.render({name: _joined(value) for name, value in row.items()}) for row in rows]


def _joined(value: str | list[str] | None) -> str:
    return BETWEEN.join(value) if isinstance(value, list) else value or ""


def with_parents(labels: pa.Table, known: pa.Table) -> pa.Table:
    """A `labels` table with a column `parents`: the texts of the labels right above each, in the
    order of its parent_keys. Those that are no labels are left out."""
    lists = labels["parent_keys"].to_pylist()
    wanted = pa.array({key for keys in lists for key in keys or ()}, pa.string())
    found = known.filter(pc.is_in(known["label_key"], value_set=wanted))
    texts = dict(zip(found["label_key"].to_pylist(), found["text"].to_pylist(), strict=True))
    parents = [[texts[key] for key in keys or () if key in texts] or None for keys in lists]
    return labels.append_column(PARENTS, pa.array(parents, pa.list_(pa.string())))


@lru_cache(maxsize=1)
def known_labels(files: tuple[str, ...]) -> pa.Table:
    """label_key and text of all labels in files of the `labels` contract, kept by the process."""
    return pa.concat_tables(storage.read_table(file, ["label_key", "text"]) for file in files)


def encoder_texts_of(labels: pa.Table, template: str, files: Sequence[str]) -> list[str]:
    """`encoder_texts` of a part of a label set that is in `files`, which are read only where the
    template shows parents."""
    known = known_labels(tuple(files)) if _shows_parents(template) else None
    return encoder_texts(labels, template, known)


def row_texts(
    labels: pa.Table, template: str, aliases: bool, known: pa.Table | None = None
) -> list[tuple[str, ...]]:
    """Of each label the texts that have a vector in the index: what `encoder_texts` says, and with
    `aliases` each of them too."""
    own = encoder_texts(labels, template, known)
    if not aliases:
        return [(text,) for text in own]
    further = labels["aliases"].to_pylist()
    return [
        tuple(dict.fromkeys([text, *(more or ())])) for text, more in zip(own, further, strict=True)
    ]


def row_texts_of(
    labels: pa.Table, template: str, aliases: bool, files: Sequence[str]
) -> list[tuple[str, ...]]:
    """`row_texts` of a part of a label set, as `encoder_texts_of`."""
    known = known_labels(tuple(files)) if _shows_parents(template) else None
    return row_texts(labels, template, aliases, known)


def _shows_parents(template: str) -> bool:
    return template != PLAIN and PARENTS in LabelTemplate(template).fields
