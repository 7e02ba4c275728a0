"""What the service takes and gives, as HTTP sees it; limits of a single request are here."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from serve_apps.guard import PlainText

MOST_DOCUMENTS, MOST_CHARACTERS, MOST_TAGS, MOST_KEYS = 128, 100_000, 100, 10_000
MOST_LABELS = 100

Text = Annotated[PlainText, StringConstraints(max_length=MOST_CHARACTERS)]
Name = Annotated[PlainText, StringConstraints(max_length=1000)]


def _distinct(keys: list[str]) -> list[str]:
    return list(dict.fromkeys(keys))


Keys = Annotated[list[Name], Field(max_length=MOST_KEYS), AfterValidator(_distinct)]


class Document(BaseModel):
    """A document to tag; `id` is given back."""

    model_config = ConfigDict(extra="forbid")

    id: Name = ""
    title: Text | None = None
    text: Text


class TagRequest(BaseModel):
    """Documents, or bare texts, and what tags may look like."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"documents": ["Beta blockers after myocardial infarction"], "top_k": 3},
                {
                    "documents": [{"id": "a1", "title": "A trial", "text": "of beta blockers"}],
                    "min_probability": 0.2,
                    "deny": ["D006801"],
                    "explain": True,
                },
            ]
        },
    )

    documents: list[Document | Text] = Field(min_length=1, max_length=MOST_DOCUMENTS)
    top_k: int | None = Field(
        None,
        ge=1,
        le=MOST_TAGS,
        strict=True,
        description="most tags of a document; the bundle's default without it",
    )
    min_probability: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        strict=True,
        description="tags of less are left out; the bundle's default without it",
    )
    allow: Keys | None = Field(None, description="label keys that alone may be tags")
    deny: Keys = Field(default=[], description="label keys that may not be tags")
    explain: bool = Field(False, strict=True, description="give parents and evidence of each tag")


class LabelEntry(BaseModel):
    """A label by its key, and its text."""

    key: str
    label: str


class Evidence(BaseModel):
    """Why: cosine and place in the dense list, place in the lexical one, words both name."""

    cosine: float | None
    dense_rank: int | None
    lexical_rank: int | None
    words: list[str]


class Tag(BaseModel):
    """A tag; parents, nearest first, and evidence are there when asked for."""

    key: str
    label: str
    score: float
    probability: float
    parents: list[LabelEntry] = []
    evidence: Evidence | None = None


class Result(BaseModel):
    """One document's tags; `reason` says why there are none."""

    id: str
    tags: list[Tag]
    reason: str


class Wanted(BaseModel):
    """Most tags of a document, and their least probability."""

    top_k: int
    min_probability: float


class TagResponse(BaseModel):
    """`wanted` is what tags had to fulfil, as asked for or by the bundle's defaults; `partial` is
    true where index shards were missing and the service may answer without."""

    bundle_id: str
    wanted: Wanted
    partial: bool = False
    results: list[Result]


class LabelsResponse(BaseModel):
    """Labels that were found, and how many the label set holds."""

    bundle_id: str
    count: int
    labels: list[LabelEntry]


class LabelResponse(BaseModel):
    """One label with the way up from it."""

    bundle_id: str
    key: str
    label: str
    parents: list[LabelEntry]


class Health(BaseModel):
    """`bundle_id` is null until a bundle answers."""

    status: str
    bundle_id: str | None


class Readiness(BaseModel):
    """`promotion` says what became of the newest bundle: "", "loading", or why it was refused;
    `defaults` is what tags have to fulfil where a request does not say."""

    ready: bool
    bundle_id: str | None
    promotion: str
    defaults: Wanted | None
