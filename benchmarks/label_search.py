"""How long a label search takes with each key that a person presses, and its index to make.

    python -m benchmarks.label_search [--labels 1000000] [--output FILE]

Times are of the processor, so that other work on the machine changes them little. Labels are two to
five made-up words of a vocabulary like that of a language: few are frequent.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from lmtx_ray.corpus import schemas
from lmtx_ray.corpus.label_set import LabelSet, save_labels
from lmtx_ray.corpus.label_words import FILE

SYLLABLES = "ba be bi ca co da de fe ga hé ka la lo ma mi na no pa ré ri sa so ta ti va zü".split()
WORDS, QUERIES = 200_000, 200


def made_labels(count: int, draw: random.Random) -> pa.Table:
    made = {"".join(draw.choices(SYLLABLES, k=draw.randint(2, 5))) for _ in range(WORDS)}
    words = sorted(made)
    draw.shuffle(words)
    weights = np.cumsum(1.0 / np.arange(10, len(words) + 10)).tolist()
    texts = [
        " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(2, 5)))
        for _ in range(count)
    ]
    keys = [f"L{number:07}" for number in range(count)]
    table = {"label_id": range(count), "label_key": keys, "text": texts}
    return schemas.conform(pa.table({**table, "parent_keys": [None] * count}), schemas.LABELS)


def keystrokes(texts: list[str], draw: random.Random) -> list[str]:
    """What is in the field after each key, of people who type a label's first two words."""
    typed = []
    for text in draw.sample(texts, QUERIES):
        start = " ".join(text.split()[:2])
        typed += [start[:end] for end in range(1, len(start) + 1)]
    return typed


def milliseconds(labels: LabelSet, queries: list[str]) -> dict[str, float]:
    taken = []
    for query in queries:
        started = time.process_time()
        labels.search(query, 20)
        taken.append((time.process_time() - started) * 1000)
    found = {f"p{share}": round(float(np.percentile(taken, share)), 2) for share in (50, 95, 99)}
    return {**found, "most": round(max(taken), 2)}


def run(count: int) -> dict[str, object]:
    draw = random.Random(7)
    table = made_labels(count, draw)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.process_time()
        save_labels(table, folder)
        saved = time.process_time() - started
        labels = LabelSet.load(folder)
        typed = keystrokes(table["text"].to_pylist(), draw)
        inner = [query[1:] for query in typed if len(query) > 4][:500]  # no word begins so
        return {
            "labels": count,
            "index_mib": round((folder / FILE).stat().st_size / 2**20, 1),
            "made_and_saved_seconds": round(saved, 1),
            "typed_ms": milliseconds(labels, typed),
            "inside_words_ms": milliseconds(labels, inner),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, help="write the result there too")
    arguments = parser.parse_args()
    text = json.dumps(run(arguments.labels), indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
