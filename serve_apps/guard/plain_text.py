"""Which strings are text: neither NUL nor lone surrogates, in bodies and in queries alike."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

NOT_PLAIN = re.compile("[\x00\ud800-\udfff]")
COMPLAINT = "NUL characters and lone surrogates are not text"


def check_plain(value: str) -> str:
    """The value itself; ValueError where it holds NUL or a lone surrogate."""
    if NOT_PLAIN.search(value):
        raise ValueError(COMPLAINT)
    return value


PlainText = Annotated[str, AfterValidator(check_plain)]
