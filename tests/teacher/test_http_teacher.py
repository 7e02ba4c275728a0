"""A judge behind HTTP: what it says is an answer, however oddly; a failed call never is."""

from __future__ import annotations

import math
import threading
import time

import pytest

from lmtx_ray.config.judge import TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.io import halting
from lmtx_ray.teacher import pacing
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import (
    BudgetReached,
    Halted,
    JudgeRefused,
    JudgeUnavailable,
    paid_for,
)
from lmtx_ray.teacher.replies import plain
from tests.fake_llm import REFUSALS, REPLIES, FakeJudge
from tests.teacher.asking import answers, asked, teacher

GOOD = math.exp(-0.1) / (math.exp(-0.1) + math.exp(-2.4))


@pytest.mark.parametrize(
    ("model", "p_yes"),
    [
        ("ok", GOOD),
        ("partslogprobs", GOOD),
        ("logprobnull", 1.0),
        ("thoughts", None),
        ("truncated.once", GOOD),
        ("chunkcut.once", GOOD),
        ("drop.once", GOOD),
        ("slow", GOOD),
        ("nojson.once", GOOD),
        ("nochoices.once", GOOD),
        ("limited200.once", GOOD),
        ("limited.once", GOOD),
        ("busy.once", GOOD),
        ("text", None),
        ("topsnull", None),
        ("topsmissing", None),
        ("goodnull", None),
        ("oddtokens", None),
        ("parts", None),
        ("thinkclosed", None),
        ("because", None),
    ],
)
def test_a_plain_answer_is_read_however_odd_the_rest(judge, model, p_yes) -> None:
    table = teacher(judge, model).judge(asked("heart", "moon"))
    assert answers(table) == ["yes", "no"]
    if p_yes:
        assert table["p_yes"][0].as_py() == pytest.approx(p_yes)
        assert table["p_yes"][1].as_py() == pytest.approx(1 - p_yes)
    once = model.endswith(".once")
    assert len(judge.requests) == (4 if once else 2)


@pytest.mark.parametrize(
    ("model", "raw"),
    [
        ("think", 'begins with "<think>" (1.00), "The" (0.20)'),
        ("thinknoise", 'begins with "<think>" (1.00), "\\n" (0.00), "No" (0.00)'),
        ("reasoning", 'thinks: "Okay"'),
        ("emoji", 'begins with "?" (0.90), "?" (0.05)'),
        ("nothing", "nothing (finish_reason length)"),
    ],
)
def test_what_is_no_plain_answer_is_unclear_and_kept(judge, model, raw, caplog) -> None:
    asking = teacher(judge, model)
    table = asking.judge(asked("heart"))
    asking.judge(asked("ear"))
    assert answers(table) == ["unclear"]
    assert table["raw"].to_pylist() == [raw]
    warned = caplog.text.count("judge.teacher.thinking_tokens")
    assert warned == (model in ("think", "thinknoise", "reasoning"))


@pytest.mark.parametrize("model", ["filtered", "filtered200"])
def test_a_text_that_a_content_filter_refuses_is_unclear_and_stops_nothing(
    judge, model, monkeypatch
) -> None:
    def inside(good: str, bad: str) -> dict:
        return REFUSALS["filtered"][2] if good == "No" else REPLIES["ok"](good, bad)

    monkeypatch.setitem(REPLIES, "filtered200", inside)
    told = teacher(judge, model).judge(asked("heart", "ear", text="the ear"))
    assert answers(told) == ["unclear", "yes"]
    assert "content management policy" in told["raw"][0].as_py()


def test_thinking_is_given_room_and_the_answer_read_behind_it(judge) -> None:
    table = teacher(judge, "thoughts", thinking_tokens=100).judge(asked("heart"))
    body = judge.requests[0]["body"]
    assert body["max_tokens"] > 100
    assert "chat_template_kwargs" not in body
    yes, no = math.exp(-0.2), math.exp(-1.8)
    assert table["p_yes"][0].as_py() == pytest.approx(yes / (yes + no))
    assert table["mass"][0].as_py() == pytest.approx(yes + no)


def test_a_request_holds_the_prompt_and_what_was_configured(judge) -> None:
    asking = teacher(judge, answer_prefix="Answer:", max_document_tokens=2, max_label_tokens=1)
    asking.judge(asked("heart attack", text="one two three"))
    prompt, body = get_prompt("tag"), judge.requests[0]["body"]
    content = f"{prompt.before}one two{prompt.between}heart{prompt.after}"
    assert body == {
        "model": "ok",
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 20,
        "chat_template_kwargs": {"enable_thinking": False, "thinking": False},
        "continue_final_message": True,
        "add_generation_prompt": False,
        "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": "Answer:"},
        ],
    }


def test_a_file_s_system_message_is_sent(judge, tmp_path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text('before: "D: "\nlabel: ">>>«{label}"\nafter: "»"\nsystem: Be strict.\n')
    assert answers(teacher(judge, prompt=str(path)).judge(asked("heart"))) == ["yes"]
    assert judge.requests[0]["body"]["messages"][0] == {"role": "system", "content": "Be strict."}


def test_pairs_stay_in_order_and_a_prompt_is_asked_once(judge) -> None:
    labels = [f"{word} {n}" for n in range(20) for word in ("heart", "moon", "ear")]
    table = teacher(judge).judge(asked(*labels, *labels))
    assert table["label_id"].to_pylist() == list(range(120))
    assert answers(table) == ["yes", "no", "yes"] * 40
    assert len(judge.requests) == 60


def test_no_pairs_are_no_requests(judge) -> None:
    assert teacher(judge).judge(asked()).num_rows == 0
    assert not judge.requests


@pytest.mark.parametrize("concurrency", [1, 4])
def test_one_pair_that_fails_for_ever_leaves_the_other_twelve(judge, concurrency) -> None:
    labels = [f"heart {n}" for n in range(12)] + ["broken heart"]
    with pytest.raises(JudgeUnavailable, match=r"/v1/chat/completions: .*HTTP 500: out of") as got:
        teacher(judge, concurrency=concurrency).judge(asked(*labels))
    assert got.value.answers["label_id"].to_pylist() == list(range(12))
    assert answers(got.value.answers) == ["yes"] * 12
    assert len(judge.requests) == 12 + TeacherConfig().tries


def test_what_was_not_begun_is_not_asked_after_a_failure(judge) -> None:
    with pytest.raises(JudgeUnavailable) as got:
        teacher(judge, concurrency=1, tries=3).judge(asked("broken", "heart", "ear"))
    assert got.value.answers.num_rows == 0
    assert len(judge.requests) == 3


def test_a_wrong_key_ends_at_once_and_a_right_one_is_asked_again(judge, monkeypatch) -> None:
    labels = [f"heart {n}" for n in range(40)]
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(JudgeRefused, match="OPENAI_API_KEY, which is not set"):
        teacher(judge, "keyed", concurrency=3).judge(asked(*labels))
    assert len(judge.requests) <= 3
    monkeypatch.setenv("OPENAI_API_KEY", " good\n")
    assert answers(teacher(judge, "keyed", concurrency=3).judge(asked(*labels))) == ["yes"] * 40


def test_a_full_bucket_is_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(pacing, "FIRST_WAIT", 0.002)
    with FakeJudge() as judge:
        table = teacher(judge, "bucket").judge(asked(*(f"heart {n}" for n in range(14))))
    assert answers(table) == ["yes"] * 14


class Purse:
    """A budget of so many requests."""

    def __init__(self, requests: int) -> None:
        self.requests, self.tokens = requests, 0

    def take(self, requests: int, tokens: int) -> None:
        if self.requests < requests:
            raise BudgetReached("used up")
        self.requests, self.tokens = self.requests - requests, self.tokens + tokens

    def give_back(self, requests: int, tokens: int) -> None:
        self.requests, self.tokens = self.requests + requests, self.tokens - tokens


def test_a_budget_ends_the_table_with_what_was_answered(judge) -> None:
    purse = Purse(3)
    asking = teacher(judge, concurrency=1, budget=purse)
    with pytest.raises(BudgetReached) as got:
        asking.judge(asked("heart", "moon", "ear", "nose", "hand"))
    assert answers(got.value.answers) == ["yes", "no", "yes"]
    assert len(judge.requests) == 3
    used = asking.usage
    assert (used.requests, used.prompt_tokens, used.answer_tokens) == (3, 120, 3)
    assert purse.tokens == 123
    assert used.seconds > 0


def test_a_budget_that_cannot_be_reached_loses_no_answer(judge) -> None:
    class Away(Purse):
        def take(self, requests: int, tokens: int) -> None:
            if not self.requests:
                raise OSError("the store is away")
            super().take(requests, tokens)

    with pytest.raises(OSError, match="the store is away") as got:
        teacher(judge, concurrency=1, budget=Away(3)).judge(asked("heart", "moon", "ear", "nose"))
    assert answers(paid_for(got.value)) == ["yes", "no", "yes"]


@pytest.mark.parametrize(("model", "kept"), [("limited", 0), ("busy", 0), ("truncated", 3)])
def test_only_what_a_server_may_have_done_is_spent(judge, model, kept) -> None:
    purse = Purse(10)
    with pytest.raises(JudgeUnavailable):
        teacher(judge, model, tries=3, budget=purse).judge(asked("heart"))
    assert purse.requests == 10 - kept
    assert (purse.tokens > 0) == (kept > 0)


def test_a_document_without_spaces_is_cut_too(judge) -> None:
    teacher(judge, max_document_tokens=4, max_label_tokens=2).judge(asked("心臓病", text="心" * 99))
    prompt, body = get_prompt("tag"), judge.requests[0]["body"]
    content = f"{prompt.before}心心心心{prompt.between}心臓{prompt.after}"
    assert body["messages"] == [{"role": "user", "content": content}]


def test_long_replies_are_shortened() -> None:
    assert plain("a" * 300) == "a" * 199 + "…"


@pytest.mark.parametrize(("field", "value"), [("url", "file:///etc/passwd"), ("model", "")])
def test_an_endpoint_without_url_or_model_is_refused(judge, field, value) -> None:
    with pytest.raises(ConfigError, match=rf"judge\.teacher\.{field}"):
        teacher(judge, **{"url": judge.url, "model": "m", field: value})


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_halted_step_ends_the_waiting_and_keeps_the_answers(
    judge, monkeypatch, concurrency
) -> None:
    halted = threading.Event()
    monkeypatch.setattr(pacing, "backoff", lambda failures: 600.0)

    def halt() -> None:
        while not any("broken" in str(request["body"]) for request in judge.requests):
            time.sleep(0.01)
        halted.set()

    halting_thread = threading.Thread(target=halt, daemon=True)
    halting_thread.start()
    with halting.heeding(halted), pytest.raises(Halted) as stopped:
        teacher(judge, concurrency=concurrency).judge(asked("heart", "moon", "broken", "ear"))
    assert answers(stopped.value.answers)[:2] == ["yes", "no"]
    halting_thread.join()
    before = len(judge.requests)
    with halting.heeding(halted), pytest.raises(Halted):
        teacher(judge, concurrency=concurrency).judge(asked("heart"))
    assert len(judge.requests) == before
