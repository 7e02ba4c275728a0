"""A first config for somebody's files and machine: each choice with its reason beside it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmtx_ray.config.languages import STEMMERS
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.config.models import MINILM_PACKAGE, config_of, reach_of
from lmtx_ray.loop.first_look import Found
from lmtx_ray.loop.judge_choice import ChosenJudge
from lmtx_ray.loop.machine import Machine
from lmtx_ray.loop.preflight import check_hub_model

ENGLISH, MANY_LANGUAGES = (
    "sentence-transformers/all-MiniLM-L6-v2",
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
)
TOKENS_PER_WORD = 1.4
LONGEST = 256  # tokens that small encoders were trained for
MOST_QUESTION = 430  # tokens of a document that a judge is shown
CORES_OF_ONE = 4  # more threads than that make one encoder hardly faster
AT_ONCE = 16  # requests to an endpoint
MOSTLY = 0.7  # of the documents
SPOKEN = 0.1  # share of the documents from which on a language counts
SMALL = 2000  # documents: so few need small batches to take enough steps


@dataclass(frozen=True)
class Line:
    """One setting of a section, and why it is so."""

    name: str
    value: Any
    why: str = ""


Sections = dict[str, list[Line]]


def suggest(
    found: Found, choice: ChosenJudge, machine: Machine, run: str, encoder: ChosenEncoder
) -> Sections:
    """Section -> settings; section "" are those without one."""
    sections: Sections = {
        "": [
            Line("run", run, "all results lie here; a stopped run goes on from here"),
            Line("unit_documents", _unit(found, machine), "a unit is what one worker does at once"),
        ],
        "corpus": _corpus(found),
        "encoder": _encoder(found, machine, encoder),
        "shortlist": _shortlist(found),
        "judge": _judge(found, choice, machine),
        "fit": _fit(found, choice, machine),
        "cycles": _cycles(found, choice),
        "resources": _resources(choice, machine),
    }
    return {name: lines for name, lines in sections.items() if lines}


def _unit(found: Found, machine: Machine) -> int:
    """At least four units for each core, so that all have work, but 32 to 512 documents in one."""
    wanted, size = found.counts.documents // (4 * machine.cores), 32
    while size < min(wanted, 512):
        size *= 2
    return size


def _corpus(found: Found) -> list[Line]:
    counts, corpus = found.counts, found.corpus
    documents = corpus["documents"]
    lines = [
        Line(
            "documents",
            documents[0] if len(documents) == 1 else documents,
            f"{counts.documents:,} documents, {found.middle} words the middle one",
        ),
        Line("labels", corpus["labels"], f"{counts.labels:,} labels"),
    ]
    if "encoding" in corpus:
        lines.append(Line("encoding", corpus["encoding"], "of lines that are not UTF-8"))
    lines.append(Line("columns", corpus["columns"]))
    if "test" in corpus:
        lines.append(Line("test", corpus["test"], f"{counts.test:,} documents; evaluation only"))
    if "gold" in corpus:
        why = f"of {counts.test:,} of the documents; evaluation only"
        lines.append(Line("gold", corpus["gold"], why))
    why = f"{counts.held_aside}  # this by itself: the smaller of 250 and 20 % of the documents"
    return [*lines, Line("held_aside", None, why)]


@dataclass(frozen=True)
class ChosenEncoder:
    """An encoder, why it, and what somebody should know."""

    model: str
    why: str
    notes: tuple[str, ...] = ()


def encoder_of(found: Found) -> ChosenEncoder:
    """One for the documents' languages, if it can be had, else one that can."""
    packaged = importlib.util.find_spec(MINILM_PACKAGE) is not None
    shares = found.languages
    english = shares.get("English", 0.0) + shares.get("unknown", 0.0) > MOSTLY
    if english and packaged:
        return ChosenEncoder("minilm", "all-MiniLM-L6-v2, small and quick, for English")
    wanted = ENGLISH if english else MANY_LANGUAGES
    why = f"for {next(iter(shares), 'any language')}; from the hub; a folder works too"
    try:
        check_hub_model("encoder.model", wanted, "")
    except ConfigError as error:
        note = f"{error}: set encoder.model to a folder with such a model"
        if packaged and not english:
            return ChosenEncoder("minilm", "knows English alone: see the notes", (note,))
        return ChosenEncoder(wanted, why, (note,))
    return ChosenEncoder(wanted, why)


def _tokens(words: int, least: int, most: int) -> int:
    """Tokens for so many words, in steps of 32."""
    return min(max(-(-int(words * TOKENS_PER_WORD) // 32) * 32, least), most)


def _threads(machine: Machine) -> int:
    return min(machine.cores, CORES_OF_ONE)


def _encoder(found: Found, machine: Machine, encoder: ChosenEncoder) -> list[Line]:
    tokens = _tokens(found.most, 64, LONGEST)
    labels = 32 if found.label_words <= 12 else 64
    lines = [
        Line("model", encoder.model, encoder.why),
        Line("max_tokens", tokens, f"nine of ten documents have up to {found.most} words"),
        Line("label_tokens", labels),
    ]
    if machine.gpus:
        return [*lines, Line("token_budget", 65536, "of one batch")]
    budget = 2048 if machine.memory and machine.memory < 8 else 4096
    dtype = Line("dtype", "auto", "bfloat16 where the processor multiplies it, else float32")
    return [*lines, dtype, Line("threads", _threads(machine)), Line("token_budget", budget)]


def _shortlist(found: Found) -> list[Line]:
    shares = {name.lower(): share for name, share in found.languages.items()}
    codes = [code for code, name in STEMMERS.items() if shares.get(name, 0.0) >= SPOKEN]
    if not set(codes) - {"en"}:
        return []  # English plurals are folded as it is
    return [Line("languages", codes, "words are compared by their stems; add those of the labels")]


def _judge(found: Found, choice: ChosenJudge, machine: Machine) -> list[Line]:
    if choice.kind == "none":
        return [
            Line(
                "teacher",
                {"kind": "none"},
                "nobody is asked: hybrid search, untrained (or see source). Later: {kind: http, …}",
            )
        ]
    shown = min(_tokens(found.most, 64, MOST_QUESTION), _room(choice))
    teacher = {**choice.teacher, "max_document_tokens": shown}
    if choice.kind == "http":
        teacher["concurrency"] = AT_ONCE
    elif not machine.gpus:
        teacher["threads"] = machine.cores
    top = min(20, max(found.counts.labels // 4, 1))
    lines = [
        Line("teacher", teacher, "how it is asked: docs/judge.md"),
        Line("top_k", top, "questions about each document in a cycle: what costs most"),
        Line("select_k", 3),
    ]
    if found.counts.test:
        lines.append(Line("rerank_k", min(16, top), "of a test document: how good the judge is"))
    if choice.kind == "http":
        lines.append(
            Line("budget", None, "{requests: 20000}  # a hard limit of questions; tokens too")
        )
        lines.append(Line("price", None, "{prompt: 0.15, answer: 0.6}  # of a million tokens"))
    return lines


def _room(choice: ChosenJudge) -> int:
    """Tokens of a document that a judge here has room for: half of what it reads, as the label and
    the question want some too. A reranker cuts what is too long by itself."""
    reach = reach_of(config_of(choice.teacher["model"])) if choice.kind == "vllm" else None
    return reach // 2 if reach else MOST_QUESTION


def _fit(found: Found, choice: ChosenJudge, machine: Machine) -> list[Line]:
    if choice.kind == "none":
        return []
    tokens = _tokens(found.most, 64, LONGEST if machine.gpus else 128)
    small = found.counts.documents < SMALL
    if machine.gpus:
        return [Line("batch_size", 32 if small else 128), Line("max_tokens", tokens)]
    return [
        Line("batch_size", 16 if small else 32, "a small corpus needs small batches"),
        Line("passes", 2),
        Line("negatives", 4, "hard ones of a document; each costs time"),
        Line("max_tokens", tokens, "shorter than the encoder's: training costs three passes"),
        Line("threads", machine.cores),
    ]


def _cycles(found: Found, choice: ChosenJudge) -> list[Line]:
    if choice.kind == "none":
        return []
    most = 2 if found.counts.documents < SMALL else 3
    return [
        Line("most", most, "it stops before that when the judge sees no gain"),
        Line("patience", 1),
    ]


def _resources(choice: ChosenJudge, machine: Machine) -> list[Line]:
    gpus, threads = len(machine.gpus), _threads(machine)
    if gpus:
        embed = {"actors": gpus, "cpus": 1, "gpus": 1}
    else:
        embed = {"actors": max(machine.cores // threads, 1), "cpus": threads}
    lines = [Line("embed", embed)]
    if choice.kind in ("vllm", "reranker"):
        judge = {"actors": gpus, "cpus": 1, "gpus": 1} if gpus else {"cpus": machine.cores}
        lines.append(Line("judge", judge))
    if choice.kind != "none" and not gpus:
        lines.append(Line("fit", {"cpus": machine.cores}))
    return lines


def values_of(sections: Sections) -> dict[str, Any]:
    """The settings as plain values, without those that are only named in a comment."""
    values: dict[str, Any] = {}
    for section, lines in sections.items():
        inner = values if not section else values.setdefault(section, {})
        inner |= {line.name: line.value for line in lines if line.value is not None}
    return values


def render(sections: Sections, machine: Machine, about: Mapping[str, str]) -> str:
    """The config as commented YAML; `about` are the lines of its head."""
    text = [f"# {name}: {said}" for name, said in about.items()]
    text += [f"# chosen for this machine: {machine}", "# every setting: lmtx config --docs"]
    for section, lines in sections.items():
        text += ([f"{section}:"] if section else []) + [
            part for line in lines for part in _written(line, "  " if section else "")
        ]
    return "\n".join(text) + "\n"


def _written(line: Line, indent: str) -> list[str]:
    """A setting as one line, a mapping as a block."""
    why = f"  # {line.why}" if line.why else ""
    if line.value is None:
        return [f"{indent}# {line.name}: {line.why}"]
    if isinstance(line.value, dict) and len(line.value) > 2:
        inner = [f"{indent}  {name}: {_scalar(value)}" for name, value in line.value.items()]
        return [f"{indent}{line.name}:{why}", *inner]
    return [f"{indent}{line.name}: {_scalar(line.value)}{why}"]


def _scalar(value: Any) -> str:
    """JSON is YAML; only a list or mapping is written as YAML people know."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_scalar(one)}" for name, one in value.items()) + "}"
    named = isinstance(value, str) and value.replace("_", "").isalpha()
    if named and value.casefold() not in WORDS:
        return str(value)
    return json.dumps(value, ensure_ascii=False)


WORDS = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}  # YAML reads other things
