"""What further texts of labels and stems are worth to the lexical side.

    python -m benchmarks.lexical_texts --data FOLDER [--vocabulary FILE] [--fused] [--output FILE]

German: documents of tib-gnd-core whose title is German, asked by title and by the whole text, with
the words cut by several sets of languages. Its label texts are English, so German words find only
what both languages share. Debtags: the tag's name as an alias, and its description (from the
vocabulary of Debian's package `debtags`) as an alias or as part of the text; with --fused also
fused with the untouched encoder, which reads the own text alone, on every third document. Gold only
evaluates.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.quality_sets import Document, Gold, Sizes, gold_of, texts_of
from lmtx_ray.corpus.language_guess import language_of
from lmtx_ray.evaluation.metrics import precision_at_k, recall_at_k
from lmtx_ray.search.candidates import reciprocal_rank_fusion
from lmtx_ray.search.lexical import LexicalIndex

DEPTH, CUTS, ALL, THIRD = 100, (10, 100), 10**6, 3
RULES = ((), ("de",), ("en",), ("de", "en"))
Label = str | Sequence[str]


def measured(
    labels: Sequence[Label],
    languages: Sequence[str],
    asked: Sequence[str],
    truth: Sequence[frozenset[int]],
    dense_BK: np.ndarray | None = None,
) -> dict[str, float]:
    """Per cent of what an index finds for texts, alone and fused with what the encoder finds."""
    ids_BK, _ = LexicalIndex.build(labels, languages).search(asked, DEPTH)
    found = shares(ids_BK, truth)
    if dense_BK is not None:
        fused_BK, _ = reciprocal_rank_fusion([dense_BK, ids_BK], DEPTH)
        found |= {f"fused {name}": value for name, value in shares(fused_BK, truth).items()}
    return found


def shares(ids_BK: np.ndarray, truth: Sequence[frozenset[int]]) -> dict[str, float]:
    """P@1 and R@k in per cent."""
    recalls = {f"R@{k}": recall_at_k(ids_BK, truth, k) for k in CUTS}
    values = {"P@1": precision_at_k(ids_BK, truth, 1), **recalls}
    return {name: round(100 * float(value.mean()), 2) for name, value in values.items()}


def nearest_labels(labels: Sequence[str], documents: Sequence[Document]) -> np.ndarray:
    """ids_BK of the untouched encoder."""
    from benchmarks.quality_states import nearest, vectors_of
    from lmtx_ray.config.components import EncoderConfig
    from lmtx_ray.student.encoder import Encoder

    encoder = Encoder(EncoderConfig())
    return nearest(vectors_of(encoder, documents), encoder.encode(labels, "label"))[0]


def documents_of(folder: Path) -> tuple[list[str], list[Document], Gold]:
    """Labels, and all documents that have gold."""
    texts, gold = texts_of(folder, 0, Sizes(documents=ALL)), gold_of(folder)
    every = (*texts.train, *texts.held, *texts.test)
    return texts.labels, [one for one in every if gold[one.doc_id]], gold


def german(folder: Path) -> dict[str, object]:
    labels, documents, gold = documents_of(folder)
    own = [one for one in documents if language_of(one.title or "") == "German"]
    truth = [gold[one.doc_id] for one in own]
    asked = {"titles": [one.title or "" for one in own], "whole": [one.whole for one in own]}
    found = {
        f"{name}, {' '.join(rule) or 'English plurals'}": measured(labels, rule, texts, truth)
        for name, texts in asked.items()
        for rule in RULES
    }
    return {"documents": len(own), **found}


def descriptions(vocabulary: Path) -> dict[str, str]:
    """Of each tag, without its first line, which is the label's own text."""
    found = {}
    for block in vocabulary.read_text(encoding="utf-8").split("\n\n"):
        lines = block.strip().splitlines()
        if lines and lines[0].startswith("Tag: "):
            kept = [line.strip() for line in lines if line.startswith(" ") and line.strip() != "."]
            found[lines[0].removeprefix("Tag: ").strip()] = " ".join(kept)
    return found


def tagged(folder: Path, described: dict[str, str]) -> Iterator[tuple[str, list[Label]]]:
    """(way, labels) of debtags."""
    with gzip.open(folder / "labels.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    names = [row["title"].partition(": ")[2] or row["title"] for row in rows]
    own = [row["title"] for row in rows]
    further = [described.get(row["uid"], "") for row in rows]
    yield "own text", list(own)
    yield "and the name alone", [list(pair) for pair in zip(own, names, strict=True)]
    if any(further):
        yield "and the description", [list(pair) for pair in zip(own, further, strict=True)]
        yield "all three", [list(three) for three in zip(own, names, further, strict=True)]
        yield "description in the text", [" ".join(pair) for pair in zip(own, further, strict=True)]


def debtags(folder: Path, vocabulary: Path | None, fused: bool) -> dict[str, object]:
    labels, documents, gold = documents_of(folder)
    documents = documents[::THIRD] if fused else documents
    truth = [gold[one.doc_id] for one in documents]
    dense_BK = nearest_labels(labels, documents) if fused else None
    described = descriptions(vocabulary) if vocabulary else {}
    asked = [one.whole for one in documents]
    found = {
        way: measured(made, (), asked, truth, dense_BK) for way, made in tagged(folder, described)
    }
    return {"documents": len(documents), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the sets")
    parser.add_argument("--vocabulary", type=Path, help="what the package debtags holds")
    parser.add_argument("--only", choices=("german", "debtags"))
    parser.add_argument("--fused", action="store_true", help="also with the untouched encoder")
    parser.add_argument("--output", type=Path, help="write the result there too")
    arguments = parser.parse_args()
    result: dict[str, object] = {}
    if arguments.only != "debtags":
        result["german"] = german(arguments.data / "tib-gnd-core")
    if arguments.only != "german":
        folder = arguments.data / "debtags"
        result["debtags"] = debtags(folder, arguments.vocabulary, arguments.fused)
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
