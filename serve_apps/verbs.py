"""The verbs of the service: serve, promote, rollback, key."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from lmtx_ray.cli.arguments import add_verb, positive
from lmtx_ray.io.stage import Stage


def add_verbs(verbs: Any) -> None:
    """Add them to the command line."""
    serve = add_verb(verbs, "serve", "serve a bundle over HTTP, with a page at /", serve_app)
    serve.set_defaults(kept="the service is down; this starts it again")
    serve.add_argument("--bundle", required=True, help="bundle folder, local or s3")
    serve.add_argument("--host", default="127.0.0.1", help="others need API keys or --insecure")
    serve.add_argument("--port", type=positive, default=8000)
    serve.add_argument(
        "--metrics-port",
        type=positive,
        metavar="PORT",
        help="of the proxy's own metrics; default: 9101, or a free one where that is taken",
    )
    serve.add_argument("--insecure", action="store_true", help="no API keys on an open address")
    promote = add_verb(
        verbs, "promote", "let a running service answer with another bundle", promote_bundle
    )
    promote.add_argument("--bundle", required=True, help="bundle folder, local or s3")
    back = add_verb(verbs, "rollback", "let it answer with the bundle before", roll_back)
    for parser in (promote, back):
        parser.add_argument(
            "--address",
            default=os.environ.get("RAY_ADDRESS", "auto"),
            help="of the Ray cluster; default: the one here",
        )
        parser.add_argument("--timeout", type=positive, default=300, metavar="SECONDS")
    key = add_verb(verbs, "key", "make an API key: a secret, and the line to keep", make_key)
    key.add_argument("name", help="what logs and limits call it")


def serve_app(arguments: argparse.Namespace) -> None:
    """`lmtx serve`: until it is interrupted."""
    from lmtx_ray.bundle.cache import require_bundle

    require_bundle(arguments.bundle)  # before what takes seconds to import
    with Stage("loading libraries"):
        from serve_apps.running import run_blocking

    run_blocking(
        arguments.bundle,
        arguments.host,
        arguments.port,
        arguments.insecure,
        arguments.metrics_port,
    )


def promote_bundle(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx promote`: what the service runs after it."""
    from serve_apps.promotion import connect, promote

    return promote(connect(arguments.address), arguments.bundle, arguments.timeout)


def roll_back(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx rollback`: what the service runs after it."""
    from serve_apps.promotion import connect, rollback

    return rollback(connect(arguments.address), arguments.timeout)


def make_key(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx key`: a new secret and the line that lets a service know it."""
    from serve_apps.guard import new_key

    secret, line = new_key(arguments.name)
    print("the secret is shown only here; keep the line in LMTX_API_KEYS_FILE", file=sys.stderr)
    return {"secret": secret, "line": line}
