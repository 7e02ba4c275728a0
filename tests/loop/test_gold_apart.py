"""Gold is for evaluation: nothing that trains an encoder or chooses one opens it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmtx_ray.io import storage
from lmtx_ray.loop import running
from lmtx_ray.loop.layout import lay_out
from tests.small_run import write_inputs


@pytest.mark.ray
def test_a_run_trains_and_selects_while_its_gold_is_unreadable(
    tmp_path: Path, ray_cluster: None
) -> None:
    config = write_inputs(tmp_path, documents=40)
    overrides = [f"run={tmp_path / 'run'}", "fit.passes=1", "fit.workers=2"]
    running.run(config, overrides, until="prepare")
    layout = lay_out(running.load_config(config, overrides))
    assert layout.test is not None
    for file in layout.test.gold.files():
        storage.write_bytes(file, b"nobody may read this")

    running.run(config, overrides, until="select")
    (cycle,) = layout.cycles
    assert cycle.encoder.is_complete()
    assert cycle.selection.rows() > 0

    with pytest.raises(Exception, match=r"(?i)parquet|magic"):  # evaluation does open it
        running.run(config, overrides)
