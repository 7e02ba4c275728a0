"""Where documents and labels are, and how they are written."""

from __future__ import annotations

import codecs
from typing import Literal

from pydantic import Field, field_validator, model_validator

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
    gold: str | None = Field(
        None,
        description="Column of the right labels, in the test file or the gold file; evaluation "
        "only. Without it a usual name: target_ind, label_ids, labels, tags, gold, …",
    )
    gold_id: str | None = Field(
        None, description="Column of document ids in the gold file; without it a usual name."
    )


class DocumentsConfig(Config):
    """Where unlabelled documents are: files or folders, and how they are written."""

    documents: tuple[str, ...] = Field(
        min_length=1,
        description="Files, folders, globs or manifests, local or s3://; one or a list. In folders "
        "names that begin with . or _ are left out.",
    )
    format: Literal["auto", "xmc", "jsonl", "csv", "tsv", "parquet", "text", "lines"] = Field(
        "auto",
        description="How all files are written. auto goes by each file's name; set it where names "
        "tell nothing. xmc are JSON lines with uid, title, content and, in a test file, "
        "target_ind; text is one document a file; lines, or a name in .raw.txt, one a line, with "
        "its number from 0 as its id. The header of a CSV tells its delimiter.",
    )
    encoding: str = Field(
        "utf-8",
        description="Of text that is not UTF-8, by its Python name: cp1252 or latin-1 for what "
        "older Western European programs write, shift_jis, … Lines that are UTF-8 are read as that "
        "whatever this says, and UTF-16 is told by its mark.",
    )
    columns: ColumnMap = Field(ColumnMap(), description="Which column is what.")
    limit: int | None = Field(
        None,
        ge=1,
        description="Read only the first so many documents; for a first try on a large corpus.",
    )

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            "text".encode(name)
        except (LookupError, UnicodeError):
            raise ValueError("no such encoding; utf-8, cp1252 or latin-1 are usual") from None
        return codecs.lookup(name).name.removesuffix("-sig")


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
    self_matches: str | None = Field(
        None,
        description="File of pairs that do not count in the evaluation, neither as tags nor as "
        "gold: on each line a row of `test` and a row of `labels`, from 0. For label sets whose "
        "labels are documents themselves, such as filter_labels_test.txt of the LF sets.",
    )
    gold: str | None = Field(
        None,
        description="File with gold labels, by document: of `test`, or, without `test`, of some of "
        "the documents, which are trained on without it. A row for each document or each label.",
    )
    gold_by: Literal["auto", "index", "name"] = Field(
        "auto",
        description="What stands for a label in gold: its key or text (name), or its row from 0 "
        "(index). auto takes indices in columns target_ind and label_ids.",
    )
    gold_separator: str | None = Field(
        None,
        description="What is between the gold labels of one field; without it what gives most "
        "known labels.",
    )
    held_aside: int | None = Field(
        None,
        ge=0,
        description="Documents kept from training, by whose tags the judge chooses the cycle that "
        "ships, drawn by a hash of their id. Without it the smaller of 250 and 20 % of all. More "
        "give narrower intervals and cost questions in each cycle.",
    )
    seed: int = Field(13, description="Draws who is held aside.")
    bad_labels: Literal["refuse", "leave_out"] = Field(
        "refuse",
        description="Rows of the label set without key or text, with another field that is none, "
        "or with the key of an earlier row: refused, or made rejects.",
    )

    @model_validator(mode="after")
    def _matches_have_rows(self) -> CorpusConfig:
        if self.self_matches and not self.test:
            raise ValueError("self_matches: its rows are those of `test`, which is not set")
        return self

    @property
    def has_test(self) -> bool:
        """Whether there are documents with gold labels."""
        return bool(self.test or self.gold)

    def aside_of(self, documents: int) -> int:
        """How many of so many documents are held aside."""
        if self.held_aside is not None:
            return self.held_aside
        return min(MOST_ASIDE, documents // 5)
