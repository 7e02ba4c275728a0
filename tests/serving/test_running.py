"""How `lmtx serve` shares a machine among its engines."""

from __future__ import annotations

import pytest

from serve_apps.running import deploy_config, engines_for, fill_machine


@pytest.mark.parametrize(
    ("cores", "engines", "threads"),
    [(1, 1, 1), (2, 2, 1), (4, 4, 1), (6, 3, 2), (7, 3, 2), (8, 4, 2), (64, 4, 16)],
)
def test_engines_fill_a_machine_and_no_more(cores: int, engines: int, threads: int) -> None:
    assert engines_for(cores) == (engines, threads)
    config = deploy_config("bundle", "127.0.0.1", 8000)
    fill_machine(config, cores)
    (application,) = config["applications"]
    assert application["args"]["threads"] == threads
    scaling = {
        one["name"]: one["autoscaling_config"]
        for one in application["deployments"]
        if "autoscaling_config" in one
    }
    assert scaling["Engine"]["min_replicas"] == scaling["Engine"]["max_replicas"] == engines
