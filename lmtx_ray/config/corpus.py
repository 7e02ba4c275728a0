"""Where documents and labels are, and how they are written."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lmtx_ray.config.loading import Config


class ColumnMap(Config):
    """Names of the fields in the raw files; None takes the format's usual ones."""

    doc_id: str | None = None
    title: str | None = None
    text: str | None = None
    label_key: str | None = None
    label_text: str | None = None
    gold: str | None = Field(
        None,
        description="Column of gold labels, in the test file or the gold file; without it "
        "target_ind, or one of the usual names (gold, labels, tags, label, …). Evaluation only.",
    )
    gold_id: str | None = Field(
        None,
        description="Column of document ids in the gold file; without it doc_id, id, document, …",
    )


class DocumentsConfig(Config):
    """Where unlabelled documents are: files or folders, and how they are written.

    "xmc" JSON lines have the fields uid, title, content and, in a test file, target_ind.
    """

    documents: tuple[str, ...] = Field(min_length=1)
    format: Literal["auto", "xmc", "jsonl", "csv", "tsv", "parquet", "text"] = "auto"
    columns: ColumnMap = ColumnMap()
    limit: int | None = Field(None, ge=1)


class CorpusConfig(DocumentsConfig):
    """Documents and the label set.

    `test` holds documents with gold labels, and `gold` gold in a file of its own; both are read for
    evaluation only. `held_aside` documents are kept from training for selection, chosen by a hash
    of their id.
    """

    labels: str
    test: str | None = None
    gold: str | None = Field(
        None,
        description="File with gold labels of the test documents, or, without test, of some of the "
        "documents, which are then trained on without it: documents with labels, or a row for each "
        "pair. Evaluation only; adding it later trains nothing again.",
    )
    gold_by: Literal["auto", "index", "name"] = Field(
        "auto",
        description="What gold names labels by: their index in the label set, or key or text. auto "
        "takes target_ind and label_ids for indices, every other column for names.",
    )
    gold_separator: str | None = Field(
        None,
        description="Between several labels in one field of gold; without it the one of | ; , tab "
        "and line feed that gives labels there are.",
    )
    held_aside: int = Field(250, ge=0)
    seed: int = 13

    @property
    def has_test(self) -> bool:
        """Whether there are documents with gold labels."""
        return bool(self.test or self.gold)
