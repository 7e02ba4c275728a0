from __future__ import annotations

from pathlib import Path

import pytest

from lmtx_ray.config.loading import ConfigError, load_config
from lmtx_ray.io.identity import fingerprint
from lmtx_ray.loop.run_config import RunConfig

DEMO = str(Path(__file__).resolve().parents[2] / "examples/biomedical/demo.yaml")


def test_overrides_are_typed_and_nested() -> None:
    config = load_config(RunConfig, DEMO, ["fit.passes=5", "cycles={most: 1}"])
    assert (config.fit.passes, config.cycles.most) == (5, 1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fit.pases=2", r"fit\.pases: unknown key; did you mean passes"),
        ("judge.teacher.promt=tag", r"judge\.teacher\.promt: unknown key; did you mean prompt"),
        ("fit.passes=many", r"fit\.passes: .*'many'"),
        ("fit", "section.field=value"),
        ("run.x=1", "'run' is not a section"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_meant(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(RunConfig, DEMO, [override])


def test_an_absent_or_broken_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    for path in (str(broken), str(tmp_path / "none.yaml")):
        with pytest.raises(ConfigError, match=path):
            load_config(RunConfig, path)


def test_fingerprints_follow_values_not_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint("a", "b") != fingerprint("ab")
