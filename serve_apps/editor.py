"""The deployment that edits labels: one replica, so that edits come one after the other. It is
there only where a key has the right to edit."""

from __future__ import annotations

import asyncio
from typing import Any

from ray import serve

from serve_apps.edit_routes import EditCall
from serve_apps.edit_work import Work
from serve_apps.promotion import Service, promote
from serve_apps.ray_internals import private


@serve.deployment(
    name="Editor",
    num_replicas=1,
    max_ongoing_requests=64,
    graceful_shutdown_timeout_s=120,
    ray_actor_options={"num_cpus": 0},
)
class Editor:
    """Works in a thread of its own process: neither ingress nor engine waits for it."""

    def __init__(self) -> None:
        self._work = Work(self._active, self._promote)

    def _service(self) -> Service:
        return Service(f"http://{private('get_webui_url_from_internal_kv')()}")

    def _active(self) -> str:
        return self._service().config().bundle

    def _promote(self, bundle: str) -> None:
        promote(self._service(), bundle)

    async def edit(self, call: EditCall, seconds: float) -> dict[str, Any]:
        """How an edit stands after so many seconds, or when it ended."""
        state = self._work.begin(call)
        if not state["id"]:
            return state
        waited = await asyncio.to_thread(self._work.wait, state["id"], seconds)
        return waited or state

    async def edit_state(self, edit_id: str) -> dict[str, Any] | None:
        """The same of one that began before; None of one that is not known."""
        return self._work.wait(edit_id, 0.0)
