"""What each row of a chunk says of its own tags: columns of label keys that filter.

A row is never lost for it: what cannot be read of a column stands in the row's reason.
"""

from __future__ import annotations

from typing import Any

from lmtx_ray.batch.job import TagJob
from lmtx_ray.corpus.filters import Filter, unknown_in_words
from lmtx_ray.corpus.label_set import LabelSet
from lmtx_ray.corpus.lines import BadRow, Row
from lmtx_ray.corpus.name_lists import names_of
from lmtx_ray.corpus.values import is_missing


def row_filter(doc_id: str, fields: Row, job: TagJob, labels: LabelSet) -> tuple[Filter, str]:
    """(a document's filter, what is wrong with its columns) of what `Chunk.filters` holds.

    An empty field leaves no label out, but an empty list of allowed ones leaves out all. So do
    allowed ones of which no key is known, and a field that cannot be read: tags that are not
    allowed are worse than none.
    """
    found: dict[str, list[str] | None] = {}
    problems, is_unreadable = [], False
    for name, column in job.filter_columns().items():
        keys, problem = _keys(fields[name], labels)
        is_unreadable |= isinstance(keys, BadRow)
        found[name] = [] if isinstance(keys, BadRow) else keys
        problems += [f"field {column!r}: {problem}"] if problem else []
    allowed = [] if is_unreadable else found.get("allow")
    denied = [*(found.get("deny") or ()), *job.self_matches.get(doc_id, ())]
    return Filter.of(allowed, denied), "; ".join(problems)


def _keys(value: Any, labels: LabelSet) -> tuple[list[str] | BadRow | None, str]:
    if is_missing(value) or (isinstance(value, str) and not value.strip()):
        return None, ""
    names = names_of(value, labels.__contains__)
    if isinstance(names, BadRow):
        return names, names.reason
    unknown = [name for name in names if name not in labels]
    known = [name for name in names if name in labels]
    return known, unknown_in_words(labels, unknown) if unknown else ""
