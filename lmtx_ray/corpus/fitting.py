"""Whether the files have the columns that a config reads; each message names the setting."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.corpus.columns import (
    IDS,
    KEYS,
    LABEL_TEXTS,
    TEXTS,
    TITLES,
    near_names,
    usual_name,
)
from lmtx_ray.corpus.documents import kind_of
from lmtx_ray.corpus.inputs import list_inputs
from lmtx_ray.corpus.lines import UTF8, CorpusError
from lmtx_ray.corpus.looking import encoding_at
from lmtx_ray.corpus.readers import columns_of
from lmtx_ray.io import storage

logger = logging.getLogger(__name__)
ENCODING = "set corpus.encoding, to cp1252 for most of Western Europe"


def check_corpus(config: CorpusConfig) -> None:
    """Look at the first rows of documents, labels and test documents.

    Raises:
        CorpusError: A file is not there, or has no column of a name that is read.
        StorageError: A file cannot be read.
    """
    columns = config.columns
    documents = (
        ("doc_id", columns.doc_id, IDS),
        ("text", columns.text, (*TEXTS, *TITLES)),
        ("title", columns.title, ()),
    )
    labels = (
        ("label_key", columns.label_key, KEYS),
        ("label_text", columns.label_text, LABEL_TEXTS),
    )
    _check("corpus.labels", [config.labels], config, labels)
    _check("corpus.documents", config.documents, config, documents)
    if config.test:
        _check("corpus.test", [config.test], config, ())


def check_titles(config: CorpusConfig) -> None:
    """Look for titles beside the texts of the documents, which are learned from by them.

    Raises:
        CorpusError: There is no column of titles.
        StorageError: A file cannot be read.
    """
    uri, kind = _first_known(
        "corpus.documents", [file.uri for file in list_inputs(config.documents, False)], config
    )
    if kind == "text":
        raise CorpusError(
            f"corpus.documents: {uri}: plain text has no titles; take source: segment"
        )
    has = columns_of(uri, kind, config.encoding)
    problem = _problem("title", config.columns.title, TITLES, has)
    if problem:
        raise CorpusError(
            f"corpus.documents: {uri}: source: title learns from titles: {problem} Without titles "
            "take source: segment"
        )


def _check(
    field: str,
    uris: Sequence[str],
    config: CorpusConfig,
    wanted: Sequence[tuple[str, str | None, Sequence[str]]],
) -> None:
    with naming(field):
        files = list_inputs(uris, identify=False)
    uri, kind = _first_known(field, [file.uri for file in files], config)
    if kind == "text" and field == "corpus.labels":
        raise CorpusError(
            f"{field}: {uri} is plain text; labels need a CSV with a header line, which "
            "`lmtx labels import` writes of a list"
        )
    if kind != "parquet" and config.encoding == UTF8:
        _warn_of_encoding(field, uri)
    with naming(field):
        has = columns_of(uri, kind, config.encoding) if wanted and kind != "text" else []
    for role, named, usual in wanted:
        if has and (problem := _problem(role, named, usual, has)):
            raise CorpusError(f"{field}: {uri}: {problem}")


@contextmanager
def naming(field: str) -> Iterator[None]:
    """What is wrong with a file, with the setting that names it."""
    try:
        yield
    except CorpusError as error:
        hint = f"; {ENCODING}" if "invalid UTF-8" in str(error) else ""
        raise CorpusError(f"{field}: {error}{hint}") from None
    except storage.StorageError as error:
        raise storage.StorageError(f"{field}: {error}") from error


def _warn_of_encoding(field: str, uri: str) -> None:
    found = encoding_at(uri)
    if not found.startswith(UTF8):
        logger.warning(
            "%s: %s holds lines that are not UTF-8, and they become rejects; %s",
            field,
            uri,
            ENCODING,
        )


def _first_known(field: str, uris: Sequence[str], config: CorpusConfig) -> tuple[str, str]:
    """(URI, format) of the first file whose format is known."""
    problem = ""
    for uri in uris:
        try:
            return uri, kind_of(uri, config)
        except CorpusError as error:
            problem = problem or str(error)
    raise CorpusError(f"{field}: {problem}; or set corpus.format")


def _problem(role: str, named: str | None, usual: Sequence[str], has: Sequence[str]) -> str:
    """What is wrong with the column of one role; empty if nothing is."""
    alike = {usual_name(name) for name in has}
    if named in has or (named is None and (not usual or set(usual) & alike)):
        return ""
    near = near_names([named] if named else usual, has)
    lacks = (
        f"no column {named!r}" if named else f"none of its columns is called {' or '.join(usual)}"
    )
    hint = f" {near}" if near else ""
    return f"{lacks}; set corpus.columns.{role}; the file has {', '.join(has)}.{hint}"
