"""Where documents and labels are, and how they are written."""

from __future__ import annotations

import codecs
from typing import Literal

from pydantic import Field, field_validator

from lmtx_ray.config.loading import Config

MOST_ASIDE = 250  # documents; with so many an interval of P@1 is some 6 points to each side


class ColumnMap(Config):
    """Names of the fields in the raw files; without one the usual names are looked for."""

    doc_id: str | None = Field(
        None, description="Column that tells documents apart; without it uid, doc_id or id."
    )
    title: str | None = Field(
        None, description="Column that is read before the text; without it title, if there is one."
    )
    text: str | None = Field(
        None, description="Column of the documents' text; without it content or text."
    )
    label_key: str | None = Field(
        None,
        description="Column that tells labels apart, and that tags carry; without it uid, "
        "label_key, key or id. May be the same as label_text.",
    )
    label_text: str | None = Field(
        None,
        description="Column of what a label is called: what the judge and the encoder read; "
        "without it title, text, label or name.",
    )
    gold: str = Field(
        "target_ind", description="Column of the right labels in the test file; evaluation only."
    )


class DocumentsConfig(Config):
    """Where unlabelled documents are: files or folders, and how they are written."""

    documents: tuple[str, ...] = Field(
        min_length=1,
        description="Files, folders, globs or manifests, local or s3://; one or a list. In folders "
        "names that begin with . or _ are left out.",
    )
    format: Literal["auto", "xmc", "jsonl", "csv", "tsv", "parquet", "text"] = Field(
        "auto",
        description="How all files are written. auto goes by each file's name; set it where names "
        "tell nothing. xmc are JSON lines with uid, title, content and, in a test file, "
        "target_ind; text is one document a file. The header of a CSV tells its delimiter.",
    )
    encoding: str = Field(
        "utf-8",
        description="Of lines that are not UTF-8: cp1252 or latin-1 for what older Western "
        "European programs write. Lines that are UTF-8 are read as that whatever this says.",
    )
    columns: ColumnMap = Field(ColumnMap(), description="Which column is what.")
    limit: int | None = Field(
        None,
        ge=1,
        description="Read only the first so many documents; for a first try on a large corpus.",
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            "a".encode(value)
            name = codecs.lookup(value).name
        except LookupError:
            raise ValueError("no such encoding; utf-8, cp1252 or latin-1 are usual") from None
        if name.startswith(("utf-16", "utf-32", "utf-7")):
            raise ValueError(f"{value} has no lines of bytes: convert the files to UTF-8")
        return name if name != "utf-8-sig" else "utf-8"


class CorpusConfig(DocumentsConfig):
    """Documents and the label set."""

    labels: str = Field(
        description="File of the label set, local or s3://. Beside key and text it may have "
        "description, aliases and parent_keys."
    )
    test: str | None = Field(
        None,
        description="Documents with gold labels, read for evaluation only and none of the "
        "documents. Adding them later trains nothing again.",
    )
    held_aside: int | None = Field(
        None,
        ge=0,
        description="Documents kept from training, by whose tags the judge chooses the cycle that "
        "ships, drawn by a hash of their id. Without it the smaller of 250 and 20 % of all. More "
        "give narrower intervals and cost questions in each cycle.",
    )
    seed: int = Field(13, description="Draws who is held aside.")

    def aside_of(self, documents: int) -> int:
        """How many of so many documents are held aside."""
        if self.held_aside is not None:
            return self.held_aside
        return min(MOST_ASIDE, documents // 5)
