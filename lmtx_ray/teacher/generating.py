"""Label-like phrases that a judge writes for a document: what is asked, and how replies are read.

Reference: ICXML (Findings of NAACL 2024), whose judge writes labels, which are then looked for in
the label set. It shows the judge documents with made-up labels first; here it is asked at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.corpus.schemas import PHRASES
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.protocol import Usage
from lmtx_ray.teacher.reading import without_thoughts

MOST_PHRASES = 10
LONGEST_PHRASE = 80  # characters: what is longer is a sentence, and no label
WRITTEN_TOKENS = 96  # of one reply
WRITERS = ("vllm", "http")  # kinds of judges that can write
PROMPT = Prompt(  # without marks around the document: small models copy those
    "phrases",
    "Read a document and name its subjects.\n\nDocument: ",
    "\n\n",
    "Write the subject headings that a careful librarian would give this document: short phrases "
    f"of one to four words, one on each line, at most {MOST_PHRASES}, and nothing else.",
    cue="\nSubject headings:\n",
)
BULLET = re.compile(r"^\s*(?:[-*•–]+|\(?\d{1,2}[.):]+)\s*")
AROUND = " \t\"'`*_<>«»“”.,;:"


class Generator(Protocol):
    """A judge that can write, too."""

    usage: Usage

    def generate(self, documents: pa.Table) -> pa.Table:
        """PHRASES of DOCUMENTS, one row for each, in order. Raises Interrupted, whose `answers` are
        the PHRASES that were paid for."""


def writing(config: TeacherConfig) -> TeacherConfig:
    """The judge's settings for writing: a reply is no single word, and thinks of nothing first."""
    return config.model_copy(update={"answer_prefix": "", "thinking_tokens": 0, "top_logprobs": 0})


def writer_identity(config: TeacherConfig) -> str:
    """Of everything that changes what is written."""
    rules = MOST_PHRASES, LONGEST_PHRASE, WRITTEN_TOKENS
    return fingerprint(teacher_identity(writing(config), PROMPT), rules)


def phrases_of(text: str) -> list[str]:
    """The phrases of a reply: its lines without bullets and quotes, or the parts of a single line
    between commas or semicolons; each once whatever its case, at most MOST_PHRASES."""
    said = without_thoughts(text) or ""
    lines = [line for line in said.splitlines() if line.strip()]
    if len(lines) == 1:
        lines = re.split(r"[,;]", lines[0])
    found = (BULLET.sub("", line).strip(AROUND) for line in lines)
    short = [p for p in found if any(map(str.isalnum, p)) and len(p) <= LONGEST_PHRASE]
    return list({phrase.casefold(): phrase for phrase in reversed(short)}.values())[::-1][
        :MOST_PHRASES
    ]


def phrases_table(doc_ids: Sequence[str], replies: Sequence[str]) -> pa.Table:
    """PHRASES, one call each."""
    columns = list(doc_ids), [phrases_of(reply) for reply in replies], [1] * len(doc_ids)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, PHRASES, strict=True)]
    return pa.table(arrays, schema=PHRASES)
