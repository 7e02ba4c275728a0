"""Preparing: raw files to raw documents, and those to the final units."""

from __future__ import annotations

from lmtx_ray.corpus.gathering import Assembling, assemble_unit
from lmtx_ray.corpus.raw import RawReading, read_unit
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import Receipt
from lmtx_ray.io.units import Unit


class ReadDocuments:
    """Worker: a unit of raw files in, its readable documents and rejects committed."""

    def __init__(self, raw: RawReading) -> None:
        self._raw = raw

    def run_unit(self, unit: Unit, output: Dataset) -> Receipt:
        """The receipt that counts, be it of this attempt or of an earlier one."""
        return read_unit(unit, self._raw, output)


class AssembleDocuments:
    """Worker: spans of raw documents in, a unit of `documents` or `gold` committed."""

    def __init__(self, how: Assembling) -> None:
        self._how = how

    def run_unit(self, unit: Unit, output: Dataset) -> Receipt:
        """The receipt that counts, be it of this attempt or of an earlier one."""
        return assemble_unit(unit, self._how, output)
