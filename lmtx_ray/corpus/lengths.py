"""How long texts are where no tokenizer is at hand to tell: in words.

Of scripts that put no spaces between words each letter counts as one, which is about what a
tokenizer makes of it; so does each piece of a run that is too long for a word (an address, a file
inside a text). Else such a text would be one word, however long it is. The rule is in no identity:
an answer of before it, to more of such a text, is paid and stays.
"""

from __future__ import annotations

import re

from lmtx_ray.corpus.words import UNSPACED

LONGEST_WORD = 32  # characters
WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]{{1,{LONGEST_WORD}}}")


def count_words(text: str) -> int:
    """How many words a text has."""
    return len(WORD.findall(text))


def first_words(text: str, most: int) -> str:
    """The beginning of a text, up to so many words, one at least."""
    for number, word in enumerate(WORD.finditer(text), 1):
        if number == most:
            return text[: word.end()]
    return text
