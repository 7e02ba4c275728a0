"""Looks for what is odd in a label set: a file, a bundle, or a published step of labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import pyarrow as pa

from lmtx_ray.batch.tag_files import read_tag_file
from lmtx_ray.bundle.cache import DESCRIPTION, LABELS, LocalBundle, open_bundle
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.corpus.label_texts import encoder_texts
from lmtx_ray.corpus.labels import all_labels
from lmtx_ray.corpus.left_out import LeftOut
from lmtx_ray.corpus.parquet import open_parquet
from lmtx_ray.corpus.plain_labels import plain_labels
from lmtx_ray.corpus.schemas import LABELS as LABELS_SCHEMA
from lmtx_ray.corpus.schemas import contract_of
from lmtx_ray.io import storage
from lmtx_ray.io.latest import resolve
from lmtx_ray.io.published import MANIFEST, PublishedFolder
from lmtx_ray.io.stage import Stage
from lmtx_ray.loop.text_tokens import TOKENIZER, Count, token_counter
from lmtx_ray.vocabularies.circles import odd_parents
from lmtx_ray.vocabularies.findings import Finding, Report
from lmtx_ray.vocabularies.repeats import Names, groups, same_names, taken_aliases
from lmtx_ray.vocabularies.slips import one_letter_apart
from lmtx_ray.vocabularies.usage import odd_usage

ROWS = 8192
READING, FOLDING, KEYS = "reading the labels", "folding names", "keys"
PARENTS, NAMES, ALIASES = "parents", "equal names", "aliases"
LETTERS, LENGTHS, USAGE = "names one letter apart", "lengths", "tags"
WORK = {  # part of the work -> how much it is, about
    **{READING: 10.0, FOLDING: 4.0, KEYS: 1.0, PARENTS: 1.0, NAMES: 3.0},
    **{ALIASES: 2.0, LETTERS: 12.0, LENGTHS: 6.0, USAGE: 1.0},
}


@dataclass(frozen=True)
class LabelSource:
    """A `labels` table, the rows of a file that are no labels, and what reads them, where that is
    known: the folder of an encoder and its settings. A bundle's copy stays as long as `held`."""

    table: pa.Table
    bad: LeftOut = field(default_factory=LeftOut)
    encoder: str | None = None
    settings: EncoderConfig = field(default_factory=EncoderConfig)
    held: LocalBundle | None = None


def check_labels(
    labels: str,
    tags: str | None = None,
    model: str | None = None,
    tokens: int | None = None,
    output: str | None = None,
) -> Report:
    """Everything that is odd in the labels at a URI.

    Args:
        tags: Where tags of many documents are, to see how the labels are used.
        model: The encoder whose tokens are counted, by default a bundle's own, or minilm; "none"
            counts words.
        tokens: The most that a text should have, by default what the encoder reads.
        output: A CSV file for all findings.

    Raises:
        CorpusError: A file that cannot be read at all.
        ConfigError: There is no such encoder.
    """
    at = _Parts()
    with at.stage:
        with at.part(READING):
            source = read_labels(labels)
        with at.part(FOLDING):
            names = Names(source.table["label_key"].to_pylist(), source.table["text"].to_pylist())
        count, unit = token_counter(model or source.encoder)
        report = Report(len(names.keys), ["names", "aliases", "parents", f"lengths in {unit}"])
        report.checked += [f"tags at {tags}"] if tags else []
        long = _long(source, names, count, tokens or source.settings.label_tokens)
        usage = _usage(source.table, names, tags)
        further = at.each(LENGTHS, long), at.each(USAGE, usage)
        _gather(report, chain(_findings(source, names, at), *further), output)
    return report


class _Parts:
    """Which part of the work is being done, for whoever looks on."""

    def __init__(self) -> None:
        self._now = ""
        self.stage = Stage("looking at labels", WORK, note=lambda: self._now)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part for the length of a block."""
        self._now = name
        yield
        self.stage.done(name, 0)
        self._now = ""

    def each(self, name: str, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Findings of a part, which is done with the last."""
        with self.part(name):
            yield from findings


def _gather(report: Report, findings: Iterable[Finding], output: str | None) -> None:
    if output is None:
        report.gather(findings)
        return
    with storage.scratch_folder() as folder:
        draft = Path(folder, "findings.csv")
        with draft.open("w", encoding="utf-8", errors="replace", newline="") as file:
            report.gather(findings, file)
        storage.put_file(draft, output)


def _findings(source: LabelSource, names: Names, at: _Parts) -> Iterator[Finding]:
    for reject in source.bad.rejects:
        place = f"{reject['source'].rsplit('/', 1)[-1]} row {reject['position']}"
        yield Finding("not_a_label", place, "", (), reject["reason"])
    aliases = source.table["aliases"].combine_chunks()
    yield from at.each(KEYS, _repeated_keys(names))
    yield from at.each(PARENTS, odd_parents(source.table, names))
    yield from at.each(NAMES, same_names(names))
    yield from at.each(ALIASES, taken_aliases(names, aliases))
    yield from at.each(LETTERS, one_letter_apart(names))


def _repeated_keys(names: Names) -> Iterator[Finding]:
    for group in groups(names.keys):
        yield names.finding("not_a_label", group, f"{len(group):,} labels have this key")


def _usage(table: pa.Table, names: Names, tags: str | None) -> Iterator[Finding]:
    if tags:
        yield from odd_usage(table, names, read_tag_file(tags))


def read_labels(uri: str) -> LabelSource:
    """The labels of a file as a run reads it, of a bundle (of a run: its newest) or of a published
    step.

    Raises:
        CorpusError: There is no label, or a file that cannot be read.
        PublishError: A folder where neither a bundle nor labels are published.
    """
    uri = resolve(uri)
    if storage.exists(storage.join(uri, MANIFEST)):
        folder = PublishedFolder(uri)
        return _of_bundle(uri) if folder.manifest().files else LabelSource(folder.read())
    if (table := _clean_table(uri)) is not None:
        return LabelSource(table)
    config = CorpusConfig(documents=(uri,), labels=uri, bad_labels="leave_out")
    if (plain := plain_labels(config)) is not None:
        return LabelSource(plain)
    return LabelSource(*all_labels(config, ROWS))


def _clean_table(uri: str) -> pa.Table | None:
    """What an import wrote as Parquet and looked at, row by row; None of any other file."""
    if not uri.endswith(".parquet") or not storage.exists(uri):
        return None
    with open_parquet(uri) as file:
        is_ours = contract_of(file.schema_arrow) == contract_of(LABELS_SCHEMA)
    return storage.read_table(uri) if is_ours else None


def _of_bundle(uri: str) -> LabelSource:
    wanted = {LABELS, DESCRIPTION, f"encoder/{TOKENIZER}"}
    held = open_bundle(uri, wanted.__contains__)
    folder = Path(held.folder)
    encoder = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["encoder"]
    table = storage.read_table(str(folder / LABELS))
    return LabelSource(table, LeftOut(), str(folder / "encoder"), EncoderConfig(**encoder), held)


def _long(source: LabelSource, names: Names, count: Count, tokens: int) -> Iterator[Finding]:
    """A text of few bytes has few tokens, so only others are counted."""
    texts = encoder_texts(source.table, source.settings.label_template)
    places = [place for place, text in enumerate(texts) if len(text.encode()) + 2 > tokens]
    for start in range(0, len(places), ROWS):
        part = places[start : start + ROWS]
        counted = count([texts[place] for place in part])
        for place, number in zip(part, counted, strict=True):
            if number > tokens:
                yield names.finding("long_text", (place,), f"{number:,}, and {tokens:,} are read")
