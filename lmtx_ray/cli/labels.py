"""The verbs of the label set: labels import, labels check; and those of `label_edits`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lmtx_ray.cli import label_edits
from lmtx_ray.cli.arguments import add_verb, encoding, positive, said_already

FORMATS = ("auto", "csv", "tsv", "jsonl", "parquet", "skos", "annif", "xmc", "list")
ROLES = ("key", "text", "description", "aliases", "parents")
ABOUT = "the label set: bring one in, look for what is odd in it, change a bundle's"


def add_verbs(verbs: Any) -> None:
    """Add them to the command line."""
    parser = verbs.add_parser("labels", help=ABOUT, description=ABOUT)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_import(actions)
    _add_check(actions)
    label_edits.add_edit_verbs(actions)


def _add_import(actions: Any) -> None:
    take = add_verb(
        actions, "import", "one clean file of labels from what vocabularies come as", import_file
    )
    take.set_defaults(in_words=said_already)
    take.add_argument(
        "source",
        help="CSV, TSV, JSON lines, Parquet, SKOS (RDF/XML, Turtle, N-Triples, JSON-LD), Annif's "
        "TSV or CSV, labels of an XMC set, or a list with a label a line; a file, folder or glob, "
        "local or s3",
    )
    take.add_argument("output", help=".parquet, .jsonl, .csv or .tsv file to write, local or s3")
    take.add_argument(
        "--format",
        choices=FORMATS,
        default="auto",
        help="what the source is; auto goes by its name and its beginning",
    )
    _add_columns(take)
    _add_languages(take)
    take.add_argument(
        "--encoding",
        type=encoding,
        help="of text that is not UTF-8: cp1252, latin-1, …; without it the beginning tells",
    )
    take.add_argument(
        "--number",
        action="store_true",
        help="keys are the rows' numbers from 0, as gold of XMC sets names labels",
    )
    take.add_argument(
        "--html", action="store_true", help="texts hold entities like &amp;: make them characters"
    )
    take.add_argument(
        "--keep-deprecated",
        action="store_true",
        help="SKOS: keep concepts that are marked as deprecated",
    )
    take.add_argument("--overwrite", action="store_true", help="replace the output if it is there")


def _add_columns(take: argparse.ArgumentParser) -> None:
    table = take.add_argument_group("columns of a table (guessed by usual names if not given)")
    says = {
        "key": "what tags carry",
        "text": "what a label is called",
        "description": "what is told about it",
        "aliases": "what else it is called",
        "parents": "keys of the labels above it",
    }
    for role in ROLES:
        none = "" if role in ("key", "text") else "; '' takes none"
        table.add_argument(f"--{role}", metavar="COLUMN", help=f"{says[role]}{none}")
    table.add_argument(
        "--language-column",
        metavar="COLUMN",
        help="the language of a row's text, where a label has a row for each language",
    )
    table.add_argument(
        "--separator",
        default="|",
        metavar="TEXT",
        help="between several aliases or parents of one cell; default: |",
    )
    table.add_argument(
        "--no-header",
        action="store_true",
        help="the first line is a row already; the columns are called 1, 2, 3, …",
    )


def _add_languages(take: argparse.ArgumentParser) -> None:
    take.add_argument(
        "--language",
        metavar="de,en",
        default="",
        help="languages a label is shown in, the first that it has a name in; default: as often "
        "as they are used. Its other names become aliases",
    )
    take.add_argument(
        "--aliases-in",
        metavar="de,en",
        default="",
        help="only these languages' names become aliases; default: all",
    )


def _add_check(actions: Any) -> None:
    check = add_verb(
        actions, "check", "what is odd in a label set; exit code 1 for errors", check_file
    )
    check.set_defaults(in_words=said_already)
    check.add_argument("labels", help="a file of labels, or a bundle, local or s3")
    check.add_argument(
        "--tags",
        metavar="OUT",
        help="tags of many documents, an output of `lmtx tag` or a file: finds labels that are "
        "never suggested, and labels that always come together",
    )
    check.add_argument(
        "--output",
        metavar="FILE",
        help="all findings as CSV; without it they are only counted and the first ones shown",
    )
    check.add_argument(
        "--tokens",
        type=positive,
        help="what is longer is cut: encoder.label_tokens of the run; default: the bundle's, or 32",
    )
    check.add_argument(
        "--model",
        help="the encoder whose tokens are counted: encoder.model of the run; default: the "
        "bundle's, or minilm where it is installed; none: count words",
    )
    check.add_argument(
        "--strict", action="store_true", help="exit code 1 for warnings too, for automation"
    )


def import_file(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx labels import`: what was taken for what, and what was not taken."""
    from lmtx_ray.vocabularies.asked import Asked
    from lmtx_ray.vocabularies.importing import import_labels

    named = {role: getattr(arguments, role) for role in ROLES}
    named["language"] = arguments.language_column
    asked = Asked(
        arguments.format,
        {role: name for role, name in named.items() if name is not None},
        _listed(arguments.language),
        _listed(arguments.aliases_in),
        arguments.separator,
        False if arguments.no_header else None,
        arguments.encoding or "",
        arguments.number,
        arguments.html,
        arguments.keep_deprecated,
    )
    made = import_labels(arguments.source, arguments.output, asked, arguments.overwrite)
    result = made.to_dict()
    print("\n".join(_import_in_words(result, str(made.reasons))), file=sys.stderr)
    return result


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _import_in_words(result: dict[str, Any], reasons: str) -> list[str]:
    columns = ", ".join(
        f"{role} {' '.join(map(repr, name)) if isinstance(name, list) else repr(name)}"
        for role, name in result["columns"].items()
    )
    having = ", ".join(
        f"{result[f'with_{name}']:,} with {said}"
        for name, said in (
            ("description", "a description"),
            ("aliases", "aliases"),
            ("parent_keys", "parents"),
        )
        if result[f"with_{name}"]
    )
    lines = [f"read as {result['format']}{columns and f'; {columns}'}"]
    if result["languages"]:
        shown = ", ".join(f"{count:,} in {one}" for one, count in result["shown_in"].items())
        wanted = ", ".join(result["languages"])
        lines.append(f"languages, first wanted first: {wanted}{shown and f'; shown: {shown}'}")
    lines.append(f"{result['labels']:,} labels in {result['output']}{having and f'; {having}'}")
    if result["rejected"]:
        lines.append(f"{reasons}; all of them: {result['rejects']}")
        lines.append(
            "gold that names labels by the row's number does not fit this file: use keys, or "
            "--number"
        )
    return lines


def check_file(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx labels check`: findings by kind; exit code 1 where there is an error among them."""
    from lmtx_ray.loop.label_check import check_labels

    report = check_labels(
        arguments.labels, arguments.tags, arguments.model, arguments.tokens, arguments.output
    )
    print("\n".join(report.in_words()), file=sys.stderr)
    arguments.exit_code = int(report.failed(arguments.strict))
    return report.to_dict()
