"""Runs a service in a process of its own: python -m tests.serving.start CONFIG.json"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from serve_apps.ports import take_ports
from serve_apps.running import run_config

if __name__ == "__main__":
    config = json.loads(Path(sys.argv[1]).read_text())
    take_ports(config["http_options"]["host"], config["http_options"]["port"])
    run_config(config)
