"""Looks for what is odd in a label set: a file, a bundle, or a published step of labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from lmtx_ray.batch.tag_files import read_tag_file
from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.corpus.labels import label_tables
from lmtx_ray.corpus.left_out import LeftOut
from lmtx_ray.io import storage
from lmtx_ray.io.published import MANIFEST, PublishedFolder
from lmtx_ray.student.model_folder import model_folder
from lmtx_ray.vocabularies.circles import odd_parents
from lmtx_ray.vocabularies.findings import Finding, Report
from lmtx_ray.vocabularies.repeats import Names, one_letter_apart, same_names, taken_aliases
from lmtx_ray.vocabularies.usage import odd_usage

ROWS = 8192
IN_BUNDLE = "labels.parquet"
Count = Callable[[Sequence[str]], list[int]]


def check_labels(
    labels: str, tags: str | None, model: str, tokens: int, output: str | None = None
) -> Report:
    """Everything that is odd in the labels at a URI.

    Args:
        tags: Where tags of many documents are, to see how the labels are used.
        model: The encoder whose tokens are counted; "none" counts words.
        tokens: The most that a text should have.
        output: A CSV file for all findings.

    Raises:
        CorpusError: A file that cannot be read at all.
        ConfigError: There is no such encoder.
    """
    table, bad = read_labels(labels)
    names = Names(table["label_key"].to_pylist(), table["text"].to_pylist())
    report = Report(len(names.keys))
    count, unit = token_counter(model)
    report.checked = ["names", "aliases", "parents", f"lengths in {unit}"]
    findings = _findings(table, bad, names, count, tokens, tags)
    report.checked += [f"tags at {tags}"] if tags else []
    if output is None:
        report.gather(findings)
        return report
    with storage.scratch_folder() as folder:
        draft = Path(folder, "findings.csv")
        with draft.open("w", encoding="utf-8", errors="replace", newline="") as file:
            report.gather(findings, file)
        storage.put_file(draft, output)
    return report


def _findings(
    table: pa.Table, bad: LeftOut, names: Names, count: Count, tokens: int, tags: str | None
) -> Iterator[Finding]:
    for reject in bad.rejects:
        place = f"{reject['source'].rsplit('/', 1)[-1]} row {reject['position']}"
        yield Finding("not_a_label", place, "", (), reject["reason"])
    yield from odd_parents(table, names)
    yield from same_names(names)
    yield from taken_aliases(names, (value.as_py() for value in table["aliases"]))
    yield from one_letter_apart(names)
    yield from _long(names, count, tokens)
    if tags:
        yield from odd_usage(table, names, read_tag_file(tags))


def read_labels(uri: str) -> tuple[pa.Table, LeftOut]:
    """(a `labels` table, the rows of a file that are no labels).

    Raises:
        CorpusError: There is no label, or a file that cannot be read.
        PublishError: A folder where neither a bundle nor labels are published.
    """
    if storage.exists(storage.join(uri, MANIFEST)):
        folder = PublishedFolder(uri)
        if not folder.manifest().files:
            return folder.read(), LeftOut()
        held = open_bundle(uri, lambda name: name == IN_BUNDLE)
        return storage.read_table(str(Path(held.folder) / IN_BUNDLE)), LeftOut()
    bad = LeftOut()
    config = CorpusConfig(documents=(uri,), labels=uri, bad_labels="leave_out")
    return pa.concat_tables(label_tables(config, ROWS, bad)), bad


def _long(names: Names, count: Count, tokens: int) -> Iterator[Finding]:
    """A text of few bytes has few tokens, so only others are counted."""
    places = [place for place, text in enumerate(names.texts) if len(text.encode()) + 2 > tokens]
    for start in range(0, len(places), ROWS):
        part = places[start : start + ROWS]
        counted = count([names.texts[place] for place in part])
        for place, number in zip(part, counted, strict=True):
            if number > tokens:
                yield names.finding("long_text", (place,), f"{number:,}, and {tokens:,} are read")


def token_counter(model: str) -> tuple[Count, str]:
    """(a function to the tokens of texts as an encoder counts them, what it counts). Words, where
    the encoder is "none" or its tokenizer is not on this machine.

    Raises:
        ConfigError: The encoder is asked for by a folder that holds none.
    """
    file = Path() if model == "none" else Path(model_folder(model)) / "tokenizer.json"
    if model == "none" or not file.is_file():
        return lambda texts: [len(text.split()) for text in texts], "words"
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [len(one.ids) for one in tokenizer.encode_batch(list(texts))], "tokens"
