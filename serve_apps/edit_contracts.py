"""What the service takes and gives where labels are edited."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from serve_apps.contracts import Name
from serve_apps.guard import PlainText

MOST_EDITED, MOST_NAMES = 1000, 100

Key = Annotated[Name, StringConstraints(min_length=1)]
Names = Annotated[list[Name], Field(max_length=MOST_NAMES)]


class LabelEdit(BaseModel):
    """A label as it is to be. Of one that is there, fields that are not given stay as they are; a
    new one needs a text, if it was not removed before."""

    model_config = ConfigDict(extra="forbid")

    key: Key
    text: PlainText | None = None
    description: PlainText | None = None
    aliases: Names | None = None
    parents: Names | None = Field(None, description="keys of the labels above it")

    def row(self) -> dict[str, Any]:
        """The fields that were given."""
        return self.model_dump(exclude_unset=True)


class _Editing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    promote: bool = Field(
        False, strict=True, description="let the service answer with the new bundle"
    )
    of: Name | None = Field(
        None,
        description="bundle id to edit: the one that answers, or one that was made of it and not "
        "promoted yet; the one that answers without it. Refused with 409 where it is another",
    )


class PutLabels(_Editing):
    """Labels to add, or to change where their keys are there."""

    labels: list[LabelEdit] = Field(
        min_length=1,
        max_length=MOST_EDITED,
        examples=[[{"key": "D000086382", "text": "COVID-19", "aliases": ["2019-nCoV Disease"]}]],
    )


class DeleteLabels(_Editing):
    """Keys of labels to remove; they are remembered, and may come back."""

    keys: list[Key] = Field(min_length=1, max_length=MOST_EDITED, examples=[["D006801"]])


class Edit(BaseModel):
    """How an edit stands: `making` the new bundle, `promoting` it, `made`, `live`, or `failed` for
    the reason in `problem`. `bundle_id` and `bundle` name the new bundle once it is made, `of` the
    one it was made of; the numbers count labels."""

    id: str
    state: Literal["making", "promoting", "made", "live", "failed"]
    bundle_id: str | None = None
    bundle: str | None = None
    of: str | None = None
    added: int = 0
    brought_back: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    problem: str = ""
