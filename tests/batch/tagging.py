"""Documents to tag, and `lmtx tag` on them."""

from __future__ import annotations

import json

from lmtx_ray.batch.outputs import read_tags
from lmtx_ray.cli.main import main
from tests.tiny import TOPICS


def document(number: int, **more: object) -> dict:
    text = f"A study of {TOPICS[number % 8]} pain in patients, number {number}"
    return {"id": f"d{number}", "title": "A trial", "text": text, **more}


def lines(*rows: dict) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def tag(bundle: str, source: str, output: str, *more: str) -> int:
    return main(["tag", "--bundle", bundle, "--input", source, "--output", output, *more])


def ids(output: str) -> list[str]:
    return read_tags(output)["doc_id"].to_pylist()
