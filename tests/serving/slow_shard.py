"""The service with one replica of a shard that takes its time: while the file BUNDLE.slow is there,
the first replica of Shard1 that loads the bundle BUNDLE waits."""

# No `from __future__ import annotations`: see serve_apps/application.py.

import asyncio
from pathlib import Path
from typing import Any

from ray import serve

from serve_apps import application
from serve_apps.application import TaggerArgs
from serve_apps.shard import Shard


def claim(path: Path) -> bool:
    """Whether this process is the first to ask."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class SlowShard(Shard.func_or_class):
    """See above."""

    async def _load(self, uri: str) -> Any:
        gate = Path(f"{uri}.slow")
        if self._number == 1 and gate.exists() and claim(Path(f"{uri}.waiting")):
            while gate.exists():
                await asyncio.sleep(0.1)
        return await super()._load(uri)


def app(args: TaggerArgs) -> serve.Application:
    """serve_apps.application:app with SlowShard."""
    application.Shard = Shard.options(func_or_class=SlowShard)
    return application.app(args)
