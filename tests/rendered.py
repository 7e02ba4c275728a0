"""Prompts of small tokenizers, as the judge renders them and as a server does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.teacher.prompts import Prompt, get_prompt
from lmtx_ray.teacher.rendering import Rendering
from tests.tiny_tokenizers import FAMILIES, tokenizer_of

TAG = get_prompt("tag")
CHATS = [name for name in FAMILIES if name not in ("reranker", "query_first")]
BYTES = [name for name in CHATS if FAMILIES[name].kind in ("gpt", "llama")]  # decode to the text
SYSTEM = replace(TAG, system="You judge tags.")
MADE: dict[Any, Rendering] = {}
CONFIG = TeacherConfig(model="the/model", max_document_tokens=60, max_label_tokens=12)


def config(**changes: Any) -> TeacherConfig:
    return CONFIG.model_copy(update=changes)


def rendering(name: str, prompt: Prompt = TAG, **changes: Any) -> Rendering:
    key = name, prompt.fingerprint, tuple(changes.items())
    if key not in MADE:
        MADE[key] = _rendering(name, prompt, **changes)
    return MADE[key]


def _rendering(name: str, prompt: Prompt, **changes: Any) -> Rendering:
    return Rendering(tokenizer_of(FAMILIES[name]), prompt, config(**changes))


@cache
def server(name: str) -> Any:
    return tokenizer_of(FAMILIES[name])


def with_template(template: Any, prompt: Prompt = TAG, **changes: Any) -> Rendering:
    tokenizer = tokenizer_of(replace(FAMILIES["chatml"], template=None))
    tokenizer.chat_template = template
    return Rendering(tokenizer, prompt, config(**changes))


def content(document: str, label: str, prompt: Prompt = TAG) -> str:
    return prompt.before + document + prompt.between + label + prompt.after


def shown(made: Rendering, document: str = "A study.", label: str = "heart") -> str:
    return made.letters.decode(made.whole(document, label))


def chat(tokenizer: Any, text: str, system: str = "", **settings: Any) -> str:
    """What a server renders."""
    messages = [{"role": "system", "content": system}] if system else []
    return tokenizer.apply_chat_template(
        [*messages, {"role": "user", "content": text}],
        tokenize=False,
        add_generation_prompt=True,
        **{"enable_thinking": False, **settings},
    )
