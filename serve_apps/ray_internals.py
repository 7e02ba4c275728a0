"""All that this project, tests and cluster files included, takes from Ray's private modules.

Ray may move any of it with a release: `tests/serving/test_ray_internals.py` then says what is
missing, and this is the one file to mend.
"""

from __future__ import annotations

import importlib
from typing import Any

import ray
from ray.serve.handle import DeploymentHandle

PRIVATE = {
    # Serve's REST interface
    "ServeSubmissionClient": "ray.dashboard.modules.serve.sdk",
    # where Ray's dashboard is, told to a process inside the cluster
    "get_webui_url_from_internal_kv": "ray._private.services",
    # shows Ray's token to a cluster that is named by address
    "maybe_enable_token_auth_if_token_available": (
        "ray._private.authentication.authentication_token_setup"
    ),
    # a replica's way to Serve's controller, which knows where HTTP is bound
    "_get_global_client": "ray.serve.context",
    # how Serve puts middleware around a replica's application
    "_apply_middlewares": "ray.serve._private.http_util",
    "configure_http_middlewares": "ray.serve._private.http_util",
    # what `ray up` does with a cluster file before it starts anything
    "prepare_config": "ray.autoscaler._private.util",
    "validate_config": "ray.autoscaler._private.util",
    "_default_utilization_scorer": "ray.autoscaler._private.resource_demand_scheduler",
}


class RayMovedError(ImportError):
    """This Ray does not have what was private in the one this was written for."""


def of_any_thread(handle: DeploymentHandle) -> DeploymentHandle:
    """A fresh handle that may be called by any thread: in a replica of ours handles live in the
    event loop of what made them, see `running.ONE_LOOP`."""
    handle._init(_run_router_in_separate_loop=True)
    return handle


def http_host() -> str:
    """Where Serve's HTTP is bound, asked from inside an application; "" where it does not say."""
    return private("_get_global_client")().http_config.host or ""


def private(name: str) -> Any:
    """A private function or class of Ray, one of PRIVATE.

    Raises:
        RayMovedError: It is not where it was.
    """
    try:
        return getattr(importlib.import_module(PRIVATE[name]), name)
    except (ImportError, AttributeError) as error:
        raise RayMovedError(
            f"Ray {ray.__version__} has no {PRIVATE[name]}.{name}: mend {__name__} ({error})"
        ) from error
