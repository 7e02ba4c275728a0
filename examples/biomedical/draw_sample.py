"""Draws the sample of this folder from the SYNERGY abstracts with MeSH headings.

    python examples/biomedical/draw_sample.py --source FOLDER

FOLDER holds documents.jsonl.gz, test.jsonl.gz, labels.jsonl.gz and cc0_uids.txt. Only records
listed in cc0_uids.txt (CC0 1.0) are taken; unlabelled documents lose every field but id, title and
text. The same source gives the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent


def read(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write(path: Path, rows: Iterable[dict]) -> int:
    """JSON lines, compressed without a time stamp; returns the bytes written."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    return path.stat().st_size


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of the source files")
    source: Path = parser.parse_args().source
    free = set((source / "cc0_uids.txt").read_text(encoding="utf-8").split())
    documents = [row for row in read(source / "documents.jsonl.gz") if row["uid"] in free]
    test = [row for row in read(source / "test.jsonl.gz") if row["uid"] in free]
    fields = ("uid", "title", "content")
    written = [
        write(
            HERE / "documents.jsonl.gz", [{name: row[name] for name in fields} for row in documents]
        ),
        write(
            HERE / "test.jsonl.gz",
            [
                {**{name: row[name] for name in fields}, "target_ind": row["target_ind"]}
                for row in test
            ],
        ),
        write(HERE / "labels.jsonl.gz", read(source / "labels.jsonl.gz")),
    ]
    print(f"{len(documents)} documents, {len(test)} test, {sum(written):,} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
