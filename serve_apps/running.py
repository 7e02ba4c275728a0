"""Serves a bundle on this machine: a Ray instance of its own, until it is told to stop."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import ray
import yaml
from ray import serve

from lmtx_ray.bundle.cache import open_bundle
from lmtx_ray.io import storage
from lmtx_ray.io.cores import usable_cores
from lmtx_ray.io.stage import Stage
from lmtx_ray.loop.running import own_signals
from serve_apps.guard import GuardSettings, check_binding
from serve_apps.outermost import CALLBACK, HERE
from serve_apps.ray_internals import private
from serve_apps.services import LocalService, announced

APP = "tagger"
CONFIG = Path(__file__).parent / "tagger.yaml"
# a request changes threads less often: nothing here blocks a replica's event loop
ONE_LOOP = "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD", "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP"
ENDED = {"RUNNING", "DEPLOY_FAILED", "UNHEALTHY"}
RAISED = re.compile(r"^[\w.]*(?:Error|Exception|Refusal): .*\w.*$", re.MULTILINE)
START_SECONDS = 300
MOST_ENGINES = 4  # of one machine: each holds a model of its own


logger = logging.getLogger(__name__)


class ServiceError(ValueError):
    """The service does not run; the message is Serve's."""


def deploy_config(
    bundle: str, host: str, port: int, insecure: bool = False, **args: Any
) -> dict[str, Any]:
    """The content of tagger.yaml with a bundle and an address; `args` go to TaggerArgs."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["http_options"] |= {"host": host, "port": port}
    config["applications"][0]["args"] |= {
        "bundle": storage.absolute(bundle),
        "host": host,
        "insecure": insecure,
        **args,
    }
    return config


def engines_for(cores: int) -> tuple[int, int]:
    """Engines of one machine and the threads of each: many of few threads, as small passes fill no
    more, but at most MOST_ENGINES, and no more threads than cores."""
    threads = -(-cores // MOST_ENGINES)
    return cores // threads, threads


def fill_machine(config: dict[str, Any], cores: int) -> None:
    """Engines for all cores from the start, as one machine gets no more of them."""
    engines, threads = engines_for(cores)
    (application,) = config["applications"]
    application["args"]["threads"] = threads
    engine = next(one for one in application["deployments"] if one["name"] == "Engine")
    engine["autoscaling_config"] |= {"min_replicas": engines, "max_replicas": engines}


def start_ray() -> str:
    """Start Ray on this machine for the service; returns its dashboard's URL."""
    # Serve waits half a minute for load balancers to notice; the one here is told at once
    os.environ.setdefault("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", "2")
    # and kills a proxy that takes over 15 seconds to start, as it does on a busy machine
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "30")
    for flag in ONE_LOOP:
        os.environ.setdefault(flag, "0")
    os.environ.setdefault(CALLBACK, HERE)
    # headers up to this size reach the guard, which refuses large ones in the one shape
    os.environ.setdefault("RAY_SERVE_HAPROXY_TUNE_BUFSIZE", str(64 * 1024))
    slots = usable_cores() + 1  # beside engines of one slot, shards of a tenth
    with own_signals(), Stage("starting Ray"):
        context = ray.init(
            address="local",
            num_cpus=slots,
            include_dashboard=True,
            dashboard_host="127.0.0.1",
            logging_level=logging.WARNING,
            log_to_driver=False,
        )
    return f"http://{context.dashboard_url}"


def deploy(dashboard: str, config: dict[str, Any], seconds: float = START_SECONDS) -> None:
    """Deploy and wait until the application runs.

    Raises:
        ServiceError: It cannot, or takes longer than `seconds`.
    """
    client = private("ServeSubmissionClient")(dashboard)
    client.deploy_applications(config)
    give_up = time.monotonic() + seconds
    state: dict[str, Any] = {}
    with Stage("starting the service", note=lambda: parts_ready(state)):
        while time.monotonic() < give_up:
            state = client.get_serve_details()["applications"].get(APP, {})
            if state.get("status") == "RUNNING":
                return
            if state.get("status") in ENDED:
                told = told_by(state)
                logger.debug("Serve tells: %s", told)
                raise ServiceError(f"the service does not start: {cause_of(told)}")
            time.sleep(0.2)
    raise ServiceError(f"the service did not start within {seconds:g} seconds")


def told_by(state: dict[str, Any]) -> str:
    """Serve's messages of an application that ended: its own, and those of deployments that did,
    as its own may only name them."""
    parts = [one for one in state.get("deployments", {}).values() if one.get("status") in ENDED]
    return "\n".join(one.get("message", "") for one in (state, *parts))


def cause_of(message: str) -> str:
    """The line of Serve's message that says what is wrong: the last one of an error with a text, as
    the trace around it ends in errors without any."""
    said = [match.group() for match in RAISED.finditer(message)]
    lines = said or [line for line in message.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "Serve does not say why"


def parts_ready(state: dict[str, Any]) -> str:
    """Of a starting application, which deployments are up already and which are not."""
    parts = state.get("deployments", {})
    ready = sorted(name for name, part in parts.items() if part.get("status") == "HEALTHY")
    waiting = sorted(set(parts) - set(ready))
    said = [f"ready: {', '.join(ready)}"] if ready else []
    return "; ".join([*said, *([f"waiting for {', '.join(waiting)}"] if waiting else [])])


def run_blocking(
    bundle: str, host: str, port: int, insecure: bool = False, feedback_dir: str = ""
) -> None:
    """Serve a bundle until interrupted; returns after a clean shutdown. `feedback_dir` is as
    TaggerArgs has it. The ports are settled by `ports.take_ports` before.

    Raises:
        BindingError: Reachable from a network without API keys.
        GuardError: A wrong setting of the guard in the environment.
        PublishError: `bundle` is no published bundle.
        ServiceError: Serve cannot run it.
    """
    check_binding(host, GuardSettings.from_environment(os.environ).keys, insecure)
    held = open_bundle(bundle)  # a damaged one ends here, and replicas find it fetched
    config = deploy_config(bundle, host, port, insecure, feedback_dir=feedback_dir)
    fill_machine(config, usable_cores())
    run_config(config)
    del held


def local_service(config: dict[str, Any], address: str) -> LocalService:
    """What a Serve config describes, on the Ray instance at `address`."""
    http, (application,) = config["http_options"], config["applications"]
    return LocalService(http["host"], http["port"], address, application["args"]["bundle"])


def run_config(config: dict[str, Any]) -> None:
    """Serve what a Serve config describes, on a Ray instance of its own, until interrupted; its
    ports are settled by `ports.take_ports` before."""
    stop, usual = threading.Event(), (signal.SIG_DFL, signal.default_int_handler)
    # the command line has handlers of its own
    unheeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) in usual]
    dashboard = start_ray()
    for number in unheeded:  # after Ray, whose own handler aborts
        signal.signal(number, lambda *_: stop.set())
    try:
        deploy(dashboard, config)
        service = local_service(config, ray.get_runtime_context().gcs_address)
        with announced(service):
            print(
                f"serving at {service.url} (Ctrl-C stops; lmtx promote --address {service.ray})",
                flush=True,
            )
            stop.wait()
    finally:
        serve.shutdown()
        ray.shutdown()
