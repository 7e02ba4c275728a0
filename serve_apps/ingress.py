"""The deployment that speaks HTTP; it holds no bundle, so any replica answers any request."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
)
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from lmtx_ray.corpus.label_set import Label
from lmtx_ray.io.addresses import is_loopback
from serve_apps.api import build_api
from serve_apps.edit_routes import EditCall
from serve_apps.engine import BUNDLE_GONE, SHARD_MISSING
from serve_apps.feedback import Keeper
from serve_apps.generation import UNKNOWN_KEYS, Answer, TagCall
from serve_apps.guard import GuardSettings, Refusal, check_binding
from serve_apps.ports import HA_PROXY
from serve_apps.ray_internals import http_host
from serve_apps.telemetry import Telemetry
from serve_apps.tracing import tracing_from

TRIES, WAIT_SECONDS, STATE_SECONDS = 4, 0.05, 2.0
EDIT_SPARE_SECONDS = 1.0  # beyond what the editor was asked to wait
RETRY = {"Retry-After": "1"}


def busy(code: str, message: str) -> Refusal:
    """503 with the wish to come back."""
    return Refusal(503, code, [((), message)], RETRY)


class EngineClient:
    """The engine behind a handle. A call lost with its replica is asked again of another one."""

    def __init__(
        self, engine: DeploymentHandle, seconds: float, editor: DeploymentHandle | None = None
    ) -> None:
        self._engine, self._seconds, self._editor = engine, seconds, editor

    async def _ask(self, call: Callable[[], Any], seconds: float) -> Any:
        give_up = time.monotonic() + seconds
        for attempt in range(TRIES):
            left = give_up - time.monotonic()
            if left <= 0:
                break
            try:
                return await asyncio.wait_for(_result(call()), left)
            except (BackPressureError, DeploymentUnavailableError):
                raise busy("overloaded", "too many requests are waiting") from None
            except RayActorError:
                await asyncio.sleep(WAIT_SECONDS * attempt)
            except TimeoutError:
                break
        raise busy("no_answer", "the tagger did not answer in time")

    async def tag(self, call: TagCall) -> Answer:
        """One call's answer; one for a bundle that is gone is empty and names none."""
        answer: Answer = await self._ask(lambda: self._engine.tag.remote(call), self._seconds)
        if answer.error == SHARD_MISSING:
            raise busy("shard_missing", "a part of the index does not answer")
        if answer.error == UNKNOWN_KEYS:
            raise Refusal(422, UNKNOWN_KEYS, answer.problems)
        assert answer.error in {"", BUNDLE_GONE}
        return answer

    async def labels(self, query: str, limit: int) -> tuple[str, int, list[Label]]:
        """(bundle id, size of the label set, labels that fit the query)."""
        return await self._ask(lambda: self._engine.labels.remote(query, limit), self._seconds)

    async def label(self, key: str) -> tuple[str, Label | None, list[Label], str]:
        """(bundle id, the label or None, its parents, the day on which it was removed or "")."""
        return await self._ask(lambda: self._engine.label.remote(key), self._seconds)

    async def label_texts(self, keys: Sequence[str]) -> tuple[str, dict[str, str]]:
        """(bundle id, texts of those keys that the label set has)."""
        return await self._ask(lambda: self._engine.label_texts.remote(keys), self._seconds)

    async def edit(self, call: EditCall, seconds: float) -> dict[str, Any]:
        """How an edit of labels stands after so many seconds, or when it ended. Begun once: one
        whose replica is lost is not begun again by another."""
        assert self._editor is not None
        try:
            reply = _result(self._editor.edit.remote(call, seconds))
            return await asyncio.wait_for(reply, seconds + EDIT_SPARE_SECONDS)
        except (RayActorError, RayServeException, TimeoutError):
            raise busy("no_answer", "the editor did not answer: look at the labels") from None

    async def edit_state(self, edit_id: str) -> dict[str, Any] | None:
        """The same of one that began before; None of one that is not known."""
        editor = self._editor
        assert editor is not None
        return await self._ask(lambda: editor.edit_state.remote(edit_id), STATE_SECONDS)

    async def state(self) -> dict[str, Any]:
        """`bundle_id`, `promotion`, `defaults` and `about` of a replica."""
        state = await self._ask(lambda: self._engine.state.remote(), STATE_SECONDS)
        names = ("bundle_id", "promotion", "defaults", "about")
        return {name: getattr(state, name) for name in names}


def _log_requests() -> None:
    """The guard's lines go to this process's standard error, which Ray keeps in a file."""
    logger = logging.getLogger("lmtx")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def behind_proxy(guard: GuardSettings, nodes: Iterable[str]) -> GuardSettings:
    """The guard's settings behind Ray's own HAProxy on `nodes` (addresses).

    It adds no X-Forwarded-For, so all that come through it have its address: without a proxy in
    front of it that adds one, a limit by address would be a limit of the whole service.
    """
    told = {"count_addresses": guard.forwarded_hops > 0 and guard.count_addresses}
    return guard.model_copy(update={**told, "forwarded_from": (*guard.forwarded_from, *nodes)})


def bound(guard: GuardSettings, host: str, insecure: bool) -> GuardSettings:
    """The guard's settings of a service that is bound to `host`. Where they were told of a network
    before, as behind a proxy of this machine, they stay as strict.

    Raises:
        BindingError: Reachable from a network without API keys.
    """
    check_binding(host, guard.keys, insecure)
    return guard.model_copy(update={"host": host}) if is_loopback(guard.host) else guard


async def _result(reply: Any) -> Any:
    return await reply


@serve.deployment(name="Ingress")
@serve.ingress()
class Ingress:
    """One process that checks, forwards and renders."""

    def __init__(
        self,
        guard: dict[str, Any],
        engine: DeploymentHandle,
        feedback_dir: str = "",
        editor: DeploymentHandle | None = None,
        insecure: bool = False,
    ) -> None:
        # only here: Serve may be bound elsewhere than the application's builder was told
        self._guard = bound(GuardSettings(**guard), http_host(), insecure)
        if os.environ.get(HA_PROXY) == "1":
            nodes = {node["NodeManagerAddress"] for node in ray.nodes()}
            self._guard = behind_proxy(self._guard, sorted(nodes))
        self._client = EngineClient(engine, self._guard.request_seconds, editor)
        self._may_edit = editor is not None
        self._telemetry = Telemetry()
        replica = serve.get_replica_context().replica_id.unique_id
        self._telemetry.replica = replica
        self._keeper = Keeper(feedback_dir, replica)
        self._tracing = tracing_from(os.environ, replica)
        _log_requests()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return build_api(
            self._client,
            self._guard,
            self._telemetry,
            self._keeper,
            self._tracing,
            self._client if self._may_edit else None,
        )
