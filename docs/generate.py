"""Writes docs/config.md and docs/reference/ from the code. `make reference`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from contracts_told import CONTRACTS, FIELDS

from lmtx_ray.cli.arguments import add_common_options
from lmtx_ray.cli.main import build_parser
from lmtx_ray.corpus import schemas
from lmtx_ray.loop import reference
from serve_apps.api import build_api
from serve_apps.guard import GuardSettings
from serve_apps.telemetry import Telemetry

FOLDER = Path(__file__).resolve().parent
COMMON = ("quiet", "verbose", "json")
MADE = "<!-- made by docs/generate.py: change the code, then `make reference` -->\n"


def cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A Markdown table; empty where there are no rows."""
    lines = ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *lines]) + "\n"


def command_line() -> str:
    """A section for each verb, those of one verb's own verbs under it."""
    parser = build_parser()
    about = f"`lmtx VERB`: {parser.description}. Progress goes to stderr, the result to stdout."
    text = f"{MADE}\n# Command line\n\n{about}\n\n## Options of every verb\n\n{common_options()}\n"
    text += "".join(verb_section(name, verb, 2) for name, verb in verbs_of(parser))
    return text.rstrip() + "\n"


def verbs_of(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    """The verbs of a parser, in order."""
    found = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [pair for action in found for pair in action.choices.items()]


def verb_section(name: str, parser: argparse.ArgumentParser, depth: int) -> str:
    """What a verb does, its options, its examples."""
    verbs = verbs_of(parser)
    about = (parser.description or "").strip()
    parts = [f"{'#' * depth} {parser.prog}\n", f"{about[:1].upper()}{about[1:]}.\n"]
    if not verbs:
        parts.append(table(("argument", "meaning", "default"), options(parser)))
    if parser.epilog:
        parts.append("```\n" + parser.epilog.strip() + "\n```\n")
    parts += [verb_section(f"{name} {inner}", verb, depth + 1) for inner, verb in verbs]
    return "\n".join(part for part in parts if part) + "\n"


def common_options() -> str:
    """What every verb has."""
    parser = argparse.ArgumentParser()
    add_common_options(parser)
    return table(("argument", "meaning", "default"), options(parser, everywhere=True))


def options(
    parser: argparse.ArgumentParser, everywhere: bool = False
) -> Iterator[tuple[str, str, str]]:
    """(name, meaning, default) of each argument but --help and, unless `everywhere`, the common."""
    for action in parser._actions:
        is_common = action.dest in COMMON and not everywhere
        if isinstance(action, argparse._HelpAction) or is_common:
            continue
        names = action.option_strings or [action.metavar or action.dest]
        shown = f"`{' '.join([', '.join(map(str, names)), value_of(action)]).strip()}`"
        values = {**vars(action), "prog": parser.prog}
        meaning = (action.help or "") % values
        needed = action.required and action.option_strings
        default = "needed" if needed else default_of(action)
        yield shown, meaning, default


def value_of(action: argparse.Action) -> str:
    """How an option's value is written; empty for a flag or a positional argument."""
    if not action.option_strings or action.nargs == 0:
        return ""
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return str(action.metavar or action.dest.upper())


def default_of(action: argparse.Action) -> str:
    """The default where it says something."""
    plain = (None, False, "", [], argparse.SUPPRESS)
    return "" if action.default in plain else f"`{action.default}`"


def http_interface() -> str:
    """Endpoints, then the bodies, from the service's own description."""
    described = build_api(None, GuardSettings(), Telemetry()).openapi()  # type: ignore[arg-type]
    text = (
        f"{MADE}\n# HTTP interface\n\n{described['info']['summary']}. A running service tells the "
    )
    text += "same at `/docs` and `/openapi.json`.\n\n"
    told = [
        (path, verb, said)
        for path, verbs in described["paths"].items()
        for verb, said in verbs.items()
    ]
    common = answers_of_all([said for _, _, said in told])
    for path, verb, said in told:
        text += endpoint(path, verb, said, common)
    text += "## Other answers\n\n"
    text += "Any endpoint may give one of these, from 400 on with an ErrorReply.\n\n"
    text += table(("status", "meaning"), iter(sorted(common))) + "\n"
    text += "## Bodies\n\n"
    for name, body in sorted(described["components"]["schemas"].items()):
        text += f"### {name}\n\n" + (
            f"{cell(body['description'])}\n\n" if "description" in body else ""
        )
        text += table(("field", "type", "needed", "meaning"), fields(body)) + "\n"
    return text.rstrip() + "\n"


def answers_of_all(told: list[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """(status, meaning) that more than one endpoint has."""
    count = Counter(pair for said in told for pair in answers(said))
    return {pair for pair, endpoints in count.items() if endpoints > 1}


def answers(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(status, meaning) of an endpoint's answers."""
    return [
        (status, answer["description"])
        for status, answer in told["responses"].items()
        if status != "200"
    ]


def endpoint(path: str, method: str, told: Mapping[str, Any], common: set[tuple[str, str]]) -> str:
    """What one endpoint does, takes and answers of its own."""
    lines = [f"## {method.upper()} {path}", cell(told.get("description", told["summary"]))]
    bodies = {
        "Takes": told.get("requestBody", {}),
        "Answers": told["responses"].get("200", {}),
    }
    lines += [f"{verb} {kind(s)}." for verb, body in bodies.items() if (s := body_schema(body))]
    rows = (
        (f"`{p['name']}`", kind(p["schema"]), "yes" if p["required"] else "", limits(p["schema"]))
        for p in told.get("parameters", ())
    )
    lines.append(table(("parameter", "type", "needed", "limits"), rows))
    own = (pair for pair in sorted(answers(told)) if pair not in common)
    lines.append(table(("status", "meaning"), own))
    return "\n\n".join(line.rstrip() for line in lines if line) + "\n\n"


def body_schema(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a JSON body that has a name; empty for others."""
    schema: Mapping[str, Any] = (
        body.get("content", {}).get("application/json", {}).get("schema", {})
    )
    return schema if "$ref" in schema else {}


def fields(body: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """(name, type, needed, meaning and limits) of a body's fields."""
    needed = body.get("required", ())
    for name, value in body.get("properties", {}).items():
        meaning = "; ".join(part for part in (value.get("description", ""), limits(value)) if part)
        yield f"`{name}`", kind(value), "yes" if name in needed else "", meaning


def kind(schema: Mapping[str, Any]) -> str:
    """A type in words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(kind(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {kind(schema['items'])}"
    return str(schema.get("type", "any"))


WORDS = {
    "minimum": "from",
    "maximum": "to",
    "exclusiveMinimum": "above",
    "minLength": "least length",
    "maxLength": "most characters",
    "minItems": "least items",
    "maxItems": "most items",
    "default": "default",
}


def limits(schema: Mapping[str, Any]) -> str:
    """Its limits and default in words, those of its options too."""
    found = [
        f"{word} {schema[key]}"
        for key, word in WORDS.items()
        if schema.get(key) not in (None, "", [])
    ]
    found += [part for option in schema.get("anyOf", ()) for part in [limits(option)] if part]
    return ", ".join(found)


def contracts() -> str:
    """Columns of every table that is published."""
    text = (
        f"{MADE}\n# Tables\n\nEverything between steps is Parquet by one of these contracts. A "
        "column marked ! holds no nulls. The schema's metadata carries the contract's name and "
        "version, `lmtx.contract`, and a table of another contract is refused.\n"
    )
    for name, about in CONTRACTS.items():
        schema = getattr(schemas, name.upper())
        rows = (
            (f"`{f.name}`{'' if f.nullable else ' !'}", f"`{f.type}`", FIELDS[name, f.name])
            for f in schema
        )
        text += f"\n## {name}\n\n{about}\n\n" + table(("column", "type", "meaning"), rows)
    return text


PAGES = {
    "config.md": reference.markdown,
    "reference/cli.md": command_line,
    "reference/http.md": http_interface,
    "reference/tables.md": contracts,
}


def main() -> int:
    """Write the pages that differ; returns how many did."""
    changed = 0
    for name, make in PAGES.items():
        path, text = FOLDER / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.name}", file=sys.stderr)
            changed += 1
    return changed


if __name__ == "__main__":
    main()
