"""What a person reads at the end of `lmtx run` and of `lmtx report`."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import pytest

from lmtx_ray.cli import main, reporting
from tests.reporting.made_run import MadeRun


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeRun:
    return MadeRun(tmp_path_factory.mktemp("runs") / "mine")


def test_the_verb_writes_the_file_and_says_what_is_in_it(
    made: MadeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "mine.html"
    assert main.main(["report", str(made.folder), "--output", str(output)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert output.is_file()
    assert result["report"] == str(output)
    words = reporting.report_in_words(result)
    assert result["headline"] in words
    assert str(output) in words
    assert "next: lmtx tag --bundle " in words


def test_a_run_without_a_report_is_still_complete(
    made: MadeRun, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("lmtx_ray.reporting.writing.kept_report", lambda _: None)
    monkeypatch.setattr("lmtx_ray.reporting.writing.write_report", fail)
    with caplog.at_level(logging.WARNING, "lmtx_ray"):
        result = reporting.with_report(made.config, {"bundle": "B"})
    assert "the run is complete, but not its report: disk full" in caplog.text
    assert reporting.run_in_words(result) == "bundle: B"


def test_a_run_in_words(made: MadeRun) -> None:
    report = reporting.make_report(argparse.Namespace(run=str(made.folder), output=None))
    words = reporting.run_in_words({"bundle": "B", "report": report})
    assert report["headline"] in words
    assert words.endswith("bundle: B")
    until = {"until": "prepare", "reached": True, "outputs": {"documents": "D"}}
    assert reporting.run_in_words(until) == "prepare: reached\nD"
    assert reporting.run_in_words({"steps": {}}) == ""


def test_a_folder_without_a_run_is_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main.main(["report", str(tmp_path)]) == 1
    assert f"{tmp_path}: no run was started here" in caplog.text
