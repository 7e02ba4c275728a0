"""Looks for what is odd in a label set: a file, a bundle, or a published step of labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import pyarrow as pa

from lmtx_ray.batch.tag_files import read_tag_file
from lmtx_ray.bundle.cache import LocalBundle, open_bundle
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.label_texts import encoder_texts
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.left_out import LeftOut
from lmtx_ray.corpus.parquet import open_parquet
from lmtx_ray.corpus.schemas import LABELS as LABELS_SCHEMA
from lmtx_ray.corpus.schemas import contract_of
from lmtx_ray.io import storage
from lmtx_ray.io.published import MANIFEST, PublishedFolder
from lmtx_ray.student.model_folder import model_folder
from lmtx_ray.vocabularies.circles import odd_parents
from lmtx_ray.vocabularies.findings import Finding, Report
from lmtx_ray.vocabularies.repeats import (
    Names,
    groups,
    one_letter_apart,
    same_names,
    taken_aliases,
)
from lmtx_ray.vocabularies.usage import odd_usage

ROWS = 8192
LABELS, ABOUT, TOKENIZER = "labels.parquet", "bundle.json", "tokenizer.json"  # of a bundle
Count = Callable[[Sequence[str]], list[int]]


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
    source = read_labels(labels)
    names = Names(source.table["label_key"].to_pylist(), source.table["text"].to_pylist())
    report = Report(len(names.keys))
    count, unit = token_counter(model or source.encoder)
    report.checked = ["names", "aliases", "parents", f"lengths in {unit}"]
    report.checked += [f"tags at {tags}"] if tags else []
    long = _long(source, names, count, tokens or source.settings.label_tokens)
    findings = chain(_findings(source, names), long, _usage(source.table, names, tags))
    if output is None:
        report.gather(findings)
        return report
    with storage.scratch_folder() as folder:
        draft = Path(folder, "findings.csv")
        with draft.open("w", encoding="utf-8", errors="replace", newline="") as file:
            report.gather(findings, file)
        storage.put_file(draft, output)
    return report


def _findings(source: LabelSource, names: Names) -> Iterator[Finding]:
    for reject in source.bad.rejects:
        place = f"{reject['source'].rsplit('/', 1)[-1]} row {reject['position']}"
        yield Finding("not_a_label", place, "", (), reject["reason"])
    for group in groups(names.keys):
        yield names.finding("not_a_label", group, f"{len(group):,} labels have this key")
    yield from odd_parents(source.table, names)
    yield from same_names(names)
    yield from taken_aliases(names, (value.as_py() for value in source.table["aliases"]))
    yield from one_letter_apart(names)


def _usage(table: pa.Table, names: Names, tags: str | None) -> Iterator[Finding]:
    if tags:
        yield from odd_usage(table, names, read_tag_file(tags))


def read_labels(uri: str) -> LabelSource:
    """The labels of a file as a run reads it, of a bundle or of a published step.

    Raises:
        CorpusError: There is no label, or a file that cannot be read.
        PublishError: A folder where neither a bundle nor labels are published.
    """
    if storage.exists(storage.join(uri, MANIFEST)):
        folder = PublishedFolder(uri)
        return _of_bundle(uri) if folder.manifest().files else LabelSource(folder.read())
    if (table := _clean_table(uri)) is not None:
        return LabelSource(table)
    bad = LeftOut()
    config = CorpusConfig(documents=(uri,), labels=uri, bad_labels="leave_out")
    return LabelSource(pa.concat_tables(label_tables(config, ROWS, bad)), bad)


def _clean_table(uri: str) -> pa.Table | None:
    """What an import wrote as Parquet and looked at, row by row; None of any other file."""
    if not uri.endswith(".parquet") or not storage.exists(uri):
        return None
    with open_parquet(uri) as file:
        is_ours = contract_of(file.schema_arrow) == contract_of(LABELS_SCHEMA)
    return storage.read_table(uri) if is_ours else None


def _of_bundle(uri: str) -> LabelSource:
    wanted = {LABELS, ABOUT, f"encoder/{TOKENIZER}"}
    held = open_bundle(uri, wanted.__contains__)
    folder = Path(held.folder)
    encoder = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["encoder"]
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


def token_counter(model: str | None) -> tuple[Count, str]:
    """(a function to the tokens of texts as an encoder counts them, what it counts). None is minilm
    where that is installed. Words are counted where the encoder is "none" or its tokenizer is not
    on this machine.

    Raises:
        ConfigError: The encoder is asked for by a folder that holds none.
    """
    file = _tokenizer_of(model)
    if file is None or not file.is_file():
        return lambda texts: [len(text.split()) for text in texts], "words"
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [len(one.ids) for one in tokenizer.encode_batch(list(texts))], "tokens"


def _tokenizer_of(model: str | None) -> Path | None:
    if model == "none":
        return None
    if model and (own := Path(model) / TOKENIZER).is_file():  # of a bundle that is held in parts
        return own
    try:
        return Path(model_folder(model or "minilm")) / TOKENIZER
    except ConfigError:
        if model is None:
            return None
        raise
