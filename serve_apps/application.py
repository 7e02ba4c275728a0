"""The tagging service as a Ray Serve application.

    lmtx serve --bundle FOLDER
    serve run serve_apps.application:app bundle=FOLDER
    serve deploy serve_apps/tagger.yaml

With HAProxy `serve run` binds all addresses, and then needs API keys or `insecure=true`.

Ingress (HTTP) → Engine (encoder, labels, lexical side, small indexes) → one Shard deployment for
each part of a large index; and an Editor where a key may edit labels. The bundle travels as
`user_config`, so another one takes over without a restart: see `promotion`.
"""

# No `from __future__ import annotations` here: Serve turns arguments into TaggerArgs only where the
# builder's annotation is the class itself.

import os
from typing import cast

from pydantic import BaseModel, ConfigDict, Field
from ray import serve

from lmtx_ray.bundle.cache import published_bundle
from lmtx_ray.io import storage
from lmtx_ray.io.latest import resolve
from serve_apps.bundles import BundleConfig
from serve_apps.editor import Editor
from serve_apps.engine import Engine
from serve_apps.guard import LABELS_RIGHT, GuardSettings, check_binding
from serve_apps.ingress import Ingress
from serve_apps.shard import Shard

IN_PROCESS_VECTORS_MIB = 1024  # larger indexes get deployments of their own


class TaggerArgs(BaseModel):
    """Arguments of the application.

    `shards` is the number of Shard deployments, `shard_replicas` how often each is there: 0 keeps
    the index in the engine, None takes 0 for an index below IN_PROCESS_VECTORS_MIB and else one for
    each of the bundle's shards. `partial` lets the service answer, and say so, while a shard is
    missing. `host` is where the HTTP proxy is to be bound; beyond loopback it takes API keys or
    `insecure`, and the ingress makes sure of that by where Serve is bound. `guard` overrides
    GuardSettings. `feedback_dir` is a folder on the ingress's node where `/v1/feedback` keeps what
    people say; without one it only gives the rows back.
    """

    model_config = ConfigDict(extra="forbid")

    bundle: str = Field(min_length=1)
    threads: int = Field(1, ge=1)
    shards: int | None = Field(None, ge=0)
    shard_replicas: int = Field(1, ge=1)
    partial: bool = False
    host: str = "127.0.0.1"
    insecure: bool = False
    feedback_dir: str = ""
    guard: dict[str, int | float | str] = {}


def app(args: TaggerArgs) -> serve.Application:
    """Entry point of `serve run` and `serve deploy`.

    Raises:
        BindingError: Reachable from a network without API keys.
        PublishError: `bundle` is no published bundle.
    """
    guard = GuardSettings.from_environment(os.environ, host=args.host, **args.guard)
    check_binding(args.host, guard.keys, args.insecure)
    bundle = resolve(storage.absolute(args.bundle))
    config = BundleConfig(bundle=bundle).model_dump()
    shards = shard_count(bundle) if args.shards is None else args.shards
    shard = _deployment(Shard).options(user_config=config, num_replicas=args.shard_replicas)
    handles = [
        shard.options(name=f"Shard{number}").bind(number, shards, args.threads)
        for number in range(shards)
    ]
    engine = _deployment(Engine).options(user_config=config)
    bound = engine.bind(args.threads, args.partial, handles)
    may_edit = any(LABELS_RIGHT in key.rights for key in guard.keys)
    editor = _deployment(Editor).bind() if may_edit else None
    told = guard.model_dump(mode="json")
    return _deployment(Ingress).bind(told, bound, args.feedback_dir, editor, args.insecure)


def _deployment(decorated: type) -> serve.Deployment:
    """What `serve.deployment` made of a class; to a type checker it is the class still."""
    return cast(serve.Deployment, decorated)


def shard_count(bundle: str) -> int:
    """How many Shard deployments a bundle's index asks for."""
    published = published_bundle(bundle)
    files = published.index_files()
    size = sum(published.size(file) for file in files)
    return len(files) if size > IN_PROCESS_VECTORS_MIB * 2**20 else 0
