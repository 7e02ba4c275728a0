"""Preparing as a stream of units: the tables depend on the files' content alone."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa
import pytest

from lmtx_ray.config.corpus import CorpusConfig
from lmtx_ray.corpus.counting import count_corpus
from lmtx_ray.corpus.text_keys import document_keys
from lmtx_ray.io.receipts import PublishError
from lmtx_ray.loop import prepare as preparing
from lmtx_ray.loop.layout import Layout
from lmtx_ray.stages import prepare as stage
from tests.prepared import run_prepare


def write(path: Path, rows: list[object]) -> str:
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return str(path)


@pytest.fixture
def corpus(tmp_path: Path) -> CorpusConfig:
    """Three files with bad rows, blank lines, repeated ids and few texts; a test set like them."""
    draw = random.Random(1)

    def row(**more: object) -> object:
        chance = draw.random()
        if chance < 0.08:
            return "{bad" if chance < 0.05 else ""
        number, text = draw.randrange(500), draw.randrange(200)
        return {"uid": f"d{number}", "content": f"text {text}", **more}

    files = [write(tmp_path / f"d{n}.jsonl", [row() for _ in range(150)]) for n in range(3)]
    test = [row(target_ind=[n % 5 if n % 9 else 7]) for n in range(80)]
    labels = [{"uid": f"L{n}", "title": f"label {n}"} for n in range(5)]
    return CorpusConfig(
        documents=tuple(files),
        labels=write(tmp_path / "labels.jsonl", labels),
        test=write(tmp_path / "test.jsonl", test),
        held_aside=7,
    )


def tables(layout: Layout) -> list[pa.Table]:
    test = layout.test
    steps = [layout.documents, layout.labels, layout.rejects]
    steps += [test.documents, test.gold, test.rejects]
    return [step.read() for step in steps]


@pytest.mark.parametrize("limit", [None, 60, 3 + 7])
def test_however_files_are_cut_the_tables_are_the_same(
    tmp_path: Path, corpus: CorpusConfig, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    corpus = corpus.model_copy(update={"limit": limit})
    whole = tables(run_prepare(tmp_path / "whole", corpus, unit_documents=20))
    monkeypatch.setattr(preparing, "UNIT_BYTES", 700)
    cut = tables(run_prepare(tmp_path / "cut", corpus, unit_documents=20))
    assert cut == whole
    ids = whole[0]["doc_id"].to_pylist()
    assert len(ids) == len(set(ids)) == (limit or len(ids))
    assert not set(ids) & set(whole[3]["doc_id"].to_pylist())
    assert whole[0]["split"].to_pylist().count("held_aside") == 7


def test_ids_with_one_hash_are_told_apart_by_what_they_are(
    tmp_path: Path, corpus: CorpusConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tables(run_prepare(tmp_path / "whole", corpus, unit_documents=20))
    for module in ("raw", "labels"):
        monkeypatch.setattr(f"lmtx_ray.corpus.{module}.key_hash", lambda value: 7)
    alike = tables(run_prepare(tmp_path / "alike", corpus, unit_documents=20))
    assert [len(table) for table in alike] == [len(table) for table in whole]
    for place in (0, 3):  # their order goes by hashes
        kept = [sorted(table[place]["doc_id"].to_pylist()) for table in (whole, alike)]
        assert kept[0] == kept[1]


def test_every_row_is_a_document_or_a_reject_with_its_line(
    tmp_path: Path, corpus: CorpusConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "UNIT_BYTES", 700)
    layout = run_prepare(tmp_path, corpus)
    rejects = layout.rejects.read().to_pylist()
    lines = [line for uri in corpus.documents for line in Path(uri).read_text().splitlines()]
    assert layout.documents.rows() + len(rejects) == sum(bool(line) for line in lines)
    for reject in rejects:
        line = Path(reject["source"]).read_text().splitlines()[reject["position"] - 1]
        if "duplicate id" in reject["reason"]:
            assert json.loads(line)["uid"] in reject["reason"]
        else:
            assert line == reject["raw"] == "{bad"


def test_documents_of_one_text_are_in_one_unit(tmp_path: Path, corpus: CorpusConfig) -> None:
    layout = run_prepare(tmp_path, corpus, unit_documents=4)
    units = [set(document_keys(table)) for table in layout.documents.tables()]
    assert len(units) > 10
    assert sum(map(len, units)) == len(set().union(*units))


def test_a_limit_reads_no_more_than_it_needs(
    tmp_path: Path, corpus: CorpusConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "UNIT_BYTES", 700)
    read = []
    plain = stage.read_unit
    monkeypatch.setattr(
        stage, "read_unit", lambda unit, *rest: read.append(unit.name) or plain(unit, *rest)
    )
    few = corpus.model_copy(update={"limit": 15, "held_aside": 1, "test": None})
    run_prepare(tmp_path, few)
    assert len(read) == len(set(read)) <= 4


def test_a_run_that_broke_off_goes_on_with_the_same_tables(
    tmp_path: Path, corpus: CorpusConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any unit of reading or writing; what was done is not done again."""
    monkeypatch.setattr(preparing, "UNIT_BYTES", 2000)
    whole = run_prepare(tmp_path / "whole", corpus, unit_documents=50)
    done: list[str] = []
    for name in ("read_unit", "assemble_unit"):
        plain = getattr(stage, name)

        def breaking(unit, *rest, plain=plain, name=name):
            done.append(f"{name} {rest[-1].uri} {unit.name}")
            if len(done) % 4 == 0:
                raise KeyboardInterrupt
            return plain(unit, *rest)

        monkeypatch.setattr(stage, name, breaking)
    for _ in range(50):
        try:
            layout = run_prepare(tmp_path / "broken", corpus, unit_documents=50)
            break
        except KeyboardInterrupt:
            done[-1] = ""
    else:
        pytest.fail("it never came to an end")
    assert len([one for one in done if one]) == len({one for one in done if one})
    assert tables(layout) == tables(whole)
    assert not (tmp_path / "broken/run/work").exists() or not list(
        (tmp_path / "broken/run/work").iterdir()
    )


def test_a_test_file_that_changed_after_a_break_is_read_anew(
    tmp_path: Path, corpus: CorpusConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = preparing._Files.assemble

    def breaking(self, gathered, how, output) -> None:
        if how.split == "test":
            raise KeyboardInterrupt
        plain(self, gathered, how, output)

    with monkeypatch.context() as patch:
        patch.setattr(preparing._Files, "assemble", breaking)
        with pytest.raises(KeyboardInterrupt):
            run_prepare(tmp_path / "broken", corpus)
    write(Path(corpus.test), [{"uid": "new", "content": "another", "target_ind": [1]}])
    layout = run_prepare(tmp_path / "broken", corpus)
    assert layout.test.documents.read()["doc_id"].to_pylist() == ["new"]


def test_a_file_that_changes_while_it_is_read_is_not_published(
    tmp_path: Path, corpus: CorpusConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "UNIT_BYTES", 700)
    plain, (first, *_) = stage.read_unit, map(Path, corpus.documents)
    before = first.read_text()

    def changing(unit, *rest):
        receipt = plain(unit, *rest)
        first.write_text(first.read_text()[700:])  # of what is left others read the wrong half
        return receipt

    with monkeypatch.context() as patch:
        patch.setattr(stage, "read_unit", changing)
        with pytest.raises(PublishError, match=r"d0.jsonl: it was changed while"):
            run_prepare(tmp_path / "run", corpus)
    first.write_text(before)
    assert tables(run_prepare(tmp_path / "run", corpus)) == tables(
        run_prepare(tmp_path / "other", corpus)
    )


@pytest.mark.ray
def test_on_a_cluster_the_tables_are_the_same(
    tmp_path: Path, corpus: CorpusConfig, monkeypatch: pytest.MonkeyPatch, ray_cluster: None
) -> None:
    here = tables(run_prepare(tmp_path / "here", corpus, unit_documents=200))
    monkeypatch.setattr(preparing, "LOCAL_BYTES", 0)
    monkeypatch.setattr(preparing, "UNIT_BYTES", 8000)
    there = tables(run_prepare(tmp_path / "there", corpus, unit_documents=200))
    assert there == here


def test_a_plan_counts_what_a_run_prepares(tmp_path: Path, corpus: CorpusConfig) -> None:
    for limit in (None, 60):
        config = corpus.model_copy(update={"limit": limit})
        layout = run_prepare(tmp_path / str(limit), config)
        counts = count_corpus(config)
        steps = [layout.documents, layout.test.documents, layout.labels]
        rejected = layout.rejects.rows() + layout.test.rejects.rows()
        assert [counts.documents, counts.test, counts.labels] == [step.rows() for step in steps]
        assert counts.rejects == rejected


def test_a_key_to_exclude_that_no_label_has_is_told(
    tmp_path: Path, corpus: CorpusConfig, caplog: pytest.LogCaptureFixture
) -> None:
    layout = run_prepare(tmp_path / "run", corpus)
    preparing.warn_of_unknown(["L1", "l2", "L3"], layout.labels)
    warnings = [r.getMessage() for r in caplog.records if "exclude_keys" in r.getMessage()]
    assert warnings == ["evaluation.exclude_keys: no label has the key 'l2'"]
