"""The judges there are for somebody who begins: an endpoint, a model here, or nobody.

An endpoint is asked one question, so a wrong address, key or name shows before a config is written.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.config.models import check_model, is_hub_id, kind_of_judge
from lmtx_ray.loop.preflight import check_hub_model
from lmtx_ray.teacher.engines import EXTRA, has_vllm, packs
from lmtx_ray.teacher.protocol import PLAIN_LABEL, PLAIN_TEXT

NONE = "none"
PROMPT = "tag"
PLAIN = f"vLLM is not installed; a large model, or one on a GPU, is faster with it: {EXTRA}"
QUESTION = {
    "doc_id": "",
    "title": None,
    "text": PLAIN_TEXT,
    "label_ids": [0],
    "label_texts": [PLAIN_LABEL],
}


@dataclass(frozen=True)
class ChosenJudge:
    """A judge: its settings, what was learned of it, and, of an endpoint, the seconds and tokens of
    one answer. `notes` are what somebody should know before relying on it."""

    teacher: dict[str, Any]
    about: str
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """vllm, reranker, http or none."""
        return str(self.teacher["kind"])


def choose(judge: str, model: str | None, key_env: str) -> ChosenJudge:
    """The judge that a user names: none, an http address, a model folder or a hub id.

    Raises:
        ConfigError: It cannot be used; the message says what to mend.
        Interrupted: The endpoint refused, or was not there (JudgeRefused, JudgeUnavailable).
    """
    if judge == NONE:
        return ChosenJudge({"kind": "none"}, "nobody: hybrid search only, untrained")
    if judge.startswith(("http://", "https://")):
        return _endpoint(judge, model, key_env)
    return _model(judge)


def _model(model: str) -> ChosenJudge:
    check_model("--judge", model)
    kind = kind_of_judge(model)
    check_hub_model("--judge", model, "")
    what = "hub id" if is_hub_id(model) else "folder"
    teacher = {"kind": kind, "model": model, "prompt": PROMPT}
    if kind == "reranker":
        return ChosenJudge(teacher, f"{model} ({what}) as a reranker here")
    notes = () if has_vllm() else (PLAIN,)
    engine = "torch" if packs(TeacherConfig.model_validate(teacher)) else "vLLM"
    return ChosenJudge(teacher, f"{model} ({what}) through {engine} here", notes=notes)


def _endpoint(url: str, model: str | None, key_env: str) -> ChosenJudge:
    from lmtx_ray.teacher.client import api_key, chat_url

    logging.getLogger("httpx").setLevel(logging.WARNING)
    chat_url(url)
    key = api_key(key_env)
    known = served_models(url, key)
    if not model and len(known) != 1:
        listed = f"; it serves {', '.join(known[:8])}" if known else ""
        raise ConfigError(f"--judge-model: say the name of the model at {url}{listed}")
    name = model or known[0]
    teacher = {"kind": "http", "url": url, "model": name, "prompt": PROMPT, "api_key_env": key_env}
    row, seconds = _ask(TeacherConfig.model_validate({**teacher, "tries": 2}))
    notes = []
    if row["answer"] == "unclear":
        notes.append(f"its answer to a plain question was unclear: {str(row['raw'])[:80]!r}")
    elif row["answer"] == "no":
        notes.append("it said no to a question whose answer is yes: look at lmtx judge-check")
    if known and name not in known:
        notes.append(f"the server does not list {name!r}, but answers for it")
    if not key:
        notes.append(f"no key in {key_env}: fine for a server of your own")
    said = "" if row["p_yes"] is None else f", P(yes) {row['p_yes']:.2f}"
    about = f"{name} at {url}; asked one question, it says {row['answer']}{said} in {seconds:.1f} s"
    return ChosenJudge(teacher, about, seconds, tuple(notes))


def _ask(config: TeacherConfig) -> tuple[dict[str, Any], float]:
    """(the answer to one fixed question, its seconds)."""
    from lmtx_ray.teacher.prompts import get_prompt
    from lmtx_ray.teacher.protocol import QUESTIONS
    from lmtx_ray.teacher.registry import build_teacher

    teacher = build_teacher(config, get_prompt(config.prompt))
    begun = time.monotonic()
    (row,) = teacher.judge(pa.Table.from_pylist([QUESTION], schema=QUESTIONS)).to_pylist()
    return row, time.monotonic() - begun


def served_models(url: str, key: str) -> list[str]:
    """Names an OpenAI-compatible server lists; none where it lists none or does not answer."""
    import httpx

    from lmtx_ray.teacher.client import chat_url, uses_proxies

    address = chat_url(url).removesuffix("/chat/completions") + "/models"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        proxies = uses_proxies(address)
        reply = httpx.get(address, headers=headers, timeout=10.0, trust_env=proxies)
        found = reply.json()["data"] if reply.is_success else []
        return [str(one["id"]) for one in found if isinstance(one, dict) and "id" in one]
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError):  # also of certificates
        return []
