"""The verbs of people who look at tags: sample-for-review, review-score."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import Any

from lmtx_ray.cli.arguments import add_encoding, add_verb, positive, said_already

WORDS = (
    "in the column `correct` write yes, y, true, t, 1, right, correct, ja, j, richtig or wahr;\n"
    "no, n, false, f, 0, wrong, incorrect, nein or falsch; leave what you do not know empty, or "
    "write ?"
)


def add_verbs(verbs: Any) -> None:
    """Add them to the command line."""
    _add_sample(verbs)
    score = add_verb(verbs, "review-score", "what people said of a sample of tags", score_file)
    score.set_defaults(in_words=said_already)
    score.description = f"{score.description}; {WORDS}"
    score.add_argument("file", help="the filled-in file of sample-for-review")
    score.add_argument(
        "--wrong",
        type=_share,
        default=0.1,
        metavar="SHARE",
        help="share of tags that may be wrong, for the suggested probability; default: 0.1",
    )
    place = score.add_mutually_exclusive_group()
    place.add_argument(
        "--store",
        metavar="URI",
        help="verdict store that the answers enter as those of people, which outrank any model's",
    )
    place.add_argument("--run", metavar="RUN", help="the same, the store of a finished run")


def _add_sample(verbs: Any) -> None:
    sample = add_verb(
        verbs, "sample-for-review", "write a CSV of tags for people to check", write_sample
    )
    sample.add_argument(
        "place",
        metavar="RUN_OR_TAGS",
        help="a finished run (folder or YAML file), an output of lmtx tag, or a file of tags",
    )
    sample.add_argument(
        "--output",
        default="review.csv",
        metavar="FILE",
        help="CSV to write; one with answers is never overwritten; default: review.csv",
    )
    sample.add_argument("--size", type=positive, default=200, help="tags; default: 200")
    sample.add_argument("--seed", type=int, default=13, help="another one draws other tags")
    sample.add_argument(
        "--top-k", type=positive, default=5, help="tags of a document of a run; default: 5"
    )
    sample.add_argument(
        "--characters", type=positive, default=700, help="most of a text shown; default: 700"
    )
    sample.add_argument("--run", metavar="RUN", help="show what the judge of this run said of tags")
    sample.add_argument(
        "--documents",
        action="append",
        default=[],
        metavar="URI",
        help="files with the texts, where the tags do not tell what was tagged (repeatable)",
    )
    for name in ("id", "title", "text"):
        sample.add_argument(f"--{name}-field", metavar="NAME", help=f"the {name}'s field in them")
    add_encoding(sample, "documents")


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"needs a share from 0 to below 1, got {text!r}")
    return share


def write_sample(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx sample-for-review`: how many tags it wrote, also in words on standard error."""
    from lmtx_ray.config.corpus import ColumnMap
    from lmtx_ray.loop.review_sample import sample_for_review

    found = sample_for_review(
        arguments.place,
        arguments.output,
        size=arguments.size,
        seed=arguments.seed,
        top_k=arguments.top_k,
        characters=arguments.characters,
        documents=arguments.documents,
        columns=ColumnMap(
            doc_id=arguments.id_field, title=arguments.title_field, text=arguments.text_field
        ),
        encoding=arguments.encoding,
        run=arguments.run,
    )
    then = ["lmtx", "review-score", found["output"]]
    then += ["--run", found["run"]] if found["run"] else []
    print(
        f"{found['tags']} of {found['of']:,} tags, of {found['documents']} documents, are in "
        f"{found['output']}; write yes or no in the column `correct`, then: {shlex.join(then)}",
        file=sys.stderr,
    )
    return found


def score_file(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx review-score`: the numbers, also as text on standard error."""
    from lmtx_ray.evaluation.rendering import judged_text, review_text
    from lmtx_ray.loop.review_score import score

    run = _run(arguments)
    found = score(arguments.file, arguments.wrong, _store(arguments, run))
    print(review_text(found), file=sys.stderr)
    if run:
        from lmtx_ray.loop.judged import opinion_of

        found["opinion"] = opinion_of(run)
        print(judged_text(found["opinion"]), file=sys.stderr)
    if "stored" in found:
        told = found["stored"]
        print(f"answers of people are kept in {told['store']}", file=sys.stderr)
    return found


def _run(arguments: argparse.Namespace) -> Any:
    """The finished run that was named, before its store changes what its config means."""
    from lmtx_ray.loop.finished_run import open_finished

    return open_finished(arguments.run) if arguments.run else None


def _store(arguments: argparse.Namespace, run: Any) -> Any:
    from lmtx_ray.verdicts.store import VerdictStore

    if run:
        return run.config.verdict_store
    return VerdictStore(arguments.store) if arguments.store else None
