"""What descriptions, aliases and parents are worth in what the encoder reads of a label.

    python -m benchmarks.label_texts --data FOLDER [--quick] [--encoder minilm] [--output FILE]

The untouched encoder, exact search, all labels; P@1, R@10, R@100 and the paired difference to the
label's text alone, with its 95 % interval over documents. No label set at hand has all fields as
they are, so they are made of what it has:

- debtags: of a tag such as works-with-format::html the text is "html" and the parent "works with
  format", both as the key spells them; the description is what the vocabulary says of it ("HTML,
  Hypertext Markup Language", parent "Supports Format"). `titles` is what the set calls its labels.
- mesh-reviews: names that are turned around for an alphabetical list ("Hypertension, Pulmonary",
  4,088 of 29,351) have the natural order as their alias. It has neither descriptions nor parents.
  "vectors of aliases" are those of `encoder.label_vectors: aliases`: the best of a label's counts.

--quick takes 300 documents of each set and, of more than 5,000 labels, one in ten and all that are
right for a document.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.quality_sets import Document, Sizes, gold_of, texts_of
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.config.models import resolve_model
from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.label_texts import encoder_texts, row_texts
from lmtx_ray.evaluation.metrics import bootstrap_difference, precision_at_k, recall_at_k
from lmtx_ray.student.encoder import Encoder

PLAIN, EACH = "{text}", "vectors of aliases"
TEMPLATES = {
    "debtags": (
        "{text}: {description}",
        "{parents}: {text}",
        "{text} ({parents}): {description}",
        "{parents}: {text}. {description}",
    ),
    "mesh-reviews": ("{text} ({aliases})", "{aliases}: {text}"),
}
MEASURES = {"P@1": (precision_at_k, 1), "R@10": (recall_at_k, 10), "R@100": (recall_at_k, 100)}
DEPTH = 100
DOCUMENTS, MANY, STEP = 300, 5000, 10  # of --quick


def labels_of(folder: Path) -> pa.Table:
    """A `labels` table; facets of debtags come behind its labels, as parents only."""
    with gzip.open(folder / "labels.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    made = [(_tag if folder.name == "debtags" else _heading)(row) for row in rows]
    facets = dict.fromkeys(key for row in made for key in row.get("parent_keys", ()))
    made += [{"label_key": key, "text": key.replace("-", " ")} for key in facets]
    numbered = [{"label_id": place, **row} for place, row in enumerate(made)]
    return pa.Table.from_pylist(numbered, schema=schemas.LABELS)


def _tag(row: dict[str, str]) -> dict[str, Any]:
    facet, _, name = row["uid"].partition("::")
    text = name.replace("-", " ").replace(":", " ")
    about = row["title"].partition(": ")[2]
    return {
        "label_key": row["uid"],
        "text": text,
        "description": about,
        "parent_keys": [facet],
    }


def _heading(row: dict[str, str]) -> dict[str, Any]:
    parts = row["title"].split(", ")
    turned = [" ".join(reversed(parts))] if len(parts) > 1 else None
    return {"label_key": row["uid"], "text": row["title"], "aliases": turned}


class Vectors:
    """Vectors of label texts, each text once over all templates."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._known = encoder, {}

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [L, D]."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= zip(new, self._encoder.encode(new, "label"), strict=True)
        return np.stack([self._known[text] for text in texts])


def measured(scores_BL: np.ndarray, truth: list[frozenset[int]]) -> dict[str, np.ndarray]:
    """Measure -> its values of the documents, float64 [B]."""
    first_BK = np.argpartition(-scores_BL, DEPTH, axis=1)[:, :DEPTH]
    order_BK = np.argsort(-np.take_along_axis(scores_BL, first_BK, 1), axis=1, kind="stable")
    ids_BK = np.take_along_axis(first_BK, order_BK, 1)
    return {name: measure(ids_BK, truth, k) for name, (measure, k) in MEASURES.items()}


def best_rows(documents_BD: np.ndarray, vectors: Vectors, labels: pa.Table) -> np.ndarray:
    """The score of each label's best text, [B, L]."""
    rows = row_texts(labels, PLAIN, aliases=True)
    starts_L = np.cumsum([0, *map(len, rows[:-1])])
    scores_BR = documents_BD @ vectors.of([text for texts in rows for text in texts]).T
    return np.maximum.reduceat(scores_BR, starts_L, axis=1)


def run_set(folder: Path, quick: bool, encoder: EncoderConfig) -> dict[str, Any]:
    started = time.monotonic()
    texts = texts_of(folder, 1, Sizes(documents=1, test=DOCUMENTS if quick else 0))
    documents: list[Document] = texts.test
    gold = gold_of(folder)
    right = [gold[document.doc_id] for document in documents]
    step = STEP if quick and len(texts.labels) > MANY else 1
    kept = sorted(set().union(*right, range(0, len(texts.labels), step)))
    place = {label: new for new, label in enumerate(kept)}
    truth = [frozenset(place[label] for label in labels) for labels in right]
    reader = Encoder(encoder)
    documents_BD = reader.encode([document.whole for document in documents], "document")
    table, vectors = labels_of(folder), Vectors(reader)
    named = {"titles": [texts.labels[n] for n in kept]} if folder.name == "debtags" else {}
    for template in (PLAIN, *TEMPLATES[folder.name]):
        named[template] = encoder_texts(table.take(kept), template, table)
    scores = {name: documents_BD @ vectors.of(own).T for name, own in named.items()}
    if folder.name == "mesh-reviews":
        scores[EACH] = best_rows(documents_BD, vectors, table.take(kept))
    values = {name: measured(scores_BL, truth) for name, scores_BL in scores.items()}
    return {
        "documents": len(documents),
        "labels": len(kept),
        "templates": {name: told(own, values[PLAIN]) for name, own in values.items()},
        "seconds": round(time.monotonic() - started),
    }


def told(own: dict[str, np.ndarray], plain: dict[str, np.ndarray]) -> dict[str, Any]:
    """Per cent of each measure, and the difference to the plain text with its interval."""
    found: dict[str, Any] = {}
    for name, values_B in own.items():
        found[name] = round(100 * float(values_B.mean()), 1)
        if own is not plain:
            mean, low, high = bootstrap_difference(values_B, plain[name], seed=7)
            found[f"{name} gain"] = [round(100 * one, 1) for one in (mean, low, high)]
    return found


def asked(sets: dict[str, Any]) -> dict[str, Any]:
    """Whether a template beats the plain text in R@100 on every set that can fill it."""
    better = {
        name: [
            template
            for template, found in own["templates"].items()
            if found.get("R@100 gain", [0, 0])[1] > 0
        ]
        for name, own in sets.items()
    }
    return {"default": PLAIN, "R@100 surely better than the default": better}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with a folder for each set"
    )
    parser.add_argument("--set", nargs="+", choices=[*TEMPLATES], default=[*TEMPLATES])
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--quick", action="store_true", help="300 documents, fewer labels")
    parser.add_argument("--output", type=Path, help="write the result there too")
    given = parser.parse_args()
    encoder = EncoderConfig(model=resolve_model(given.encoder), label_tokens=64)
    sets = {}
    for name in given.set:
        sets[name] = run_set(given.data / name, given.quick, encoder)
        print(name, json.dumps(sets[name]), flush=True)
    result = {"encoder": given.encoder, "quick": given.quick, "sets": sets, "asked": asked(sets)}
    if given.output:
        given.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
