"""Lines of text files, plain or gz/zst, in bounded memory.

Bad data becomes a BadRow. What the disk or the network does to a file never does: it is raised.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from lmtx_ray.io import storage

UTF8 = "utf-8"
MOST_RAW = 200  # characters of a bad row kept in rejects
MOST_LINE = 16 << 20  # bytes of a line, and of a document
MOST_RATIO = 200  # bytes that a compressed byte may become, once there are many
MANY = 64 << 20

Row = dict[str, Any]


class CorpusError(ValueError):
    """Input that cannot be read as a whole; the message names the file and the field."""


@dataclass(frozen=True)
class BadRow:
    """A row that goes to rejects."""

    reason: str
    raw: str = ""


@dataclass(frozen=True)
class Span:
    """Bytes of a file: the lines that begin in them, `stop` excluded."""

    start: int
    stop: int


@dataclass
class Tally:
    """How many lines were read, blank ones included."""

    lines: int = 0


class _Inflated(io.RawIOBase):
    """A decompressed stream that ends with an error before it fills the memory or the day."""

    def __init__(self, read: Callable[[int], bytes], compressed: BinaryIO) -> None:
        self._read, self._compressed, self._bytes = read, compressed, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        self._bytes += len(data)
        if self._bytes > MANY and self._bytes > MOST_RATIO * self._compressed.tell():
            raise EOFError(f"it grows to more than {MOST_RATIO} times its size")
        return len(data)


def inflated(uri: str, raw: BinaryIO) -> BinaryIO:
    """The stream without its compression, which the name tells."""
    if uri.endswith(".gz"):
        read = gzip.GzipFile(fileobj=raw).read1  # read would lose what comes before a break
        return io.BufferedReader(_Inflated(read, raw), 1 << 18)
    if uri.endswith(".zst"):  # pyarrow, as zstandard takes a truncated stream for a whole one
        stream = pa.input_stream(raw, compression="zstd")
        return io.BufferedReader(_Inflated(stream.read, raw), 1 << 18)
    return raw


def read_lines(
    uri: str, span: Span | None = None, etag: str = "", tally: Tally | None = None
) -> Iterator[tuple[int, bytes | BadRow]]:
    """(number, line without its end), numbers from 1; those of a span count from its start.

    A damaged compressed stream gives its readable lines, then one bad row.

    Raises:
        StorageError: The file cannot be read.
    """
    tally = tally or Tally()
    with storage.open_input(uri, etag) as raw:
        try:
            for line in _bounded(inflated(uri, raw), span):
                tally.lines += 1
                yield tally.lines, line
        except (EOFError, OSError, zlib.error) as error:
            if isinstance(error, storage.StorageError):
                raise
            if isinstance(error, OSError) and error.errno is not None:
                raise storage.StorageError(f"{uri}: {error.strerror}") from error
            reason = f"damaged compressed file, the rest is lost: {error}"
            yield tally.lines + 1, BadRow(reason)


def _bounded(stream: BinaryIO, span: Span | None) -> Iterator[bytes | BadRow]:
    position = span.start if span else 0
    if position:  # a line belongs to the span in which it begins
        stream.seek(position - 1)
        position += _skip_line(stream) - 1
    while span is None or position < span.stop:
        line = stream.readline(MOST_LINE + 1)
        if not line:
            return
        position += len(line)
        if len(line) > MOST_LINE and not line.endswith(b"\n"):
            position += _skip_line(stream)
            shown = line[:MOST_RAW].decode("utf-8", "replace")
            yield BadRow(f"a line of more than {MOST_LINE} bytes", shown)
        else:
            yield line.rstrip(b"\r\n")


def _skip_line(stream: BinaryIO) -> int:
    skipped = 0
    while part := stream.readline(1 << 20):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def read_text_lines(
    uri: str,
    span: Span | None = None,
    etag: str = "",
    tally: Tally | None = None,
    encoding: str = UTF8,
) -> Iterator[tuple[int, str | BadRow]]:
    """The same as text; a line that is neither UTF-8 nor of the other `encoding`, or holds a NUL,
    is a bad row."""
    begins = span is None or span.start == 0
    for number, line in read_lines(uri, span, etag, tally):
        if isinstance(line, BadRow):
            yield number, line
            continue
        try:
            text = _decoded(line, "utf-8-sig" if number == 1 and begins else UTF8, encoding)
        except UnicodeDecodeError as error:
            shown = line[: 4 * MOST_RAW].decode("utf-8", "replace")[:MOST_RAW]
            yield number, BadRow(f"invalid UTF-8 at byte {error.start}", shown)
            continue
        yield number, BadRow("NUL character", text[:MOST_RAW]) if "\0" in text else text


def _decoded(line: bytes, first: str, other: str) -> str:
    """A line as text. UnicodeDecodeError, of the first encoding, where it is of neither."""
    try:
        return line.decode(first)
    except UnicodeDecodeError:
        if other == UTF8:
            raise
        try:
            return line.decode(other)
        except UnicodeDecodeError:
            pass
        raise
