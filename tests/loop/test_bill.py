"""The judge's bill: pairs that are forecast, tokens that are computed, hours and money."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.config.judge import JudgeConfig, TeacherConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.config.resources import Resources
from lmtx_ray.corpus.text_keys import text_key
from lmtx_ray.io.accounts import Account
from lmtx_ray.loop.bill import StoredPairs, add_up, step_bills
from lmtx_ray.loop.corpus_sample import Sample, sample_corpus
from lmtx_ray.loop.estimate import describe, render_plan
from lmtx_ray.loop.judge_rate import keep_rate, known_rate, measured_rate
from lmtx_ray.loop.layout import lay_out
from lmtx_ray.loop.prompt_tokens import PromptTokens, in_blocks, in_steps, prompt_tokens
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.loop.running import load_config
from lmtx_ray.teacher.adapting import answer_limit
from lmtx_ray.teacher.generating import WRITTEN_TOKENS
from lmtx_ray.teacher.packed import PackedTeacher
from lmtx_ray.teacher.packing import Limits
from lmtx_ray.teacher.priors import document_key
from lmtx_ray.teacher.prompts import get_prompt
from lmtx_ray.teacher.protocol import Unlimited, answers_table
from lmtx_ray.teacher.reading import Reading
from lmtx_ray.verdicts.store import as_stored
from tests.small_run import write_inputs
from tests.tiny import save_judge

SPLITS = {"train": 100, "held_aside": 20, "test": 10}
STEPS = {"verdicts 1", "selection 1", "verdicts 2", "selection 2", "test verdicts"}


def judge(**more: object) -> JudgeConfig:
    return JudgeConfig(teacher=TeacherConfig(kind="lexical"), top_k=10, select_k=3, **more)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    monkeypatch.setenv("LMTX_CACHE_DIR", str(tmp_path / "cache"))
    path = write_inputs(tmp_path)
    return load_config(str(path), [f"run={tmp_path / 'run'}"])


def test_a_first_cycle_asks_all_and_later_ones_what_is_new() -> None:
    bills = step_bills(judge(rerank_k=4), SPLITS, 2, STEPS, StoredPairs([]))
    most = [(bill.name, bill.at_most) for bill in bills]
    assert most[:2] == [("verdicts 1", 1000), ("verdicts 1", 120)]
    assert most[-1] == ("test verdicts", 40)
    wanted = {name: sum(b.wanted for b in bills if b.name == name) for name, _ in most}
    assert 1000 < wanted["verdicts 1"] < 1120
    assert 0 < wanted["verdicts 2"] < 1000
    assert all(bill.new == bill.wanted for bill in bills)


def test_labels_drawn_by_chance_are_billed() -> None:
    bills = step_bills(judge(chance_k=2), SPLITS, 1, {"chance verdicts"}, StoredPairs([]))
    assert [(one.name, one.documents, one.at_most, one.new) for one in bills] == [
        ("chance verdicts", 20, 20 * (2 + 3), 20 * (2 + 0.9))
    ]
    assert step_bills(judge(chance_k=0), SPLITS, 1, {"chance verdicts"}, StoredPairs([])) == []


def test_what_is_done_is_not_billed() -> None:
    bills = step_bills(judge(), SPLITS, 2, {"verdicts 2"}, StoredPairs([]))
    assert [bill.name for bill in bills] == ["verdicts 2"]
    assert step_bills(judge(), SPLITS, 2, set(), StoredPairs([])) == []


def test_what_the_store_holds_is_not_new() -> None:
    first, *_ = step_bills(judge(), SPLITS, 2, STEPS, StoredPairs([10, 5, 0, 25]))
    assert first.new == pytest.approx(1000 * (1 - (1 + 0.5 + 0 + 1) / 4))
    (second,) = step_bills(judge(), SPLITS, 2, {"verdicts 2"}, StoredPairs([10, 5]))
    assert second.new == second.wanted  # that much was asked in the first cycle


def test_tokens_of_steps_are_those_that_stand_in_them() -> None:
    documents = [[[1, 2, 3, 7], [1, 2, 3, 8, 9]], [[1, 5, 6], [1, 5, 7]]]
    # one 1 for both, then 2 3 | 7 | 8 9 and 5 | 6 | 7
    assert in_steps(documents, Limits(100, 100)) == ((1 + 2 + 1) / 2, (1 + 2 + 1 + 1) / 4)
    assert in_steps(documents, Limits(6, 100)) == ((3 + 2) / 2, 5 / 4)


def test_tokens_of_blocks_are_shared_in_whole_ones() -> None:
    prompts = [[*range(40), 100 + n] for n in range(3)]
    assert in_blocks([prompts], 16) == (41 - 9, 9)
    assert in_blocks([[[1, 2]]], 16) == (0, 2)


def test_the_bill_adds_up() -> None:
    priced = judge(price={"prompt": 2.0, "answer": 10.0})
    bills = step_bills(priced, {"train": 100}, 1, {"verdicts 1"}, StoredPairs([]))
    bill = add_up(bills, PromptTokens(50.0, 30.0, 5.0, "tokenizer"), priced)
    assert (bill.pairs_at_most, bill.new_pairs, bill.tokens) == (1000, 1000, 50_000)
    assert (bill.computed, bill.cached) == (100 * 30 + 1000 * 5, 50_000 - 8_000)
    assert bill.money == pytest.approx((50_000 * 2 + 1000 * 10) / 1e6)


def test_each_member_of_an_ensemble_is_billed(config: RunConfig) -> None:
    member = {"kind": "http", "model": "m", "prompt": "tag", "url": "http://127.0.0.1:9/v1"}
    members = [member, {**member, "revision": "another"}]
    teachers = TeacherConfig(**member), TeacherConfig(kind="ensemble", members=members)
    asking = [config.judge.model_copy(update={"teacher": teacher}) for teacher in teachers]
    bills = [describe(config.model_copy(update={"judge": one}))["judge"] for one in asking]
    for name in ("calls_at_most", "prompt_tokens_at_most"):
        assert bills[1][name] == pytest.approx(2 * bills[0][name], abs=1)
    for name in ("pairs", "new_pairs", "prompt_tokens"):
        alone, both = (bill["expected"][name] for bill in bills)
        assert both == pytest.approx(2 * alone, abs=1)


def test_a_prior_is_one_question_more_of_each_label(config: RunConfig) -> None:
    plain = describe(config)["judge"]
    calibrated = config.judge.model_copy(update={"calibration": "prior"})
    priors = config.model_copy(update={"judge": calibrated})
    bill = describe(priors)["judge"]
    assert bill["calls_at_most"] - plain["calls_at_most"] == 24  # labels
    assert bill["expected"]["new_pairs"] - plain["expected"]["new_pairs"] == 24
    layout = lay_out(priors)
    prompt, teacher = layout.judge
    shown = sample_corpus(priors, layout.prompt).labels[0]
    keys = [(document_key(), text_key(label)) for label in shown[:3]]
    readings = [Reading("yes", 0.6), Reading("no", 0.2), Reading("unclear")]
    said = answers_table([("", 0), ("", 1), ("", 2)], readings)
    stored = as_stored(keys, said, layout.judge, "prior")
    priors.verdict_store.partition(teacher, prompt).append(stored, "prior-one")
    again = describe(priors)["judge"]
    assert again["calls_at_most"] == bill["calls_at_most"]
    assert bill["expected"]["new_pairs"] - again["expected"]["new_pairs"] == 3


def test_a_pair_that_two_runs_kept_is_held_once(config: RunConfig) -> None:
    layout = lay_out(config)
    sample, (prompt, teacher) = sample_corpus(config, layout.prompt), layout.judge
    partition = config.verdict_store.partition(teacher, prompt)
    keys = [(key, text_key(sample.labels[0][0])) for key in dict.fromkeys(sample.keys)]
    said = answers_table([("", n) for n in range(len(keys))], [Reading("no", 0.1)] * len(keys))
    bills = []
    for run in ("one", "another"):
        partition.append(as_stored(keys, said, layout.judge, run), run)
        bills.append(describe(config)["judge"]["expected"])
    assert bills[0]["new_pairs"] < bills[0]["pairs"]
    assert bills[0] == bills[1]


def test_pairs_of_labels_that_are_gone_are_not_held(config: RunConfig) -> None:
    layout = lay_out(config)
    sample, (prompt, teacher) = sample_corpus(config, layout.prompt), layout.judge
    keys = [(key, text_key(f"gone {n}")) for key in dict.fromkeys(sample.keys) for n in range(9)]
    keys += [(document_key(), text_key(f"gone {n}")) for n in range(9)]
    said = answers_table([("", n) for n in range(len(keys))], [Reading("no", 0.1)] * len(keys))
    judged = config.judge.model_copy(update={"calibration": "prior"})
    config = config.model_copy(update={"judge": judged})
    before = describe(config)["judge"]
    partition = config.verdict_store.partition(teacher, prompt)
    partition.append(as_stored(keys, said, layout.judge, "one"), "one")
    assert describe(config)["judge"] == before


def test_a_finished_run_has_no_bill_for_cycles_that_it_did_without(config: RunConfig) -> None:
    before = describe(config)
    assert before["judge"]["calls_at_most"]
    lay_out(config).evaluation.publish_table(pa.table({"summary": ["{}"]}), 1)
    after = describe(config)
    assert after["judge"] == {"calls_at_most": 0, "prompt_tokens_at_most": 0}
    assert after["steps"]["evaluation"] == "complete"
    assert after["steps"]["verdicts 1"] == "not needed"
    assert "nothing left to ask" in render_plan(after)


def test_thoughts_and_phrases_are_in_the_most_that_a_run_may_cost() -> None:
    price = {"answer": 1e6}  # one for each token
    teacher = TeacherConfig(kind="http", model="m", thinking_tokens=100)
    thinks = JudgeConfig(teacher=teacher, top_k=10, icxml_k=2, price=price)
    bills = step_bills(thinks, SPLITS, 1, {"test icxml verdicts", "test phrases"}, StoredPairs([]))
    bill = add_up(bills, PromptTokens(50.0, 0.0, 50.0, "words"), thinks)
    assert bill.money_at_most == 10 * (2 * answer_limit(teacher) + WRITTEN_TOKENS)


def test_a_models_prompts_are_counted_as_it_then_has_them(
    config: RunConfig, tmp_path: Path
) -> None:
    model = save_judge(tmp_path / "judge")
    teacher = TeacherConfig(model=model, prompt="judge", engine="packed", dtype="float32")
    prompt = get_prompt("judge")
    sample = sample_corpus(config, prompt)
    tokens = prompt_tokens(teacher, prompt, sample)
    asked = PackedTeacher(teacher, prompt, Unlimited())
    documents = len(sample.texts)
    pairs = asked.judge(sample.questions(0, documents)).num_rows
    assert tokens.by == "tokenizer"
    assert tokens.pair * pairs == pytest.approx(asked.usage.prompt_tokens)
    computed = asked.usage.prompt_tokens - asked.usage.cached_tokens
    assert tokens.computed(documents, pairs) == pytest.approx(computed)


def test_questions_longer_than_the_judge_reads_are_refused_by_the_plan(
    config: RunConfig, tmp_path: Path
) -> None:
    model = save_judge(tmp_path / "judge")
    teacher = TeacherConfig(model=model, prompt="judge", engine="packed", max_document_tokens=500)
    prompt = get_prompt("judge")
    sample = sample_corpus(config, prompt)
    with pytest.raises(ConfigError, match=r"it was made for 512.*lower .*tokens by (\d+)") as said:
        prompt_tokens(teacher, prompt, sample)
    less = 500 - int(str(said.value).rsplit(" ", 1)[-1])
    shorter = teacher.model_copy(update={"max_document_tokens": less})
    assert prompt_tokens(shorter, prompt, sample).by == "tokenizer"
    labels = teacher.model_copy(update={"max_document_tokens": 8, "max_label_tokens": 900})
    with pytest.raises(ConfigError, match="no document fits: lower max_label_tokens"):
        prompt_tokens(labels, prompt, sample)


def test_without_a_tokenizer_words_are_counted_and_the_plan_says_so(
    config: RunConfig, tmp_path: Path
) -> None:
    prompt = get_prompt("tag")
    teacher = TeacherConfig(model="not/here")
    tokens = prompt_tokens(teacher, prompt, sample_corpus(config, prompt))
    assert tokens.by.startswith("words, as the model is not on this machine yet")
    assert tokens.computed(1, 10) == 10 * tokens.pair


def test_texts_without_spaces_are_estimated_as_they_are_sent() -> None:
    teacher = TeacherConfig(kind="http", model="m", max_document_tokens=100, max_label_tokens=10)
    prompt = get_prompt("tag")
    pairs = [
        prompt_tokens(teacher, prompt, Sample([None], [letter * 500], [[letter * 20]], [b""])).pair
        for letter in ("a ", "心")
    ]
    assert pairs[0] == pairs[1] > 110


def test_a_rate_is_remembered_for_the_same_judge_on_as_much_of_a_machine(config: RunConfig) -> None:
    layout = lay_out(config)
    assert known_rate(config, layout) is None
    keep_rate(config, layout, 100, 1.0)
    assert known_rate(config, layout) is None  # too few to tell
    keep_rate(config, layout, 4000, 2.0)
    assert known_rate(config, layout).pairs_a_second == 2000
    resources = config.resources.model_copy(update={"judge": Resources(cpus=7)})
    other = config.model_copy(update={"resources": resources})
    assert known_rate(other, lay_out(other)) is None


def test_a_runs_own_account_comes_first_and_the_plan_tells_hours_and_money(
    config: RunConfig,
) -> None:
    Account(f"{config.run}/costs").keep("judge 1", {"requests": 1000, "wall_seconds": 2.0})
    priced = config.judge.model_copy(update={"price": judge(price={"prompt": 5e4}).price})
    plan = describe(config.model_copy(update={"judge": priced}))
    bill = plan["judge"]
    assert bill["rate"]["pairs_a_second"] == 500
    assert bill["expected"]["hours"] == pytest.approx(bill["expected"]["new_pairs"] / 500 / 3600, 1)
    said = render_plan(plan)
    assert "500.0 pairs a second, of this run so far" in said
    assert f"about {bill['expected']['money']:,}" in said


def test_a_rate_can_be_measured(config: RunConfig) -> None:
    layout = lay_out(config)
    rate = measured_rate(config, layout, sample_corpus(config, layout.prompt))
    assert rate.pairs_a_second > 0
    assert rate.told_by.startswith("measured now on")
