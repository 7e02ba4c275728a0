"""What files of changes make of a bundle's labels; `relabelling` makes the bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from lmtx_ray.bundle.relabelling import BundleLabels, labels_of, relabel, today
from lmtx_ray.config.corpus import ColumnMap, CorpusConfig
from lmtx_ray.corpus.label_changes import (
    USUAL,
    Fields,
    read_changes,
    to_add,
    to_put,
    to_remove,
    to_update,
)
from lmtx_ray.corpus.label_edits import Edited, Wishes, edit, to_become
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.plain_labels import plain_labels
from lmtx_ray.io import storage
from lmtx_ray.io.latest import resolve
from lmtx_ray.io.published import MANIFEST, PublishedFolder

ROWS = 1 << 16
ADD, REMOVE, UPDATE, PUT = "add", "remove", "update", "put"


@dataclass(frozen=True)
class Plan:
    """An edit that was thought through and not made."""

    before: BundleLabels
    edited: Edited

    @property
    def is_nothing(self) -> bool:
        """Whether all labels stay as they are."""
        counts = self.edited.counts()
        return not counts["added"] + counts["changed"] + counts["removed"]

    def make(self, output: str | None = None) -> str:
        """Publish the new bundle; returns where, the old one's place if nothing changes. Raises as
        `relabel`."""
        return self.before.uri if self.is_nothing else relabel(self.before, self.edited, output)

    def to_dict(self) -> dict[str, Any]:
        """The numbers, for machines."""
        return {"of": self.before.uri, **self.edited.counts(), "labels": len(self.edited.labels)}


def plan_changes(bundle: str, kind: str, source: str, fields: Fields = USUAL) -> Plan:
    """An edit by a file of changes.

    Args:
        kind: ADD, REMOVE, UPDATE or PUT (add what is not there, else update).

    Raises:
        CorpusError: A row that cannot be meant, named by file, row and field.
        PublishError: `bundle` is none.
    """
    before = labels_of(bundle)
    changes = read_changes(source, fields, names_only=kind == REMOVE)
    meant: dict[str, Callable[[], Wishes]] = {
        ADD: partial(to_add, changes, before.labels, source),
        REMOVE: partial(to_remove, changes, before.labels, source),
        UPDATE: partial(to_update, changes, before.labels, before.table, source),
        PUT: partial(to_put, changes, before.labels, before.table, source),
    }
    return plan(before, meant[kind]())


def plan_to(bundle: str, labels: str, fields: Fields = USUAL) -> Plan:
    """An edit that makes the bundle's labels those of a whole file, of a published label set, or of
    another bundle (of a run: its newest).

    Raises:
        CorpusError: A row that is no label, named by file, row and field.
        PublishError: `bundle` is none.
    """
    before = labels_of(bundle)
    return plan(before, to_become(before.table, _whole(labels, fields)))


def plan(before: BundleLabels, wishes: Wishes) -> Plan:
    """Think an edit through. Raises ValueError where it leaves no label."""
    return Plan(before, edit(before.table, before.labels.removed, wishes, today()))


def _whole(labels: str, fields: Fields) -> pa.Table:
    labels = resolve(labels)
    if storage.exists(storage.join(labels, MANIFEST)):
        published = PublishedFolder(labels)
        return labels_of(labels).table if published.manifest().files else published.read()
    columns = ColumnMap(label_key=fields.key, label_text=fields.text)
    config = CorpusConfig(
        documents=(labels,), labels=labels, columns=columns, encoding=fields.encoding
    )
    plain = plain_labels(config)
    return pa.concat_tables(label_tables(config, ROWS)) if plain is None else plain
