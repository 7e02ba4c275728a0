"""The verbs that measure: evaluate, compare."""

from __future__ import annotations

import argparse
import math
import sys
from typing import Any

from lmtx_ray.cli.arguments import add_encoding, add_verb, said_already

GOLD_ABOUT = "CSV, TSV, JSON lines or Parquet: documents with labels, or a row for each pair"


def add_verbs(verbs: Any) -> None:
    """Add them to the command line."""
    _add_evaluate(verbs)
    _add_compare(verbs)


def _add_evaluate(verbs: Any) -> None:
    evaluate = add_verb(verbs, "evaluate", "metrics of tags against gold labels", evaluate_files)
    evaluate.set_defaults(in_words=said_already)
    evaluate.add_argument(
        "--tags",
        "--rankings",
        required=True,
        metavar="URI",
        help="output of lmtx tag, a file of tags, a step of rankings of a run, or a finished run",
    )
    evaluate.add_argument(
        "--gold",
        metavar="FILE",
        help=f"{GOLD_ABOUT}; without it, of a finished run, the opinion of its judge",
    )
    add_gold_options(evaluate)
    _add_matching(evaluate)


def _add_matching(evaluate: argparse.ArgumentParser) -> None:
    """Which documents count, what becomes of the others, and what labels weigh."""
    evaluate.add_argument("--id-field", metavar="NAME", help="the tags' column of document ids")
    evaluate.add_argument(
        "--matched-only",
        action="store_true",
        help="leave out gold documents without tags, which count as wrong otherwise",
    )
    evaluate.add_argument(
        "--rejects", metavar="FILE", help="CSV to write all rows and labels to that are rejected"
    )
    evaluate.add_argument(
        "--counts-from",
        metavar="FILE",
        help="gold of an annotated corpus, to count its labels: adds PSP@k, in which rare labels "
        "weigh more",
    )
    evaluate.add_argument(
        "--propensity",
        type=_propensity,
        default="0.55,1.5",
        metavar="A,B",
        help="of PSP@k: 0.5,0.4 for Wikipedia's sets, 0.6,2.6 for Amazon's; default: 0.55,1.5",
    )
    add_self_matches(evaluate)


def add_self_matches(parser: argparse.ArgumentParser) -> None:
    """Pairs of a document and a label that count on no side, and which rows they count."""
    parser.add_argument(
        "--self-matches",
        metavar="FILE",
        help="rows of a document and of a label, from 0, that count on no side: such as "
        "filter_labels_test.txt",
    )
    parser.add_argument(
        "--rows-of",
        metavar="FILE",
        help="the documents whose rows --self-matches and matrices (.txt) count; default: the gold",
    )


def _propensity(text: str) -> tuple[float, float]:
    try:
        a, b = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not two numbers, such as 0.6,2.6") from None
    if not (0 <= a < math.inf and 0 < b < math.inf):
        raise argparse.ArgumentTypeError(f"{text!r}: needs A of at least 0 and B of more than 0")
    return a, b


def _add_compare(verbs: Any) -> None:
    compare = add_verb(
        verbs, "compare", "paired differences of two runs or two outputs of tags", compare_sides
    )
    compare.set_defaults(in_words=said_already)
    for name in ("a", "b"):
        compare.add_argument(
            name,
            metavar=name.upper(),
            help="a finished run (folder or YAML file), an output of lmtx tag, or a file of tags",
        )
    compare.add_argument(
        "--gold",
        metavar="FILE",
        help=f"{GOLD_ABOUT}; without it the runs' own test documents, or their judge's opinion",
    )
    add_gold_options(compare)
    add_self_matches(compare)
    compare.add_argument(
        "--documents",
        action="append",
        default=[],
        metavar="URI",
        help="files with the documents' titles, where the tags do not tell what was tagged",
    )


def add_gold_columns(parser: argparse.ArgumentParser, files: str = "gold") -> None:
    """How gold is read: its columns, and the encoding of it and other `files`."""
    parser.add_argument("--gold-id", metavar="NAME", help="the gold's column of document ids")
    parser.add_argument("--gold-labels", metavar="NAME", help="the gold's column of labels")
    parser.add_argument(
        "--separator",
        metavar="TEXT",
        help="between labels in one cell of the gold; found out by itself if not given",
    )
    add_encoding(parser, files)


def add_gold_options(parser: argparse.ArgumentParser) -> None:
    """How gold is read, and the label set it is read by."""
    add_gold_columns(parser, "gold, labels and documents")
    names = parser.add_mutually_exclusive_group()
    names.add_argument("--labels", metavar="FILE", help="the label set: unknown gold is rejected")
    names.add_argument(
        "--bundle", metavar="URI", help="the same, of a bundle, or a run for its newest one"
    )
    names.add_argument("--run", metavar="RUN", help="the same, of a run: its folder or YAML file")


def gold_source(arguments: argparse.Namespace, file: str) -> Any:
    """How a gold file is read, by the options of `add_gold_options`."""
    from lmtx_ray.corpus.gold import GoldSource

    named = arguments.gold_id, arguments.gold_labels, arguments.separator
    return GoldSource((file,), *named, encoding=arguments.encoding)


def label_set(arguments: argparse.Namespace) -> Any:
    """The names of the label set that was given, None without one."""
    from lmtx_ray.loop.label_sources import label_names

    if arguments.run:
        from lmtx_ray.loop.finished_run import open_finished
        from lmtx_ray.loop.sides import names_of_run

        return names_of_run(open_finished(arguments.run))
    given = arguments.labels or arguments.bundle
    return label_names(given, arguments.encoding) if given else None


def evaluate_files(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx evaluate`: the metrics, also as tables on standard error."""
    from dataclasses import replace

    from lmtx_ray.batch.tag_files import read_tag_file
    from lmtx_ray.evaluation.rendering import evaluation_text
    from lmtx_ray.loop.evaluating import count_labels, evaluate
    from lmtx_ray.loop.sides import side_of
    from lmtx_ray.loop.texts import is_run

    if not arguments.gold:
        return _opinion(arguments.tags)
    labels = label_set(arguments)
    gold = gold_source(arguments, arguments.gold)
    ids = rows_counted(arguments, gold, arguments.tags)
    if is_run(arguments.tags):
        run = side_of(arguments.tags)
        tags, labels = run.answers(), labels or run.names
    else:
        tags = read_tag_file(arguments.tags, arguments.id_field, ids)
    gold = replace(gold, row_ids=ids)
    counts: dict[str, Any] = {}
    if arguments.counts_from:
        counts = count_labels(gold_source(arguments, arguments.counts_from), tags, labels)
    options = {"matched_only": arguments.matched_only, "rejects": arguments.rejects}
    options |= {"propensity": arguments.propensity, "row_ids": ids}
    options["self_matches"] = arguments.self_matches
    summary = evaluate(tags, gold, labels, **options, **counts)
    print(evaluation_text(summary), file=sys.stderr)
    return summary


def rows_counted(arguments: argparse.Namespace, gold: Any, *tags: str) -> tuple[str, ...] | None:
    """Ids of the rows that matrices count, by the file that was named or by gold; None where gold
    is a matrix itself and the rows have numbers alone."""
    from lmtx_ray.config.corpus import ColumnMap, DocumentsConfig
    from lmtx_ray.corpus.gold import gold_row_ids
    from lmtx_ray.corpus.self_matches import row_ids
    from lmtx_ray.corpus.sparse_rows import is_sparse

    if arguments.rows_of:
        columns = ColumnMap(doc_id=getattr(arguments, "gold_id", None))
        files = (arguments.rows_of,)
        how = DocumentsConfig(documents=files, columns=columns, encoding=arguments.encoding)
        return tuple(row_ids(files, how))
    if gold is None or is_sparse(gold.files[0]):
        return None
    counted = arguments.self_matches or any(map(is_sparse, tags))
    return tuple(gold_row_ids(gold)) if counted else None


def _opinion(place: str) -> dict[str, Any]:
    from lmtx_ray.config.loading import ConfigError
    from lmtx_ray.evaluation.rendering import judged_text
    from lmtx_ray.io import storage
    from lmtx_ray.loop.finished_run import open_finished
    from lmtx_ray.loop.judged import opinion_of
    from lmtx_ray.loop.texts import is_run

    if not storage.exists(place):
        raise ConfigError(f"{place}: no such file or folder")
    if not is_run(place):
        raise ConfigError(f"{place}: tags need --gold, or people: see lmtx sample-for-review")
    found = opinion_of(open_finished(place))
    print(judged_text(found), file=sys.stderr)
    return found


def compare_sides(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx compare`: the differences, also as a table and examples on standard error."""
    from dataclasses import replace

    from lmtx_ray.evaluation.rendering import comparison_text
    from lmtx_ray.loop.comparing import compare

    gold = gold_source(arguments, arguments.gold) if arguments.gold else None
    labels = label_set(arguments)
    ids = rows_counted(arguments, gold, arguments.a, arguments.b)
    gold = gold and replace(gold, row_ids=ids)
    found = compare(
        *(arguments.a, arguments.b, gold, labels, arguments.documents),
        self_matches=arguments.self_matches,
        row_ids=ids,
        encoding=arguments.encoding,
    )
    print(comparison_text(found), file=sys.stderr)
    return found
