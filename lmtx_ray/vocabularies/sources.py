"""Opens a vocabulary, whatever it is kept as: what it is, is told by its name and its beginning."""

from __future__ import annotations

import io
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.inputs import list_inputs
from lmtx_ray.corpus.lines import BadRow, CorpusError, inflated
from lmtx_ray.corpus.looking import Look, beginning, encoding_of
from lmtx_ray.corpus.readers import ENDINGS, RDF
from lmtx_ray.io import storage
from lmtx_ray.vocabularies import tables
from lmtx_ray.vocabularies.asked import Asked, Vocabulary
from lmtx_ray.vocabularies.columns import Columns, choose_columns
from lmtx_ray.vocabularies.concepts import Concept, usual_languages

# what a row begins with, and no header; a group where it is in no quotation marks
ADDRESS = re.compile(
    r'\s*(?:(<[^<>\s]+>|https?://[^\s,;|]+)|"(?:<[^<>\s"]+>|https?://[^\s"]+)") *(?:[\t,;|\r\n]|$)'
)
JSON_LD = re.compile(r'"@(context|graph|id)"\s*:')
SPARSE = re.compile(r"\d+ \d+\s*\n\s*\d+:[-+.\de]")
ARROWED = re.compile(rf"\s*\d+\s*{tables.ARROW}")
ARROWS = re.compile(r"yf?|output-items|.*label_map", re.IGNORECASE)  # of XMC: rows are the keys,
RAW = re.compile(r".*\.raw", re.IGNORECASE)  # and so here, where an arrow is text
HEAD = 1 << 16  # bytes
SKOS_EXTRA = "RDF needs the package rdflib: pip install 'lmtx_ray[skos]'"


def open_vocabulary(source: str, asked: Asked) -> Vocabulary:
    """Open a file, folder or glob, local or s3; of several files the first tells what they are.

    Raises:
        CorpusError: Nothing is there, or it cannot be read as what it seems to be.
        ConfigError: What was asked for does not fit it.
        StorageError: The disk or the network fails.
    """
    files = [file.uri for file in list_inputs([source], identify=False)]
    head = _head(files[0])
    kind = _kind(files[0], head) if asked.format == "auto" else asked.format
    if kind == "skos":
        return _skos(files, asked)
    if SPARSE.match(head):
        raise CorpusError(
            f"{files[0]}: a sparse matrix of numbers, not the labels' names; of an XMC set the "
            "labels are in lbl.json, or in a text file with a name a line"
        )
    name = _bare(files[0])[0] if kind == "list" else ""
    with_arrows = bool(ARROWS.fullmatch(name))
    is_numbered = with_arrows or bool(RAW.fullmatch(name))
    wanted = replace(asked, number=asked.number or is_numbered)
    arrows = with_arrows or _has_arrows(head)
    return _table(files, kind, _has_header(kind, head, asked), arrows, wanted)


def _head(uri: str) -> str:
    """The beginning of a file as text; "" of a Parquet file."""
    if uri.lower().endswith(".parquet"):
        return ""
    data = beginning(uri, HEAD)
    return data.decode(encoding_of(data, len(data) < HEAD), "replace").lstrip("\ufeff")


def _bare(uri: str) -> tuple[str, str]:
    """(name without folders and endings, its ending in small letters without .gz and .zst)."""
    name = uri.rsplit("/", 1)[-1]
    for packed in (".gz", ".zst"):
        name = name[: -len(packed)] if name.lower().endswith(packed) else name
    stem, dot, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if dot else (name, "")


def _kind(uri: str, head: str) -> str:
    """What a file is, as `Asked.format` names it."""
    ending = _bare(uri)[1]
    if ending in RDF or (ending == ".json" and JSON_LD.search(head)):
        return "skos"
    kind = ENDINGS.get(ending)
    address = ADDRESS.match(head) if kind in ("text", "tsv") else None
    if address and address[1] and "\t" in head.split("\n", 1)[0]:
        return "annif"
    if kind is None:
        known = ", ".join((*ENDINGS, *RDF))
        raise CorpusError(
            f"{uri}: cannot tell the format from the name; known: {known}; or say "
            "what it is by --format"
        )
    return "list" if kind == "text" else kind


def _has_header(kind: str, head: str, asked: Asked) -> bool:
    """Whether the first line names columns: what begins with an address is a row already."""
    if asked.header is not None:
        return asked.header
    return kind not in ("csv", "tsv") or not ADDRESS.match(head)


def _has_arrows(head: str) -> bool:
    """Whether most lines are a number, an arrow and a text: in any other list an arrow is text."""
    lines = [line for line in head.split("\n")[:-1] or [head] if line.strip()]
    return 2 * sum(map(bool, map(ARROWED.match, lines))) > len(lines)


def _table(files: Sequence[str], kind: str, header: bool, arrows: bool, asked: Asked) -> Vocabulary:
    named = {"list": Columns("key", "text"), "annif": Columns("key", "text")}
    columns = named.get(kind)
    if columns is None:
        head = tables.head_of(files, kind, header, asked.encoding)
        _refuse_keyless(files[0], head, asked)
        places = {} if header or len(head.columns) < 2 else {"key": "1", "text": "2"}
        columns = choose_columns(head, {**places, **asked.columns})
    elif asked.columns:
        raise ConfigError(f"--{next(iter(asked.columns))}: a file of format {kind} has no columns")
    if asked.number and columns.language:
        raise ConfigError(
            f"--number: a label has several rows here, by column {columns.language!r}"
        )
    used = columns.used() if header and kind in ("csv", "tsv", "parquet") else ()
    form = "arrows" if kind == "list" and arrows else kind
    rows = tables.rows_of(files, form, header, asked.encoding, used)
    if kind == "list" and not asked.number:  # a blank line counts where rows do
        rows = (row for row in rows if isinstance(row[2], BadRow) or row[2]["text"].strip())
    found, languages = tables.labels_of(rows, columns, asked)
    return Vocabulary(kind, tuple(files), found, columns.told(), tuple(languages))


def _refuse_keyless(uri: str, head: Look, asked: Asked) -> None:
    """CorpusError for a JSON object that was given its file's name as its id, as documents are."""
    if "key" not in asked.columns and head.rows[0].get("id") == uri.rsplit("/", 1)[-1]:
        raise CorpusError(
            f"{uri}: a JSON object without a key; labels are objects, one each, such as "
            '{"key": "7", "text": "cats"}; or name their key by --key'
        )


def _skos(files: Sequence[str], asked: Asked) -> Vocabulary:
    if asked.columns:
        raise ConfigError(f"--{next(iter(asked.columns))}: SKOS has no columns")
    concepts = _concepts(files)
    if not concepts:
        raise CorpusError(f"{', '.join(files)}: no skos:Concept and no skos:prefLabel in it")
    languages = asked.languages or tuple(usual_languages(concepts))
    wanted = replace(asked, languages=languages)
    found = tables.checked_concepts(concepts, ", ".join(files), wanted)
    return Vocabulary("skos", tuple(files), found, {}, languages)


def _concepts(files: Sequence[str]) -> list[Concept]:
    try:
        from lmtx_ray.vocabularies.skos import read_skos
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("rdflib", "pyparsing"):
            raise ConfigError(f"{files[0]}: {SKOS_EXTRA}") from None
        raise
    kinds = ((uri, RDF.get(_bare(uri)[1], "json-ld")) for uri in files)
    return read_skos((uri, kind, partial(_opened, uri)) for uri, kind in kinds)


@contextmanager
def _opened(uri: str) -> Iterator[io.BufferedReader]:
    with storage.open_input(uri) as raw:
        stream = inflated(uri, raw)
        if stream.peek(len(BOM_UTF8)).startswith(BOM_UTF8):  # some parsers take it for a letter
            stream.read(len(BOM_UTF8))
        yield stream
