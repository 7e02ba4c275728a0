"""Lines of text files, plain or gz/zst, in bounded memory.

Bad data becomes a BadRow. What the disk or the network does to a file never does: it is raised.
A compression is seen by a file's first bytes too, as stores keep packed what was sent packed.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from lmtx_ray.io import storage

MOST_RAW = 200  # characters of a bad row kept in rejects
MOST_LINE = 16 << 20  # bytes of a line, and of a document
MOST_RATIO = 200  # bytes that a compressed byte may become, once there are many
MANY = 64 << 20
MAGIC = {"gz": b"\x1f\x8b", "zst": b"\x28\xb5\x2f\xfd"}
UTF8 = "utf-8"
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
LOST = "the rest is lost"  # of a file: said where nobody knows how many rows that was
HINT = "; is it Latin-1 or Windows-1252? Then set corpus.encoding or --encoding"

Row = dict[str, Any]


class CorpusError(ValueError):
    """Input that cannot be read as a whole; the message names the file and the field."""


class Damaged(ValueError):
    """The rest of a file is lost; the message says why."""


@dataclass(frozen=True)
class BadRow:
    """A row that goes to rejects. Its reason is a text that every table holds: half a surrogate
    pair, as a field's name in JSON may have it, is a question mark there."""

    reason: str
    raw: str = ""

    def __post_init__(self) -> None:
        if not self.reason.isascii():
            said = self.reason.encode("utf-8", "replace").decode()
            object.__setattr__(self, "reason", said)

    def reject(self, source: str, position: int, most: int = MOST_RAW) -> Row:
        """A row of REJECTS, with `most` characters of the raw one."""
        raw = self.raw[:most].encode("utf-8", "replace").decode()
        return {"source": source, "position": position, "reason": self.reason, "raw": raw}


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


def packed_as(uri: str, head: bytes = b"") -> str:
    """What a file is compressed with, by its first bytes, else by its name: gz, zst or nothing."""
    for kind, magic in MAGIC.items():
        if head.startswith(magic):
            return kind
    ending = uri.lower().rpartition(".")[2]
    return ending if ending in MAGIC else ""


def inflated(uri: str, raw: io.BufferedReader) -> io.BufferedReader:
    """The stream without its compression; what was packed twice is unpacked twice."""
    for name in (uri, ""):  # no more often: there are files that unpack to themselves
        if not (kind := packed_as(name, raw.peek(4))):
            break
        raw = _unpacked(kind, raw)
    return raw


def _unpacked(kind: str, raw: io.BufferedReader) -> io.BufferedReader:
    if kind == "gz":
        read = gzip.GzipFile(fileobj=raw).read1  # read would lose what comes before a break
    else:  # pyarrow, as zstandard takes a truncated stream for a whole one
        read = pa.input_stream(raw, compression="zstd").read
    return io.BufferedReader(_Inflated(read, raw), 1 << 18)


@contextmanager
def _named(uri: str) -> Iterator[None]:
    """What is wrong with a compressed stream as Damaged, with the disk as StorageError."""
    try:
        yield
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, storage.StorageError):
            raise
        if isinstance(error, OSError) and error.errno is not None:
            raise storage.StorageError(f"{uri}: {error.strerror}") from error
        raise Damaged(f"damaged compressed file, {LOST}: {error}") from error


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
            with _named(uri):
                for line in _bounded(raw if span else inflated(uri, raw), span):
                    tally.lines += 1
                    yield tally.lines, line
        except Damaged as damage:
            yield tally.lines + 1, BadRow(str(damage))


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


def keeps_lines(encoding: str) -> bool:
    """Whether lines can be found before decoding, and those of UTF-8 be told from others: a line
    feed is one byte of its own, and no other letters are ASCII, as those of ISO-2022-JP are."""
    letters = "é日中가".encode(encoding, "ignore")
    return "\n".encode(encoding) == b"\n" and not (letters and letters.isascii())


class _Decoder:
    """Pieces of bytes to text: as UTF-16 where they begin with its mark, as UTF-8 as long as they
    are that, and as another encoding from then on."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        first = "utf-8-sig" if keeps_lines(encoding) else encoding
        self._decoder: Any = codecs.getincrementaldecoder(first)()
        self._begun = False

    def decode(self, piece: bytes, final: bool) -> str:
        """UnicodeError for what is of none of them."""
        if not self._begun and piece.startswith(UTF16_MARKS):
            self._decoder = codecs.getincrementaldecoder("utf-16")()
        self._begun = True
        try:
            return str(self._decoder.decode(piece, final))
        except UnicodeDecodeError as error:
            if error.encoding != UTF8 or self._encoding == UTF8:
                raise
            waiting = self._decoder.getstate()[0]
            self._decoder = codecs.getincrementaldecoder(self._encoding)()
            return str(self._decoder.decode(waiting + piece, final))


def read_text(uri: str, etag: str, encoding: str) -> Iterator[str]:
    """A file's text, piece by piece. Raises Damaged, with what is wrong, and StorageError."""
    decoder = _Decoder(encoding)
    with storage.open_input(uri, etag) as raw, _named(uri):
        stream = inflated(uri, raw)
        while True:
            piece = stream.read1(1 << 18)
            try:
                yield decoder.decode(piece, final=not piece)
            except UnicodeError as error:
                raise Damaged(f"{error}, {LOST}{_hint(encoding)}") from None
            if not piece:
                return


def read_text_lines(
    uri: str,
    span: Span | None = None,
    etag: str = "",
    tally: Tally | None = None,
    encoding: str = UTF8,
) -> Iterator[tuple[int, str | BadRow]]:
    """The same as text. A line that is not UTF-8 is of `encoding`, and a bad row if it is not that
    either, or holds a NUL."""
    tally = tally or Tally()
    if not keeps_lines(encoding):
        yield from _split_lines(uri, etag, encoding, tally)
        return
    begins = span is None or span.start == 0
    for number, line in read_lines(uri, span, etag, tally):
        if isinstance(line, BadRow):
            yield number, line
            continue
        first = number == 1 and begins
        if first and line.startswith(UTF16_MARKS):
            tally.lines = 0
            yield from _split_lines(uri, etag, encoding, tally)
            return
        yield number, _decoded(line, "utf-8-sig" if first else UTF8, encoding)


def _decoded(line: bytes, utf8: str, encoding: str) -> str | BadRow:
    try:
        return _without_nul(line.decode(utf8))
    except UnicodeDecodeError as error:
        place = error.start
    try:
        if encoding != UTF8:
            return _without_nul(line.decode(encoding))
    except UnicodeDecodeError:
        pass
    shown = line[: 4 * MOST_RAW].decode("utf-8", "replace")[:MOST_RAW]
    return BadRow(f"invalid UTF-8 at byte {place}{_hint(encoding)}", shown)


def _hint(encoding: str) -> str:
    return HINT if encoding == UTF8 else f", and not {encoding} either"


def _without_nul(text: str) -> str | BadRow:
    return BadRow("NUL character", text[:MOST_RAW]) if "\0" in text else text


def _split_lines(
    uri: str, etag: str, encoding: str, tally: Tally
) -> Iterator[tuple[int, str | BadRow]]:
    rest, long = "", False
    try:
        for piece in read_text(uri, etag, encoding):
            *lines, rest = (rest + piece).split("\n")
            for line in lines:
                tally.lines += 1
                yield tally.lines, _long(line) if long else _without_nul(line.rstrip("\r"))
                long = False
            if len(rest) > MOST_LINE:
                rest, long = rest[:MOST_RAW], True
    except Damaged as damage:
        yield tally.lines + 1, BadRow(str(damage), rest[:MOST_RAW])
        return
    if rest:
        tally.lines += 1
        yield tally.lines, _long(rest) if long else _without_nul(rest.rstrip("\r"))


def _long(line: str) -> BadRow:
    return BadRow(f"a line of more than {MOST_LINE} characters", line[:MOST_RAW])
