"""Another bundle for a running service, without a pause.

    lmtx promote --bundle URI
    lmtx rollback

Three updates of the deployments' `user_config`, none of which restarts a replica: every engine and
every shard loads the new bundle beside the old; when all hold both, each takes over, engines after
asking the canaries; when all have, the old one is let go. So whichever bundle an engine answers
with, every replica of every shard holds it. A replica that refuses the new bundle leaves the old
one answering everywhere.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle, DeploymentResponse
from ray.util import get_node_ip_address

from lmtx_ray.bundle.cache import DESCRIPTION, open_bundle
from lmtx_ray.cli.messages import one_line
from lmtx_ray.io import storage
from lmtx_ray.io.addresses import require_ray
from lmtx_ray.io.latest import resolve
from serve_apps.bundles import BundleConfig, ReplicaState
from serve_apps.ray_internals import of_any_thread, private
from serve_apps.running import APP
from serve_apps.services import LocalService, http_url

WITH_BUNDLE = ("Engine", "Shard")  # names, or their beginnings, of deployments that hold one
RUNNING = {"RUNNING", "UPDATING"}
OVERTAKEN = "another promotion began: look at /readyz, then try again"
LOOK_SECONDS, DRAIN_SECONDS, ANSWER_SECONDS = 0.2, 10.0, 30.0

logger = logging.getLogger(__name__)


class PromotionError(ValueError):
    """The new bundle does not answer; the old one does, as before."""


class OvertakenError(PromotionError):
    """Somebody else changed the bundle meanwhile: theirs is the change that goes on."""


class Service:
    """A running application, by Serve's REST interface and a handle."""

    def __init__(self, dashboard: str, name: str = APP) -> None:
        self._client, self._name = private("ServeSubmissionClient")(dashboard), name
        self._handles: dict[str, DeploymentHandle] = {}

    def _details(self) -> dict[str, Any]:
        applications = self._client.get_serve_details()["applications"]
        if self._name not in applications:
            raise PromotionError(f"no application {self._name!r} runs here")
        return applications[self._name]

    def place(self) -> tuple[str, int]:
        """(host, port) where it is bound."""
        http = self._client.get_serve_details()["http_options"]
        return http["host"], http["port"]

    def url(self) -> str:
        """Where it answers."""
        return http_url(*self.place())

    def told(self) -> str:
        """Which service this is, for people."""
        return f"the service at {self.url()}, which answers with {self.config().bundle}"

    def config(self) -> BundleConfig:
        """The bundles in use."""
        details = self._details()
        given = details["deployments"]["Engine"]["deployment_config"].get("user_config")
        return BundleConfig(**given)

    def replicas(self) -> dict[str, set[str]]:
        """Ids of the running replicas of each deployment that holds a bundle."""
        return {
            name: {one["replica_id"] for one in found["replicas"] if one["state"] in RUNNING}
            for name, found in self._details()["deployments"].items()
            if name.startswith(WITH_BUNDLE)
        }

    def set_config(self, config: BundleConfig) -> None:
        """Give every deployment that holds a bundle this `user_config`. Raises PromotionError where
        Serve has none to change."""
        whole = self._client.get_serve_details()
        deployed = self._details()
        application = deployed["deployed_app_config"]
        if application is None:
            raise PromotionError(
                "the service was started without a file of settings, and only what stands in one "
                "can be changed while it runs: start it by `lmtx serve` or `serve deploy FILE`"
            )
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

    def states(self, deployment: str, number: int) -> list[ReplicaState]:
        """What replicas of a deployment say of themselves, asked `number` times at once; a handle
        chooses which one it asks, and one that is being replaced does not answer."""
        if deployment not in self._handles:
            handle = serve.get_deployment_handle(deployment, self._name)
            self._handles[deployment] = of_any_thread(handle)
        replies = [self._handles[deployment].state.remote() for _ in range(number)]
        return [state for state in map(_answer, replies) if state is not None]


def _answer(reply: DeploymentResponse) -> ReplicaState | None:
    try:
        return reply.result(timeout_s=ANSWER_SECONDS)
    except (ray.exceptions.RayError, serve.exceptions.RayServeException, TimeoutError):
        return None


def promote(service: Service, bundle: str, seconds: float = 300.0) -> dict[str, Any]:
    """Make `bundle` the one that answers.

    Raises:
        PublishError: It is no published bundle.
        PromotionError: A replica refused it, or they did not all take over within `seconds`.
        OvertakenError: Another promotion began meanwhile.
    """
    bundle = resolve(storage.absolute(bundle))
    folder = open_bundle(bundle, lambda name: name == DESCRIPTION).folder
    bundle_id = storage.read_json(f"{folder}/{DESCRIPTION}")["bundle_id"]
    before = service.config()
    if before.bundle == bundle and before.standby is None:
        raise PromotionError(f"{bundle} answers already")
    started = time.monotonic()
    give_up = started + seconds
    unfinished = before.bundle == bundle  # a promotion to it that was broken off
    old = before.rollback if unfinished else before.bundle
    loaded = BundleConfig(bundle=before.bundle, standby=bundle, rollback=before.rollback)
    taken = BundleConfig(bundle=bundle, standby=old, rollback=old)
    try:
        if not unfinished:
            _settle(service, before, loaded, lambda state: bundle_id in state.holds, give_up)
        earlier = before if unfinished else loaded
        _settle(service, earlier, taken, lambda state: state.bundle_id == bundle_id, give_up)
    except OvertakenError:
        raise
    except PromotionError:
        if service.config() not in (before, loaded, taken):
            raise OvertakenError(OVERTAKEN) from None
        back = None if unfinished else before.rollback
        service.set_config(BundleConfig(bundle=old or before.bundle, rollback=back))
        raise
    time.sleep(DRAIN_SECONDS)  # calls that began with the old bundle end
    if service.config() == taken:  # else another promotion has begun and wants both
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


def _settle(
    service: Service,
    earlier: BundleConfig,
    config: BundleConfig,
    done: Callable[[ReplicaState], bool],
    give_up: float,
) -> None:
    """Give all replicas a configuration instead of the earlier one, which Serve may tell for a
    moment more, and wait until each of them is `done` with it."""
    service.set_config(config)
    settled: dict[str, set[str]] = {}
    usual = [config, earlier]
    while time.monotonic() < give_up:
        now = service.config()
        if now not in usual:
            raise OvertakenError(OVERTAKEN)
        if now == config:
            usual = [config]
        late = 0
        for name, running in service.replicas().items():
            waiting = running - settled.setdefault(name, set())
            late += len(waiting) or not running
            for state in service.states(name, 2 * len(waiting)):
                if state.config == config and _has_settled(state, done):
                    settled[name].add(state.replica)
        if not late:
            return
        time.sleep(LOOK_SECONDS)
    raise PromotionError("not every engine and shard took over in time: they go on as before")


def _has_settled(state: ReplicaState, done: Callable[[ReplicaState], bool]) -> bool:
    if state.promotion == "loading":
        return False
    if state.promotion and not done(state):
        raise PromotionError(state.promotion)
    return done(state)


def connect(address: str, known: LocalService | None = None) -> Service:
    """The service on the Ray cluster at `address`; `known` is the one of this machine it must be.

    Raises:
        PromotionError: No Ray answers there, or it runs another service than `known`.
    """
    try:
        require_ray(address)
        _use_token(address)
        context = ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise PromotionError(f"no Ray answers at {address}: {one_line(error)}") from error
    service = Service(f"http://{context.dashboard_url}")
    if known is not None and service.place() != (known.host, known.port):
        raise PromotionError(
            f"Ray at {address} runs the service at {service.url()}, not {known.url}: "
            "say which with --address"
        )
    return service


def _use_token(address: str) -> None:
    """Ray shows its token to a cluster named by address only where RAY_AUTH_MODE says so, as the
    address may be a stranger's. One of this machine may see the token of this machine."""
    if address.rpartition(":")[0] in {"127.0.0.1", "localhost", get_node_ip_address()}:
        private("maybe_enable_token_auth_if_token_available")(warn_if_disabled=False)
