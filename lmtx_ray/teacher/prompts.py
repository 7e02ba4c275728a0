"""Every prompt: named, rendered in three segments, fingerprinted. Prompt text lives only here and
in the files of users who write their own.

The document comes first and the label last, so the candidates of a document share a prefix; the
question stands behind the label, or, which is cheaper, before the document (`…_first`). The eight
families after the released LMTX code say what its prompts say, in other words.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from lmtx_ray.config.loading import Config, ConfigError, is_yaml_file, load_config
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.teacher.reading import YES_NO, Words

PLACEHOLDERS = ("label", "description", "aliases", "parents")
MISPLACED = ("{document}", "{title}", "{text}", *(f"{{{name}}}" for name in PLACEHOLDERS))
WORD = re.compile(r"\w+")
START, END = re.compile(r"^\s*([^\w\s]+)"), re.compile(r"([^\w\s]+)\s*$")
GUARD = 1  # how delimiters are kept out of texts; another rule is another number


@dataclass(frozen=True)
class Prompt:
    """`before` document `label` `after`, answered by one of `answers`.

    `label` has the placeholders {label}, {description}, {aliases} and {parents}; what stands before
    the first of them is shared by all labels. `cue` ends the prompt of a model without a chat
    template: in a chat the model's own turn begins there instead. `system` is a message for chat
    templates.
    `control` says that the fixed parts are made of a model's own control tokens (a judge trained
    for this format), which is never allowed inside documents and labels; `instruct` says that a
    chat template, where the model has one, goes around the whole.
    """

    name: str
    before: str
    label: str
    after: str
    cue: str = "\nAnswer:"
    system: str = ""
    answers: Words = field(default_factory=lambda: dict(YES_NO))
    instruct: bool = True
    control: bool = False

    @property
    def fingerprint(self) -> str:
        """Of everything but the name, and of how its delimiters are kept out of texts."""
        guard = {"guard": GUARD} if self.delimiters else {}
        return fingerprint({**asdict(self), "name": "", **guard})

    @cached_property
    def delimiters(self) -> tuple[str, ...]:
        """Signs that stand around document and label, longest first: runs of several, as in <<<,
        and single quotes or brackets that hardly a text has, as in «. Those of a prompt that is
        made of control tokens need no care: no text can spell them."""
        if self.control:
            return ()
        ends = [END.search(text) for text in (self.before, *_literals(self.label))]
        starts = [START.search(text) for text in (*_literals(self.label), self.after)]
        signs = {found[1] for found in (*ends, *starts) if found}
        return tuple(sorted(filter(_tells, signs), key=lambda sign: (-len(sign), sign)))

    def guarded(self, text: str) -> str:
        """Text of a document or label that spells none of the delimiters, so that it cannot seem
        to end: a run gets spaces, a single sign becomes a plain quote."""
        for sign in self.delimiters:
            if sign in text:
                text = text.replace(sign, " ".join(sign) if len(sign) > 1 else '"')
        return text

    def least_mass(self, wanted: float) -> float:
        """`wanted`, but nothing for a judge that was trained for a prompt of its own tokens: it
        learned to tell its answers apart, and never what all other tokens should get."""
        return 0.0 if self.control else wanted

    @property
    def between(self) -> str:
        """What stands between the document and the first placeholder."""
        return self._split()[0]

    def _split(self) -> tuple[str, str]:
        """`label` before its first placeholder, as text, and from there on, as written."""
        text, written = "", 0
        for literal, name, _, _ in string.Formatter().parse(self.label):
            text += literal
            written += len(literal) + sum(map(literal.count, "{}"))  # braces are written twice
            if name is not None:
                break
        return text, self.label[written:]

    @property
    def shows_parents(self) -> bool:
        """Whether labels above a label are part of the question."""
        return "parents" in _names(self.label)

    def label_text(self, label: Mapping[str, Any]) -> str:
        """What the judge sees of a label (a row of LABELS, with the texts of its `parents` where
        they are shown), from the first placeholder on.

        A line is left out where the label lacks all that the line shows of it.
        """
        values = {
            "label": label["text"],
            "description": label.get("description") or "",
            "aliases": ", ".join(label.get("aliases") or ()),
            "parents": ", ".join(label.get("parents") or ()),
        }
        values = {name: self.guarded(value) for name, value in values.items()}
        lines = []
        for place, line in enumerate(self._split()[1].split("\n")):
            names = _names(line)
            if place == 0 or not names or any(values[name] for name in names):
                lines.append(line.format_map(values))
        return "\n".join(lines)


def _literals(label: str) -> list[str]:
    """What is written between the placeholders of a label."""
    return [literal for literal, *_ in string.Formatter().parse(label) if literal]


def _tells(sign: str) -> bool:
    quotes = not sign.isascii() and unicodedata.category(sign[0]) in ("Pi", "Pf", "Ps", "Pe")
    return len(sign) > 1 or quotes


def _names(text: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]


class PromptFile(Config):
    """A user's own prompt: a YAML file with these fields; `judge.teacher.prompt` is its path.

    `answers` gives a value between 0 and 1 to each word the model may answer; without it they are
    yes and no.
    """

    before: str
    label: str
    after: str
    cue: str = "\nAnswer:"
    system: str = ""
    answers: dict[str, float] = Field(default_factory=lambda: dict(YES_NO))

    @field_validator("answers", mode="before")
    @classmethod
    def _words(cls, values: Any) -> Any:
        """YAML reads a plain yes or no as a truth value, and a digit as a number."""
        if not isinstance(values, dict):
            return values
        spelt = {True: "yes", False: "no"}
        return {
            spelt[key] if isinstance(key, bool) else str(key): value
            for key, value in values.items()
        }


def _question(name: str, kind: str, question: str) -> Prompt:
    before = (
        "Below is a document. Decide about one label for it and reply with a single word, "
        f"yes or no.\n{kind}:\n<<<\n"
    )
    after = f"»\n{question} Reply yes or no."
    return Prompt(name, before, "\n>>>\nLabel: «{label}", after)


def _question_first(name: str, kind: str, question: str) -> Prompt:
    """The question before the document, which then is read once for all labels; of each little
    more than its text is."""
    before = f"{question} Reply with a single word, yes or no.\n{kind}:\n<<<\n"
    return Prompt(name, before, "\n>>>\nLabel: «{label}", "»\nReply yes or no.")


GRADES = {"0": 0.0, "1": 1 / 3, "2": 2 / 3, "3": 1.0}
GRADED = Prompt(
    "graded",
    "Below is a document. Grade how well one label fits it and reply with a single digit.\n"
    "3: the document is about it. 2: a substantial part is. 1: it is only touched. "
    "0: it does not fit.\nDocument:\n<<<\n",
    "\n>>>\nLabel: «{label}",
    "»\nHow well does the label fit the document? Reply with one digit from 0 to 3.",
    cue="\nGrade:",
    answers=GRADES,
)
PROMPTS = {
    prompt.name: prompt
    for prompt in (
        _question("tag", "Document", "Is this tag relevant to the document?"),
        _question("product_tag", "Product description", "Is this tag relevant to the product?"),
        _question("wiki_tag", "Wikipedia page", "Is this tag relevant to the page?"),
        _question("wiki_topic", "Wikipedia page", "Is this the topic the page is about?"),
        _question("product", "Product description", "Is this product related to the one above?"),
        _question("wiki_page_title", "Wikipedia page", "Is the page of this title related to it?"),
        _question("wiki_page_name", "Wikipedia page", "Is the page of this name related to it?"),
        _question(
            "wiki_related",
            "Wikipedia page",
            "Does another page with this name have a relation to it?",
        ),
        _question(
            "subject",
            "Document",
            "Would a careful librarian assign this subject heading to the document, because "
            "the document treats that subject and not merely mentions it?",
        ),
        _question_first(
            "tag_first", "Document", "Is the tag after this document relevant to the document?"
        ),
        _question_first(
            "subject_first",
            "Document",
            "Would a careful librarian assign the subject heading after this document to it, "
            "because the document treats that subject and not merely mentions it?",
        ),
        GRADED,
        Prompt("judge", "", "<tag>{label}", "<ask>", cue="", instruct=False, control=True),
    )
}


def get_prompt(name: str) -> Prompt:
    """The named prompt, or the one of a YAML file.

    Raises:
        ConfigError: No such prompt (with the names there are) or file, or a file that does not fit.
    """
    if is_yaml_file(name):
        return _from_file(name)
    if name not in PROMPTS:
        raise ConfigError(
            f"judge.teacher.prompt: no prompt {name!r}; known: {', '.join(PROMPTS)}, or the path "
            "of a .yaml file of your own"
        )
    return PROMPTS[name]


def _from_file(path: str) -> Prompt:
    try:
        given = load_config(PromptFile, path)
    except ConfigError as error:
        raise ConfigError(f"judge.teacher.prompt: {error}") from None
    try:
        names = _names(given.label)
    except ValueError as error:
        raise ConfigError(f"{path}: label: {error}") from None
    unknown = sorted(set(names) - set(PLACEHOLDERS))
    if "label" not in names or unknown:
        wrong = f"no placeholder {unknown[0]!r}" if unknown else "needs the placeholder {label}"
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ConfigError(f"{path}: label: {wrong}; known: {known}")
    for name in ("before", "after", "cue", "system"):
        if misplaced := [mark for mark in MISPLACED if mark in getattr(given, name)]:
            raise ConfigError(
                f"{path}: {name}: no placeholder {misplaced[0]} here: the document goes between "
                "before and label by itself, and only label has placeholders"
            )
    return Prompt(
        Path(path).stem,
        given.before,
        given.label,
        given.after,
        given.cue,
        given.system,
        _answers(path, given.answers),
    )


def _answers(path: str, given: Mapping[str, float]) -> Words:
    words = {word.strip().lower(): value for word, value in given.items()}
    single = len(words) == len(given) and all(map(WORD.fullmatch, words))
    if not single or len(set(words.values())) < 2 or not all(0 <= v <= 1 for v in words.values()):
        raise ConfigError(f"{path}: answers: needs single words with different values from 0 to 1")
    return words
