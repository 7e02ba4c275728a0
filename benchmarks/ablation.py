"""What each part of the recipe is worth: one change at a time, on label sets with gold.

    python -m benchmarks.ablation --data FOLDER [--set NAME …] [--seeds 3] [--workers 9]
    python -m benchmarks.ablation --data FOLDER --quick

Data and the simulated judge are those of `benchmarks.quality`. `base` is the product's recipe, in
which documents are cut at 96 tokens; `more` is `base` with four passes at twice the learning rate,
and all below it change one thing of `more`. Each row is a ranking of the test documents after a
cycle: `dense` by the student alone, `hybrid` fused with words by reciprocal rank, `learned` by the
judge's answers on documents held aside (`without memory`: of these two sides only), `trees` the
same by boosted trees, `neighbours alone`, `prototypes X`, where X times the mean vector of its
accepted documents is added to a label, and `hubs lowered`, where labels near to many documents
stand back. Runs that ended stand in `--keep FILE`, and a benchmark that
is started again does the others. The last line of standard output is a JSON of all.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.ablation_table import by_set, table
from benchmarks.quality import FITS, SETS, prepare_environment
from lmtx_ray.io.cores import usable_cores

QUICK = ("base", "neighbours")
BASE_FIT = {"max_tokens": 96}


def variants() -> dict[str, Any]:
    """By name; None is the recipe as published."""
    from benchmarks.ablation_runs import Variant
    from benchmarks.ablation_training import Change

    more = Variant({"passes": 4, "learning_rate": 1e-4})

    def fit(**settings: Any) -> Variant:
        return replace(more, fit={**more.fit, **settings})

    def change(losses: Mapping[str, float] | None = None, **other: Any) -> Variant:
        return replace(more, change=Change(losses or {"contrast": 1.0}, **other))

    return {
        "base": Variant(),
        "paper": None,
        "more": more,
        "neighbours": replace(more, neighbours=True, top_k=(20, 10)),
        "neighbours, three cycles": replace(more, neighbours=True, top_k=(10,), cycles=3),
        "ten pairs": replace(more, top_k=(10,)),
        "half the documents": replace(more, part=0.5),
        "half, forty pairs": replace(more, part=0.5, top_k=(40,)),
        "deeper": replace(more, top_k=(15,), further=20),
        "eight passes": fit(passes=8),
        "rate 2e-4": fit(learning_rate=2e-4),
        "batch 24": fit(batch_size=24),
        "random labels": change(random_labels=256),
        "divergence": change({"contrast": 1.0, "divergence": 0.5}),
        "cross-entropy": change({"cross_entropy": 1.0}),
        "margin-mse": change({"contrast": 1.0, "margin_mse": 1.0}),
        "average": change(average=0.98),
        "hard targets": change(soft=False),
        "separate towers": change(towers=True),
        "mask 1.0": fit(mask_share=1.0),
        "mask 0.8": fit(mask_share=0.8),
        "restart": fit(init="pretrained"),
        "one negative": fit(negatives=1),
        "twenty negatives": fit(negatives=20),
        "temperature 0.02": fit(temperature=0.02),
        "temperature 0.1": fit(temperature=0.1),
        "batch 128": fit(batch_size=128),
        "two passes, rate 2e-4": fit(passes=2, learning_rate=2e-4),
    }


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", required=True, help="folder with a folder for each set")
    add("--set", nargs="+", choices=SETS, default=list(SETS))
    add("--variants", nargs="+", metavar="NAME", help="all without it")
    add("--encoder", default="minilm")
    add("--true-yes", type=float, default=0.85, help="share of right labels the judge says yes to")
    add("--false-yes", type=float, default=0.05, help="share of wrong labels it says yes to")
    add("--seeds", type=int, default=1)
    add("--documents", type=int, default=1800, help="to train on; 0 for all")
    add("--held-aside", type=int, default=250)
    add("--test", type=int, default=0, help="to test on; 0 for all")
    add("--labels", type=int, default=0, help="of a set, and all right ones; 0 for all")
    add("--workers", type=int, default=1, help="runs side by side, each in a process")
    add("--threads", type=int, help="of each run")
    add("--work", help="folder for what is made on the way; a temporary one without it")
    add("--keep", type=Path, help="file of runs that ended, to go on with after an interruption")
    add("--output", type=Path, help="JSON file; none is written without it")
    add("--quick", action="store_true", help="debtags, few documents, two variants")
    options = parser.parse_args(given)
    if options.quick:
        options.set, options.seeds = ["debtags"], 1
        options.documents, options.held_aside, options.test = 200, 50, 200
        options.variants = options.variants or list(QUICK)
    return options


def chosen(given: argparse.Namespace) -> dict[str, Any]:
    """The variants that were asked for; ends where one is unknown."""
    known = variants()
    names = given.variants or list(known)
    if unknown := sorted(set(names) - set(known)):
        raise SystemExit(f"--variants: unknown {', '.join(unknown)}; known: {', '.join(known)}")
    return {name: known[name] for name in names}


def options_of(given: argparse.Namespace, work: str) -> Any:
    """What all runs are given."""
    import torch

    from benchmarks.quality_jobs import Options
    from benchmarks.quality_sets import Sizes
    from lmtx_ray.config.components import EncoderConfig
    from lmtx_ray.config.models import resolve_model

    on_gpu = torch.cuda.is_available()
    large = {"token_budget": 32768} if on_gpu else {}
    fits = {recipe: {**settings, **large} for recipe, settings in FITS.items()}
    fits["default"] |= BASE_FIT
    if given.quick:
        fits["paper"] |= {"max_tokens": 96, "batch_size": 64}
    encoder = EncoderConfig(
        model=resolve_model(given.encoder),
        token_budget=65536 if on_gpu else 4096,
        threads=given.threads,
    )
    sizes = Sizes(given.documents, given.held_aside, given.test, given.labels)
    yes = given.true_yes, given.false_yes
    return Options(given.data, work, encoder, sizes, fits, 2, 20, *yes)


def attempted(function: Any, options: Any, one: Any) -> Any:
    """One run, in a process that may have been started for it; None, and a word, if it fails:
    others took as long."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    if options.encoder.threads:
        torch.set_num_threads(options.encoder.threads)
    try:
        return function(options, one)
    except Exception:  # whatever it was
        print(f"{one} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        return None


def side_by_side(work: Any, jobs: Sequence[Any], workers: int) -> Iterator[Any]:
    """What each job gave, as they end."""
    if workers == 1:
        yield from map(work, jobs)
        return
    spawn = multiprocessing.get_context("spawn")
    # a process for each run: what one leaves in memory would be gigabytes after ten
    with ProcessPoolExecutor(workers, spawn, max_tasks_per_child=1) as pool:
        for ended in as_completed([pool.submit(work, job) for job in jobs]):
            yield ended.result()


def measured(
    given: argparse.Namespace, work: str
) -> Iterator[tuple[list[dict[str, Any]], int, int]]:
    """After each run: what those gave that ended well, how many failed, and how many are left."""
    from benchmarks.ablation_runs import Run, run
    from benchmarks.quality_jobs import PREPARE, Job, prepare

    options, named = options_of(given, work), chosen(given)
    seeds = range(1, given.seeds + 1)
    found = kept(given)
    done = {(one["set"], one["seed"], one["variant"]) for one in found}
    runs = [
        Run(where, seed, name, variant)
        for name, variant in named.items()
        for where in given.set
        for seed in seeds
        if (where, seed, name) not in done
    ]
    first = [Job(name, seed, PREPARE) for name in given.set for seed in (0, *seeds)] if runs else []
    prepared = list(side_by_side(partial(attempted, prepare, options), first, given.workers))
    if None in prepared:
        raise SystemExit("no run without vectors of the untouched encoder")
    failed, left = 0, len(runs)
    yield found, failed, left
    for one in side_by_side(partial(attempted, run, options), runs, given.workers):
        left -= 1
        if one is None:
            failed += 1
        else:
            told = f"{one['set']}, seed {one['seed']}, {one['variant']}: {one['seconds']:.0f} s"
            print(told, file=sys.stderr, flush=True)
            keep(given, one)
            found.append(one)
        yield found, failed, left


def kept(given: argparse.Namespace) -> list[dict[str, Any]]:
    """The runs in `--keep`, of the variants that were asked for or not.

    Raises:
        SystemExit: They were made with other options.
    """
    if not given.keep or not given.keep.exists():
        return []
    lines = [json.loads(line) for line in given.keep.read_text().splitlines()]
    if any(line["sizes"] != sizes(given) for line in lines):
        raise SystemExit(f"--keep {given.keep}: holds runs that were made with other options")
    return [line["run"] for line in lines]


def keep(given: argparse.Namespace, one: Mapping[str, Any]) -> None:
    if given.keep:
        with given.keep.open("a") as file:
            file.write(json.dumps({"sizes": sizes(given), "run": one}) + "\n")


def sizes(given: argparse.Namespace) -> dict[str, Any]:
    """What all runs of a table have in common."""
    names = ("documents", "held_aside", "test", "labels", "true_yes", "false_yes")
    return {"encoder": Path(given.encoder).name, **{name: getattr(given, name) for name in names}}


def about(given: argparse.Namespace) -> dict[str, Any]:
    """How the figures came about."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"processor": platform.processor(), "cores": usable_cores(), "gpu": gpu},
        "seeds": given.seeds,
        "quick": given.quick,
        **sizes(given),
    }


def main() -> None:
    given = arguments()
    given.threads = given.threads or max(usable_cores() // given.workers, 1)
    prepare_environment(given.threads)
    with tempfile.TemporaryDirectory(dir=given.work) as work:
        for results, failed, left in measured(given, work):
            sets = by_set(results, list(variants()))
            told = {**about(given), "runs_failed": failed, "runs_left": left, "sets": sets}
            if given.output:  # after each run: hours of them may be stopped
                given.output.write_text(json.dumps(told, indent=1) + "\n")
    print("\n".join(table(where, found) for where, found in sets.items()))
    print(json.dumps(told))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
