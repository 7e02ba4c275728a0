"""What somebody asks of an import, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lmtx_ray.corpus.lines import BadRow, Row

Found = tuple[str, int, Row | BadRow]  # file, position from 1, a checked label without its id


@dataclass(frozen=True)
class Asked:
    """How a vocabulary is read.

    Attributes:
        format: csv, tsv, jsonl, parquet, skos, annif, xmc or list; auto goes by name and beginning.
        columns: Role (see `columns.ROLES`) -> column; "" takes none for a role.
        languages: Those a label is shown in, the first that it has; none takes the most frequent.
        aliases_in: Languages whose other texts become aliases; none takes all.
        separator: What is between the aliases or parents of one cell.
        header: Whether a table begins with the names of its columns; without them they are called
            1, 2, 3, …; None looks at the first line.
        encoding: Of text that is not UTF-8; "" looks at the beginning.
        number: A label's key is its row's number from 0, as gold of XMC sets names it.
        html: Texts hold entities like &amp;.
        deprecated: Keep concepts that are marked so.
    """

    format: str = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    aliases_in: tuple[str, ...] = ()
    separator: str = "|"
    header: bool | None = None
    encoding: str = ""
    number: bool = False
    html: bool = False
    deprecated: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """A source that was opened: what it is, what was taken for what, and its labels as they come.
    `files` are those it is made of."""

    kind: str
    files: tuple[str, ...]
    found: Iterator[Found]
    columns: Mapping[str, object] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
