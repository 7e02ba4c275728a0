"""The verbs that tag: tag, tag-text, sweep."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lmtx_ray.cli.arguments import add_encoding, add_search, add_verb, positive, probability
from lmtx_ray.cli.filters import (
    add_filter_files,
    add_filter_keys,
    file_error,
    filter_of_files,
    filter_of_keys,
)
from lmtx_ray.io.stage import Stage

FORMATS = ("auto", "xmc", "jsonl", "csv", "tsv", "parquet", "text", "lines")
OUTPUT_FORMATS = ("parquet", "jsonl", "csv")
BUNDLE = "bundle, or a run for its newest one, local or s3"
STALE = 3
UNJUDGED = (
    "untrained bundle, or one trained without a judge: the order is a search engine's; nobody has "
    "judged any of its tags"
)


def add_verbs(verbs: Any) -> None:
    """Add them to the command line."""
    tag = add_verb(verbs, "tag", "tag files, folders or a nightly drop with a bundle", tag_files)
    text = add_verb(verbs, "tag-text", "tag one text and print its tags", tag_text)
    tag.add_argument("--bundle", required=True, help=BUNDLE)
    where = text.add_mutually_exclusive_group(required=True)
    where.add_argument("--bundle", help=BUNDLE)
    where.add_argument("--url", help="ask a running service instead, such as http://127.0.0.1:8000")
    text.add_argument(
        "--key-env",
        default="LMTX_API_KEY",
        metavar="NAME",
        help="environment variable with the service's API key (default: LMTX_API_KEY)",
    )
    for parser in (tag, text):
        add_wanted(parser)
    text.add_argument("text", help="the text; - reads standard input")
    text.set_defaults(in_words=text_in_words, kept="nothing was begun")
    tag.set_defaults(in_words=tag_in_words)
    add_filter_keys(text)
    _add_inputs(tag)
    add_filter_files(tag)
    _add_outputs(tag)
    _add_running(tag)
    sweep = add_verb(verbs, "sweep", "delete what killed tag jobs left in an output", sweep_output)
    sweep.add_argument("output", help="output of a published tag job")
    sweep.set_defaults(in_words=lambda result: f"{len(result['removed'])} files removed")


def add_wanted(parser: argparse.ArgumentParser) -> None:
    """`--top-k` and `--min-probability`, None where they are not given."""
    parser.add_argument(
        "--top-k", type=positive, help="most tags of a document (default: the bundle's, else 5)"
    )
    parser.add_argument(
        "--min-probability",
        type=probability,
        metavar="P",
        help="leave out tags of less, 0 to 1 (default: the bundle's, else 0)",
    )


def _add_inputs(tag: argparse.ArgumentParser) -> None:
    tag.add_argument(
        "--input",
        required=True,
        action="append",
        metavar="URI",
        help="file, folder, glob or manifest (repeatable)",
    )
    tag.add_argument("--format", default="auto", choices=FORMATS, help="if no name tells it")
    add_encoding(tag, "the input")
    for name in ("id", "title", "text"):
        tag.add_argument(f"--{name}-field", metavar="NAME", help=f"the {name}'s field in the input")
    tag.add_argument("--keep-field", metavar="NAME", help="label keys a person set; they stay")
    tag.add_argument("--pass-through", default="", metavar="A,B", help="fields to copy")


def _add_outputs(tag: argparse.ArgumentParser) -> None:
    tag.add_argument(
        "--output",
        required=True,
        help="one file (.csv, .jsonl, .parquet, or .xmc.txt for a sparse matrix of scores), or a "
        "folder to publish the tags data set in",
    )
    tag.add_argument(
        "--output-format", choices=OUTPUT_FORMATS, help="of files in a folder; default: parquet"
    )
    tag.add_argument(
        "--long", action="store_true", help="a row for each tag, not each document (one file)"
    )
    tag.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the file that is there; in a folder, drop what is not published yet",
    )
    tag.add_argument(
        "--append-new",
        action="store_true",
        help="tag files that were not there before, into the same output (a folder)",
    )


def _add_running(tag: argparse.ArgumentParser) -> None:
    place = tag.add_mutually_exclusive_group()
    place.add_argument("--actors", type=positive, help="taggers; default: all GPUs, else CPUs")
    place.add_argument("--local", action="store_true", default=None, help="here, without Ray")
    add_search(tag)
    tag.add_argument("--unit-bytes", type=positive, default=4 << 20, help="input of a unit")
    tag.add_argument("--dry-run", action="store_true", help="list and count, tag nothing")


def tag_files(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx tag`."""
    from lmtx_ray.config.loading import ConfigError
    from lmtx_ray.corpus.filters import UnknownKeys
    from lmtx_ray.loop.one_file import kind_of_file

    kind = kind_of_file(arguments.output)
    _refuse_mixed(arguments, kind)
    try:
        return _tag(arguments, kind)
    except UnknownKeys as error:
        raise ConfigError(file_error(arguments, error.said)) from None


def _tag(arguments: argparse.Namespace, kind: Any) -> dict[str, Any]:
    from lmtx_ray.loop.one_file import inner_format, plan_file
    from lmtx_ray.loop.running import tag_corpus, tag_to_file
    from lmtx_ray.loop.tagging import plan_tags

    written = inner_format(kind) if kind else arguments.output_format
    job = _job(arguments, written or "parquet")
    if arguments.dry_run:
        return (plan_file if kind else plan_tags)(job, arguments.search)
    how = arguments.actors, arguments.local, arguments.overwrite, arguments.search
    if kind:
        return tag_to_file(job, arguments.long, *how)
    return tag_corpus(job, arguments.append_new, *how)


def _refuse_mixed(arguments: argparse.Namespace, kind: str | None) -> None:
    """ConfigError where options of a file and of a folder meet."""
    from lmtx_ray.config.loading import ConfigError

    output, wanted = arguments.output, arguments.output_format
    if kind and arguments.append_new:
        raise ConfigError(f"--append-new needs a folder as --output, and {output} is one file")
    if kind and wanted and wanted != kind:
        raise ConfigError(f"--output-format {wanted}: the name {output} says {kind}")
    if arguments.long and not kind:
        raise ConfigError("--long needs one file as --output: a name in .csv, .jsonl or .parquet")
    if kind:
        return
    ending = output.rsplit(".", 1)[-1].lower()
    if ending in {"tsv", "json", "ndjson", "xlsx", "txt", "gz"}:
        raise ConfigError(f"--output {output}: one file is .csv, .jsonl, .parquet or .xmc.txt")


def tag_in_words(result: dict[str, Any]) -> str:
    """What `lmtx tag` did."""
    if "rows_about" in result:
        return (
            f"{result['files']:,} files, {result['bytes']:,} bytes, about "
            f"{result['rows_about']:,} rows, {result['units']:,} units of work; search: "
            f"{result['search']['said']}\n{result['first_rows']['said']}".rstrip()
        )
    now = result["tagged_now"]
    said = f"{result['documents']:,} documents tagged"
    if now:
        said += f", {now:,} of them now in {result['seconds']:,} s"
        said += f" ({result['rows_per_second']:,} a second)"
    else:
        said += " before: nothing was left to do"
    lines = [said, f"tags: {result['tags']}"]
    if result["rejects"]:
        place = result.get("rejected", f"{result['tags']}/rejects")
        lines.append(f"{result['rejects']:,} rows could not be tagged, with reasons: {place}")
    return "\n".join(lines)


def _job(arguments: argparse.Namespace, output_format: str) -> Any:
    from lmtx_ray.config.corpus import ColumnMap, DocumentsConfig
    from lmtx_ray.loop.tagging import TagJob

    columns = ColumnMap(
        doc_id=arguments.id_field, title=arguments.title_field, text=arguments.text_field
    )
    source = DocumentsConfig(
        documents=tuple(arguments.input),
        format=arguments.format,
        columns=columns,
        encoding=arguments.encoding,
    )
    return TagJob(
        bundle=arguments.bundle,
        output=arguments.output,
        source=source,
        top_k=arguments.top_k,
        min_probability=arguments.min_probability,
        output_format=output_format,
        keep_field=arguments.keep_field,
        unit_bytes=arguments.unit_bytes,
        pass_through=tuple(name for name in arguments.pass_through.split(",") if name),
        **filter_of_files(arguments, source),
    )


def sweep_output(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx sweep`: how many files it removed."""
    from lmtx_ray.batch.outputs import sweep

    return {"removed": sweep(arguments.output)}


def exit_code_of(error: Exception) -> int:
    """STALE for a driver that another one replaced, else 1."""
    from lmtx_ray.io.fence import StaleDriver

    return STALE if isinstance(error, StaleDriver) else 1


def tag_text(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx tag-text`: the text's tags. Raises ValueError if it can have none."""
    from lmtx_ray.config.defaults import UNLIKELY

    ask = _ask_service if arguments.url else _ask_bundle
    row = ask(arguments, _text(arguments.text))
    if row["reason"] and not row["tags"] and not row["reason"].startswith(UNLIKELY):
        raise ValueError(f"no tags: {row['reason']}")
    if any(tag["probability"] is None for tag in row["tags"]):
        print(UNJUDGED, file=sys.stderr)
    return row


def _text(given: str) -> str:
    """The text; ValueError where it is not UTF-8."""
    if given != "-":
        try:
            given.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"the text is not UTF-8 at character {error.start + 1}") from None
        return given
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"standard input: not UTF-8 at byte {error.start}; if it is Latin-1: "
            "iconv -f LATIN1 -t UTF-8 FILE | lmtx tag-text … -"
        ) from None


def _ask_bundle(arguments: argparse.Namespace, text: str) -> dict[str, Any]:
    from lmtx_ray.bundle.cache import require_bundle

    require_bundle(arguments.bundle)  # before what takes seconds to import
    with Stage("loading the bundle"):
        from lmtx_ray.batch.formats import tags_of
        from lmtx_ray.bundle.tagger import Tagger

        tagger = Tagger.load(arguments.bundle)
    wanted = {"min_probability": arguments.min_probability, **filter_of_keys(arguments)}
    found = tagger.tag([text], arguments.top_k, **wanted)
    (row,) = found.to_pylist()
    return {"bundle_id": tagger.bundle_id, "tags": tags_of(row), "reason": row["reason"]}


def _ask_service(arguments: argparse.Namespace, text: str) -> dict[str, Any]:
    from lmtx_ray.cli.service_client import ask

    wanted = {"top_k": arguments.top_k, "min_probability": arguments.min_probability}
    return ask(arguments.url, text, {**wanted, **filter_of_keys(arguments)}, arguments.key_env)


def text_in_words(result: dict[str, Any]) -> str:
    """A line for each tag."""
    if not result["tags"]:
        return result["reason"] or "no tag is likely enough"
    return "\n".join(f"{_percent(tag)}  {tag['label']}  ({tag['key']})" for tag in result["tags"])


def _percent(tag: dict[str, Any]) -> str:
    return "     –" if tag["probability"] is None else f"{tag['probability']:6.1%}"
