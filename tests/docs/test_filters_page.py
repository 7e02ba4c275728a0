"""The page on filters: its commands are commands, and its request is one that the service takes."""

from __future__ import annotations

import json
import re
import shlex

from lmtx_ray.cli.main import build_parser
from serve_apps.contracts import TagRequest
from tests.docs.shell import ROOT

PAGE = (ROOT / "docs/howto/filters.md").read_text(encoding="utf-8")


def test_its_commands_are_parsed() -> None:
    commands = re.findall(r"^lmtx (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        build_parser().parse_args(shlex.split(command))


def test_its_request_is_taken() -> None:
    (body,) = re.findall(r"-d '(\{.*?\})'", PAGE, re.DOTALL)
    request = TagRequest.model_validate(json.loads(body))
    assert (request.under, request.documents[1].allow) == (["C14"], ["C14.280", "E02"])
