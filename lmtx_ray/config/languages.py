"""Languages whose words are brought to their stems, by ISO 639-1 codes.

Of languages without endings (UNINFLECTED) words stay as they are; those written without spaces are
cut into pairs of letters whatever is set.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

STEMMERS = {  # code -> name of the algorithm
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "eo": "esperanto",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "st": "sesotho",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
UNINFLECTED = {
    "ja": "japanese",
    "km": "khmer",
    "ko": "korean",
    "lo": "lao",
    "my": "burmese",
    "th": "thai",
    "vi": "vietnamese",
    "zh": "chinese",
}
LANGUAGES = {**STEMMERS, **UNINFLECTED}


def checked(codes: Iterable[str]) -> tuple[str, ...]:
    """The codes in order, each once.

    Raises:
        ValueError: One that is not in LANGUAGES; the message has near matches.
    """
    codes = list(codes)
    for code in codes:
        if code not in LANGUAGES:
            raise ValueError(f"{code!r} is no language with stems here; {_near(code)}")
    return tuple(sorted(set(codes)))


def known(tags: Iterable[str | None]) -> tuple[str, ...]:
    """Of language tags as texts carry them ("de", "de-AT", "EN", none) the codes that `checked`
    takes, in order, each once; others are left out."""
    codes = {(tag or "").replace("_", "-").split("-")[0].lower() for tag in tags}
    return tuple(sorted(codes & LANGUAGES.keys()))


def _near(code: str) -> str:
    names = {**{name: own for own, name in LANGUAGES.items()}, **{own: own for own in LANGUAGES}}
    name = code.lower()
    found = known([code]) or ([name] if name in names else ())
    found = found or difflib.get_close_matches(name, names, n=3)
    near = dict.fromkeys(f"{names[name]} ({LANGUAGES[names[name]]})" for name in found)
    if near:
        return f"did you mean {', '.join(near)}?"
    return f"codes are {', '.join(sorted(LANGUAGES))}"
