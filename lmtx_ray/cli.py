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
JOB_FOLDER = "/runtime_resources/working_dir_files/"
_joined = False  # whether this process started or joined a cluster by `start_ray`
DEMO_CONFIG = Path(__file__).resolve().parent.parent / "examples" / "biomedical" / "demo.yaml"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code (0 done, 1 failed with a message, 2 bad usage)."""
    return carry_out(build_parser().parse_args(argv))


def carry_out(arguments: argparse.Namespace) -> int:
    """Run the parsed command; prints its result, or one line on what went wrong."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    try:
        result = arguments.run_command(arguments)
    except (ValueError, OSError) as error:  # the user's to mend: config, corpus, storage, contract
        logger.error("lmtx %s: %s", arguments.command, _one_line(error))
        return 1
    except Exception as error:  # a bug, or a cluster that failed: its trace, then the line
        logger.exception("failed")
        logger.error("lmtx %s: %s: %s", arguments.command, type(error).__name__, _one_line(error))
        return 1
    finally:
        _leave_ray()
    if result is not None:
        print(json.dumps(result), flush=True)
    return 0


def _leave_ray() -> None:
    """Ray's listener prints what it hears of lost nodes to stdout, at any time: it has to end
    before the line of JSON, or that would not be the last one."""
    global _joined
    if _joined:
        import ray

        ray.shutdown()
        _joined = False


def _one_line(error: BaseException) -> str:
    """The message; of a worker's error, whose message is a trace, that of its innermost cause."""
    while (cause := getattr(error, "cause", None) or error.__cause__) is not None:
        error = cause
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0 if len(lines) < 3 else -1].strip() if lines else type(error).__name__


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
    for parser in (demo, run):
        add_run_options(parser)
    demo.set_defaults(until=None, cycle=None)
    add_until_options(run)
    _add_set_option(plan)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What `lmtx run` and every job share."""
    _add_set_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would run and stop")


def _add_set_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c",
                        help="override a setting (repeatable)")  # fmt: skip


def add_until_options(parser: argparse.ArgumentParser) -> None:
    from lmtx_ray.until import STEPS

    parser.add_argument("--until", choices=STEPS, help="stop after this step")
    add_cycle_option(parser)


def add_cycle_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cycle", type=int, metavar="N",
                        help="which one of a repeated step; the first if not given")  # fmt: skip


def _add_tag_verbs(verbs: Any) -> None:
    tag = _verb(verbs, "tag", "tag a file or folder of documents with a bundle", tag_files)
    text = _verb(verbs, "tag-text", "tag one text and print its tags", tag_text)
    for parser in (tag, text):
        parser.add_argument("--bundle", required=True, help="bundle folder")
        parser.add_argument("--top-k", type=_positive, default=5, help="most tags of a document")
        parser.add_argument("--min-probability", type=float, default=0.0)
    tag.add_argument("--input", required=True, help="JSONL, CSV, TSV or Parquet, plain or gz/zst")
    tag.add_argument("--output", required=True, help="folder to publish the tags data set in")
    tag.add_argument("--format", default="auto", choices=FORMATS, help="if no name tells it")
    for name in ("id", "title", "text"):
        tag.add_argument(f"--{name}-field", metavar="NAME", help=f"the {name}'s field in the input")
    tag.add_argument("--dry-run", action="store_true", help="read and count, tag nothing")
    text.add_argument("text", help="the text; - reads standard input")


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
    from lmtx_ray.record import write_record
    from lmtx_ray.report import finished

    config = _load(arguments)
    stop = _stop(arguments, config)
    layout = lay_out(config)
    if stop is None and (summary := finished(config, layout)):
        return summary
    refuse_passing_folder(config.run, "run")
    write_record(config)
    start_ray(config.run)
    from lmtx_ray.cycle import run_cycles
    from lmtx_ray.outcome import finish, finish_at

    result = run_cycles(config, layout, stop)
    return finish(config, result) if stop is None else finish_at(config, result, stop)


def _stop(arguments: argparse.Namespace, config: Any) -> str | None:
    from lmtx_ray.until import stop_name

    if arguments.until:
        return stop_name(arguments.until, arguments.cycle, config.cycles.most)
    if arguments.cycle is not None:
        raise ValueError("--cycle needs --until")
    return None


def refuse_passing_folder(uri: str, option: str) -> None:
    """Of a submitted job the working folder is a copy that the cluster deletes: no place to keep
    anything. Raises ValueError for a location inside it."""
    if JOB_FOLDER in uri:
        raise ValueError(
            f"{option}: {uri} is inside the job's copy of its working folder, which is deleted "
            "afterwards; give an absolute path on storage all nodes share, or an s3:// URI"
        )


def start_ray(output: str | None = None) -> None:
    """Join the cluster RAY_ADDRESS names, or start one on this machine with its CPUs.

    `output`, where it is given, must be seen by every node of the cluster.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import ray

    # "local", as Ray otherwise joins a cluster somebody started here, which refuses num_cpus
    local = {} if os.environ.get("RAY_ADDRESS") else {
        "address": "local", "num_cpus": os.cpu_count() or 1, "include_dashboard": False
    }  # fmt: skip
    global _joined
    ray.init(logging_level=logging.WARNING, log_to_driver=False, **local)
    _joined = True
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    for noisy in ("ray.data", "ray.train", "faiss.loader", "httpx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    if output is not None:
        from lmtx_ray.stages.nodes import require_shared

        require_shared(output)


def tag_files(arguments: argparse.Namespace) -> dict[str, Any]:
    from lmtx_ray.corpus import ColumnMap, DocumentsConfig
    from lmtx_ray.tagging import TagJob, plan_tags, tag_corpus

    columns = ColumnMap(doc_id=arguments.id_field, title=arguments.title_field,
                        text=arguments.text_field)  # fmt: skip
    source = DocumentsConfig(documents=(arguments.input,), format=arguments.format, columns=columns)
    job = TagJob(arguments.bundle, source, arguments.output, arguments.top_k,
                 arguments.min_probability)  # fmt: skip
    if arguments.dry_run:
        return plan_tags(job)
    if not job.step("tags").is_complete():
        start_ray()
    return tag_corpus(job)


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
