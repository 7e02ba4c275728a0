"""What a run spends, told by every process in a small file of its own.

    costs/<process>.json   {"judge 1": {"requests": 640, "prompt_tokens": 81920, …}, …}

They are no part of any identity. A file is written anew as its process spends more, so that a
killed process takes with it only what it spent since then, and a resumed run adds files.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from lmtx_ray.io import storage

logger = logging.getLogger(__name__)
FOLDER = "costs"
Spent = dict[str, dict[str, float]]  # step -> what -> how much


@dataclass
class Account:
    """One process's file under a folder. Threads may share it."""

    uri: str
    _name: str = field(default_factory=lambda: uuid.uuid4().hex)
    _spent: Spent = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, step: str, spent: Mapping[str, float]) -> None:
        """Write down what this process spent on a step so far; it replaces what it said before. A
        failing store is a warning: what is written down is worth less than what was done."""
        with self._lock:
            if self._spent.get(step) == dict(spent):
                return
            self._spent[step] = dict(spent)
            data = storage.to_json(self._spent)
            try:
                storage.write_bytes(storage.join(self.uri, f"{self._name}.json"), data)
            except storage.StorageError as error:
                logger.warning("what %s took is not written down: %s", step, error)


def read_accounts(uri: str) -> Spent:
    """What all processes spent, step by step; empty where nothing was written down."""
    total: Spent = {}
    for file in storage.list_files(uri, ".json"):
        for step, spent in storage.read_json(file).items():
            own = total.setdefault(step, {})
            for name, value in spent.items():
                own[name] = own.get(name, 0) + value
    return total
