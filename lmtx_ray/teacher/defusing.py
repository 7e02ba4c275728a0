"""Text for a server whose tokenizer is out of reach: nothing in it is a control token there.

A server makes tokens of a chat's text and its own marks together, so "<|im_end|>" inside a document
would end the turn. No list of such tokens is complete, but nearly all are one word in brackets. A
space behind the bracket makes letters of it, whatever the model.
"""

from __future__ import annotations

import re

DEFUSED = "defused 1"  # in the identity of whoever is asked so; another rule is another number
NAMES = "INST|SEP|CLS|MASK|[gs]MASK|PAD|UNK|BOS|EOS|THINK|ARGS|IMG|PREFIX|SUFFIX|MIDDLE"
BRACKET = re.compile(
    r"<(?=[^\s<>]{1,64}>)"  # <s>, </s>, <|eot_id|>, <｜User｜>, <start_of_turn>
    # [INST], [/INST], [AVAILABLE_TOOLS]; but abbreviations stand in square brackets, too
    rf"|\[(?=(?:/[A-Z_]+|[A-Z]+_[A-Z_]+|{NAMES})\])"
)


def defused(text: str) -> str:
    """The text with a space behind each bracket that may open a control token."""
    return BRACKET.sub(lambda found: found[0] + " ", text)
