"""What a verdict is known by: hashes of the very texts that the judge saw.

A key is 16 bytes of BLAKE2b. Ids, files, units and runs are no part of it, so they may change
without a question being asked again, and a changed text never finds the answer of the old one.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

import numpy as np
import pyarrow as pa

UNSEEN = re.compile(  # spaces, control characters, and signs of no width
    r"[\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\ufe00-\ufe0f\ufeff]*"
)
KEY_BYTES = 16


def document_text(title: str | None, text: str) -> str:
    """The one text of a document every component sees: title and text, NFC, spaces squeezed."""
    title, text = squeezed(title or ""), squeezed(text)
    joined = f"{title} {text}" if title.endswith((".", "?", "!")) else f"{title}. {text}"
    return unicodedata.normalize("NFC", joined if title and text else title or text)


def document_texts(documents: pa.Table) -> list[str]:
    """`document_text` of the rows of a `documents` table."""
    rows = documents.select(["title", "text"]).to_pylist()
    return [document_text(row["title"], row["text"]) for row in rows]


def squeezed(text: str) -> str:
    """A text with one space between its words, and none at its ends."""
    return " ".join(text.split())


def is_blank(text: str | None) -> bool:
    """Whether a text shows nothing to a reader."""
    return not text or UNSEEN.fullmatch(text) is not None


def text_key(text: str) -> bytes:
    """The key of one text."""
    return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).digest()


def document_keys(documents: pa.Table) -> list[bytes]:
    """Keys of the rows of a `documents` table, of title and text together."""
    return [text_key(text) for text in document_texts(documents)]


def prefixes(keys: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """The first 8 bytes of each key of a fixed-size binary column as uint64, in the order of the
    keys: what is compared first, as arrays and not as objects."""
    if isinstance(keys, pa.ChunkedArray):
        keys = keys.combine_chunks()
    if len(keys) == 0:
        return np.zeros(0, np.uint64)
    start = keys.offset * KEY_BYTES
    bytes_N = np.frombuffer(keys.buffers()[1], np.uint8)[start : start + len(keys) * KEY_BYTES]
    return bytes_N.reshape(-1, KEY_BYTES)[:, :8].copy().view(">u8").ravel().astype(np.uint64)


def prefix_of(key: bytes) -> int:
    """`prefixes` of one key."""
    return int.from_bytes(key[:8], "big")
