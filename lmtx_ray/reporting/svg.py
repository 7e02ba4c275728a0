"""What pygal drew, made fit for a page: no script, no style of its own, no date; described for
those who do not see it, and with dots of different form. Its key is HTML, so that it wraps."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree


@dataclass(frozen=True)
class Plot:
    """An SVG element, and of each series, in the order of their styles, the title and whether it
    has dots."""

    svg: str
    keys: tuple[tuple[str, bool], ...]


def finish(chart: Any, name: str, about: str) -> Plot:
    """A pygal chart as an element of HTML that is described by `about`; `name` is its id."""
    keys = tuple((own["title"], own.get("show_dots", True)) for _, own in chart.raw_series)
    chart.uuid = name
    chart.no_data_text = ""
    chart.add_xml_filter(lambda root: _fit(root, name, about))
    drawn = re.sub(r"<!--.*?-->", "", chart.render(is_unicode=True), flags=re.DOTALL)
    return Plot(re.sub(r"(\d+\.\d\d)\d+", r"\1", drawn), keys)


def _fit(root: ElementTree.Element, name: str, about: str) -> ElementTree.Element:
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == "defs" or "tooltip-overlay" in child.get("class", ""):
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


def _reshape(dot: ElementTree.Element, turned: bool) -> None:
    x, y, r = (float(dot.attrib.pop(name)) for name in ("cx", "cy", "r"))
    half = r * math.sqrt(math.pi) / 2  # as large as the circle
    dot.tag = "rect"
    dot.attrib |= {"x": f"{x - half}", "y": f"{y - half}", "width": f"{2 * half}"}
    dot.attrib["height"] = f"{2 * half}"
    if turned:
        dot.attrib["transform"] = f"rotate(45 {x} {y})"
