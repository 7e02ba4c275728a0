"""Promotion over replicas that load at their own pace: nobody is asked for a bundle it lacks."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from lmtx_ray.io.publish import Dataset
from serve_apps import promotion
from serve_apps.bundles import BundleConfig, Bundles, ReplicaState
from serve_apps.promotion import OvertakenError, PromotionError, Service, promote, rollback

PATIENCE_SECONDS = 20


class Held:
    """A loaded bundle that is only its id."""

    def __init__(self, bundle_id: str) -> None:
        self.bundle_id = bundle_id


class Replica:
    """A replica's bundles; `slow`, `wrong` and `damaged` name bundles that it waits with, refuses
    and cannot load."""

    def __init__(self, name: str, wrong: str = "") -> None:
        self.name, self.wrong, self.slow, self.damaged = name, wrong, "", ""
        self.bundles: Bundles[Held] = Bundles(self._load, self._check)

    async def _load(self, uri: str) -> Held:
        while Path(uri).name == self.slow:
            await asyncio.sleep(0.01)
        if Path(uri).name == self.damaged:
            raise ValueError("a file was changed")
        return Held(Path(uri).name)

    async def _check(self, held: Held) -> str:
        return "wrong answers" if held.bundle_id == self.wrong else ""

    @property
    def holds(self) -> set[str]:
        return set(self.bundles.state(self.name).holds)


class Replicas:
    """What `promote` sees of a service, over replicas in an event loop of their own."""

    def __init__(self, bundle: str, *replicas: Replica) -> None:
        self.all = replicas
        self._turns = {name: itertools.cycle(self._of(name)) for name in self.replicas()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.set_config(BundleConfig(bundle=bundle))

    def _of(self, deployment: str) -> list[Replica]:
        return [one for one in self.all if one.name.startswith(deployment)]

    def replicas(self) -> dict[str, set[str]]:
        names = {one.name.partition("-")[0] for one in self.all}
        return {name: {one.name for one in self._of(name)} for name in sorted(names)}

    def config(self) -> BundleConfig:
        return self._config

    def set_config(self, config: BundleConfig) -> None:
        self._config = config
        for one in self.all:
            asyncio.run_coroutine_threadsafe(one.bundles.apply(config), self._loop).result()

    def states(self, deployment: str, number: int) -> list[ReplicaState]:
        asked = itertools.islice(self._turns[deployment], number)
        return [one.bundles.state(one.name) for one in asked]

    def active(self) -> set[str]:
        return {one.bundles.active.bundle_id for one in self.all}

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def wait_until(reached: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Three bundles by id, of which only the id is written."""
    monkeypatch.setattr(promotion, "DRAIN_SECONDS", 0.0)
    monkeypatch.setattr(promotion, "LOOK_SECONDS", 0.01)
    names = ("old", "new", "third")
    for name in names:
        description = f'{{"bundle_id": "{name}"}}'
        Dataset(str(tmp_path / name), name).publish_folder(
            lambda folder, text=description: (folder / "bundle.json").write_text(text)
        )
    return {name: str(tmp_path / name) for name in names}


@pytest.fixture
def service(published: dict[str, str]) -> Iterator[Replicas]:
    names = ("Engine-a", "Engine-b", "Shard0-a", "Shard0-b", "Shard1-a", "Shard1-b")
    found = Replicas(published["old"], *map(Replica, names))
    yield found
    found.close()


def change_slowly(service: Replicas, last: Replica, change: Callable[[], dict]) -> dict:
    """What `change` to the bundle that `last` is slow with comes to; the old one answers before."""
    new, before = last.slow, service.active()
    others = [one for one in service.all if one is not last]
    with ThreadPoolExecutor(1) as pool:
        changed = pool.submit(change)
        wait_until(lambda: all(new in one.holds for one in others))
        time.sleep(0.2)
        assert not changed.done()
        assert service.active() == before
        assert all(before <= one.holds for one in service.all)
        last.slow = ""
    assert service.active() == {new}
    wait_until(lambda: all(one.holds == {new} for one in service.all))
    return changed.result()


def named(service: Replicas, name: str) -> Replica:
    (replica,) = (one for one in service.all if one.name == name)
    return replica


@pytest.mark.parametrize("slow", ["Shard1-b", "Engine-b"])
def test_nobody_answers_with_a_bundle_that_a_slow_replica_does_not_hold(
    service: Replicas, published: dict[str, str], slow: str
) -> None:
    last = named(service, slow)
    last.slow = "new"
    there = change_slowly(service, last, partial(promote, service, published["new"]))
    assert (there["bundle_id"], there["rollback"]) == ("new", published["old"])
    last.slow = "old"
    back = change_slowly(service, last, partial(rollback, service))
    assert (back["bundle_id"], back["rollback"]) == ("old", published["new"])


@pytest.mark.parametrize("bad", ["Shard1-b", "Engine-a"])
def test_a_replica_that_refuses_leaves_the_old_bundle_everywhere(
    service: Replicas, published: dict[str, str], bad: str
) -> None:
    one = named(service, bad)
    one.wrong = "new"
    with pytest.raises(PromotionError, match="wrong answers"):
        promote(service, published["new"])
    wait_until(lambda: service.active() == {"old"})
    wait_until(lambda: all(one.holds == {"old"} for one in service.all))
    one.wrong = ""
    assert promote(service, published["new"])["rollback"] == published["old"]


@pytest.mark.parametrize("bad", ["Shard1-b", "Engine-a"])
def test_a_replica_that_cannot_load_goes_on_answering_with_the_old_bundle(
    service: Replicas, published: dict[str, str], bad: str
) -> None:
    one = named(service, bad)
    one.damaged = "new"
    with pytest.raises(PromotionError, match="a file was changed"):
        promote(service, published["new"], seconds=2.0)
    assert service.active() == {"old"}
    one.damaged = ""
    assert promote(service, published["new"])["rollback"] == published["old"]


def test_a_promotion_in_vain_says_so_in_time(service: Replicas, published: dict[str, str]) -> None:
    service.all[-1].slow = "new"
    with pytest.raises(PromotionError, match="in time"):
        promote(service, published["new"], seconds=0.5)
    assert service.active() == {"old"}


def test_a_promotion_gives_way_to_a_later_one(service: Replicas, published: dict[str, str]) -> None:
    service.all[-1].slow = "new"
    theirs = BundleConfig(bundle=published["old"], rollback=published["new"])
    with ThreadPoolExecutor(1) as pool:
        ours = pool.submit(promote, service, published["new"])
        wait_until(lambda: "new" in service.all[0].holds)
        time.sleep(0.1)
        service.set_config(theirs)
        with pytest.raises(OvertakenError, match="another promotion"):
            ours.result(PATIENCE_SECONDS)
    assert service.config() == theirs


def test_a_promotion_that_gives_up_leaves_a_later_one_alone(
    service: Replicas, published: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later one came when a replica had refused already, and was not looked for any more."""
    theirs = BundleConfig(bundle=published["third"], rollback=published["old"])
    service.all[0].wrong = "new"

    def refuse(deployment: str, number: int, ask: Callable = service.states) -> list[ReplicaState]:
        states = ask(deployment, number)
        if any("wrong answers" in state.promotion for state in states):
            service.set_config(theirs)
        return states

    monkeypatch.setattr(service, "states", refuse)
    with pytest.raises(OvertakenError, match="another promotion"):
        promote(service, published["new"])
    assert service.config() == theirs


@pytest.mark.parametrize("step", ["hold", "take over"])
def test_a_promotion_that_never_saw_its_own_step_gives_way(
    service: Replicas, published: dict[str, str], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The later one came between the step and the first look."""
    theirs = BundleConfig(bundle=published["third"], rollback=published["old"])
    overtaken = published["old"] if step == "hold" else published["new"]

    def set_config(config: BundleConfig, give: Callable = service.set_config) -> None:
        give(theirs if config.bundle == overtaken else config)

    monkeypatch.setattr(service, "set_config", set_config)
    with pytest.raises(OvertakenError, match="another promotion"):
        promote(service, published["new"], seconds=2.0)
    assert service.config() == theirs


def test_a_promotion_that_was_broken_off_is_finished(
    service: Replicas, published: dict[str, str]
) -> None:
    new, old = published["new"], published["old"]
    service.set_config(BundleConfig(bundle=new, standby=old, rollback=old))
    assert promote(service, new)["rollback"] == old
    wait_until(lambda: all(one.holds == {"new"} for one in service.all))


def test_a_service_of_serve_run_is_told_how_to_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = {"deployment_config": {"user_config": {"bundle": "a"}}}
    application = {"deployments": {"Engine": engine}, "deployed_app_config": None}

    class Client:
        def __init__(self, dashboard: str) -> None: ...

        def get_serve_details(self) -> dict[str, object]:
            return {"applications": {promotion.APP: application}}

    monkeypatch.setattr(promotion, "private", lambda name: Client)
    service = Service("http://127.0.0.1:8265")
    with pytest.raises(PromotionError, match="start it by `lmtx serve` or `serve deploy FILE`"):
        service.set_config(BundleConfig(bundle="b"))
