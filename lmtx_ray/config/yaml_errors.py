"""What is wrong with a YAML file, on one line: where, what, and how to mend it."""

from __future__ import annotations

from typing import Any


def explain(error: Any) -> str:
    """`line 3, column 1: a tab, where YAML takes spaces only` of a yaml.YAMLError."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    said = " ".join(str(said).split())
    if "could not find expected ':'" in said:  # seen at the next line
        mark = getattr(error, "context_mark", None) or mark
    if mark is None:
        return said
    place = f"line {mark.line + 1}, column {mark.column + 1}"
    return f"{place}: {_mended(said, mark)}"


def _mended(said: str, mark: Any) -> str:
    here = (mark.buffer or "")[mark.pointer : mark.pointer + 1] if mark.buffer else ""
    if here == "\t" or "'\\t'" in said:
        return "a tab, where YAML takes spaces only"
    if "mapping values are not allowed" in said:
        return f"{said}: is the line before indented too far, or a text with ': ' not quoted?"
    if "could not find expected ':'" in said:
        return "a name needs a colon and a value after it"
    if "cannot start any token" in said:
        return f"{said}: put the text in quotation marks"
    return said
