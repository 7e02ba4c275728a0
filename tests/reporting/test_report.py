"""The report of a run: its numbers, its words, and the one file that it is."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lmtx_ray.config.judge import PriceConfig
from lmtx_ray.config.loading import ConfigError
from lmtx_ray.loop.comparing import compare
from lmtx_ray.loop.finished_run import open_finished
from lmtx_ray.loop.record import write_record
from lmtx_ray.loop.run_config import RunConfig
from lmtx_ray.reporting.contents import gather
from lmtx_ray.reporting.judging import Asked
from lmtx_ray.reporting.page import render
from lmtx_ray.reporting.samples import test_sample as sample_of
from lmtx_ray.reporting.spending import costs_of
from lmtx_ray.reporting.words import conclude, first_tag
from lmtx_ray.reporting.writing import kept_report, write_report
from tests.reporting.made_run import NASTY, MadeRun


class Page(HTMLParser):
    """What a browser would make of a file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeRun:
    run = MadeRun(tmp_path_factory.mktemp("runs") / "mine")
    run.spend(requests=100, prompt_tokens=1_000_000, answer_tokens=100_000, seconds=5.0)
    run.spend(requests=50, prompt_tokens=500_000, answer_tokens=50_000, seconds=2.0)
    return run


@pytest.fixture(scope="module")
def page(made: MadeRun) -> Page:
    written = write_report(str(made.folder))
    return Page(Path(written.uri).read_text(encoding="utf-8"))


def test_it_tells_what_the_evaluation_measured(made: MadeRun, page: Page) -> None:
    run = open_finished(str(made.folder))
    report = gather(run)
    best = run.summary["methods"]["cycle_1_hybrid"]
    assert report.by_gold is not None
    point = report.by_gold.series["fused with word search"][1]
    assert (point.value, point.low, point.high) == (best["P@1"], *best["P@1_ci"])
    assert report.thresholds[0].precision is not None
    assert report.thresholds[0].precision.value == pytest.approx(best["P@5"])
    assert f"{100 * best['P@1']:.1f}" in page.text
    assert f"{100 * best['nDCG@5']:.1f}" in page.text


@pytest.mark.parametrize("asked", [[5, 1], [3]])
def test_the_first_tag_is_told_of_whatever_is_measured_first(
    made: MadeRun, tmp_path: Path, asked: list[int]
) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(made.folder, copied)
    file = copied / "ended/0123456789ab.json"
    record = json.loads(file.read_text())
    record["config"]["evaluation"]["precision_at"] = asked
    file.write_text(json.dumps(record))
    run = open_finished(str(copied))
    first, _ = first_tag(gather(run))
    assert first is not None
    assert first.value == run.summary["methods"]["cycle_1_hybrid"]["P@1"]


def test_it_names_what_a_judge_accepts_too_often_and_who_agrees(page: Page) -> None:
    assert "Accepted for an implausible share of all documents" in page.text
    assert f"{NASTY} (40 % of them)" in page.text
    assert "a and b agree on 90 % of 900 pairs (kappa 0.55" in page.text


def test_texts_of_users_stay_texts(page: Page) -> None:
    assert NASTY in page.text
    assert page.count("script") == 0
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]


def test_it_loads_nothing(page: Page) -> None:
    loading = {"src", "href", "action", "srcset", "data", "poster", "xlink:href"}
    targets = [v for _, attrs in page.tags for name, v in attrs.items() if name in loading]
    assert targets
    assert all(target and target.startswith("#") for target in targets)
    assert not [tag for tag, _ in page.tags if tag in ("link", "script", "iframe", "object", "img")]
    assert "url(" not in page.text
    assert "@import" not in page.text


def test_plots_and_tables_can_be_read_to_someone(page: Page) -> None:
    plots = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    ids = {attrs["id"] for _, attrs in page.tags if attrs.get("id")}
    assert len(plots) == 6
    assert all(one["role"] == "img" and one["aria-labelledby"] in ids for one in plots)
    assert all(attrs.get("scope") for tag, attrs in page.tags if tag == "th")
    assert page.count("h1") == 1
    names = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(names) == len(set(names))


def test_the_same_run_gives_the_same_bytes(made: MadeRun, tmp_path: Path) -> None:
    files = [tmp_path / "one.html", tmp_path / "two.html"]
    for file in files:
        write_report(str(made.folder), str(file))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_all_starts_spent_is_added_up_and_priced(made: MadeRun) -> None:
    costs = gather(open_finished(str(made.folder))).costs
    judge = next(step for step in costs.steps if step.name == "judge 1")
    assert (judge.requests, judge.prompt_tokens, judge.answer_tokens) == (150, 1_500_000, 150_000)
    assert judge.money == pytest.approx(1.5 * 2.0 + 0.15 * 10.0)


def test_every_step_that_asked_has_its_own_costs() -> None:
    told = ("test verdicts", "test icxml verdicts")
    asked = [Asked(name, 40, 10, 30, 0, asked=30, human=0, mass=None) for name in told]
    used = {"requests": 30, "prompt_tokens": 1_000_000, "answer_tokens": 0}
    spent = {"judge test": {**used, "wall_seconds": 3.0}, "icxml": {"wall_seconds": 2.0}}
    spent |= {name: used for name in ("icxml phrases", "icxml judge")}
    costs = costs_of({"prepare": 1.0, "judge test": 3.0}, spent, asked, PriceConfig(prompt=2.0))
    steps = {step.name: step for step in costs.steps}
    assert steps["judge test"].asked == steps["icxml judge"].asked == 30
    assert {steps[name].money for name in ("judge test", "icxml judge", "icxml phrases")} == {2.0}
    assert "judge 1" not in steps
    total = costs.total
    assert (total.asked, total.requests, total.prompt_tokens, total.money) == (60, 90, 3e6, 6.0)
    assert total.seconds == 6.0
    known = Asked("test icxml verdicts", 40, 10, 30, 0, asked=0, human=0, mass=None)
    with_cycles = costs_of({"judge 1": 3.0}, {"judge 1": used}, [asked[0], known], PriceConfig())
    assert with_cycles.steps[0].asked == 30  # with the first cycle
    assert (with_cycles.total.pairs, with_cycles.total.requests) == (80, 30)


def test_an_older_run_tells_what_is_not_known(made: MadeRun, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(made.folder, old, ignore=shutil.ignore_patterns("costs", "ended"))
    (old / "started").mkdir()
    config = made.config.model_dump(mode="json")
    (old / "started/0.json").write_text(json.dumps({"config": config}))
    report = gather(open_finished(str(old)))
    assert not report.costs.complete
    assert report.costs.total.prompt_tokens is None
    assert report.costs.total.seconds == 21.0
    assert "did not write down tokens" in Page(render(report)).text


def test_a_folder_may_move_and_the_judges_key_is_not_needed(
    made: MadeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    moved = tmp_path / "moved"
    shutil.copytree(made.folder, moved)
    file = moved / "ended/0123456789ab.json"
    record = json.loads(file.read_text())
    record["config"]["judge"]["teacher"] |= {"kind": "http", "url": "http://127.0.0.1:1"}
    file.write_text(json.dumps(record))
    run = open_finished(str(moved))
    assert run.config.judge.teacher.kind == "http"
    assert run.steps["labels"].uri.startswith(str(moved))


def test_gold_in_a_file_of_its_own_is_where_numbers_come_from(made: MadeRun) -> None:
    run = open_finished(str(made.folder))
    corpus = run.config.corpus.model_copy(update={"test": None, "gold": "people/gold.csv"})
    config = run.config.model_copy(update={"corpus": corpus})
    report = gather(replace(run, config=config))
    assert "Gold people/gold.csv" in Page(render(report)).text


def test_without_gold_it_is_the_judges_own_opinion(tmp_path: Path) -> None:
    MadeRun(tmp_path / "run", gold=False)
    report = gather(open_finished(str(tmp_path / "run")))
    verdict, text = conclude(report), Page(render(report)).text
    assert verdict.level == "usable"
    assert "nobody else has checked" in verdict.headline
    assert "no gold labels: all of this is the judge’s own opinion" in text
    assert "right first tags" not in text
    assert report.thresholds
    assert all(row.recall is None for row in report.thresholds)


def test_without_a_cycle_nothing_is_claimed(tmp_path: Path) -> None:
    MadeRun(tmp_path / "run", gold=False, cycles=0)
    report = gather(open_finished(str(tmp_path / "run")))
    assert conclude(report).level == "unknown"
    assert "No judge was asked" in Page(render(report)).text


def test_without_a_cycle_gold_still_counts(tmp_path: Path) -> None:
    MadeRun(tmp_path / "run", cycles=0)
    report = gather(open_finished(str(tmp_path / "run")))
    assert report.by_gold is not None
    assert report.by_judge is None
    assert "untrained" in render(report)


def test_a_run_that_is_not_finished_says_what_is_next(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run was started here"):
        write_report(str(tmp_path))
    for name, row in (
        ("d.jsonl", {"uid": "1", "text": "a"}),
        ("l.jsonl", {"uid": "L", "title": "b"}),
    ):
        (tmp_path / name).write_text(json.dumps(row) + "\n")
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder/config.json").write_text("{}")
    config = RunConfig.model_validate(
        {
            "run": str(tmp_path / "run"),
            "corpus": {"documents": [f"{tmp_path}/d.jsonl"], "labels": f"{tmp_path}/l.jsonl"},
            "encoder": {"model": f"{tmp_path}/encoder"},
            "judge": {"teacher": {"kind": "lexical"}},
        }
    )
    write_record(config)
    for place in (config, config.run):
        with pytest.raises(
            ConfigError, match=r"not finished: next is `documents` \(0 of \d+ steps"
        ):
            write_report(place)


def test_a_report_of_other_settings_is_made_anew(made: MadeRun, tmp_path: Path) -> None:
    written = write_report(str(made.folder))
    assert re.search(
        r'name="lmtx-evaluation" content="0123456789ab"', Path(written.uri).read_text()
    )
    other = made.config.model_copy(update={"run": str(tmp_path)})
    assert kept_report(other) is None


def test_self_matches_count_on_no_side(tmp_path: Path) -> None:
    """The first right label of the first ten test documents is left out, of two runs compared by
    their own gold too."""
    made = MadeRun(tmp_path / "runs")
    before = sample_of(open_finished(str(made.folder)))
    tested = [f"d{n}" for n in range(60, 100)]
    (tmp_path / "t.csv").write_text("id,text\n" + "".join(f"{one},x\n" for one in tested))
    firsts = [min(made.truth[doc_id]) for doc_id in tested[:10]]
    never = "".join(f"{n} {label}\n" for n, label in enumerate(firsts))
    (tmp_path / "never.txt").write_text(never)
    record = made.folder / "ended" / "0123456789ab.json"
    told = json.loads(record.read_text())
    files = {"test": str(tmp_path / "t.csv"), "self_matches": str(tmp_path / "never.txt")}
    told["config"]["corpus"] |= files
    record.write_text(json.dumps(told))
    run = open_finished(str(made.folder))
    sample = sample_of(run)
    assert before is not None
    assert sample is not None
    alone = sum(len(made.truth[doc_id]) == 1 for doc_id in tested[:10])
    assert before.pairs.documents - sample.pairs.documents == alone
    pairs = sample.pairs
    left = {(pairs.doc_ids[d], n) for d, n in zip(pairs.document_N, pairs.label_N, strict=True)}
    assert not left & set(zip(tested, firsts, strict=False))
    report = gather(run)
    assert report.gain is not None
    found = compare(str(made.folder), str(made.folder))
    assert found["filtered"]["gold"] == found["filtered"]["pairs"] == 10
    assert found["documents"] == sample.pairs.documents
    (tmp_path / "never.txt").unlink()  # the report is of what there is
    again = sample_of(run)
    assert again is not None
    assert again.pairs.documents == before.pairs.documents


def test_labels_that_are_never_found_are_drawn_too(made: MadeRun) -> None:
    report = gather(open_finished(str(made.folder)))
    missed = replace(report.slices[0], wanted=4, found=0)
    assert f"{missed.name}: 0 %" in render(replace(report, slices=(missed,)))
