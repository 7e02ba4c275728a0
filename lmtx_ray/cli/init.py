"""`lmtx init`: from two files to a config that runs."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from lmtx_ray.cli.arguments import add_verb, said_already

MENU = """Who judges the tags? Afterwards nobody is needed: a small model has learned it.
  1  an OpenAI-compatible endpoint, local or hosted
  2  a model folder or hub id on this machine: an instruct model in vLLM, or a reranker
  3  nobody: hybrid search only. Everyone gets tags, but they are untrained: their order is a search
     engine's, and none has a probability"""

UNNAMED = """nobody was named to judge the tags, so they will be untrained; --judge takes the
address of an OpenAI-compatible endpoint, a model folder or a hub id"""


def add_verbs(verbs: Any) -> None:
    """Add it to the command line."""
    parser = add_verb(verbs, "init", "look at your files and write a config that runs", init)
    parser.set_defaults(in_words=said_already)
    parser.add_argument(
        "docs", metavar="DOCS", help="documents: a file, folder or glob, local or s3"
    )
    parser.add_argument("labels", metavar="LABELS", help="the label set: one file, local or s3")
    parser.add_argument(
        "--gold", metavar="FILE", help="documents whose right labels are known, for evaluation only"
    )
    parser.add_argument(
        "--out", default="my.yaml", metavar="FILE", help="config to write; default: my.yaml"
    )
    _add_judge(parser)
    parser.add_argument("--yes", action="store_true", help="ask nothing; take what is suggested")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the config if it is there"
    )


def _add_judge(parser: argparse.ArgumentParser) -> None:
    """Who judges, and where its key is."""
    parser.add_argument(
        "--judge",
        metavar="URL|FOLDER|ID|none",
        help="an OpenAI-compatible address, a model folder, a hub id, or none; asked if not given",
    )
    parser.add_argument(
        "--judge-model",
        metavar="NAME",
        help="what the endpoint calls the model; default: its only one",
    )
    parser.add_argument(
        "--api-key-env",
        default="OPENAI_API_KEY",
        metavar="VARIABLE",
        help="name of the environment variable with the endpoint's key; default: OPENAI_API_KEY",
    )


def init(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx init`: what it found and wrote; the same for people on standard error."""
    from lmtx_ray.loop import first_look, judge_choice

    asking = not arguments.yes and sys.stdin.isatty() and sys.stderr.isatty()
    _may_write(arguments, asking)
    found = first_look.find([arguments.docs], arguments.labels, arguments.gold)
    say(_told(found))
    choice = _choice(arguments, asking, judge_choice)
    run = f"runs/{Path(arguments.out).stem}"
    calls, notes = _write(arguments, found, choice, run)
    noted = (*found.notes, *choice.notes, *notes)
    say([f"judge: {choice.about}", *_cost(choice, calls, found.limit), *_noted(noted)])
    following = _next(choice.kind, arguments.out, run)
    say([f"wrote {arguments.out}; next:", *(f"    {line}" for line in following)])
    return {**_summary(arguments.out, found, choice, following), "calls_at_most": calls}


def _write(
    arguments: argparse.Namespace, found: Any, choice: Any, run: str
) -> tuple[int, tuple[str, ...]]:
    """Write the config once it is known to load; how many calls a run makes at most, and what there
    is to say of the encoder."""
    from lmtx_ray.config.loading import load_config
    from lmtx_ray.loop import machine, starting
    from lmtx_ray.loop.estimate import describe
    from lmtx_ray.loop.run_config import RunConfig

    here, encoder = machine.this_machine(), starting.encoder_of(found)
    sections = starting.suggest(found, choice, here, run, encoder)
    config = load_config(RunConfig, starting.values_of(sections))
    counted = config.corpus.model_copy(update={"limit": found.limit})
    plan = describe(config.model_copy(update={"corpus": counted}))
    about = {"written by": _command(arguments), "judge": choice.about}
    Path(arguments.out).parent.mkdir(parents=True, exist_ok=True)
    Path(arguments.out).write_text(starting.render(sections, here, about), encoding="utf-8")
    return plan["judge"]["calls_at_most"], encoder.notes


def _summary(out: str, found: Any, choice: Any, following: list[str]) -> dict[str, Any]:
    return {
        "config": out,
        "documents": found.counts.documents,
        "labels": found.counts.labels,
        "rejects": found.counts.rejects,
        "test": found.counts.test,
        "columns": found.corpus["columns"],
        "languages": {name: round(share, 3) for name, share in found.languages.items()},
        "judge": choice.kind,
        "next": following[0].split("  #")[0].strip(),
    }


def say(lines: list[str]) -> None:
    """Lines for people."""
    print("\n".join(lines), file=sys.stderr, flush=True)


def _may_write(arguments: argparse.Namespace, asking: bool) -> None:
    """Raises FileExistsError where a config is there and nobody said that it may go, and ValueError
    where `lmtx run` could not read it."""
    if "://" in arguments.out:
        raise ValueError(f"--out {arguments.out}: a config is a file of this machine")
    if not Path(arguments.out).exists() or arguments.overwrite:
        return
    if asking and _ask(f"{arguments.out} is there already. Replace it? [y/N]").lower() in {
        "y",
        "yes",
    }:
        return
    raise FileExistsError(
        f"{arguments.out} is there already and stays as it is; --overwrite replaces it, "
        "--out writes another one"
    )


def _ask(question: str) -> str:
    print(question, end=" ", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _choice(arguments: argparse.Namespace, asking: bool, judges: Any) -> Any:
    """The judge that was named, or that somebody at the terminal names now."""
    if arguments.judge or not asking:
        if not arguments.judge:
            say([UNNAMED])
        named = arguments.judge or judges.NONE
        return judges.choose(named, arguments.judge_model, arguments.api_key_env)
    say([MENU])
    answer = _ask("1, 2 or 3? [3]") or "3"
    if answer not in {"1", "2", "3"}:
        raise ValueError(f"--judge: {answer!r} is none of 1, 2 and 3")
    if answer == "3":
        return judges.choose(judges.NONE, None, "")
    if answer == "2":
        return judges.choose(_ask("Model folder or hub id:"), None, "")
    url = _ask("Address, such as http://127.0.0.1:8000/v1:")
    variable = _ask(f"Environment variable with the key [{arguments.api_key_env}]:")
    model = _ask("Name of the model [the only one it serves]:")
    return judges.choose(url, model or None, variable or arguments.api_key_env)


def _told(found: Any) -> list[str]:
    counts, columns = found.counts, found.corpus["columns"]
    languages = ", ".join(f"{name} {share:.0%}" for name, share in found.languages.items())
    labels = columns["label_key"], columns["label_text"]
    return [
        f"documents: {counts.documents:,}, {_how(found.documents)}; {_columns(columns)}",
        f"           {found.middle} words the middle one, nine of ten up to {found.most}; "
        f"{languages}",
        f"labels:    {counts.labels:,}, {_how(found.labels)}; key {labels[0]!r}, "
        f"text {labels[1]!r}, {found.label_words:.1f} words each",
        *([f"test:      {counts.test:,} documents with gold labels"] if counts.test else []),
        f"aside:     {counts.held_aside:,} documents are held aside to choose by "
        "(corpus.held_aside)",
    ]


def _how(look: Any) -> str:
    separated = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}.get(
        look.delimiter, ""
    )
    files = f"{look.files:,} files" if look.files > 1 else look.kind
    encoding = look.encoding.removesuffix("-sig")
    return ", ".join(part for part in (files, separated, encoding) if part)


def _columns(columns: dict[str, str]) -> str:
    roles = {"doc_id": "id", "title": "title", "text": "text"}
    return ", ".join(f"{said} {columns[role]!r}" for role, said in roles.items() if role in columns)


def _cost(choice: Any, calls: int, limit: int | None) -> list[str]:
    if not calls:
        return []
    what = f"a run of {limit:,} documents" if limit else "a full run"
    told = [f"{what} asks at most {calls:,} questions"]
    if choice.seconds:
        from lmtx_ray.loop.starting import AT_ONCE

        minutes = round(calls * choice.seconds / AT_ONCE / 60)
        took = f"about {minutes:,} minutes" if minutes > 1 else "about a minute"
        told.append(f"{took} of asking, if {AT_ONCE} at once are as quick as one")
    return ["; ".join(told)]


def _noted(notes: tuple[str, ...]) -> list[str]:
    return [f"note: {note}" for note in notes]


def _next(kind: str, out: str, run: str) -> list[str]:
    out, run = shlex.quote(out), shlex.quote(run)
    if kind == "none":
        return [f"lmtx run {out}", f'lmtx tag-text --bundle {run} "a text"  # afterwards']
    return [
        f"lmtx judge-check {out}  # is this judge any good here, and what does it cost",
        f"lmtx run {out}",
    ]


def _command(arguments: argparse.Namespace) -> str:
    gold = ["--gold", arguments.gold] if arguments.gold else []
    return shlex.join(["lmtx", "init", arguments.docs, arguments.labels, *gold])
