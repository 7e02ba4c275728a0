"""Whether a key repeats over units, from 64-bit hashes kept in their receipts.

Equal hashes are compared as values before a key is called repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lmtx_ray.io import storage
from lmtx_ray.io.receipts import PublishError, Receipt

HASH = np.dtype("<u8")


def key_hash(value: object) -> int:
    """64 bits of a key."""
    digest = hashlib.blake2b(str(value).encode(), digest_size=HASH.itemsize).digest()
    return int.from_bytes(digest, "little")


def hash_keys(column: pa.ChunkedArray | pa.Array) -> bytes:
    """The hashes of a column of texts or whole numbers, as they are kept in a receipt."""
    return np.array([key_hash(value) for value in column.to_pylist()], HASH).tobytes()


def repeated(hashes: np.ndarray) -> np.ndarray:
    """Sorted uint64 values that are there more than once."""
    ordered = np.sort(hashes)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def refuse_repeats(uri: str, receipts: Sequence[Receipt], key: str) -> None:
    """Raises PublishError naming a key that is in two rows."""
    hashes = [_hashes(uri, receipt, key) for receipt in receipts]
    again = repeated(np.concatenate(hashes)) if hashes else np.array([], HASH)
    if not len(again):
        return
    seen: set[object] = set()
    for receipt, own in zip(receipts, hashes, strict=True):
        places = np.flatnonzero(np.isin(own, again))
        for value in _column(uri, receipt, key).take(places).to_pylist() if len(places) else ():
            if value in seen:
                raise PublishError(f"{uri}: {key} {value!r} is there twice")
            seen.add(value)


def _hashes(uri: str, receipt: Receipt, key: str) -> np.ndarray:
    kept = receipt.key_hashes()
    if len(kept) == receipt.rows_out:
        return kept
    return np.frombuffer(hash_keys(_column(uri, receipt, key)), HASH)


def _column(uri: str, receipt: Receipt, key: str) -> pa.ChunkedArray:
    return storage.read_table(storage.join(uri, receipt.file), [key])[key]
