"""Rooms: an import only points downwards, and light files stay light."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "lmtx_ray"
HEAVY = ("ray", "torch", "vllm", "faiss", "transformers", "sentence_transformers", "boto3")
# A room, and the rooms below it that it may look into. `io`, `config` and `corpus` are open to all
# above them. Only these files of a room may import what takes seconds to load.
ROOMS = {
    "io": set(),
    "config": {"io"},
    "corpus": {"io", "config"},
    "search": set(),
    "evaluation": {"search"},
    "student": {"search"},
    "teacher": {"search"},
    "verdicts": set(),
    "vocabularies": set(),
    "bundle": {"search", "evaluation", "student"},
    "batch": set(),
    "stages": {"search", "evaluation", "student", "teacher", "verdicts", "bundle", "batch"},
    "loop": {
        "search",
        "evaluation",
        "student",
        "teacher",
        "verdicts",
        "vocabularies",
        "bundle",
        "batch",
        "stages",
    },
    "reporting": {"evaluation", "student", "bundle", "loop"},
    "cli": {
        "evaluation",
        "teacher",
        "verdicts",
        "vocabularies",
        "bundle",
        "batch",
        "stages",
        "loop",
        "reporting",
    },
}
GROUND = {"io", "config", "corpus"}
HEAVY_FILES = {
    "io.s3",
    "io.s3_client",
    "search.among",
    "search.clustering",
    "search.device_product",
    "search.approximate",
    "search.best_of",
    "search.graph",
    "search.index",
    "search.inverted_lists",
    "search.list_centres",
    "search.memory",
    "search.int8_product",
    "search.int8_nearest",
    "search.int8_scan",
    "search.singly",
    "search.running_best",
    "search.threads",
    "search.walk",
    "student.int8_bert",
    "student.bert",
    "student.any_model",
    "student.encoder",
    "student.contrast",
    "student.losses",
    "student.text_pairs",
    "student.triplet",
    "student.batching",
    "student.training",
    "student.checkpoints",
    "student.data_parallel",
    "student.gradient_cache",
    "student.packed_bert",
    "student.saving",
    "student.telling",
    "bundle.loading",
    "bundle.ranking",
    "bundle.shards",
    "bundle.tagger",
    "bundle.folder",
    "teacher.vllm",
    "teacher.lean_llama",
    "teacher.packed",
    "teacher.packed_attention",
    "teacher.packed_model",
    "teacher.reranker",
    "loop.cycle",
    "loop.combining",
    "loop.prepare",
    "loop.icxml",
    "loop.judging",
    "loop.text_cycle",
    "loop.judge_check",
    "loop.bundling",
    "loop.ending",
}


@functools.cache
def modules() -> dict[str, Path]:
    paths = (path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
    names = {path: path.relative_to(PACKAGE).with_suffix("").as_posix() for path in paths}
    return {name.replace("/__init__", "").replace("/", "."): path for path, name in names.items()}


@functools.cache
def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lmtx_ray"):
            inner = node.module.removeprefix("lmtx_ray").lstrip(".")
            names = {f"{inner}.{alias.name}".lstrip(".") for alias in node.names}
            found |= names & set(modules()) or ({inner} if inner else set())
    return found


def room_of(name: str) -> str:
    return name.split(".")[0]


def test_every_module_has_a_room() -> None:
    assert {room_of(name) for name in modules()} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_looks_only_into_rooms_below(room: str) -> None:
    below = ROOMS[room] | (GROUND if room not in GROUND else set()) | {room}
    upwards = {
        (name, other)
        for name, path in modules().items()
        if room_of(name) == room
        for other in imported(path)
        if room_of(other) not in below
    }
    assert not upwards


def test_the_service_is_imported_by_nothing_below_it() -> None:
    assert not [
        name
        for name, path in modules().items()
        if "import serve_apps" in path.read_text() or "from serve_apps" in path.read_text()
    ]


def loaded_by(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_help_loads_nothing_that_takes_its_time() -> None:
    script = "from lmtx_ray.cli.main import build_parser; build_parser().format_help()"
    assert not loaded_by(script) & {
        *HEAVY,
        "pyarrow",
        "numpy",
        "pydantic",
        "httpx",
        "jinja2",
        "pygal",
    }


def test_light_files_load_nothing_heavy() -> None:
    light = sorted(name for name in set(modules()) - HEAVY_FILES if room_of(name) != "stages")
    loaded = loaded_by("import " + ", ".join(f"lmtx_ray.{name}" for name in light))
    assert not loaded & set(HEAVY)


def test_a_search_on_a_plain_cpu_loads_no_torch() -> None:
    """Workers that search alone start seconds earlier."""
    plain = (
        "from lmtx_ray.search import hardware as h; from pathlib import Path; import numpy as np"
    )
    without = "h.CPU_FLAGS, h.DRIVERS = Path('/nowhere'), ()"
    search = "LabelIndex.build(np.eye(40000, 8, dtype='f4')).search(np.eye(3, 8, dtype='f4'), 5)"
    script = f"{plain}; {without}; from lmtx_ray.search.index import LabelIndex; {search}"
    loaded = loaded_by(script)
    assert "faiss" in loaded
    assert "torch" not in loaded
