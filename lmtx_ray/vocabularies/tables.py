"""Vocabularies that are tables: CSV, TSV, JSON lines and Parquet, with a header or without, XMC
label files, Annif's TSV, and lists with a label a line."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any

from lmtx_ray.corpus.columns import Wanted
from lmtx_ray.corpus.delimited import read_headless
from lmtx_ray.corpus.labels import checked_label, tidy
from lmtx_ray.corpus.lines import BadRow, CorpusError, Row, read_text_lines
from lmtx_ray.corpus.looking import HEAD_ROWS, Look, encoding_at, parquet_head
from lmtx_ray.corpus.name_lists import pieces
from lmtx_ray.corpus.readers import How, columns_of, read_rows
from lmtx_ray.corpus.text_keys import is_blank
from lmtx_ray.corpus.values import is_missing, texts_of
from lmtx_ray.io.plain_json import json_text
from lmtx_ray.vocabularies.asked import Asked, Found
from lmtx_ray.vocabularies.columns import Columns
from lmtx_ray.vocabularies.concepts import Concept, Text, to_row, usual_languages

Rows = Iterator[tuple[str, int, Row | BadRow]]  # file, position, row as it was read
ARROW = "->"  # between key and text in the Yf.txt of some XMC sets


def rows_of(
    files: Sequence[str], kind: str, header: bool, encoding: str = "", used: Sequence[str] = ()
) -> Rows:
    """The rows of all files. Raises CorpusError for a file that has not the columns `used`."""
    for uri in files:
        for position, row in _rows(uri, kind, header, _encoding(uri, kind, encoding), used):
            yield uri, position, row


def _encoding(uri: str, kind: str, asked: str) -> str:
    own = asked or ("utf-8" if kind == "parquet" else encoding_at(uri))
    return own.removesuffix("-sig")


def _rows(
    uri: str, kind: str, header: bool, encoding: str, used: Sequence[str]
) -> Iterator[tuple[int, Row | BadRow]]:
    if kind in ("list", "arrows"):
        return _listed(uri, encoding, ARROW if kind == "arrows" else None)
    if kind == "annif":
        return _annif(uri, encoding)
    if kind in ("csv", "tsv") and not header:
        return _headless(uri, kind, encoding)
    how = How(Wanted(tuple(used), every=not used), encoding)
    return read_rows(uri, "jsonl" if kind == "xmc" else kind, how=how)


def _listed(uri: str, encoding: str, arrow: str | None) -> Iterator[tuple[int, Row | BadRow]]:
    """A label a line, or a key, the arrow and a label. Blank lines are rows too, as gold may count
    them."""
    for number, line in read_text_lines(uri, encoding=encoding):
        if isinstance(line, BadRow):
            yield number, line
            continue
        key, found, text = line.partition(arrow) if arrow else (line, "", "")
        yield number, {"key": key, "text": text if found else line}


def _annif(uri: str, encoding: str) -> Iterator[tuple[int, Row | BadRow]]:
    """<address>, tab, label, and perhaps more, which is a notation."""
    for number, line in read_text_lines(uri, encoding=encoding):
        if isinstance(line, BadRow):
            yield number, line
        elif line.strip():
            key, *rest = line.split("\t")
            yield number, {"key": _address(key), "text": rest[0] if rest else None}


def _address(key: str) -> str:
    """Without the brackets that some write around it."""
    key = key.strip()
    return key[1:-1] if key.startswith("<") and key.endswith(">") else key


def _headless(uri: str, kind: str, encoding: str) -> Iterator[tuple[int, Row | BadRow]]:
    """Rows of a table without a header, whose columns are called 1, 2, 3, …"""
    lines = read_text_lines(uri, encoding=encoding)
    for number, row in read_headless(uri, kind, lines):
        yield number, row if isinstance(row, BadRow) else {**row, "1": _address(row["1"])}


def head_of(files: Sequence[str], kind: str, header: bool, encoding: str) -> Look:
    """What the first rows of the first file show. Raises CorpusError where there is none."""
    uri = files[0]
    if kind == "parquet":
        columns, rows = parquet_head(uri)
    else:
        read = islice(rows_of([uri], kind, header, encoding), HEAD_ROWS)
        rows = [row for _, _, row in read if not isinstance(row, BadRow)]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        if header and kind in ("csv", "tsv"):  # a repeated name is there twice
            columns = columns_of(uri, kind, _encoding(uri, kind, encoding))
    if not rows:
        raise CorpusError(f"{uri}: no row in it that can be read as {kind}")
    return Look(tuple(files), len(files), 0, kind, "", "", tuple(columns), tuple(rows), True)


def labels_of(
    rows: Rows, columns: Columns, asked: Asked
) -> tuple[Iterator[Found], tuple[str, ...]]:
    """(the labels of a table as they come, the languages they are shown in, the first first). A
    table with a column of languages has a label in several rows, so it is read whole."""
    own = tuple(language for language, _ in columns.texts)
    languages = (*asked.languages, *(one for one in own if one not in asked.languages))
    if columns.language:
        return _gathered(rows, columns, asked)
    label = _converter(columns, asked, languages)
    found = (
        (uri, position, row if isinstance(row, BadRow) else label(row, place))
        for place, (uri, position, row) in enumerate(rows)
    )
    return found, languages


def _converter(
    columns: Columns, asked: Asked, languages: Sequence[str]
) -> Callable[[Row, int], Row | BadRow]:
    """A function of a row and its place to the label."""
    needed = {"label_key": columns.key, "text": columns.text}
    further = {"description": columns.description, "aliases": columns.aliases}
    further["parent_keys"] = columns.parents
    cut = () if asked.separator == "|" else ("aliases", "parent_keys")  # who checks cuts at "|"

    def convert(row: Row, place: int) -> Row | BadRow:
        fields = {role: (name, row.get(name)) for role, name in needed.items()}
        for role, name in further.items():  # a table may have a column that is called ""
            fields[role] = name, row.get(name) if name else None
        for role in cut:
            fields[role] = fields[role][0], _several(fields[role][1], asked.separator)
        language = ""
        if columns.texts:
            own, language = _in_languages(row, columns, fields["aliases"], asked, languages)
            fields |= own
        if asked.number:
            fields["label_key"] = "row number", str(place)
        return clean(checked_label(row, fields), asked.html, language)

    return convert


def _several(value: Any, separator: str) -> Any:
    return pieces(value, separator) if isinstance(value, str) else value


def _in_languages(
    row: Row, columns: Columns, aliases: tuple[str, Any], asked: Asked, languages: Sequence[str]
) -> tuple[dict[str, tuple[str, Any]], str]:
    """(text and aliases of a row with a column of names for each language, the language shown).
    What is no text is left to who checks it and says so."""
    values = {language: row.get(name) for language, name in columns.texts}
    names = dict(columns.texts)
    given = {one: "" if is_missing(value) else value for one, value in values.items()}
    if odd := next((one for one, value in given.items() if not isinstance(value, str)), None):
        return {"text": (names[odd], given[odd])}, odd
    texts = [Text(one, str(value)) for one, value in given.items()]
    made = to_row(Concept("", texts), languages, asked.aliases_in)
    language = made["shown_in"]
    fields = {"text": (names.get(language, columns.text), made["text"])}
    with suppress(ValueError):
        fields["aliases"] = aliases[0], [*made["aliases"], *(texts_of(aliases[1]) or ())]
    return fields, language


def _gathered(
    rows: Rows, columns: Columns, asked: Asked
) -> tuple[Iterator[Found], tuple[str, ...]]:
    """Of a table with a row for each name of a label in a language."""
    concepts: dict[str, Concept] = {}
    places: dict[str, tuple[str, int]] = {}
    bad: list[Found] = []
    label = _converter(columns, asked, ())
    for place, (uri, position, row) in enumerate(rows):
        one = row if isinstance(row, BadRow) else label(row, place)
        if isinstance(one, BadRow) or isinstance(row, BadRow):
            bad.append((uri, position, one))
            continue
        concept = concepts.setdefault(one["label_key"], Concept(one["label_key"]))
        places.setdefault(concept.key, (uri, position))
        _add(concept, one, str(row.get(columns.language) or "").strip().lower())
    languages = asked.languages or tuple(usual_languages(concepts.values()))
    good = (
        (*places[key], _label_of(to_row(one, languages, asked.aliases_in), unescape=False))
        for key, one in concepts.items()
    )
    return chain(bad, good), languages


def _add(concept: Concept, row: Row, language: str) -> None:
    concept.names.append(Text(language, row["text"]))
    concept.others += [Text(language, alias) for alias in row["aliases"] or ()]
    concept.about += [Text(language, row["description"])] if row["description"] else []
    concept.parents += row["parent_keys"] or ()


def checked_concepts(concepts: Iterable[Concept], uri: str, asked: Asked) -> Iterator[Found]:
    """Labels of concepts, with their places from 1; deprecated ones are rejects."""
    for place, concept in enumerate(concepts, 1):
        row = to_row(concept, asked.languages, asked.aliases_in)
        reason = "" if asked.deprecated else _why_not(concept)
        if concept.key.startswith("_:"):
            reason = "a concept without an address, which no tag could name"
        elif not concept.names and not reason:
            reason = "a concept without a name (skos:prefLabel)"
        bad = BadRow(reason, json_text(row)) if reason else None
        yield uri, place, bad or _label_of(row, asked.html)


def _why_not(concept: Concept) -> str:
    if concept.replaced is None:
        return ""
    return f"deprecated{concept.replaced and f', replaced by {concept.replaced}'}"


def _label_of(row: Row, unescape: bool) -> Row | BadRow:
    """Of what `to_row` made."""
    language = row.pop("shown_in")
    fields = {name: (name, value) for name, value in row.items()}
    return clean(checked_label(row, fields), unescape, language)


def clean(label: Row | BadRow, unescape: bool, language: str = "") -> Row | BadRow:
    """A label with its texts as they are kept: spaces squeezed, no empty alias and none twice.
    `shown_in` is the language of its text, where that is known."""
    if isinstance(label, BadRow):
        return label
    text, about, aliases = label["text"], label["description"], label["aliases"] or ()
    if unescape:
        text, about = tidy(html.unescape(text)), html.unescape(about or "")
        aliases = map(html.unescape, aliases)
        if is_blank(text):
            return BadRow("nothing but spaces in its text", json_text(label))
    others = dict.fromkeys(map(tidy, aliases))
    return {
        "label_key": label["label_key"],
        "text": text,
        "description": tidy(about) or None if about else None,
        "aliases": [alias for alias in others if alias and alias != text] or None,
        "parent_keys": list(dict.fromkeys(label["parent_keys"] or ())) or None,
        "shown_in": language,
    }
