"""Whether a run costs what its bill said: pairs and tokens forecast against those then used.

    python -m benchmarks.bill [--quick] [--run FOLDER]

The bill is that of the same settings in an empty folder with an empty store, as `lmtx plan` tells
it before the run; what was used is what the run's own account says. FOLDER is a finished run; else
the demo is run first (a quarter of an hour on two cores). --quick runs a made-up corpus with a
judge of random weights: two minutes. Ends with one line of JSON for scripts.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
from pathlib import Path
from typing import Any

from lmtx_ray.io.accounts import FOLDER, read_accounts
from lmtx_ray.loop import running
from lmtx_ray.loop.demo import demo_settings
from lmtx_ray.loop.finished_run import open_finished
from tests.small_run import write_inputs
from tests.tiny import save_judge

RESULTS = Path(__file__).resolve().parent / "results"
MOST_OFF = 0.15
USED = {"new_pairs": "requests", "prompt_tokens": "prompt_tokens"}


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a made-up corpus: minutes")
    parser.add_argument("--run", type=Path, help="a finished run")
    parser.add_argument("--output", type=Path, help="write the result there, not to results/")
    return parser.parse_args()


def quick_settings(folder: Path) -> tuple[str, list[str]]:
    """A small corpus, and a judge of two layers that says what comes to it."""
    teacher = {
        "judge.teacher.kind": "vllm",
        "judge.teacher.engine": "packed",
        "judge.teacher.model": save_judge(folder / "judge"),
        "judge.teacher.prompt": "judge",
        "judge.teacher.threads": 1,
        "judge.check": "false",
    }
    return str(write_inputs(folder)), [f"{name}={value}" for name, value in teacher.items()]


def compared(settings: Any, overrides: list[str], run: str) -> dict[str, Any]:
    """Bill and account of a run, and how far the one is from the other."""
    with tempfile.TemporaryDirectory() as fresh:
        elsewhere = [*overrides, f"run={fresh}/run", f"judge.store={fresh}/store"]
        bill = running.plan(settings, elsewhere)["judge"]
    spent = read_accounts(f"{run}/{FOLDER}")
    used = {
        name: round(sum(step.get(kind, 0) for step in spent.values()))
        for name, kind in USED.items()
    }
    off = {name: round(bill["expected"][name] / used[name] - 1, 4) for name in USED}
    return {
        "expected": bill["expected"],
        "at_most": {"new_pairs": bill["calls_at_most"], "tokens": bill["prompt_tokens_at_most"]},
        "tokens_counted_by": bill["tokens_counted_by"],
        "used": used,
        "used_by_step": {name: step for name, step in spent.items() if "requests" in step},
        "expected_over_used_minus_1": off,
        "met": all(abs(value) <= MOST_OFF for value in off.values()),
    }


def main() -> None:
    arguments = arguments_of()
    with tempfile.TemporaryDirectory() as work:
        overrides: list[str] = []
        if arguments.run:
            run, settings = str(arguments.run), open_finished(str(arguments.run)).config
        else:
            run, settings = f"{work}/run", demo_settings()
            if arguments.quick:
                settings, overrides = quick_settings(Path(work))
            running.run(settings, [*overrides, f"run={run}"])
        found = compared(settings, overrides, run)
    result = {
        "date": datetime.date.today().isoformat(),
        "corpus": "made up" if arguments.quick else "the demo's",
        "asked": f"tokens within {MOST_OFF:.0%} of what is then used",
        **found,
    }
    today = datetime.date.today().isoformat()
    name = f"bill-{today}{'-quick' * arguments.quick}.json"
    path = arguments.output or RESULTS / name
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    print(json.dumps({"met": result["met"], "off": result["expected_over_used_minus_1"]}))


if __name__ == "__main__":
    main()
