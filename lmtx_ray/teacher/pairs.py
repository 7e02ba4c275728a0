"""A label and a document as the two texts of a model that compares them, as token ids.

Of a cross-encoder they are a pair, between control tokens that its tokenizer puts there. A causal
reranker reads them in one prompt, query first. In both, control tokens inside a text are letters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.reading import YES_NO
from lmtx_ray.teacher.rendering import LetterTokenizer, Rendering, plain

# The words that Qwen3-Reranker and those made like it were trained on.
TASK = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".'
)


@dataclass(frozen=True)
class Encoded:
    """Token ids of a pair and, for models that tell its texts apart, their types (0 or 1)."""

    ids: list[int]
    types: list[int]


class PairTokens:
    """Pairs for a cross-encoder that reads at most `longest` tokens.

    Raises:
        ConfigError: The model has no tokenizer.json, or its tokenizer joins no two texts.
    """

    def __init__(self, tokenizer: Any, config: TeacherConfig, longest: int) -> None:
        self._letters = LetterTokenizer(tokenizer, config.model)
        self._config, self._longest = config, longest
        joined = tokenizer.backend_tokenizer.encode("a", "a", add_special_tokens=True)
        self._frame = list(zip(joined.ids, joined.type_ids, joined.sequence_ids, strict=True))
        if [text for _, _, text in self._frame if text is not None] != [0, 1]:
            raise ConfigError(
                f"judge.teacher.model {config.model!r}: its tokenizer does not join two texts, so "
                "it is no cross-encoder"
            )

    def questions(self, title: str | None, text: str, labels: Sequence[str]) -> list[Encoded]:
        """The pair of each label with a document, which is cut where it is too long."""
        document = plain(document_text(title, text))
        document = self._letters.cut(document, self._config.max_document_tokens)
        ids = self._letters.encode(document)
        return [self._joined(self._label(label), ids) for label in labels]

    def _label(self, label: str) -> list[int]:
        most = min(self._config.max_label_tokens, self._longest // 2)
        return self._letters.encode(self._letters.cut(plain(label), most))

    def _joined(self, label: list[int], document: list[int]) -> Encoded:
        room = max(self._longest - len(label) - (len(self._frame) - 2), 0)
        texts = {0: label, 1: document[:room]}
        ids: list[int] = []
        types: list[int] = []
        for token, kind, text in self._frame:
            here = [token] if text is None else texts[text]
            ids += here
            types += [kind] * len(here)
        return Encoded(ids, types)


class QueryFirst(Rendering):
    """Prompts of a causal reranker: the label is the query, and stands before the document.

    Raises:
        ConfigError: As Rendering does; or the prompt's answers are others than yes and no.
    """

    def __init__(self, tokenizer: Any, prompt: Prompt, config: TeacherConfig) -> None:
        super().__init__(tokenizer, reranker_prompt(prompt), config)

    def questions(self, title: str | None, text: str, labels: Sequence[str]) -> list[list[int]]:
        """The prompt of each label of a document, cut where they are too long."""
        document = self._document(title, text)
        return [self.whole(self._label(label), document) for label in labels]


def rendering_of(tokenizer: Any, prompt: Prompt, config: TeacherConfig) -> Rendering:
    """How questions to a causal model become token ids: a reranker reads the label first."""
    kind = QueryFirst if config.kind == "reranker" else Rendering
    return kind(tokenizer, prompt, config)


def reranker_prompt(prompt: Prompt) -> Prompt:
    """The same question in a reranker's words. The prompt's first text is the query then."""
    if prompt.answers.keys() != YES_NO.keys():
        raise ConfigError(
            f"judge.teacher.prompt {prompt.name!r}: a reranker answers yes or no; take another one"
        )
    asked = prompt.system or re.sub(r"^\W+", "", prompt.after)
    return replace(
        prompt,
        before=f"<Instruct>: {asked}\n<Query>: ",
        label="\n<Document>: {label}",
        after="",
        system=TASK,
        instruct=True,
        control=False,
    )
