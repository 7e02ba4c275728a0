"""What people say of tags, as rows that `lmtx verdicts import` takes: hashes of the texts, so that
it needs no id of a corpus, and a text itself is never kept."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from lmtx_ray.corpus.text_keys import document_text, text_key
from serve_apps import contracts
from serve_apps.guard import Refusal

SOURCE = "feedback"


def rows_of(
    documents: Sequence[contracts.AnsweredDocument], texts: dict[str, str], key_name: str = ""
) -> list[contracts.FeedbackRow]:
    """A row for each answer; `texts` are those of the labels by key, `key_name` who answered.

    Raises:
        Refusal: 422, a label that is not in `texts`.
    """
    rows = []
    for number, document in enumerate(documents):
        key = text_key(document_text(document.title, document.text)).hex()
        for place, said in enumerate(document.answers):
            if said.key not in texts:
                loc: list[str | int] = ["body", "documents", number, "answers", place, "key"]
                raise Refusal(422, "invalid", [(loc, "no label has this key")])
            rows.append(
                contracts.FeedbackRow(
                    document=key,
                    label=text_key(texts[said.key]).hex(),
                    answer=said.answer,
                    doc_id=document.id,
                    label_key=said.key,
                    label_text=texts[said.key],
                    source=f"{SOURCE}:{key_name}" if key_name else SOURCE,
                )
            )
    return rows


class Keeper:
    """Appends rows to a file of this process's own in a folder; without a folder it keeps none."""

    def __init__(self, folder: str = "", name: str = "") -> None:
        self._path = Path(folder) / f"{SOURCE}-{name or os.getpid()}.jsonl" if folder else None

    def keep(self, rows: Sequence[contracts.FeedbackRow]) -> bool:
        """Whether they are on the disk now. Rows of one call go in one write, so that two calls
        mix no lines. Raises OSError where the disk fails."""
        if self._path is None:
            return False
        lines = "".join(json.dumps(row.model_dump(), ensure_ascii=False) + "\n" for row in rows)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab", buffering=0) as file:
            file.write(lines.encode())
            os.fsync(file.fileno())
        return True
