"""Logs of whole runs, with -v and with failures: no word of a document is in them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cli.processes import PATIENCE_SECONDS, lmtx
from tests.fake_llm import FakeJudge
from tests.small_run import write_inputs

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(900)]
MARK = "zyxq"  # in every word of every document, and nowhere else


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run whose documents hold words that nothing else does; one row is broken."""
    folder = tmp_path_factory.mktemp("inputs")
    path = write_inputs(folder, documents=24)
    for name in ("documents", "test"):
        file = folder / f"{name}.jsonl"
        text = file.read_text()
        for word in ("patients", "treatment", "study"):
            text = text.replace(word, f"{MARK}{word}")
        file.write_text(text)
    broken = f'{{"uid": "d0", "title": "{MARK}twice", "content": "{MARK}again of the same id"}}\n'
    with (folder / "documents.jsonl").open("a") as file:
        file.write(broken + f'{{"uid": "bad", "content": {MARK}broken\n')
    values = yaml.safe_load(path.read_text())
    values["corpus"]["held_aside"] = 6
    values["judge"] = {
        "teacher": {"kind": "http", "model": "ok", "prompt": "tag", "tries": 2},
        "top_k": 3,
        "select_k": 1,
        "rerank_k": 2,
        "calibration": "prior",
    }
    values["fit"] |= {"passes": 1, "checkpoint_every": 50}
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def ray_folder() -> Iterator[str]:
    """Ray's own logs; its sockets need a short path."""
    folder = tempfile.mkdtemp(prefix="lr", dir="/tmp")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(("model", "code"), [("ok", 0), ("parrot", 1), ("nojson", 1)])
def test_no_word_of_a_document_is_in_any_log(
    config: Path, tmp_path: Path, ray_folder: str, model: str, code: int
) -> None:
    with FakeJudge() as judge:
        settings = [f"run={tmp_path}/run", f"judge.teacher.url={judge.url}"]
        settings.append(f"judge.teacher.model={model}")
        if code:  # else it ends at the first question, which is about no document
            settings += ["judge.check=false", "judge.calibration=none"]
        options = [part for setting in settings for part in ("--set", setting)]
        process = lmtx(tmp_path, "run", str(config), "-v", *options, RAY_TMPDIR=ray_folder)
        output, error = process.communicate(timeout=PATIENCE_SECONDS * 4)
        assert process.returncode == code, error
        assert any(MARK in str(request["body"]) for request in judge.requests)
    logs = [path for path in tmp_path.glob("logs/*") if path.is_file()]
    endings = (".log", ".out", ".err")
    logs += [path for path in Path(ray_folder).rglob("*") if path.suffix in endings]
    assert len(logs) > 3
    telling = [path for path in logs if MARK in path.read_text(errors="replace")]
    assert not telling
    assert MARK not in output + error
