"""Files of verdicts, and what `lmtx verdicts` does with them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmtx_ray.cli.main import main
from lmtx_ray.config.loading import load_config
from lmtx_ray.corpus.text_keys import document_text, text_key
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.verdicts.reading import read_all
from lmtx_ray.verdicts.store import Partition, VerdictStore

HEX_ID = "d" * 32  # an id that could be a hash
KINDS = ("parquet", "jsonl", "csv")


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    return str(path)


def verdicts(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["verdicts", *arguments]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def content(partition: Partition) -> list[dict[str, Any]]:
    return [row for table in read_all(partition) for row in table.to_pylist()]


def run_store(config: Path) -> VerdictStore:
    return load_config(RunConfig, str(config)).verdict_store


def human(store: VerdictStore) -> list[tuple[bytes, bytes, str]]:
    return [(row["document"], row["label"], row["answer"]) for row in content(store.human())]


def doc_key(number: int) -> bytes:
    return text_key(document_text("Study", f"text {number}"))
