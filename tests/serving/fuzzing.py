"""Requests made from a service's own OpenAPI description, valid ones and invalid ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@dataclass
class Fuzzed:
    """How often each operation gave each status, and one report for each kind of failure."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def of(self, operation: str) -> set[int]:
        """The statuses that `operation` ("POST /v1/tag") gave."""
        return {status for name, status in self.statuses if name == operation}


def fuzz(
    target: Any,
    examples: int = 50,
    headers: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Fuzzed:
    """Send `examples` valid and as many invalid requests to each operation of `target`.

    `target` is a base URL or an ASGI application. An answer fails that is 5xx or that its
    description does not allow: status, media type or schema.
    """
    if isinstance(target, str):
        schema = schemathesis.openapi.from_url(f"{target.rstrip('/')}/openapi.json")
    else:
        schema = schemathesis.openapi.from_asgi("/openapi.json", target)
    found = Fuzzed()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in GenerationMode:
            _fuzz_operation(operation, mode, examples, dict(headers or {}), seed, found)
    return found


def _fuzz_operation(
    operation: Any,
    mode: GenerationMode,
    examples: int,
    headers: dict[str, str],
    seed: int,
    found: Fuzzed,
) -> None:
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        response = case.call(headers=headers)
        found.statuses[operation.label, response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    try:
        send()
    except hypothesis.errors.Unsatisfiable:
        return  # nothing about this operation can be invalid
    except BaseExceptionGroup as error:
        found.failures += [f"{operation.label}: {one}" for one in error.exceptions]
    except AssertionError as error:
        found.failures.append(f"{operation.label}: {error}")
