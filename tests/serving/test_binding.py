"""Where a service is bound: out of HAProxy's reach, and open to a network."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from serve_apps.ports import free_port
from serve_apps.running import deploy_config
from tests.serving.conftest import running

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(400)]


def test_a_service_on_an_ipv6_address_answers(bundle: str, tmp_path: Path) -> None:
    config = deploy_config(bundle, "::1", free_port(), threads=1)
    with running(config, tmp_path) as service:
        assert service.url.startswith("http://[::1]:")
        reply = httpx.get(f"{service.url}/healthz", headers={"X-Request-ID": "not harmless!"})
        assert (reply.status_code, len(reply.headers.get_list("X-Request-ID"))) == (200, 1)
        tagged = httpx.post(f"{service.url}/v1/tag", json={"documents": ["heart pain"]}, timeout=60)
        assert tagged.json()["results"][0]["tags"]
        (state,) = service.state.iterdir()
        assert json.loads(state.read_text())["service"]["host"] == "::1"


def test_a_service_that_serve_binds_to_a_network_does_not_start_without_keys(
    bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application was told of loopback, as where only `http_options.host` was changed."""
    for name in ("LMTX_API_KEYS", "LMTX_API_KEYS_FILE"):
        monkeypatch.delenv(name, raising=False)
    config = deploy_config(bundle, "127.0.0.1", free_port(), threads=1)
    config["http_options"]["host"] = "0.0.0.0"
    with pytest.raises(AssertionError, match="without API keys"), running(config, tmp_path):
        pass
