"""What the service takes and gives, as HTTP sees it; limits of a single request are here."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from serve_apps.guard import PlainText
from serve_apps.guard.plain_text import check_plain

MOST_DOCUMENTS, MOST_CHARACTERS, MOST_TAGS, MOST_KEYS = 128, 100_000, 100, 10_000
MOST_LABELS = 100

Name = Annotated[str, StringConstraints(max_length=1000), AfterValidator(check_plain)]


def _distinct(keys: list[str]) -> list[str]:
    return list(dict.fromkeys(keys))


def _id_text(value: Any) -> Any:
    """A number is taken as its digits, as in files."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole else value


def _document(value: Any) -> Any:
    """A bare text as the document it stands for."""
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict | Document):
        raise ValueError("needs a text, or an object with text")
    return value


def _several(value: Any) -> Any:
    """One key as a list of one, null as none."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


Keys = Annotated[list[Name], Field(max_length=MOST_KEYS), AfterValidator(_distinct)]
Above = Annotated[Keys, BeforeValidator(_several, json_schema_input_type=Name | list[Name] | None)]


class Filtered(BaseModel):
    """Which labels may be tags. All that is given has to be fulfilled: of the request, and of a
    document by itself."""

    allow: Keys | None = Field(None, description="label keys that alone may be tags")
    deny: Keys = Field(default=[], description="label keys that may not be tags")
    under: Above = Field(
        default=[],
        description="a label key, or several: only labels below one of them, by their parents and "
        "parents' parents, may be tags",
    )


class Document(BaseModel):
    """A document to tag: `text`, `title` or both. `id` is given back, a number as text. Further
    fields are not looked at."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["text"]}, {"required": ["title"]}]}
    )

    id: Annotated[Name, BeforeValidator(_id_text, json_schema_input_type=str | int)] = ""
    title: PlainText | None = None
    text: PlainText = Field(
        "",
        description=f"beyond {MOST_CHARACTERS} characters with the title it is not tagged: the "
        "result's reason says so",
    )

    @model_validator(mode="after")
    def _has_text(self) -> Document:
        if not {"text", "title"} & self.model_fields_set:
            raise ValueError("needs a text or a title")
        return self

    @property
    def characters(self) -> int:
        """Of title and text together."""
        return len(self.title or "") + len(self.text)


class TaggedDocument(Filtered, Document):
    """A document to tag: `text`, `title` or both, and which labels may be its tags. `id` is given
    back, a number as text. Further fields are not looked at."""


AnyDocument = Annotated[
    TaggedDocument, BeforeValidator(_document, json_schema_input_type=TaggedDocument | PlainText)
]


class Asked(BaseModel):
    """Documents, and how many tags of which probability."""

    documents: list[AnyDocument] = Field(min_length=1, max_length=MOST_DOCUMENTS)
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


class TagRequest(Filtered, Asked):
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
    """A tag; parents, nearest first, and evidence are there when asked for. The probability of an
    untrained bundle's tag is null: nobody has judged any."""

    key: str
    label: str
    score: float
    probability: float | None
    parents: list[LabelEntry] = []
    evidence: Evidence | None = None


class Result(BaseModel):
    """One document's tags; `reason` says why there are none, "empty" of one without text."""

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


class BundleAbout(BaseModel):
    """What people know a bundle by: its run's name, when it was made, of how many documents and
    labels, and how good it is, in words."""

    name: str | None = None
    created: str | None = None
    documents: int | None = None
    labels: int | None = None
    cycles: int | None = None
    untrained: bool | None = None
    quality: str | None = None


class Readiness(BaseModel):
    """`promotion` says what became of the newest bundle: "", "loading", or why it was refused;
    `bundle` is null where nothing is known of it but its id,
    `defaults` is what tags have to fulfil where a request does not say."""

    ready: bool
    bundle_id: str | None
    promotion: str
    defaults: Wanted | None = None
    bundle: BundleAbout | None = None
