"""Where documents and labels are, and how they are written."""

from __future__ import annotations

import codecs
from typing import Literal

from pydantic import Field, field_validator

from lmtx_ray.config.loading import Config


class ColumnMap(Config):
    """Names of the fields in the raw files; None takes the format's usual ones."""

    doc_id: str | None = None
    title: str | None = None
    text: str | None = None
    label_key: str | None = None
    label_text: str | None = None
    gold: str = "target_ind"


class DocumentsConfig(Config):
    """Where unlabelled documents are: files or folders, and how they are written.

    "xmc" JSON lines have the fields uid, title, content and, in a test file, target_ind. `encoding`
    is that of text that is not UTF-8, by its Python name: latin-1, windows-1252, shift_jis, …
    """

    documents: tuple[str, ...] = Field(min_length=1)
    format: Literal["auto", "xmc", "jsonl", "csv", "tsv", "parquet", "text"] = "auto"
    columns: ColumnMap = ColumnMap()
    limit: int | None = Field(None, ge=1)
    encoding: str = "utf-8"

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            "text".encode(name)
        except (LookupError, UnicodeError):
            raise ValueError("no encoding of this name; utf-8, latin-1, utf-16 are some") from None
        return codecs.lookup(name).name.removesuffix("-sig")


class CorpusConfig(DocumentsConfig):
    """Documents and the label set.

    `test` holds documents with gold labels, read for evaluation only. `held_aside` documents are
    kept from training for selection, chosen by a hash of their id. `bad_labels` are rows of the
    label set without key or text, or with another field that is none: refused, or made rejects.
    """

    labels: str
    test: str | None = None
    held_aside: int = Field(250, ge=0)
    seed: int = 13
    bad_labels: Literal["refuse", "leave_out"] = "refuse"
