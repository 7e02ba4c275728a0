"""The verb that looks for missing labels: gaps."""

from __future__ import annotations

import argparse
import csv
import io
from typing import Any

from lmtx_ray.cli.arguments import add_encoding, add_verb, positive, probability

COLUMNS = ("documents", "cosine", "words", "nearest_labels", "examples", "example_ids")


def add_verbs(verbs: Any) -> None:
    """Add it to the command line."""
    about = "documents that no label fits, in clusters: candidates for missing labels"
    verb = add_verb(verbs, "gaps", about, show_gaps)
    verb.set_defaults(in_words=in_words)
    verb.add_argument("tags", help="an output of lmtx tag, or a file of tags")
    verb.add_argument(
        "documents",
        nargs="*",
        help="files with the texts, where the tags do not tell what was tagged",
    )
    verb.add_argument(
        "--threshold",
        type=probability,
        metavar="P",
        help="a tag of less fits nothing (default: the bundle's least probability, else 0.5)",
    )
    verb.add_argument(
        "--clusters", type=positive, metavar="N", help="how many (default: by the documents)"
    )
    verb.add_argument(
        "--bundle", required=True, help="the one that made the tags, or a run for its newest one"
    )
    verb.add_argument("--output", metavar="FILE", help="write the clusters there too, as CSV")
    for name in ("id", "title", "text"):
        verb.add_argument(
            f"--{name}-field", metavar="NAME", help=f"the {name}'s field in documents"
        )
    add_encoding(verb, "documents")


def show_gaps(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx gaps`: the clusters; as CSV too where an output is named."""
    from lmtx_ray.bundle.cache import require_bundle
    from lmtx_ray.config.corpus import ColumnMap
    from lmtx_ray.io import storage
    from lmtx_ray.loop.gaps import find_gaps

    require_bundle(arguments.bundle)  # before what takes seconds to import
    columns = ColumnMap(
        doc_id=arguments.id_field, title=arguments.title_field, text=arguments.text_field
    )
    found = find_gaps(
        arguments.tags,
        arguments.bundle,
        arguments.documents,
        arguments.threshold,
        arguments.clusters,
        columns,
        arguments.encoding,
    )
    if arguments.output:
        storage.write_bytes(arguments.output, as_csv(found["clusters"]).encode("utf-8-sig"))
        found["output"] = arguments.output
    return found


def as_csv(clusters: list[dict[str, Any]]) -> str:
    """A row for each cluster; what a spreadsheet would compute gets a quote before it."""
    from lmtx_ray.loop.review_file import no_formula

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for cluster in clusters:
        cells = [
            str(cluster["size"]),
            str(cluster["cosine"]),
            " ".join(cluster["words"]),
            " | ".join(f"{near['key']} {near['text']}" for near in cluster["labels"]),
            " | ".join(example["title"] for example in cluster["examples"]),
            " | ".join(example["doc_id"] for example in cluster["examples"]),
        ]
        writer.writerow(map(no_formula, cells))
    return text.getvalue()


def in_words(found: dict[str, Any]) -> str:
    """The clusters for people."""
    lines = [
        f"{found['without_label']:,} of {found['documents']:,} documents have no tag of "
        f"{found['threshold']:g} or more"
    ]
    if found["looked_at"] < found["without_label"]:
        lines[0] += f"; {found['looked_at']:,} of them were looked at"
    for cluster in found["clusters"]:
        near = "; ".join(
            f"{one['text']} ({one['key']}, {one['cosine']:.2f})" for one in cluster["labels"]
        )
        lines += [
            "",
            f"{cluster['size']:,} documents: {', '.join(cluster['words']) or 'no telling words'}",
            f"  nearest labels: {near}",
            *(f"  · {example['title']}" for example in cluster["examples"]),
        ]
    return "\n".join(lines)
