"""The verbs that tag: tag, tag-text, sweep."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lmtx_ray.cli.arguments import add_verb, positive, probability

FORMATS = ("auto", "xmc", "jsonl", "csv", "tsv", "parquet", "text")
OUTPUT_FORMATS = ("parquet", "jsonl", "csv")
STALE = 3


def add_verbs(verbs: Any) -> None:
    """Add them to the command line."""
    tag = add_verb(verbs, "tag", "tag files, folders or a nightly drop with a bundle", tag_files)
    text = add_verb(verbs, "tag-text", "tag one text and print its tags", tag_text)
    for parser in (tag, text):
        parser.add_argument("--bundle", required=True, help="bundle folder, local or s3")
        add_wanted(parser)
    text.add_argument("text", help="the text; - reads standard input")
    _add_inputs(tag)
    _add_outputs(tag)
    _add_running(tag)
    sweep = add_verb(verbs, "sweep", "delete what killed tag jobs left in an output", sweep_output)
    sweep.add_argument("output", help="output of a published tag job")


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
    for name in ("id", "title", "text"):
        tag.add_argument(f"--{name}-field", metavar="NAME", help=f"the {name}'s field in the input")
    tag.add_argument("--keep-field", metavar="NAME", help="label keys a person set; they stay")
    tag.add_argument("--pass-through", default="", metavar="A,B", help="fields to copy")


def _add_outputs(tag: argparse.ArgumentParser) -> None:
    tag.add_argument("--output", required=True, help="folder to publish the tags data set in")
    tag.add_argument("--output-format", default="parquet", choices=OUTPUT_FORMATS)
    tag.add_argument(
        "--append-new",
        action="store_true",
        help="tag files that were not there before, into the same output",
    )


def _add_running(tag: argparse.ArgumentParser) -> None:
    place = tag.add_mutually_exclusive_group()
    place.add_argument("--actors", type=positive, help="taggers; default: all GPUs, else CPUs")
    place.add_argument("--local", action="store_true", default=None, help="here, without Ray")
    tag.add_argument("--unit-bytes", type=positive, default=4 << 20, help="input of a unit")
    tag.add_argument("--dry-run", action="store_true", help="list and count, tag nothing")


def tag_files(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx tag`."""
    from lmtx_ray.loop.running import tag_corpus
    from lmtx_ray.loop.tagging import plan_tags

    job = _job(arguments)
    if arguments.dry_run:
        return plan_tags(job)
    return tag_corpus(job, arguments.append_new, arguments.actors, arguments.local)


def _job(arguments: argparse.Namespace) -> Any:
    from lmtx_ray.config.corpus import ColumnMap, DocumentsConfig
    from lmtx_ray.loop.tagging import TagJob

    columns = ColumnMap(
        doc_id=arguments.id_field, title=arguments.title_field, text=arguments.text_field
    )
    source = DocumentsConfig(
        documents=tuple(arguments.input), format=arguments.format, columns=columns
    )
    return TagJob(
        bundle=arguments.bundle,
        output=arguments.output,
        source=source,
        top_k=arguments.top_k,
        min_probability=arguments.min_probability,
        output_format=arguments.output_format,
        keep_field=arguments.keep_field,
        unit_bytes=arguments.unit_bytes,
        pass_through=tuple(name for name in arguments.pass_through.split(",") if name),
    )


def sweep_output(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx sweep`: how many files it removed."""
    from lmtx_ray.batch.outputs import sweep

    return {"removed": sweep(arguments.output)}


def exit_code_of(error: Exception) -> int:
    """STALE for a driver that another one replaced, else 1."""
    from lmtx_ray.io.fence import StaleDriver

    return STALE if isinstance(error, StaleDriver) else 1


def tag_text(arguments: argparse.Namespace) -> None:
    """`lmtx tag-text`: prints a line for each tag. Raises ValueError if the text gets none."""
    from lmtx_ray.bundle.tagger import Tagger

    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    tagger = Tagger.load(arguments.bundle)
    tags = tagger.tag([text], arguments.top_k, min_probability=arguments.min_probability)
    (row,) = tags.to_pylist()
    if row["reason"]:
        raise ValueError(f"no tags: {row['reason']}")
    for key, label, share in zip(
        row["label_keys"], row["labels"], row["probabilities"], strict=True
    ):
        print(f"{share:6.1%}  {label}  ({key})")
