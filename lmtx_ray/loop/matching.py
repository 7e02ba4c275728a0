"""Both sides of an evaluation by one numbering of labels, and which documents they share."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from lmtx_ray.batch.tag_files import IDS, read_tag_file
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.gold import (
    Gold,
    GoldSource,
    LabelRows,
    check_gold,
    index_ids,
    name_ids,
    read_gold,
    refuse_no_pairs,
    repeated_id,
)
from lmtx_ray.corpus.label_names import LabelNames, plain
from lmtx_ray.io import storage
from lmtx_ray.io.published import MANIFEST, PublishedFolder
from lmtx_ray.loop.label_sources import label_names

Given = Any  # pa.Table, what pa.table() takes (a dict of columns, a DataFrame), or a URI
KEYS = "label_keys"
MEND = ": give the labels, with label_id and label_key"
EXAMPLES = 3  # ids that are shown of documents on one side only


@dataclass(frozen=True)
class Numbering:
    """Labels as numbers: ids of the label set `names`, and after them what is no label of it, as it
    comes. Where it is `strict`, gold that is no label of the set is rejected. `by` is what answers
    know labels by where no label set says which id is which key: nothing else can be read then."""

    names: LabelNames
    strict: bool
    by: str | None = None
    further: dict[str, int] = field(default_factory=dict)

    def number(self, key: str) -> int:
        """The number of a label's key or text, or of a name that no label has."""
        label = self.names.resolve(key) if self.names.knows(key) else None
        if isinstance(label, int):
            return label
        return self.further.setdefault(plain(key), len(self.names) + len(self.further))

    def key(self, label: int) -> str:
        """The key of a label, or the name that no label has."""
        if label < len(self.names):
            return self.names.key(label)
        return next((name for name, own in self.further.items() if own == label), str(label))

    def text(self, label: int) -> str:
        """The text of a label, or the name that no label has."""
        return self.names.text(label) if label < len(self.names) else self.key(label)

    def table(self, side: str, given: pa.Table) -> pa.Table:
        """doc_id, label_ids, and probabilities if there are; a label that is there twice, or by its
        key and by its text, counts where it is first. Raises ValueError for other columns, for
        texts instead of lists and a document that is there twice, naming the `side`."""
        kind = kind_of(side, given)
        if self.by not in (None, kind):
            raise ValueError(f"{side}: has {kind}, other answers have {self.by}{MEND}")
        if str(given[kind].type) in ("string", "large_string"):
            raise ValueError(f"{side}: {kind} needs lists, not text; of a file give its place")
        ids = doc_ids_of(given)
        if again := repeated_id(ids):
            raise ValueError(f"{side}: document {again!r} is there twice")
        lists = [own or () for own in given[kind].to_pylist()]
        if kind == KEYS:
            lists = [list(map(self.number, keys)) for keys in lists]
        firsts = [_firsts(labels) for labels in lists]
        lists = [_taken(*pair) for pair in zip(lists, firsts, strict=True)]
        columns = {"doc_id": pa.array(ids, pa.string()), IDS: pa.array(lists, pa.list_(pa.int64()))}
        if "probabilities" in given.column_names:
            column = given["probabilities"]
            pairs = zip(column.to_pylist(), firsts, strict=True)
            taken = [own and _taken(own, places) for own, places in pairs]
            columns["probabilities"] = pa.array(taken, column.type)
        return pa.table(columns)

    def gold(self, given: pa.Table | GoldSource, rejects: str | None = None) -> Gold:
        """Gold of a table or of files; what is rejected is written to the CSV `rejects`. Raises
        CorpusError where no label of it is of use, ValueError where it names labels by what
        answers do not."""
        if self.by == KEYS and _has_indices(given):
            raise ValueError(f"answers have {KEYS}, gold have {IDS}{MEND}")
        if isinstance(given, GoldSource):
            gold, name = read_gold(given, self.names, self.strict, self.further), _name(given)
        else:
            gold, name = self._gold_of(given), "gold"
        if rejects is not None:
            _write_rejects(gold, rejects)
        if self.by == IDS and self.further:
            raise ValueError(f"answers have {IDS}, gold has names{MEND}")
        refuse_no_pairs(gold, name)
        return gold

    def _gold_of(self, given: pa.Table) -> Gold:
        """Of a table as `read_gold` reads files: rows of one document are put together."""
        kind, gold = kind_of("gold", given), Gold(rows=len(given))
        others, rows = None if self.strict else self.further, LabelRows(len(self.names))
        pairs = zip(doc_ids_of(given), given[kind].to_pylist(), strict=True)
        for position, (doc_id, value) in enumerate(pairs, 1):
            if kind == KEYS:
                found, problems = name_ids(value, self.names, further=others)
            else:
                found, problems = index_ids(value, rows)
            raw = str(value)
            gold.rejects += (replace(bad, raw=raw).reject("gold", position) for bad in problems)
            gold.labels[doc_id] = sorted({*gold.labels.get(doc_id, ()), *found})
        return gold


@dataclass(frozen=True)
class Matched:
    """Answers and gold by one numbering of labels; `ranked` and `right` have doc_id and label_ids,
    `ranked` perhaps probabilities."""

    ranked: pa.Table
    gold: Gold
    numbering: Numbering

    @property
    def right(self) -> pa.Table:
        """The gold as a table."""
        return as_table(self.gold.labels)


def _has_indices(gold: pa.Table | GoldSource) -> bool:
    return check_gold(gold) if isinstance(gold, GoldSource) else kind_of("gold", gold) == IDS


def doc_ids_of(given: pa.Table) -> list[str]:
    """The document of each row."""
    return [str(doc_id) for doc_id in given["doc_id"].to_pylist()]


def _firsts(labels: Sequence[int]) -> list[int] | None:
    """The place where each label is first; None where none repeats."""
    places: dict[int, int] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, place)
    return None if len(places) == len(labels) else list(places.values())


def _taken(values: Sequence[Any], places: Sequence[int] | None) -> Sequence[Any]:
    return values if places is None else [values[place] for place in places]


def as_table(labels: Mapping[str, Sequence[int]]) -> pa.Table:
    """doc_id and label_ids."""
    lists = pa.array(labels.values(), pa.list_(pa.int64()))
    return pa.table({"doc_id": pa.array(labels, pa.string()), IDS: lists})


def match(
    answers: Given, gold: Given | GoldSource, labels: Given = None, rejects: str | None = None
) -> Matched:
    """Both sides by one numbering of labels; rejects of the gold are written to the CSV `rejects`.
    Raises as `evaluating.evaluate`."""
    table, truth = answers_given(answers), gold_given(gold)
    kind = kind_of("answers", table)
    if labels is not None:
        numbering = Numbering(label_names(labels), strict=True)
    else:
        names = own_names(table) if kind == KEYS else LabelNames([], [])
        numbering = Numbering(names, strict=False, by=kind)
    ranked, read = numbering.table("answers", table), numbering.gold(truth, rejects)
    return Matched(ranked, read, numbering)


def has_probabilities(table: pa.Table) -> bool:
    """Whether any tag of a table has one."""
    if "probabilities" not in table.column_names:
        return False
    return any(one is not None for row in table["probabilities"].to_pylist() for one in row or ())


def answers_given(given: Given) -> pa.Table:
    """Answers as a table; those at a URI are read."""
    if isinstance(given, str):
        return read_tag_file(given)
    return given if isinstance(given, pa.Table) else pa.table(given)


def gold_given(given: Given | GoldSource) -> pa.Table | GoldSource:
    """Gold as a table, or the files that it is to be read from."""
    if isinstance(given, GoldSource):
        (first, *_) = given.files
        given = first if storage.exists(storage.join(first, MANIFEST)) else given
    if isinstance(given, str):
        if not storage.exists(storage.join(given, MANIFEST)):
            return GoldSource((given,))
        return PublishedFolder(given).read()
    return given if isinstance(given, GoldSource | pa.Table) else pa.table(given)


def kind_of(side: str, table: pa.Table) -> str:
    """Which of KEYS and IDS a table has. Raises ValueError where it has none, or no doc_id."""
    kind = next((kind for kind in (IDS, KEYS) if kind in table.column_names), None)
    if kind is None or "doc_id" not in table.column_names:
        there = ", ".join(table.column_names)
        raise ValueError(f"{side}: doc_id and {KEYS} or {IDS} are needed, there are: {there}")
    return kind


def _write_rejects(gold: Gold, uri: str) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, schemas.REJECTS.names)
    writer.writeheader()
    writer.writerows(gold.rejects)
    storage.write_bytes(uri, text.getvalue().encode())


def _name(source: GoldSource) -> str:
    return ", ".join(source.files)


def own_names(*tables: pa.Table) -> LabelNames:
    """The labels that tables of tags name themselves; none of those that have ids only."""
    texts: dict[str, str] = {}
    for table in tables:
        named = [name for name in (KEYS, "labels") if name in table.column_names]
        for row in table.select(named).to_pylist() if KEYS in named else ():
            keys = row[KEYS] or ()
            texts.update(zip(keys, row.get("labels") or keys, strict=True))
    return LabelNames(list(texts), list(texts.values()))


def overlap(found: Matched, matched_only: bool) -> tuple[dict[str, Any], pa.Table]:
    """(what `evaluate` tells of both sides, the gold that counts). Raises ValueError where no
    document is on both."""
    tagged, gold = found.ranked["doc_id"].to_pylist(), found.gold
    labelled = [doc_id for doc_id, labels in gold.labels.items() if labels]
    have, want = set(tagged), set(labelled)
    if not have & want:
        sides = f"tags have {_shown(tagged)}, gold has {_shown(labelled)}"
        raise ValueError(f"no document is both in the tags and in the gold: {sides}")
    told = {
        "matched": len(have & want),
        "only_gold": _only(labelled, have),
        "only_tags": _only(tagged, set(gold.labels)),
        "gold": {
            "rows": gold.rows,
            "documents": len(labelled),
            "labels": gold.pairs(),
            "without_labels": len(gold.labels) - len(labelled),
            "rejected": len(gold.rejects),
            "rejects": [_place(bad) for bad in gold.rejects[:EXAMPLES]],
        },
        "most_tags": max(map(len, found.ranked[IDS].to_pylist()), default=0),
    }
    kept = pa.array([doc_id in have or not matched_only for doc_id in gold.labels], pa.bool_())
    return told, found.right.filter(kept)


def _place(bad: Mapping[str, Any]) -> str:
    return f"{bad['source']} row {bad['position']}: {bad['reason']}"


def _only(ids: Sequence[str], others: set[str]) -> dict[str, Any]:
    own = [doc_id for doc_id in ids if doc_id not in others]
    return {"documents": len(own), "examples": own[:EXAMPLES]}


def _shown(ids: Sequence[str]) -> str:
    more = ", …" if len(ids) > EXAMPLES else ""
    return f"{', '.join(map(repr, ids[:EXAMPLES])) or 'none'}{more} ({len(ids)})"
