"""A run whose judge is an ensemble with a reranker in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lmtx_ray.config.loading import load_config
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.reporting.writing import write_report
from lmtx_ray.teacher.identity import teacher_identity
from lmtx_ray.teacher.priors import document_key
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.verdicts.lookup import Lookup
from lmtx_ray.verdicts.reading import read_all
from tests.e2e.counted import go
from tests.small_run import write_inputs
from tests.tiny import save_reranker

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(600)]
RULE = {"kind": "lexical", "prompt": "tag"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    path = write_inputs(folder, documents=24)
    reranker = {"kind": "reranker", "model": save_reranker(folder / "reranker"), "threads": 1}
    values = yaml.safe_load(path.read_text())
    values["corpus"]["held_aside"] = 8
    values["judge"] = {
        "teacher": {"kind": "ensemble", "prompt": "tag", "members": [RULE, reranker]},
        "top_k": 3,
        "select_k": 1,
        "rerank_k": 2,
        "check": False,
        "calibration": "prior",
        "frequent_share": 0.01,
    }
    values["fit"] |= {"passes": 1, "checkpoint_every": 50}
    path.write_text(yaml.safe_dump(values))
    return path


def test_members_are_kept_as_their_own_and_agreement_is_told(
    config: Path, ray_cluster: None, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    summary = go(config, run)
    [one] = summary["judge"]["agreement"]
    assert one["members"] == ["lexical", "reranker"]
    assert one["pairs"] > 0
    assert one["equal"] is not None
    assert summary["judge"]["frequent"]
    settings = load_config(RunConfig, str(config), [f"run={run}"])
    layout, store = lay_out(settings), settings.verdict_store
    asked = sum(table.num_rows for table in read_all(store.partition(*reversed(layout.judge))))
    for member in settings.judge.teacher.members:
        prompt, teacher = teacher_identity(member, get_prompt(member.prompt))
        own = sum(table.num_rows for table in read_all(store.partition(teacher, prompt)))
        assert own == asked
    alone = Lookup(store.partition(*reversed(layout.judge)).snapshot()).find([document_key()])
    assert alone.num_rows > 0
    write_report(str(run), str(tmp_path / "report.html"))
    assert "lexical and reranker agree on" in (tmp_path / "report.html").read_text()

    rule = yaml.safe_dump(RULE, default_flow_style=True).strip()
    changed = [f"judge.teacher={rule}", "judge.calibration=none"]
    go(config, run, *changed, stop="judge 1")
    settings = load_config(RunConfig, str(config), [f"run={run}", *changed])
    verdicts = lay_out(settings).cycles[0].verdicts.read()
    assert verdicts.num_rows > 0
    assert not any(verdicts["asked"].to_pylist())  # its answers as a member are its own
