"""XML whose entities would make a small file grow without end is refused before it is parsed."""

from __future__ import annotations

from typing import Any, BinaryIO
from xml.parsers import expat

from lmtx_ray.corpus.lines import CorpusError

LONGEST = 300  # characters; vocabularies shorten addresses by entities
PIECE = 1 << 16  # bytes


class _Begun(Exception):
    """The first element: all declarations were before it."""


def refuse_growth(uri: str, stream: BinaryIO) -> None:
    """Read up to the first element. Raises CorpusError where an entity is made of others, or is
    long; a file that is no XML is left to who parses it."""

    def declared(
        name: str, is_parameter: Any, value: str | None, *_: object
    ) -> None:  # without a value it lies outside, and is not read
        if value is not None and (is_parameter or "&" in value or len(value) > LONGEST):
            why = f"longer than {LONGEST} characters" if len(value) > LONGEST else ""
            why = why or "made of other entities"
            raise CorpusError(f"{uri}: entity {name!r} is {why}, which is not read: write it out")

    def begun(*_: object) -> None:
        raise _Begun

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = declared
    parser.StartElementHandler = begun
    try:
        while piece := stream.read(PIECE):
            parser.Parse(piece, False)
    except (_Begun, expat.ExpatError):
        return
