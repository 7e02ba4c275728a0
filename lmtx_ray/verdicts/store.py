"""The verdict store: append-only Parquet, one folder for each judge.

    judges/<teacher>-<prompt>/JUDGE.json            what the judge is
                              parts/<name>.parquet  what one unit of work asked, as it came in
                              layers/…              parts merged and sorted (see `layers`)
                              generations/N.json    which layers count and which parts are in them

A part is one file, written atomically: a reader sees all of it or nothing, any number of runs may
append at once, and a killed one loses what it had not written yet. A reader works on a snapshot:
the layers of the newest generation, and the parts that are in none of them.

Answers of people are a judge of its own, `human`. Its parts are numbered and the newest counts, so
a snapshot names them newest first: of several answers on a pair the first one found always counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.io import storage
from lmtx_ray.io.identity import fingerprint

WORDS = ["answer", "prompt", "teacher", "source"]  # columns of few values
SORT = [("document", "ascending"), ("label", "ascending")]


@dataclass(frozen=True)
class LayerFile:
    """A sorted file of a layer; `first` and `last` are the hexadecimal document keys it spans."""

    name: str
    rows: int
    first: str
    last: str


@dataclass(frozen=True)
class Snapshot:
    """What a store held of one judge at one moment: goes to workers as it is. `generation` is the
    number of that which named the layers."""

    uri: str
    layers: tuple[tuple[LayerFile, ...], ...] = ()
    parts: tuple[str, ...] = ()
    generation: int = 0

    @property
    def rows_in_layers(self) -> int:
        """Verdicts that are merged already."""
        return sum(file.rows for layer in self.layers for file in layer)


@dataclass(frozen=True)
class Partition:
    """The verdicts of one judge."""

    uri: str

    def append(self, verdicts: pa.Table, name: str) -> str:
        """Add STORED_VERDICTS as the part `name`; the same rows under the same name are one part.
        Returns what its file is called, nothing if there are no rows.

        Raises:
            ContractError: The table does not fit.
        """
        if verdicts.num_rows == 0:
            return ""
        data = _bytes(verdicts)
        file = f"{name}-{_digest(data)}.parquet"
        storage.write_bytes(storage.join(self.uri, "parts", file), data)
        return file

    def describe(self, about: dict[str, Any]) -> dict[str, Any]:
        """Keep what the judge is, if nobody did before; returns what is kept."""
        uri = storage.join(self.uri, "JUDGE.json")
        if not storage.exists(uri):
            storage.put_if_absent(uri, storage.to_json(about))
        kept: dict[str, Any] = storage.read_json(uri)
        return kept

    def part_names(self) -> list[str]:
        """All parts that lie there, sorted."""
        files = storage.list_files(storage.join(self.uri, "parts"), ".parquet")
        return [uri.rsplit("/", 1)[1] for uri in files]

    def generation(self) -> tuple[int, dict[str, Any]]:
        """Number and content of the newest generation; 0 and nothing before the first."""
        files = storage.list_files(storage.join(self.uri, "generations"), ".json")
        if not files:
            return 0, {"layers": [], "absorbed": {}, "retired": {}}
        number = int(files[-1].rsplit("/", 1)[1].removesuffix(".json"))
        return number, storage.read_json(files[-1])

    def absorbed(self, number: int) -> set[str]:
        """Parts that the generation of a number had in its layers and that may lie there still;
        they do for a day."""
        uri = storage.join(self.uri, "generations", f"{number:08d}.json")
        return {*storage.read_json(uri)["absorbed"]} if number else set()

    def snapshot(self) -> Snapshot:
        """What counts now. Parts are listed before the generation is read, so a part that is
        merged in between is seen twice, never not at all; lookups do not mind. One that was merged
        long ago may be gone since, and the generation that tells so is an older one."""
        _, before = self.generation()
        parts = self.part_names()
        number, generation = self.generation()
        absorbed = {*before["absorbed"], *generation["absorbed"]}
        layers = tuple(tuple(LayerFile(**file) for file in layer) for layer in generation["layers"])
        waiting = tuple(p for p in parts if p not in absorbed)
        newest_first = self.uri.endswith(f"/{HUMAN}")
        return Snapshot(self.uri, layers, waiting[::-1] if newest_first else waiting, number)

    def read_part(self, name: str) -> pa.Table:
        """STORED_VERDICTS of a part, as they were appended."""
        return storage.read_table(storage.join(self.uri, "parts", name))


def _bytes(verdicts: pa.Table) -> bytes:
    """Of a part: the same for the same rows, in whatever order they come."""
    table = schemas.conform(verdicts, schemas.STORED_VERDICTS)
    return storage.table_bytes(table.sort_by(SORT))


def _digest(part: bytes) -> str:
    """What the name of a part ends in."""
    return hashlib.sha256(part).hexdigest()[:8]


def own_store(run: str) -> str:
    """Where a run keeps its verdicts unless it is told otherwise."""
    return storage.join(run, "verdict-store")


@dataclass(frozen=True)
class VerdictStore:
    """A store at a local or s3 URI; any number of runs may share it."""

    uri: str

    def partition(self, teacher: str, prompt: str) -> Partition:
        """The verdicts of a judge, by its fingerprints."""
        name = teacher if teacher == HUMAN else f"{teacher}-{prompt}"
        return Partition(storage.join(self.uri, "judges", name))

    def human(self) -> Partition:
        """What people said."""
        return self.partition(HUMAN, "")

    def judges(self) -> list[str]:
        """Names of the partitions that hold anything."""
        start = storage.join(self.uri, "judges", "")
        names = [uri.removeprefix(start).split("/") for uri in storage.list_files(start)]
        kinds = {"parts", "generations"}
        return sorted({name for name, *inside in names if inside and inside[0] in kinds})

    def human_identity(self) -> str:
        """Changes with every import of answers of people; empty before the first."""
        names = self.human().part_names()
        return fingerprint(names) if names else ""


def add_human(store: VerdictStore, answers: pa.Table) -> int:
    """Append answers of people (document and label keys, yes or no); returns the rows added.

    A table that is the newest part already is not added again. The number in a part's name orders
    the parts, as a later answer on a pair replaces an earlier one, also inside a table.
    """
    partition = store.human()
    names = partition.part_names()
    pairs = zip(answers["document"].to_pylist(), answers["label"].to_pylist(), strict=True)
    last = {pair: place for place, pair in enumerate(pairs)}
    said = answers["answer"].take(pa.array(last.values(), pa.int64()))
    unknown = {"p_yes": pa.float32(), "mass": pa.float32(), "raw": pa.string()}
    given = pa.table({"answer": said, **{n: pa.nulls(len(last), t) for n, t in unknown.items()}})
    table = as_stored(list(last), given, ("", HUMAN), HUMAN)
    if not last or (names and names[-1].endswith(f"-{_digest(_bytes(table))}.parquet")):
        return 0
    partition.append(table, f"{len(names) + 1:06d}")
    return len(last)


def as_stored(
    keys: Sequence[tuple[bytes, bytes]], answers: pa.Table, identity: tuple[str, str], source: str
) -> pa.Table:
    """STORED_VERDICTS of ANSWERS about (document key, label key) pairs, in the same order.

    `identity` is (prompt, teacher) fingerprints, `source` says which step asked.
    """
    prompt, teacher = identity
    rows = len(keys)
    table = {
        "document": pa.array([document for document, _ in keys], pa.binary(16)),
        "label": pa.array([label for _, label in keys], pa.binary(16)),
        **{name: answers[name] for name in ("answer", "p_yes", "mass", "raw")},
        "prompt": pa.array([prompt] * rows, pa.string()),
        "teacher": pa.array([teacher] * rows, pa.string()),
        "source": pa.array([source] * rows, pa.string()),
    }
    return schemas.conform(pa.table(table), schemas.STORED_VERDICTS)
