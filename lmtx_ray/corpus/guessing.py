"""Which column is what, by its name and by what stands in it."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lmtx_ray.corpus.looking import Look

IDS = (
    "uid doc_id id docid document_id key pmid doi isbn sku nr no number code notation identifier "
    "article_id product_id record_id ref uri kennung nummer schluessel numero clave"
).split()
TITLES = (
    "title headline heading name subject titel betreff ueberschrift titre titulo titolo".split()
)
TEXTS = (
    "content text abstract body description full_text fulltext message summary article inhalt "
    "beschreibung zusammenfassung texte contenu resume texto contenido testo"
).split()
KEYS = [name for name in IDS if name not in {"doc_id", "docid", "document_id"}] + [
    "label_key", "label_id", "tag_id", "tag_key", "concept", "term_id", "category_id",
]  # fmt: skip
LABELS = (
    "label tag title name text label_text preflabel pref_label term heading category topic "
    "keyword concept begriff bezeichnung schlagwort benennung libelle nombre etichetta"
).split()
NEARLY = 0.9  # share of rows
MOST_KEY = 200  # characters
LONG = 40.0  # characters: what is longer on average is prose


@dataclass(frozen=True)
class Column:
    """What stands in a column: share of rows that have a value, share of values that are different,
    mean characters, and the share of values with a space in them."""

    name: str
    filled: float
    distinct: float
    length: float
    spaced: float


class NoColumn(ValueError):
    """No column can be what is needed; the message says what the file has."""


def describe(look: Look, name: str) -> Column:
    """Figures of one column."""
    texts = [_text(value) for value in look.values(name)]
    there = [text for text in texts if text.strip()]
    count = max(len(there), 1)
    return Column(
        name,
        len(there) / max(len(texts), 1),
        len(set(there)) / count,
        statistics.fmean(map(len, there)) if there else 0.0,
        sum(" " in text.strip() for text in there) / count,
    )


def _text(value: Any) -> str:
    """Text of what can be one; lists and tables are none."""
    return "" if value is None or isinstance(value, list | dict) else str(value)


def guess_documents(look: Look) -> dict[str, str]:
    """ "doc_id", "text" and, where there is one, "title" -> column.

    Raises:
        NoColumn: Nothing in it tells documents apart, or nothing is text.
    """
    columns = [describe(look, name) for name in look.columns]
    doc_id = _key(columns, IDS, look, "corpus.columns.doc_id", "tells documents apart")
    rest = [column for column in columns if column.name != doc_id and column.filled > 0]
    text = _best(rest, TEXTS, _prose) or _likeliest(rest, _prose)
    title = _best([one for one in rest if one.name != text], TITLES, _prose)
    text, title = text or title, title if text else None
    if text is None:
        raise NoColumn(_missing(look, "corpus.columns.text", "holds texts"))
    found = {"doc_id": doc_id, "title": title, "text": text}
    return {role: name for role, name in found.items() if name}


def guess_labels(look: Look) -> dict[str, str]:
    """ "label_key" and "label_text" -> column; one column may be both.

    Raises:
        NoColumn: Nothing in it tells labels apart.
    """
    columns = [describe(look, name) for name in look.columns]
    filled = [one for one in columns if one.filled > NEARLY]
    text = _best(filled, LABELS, _wordiness) or _likeliest(filled, _wordiness)
    try:
        rest = [one for one in columns if one.name != text]
        key = _key(rest, KEYS, look, "corpus.columns.label_key", "tells labels apart")
    except NoColumn:
        key = _key(columns, KEYS, look, "corpus.columns.label_key", "tells labels apart")
    return {"label_key": key, "label_text": text or key}


def _prose(column: Column) -> float:
    """The longer the texts of a column; nothing where most are single words."""
    return column.length if column.spaced > 0.5 else 0.0


def _wordiness(column: Column) -> float:
    """High for names of a few words, low for numbers and for whole descriptions."""
    short = column.length if column.length <= LONG else LONG / column.length
    return column.spaced * 10 + short


def _key(columns: Sequence[Column], names: Sequence[str], look: Look, field: str, what: str) -> str:
    """The column whose values are all there, all different and short; one that is called so may
    have a few repeats, which are told later by their rows."""
    unique = [one for one in columns if one.filled == 1.0 and one.distinct == 1.0]
    near = [one for one in columns if one.filled >= NEARLY and one.distinct >= NEARLY]
    found = _best(
        [one for one in near if one.length <= MOST_KEY], names, lambda one: 1 / (1 + one.length)
    )
    short = [one for one in unique if one.length <= LONG]
    if found is None and short:
        found = min(short, key=lambda one: (one.spaced, one.length)).name
    if found is None:
        raise NoColumn(_missing(look, field, what))
    return found


def _missing(look: Look, field: str, what: str) -> str:
    has = ", ".join(look.columns)
    return f"{look.uris[0]}: no column {what} (each row its own value); set {field}; it has {has}"


def _best(
    columns: Sequence[Column], names: Sequence[str], content: Callable[[Column], float]
) -> str | None:
    """The column of the most usual name; else of those that have one among their words the one
    whose content says most, if that says anything."""
    ranked = {plain(name): place for place, name in enumerate(names)}
    named = [one for one in columns if plain(one.name) in ranked]
    if named:
        return min(named, key=lambda one: ranked[plain(one.name)]).name
    partly = [one for one in columns if set(plain(one.name).split("_")) & ranked.keys()]
    return _likeliest(partly, content)


def _likeliest(columns: Sequence[Column], content: Callable[[Column], float]) -> str | None:
    likely = max(columns, key=content, default=None)
    return likely.name if likely and content(likely) > 0 else None


def plain(name: str) -> str:
    """A column's name as it is compared: small letters, words joined by underscores, no umlauts."""
    for letter, spelt in (
        ("ä", "ae"),
        ("ö", "oe"),
        ("ü", "ue"),
        ("é", "e"),
        ("í", "i"),
        ("ú", "u"),
    ):
        name = name.casefold().replace(letter, spelt)
    return re.sub(r"\W+", "_", name.strip("\ufeff ")).strip("_")
