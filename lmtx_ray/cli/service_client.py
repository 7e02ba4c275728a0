"""`lmtx tag-text --url`: asks a running service instead of loading a bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

SECONDS = 60.0


class ServiceAnswer(ValueError):
    """The service gave no tags; the message says why and what to do."""


def ask(url: str, text: str, wanted: Mapping[str, Any], key_env: str) -> dict[str, Any]:
    """The tags of a text as a service gives them: {"bundle_id", "tags", "reason"}. `wanted` are
    further fields of the request.

    Raises:
        ServiceAnswer: It is not there, refuses, or is no such service.
    """
    import httpx

    from lmtx_ray.teacher.client import uses_proxies

    body = {"documents": [text], **wanted}
    key = _key(key_env)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = _address(url)
    proxies = uses_proxies(address)
    try:
        reply = httpx.post(address, json=body, headers=headers, timeout=SECONDS, trust_env=proxies)
    except httpx.TimeoutException:
        raise ServiceAnswer(f"{url}: no answer within {SECONDS:.0f} seconds") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceAnswer(f"{url}: {error}: is the service running (lmtx serve)?") from None
    if reply.status_code in (401, 403):
        said = f"the key in {key_env} is refused" if key else f"it wants an API key: set {key_env}"
        raise ServiceAnswer(f"{url}: {said}")
    answer = _json(reply)
    if reply.status_code != 200:
        raise ServiceAnswer(f"{url}: status {reply.status_code}: {_why(answer, reply.text)}")
    try:
        (row,) = answer["results"]
        return {"bundle_id": answer["bundle_id"], "tags": row["tags"], "reason": row["reason"]}
    except (KeyError, TypeError, ValueError):
        raise ServiceAnswer(f"{url}: what answers there is no lmtx service") from None


def _key(variable: str) -> str:
    """The key, "" if there is none; one that no header may hold would be shown by its refusal."""
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ServiceAnswer(
            f"the key in {variable} holds a line break or another character that no key has"
        )
    return key


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ServiceAnswer(f"--url {url!r}: needs the form http://127.0.0.1:8000")
    return f"{url.rstrip('/')}/v1/tag"


def _json(reply: Any) -> Any:
    try:
        return reply.json()
    except ValueError:
        return None


def _why(answer: Any, text: str) -> str:
    """The service's own sentences, else the beginning of what was sent."""
    details = answer.get("detail") if isinstance(answer, dict) else None
    if isinstance(details, list) and all(isinstance(one, dict) for one in details):
        places = [".".join(map(str, one.get("loc", []))) for one in details]
        said = [str(one.get("msg", "")) for one in details]
        return "; ".join(filter(None, map(": ".join, zip(places, said, strict=True))))
    return " ".join(text.split())[:200]
