"""What is taken from Ray's private modules is taken in one file, and is still there."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

from serve_apps import ray_internals
from serve_apps.ray_internals import PRIVATE, RayMovedError, private

ROOT = Path(__file__).resolve().parents[2]
HINT = re.compile(r"\bray[.\w]* import|\bray(\.\w+)*\.(_|dashboard)")
SWITCH = re.compile(r"\bRAY_SERVE_\w+")
FOLDERS = ("lmtx_ray", "serve_apps", "tests", "cluster", "jobs", "benchmarks")


def is_private(module: str) -> bool:
    parts = module.split(".")
    inner = any(part.startswith("_") and not part.endswith("__") for part in parts[1:])
    return parts[0] == "ray" and (inner or parts[1:2] == ["dashboard"])


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)) if HINT.search(text) else ():
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))  # ray._private.…, without an import of its own
    return found


def test_no_other_file_reaches_into_ray() -> None:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in imports(path)
        if is_private(name)
    }
    assert not found


@pytest.mark.parametrize("name", PRIVATE)
def test_this_ray_has_what_is_taken_from_it(name: str) -> None:
    assert callable(private(name))


def test_this_ray_knows_the_variables_that_are_set_for_it() -> None:
    files = [path for kind in ("py", "yaml") for path in (ROOT / "serve_apps").rglob(f"*.{kind}")]
    used = {name for path in files for name in SWITCH.findall(path.read_text(encoding="utf-8"))}
    assert len(used) > 5
    source = inspect.getsource(importlib.import_module("ray.serve._private.constants"))
    assert not used - {*SWITCH.findall(source)}


def test_what_ray_moved_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ray_internals.PRIVATE, "prepare_config", "ray.autoscaler.elsewhere")
    with pytest.raises(RayMovedError, match=r"no ray\.autoscaler\.elsewhere\.prepare_config"):
        private("prepare_config")
