"""The plots of a report as SVG, drawn by pygal.

Colours come from the page's style sheet (`.color-0`, `.color-1`, …), so that they follow its light
and dark dress; series differ in dashes and in the form of their dots too. Nothing in them depends
on when they are drawn, nothing is loaded and no script is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pygal
from pygal.etree import etree
from pygal.style import Style

from lmtx_ray.evaluation.intervals import Measured
from lmtx_ray.reporting.contents import Progress
from lmtx_ray.reporting.reliability import Reliability
from lmtx_ray.reporting.svg import Plot, finish
from lmtx_ray.reporting.thresholds import AtThreshold

etree.to_etree()  # lxml, where that is installed, would write other bytes
WIDTH, HEIGHT = 560, 360
DASHES = ("0", "7 4", "2 4")
TENTHS = [n / 10 for n in range(0, 11, 2)]
STYLE = Style(
    background="none",
    plot_background="none",
    font_family="inherit",
    label_font_size=14,
    major_label_font_size=14,
    title_font_size=14,
    colors=("currentColor",) * 4,
    value_colors=("currentColor",) * 4,
    ci_colors=("currentColor",) * 4,
)


class _Curves(pygal.XY):  # type: ignore[misc]
    """XY with intervals of y."""

    def _confidence_interval(self, node: Any, x: float, y: float, value: Any, about: Any) -> None:
        super()._confidence_interval(node, x, y, value[1], about)


def progress(told: Progress, name: str, what: str) -> Plot:
    """The share of `what` after each cycle, with intervals; series stand a little apart."""
    chart = _chart(_Curves)
    last = len(told.states) - 1
    chart.range, chart.xrange = (0, 1), (-0.35, last + 0.35)
    chart.y_labels = TENTHS
    chart.x_labels = [
        {"value": n, "label": f"cycle {n}" if n else "untrained"} for n in told.states
    ]
    for place, (title, values) in enumerate(told.series.items()):
        apart = (place - 0.5) * 0.05 * (last + 0.7)
        points = [_with_interval((n + apart, one.value), one) for n, one in enumerate(values)]
        chart.add(title, points, stroke_style=_stroke(place), dots_size=6)
    ends = {title: values[-1].value for title, values in told.series.items()}
    about = "; ".join(f"{title}: {100 * value:.0f} % at the end" for title, value in ends.items())
    return finish(chart, name, f"Share of {what} after each cycle. {about}.")


def precision_recall(curves: Mapping[int, Sequence[tuple[float, float]]], name: str) -> Plot:
    """Precision against recall as the threshold falls."""
    chart = _square("recall: right labels found", "precision")
    for place, (limit, points) in enumerate(curves.items()):
        chart.add(f"up to {limit} tags", list(points), stroke_style=_stroke(place), show_dots=False)
    return finish(chart, name, "Precision against recall for falling thresholds.")


def thresholds(rows: Sequence[AtThreshold], name: str) -> Plot:
    """Precision and recall against the least probability."""
    chart = _square("least probability", None)
    kinds: dict[str, Callable[[AtThreshold], Measured | None]] = {
        "precision": lambda row: row.precision,
        "recall": lambda row: row.recall,
    }
    for place, (title, of) in enumerate(kinds.items()):
        points = [(row.threshold, known.value) for row in rows if (known := of(row))]
        if points:
            chart.add(title, points, stroke_style=_stroke(place), dots_size=4)
    return finish(chart, name, "Precision and recall of tags of at least a probability.")


def reliable(kinds: Mapping[str, Reliability], name: str) -> Plot:
    """Stated probability against the share that is right, beside the line where they are equal."""
    chart = _square("stated probability", "share that is right")
    for place, (title, told) in enumerate(kinds.items()):
        points = [
            _with_interval((one.stated, one.observed.value), one.observed) for one in told.bins
        ]
        chart.add(title, points, stroke_style=_stroke(place), dots_size=5)
    chart.add("as stated", [(0, 0), (1, 1)], stroke_style=_stroke(2), show_dots=False)
    return finish(chart, name, "Stated probability against the share of tags that are right.")


def found_by_slice(slices: Sequence[tuple[str, float]], name: str) -> Plot:
    """Share of right labels that are found, by how often training saw a label."""
    chart = _chart(pygal.HorizontalBar)
    chart.range = (0, 1)
    chart.height = 36 + 44 * len(slices)
    chart.x_labels = [title for title, _ in reversed(slices)]
    chart.y_labels = TENTHS
    chart.add("found", [share for _, share in reversed(slices)])
    about = "; ".join(f"{title}: {100 * share:.0f} %" for title, share in slices)
    return finish(chart, name, f"Right labels found, by how often training saw the label. {about}.")


def _chart(kind: Any, **options: Any) -> Any:
    return kind(
        style=STYLE,
        css=(),
        js=(),
        width=WIDTH,
        height=HEIGHT,
        margin=4,
        margin_right=16,
        spacing=8,
        show_legend=False,
        truncate_label=-1,
        disable_xml_declaration=True,
        value_formatter=lambda value: f"{100 * value:.0f} %",
        **options,
    )


def _square(x_title: str, y_title: str | None) -> Any:
    """A plane of two shares."""
    chart = _chart(_Curves, x_title=x_title, y_title=y_title)
    chart.range, chart.xrange = (0, 1), (0, 1)
    chart.x_labels = chart.y_labels = TENTHS
    chart.x_value_formatter = lambda value: f"{value:.1f}"
    chart.show_x_guides = True
    return chart


def _stroke(place: int) -> dict[str, Any]:
    return {"width": 2.5, "dasharray": DASHES[place % len(DASHES)]}


def _with_interval(value: Any, told: Measured) -> dict[str, Any]:
    return {"value": value, "ci": {"low": told.low, "high": told.high}}
