"""Another bundle for a running service, without a pause.

    lmtx promote --bundle URI
    lmtx rollback

Three updates of the deployments' `user_config`, none of which restarts a replica: the new bundle is
loaded beside the old, each replica asks its canaries and takes over on its own; when all have, the
old one is let go. A replica that refuses the new bundle leaves the old one answering everywhere.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import ray
from ray import serve
from ray.util import get_node_ip_address

from lmtx_ray.bundle.cache import local_bundle
from lmtx_ray.io import storage
from serve_apps.bundles import BundleConfig
from serve_apps.ray_internals import private
from serve_apps.running import APP

WITH_BUNDLE = ("Engine", "Shard")  # names, or their beginnings, of deployments that hold one
LOOK_SECONDS, DRAIN_SECONDS = 0.2, 10.0

logger = logging.getLogger(__name__)


class PromotionError(ValueError):
    """The new bundle does not answer; the old one does, as before."""


class Service:
    """A running application, by Serve's REST interface and a handle."""

    def __init__(self, dashboard: str, name: str = APP) -> None:
        self._client, self._name = private("ServeSubmissionClient")(dashboard), name
        self._engine = serve.get_deployment_handle("Engine", app_name=name)

    def _details(self) -> dict[str, Any]:
        applications = self._client.get_serve_details()["applications"]
        if self._name not in applications:
            raise PromotionError(f"no application {self._name!r} runs here")
        return applications[self._name]

    def config(self) -> BundleConfig:
        """The bundles in use."""
        details = self._details()
        given = details["deployments"]["Engine"]["deployment_config"].get("user_config")
        return BundleConfig(**given)

    def replicas(self) -> set[str]:
        """Ids of the engine's running replicas."""
        replicas = self._details()["deployments"]["Engine"]["replicas"]
        return {one["replica_id"] for one in replicas if one["state"] in {"RUNNING", "UPDATING"}}

    def set_config(self, config: BundleConfig) -> None:
        """Give every deployment that holds a bundle this `user_config`."""
        whole = self._client.get_serve_details()
        deployed = self._details()
        application = deployed["deployed_app_config"]
        names = [name for name in deployed["deployments"] if name.startswith(WITH_BUNDLE)]
        listed = {one["name"]: one for one in application.get("deployments", [])}
        for name in names:
            listed[name] = {**listed.get(name, {"name": name}), "user_config": vars(config)}
        application["deployments"] = list(listed.values())
        others = [
            one["deployed_app_config"]
            for name, one in whole["applications"].items()
            if name != self._name and one.get("deployed_app_config")
        ]
        self._client.deploy_applications({"applications": [application, *others]})

    def state(self) -> dict[str, str]:
        """What one replica of the engine says of itself."""
        return self._engine.state.remote().result(timeout_s=30)


def promote(service: Service, bundle: str, seconds: float = 300.0) -> dict[str, Any]:
    """Make `bundle` the one that answers.

    Raises:
        PublishError: It is no published bundle.
        PromotionError: A replica refused it, or they did not all take over within `seconds`.
    """
    bundle = storage.absolute(bundle)
    bundle_id = storage.read_json(f"{local_bundle(bundle)}/bundle.json")["bundle_id"]
    before = service.config()
    if before.bundle == bundle and before.standby is None:
        raise PromotionError(f"{bundle} answers already")
    started = time.monotonic()
    old = before.bundle if before.bundle != bundle else before.rollback
    service.set_config(BundleConfig(bundle=bundle, standby=old, rollback=old))
    try:
        _wait(service, bundle_id, seconds)
    except PromotionError:
        service.set_config(BundleConfig(bundle=before.bundle, rollback=before.rollback))
        raise
    time.sleep(DRAIN_SECONDS)  # calls that began with the old bundle end
    service.set_config(BundleConfig(bundle=bundle, rollback=old))
    return {
        "bundle": bundle,
        "bundle_id": bundle_id,
        "rollback": old,
        "seconds": round(time.monotonic() - started, 1),
    }


def rollback(service: Service, seconds: float = 300.0) -> dict[str, Any]:
    """Promote the bundle that answered before."""
    config = service.config()
    if config.rollback is None:
        raise PromotionError("there is no earlier bundle to go back to")
    return promote(service, config.rollback, seconds)


def _wait(service: Service, bundle_id: str, seconds: float) -> None:
    """Until every replica answers with the bundle; the handle asks one of them at a time."""
    give_up = time.monotonic() + seconds
    changed: set[str] = set()
    while time.monotonic() < give_up:
        state = _ask(service.state)
        if state is None:
            continue
        if state["bundle_id"] == bundle_id:
            changed.add(state["replica"])
        elif state["promotion"] not in {"", "loading"}:
            raise PromotionError(state["promotion"])
        if changed and changed >= service.replicas():
            logger.info("all %d replicas answer with %s", len(changed), bundle_id)
            return
        time.sleep(LOOK_SECONDS)
    raise PromotionError(f"not every replica took over within {seconds:g} seconds")


def _ask(state: Callable[[], dict[str, str]]) -> dict[str, str] | None:
    """A replica that is being replaced does not answer; another one will."""
    try:
        return state()
    except (ray.exceptions.RayError, serve.exceptions.RayServeException, TimeoutError):
        return None


def connect(address: str) -> Service:
    """The service on the cluster at `address` ("auto" is the one on this machine)."""
    _use_token(address)
    context = ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False)
    return Service(f"http://{context.dashboard_url}")


def _use_token(address: str) -> None:
    """Ray shows its token to a cluster named by address only where RAY_AUTH_MODE says so, as the
    address may be a stranger's. One of this machine may see the token of this machine."""
    if address.rpartition(":")[0] in {"127.0.0.1", "localhost", get_node_ip_address()}:
        private("maybe_enable_token_auth_if_token_available")(warn_if_disabled=False)
