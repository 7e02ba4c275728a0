"""The verbs of the judge and its verdicts: judge-check, verdicts stats, export, import, merge."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any

from lmtx_ray.cli.arguments import add_set_option, add_verb, positive, said_already

COLUMNS = ["document", "label", "answer", "p_yes", "mass", "raw", "prompt", "teacher", "source"]


def add_verbs(verbs: Any, load: Callable[[argparse.Namespace], Any], start_ray: Any) -> None:
    """Add them to the command line; `load` reads the config of the parsed arguments."""
    _add_check(verbs, load, start_ray)
    about = "the verdict store: what judges and people said"
    parser = verbs.add_parser("verdicts", help=about, description=about)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    stats = add_verb(actions, "stats", "verdicts of each judge, counted", show_stats)
    stats.set_defaults(in_words=said_already)
    export = add_verb(actions, "export", "write verdicts to a file", export_file)
    take = add_verb(
        actions, "import", "add the verdicts of a file; people's outrank any model's", import_file
    )
    merge = add_verb(actions, "merge", "merge small files (happens by itself too)", merge_parts)
    for action in (stats, export, take, merge):
        action.add_argument(
            "place", help="YAML file or folder of a run, or a store's folder or URI"
        )
        add_set_option(action, "a setting of the run")
        action.set_defaults(load=load)
    _add_export_options(export)
    take.add_argument(
        "file",
        help=".parquet, .jsonl, .csv or .tsv with doc_id (or document), "
        "label_key, label_text (or label) and answer",
    )


def _add_export_options(export: argparse.ArgumentParser) -> None:
    export.add_argument("output", help=".parquet, .jsonl or .csv file to write")
    export.add_argument(
        "--keys",
        action="store_true",
        help="with doc_id and label_key; only verdicts on this run's documents",
    )
    export.add_argument("--texts", action="store_true", help="with the texts too")
    export.add_argument(
        "--all-judges",
        action="store_true",
        help="also those of other judges, prompts and revisions",
    )


def _add_check(verbs: Any, load: Callable[[argparse.Namespace], Any], start_ray: Any) -> None:
    check = add_verb(
        verbs, "judge-check", "is this judge any good here, and what does it cost", check_judge
    )
    check.set_defaults(load=load, start_ray=start_ray, in_words=said_already)
    check.add_argument("config", help="YAML file of the run")
    add_set_option(check)
    check.add_argument("--pairs", type=positive, default=200, help="shortlisted pairs to ask about")
    check.add_argument(
        "--expected",
        metavar="FILE",
        help="pairs with the right answer: doc_id, label_key or label_text, answer",
    )
    check.add_argument(
        "--second-prompt",
        metavar="NAME",
        help="to see whether it agrees with itself; none: do not ask twice",
    )


def check_judge(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx judge-check`: the numbers, also as text on standard error."""
    from lmtx_ray.loop.judge_check import check
    from lmtx_ray.loop.judge_numbers import render

    config = arguments.load(arguments)
    result = check(
        config, arguments.pairs, arguments.expected, arguments.second_prompt, arguments.start_ray
    )
    print(render(result), file=sys.stderr)
    return result


def _store(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """(store, config of the run or None)."""
    from lmtx_ray.config.loading import is_yaml_file
    from lmtx_ray.loop.run_verdicts import store_at

    if not is_yaml_file(arguments.place):
        return store_at(arguments.place, may_be_new=arguments.action == "import"), None
    arguments.config = arguments.place
    config = arguments.load(arguments)
    return config.verdict_store, config


def show_stats(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx verdicts stats`: an entry for each judge, also as text on standard error."""
    from lmtx_ray.verdicts.reading import stats

    store, _ = _store(arguments)
    found = stats(store)
    for entry in found:
        about = entry["about"]
        name = f"{about.get('model') or about.get('kind') or ''} {entry['judge']}".strip()
        mass = "" if entry["mass"] is None else f", mean mass {entry['mass']:.2f}"
        print(
            f"{name}: {entry['verdicts']:,} verdicts, {entry['yes']:,} yes, {entry['no']:,} no, "
            f"{entry['unclear']:,} unclear{mass}",
            file=sys.stderr,
        )
    return {"store": store.uri, "judges": found}


def export_file(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx verdicts export`: how many verdicts it wrote. Raises ConfigError where keys or texts
    are asked of a store alone."""
    from lmtx_ray.config.loading import ConfigError, is_yaml_file
    from lmtx_ray.verdicts.exchange import write_rows

    named = arguments.keys or arguments.texts
    if named and not is_yaml_file(arguments.place):
        raise ConfigError("--keys and --texts need the run's YAML file, not only a store")
    store, config = _store(arguments)
    columns = [
        *COLUMNS,
        *(["doc_id", "label_key"] if named else []),
        *(["document_text", "label_text"] if arguments.texts else []),
    ]
    rows = write_rows(_rows(arguments, store, config, named), arguments.output, columns)
    return {"store": store.uri, "output": arguments.output, "verdicts": rows}


def _rows(arguments: argparse.Namespace, store: Any, config: Any, named: bool) -> Iterator[Any]:
    from lmtx_ray.loop.layout import lay_out
    from lmtx_ray.loop.run_verdicts import judges_of, named_rows
    from lmtx_ray.verdicts.exchange import rows_of
    from lmtx_ray.verdicts.reading import read_all

    layout = lay_out(config) if config else None
    for partition in judges_of(store, None if arguments.all_judges else layout):
        if named and layout:
            yield from named_rows(layout, partition)
        else:
            yield from rows_of(read_all(partition))


def import_file(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx verdicts import`: what was taken and what was not."""
    from lmtx_ray.corpus.lines import CorpusError
    from lmtx_ray.loop.run_verdicts import keep_rejects, resolver_for
    from lmtx_ray.verdicts.exchange import import_rows

    store, config = _store(arguments)
    counts, rejects = import_rows(store, arguments.file, resolver_for(config, arguments.file))
    kept = keep_rejects(store, rejects)
    for reject in rejects[:5]:
        print(f"row {reject['position']}: {reject['reason']}", file=sys.stderr)
    if not counts:
        first = f": row {rejects[0]['position']}: {rejects[0]['reason']}" if rejects else ""
        raise CorpusError(f"{arguments.file}: no verdict to import{first}")
    return {"store": store.uri, "imported": counts, "rejected": len(rejects), "rejects": kept}


def merge_parts(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx verdicts merge`: of how many judges parts were merged."""
    from lmtx_ray.corpus.schemas import HUMAN
    from lmtx_ray.loop.run_verdicts import judges_of
    from lmtx_ray.verdicts.layers import merge_if_due

    store, _ = _store(arguments)
    partitions = [p for p in judges_of(store, None) if not p.uri.endswith(f"/{HUMAN}")]
    return {"store": store.uri, "merged": sum(merge_if_due(one, many=1) for one in partitions)}
