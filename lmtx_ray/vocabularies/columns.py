"""Which column of a vocabulary's table is what: as it was named, else by its usual names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.columns import KEYS, LABEL_TEXTS, names_in, near_or_all
from lmtx_ray.corpus.guessing import NoColumn, guess_labels, plain
from lmtx_ray.corpus.looking import Look

ROLES = ("key", "text", "description", "aliases", "parents", "language")  # options of the verb
USUAL: Mapping[str, Sequence[str]] = {
    "description": (
        "description definition scope_note scopenote note content abstract comment explanation "
        "beschreibung erklaerung erlaeuterung bemerkung"
    ).split(),
    "aliases": (
        "aliases alias synonyms synonym alt_labels alt_label altlabels altlabel alternative_labels "
        "alternatives variants entry_terms used_for uf synonyme verweisungsformen"
    ).split(),
    "parents": (
        "parent_keys parents parent_key parent parent_ids parent_id broader broader_terms bt "
        "oberbegriff oberbegriffe"
    ).split(),
    "language": "language lang languages sprache langue lingua idioma".split(),
}
TEXT_IN = re.compile(
    r"(?:skos:)?(?:label|pref_?label|text|title|name|term)[_@.:\- ]([a-z]{2})(-\w+)?"
)
LANGUAGES = frozenset(  # of two letters, without those that are ends of column names ("label_id")
    (
        "aa ab af am ar as ay az ba be bg bn bo br bs ca ce co cs cu cy da de dv dz el en eo es et "
        "eu fa fi fj fo fr fy ga gd gl gn gu ha he hi hr ht hu hy ia ie ig is it iu ja jv ka kk kl "
        "km kn ko ku kw ky la lb ln lo lt lv mg mi mk ml mn mr ms mt my nb nd ne nl nn nr nv ny oc "
        "om or os pa pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv "
        "sw ta te tg th ti tk tl tn tr ts tt ug uk ur uz vi vo wa wo xh yi yo za zh zu"
    ).split()
)


@dataclass(frozen=True)
class Columns:
    """Names of columns, "" for what a table has none of. Key and text are always there, and their
    columns may be called "", as pandas calls that of row numbers. `texts` are (language, column)
    where a label's names stand in a column for each language, `text` being the first of them."""

    key: str
    text: str
    description: str = ""
    aliases: str = ""
    parents: str = ""
    language: str = ""
    texts: tuple[tuple[str, str], ...] = ()

    def used(self) -> tuple[str, ...]:
        """All columns that are read, each once."""
        further = (self.description, self.aliases, self.parents, self.language)
        names = (self.key, self.text, *filter(None, further), *(name for _, name in self.texts))
        return tuple(dict.fromkeys(names))

    def told(self) -> dict[str, object]:
        """Role -> column, of those there are."""
        roles: dict[str, object] = {role: getattr(self, role) for role in ROLES}
        if self.texts:
            roles["text"] = [name for _, name in self.texts]
        return {role: name for role, name in roles.items() if name}


def choose_columns(head: Look, given: Mapping[str, str]) -> Columns:
    """The columns of a table whose first rows are seen.

    Args:
        given: Role -> the column that somebody named for it; "" for none.

    Raises:
        ConfigError: A named column is not there, or none can be the key.
    """
    for role, name in given.items():
        if name and name not in head.columns:
            hint = near_or_all([name], head.columns)
            raise ConfigError(f"--{role}: {head.uris[0]} has no column {name!r}; {hint}")
    texts = () if "text" in given else tuple(_texts(head.columns))
    own = _key_and_text(head, given, texts)
    taken = {*own.values(), *(name for _, name in texts)}
    rest = {role: given.get(role, _usual(head, USUAL[role], taken)) for role in USUAL}
    return Columns(**own, **rest, texts=texts if len(texts) > 1 else ())


def _texts(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(language, column) of columns like label_en and prefLabel@de."""
    for name in names:
        found = TEXT_IN.fullmatch(name.strip().casefold())
        if found and found[1] in LANGUAGES:
            yield found[1] + (found[2] or ""), name


def _key_and_text(
    head: Look, given: Mapping[str, str], texts: Sequence[tuple[str, str]]
) -> dict[str, str]:
    """As a run finds them by itself, so that no import reads a file otherwise; else guessed."""
    usual = (*KEYS, "uri") if texts else KEYS  # Annif's CSV has notations too, which tag nothing
    key = given.get("key") or next(iter(names_in(head.columns, usual)), "")
    text = given.get("text") or (texts[0][1] if texts else "")
    text = text or next((name for name in names_in(head.columns, LABEL_TEXTS) if name != key), "")
    if not key or not text:
        try:
            guessed = guess_labels(head)
        except NoColumn:
            has = ", ".join(map(repr, head.columns))
            raise ConfigError(
                f"{head.uris[0]}: which column tells labels apart, and which holds their names? "
                f"Give --key and --text; it has {has}"
            ) from None
        key, text = key or guessed["label_key"], text or guessed["label_text"]
    return {"key": key, "text": text}


def _usual(head: Look, names: Sequence[str], taken: set[str]) -> str:
    """The column with the first of the names, whatever its case and spelling; "" for none. One that
    is there twice is none: nobody knows which is meant, and no label needs it."""
    once = [name for name in head.columns if name not in taken and head.columns.count(name) == 1]
    there = {plain(name): name for name in reversed(once)}
    return next((there[name] for name in names if name in there), "")
