"""`lmtx --help` answers at once, and so does a wrong path; a text is tagged without what takes long
to import."""

from __future__ import annotations

import subprocess
import sys
import time

HEAVY = {"torch", "ray", "faiss", "transformers", "sentence_transformers", "sklearn", "scipy"}


def test_help_starts_within_a_second() -> None:
    """Least of five, as load on the machine only ever adds."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "lmtx_ray.cli", "--help"], capture_output=True, text=True
        )
        seconds.append(time.perf_counter() - started)
        assert done.returncode == 0
        assert "tag-text" in done.stdout
    assert min(seconds) < 1.0


def loaded_by(statements: str) -> set[str]:
    script = f"import sys\n{statements}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_a_wrong_path_is_told_before_anything_heavy_is_imported() -> None:
    commands = [
        ["tag-text", "--bundle", "absent", "text"],
        ["tag", "--bundle", "absent", "--input", "in.jsonl", "--output", "tags.csv"],
        ["serve", "--bundle", "absent"],
        ["run", "absent.yaml"],
        ["plan", "absent.yaml"],
    ]
    statements = f"from lmtx_ray.cli.main import main\nassert {{*map(main, {commands})}} == {{1}}"
    assert not loaded_by(statements) & HEAVY


def test_a_tagger_needs_no_library_of_models() -> None:
    slow = {"transformers", "sentence_transformers", "sklearn", "ray", "boto3"}
    assert not loaded_by("import lmtx_ray.bundle.tagger") & slow
