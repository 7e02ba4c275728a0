"""The client of boto3, one a process and environment."""

from __future__ import annotations

import functools
import os
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config

ATTEMPTS = 5
TIMEOUT = "LMTX_S3_TIMEOUT"  # seconds a connection or an answer may take; 60 if unset


@functools.lru_cache(maxsize=8)
def _client_of(process: int, environment: tuple[str, ...]) -> Any:
    seconds = float(os.environ.get(TIMEOUT, "60"))
    retries = {"mode": "standard", "total_max_attempts": ATTEMPTS}
    config = Config(retries=retries, connect_timeout=min(seconds, 10), read_timeout=seconds)
    session = botocore.session.get_session()
    session.register_component("data_loader", _loader())
    return boto3.session.Session(botocore_session=session).client("s3", config=config)


@functools.cache
def _loader() -> Any:
    """What reads botocore's descriptions of services: they are large, and read once, also for a
    fork that comes after."""
    return botocore.loaders.create_loader()


def client() -> Any:
    """One client a process (a fork must not share connections) and environment."""
    settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith(("AWS_", TIMEOUT)))
    return _client_of(os.getpid(), tuple(settings))
