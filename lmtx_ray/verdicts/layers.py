"""Merging parts into sorted layers, so that a lookup reads few files and little of each.

A layer is a list of Parquet files sorted by document key, none overlapping the next, each with its
document keys' first 8 bytes in an array beside it that is mapped and searched. A merge takes all
parts and every layer that is not much larger than what it merges already: the layers' sizes grow
geometrically, so there are few of them, and a verdict is rewritten a logarithmic number of times.

A generation is written with put-if-absent: of two drivers that merge at once one is first, and the
other's files are removed. Merged parts stay for a day, for readers of older snapshots.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.text_keys import prefixes
from lmtx_ray.io import storage
from lmtx_ray.verdicts.files import KEYS, LocalLayer, local_file
from lmtx_ray.verdicts.store import SORT, WORDS, LayerFile, Partition

logger = logging.getLogger(__name__)
MANY_PARTS = 64  # from this many on, they are merged before they are searched
FILE_ROWS = 1 << 22
GROUP_ROWS = 4096
GROUPS_AT_ONCE = 2  # row groups that are read together
MERGED_ROWS = 1 << 17  # held in memory while merging, whatever there is to merge
MOST_RUNS = MERGED_ROWS // (GROUPS_AT_ONCE * GROUP_ROWS)  # sorted files merged at once
GROWTH = 2
KEPT_SECONDS = 86_400.0


def merge_if_due(partition: Partition, many: int = MANY_PARTS) -> bool:
    """Merge the parts of a partition if there are many; whether a new generation came of it."""
    snapshot = partition.snapshot()
    if len(snapshot.parts) < many:
        return False
    if not storage.put_is_conditional(storage.join(partition.uri, "probe")):
        logger.warning("%s: the store ignores conditional writes; nothing merged", partition.uri)
        return False
    return merge(partition)


def merge(partition: Partition) -> bool:
    """One merge, whatever there is; False if another driver was first or nothing is to merge."""
    number, generation = partition.generation()
    parts = [name for name in partition.part_names() if name not in generation["absorbed"]]
    if not parts:
        return False
    layers = [[LayerFile(**file) for file in layer] for layer in generation["layers"]]
    with storage.scratch_folder() as scratch:
        runs = _sorted_runs(partition, parts, Path(scratch))
        kept, merged = _choose(layers, sum(pq.read_metadata(path).num_rows for [path] in runs))
        older = [_local(partition, layer) for layer in merged]
        written = _write_layer(partition, _merged([*map(_paths, older), *runs]))
    old = [file.name for layer in merged for file in layer]
    absorbed, retired = _dated(generation["absorbed"], parts), _dated(generation["retired"], old)
    content = {
        "layers": [[asdict(file) for file in layer] for layer in [*kept, written]],
        "absorbed": absorbed,
        "retired": retired,
    }
    uri = storage.join(partition.uri, "generations", f"{number + 1:08d}.json")
    if not storage.put_if_absent(uri, storage.to_json(content)):
        _remove_layers(partition, [file.name for file in written])
        return False
    _remove_parts(partition, generation["absorbed"].keys() - absorbed.keys())
    _remove_layers(partition, generation["retired"].keys() - retired.keys())
    logger.info(
        "verdict store: merged %d parts into %d rows",
        len(parts),
        sum(file.rows for file in written),
    )
    return True


def merged_tables(partition: Partition, scratch: Path) -> Iterator[pa.Table]:
    """All verdicts as sorted tables without repeated keys; `scratch` is a folder to sort in."""
    snapshot = partition.snapshot()
    layers = [_local(partition, layer) for layer in snapshot.layers]  # held until all is read
    runs = _sorted_runs(partition, snapshot.parts, scratch)
    yield from _merged([*map(_paths, layers), *runs])


def _choose(
    layers: list[list[LayerFile]], rows: int
) -> tuple[list[list[LayerFile]], list[list[LayerFile]]]:
    """(layers that stay, layers to merge in) for `rows` new rows; layers are oldest first."""
    kept = list(layers)
    merged: list[list[LayerFile]] = []
    while kept and sum(file.rows for file in kept[-1]) <= GROWTH * rows:
        rows += sum(file.rows for file in kept[-1])
        merged.insert(0, kept.pop())
    return kept, merged


def _sorted_runs(partition: Partition, parts: Sequence[str], scratch: Path) -> list[list[Path]]:
    """The parts as at most MOST_RUNS sorted local files, in the order of the parts."""
    runs = [
        _written(scratch, [pa.concat_tables(tables).sort_by(SORT)])
        for tables in _by_size(map(partition.read_part, parts))
    ]
    while len(runs) > MOST_RUNS:
        groups = [runs[start : start + MOST_RUNS] for start in range(0, len(runs), MOST_RUNS)]
        runs = [_written(scratch, _merged(group)) for group in groups]
    return runs


def _by_size(tables: Iterable[pa.Table]) -> Iterator[list[pa.Table]]:
    """Neighbours together, of MERGED_ROWS or a little more."""
    some: list[pa.Table] = []
    for table in tables:
        some.append(table)
        if sum(one.num_rows for one in some) >= MERGED_ROWS:
            yield some
            some = []
    if some:
        yield some


def _written(scratch: Path, tables: Iterable[pa.Table]) -> list[Path]:
    """A run: sorted tables as one new file."""
    path = scratch / f"{uuid.uuid4().hex}.parquet"
    with _writing(path) as write:
        for table in tables:
            write(table)
    return [path]


def _local(partition: Partition, layer: Sequence[LayerFile]) -> list[LocalLayer]:
    return [local_file(partition.uri, file.name) for file in layer]


def _paths(files: Sequence[LocalLayer]) -> list[Path]:
    return [file.path for file in files]


@contextmanager
def _writing(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """A function that adds rows to a new file: with LZ4, which is decoded fast, and no statistics,
    which nobody reads and every process that opens the file would hold."""
    schema = schemas.STORED_VERDICTS
    with pq.ParquetWriter(
        path, schema, compression="lz4", use_dictionary=WORDS, write_statistics=False
    ) as writer:
        yield lambda table: writer.write_table(schemas.conform(table, schema), GROUP_ROWS)


def _merged(runs: Sequence[Sequence[Path]]) -> Iterator[pa.Table]:
    """Sorted tables without repeated keys, of about MERGED_ROWS, from sorted runs (oldest first).

    Each step takes from every run what is below a bound that all of them have reached.
    """
    readers = [_Reader(paths) for paths in runs]
    each = max(MERGED_ROWS // max(len(readers), 1), GROUP_ROWS)
    while readers := [reader for reader in readers if reader.fill(each)]:
        bound = min((r.last for r in readers if not r.at_end), default=None)
        yield _first_of_each(pa.concat_tables([reader.take(bound) for reader in readers]))


def _first_of_each(table: pa.Table) -> pa.Table:
    """Rows in order of keys; of rows with the same key the first one given."""
    place = pa.array(np.arange(table.num_rows))
    order = [*SORT, ("place", "ascending")]
    table = table.append_column("place", place).sort_by(order).drop_columns("place")
    if table.num_rows < 2:
        return table
    keys = [table[name].combine_chunks() for name in ("document", "label")]
    again = pc.and_(*(pc.equal(own[1:], own[:-1]) for own in keys))
    return table.filter(pa.concat_arrays([pa.array([True]), pc.invert(again)]))


def _is_enough(tables: Sequence[pa.Table], rows: int) -> bool:
    """`rows` rows, of more than one document: the last one may go on in the next row group."""
    if sum(table.num_rows for table in tables) < max(rows, 1):
        return False
    filled = [table["document"] for table in tables if table.num_rows]
    return bool(prefixes(filled[0])[0] != prefixes(filled[-1])[-1])


class _Reader:
    """Sorted files one after another, of which a few row groups are in memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._groups = self._read(paths)
        self._table: pa.Table | None = None
        self.at_end = False

    @staticmethod
    def _read(paths: Sequence[Path]) -> Iterator[pa.Table]:
        for path in paths:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                groups = range(file.num_row_groups)
                for start in groups[::GROUPS_AT_ONCE]:
                    some = groups[start : start + GROUPS_AT_ONCE]
                    yield file.read_row_groups(list(some), use_threads=False)

    def fill(self, rows: int) -> bool:
        """Have at least `rows` in memory, or all that is left; False when nothing is."""
        tables = [self._table] if self._table is not None else []
        while not self.at_end and not _is_enough(tables, rows):
            group = next(self._groups, None)
            if group is None:
                self.at_end = True
            else:
                tables.append(group)
        self._table = pa.concat_tables(tables).combine_chunks() if tables else None
        return self._table is not None and self._table.num_rows > 0

    @property
    def last(self) -> int:
        assert self._table is not None
        return int(prefixes(self._table["document"])[-1])

    def take(self, bound: int | None) -> pa.Table:
        """Rows whose document's prefix is below `bound`, or all of them; the others stay."""
        table = self._table
        assert table is not None
        count = table.num_rows
        if bound is not None:
            count = int(np.searchsorted(prefixes(table["document"]), np.uint64(bound)))
        self._table = table.slice(count)
        return table.slice(0, count)


def _write_layer(partition: Partition, tables: Iterator[pa.Table]) -> list[LayerFile]:
    """Write sorted tables as the files of one layer; nothing names them yet."""
    tables = (table for table in tables if table.num_rows)
    files: list[LayerFile] = []
    while (table := next(tables, None)) is not None:
        files.append(_write_file(partition, _of_one_file(table, tables)))
    return files


def _of_one_file(table: pa.Table, others: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The table, and as many others as make a file."""
    yield table
    rows = table.num_rows
    while rows < FILE_ROWS and (table := next(others, None)) is not None:
        rows += table.num_rows
        yield table


def _write_file(partition: Partition, tables: Iterator[pa.Table]) -> LayerFile:
    name, keys, ends = f"{uuid.uuid4().hex}.parquet", [], []
    with storage.scratch_folder() as scratch:
        path = Path(scratch) / name
        with _writing(path) as write:
            for table in tables:
                write(table)
                keys.append(prefixes(table["document"]))
                ends += [table["document"][place].as_py().hex() for place in (0, -1)]
        keys_N = np.concatenate(keys)
        np.save(path.with_suffix(KEYS), keys_N, allow_pickle=False)
        for local in (path, path.with_suffix(KEYS)):
            storage.put_file(local, storage.join(partition.uri, "layers", local.name))
    return LayerFile(name, len(keys_N), ends[0], ends[-1])


def _dated(before: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Names of files that no longer count, with the time since when; a day later they go."""
    now = round(time.time(), 1)
    return {name: at for name, at in before.items() if now - at < KEPT_SECONDS} | {
        name: now for name in names
    }


def _remove_parts(partition: Partition, names: Collection[str]) -> None:
    for name in names:
        storage.remove_file(storage.join(partition.uri, "parts", name))


def _remove_layers(partition: Partition, names: Collection[str]) -> None:
    for name in names:
        uri = storage.join(partition.uri, "layers", name)
        storage.remove_file(uri)
        storage.remove_file(uri.removesuffix(".parquet") + KEYS)
