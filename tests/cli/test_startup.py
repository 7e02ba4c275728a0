"""A wrong path is told at once; a text is tagged without what takes long to import."""

from __future__ import annotations

from tests.test_import_boundaries import HEAVY, loaded_by

SLOW = {*HEAVY, "sklearn", "scipy"}


def test_a_wrong_path_is_told_before_anything_heavy_is_imported() -> None:
    commands = [
        ["tag-text", "--bundle", "absent", "text"],
        ["tag", "--bundle", "absent", "--input", "in.jsonl", "--output", "tags.csv"],
        ["serve", "--bundle", "absent"],
        ["run", "absent.yaml"],
        ["plan", "absent.yaml"],
    ]
    statements = f"from lmtx_ray.cli.main import main\nassert {{*map(main, {commands})}} == {{1}}"
    assert not loaded_by(statements) & SLOW


def test_a_tagger_needs_no_library_of_models() -> None:
    slow = {"transformers", "sentence_transformers", "sklearn", "ray", "boto3"}
    assert not loaded_by("import lmtx_ray.bundle.tagger") & slow
