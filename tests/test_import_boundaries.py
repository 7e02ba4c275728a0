"""Tiers: an import only points downwards, and light modules stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "lmtx_ray"
HEAVY = ("ray", "torch", "vllm", "faiss", "transformers", "sentence_transformers", "boto3")
TIERS = (
    {"schemas", "locations", "disk", "storage", "s3", "publish", "config", "config_models", "run",
     "lines", "parquet", "readers", "corpus", "lexical", "metrics", "evaluation", "candidates",
     "pseudo_labels", "batch", "batch.settings", "batch.inputs", "batch.plan", "batch.fence",
     "batch.formats", "batch.chunks", "batch.unit", "batch.settle", "batch.outputs",
     "calibration", "settings", "asks", "selection", "model_files", "layout", "until", "record",
     "sizing", "text_keys", "lease", "run_verdicts", "verdicts", "verdicts.store",
     "verdicts.files", "verdicts.layers", "verdicts.lookup", "verdicts.reading",
     "verdicts.exchange", "teacher", "teacher.protocol", "teacher.prompts", "teacher.reading",
     "teacher.health", "teacher.budget", "teacher.registry", "teacher.identity",
     "teacher.lexical", "teacher.adapting", "teacher.pacing", "teacher.failures",
     "teacher.replies", "teacher.framing", "teacher.rendering", "teacher.spellings",
     "judge_numbers", "label_set", "canary", "evidence", "bundle_cache", "one_line"},
    {"hardware", "index", "int8_product", "int8_nearest", "int8_bert", "encoder", "losses",
     "batching", "tagger", "training", "checkpoints", "bundle_folder", "teacher.vllm",
     "teacher.http", "teacher.client"},
    {"stages", "stages.resources", "stages.units", "stages.embed", "stages.shortlist",
     "stages.judge", "stages.examples", "stages.fit", "stages.tag", "stages.nodes",
     "stages.budget", "stages.first_question", "stages.sample"},
    {"prepare", "plan", "cycle", "bundle", "report", "outcome", "tagging", "cli", "jobs",
     "cli_arguments", "cli_serving", "cli_tagging", "cli_verdicts", "judging", "judge_check"},
)  # fmt: skip
LAZY = {("storage", "s3")} | {("teacher.registry", f"teacher.{kind}") for kind in ("vllm", "http")}


def modules() -> dict[str, Path]:
    paths = (path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
    names = {path: path.relative_to(PACKAGE).with_suffix("").as_posix() for path in paths}
    return {name.replace("/__init__", "").replace("/", "."): path for path, name in names.items()}


def tier_of(name: str) -> int:
    return next(tier for tier, names in enumerate(TIERS) if name in names)


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lmtx_ray"):
            inner = node.module.removeprefix("lmtx_ray").lstrip(".")
            names = {f"{inner}.{alias.name}".lstrip(".") for alias in node.names}
            found |= names & set(modules()) or ({inner} if inner else set())
    return found


def test_every_module_has_a_tier() -> None:
    assert set(modules()) == set().union(*TIERS)


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_downwards(name: str) -> None:
    upwards = {
        other
        for other in imported(modules()[name])
        if tier_of(other) > tier_of(name) and (name, other) not in LAZY
    }
    assert not upwards


def loaded_by(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_help_loads_nothing_that_takes_its_time() -> None:
    script = "from lmtx_ray.cli import build_parser; build_parser().format_help()"
    assert not loaded_by(script) & {*HEAVY, "pyarrow", "numpy", "pydantic", "httpx"}


def test_plain_data_and_the_command_line_load_nothing_heavy() -> None:
    names = [*sorted(TIERS[0] - {"s3"}), "cli", "jobs", "plan", "report"]
    loaded = loaded_by("import " + ", ".join(f"lmtx_ray.{name}" for name in names))
    assert not loaded & set(HEAVY)
