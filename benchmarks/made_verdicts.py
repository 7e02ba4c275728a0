"""Generated verdicts, whose every number follows from that of its document and its label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.teacher.questions import Candidate

LABELS, VOCABULARY = 20, 30_000
SHIFT = 2  # of a stored document so many candidates are not stored


def mix(numbers_N: np.ndarray, salt: int) -> np.ndarray:
    """Random-looking uint64 for numbers (splitmix64)."""
    x = (numbers_N.astype(np.uint64) + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def keys(numbers_N: np.ndarray, salt: int) -> pa.Array:
    words = np.stack([mix(numbers_N, salt), mix(numbers_N, salt + 1)], axis=1)
    buffers = [None, pa.py_buffer(np.ascontiguousarray(words))]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(numbers_N), buffers)


def document_keys(numbers_N: np.ndarray) -> pa.Array:
    return keys(numbers_N, 1 << 40)


def label_keys(numbers_N: np.ndarray) -> pa.Array:
    return keys(numbers_N, 1 << 50)


def pairs(documents_N: np.ndarray, shift: int = 0) -> tuple[np.ndarray, ...]:
    """Of LABELS pairs a document: document numbers, label numbers, P(yes)."""
    document_P = np.repeat(documents_N.astype(np.int64), LABELS)
    place_P = np.tile(np.arange(shift, shift + LABELS), len(documents_N))
    label_P = (document_P * 7919 + place_P * 1009) % VOCABULARY
    p_yes_P = (mix(document_P * VOCABULARY + label_P, 3) >> np.uint64(40)) / np.float32(1 << 24)
    return document_P, label_P, p_yes_P.astype(np.float32)


def verdicts(documents_N: np.ndarray) -> pa.Table:
    """STORED_VERDICTS on some documents."""
    document_P, label_P, p_yes_P = pairs(documents_N)
    rows = len(document_P)
    same = {"prompt": "0123456789ab", "teacher": "ba9876543210", "source": "judge-1"}
    columns = {
        "document": document_keys(document_P),
        "label": label_keys(label_P),
        "answer": pa.array(np.where(p_yes_P > 0.5, "yes", "no")),
        "p_yes": p_yes_P,
        "mass": (1 - p_yes_P / 10).astype(np.float32),
        "raw": pa.nulls(rows, pa.string()),
        **{name: pa.repeat(text, rows) for name, text in same.items()},
    }
    return schemas.conform(pa.table(columns), schemas.STORED_VERDICTS)


def wanted_documents(rows: int, count: int) -> np.ndarray:
    """Numbers of the documents to judge: one in the store, one not, and so on."""
    stored = rows // LABELS
    inside = np.arange(count // 2) * (stored // (count // 2))
    return np.stack([inside, stored + np.arange(count // 2)], axis=1).ravel()


def candidates_of(documents_N: np.ndarray) -> list[Candidate]:
    document_P, label_P, _ = pairs(documents_N, SHIFT)
    columns = (
        document_P.tolist(),
        label_P.tolist(),
        document_keys(document_P).to_pylist(),
        label_keys(label_P).to_pylist(),
    )
    return [
        Candidate(f"d{number}", label, place % LABELS, "train", key := (document, seen), key, "")
        for place, (number, label, document, seen) in enumerate(zip(*columns, strict=True))
    ]


def wrong(
    candidates: list[Candidate], found: dict[Any, Any], documents_N: np.ndarray, stored: int
) -> int:
    """How many candidates were found and not stored, or the other way round, or found with another
    number. Of a stored document all but the last SHIFT candidates are stored."""
    p_yes = pairs(documents_N, SHIFT)[2].tolist()
    is_stored = [
        number < stored and place < LABELS - SHIFT
        for number in documents_N.tolist()
        for place in range(LABELS)
    ]
    expected = [p if there else None for p, there in zip(p_yes, is_stored, strict=True)]
    got = [found[c.key]["p_yes"] if c.key in found else None for c in candidates]
    return sum(a != b for a, b in zip(got, expected, strict=True))
