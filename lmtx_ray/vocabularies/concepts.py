"""A label that has texts in several languages, and which of them it is shown by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lmtx_ray.corpus.lines import Row
from lmtx_ray.corpus.text_keys import is_blank


@dataclass(frozen=True, order=True)
class Text:
    """A text and its language, as it is tagged ("de", "de-AT"); "" where it has no tag."""

    language: str
    text: str


@dataclass
class Concept:
    """What is known of one label. `replaced` is None unless it is deprecated, then what stands in
    its place, if that is told."""

    key: str
    names: list[Text] = field(default_factory=list)  # what it is called by preference
    others: list[Text] = field(default_factory=list)  # what else
    about: list[Text] = field(default_factory=list)  # definitions, then scope notes
    parents: list[str] = field(default_factory=list)
    replaced: str | None = None


def preferred(texts: Iterable[Text], languages: Sequence[str]) -> list[Text]:
    """Texts that show something, those of the first languages first; then those without one, then
    all others, in the order given."""
    there = [text for text in texts if not is_blank(text.text)]
    return sorted(there, key=lambda text: _rank(text.language, languages))


def _rank(language: str, languages: Sequence[str]) -> float:
    """The place of a language among those wanted; "de" also means de-AT, if less."""
    own = language.lower()
    for place, wanted in enumerate(map(str.lower, languages)):
        if own == wanted:
            return place
        if own.startswith(f"{wanted}-"):
            return place + 0.5
    return len(languages) if not own else len(languages) + 1


def usual_languages(concepts: Iterable[Concept]) -> list[str]:
    """Languages of the names, the most frequent first; of equals by the alphabet."""
    counts = Counter(text.language for concept in concepts for text in concept.names)
    counts.pop("", None)
    return sorted(counts, key=lambda language: (-counts[language], language))


def to_row(concept: Concept, languages: Sequence[str], aliases_in: Sequence[str] = ()) -> Row:
    """The fields of a label, unchecked: the name of the first language there is as its text, the
    other names as aliases (only of `aliases_in`, where that names some), and what is told about it
    in one language. Without any name the text is None. `shown_in` is the language of the text."""
    names = preferred(concept.names, languages)
    others = [*names[1:], *preferred(concept.others, languages)]
    if aliases_in:
        others = [text for text in others if _rank(text.language, aliases_in) <= len(aliases_in)]
    return {
        "label_key": concept.key,
        "text": names[0].text if names else None,
        "description": _told(preferred(concept.about, languages)),
        "aliases": [text.text for text in others],
        "parent_keys": list(dict.fromkeys(concept.parents)),
        "shown_in": names[0].language if names else "",
    }


def _told(texts: Sequence[Text]) -> str | None:
    """All of the first one's language, as paragraphs of one text."""
    own = [text.text.strip() for text in texts if text.language == texts[0].language]
    return " ".join(dict.fromkeys(own)) or None
