"""Edits of labels one after the other, in a process that answers no request: the new bundle is made
beside the one that it is made of, and promoted where that is wished."""

from __future__ import annotations

import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from lmtx_ray.bundle.editing import Plan, plan
from lmtx_ray.bundle.relabelling import BundleLabels, labels_of
from lmtx_ray.bundle.remaking import description_of
from lmtx_ray.cli.messages import one_line
from lmtx_ray.corpus.label_changes import Change, Mistakes, change_of, to_put, to_remove
from lmtx_ray.corpus.lines import BadRow
from lmtx_ray.io import storage
from lmtx_ray.io.published import MANIFEST
from serve_apps.edit_routes import ANOTHER, BUSY, FAILED, INVALID, PUT, EditCall

REMEMBERED = 100  # edits
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # of a bundle that was made of another; no path, no dots
SOURCE = "labels"

State = dict[str, Any]
Active = Callable[[], str]  # the bundle that answers
Promote = Callable[[str], None]


class OtherBundle(ValueError):
    """What is to be edited is not what the caller means."""


class Work:
    """Edits, of which one is made at a time. Another that comes meanwhile is refused: it was meant
    for the labels as they are now."""

    def __init__(self, active: Active, promote: Promote) -> None:
        """`active` and `promote` take their time, and are called in a thread of this object."""
        self._active, self._promote = active, promote
        self._thread, self._lock = ThreadPoolExecutor(1, "edits"), threading.Lock()
        self._states: OrderedDict[str, State] = OrderedDict()
        self._running: Future[None] | None = None

    def begin(self, call: EditCall) -> State:
        """Begin an edit; its state has the id."""
        with self._lock:
            if self._running is not None and not self._running.done():
                problem = "another edit is under way: look at the labels when it is done"
                return {"id": "", "state": "failed", "code": BUSY, "problem": problem}
            state: State = {"id": uuid.uuid4().hex[:12], "state": "making"}
            self._states[state["id"]] = state
            while len(self._states) > REMEMBERED:
                self._states.popitem(last=False)
            self._running = self._thread.submit(self._carry_out, state, call)
            return dict(state)

    def wait(self, edit_id: str, seconds: float) -> State | None:
        """How an edit stands when it ended, or after so many seconds."""
        state, running = self._states.get(edit_id), self._running
        if state is not None and running is not None and state["state"] in {"making", "promoting"}:
            wait([running], seconds)
        return None if state is None else dict(state)

    def _carry_out(self, state: State, call: EditCall) -> None:
        try:
            self._make(state, call)
        except Mistakes as error:
            state |= {"state": "failed", "code": INVALID, "problem": one_line(error)}
        except OtherBundle as error:
            state |= {"state": "failed", "code": ANOTHER, "problem": one_line(error)}
        except Exception as error:  # whatever it is, the caller is told and the next one begins
            state |= {"state": "failed", "code": FAILED, "problem": one_line(error)}

    def _make(self, state: State, call: EditCall) -> None:
        answers = self._active()
        before = labels_of(_meant(answers, call.of))
        planned = planned_of(before, call)
        made = planned.make()
        state |= planned.edited.counts()
        state |= {
            "bundle": made,
            "bundle_id": description_of(made)["bundle_id"],
            "of": description_of(before.uri)["bundle_id"],
        }
        if call.promote and made != answers:
            state["state"] = "promoting"
            if self._active() != answers:
                raise OtherBundle(f"another bundle answers by now, so {made} was not promoted")
            self._promote(made)
        state["state"] = "live" if call.promote or made == answers else "made"


def _meant(answers: str, bundle_id: str | None) -> str:
    """The bundle to edit: the one that answers, or one beside it of this id."""
    own = description_of(answers)["bundle_id"]
    if bundle_id in (None, own):
        return answers
    folder = answers.rstrip("/").rsplit("/", 1)[0]
    beside = _beside(folder, str(bundle_id))
    if beside is None:
        raise OtherBundle(f"no bundle of this id is here; {own} answers")
    if not _was_made_of(folder, beside, own):
        raise OtherBundle(f"that bundle was not made of the one that answers, {own}")
    return beside


def _beside(folder: str, bundle_id: str) -> str | None:
    """The edited bundle of this id in a folder, if it is there."""
    beside = storage.join(folder, f"bundle-{bundle_id}")
    return beside if ID.fullmatch(bundle_id) and storage.stat(f"{beside}/{MANIFEST}") else None


def _was_made_of(folder: str, edited: str, bundle_id: str) -> bool:
    """Whether one edit after the other leads from a bundle to the edited one, as far as those
    between them are in this folder."""
    passed: set[str] = set()
    bundle: str | None = edited
    while bundle is not None and bundle not in passed:
        passed.add(bundle)
        history = description_of(bundle).get("edited") or {}
        if bundle_id in (history.get("of"), history.get("first")):
            return True
        bundle = _beside(folder, history["of"]) if history else None
    return False


def planned_of(before: BundleLabels, call: EditCall) -> Plan:
    """What a call makes of labels.

    Raises:
        Mistakes: A row that cannot be meant.
    """
    changes: list[Change] = []
    seen: dict[str, str] = {}
    for number, row in enumerate(call.rows):
        place = f"{'label' if call.kind == PUT else 'key'} {number}"
        change = change_of(place, row)
        if isinstance(change, BadRow):
            raise Mistakes(f"{place}: {change.reason}; nothing was changed")
        if seen.setdefault(change.key, place) != place:
            first = seen[change.key]
            raise Mistakes(f"{place}: its key is that of {first}; nothing was changed")
        changes.append(change)
    if call.kind == PUT:
        return plan(before, to_put(changes, before.labels, before.table, SOURCE))
    try:
        return plan(before, to_remove(changes, before.labels, SOURCE))
    except ValueError as error:
        raise Mistakes(str(error)) from error
