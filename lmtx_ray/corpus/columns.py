"""The header of a table of rows: which columns are read, which must be there, and under what
names they are looked for."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lmtx_ray.config.corpus import ColumnMap
from lmtx_ray.corpus.lines import CorpusError

IDS, TITLES, TEXTS = ("uid", "doc_id", "id"), ("title",), ("content", "text")
KEYS, LABEL_TEXTS = ("uid", "label_key", "key", "id"), ("title", "text", "label", "name")
LABEL_FURTHER = {  # what else may be said of a label: by what names it is looked for
    "description": ("description",),
    "aliases": ("aliases",),
    "parent_keys": ("parent_keys", "parents"),
}
REVIEWED = {"correct", "document_hash", "label_hash"}  # of a file of lmtx sample-for-review
Group = tuple[str, tuple[str, ...]]  # (the setting that names the column, usual names)
USUAL = (*IDS, *TEXTS, *TITLES)  # where a document is looked for, if nobody names the columns


@dataclass(frozen=True)
class Wanted:
    """What is read of a table of rows.

    `named` columns must be in its header. Of each of `groups` one column must be there. `further`
    ones are read where they are, with `every` all others too, which nobody needs.
    """

    named: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    further: tuple[str, ...] = ()
    every: bool = False

    def usual(self) -> tuple[str, ...]:
        """Names that are looked for without regard to case and spaces."""
        return (*(name for _, names in self.groups for name in names), *self.further)

    def among(self, header: Sequence[str]) -> list[str] | None:
        """The columns to read of a table, None for all."""
        if self.every:
            return None
        usual = set(self.usual())
        return [name for name in header if name in self.named or usual_name(name) in usual]


def document_columns(columns: ColumnMap, further: Sequence[str] = ()) -> Wanted:
    """What documents are read from; columns of `further` must be there too."""
    named = (columns.doc_id, columns.title, columns.text, *further)
    groups: list[Group] = [] if columns.doc_id else [("corpus.columns.doc_id or --id-field", IDS)]
    if not columns.text:  # a title alone is a text
        usual: tuple[str, ...] = TEXTS if columns.title else (*TEXTS, *TITLES)
        groups.append(("corpus.columns.text or --text-field", usual))
    names = tuple(name for name in dict.fromkeys(named) if name)
    return Wanted(names, tuple(groups), () if columns.title else TITLES)


def label_columns(columns: ColumnMap) -> Wanted:
    """What labels are read from."""
    named = tuple(name for name in (columns.label_key, columns.label_text) if name)
    key, text = (
        f"corpus.columns.label_{role} or --{role}-field, or let `lmtx labels import` name it anew"
        for role in ("key", "text")
    )
    groups: list[Group] = [] if columns.label_key else [(key, KEYS)]
    groups += [] if columns.label_text else [(text, LABEL_TEXTS)]
    return Wanted(named, tuple(groups), label_further())


def label_further() -> tuple[str, ...]:
    """All names of LABEL_FURTHER."""
    return tuple(name for names in LABEL_FURTHER.values() for name in names)


def usual_name(name: str) -> str:
    """A column's name without regard to case and spaces: "Doc ID " is doc_id."""
    return name.strip().casefold().replace(" ", "_")


@lru_cache(maxsize=4096)
def names_in(header: tuple[str, ...], usual: tuple[str, ...]) -> tuple[str, ...]:
    """The fields that have a usual name, in the order of `usual`; without any, the only one whose
    name differs in case or spaces alone."""
    if exact := tuple(name for name in usual if name in header):
        return exact
    alike = tuple(name for name in header if usual_name(name) in usual)
    return alike if len(alike) == 1 else ()


def check_columns(
    uri: str,
    header: Sequence[str],
    wanted: Wanted,
    given: Collection[str] = (),
    line: bool = True,
) -> None:
    """CorpusError naming the first absent or repeated column, with near matches; `given` ones need
    not be there. `line` says that the header is a line, and may be a row by mistake.

    A column that is needed must not be repeated: one of the two would be taken, nobody told which.
    """
    for column in (*wanted.named, *wanted.usual()):
        if list(header).count(column) > 1:
            raise CorpusError(f"{uri}: column {column!r} is there more than once")
    for column in wanted.named:
        if column not in header and column not in given:
            raise CorpusError(f"{uri}: no column {column!r}; {near_or_all([column], header)}")
    for setting, usual in wanted.groups:
        if not names_in(tuple(header), usual) and not set(usual) & set(given):
            raise CorpusError(f"{uri}: {_missing_group(header, setting, usual, line)}")


def _missing_group(header: Sequence[str], setting: str, usual: Sequence[str], line: bool) -> str:
    names = f"{', '.join(map(repr, usual[:-1]))} or {usual[-1]!r}" if usual[1:] else repr(usual[0])
    near = near_names(usual, header)
    shown = ", ".join(repr(name[:60]) for name in header[:8])
    where = "in its first line, which has" if line else "in it; it has"
    mend = f"{f'{near} ' if near else ''}Set {setting}"
    mend += "; or is there no header line? Then put one on top" if line else ""
    return f"no column {names} {where} {shown}: {mend}"


def near_names(wanted: Sequence[str], header: Sequence[str]) -> str:
    """`did you mean …?` with the names most like one of `wanted`, whatever their case and spaces;
    empty if none is like one."""
    alike: dict[str, str] = {}
    for name in header:
        alike.setdefault(usual_name(name), name)
    near = [
        alike[match]
        for name in wanted
        for match in difflib.get_close_matches(usual_name(name), alike, n=3)
    ]
    shown = (repr(name) if name != name.strip() else name for name in dict.fromkeys(near))
    return f"did you mean {' or '.join(shown)}?" if near else ""


def near_or_all(wanted: Sequence[str], header: Sequence[str]) -> str:
    """`near_names`, or what there is where none is near."""
    return near_names(wanted, header) or f"it has: {', '.join(map(repr, header))}"


def refuse_reviewed(uri: str, header: Collection[str]) -> None:
    """CorpusError for a file of reviewed tags where another kind is needed: what of it counts,
    says a column that only its own command heeds."""
    if REVIEWED.issubset(header):
        raise CorpusError(
            f"{uri}: a file of lmtx sample-for-review, which holds wrong tags too; "
            "lmtx review-score reads it, with --run RUN its answers are kept"
        )
