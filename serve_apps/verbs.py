"""The verbs of the service: serve, promote, rollback, key."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from lmtx_ray.cli.arguments import add_verb, port_number, positive
from lmtx_ray.io.stage import Stage

RIGHTS = ("labels",)  # of serve_apps.guard.keys, whose libraries take their time


def add_verbs(verbs: Any) -> None:
    """Add them to the command line."""
    _add_serve(verbs)
    promote = add_verb(
        verbs, "promote", "let a running service answer with another bundle", promote_bundle
    )
    promote.add_argument("--bundle", required=True, help="bundle, or a run for its newest one")
    back = add_verb(verbs, "rollback", "let it answer with the bundle before", roll_back)
    for parser in (promote, back):
        _add_service(parser)
    key = add_verb(verbs, "key", "make an API key: a secret, and the line to keep", make_key)
    key.add_argument("name", help="what logs and limits call it")
    key.add_argument(
        "--right",
        action="append",
        default=[],
        choices=RIGHTS,
        help="what its user may do beyond asking (repeatable); labels: PUT and DELETE /v1/labels",
    )


def _add_serve(verbs: Any) -> None:
    serve = add_verb(verbs, "serve", "serve a bundle over HTTP, with a page at /", serve_app)
    serve.set_defaults(kept="the service is down; this starts it again")
    serve.add_argument("--bundle", required=True, help="bundle, or a run for its newest one")
    serve.add_argument("--host", default="127.0.0.1", help="others need API keys or --insecure")
    serve.add_argument(
        "--port", type=port_number, default=8000, help="where it answers; default: 8000"
    )
    serve.add_argument(
        "--metrics-port",
        type=port_number,
        metavar="PORT",
        help="of the proxy's own metrics; default: 9101, or a free one where that is taken",
    )
    serve.add_argument("--insecure", action="store_true", help="no API keys on an open address")
    serve.add_argument(
        "--feedback-dir",
        default="",
        metavar="FOLDER",
        help="keep what people say of tags there, for lmtx verdicts import; default: nowhere",
    )


def _add_service(parser: argparse.ArgumentParser) -> None:
    """Which running service is meant, and how long it is waited for."""
    parser.add_argument(
        "--address",
        help="Ray's, of the service's cluster, or URL of a service of this machine; default: "
        "RAY_ADDRESS, else the one service that lmtx serve runs here",
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=300,
        metavar="SECONDS",
        help="give up, and leave the old bundle, after so long; default: 300",
    )


def serve_app(arguments: argparse.Namespace) -> None:
    """`lmtx serve`: until it is interrupted."""
    from lmtx_ray.bundle.cache import require_bundle
    from lmtx_ray.loop.preflight import check_folder
    from serve_apps.ports import take_ports

    require_bundle(arguments.bundle)  # before what takes seconds to import
    folder = arguments.feedback_dir and str(Path(arguments.feedback_dir).absolute())
    if folder:
        check_folder("--feedback-dir", folder)
    host = arguments.host.removeprefix("[").removesuffix("]")
    take_ports(host, arguments.port, arguments.metrics_port)
    with Stage("loading libraries"):
        from serve_apps.running import run_blocking

    run_blocking(arguments.bundle, host, arguments.port, arguments.insecure, folder)


def promote_bundle(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx promote`: what the service runs after it."""
    from lmtx_ray.bundle.cache import require_bundle

    require_bundle(arguments.bundle)  # before a cluster is looked for
    from serve_apps.promotion import promote

    service = _service(arguments)
    return {"service": service.url(), **promote(service, arguments.bundle, arguments.timeout)}


def roll_back(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx rollback`: what the service runs after it."""
    from serve_apps.promotion import rollback

    service = _service(arguments)
    return {"service": service.url(), **rollback(service, arguments.timeout)}


def _service(arguments: argparse.Namespace) -> Any:
    """The service that is meant, which is said before anything is done to it."""
    from serve_apps.services import choose, running_services

    address, known = choose(arguments.address, running_services())

    from serve_apps.promotion import connect

    service = connect(address, known)
    print(f"lmtx {arguments.command}: {service.told()}", file=sys.stderr)
    return service


def make_key(arguments: argparse.Namespace) -> dict[str, Any]:
    """`lmtx key`: a new secret and the line that lets a service know it."""
    from serve_apps.guard import new_key

    secret, line = new_key(arguments.name, dict.fromkeys(arguments.right))
    print("the secret is shown only here; keep the line in LMTX_API_KEYS_FILE", file=sys.stderr)
    return {"secret": secret, "line": line}
