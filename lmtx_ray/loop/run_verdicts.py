"""A run's documents and labels beside the store's verdicts, which know only hashes of texts."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.lines import BadRow
from lmtx_ray.corpus.schemas import HUMAN
from lmtx_ray.corpus.text_keys import KEY_BYTES, document_keys, document_text, text_key
from lmtx_ray.io import storage
from lmtx_ray.loop.layout import Layout, lay_out
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.run_folder import RECORDS
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.shown import shown_tables
from lmtx_ray.verdicts.exchange import Resolver, Row, from_hex, read_file
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.store import Partition, VerdictStore, own_store

SEEN = pa.schema(
    [("seen", pa.binary(KEY_BYTES)), ("label_key", pa.string()), ("text", pa.string())]
)


def store_at(place: str, may_be_new: bool = False) -> VerdictStore:
    """The store at a place, or that of the run whose folder it is.

    Raises:
        ConfigError: Neither is there, and the store may not be a new one; or the run's starts kept
            verdicts in several stores.
    """
    place = storage.absolute(place)
    inside = set(storage.list_folders(place))
    if inside.intersection(RECORDS):
        return VerdictStore(_store_of_run(place))
    if "judges" not in inside and not may_be_new:
        raise ConfigError(
            f"{place}: no verdict store is there; give one, or a run's YAML file or folder"
        )
    return VerdictStore(place)


def store_beside(bundle: str) -> str:
    """Where the run that a bundle lies in keeps its verdicts; of any other folder: its own store.

    Raises:
        ConfigError: The run's starts kept verdicts in several stores.
    """
    folder = storage.absolute(bundle).rstrip("/").rsplit("/", 1)[0]
    is_run = set(RECORDS) & set(storage.list_folders(folder))
    return _store_of_run(folder) if is_run else own_store(folder)


def _store_of_run(run: str) -> str:
    records = [file for name in RECORDS for file in storage.list_files(f"{run}/{name}", ".json")]
    named = {storage.read_json(file)["config"]["judge"]["store"] for file in records}
    stores = sorted({store or own_store(run) for store in named})
    if len(stores) != 1:
        raise ConfigError(
            f"{run}: kept verdicts in {len(stores)} stores, name one: {', '.join(stores)}"
        )
    return stores[0]


def judges_of(store: VerdictStore, layout: Layout | None) -> list[Partition]:
    """Partitions of a store that hold anything; with a layout those that its run looks at."""
    names = store.judges()
    if layout is not None:
        prompt, teacher = layout.judge
        names = [name for name in names if name in {f"{teacher}-{prompt}", HUMAN}]
    return [Partition(storage.join(store.uri, "judges", name)) for name in names]


def document_files(layout: Layout) -> list[str]:
    """Fragments of all published documents of a run. Raises ConfigError where there are none."""
    if not layout.documents.is_complete():
        raise ConfigError(
            f"{layout.documents.uri}: the run's documents are not prepared yet; "
            "lmtx run --until prepare does it"
        )
    files = layout.documents.files()
    if layout.test and layout.test.documents.is_complete():
        files += layout.test.documents.files()
    return files


def named_rows(layout: Layout, partition: Partition) -> Iterator[Row]:
    """Verdicts of a partition on the run's documents, with ids, keys and texts; unit by unit."""
    files = document_files(layout)
    labels = _labels_seen(layout.prompt, layout.labels.files())
    lookup = Lookup(partition.snapshot())
    for file in files:
        documents = storage.read_table(file)
        by_key: dict[bytes, list[Row]] = {}
        for key, row in zip(document_keys(documents), documents.to_pylist(), strict=True):
            by_key.setdefault(key, []).append(row)
        verdicts: dict[tuple[bytes, bytes], Row] = {}
        for row in lookup.find(by_key).to_pylist():
            verdicts.setdefault((row["document"], row["label"]), row)
        names = _names_of({label for _, label in verdicts}, labels)
        for row in verdicts.values():
            for document in by_key.get(row["document"], ()):
                yield _named(row, document, names.get(row["label"]))


def _named(verdict: Row, document: Row, label: tuple[str, str] | None) -> Row:
    key, text = label or (None, None)
    return {
        **verdict,
        "document": verdict["document"].hex(),
        "label": verdict["label"].hex(),
        "doc_id": document["doc_id"],
        "label_key": key,
        "label_text": text,
        "document_text": document_text(document["title"], document["text"]),
    }


def _labels_seen(prompt: Prompt, files: Sequence[str]) -> pa.Table:
    """SEEN of a label set: a row for each label's name, and one for what the judge sees of it if
    that is another text."""
    tables = [SEEN.empty_table()]
    for table in shown_tables(prompt, files, ["label_key", "text", "description", "aliases"]):
        rows = [
            {"seen": text_key(text), "label_key": row["label_key"], "text": row["text"]}
            for row in table.to_pylist()
            for text in dict.fromkeys([row["text"], prompt.label_text(row)])
        ]
        tables.append(pa.Table.from_pylist(rows, schema=SEEN))
    return pa.concat_tables(tables)


def _names_of(keys: Collection[bytes], labels: pa.Table) -> dict[bytes, tuple[str, str]]:
    """(label_key, name) by key, of the first label that has it."""
    wanted = pa.array(keys, SEEN.field("seen").type)
    found = labels.filter(pc.is_in(labels["seen"], value_set=wanted)).to_pylist()
    return {row["seen"]: (row["label_key"], row["text"]) for row in reversed(found)}


def resolver_for(config: RunConfig | None, path: str) -> Resolver:
    """What the ids and label keys in a verdict file mean. Without a run only hashes are known."""
    if config is None:
        return Resolver({}, {})
    ids, names = _named_in(path)
    if not ids:
        return Resolver({}, {})
    layout = lay_out(config)
    documents: dict[str, bytes] = {}
    for file in document_files(layout):
        table = storage.read_table(file)
        pairs = zip(table["doc_id"].to_pylist(), document_keys(table), strict=True)
        documents |= {doc_id: key for doc_id, key in pairs if doc_id in ids}
    labels: dict[str, bytes] = {}
    for file in layout.labels.files():
        for row in storage.read_table(file, ["label_key", "text"]).to_pylist():
            if row["text"] in names:
                labels.setdefault(row["text"], text_key(row["text"]))
            if row["label_key"] in names:
                labels[row["label_key"]] = text_key(row["text"])
    return Resolver(documents, labels)


def _named_in(path: str) -> tuple[set[str], set[str]]:
    """What documents and labels are called in rows that do not give both hashes, as exported ones
    do."""
    ids, names = set[str](), set[str]()
    for _, row in read_file(path):
        if isinstance(row, BadRow):
            continue
        if any(from_hex(str(row.get(name) or "")) is None for name in ("document", "label")):
            ids |= _values(row, "doc_id", "document")
            names |= _values(row, "label_key", "label_text", "label")
    return ids, names


def _values(row: Row, *fields: str) -> set[str]:
    return {str(row[name]) for name in fields if row.get(name)}


def keep_rejects(store: VerdictStore, rejects: list[dict[str, Any]]) -> str | None:
    """Write the rejected rows of an import beside the verdicts; where, or None without any."""
    if not rejects:
        return None
    table = schemas.conform(pa.Table.from_pylist(rejects, schema=schemas.REJECTS), schemas.REJECTS)
    data = storage.table_bytes(table)
    digest = hashlib.sha256(data).hexdigest()[:12]
    uri = storage.join(store.uri, "rejects", f"{digest}.parquet")
    storage.write_bytes(uri, data)
    return uri
