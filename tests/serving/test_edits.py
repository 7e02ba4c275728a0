"""Labels edited through the service: who may, what is refused, and a service that answers on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lmtx_ray.bundle.remaking import description_of
from lmtx_ray.bundle.tagger import Tagger
from serve_apps.edit_routes import PUT, REMOVE, EditCall
from serve_apps.edit_work import Work
from serve_apps.guard import GuardSettings, KeysError, new_key, parse_keys
from serve_apps.ports import free_port
from serve_apps.running import deploy_config
from tests.serving.conftest import Running, lmtx, running
from tests.serving.contract_app import contract_app, serving
from tests.tiny_bundle import LABELS, publish_bundle

EDITOR, EDITOR_LINE = new_key("editor", ["labels"])
READER, READER_LINE = new_key("reader")
SETTINGS = GuardSettings(keys=parse_keys([EDITOR_LINE, READER_LINE], "test"))
NEW = [{"key": "N1", "text": "skin  care", "parents": ["L0"]}]


class Answering:
    """An editor that keeps what it was asked and answers with one state."""

    def __init__(self, **state: Any) -> None:
        self.calls: list[EditCall] = []
        self._state = {"id": "e1", "state": "made", **state}

    async def edit(self, call: EditCall, seconds: float) -> dict[str, Any]:
        self.calls.append(call)
        return self._state

    async def edit_state(self, edit_id: str) -> dict[str, Any] | None:
        return self._state if edit_id == "e1" else None


def ask(
    method: str,
    path: str = "/v1/labels",
    key: str | None = EDITOR,
    editor: Answering | None = None,
    settings: GuardSettings = SETTINGS,
    body: dict[str, Any] | None = None,
) -> httpx.Response:
    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(contract_app(settings, editor=editor or Answering()))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"X-API-Key": key} if key else {}
            return await client.request(method, path, json=body, headers=headers)

    return asyncio.run(request())


def test_a_key_with_the_right_edits() -> None:
    editor = Answering(bundle_id="b2", added=1)
    reply = ask("PUT", editor=editor, body={"labels": NEW, "promote": True, "of": "b1"})
    assert (reply.status_code, reply.json()["bundle_id"]) == (200, "b2")
    assert ask("DELETE", editor=editor, body={"keys": ["L1"]}).status_code == 200
    assert editor.calls == [
        EditCall(PUT, NEW, True, "b1"),
        EditCall(REMOVE, [{"key": "L1"}], False, None),
    ]
    assert ask("GET", "/v1/edits/e1", editor=editor).json()["state"] == "made"
    assert ask("GET", "/v1/edits/e2", editor=editor).status_code == 404
    assert ask("HEAD", "/v1/edits/e1", editor=editor).status_code == 200


def test_keys_to_remove_may_come_in_chunks() -> None:
    editor = Answering()
    headers = {"X-API-Key": EDITOR, "Content-Type": "application/json"}
    with serving(contract_app(SETTINGS, editor=editor)) as url:
        parts = iter([b'{"keys":', b'["L1"]}'])
        reply = httpx.request("DELETE", f"{url}/v1/labels", content=parts, headers=headers)
    assert reply.status_code == 200
    assert editor.calls == [EditCall(REMOVE, [{"key": "L1"}])]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/labels", {"labels": NEW}),
        ("DELETE", "/v1/labels", {"keys": ["L1"]}),
        ("GET", "/v1/edits/e1", None),
    ],
)
def test_without_the_right_nobody_does(method: str, path: str, body: dict | None) -> None:
    editor = Answering()
    for key, settings in ((READER, SETTINGS), (None, GuardSettings())):
        reply = ask(method, path, key, editor, settings, body)
        assert (reply.status_code, reply.json()["error"]) == (403, "forbidden")
    assert not editor.calls
    assert ask(method, path, None, editor, SETTINGS, body).status_code == 401
    assert ask("GET", key=READER).status_code == 200


@pytest.mark.parametrize(
    ("method", "body", "where"),
    [
        ("PUT", {"labels": []}, "labels"),
        ("PUT", {"labels": [{"text": "a"}]}, "key"),
        ("PUT", {"labels": [{"key": ""}]}, "key"),
        ("PUT", {"labels": [{"key": "a", "colour": "red"}]}, "colour"),
        ("PUT", {"labels": [{"key": str(n)} for n in range(1001)]}, "labels"),
        ("DELETE", {"keys": ["x" * 1001]}, "keys"),
        ("DELETE", {}, "keys"),
    ],
)
def test_a_body_that_is_none_is_refused_with_the_field(method: str, body: dict, where: str) -> None:
    editor = Answering()
    reply = ask(method, editor=editor, body=body)
    assert reply.status_code == 422
    assert where in str(reply.json()["detail"])
    assert not editor.calls


@pytest.mark.parametrize(
    ("code", "status"), [("busy", 409), ("another_bundle", 409), ("invalid", 422), ("failed", 500)]
)
def test_what_went_wrong_is_told(code: str, status: int) -> None:
    editor = Answering(state="failed", code=code, problem="so it is")
    reply = ask("PUT", editor=editor, body={"labels": NEW})
    assert (reply.status_code, reply.json()["error"]) == (status, code)
    assert "so it is" in reply.text


def test_one_that_takes_its_time_is_asked_about_later() -> None:
    reply = ask("PUT", editor=Answering(state="making"), body={"labels": NEW})
    assert (reply.status_code, reply.json()["id"]) == (202, "e1")


def test_a_right_that_nobody_knows_is_no_right() -> None:
    with pytest.raises(KeysError, match="entry 1 has a right that is none of: labels"):
        parse_keys([f"{READER_LINE}:everything"], "test")


@pytest.fixture
def base(encoder: str, tmp_path: Path) -> str:
    return publish_bundle(tmp_path / "bundles" / "one", encoder, "bundle-one")


def done(work: Work, call: EditCall) -> dict[str, Any]:
    return work.wait(work.begin(call)["id"], 60) or {}


def test_an_edit_makes_a_bundle_beside_the_one_that_answers(base: str) -> None:
    live = [base]
    work = Work(lambda: live[-1], live.append)
    first = done(work, EditCall(PUT, [*NEW, {"key": "L3", "text": "lung trial"}]))
    assert (first["state"], first["added"], first["changed"]) == ("made", 1, 1)
    assert live == [base]
    second = done(work, EditCall(REMOVE, [{"key": "L5"}], True, first["bundle_id"]))
    assert (second["state"], live[-1]) == ("live", second["bundle"])
    labels = Tagger.load(live[-1]).labels
    assert (labels["N1"], labels["L3"], "L5" in labels) == ("skin care", "lung trial", False)
    assert description_of(live[-1])["edited"]["first"] == "bundle-one"
    same = done(work, EditCall(PUT, [{"key": "L3", "text": "lung trial"}], True))
    assert (same["state"], same["bundle"], same["unchanged"]) == ("live", live[-1], 16)


def test_edits_of_edits_go_on_after_an_edited_bundle_was_promoted(base: str) -> None:
    live = [base]
    work = Work(lambda: live[-1], live.append)
    made = done(work, EditCall(PUT, NEW, promote=True))
    for number in range(3):  # each of the one before, and none of them promoted
        row = {"key": f"M{number}", "text": f"more {number}"}
        made = done(work, EditCall(PUT, [row], of=made["bundle_id"]))
        assert made["state"] == "made", made
    labels = Tagger.load(made["bundle"]).labels
    assert all(key in labels for key in ("N1", "M0", "M1", "M2"))
    live.append(base)
    beside = done(work, EditCall(PUT, [{"key": "P", "text": "other"}], True))
    refused = done(work, EditCall(PUT, NEW, of=made["bundle_id"]))
    assert (refused["code"], beside["bundle_id"] in refused["problem"]) == ("another_bundle", True)


@pytest.mark.parametrize(
    ("call", "code", "problem"),
    [
        (EditCall(PUT, [{"key": "N1"}]), "invalid", "new label 'N1' needs a text"),
        (EditCall(PUT, [{"key": "N1", "text": " "}]), "invalid", "label 0: field 'text' needs"),
        (EditCall(PUT, [*NEW, *NEW]), "invalid", "label 1: its key is that of label 0"),
        (EditCall(REMOVE, [{"key": "L99"}]), "invalid", "no label has the key 'L99'"),
        (EditCall(REMOVE, [{"key": f"L{n}"} for n in range(16)]), "invalid", "at least one"),
        (EditCall(PUT, NEW, of="another"), "another_bundle", "bundle-one answers"),
        (EditCall(PUT, NEW, of="../one"), "another_bundle", "bundle-one answers"),
        (EditCall(PUT, NEW, of="x" * 1000), "another_bundle", "bundle-one answers"),
    ],
)
def test_what_cannot_be_meant_makes_no_bundle(
    base: str, call: EditCall, code: str, problem: str
) -> None:
    state = done(Work(lambda: base, lambda _: None), call)
    assert (state["state"], state["code"]) == ("failed", code)
    assert problem in state["problem"]
    assert [path.name for path in Path(base).parent.iterdir()] == ["one"]


def test_a_second_edit_meanwhile_is_refused(base: str) -> None:
    go = threading.Event()

    def active() -> str:
        go.wait(30)
        return base

    work = Work(active, lambda _: None)
    first = work.begin(EditCall(PUT, NEW))
    assert work.begin(EditCall(PUT, NEW))["code"] == "busy"
    go.set()
    assert (work.wait(first["id"], 60) or {})["state"] == "made"
    assert work.wait("unknown", 0) is None


@pytest.fixture
def service(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setenv("LMTX_API_KEYS", f"{EDITOR_LINE},{READER_LINE}")
    config = deploy_config(base, "127.0.0.1", free_port(), threads=1, shards=2)
    with running(config, tmp_path) as started:
        yield started


@pytest.mark.slow
def test_a_running_service_knows_a_new_label_and_nothing_goes_down(
    service: Running, base: str, tmp_path: Path
) -> None:
    """By PUT with promotion, and by the verbs; who tags meanwhile gets an answer each time."""
    failed: list[int] = []
    stop = threading.Event()

    def ask_on() -> None:
        with httpx.Client(base_url=service.url, headers={"X-API-Key": READER}) as client:
            while not stop.is_set():
                reply = client.post("/v1/tag", json={"documents": ["heart pain"]}, timeout=60)
                failed.extend([reply.status_code] if reply.status_code != 200 else [])

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        headers = {"X-API-Key": EDITOR}
        with httpx.Client(base_url=service.url, headers=headers, timeout=60) as client:
            edit = client.put("/v1/labels", json={"labels": NEW, "promote": True}).json()
            while edit["state"] in {"making", "promoting"}:
                time.sleep(0.5)
                edit = client.get(f"/v1/edits/{edit['id']}").json()
            assert edit["state"] == "live", edit
            assert client.get("/v1/labels/N1").json()["label"] == "skin care"
            assert client.get("/v1/labels").json()["count"] == len(LABELS) + 1
            body = {"documents": ["skin care"], "top_k": 17}
            tags = client.post("/v1/tag", json=body).json()["results"][0]["tags"]
            assert "N1" in {tag["key"] for tag in tags}
            file = tmp_path / "gone.txt"
            file.write_text("L0\n")
            place = str(tmp_path / "without")
            assert lmtx("labels", "remove", edit["bundle"], str(file), place).returncode == 0
            told = lmtx("promote", "--bundle", place, state=service.state)
            assert told.returncode == 0, told.stderr
            gone = client.get("/v1/labels/L0")
            assert (gone.status_code, "removed on" in gone.text) == (404, True)
    finally:
        stop.set()
        asking.join()
    assert not failed
