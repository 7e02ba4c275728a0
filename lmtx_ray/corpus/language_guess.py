"""Which languages texts are in, by their script and by words that no text does without.

Good enough to choose an encoder by; no use for single words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

STOP_WORDS = {
    "English": "the of and to in is that for with was are this from which have not were been",
    "German": "der die und das ist nicht ein eine den von mit für auf dem werden sich des auch",
    "French": "le la les des et est une dans que pour qui par sur pas avec sont aux ces",
    "Spanish": "el los las del que una por con para como está son más pero sus fue entre",
    "Italian": "il che di per una con non sono della dei nel alla gli come più delle questo",
    "Portuguese": "os um uma para com não por mais das dos como foi ao ele seu pela são",
    "Dutch": "het een van en dat op voor met zijn niet aan door ook maar bij naar werd",
    "Swedish": "och att det som en på är av för med den till inte har ett från var",
    "Polish": "się na nie jest do że przez jak dla oraz który po od ich tym może był",
}
SCRIPTS = {
    "CYRILLIC": "Cyrillic script",
    "GREEK": "Greek",
    "ARABIC": "Arabic script",
    "HEBREW": "Hebrew",
    "DEVANAGARI": "Devanagari script",
    "HANGUL": "Korean",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "CJK": "Chinese or Japanese",
    "THAI": "Thai",
}
WORDS = {name: frozenset(words.split()) for name, words in STOP_WORDS.items()}
UNKNOWN = "unknown"
LEAST_SHARE = 0.05  # of the words of a text that are its language's own
MOST_LETTERS = 400


def languages_of(texts: Iterable[str]) -> dict[str, float]:
    """Language -> share of the texts, most frequent first."""
    counts = Counter(language_of(text) for text in texts)
    total = sum(counts.values())
    return {name: count / total for name, count in counts.most_common()}


def language_of(text: str) -> str:
    """The likeliest language of one text, UNKNOWN where too little tells it."""
    script = _script(text)
    if script is not None:
        return script
    words = re.findall(r"[^\W\d_]+", text.casefold())
    found = {name: sum(word in own for word in words) for name, own in WORDS.items()}
    best = max(found, key=lambda name: found[name])
    return best if words and found[best] >= LEAST_SHARE * len(words) else UNKNOWN


def _script(text: str) -> str | None:
    """What another script than the Latin one tells, if most letters are of it."""
    letters = [char for char in text if char.isalpha()][:MOST_LETTERS]
    names = Counter(unicodedata.name(char, "?").split()[0] for char in letters)
    if names["HIRAGANA"] + names["KATAKANA"] > len(letters) / 10:
        return "Japanese"
    for script, count in names.most_common(1):
        if script in SCRIPTS and count > len(letters) / 2:
            return SCRIPTS[script]
    return None
