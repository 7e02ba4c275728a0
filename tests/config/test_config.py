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


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ("fit: {seed: 1}\nfit: {passes: 2}\n", "line 3, column 1: 'fit' .* twice, first in line 2"),
        ("fit:\n  seed: 1\n  seed: 2\n", "line 4, column 3: 'seed' .* twice, first in line 3"),
        ("ship: 2024-13-45\n", "line 2, column 7: '2024-13-45': .*needs quotation marks"),
        ("fit: {seed: 0x_}\n", "line 2, column 13: '0x_'"),
        (f"fit: {'[' * 2000}", "nested too deeply"),
    ],
)
def test_nothing_in_a_file_is_passed_over(tmp_path: Path, further: str, message: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(f"run: r\n{further}")
    with pytest.raises(ConfigError, match=f"{file}: {message}"):
        load_config(RunConfig, str(file))


def test_values_of_another_section_may_be_taken_and_changed(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "run: r\ncorpus: {documents: d.csv, labels: l.csv}\n"
        "fit: &fit {label_tokens: 9, max_tokens: 10}\nencoder: {<<: *fit, label_tokens: 8}\n"
    )
    encoder = load_config(RunConfig, str(file)).encoder
    assert (encoder.label_tokens, encoder.max_tokens) == (8, 10)


def test_fingerprints_follow_values_not_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint("a", "b") != fingerprint("ab")
