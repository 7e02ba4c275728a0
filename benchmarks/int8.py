"""What int8 does to the tags, and what it saves: the encoder in float32, bfloat16 and int8.

    python -m benchmarks.int8 [--bundle FOLDER] [--seconds 5] [--output FILE]

The test documents of the sample are searched among its labels' vectors (dense alone, without the
lexical side) with each kind of query vector; the labels' vectors are the bundle's in all cases.
Differences are int8 minus float32 over the same documents, with 95 % paired intervals. Times are of
one thread, CPU milliseconds a document, on texts of about 75 tokens, 1 and 64 in a call.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.plain_bundle import publish_plain, sample_rows
from benchmarks.serving import CHARACTERS, show
from lmtx_ray.bundle.cache import DESCRIPTION
from lmtx_ray.bundle.tagger import Tagger
from lmtx_ray.config.components import EncoderConfig
from lmtx_ray.corpus.text_keys import document_text
from lmtx_ray.evaluation import metrics
from lmtx_ray.io.publish import Dataset
from lmtx_ray.student.encoder import Encoder

MEASURES = {
    "P@1": (metrics.precision_at_k, 1),
    "P@5": (metrics.precision_at_k, 5),
    "R@10": (metrics.recall_at_k, 10),
    "R@100": (metrics.recall_at_k, 100),
}
SEED = 7


def encoders(bundle: str, tagger: Tagger) -> dict[str, Encoder]:
    """The bundle's encoder in each number format."""
    folder = Dataset(bundle).folder()
    description = json.loads(Path(folder, DESCRIPTION).read_text())["encoder"]
    plain = {
        dtype: Encoder(
            EncoderConfig(**{**description, "dtype": dtype, "threads": 1}),
            model=f"{folder}/encoder",
        )
        for dtype in ("float32", "bfloat16")
    }
    return {**plain, "int8": tagger.encoder}


def milliseconds(encoder: Encoder, texts: list[str], size: int, seconds: float) -> float:
    """CPU time of one document, in calls of `size`."""
    encoder.encode(texts[:size], "document")
    calls, ends, spent = 0, time.monotonic() + seconds, time.thread_time()
    while time.monotonic() < ends:
        start = calls * size % len(texts)
        encoder.encode(texts[start : start + size], "document")
        calls += 1
    return round(1000 * (time.thread_time() - spent) / (calls * size), 2)


def run(bundle: str, seconds: float) -> dict[str, Any]:
    tagger = Tagger.load(bundle, threads=1)
    rows = sample_rows("test")
    places = {row["uid"]: place for place, row in enumerate(sample_rows("labels"))}
    if [*places] != [*tagger.labels]:
        raise SystemExit(f"{bundle}: its labels are not the sample's")
    truth = [row["target_ind"] for row in rows]
    documents = [document_text(row["title"], row["content"]) for row in rows]
    short = [text[:CHARACTERS] for text in documents[:256]]
    found, speed = {}, {}
    for name, encoder in encoders(bundle, tagger).items():
        found[name] = tagger.search(encoder.encode(documents, "document"), 100)[0]
        speed[name] = {f"{n}_a_call": milliseconds(encoder, short, n, seconds) for n in (1, 64)}
    values = {
        name: {measure: compute(ids_BK, truth, k) for measure, (compute, k) in MEASURES.items()}
        for name, ids_BK in found.items()
    }
    return {
        "documents": len(rows),
        "metrics": {
            name: {m: round(100 * float(v.mean()), 2) for m, v in own.items()}
            for name, own in values.items()
        },
        "int8_minus_float32": {
            m: difference(values["int8"][m], values["float32"][m]) for m in MEASURES
        },
        "cpu_ms_a_document": speed,
        "bfloat16_over_int8": {
            n: round(ms / speed["int8"][n], 2) for n, ms in speed["bfloat16"].items()
        },
    }


def difference(a_B: np.ndarray, b_B: np.ndarray) -> dict[str, float]:
    """Points of 100, with the interval."""
    names = ("mean", "low", "high")
    found = metrics.bootstrap_difference(a_B, b_B, SEED)
    return {name: round(100 * value, 2) for name, value in zip(names, found, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", help="of the sample's labels; default: the untrained encoder's")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--output", type=Path, help="write the result there too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        bundle = arguments.bundle or publish_plain(Path(work) / "dense")
        result = run(bundle, arguments.seconds)
    show({"bundle": "given" if arguments.bundle else "untrained", **result}, arguments.output)


if __name__ == "__main__":
    main()
