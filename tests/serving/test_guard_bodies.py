"""Bad bodies get a 4xx that points to the fault, and no body causes one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_apps.guard import GuardSettings
from serve_apps.guard.json_check import is_deep
from tests.serving.contract_app import contract_app
from tests.serving.sending import OPEN, first_problem, send


@pytest.mark.parametrize(
    ("content", "status", "loc"),
    [
        ('{"documents": ["a\\u0000b"]}', 422, ["body", "documents", 0]),
        (
            '{"documents": [{"text": "a", "title": "\\ud800"}]}',
            422,
            ["body", "documents", 0, "title"],
        ),
        ('{"documents": ["a"], "deny": ["b", "\\udfff\\ud800"]}', 422, ["body", "deny", 1]),
        ('{"documents": ["a"], "\\ud800": 1}', 422, ["body"]),
        ('{"documents": ["a"], "min_probability": NaN}', 422, ["body", "min_probability"]),
        ('{"documents": ["a"], "min_probability": -Infinity}', 422, ["body", "min_probability"]),
        ('{"documents": ["a"], "min_probability": 1e999}', 422, ["body", "min_probability"]),
        ('{"documents": ["a"], "top_k": 1' + "0" * 9000 + "}", 422, ["body", "top_k"]),
        ('{"documents": ["a"], "top_k": "many"}', 422, ["body", "top_k"]),
        ('{"documents": ["a"], "top_k": 0}', 422, ["body", "top_k"]),
        ('{"documents": ["a"], "top_k": 1e10}', 422, ["body", "top_k"]),
        ('{"documents": []}', 422, ["body", "documents"]),
        ('{"documents": "a"}', 422, ["body", "documents"]),
        ('{"documents": ["a"], "surprise": 1}', 422, ["body", "surprise"]),
        (
            '{"documents": ["a"], "allow": [' + ",".join(['"a"'] * 400_000) + "]}",
            422,
            ["body", "allow"],
        ),
        (
            '{"documents": ["a"], "allow": [' + ",".join(["7"] * 900_000) + "]}",
            422,
            ["body", "allow"],
        ),
        ('{"documents": ["a"], "allow": [' + ",".join(['"a"'] * 1_000_000) + "]}", 413, ["body"]),
        ("[" * 100_000, 400, ["body"]),
        ('{"documents": ' + "[" * 500 + "]" * 500 + "}", 400, ["body"]),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, 400, ["body"]),
        ('{"documents": ["a",]}', 400, ["body", 19]),
        (b'{"documents": ["\xff"]}', 400, ["body", 16]),
        (b'\xef\xbb\xbf{"documents": ["a"]}', 400, ["body", 0]),
        (b'{"documents": ["a\x00"]}', 400, ["body", 17]),
        ('{"documents": ["a"]}'.encode("utf-16"), 400, ["body", 0]),
        (b"", 400, ["body", 0]),
        ("null", 422, ["body"]),
        ("[]", 422, ["body"]),
    ],
)
def test_bad_body_is_refused_with_a_pointer(content: Any, status: int, loc: list[Any]) -> None:
    assert first_problem(send(content)) == (status, loc)


def test_million_labels_point_to_their_field_where_bodies_may_be_large() -> None:
    large = GuardSettings(max_body_bytes=16 * 1024 * 1024)
    content = json.dumps({"documents": ["a"], "allow": ["label"] * 1_000_000})
    assert first_problem(send(content, api=contract_app(large))) == (422, ["body", "allow"])


def test_special_characters_are_text() -> None:
    text = "\u202e ﷽ 👩‍👩‍👧 \x01\x7f \ufeff \uffff <script> ' OR 1=1 -- ${jndi:ldap://x} \\u0000"
    reply = send(json.dumps({"documents": [text, "\U0001f600", ""]}))
    assert reply.status_code == 200
    assert [result["reason"] for result in reply.json()["results"]] == ["", "", "empty"]


def test_brackets_in_strings_do_not_count_as_depth() -> None:
    text = '[{"' * 5_000 + "\\" * 7
    assert send(json.dumps({"documents": [text]})).status_code == 200


nested = st.recursive(
    st.text(alphabet='[]{}"\\a') | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\'), inner),
)


def depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


@given(nested, st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_depth_without_parsing_is_depth(value: Any, most: int) -> None:
    assert is_deep(json.dumps(value).encode(), most) == (depth(value) > most)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "title", "text", "\0", "\ud800"]), inner)
    ),
    max_leaves=12,
)


bodies = st.one_of(
    st.fixed_dictionaries(
        {"documents": st.lists(anything, max_size=3) | anything},
        optional={
            "top_k": anything,
            "min_probability": anything,
            "allow": anything,
            "deny": anything,
            "explain": anything,
            "\ud800x": anything,
        },
    ),
    anything,
).map(lambda value: json.dumps(value).encode())


@given(
    st.one_of(
        bodies,
        st.binary(max_size=200),
        st.text(st.characters()).map(lambda text: text.encode("utf-8", "surrogatepass")),
    )
)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_body_causes_a_fault(content: bytes) -> None:
    reply = send(content, api=FUZZED)
    assert reply.status_code in (200, 400, 422)
    json.loads(reply.text, parse_constant=lambda name: pytest.fail(f"{name} in an answer"))


FUZZED = contract_app(OPEN)
