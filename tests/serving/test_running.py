"""How `lmtx serve` shares a machine among its engines, and says why it does not start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from serve_apps.running import cause_of, deploy_config, engines_for, fill_machine, told_by


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


TRACE = """Deploying app 'tagger' failed with exception:
Traceback (most recent call last):
  File "/somewhere/haproxy.py", line 1, in start
    await self._start()
RuntimeError: cannot bind socket (Address already in use) [*:9101]

The above exception was the direct cause of the following exception:
  File "/somewhere/proxy.py", line 2, in ready
RuntimeError: .
"""


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (TRACE, "RuntimeError: cannot bind socket (Address already in use) [*:9101]"),
        ("a replica died\n", "a replica died"),
        ("", "Serve does not say why"),
    ],
)
def test_why_a_service_does_not_start_is_one_line(message: str, cause: str) -> None:
    assert cause_of(message) == cause


def test_a_deployment_that_does_not_start_says_why() -> None:
    deployments = {
        "Ingress": {"status": "DEPLOY_FAILED", "message": "Error:\nguard.BindingError: no keys"},
        "Engine": {"status": "UPDATING", "message": "ValueError: of another time"},
    }
    message = "Failed to update the deployments ['Ingress']."
    assert cause_of(told_by({"message": message, "deployments": deployments})) == (
        "guard.BindingError: no keys"
    )
    assert cause_of(told_by({"message": message})) == message


def test_a_busy_machine_may_take_minutes_to_start_rays_dashboard() -> None:
    script = (
        "import serve_apps.running; from ray._private import ray_constants; "
        "print(ray_constants.RAY_DASHBOARD_STARTUP_TIMEOUT_S)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "240", done.stderr
