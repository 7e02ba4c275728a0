"""The files of a bundle whose labels were edited: those that become different, written into a
folder, beside links to those that do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.bundle import canary
from lmtx_ray.bundle.cache import DESCRIPTION, EXAMPLES, INDEX, LABELS
from lmtx_ray.bundle.remaking import dump
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.corpus import label_set, label_words, label_words_moves, removed_labels
from lmtx_ray.corpus.label_edits import Edited
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.corpus.label_texts import label_texts, row_texts
from lmtx_ray.corpus.strings import Strings
from lmtx_ray.io import storage
from lmtx_ray.search.index_moves import NewIndex, move_index
from lmtx_ray.search.lexical import LexicalIndex
from lmtx_ray.search.shard_file import shard_name
from lmtx_ray.search.tensor_file import shape_of

LEXICAL, MEMORY = "lexical", "memory"
OF_LABELS = (LABELS, label_set.FILE, label_words.FILE, removed_labels.FILE)
LEFT_BEHIND = ("base", "origin")  # of a bundle made of another: the next one is made of this
MOST_FRESH = 0.25  # of the labels: more are indexed faster from the start


@dataclass(frozen=True)
class Base:
    """A bundle's files on this machine, under the names that loaders know."""

    folder: Path
    names: tuple[str, ...]
    labels: LabelSet

    @property
    def description(self) -> dict[str, Any]:
        """Its bundle.json."""
        described: dict[str, Any] = storage.read_json(str(self.folder / DESCRIPTION))
        return described


def write_relabelled(folder: Path, base: Base, edited: Edited, bundle_id: str) -> dict[str, str]:
    """Write into a folder what a bundle with these labels has; returns the files that are links to
    those of `base`: new name -> earlier name. Its labels' own tables are there already.

    Raises:
        ValueError: A label's vector is not finite.
    """
    description = base.description
    _write_label_set(folder, base, edited)
    if description["fusion"]:
        _write_lexical(folder, base, edited)
    if description.get("combiner"):
        _write_memory(folder, base, edited)
    index = _write_index(folder, base, description, edited)
    _write_examples(folder, base)
    own = {
        "bundle_id": bundle_id,
        "index_rows": index.rows,
        "edited": history(description, edited),
    }
    rest = {name: value for name, value in description.items() if name not in LEFT_BEHIND}
    (folder / DESCRIPTION).write_bytes(dump({**rest, **own}))
    kept = _kept(folder, base, index)
    for name, old in kept.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to((base.folder / old).absolute())
    _write_canaries(folder)
    return kept


def _kept(folder: Path, base: Base, index: NewIndex) -> dict[str, str]:
    """Files that neither were written nor belong to what was."""
    gone = {*OF_LABELS, canary.FILE}
    kept = {
        name: name
        for name in base.names
        if name not in gone and not name.startswith(INDEX) and not (folder / name).exists()
    }
    return kept | {f"{INDEX}{name}": f"{INDEX}{old}" for name, old in index.kept.items()}


def _write_label_set(folder: Path, base: Base, edited: Edited) -> None:
    words = None
    if _is_little(edited):
        texts, keys = _column(edited, "text"), _column(edited, "label_key")
        text_of, key_of = Strings(texts).__getitem__, Strings(keys).__getitem__
        words = label_words_moves.moved(base.labels.words(), edited.moves, texts, text_of, key_of)
    label_set.save_labels(edited.labels, folder, words)


def _column(edited: Edited, name: str) -> pa.LargeStringArray:
    return edited.labels[name].cast(pa.large_string()).combine_chunks()


def _write_lexical(folder: Path, base: Base, edited: Edited) -> None:
    before = LexicalIndex.load(base.folder / LEXICAL)
    if _is_little(edited):
        places = edited.moves.fresh()
        texts = label_texts([edited.labels.take(places)])
        fresh = dict(zip(places.tolist(), texts, strict=True))
        index = before.moved(edited.moves.reused(), fresh, len(edited.labels))
    else:
        index = LexicalIndex.build(label_texts([edited.labels]), before.words.languages)
    index.save(folder / LEXICAL)


def _is_little(edited: Edited) -> bool:
    return len(edited.moves.fresh()) <= MOST_FRESH * len(edited.labels)


def _write_memory(folder: Path, base: Base, edited: Edited) -> None:
    from lmtx_ray.search.memory import Remembered

    Remembered.load(base.folder / MEMORY).moved(edited.moves).save(folder / MEMORY)


def _write_index(
    folder: Path, base: Base, description: Mapping[str, Any], edited: Edited
) -> NewIndex:
    before, now = base.folder / INDEX, folder / INDEX
    now.mkdir()
    places = edited.moves.fresh()
    if len(places):
        how, fresh = EncoderConfig(**description["encoder"]), edited.labels.take(places)
        aliases = how.label_vectors == "aliases"
        rows = row_texts(fresh, how.label_template, aliases, edited.labels)
        vectors_FD = _encode(base, description, [text for texts in rows for text in texts])
        labels_F = np.repeat(places, [len(texts) for texts in rows])
    else:
        vectors_FD = np.zeros((0, shape_of(before / shard_name(0), "vectors")[1]), np.float32)
        labels_F = places
    return move_index(before, now, edited.moves, vectors_FD, labels_F)


def _encode(base: Base, description: Mapping[str, Any], texts: list[str]) -> np.ndarray:
    """As the run encoded the others: label vectors are never in 8 bits."""
    from lmtx_ray.student.encoder import Encoder

    encoder = Encoder(EncoderConfig(**description["encoder"]), model=f"{base.folder}/encoder")
    return encoder.encode(texts, "label")


def _write_examples(folder: Path, base: Base) -> None:
    """Keep the texts that show the encoder its values: others would move all documents' vectors."""
    from lmtx_ray.bundle.loading import examples_of

    if EXAMPLES not in base.names:
        examples = examples_of(str(base.folder), base.labels)
        (folder / EXAMPLES).write_bytes(storage.to_json(examples))


def _write_canaries(folder: Path) -> None:
    from lmtx_ray.bundle.tagger import Tagger

    tagger = Tagger(str(folder))
    texts = tagger.labels.texts
    asked = texts[:: max(len(texts) // canary.QUERIES, 1)]
    made = canary.make(asked, lambda some, k: tagger.tag(some, k, min_probability=0.0))
    made.save(folder)


def history(description: Mapping[str, Any], edited: Edited) -> dict[str, Any]:
    """What bundle.json says under `edited`: the bundle that was edited and the first one before any
    edit, and how many labels were added, changed and removed now and since then."""
    before = description.get("edited") or {}
    counts = {name: edited.counts()[name] for name in ("added", "changed", "removed")}
    so_far = before.get("since_first", {})
    return {
        "of": description["bundle_id"],
        "first": before.get("first", description["bundle_id"]),
        **counts,
        "since_first": {name: so_far.get(name, 0) + count for name, count in counts.items()},
    }
