"""Another bundle of the same encoder with labels added, changed and removed, by difference.

Only fresh texts are encoded and cut into words; index shards, encoder and calibration are the files
that they were. Probabilities stay as they were fitted, and bundle.json says under `edited` what
became different since.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from lmtx_ray.bundle.cache import LABELS, LocalBundle, open_bundle
from lmtx_ray.bundle.relabelled_files import OF_LABELS, Base, write_relabelled
from lmtx_ray.bundle.remaking import publish_mixed, remade
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.config.label_template import PLAIN
from lmtx_ray.corpus import removed_labels
from lmtx_ray.corpus.label_edits import Edited
from lmtx_ray.corpus.label_moves import GONE
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.corpus.label_texts import row_texts
from lmtx_ray.io import storage
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.io.latest import read_about, write_own_about
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import PublishError

SAID = "its labels were edited after that was measured"


@dataclass(frozen=True)
class BundleLabels:
    """The labels of a published bundle: looked up, and as the `labels` table."""

    held: LocalBundle
    labels: LabelSet
    table: pa.Table

    @property
    def uri(self) -> str:
        """The bundle's own folder, where a run was named too."""
        return self.held.published.uri


def labels_of(uri: str) -> BundleLabels:
    """Fetches no other files of it.

    Raises:
        PublishError: Not a published bundle.
    """
    held = open_bundle(uri, lambda name: name in OF_LABELS)
    table = storage.read_table(f"{held.folder}/{LABELS}")
    return BundleLabels(held, LabelSet.load(held.folder), table.combine_chunks())


def today() -> str:
    """The day in UTC, which removed keys are marked with."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def relabel(before: BundleLabels, edited: Edited, output: str | None = None) -> str:
    """Publish the bundle with its labels edited; returns where. The same edit of the same bundle on
    one day is the same new bundle.

    Args:
        output: Where to publish it; beside the bundle as `bundle-<id>` if None.

    Raises:
        PublishError: `output` holds another bundle, as somebody else's edit came first. Nothing is
            changed then.
    """
    held = open_bundle(before.uri)
    base = Base(Path(held.folder), tuple(held.published.files), before.labels)
    edited = _read_anew(edited, before.table, EncoderConfig(**base.description["encoder"]))
    tables = {
        LABELS: storage.table_bytes(edited.labels),
        removed_labels.FILE: storage.table_bytes(edited.removed.table),
    }
    hashes = [hashlib.sha256(data).hexdigest() for data in tables.values()]
    new_id = fingerprint("labels", base.description["bundle_id"], hashes)
    new = remade(before.uri, new_id, output)
    with _first_come(new):
        there = new.is_complete()
    if not there:
        _make(held, base, edited, tables, new)
    return new.uri


def _read_anew(edited: Edited, before: pa.Table, how: EncoderConfig) -> Edited:
    """The edit, in which labels are fresh too of which the encoder reads something else now: a
    template may show descriptions, or the texts of parents, and aliases may have vectors."""
    template, aliases = how.label_template, how.label_vectors == "aliases"
    if template == PLAIN and not aliases:
        return edited
    moves = edited.moves
    old, new = row_texts(before, template, aliases), row_texts(edited.labels, template, aliases)
    differs = [
        place != GONE and old[place] != texts
        for place, texts in zip(moves.before_L, new, strict=True)
    ]
    return replace(edited, moves=replace(moves, fresh_L=moves.fresh_L | np.array(differs, bool)))


def _make(
    held: LocalBundle, base: Base, edited: Edited, tables: dict[str, bytes], new: Dataset
) -> None:
    with storage.scratch_folder() as scratch:
        folder = Path(scratch)
        for name, data in tables.items():
            if name == LABELS or len(edited.removed):
                (folder / name).write_bytes(data)
        kept = write_relabelled(folder, base, edited, new.fingerprint)
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        written = {
            path.relative_to(folder).as_posix(): path for path in paths if not path.is_symlink()
        }
        with _first_come(new):
            publish_mixed(held.published, new, kept, written)
    _tell(held.published.uri, new.uri, edited)


@contextmanager
def _first_come(new: Dataset) -> Iterator[None]:
    """A PublishError of the block as what it means to who edits."""
    try:
        yield
    except PublishError as error:
        raise PublishError(
            f"{new.uri}: another edit came first and is published there, so this one was not made: "
            f"edit that bundle, or name another output ({error})"
        ) from error


def _tell(before: str, now: str, edited: Edited) -> None:
    """What people know the new bundle by."""
    about = read_about(before)
    if about.get("quality") and SAID not in about["quality"]:
        about["quality"] += f" ({SAID})"
    write_own_about(now, {**about, "labels": len(edited.labels)})
