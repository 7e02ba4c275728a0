"""SIGKILL at the writes of a published folder (an encoder, an index, a bundle, a checkpoint), and
two drivers that publish one at the same moment, on a disk and on S3."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lmtx_ray.io import storage
from lmtx_ray.io.publish import Dataset
from lmtx_ray.io.receipts import PublishError
from tests.chaos.batch_runs import finish, frozen, kill_at
from tests.published import is_whole

FILES = {"config.json": b"{}", "inner/weights": b"w" * 1000, "inner/words": b"a b c"}
LOST = 7  # exit code of who lost a race


def publish(uri: str, before: Callable[[], None], mark: bytes = b"") -> int:
    """Publish FILES, each with `mark` at its end, in a fork; `before` runs in it first."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        before()

        def save(folder: Path) -> None:
            for name, content in FILES.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(content + mark)

        Dataset(uri, "f").publish_folder(save)
        code = 0
    except PublishError:
        code = LOST
    finally:
        os._exit(code)


def content(uri: str, mark: bytes = b"") -> bool:
    """Whether what is published there is whole, and of one driver."""
    step = Dataset(uri, "f")
    assert is_whole(step)
    names = step.manifest().files
    found = {name: storage.read_bytes(step.uri_of(file)) for name, file in names.items()}
    return found == {name: data + mark for name, data in FILES.items()}


def test_a_folder_killed_at_any_write_is_published_whole_by_the_next(place: str) -> None:
    number = kills = 0
    code = -signal.SIGKILL
    while code != 0:
        number += 1
        uri = f"{place}/killed-{number}"
        code = finish(publish(uri, kill_at(number)))
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        assert finish(publish(uri, lambda: None)) == 0
        assert content(uri)
    assert kills >= 2 * (len(FILES) + 1)  # before and after each file and the manifest


@pytest.mark.parametrize("write", [1, 4, 7])
def test_who_comes_too_late_with_another_folder_harms_nothing(place: str, write: int) -> None:
    """The first driver freezes at a write; another one publishes; then the first wakes up."""
    uri = f"{place}/race-{write}"
    first = publish(uri, kill_at(write, by=signal.SIGSTOP), b"first")
    with frozen(first):
        assert finish(publish(uri, lambda: None, b"second")) == 0
    assert finish(first) == LOST
    assert content(uri, b"second")
