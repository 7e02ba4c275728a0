"""What a store's refusal means, where its own words leave that open."""

from __future__ import annotations

import re

from lmtx_ray.io.locations import StorageError

HINTS = {
    r"checksum|trailer|aws-chunked|STREAMING-": (
        "if this store knows no checksums, set AWS_REQUEST_CHECKSUM_CALCULATION=when_required and "
        "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required"
    ),
}


def failed(uri: str, error: Exception) -> StorageError:
    """The error of a request for `uri`, with what to do about it if that is known."""
    said = str(error)
    hints = [hint for pattern, hint in HINTS.items() if re.search(pattern, said, re.IGNORECASE)]
    return StorageError("; ".join([f"{uri}: {said}", *hints]))
