"""How well labels are found that no training knew: some are left out of everything, and are added
to the trained encoder afterwards, as `lmtx labels add` does.

    python -m benchmarks.new_labels --data FOLDER [--set debtags] [--share 0.1] [--seeds 3]
    python -m benchmarks.new_labels --data FOLDER --quick

`--data` is as for `benchmarks.quality`, whose simulated judge, recipe and documents these are. Test
documents are those with at least one of the labels that were left out. Each row ranks all labels,
new ones too: by the untouched encoder, by the one that was trained without them, and by one that
was trained with them (not in a quick one); alone and fused with words. "new" counts a document's
new labels alone.
Differences are paired over documents, with 95 % intervals. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import SMALL, prepare_environment

LEAST_DIFFERENCE = -1.0  # points that training may cost new labels
ROWS = ("untouched", "trained without", "trained with")


@dataclass(frozen=True)
class Options:
    """What is measured."""

    folder: Path
    share: float
    seeds: int
    documents: int
    test: int
    cycles: int
    top_k: int
    fit: Mapping[str, Any]
    encoder: str
    quick: bool


def arguments(given: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", required=True, help="folder with a folder for each set")
    add("--set", default="debtags")
    add("--encoder", default="minilm")
    add("--share", type=float, default=0.1, help="of the labels that are left out")
    add("--seeds", type=int, default=3)
    add("--documents", type=int, default=900, help="to train on; 0 for all")
    add("--test", type=int, default=0, help="to test on, at most; 0 for all")
    add("--cycles", type=int, default=1)
    add("--top-k", type=int, default=20)
    add("--quick", action="store_true", help="few documents, one seed: minutes on two cores")
    got = parser.parse_args(given)
    if got.quick:
        got.seeds, got.documents, got.test = 1, 160, 200
    fit = dict(SMALL["default"]) if got.quick else {}
    folder = Path(got.data) / got.set
    sizes = got.documents, got.test
    how: tuple[Any, ...] = got.cycles, got.top_k, fit, got.encoder, got.quick
    return Options(folder, got.share, got.seeds, *sizes, *how)


def left_out(labels: int, share: float, seed: int) -> np.ndarray:
    """Ids of the labels that training does not know, ascending."""
    order = np.random.default_rng(seed).permutation(labels)
    return np.sort(order[: max(round(share * labels), 1)])


def trained(
    options: Options, texts: Any, gold: Any, known: np.ndarray, seed: int, work: str
) -> str:
    """The folder of an encoder that was trained on the labels `known` alone: judge, examples and
    contrast see no other."""
    from benchmarks.quality_judge import SimulatedJudge, Verdicts
    from benchmarks.quality_methods import Settings
    from benchmarks.quality_states import DEPTH, Bench, vectors_of
    from lmtx_ray.config.components import EncoderConfig, FitConfig
    from lmtx_ray.config.models import resolve_model
    from lmtx_ray.search.lexical import LexicalIndex
    from lmtx_ray.student.encoder import Encoder
    from lmtx_ray.student.pseudo_labels import build_examples

    config = EncoderConfig(model=resolve_model(options.encoder), token_budget=4096)
    place = {int(label): n for n, label in enumerate(known)}
    own = replace(texts, labels=[texts.labels[label] for label in known])
    right = {
        doc_id: frozenset(place[label] for label in labels if label in place)
        for doc_id, labels in gold.items()
    }
    encoder, lexical = Encoder(config), LexicalIndex.build(own.labels)
    words = lexical.search([document.whole for document in own.train], DEPTH)
    vectors = vectors_of(encoder, own.train)
    labels_LD = encoder.encode(own.labels, "label")
    bench = Bench(own, config, Path(work), labels_LD, {"train": vectors}, {"train": words}, Path())
    judge, asked = SimulatedJudge(right, seed), Verdicts(own.train)
    fit = FitConfig.model_validate({**options.fit, "seed": seed})
    pseudo = Settings(fit, fit, fit, fit).pseudo_labels
    model, side = config.model, bench.untouched(["train"])["train"]
    for cycle in range(options.cycles):
        asked.ask(judge, side.fused_BK[:, : options.top_k].tolist())
        examples = build_examples(asked.table(), pseudo, fit.seed)
        model = bench.trained(model if fit.init == "previous" else config.model, examples, fit)
        if cycle + 1 < options.cycles:
            side = bench.state(model, ["train"])["train"]
    return model


def rankings(model: str, labels: list[str], documents: Sequence[Any]) -> dict[str, np.ndarray]:
    """ids_BK of all labels by an encoder: alone, and fused with words."""
    from benchmarks.quality_states import DEPTH, Side, vectors_of
    from lmtx_ray.config.components import EncoderConfig
    from lmtx_ray.search.lexical import LexicalIndex
    from lmtx_ray.student.encoder import Encoder

    encoder = Encoder(EncoderConfig(model=model, token_budget=4096))
    words = LexicalIndex.build(labels).search([document.whole for document in documents], DEPTH)
    vectors_BD = vectors_of(encoder, documents)
    side = Side.of(vectors_BD, encoder.encode(labels, "label"), words)
    return {"alone": side.dense[0], "fused": side.fused_BK}


def values_of(ids_BK: np.ndarray, truth: Sequence[Any], new: frozenset[int]) -> dict[str, Any]:
    """Of each document: float64 [B] by measure."""
    from lmtx_ray.evaluation import metrics

    only = [frozenset(labels & new) for labels in truth]
    return {
        "P@1": metrics.precision_at_k(ids_BK, truth, 1),
        "R@10": metrics.recall_at_k(ids_BK, truth, 10),
        "new P@1": metrics.precision_at_k(ids_BK, only, 1),
        "new R@10": metrics.recall_at_k(ids_BK, only, 10),
    }


def measured(options: Options, seed: int) -> tuple[dict[str, dict[str, np.ndarray]], int]:
    """(row -> measure -> a value of each document, how many labels were left out)."""
    from benchmarks.quality_sets import Sizes, gold_of, texts_of
    from lmtx_ray.config.models import resolve_model

    texts = texts_of(options.folder, seed, Sizes(options.documents, 1, 0))
    gold = gold_of(options.folder)
    new = left_out(len(texts.labels), options.share, seed)
    ids = frozenset(new.tolist())
    carrying = [document for document in texts.test if gold[document.doc_id] & ids]
    carrying = carrying[: options.test or len(carrying)]
    truth = [gold[document.doc_id] for document in carrying]
    everything = np.arange(len(texts.labels))
    found: dict[str, dict[str, np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as work:
        models = {
            ROWS[0]: resolve_model(options.encoder),
            ROWS[1]: trained(options, texts, gold, np.setdiff1d(everything, new), seed, work),
        }
        if not options.quick:
            other = Path(work, "with")
            other.mkdir()
            models[ROWS[2]] = trained(options, texts, gold, everything, seed, str(other))
        for name, model in models.items():
            for kind, ids_BK in rankings(model, texts.labels, carrying).items():
                found[f"{name}, {kind}"] = values_of(ids_BK, truth, ids)
    return found, len(new)


def told(values: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Means in points of each row, and differences to the untouched encoder with intervals."""
    from lmtx_ray.evaluation.metrics import bootstrap_difference

    table: dict[str, Any] = {}
    for row, measures in values.items():
        base = values[f"{ROWS[0]}, {row.rsplit(', ', 1)[1]}"]
        table[row] = {}
        for name, own_B in measures.items():
            difference, *interval = bootstrap_difference(own_B, base[name], seed=1)
            table[row][name] = {
                "mean": round(100 * float(own_B.mean()), 1),
                "difference": round(100 * difference, 1),
                "interval": [round(100 * end, 1) for end in interval],
            }
    return table


def run(options: Options) -> dict[str, Any]:
    started, parts, counts = time.monotonic(), [], []
    for seed in range(1, options.seeds + 1):
        values, count = measured(options, seed)
        parts.append(values)
        counts.append(count)
        print(f"seed {seed}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    values = {
        row: {name: np.concatenate([part[row][name] for part in parts]) for name in parts[0][row]}
        for row in parts[0]
    }
    table = told(values)
    difference = table[f"{ROWS[1]}, fused"]["new R@10"]["difference"]
    return {
        "set": options.folder.name,
        "left_out": counts,
        "documents": len(values[f"{ROWS[0]}, fused"]["P@1"]),
        "trained_on": options.documents,
        "cycles": options.cycles,
        "seconds": round(time.monotonic() - started, 1),
        "rows": table,
        "asked": [
            {
                "what": "points of new labels' R@10 by the trained encoder, less the untouched's",
                "value": difference,
                "wanted": LEAST_DIFFERENCE,
                "met": difference >= LEAST_DIFFERENCE,
            }
        ],
    }


def main() -> None:
    prepare_environment(None)
    options = arguments()
    result = run(options)
    kind = "-quick" if options.quick else ""
    folder = Path(__file__).resolve().parent / "results"
    date = datetime.now(UTC).date().isoformat()
    (folder / f"new_labels-{date}{kind}.json").write_text(json.dumps(result, indent=1) + "\n")
    for row, measures in result["rows"].items():
        shown = ", ".join(
            f"{name} {one['mean']} ({one['difference']:+})" for name, one in measures.items()
        )
        print(f"{row}: {shown}", file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
