"""Makes cluster/kuberay/rayservice.yaml: the template with serve_apps/tagger.yaml in it.

    python cluster/make_rayservice.py

Only what must differ on Kubernetes does: the bundle is on S3, and the proxy listens on the pod's
address, where networkpolicy.yaml says who may reach it and API keys are asked for. To promote
another bundle give the deployments that hold one a `user_config`, as `lmtx promote` does, or run
that on the head.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SERVE = ROOT / "serve_apps" / "tagger.yaml"
TEMPLATE = ROOT / "cluster" / "rayservice_template.yaml"
OUTPUT = ROOT / "cluster" / "kuberay" / "rayservice.yaml"
BUNDLE, HOST = "s3://lmtx-example/bundles/2026-11-20", "0.0.0.0"
PLACE = 'serveConfigV2: "" # from serve_apps/tagger.yaml\n'


def serve_config() -> dict[str, Any]:
    """The service's own config, with this deployment's bundle and host."""
    config = yaml.safe_load(SERVE.read_text(encoding="utf-8"))
    config["http_options"]["host"] = HOST
    for application in config["applications"]:
        application["args"] |= {"bundle": BUNDLE, "host": HOST}
    return config


def render() -> str:
    """The manifest's text."""
    template = TEMPLATE.read_text(encoding="utf-8")
    if template.count(PLACE) != 1:
        raise ValueError(f"{TEMPLATE}: needs one line {PLACE!r}")
    lines = yaml.safe_dump(serve_config(), sort_keys=False).splitlines()
    block = "".join(f"    {line}\n" for line in lines)
    return template.replace(PLACE, f"serveConfigV2: |\n{block}")


if __name__ == "__main__":
    OUTPUT.write_text(render(), encoding="utf-8")
    sys.exit(0)
