"""What the service takes and gives where people say whether tags are right."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from serve_apps.contracts import MOST_DOCUMENTS, MOST_TAGS, Document, Name
from serve_apps.guard import Problem
from serve_apps.guard.plain_text import check_plain

LabelText = Annotated[str, StringConstraints(min_length=1), AfterValidator(check_plain)]


class SaidOfTag(BaseModel):
    """Whether a label fits a document."""

    model_config = ConfigDict(extra="forbid")

    key: Name
    label: LabelText | None = Field(
        None,
        description="the label's text that was judged, as the tag had it; the text that the key "
        "has now without it",
    )
    answer: Literal["yes", "no"]


class AnsweredDocument(Document):
    """A document as it was tagged, and what somebody says of its tags."""

    answers: list[SaidOfTag] = Field(min_length=1, max_length=MOST_TAGS)


class FeedbackRequest(BaseModel):
    """Documents with answers of a person."""

    model_config = ConfigDict(extra="forbid")

    documents: list[AnsweredDocument] = Field(
        min_length=1,
        max_length=MOST_DOCUMENTS,
        examples=[
            [
                {
                    "id": "a1",
                    "text": "A trial",
                    "answers": [{"key": "D006801", "label": "Humans", "answer": "no"}],
                }
            ]
        ],
    )


class FeedbackRow(BaseModel):
    """A row of a file that `lmtx verdicts import` takes: hashes of the texts, and their names."""

    document: str
    label: str
    answer: str
    doc_id: str
    label_key: str
    label_text: str
    source: str


class FeedbackResponse(BaseModel):
    """The rows, whether the service keeps them too, and the answers of which no row was made, as
    nothing tells their label's text. Where there is no row at all the request is refused."""

    bundle_id: str
    kept: bool
    rows: list[FeedbackRow]
    problems: list[Problem] = []
