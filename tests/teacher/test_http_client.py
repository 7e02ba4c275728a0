"""How a served judge is asked: addresses, keys, what a server does not take, pace and tries."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import time
import traceback

import httpx
import pytest

from lmtx_ray.config.loading import ConfigError
from lmtx_ray.teacher import client as transport
from lmtx_ray.teacher import pacing
from lmtx_ray.teacher.adapting import Refusal, Shape, changed
from lmtx_ray.teacher.client import api_key, chat_url, uses_proxies
from lmtx_ray.teacher.failures import of_error, of_status
from lmtx_ray.teacher.protocol import JudgeRefused, JudgeUnavailable
from tests.fake_llm import REPLIES
from tests.teacher.test_http_teacher import answers, asked, teacher

SECRET = "sk-live-SECRET"


@pytest.mark.parametrize(
    ("model", "refused", "has", "lacks"),
    [
        ("maxtokens", 1, {"max_completion_tokens": 1}, "max_tokens"),
        ("mosttops", 1, {"top_logprobs": 5}, ""),
        ("fourtops", 1, {"top_logprobs": 4, "logprobs": True}, ""),
        ("nologprobs", 2, {}, "logprobs"),
        ("notemperature", 1, {}, "temperature"),
        ("notemplate", 1, {}, "chat_template_kwargs"),
    ],
)
def test_what_a_server_does_not_take_is_changed_once(
    judge, model, refused, has, lacks, caplog
) -> None:
    asking = teacher(judge, model, concurrency=1)
    assert answers(asking.judge(asked("heart", "moon", "ear"))) == ["yes", "no", "yes"]
    assert len(judge.requests) == 3 + refused
    body = judge.requests[-1]["body"]
    assert body.items() >= has.items()
    assert lacks not in body
    assert caplog.text.count("from now on") == refused
    assert asking.usage.requests == 3  # what was refused is not spent


def test_many_threads_change_it_once(judge, caplog) -> None:
    labels = [f"heart {n}" for n in range(40)]
    assert answers(teacher(judge, "maxtokens").judge(asked(*labels))) == ["yes"] * 40
    assert caplog.text.count("from now on") == 1


@pytest.mark.parametrize(
    ("parameter", "sentence", "shape"),
    [
        ("", "top_logprobs must be between 0 and 8, got 20", Shape(top_logprobs=8)),
        ("", "Input should be less than or equal to 10: top_logprobs", Shape(top_logprobs=10)),
        ("top_logprobs", "Invalid value", Shape(top_logprobs=5)),
        ("top_logprobs", "maximum is 0", Shape(top_logprobs=0)),
        ("temperature", "only the default, with max_tokens", Shape(temperature=False)),
        ("", "body.chat_template_kwargs: Extra inputs", Shape(template=False)),
        ("", "stop is wrong", None),
        ("model", "no such model", None),
        ("", "maximum context length is 512 tokens, max_tokens too large", None),
    ],
)
def test_a_refusal_names_what_to_change(parameter, sentence, shape) -> None:
    assert changed(Shape(), Refusal(parameter, sentence)) == shape


@pytest.mark.parametrize(
    ("model", "match"),
    [
        ("never", r"/v1/chat/completions: HTTP 400: temperature, max_tokens"),
        ("badkey", r"HTTP 401: Incorrect API key provided; .* variable MY_KEY, which is not set"),
        ("forbidden", r"HTTP 403: This project has no access.*MY_KEY"),
        ("unknown", r"HTTP 404: The model .unknown. does not exist; .*judge\.teacher\.model"),
        ("toolong", r"HTTP 400: This model's maximum .*judge\.teacher\.max_document_tokens"),
        ("noprefix", r"HTTP 422: body\.continue_final.*judge\.teacher\.answer_prefix"),
        ("quota", r"HTTP 429: You exceeded your quota; the account .* nothing left to spend"),
        ("refused200", r"HTTP 400: no such model"),
        ("moved", r"HTTP 307: it redirects to http://other/v1; mend judge\.teacher\.url"),
    ],
)
def test_what_no_repetition_mends_is_told_at_once(judge, model, match, monkeypatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    prefix = "So:" if model == "noprefix" else ""
    with pytest.raises(JudgeRefused, match=match) as got:
        teacher(judge, model, api_key_env="MY_KEY", answer_prefix=prefix).judge(asked("heart"))
    assert isinstance(got.value, ConfigError)
    assert got.value.answers.num_rows == 0
    assert len(judge.requests) == (6 if model == "never" else 1)
    assert "secret" not in str(got.value)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        ("truncated", "RemoteProtocolError"),
        ("chunkcut", "RemoteProtocolError"),
        ("drop", "RemoteProtocolError"),
        ("nojson", "JSONDecodeError"),
        ("nochoices", "no message"),
        ("busy", "HTTP 503: overloaded"),
        ("limited", "HTTP 429"),
        ("limited200", "slow down"),
    ],
)
def test_what_passes_is_tried_again_so_often(judge, model, match) -> None:
    with pytest.raises(JudgeUnavailable, match=match):
        teacher(judge, model, tries=3).judge(asked("heart"))
    assert len(judge.requests) == 3


def test_a_reply_that_takes_too_long_or_is_too_large_is_none(judge, monkeypatch) -> None:
    with pytest.raises(JudgeUnavailable, match="not whole after"):
        teacher(judge, "crawl", tries=1, timeout_seconds=0.5).judge(asked("heart"))
    monkeypatch.setattr(transport, "MOST_BYTES", 10)
    with pytest.raises(JudgeUnavailable, match="more than 10 bytes"):
        teacher(judge, tries=1).judge(asked("heart"))


def test_nobody_listening_is_told_and_costs_nothing(judge) -> None:
    asking = teacher(judge, url="http://127.0.0.1:9", tries=2)
    with pytest.raises(JudgeUnavailable, match=r"127\.0\.0\.1:9/v1/chat/completions: .*refused"):
        asking.judge(asked("heart", "ear"))
    assert asking.usage.requests == 0


def test_being_told_to_wait_uses_up_no_tries_but_time(judge, monkeypatch) -> None:
    monkeypatch.setattr(pacing, "LONGEST_TOTAL", 0.5)
    with pytest.raises(JudgeUnavailable, match="HTTP 429: Rate limit reached, come at once"):
        teacher(judge, "told", tries=2).judge(asked("heart"))
    assert len(judge.requests) > 2


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_an_address_may_end_as_servers_print_it(judge, ending) -> None:
    assert answers(teacher(judge, url=judge.url + ending).judge(asked("heart"))) == ["yes"]
    assert chat_url("https://h/api/paas/v4/chat/completions/").endswith("/v4/chat/completions")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://h",
        "h:80",
        "http://",
        "http://h:port/" + SECRET,
        f"http://u:{SECRET}@h/v1",
        f"https://{SECRET}@h",
        f"https://h/v1?key={SECRET}",
        f"https://h/#{SECRET}",
        f"https://h/{SECRET}\nx",
        f"http://h h/{SECRET}",
        f"http://[::1/{SECRET}",
    ],
)
def test_an_address_that_cannot_be_right_is_not_repeated(judge, url) -> None:
    with pytest.raises(ConfigError, match=r"judge\.teacher\.url") as got:
        teacher(judge, url=url)
    assert SECRET not in whole(got.value)


@pytest.mark.parametrize("key", [f"{SECRET}\nx", f"{SECRET}\x00", f"{SECRET}é", f"\ufeff{SECRET}"])
def test_a_key_that_no_header_holds_is_not_repeated(judge, key, monkeypatch) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "OPENAI_API_KEY": key})
    with pytest.raises(ConfigError, match="OPENAI_API_KEY") as got:
        teacher(judge)
    assert SECRET not in whole(got.value)


def test_a_key_loses_the_blanks_around_it(monkeypatch) -> None:
    monkeypatch.setenv("A_KEY", f" {SECRET}\r\n")
    assert api_key("A_KEY") == SECRET
    assert api_key("NO_SUCH_KEY_IS_SET") == ""


def whole(error: BaseException) -> str:
    shown = "".join(traceback.format_exception(error))
    return f"{error} {error!r} {shown} {error.__cause__!r} {error.__context__!r}"


@pytest.mark.parametrize(
    "model", ["ok", "badkey", "echo", "limited", "truncated", "drop", "telling", "nowhere"]
)
def test_the_key_is_in_no_table_log_or_message(judge, model, monkeypatch, caplog) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET + "\n")
    monkeypatch.setitem(
        REPLIES,
        "telling",
        lambda good, bad: {"choices": [{"message": {"content": f"Bearer {SECRET}"}}]},
    )
    seen = ""
    with caplog.at_level(logging.DEBUG):
        more = {"url": "http://127.0.0.1:9"} if model == "nowhere" else {}
        try:
            seen += str(teacher(judge, model, tries=2, **more).judge(asked("heart")).to_pydict())
        except (JudgeRefused, JudgeUnavailable) as error:
            seen += whole(error) + str(error.answers.to_pydict())
    if model != "nowhere":
        assert judge.requests[0]["key"] == f"Bearer {SECRET}"
    assert seen
    assert SECRET not in seen + caplog.text


def test_errors_inside_a_good_status_are_told_apart() -> None:
    for error, status in [
        ({"code": 502, "message": "x"}, 502),
        ({"code": "429"}, 429),
        ("model is loading", 503),
        ({"type": "rate_limit_error"}, 429),
        ({"code": "invalid_api_key"}, 401),
        ({"type": "invalid_request_error", "message": "timeout is unknown"}, 400),
        ("no such model", 400),
        ({}, None),
        (None, None),
    ]:
        failure = of_error({"error": error}, {}, "")
        assert (failure and failure.status) == status
    assert of_error({"choices": [{"error": {"code": 503}}]}, {}, "").passing


@pytest.mark.parametrize(
    ("status", "error", "filtered"),
    [
        (400, {"code": "content_filter"}, True),
        (400, {"code": "data_inspection_failed", "message": "x"}, True),
        (400, {"code": "invalid_prompt", "message": "your prompt was flagged"}, True),
        (400, {"code": "invalid_prompt", "message": "messages: not a list"}, False),
        (403, {"code": 403, "metadata": {"reasons": ["x"], "flagged_input": "…"}}, True),
        (403, {"code": 403, "message": "no access to the model, flagged"}, False),
        (400, {"code": 400, "message": "content filter is no parameter"}, False),
        (429, {"code": "content_filter"}, False),
    ],
)
def test_content_filters_are_known_by_their_codes(status, error, filtered) -> None:
    assert of_status(status, {}, json.dumps({"error": error}).encode(), "").filtered == filtered


def test_a_page_instead_of_json_is_shown_without_markup() -> None:
    body = b"<html><title>502</title>\n<p>Bad gateway" + b"x" * 900
    shown = str(of_status(502, {}, body, ""))
    assert shown.startswith("HTTP 502: 502 Bad gatewayxxx")
    assert len(shown) < 320


def test_connections_are_kept(judge) -> None:
    asking = teacher(judge, concurrency=1)
    for n in range(5):
        asking.judge(asked(f"heart {n}"))
    assert len(judge.connections) == 1


def test_proxies_are_never_asked_for_loopback(judge, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"gopher://u:{SECRET}@127.0.0.1:9")
    assert answers(teacher(judge).judge(asked("heart"))) == ["yes"]
    names = "localhost", "localhost.", "a.localhost", "127.8.0.1", "[::1]", "[::ffff:127.0.0.1]"
    for host in names:
        assert not uses_proxies(f"http://{host}:8000/v1")
    assert uses_proxies("http://example.org")
    with pytest.raises(ConfigError, match="proxy") as got:
        teacher(judge, url="http://example.invalid").judge(asked("heart"))
    assert SECRET not in whole(got.value)


def _asks_in_a_child(asking, results) -> None:
    results.put(answers(asking.judge(asked("heart", "moon"))))


def test_a_forked_process_opens_its_own_connections(judge) -> None:
    asking = teacher(judge)
    asking.judge(asked("ear", "nose"))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_asks_in_a_child, args=(asking, results))
    child.start()
    assert results.get(timeout=30) == ["yes", "no"]
    child.join(30)
    assert answers(asking.judge(asked("heart", "ear"))) == ["yes", "yes"]


def test_a_teacher_that_goes_closes_its_connections(judge) -> None:
    asking = teacher(judge)
    asking.judge(asked("heart"))
    http = next(iter(asking._clients.values()))._http
    del asking
    deadline = time.monotonic() + 10
    while not http.is_closed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert http.is_closed
    assert isinstance(http, httpx.Client)
