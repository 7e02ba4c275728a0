"""What people say of tags, as rows that `lmtx verdicts import` takes: hashes of the texts, so that
it needs no id of a corpus, and a text itself is never kept."""

from __future__ import annotations

import errno
import io
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from lmtx_ray.corpus.text_keys import document_text, text_key
from serve_apps.feedback_contracts import AnsweredDocument, FeedbackRow
from serve_apps.guard import Problem, Refusal

SOURCE = "feedback"


def keys_without_text(documents: Sequence[AnsweredDocument]) -> list[str]:
    """Keys of labels whose text a bundle has to tell, in their order, each once."""
    answers = [said for document in documents for said in document.answers]
    return sorted({said.key for said in answers if said.label is None})


def rows_of(
    documents: Sequence[AnsweredDocument], texts: dict[str, str], key_name: str = ""
) -> tuple[list[FeedbackRow], list[Problem]]:
    """A row for each answer, and the answers of which none can be made; `texts` are those of labels
    that were sent without one, by key, `key_name` is who answered.

    Raises:
        Refusal: 422, there is no row, as nothing tells the text of any label.
    """
    rows: list[FeedbackRow] = []
    problems: list[Problem] = []
    source = f"{SOURCE}:{key_name}" if key_name else SOURCE
    for number, document in enumerate(documents):
        key = text_key(document_text(document.title, document.text)).hex()
        for place, said in enumerate(document.answers):
            label = texts.get(said.key) if said.label is None else said.label
            if label is None:
                loc: list[str | int] = ["body", "documents", number, "answers", place, "key"]
                problems.append(Problem(loc=loc, msg="no label has this key"))
                continue
            names = {"doc_id": document.id, "label_key": said.key, "label_text": label}
            hashed = text_key(label).hex()
            row = FeedbackRow(
                document=key, label=hashed, answer=said.answer, source=source, **names
            )
            rows.append(row)
    if not rows:
        raise Refusal(422, "invalid", [(problem.loc, problem.msg) for problem in problems])
    return rows, problems


class Keeper:
    """Appends rows to a file of this process's own in a folder; without a folder it keeps none."""

    def __init__(self, folder: str = "", name: str = "") -> None:
        self._path = Path(folder) / f"{SOURCE}-{name or os.getpid()}.jsonl" if folder else None
        self._writing = threading.Lock()

    def keep(self, rows: Sequence[FeedbackRow]) -> bool:
        """Whether they are on the disk now; of two calls at once no lines mix.

        Raises:
            OSError: The disk fails or is full; none of the rows is in the file.
        """
        if self._path is None:
            return False
        lines = "".join(json.dumps(row.model_dump(), ensure_ascii=False) + "\n" for row in rows)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._writing, self._path.open("ab", buffering=0) as file:
            _append(file, lines.encode())
        return True


def _append(file: io.FileIO, content: bytes) -> None:
    """All of it or nothing: to half a line the next row would be glued. A nearly full disk takes a
    part and reports no error."""
    before = file.seek(0, os.SEEK_END)
    try:
        if file.write(content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
        os.fsync(file.fileno())
    except OSError:
        file.truncate(before)
        raise
