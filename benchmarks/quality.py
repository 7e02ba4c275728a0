"""How well each method ranks labels on real label sets: LMTX by both recipes, MACLR, RTS, ICXML,
search without training, and the judge's own re-ranking.

    python -m benchmarks.quality --data FOLDER [--set NAME …] [--seeds 3] [--workers 2]
    python -m benchmarks.quality --data FOLDER --full [--workers 9]
    python -m benchmarks.quality --data FOLDER --quick

Without an option the sizes are for an hour or so of two cores: some hundred documents of each set,
texts cut early, and at most 20,000 labels. `--full`, for a GPU, takes the product's own settings
and whole label sets; `--quick` one set and one seed, in minutes.

`--data` holds a folder for each set (form: `quality_sets`). The judge is simulated: it says yes to
so many of the right and of the wrong labels of gold; or `--judge model`, a judge of the product.
Gold is read by it and by evaluation only. All methods of a set and seed see the same documents,
encoder and judge, and no judge at inference but `judge re-ranking` and `icxml`. `default` remembers
judged documents (`shortlist.memory_documents`): their labels are asked about from the second cycle
on. `paper, published,` is asked about ten labels a document; `paper, warm-up 0.1,` too, with a
warm-up that so few steps come to the end of; `paper` about as many pairs as `default`, further down
the nearest. Of each rival the best cycle counts, by gold; of `default` the last. `title` (MACLR)
and `segment` (RTS) are scaled down; `--title steps=100000 batch_size=128 learning_rate=1e-5
max_tokens=288 label_draws=32` and `--segment batch_size=448 passes=10 label_draws=64` are what was
published. The last line of standard output is a JSON of what was asked for and met.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmtx_ray.io.cores import usable_cores

SETS = ("tib-gnd-core", "mesh-reviews", "debtags")
METHODS = ("search", "lmtx", "title", "segment", "paper")  # most needed first
JUDGE = "examples/biomedical/judge"
TITLE = {"recipe": "maclr", "steps": 200, "batch_size": 64, "learning_rate": 5e-5}
TITLE |= {"max_tokens": 128, "label_tokens": 32}
TITLE |= {"label_draws": 16, "clusters": [25, 50, 100, 200, 400]}  # a quarter, as published
SEGMENT = {"recipe": "rts", "passes": 3, "batch_size": 128, "label_draws": 16}
SEGMENT |= {"max_tokens": 128, "label_tokens": 128}
FITS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {"recipe": "paper"},
    "title": TITLE,
    "segment": SEGMENT,
}
SIZES: dict[str, dict[str, Any]] = {
    "full": {"documents": 1800, "held_aside": 250, "test": 0, "labels": 0},
    "own": {"documents": 320, "held_aside": 100, "test": 500, "labels": 20_000},
    "quick": {"documents": 160, "held_aside": 60, "test": 200, "labels": 0},
}
SMALL: dict[str, dict[str, Any]] = {  # of a few hundred documents on a CPU
    "default": {"max_tokens": 64, "batch_size": 24, "negatives": 4, "learning_rate": 1e-4},
    "paper": {"max_tokens": 64, "batch_size": 32},
    "title": {
        **{"max_tokens": 64, "batch_size": 24, "steps": 14, "label_draws": 6},
        "clusters": [10, 20, 40, 80],
    },
    "segment": {
        **{"max_tokens": 64, "label_tokens": 64, "batch_size": 32, "passes": 1},
        "label_draws": 5,
    },
}


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", required=True, help="folder with a folder for each set")
    add("--set", nargs="+", choices=SETS, help="all of them without it, one of them with --quick")
    add("--encoder", default="minilm")
    add("--judge", choices=("simulated", "model"), default="simulated")
    add("--judge-model", default=JUDGE, help="folder of a judge, with --judge model")
    add("--judge-prompt", default="judge")
    add("--true-yes", type=float, default=0.85, help="share of right labels it says yes to")
    add("--false-yes", type=float, default=0.05, help="share of wrong labels it says yes to")
    add("--writer", default="", help="folder of a model that writes phrases: adds the row icxml")
    add("--seeds", type=int, help="how many; 3 without it, 1 with --quick")
    add("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    add("--documents", type=int, help=f"to train on, 0 for all; {_told('documents')}")
    add("--held-aside", type=int, help=_told("held_aside"))
    add("--test", type=int, help=f"to test on, 0 for all; {_told('test')}")
    add("--labels", type=int, help=f"of a set, and all right ones, 0 for all; {_told('labels')}")
    add("--cycles", type=int, default=2)
    add("--top-k", type=int, default=20)
    add("--workers", type=int, default=1, help="jobs side by side, each in a process")
    add("--threads", type=int, help="of each job")
    add("--seconds", type=float, help="then no more jobs are waited for")
    add("--work", help="folder for what is made on the way; a temporary one without it")
    add("--output", type=Path, help="JSON file; a .md of the same name lies beside it")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="what a GPU does in minutes")
    size.add_argument("--quick", action="store_true", help="minutes on a CPU: debtags, one seed")
    for recipe in FITS:
        add(f"--{recipe}", nargs="+", default=[], metavar="KEY=VALUE", help="settings of fit")
    options = parser.parse_args(given)
    chosen = {"set": ["debtags"], "seeds": 1} if options.quick else {"set": [*SETS], "seeds": 3}
    chosen |= SIZES["full" if options.full else "quick" if options.quick else "own"]
    for name, value in chosen.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _told(name: str) -> str:
    own, full, quick = (SIZES[size][name] for size in ("own", "full", "quick"))
    return f"{own} without it, {full} with --full, {quick} with --quick"


def fits_of(given: argparse.Namespace, on_gpu: bool) -> dict[str, dict[str, Any]]:
    """The settings of each recipe: as they stand here, then as they are given."""
    found = {}
    for recipe, settings in FITS.items():
        own = dict(pair.split("=", 1) for pair in getattr(given, recipe))
        small = {} if given.full else SMALL[recipe]
        large = {"token_budget": 32768} if on_gpu else {}
        read = {key: json.loads(value) if value[:1] in "[" else value for key, value in own.items()}
        found[recipe] = {**settings, **small, **large, **read}
    return found


def options_of(given: argparse.Namespace, work: str) -> Any:
    """What all jobs are given."""
    import torch

    from benchmarks.quality_jobs import Options
    from benchmarks.quality_sets import Sizes
    from lmtx_ray.config.components import EncoderConfig
    from lmtx_ray.config.models import resolve_model

    on_gpu = torch.cuda.is_available()
    encoder = EncoderConfig(
        model=resolve_model(given.encoder),
        token_budget=65536 if on_gpu else 4096,
        threads=given.threads,
    )
    return Options(
        data=given.data,
        work=work,
        encoder=encoder,
        sizes=Sizes(given.documents, given.held_aside, given.test, given.labels),
        fits=fits_of(given, on_gpu),
        cycles=given.cycles,
        top_k=given.top_k,
        true_yes=given.true_yes,
        false_yes=given.false_yes,
        judge_model=given.judge_model if given.judge == "model" else "",
        judge_prompt=given.judge_prompt,
        writer=given.writer,
    )


def prepare_environment(threads: int | None) -> None:
    """Before any library is imported, here or by the processes that are started."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # other jobs need the cores
    if threads:
        for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(threads)


def all_jobs(given: argparse.Namespace) -> tuple[list[Any], list[Any]]:
    """Those that come first, and those that need them."""
    from benchmarks.quality_jobs import PREPARE, Job

    seeds = range(1, given.seeds + 1)
    sets = [name for name in SETS if name in given.set]
    first = [Job(name, seed, PREPARE) for name in sets for seed in (0, *seeds)]
    methods = [method for method in METHODS if method in given.methods]
    then = [Job(name, seed, method) for method in methods for name in sets for seed in seeds]
    return first, then


def about(given: argparse.Namespace, options: Any, seconds: float) -> dict[str, Any]:
    """How the figures came about."""
    import torch
    import transformers

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    kept = ("set", "judge", "true_yes", "false_yes", "seeds", "documents", "held_aside", "test")
    kept += ("labels", "cycles", "top_k", "workers", "full", "quick")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"processor": platform.processor(), "cores": usable_cores(), "gpu": gpu},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "encoder": Path(given.encoder).name,
        **{name: getattr(given, name) for name in kept},
        "fit": options.fits,
        "seconds": round(seconds, 1),
    }


def write(told: dict[str, Any], results: list[Any], output: Path) -> str:
    """The files of what there is, which `told` is completed by; and the tables as text."""
    from benchmarks import quality_table

    table = quality_table.lines_of(results)
    told |= {"sets": quality_table.as_json(table), "asked": quality_table.asked(table)}
    text = "\n".join(quality_table.as_markdown(name, lines) for name, lines in table.items())
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(told, indent=1) + "\n")
    output.with_suffix(".md").write_text(text)
    return text


def main() -> None:
    given = arguments()
    given.threads = given.threads or max(usable_cores() // given.workers, 1)
    prepare_environment(given.threads)
    from benchmarks.quality_pool import Jobs

    started, results = time.monotonic(), []
    output = given.output or Path(f"benchmarks/results/quality-{datetime.now(UTC).date()}.json")
    first, then = all_jobs(given)
    with tempfile.TemporaryDirectory(dir=given.work) as work:
        options = options_of(given, work)
        with closing(Jobs(options, given.workers, given.seconds)) as jobs:
            list(jobs.run(first))
            for result in jobs.run(then):
                results.append(result)
                told = about(given, options, time.monotonic() - started)
                told["jobs_left_out"] = len(then) - len(results)
                text = write(told, results, output)
    if not results:
        sys.exit("no job ended")
    if not given.writer:
        text += "\nicxml is left out: no --writer was given.\n"
    print(text)
    print(json.dumps({name: told[name] for name in ("asked", "jobs_left_out")}))
    sys.exit(1 if told["jobs_left_out"] else 0)


if __name__ == "__main__":
    main()
