"""What stands around document and label: the prompt, and a chat template where the model has one.

A template is a program of the model's maker. It is run once, with marks in place of document and
label, and what it makes around the marks is the frame of every question.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher.prompts import Prompt
from lmtx_ray.teacher.reading import OPEN_THOUGHT, without_thoughts

DOCUMENT, LABEL, SYSTEM = (f"\u2983{name}\u2984" for name in ("document", "label", "system"))
NEUTRAL = "You are a careful assistant."  # where a template demands a system message
FILTERED = "\"\\\n<&>'"  # changed by a template that quotes or escapes messages
CLOSING = "\n</think>\n\n"

logger = logging.getLogger(__name__)
Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Part:
    """A fixed text. Only the model's own frame may hold control tokens: in a prompt's words, as in
    documents and labels, they are letters."""

    text: str
    own: bool = False


@dataclass(frozen=True)
class Frame:
    """`before` document `between` label `after`.

    `starts` says that the sequence begins with the model's own first token, which no text spells.
    `thoughts` is what ends thoughts that the model did not end itself, `prefix` begins its answer
    after them, and `open` says that `after` ends inside thoughts. `strips` are the ends (document,
    label) that the template trims.
    """

    before: tuple[Part, ...]
    between: tuple[Part, ...]
    after: tuple[Part, ...]
    starts: bool = False
    open: bool = False
    thoughts: str = CLOSING
    prefix: str = ""
    strips: tuple[bool, bool] = (False, False)


def frame_of(tokenizer: Any, prompt: Prompt, config: TeacherConfig) -> Frame:
    """The frame of every question that `prompt` asks.

    Raises:
        ConfigError: The model has no template where one is wanted, or its template cannot ask this.
    """
    templated = bool(getattr(tokenizer, "chat_template", None))
    if config.chat == "never" or (config.chat == "auto" and not (prompt.instruct and templated)):
        return _without_template(tokenizer, prompt, config)
    if not templated:
        raise ConfigError(
            f"judge.teacher.chat is 'always', but judge.teacher.model {config.model!r} has no chat "
            "template: use 'auto' or 'never'"
        )
    return _Template(tokenizer, config).frame(prompt)


def _without_template(tokenizer: Any, prompt: Prompt, config: TeacherConfig) -> Frame:
    bos = getattr(tokenizer, "bos_token_id", None)
    starts = bos is not None and not prompt.control and tokenizer.encode("x")[:1] == [bos]
    system = f"{prompt.system}\n\n" if prompt.system else ""
    return Frame(
        before=(Part(system), Part(prompt.before, prompt.control)),
        between=(Part(prompt.between, prompt.control),),
        after=(Part(prompt.after, prompt.control), Part(prompt.cue), *_prefix(config)),
        starts=starts,
        prefix=config.answer_prefix,
    )


def _prefix(config: TeacherConfig) -> tuple[Part, ...]:
    """A model that is to think begins its answer after its thoughts."""
    return () if config.thinking_tokens else (Part(config.answer_prefix, own=True),)


class _Template:
    def __init__(self, tokenizer: Any, config: TeacherConfig) -> None:
        self._tokenizer, self._config = tokenizer, config

    def frame(self, prompt: Prompt) -> Frame:
        refused: list[Exception] = []
        ways = _conversations(prompt)
        for way in ways:
            try:
                text = self._render(way.messages())
            except Exception as error:  # whatever it raises is about the template
                refused.append(error)
                continue
            if way.is_in(text):
                return self._around(text, way, prompt)
        if len(refused) == len(ways):
            raise self._error(f"refuses: {refused[0]}")
        return self._own_form(prompt)

    def _render(self, messages: Messages) -> str:
        thinks = self._config.thinking_tokens > 0
        rendered: str = self._tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinks,
            thinking=thinks,
        )
        return rendered

    def _around(self, text: str, way: _Conversation, prompt: Prompt) -> Frame:
        before, _, after = text.partition(DOCUMENT)
        if not self._keeps(way):
            logger.warning(
                "judge.teacher.model %s: its chat template quotes or escapes messages; documents "
                "and labels are put in as they are",
                self._config.model,
            )
        trims = [
            self._render(way.messages(padded)) == text
            for padded in (f" {DOCUMENT}", f"{DOCUMENT}\n")
        ]
        head, tail = way.front + prompt.before, prompt.after
        head, tail = head.lstrip() if trims[0] else head, tail.rstrip() if trims[1] else tail
        return Frame(
            before=(*_with_system(before, prompt.system), Part(head, prompt.control)),
            between=(Part(prompt.between, prompt.control),),
            after=(Part(tail, prompt.control), *self._ending(after)),
            strips=(trims[0] and not head, trims[1] and not tail),
            **self._answering(after),
        )

    def _keeps(self, way: _Conversation) -> bool:
        """Whether what is said goes into the prompt as it is."""
        said = DOCUMENT + FILTERED + DOCUMENT
        return said in self._render(way.messages(said))

    def _ending(self, after: str) -> Iterable[Part]:
        closing = "" if self._config.thinking_tokens else _closing(after)
        return Part(after + closing, own=True), *_prefix(self._config)

    def _answering(self, after: str) -> dict[str, Any]:
        closing = _closing(after)
        return {
            "open": bool(closing) and self._config.thinking_tokens > 0,
            "thoughts": closing or CLOSING,
            "prefix": self._config.answer_prefix,
        }

    def _own_form(self, prompt: Prompt) -> Frame:
        """A reranker's template fills in a query and a document, and drops what a user says."""
        query, document = (
            (DOCUMENT, LABEL) if self._config.kind == "reranker" else (LABEL, DOCUMENT)
        )
        marks = (("system", SYSTEM), ("query", query), ("document", document))
        try:
            text = self._render([{"role": role, "content": mark} for role, mark in marks])
        except Exception as error:
            raise self._error(f"drops the question, and as a reranker's fails: {error}") from error
        if text.count(DOCUMENT) != 1 or text.count(LABEL) != 1:
            raise self._error("does not put the question into the prompt, or not once")
        if text.index(LABEL) < text.index(DOCUMENT):
            raise self._error(
                "is a reranker's and puts the query before the document, so that the questions "
                "about a document would share no computation"
            )
        before, _, rest = text.partition(DOCUMENT)
        between, _, after = rest.partition(LABEL)
        task = prompt.system or re.sub(r"^\W+", "", prompt.after)
        *said, last = _with_system(after, task)
        return Frame(
            before=_with_system(before, task),
            between=_with_system(between, task),
            after=(*said, *self._ending(last.text)),
            **self._answering(after),
        )

    def _error(self, what: str) -> ConfigError:
        return ConfigError(
            f"judge.teacher.model {self._config.model!r}: its chat template {what}; set "
            "judge.teacher.chat to 'never', or take another model"
        )


@dataclass(frozen=True)
class _Conversation:
    """One way to ask: with which system message, and what stands in front of the user's turn."""

    system: str = ""
    front: str = ""
    parts: bool = False  # the content as a list of parts, as models of images have it

    def messages(self, content: str = DOCUMENT) -> Messages:
        said: Any = [{"type": "text", "text": content}] if self.parts else content
        user = {"role": "user", "content": said}
        return [{"role": "system", "content": self.system}, user] if self.system else [user]

    def is_in(self, text: str) -> bool:
        shown = self.parts and "'type'" in text  # the list itself, where only text is known
        heard = self.system != SYSTEM or SYSTEM in text
        return text.count(DOCUMENT) == 1 and heard and not shown


def _conversations(prompt: Prompt) -> Sequence[_Conversation]:
    """The ways to ask, the best first."""
    if prompt.system:
        ways = [_Conversation(system=SYSTEM), _Conversation(front=f"{prompt.system}\n\n")]
    else:
        ways = [_Conversation(), _Conversation(system=NEUTRAL)]
    return [*ways, *(_Conversation(way.system, way.front, parts=True) for way in ways)]


def _with_system(text: str, system: str) -> tuple[Part, ...]:
    """The frame's text with the system message, which is words only, in its place."""
    first, *rest = (Part(piece, own=True) for piece in text.split(SYSTEM))
    return (first, *(part for piece in rest for part in (Part(system.strip()), piece)))


def _closing(after: str) -> str:
    """What closes the thoughts that a template opened for the model; "" where it opened none."""
    if without_thoughts(after) is not None:
        return ""
    tag = OPEN_THOUGHT.findall(after)[-1]
    return f"\n</{tag[1:]}\n\n"
