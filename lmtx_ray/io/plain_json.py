"""JSON as its standard has it: without NaN and infinity, which strict readers refuse."""

from __future__ import annotations

import json
import math
from typing import Any


def finite(value: Any) -> Any:
    """A value with null for each NaN and infinity."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def json_text(value: Any) -> str:
    """JSON of one line; what JSON has no form for as text."""
    return json.dumps(finite(value), ensure_ascii=False, allow_nan=False, default=_other)


def _other(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
