"""The dashboard asks for what the service tells: each metric and each label of a query is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve_apps.guard import GuardSettings
from tests.serving.contract_app import contract_app
from tests.serving.sending import send

FILE = Path(__file__).resolve().parents[2] / "cluster/grafana/lmtx.json"
METRIC = re.compile(r"\b(lmtx_\w+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
OF_PROMETHEUS = {"job"}  # a label that the scrape adds


def queries(node: Any) -> Iterator[str]:
    """All texts below the dashboard's keys expr and query."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in {"expr", "query"} and isinstance(value, str):
                yield value
            else:
                yield from queries(value)
    elif isinstance(node, list):
        for entry in node:
            yield from queries(entry)


DASHBOARD = json.loads(FILE.read_text())
QUERIES = [query for query in queries(DASHBOARD) if "lmtx_" in query]


@pytest.fixture(scope="module")
def told() -> dict[str, set[str]]:
    """Name of each series -> its labels, from `/metrics` of a service that has answered."""
    api = contract_app(GuardSettings(metrics="open"))
    assert send('{"documents": ["a"]}', api=api).status_code == 200
    text = send(path="/metrics", method="GET", api=api).text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_asks_for_series_and_labels_that_exist(
    told: dict[str, set[str]], query: str
) -> None:
    names = METRIC.findall(query)
    assert names
    labels = {"le"} | set().union(*(told[name] for name, _ in names)) | OF_PROMETHEUS
    for name, matchers in names:
        assert name in told, f"no metric {name}"
        asked = {part.split("=")[0].strip(" !~") for part in matchers.split(",") if part.strip()}
        assert asked <= told[name] | OF_PROMETHEUS
    for group in GROUPED.findall(query):
        assert {part.strip() for part in group.split(",")} <= labels


def test_each_panel_has_a_place_and_a_source_that_is_chosen() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 8
    for panel in panels:
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${source}"
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
