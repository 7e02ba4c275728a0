"""One S3 bucket: the only file that knows boto3.

Credentials come from the standard chain; the endpoint only from AWS_ENDPOINT_URL, which boto3
reads itself, never from a URI.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lmtx_ray.locations import StorageError


class Bucket:
    """Whole-object reads and writes in a bucket. Every failure is a StorageError naming the URI."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._client = boto3.client("s3")

    def _call(self, operation: str, key: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client, operation)(Bucket=self._name, Key=key, **arguments)
        except (ClientError, BotoCoreError) as error:
            raise StorageError(f"s3://{self._name}/{key}: {error}") from error

    def get(self, key: str) -> bytes:
        return self._call("get_object", key)["Body"].read()

    def put(self, key: str, data: bytes) -> None:
        self._call("put_object", key, Body=data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Conditional write (If-None-Match); False when the key exists or a twin won the race."""
        try:
            self._call("put_object", key, Body=data, IfNoneMatch="*")
        except StorageError as error:
            response = getattr(error.__cause__, "response", {})
            if response.get("ResponseMetadata", {}).get("HTTPStatusCode") in {409, 412}:
                return False
            raise
        return True

    def keys(self, prefix: str) -> list[str]:
        """Sorted keys under the folder `prefix`."""
        folder = f"{prefix}/" if prefix else ""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=folder
        )
        try:
            return sorted(item["Key"] for page in pages for item in page.get("Contents", ()))
        except (ClientError, BotoCoreError) as error:
            raise StorageError(f"s3://{self._name}/{prefix}: {error}") from error

    def exists(self, key: str) -> bool:
        try:
            self._call("head_object", key)
        except StorageError as error:
            if getattr(error.__cause__, "response", {}).get("Error", {}).get("Code") != "404":
                raise
            return bool(self.keys(key))
        return True

    def download(self, prefix: str, folder: Path) -> None:
        """Copy every object under `prefix` into `folder`."""
        keys = self.keys(prefix)
        if not keys:
            raise StorageError(f"s3://{self._name}/{prefix}: no such folder")
        for key in keys:
            path = folder / key.removeprefix(f"{prefix}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.get(key))

    def remove(self, prefix: str) -> None:
        """Delete every object under `prefix`."""
        for key in self.keys(prefix):
            self._call("delete_object", key)
