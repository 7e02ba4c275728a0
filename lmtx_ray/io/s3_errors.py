"""What an error of S3 means and how to mend it, before what the library says of it."""

from __future__ import annotations

import re

from lmtx_ray.io.locations import StorageError

KINDS = {
    "NoCredentialsError": "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "or AWS_PROFILE, or run where the machine has a role",
    "PartialCredentialsError": "half of the credentials is missing: set both AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY",
    "ProfileNotFound": "AWS_PROFILE names a profile that is not there",
    "EndpointConnectionError": "the S3 endpoint does not answer; AWS_ENDPOINT_URL says which it is",
}
CODES = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "these credentials may not do this",
    "InvalidAccessKeyId": "the store does not know AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY is wrong",
    "ExpiredToken": "the credentials have expired",
    "PermanentRedirect": "the bucket is in another region: set AWS_DEFAULT_REGION",
    "403": "these credentials may not do this",
}
HINTS = {
    r"checksum|trailer|aws-chunked|STREAMING-": (
        "if this store knows no checksums, set AWS_REQUEST_CHECKSUM_CALCULATION=when_required and "
        "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required"
    ),
}


def explain(error: BaseException) -> str:
    """One line."""
    said = " ".join(str(error).split())
    response = getattr(error, "response", None)
    details = response.get("Error", {}) if isinstance(response, dict) else {}
    known = CODES.get(str(details.get("Code"))) or KINDS.get(type(error).__name__)
    return f"{known} ({said})" if known else said


def failed(uri: str, error: Exception) -> StorageError:
    """The error of a request for `uri`, with what to do about it if that is known."""
    said = explain(error)
    hints = [hint for pattern, hint in HINTS.items() if re.search(pattern, said, re.IGNORECASE)]
    return StorageError("; ".join([f"{uri}: {said}", *hints]))
