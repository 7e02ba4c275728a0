"""`lmtx`: the command line. Progress goes to stderr, one JSON line ends stdout.

A command imports what it needs when it is called, so `lmtx --help` starts in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

logger = logging.getLogger("lmtx_ray")
FORMATS = ("auto", "jsonl", "csv", "tsv", "parquet", "text")
DEMO_CONFIG = Path(__file__).resolve().parent.parent / "examples" / "biomedical" / "demo.yaml"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code (0 done, 1 failed with a message, 2 bad usage, 3 another
    driver took over the output)."""
    arguments = build_parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    try:
        result = arguments.run_command(arguments)
    except (ValueError, OSError) as error:  # the user's to mend: config, corpus, storage, contract
        logger.error("lmtx %s: %s", arguments.command, error)
        return exit_code_of(error)
    if result is not None:
        print(json.dumps(result), flush=True)
    return 0


def exit_code_of(error: Exception) -> int:
    """3 for a driver that another one replaced, else 1."""
    from lmtx_ray.batch.fence import StaleDriver

    return 3 if isinstance(error, StaleDriver) else 1


def build_parser() -> argparse.ArgumentParser:
    """All verbs; each sets `run_command` to the function that does it."""
    parser = argparse.ArgumentParser(prog="lmtx", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="command", required=True, metavar="VERB")
    _add_run_verbs(verbs)
    _add_tag_verbs(verbs)
    _add_serve_verb(verbs)
    _add_evaluate_verb(verbs)
    return parser


def _verb(verbs: Any, name: str, about: str, function: Any) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=about, description=about)
    parser.set_defaults(run_command=function)
    return parser


def _add_run_verbs(verbs: Any) -> None:
    demo = _verb(verbs, "demo", "the whole loop on the bundled sample, then a table", run_loop)
    demo.set_defaults(config=str(DEMO_CONFIG))
    run = _verb(verbs, "run", "all cycles of a config; skips what is complete", run_loop)
    plan = _verb(verbs, "plan", "validate inputs, say what would run; touches no model", plan_loop)
    for parser in (run, plan):
        parser.add_argument("config", help="YAML file of the run")
    for parser in (demo, run, plan):
        parser.add_argument("--set", action="append", default=[], metavar="a.b=c",
                            help="override a setting (repeatable)")  # fmt: skip
    for parser in (demo, run):
        parser.add_argument("--dry-run", action="store_true", help="say what would run and stop")


def _add_tag_verbs(verbs: Any) -> None:
    tag = _verb(verbs, "tag", "tag a file or folder of documents with a bundle", tag_files)
    text = _verb(verbs, "tag-text", "tag one text and print its tags", tag_text)
    sweep = _verb(verbs, "sweep", "delete what killed tag jobs left in an output", sweep_output)
    sweep.add_argument("output", help="output of a published tag job")
    for parser in (tag, text):
        parser.add_argument("--bundle", required=True, help="bundle folder")
        parser.add_argument("--top-k", type=_positive, default=5, help="most tags of a document")
        parser.add_argument("--min-probability", type=float, default=0.0)
    text.add_argument("text", help="the text; - reads standard input")
    _add_tag_options(tag)


def _add_tag_options(tag: argparse.ArgumentParser) -> None:
    tag.add_argument("--input", required=True, action="append", metavar="URI",
                     help="file, folder, glob or manifest (repeatable)")  # fmt: skip
    tag.add_argument("--output", required=True, help="folder to publish the tags data set in")
    tag.add_argument("--format", default="auto", choices=FORMATS, help="if no name tells it")
    tag.add_argument("--output-format", default="parquet", choices=("parquet", "jsonl", "csv"))
    for name in ("id", "title", "text"):
        tag.add_argument(f"--{name}-field", metavar="NAME", help=f"the {name}'s field in the input")
    tag.add_argument("--keep-field", metavar="NAME", help="label keys a person set; they stay")
    tag.add_argument("--pass-through", default="", metavar="A,B", help="columns to copy")
    tag.add_argument("--append-new", action="store_true",
                     help="tag files that were not there before, into the same output")  # fmt: skip
    tag.add_argument("--actors", type=_positive, help="taggers; default: all GPUs, else CPUs")
    tag.add_argument("--local", action="store_true", default=None, help="here, without Ray")
    tag.add_argument("--unit-bytes", type=_positive, default=4 << 20, help="input of a unit")
    tag.add_argument("--dry-run", action="store_true", help="list and count, tag nothing")


def _add_serve_verb(verbs: Any) -> None:
    serve = _verb(verbs, "serve", "serve a bundle: POST /v1/tag, GET /healthz", serve_app)
    serve.add_argument("--bundle", required=True, help="bundle folder")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=_positive, default=8000)


def _add_evaluate_verb(verbs: Any) -> None:
    parser = _verb(verbs, "evaluate", "metrics of rankings against gold labels", evaluate_files)
    parser.add_argument("--rankings", required=True, help="rankings Parquet file or step folder")
    parser.add_argument("--gold", required=True, help="gold Parquet file or step folder")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs a whole number from 1, got {text!r}")
    return int(text)


def _load(arguments: argparse.Namespace) -> Any:
    from lmtx_ray.config import load_config
    from lmtx_ray.settings import RunConfig

    return load_config(RunConfig, arguments.config, arguments.set)


def plan_loop(arguments: argparse.Namespace) -> dict[str, Any]:
    from lmtx_ray.plan import describe, render_plan

    plan = describe(_load(arguments))
    print(render_plan(plan), file=sys.stderr)
    return plan


def run_loop(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.dry_run:
        return plan_loop(arguments)
    from lmtx_ray.layout import lay_out
    from lmtx_ray.report import finished

    config = _load(arguments)
    layout = lay_out(config)
    if summary := finished(config, layout):
        return summary
    start_ray()
    from lmtx_ray.cycle import run_cycles
    from lmtx_ray.outcome import finish

    return finish(config, run_cycles(config, layout))


def start_ray() -> None:
    """Join the cluster RAY_ADDRESS names, or start one on this machine with its CPUs."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import ray

    local = {} if os.environ.get("RAY_ADDRESS") else {
        "num_cpus": os.cpu_count() or 1, "include_dashboard": False
    }  # fmt: skip
    ray.init(logging_level=logging.WARNING, log_to_driver=False, **local)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    for noisy in ("ray.data", "ray.train", "faiss.loader", "httpx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def tag_files(arguments: argparse.Namespace) -> dict[str, Any]:
    from lmtx_ray.corpus import ColumnMap, DocumentsConfig
    from lmtx_ray.tagging import TagJob, plan_tags, tag_corpus

    columns = ColumnMap(doc_id=arguments.id_field, title=arguments.title_field,
                        text=arguments.text_field)  # fmt: skip
    job = TagJob(
        bundle=arguments.bundle, output=arguments.output, top_k=arguments.top_k,
        source=DocumentsConfig(documents=tuple(arguments.input), format=arguments.format,
                               columns=columns),
        min_probability=arguments.min_probability, output_format=arguments.output_format,
        keep_field=arguments.keep_field, unit_bytes=arguments.unit_bytes,
        pass_through=tuple(name for name in arguments.pass_through.split(",") if name),
    )  # fmt: skip
    if arguments.dry_run:
        return plan_tags(job)
    local = arguments.local
    if local is None and os.environ.get("RAY_ADDRESS"):
        local = False
    return tag_corpus(job, arguments.append_new, arguments.actors, local, start_ray)


def sweep_output(arguments: argparse.Namespace) -> dict[str, Any]:
    from lmtx_ray.batch.outputs import sweep

    return {"removed": sweep(arguments.output)}


def tag_text(arguments: argparse.Namespace) -> None:
    from lmtx_ray.tagger import Tagger

    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    tagger = Tagger.load(arguments.bundle)
    row = tagger.tag(["text"], [None], [text], arguments.top_k, arguments.min_probability)
    (row,) = row.to_pylist()
    if row["reason"]:
        raise ValueError(f"no tags: {row['reason']}")
    for key, label, probability in zip(
        row["label_keys"], row["labels"], row["probabilities"], strict=True
    ):
        print(f"{probability:6.1%}  {label}  ({key})")


def serve_app(arguments: argparse.Namespace) -> None:
    from serve_apps.tagger import run_blocking

    run_blocking(arguments.bundle, host=arguments.host, port=arguments.port)


def evaluate_files(arguments: argparse.Namespace) -> dict[str, Any]:
    from lmtx_ray.evaluation import evaluate, summarise
    from lmtx_ray.publish import read_published

    rows = evaluate(read_published(arguments.rankings), read_published(arguments.gold))
    return summarise(rows)


if __name__ == "__main__":
    sys.exit(main())
