"""Inputs of a small run on the rule-based teacher: corpus, labels, encoder and a config file."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.tiny import TOPICS, save_encoder


def write_inputs(folder: Path, documents: int = 80) -> Path:
    """Returns the config file; its `run` is to be overridden."""
    save_encoder(folder)
    labels = [f"{topic} {word}" for topic in TOPICS for word in ("disease", "pain", "trial")]
    write(folder / "labels.jsonl", [{"uid": f"L{n}", "title": t} for n, t in enumerate(labels)])
    rows = [
        {
            "uid": f"d{n}",
            "title": f"A study of {TOPICS[n % 8]} disease",
            "content": f"patients with {TOPICS[n % 8]} pain and treatment in d{n}",
        }
        for n in range(documents + 40)
    ]
    write(folder / "documents.jsonl", rows[:documents])
    gold = [{**row, "target_ind": [3 * (n % 8), 3 * (n % 8) + 1]} for n, row in enumerate(rows)]
    write(folder / "test.jsonl", gold[documents:])
    config = {
        "run": "unset",
        "unit_documents": 16,
        "corpus": {
            "documents": [str(folder / "documents.jsonl")],
            "held_aside": 20,
            "labels": str(folder / "labels.jsonl"),
            "test": str(folder / "test.jsonl"),
        },
        "encoder": {"model": str(folder / "encoder"), "dtype": "float32", "threads": 1},
        "judge": {"teacher": {"kind": "lexical", "prompt": "tag"}, "top_k": 6, "rerank_k": 6},
        "fit": {
            "passes": 10,
            "batch_size": 8,
            "learning_rate": 2e-3,
            "threads": 1,
            "checkpoint_every": 2,
            "dtype": "float32",
        },
        "cycles": {"most": 1},
        "shortlist": {"depth": 24},
        "resources": {"embed": {"actors": None}, "judge": {"actors": None}},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def write(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
