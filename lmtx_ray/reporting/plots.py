"""The plots of a report as SVG, drawn by pygal.

Colours come from the page's style sheet (`.color-0`, `.color-1`, …), so that they follow its light
and dark dress; series differ in dashes and in the form of their dots too. Nothing in them depends
on when they are drawn, nothing is loaded and no script is left.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import pygal
from pygal.style import Style

from lmtx_ray.reporting.contents import Progress
from lmtx_ray.reporting.reliability import Reliability
from lmtx_ray.reporting.resampling import Measured
from lmtx_ray.reporting.thresholds import AtThreshold

WIDTH, HEIGHT = 560, 360
DASHES = ("0", "7 4", "2 4")
TENTHS = [n / 10 for n in range(0, 11, 2)]
STYLE = Style(
    background="none",
    plot_background="none",
    font_family="inherit",
    label_font_size=14,
    major_label_font_size=14,
    legend_font_size=15,
    title_font_size=14,
    colors=("currentColor",) * 4,
    value_colors=("currentColor",) * 4,
    ci_colors=("currentColor",) * 4,
)
Points = Sequence[tuple[float, float] | Mapping[str, Any]]


class _Curves(pygal.XY):  # type: ignore[misc]
    """XY with intervals of y."""

    def _confidence_interval(self, node: Any, x: float, y: float, value: Any, about: Any) -> None:
        super()._confidence_interval(node, x, y, value[1], about)


def progress(told: Progress, name: str, what: str) -> str:
    """The share of `what` after each cycle, with intervals."""
    chart = _chart(pygal.Line, x_title=None, y_title=None, include_x_axis=True)
    chart.range = (0, 1)
    chart.y_labels = TENTHS
    chart.x_labels = ["untrained" if n == 0 else f"cycle {n}" for n in told.states]
    for place, (title, values) in enumerate(told.series.items()):
        points = [_with_interval(value.value, value) for value in values]
        chart.add(title, points, stroke_style=_stroke(place), dots_size=6)
    last = {title: values[-1].value for title, values in told.series.items()}
    about = "; ".join(f"{title}: {100 * value:.0f} % at the end" for title, value in last.items())
    return _svg(chart, name, f"Share of {what} after each cycle. {about}.")


def precision_recall(curves: Mapping[int, Sequence[tuple[float, float]]], name: str) -> str:
    """Precision against recall as the threshold falls."""
    chart = _square("recall: right labels found", "precision")
    for place, (limit, points) in enumerate(curves.items()):
        chart.add(f"up to {limit} tags", list(points), stroke_style=_stroke(place), show_dots=False)
    return _svg(chart, name, "Precision against recall for falling thresholds.")


def thresholds(rows: Sequence[AtThreshold], name: str) -> str:
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
    return _svg(chart, name, "Precision and recall of tags of at least a probability.")


def reliable(kinds: Mapping[str, Reliability], name: str) -> str:
    """Stated probability against the share that is right, beside the line where they are equal."""
    chart = _square("stated probability", "share that is right")
    for place, (title, told) in enumerate(kinds.items()):
        points = [
            _with_interval((one.stated, one.observed.value), one.observed) for one in told.bins
        ]
        chart.add(title, points, stroke_style=_stroke(place), dots_size=5)
    chart.add("as stated", [(0, 0), (1, 1)], stroke_style=_stroke(2), show_dots=False)
    return _svg(chart, name, "Stated probability against the share of tags that are right.")


def found_by_slice(slices: Sequence[tuple[str, float]], name: str) -> str:
    """Share of right labels that are found, by how often training saw a label."""
    chart = _chart(pygal.HorizontalBar, x_title=None, y_title=None)
    chart.range = (0, 1)
    chart.height = 60 + 44 * len(slices)
    chart.show_legend = False
    chart.x_labels = [title for title, _ in reversed(slices)]
    chart.y_labels = TENTHS
    chart.add("found", [share for _, share in reversed(slices)])
    about = "; ".join(f"{title}: {100 * share:.0f} %" for title, share in slices)
    return _svg(chart, name, f"Right labels found, by how often training saw the label. {about}.")


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
        legend_at_bottom=True,
        legend_at_bottom_columns=3,
        legend_box_size=14,
        truncate_legend=-1,
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


# --- what pygal drew, made fit for the page


def _svg(chart: Any, name: str, about: str) -> str:
    """The chart as an element of HTML that is described by `about`; `name` is its id."""
    chart.uuid = name
    chart.no_data_text = ""
    chart.add_xml_filter(lambda root: _fit(root, name, about))
    drawn = re.sub(r"<!--.*?-->", "", chart.render(is_unicode=True), flags=re.DOTALL)
    return re.sub(r"(\d+\.\d\d)\d+", r"\1", drawn)


def _fit(root: ElementTree.Element, name: str, about: str) -> ElementTree.Element:
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("script", "style", "defs") or "tooltip" in child.get("class", ""):
                parent.remove(child)
    _name_dots(root)
    _shape_dots(root)
    root.attrib |= {"id": f"plot-{name}", "role": "img", "aria-labelledby": f"about-{name}"}
    root.attrib["class"] = "plot-svg"
    title = root.find("title")
    assert title is not None
    title.text, title.attrib["id"] = about, f"about-{name}"
    return root


def _name_dots(root: ElementTree.Element) -> None:
    """What pygal keeps for its script becomes the title that a browser shows."""
    for dots in root.iter("g"):
        told = {one.get("class", "").strip(): one.text or "" for one in dots.findall("desc")}
        for one in dots.findall("desc"):
            dots.remove(one)
        if told.get("value"):
            parts = [told.get("x_label", ""), told["value"]]
            title = ElementTree.SubElement(dots, "title")
            title.text = ": ".join(part for part in parts if part)


def _shape_dots(root: ElementTree.Element) -> None:
    """Circles of the second series become squares, of the third diamonds."""
    for series in root.iter("g"):
        found = re.search(r"\bserie-(\d+)", series.get("class", ""))
        if not found or (place := int(found[1])) == 0:
            continue
        for dot in series.iter("circle"):
            _reshape(dot, turned=place > 1)
    for legend in root.iter("g"):
        if "legend " in legend.get("class", "") and (box := legend.find("rect")) is not None:
            legend.attrib.pop("id", None)
            box.attrib["class"] = f"key {box.get('class', '')}"


def _reshape(dot: ElementTree.Element, turned: bool) -> None:
    x, y, r = (float(dot.attrib.pop(name)) for name in ("cx", "cy", "r"))
    half = r * math.sqrt(math.pi) / 2  # as large as the circle
    dot.tag = "rect"
    dot.attrib |= {"x": f"{x - half}", "y": f"{y - half}", "width": f"{2 * half}"}
    dot.attrib["height"] = f"{2 * half}"
    if turned:
        dot.attrib["transform"] = f"rotate(45 {x} {y})"
