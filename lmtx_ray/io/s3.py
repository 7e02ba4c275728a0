"""One S3 bucket: with its client the only files that know boto3.

Credentials, region and endpoint come from the standard chain (AWS_ENDPOINT_URL for a compatible
store), never from a URI. botocore retries requests; what it cannot retry is the body of an answer
that breaks off, so bodies are read in blocks and a broken block is asked for again.
"""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import urllib3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from lmtx_ray.io import disk
from lmtx_ray.io.locations import Entry, Location, StorageError, within
from lmtx_ray.io.s3_client import ATTEMPTS, client
from lmtx_ray.io.s3_errors import explain, failed

BLOCK = 8 << 20  # bytes of one ranged read
CHANGED = "it was changed since the job began"
READERS = 8  # ranges of one object at once: one connection does not fill a network
FAILURES = (ClientError, BotoCoreError, Boto3Error, urllib3.exceptions.HTTPError)
TRANSFER = TransferConfig(multipart_threshold=32 << 20, multipart_chunksize=16 << 20)


def _status(error: BaseException | None) -> int:
    response = getattr(error, "response", {})
    status: int = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status


class Bucket:
    """Objects of a bucket. Every failure is a StorageError naming the URI."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._client = client()

    def uri(self, key: str) -> str:
        """The URI of a key."""
        return f"s3://{self._name}/{key}"

    def call(self, operation: str, key: str, **arguments: Any) -> Any:
        """One request of the client; its failure is the cause of the StorageError."""
        try:
            return getattr(self._client, operation)(Bucket=self._name, Key=key, **arguments)
        except FAILURES as error:
            raise failed(self.uri(key), error) from error

    def get(self, key: str) -> bytes:
        """An object's content."""
        return ObjectReader(self, key).readall()

    def open(self, key: str, etag: str = "") -> ObjectReader:
        """A seekable stream; with `etag` only of that version."""
        return ObjectReader(self, key, etag)

    def start(self, key: str, length: int, etag: str = "") -> bytes:
        """The first bytes of an object; with `etag` only of that version."""
        return ObjectReader(self, key, etag, first=length).read(length)

    def put(self, key: str, data: bytes) -> None:
        """Replace an object's content."""
        self.call("put_object", key, Body=data)

    def upload(self, path: Path, key: str) -> None:
        """A local file, in parts when it is big; the object appears whole or not at all."""
        try:
            self._client.upload_file(str(path), self._name, key, Config=TRANSFER)
        except FAILURES as error:
            raise failed(self.uri(key), error) from error

    def copy(self, source: Location, key: str) -> None:
        """An object of this or another bucket, by the store itself, in parts when it is big."""
        place = {"Bucket": source.bucket, "Key": source.path}
        try:
            self._client.copy(place, self._name, key, Config=TRANSFER)
        except FAILURES as error:
            raise failed(self.uri(key), error) from error

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Conditional write (If-None-Match); False when something else is there. A store
        that refuses conditions is looked at first.

        A write whose answer got lost is sent again and then finds itself: equal bytes are ours.
        """
        for attempt in range(ATTEMPTS):
            try:
                self.call("put_object", key, Body=data, IfNoneMatch="*")
            except StorageError as error:
                status = _status(error.__cause__)
                if status == 412:
                    return self.get(key) == data
                if status == 501:
                    return self._look_then_put(key, data)
                if status != 409 or attempt == ATTEMPTS - 1:
                    raise
                time.sleep(0.1 * 2**attempt)  # 409: a twin's write is under way
            else:
                return True
        raise AssertionError("unreachable")

    def _look_then_put(self, key: str, data: bytes) -> bool:
        """Who needs to be sure of a store that refuses conditions holds a lease (io.fence)."""
        if self.head(key):
            return self.get(key) == data
        self.put(key, data)
        return True

    def put_is_conditional(self, folder: str) -> bool:
        """Whether the store heeds If-None-Match, seen with two writes to an object in `folder` of
        which nobody else knows: who removed it between the two would make it look as if not."""
        key = f"{folder}/probe-{uuid.uuid4().hex[:8]}".removeprefix("/")
        self.put(key, b"1")
        try:
            self.call("put_object", key, Body=b"2", IfNoneMatch="*")
        except StorageError as error:
            if _status(error.__cause__) not in {409, 412, 501}:
                raise
            return _status(error.__cause__) != 501
        finally:
            self.call("delete_object", key)
        return False

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Objects under the folder `prefix`, in key order."""
        folder = f"{prefix}/" if prefix else ""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=folder
        )
        try:
            for page in pages:
                for item in page.get("Contents", ()):
                    if not item["Key"].endswith("/"):  # what consoles leave to show a folder
                        yield Entry(self.uri(item["Key"]), item["Size"], item["ETag"].strip('"'))
        except FAILURES as error:
            raise failed(self.uri(prefix), error) from error

    def folders(self, prefix: str) -> list[str]:
        """Names of what lies one level under the folder `prefix` and has something in it."""
        folder = f"{prefix}/" if prefix else ""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=folder, Delimiter="/"
        )
        try:
            found = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", ())]
        except FAILURES as error:
            raise failed(self.uri(prefix), error) from error
        return [name.removeprefix(folder).rstrip("/") for name in found]

    def keys(self, prefix: str) -> list[str]:
        """Sorted keys under the folder `prefix`."""
        start = len(self.uri(""))
        return sorted(entry.uri[start:] for entry in self.entries(prefix))

    def head(self, key: str) -> Entry | None:
        """Size and etag of an object, or None where there is none."""
        try:
            found = self.call("head_object", key)
        except StorageError as error:
            if _status(error.__cause__) != 404:
                raise
            return None
        return Entry(self.uri(key), found["ContentLength"], found["ETag"].strip('"'))

    def exists(self, key: str) -> bool:
        """Whether there is an object of this key, or any under it as a folder."""
        if key and self.head(key):
            return True
        return next(self.entries(key), None) is not None

    def download(self, prefix: str, folder: Path) -> None:
        """Copy every object under `prefix` into `folder`."""
        keys = self.keys(prefix)
        if not keys:
            raise StorageError(f"{self.uri(prefix)}: no such folder")
        for key in keys:
            path = folder / within(self.uri(prefix), self.uri(key))
            path.parent.mkdir(parents=True, exist_ok=True)
            self.fetch(key, path)

    def fetch(self, key: str, path: Path, etag: str = "") -> None:
        """Copy one object to a local file, several ranges at a time, all of one version; with
        `etag` only of that version."""
        found = self.head(key)
        if found is None:
            raise StorageError(f"{self.uri(key)}: no such file")
        if etag not in ("", found.etag):
            raise StorageError(f"{found.uri}: {CHANGED}")
        with path.open("wb") as file, ThreadPoolExecutor(READERS) as pool:
            file.truncate(found.size)

            def copy(start: int) -> None:
                block = ObjectReader(self, key, found.etag, start).read(BLOCK)
                if len(block) != (wanted := min(BLOCK, found.size - start)):
                    raise StorageError(f"{found.uri}: {len(block)} of {wanted} bytes came")
                disk.write_at(file.fileno(), block, start)

            for _ in pool.map(copy, range(0, found.size, BLOCK)):
                pass

    def remove(self, prefix: str) -> None:
        """Delete every object under `prefix`."""
        for key in self.keys(prefix):
            self.call("delete_object", key)


class ObjectReader(io.RawIOBase):
    """An object as a seekable stream of which one block is in memory.

    All blocks come from one version: the one of `etag`, or else of the first block, which has
    `first` bytes. It stands at `start`.
    """

    def __init__(
        self, bucket: Bucket, key: str, etag: str = "", start: int = 0, first: int = BLOCK
    ) -> None:
        self._bucket, self._key, self._etag = bucket, key, etag
        self._position, self._start, self._block, self._size = start, 0, b"", 0
        self._fetch(start, first)

    def _fetch(self, start: int, length: int) -> None:
        for attempt in range(ATTEMPTS):
            try:
                self._start, self._block = start, self._get(start, length)
                return
            except (urllib3.exceptions.HTTPError, BotoCoreError, ConnectionError) as error:
                if attempt == ATTEMPTS - 1:
                    message = (
                        f"{self._bucket.uri(self._key)}: the answer broke off: {explain(error)}"
                    )
                    raise StorageError(message) from error
                time.sleep(0.1 * 2**attempt)

    def _get(self, start: int, length: int) -> bytes:
        match = {"IfMatch": f'"{self._etag}"'} if self._etag else {}
        wanted = f"bytes={start}-{start + length - 1}"
        try:
            answer = self._bucket.call("get_object", self._key, Range=wanted, **match)
        except StorageError as error:
            if _status(error.__cause__) == 416:  # the object is empty
                return b""
            if _status(error.__cause__) == 412:
                uri = self._bucket.uri(self._key)
                raise StorageError(f"{uri}: {CHANGED}") from error
            raise
        data: bytes = answer["Body"].read()
        if len(data) != answer["ContentLength"]:
            raise ConnectionError(f"{len(data)} of {answer['ContentLength']} bytes")
        self._etag = answer["ETag"].strip('"')
        self._size = int(answer.get("ContentRange", f"/{len(data)}").rsplit("/", 1)[1])
        return data

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position in bytes, 0 if it is before the beginning; returns it."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(origin + offset, 0)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill some of a buffer, from one block; returns how many bytes, 0 at the end."""
        if self._position >= self._size:
            return 0
        within = self._position - self._start
        if not 0 <= within < len(self._block):
            self._fetch(self._position, max(len(buffer), BLOCK))
            within = 0
        part = self._block[within : within + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)
